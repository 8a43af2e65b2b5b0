"""Kernels with a signature: every call on vector and matrix arguments, in any shape and memory layout."""

import math

import numpy as np
import pytest
from helpers.same_bits import bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.errors import NbadError, TraceError
from nbad.graphs.interpreter import evaluate

CORES = (3,), (2, 2), ()
SLOTS = 8
NAMES = "a", "m", "s"


@nbad.kernel(signature="(3),(2,2),()->(2),()")
def mixed(a, m, s=2.0):
    v = m @ a[:2] * s + np.exp(a[2])
    return v, np.linalg.norm(a) * m[0, 1] + s * s


@nbad.kernel(signature="(3)->()")
def squares(x):
    return (x**2).sum() * x[0]


@nbad.kernel(signature="(3),(3)->(3)")
def cross(a, b):
    return np.cross(a, b)


# the oracle: the graph's interpreter on scalar slots


def split(x, core):
    """The slots of an argument as arrays over its batch."""
    return [x[(..., *index)] for index in np.ndindex(core)]


def batch(x, core):
    return x.shape[: x.ndim - len(core)]


def oracle(xs):
    """Both outputs and the Jacobian (*B, 3, 8)."""
    shape = np.broadcast_shapes(*map(batch, xs, CORES))
    slots = [slot for x, core in zip(xs, CORES, strict=True) for slot in split(np.broadcast_to(x, (*shape, *core)), core)]
    joint = mixed.whole_program().joint(tuple(range(SLOTS)), "reverse")
    results = evaluate(joint.graph, *slots)
    jacobian = np.zeros((*shape, 3, SLOTS))
    for (m, n), entry in zip(joint.positions, results[3:], strict=True):
        jacobian[..., m, n] = entry
    return (np.stack(results[:2], -1), results[2]), jacobian


def joined(seeds):
    return np.concatenate([seeds[0], np.asarray(seeds[1])[..., None]], -1)


def cotangents(jacobian, xs, seeds):
    """Cotangents by the oracle's Jacobian, each summed to the shape of its argument."""
    flat, start, results = np.einsum("...m,...mn->...n", joined(seeds), jacobian), 0, []
    for x, core in zip(xs, CORES, strict=True):
        size = int(np.prod(core))
        part = np.reshape(flat[..., start : start + size], (*flat.shape[:-1], *core))
        part = part.sum(axis=tuple(range(part.ndim - x.ndim)))
        axes = tuple(k for k, length in enumerate(batch(x, core)) if length == 1)
        results.append(part.sum(axis=axes, keepdims=True))
        start += size
    return results


def tangent_of(jacobian, tangents):
    shape = jacobian.shape[:-2]
    flat = [np.broadcast_to(t, (*shape, *core)).reshape(*shape, math.prod(core)) for t, core in zip(tangents, CORES, strict=True)]
    return np.einsum("...mn,...n->...m", jacobian, np.concatenate(flat, -1))


