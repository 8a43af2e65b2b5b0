"""What cannot be traced: refused by kernel, construct, source line and rewrite."""

import functools
import linecache
import math
import random
import re
import struct
import time
from array import array
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import scipy.spatial
import scipy.special
import scipy.stats
from helpers.tracing import FakeKernel, check_values, text, traced

from nbad.errors import TraceError
from nbad.lines import line_of
from nbad.tracing.tracer import DEEPEST_NESTING

LINES = Path(__file__).read_text().splitlines()
TABLE = [1.0, 2.0, 3.0]
ARRAY = np.array(TABLE)
FUNCTIONS = {"sin": math.sin, "int": int, "norm": np.linalg.norm, "unwrap": np.unwrap, "ber": scipy.special.ber, "fmod": np.fmod}
counter = 0
generator = np.random.default_rng(0)


def expect(kernel, what, fix, line=None):
    """The kernel is refused with these words; `line` is its source, or else the kernel has one line after `def`."""
    number = kernel.__code__.co_firstlineno + 1 if line is None else 1 + next(k for k, text in enumerate(LINES) if line in text)
    where = rf"{re.escape(LINES[number - 1].strip())} *\(test_trace_errors\.py:{number}\)"
    text = rf"^kernel `{kernel.__name__}` {re.escape(what)}:\n    {where}\n[\s\S]*{re.escape(fix)}"
    with pytest.raises(TraceError, match=text):
        traced(kernel, " ".join(kernel.__code__.co_varnames[: kernel.__code__.co_argcount]))


def expect_unknown(kernel, path, advice, line=None):
    expect(kernel, f"calls `{path}` on a traced value, which nbad does not know", advice, line)


def expect_frozen(kernel, path):
    what = f"calls `{path}`, whose value in the first trace would be kept for ever"
    expect(kernel, what, "fix: pass the value as an argument")


# control flow


def test_conditions_that_python_turns_into_bools():
    def truth(x):
        return bool(x > 0) * x

    check_values(truth, 2.0)
    check_values(truth, -2.0)
    assert "select" in "".join(text(truth))


def test_asserts():
    def asserted(x):
        assert x > 0
        return x

    expect(asserted, "asserts a traced condition", "fix: check the arrays before the call")


def test_recursion():
    def factorial(n):
        return n * factorial(n - 1)

    def kernel(x):
        return factorial(x)

    def inner(x):  # of the recursion
        def forever(y):
            return forever(y + 1)

        return forever(x)

    what = "calls `test_recursion.<locals>.factorial`, which is recursive"
    expect(kernel, what, "fix: for _ in range(n)", "n * factorial(n - 1)")
    expect(inner, "is recursive, or nested too deeply", "fix: for _ in range(n)", "def inner(x):  # of the recursion")


def test_kernel_that_calls_itself():
    kernel = FakeKernel(lambda x: kernel(x) + 1, "x")
    with pytest.raises(TraceError, match=r"kernel `<lambda>` is recursive:\n.*\(tracing\.py:\d+\)\n  fix: for _ in range\(n\)"):
        traced(kernel.function)
    assert text(lambda x: x) == ["return x"]
    assert DEEPEST_NESTING == 20


# results


def test_results_that_are_no_numbers():
    def nothing(x):
        x + 1

    def a_list_with_none(x):
        return [x, None]

    def a_nested_dict(x):
        return {"x": {"x": x}}

    def a_set(x):
        return frozenset({1.0})

    def an_empty_list(x):
        return []

    def a_string(x):
        return "x"

    def a_condition(x):
        return x > 0

    def a_plain_condition(x):
        return True

    def a_nested_tuple(x):
        return x, (x, x)

    def a_tuple_with_none(x):
        return x, None

    def an_empty_tuple(x):
        return ()

    def a_complex_number(x):
        return 1j

    expect(nothing, "returns nothing", "fix: return y", "def nothing(x):")
    known = "expected: a number, an array, or a tuple, a dict or a list of these\n  fix: return y"
    expect(a_list_with_none, "returns nothing in a list", known)
    expect(a_nested_dict, "returns a dict in a dict", "fix: return a, b")
    expect(a_set, "returns a value of type frozenset", "fix: return y")
    expect(an_empty_list, "returns an empty list", "fix: return y")
    expect(a_string, "returns a string", "fix: return y")
    expect(a_condition, "returns a condition", "fix: return np.where(condition, 1.0, 0.0)")
    expect(a_plain_condition, "returns a condition", "fix: return np.where(condition, 1.0, 0.0)")
    expect(a_nested_tuple, "returns a tuple in a tuple", "fix: return a, b, c")
    expect(a_tuple_with_none, "returns nothing in a tuple", "fix: return y")
    expect(an_empty_tuple, "returns an empty tuple", "fix: return y")
    expect(a_complex_number, "returns a value of type complex", "fix: return y")


