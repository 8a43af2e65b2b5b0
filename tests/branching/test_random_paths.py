"""Random programs in which elements raise, are None, or have variables without values: values and errors are those of Python."""

import math
import random

import numpy as np
import pytest
from helpers.tracing import written

import nbad

HEAD = """\
import math

FEW, NAMED, ZERO = (1.0, 2.0), {"some": 1.0}, 0


def none_above(a, b):
    if a > b:
        return None
    return a


def checked(a):
    if a < -0.8:
        raise ValueError("too small")
    return a


def f(x, y):
    if x > y:
        u = x
    v = y
    if x < 0.5:
        w = 2.0
"""
VALUES = ("{} - {}", "{} * {}", "abs({})", "none_above({}, {})", "checked({})", "{} if ? else {}")
CONDITIONS = ("{} < {}", "not {} > {}", "{} < {} and {} > {}", "{} < {} or {} > {}", "{} is None", "{} is not None")
ENDS = (
    "raise ValueError('raised')", "raise KeyError('raised')", "u = FEW[2]", "v = NAMED['none']", "w = 1 / ZERO",
    "u = math.log(ZERO)", "v, w = FEW[1:]", "w = float('none')",
)  # fmt: skip
NAMES = "uvwxy"
ERRORS = (ValueError, LookupError, ZeroDivisionError, TypeError, UnboundLocalError)


class Programs:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, depth):
        return HEAD + self.block(1, depth) + self.block(1, depth) + f"    return {self.value(1)} + x\n"

    def value(self, depth=2):
        if not depth or self.random.random() < 0.3:
            return self.random.choice((*NAMES, *NAMES, "0.5", "1.0"))
        form = self.random.choice(VALUES).replace("?", self.condition())
        return "(" + form.format(*(self.value(depth - 1) for _ in range(form.count("{}")))) + ")"

    def condition(self):
        form = self.random.choice(CONDITIONS)
        operands = NAMES if "None" in form else (*NAMES, "0.3", "-0.4")
        return form.format(*(self.random.choice(operands) for _ in range(form.count("{}"))))

    def block(self, indent, depth):
        kinds = ["set", "set", "none", *(["if", "if", "if", "raise", "return", "for"] if depth else [])]
        return "".join(self.statement(self.random.choice(kinds), indent, depth) for _ in range(self.random.randint(1, 3)))

    def statement(self, kind, indent, depth):
        pad = "    " * indent
        if kind == "set":
            return f"{pad}{self.random.choice(NAMES)} = {self.value()}\n"
        if kind == "none":
            value = "None" if self.random.random() < 0.3 else f"none_above({self.value(1)}, x)"
            return f"{pad}{self.random.choice('uvw')} = {value}\n"
        if kind == "raise":
            return f"{pad}if {self.condition()}:\n{pad}    {self.random.choice(ENDS)}\n"
        if kind == "return":
            return f"{pad}if {self.condition()}:\n{pad}    return {self.value()}\n"
        if kind == "for":
            return f"{pad}for _ in range(2):\n{self.block(indent + 1, depth - 1)}"
        heads = ["if ?", *(["elif ?"] if self.random.random() < 0.5 else []), *(["else"] if self.random.random() < 0.5 else [])]
        return "".join(f"{pad}{h.replace('?', self.condition())}:\n{self.block(indent + 1, depth - 1)}" for h in heads)


POINTS = np.stack(np.meshgrid([-1.0, -0.3, 0.2, 0.6, 1.0], [-1.0, -0.3, 0.2, 0.6]), -1).reshape(-1, 2).tolist()


def outcome(function, *operands):
    try:
        value = function(*operands)
    except ERRORS as error:
        return math.nan, error
    return math.nan if value is None else value, None if value is not None else TypeError("None")


def error_of(kernel):
    """What a kernel raises while it is traced, if anything."""
    try:
        kernel(1.0, 1.0)
    except (nbad.errors.TraceError, *ERRORS) as error:
        return error
    return None


def run(seeds, folder, depth):
    """How many programs are accepted and refused, and how many elements fail."""
    accepted = refused = failed = 0
    for seed in seeds:
        function = written(folder / f"program{seed}.py", Programs(seed).text(depth))
        quiet, loud = nbad.kernel(function, errors="nan"), nbad.kernel(function)
        refusal = error_of(quiet)
        if refusal:
            if not isinstance(refusal, nbad.errors.TraceError):  # no element has a value
                errors = [outcome(function, x, y)[1] for x, y in POINTS]
                assert None not in errors
                assert type(refusal) in map(type, errors)
            refused += 1
            continue
        accepted += 1
        for x, y in POINTS:
            (value, error), found, (_, raised) = outcome(function, x, y), quiet(x, y), outcome(loud, x, y)
            if isinstance(error, UnboundLocalError) and raised is None:
                continue  # a variable that is read, and not used
            failed += error is not None
            np.testing.assert_equal(float(found), float(value))
            assert (error is None) == (raised is None)
            if error is not None and str(error) != "None":
                assert (type(raised), raised.args) == (type(error), error.args)
    return accepted, refused, failed


def test_random_paths(tmp_path):
    accepted, refused, failed = run(range(3), tmp_path, 1)
    assert accepted > refused
    assert failed > 5


@pytest.mark.slow
def test_many_random_paths(tmp_path):
    accepted, refused, _ = run(range(100, 400), tmp_path, 2)
    assert accepted > refused
