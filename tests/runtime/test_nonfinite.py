"""The debug mode: the first nan or inf is named with its line and element, and untaken branches do not count."""

import math

import numpy as np
import pytest

import nbad


@nbad.kernel
def loss(x, y):
    ratio = x / y
    return math.log(ratio)


@nbad.kernel
def root(x):
    return np.where(x > 0, np.sqrt(x), 0.0)


def test_value_names_operation_line_and_element():
    what = r"output 0 is -inf at element \(2,\), first in `log` of test_nonfinite.py:14"
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match=what):
        loss([1.0, 2.0, 0.0], 2.0)


def test_the_first_operation_is_named_not_the_last():
    what = r"first in `div` of test_nonfinite.py:13\n  got: div\(1.0, 0.0\) = inf"
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match=what):
        loss(1.0, 0.0)


def test_derivative_that_is_infinite_where_the_value_is_finite():
    plain = nbad.kernel(lambda x: math.sqrt(x))
    with nbad.debugging():
        assert plain(0.0) == 0.0
        with pytest.raises(nbad.NonFiniteError, match="the derivative of output 0 by x is inf at element"):
            nbad.vjp(plain, [1.0, 0.0])


def test_untaken_branches_and_bad_inputs_are_not_reported():
    with nbad.debugging():
        assert root([-1.0, 4.0]).tolist() == [0.0, 2.0]
        _, pullback = nbad.vjp(root, [-1.0, 4.0])
        assert pullback(1.0)[0].tolist() == [0.0, 0.25]
        assert math.isnan(root(math.nan)) or root(math.nan) == 0.0


def test_elements_whose_inputs_are_not_finite_are_passed_over():
    with nbad.debugging():
        assert math.isnan(loss([math.nan, 1.0], 1.0)[0])
        with pytest.raises(nbad.NonFiniteError, match=r"at element \(1,\), first in `div`"):
            loss([math.nan, 1.0], [1.0, 0.0])


def test_elements_of_several_axes_and_broadcast_arguments():
    x = np.array([[1.0, 2.0], [3.0, 0.0]])
    what = r"is -inf at element \(1, 1\), first in `log` of test_nonfinite.py:14\n  got: log\(0.0\) = -inf, with x = 0.0, y = 1.0"
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match=what):
        loss(x, 1.0)


@nbad.kernel
def steep(x):
    y = x * x
    return math.sqrt(y)


TRANSFORMS = {
    "vjp": lambda x: nbad.vjp(steep, x),
    "jacobian": lambda x: nbad.jacobian(steep)(x),
    "value_and_jacobian": lambda x: nbad.value_and_jacobian(steep)(x),
    "linearize": lambda x: nbad.linearize(steep, x),
    "jvp": lambda x: nbad.jvp(steep, (x,), (1.0,)),
    "grad": lambda x: nbad.grad(steep)(x),
    "hessian": lambda x: nbad.hessian(steep)(x),
    "value_and_grad": lambda x: nbad.value_and_grad(steep)(x),
    "hvp": lambda x: nbad.hvp(steep, (x,), (1.0,)),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_every_transform_names_line_and_element_of_its_derivative(transform):
    what = r"is (nan|-?inf) at element \(1,\), first in `\w+` of test_nonfinite.py:\d+\n"
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match=what):
        transform([1.0, 0.0])


def test_slots_of_vectors_are_named():
    unit = nbad.kernel(lambda r: np.dot(r, r) / r[0], signature="(2)->()")
    what = r"element \(1,\), first in `div`[\s\S]*with r\[0\] = 0.0, r\[1\] = 1.0"
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match=what):
        unit([[1.0, 1.0], [0.0, 1.0]])


def test_lines_of_called_kernels():
    outer = nbad.kernel(lambda x: loss(x, 1.0) + 1.0)
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match=r"first in `log` of test_nonfinite.py:\d+"):
        outer(0.0)


def test_off_again_after_the_block():
    assert loss(0.0, 1.0) == -math.inf
    with nbad.debugging(), pytest.raises(nbad.NonFiniteError, match="log"):
        loss(0.0, 1.0)
    assert loss(0.0, 1.0) == -math.inf


def test_environment_variable(run_python):
    code = """
import nbad, math
f = nbad.kernel(lambda x: math.log(x))
try:
    f(0.0)
except nbad.NonFiniteError:
    print("caught")
"""
    assert "caught" in run_python(code, NBAD_DEBUG="1")