def test_several_returns_point_at_the_definition():
    def several(x):
        if counter:
            return x
        return [x, "x"]

    expect(several, "returns a string in a list", "fix: return y", "def several(x):")


# conversions and writes


def test_conversions():
    def to_float(x):
        return array("d", [x])[0]

    def to_count(x):
        return sum(range(x))

    def to_complex(x):
        return complex(x).real

    def to_key(x):
        return {x: 1.0}[x]

    def to_int(x):
        return FUNCTIONS["int"](x)

    def to_place(x):
        return TABLE[x:][0]

    class Length:
        def __abs__(self):
            return math.sqrt(self.x)

    def to_root(x):
        length = Length()
        length.x = x
        return abs(length)

    def to_array(x):
        return np.vectorize(abs)(x)

    expect(to_int, "turns `x` into an int, in code that nbad cannot see into", "fix: int(x)")
    expect(to_place, "uses `x` as an index or a count", "fix: for _ in range(3):")
    expect(to_array, "turns `x` into an array, or an index of one", "fix: write the kernel for one element")
    what = "turns `x` into a Python float, in code that nbad cannot see into"
    expect(to_root, what, "fix: np.sqrt(...)  # NumPy's function", "return math.sqrt(self.x)")
    expect(to_root, what, "got: `__abs__` is run as it is: nbad sees into functions", "return math.sqrt(self.x)")
    expect(to_float, "turns `x` into a Python float, in code that nbad cannot see into", "fix: np.sin(x)  # NumPy's function")
    expect(to_count, "counts to a traced value, and not in a `for` statement", "fix: for k in range(n): total = total + f(k)")
    expect(to_complex, "turns `x` into a complex number", "fix: keep the real and the imaginary part in two variables")
    expect(to_key, "uses `x` as the key of a dict, set or cache", "fix: use a plain number or a string as the key")


def test_compiled_code_that_takes_numbers_only():
    triangles = scipy.spatial.Delaunay(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))

    def to_cython(x):
        return triangles.find_simplex(np.array([x, x])) * x

    def to_c(x):
        return struct.pack("d", x)[0] * x

    what = "passes traced values to compiled code, which takes plain numbers only"
    expect(to_cython, what, "fix: an operation of your own, made by nbad.primitive", line="find_simplex(np")
    expect(to_c, "turns `x` into a Python float, in code that nbad cannot see into", "", line='struct.pack("d", x)[0]')


def test_scalars_are_no_sequences():
    def item(x):
        return x[0]

    def length(x):
        return len(x)

    def unpacked(x):
        a, b = x
        return a + b

    def computed(x):
        return max(x + 1)

    def matrix(x):
        return ARRAY @ x

    def starred(x):
        return max(*x)

    def backwards(x):
        return next(reversed(x))

    def member(x):
        return 1.0 in x

    def joined(x):
        return sum(a * b for a, b in zip(TABLE, x, strict=False))

    rewrite = "fix: def kernel(x0, x1, x2):  # one argument per component"
    for kernel in (item, length, unpacked, starred, backwards, member, joined):
        expect(kernel, "treats a traced value, a scalar, as a sequence", rewrite)
    expect(matrix, "uses `@` on a number", "fix: x * y")
    expect(computed, "treats a traced value, a scalar, as a sequence", rewrite)


def test_writes():
    def to_item(x):
        x[0] = 1.0
        return x

    def to_deleted_item(x):
        del x[0]
        return x

    def to_attribute(x):
        x.value = 1.0
        return x

    def to_module(x):
        math.tau = x
        return x

    def to_global(x):
        global counter
        counter = x
        return x

    def to_output(x):
        return np.sin(x, out=x) + x

    expect(to_item, "writes into `x`", "fix: return the new value: a kernel changes nothing in place")
    expect(to_deleted_item, "writes into `x`", "fix: return the new value")
    expect(to_attribute, "writes the attribute `value` of `x`", "fix: return the new value")
    expect(to_module, "writes the attribute `tau` of `math`", "fix: return the value instead")
    expect(to_global, "assigns the outer variable `counter`", "fix: return counter", "counter = x")
    expect(to_output, "uses a number after its array was written to under another name", "fix: y = np.array(y)")
    assert counter == 0
    assert math.tau == 2 * math.pi