def near(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def same(got, expected):
    assert bits(tuple(got)) == bits(tuple(expected))


BATCHES = {
    "no batch": ((), (), ()),
    "equal": ((5,), (5,), (5,)),
    "one shared": ((5,), (), (5,)),
    "one varies": ((), (4,), ()),
    "outer": ((3, 1), (1, 4), ()),
    "partly": ((3, 1), (4,), (3, 4)),
    "empty": ((0,), (), ()),
    "empty axis": ((2, 0), (1,), (2, 1)),
    "tiles": ((300,), (300,), (1,)),
    "tiles and axes": ((3, 1), (3, 300), (300,)),
    "total sums": ((1,), (600,), ()),
}


@pytest.fixture(params=BATCHES)
def case(request, rng):
    """Arguments, their oracle's outputs and Jacobian, and seeds."""
    xs = [np.asarray(rng.normal(size=(*own, *core))) for own, core in zip(BATCHES[request.param], CORES, strict=True)]
    ys, jacobian = oracle(xs)
    return xs, ys, jacobian, tuple(np.asarray(rng.normal(size=y.shape)) for y in ys)


# calls


def test_value_and_jacobian(case):
    xs, ys, expected, _ = case
    near(mixed(*xs), ys)
    jacobian = nbad.jacobian(mixed)(*xs)
    near([jacobian], [expected])
    both = nbad.value_and_jacobian(mixed)(*xs)
    same([*both[0], both[1]], [*mixed(*xs), jacobian])


def test_cotangents_have_the_shapes_of_the_arguments(case):
    xs, _, jacobian, seeds = case
    y, pullback = nbad.vjp(mixed, *xs)
    same(y, mixed(*xs))
    first = pullback(seeds)
    near(first, cotangents(jacobian, xs, seeds))
    same(pullback(seeds), first)
    near(pullback((1.0, seeds[1])), cotangents(jacobian, xs, (np.ones_like(seeds[0]), seeds[1])))
    near(pullback((seeds[0], 2.0)), cotangents(jacobian, xs, (seeds[0], np.full_like(seeds[1], 2.0))))


def test_batched_seeds(case):
    xs, _, _, seeds = case
    _, pullback = nbad.vjp(mixed, *xs)
    many = pullback.batched(tuple(np.stack([w, -2 * w, 0 * w]) for w in seeds))
    for factor, row in zip((1, -2, 0), range(3), strict=True):
        same([ct[row] for ct in many], pullback(tuple(factor * w for w in seeds)))
    none = pullback.batched(tuple(np.empty((0, *w.shape)) for w in seeds))
    assert [ct.shape for ct in none] == [(0, *x.shape) for x in xs]


@pytest.mark.parametrize("policy", ["partials", "mincut", "recompute"])
def test_residual_policies(case, policy):
    xs, _, jacobian, seeds = case
    near(nbad.vjp(mixed, *xs, residuals=policy)[1](seeds), cotangents(jacobian, xs, seeds))


def test_tangents(case, rng):
    xs, _, jacobian, _ = case
    tangents = tuple(rng.normal(size=x.shape) for x in xs)
    expected = tangent_of(jacobian, tangents)
    y, y_dot = nbad.jvp(mixed, tuple(xs), tangents)
    same(y, mixed(*xs))
    near(y_dot, (expected[..., :2], expected[..., 2]))
    _, pushforward = nbad.linearize(mixed, *xs)
    near(pushforward(tangents), y_dot)
    many = pushforward.batched(tuple(np.stack([t, 2 * t]) for t in tangents))
    same([dot[0] for dot in many], pushforward(tangents))
    ones = nbad.jvp(mixed, tuple(xs), (1.0, 0.0, 0.0))[1]
    near(ones, nbad.jvp(mixed, tuple(xs), (np.ones_like(xs[0]), 0.0, 0.0))[1])


def test_out_and_accumulate(case):
    xs, ys, jacobian, seeds = case
    out = tuple(np.empty(y.shape) for y in ys)
    assert mixed(*xs, out=out) is out
    same(out, mixed(*xs))
    blocks = np.empty(jacobian.shape)
    assert nbad.jacobian(mixed)(*xs, out=blocks) is blocks
    same([blocks], [nbad.jacobian(mixed)(*xs)])
    sums = tuple(np.ones(x.shape) for x in xs)
    pullback = nbad.vjp(mixed, *xs)[1]
    pullback(seeds, out=sums, accumulate=True)
    near(sums, [1 + ct for ct in pullback(seeds)])


def test_float32(case):
    xs, ys, jacobian, seeds = case
    singles = [x.astype(np.float32) for x in xs]
    y, pullback = nbad.vjp(mixed, *singles)
    results = [*y, *pullback(tuple(w.astype(np.float32) for w in seeds)), nbad.jacobian(mixed)(*singles)]
    for got, expected in zip(results, [*ys, *cotangents(jacobian, xs, seeds), jacobian], strict=True):
        assert got.dtype == np.float32
        assert_allclose(got, expected, rtol=2e-4, atol=1e-3 if np.size(expected) < 1e4 else 1e-2)


# memory layouts


def fields(x, core):
    """A field of a structured array."""
    own = np.zeros(batch(x, core), [("before", "i4"), ("x", x.dtype, core), ("after", "u1")])
    own["x"] = x
    return own["x"]


def strided(x, core):
    """Every other item of a larger array, along every axis, backwards."""
    large = np.full([2 * size for size in x.shape], np.nan)
    view = large[(..., *(slice(None, None, -2) for _ in x.shape))]
    view[...] = x
    return view


def core_axes_first(x, core):
    """The memory of one component after that of another."""
    ahead, back = range(len(core)), range(-len(core), 0)
    return np.moveaxis(np.array(np.moveaxis(x, back, ahead), order="C"), ahead, back)


LAYOUTS = {
    "fortran": lambda x, core: np.array(x, order="F"),
    "core axes first": core_axes_first,
    "strided backwards": strided,
    "fields of structures": fields,
    "big-endian": lambda x, core: x.astype(">f8"),
    "read-only": lambda x, core: np.broadcast_to(x, x.shape),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_do_not_show_in_the_bits(case, layout):
    xs, _, _, seeds = case
    moved = [LAYOUTS[layout](x, core) for x, core in zip(xs, CORES, strict=True)]
    same([x.astype(float) for x in moved], xs)
    y, pullback = nbad.vjp(mixed, *moved)
    same(y, mixed(*xs))
    leaves = tuple(LAYOUTS[layout](w, core) for w, core in zip(seeds, ((2,), ()), strict=True))
    same(pullback(leaves), nbad.vjp(mixed, *xs)[1](seeds))
    same([nbad.jacobian(mixed)(*moved)], [nbad.jacobian(mixed)(*xs)])


def test_vectors_repeated_and_overlapping_in_memory(rng):
    """Core axes of stride 0, and windows into one array."""
    path = rng.normal(size=20)
    windows = np.lib.stride_tricks.sliding_window_view(path, 3)
    equal = np.broadcast_to(path[:18, None], (18, 3))
    assert_array_equal(cross(windows, equal), cross(windows.copy(), equal.copy()))
    assert_allclose(cross(windows, equal), np.cross(windows, equal), atol=1e-14)


def test_inputs_that_are_no_float_arrays():
    expected = [-3.0, 6.0, -3.0]
    assert_array_equal(cross([1.0, 2.0, 3.0], (4, 5, 6)), expected)
    assert_array_equal(cross(np.array([1, 2, 3]), np.array([4, 5, 6], np.int8)), expected)
    assert_array_equal(cross(np.array([1, 2, 3], np.float16), np.array([4, 5, 6], np.float32)), expected)
    _, pullback = nbad.vjp(cross, np.array([1, 2, 3]), [4.0, 5.0, 6.0])
    assert [ct.shape for ct in pullback(1.0)] == [(3,)]


def test_results_written_in_any_layout(rng):
    a, b = rng.normal(size=(2, 300, 3))
    for out in (np.empty((3, 300)).T, np.empty((300, 6))[:, ::2], np.empty((300, 3))[::-1, ::-1]):
        cross(a, b, out=out)
        assert_array_equal(out, cross(a, b))
        _, pullback = nbad.vjp(cross, a, b)
        pullback(a, out=(out, np.empty((300, 3))))
        assert_array_equal(out, pullback(a)[0])


@given(st.data())
def test_any_batch_shapes(data):
    """Shapes that broadcast, against explicit repetition."""
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    owns = [tuple(1 if data.draw(st.booleans()) else n for n in shape[data.draw(st.integers(0, len(shape))) :]) for _ in CORES]
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(*own, *core)) for own, core in zip(owns, CORES, strict=True)]
    shape = np.broadcast_shapes(*owns)
    tiled = [np.broadcast_to(x, (*shape, *core)).copy() for x, core in zip(xs, CORES, strict=True)]
    (y, pullback), (expected, plain) = nbad.vjp(mixed, *xs), nbad.vjp(mixed, *tiled)
    same(y, expected)
    seeds = tuple(rng.normal(size=(*shape, *core)) for core in ((2,), ()))
    for got, terms, x, core in zip(pullback(seeds), plain(seeds), xs, CORES, strict=True):
        assert np.shape(got) == x.shape
        terms = np.sum(terms, axis=tuple(range(len(shape) - len(batch(x, core)))))
        axes = tuple(k for k, size in enumerate(batch(x, core)) if size == 1)
        assert_allclose(got, terms.sum(axis=axes, keepdims=True), rtol=1e-12, atol=1e-12)


