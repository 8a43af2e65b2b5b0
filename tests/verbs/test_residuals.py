"""`pullback.residuals`: what one forward sweep keeps."""

import math

import numpy as np
import pytest

import nbad

X = np.linspace(0.5, 2.0, 100)


def residuals_of(function, *xs, **options):
    return nbad.vjp(nbad.kernel(function), *xs, **options)[1].residuals


@pytest.mark.parametrize("function", [lambda x: x, lambda x: 3.0 * x - 1.0, lambda x: -x / 2.0, lambda x: x * 0.5 + x])
def test_linear_kernels_store_nothing(function):
    residuals = residuals_of(function, X)
    assert (residuals.nbytes, residuals.bytes_per_element, residuals.names) == (0, 0, ())


def test_square_stores_one_number_for_each_element():
    residuals = residuals_of(lambda x: x**2, X)
    assert (residuals.nbytes, residuals.bytes_per_element, residuals.dtype) == (800, 8, np.float64)
    assert len(residuals.names) == 1


def test_float32_halves_the_bytes():
    assert residuals_of(lambda x: x**2, X.astype(np.float32)).nbytes == 400


def test_equal_and_constant_partials_are_stored_once_or_not_at_all():
    residuals = residuals_of(lambda x, y: math.exp(x + y) + 2.0 * x, X, X)
    assert residuals.bytes_per_element <= 16
    assert residuals_of(lambda x, y: (math.exp(x - y), x), X, X, argnums=0).bytes_per_element == 8


def test_prints_as_a_table():
    residuals = residuals_of(lambda x, y: x * y, X, X)
    text = str(residuals)
    assert "float64" in text
    assert "16 bytes per element" in text
    assert "1600" in text
    assert all(name in line for name, line in zip(residuals.names, text.splitlines()[1:], strict=True))
    assert len(text.splitlines()) == 3


def test_arguments_that_are_not_differentiated_store_nothing():
    assert residuals_of(lambda x, y: x * y, X, X, argnums="x").bytes_per_element == 8


def test_broadcast_scalars_cost_what_the_elements_do():
    assert residuals_of(lambda x, rate: math.exp(-rate * x), X, 0.5).nbytes <= 1600
