"""Data of SciPy's problems, which their owner may change between two calls: each call computes with what they are then."""

import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nbad
from nbad.integrations.scipy import Problem


def test_data_that_were_changed_in_place_or_replaced_are_read_anew():
    y, picked, i = np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1, 0])
    cube = nbad.kernel(lambda u, y, z, w: u * u * u * y * z * w)
    problem = Problem(cube, {"u": np.array([1.0, 2.0])}, {"y": y, "z": nbad.indexed(picked, i), "w": 1.0})
    assert_array_equal(problem.fun(problem.x0), [4.0, 48.0])
    assert_array_equal(problem.hess(problem.x0).diagonal(), [24.0, 72.0])
    y[:] = 2.0
    assert_array_equal(problem.fun(problem.x0), [8.0, 48.0])
    assert_array_equal(problem.jac(problem.x0).diagonal(), [24.0, 72.0])
    assert_array_equal(problem.hess(problem.x0).diagonal(), [48.0, 72.0])
    picked[1] = 0.5
    assert_array_equal(problem.fun(problem.x0), [1.0, 48.0])
    problem.data["w"] = np.float32(2.0)
    assert_array_equal(problem.fun(problem.x0), [2.0, 96.0])


def test_data_in_containers_are_read_anew():
    weights, pair = {"a": np.array([1.0, 2.0]), "b": [2.0, 3.0]}, [1.0, 2.0]
    problem = Problem(nbad.kernel(lambda u, w, p: u * w["a"] * w["b"] * p), {"u": 2.0}, {"w": weights, "p": pair})
    assert_array_equal(problem.fun(problem.x0), [4.0, 24.0])
    assert problem.at(problem.x0) is problem.at(problem.x0)
    weights["a"][0] = 5.0
    assert_array_equal(problem.fun(problem.x0), [20.0, 24.0])
    pair[1] = weights["b"][0] = 1.0
    assert_array_equal(problem.fun(problem.x0), [10.0, 12.0])


def test_the_sign_of_zero_is_seen():
    angle = nbad.kernel(lambda u, y: np.arctan2(u, y))
    y = np.array([0.0, 1.0])
    problem = Problem(angle, {"u": np.zeros(2)}, {"y": y})
    assert_array_equal(problem.fun(problem.x0), [0.0, 0.0])
    y[0] = -0.0
    assert_array_equal(problem.fun(problem.x0), [np.pi, 0.0])
    assert_array_equal(problem.fun(-problem.x0), [-np.pi, -0.0])
    problem = Problem(angle, {"u": 0.0}, {"y": 0.0})
    assert_array_equal(problem.fun(problem.x0), [0.0])
    problem.data["y"] = -0.0
    assert_array_equal(problem.fun(problem.x0), [np.pi])


def test_data_that_are_no_numbers_are_swept_once():
    problem = Problem(nbad.kernel(lambda u, y: u * y), {"u": 2.0}, {"y": np.array([np.nan, 1.0])})
    assert_array_equal(problem.fun(problem.x0), [np.nan, 2.0])
    assert problem.at(problem.x0) is problem.at(problem.x0)


class Readings:
    def __init__(self):
        self.numbers = np.array([1.0, 2.0])

    def __array__(self, dtype=None, copy=None):
        return self.numbers.astype(dtype or float)


def mapped(folder):
    numbers = np.memmap(folder / "numbers", dtype=float, mode="w+", shape=(2,))
    numbers[:] = 1.0, 2.0
    return numbers, numbers


def readings(folder):
    made = Readings()
    return made, made.numbers


def buffer(folder):
    made = array.array("d", [1.0, 2.0])
    return made, made


def view(folder):
    made = array.array("d", [1.0, 2.0])
    return memoryview(made), made


@pytest.mark.parametrize("make", [mapped, readings, buffer, view], ids=lambda make: make.__name__)
def test_whatever_holds_numbers_is_read_anew(make, tmp_path):
    given, numbers = make(tmp_path)
    problem = Problem(nbad.kernel(lambda u, y: u * y), {"u": 2.0}, {"y": given})
    assert_array_equal(problem.fun(problem.x0), [2.0, 4.0])
    numbers[0] = 5.0
    assert_array_equal(problem.fun(problem.x0), [10.0, 4.0])


@dataclass
class Line:
    slope: Any
    start: Any


@dataclass(frozen=True)
class Fixed:
    slope: Any
    start: Any


@pytest.mark.parametrize("kind", [Line, Fixed])
def test_dataclasses_are_read_anew(kind):
    line = kind(np.array([1.0, 2.0]), 1.0)
    problem = Problem(nbad.kernel(lambda u, line: u * line.slope + line.start), {"u": 2.0}, {"line": line})
    assert_array_equal(problem.fun(problem.x0), [3.0, 5.0])
    assert problem.at(problem.x0) is problem.at(problem.x0)
    line.slope[0] = 4.0
    assert_array_equal(problem.fun(problem.x0), [9.0, 5.0])
    object.__setattr__(line, "start", 2.0)
    assert_array_equal(problem.fun(problem.x0), [10.0, 6.0])


WRONG_NUMBERS = {
    "x is text": (lambda p: p.fun(["a", "b"]), r"x holds text"),
    "x is complex": (lambda p: p.fun([1j, 1.0]), r"x is complex"),
    "too many unknowns": (lambda p: p.fun([1.0, 1.0, 1.0]), r"x does not hold all unknowns[\s\S]*got: 3 numbers\n  expected: 2"),
    "weights of outputs": (lambda p: p.vjp(p.x0, [1.0]), r"v does not hold all weights of the outputs[\s\S]*fix: np\.ones\(3\)"),
    "weights in hess": (lambda p: p.hess(p.x0, [1.0, 2.0]), r"v does not hold all weights of the elements[\s\S]*expected: 3"),
    "weights in hessp": (lambda p: p.hessp(p.x0, p.x0, [1.0]), r"v does not hold all weights of the elements[\s\S]*expected: 3"),
    "flat": (lambda p: p.flat(a=[1.0, 2.0], b=1.0), r"a does not have the shape of the unknown[\s\S]*fix: 1\.0"),
    "unknowns": (lambda p: Problem(p.f, ["a"]), r"unknowns is no dict[\s\S]*fix: unknowns={'a': 1\.0}"),
    "data": (lambda p: Problem(p.f, {"a": 1.0}, [1.0]), r"data is no dict[\s\S]*got: list"),
}


@pytest.mark.parametrize("wrong", WRONG_NUMBERS)
def test_numbers_that_do_not_fit_are_refused_by_name(wrong):
    problem = Problem(nbad.kernel(lambda a, b, t: a * np.exp(-b * t)), {"a": 1.0, "b": 1.0}, {"t": np.arange(3.0)})
    call, words = WRONG_NUMBERS[wrong]
    with pytest.raises(nbad.NbadError, match=words):
        call(problem)
