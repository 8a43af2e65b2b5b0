"""Arrays inside kernels: every function and operator against NumPy on plain arrays, the order of reductions, and refusals."""

import contextlib
import functools
import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from helpers.array_programs import ARGUMENTS, Writer
from helpers.tracing import FakeKernel
from helpers.tracing import function_of as program
from hypothesis import given
from hypothesis import strategies as st

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace

LINES = Path(__file__).read_text().splitlines()
SHAPES = {
    "a": (3,), "b": (3,), "v": (4,), "m": (3, 3), "n": (3, 3), "r": (2, 3), "w": (2, 2), "q": (2, 2, 3), "p": (2, 3, 2),
    "s": (), "t": (),
}  # fmt: skip
VALUES = {name: np.random.default_rng(k).uniform(-2, 2, shape) for k, (name, shape) in enumerate(SHAPES.items())}
TABLE, COUNTS = np.array([0.5, -1.0, 2.0]), np.arange(3)
NAMES = {"np": np, "math": math, "TABLE": TABLE, "COUNTS": COUNTS}


def traced(function):
    """The trace of a function whose parameters have the shapes of their names."""
    return trace(function, [Argument(name, SHAPES[name]) for name in inspect.signature(function).parameters], {})


def text(function):
    """The lines of the graph without the sources of its nodes."""
    return [line.partition("#")[0].strip() for line in str(traced(function).graph).splitlines()[1:]]


def slots(names):
    return [value for name in names for value in np.ravel(VALUES[name])]


def check(function):
    """Compare the graph with what the function itself makes of plain arrays."""
    names = inspect.signature(function).parameters
    run = traced(function)
    expected = function(*(VALUES[name].copy() if SHAPES[name] else np.float64(VALUES[name]) for name in names))
    leaves = expected if isinstance(expected, tuple) else (expected,)
    assert run.outputs == tuple(np.shape(leaf) for leaf in leaves)
    values = [value for leaf in leaves for value in np.ravel(leaf)]
    np.testing.assert_allclose(np.array(evaluate(run.graph, *slots(names)), float), np.array(values, float), rtol=1e-12)


def expect(function, what, fix, line=None):
    """The kernel is refused with these words; its source is the only line after `def`, or the one that `line` is a part of."""
    first = function.__code__.co_firstlineno
    number = first + 1 if line is None else first + next(k for k, text in enumerate(LINES[first - 1 :]) if line in text)
    where = rf"{re.escape(LINES[number - 1].strip())} *\(test_arrays\.py:{number}\)"
    with pytest.raises(TraceError, match=rf"^kernel `\w+` {re.escape(what)}:\n    {where}(\n[\s\S]*)?{re.escape(fix)}"):
        traced(function)


# functions and operators

