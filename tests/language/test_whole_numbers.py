"""Whole numbers, attributes and texts of traced values are those of Python's numbers, or refused."""

import io
import logging
import math
import re
import warnings

import numpy as np
import pytest
from helpers import tracing
from helpers.tracing import text, traced

import nbad
from nbad.errors import TraceError

LOGGER = logging.getLogger(__name__)
XS, YS = np.array([-2.5, -0.6, -0.3, 0.3, 1.0, 2.0]), np.array([0.7, -1.2, -0.2, -0.6, 1.9, 2.0])

WHOLE = {
    "isinstance(int(x), int)": "an int",
    "isinstance(int(x) + 1, int) and isinstance(-int(x) // 2 % 3 * 2, int)": "arithmetic",
    "not isinstance(int(x) * 1.0, int) and not isinstance(int(x) / 2, int)": "not any more",
    "type(round(x)) is int and type(round(x, 0)) is not int": "round",
    "isinstance(math.floor(x), int) and isinstance(math.ceil(x), int) and isinstance(math.trunc(x), int)": "functions",
    "isinstance(int(x) ** 3, int) and isinstance(int(x) ** 1, int) and isinstance(int(x) ** 0, int)": "powers",
    "isinstance((x > 0) ** 2, int) and not isinstance(int(x + 9) ** -1, int) and not isinstance(x**2, int)": "powers of others",
    "(1.0, 2.0, 4.0, -1.0)[int(x) ** 2 % 3] > y": "powers as places",
    "isinstance(np.floor(x), float)": "NumPy's functions",
    "isinstance(int(x) if x > 0 else 0, int) and isinstance(max(int(x), 1), int)": "a choice",
    "isinstance((x > 0) + (y > 0), int)": "a sum of conditions",
    "hasattr(x, 'is_integer') and hasattr(x, 'real') and not hasattr(x, 'bit_length')": "attributes",
    "x.is_integer() and y.real == y and x.imag == 0 and x.conjugate() == x": "is_integer",
    "int(x) == -0.0": "equality",
}


@pytest.mark.parametrize("test", WHOLE, ids=WHOLE.values())
def test_classes_and_attributes(test):
    function = function_of(f"def f(x, y):\n    if {test}:\n        return x\n    return y\n")
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_array_equal(nbad.kernel(function)(XS, YS), expected)


def test_bits_of_whole_numbers():
    def f(x):
        n = int(x)
        return (n >> 1) + 0.25 * (n << 2) + 16.0 * (n & 1) + 64.0 * (7 & n) + (n >> 0)

    x = np.array([-9.5, -8.0, -7.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 17.0, 1e6, 2.0**51 + 1])
    np.testing.assert_array_equal(nbad.kernel(f)(x), [f(v) for v in x.tolist()])


def test_a_bisection_by_halved_places():
    table = (1.0, 2.0, 4.0, 8.0, 16.0)

    def f(x):
        low, high = 0, len(table) - 1
        while low != high:
            middle = low + ((high - low) >> 1)
            if table[middle] > x:
                high = middle
            else:
                low = middle + 1
        return table[low] * x

    y, slope = nbad.value_and_grad(nbad.kernel(f))(x := np.array([0.5, 1.5, 3.0, 7.0, 9.0]))
    np.testing.assert_array_equal(y, [f(v) for v in x.tolist()])
    np.testing.assert_array_equal(slope, [1.0, 2.0, 4.0, 8.0, 16.0])


@pytest.mark.parametrize("text", ["int(x) >> -1", "1 << int(x)", "int(x) & 6", "int(x) & -1", "x >> 1"])
def test_other_operators_of_bits_are_refused(text):
    with pytest.raises(TraceError, match=r"does with a traced value what a float cannot do|on a number"):
        nbad.kernel(function_of(f"def f(x):\n    return {text}\n"))(3.0)


def function_of(source, **outer):
    """The function `f` of a source, which knows `math` and `np`."""
    return tracing.function_of(source, f"<{source}>", math=math, np=np, **outer)


ZEROS = (
    "math.atan2(int(x), -1.0)", "math.copysign(1.0, round(x))", "math.copysign(1.0, math.ceil(x))", "math.copysign(1.0, -int(x))",
    "math.copysign(1.0, int(x) * int(y))", "math.copysign(1.0, int(x) // 2)", "math.copysign(1.0, int(x) % -2)",
    "math.copysign(1.0, np.ceil(x))", "math.copysign(1.0, -(x > 0))", "math.copysign(1.0, (x > 0) * -1.0)",
    "math.copysign(1.0, (int(x) if y > 0 else 0) + 0)", "math.copysign(1.0, float(int(x)))", "math.copysign(1.0, int(x) * 2.0)",
    "math.copysign(1.0, max(int(x), -1))",
)  # fmt: skip


@pytest.mark.parametrize("expression", ZEROS)
def test_whole_numbers_have_no_minus_zero(expression):
    function = function_of(f"def f(x, y):\n    return {expression}\n")
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_array_equal(nbad.kernel(function)(XS, YS), expected)


