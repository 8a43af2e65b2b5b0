"""What is None for some elements: it may be asked for, and what cannot be done with None ends the path of those elements."""

import math

import numpy as np
import pytest

import nbad


def density(t):
    if t < 100:
        return None
    if t < 200:
        return 2.0 * t
    return None if t > 300 else t


def adds(t, p):
    return density(t) + p


def asks(t, p):
    rho = density(t)
    if rho is None:
        return -p
    return rho * p


def asks_by_not(t, p):
    rho = density(t)
    if rho is not None and p > 0:
        rho = rho + 1.0
    if not rho:
        rho = p
    return rho / p


def never_runs(t, p, state=None):
    if t and state and p > 1:
        p = state.pressure
    return t * p


def has_another(t, p):
    return math.sqrt(density(t) or p)


def falls_off(t, p):
    if t > 150:
        return t * p


def is_set_later(t, p):
    rho = None
    if t > 250:
        rho = t
    for k in range(2):
        if rho == None and t > 50 * (k + 1):  # noqa: E711
            rho = p + k
    return rho if rho != 2.0 else p


def compares(t, p):
    rho, low = density(t), 150.0
    if p > 1 and rho > low:
        return rho
    return -abs(p) if p < 1 else -rho


def in_lists(t, p):
    items = [None, p]
    if t > 120:
        items[0] = t
    if t < 250:
        items = [items[1], items[0]]
    return items[0] if p > 1 else np.sum(np.array(items))


def passes_it_on(t, p):
    return asks(t, p) if p > 1 else math.exp(density(t) / 100.0)


FUNCTIONS = [adds, asks, asks_by_not, never_runs, has_another, falls_off, is_set_later, compares, in_lists, passes_it_on]
T, P = (a.ravel() for a in np.meshgrid([50.0, 110.0, 160.0, 220.0, 280.0, 350.0], [0.5, 1.0, 1.5]))


def outcome(function, *operands):
    try:
        return function(*operands)
    except TypeError as error:
        return error


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_elements_do_what_python_does(function):
    found = [outcome(function, *map(float, element)) for element in zip(T, P, strict=True)]
    good = np.array([isinstance(v, float) for v in found])
    values = np.array([v if isinstance(v, float) else math.nan for v in found])
    f, g = nbad.kernel(function), nbad.kernel(function, errors="nan")
    np.testing.assert_allclose(f(T[good], P[good]), values[good], rtol=1e-15)
    np.testing.assert_allclose(g(T, P), values, rtol=1e-15)
    for k in np.flatnonzero(~good):
        expected = f"`{function.__name__}` returns None" if found[k] is None else str(found[k])
        with pytest.raises(TypeError, match=r"raised at the only element") as raised:
            f(T[k], P[k])
        assert str(raised.value) == expected


def test_what_it_is_depends_on_the_element():
    def asks_for_its_class(t):
        return 1.0 if isinstance(density(t), float) else 0.0

    def asks_for_its_type(t):
        return 1.0 if type(density(t)) is float else 0.0

    def asks_whether_it_is_that(t):
        return 1.0 if density(t) is True else 0.0

    for function in (asks_for_its_class, asks_for_its_type, asks_whether_it_is_that):
        with pytest.raises(nbad.errors.TraceError, match=r"asks what a value is that is None for some elements"):
            nbad.kernel(function)(1.0)


def test_derivatives():
    f = nbad.kernel(asks)
    np.testing.assert_array_equal(nbad.jacobian(f)(np.array([50.0, 150.0, 250.0]), 3.0)[:, 0], [[0, -1], [6, 300], [3, 250]])
