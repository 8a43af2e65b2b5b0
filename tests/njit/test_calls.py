"""Kernels called in compiled code, on numbers: as global, closure variable and argument, with all that a call may pass."""

import math
from collections import namedtuple

import numba
import numpy as np
import pytest
from helpers.compiled import assert_same, calling
from numba.core.errors import TypingError

import nbad
from kernels import polar, product, square

Pair = namedtuple("Pair", "low high")


@nbad.kernel
def price(s, k, t, r, sigma):
    deviation = sigma * math.sqrt(t)
    d1 = (math.log(s / k) + (r + 0.5 * sigma * sigma) * t) / deviation
    n1, n2 = 0.5 + 0.5 * math.erf(d1 * math.sqrt(0.5)), 0.5 + 0.5 * math.erf((d1 - deviation) * math.sqrt(0.5))
    return s * n1 - k * math.exp(-r * t) * n2


@nbad.kernel(static=("n",))
def power(x, n=2, scale=1.0):
    return scale * x**n


@nbad.kernel
def bounds(x, width):
    return Pair(low=x - width, high=x + width)


@nbad.kernel(signature="(3),(3,3)->(3)")
def turned(x, m):
    return m @ x


@nbad.kernel
def root(x):
    if x < 0:
        raise ValueError("a negative number")
    return math.sqrt(x)


def columns(n):
    rng = np.random.default_rng(1)
    return [rng.uniform(a, b, n) for a, b in ((80, 120), (80, 120), (0.1, 2.0), (0.0, 0.06), (0.1, 0.6))]


def test_values_in_a_loop_have_the_bits_of_the_array_call():
    """The remainder of a vector loop included."""

    @numba.njit
    def fill(s, k, t, r, sigma, out):
        for i in range(s.size):
            out[i] = price(s[i], k[i], t[i], r=r[i], sigma=sigma[i])

    xs, out = columns(1003), np.empty(1003)
    fill(*xs, out)
    assert_same(out, price(*xs))
    assert "<4 x double>" in fill.inspect_llvm(fill.signatures[0]) or "<8 x double>" in fill.inspect_llvm(fill.signatures[0])


def test_numbers_in_all_ways_to_pass_them():
    factor = nbad.kernel(lambda x, y: x * y + 1)

    @numba.njit
    def call(f, x, k):
        return f(x, 3), factor(x, y=k), power(x), power(x, 3), power(n=2, x=x, scale=0.5), bounds(x, 1), polar(x, 0.25)

    result = call(factor, 2.0, np.int8(4))
    assert result == (7.0, 9.0, 4.0, 8.0, 2.0, Pair(1.0, 3.0), polar(2.0, 0.25))
    assert type(result[5]) is Pair
    assert call(product_of_two, 2.0, 5)[:2] == (6.0, 11.0)


product_of_two = nbad.kernel(lambda x, y: x * y)


def test_parameters_that_are_positional_only():
    def product(x, k, /):
        return x * k**2

    f = nbad.kernel(product)
    assert (f.nout, f.nin) == (1, 2)
    assert calling(f, 2)(3.0, 4.0) == 48.0
    assert calling(nbad.grad(f, "k"), 2)(3.0, 4.0) == 24.0
    assert calling(nbad.jacobian(f), 2)(3.0, 4.0) == ((16.0, 24.0),)
    assert "def value(x, k):" in nbad.export(f)


@pytest.mark.slow
def test_static_arguments_may_be_functions_and_settings():
    def chosen(x, how, mode=None):
        return how(x) + (1.0 if mode == "up" else 0.0)

    f = nbad.kernel(chosen)

    @numba.njit
    def call(g, x):
        return f(x, square), f(x, g), f(x, g, "up"), f(x, mode="up", how=helper)

    halved = nbad.kernel(lambda x: x / 2)
    assert call(halved, 3.0) == (9.0, 1.5, 2.5, 7.0)
    assert call(nbad.kernel(lambda x: x / 4), 3.0) == (9.0, 0.75, 1.75, 7.0)


@numba.njit
def helper(x):
    return 2.0 * x


@pytest.mark.slow
def test_vectors_in_arrays_and_tuples():
    @numba.njit
    def call(x, m, out):
        return turned(x, m), turned((1.0, 2.0, 3.0), m), turned(x, m, out=out)

    x, m, out = np.arange(3.0), np.arange(9.0).reshape(3, 3) / 7, np.empty(3)
    first, second, third = call(x, m, out)
    assert_same((first, second, third), (turned(x, m), turned([1.0, 2.0, 3.0], m), out))
    assert_same(out, first)