EXPRESSIONS = """
a + b; a * s; s * a; 2 * a; a - 1; 1 / a; s / a; -a; +a; abs(a); a + [1, 2, 3]; TABLE * a; a * TABLE; a * COUNTS; TABLE * s
a**2; a**-1; 2.0**a; np.abs(a) ** 1.5; np.abs(a) ** s; pow(a, 3); np.power(np.abs(a), b); np.square(a); np.sqrt(np.abs(m))
np.sin(a); np.exp(m); np.hypot(a, b); np.arctan2(a, s); np.logaddexp(a, b); np.sign(a); np.degrees(a); np.float64(s) * a
np.minimum(a, b); np.maximum(a, 0); np.maximum([s, t], 0.0); np.add(a, [1, 2, 3]); np.true_divide(a, b); np.positive(a)
np.where(a > 0, a, 0); np.where(a > b, a, b); np.where(s > 0, a, b); np.where((a > 0) & ~(b > 0) | (a < b), a, s); (a > 0) * 1.0
np.all(a > -10) * s; np.any(m > 1) + s; (a > 0).all() * 1.0; (a > 0).any() + 0.0; np.sum(a > 0); np.all(m > -1, axis=0) * 1.0
a[0]; a[-1]; a[1:]; a[::-1]; a[[2, 0]]; a[COUNTS]; a[TABLE > 0]; m[1]; m[1, 2]; m[:, 0]; m[1:, :2]; m[..., 0]; m[None]; m[1][2]
a[:, None] * b; a[:, np.newaxis] * v[None, :]; m * a; a * m; q * a; m[:, :1] * a; len(a) * s; a.shape[0] * s
a.size * s + a.ndim; np.shape(m)[1] * s; np.size(m) * s; np.ndim(m) + s; np.prod(a.shape) * s; m.T; m.T.ravel(); m.flatten()
np.ravel(m); q.reshape(4, 3); q.reshape(-1); np.reshape(q, (3, 4)); q.transpose(2, 0, 1); np.transpose(q); q.swapaxes(0, 2)
np.swapaxes(q, 0, 1); np.squeeze(a[None]); np.moveaxis(q, 0, -1); a[None].squeeze(); np.flip(a); np.flip(m, 0); np.fliplr(m)
np.roll(a, 1); np.roll(m, 1, axis=0); np.rot90(m); np.tile(a, 2); np.repeat(a, 2); a.repeat(2); np.take(a, [0, 2]); a.take([1])
np.diag(m); np.diag(a); m.diagonal(); np.tril(m); np.triu(m, 1); np.diff(v); np.kron(w, a); np.atleast_2d(s)
np.expand_dims(a, 0); np.broadcast_to(s, 3); np.broadcast_to(a, (2, 3)); np.stack([a, b]); np.stack([a, b], axis=1)
np.stack((s, t)); np.concatenate([a, v]); np.concatenate([m, r]); np.concatenate((m, n), axis=1); np.hstack([a, b])
np.vstack([a, b]); np.column_stack([a, b]); np.append(a, [s, 1.0]); np.insert(a, 1, s); np.delete(a, 1)
np.block([[w, w], [w, w]]); np.split(v, 2)[1]; np.broadcast_arrays(s, a)[0]; np.array([a[0], s, 1])
np.array([[s, t], [t, 2 * s]]); np.array([a, b]).T; np.array([a, [1, 2, 3]]); np.array(a, dtype=float); np.asarray(a)[1]
np.asarray(s); np.array([s]) @ np.array([t]); np.zeros((2, 3)) + a; np.ones(3) * a; np.eye(3) @ a; np.identity(3) @ a
np.full((), s) * 2.0; np.zeros_like(np.empty_like(s)) + a; np.resize(s, ()); np.resize(a, (2, 2)); np.full(2, s, float, "F")
np.vander(a); np.vander(a, 4, increasing=True); np.meshgrid(a, v)[1]; np.meshgrid(s, a, indexing="ij")[0]
np.linspace(s, t, 4); np.linspace(a, b, 3); np.linspace(s, 2, 3, endpoint=False); np.linspace(s, t, 1); np.linspace(0, t)
np.full(3, s); np.full((2, 2), 1.5) * s; np.zeros_like(a) + b; np.ones_like(m) @ a; np.full_like(a, s) + b
np.linspace(0, 1, 3) * a; np.zeros(0).sum() + s; np.array([]).prod() * s; a.astype(float); a.copy(); np.copy(a); a.item(1)
a.tolist()[0]; m.tolist()[1][2]; tuple(a); np.array([x for x in a[::-1]]); sum(x * y for x, y in zip(a, b)); np.sum(m)
np.sum(m, axis=0); np.sum(m, 1); m.sum(axis=-1, keepdims=True); np.sum(q, axis=(0, 2)); np.sum([s, t]); sum(a); a.mean()
np.sum(m.T); m.prod(); np.prod(m, axis=1); np.mean(m, axis=0); a.max(); np.max(m, axis=1); np.min(m); np.amax(a) + np.amin(a)
max(a); min(a); np.cumsum(v); np.cumsum(m, axis=1); np.cumsum(m); np.cumprod(v); a.cumsum(); np.trace(m); m.trace()
np.trace(m, 1); m @ a; a @ m; m @ n; r @ a; r @ m; a @ b; TABLE @ a; a @ TABLE; q @ p; q @ a; np.matmul(a, q.swapaxes(1, 2))
a.dot(b); m.dot(a); TABLE.dot(a); np.dot(m, n); np.dot(a, b); np.dot(s, a); np.dot(q, a); np.inner(m, n); np.inner(a, s)
np.vdot(m, n); np.outer(a, v); np.cross(a, b); np.cross(m, n); np.cross(a, TABLE); np.einsum("ij,j->i", m, a)
np.einsum("ij,jk", m, n); np.einsum("ii", m); np.einsum("i,j", a, v); np.einsum("ij->ji", m); np.einsum("ii->i", m)
np.einsum("ijk,k->ij", q, a); np.einsum("i,i,i->", a, b, TABLE); np.einsum("i,ij,j", a, m, b); np.einsum(" ij , j -> i ", m, a)
np.einsum("ij->", m); np.linalg.norm(a); np.linalg.norm(m); np.linalg.norm(m, axis=1); np.linalg.norm(a, 1)
np.linalg.norm(a, ord=2); np.linalg.norm(a, np.inf); np.linalg.norm(m, "fro"); np.linalg.norm(r, axis=0, keepdims=True)
np.linalg.norm(r, 1, axis=1); np.linalg.norm(a - b) * s; np.linalg.det(m); np.linalg.det(w); np.linalg.inv(m); np.linalg.inv(w)
np.linalg.inv(np.array([[s]])); np.linalg.det(np.array([[s]])); np.linalg.solve(m, a); np.linalg.solve(m, n)
np.linalg.solve(w, r)
m.flatten("F"); m.T.flatten("K"); m.T.copy().ravel("K"); m.copy("F").ravel("K"); np.copy(m, "F").ravel("K")
np.array(m, order="F").ravel("A"); np.asarray(m.T, order="C").ravel("K"); m.astype(float, "F").ravel("K")
np.full((3, 3), a, order="F").ravel("K"); np.full_like(m, a, order="F").ravel("K"); np.empty_like(m.T).ravel("K").size * s
(np.zeros((3, 3), order="F") * 2.0 + a).ravel("K"); np.cumsum(m.T, axis=0).ravel("K"); np.sum(q.T, axis=0).ravel("K")
np.mean(p.T, axis=-1, keepdims=True).ravel("K"); np.array(m > 0, order="F").ravel("K") * 1.0
divmod(a, b); divmod(a, s); np.divmod(m, 0.3); np.modf(m); np.modf(s); a.astype(bool) * 2.0; np.array([s, 0.0], bool) * 1.0
a.clip(min=0.1); a.clip(max=0.3); m.clip(min=s, max=1.0); np.var(a, ddof=1); m.std(axis=0, ddof=1); np.var(m); np.std(a)
np.diff(a, prepend=s); np.diff(m, append=0.0); np.ediff1d(a); m.trace(-1); np.trace(q); m.T.cumprod(0); np.trapezoid(m, a)
np.zeros((0, 3)) @ m + s; np.dot(np.zeros((2, 0)), np.zeros((0, 3))) + a; np.inner(a[:0], b[:0]) + s; np.vdot(m, n)
np.dot(a > 0, b > 0) * 1.0; (m > 0) @ (n > 0) * 1.0; (m > 0) @ a; np.dot(a > 0, b); np.vdot(m > 0, n > 0) * 1.0
np.sum(a, initial=s); m.sum(0, initial=2.0, keepdims=True); np.max(a, initial=0.1); a.min(initial=s)
np.vecdot(a, b); np.vecdot(m, a); np.linalg.vecdot(m, TABLE, axis=-1); np.vecdot(m, n, axis=0); np.linalg.cross(a, b)
"""


