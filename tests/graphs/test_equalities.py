"""Arms taken because two values are equal: the derivative is the arm's, and `explain` and `debugging` name the line."""

import math
import warnings

import numpy as np
import pytest
import sympy
from helpers.loops import Number, Steps, kernel_of, where

import nbad


@nbad.kernel
def mean(a, b):
    if a == b:
        return a
    return (a - b) / math.log(a / b)


LINE = f"test_equalities.py:{mean.__wrapped__.__code__.co_firstlineno + 2}"
A, B = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([2.0, 2.0, 3.0])


def lines(function, *xs, **options):
    kernel = function if isinstance(function, nbad.Kernel) else nbad.kernel(function)
    return [tuple(found)[1:] for found in nbad.explain(kernel, *xs, **options).equalities]


def test_the_derivative_is_that_of_the_arm():
    np.testing.assert_array_equal(nbad.jacobian(mean)(2.0, 2.0), [[1.0, 0.0]])
    np.testing.assert_array_equal(nbad.hessian(mean)(2.0, 2.0), np.zeros((2, 2)))


def test_explain_names_line_and_elements():
    told = nbad.explain(mean, A, B)
    assert told.equalities == ((LINE, 2, (0, 1)),)
    assert f"  {LINE}  2 elements  the first at (0, 1)" in str(told)
    assert told.as_dict()["equalities"]
    assert "two values are equal" not in str(nbad.explain(mean, A, B + 0.5))


CALLS = {
    "vjp": lambda: nbad.vjp(mean, A, B),
    "jacobian": lambda: nbad.jacobian(mean)(A, B),
    "grad": lambda: nbad.grad(mean)(A, B),
    "hessian": lambda: nbad.hessian(mean)(A, B),
    "gradient of a gradient": lambda: nbad.grad(nbad.grad(mean), 1)(A, B),
    "jvp": lambda: nbad.jvp(mean, (A, B), (1.0, 1.0)),
}


@pytest.mark.parametrize("call", CALLS)
def test_debugging_warns_of_them(call):
    with (
        nbad.debugging(),
        pytest.warns(RuntimeWarning, match=rf"2 elements, the first at \(0, 1\), took an arm at {LINE}") as told,
    ):
        CALLS[call]()
    assert {warning.filename for warning in told} == {__file__}


def test_values_and_other_arguments_are_not_reported():
    with nbad.debugging(), warnings.catch_warnings(record=True, action="always") as told:
        mean(A, B)
        nbad.vjp(mean, A, B + 0.5)
        nbad.grad(nbad.grad(nbad.kernel(lambda x, y: max(x, y, 1.0) * np.minimum(x, y))))(1.0, 1.0)
    assert told == []


TAKEN = [
    (lambda a, b: np.where(a == b, a, a * b), [0.0, 1.0], [(1, (1,))]),
    (lambda a, b: a * b if a != b else a, [0.0, 1.0], [(1, (1,))]),
    (lambda a, b: a if (a == b and b > 0) else a * b, [0.0, 1.0, -1.0], [(1, (1,))]),
    (lambda a, b: a if not (a != b or b < 0) else a * b, [0.0, 1.0, -1.0], [(1, (1,))]),
    (lambda a, b: 1.0 if a in (1.0, 3.0) else a, [3.0, 1.0], [(2, (0,))]),
    (lambda a, b: (1.0 if a == 0 else math.sin(a) / a) if b > 5 else a, [0.0], []),  # not where that arm is not used
    (lambda a, b: a * b if b > 5 and (a if a == b else a * b) > 0 else a, [1.0], []),  # nor where an `and` is decided before it
    (lambda a, b: a if (a == b or b > 0) else a * b, [1.0], []),  # not where it need not be equal
    (lambda a, b: a if round(a) == 1 else a * b, [1.0], []),  # codes are flat
    (lambda a, b: a if a >= b else a * b, [1.0], []),
    (lambda a, b: max(a, b, a * b), [1.0], []),
]


@pytest.mark.parametrize(("function", "a", "expected"), TAKEN)
def test_arms_that_count(function, a, expected):
    assert lines(function, np.array(a), np.ones(len(a))) == expected


def test_codes_and_arguments_that_are_not_differentiated():
    def coded(x, code):
        return x if code == 1 else x * x

    assert lines(coded, np.ones(3), np.ones(3, int)) == []
    assert lines(coded, np.ones(3), np.ones(3), argnums="x") == []
    assert lines(coded, np.ones(3), np.ones(3)) == [(3, (0,))]


def test_lines_with_several_outputs_count_an_element_once():
    def both(a, b):
        if a == b:
            return a, b
        return a * b, a + b

    assert lines(both, np.arange(10_000.0), np.arange(10_000.0)[::-1] * 0 + 9_999.0) == [(1, (9_999,))]


def test_formulas_have_no_line():
    x = sympy.Symbol("x")
    formula = nbad.from_sympy(sympy.Piecewise((1, sympy.Eq(x, 0)), (sympy.sin(x) / x, True)), x)
    assert nbad.explain(formula, np.zeros(2)).equalities == (("a formula", 2, (0,)),)


def equal(x, y):
    return x.apply("eq", y) if isinstance(x, Number) else x == y


# while it counts down, a pass in which two numbers are equal takes an arm of its own
MEETING = Steps(lambda z, k, x: (k > 0.0, (where(equal(z, x), z * 2.0, z - 1.0), k - 1.0)), 2, 1)
TWICE = Steps(lambda z, k, x: (k > 0.0, (MEETING([z, 2.0], [x])[0], k - 1.0)), 2, 1)


def meeting(z, x):
    return MEETING([z, 3.0], [x])[0]


def meeting_in_a_loop(z, x):
    positive = z > 0.0
    return where(positive, TWICE([z, 2.0], [x], positive)[0], x)


def test_arms_in_loops_are_found():
    z, x = np.array([5.0, 5.0, 5.0, 5.5, -5.0]), np.array([3.0, 1.0, 5.0, 3.0, -6.0])
    assert lines(kernel_of(meeting), z, x) == [(3, (0,))]
    assert lines(kernel_of(meeting_in_a_loop), z, x) == [(2, (0,))]  # the last one is not active
    assert lines(kernel_of(meeting_in_a_loop), z, x + 1.0) == [(2, (0,))]
    assert lines(kernel_of(meeting), np.float32(z), np.float32(x)) == [(3, (0,))]
    assert lines(kernel_of(meeting), z, x + 0.25) == []
    assert len(lines(kernel_of(meeting), z, x, argnums=0)) == 1
    counted = Steps(lambda z, k, x: (k > 0.0, (where(equal(k, 2.0), z * x, z - 1.0), k - 1.0)), 2, 1)
    assert lines(kernel_of(lambda z, x: counted([z, 3.0], [x])[0]), z, x) == []  # the count depends on nothing