def test_what_a_kernel_raises():
    call = calling(root, 1)
    assert call(4.0) == 2.0
    with pytest.raises(ValueError, match="a negative number"):
        call(-1.0)


@pytest.mark.slow
def test_elements_without_a_value_may_be_nan():
    quiet = nbad.kernel(root.__wrapped__, errors="nan")
    assert math.isnan(calling(quiet, 1)(-1.0))


@pytest.mark.slow
def test_a_loop_that_does_not_end():
    def halved(x):
        while x > 1e-3:
            x = x / 2
        return x

    halved = nbad.kernel(halved, max_passes=5)
    call = calling(halved, 1)
    assert call(0.01) == halved(0.01)
    with pytest.raises(nbad.NotConvergedError, match="halved"):
        call(1.0)


@pytest.mark.slow
def test_numbers_of_float32():
    """Alone, and beside integers, they are computed with as such; beside float64 as float64."""
    call, xs = calling(price, 5), [np.float32(x[0]) for x in columns(1)]
    assert call(*xs) == price(*xs) != price(*map(float, xs))
    assert call(*xs[:4], 0.25) == price(*map(float, xs[:4]), 0.25)
    assert calling(product_of_two, 2)(xs[0], 3) == float(xs[0] * np.float32(3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v", "n", "i", "np", "out_", "own_v", "slots", "own_n"])
def test_parameters_may_have_any_name(name):
    f = nbad.kernel(eval(f"lambda {name}, other: {name} * 3.0 + other"))
    assert calling(f, 2)(2.0, 1.0) == 7.0
    assert_same(calling(f, 2)(np.arange(5.0), 1.0), f(np.arange(5.0), 1.0))


Sides = namedtuple("Sides", "width height")
SIDES = r"fix: nbad\.kernel\(lambda width, height, scale: area\(Sides\(width, height\), scale\)\), made outside"


@nbad.kernel
def area(sides, scale):
    return sides.width * sides.height * scale


@nbad.kernel
def ends(interval):
    return interval["high"] - interval["low"]


def test_kernels_of_structures_are_called_as_their_refusal_says():
    flat = nbad.kernel(lambda width, height, scale: area(Sides(width, height), scale))
    assert calling(flat, 3)(2.0, 3.0, 0.5) == 3.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: numba.njit(lambda x: square(x, x))(1.0), "is called with 2 arguments"),
        (lambda: numba.njit(lambda x: square(y=x))(1.0), "by name"),
        (lambda: numba.njit(lambda x: power(x, x))(1.0), "n is static"),
        (lambda: numba.njit(lambda x: square(x))(1j), "x is of type complex128"),
        (lambda: numba.njit(lambda x: square((x, x)))(1.0), r"fix: np\.array\(x\)"),
        (lambda: numba.njit(lambda x: named(x))(1.0), "a dict"),
        (lambda: numba.njit(lambda x: area(Sides(x, x), x))(1.0), SIDES),
        (lambda: numba.njit(lambda x: ends({"low": x, "high": x}))(1.0), r'nbad\.kernel\(lambda a, b: ends\({"a": a, "b": b}'),
        (lambda: numba.njit(lambda x: square(x, out=x))(np.ones(3, np.float32).astype(int)), "out= is of type"),
        (lambda: numba.njit(lambda x: product(x, x))(1.0), "missing"),
        (lambda: numba.njit(lambda x: square(None))(1.0), r"x is of type none.* fix: np\.nan"),
        (lambda: numba.njit(lambda x=None: square(x))(), r"x is of type none.* fix: np\.nan"),
        (lambda: numba.njit(lambda x: sorted_kinds(x, x, x))(1.0), "called with 3 arguments by position.*too many"),
        (lambda: numba.njit(lambda x: sorted_kinds(x=x, y=x))(1.0), "by name: .* positional"),
        (lambda: numba.njit(lambda x: weighed(x, a=x))(1.0), "unexpected keyword argument 'a'"),
    ],
)
def test_refusals_when_numba_types_the_call(call, message):
    with pytest.raises((TypingError, nbad.NbadError), match=message):
        call()


@nbad.kernel
def sorted_kinds(x, /, y, *, z=3.0):
    return x * y + z


@nbad.kernel
def weighed(x, **weights):
    return x * weights["a"]


def test_a_kernel_that_computes_nothing_without_a_setting():
    """What tells its type traces it with its defaults, which may raise anything."""

    def scaled(x, how=None):
        return x * {"double": 2.0, "half": 0.5}[how]

    f = nbad.kernel(scaled)
    assert numba.njit(lambda x: f(x, "double") + f(x, how="half"))(3.0) == 7.5


@nbad.kernel
def named(x):
    return {"a": x, "b": 2 * x}
