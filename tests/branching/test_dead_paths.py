"""Paths without a value: `raise` and `assert` end them for the elements that take them, and for no others."""

import math
import pickle
import re

import cloudpickle
import numpy as np
import pytest
from helpers.without_value import FUNCTIONS, OutOfRange

import nbad
from nbad.plans.policies import POLICIES

X, Y = (a.ravel() for a in np.meshgrid([-1.2, -0.75, -0.3, 0.2, 0.7, 1.3, np.nan], [-1.5, -0.6, 0.4, 1.7]))
X.flags.writeable = Y.flags.writeable = False


def outcome(function, *operands):
    """The value, or the error."""
    try:
        return function(*operands), None
    except (AssertionError, ArithmeticError, LookupError, NameError, RuntimeError, ValueError) as error:
        return math.nan, error


def outcomes(function, *columns):
    """Values, and the elements that fail with their errors."""
    pairs = [outcome(function, *map(float, element)) for element in zip(*columns, strict=True)]
    values, errors = zip(*pairs, strict=True)
    return np.array(values), {k: error for k, error in enumerate(errors) if error is not None}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_elements_raise_as_in_python(function):
    values, errors = outcomes(function, X, Y)
    good = np.array([k for k in range(len(X)) if k not in errors])
    f = nbad.kernel(function)
    for _ in range(3):
        np.testing.assert_allclose(f(X[good], Y[good]), values[good], rtol=1e-15)
    if not errors:
        return
    first = min(errors)
    for verb in (f, nbad.jacobian(f), nbad.grad(f, (0, 1)), lambda *xs: nbad.vjp(f, *xs)):
        with pytest.raises(type(errors[first]), match=re.escape(str(errors[first]))) as raised:
            verb(X, Y)
        note = raised.value.__notes__[-1]
        assert f"raised at element ({first},), the first of {len(errors)} that failed, by " in note
        assert "without_value.py:" in note
    for k, error in errors.items():
        with pytest.raises(type(error), match=re.escape(str(error))):
            f(X[k], Y[k])


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_elements_are_nan_where_python_raises(function):
    values, errors = outcomes(function, X, Y)
    bad = np.isin(np.arange(len(X)), list(errors))
    f, g = nbad.kernel(function), nbad.kernel(function, errors="nan")
    slopes = np.full((len(X), 1, 2), np.nan)
    slopes[~bad] = nbad.jacobian(f)(X[~bad], Y[~bad])
    curvatures = np.full((len(X), 2, 2), np.nan)
    curvatures[~bad] = nbad.hessian(f)(X[~bad], Y[~bad])
    for _ in range(3):
        np.testing.assert_allclose(g(X, Y), values, rtol=1e-15)
        np.testing.assert_array_equal(nbad.jacobian(g)(X, Y), slopes)
        np.testing.assert_array_equal(nbad.hessian(g)(X, Y), curvatures)
    np.testing.assert_array_equal(nbad.grad(g, (0, 1))(X, Y)[1], slopes[:, 0, 1])


def length(r, n):
    if r[0] < 0 or n < 1:
        raise OutOfRange("r or n", n)
    return 3.0 * r[0], math.hypot(r[0], r[1])


R = np.array([[[3.0, 4.0], [-3.0, 4.0], [5.0, 12.0]], [[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]]])
RAISING = nbad.kernel(length, signature="(2),()->(),()")
SILENT = nbad.kernel(length, signature="(2),()->(),()", errors="nan")
BAD = R[..., 0] < 0
NEXT = np.ones((2, 1))
VERBS = {
    "value": lambda f, *xs: f(*xs),
    "vjp": lambda f, *xs: nbad.vjp(f, *xs),
    "bounded": lambda f, *xs: nbad.vjp(f, *xs, max_bytes=1 << 20),
    **{
        policy: lambda f, *xs, policy=policy: nbad.vjp(f, *xs, residuals=policy) for policy in ("partials", "mincut", "recompute")
    },
    "jacobian": lambda f, *xs: nbad.jacobian(f)(*xs),
    "forward mode": lambda f, *xs: nbad.jacobian(f, mode="forward")(*xs),
    "value and jacobian": lambda f, *xs: nbad.value_and_jacobian(f)(*xs),
    "jvp": lambda f, *xs: nbad.jvp(f, (xs[0], xs[1] * 1.0), (1.0, 1.0)),
    "linearize": lambda f, *xs: nbad.linearize(f, *xs),
    "out": lambda f, *xs: f(*xs, out=tuple(np.empty((2, 3)) for _ in range(2))),
}
NESTED = {"nested": lambda f, *xs: nbad.kernel(lambda r, n: (f(r, n)[0], 1.0), signature="(2),()->(),()")(*xs)}
by_every_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)


