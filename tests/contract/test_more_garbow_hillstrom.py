"""Problems of More, Garbow and Hillstrom (doi:10.1145/355934.355936): residuals, Jacobians, published sums of squares."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import nbad


@nbad.kernel
def rosenbrock(x, y):
    return 10 * (y - x**2), 1 - x


@nbad.kernel
def freudenstein_roth(x, y):
    return -13 + x + ((5 - y) * y - 2) * y, -29 + x + ((y + 1) * y - 14) * y


@nbad.kernel
def powell_badly_scaled(x, y):
    return 1e4 * x * y - 1, math.exp(-x) + math.exp(-y) - 1.0001


@nbad.kernel
def brown_badly_scaled(x, y):
    return x - 1e6, y - 2e-6, x * y - 2


@nbad.kernel
def beale(x, y):
    return 1.5 - x * (1 - y), 2.25 - x * (1 - y**2), 2.625 - x * (1 - y**3)


@dataclass(frozen=True)
class Problem:
    """Residual kernel, standard start, sum of squares there, a solution and its sum of squares, the Jacobian in closed form."""

    kernel: Any
    start: tuple[float, float]
    at_start: float
    solution: tuple[float, float]
    at_solution: float
    jacobian: Any


PROBLEMS = (
    Problem(rosenbrock, (-1.2, 1.0), 24.2, (1.0, 1.0), 0.0, lambda x, y: [[-20 * x, 10], [-1, 0]]),
    Problem(
        freudenstein_roth,
        (0.5, -2.0),
        400.5,
        (5.0, 4.0),
        0.0,
        lambda x, y: [[1, (10 - 3 * y) * y - 2], [1, (3 * y + 2) * y - 14]],
    ),
    Problem(
        powell_badly_scaled,
        (0.0, 1.0),
        1.1352617173483783,
        (1.098159329699759e-5, 9.106146739867453),
        0.0,
        lambda x, y: [[1e4 * y, 1e4 * x], [-np.exp(-x), -np.exp(-y)]],
    ),
    Problem(brown_badly_scaled, (1.0, 1.0), 999998000003.0, (1e6, 2e-6), 0.0, lambda x, y: [[1, 0], [0, 1], [y, x]]),
    Problem(
        beale, (1.0, 1.0), 14.203125, (3.0, 0.5), 0.0, lambda x, y: [[y - 1, x], [y**2 - 1, 2 * x * y], [y**3 - 1, 3 * x * y**2]]
    ),
)
IDS = [problem.kernel.__name__ for problem in PROBLEMS]


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_sums_of_squares(problem):
    at_start, at_solution = (np.square(problem.kernel(*point)).sum() for point in (problem.start, problem.solution))
    assert_allclose(at_start, problem.at_start, rtol=1e-14)
    assert_allclose(at_solution, problem.at_solution, atol=1e-20)


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_jacobian(problem):
    points = np.transpose([problem.start, problem.solution, (0.7, -0.4)])
    computed = nbad.jacobian(problem.kernel)(*points)
    for block, point in zip(computed, points.T, strict=True):
        assert_allclose(block, problem.jacobian(*point), rtol=1e-14)


@pytest.mark.parametrize("problem", PROBLEMS, ids=IDS)
def test_derivative_of_the_sum_of_squares(problem):
    residuals, pullback = nbad.vjp(problem.kernel, *problem.start)
    expected = np.asarray(residuals) @ np.array(problem.jacobian(*problem.start), float)
    assert_allclose(pullback(residuals), expected, rtol=1e-13)


@nbad.kernel
def jennrich_sampson(i, x, y):
    return 2 + 2 * i - (math.exp(i * x) + math.exp(i * y))


@pytest.mark.parametrize("point", [(1.0, 1.0), (0.3, 0.4), (0.257825, 0.257825)])
def test_jennrich_sampson(point):
    """Ten residuals as ten elements, the unknowns broadcast."""
    i = np.arange(1.0, 11.0)
    residuals, pullback = nbad.vjp(jennrich_sampson, i, *point, argnums=("x", "y"))
    closed = -i * np.exp(np.multiply.outer(point, i))
    assert_allclose(nbad.jacobian(jennrich_sampson, argnums=("x", "y"))(i, *point)[:, 0, :], closed.T, rtol=1e-14)
    assert np.all(abs(pullback(residuals) - closed @ residuals) <= 1e-14 * abs(closed) @ abs(residuals))


def test_jennrich_sampson_minimum():
    assert_allclose(np.square(jennrich_sampson(np.arange(1.0, 11.0), 0.257825, 0.257825)).sum(), 124.362, atol=5e-4)