def function_of(expression):
    names = [name for name in SHAPES if re.search(rf"(?<![\w.]){name}\b(?!\()", expression)]
    return eval(f"lambda {', '.join(names)}: {expression}", NAMES)


@pytest.mark.parametrize("expression", re.split("; |\n", EXPRESSIONS.strip()))
def test_what_numpy_makes_of_it(expression):
    check(function_of(expression))


BINARY = st.sampled_from(["{} + {}", "{} * {}", "{} - {}", "np.minimum({}, {})", "np.where({} > {}, 1.5, s)"])
UNARY = st.sampled_from([
    "np.sin({})", "-({})", "np.exp(-np.square({}))", "({}).T", "np.sum({}) * m", "np.flip({}, 0)", "({})[:, ::-1]",
])  # fmt: skip
PRODUCTS = st.sampled_from(["({}) @ ({})", "np.dot({}, {})", "np.einsum('ij,kj->ik', {}, {})"])


def _grown(inner):
    two = st.one_of(BINARY, PRODUCTS)
    return st.one_of(
        st.builds(lambda form, x, y: form.format(f"({x})", f"({y})"), two, inner, inner), st.builds(str.format, UNARY, inner)
    )


@given(st.recursive(st.sampled_from(["m", "n", "m * a", "n * b[:, None]", "n.T"]), _grown, max_leaves=6))
def test_random_matrix_expressions(expression):
    check(eval(f"lambda m, n, a, b, s: {expression}", NAMES))


# arrays that are filled


def test_matrix_filled_item_by_item():
    def kernel(s, t):
        rotation = np.zeros((2, 2))
        rotation[0, 0], rotation[0, 1] = np.cos(s), -np.sin(s)
        rotation[1] = [np.sin(s), math.cos(s)]
        rotation *= t
        rotation[:, 1] += 1
        rotation **= 2
        return rotation

    check(kernel)


def test_views_write_through_and_copies_do_not():
    def kernel(m, a, s):
        local = m.copy()
        row, corner, apart = local[0], local[1:, 1:], local.copy()
        row[1] = s
        corner[...] = 7
        local.T[0] = a
        local.ravel()[4] = s
        apart[0, 0] = 100
        return local

    check(kernel)


def test_every_way_to_fill():
    def kernel(a, s):
        first, second, third, fourth = np.empty(3), np.ones((2, 2)), np.array([1.0, 2.0, 3.0]), np.full((2, 3), 0.5)
        first[[0, 2]] = a[:2]
        first[1] = np.float64(s)
        second.fill(s)
        np.fill_diagonal(second, 4)
        third[TABLE > 0] = a[0]
        third[...] -= s
        fourth[:, 1:] = a[1:]
        fourth[1, 0] = a @ a
        return first, second, third, fourth

    check(kernel)


def test_loops_over_arrays():
    def kernel(m, a):
        total = 0.0
        for k, row in enumerate(m):
            for x, y in zip(row, a, strict=True):
                total += x * y * k
        for index in np.ndindex(m.shape):
            total = total - m[index]
        first, *rest = a
        return total + first, rest[1]

    check(kernel)


def test_arrays_in_helpers_and_conditions_on_arrays():
    def normalized(x):
        return x / np.linalg.norm(x)

    def kernel(a, b):
        frame = np.array([normalized(a), normalized(np.cross(a, b))])
        inside = (frame > -0.5) & (frame < 0.5)
        return np.where(inside, frame, 0.0)

    check(kernel)


def test_items_not_written_are_nan():
    run = trace(lambda s: np.empty(2) * s, [Argument("s")], {})
    assert np.isnan(evaluate(run.graph, 1.0)).all()


def test_constant_arguments_are_arrays():
    def kernel(s, w):
        local = w.copy()
        local[0] = s
        return local @ w

    run = trace(kernel, [Argument("s")], {"w": TABLE})
    assert evaluate(run.graph, 2.0) == [2.0 * 0.5 + 1.0 + 4.0]


def test_what_arrays_look_like():
    def kernel(a, m):
        assert isinstance(a, np.ndarray)
        assert (a.shape, m.ndim, m.size, len(m)) == ((3,), 2, 9, 3)
        assert repr(a[:2]) == str(a[:2]) == f"{a[:2]}" == "array([<traced a[0]>, <traced a[1]>])"
        assert not isinstance(a[0], np.ndarray)
        assert not isinstance(m[0, ...][1], np.ndarray)
        return a

    assert text(kernel) == ["return a[0], a[1], a[2]"]


