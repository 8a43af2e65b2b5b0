"""`is` in kernels: a condition is True or False, as it is where Python computes with floats."""

import math

import numpy as np
import pytest

import nbad

XS, YS = np.array([-1.7, -0.6, 0.3, 0.9]), np.array([0.7, -1.2, 1.9, -0.2])


def flag_is_true(x, y):
    flag = x > 0
    if flag is True:
        return x * y
    return y if (y > 0) is not False else x


def straight_line(x, y):
    return ((x > 0) is (y > 0)) * x + ((x > 0) is True) * y


def one_operand_is_plain(x, y):
    return x if (x > 0) is (math.pi > 3) else y


def other_things(x, y, z=None, mode=math.sin):
    a = x if z is None else z
    b = y if mode is math.sin and z is not mode else x
    return a * b if (a, b) is not None and type(x) is float else 0.0


@pytest.mark.parametrize("function", [flag_is_true, straight_line, one_operand_is_plain, other_things])
def test_values_are_those_of_python(function):
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(function)(XS, YS), expected, rtol=1e-15)


def test_the_branch_that_is_taken_has_the_derivative():
    by_x, by_y = nbad.grad(nbad.kernel(flag_is_true), (0, 1))(XS, YS)
    np.testing.assert_array_equal(by_x, [0.0, 1.0, 1.9, -0.2])
    np.testing.assert_array_equal(by_y, [1.0, 0.0, 0.3, 0.9])


def test_what_is_in_a_container_is_found_even_if_it_is_nan():
    def kernel(x, y):
        return (1.0 if x in (y, x) else 2.0), (1.0 if x in [y, x * 1.0] else 2.0)

    x, y = np.array([math.nan, 1.0, 2.0]), np.array([math.nan, 3.0, 2.0])
    expected = [kernel(*element) for element in zip(x.tolist(), y.tolist(), strict=True)]
    np.testing.assert_array_equal(np.transpose(nbad.kernel(kernel)(x, y)), expected)