def test_writes_at_traced_places():
    def list_item(x):
        items = [x, 1.0]
        items[x] = 2.0
        return items[0]

    def array_item(x):
        items = np.array([x, 1.0])
        items[x] = 2.0
        return items[0]

    fix = "fix: x = [new if k == i else old for k, old in enumerate(x)]  # all items"
    expect(list_item, "uses `x` as the place of an item that is written, or as a bound", fix, "items[x] = 2.0")
    line = LINES.index("        items = np.array([x, 1.0])") + 2
    with pytest.raises(TraceError, match=rf"(?s)place of an item that is written.*_errors\.py:{line}\).*{re.escape(fix)}"):
        traced(array_item)


def test_writes_of_closure_variables():
    calls = 0

    def outer(x):
        nonlocal calls
        calls += 1  # of the outer function
        return x

    def nested(x):
        def inner():
            global counter
            counter = 2.0  # in a nested function

        inner()
        return x

    expect(outer, "assigns the outer variable `calls`", "fix: return calls", "calls += 1  # of")
    expect(nested, "assigns the outer variable `counter`", "fix: return counter", "counter = 2.0  # in")
    assert (calls, counter) == (0, 0)


def test_names_that_are_nbads_own():
    def local(x):
        _nbad1 = x * 2
        return _nbad1 if x > 0 else x

    def argument(__nbad__):
        return __nbad__ + 1

    def inner(x):
        def g(_nbad_z):
            return _nbad_z * 2

        return g(x)

    def imported(x):
        import nbad as _nbad

        return x * 2 if x > 0 else _nbad.special.expit(x)

    expect(local, "has a variable `_nbad1`", "fix: _my1 = ...", "def local(x):")
    expect(argument, "has a variable `__nbad__`", "fix: __my__ = ...", "def argument(__nbad__):")
    expect(inner, "has a variable `_nbad_z`", "fix: _my_z = ...", "def g(_nbad_z):")
    check_values(imported, 2.0)


def test_attributes():
    def strides(x):
        return x.strides[0] * x

    def method(x):
        return (x + 1).tolist()

    def reduction(x):
        return (x + 1).sum()

    expect(strides, "reads the attribute `strides` of `x`", "fix: use x itself: it is one number")
    expect(method, "reads the attribute `tolist` of a traced value", "fix: use x itself")
    what = "calls `numpy.sum` on one element: a kernel sees one at a time of the arrays that it is called with"
    expect(reduction, what, "fix: x_sum = np.sum(x)")
    with pytest.raises(AttributeError, match="reads the attribute `strides`"):
        traced(strides)


# operands


def test_operands_that_are_no_real_numbers():
    def text_operand(x):
        return x + "1"

    def complex_operand(x):
        return x * 2j

    def list_operand(x):
        return x * [1, 2]

    def nothing(x):
        return np.where(x > 0, x, None)

    def decimal(x):
        return x - Decimal(2)

    expected = "expected: a traced value, a Python or NumPy number"
    expect(text_operand, "uses a value of type str where a real number is needed", expected)
    expect(complex_operand, "uses the complex number 2j where a real number is needed", "fix: keep the real and the imaginary")
    expect(list_operand, "uses a value of type list where a real number is needed", "fix: table[0] * x")
    expect(nothing, "uses None where a real number is needed", expected)
    expect(decimal, "uses a value of type Decimal where a real number is needed", expected)


def test_bitwise_operators_on_numbers():
    def precedence(x, y):
        return np.where(x > 0 & y, x, y)

    def ufunc(x):
        return np.bitwise_or(x, 1)

    rewrite = "fix: (x > 0) & (y > 0)  # comparisons in parentheses; `a and b` of flags"
    expect(precedence, "uses `&`, `|`, `^` or `~` on a number", rewrite)
    expect(ufunc, "uses `&`, `|`, `^` or `~` on a number", rewrite)


def test_operators_that_have_no_meaning():
    def digits(x):
        return round(x, 2)

    def modulus(x):
        return pow(x, 2, 3)

    def shifted(x):
        return x * 2.0 + (x >> 1)

    what = "does with a traced value what a float cannot do"
    expect(shifted, what, "got: unsupported operand type(s) for >>: 'float' and 'int'\n  fix: n // 2, n * 2, n % 2")
    expect(digits, "rounds to digits", "fix: np.round(x, 2)")
    expect(modulus, "calls pow() with a modulus", "fix: pow(x, y)")