def test_views_of_arrays_that_hold_plain_numbers_yet():
    """Aliases stay aliases, copies copies, whichever function makes them, in the memory order that NumPy would choose."""

    def kernel(s):
        a = np.zeros((2, 3))
        same, flat, turned, copy = np.asarray(a), np.ravel(a), np.transpose(a), np.array(a)
        same[0, 0], flat[1], turned[2, 0], copy[0, 0] = s, 2.0, 3.0, 100.0
        b = a.T + 0
        b.ravel()[0] = 50.0  # of a copy: the sum has the memory order of a.T
        c = a + 0
        c.ravel()[0] += 1
        np.copy(a.T).ravel()[1] = 60.0
        np.reshape(c, 6)[5] = s
        left, right = np.split(c, [1], axis=1)
        left[1, 0] = right[0, 0] = 7.0
        return a, b, c

    check(kernel)


def test_memory_order_tells_views_from_copies():
    def kernel(m, s):
        a, b, c, d = np.zeros((3, 3), order="F"), np.empty((3, 3), float, "F"), m.copy("F"), np.asarray(m, order="F")
        b[...] = 1.0
        for array in a, b, c, d:
            array.ravel()[1] = s  # of a copy
            array.T.ravel()[2] += s
        e = m.T.copy()
        e.ravel()[0] = s  # of a view
        return a, b, c, d, e

    check(kernel)


def test_diagonals_are_filled_by_numbers_and_by_lists():
    def kernel(m, r, a, s):
        m, r, n = m.copy(), r.copy(), m.copy()
        np.fill_diagonal(m, a)
        np.fill_diagonal(r, [s, 2.0, 3.0])
        np.fill_diagonal(n, [s, 1.0])
        return m, r, n

    check(kernel)


OPTIONS = """
np.take(a, [0, 1, 2], out=b); np.take(a, [0], None, b); a.cumsum(out=b); np.cumsum(a, dtype=float)
np.concatenate([a, a], out=b); np.stack([a, a], out=b)
"""


@pytest.mark.parametrize("call", re.split("; |\n", OPTIONS.strip()))
def test_options_that_would_write_past_the_trace(call):
    kernel = eval(f"lambda a: [b := a.copy(), {call}, b][2]", NAMES)
    name, function = (re.search(r"(\w+)=", call) or [0, "out"])[1], re.search(r"\.(\w+)\(", call)[1]
    with pytest.raises(TraceError, match=f"passes `{name}=` to `numpy.{function}`"):
        traced(kernel)


def test_ufuncs_write_to_no_array_that_is_plain_so_far():
    def kernel(s):
        z = np.zeros(3)
        np.add.at(z, [0, 0], 1.0)
        return z + s

    expect(kernel, "calls `add.at` on a traced value", "fix: for k, value in zip(places, y)", "np.add.at(z")


def test_what_is_the_same_array():
    def kernel(m, s):
        a, b = m.copy(), m.copy()
        a.conj()[0, 0] = a.conjugate()[1, 1] = s  # of itself
        np.clip(b, None, None)[0, 0] = s  # of a copy
        return a, b

    check(kernel)


def test_arrays_say_that_they_are_numpys():
    def kernel(a, s):
        return s * (type(a) is np.ndarray) + 2.0 * isinstance(a, np.ndarray) + 4.0 * (a.__class__ is np.ndarray)

    check(kernel)


def test_plain_arrays_of_the_kernel_stay_plain():
    """Conditions on them are known, they pick items and are sorted, and any function takes them."""

    def kernel(a):
        steps = np.linspace(1, 2, 3) * 2
        assert (steps > 1).all()
        assert np.any(steps == 2.0)
        big = steps > 2.5
        order = np.argsort(-steps)
        steps.sort()
        values, _ = np.linalg.eigh(np.eye(4) * 2.0)
        half = np.interp(0.5, [0, 1], [2, 4])
        return a[big] * steps[1:], a[order], a * np.linalg.det(np.eye(4) * 2.0) * values[0], a * np.flip(steps) * half

    check(kernel)


def test_arrays_in_branches():
    """Items, parts and views that only one branch writes to, and branches that give different arrays."""

    def thresholded(m, s):
        result = np.zeros((3, 3))
        for i, j in np.ndindex(3, 3):
            if m[i, j] > s:
                result[i, j] = m[i, j]
            elif i == j:
                result[i] += 1
        return result

    def greatest(a):
        best, place = a[0], np.array([1.0, 0.0, 0.0])
        for k in range(1, 3):
            if a[k] > best:
                best = a[k]
                place[:] = 0
                place[k] = 1.0
        return best, place

    def viewed(a, s):
        rows = np.zeros((2, 3))
        top, direction = rows[0], a if s > 0 else -a
        if a[0] > a[1]:
            top[:] = direction
        if np.all(a > 0):
            return rows, direction @ a
        return 2 * rows, s

    for function in (thresholded, greatest, viewed):
        check(function)


# orders of evaluation