def test_whole_numbers_that_cannot_be_minus_zero_cost_nothing():
    def kernel(x):
        sign = 1 if x > 0 else -1
        return sign * x

    assert not any("add" in line for line in text(kernel))


TEXTS = (
    "str(x) == '1.0'", "f'{x:.1f}'.startswith('-')", "repr(x) == '1.0'", "'{:.1f}'.format(x)[0] == '-'",
    "format(x, '.1f')[0] == '-'", "{'1.0': True}.get(f'{x}', False)", "'-' in str([x, y])", "'-' in str(np.array([x, y]))",
    "str(x > 0) == 'True'", "len(f'{x}') > 4", "str(x) == 'nan' or math.log(abs(x)) > 0", "len(f'{x}') * math.log(2.0) > 3",
    "math.log(len(repr(x))) > 1", "-math.log(2.0) < len(str(x))",
)  # fmt: skip


@pytest.mark.parametrize("test", TEXTS)
def test_texts_are_not_computed_with(test):
    with pytest.raises(TraceError, match="computes with the text of a traced value, which is not that of a number"):
        traced(function_of(f"def f(x, y):\n    return x if {test} else y\n"), "x y")


@pytest.mark.parametrize("made", ["eval(f'{x}')", "int(f'{x:.0f}', 10)", "float.fromhex('%.1f' % x)"])
def test_what_c_functions_say_of_texts_is_not_caught(made):
    lines = "def f(x, y):", "    try:", f"        return {made} * y", "    except TypeError:", "        return y"
    with pytest.raises(TraceError, match="computes with the text of a traced value, which is not that of a number"):
        traced(function_of("\n".join(lines) + "\n"), "x y")


def test_errors_that_show_texts_are_caught():
    def kernel(x):
        try:
            if x < 0:
                raise TypeError(f"negative: {x}")
        except TypeError:
            return 0.0
        return x

    np.testing.assert_array_equal(nbad.kernel(kernel)(np.array([-1.0, 2.0])), [0.0, 2.0])


def test_texts_may_be_shown():
    def kernel(x, n=2):
        assert n > 0, f"none: {x}"
        if n > 2:
            raise ValueError(f"too many: {x}")
        print(x, f"{x}", file=io.StringIO())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.warn(f"about {x}", stacklevel=2)
        for value in (x, -x):
            print(str(value), file=io.StringIO())
        LOGGER.log(1, str(x))
        return x * n

    assert nbad.kernel(kernel)(3.0) == 6.0
    with pytest.raises(ValueError, match="too many: <traced x>"):
        traced(kernel, n=3)


@pytest.mark.parametrize("name", ["hex", "as_integer_ratio"])
def test_attributes_of_numbers_that_are_not_known_are_refused(name):
    with pytest.raises(TraceError, match=f"reads the attribute `{name}` of `x`"):
        traced(eval(f"lambda x: x if hasattr(x, '{name}') else 0.0"))


ARRAYS = {
    "np.array([x, y], int)": "made of numbers",
    "np.asarray([x, 2.5, y], dtype='int64')": "asked for by name",
    "np.array([x, y, 3.75]).astype(int) * 0.5": "turned",
    "np.array([x, y]).astype(int) // 2": "divided",
    "np.asarray(np.array([x, y]), dtype=int) / 2": "a real quotient",
    "np.full(3, x, dtype=int)": "filled",
    "written(np.array([x, y], int) + np.array([1, 2]), int(y), 3)": "sums of plain ones",
    "written((np.array([int(x), 2]) + np.array([3, int(y)])) * 2 - 1, int(x), 2.75)": "sums where a plain one stands beside each",
    "np.full_like(np.arange(3), x) + y": "filled like a plain one",
    "np.full_like([1, 2], y)": "filled like a list",
    "np.full(2, x > 0) * 1.5": "conditions",
    "np.full(2, x > 0, float) + 0.5": "conditions as numbers",
    "np.array([x > 0, 2]) / 4": "a condition among plain numbers",
    "written(np.array([x, y]), int(y), x)": "whole numbers among real ones are real ones",
    "written(np.array([int(x), y]), x, y)": "one made with whole numbers among real ones",
    "written(np.array([int(x), 0.5]), x, y)": "and among plain ones",
    "written(np.zeros(2), x > 0, y)": "conditions among real ones",
    "written(np.zeros(2), int(x), y)": "whole numbers among zeros",
    "written(np.array([int(x), int(y)]), int(y), 2)": "whole numbers among such",
    "written(np.array([int(x), int(y)]), 2.75, -1.5)": "plain numbers are cut",
    "written(np.array([x > 0, y > 0]), 0.5, 0)": "plain numbers among conditions are conditions",
    "written(np.array([int(x), 2]) * 1.0, x, y)": "made real before",
    "masked(np.array([x, y, 2.0]).astype(int), 3)": "plain numbers where a mask holds",
    "masked(np.array([x, y, 2.0]).astype(int), 1.75)": "and cut",
    "masked(np.array([x, y]).astype(int), int(y)) / 2": "whole numbers where a mask holds",
    "[np.array([int(x), int(y)]).dtype == int, np.array([x, int(y)]).dtype == float]": "dtypes",
}