def test_matrix_product_of_scalars():
    def left(x):
        return x @ ARRAY

    def right(x):
        return TABLE @ x

    expect(left, "uses `@` on `x`, a scalar", "fix: x * y")
    expect(right, "uses `@` on `x`, a scalar", "fix: x * y")


# functions


def test_unknown_functions():
    def misspelled(x):
        return math.isqrt(x)

    def listed(x):
        return np.unwrap(x)

    def nested(x):
        return np.fft.fft(x)

    def submodule(x):
        return scipy.stats.norm.moment(x)

    def in_a_list(x):
        return np.gradient([x, 1.0, x])

    def scaled(x):
        return scipy.special.k0e(x)

    def imaginary(x):
        return scipy.special.erfi(x)

    def stacked(x):
        return np.unwrap([x, x])

    def counts(x):
        return np.count_nonzero([x, x])

    def of_a_dict(x):
        return FUNCTIONS["ber"](x)

    def dispatched(x):
        return FUNCTIONS["unwrap"](x)

    def reduced(x):
        return FUNCTIONS["fmod"].outer(x, x)

    expect_unknown(misspelled, "math.isqrt", "fix: math.floor(math.sqrt(n))")
    expect_unknown(listed, "numpy.unwrap", "one of numpy: abs, absolute, ")
    expect_unknown(nested, "numpy.fft.fft", "expected: a function of math or numpy")
    expect_unknown(submodule, "scipy.stats.norm.moment", "expected: ")
    expect_unknown(in_a_list, "numpy.gradient", "fix: the same, written in loops over items")
    expect_unknown(scaled, "scipy.special.k0e", "fix: np.exp(x) * scipy.special.k0(x)")
    expect_unknown(imaginary, "scipy.special.erfi", "fix: an operation of your own")  # not the function of the closest name
    expect_unknown(counts, "numpy.count_nonzero", "fix: np.sum(np.where(x > 0, 1.0, 0.0))")
    expect_unknown(stacked, "numpy.unwrap", "expected: one of numpy: abs, ")
    expect_unknown(of_a_dict, "scipy.special.ber", "fix: an operation of your own, made by nbad.primitive('ber', ...)")
    expect_unknown(dispatched, "numpy.unwrap", "")
    expect(reduced, "calls `fmod.outer` on a traced value", "fix: np.fmod(x[:, None], y)")


def test_functions_whose_value_would_be_frozen():
    def noise(x):
        return x + random.random()

    def numpy_noise(x):
        return x + np.random.rand()

    def generated(x):
        return x + generator.normal()

    def clock(x):
        return x + time.time()

    expect_frozen(noise, "random.random")
    expect_frozen(numpy_noise, "numpy.random.rand")
    expect_frozen(generated, "numpy.random._generator.Generator.normal")
    expect_frozen(clock, "time.time")


def test_wrong_calls_of_known_functions():
    def too_many(x):
        return math.sin(x, 2)

    def too_few(x):
        return np.where(x > 0, x)

    def by_key(x):
        return sorted([x, 2], key=abs)

    def three_sides(x):
        return np.hypot(x, x, x)

    def into(x):
        return np.add(x, 1.0, out=TABLE)

    def unlike(x):
        return np.clip(x, 0.0, 1.0, 2.0)

    expect(too_many, "calls `math.sin` with 2 arguments", "expected: 1\n  fix: math.sin(x)")
    expect(too_few, "calls `numpy.where` with 2 arguments", "expected: 3\n  fix: numpy.where(x, y, z)")
    expect(by_key, "passes `key=` to `builtins.sorted`", "fix: sorted(x)")
    expect(three_sides, "calls `numpy.hypot` with 3 arguments", "fix: numpy.hypot(x, y)")
    expect(into, "changes an array that was made outside the kernel", "fix: a = a + x")
    expect(unlike, "calls `numpy.clip` in a way that nbad does not know", "fix: numpy.clip(x, a_min=None, a_max=None, min")


class Outside:
    def __init__(self, v):
        self.v = v

    def __abs__(self):
        return self.v if self.v > 0 else -self.v


def test_methods_that_run_as_they_are():
    def kernel(x):
        return abs(Outside(x))

    got = "got: `__abs__` is run as it is: nbad sees into functions and methods that the kernel reaches by name only"
    expect(kernel, "branches on a traced value", f"{got}\n  fix: np.where(", "return self.v if")