@pytest.mark.parametrize("verb", [*VERBS.values(), *NESTED.values()], ids=[*VERBS, *NESTED])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_every_verb_raises(verb, dtype):
    r = R.astype(dtype)
    for _ in range(3):
        with pytest.raises(OutOfRange, match=r"r or n = 1.0 is out") as raised:
            verb(RAISING, r, NEXT)
        assert "element (0, 1), the first of 2 that failed" in raised.value.__notes__[-1]
    verb(RAISING, abs(r), NEXT)


def test_whole_numbers_are_whole_to_the_plain_function():
    with pytest.raises(OutOfRange, match=r"r or n = 1 is out"):
        RAISING(R, np.ones((2, 1), np.int32))


@by_every_verb
def test_no_verb_raises_where_elements_are_nan(verb):
    for _ in range(3):
        assert verb(SILENT, R, NEXT) is not None


@pytest.mark.parametrize("policy", ["auto", "partials", "mincut", "recompute"])
def test_derivatives_are_nan_for_any_seed_but_zero(policy):
    y, pullback = nbad.vjp(SILENT, R, NEXT, residuals=policy)
    for part in y:
        np.testing.assert_array_equal(np.isnan(part), BAD)
    r_bar, n_bar = pullback((1.0, 1.0))
    assert np.array_equal(np.isnan(r_bar), np.broadcast_to(BAD[..., None], R.shape))
    np.testing.assert_allclose(r_bar[0, 0], [3.6, 0.8])
    assert np.isnan(n_bar).all()  # sums over elements some of which are nan
    seeds = np.where(BAD, 0.0, 1.0)
    np.testing.assert_array_equal(pullback((seeds, seeds))[0], np.where(BAD[..., None], 0.0, r_bar))
    np.testing.assert_array_equal(pullback((seeds, seeds))[1], np.zeros((2, 1)))
    several = np.stack([seeds, 0.0 * seeds, np.ones_like(seeds)])
    batched = pullback.batched((several, several))[0]
    np.testing.assert_array_equal(batched[2], r_bar)
    np.testing.assert_array_equal(batched[1], np.zeros_like(R))


def test_tangents_are_nan_but_for_zero():
    tangents = np.where(BAD[..., None], 0.0, np.ones(2)), 0.0
    expected = np.where(BAD, 0.0, 3.0)
    y, y_dot = nbad.jvp(SILENT, (R, NEXT), tangents)
    np.testing.assert_array_equal(np.isnan(y[0]), BAD)
    np.testing.assert_array_equal(y_dot[0], expected)
    np.testing.assert_array_equal(nbad.linearize(SILENT, R, NEXT)[1](tangents)[0], expected)
    assert np.array_equal(np.isnan(nbad.jvp(SILENT, (R, NEXT), (1.0, 1.0))[1][0]), BAD)


