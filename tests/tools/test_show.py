"""Golden text of the pipeline's stages, and the printed source run as a program of its own.

The files in tests/golden/ are what `nbad.show` printed when they were last looked at. After a wanted change write them anew, and
read the difference before it is committed:

    NBAD_WRITE_GOLDEN=1 python -m pytest tests/tools/test_show.py
"""

import difflib
import math
import os
from pathlib import Path

import numba
import numpy as np
import pytest

import nbad

GOLDEN = Path(__file__).parents[1] / "golden"
KERNELS = {"black_scholes": "price", "arc_distance": "arc_distance"}
STAGES = ("graph", "plan", "source")
every_kernel = pytest.mark.parametrize("module", KERNELS)


@every_kernel
@pytest.mark.parametrize("stage", STAGES)
def test_text_of_a_stage(module, stage, gallery):
    text = nbad.show(getattr(gallery[module], KERNELS[module]), stage).rstrip() + "\n"
    path = GOLDEN / f"{module}.{stage}.txt"
    if os.environ.get("NBAD_WRITE_GOLDEN"):
        path.write_text(text)
    difference = difflib.unified_diff(path.read_text().splitlines(), text.splitlines(), path.name, "now", lineterm="")
    assert "\n".join(difference) == ""


@every_kernel
def test_text_does_not_depend_on_what_ran_before(module, gallery):
    """A fresh kernel of the same function prints the same, and printing changes no result."""
    f = getattr(gallery[module], KERNELS[module])
    again = nbad.kernel(f.__wrapped__)
    xs = gallery[module].sample_inputs(np.random.default_rng(0), 10, np.float64)
    before = np.array(again(*xs)).tobytes()
    assert [nbad.show(again, stage) for stage in STAGES] == [nbad.show(f, stage) for stage in STAGES]
    assert np.array(again(*xs)).tobytes() == before


def test_every_golden_file_has_its_test():
    assert {path.name for path in GOLDEN.iterdir()} == {f"{module}.{stage}.txt" for module in KERNELS for stage in STAGES}


# the printed source is a program


def compiled(f):
    """The printed forward and reverse functions under plain Numba."""
    scope = {}
    exec(nbad.show(f, "source"), scope)
    functions = [value for value in scope.values() if hasattr(value, "__code__")]
    return [numba.njit(error_model="numpy")(function) for function in functions]


def by_element(function, columns):
    return np.array([function(*point) for point in zip(*columns, strict=True)]).T


def damped(x, y):
    r = math.hypot(x, y) + 0.1
    wave = np.cos(3 * r) * math.exp(-r) + np.cbrt(x) - math.erf(y) * 2**0.5
    return wave, x**5 / (1 + y**2) - abs(x) ** 1.5 + math.log1p(r) * math.atan2(y, x), x * 2.0


def columns_of(module, gallery):
    if module == "damped":
        return damped, tuple(np.random.default_rng(3).standard_normal((2, 300)))
    source = gallery[module]
    return getattr(source, KERNELS[module]).__wrapped__, source.sample_inputs(np.random.default_rng(3), 300, np.float64)


@pytest.mark.parametrize("module", [*KERNELS, "damped"])
def test_printed_source_under_plain_numba_has_the_bits_of_the_vector_code(module, gallery):
    function, xs = columns_of(module, gallery)
    f = nbad.kernel(function, math="libm")
    y, pullback = nbad.vjp(f, *xs)
    outputs = np.atleast_2d(np.array(y))
    seeds = np.random.default_rng(4).standard_normal(outputs.shape)
    seeds[:, ::7] = 0.0
    forward, reverse = compiled(f)
    kept = by_element(forward, xs).reshape(-1, len(xs[0]))
    cotangents = by_element(reverse, [*kept[len(outputs) :], *seeds])
    assert kept[: len(outputs)].tobytes() == outputs.tobytes()
    assert cotangents.tobytes() == np.array(pullback(tuple(seeds) if isinstance(y, tuple) else seeds[0])).tobytes()


@pytest.mark.parametrize("module", [*KERNELS, "damped"])
def test_the_function_itself_under_plain_numba_has_the_same_bits(module, gallery):
    function, xs = columns_of(module, gallery)
    scope = dict(function.__globals__)
    if "normal_cdf" in scope:
        scope["normal_cdf"] = numba.njit(error_model="numpy")(scope["normal_cdf"])
    plain = numba.njit(error_model="numpy")(type(function)(function.__code__, scope))
    vector = np.atleast_2d(np.array(nbad.kernel(function, math="libm")(*xs)))
    assert by_element(plain, xs).reshape(vector.shape).tobytes() == vector.tobytes()