# argnums, defaults, second order


def test_argnums_and_defaults(rng):
    a, m = rng.normal(size=(4, 3)), rng.normal(size=(4, 2, 2))
    same(mixed(a, m), mixed(a, m, 2.0))
    full = nbad.jacobian(mixed)(a, m, 2.0)
    assert nbad.jacobian(mixed)(a, m).shape == (4, 3, 7)
    same([nbad.jacobian(mixed, ("s", 0))(a, m, 2.0)], [full[..., [7, 0, 1, 2]]])
    assert [ct.shape for ct in nbad.vjp(mixed, a, m, 2.0, argnums=-2)[1]((1.0, 1.0))] == [(4, 2, 2)]


def test_default_of_a_vector_argument_is_a_constant_array(rng):
    @nbad.kernel(signature="(3),(3)->(),(3)")
    def weighted(x, w=(1.0, 2.0, 3.0)):
        own = w.copy()
        own[0] = x[0]
        return x @ w, own

    x = rng.normal(size=(5, 3))
    y, own = weighted(x)
    assert_allclose(y, x @ [1.0, 2.0, 3.0], rtol=1e-14)
    assert_array_equal(own, np.column_stack([x[:, 0], np.full(5, 2.0), np.full(5, 3.0)]))
    same(weighted(x, np.array([1.0, 2.0, 3.0])), (y, own))