def test_error_in_a_helper_names_the_helpers_line():
    def helper(x):
        return np.unwrap(x)  # in the helper

    def kernel(x):
        return helper(x)

    expect_unknown(kernel, "numpy.unwrap", "one of numpy: abs", "np.unwrap(x)  # in the helper")


# leaks


def test_values_that_outlive_their_trace():
    kept = []

    def leak(x):
        kept.append(x * 2)
        return x

    def use(x):
        return x + kept[0]

    def use_alone(x):
        return kept[0] * 2

    def give_back(x):
        return kept[0]

    traced(leak)
    rewrite = "fix: pass it as an argument, or return it"
    expect(use, "uses a traced value of kernel `leak` after or outside its trace", rewrite)
    expect(give_back, "uses a traced value of kernel `leak` after or outside its trace", rewrite)
    with pytest.raises(TraceError, match="uses a traced value of kernel `leak` after or outside its trace"):
        traced(use_alone)
    with pytest.raises(TraceError, match="uses a traced value of kernel `leak`"):
        kept[0] + 1


def test_inner_kernel_may_not_see_the_values_of_the_outer_one():
    def outer(x):
        def inner(y):
            return x * y

        return FakeKernel(inner, "y")(x) + FakeKernel(inner, "y").bind_traced((x,), {})[0].graph.outputs[0]

    with pytest.raises(TraceError, match=r"uses a traced value of kernel `(inner|outer)` after or outside its trace"):
        traced(outer)


# without source


def test_kernels_without_source_are_named_by_place():
    namespace = {}
    exec(compile("def f(x):\n    if x > 0:\n        return x\n    return -x", "<cell>", "exec"), namespace)
    text = (
        r"^kernel `f` uses a traced value as True or False, in code that nbad cannot see into:\n    in `f` +\(<cell>:2\)\n"
        r"  got: `f` cannot branch, for its source text cannot be found[\s\S]*\n  fix: np.where"
    )
    with pytest.raises(TraceError, match=text):
        traced(namespace["f"])


def test_kernels_of_other_kinds_are_named():
    def double(x):
        return [None]

    text = r"kernel `partial` returns nothing in a list:\n    return \[None\] +\(test_trace_errors.py:\d+\)"
    with pytest.raises(TraceError, match=text):
        traced(functools.partial(double))
    with pytest.raises(TraceError, match=r"kernel `less` returns a condition:\n  expected: a number"):
        traced(np.less, "x1 x2")


def test_long_lines_are_cut():
    namespace = {}
    exec(compile("f = lambda x: [x]", "<cell>", "exec"), namespace)
    code = namespace["f"].__code__
    linecache.cache["<cell>"] = (200, None, [f"f = lambda x: [x{' + x' * 100}]"], "<cell>")
    text, file, number = line_of(code, 1)
    del linecache.cache["<cell>"]
    assert text == f"f = lambda x: [x{' + x' * 26} ..."
    assert (file, number) == ("<cell>", 1)


@pytest.mark.parametrize(
    ("function", "fix"),
    [
        (lambda x: np.pad(np.array([x, 1.0]), 1)[0], "the same, written in loops over items"),
        (lambda x: np.choose(1, [x, 2.0]), "the same, written in loops over items"),
        (lambda x: np.add.at(np.zeros(2), [0], x), r"for k, value in zip\(places, y\): a\[k\] = np.add\(a\[k\], value\)"),
        (lambda x: np.subtract.outer(np.array([x]), np.array([x])), r"np.subtract\(x\[:, None\], y\)"),
        (lambda x: np.fmax.accumulate(np.array([x, 1.0])), r"list\(itertools.accumulate\(x, np.fmax\)\)"),
        (lambda x: np.fmin.reduce(np.array([x, 1.0])), r"functools.reduce\(np.fmin, x\)"),
        (lambda x: np.logical_or.reduce(np.array([x, 1.0]) > 0) * 1.0, r"np.any\(x\)"),
        (lambda x: np.arange(x, 3.0), r"x \+ np.arange\(3\)"),
        (lambda x: np.nextafter(x, 1.0), r"an operation of your own, made by nbad.primitive\('nextafter', ...\)"),
        (lambda x: np.isin(x, [1.0, 2.0]) * 1.0, r"x in \(1.0, 2.0\)"),
        (lambda x: math.factorial(int(x)), r"math.gamma\(n \+ 1\)"),
    ],
)
def test_only_functions_of_numbers_can_be_operations_of_ones_own(function, fix):
    with pytest.raises(TraceError, match=f"(?s)which nbad does not know.*fix: {fix}"):
        traced(function)