@pytest.mark.parametrize(("function", "lines"), [
    (lambda a: np.sum(a), ["%3 = add(a[0], a[1])", "%4 = add(%3, a[2])"]),
    (lambda a: sum(a), ["%4 = add(0.0, a[0])", "%5 = add(%4, a[1])", "%6 = add(%5, a[2])"]),
    (lambda w: np.sum(w.T), ["%4 = add(w[0,0], w[1,0])", "%5 = add(%4, w[0,1])", "%6 = add(%5, w[1,1])"]),
    (lambda w: np.sum(w, axis=0)[1], ["%4 = add(w[0,0], w[1,0])", "%5 = add(w[0,1], w[1,1])"]),
    (lambda a: a.prod(), ["%3 = mul(a[0], a[1])", "%4 = mul(%3, a[2])"]),
    (lambda a: a.mean(), ["%3 = add(a[0], a[1])", "%4 = add(%3, a[2])", "%6 = div(%4, 3.0)"]),
    (lambda a: a.max(), ["%3 = maximum(a[0], a[1])", "%4 = maximum(%3, a[2])", "%5 = tied(%4, a[0], a[1], a[2], one of 3)"]),
    (lambda a: a[:2] @ a[1:], ["%3 = mul(a[0], a[1])", "%4 = mul(a[1], a[2])", "%5 = add(%3, %4)"]),
    (lambda a: TABLE @ a,
     ["%4 = mul(0.5, a[0])", "%6 = mul(-1.0, a[1])", "%7 = add(%4, %6)", "%9 = mul(2.0, a[2])", "%10 = add(%7, %9)"]),
    (lambda w: np.einsum("ij,ij", w, w),
     ["%4 = mul(w[0,0], w[0,0])", "%5 = mul(w[0,1], w[0,1])", "%6 = add(%4, %5)", "%7 = mul(w[1,0], w[1,0])", "%8 = add(%6, %7)",
      "%9 = mul(w[1,1], w[1,1])", "%10 = add(%8, %9)"]),
    (lambda a: np.linalg.norm(a[:2]), ["%3 = mul(a[0], a[0])", "%4 = mul(a[1], a[1])", "%5 = add(%3, %4)", "%6 = norm_root(%5)"]),
    (lambda w: np.linalg.det(w), ["%4 = mul(w[0,0], w[1,1])", "%5 = mul(w[0,1], w[1,0])", "%6 = sub(%4, %5)"]),
    (lambda a: a[:1] ** 3, ["%3 = powi(a[0], 3)"]),
    (lambda a: a[:1] ** 3.0, ["%4 = pow(a[0], 3.0)"]),
    (lambda a: np.zeros(3)[:1] * a[:1], ["%4 = mul(0.0, a[0])"]),
    (lambda s: np.add(np.ones(2), 1.0) * s, ["%2 = mul(2.0, s)"]),
])  # fmt: skip
def test_order_of_evaluation(function, lines):
    assert text(function)[:-1] == lines


@pytest.mark.parametrize("function", [
    lambda a: np.linalg.norm(a), lambda a: np.linalg.norm(a[:2]) + np.linalg.norm(a),
    lambda a: np.sum(np.linalg.norm(np.outer(a, a), axis=0)),
])  # fmt: skip
def test_norm_is_flat_at_the_zero_vector(function):
    """To first order, by choice; of second order there is none."""
    first = jacobian(traced(function).graph, (0, 1, 2))
    assert set(map(float, evaluate(first.graph, 0.0, 0.0, 0.0))) == {0.0}
    second = jacobian(first.graph, (0, 1, 2), "forward")
    assert np.isnan(evaluate(second.graph, 0.0, 0.0, 0.0)[second.n_outputs + 3 :]).all()


def test_gradient_of_the_norm():
    joint = jacobian(traced(lambda a: np.linalg.norm(a)).graph, (0, 1, 2))
    x = np.array([3.0, -4.0, 12.0])
    np.testing.assert_allclose(evaluate(joint.graph, *x), [13.0, *(x / 13)], rtol=1e-15)


# kernels in kernels

scaled = FakeKernel(lambda x, y: (x * y, x + y), "x y")


class VectorKernel(FakeKernel):
    """A kernel of core shapes, as the tracer sees it."""

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def bind_traced(self, args, kwargs):
        given = dict(zip(self.names, args, strict=False)) | kwargs
        return traced(self.function), list(given.values()), [SHAPES[name] for name in given]


turned = VectorKernel(lambda m, a: (m @ a, np.sum(a)), "m a")


def test_vector_kernel_in_a_kernel():
    check(lambda m, b: turned(m, b)[0] + turned(m, 2 * b)[1])
    check(lambda m, b, s: turned(np.eye(3) * s, a=b)[0] + turned(m, [s, 1, 2])[0])


def test_kernels_broadcast_over_the_arrays_of_a_kernel():
    check(lambda a, s: scaled(a, s)[0] + scaled(a, b := a * 2)[1] - b)
    run = traced(lambda m, n: turned(m, n))
    assert run.outputs == ((3, 3), (3,))
    np.testing.assert_allclose(evaluate(run.graph, *slots("mn"))[:9], (VALUES["n"] @ VALUES["m"].T).ravel())


def test_kernel_in_a_kernel_with_arrays_that_do_not_fit():
    def short(m, v):
        return turned(m, v)[1]

    def scalar(m, s):
        return turned(m, s)[1]

    what = "calls `kernel` with an array of shape (4,) for an argument of core shape (3,)"
    expect(short, what, "fix: x[:3]")
    expect(scalar, "calls `kernel` with an array of shape () for an argument of core shape (3,)", "fix: x[:3]")


# refusals