def quotient(x, y):
    if y == 0:
        raise ZeroDivisionError("no quotient")
    return x / y


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("size", [1, 3, 17, 255, 256, 257, 5000, 300_000])
def test_every_driver_finds_the_first_in_c_order(size, dtype):
    f, y = nbad.kernel(quotient), np.arange(1.0, size + 1).astype(dtype)
    for bad in ({size - 1}, {0}, {size // 2, size // 3}):
        given = y.copy()
        given[list(bad)] = 0.0
        for x in (2.0, y, y[::-1]):
            with pytest.raises(ZeroDivisionError, match="no quotient") as raised:
                f(x, given)
            place = "the only element" if size == 0 else f"element ({min(bad)},), the first of {len(bad)} that failed"
            assert place in raised.value.__notes__[-1]
    np.testing.assert_array_equal(f(y, y), np.ones(size, dtype))


def test_what_one_number_for_all_decides():
    f = nbad.kernel(quotient)
    with pytest.raises(ZeroDivisionError, match=r"element \(0, 0\), the first of 5000 that failed"):
        f(np.ones((50, 100)), 0.0)
    with pytest.raises(ZeroDivisionError, match=r"element \(1, 0\), the first of 3 that failed"):
        f(1.0, np.array([[1.0], [0.0]]) * np.ones(3))
    assert f(np.empty((0, 3)), 0.0).shape == (0, 3)


def test_nothing_is_searched_for_where_nothing_fails(monkeypatch):
    def search(*args):
        raise AssertionError("searched")

    monkeypatch.setattr("nbad.runtime.failures.Search.check", search)
    f = nbad.kernel(lambda x, y: quotient(x, y) if y > 1 else x)
    x = np.linspace(-1.0, 3.0, 3002)
    for _ in range(3):
        np.testing.assert_array_equal(f(x, x), np.where(x > 1, 1.0, x))
        np.testing.assert_array_equal(nbad.grad(f)(x, x), np.where(x > 1, 1.0 / x, 1.0))
        np.testing.assert_array_equal(nbad.vjp(f, x[:50], x[:50])[1](1.0)[1], np.zeros(50))
    with pytest.raises(AssertionError, match="searched"):
        nbad.kernel(quotient)(x, x - x)


@nbad.kernel
def root(x):
    if x < 0:
        raise OutOfRange("x", x)
    return math.sqrt(x)


@nbad.kernel(errors="nan")
def quiet_root(x):
    return root(x)


@nbad.kernel(signature="(2)->(2)")
def roots(r):
    return np.array([root(r[0]), root(r[1] - 1.0)])


def test_the_outermost_kernel_decides():
    x = np.array([4.0, -1.0, 9.0])
    np.testing.assert_array_equal(quiet_root(x), [2.0, np.nan, 3.0])
    np.testing.assert_array_equal(nbad.grad(quiet_root)(x), [0.25, np.nan, 1 / 6])
    loud = nbad.kernel(lambda x: 2.0 * quiet_root(x))
    for _ in range(3):
        for f in (loud, nbad.grad(loud), nbad.grad(nbad.grad(loud)), nbad.kernel(lambda x: nbad.grad(quiet_root)(x))):
            with pytest.raises(OutOfRange, match=r"x = -1.0 is out of range") as raised:
                f(x)
            assert "raised at element (1,), the first of 1 that failed, by raise OutOfRange" in raised.value.__notes__[-1]
    np.testing.assert_array_equal(quiet_root(x), [2.0, np.nan, 3.0])
    quiet = nbad.kernel(lambda x: (loud(x) if x < 5 else x, x), errors="nan")
    np.testing.assert_array_equal(quiet(x)[1], [4.0, np.nan, 9.0])


def test_every_item_of_a_vector_may_raise():
    np.testing.assert_array_equal(roots(np.array([4.0, 10.0])), [2.0, 3.0])
    for r in ([-1.0, 1.0], [4.0, 0.5], [-1.0, -1.0]):
        with pytest.raises(OutOfRange, match=rf"x = {min(r[0], r[1] - 1.0) if r[0] > 0 else r[0]} "):
            roots(np.array([[4.0, 1.0], r]))


@pytest.mark.parametrize("size", [1, 7, 20, 35, 255])
def test_what_is_noted_beside_a_jacobian_has_room_of_its_own(size, rng):
    """Vectors of elements that fill no register go through memory, as what no caller asks for does."""

    @nbad.kernel(signature="(3),()->()")
    def volume(r, scale):
        if scale < 0 or r[0] > 100:
            raise ValueError
        return r[0] * r[1] * scale + r[2] * scale * scale

    r, s = rng.uniform(1.0, 2.0, (size, 3)), rng.uniform(1.0, 2.0, size)
    by_r = r[:, 1] * s, r[:, 0] * s, s * s
    for _ in range(3):
        blocks = nbad.jacobian(volume)(r, s)
        np.testing.assert_allclose(blocks[:, 0].T, [*by_r, r[:, 0] * r[:, 1] + 2 * r[:, 2] * s], rtol=1e-14)


def test_what_a_kernel_is_given_without_elements():
    f = nbad.kernel(lambda x: root(-4.0) if x > 0 else x * root(4.0))
    assert f(-3.0) == -6.0
    with pytest.raises(OutOfRange, match=r"x = -4.0 is out"):
        f(3.0)


def test_kernels_travel_with_what_they_do():
    assert pickle.loads(pickle.dumps(quiet_root)) is quiet_root
    for errors in ("raise", "nan"):
        f = cloudpickle.loads(cloudpickle.dumps(nbad.kernel(lambda x: root(x), errors=errors)))
        assert f.errors == errors
        assert f(4.0) == 2.0
    assert np.isnan(f(-4.0))


class Model:
    def __init__(self, low):
        self.low = low

    @nbad.kernel
    def above(self, x, scale=2.0):
        if x < self.low:
            raise OutOfRange("x", f"{x} < {self.low}")
        return scale * x


@nbad.kernel(static="mode")
def has_modes(x, *, mode="log"):
    if mode == "log" and x <= 0:
        raise ValueError(mode)
    return math.log(x) if mode == "log" else x


def test_static_arguments_and_methods():
    assert Model(1.0).above(2.0) == 4.0
    model = Model(3.0)
    for call in (model.above, nbad.grad(model.above), nbad.kernel(lambda x: model.above(x))):
        with pytest.raises(OutOfRange, match=r"2.0 < 3.0"):
            call(np.array([5.0, 2.0]))
    assert has_modes(-1.0, mode="none") == -1.0
    for call in (has_modes, nbad.grad(has_modes)):
        with pytest.raises(ValueError, match=r"^log"):
            call(-1.0)


def test_what_the_option_takes():
    for wrong in ("Raise", None, True):
        with pytest.raises(nbad.errors.ArgumentValueError, match=r"unknown answer to elements without a value"):
            nbad.kernel(lambda x: x, errors=wrong)


def negative(x):
    if x < 0:
        raise OutOfRange("x", x)
    return math.sqrt(x)


own_root = nbad.primitive("own_root", negative, ["0.5*x"])


def test_functions_that_raise_leave_nan_too():
    def both(x, y):
        if y < 0:
            raise KeyError("y")
        return own_root(x) * y

    x, y = np.array([4.0, -1.0, 4.0, -4.0]), np.array([1.0, 2.0, -3.0, -4.0])
    f, g = nbad.kernel(both), nbad.kernel(both, errors="nan")
    expected = [2.0, np.nan, np.nan, np.nan]
    for _ in range(3):
        np.testing.assert_array_equal(g(x, y), expected)
        for policy in POLICIES:
            np.testing.assert_array_equal(nbad.vjp(g, x, y, residuals=policy)[1](1.0), [expected, expected])
        np.testing.assert_array_equal(nbad.grad(g)(x, y), expected)
    with pytest.raises(OutOfRange, match=r"(?s)x = -1.0 .*element \(1,\), the first of 3"):
        f(x, y)
    with pytest.raises(KeyError, match=r"y"):
        f(x[2:], y[2:])


def test_what_single_precision_decides_raises_with_its_numbers():
    """In double precision the function raises nothing, and in place of the number stood the name of a traced value."""

    def kernel(x):
        rest = (x + 1000.0) - 1000.0 - x
        if abs(rest) > 1e-6:
            raise ArithmeticError(f"left: {rest}")
        return x

    x = np.array([0.0, 0.1], np.float32)
    with pytest.raises(ArithmeticError, match="left: ") as raised:
        kernel(x[1])
    with pytest.raises(ArithmeticError, match=re.escape(str(raised.value))):
        nbad.kernel(kernel)(x)


def test_what_rounding_decides_raises_all_the_same():
    f = nbad.kernel(lambda x: negative(x * x - np.float32(0.1)))
    x = np.float32(math.sqrt(0.1)) * np.ones(3, np.float32)
    for given in (x, np.nextafter(x, np.float32(0)), np.nextafter(x, np.float32(1))):
        is_below = given * given - np.float32(0.1) < 0
        if is_below.any():
            with pytest.raises(OutOfRange, match=r"is out of range"):
                f(given)
        else:
            assert (f(given) >= 0).all()


def long_and_broadcast(x, scale):
    if scale < 0:
        raise OutOfRange("scale", scale)
    rate, z = math.exp(scale) + math.sin(scale) / scale, x
    for k in range(150):  # so many lines that the code has several blocks
        z = z - math.sin(z) * rate / (k + 1.0)
        if z > 5:
            raise OverflowError(k)
    return z, rate


@pytest.mark.parametrize("size", [3, 10_000])
def test_long_kernels_and_work_that_is_done_once_for_all(size):
    f, x = nbad.kernel(long_and_broadcast), np.linspace(-1.0, 1.0, size)
    expected = np.array([long_and_broadcast(v, 0.5) for v in x.tolist()])
    for _ in range(3):
        np.testing.assert_allclose(np.transpose(f(x, 0.5)), expected, rtol=1e-12)
        assert nbad.vjp(f, x, 0.5)[1]((1.0, 1.0))[0].shape == x.shape
        with pytest.raises(OutOfRange, match=rf"(?s)scale = -0.5 is.*the first of {size} that failed"):
            f(x, -0.5)
        with pytest.raises(OverflowError, match=rf"element \({size - 1},\), the first of 1 that failed"):
            f(np.append(x[:-1], 9.0), 0.5)
