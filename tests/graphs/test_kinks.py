"""Random compositions of kinks and squares at special points: derivatives as mpmath finds them along rays, or nan."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace

DIGITS, STEP = 160, mpmath.mpf(10) ** -40
RAYS = [(1, 0), (0, 1), (1, 1), (1, -1), (3, 1), (-1, 2)]
POINTS = (-1.0, 0.0, 0.5, 1.0, 2.0)


class OutOfDomain(Exception):
    """A root or a power that is not real."""


def real_power(x, p):
    if x < 0 and not mpmath.isint(p):
        raise OutOfDomain
    return mpmath.mpf(x) ** p


OURS = dict(
    abs=abs, hypot=np.hypot, sqrt=math.sqrt, power=math.pow, maximum=np.maximum, minimum=np.minimum, square=np.square,
    sin=math.sin, exp=math.exp, copysign=math.copysign, clip=lambda x: np.clip(x, -1.0, 1.0),
    norm=lambda x, y: np.linalg.norm(np.array([x, y])),
)  # fmt: skip
THEIRS = dict(
    abs=abs, hypot=lambda x, y: mpmath.sqrt(x * x + y * y), sqrt=lambda x: real_power(x, 0.5), power=real_power, maximum=max,
    minimum=min, square=lambda x: x * x, sin=mpmath.sin, exp=mpmath.exp, copysign=lambda x, y: abs(x) if y >= 0 else -abs(x),
    clip=lambda x: max(-1, min(1, x)), norm=lambda x, y: mpmath.sqrt(x * x + y * y),
)  # fmt: skip

PLAIN = ["x", "y", "(x - y)", "(x + 2*y)", "x*y", "(x - 1)", "(y*x - y)"]
EDGES = [
    "abs({a})", "hypot({a}, {b})", "norm({a}, {b})", "maximum({a}, -{a})", "minimum(-{a}, {a})",
    "sqrt({a}*{a} + {b}*{b})", "hypot(abs({a}), {b})", "norm({a}, maximum({b}, -{b}))", "sqrt(square({a}))",
]  # fmt: skip
SQUARES = [
    "{e}**2", "square({e})", "{e}**4", "0.5*{e}*{e}", "(3*{e})**2", "({e}/4)**2", "(-{e})**2", "{e}/2*{e}", "power({e}, 2.0)",
    "minimum({e}, 7.0)**2", "copysign({a}, {b})**2", "(-3*{e}/4)**2", "power({e}, 4.0)",
]  # fmt: skip
OTHER = [
    "{e}", "{e}**3", "maximum({a}, 0.0)**2", "clip({a})**2", "clip({a})", "{a}*{e}", "maximum({a}, {b})**2", "sqrt({a}**2)",
    "power(square({a}), 1.5)", "power(abs({a}), 2.5)", "sqrt({a})**2", "power({a}, 0.5)**2", "{a}*{a}*{e}", "1/(1 + {e})",
    "power({a}, 1.5)", "power({a}, {b})", "sqrt({e})",
]  # fmt: skip
SMOOTH = ["{p} + {q}", "{p} - 2*{q}", "{p}*{q}", "exp(-{p}) + {q}", "sin({p})*x", "{p}/(1 + {q}*{q})", "({p} + {q})**2"]


@st.composite
def programs(draw, others=()):
    """A smooth combination of two squares, or of a square and something else."""

    def fill(text, **parts):
        return text.format(a=draw(st.sampled_from(PLAIN)), b=draw(st.sampled_from(PLAIN)), **parts)

    def part(texts):
        return f"({fill(draw(st.sampled_from(texts)), e=fill(draw(st.sampled_from(EDGES))))})"

    return draw(st.sampled_from(SMOOTH)).format(p=part(SQUARES), q=part(others or SQUARES))


def derivatives(program, point, mode):
    function = eval(f"lambda x, y: {program}", dict(OURS))
    graph = trace(function, [Argument("x", ()), Argument("y", ())], {}).graph
    first = jacobian(graph, (0, 1), mode)
    second = jacobian(first.graph, (0, 1), mode)
    gradient, hessian = np.zeros(2), np.zeros((2, 2))
    values = evaluate(second.graph, *point)
    for (_, n), value in zip(first.positions, values[1 : second.n_outputs], strict=True):
        gradient[n] = value
    rows = {m: n for m, (_, n) in enumerate(first.positions, 1)}
    for (m, n), value in zip(second.positions, values[second.n_outputs :], strict=True):
        if m:
            hessian[rows[m], n] = value
    return gradient, hessian


def slopes_and_curvatures(program, point):
    """Those along each ray, to both sides, where the function is real."""
    function = eval(f"lambda x, y: {program}", dict(THEIRS))

    def at(ray, steps):
        return function(*(mpmath.mpf(p) + steps * STEP * r for p, r in zip(point, ray, strict=True)))

    for ray in RAYS:
        for side in (1, -1):
            try:
                here, near, far = (at(ray, side * steps) for steps in (0, 1, 2))
            except (OutOfDomain, ZeroDivisionError):
                continue
            yield ray, side * (near - here) / STEP, (far - 2 * near + here) / STEP**2


def agreed(found, model):
    """The numbers of a polynomial along rays, from those along its own; None where the function is none there."""
    rays, values = [ray for ray, _ in found], [value for _, value in found]
    rows = np.array([model(*ray) for ray in rays], float)
    if not rows.size or np.linalg.matrix_rank(rows) < rows.shape[1]:
        return None
    solution = np.linalg.lstsq(rows, np.array(values, float), rcond=None)[0]
    return solution if np.allclose(rows @ solution, np.array(values, float), rtol=1e-9, atol=1e-9) else None


def truth(program, point):
    """Gradient and Hessian where the function is once, and twice, differentiable; None where it is not."""
    with mpmath.workdps(DIGITS):
        found = list(slopes_and_curvatures(program, point))
    gradient = agreed([(ray, slope) for ray, slope, _ in found], lambda a, b: (a, b))
    second = agreed([(ray, curvature) for ray, _, curvature in found], lambda a, b: (a * a, 2 * a * b, b * b))
    is_twice = gradient is not None and second is not None
    return gradient, np.array([[second[0], second[1]], [second[1], second[2]]]) if is_twice else None


def check(program, point, may_be_nan):
    expected = truth(program, point)
    for mode in ("reverse", "forward"):
        for got, true in zip(derivatives(program, point, mode), expected, strict=True):
            if true is not None:
                is_right = np.isclose(got, true, rtol=1e-8, atol=1e-8) | (np.isnan(got) if may_be_nan else False)
                assert is_right.all(), (program, point, mode, got, true)
    return expected


@settings(max_examples=25)
@given(programs(), st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS)))
def test_squares_of_kinks_are_right_everywhere(program, point):
    gradient, _ = check(program, point, may_be_nan=False)
    assert gradient is not None


@pytest.mark.slow
@settings(max_examples=400)
@given(programs(), st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS)))
def test_squares_of_many_kinks_are_right_everywhere(program, point):
    gradient, _ = check(program, point, may_be_nan=False)
    assert gradient is not None


@settings(max_examples=20)
@given(programs(OTHER), st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS)))
def test_nothing_is_wrong_at_other_kinks(program, point):
    assume(truth(program, point)[0] is not None)
    check(program, point, may_be_nan=True)


@pytest.mark.slow
@settings(max_examples=500)
@given(programs(OTHER), st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS)))
def test_nothing_is_wrong_at_many_other_kinks(program, point):
    assume(truth(program, point)[0] is not None)
    check(program, point, may_be_nan=True)


@pytest.mark.parametrize("power", [lambda x: np.sqrt(x), lambda x: x**1.5, lambda x: x**0.5])
def test_squares_are_no_numbers_where_their_roots_are_none(power):
    kernel = nbad.kernel(lambda x: power(x) ** 2)
    assert np.isnan(kernel(-2.0))
    assert np.isnan(nbad.grad(kernel)(-2.0))
