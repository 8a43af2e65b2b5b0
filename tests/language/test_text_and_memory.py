"""What makes text, bytes or copies of traced values is refused with the reason, or right; no foreign error comes out."""

import copy
import json
import logging
import pickle
import pprint
import re
import string
import struct
import sys

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError


def measured(text):
    return len(text) if text else 0


def caught(text, y):
    try:
        return len(",".join([text])) * y
    except TypeError:
        return y


XS, YS = np.array([1.5, 2.5]), np.array([2.0, 0.5])


def pair(x, y):
    return np.array([x, y])


REFUSED = {
    "asks how much memory `x` takes": [lambda x, y: x * sys.getsizeof(x), lambda x, y: y * x.__sizeof__()],
    "asks for the memory of an array of traced values": [
        lambda x, y: memoryview(pair(x, y))[0] * x,
        lambda x, y: memoryview(pair(x, y).view(np.ndarray))[0] * x,
        lambda x, y: pair(x, y).data[0] * x,
        lambda x, y: sum(float(v) for v in np.nditer(pair(x, y))),
        lambda x, y: pair(x, y).view(float)[0],
        lambda x, y: pair(x, y).tobytes()[0] * x,
        lambda x, y: bytes(pair(x, y))[0] * x,
        lambda x, y: (z := pair(x, y), z.resize(3), z[0])[2],
        lambda x, y: (z := pair(x, y), z.setfield(1.0, float), z[0])[2],
        lambda x, y: pair(x, y).byteswap()[0],
    ],
    "pickles ": [
        lambda x, y: pickle.loads(pickle.dumps(x)) * y,
        lambda x, y: pickle.loads(pickle.dumps([x]))[0] * y,
        lambda x, y: pickle.loads(pickle.dumps(pair(x, y).view(np.ndarray)))[0] * y,
        lambda x, y: len(pickle.dumps(x > y)) * y,
    ],
    "computes with the text of a traced value": [
        lambda x, y: len(json.dumps(x)) * x,
        lambda x, y: json.loads(json.dumps({"a": [x]}))["a"][0],
        lambda x, y: float(format(x, ".3f")),
        lambda x, y: float(f"{x}"),
        lambda x, y: len(f"{x}") * y,
        lambda x, y: y if f"{x}" == "1.5" else x,
        lambda x, y: {"1.5": y}[f"{x}"],
        lambda x, y: y if "5" in f"{x}" else x,
        lambda x, y: float("".join([f"{x}", "1"])),
        lambda x, y: float(str(f"{x}")),
        lambda x, y: y if f"{x}".startswith("1") else x,
        lambda x, y: float("1" + f"{x:.3f}"),
        lambda x, y: int("%s" % f"{x}"),  # noqa: UP031
        lambda x, y: len(f"about {f'{x}'}") * y,
        lambda x, y: measured(f"{x}") * y if x > 0 else y,
        lambda x, y: len("{}".format(x)) * y if x > 0 else y,  # noqa: UP032
        lambda x, y: len("%g" % x) * y if x > 0 else y,  # noqa: UP031
        lambda x, y: len("%g of %s" % (x, f"{y}")) * y if x > 0 else y,  # noqa: UP031
        lambda x, y: caught(f"{x}", y),
        lambda x, y: float(str(x)),
        lambda x, y: len(pprint.pformat(x)) * x,
        lambda x, y: float(string.Template("$a").substitute(a=x)),
    ],
    "turns `x` into a Python float": [
        lambda x, y: struct.unpack("d", struct.pack("d", x))[0],
        lambda x, y: struct.Struct("d").pack(x)[0] * y,
        lambda x, y: float("%f" % x),  # noqa: UP031
    ],
    "uses a traced value as an index or a count": [lambda x, y: len(bytes(int(x))) * y],
}
CASES = [(what, number) for what, functions in REFUSED.items() for number in range(len(functions))]