def test_gradient_and_hessian(rng):
    x = rng.normal(size=(4, 3))
    gradient = nbad.grad(squares)
    assert gradient.signature == "(3)->(3)"
    expected = 2 * x * x[:, :1] + np.eye(3)[0] * (x**2).sum(axis=1)[:, None]
    assert_allclose(gradient(x), expected, rtol=1e-14, atol=1e-14)
    value, partials = nbad.value_and_grad(squares)(x)
    same((value, partials), (squares(x), gradient(x)))
    cross_terms = 2 * (x[:, :, None] * np.eye(3)[0] + x[:, None, :] * np.eye(3)[0][:, None])
    hessian = 2 * x[:, 0, None, None] * np.eye(3) + cross_terms
    assert_allclose(nbad.hessian(squares)(x), hessian, rtol=1e-13, atol=1e-13)
    assert_allclose(nbad.jacobian(gradient)(x), hessian, rtol=1e-13, atol=1e-13)
    v = rng.normal(size=(4, 3))
    assert_allclose(nbad.hvp(squares, (x,), (v,))[0], np.einsum("kij,kj->ki", hessian, v), rtol=1e-12)


def test_gradient_by_several_arguments(rng):
    @nbad.kernel(signature="(2),(),(2,2)->()")
    def form(x, s, a):
        return s * (x @ a @ x)

    x, s, a = rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=(3, 2, 2))
    by_a, by_x = nbad.grad(form, ("a", 0))(x, s, a)
    assert_allclose(by_a, s[:, None, None] * x[:, :, None] * x[:, None, :], rtol=1e-14)
    assert_allclose(by_x, s[:, None] * np.einsum("kij,kj->ki", a + a.transpose(0, 2, 1), x), rtol=1e-13)
    assert nbad.grad(form, ("a", 0)).signature == "(2),(),(2,2)->(2,2),(2)"
    assert nbad.hessian(form, (0, "s"))(x, s, a).shape == (3, 3, 3)
    assert nbad.grad(nbad.grad(form, "s"))(x, s, a).shape == (3, 2)