def test_writes_into_arguments():
    def item(a):
        a[0] = 1.0
        return a

    def part(m, s):
        m[0][1:] = s
        return m

    def in_place(a):
        a += 1
        return a

    def power(a):
        a **= 2
        return a

    def constant(a):
        np.broadcast_to(a[0], 3)[0] = 1
        return a

    def view(m):
        np.ravel(m)[:2] += 1
        return m

    def diagonal(m):
        np.diag(m.copy())[0] = 1
        return m

    expect(item, "writes to its argument a", "fix: a = a.copy()")
    expect(part, "writes to its argument m", "fix: m = m.copy()")
    expect(in_place, "writes to its argument a", "fix: a = a.copy()")
    expect(power, "writes to its argument a", "fix: a = a.copy()")
    expect(constant, "writes into a read-only array", "fix: x = x.copy()")
    expect(view, "writes to its argument m", "fix: m = m.copy()")
    expect(diagonal, "writes into a read-only array", "fix: x = x.copy()")


def test_writes_into_arrays_from_outside():
    outer = np.zeros(3)

    def in_place(a):
        nonlocal_array = outer
        nonlocal_array += a
        return a

    def item(a):
        outer[0] = a[0]
        return a

    def part(a):
        outer[1:] = a[1:]
        return a

    expect(in_place, "changes an array that was made outside the kernel", "fix: a = a + x", "nonlocal_array += a")
    for kernel in item, part:
        what = f"writes `a[{int(kernel is part)}]` into an array that was made outside the kernel, or is not of float64"
        expect(kernel, what, "fix: table = np.array(table, float)  # a copy, made in the kernel")
    assert (outer == 0).all()


def test_shapes_that_do_not_fit():
    def grown(m):
        z = np.zeros(3)
        z += m
        return z

    expect(grown, "writes an array of shape (3, 3) into one of shape (3,)", "fix: x[:3]", "z += m")

    def added(a, v):
        return a + v

    def multiplied(a, v):
        return a @ v

    def shorter(a):
        return np.vecdot(a[:1], a)

    def ragged(a, v):
        return np.array([a, v])

    def summed(m, v):
        return np.einsum("ij,j->i", m, v)

    def letters(m, a):
        return np.einsum("i,j->i", m, a)

    def dots(m, a):
        return np.einsum("...j,j", m, a)

    expect(added, "combines arrays of shapes (3,) and (4,), which do not broadcast", "fix: x[:, None] * y")
    expect(multiplied, "multiplies vectors of lengths 3 and 4", "fix: x[:3] @ y")
    expect(shorter, "multiplies vectors of lengths 1 and 3", "fix: np.vecdot(x[:3], y)")
    expect(ragged, "makes an array of parts of different shapes", "fix: np.array([[a, b], [c, d]])")
    expect(summed, "calls `numpy.einsum` with 'ij,j->i', where j is 3 and 4 long", "")
    expect(letters, "calls `numpy.einsum` with 'i,j->i' on shapes (3, 3), (3,)", "fix: np.einsum('ij,j->i', a, b)")
    expect(dots, "calls `numpy.einsum` without a letter for each axis", "fix: np.einsum('ij,j->i', a, b)")


def test_items_at_arrays_of_places():
    table = np.array([1.0, 4.0, 9.0, 16.0])

    def looked_up(v):
        places = np.searchsorted(np.array([0.0, 1.0, 2.0]), v)
        return table[places] * v + v[np.where(v > 1.0, 0, 2)]

    v = np.array([[-1.0, 0.5, 3.0], [1.5, 2.5, 0.0]])
    found = nbad.kernel(looked_up, signature="(3)->(3)")(v)
    np.testing.assert_allclose(found, [looked_up(row) for row in v], rtol=1e-15)
    with pytest.raises(TraceError, match="indexes an array by a traced value in this way"):
        nbad.kernel(lambda v: np.ones((2, 2))[np.where(v > 1.0, 0, 1)].sum(), signature="(3)->()")(v)


def test_what_depends_on_traced_values():
    def masked(a):
        return a[a > 0]

    def indexed(a, b):
        return np.array([a, b])[np.floor(b)]

    def sorted_method(a):
        return a.sort()

    def places(a):
        return np.argsort(a)

    def truth(a):
        return 1.0 if a > 0 else 0.0

    def to_integers(a):
        return a.astype(np.uint8)

    def of_integers(a):
        return np.array([a[0], 1], dtype=np.int16)

    expect(masked, "returns items that a traced condition picks", "fix: np.where(mask, x, 0.0)")
    expect(indexed, "indexes an array by a traced value in this way", "fix: table[i, :]")
    expect(sorted_method, "writes to its argument a", "fix: a = a.copy()")
    expect(places, "calls `numpy.argsort` on a traced value, which nbad does not know", "fix: np.sort(x)")
    expect(truth, "uses an array as True or False", "fix: np.all(x > 0), or np.any(x > 0)")
    expect(to_integers, "makes an array of dtype uint8 of traced values", "fix: np.array([x, y])")
    expect(of_integers, "makes an array of dtype int16 of traced values", "fix: np.array([x, y])")


def by(function, signature):
    return nbad.kernel(lambda a: function(a), signature=signature)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_sorting(size, rng):
    """Nan comes last, and is the median of what holds it."""

    def in_place(a):
        a = a.copy()
        a.sort()
        return a

    a, one = rng.normal(size=(20, size)), f"({size})->()"
    a[0, 0], a[1] = np.nan, 1.0
    for function in (np.sort, in_place):
        np.testing.assert_array_equal(by(function, f"({size})->({size})")(a), np.sort(a))
    median = nbad.kernel(lambda a: np.median(a), signature=one)
    np.testing.assert_array_equal(median(a), np.median(a, axis=-1))
    if size % 2:  # one item is the median
        middle = a[2:] == np.median(a[2:], axis=-1)[:, None]
        np.testing.assert_array_equal(nbad.grad(median)(a)[2:], middle)


