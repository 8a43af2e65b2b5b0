"""`nbad.bind`: the call as it was written, again and again, with what its arrays hold then."""

import copy
import pickle

import numpy as np
import pytest

import nbad
from nbad.errors import ArgumentTypeError, ArgumentValueError


@nbad.kernel
def polar(r, phi):
    return r * np.cos(phi), r * np.sin(phi)


@nbad.kernel
def product(x, y):
    return x * y + x


@nbad.kernel
def root(x):
    if x < 0:
        raise ValueError("a negative number")
    return np.sqrt(x)


SIZES = (1, 7, 300, 200_000)
VERBS = {  # functions of a kernel's arguments, and arrays for their results
    product: lambda n, dtype: np.empty(n, dtype),
    polar: lambda n, dtype: (np.empty(n, dtype), np.empty(n, dtype)),
    nbad.jacobian(polar): lambda n, dtype: np.empty((n, 2, 2), dtype),
    nbad.value_and_jacobian(polar): lambda n, dtype: ((np.empty(n, dtype), np.empty(n, dtype)), np.empty((n, 2, 2), dtype)),
    nbad.value_and_jacobian(product): lambda n, dtype: (np.empty(n, dtype), np.empty((n, 1, 2), dtype)),
    nbad.hessian(product): lambda n, dtype: np.empty((n, 2, 2), dtype),
    nbad.value_and_grad(product): lambda n, dtype: (np.empty(n, dtype), np.empty(n, dtype)),
    nbad.value_and_grad(product, ("x", "y")): lambda n, dtype: (np.empty(n, dtype), (np.empty(n, dtype), np.empty(n, dtype))),
}


def flat(result):
    return [part for one in result for part in flat(one)] if isinstance(result, tuple) else [np.array(result)]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("f", VERBS, ids=lambda f: f"{type(f).__name__}-{f.__name__}")
def test_a_bound_call_is_the_call(f, n, dtype):
    x, y, out = np.linspace(1, 2, n, dtype=dtype), np.linspace(-3, 3, n, dtype=dtype), VERBS[f](n, dtype)
    fresh, filled = nbad.bind(f, x, y), nbad.bind(f, x, y, out=out)
    for k in range(4):
        x[:] = x + k
        for part in flat(out):
            part.fill(np.nan)
        expected, made = flat(f(x, y)), fresh()
        assert filled() is out
        for one, other, new in zip(expected, flat(out), flat(made), strict=True):
            assert one.dtype == other.dtype == new.dtype == dtype
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one, new)


def test_each_call_returns_new_arrays():
    x = np.array([1.0, 2.0])
    call = nbad.bind(product, x, 3.0)
    first, second, third = call(), call(), call()
    assert first is not second
    assert not np.shares_memory(second, third)
    x[0] = 5.0
    assert call()[0] == 20.0
    assert first[0] == 4.0


def test_keywords_and_numbers():
    x = np.array([1.0, 2.0])
    assert nbad.bind(product, x, y=2.0)().tolist() == [3.0, 6.0]
    call = nbad.bind(product, 2.0, 3.0)
    assert [call() for _ in range(3)] == [8.0] * 3


def test_errors_of_elements_are_raised_each_time_and_only_where_they_are():
    x = np.array([1.0, 4.0])
    call = nbad.bind(root, x)
    for _ in range(3):
        assert call().tolist() == [1.0, 2.0]
    x[1] = -1.0
    for _ in range(2):
        with pytest.raises(ValueError, match="a negative number"):
            call()
    x[1] = 9.0
    assert call().tolist() == [1.0, 3.0]


def test_an_array_that_changes_its_shape_is_read_anew():
    x = np.arange(4.0)
    call = nbad.bind(product, x, 2.0)
    for _ in range(3):
        call()
    x.resize((2, 2), refcheck=False)
    assert call().shape == (2, 2)


def test_the_debug_mode_is_asked_at_each_call():
    x = np.array([1.0])
    call = nbad.bind(nbad.kernel(lambda x: np.log(x)), x)
    for _ in range(3):
        call()
    x[0] = -1.0
    assert np.isnan(call()[0])
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match="log"):
        call()


def test_bad_input():
    with pytest.raises(ArgumentTypeError, match=r"nbad\.bind\(f, \.\.\.\)"):
        nbad.bind(np.sin, 1.0)
    call = nbad.bind(product, np.ones(3), 2.0, out=np.empty(4))
    with pytest.raises(ArgumentValueError, match="out="):
        call()
    with pytest.raises(ArgumentTypeError, match=r"nbad\.jacobian\(product\)\(x, y\)"):
        nbad.bind(nbad.jacobian(product), 1.0)()


def test_what_verbs_return_travels():
    for f in (nbad.jacobian(product), nbad.hessian(product), nbad.value_and_grad(product), nbad.value_and_jacobian(product)):
        again = pickle.loads(pickle.dumps(f))
        for one, other in zip(flat(f(2.0, 3.0)), flat(again(2.0, 3.0)), strict=True):
            assert one.tolist() == other.tolist()
        assert (again.__name__, again.__doc__) == (f.__name__, f.__doc__)


@pytest.mark.parametrize("f", [product, nbad.jacobian(product), nbad.value_and_grad(product)], ids=lambda f: type(f).__name__)
def test_bound_calls_travel_before_and_after_they_ran(f):
    x, out = np.array([1.0, 2.0]), VERBS[product](2, "f8")
    call = nbad.bind(f, x, x) if f is not product else nbad.bind(f, x, x, out=out)
    for _ in range(4):
        for again in (pickle.loads(pickle.dumps(call)), copy.deepcopy(call)):
            for one, other in zip(flat(again()), flat(f(x, x)), strict=True):
                assert one.tolist() == other.tolist()
        call()


@pytest.mark.parametrize("make", [float, np.copy, lambda x: (x,), lambda x: (x, x, x), lambda x: [x, x]])
def test_arrays_for_partials_come_as_the_partials_do(make):
    x, partials = np.array([1.0, 2.0]), make(np.zeros(()))
    with pytest.raises(ArgumentValueError, match=r"(?s)structure of the result.*a pair \(y, \(dx, dy,\)\)"):
        nbad.value_and_grad(product, ("x", "y"))(x, x, out=(np.empty(2), partials))


@pytest.mark.parametrize("calls", [0, 5])
def test_a_bound_call_takes_no_arguments(calls):
    """Before there is an entry, and behind."""
    x, out = np.ones(3), np.zeros(3)
    call = nbad.bind(product, x, 2.0, out=out)
    for _ in range(calls):
        call()
    out[:] = 7.0
    for args, kwargs in (((x,), {}), ((), {"x": x}), ((x,), {"y": 2.0})):
        with pytest.raises(ArgumentTypeError, match="takes no arguments: it has those of `product`"):
            call(*args, **kwargs)
    assert (out == 7.0).all()
    assert (call() == 3.0).all()