def test_norm_at_zero_is_flat_next_to_elements_where_it_is_not():
    @nbad.kernel(signature="(2)->()")
    def length(x):
        return np.linalg.norm(x)

    x = np.array([[0.0, 0.0], [3.0, -4.0], [-0.0, 0.0]])
    assert_allclose(nbad.jacobian(length)(x)[:, 0], [[0, 0], [0.6, -0.8], [0, 0]], rtol=1e-15)
    assert_array_equal(nbad.vjp(length, x)[1](np.array([1.0, 0.0, 2.0]))[0], np.zeros((3, 2)))
    unbounded = np.full((2, 2), np.nan)
    assert_allclose(nbad.hessian(length)(x), [unbounded, [[0.128, 0.096], [0.096, 0.072]], unbounded], rtol=1e-13)


def test_reductions_have_the_bits_of_a_plain_loop(rng):
    """`np.sum` of plain arrays adds in pairs; here it is a loop from left to right."""

    @nbad.kernel(signature="(40),(40)->(),()", math="libm")
    def sums(x, y):
        return np.sum(x), x @ y

    def loop(x, y):
        total, product = x[0], x[0] * y[0]
        for a, b in zip(x[1:], y[1:], strict=True):
            total, product = total + a, product + a * b
        return total, product

    x, y = rng.normal(size=(2, 50, 40)) * 10.0 ** rng.integers(-8, 8, size=(2, 50, 40))
    assert_array_equal(np.array(sums(x, y)).T, [loop(*pair) for pair in zip(x, y, strict=True)])


# kernels in kernels


def test_vector_kernels_in_kernels(rng):
    @nbad.kernel(signature="(3),(3),(3)->(),(3)")
    def volume(a, b, c):
        normal = cross(a, b=b)
        return normal @ c + squares([a[0], 1, 0]), nbad.grad(squares)(normal)

    a, b, c = rng.normal(size=(3, 5, 3))
    y, slope = volume(a, b, c)
    normal = np.cross(a, b)
    assert_allclose(y, (normal * c).sum(axis=1) + (a[:, 0] ** 2 + 1) * a[:, 0], rtol=1e-12)
    assert_allclose(slope, nbad.grad(squares)(normal), rtol=1e-12)
    jacobian = nbad.jacobian(volume)(a, b, c)
    assert_allclose(jacobian[:, 0, 6:], normal, rtol=1e-13)
    assert jacobian.shape == (5, 4, 9)


def test_scalar_kernels_broadcast_over_vectors_in_kernels(rng):
    @nbad.kernel
    def decay(t, rate=0.5):
        return np.exp(-rate * t)

    @nbad.kernel(signature="(3),()->(3)")
    def decays(t, rate):
        return decay(t, rate) + decay(t)

    t, rate = rng.random((4, 3)), rng.random(4)
    assert_allclose(decays(t, rate), np.exp(-rate[:, None] * t) + np.exp(-0.5 * t), rtol=1e-14)


def test_other_verbs_in_kernels_are_refused():
    @nbad.kernel(signature="(3)->(3)")
    def slope(x):
        return nbad.jacobian(squares)(x)[0]

    @nbad.kernel(signature="(3)->(3)")
    def pulled(x):
        return nbad.vjp(squares, x)[1](1.0)[0]

    text = r" with a traced value[\s\S]*fix: nbad\.grad\(f\)\(x\)"
    with pytest.raises(TraceError, match=r"kernel `slope` calls `nbad\.jacobian\(f\)`" + text):
        slope(np.ones(3))
    with pytest.raises(TraceError, match=r"kernel `pulled` calls `nbad\.vjp`" + text):
        pulled(np.ones(3))


# refusals


def test_signatures_that_do_not_fit():
    def f(x, y):
        return x

    fault = r"`nbad\.kernel\(signature=.*\)` does not fit `f\(x, y\)`[\s\S]*fix: "
    wrong = {
        "(3)->(3)": "(3),()->(3)",
        "(3),": "(3),()->()",
        "(n),()->(m)": "(n),()->(3)",
        "(n)->(n,m)": "(n),()->(n,3)",
        "(3),(3)->": "(3),(3)->()",
        "(3)(3)->()": "(3),(3)->()",
        "(3),()->...": "(3),()->()",
        "(0),()->()": "(),()->()",
        "(3),(),()->()": "(3),()->()",
        "3,()->()": "(),()->()",
    }
    for signature, meant in wrong.items():
        with pytest.raises(ValueError, match=fault) as caught:
            nbad.kernel(f, signature=signature)
        fix = eval(str(caught.value).rpartition("fix: signature=")[2])
        assert nbad.kernel(f, signature=fix).signature == meant
    assert nbad.kernel(f, signature=" (3 , 2), ( ) -> (3,2)")(np.ones((3, 2)), 0.0).shape == (3, 2)