def test_sorting_along_axes(rng):
    m = rng.normal(size=(4, 3, 2))
    np.testing.assert_array_equal(nbad.kernel(lambda m: np.sort(m, axis=0), signature="(3,2)->(3,2)")(m), np.sort(m, axis=1))
    np.testing.assert_array_equal(
        nbad.kernel(lambda m: np.sort(m, axis=None), signature="(3,2)->(6)")(m), np.sort(m.reshape(4, 6))
    )
    np.testing.assert_array_equal(nbad.kernel(lambda m: np.median(m, axis=1), signature="(3,2)->(3)")(m), np.median(m, axis=2))


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanmax", "nanmin"])
@pytest.mark.filterwarnings("ignore:(Mean of empty|All-NaN):RuntimeWarning")
def test_reductions_that_leave_nan_out(name, rng):
    """Nothing depends on what is nan: neither the value nor the derivative by the others."""
    function = getattr(np, name)
    a = rng.normal(size=(8, 4))
    a[0, 1], a[1, :3], a[2], a[3, 0], a[4] = np.nan, np.nan, np.nan, np.inf, [np.nan, -np.inf, 1.0, 2.0]
    f = nbad.kernel(lambda a: function(a), signature="(4)->()")
    np.testing.assert_allclose(f(a), function(a, axis=-1), rtol=1e-15)
    slopes = nbad.grad(f)(a)
    assert not slopes[np.isnan(a)].any()
    for row, slope in zip(a, slopes, strict=True):
        kept = row[~np.isnan(row)]
        if kept.size:
            of_these = by(getattr(np, name.removeprefix("nan")), f"({kept.size})->()")
            np.testing.assert_allclose(slope[~np.isnan(row)], nbad.grad(of_these)(kept), rtol=1e-15)
    m = np.stack([a[:4], a[4:]], axis=1)  # of shape (4, 2, 4)
    along = nbad.kernel(lambda m: function(m, axis=0), signature="(2,4)->(4)")
    np.testing.assert_allclose(along(m), function(m, axis=1), rtol=1e-15)
    with pytest.raises(TraceError, match=f"calls `numpy.{name}` on one element"):
        nbad.kernel(lambda x: function(x))(1.0)


def test_functions_that_do_not_take_these_arrays():
    def of_math(a):
        return math.exp(a)

    def to_float(a):
        return float(a)

    def with_options(a):
        return np.sum(a, where=a > 0)

    def large(a):
        return np.linalg.inv(np.outer([*a, 1.0], [*a, 1.0]))

    def oblong(r):
        return np.linalg.det(r)

    def order(m):
        return np.linalg.norm(m, 2)

    def weighted(a):
        return scipy.special.logsumexp(a, b=a)

    def reduced(a):
        return np.add.reduce(a)

    def nothing(a):
        return np.max(a[:0])

    def viewed(a):
        return np.real_if_close(np.zeros(3)) + a

    def number(a, s):
        return a @ s

    def unequal(m, v):
        return np.linalg.solve(m, v)

    expect(of_math, "calls `math.exp` on an array", "fix: [math.exp(v) for v in x]")
    expect(to_float, "calls `builtins.float` on an array", "fix: [float(v) for v in x]")
    expect(with_options, "passes `where=` to `numpy.sum`", "fix: np.sum(np.where(mask, x, 0.0))")
    expect(weighted, "passes `b=` to `scipy.special.logsumexp`", "fix: scipy.special.logsumexp(a + np.log(b))")
    expect(large, "calls `np.linalg.inv` on a matrix of 4 rows", "fix: np.linalg.inv(a[:3, :3])")
    expect(oblong, "calls `np.linalg.det` on an array of shape (2, 3)", "fix: np.linalg.det(a)  # one square matrix")
    expect(order, "takes the norm of order 2 of an array", "fix: np.linalg.norm(x)")
    expect(reduced, "calls `numpy.add.reduce` on a traced value, which nbad does not know", "fix: np.sum(x)")
    expect(nothing, "takes the least or greatest of no items", "fix: np.max(x)")
    expect(viewed, "takes a view of an array by `real_if_close`, which nbad does not know", "fix: x[1:]")
    expect(number, "uses `@` on a number", "fix: x * y")
    expect(unequal, "calls `np.linalg.solve` with shapes (3, 3) and (4,)", "fix: np.linalg.solve(a, b)")


def test_results_that_cannot_be_outputs():
    def conditions(a):
        return a > 0

    def nested(a):
        return (a, a), a

    what = "a number, an array, or a tuple, a dict or a list of these"
    expect(conditions, "returns a condition in an array", f"expected: {what}\n  fix: return np.where(condition, 1.0, 0.0)")
    expect(nested, "returns a tuple in a tuple", f"expected: {what}")


# random programs