@pytest.mark.parametrize(("what", "number"), CASES)
def test_what_makes_something_else_of_values_is_refused(what, number):
    with pytest.raises(TraceError, match=rf"(?s){what}.*test_text_and_memory\.py.*fix: "):
        nbad.kernel(REFUSED[what][number])(XS, YS)


def copied(x, y):
    return copy.deepcopy(x) * copy.copy(y)


def copied_array(x, y):
    a = pair(x, y)
    b, c = copy.deepcopy(a), copy.copy(a)
    b[0], c[1] = 3.0, 5.0
    return a[0] * b[0] * b[1] + c[0] * c[1] * a[1]


def copied_lists(x, y):
    a = [[x], {"k": y}]
    b = copy.deepcopy(a)
    b[0][0], b[1]["k"] = 3.0, 5.0
    return a[0][0] * b[0][0] * b[1]["k"] * a[1]["k"]


def shown(x, y):
    logging.getLogger("nbad.tests.text").warning("x is %s", x)
    print(f"y is {y}", end="")
    return x * y


def check(condition, message="", more=""):
    if not condition:
        raise ValueError(message + more)


def checked(x, y):
    """A text that is there whether it is shown or not."""
    if x > 2.0:
        size = f"large, {x}"
    else:
        size = f"small, {x}"
        check(y > 0, size)
    where = f"with x = {x:.2f}"
    check(x > 0, f"negative {where}", more=" and" + f" y = {y!r}")
    check(True, message=f"{x} and {y}", more="%d" % 3)  # noqa: UP031
    check(True, "%s" % where, more="%r" % [x])  # noqa: UP031
    check(y < 1000, "large, {} and {:.1f}".format(x, y))  # noqa: UP032
    check(x < 100, "%g and %5.2f%% of %s" % (x, y, where), more=", %(a)g %% %(b)+8.1e" % {"a": x, "b": y})  # noqa: UP031
    return x * y if where else y


def plain_memory(x, y):
    table = np.array([1, 2])
    return x * memoryview(table)[1] + y * json.loads(json.dumps(2.0)) + sum(map(float, np.nditer(table)))


@pytest.mark.parametrize("function", [copied, copied_array, copied_lists, shown, checked, plain_memory])
def test_what_is_right(function, capsys):
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(function)(XS, YS), expected, rtol=1e-15)


def test_what_a_check_says_is_what_it_says_of_the_element():
    with pytest.raises(ValueError, match=r"^negative with x = -1.50 and y = 2.0\n"):
        nbad.kernel(checked)(-XS, YS)
    with pytest.raises(ValueError, match=r"^150 and  2.00% of with x = 150.00, 150 % \+2.0e\+00\n"):
        nbad.kernel(checked)(100.0 * XS, YS)
    with pytest.raises(ValueError, match=r"^large, 1.5 and 2000.0\n"):
        nbad.kernel(checked)(XS, 1000.0 * YS)
    with pytest.raises(ValueError, match=r"^small, 1.5\n"):
        nbad.kernel(checked)(XS, -YS)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ("%x" % x, x)[1] if x > 0 else x,  # noqa: UP031
        lambda x: ("%g and %g" % (x,), x)[1] if x > 0 else x,  # noqa: UP031, F507
        lambda x: ("%d" % f"{x}", x)[1] if x > 0 else x,  # noqa: UP031
        lambda x: ("%g" % [x], x)[1] if x > 0 else x,
        lambda x: ("%(a)g" % {"b": x}, x)[1] if x > 0 else x,  # noqa: UP031, F504, F505
    ],
)
def test_formats_that_python_refuses(function):
    with pytest.raises((TypeError, KeyError), match=r"format|number|'a'") as plain:
        function(1.5)
    with pytest.raises(type(plain.value), match=re.escape(str(plain.value)).replace("list", "(list|object)")):
        nbad.kernel(function)(1.5)