def written(a, first, second):
    a[0] = first
    a[1] = second
    return a


def filled(a, value):
    a.fill(value)
    return a


def masked(a, value):
    a[a > 0] = value
    return a


@pytest.mark.parametrize("made", ARRAYS, ids=ARRAYS.values())
def test_arrays_of_whole_numbers_keep_what_numpys_do(made):
    namespace = {"np": np, "written": written, "masked": masked}
    exec(compile(f"f = lambda x, y: [float(v) for v in {made}]", "<plain>", "exec"), namespace)
    plain = namespace["f"]
    function = function_of(f"def f(x, y):\n    return tuple(v * 1.0 for v in {made})\n", written=written, masked=masked)
    kernel = nbad.kernel(function)
    points = list(zip(XS.tolist(), YS.tolist(), strict=True))
    expected = np.array([plain(x, y) for x, y in points])
    np.testing.assert_array_equal(np.stack(kernel(XS, YS), axis=-1), expected)
    h = 1e-6
    for k, (dx, dy) in enumerate(((h, 0.0), (0.0, h))):
        slopes = [(np.array(plain(x + dx, y + dy)) - plain(x - dx, y - dy)) / (2 * h) for x, y in points if x % 1 and y % 1]
        got = nbad.jacobian(kernel)(XS, YS)[..., k]
        got = [row for row, (x, y) in zip(got, points, strict=True) if x % 1 and y % 1]
        np.testing.assert_allclose(got, slopes, atol=1e-8)


@pytest.mark.parametrize(
    ("made", "words", "fix"),
    [
        ("written(np.array([int(x), int(y)]), x, y)", "a real number into an array of whole numbers", "a[0] = int(x)"),
        ("written(np.array([x, y], int) + 1, x, y)", "a real number into an array of whole numbers", "a = a * 1.0"),
        ("written(np.array([x > 0, y > 0]), x, y)", "a number among conditions", "mask[0] = x != 0"),
        ("written(np.zeros(2, int), x, y)", "into a plain array of whole numbers", "np.array(table, float)"),
        ("filled(np.array([1, 2]), x)", "into a plain array of whole numbers", "np.array(table, float)"),
        ("written(np.zeros(2, np.float32), x, y)", "is not of float64", "np.array(table, float)"),
        ("written(np.zeros(2, bool), x > 0, y)", "a traced condition into a plain array of bools", "np.array([x > 0, y > 0])"),
    ],
)
def test_what_an_array_would_cut_is_refused(made, words, fix):
    with pytest.raises(TraceError, match=rf"writes .*{re.escape(words)}[\s\S]*{re.escape(fix)}"):
        nbad.kernel(function_of(f"def f(x, y):\n    return {made}[0]\n", written=written, filled=filled))(XS, YS)


@pytest.mark.parametrize(
    ("made", "fix"),
    [("np.int64(x)", "int(x)"), ("3 * np.int32(y)", "int(y)"), ("np.uint8(x * y)", "int(x)"), ("np.bool_(x)", "x != 0")],
)
def test_numbers_of_other_dtypes_are_refused_with_the_plain_ones(made, fix):
    with pytest.raises(TraceError, match=rf"into a whole number or bool of NumPy's:[\s\S]*  fix: {re.escape(fix)}"):
        nbad.kernel(function_of(f"def f(x, y):\n    return {made}\n"))(XS, YS)


def test_frexp_is_refused_with_what_it_computes():
    with pytest.raises(TraceError, match=r"calls `math.frexp`") as refused:
        nbad.kernel(lambda x: math.frexp(x)[0])(XS)
    fix = str(refused.value).rpartition("fix: ")[2].partition("  #")[0]
    halves = nbad.kernel(function_of(f"def f(x):\n    {fix}\n    return m, e * 1.0\n"))
    xs = np.array([-3.7, -0.3, 1e-9, 0.75, 5.0, 1e12])
    np.testing.assert_allclose(np.stack(halves(xs)), np.frexp(xs), rtol=1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: int(x), lambda x: round(x), lambda x: math.ceil(x), lambda x: -int(x), lambda x: int(x) * -1,
        lambda x: (x > 0) * -1, lambda x: max(int(x), 0), lambda x: int(x) % -3, lambda x: int(x) // 3, lambda x: -(+int(x)),
        lambda x: -int(x) if x < 1 else int(x), lambda x: {"n": math.trunc(x)}["n"],
    ],
)  # fmt: skip
def test_a_whole_result_has_no_negative_zero(f):
    xs = np.array([-2.5, -0.5, -0.0, 0.0, 0.3, 2.0])
    expected = np.array([float(f(x)) for x in xs])
    for found in (
        nbad.kernel(f)(xs),
        nbad.kernel(lambda x: np.copysign(1.0, nbad.kernel(lambda n: n)(f(x))))(xs) * np.abs(expected),
    ):
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_plus_of_a_condition_is_a_whole_number():
    assert nbad.kernel(lambda x: math.copysign(3.0, -(+(x > 1))) * isinstance(+(x > 1), int))(0.0) == 3.0
