"""Functions of the user's that raise in a loop: their own exception comes out, for what did it first."""

import math

import numpy as np
import pytest
from helpers.loops import Number, Steps, graph_of, kernel_of, sin, where

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.graphs import failures


class Refused(ValueError):
    pass


def plain_root(x):
    if x < 0.0:
        raise Refused("no root of", x)
    return math.sqrt(x)


def plain_ratio(x, y):
    if y == 0.0:
        raise Refused("nothing over", x)
    return x / y


ROOT, RATIO = nbad.primitive("watched_root", plain_root, ["0.5/v"]), nbad.primitive("watched_ratio", plain_ratio, ["1/y", "-v/y"])


def root(x):
    return x.apply(ROOT._op) if isinstance(x, Number) else plain_root(x)


def ratio(x, y):
    return x.apply(RATIO._op, y) if isinstance(x, Number) else plain_ratio(x, y)


# the root of what becomes negative after some passes
FALLING = Steps(lambda z, s, k, x: (k < 4.0, lambda: (z - 1.0, s + root(z) * x, k + 1.0)), 3, 1)
# a test that fails after the last pass
TESTED = Steps(lambda z, x: (root(z) > 0.5, (z - x,)), 1, 1)
# a loop in a loop, each with a call, of which the inner one comes first
OUTER = Steps(lambda s, k, x: (k < 3.0, lambda: (ratio(s, 1.0 - k * 0.5) + FALLING([x + 0.5, s, 0.0], [x])[1], k + 1.0)), 2, 1)


def falling(z, x):
    return FALLING([z, 0.0, 0.0], [x])[1]


def trial(z, x):
    return TESTED([z], [x])[0]


def outer(x):
    return OUTER([1.0, 0.0], [x])[0]


def guarded(z, x):
    positive = x > 0.0
    return where(positive, FALLING([z, 0.0, 0.0], [x], positive)[1], x)


VERBS = {
    "value": lambda f, *xs: f(*xs),
    "recompute": lambda f, *xs: nbad.vjp(f, *xs, residuals="recompute")[1](1.0),
    "jacobian": lambda f, *xs: nbad.jacobian(f)(*xs),
    "jvp": lambda f, *xs: nbad.jvp(f, xs, (1.0,) * len(xs)),
}
by_every_verb = pytest.mark.parametrize("verb", VERBS)


@by_every_verb
@pytest.mark.parametrize(
    ("function", "columns", "call"),
    [
        (falling, ([5.0, 2.0, 1.0], [1.0, 1.0, 1.0]), "watched_root(-1.0)"),
        (trial, ([5.25, 5.0, 3.0], [0.125, 0.125, 2.0]), "watched_root(-1.0)"),
        (outer, ([0.5, 3.0],), "watched_root(-1.0)"),
        (outer, ([3.0, 0.5],), "watched_ratio("),
    ],
)
def test_the_first_call_that_fails_raises(function, columns, call, verb):
    xs, f = [np.array(column) for column in columns], kernel_of(function)
    with pytest.raises(Refused, match="no") as caught:
        VERBS[verb](f, *xs)
    element, args = first_failure(function, zip(*columns, strict=True))
    assert caught.value.args == args
    assert any(call in note and f"({element},)" in note for note in caught.value.__notes__)


def first_failure(function, points):
    for element, point in enumerate(points):
        try:
            function(*point)
        except Refused as error:
            return element, error.args
    raise AssertionError("nothing fails")


@by_every_verb
def test_elements_that_do_not_come_there_raise_nothing(verb):
    f = kernel_of(falling)
    VERBS[verb](f, np.array([3.0, 4.0, 9.0]), np.array([1.0, 2.0, 3.0]))
    VERBS[verb](kernel_of(guarded), np.array([3.0, -4.0, 9.0]), np.array([1.0, -2.0, 3.0]))
    with pytest.raises(Refused, match="no root of"):
        VERBS[verb](kernel_of(guarded), np.array([3.0, -4.0, 9.0]), np.array([1.0, 2.0, 3.0]))


def test_a_checked_call_raises_the_same():
    with nbad.debugging(), pytest.raises(Refused, match="no root of"):
        kernel_of(falling)(np.array([5.0, 2.0]), 1.0)


def test_whether_a_step_may_fail_is_asked_once_for_each_loop(monkeypatch):
    asked = []
    own = failures.may_fail
    monkeypatch.setattr(failures, "may_fail", lambda graph: asked.append(graph) or own(graph))
    inner = Steps(lambda u, v, k, x: (k < 5.0, lambda: (u + 0.1 * v, v - 0.1 * sin(u) * x, k + 1.0)), 3, 1)
    outer = Steps(lambda u, v, k, x: (k < 4.0, lambda: (*inner([u, v, 0.0], [x])[:2], k + 1.0)), 3, 1)
    graph = jacobian(graph_of(2, lambda x, y: outer([x, y, 0.0], [x])[0]), (0, 1)).graph
    assert not failures.may_fail(graph)
    assert len(asked) <= 3
