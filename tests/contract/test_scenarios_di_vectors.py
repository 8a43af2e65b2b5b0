"""DifferentiationInterfaceTest's scenarios with vector and matrix arguments, and those of second order."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from kernels import sine, sine_of_multiple

X, DX, DY = 0.42, 3.14, -1 / 12
X6, DX6 = np.arange(1.0, 7.0), -np.arange(1.0, 7.0)
DY12 = np.arange(-11.0, 12.0, 2.0)
X23, DX23 = X6.reshape(2, 3, order="F"), DX6.reshape(2, 3, order="F")


@nbad.kernel(signature="(6)->()")
def vector_to_number(x):
    return np.sum(x**4) * np.sum(x**6)


@nbad.kernel(signature="(2,3)->()")
def matrix_to_number(x):
    total = 0.0
    for first in x.reshape(6):
        for second in x.reshape(6):
            total += first**4 * second**6
    return total


@nbad.kernel(signature="(6)->(12)")
def vector_to_vector(x):
    return np.array([np.sin(x), np.cos(x)]).reshape(12)


@nbad.kernel(signature="(6)->(6,2)")
def vector_to_matrix(x):
    return np.array([np.sin(x), np.cos(x)]).T


@nbad.kernel(signature="(2,3)->(12)")
def matrix_to_vector(x):
    return np.array([np.sin(x), np.cos(x)]).reshape(12)


@nbad.kernel(signature="(2,3)->(6,2)")
def matrix_to_matrix(x):
    return np.array([np.sin(x).reshape(6), np.cos(x).reshape(6)]).T


def gradient(x):
    return 4 * x**3 * np.sum(x**6) + 6 * x**5 * np.sum(x**4)


def hessian(x):
    """Of sum(x^4) sum(x^6)."""
    cross = 24 * np.multiply.outer(x**3, x**5)
    return np.diag(12 * x**2 * np.sum(x**6) + 30 * x**4 * np.sum(x**4)) + cross + cross.T


@pytest.mark.parametrize(("kernel", "x", "dx"), [(vector_to_number, X6, DX6), (matrix_to_number, X23, DX23)], ids=["vec", "mat"])
def test_array_to_number(kernel, x, dx):
    flat = x.reshape(6)
    expected = gradient(flat)
    value, pullback = nbad.vjp(kernel, x)
    assert_allclose(value, np.sum(flat**4) * np.sum(flat**6), rtol=1e-15)
    (cotangent,) = pullback(DY)
    assert_allclose(cotangent, (expected * DY).reshape(x.shape), rtol=1e-14)
    (many,) = pullback.batched(np.array([DY, 1.0, 0.0]))
    assert_allclose(many, np.multiply.outer([DY, 1.0, 0.0], expected.reshape(x.shape)), rtol=1e-14)
    assert_allclose(nbad.jvp(kernel, (x,), (dx,))[1], expected @ dx.reshape(6), rtol=1e-14)
    assert_allclose(nbad.jacobian(kernel)(x), expected[None, :], rtol=1e-14)


# Outputs as (sine or cosine, element of x), whatever shape the kernel gives them.
ARRAYS = {
    "vec_to_vec": (vector_to_vector, X6, DX6, lambda y: y.reshape(2, 6)),
    "vec_to_mat": (vector_to_matrix, X6, DX6, lambda y: y.T),
    "mat_to_vec": (matrix_to_vector, X23, DX23, lambda y: y.reshape(2, 6)),
    "mat_to_mat": (matrix_to_matrix, X23, DX23, lambda y: y.T),
}


@pytest.mark.parametrize(("kernel", "x", "dx", "halves"), ARRAYS.values(), ids=ARRAYS.keys())
def test_array_to_array(kernel, x, dx, halves):
    slopes = np.array([np.cos(x).reshape(6), -np.sin(x).reshape(6)])
    value, pullback = nbad.vjp(kernel, x)
    assert_allclose(halves(value), [np.sin(x).reshape(6), np.cos(x).reshape(6)], rtol=1e-15)
    pushed = nbad.jvp(kernel, (x,), (dx,))[1]
    assert_allclose(halves(pushed), slopes * dx.reshape(6), rtol=1e-14)
    seed = DY12.reshape(value.shape)
    (cotangent,) = pullback(seed)
    assert_allclose(cotangent, np.sum(slopes * halves(seed), axis=0).reshape(x.shape), rtol=1e-14)
    seeds = np.array([seed, -2 * seed, 0 * seed])
    (many,) = pullback.batched(seeds)
    for row, one in zip(many, seeds, strict=True):
        assert_array_equal(row, pullback(one)[0])
    jacobian = nbad.jacobian(kernel)(x)
    assert jacobian.shape == (12, 6)
    order = halves(np.arange(12).reshape(value.shape))
    assert_allclose(jacobian[order], [np.diag(row) for row in slopes], rtol=1e-14)


def test_second_derivative_of_a_number():
    second = nbad.grad(nbad.grad(sine))
    assert_allclose(nbad.grad(sine)(X), math.cos(X), rtol=1e-15)
    assert_allclose(second(X), -math.sin(X), rtol=1e-15)
    assert_allclose(nbad.hessian(sine)(X), [[-math.sin(X)]], rtol=1e-15)


@pytest.mark.parametrize("a", [X6, X23], ids=["vec", "mat"])
def test_second_derivative_of_a_number_broadcast(a):
    assert_allclose(nbad.grad(nbad.grad(sine_of_multiple))(X, a), -(a**2) * np.sin(a * X), rtol=1e-14)


@pytest.mark.parametrize(("kernel", "x", "dx"), [(vector_to_number, X6, DX6), (matrix_to_number, X23, DX23)], ids=["vec", "mat"])
def test_hessian_of_an_array(kernel, x, dx):
    expected = hessian(x.reshape(6))
    assert_allclose(nbad.hessian(kernel)(x), expected, rtol=1e-13)
    (product,) = nbad.hvp(kernel, (x,), (dx,))
    assert_allclose(product, (expected @ dx.reshape(6)).reshape(x.shape), rtol=1e-13)