def run_program(seed):
    """Compare one program's graph with what it makes of plain arrays; the text of the error where it is refused."""
    source = Writer(seed).program()
    kernel = program(source, f"<program {seed}>", "kernel", np=np)
    rng = np.random.default_rng(seed)
    values = {name: np.float64(rng.normal()) if shape == () else rng.normal(size=shape) for name, shape in ARGUMENTS.items()}
    given = {name: np.array(value)[()] for name, value in values.items()}
    expected = None
    with contextlib.suppress(ValueError):  # of a write into a diagonal, which is read-only
        expected = kernel(**given)
    try:
        run = trace(kernel, [Argument(name, shape) for name, shape in ARGUMENTS.items()], {})
    except TraceError as error:
        return str(error)
    assert expected is not None, source
    assert all(np.array_equal(given[name], value) for name, value in values.items()), source
    assert run.outputs == tuple(map(np.shape, expected)), source
    found = evaluate(run.graph, *(slot for value in values.values() for slot in np.ravel(value)))
    flat = np.concatenate([np.ravel(leaf) for leaf in expected])
    finite = flat[np.isfinite(flat)]
    atol = 1e-9 * max(1.0, np.max(np.abs(finite), initial=0))
    np.testing.assert_allclose(np.array(found, float), flat, rtol=1e-9, atol=atol, err_msg=source)
    return ""


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in range(100, 400, 100))])
def test_random_programs(first):
    """Refused are writes into arguments and diagonals, and methods of arrays on numbers; nothing else, and nothing wrongly."""
    refusals = [text for seed in range(first, first + 100) if (text := run_program(seed))]
    fitting = "writes to its argument|writes into a read-only array|reads the attribute|a scalar, as a sequence"
    assert [text for text in refusals if not re.search(fitting, text)] == []
    assert len(refusals) < 60


HELD = np.array([1.0, 2.0, 3.0])
HELPERS = {
    "zeros": lambda n: np.zeros(n),
    "nodes": lambda n: np.cos(np.pi * (np.arange(n) + 0.5) / n),
    "table": lambda n: HELD,
    "cached": functools.cache(lambda n: np.arange(n) * 0.5),
    "reversed_": lambda n: np.arange(float(n))[::-1],
}
zeros, nodes, table, cached, reversed_ = HELPERS.values()


def test_arrays_that_helpers_make_of_plain_values_may_be_written_to():
    def f(x, y):
        a, t, total = zeros(3), nodes(4), zeros(())
        a[0] = x
        a[1:] += y
        t *= x
        t[t > 0.5] = y
        total[np.asarray(x) > 1] = 2.0
        for node in nodes(3):
            y = y + x * node
        return a.sum() * t[0] + total * y + table(3)[1] * x + (cached(3) * x)[2] + reversed_(4)[0] * y

    x, y = np.array([0.4, 1.7]), np.array([2.5, 0.3])
    np.testing.assert_allclose(nbad.kernel(f)(x, y), [f(*map(np.float64, pair)) for pair in zip(x, y, strict=True)], rtol=1e-14)


@pytest.mark.parametrize("name", ["table", "cached", "reversed_"])
def test_arrays_of_helpers_that_others_hold_may_not(name):
    def f(x):
        a = HELPERS[name](3)
        a[0] = x
        return a[1]

    with pytest.raises(TraceError, match=r"made outside the kernel[\s\S]*np\.array\(table, float\)"):
        nbad.kernel(f)(np.ones(2))
    assert (HELD[0], cached(3)[0]) == (1.0, 0.0)


PLACES = {
    "argmin and argmax": lambda x, y, a: a[np.argmin(a)] * 3 + a.argmax() * a[np.argmax(a)],
    "of conditions": lambda x, y, a: np.argmax(a > 1.5) + x,
    "of each row": lambda x, y, a: np.argmax(a.reshape(2, 2), axis=0)[1] * x + np.argmin(a.reshape(2, 2), axis=1).sum() * y,
    "of nan": lambda x, y, a: np.argmin([x, np.nan, y]) + np.argmax([np.nan, x, np.nan]) * x,
    "of equal items": lambda x, y, a: np.argmin([x, x, 9.0]) + np.argmax([x, x]) * y + np.argmax([y, x, y, x]) * x,
    "a table": lambda x, y, a: [10.0, 20.0, 5.0][int(np.argmin([abs(x - k) for k in (1, 2, 3)]))] * y,
    "average": lambda x, y, a: np.average(a) * np.average(a, weights=[1, 2, y, 4]),
    "average of rows": lambda x, y, a: np.average(a.reshape(2, 2), axis=1, weights=[[1, x], [y, 2]])[1],
    "trapezoid": lambda x, y, a: np.trapezoid(a, [0.0, x, x + y, 7.0]) * np.trapezoid(a, dx=0.5),
    "trapezoid of columns": lambda x, y, a: np.trapezoid(a.reshape(2, 2), x=np.array([0.0, y]), axis=0)[1],
}


@pytest.mark.parametrize("function", PLACES.values(), ids=PLACES)
def test_places_and_weighted_sums(function):
    x, y = np.array([0.4, 1.3, 2.2, 3.1]), np.array([2.7, 0.6, 1.9, 3.4])

    def plain(x, y):
        return function(x, y, np.array([x, y, x * y, 2.0]))

    def slope(dx, dy):
        ratio = [
            (np.array(list(map(plain, x + s * dx, y + s * dy))) - list(map(plain, x - s * dx, y - s * dy))) / s for s in (1, 2)
        ]
        return ((4 * ratio[0] - ratio[1]) / 3) / 2e-4

    kernel = nbad.kernel(lambda x, y: function(x, y, np.array([x, y, x * y, 2.0])))
    np.testing.assert_allclose(kernel(x, y), list(map(plain, x, y)), rtol=1e-14)
    expected = np.stack([slope(1e-4, 0.0), slope(0.0, 1e-4)], axis=-1)
    np.testing.assert_allclose(nbad.jacobian(kernel)(x, y).reshape(-1, 2), expected, rtol=1e-8, atol=1e-8)