def test_results_that_do_not_fit_the_signature(rng):
    def f(x):
        return x[:2]

    def g(x, y):
        return x, np.array([x, y])

    text = r"kernel `g` returns an array, but has no signature that says so[\s\S]*got: \(\),\(2\)\n  expected: one number"
    with pytest.raises(TraceError, match=text + r', or a tuple[\s\S]*nbad.kernel\(sig\w+="\(\),\(\)->\(\),\(2\)"\)'):
        nbad.kernel(g)(1.0, 2.0)
    text = r"`f` does not return what its signature says[\s\S]*got: \(2\)\n  expected: "
    with pytest.raises(TraceError, match=text + r'\(3\)\n  fix: signature="\(3\)->\(2\)"'):
        nbad.kernel(f, signature="(3)->(3)")(np.ones(3))
    with pytest.raises(TraceError, match=text + r"\(2\),\(\)\n"):
        nbad.kernel(f, signature="(3)->(2),()")(np.ones(3))


FAULTS = {
    "core shape": (lambda x: cross(x, x.T),
                   r"`cross\(a, b\)`: b does not end in its core shape[\s\S]*got: shape \(3, 5\)\n  expected: .* \(\.\.\., 3\)"),
    "number": (lambda x: cross(x, 1.0), r"b does not end in its core shape[\s\S]*got: shape \(\)"),
    "batch": (lambda x: cross(x, x[:4]), r"the arguments do not broadcast[\s\S]*got: a \(5,\), b \(4,\)"),
    "seed": (lambda x: nbad.vjp(cross, x, x)[1](np.ones(5)),
             r"`pullback\(ct\)`: ct has a wrong shape[\s\S]*got: shape \(5,\)\n  expected: shape \(5, 3\)"),
    "seeds": (lambda x: nbad.vjp(cross, x, x)[1].batched(x),
              r"ct has a wrong shape[\s\S]*got: shape \(5, 3\)\n  expected: shape \(S, 5, 3\)"),
    "tangent": (lambda x: nbad.jvp(cross, (x, x), (np.ones(3), 0.0)),
                r"the tangent of a has a wrong shape[\s\S]*got: shape \(3,\)\n  expected: shape \(5, 3\)"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "text"), FAULTS.values(), ids=FAULTS.keys())
def test_arguments_that_do_not_fit(call, text):
    with pytest.raises(ValueError, match=text):
        call(np.ones((5, 3)))


def test_gradient_of_an_array_is_refused():
    text = r"gradients and Hessians take kernels with one number as output, but `cross` returns an array of shape \(3,\)"
    with pytest.raises(TypeError, match=text):
        nbad.grad(cross)(np.ones(3), np.ones(3))


def test_writing_into_an_argument_names_the_line():
    @nbad.kernel(signature="(3)->(3)")
    def doubled(x):
        x[0] *= 2
        return x

    text = r"kernel `doubled` writes to its argument x:\n    x\[0\] \*= 2 +\(test_signatures\.py:\d+\)\n  fix: x = x\.copy\(\)"
    with pytest.raises(TraceError, match=text):
        doubled(np.ones(3))


def test_default_that_does_not_fit_its_core_shape():
    @nbad.kernel(signature="(3),(3)->()")
    def weighted(x, w=(1.0, 2.0)):
        return x @ w

    text = r"kernel `weighted`: the default of w does not have[\s\S]*got: shape \(2,\)\n  expected: shape \(3,\), as"
    with pytest.raises(NbadError, match=text + r" in the signature \(3\)"):
        weighted(np.ones(3))
