"""Kernels whose signature has letters for sizes: one specialization for each, told by the shapes of the arguments."""

import math
import pickle
import re

import jax
import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.api import entries
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError


@nbad.kernel(signature="(n)->(n)")
def softmax(x):
    e = np.exp(x)
    return e / e.sum()


@nbad.kernel(signature="(n),(n)->()")
def dot(a, b):
    return np.dot(a, b)


@nbad.kernel(signature="(m,n),(n)->(m)")
def apply(a, x):
    return a @ x


@nbad.kernel(signature="(n),()->()", static=("power",))
def moment(x, scale, power=2):
    return np.sum((x * scale) ** power)


@nbad.kernel(signature="(3),(k,3)->(k)")
def distances(origin, points):
    return np.sqrt(((points - origin) ** 2).sum(axis=1))


def expected_softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def softmax_jacobian(x):
    p = expected_softmax(x)
    return p[..., :, None] * (np.eye(x.shape[-1]) - p[..., None, :])


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_every_verb_takes_arguments_of_any_size(size):
    rng = np.random.default_rng(size)
    x, ct = rng.normal(size=(7, size)), rng.normal(size=(7, size))
    jacobian = softmax_jacobian(x)
    y, pullback = nbad.vjp(softmax, x)
    assert_allclose(y, expected_softmax(x), rtol=1e-14)
    assert_allclose(pullback(ct)[0], np.einsum("bm,bmn->bn", ct, jacobian), rtol=1e-12, atol=1e-15)
    assert_allclose(nbad.jacobian(softmax)(x), jacobian, rtol=1e-12, atol=1e-15)
    assert_allclose(nbad.jvp(softmax, (x,), (ct,))[1], np.einsum("bmn,bn->bm", jacobian, ct), rtol=1e-12, atol=1e-15)
    assert_allclose(nbad.linearize(softmax, x)[1]((ct,)), np.einsum("bmn,bn->bm", jacobian, ct), rtol=1e-12, atol=1e-15)
    assert_allclose(nbad.hessian(dot, "a")(x, ct), np.zeros((7, size, size)))
    assert_allclose(nbad.grad(moment)(x, 3.0), 18 * x, rtol=1e-14)
    value, gradient = nbad.value_and_grad(moment)(x, 3.0)
    assert_allclose(value, 9 * (x**2).sum(-1), rtol=1e-14)
    assert_allclose(gradient, 18 * x, rtol=1e-14)
    assert_allclose(nbad.grad(nbad.grad(nbad.kernel(lambda t: t * t)))(x), np.full(x.shape, 2.0))


def test_sizes_take_turns_and_small_calls_come_back_right():
    for turn in range(4):
        for size in (3, 4, 2, 7):
            a, b = np.arange(size) + turn, np.ones(size)
            assert dot(a, b) == sum(range(size)) + turn * size
            assert_array_equal(nbad.vjp(dot, a.astype(float), b)[1](2.0)[0], 2 * b)
            assert_array_equal(nbad.jacobian(dot, "b")(a.astype(float), b)[0], a)


def test_letters_name_equal_sizes_in_any_order_of_axes():
    rng = np.random.default_rng(0)
    a, x = rng.normal(size=(5, 2, 4)), rng.normal(size=(1, 4))
    assert_allclose(apply(a, x), np.einsum("bmn,bn->bm", a, np.broadcast_to(x, (5, 4))), rtol=1e-13)
    origin, points = rng.normal(size=3), rng.normal(size=(6, 5, 3))
    assert_allclose(distances(origin, points), np.linalg.norm(points - origin, axis=-1), rtol=1e-14)


def test_float32_stays_and_out_is_written():
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    out = np.empty_like(x)
    assert softmax(x, out=out) is out
    assert out.dtype == np.float32
    assert_allclose(out, expected_softmax(x.astype(float)), rtol=1e-6)


def test_static_values_lists_and_keywords_go_with_sizes():
    assert moment([1.0, 2.0, 3.0], scale=1.0) == 14
    assert moment([1.0, 2.0], 2.0, power=3) == 8 + 64
    assert moment(x=[2.0], scale=1.0, power=5) == 32


def test_dicts_of_arrays_share_their_size():
    @nbad.kernel(signature="(n),(n)->()")
    def energy(p, w):
        return np.sum(w * (p["u"] * p["v"]))

    u, v, w = np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1.0, 10.0])
    y, pullback = nbad.vjp(energy, {"u": u, "v": v}, w)
    assert y == 83
    found = pullback(1.0)[0]
    assert_array_equal(found["u"], v * w)
    assert_array_equal(found["v"], u * w)


def test_kernels_within_kernels_have_the_size_of_what_they_are_given():
    @nbad.kernel(signature="(4),(2)->()")
    def both(a, b):
        return dot(a, a) + dot(b, b)

    assert both([1.0, 1.0, 1.0, 1.0], [2.0, 3.0]) == 17


def test_picked_arguments_have_sizes():
    nodes, ends = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]]), np.array([[0, 1], [1, 2]])

    @nbad.kernel(signature="(2,d)->()")
    def squared(ends):
        d = ends[1] - ends[0]
        return np.dot(d, d)

    assert_array_equal(squared(nbad.indexed(nodes, ends)), [25, 16])


def test_a_default_of_the_core_shape_tells_a_size():
    @nbad.kernel(signature="(),(n)->()")
    def polynomial(x, coefficients=(1.0, 2.0, 3.0)):
        total = 0.0
        for c in coefficients:
            total = total * x + c
        return total

    assert polynomial(2.0) == 11
    assert polynomial(2.0, [1.0, 0.0]) == 2


def test_a_kernel_of_one_size_is_a_kernel_as_any():
    three = softmax.sized(n=3)
    assert three.signature == "(3)->(3)"
    assert softmax.sized(n=3) is three
    assert_allclose(three([1.0, 2.0, 3.0]), expected_softmax(np.array([1.0, 2.0, 3.0])), rtol=1e-14)
    assert nbad.jacobian(three)([0.0, 0.0, 0.0]).shape == (3, 3)
    assert "exp" in nbad.show(three, "graph")
    slope = nbad.grad(dot, "b").sized(n=2)
    assert slope.signature == "(2),(2)->(2)"
    assert_array_equal(slope([1.0, 2.0], [5.0, 5.0]), [1, 2])
    assert apply.sized(m=2, n=4).signature == "(2,4),(4)->(2)"
    assert nbad.kernel(lambda x: x).sized().signature is None


def test_kernels_of_a_size_and_their_pullbacks_pickle():
    assert pickle.loads(pickle.dumps(softmax)) is softmax
    assert pickle.loads(pickle.dumps(softmax.sized(n=4))) is softmax.sized(n=4)
    x = np.linspace(0, 1, 8).reshape(2, 4)
    pullback = nbad.vjp(softmax, x)[1]
    assert_array_equal(pickle.loads(pickle.dumps(pullback))(x)[0], pullback(x)[0])


def test_a_kernel_of_a_size_in_compiled_code():
    three = dot.sized(n=3)

    @numba.njit
    def call(a, b):
        return three(a, b)

    assert call(np.array([1.0, 2.0, 3.0]), np.ones(3)) == 6


def test_check_kernel_and_explain_take_the_size_of_their_arguments():
    x = np.random.default_rng(2).normal(size=(20, 3))
    assert nbad.testing.check_kernel(softmax, x).entries
    assert "softmax" in str(nbad.explain(softmax, x))


def test_a_kernel_shows_what_was_made_for_its_sizes():
    kernel = nbad.kernel(lambda x: x.sum(), signature="(n)->()")
    kernel([1.0, 2.0]), kernel([1.0, 2.0, 3.0])
    assert "<math" in kernel._repr_html_()
    assert kernel.inspect_asm()


def test_functions_of_jax_take_any_size():
    function = nbad.integrations.jax.function(softmax)
    for size in (2, 5):
        x = np.linspace(0, 1, size, dtype=np.float32)
        assert_allclose(jax.jit(jax.jacrev(lambda v: function(v)))(x), softmax_jacobian(x), rtol=1e-5, atol=1e-6)


def test_methods_have_sizes():
    class Scaled:
        def __init__(self, scale):
            self.scale = scale

        @nbad.kernel(signature="(n)->()")
        def norm(self, x):
            return self.scale * np.sum(x * x)

    assert Scaled(2.0).norm([1.0, 2.0]) == 10
    assert Scaled(3.0).norm([1.0]) == 3


REFUSED = {
    "other size": (
        lambda: dot(np.ones(3), np.ones((2, 4))),
        ArgumentValueError,
        r"`dot\(a, b\)`: b does not fit a: both have the size n in the signature \(n\),\(n\)->\(\)\n(.|\n)*"
        r"got: n = 3 in a of shape \(3,\), n = 4 in b of shape \(2, 4\)\n(.|\n)*fix: a\[\.\.\., :3\], b\[\.\.\., :3\]",
    ),
    "too few axes": (
        lambda: dot(1.0, np.ones(3)),
        ArgumentValueError,
        r"`dot\(a, b\)`: a has no axes for its core \(n\)\n(.|\n)*got: shape \(\)\n  expected: 1 axis at least"
        r"(.|\n)*fix: np.atleast_1d\(a\)",
    ),
    "not square": (
        lambda: nbad.kernel(lambda m: m[0, 0], signature="(n,n)->()")(np.ones((2, 3))),
        ArgumentValueError,
        r"m has the size n twice in the signature \(n,n\)->\(\)\n(.|\n)*got: n = 2 and 3 in m of shape \(2, 3\)\n(.|\n)*"
        r"fix: m\[\.\.\., :2, :2\]",
    ),
    "empty core": (
        lambda: softmax(np.ones((3, 0))),
        ArgumentValueError,
        r"`softmax\(x\)`: x has a core of no numbers\n(.|\n)*got: n = 0 in x of shape \(3, 0\)",
    ),
    "no size yet": (
        lambda: nbad.show(softmax),
        ArgumentTypeError,
        r"`softmax\(x\)`: its calls alone tell what n in its signature is\n(.|\n)*fix: softmax.sized\(n=3\)",
    ),
    "size that is none": (
        lambda: softmax.sized(n=0),
        ArgumentValueError,
        r"`softmax.sized\(n=0\)`: n is no size\n(.|\n)*expected: a whole number from 1 on\n(.|\n)*fix: softmax.sized\(n=3\)",
    ),
    "other letters": (
        lambda: softmax.sized(m=3),
        ArgumentTypeError,
        r"`softmax.sized\(m=3\)`: the signature \(n\)->\(n\) has the letters n\n(.|\n)*fix: softmax.sized\(n=3\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_runs(case):
    call, kind, text = REFUSED[case]
    with pytest.raises(kind, match=text):
        call()


def test_fixes_run():
    a, b = np.ones(3), np.ones((2, 4))
    assert_array_equal(dot(a[..., :3], b[..., :3]), [3, 3])
    assert dot(np.atleast_1d(1.0), [2.0]) == 2


def test_letters_of_outputs_are_those_of_arguments():
    text = r"got: p in an output, and in no argument\n  expected: a group of sizes for each of "
    with pytest.raises(ArgumentValueError, match=text):
        nbad.kernel(lambda x: x, signature="(n)->(p)")


@pytest.mark.parametrize(
    ("function", "written", "shapes", "fits"),
    [
        (lambda x: x[1:], "(n)->(n)", [(4,)], "(n)->(3)"),
        (lambda x: (x, x[:2]), "(n)->(n),()", [(4,)], "(n)->(n),(2)"),
        (lambda x, y: np.outer(y, x), "(n),(m)->(n,m)", [(4,), (3,)], "(n),(m)->(m,n)"),
    ],
)
def test_outputs_of_another_size_are_refused_and_the_signature_for_them_has_letters(function, written, shapes, fits):
    arrays = [np.arange(1.0, 1.0 + math.prod(shape)).reshape(shape) for shape in shapes]
    fix = re.escape(f'fix: signature="{fits}"')
    with pytest.raises(TraceError, match=rf"does not return what its signature says\n(.|\n)*{fix}"):
        nbad.kernel(function, signature=written)(*arrays)
    found, expected = (f(*arrays) for f in (nbad.kernel(function, signature=fits), function))
    for a, b in zip(*(each if isinstance(each, tuple) else (each,) for each in (found, expected)), strict=True):
        assert_array_equal(a, b)


def test_entries_of_very_many_sizes_are_bounded(monkeypatch):
    """They are tried one after the other; calls of further sizes go the general way."""
    monkeypatch.setattr(entries, "MOST", 3)
    kernel = nbad.kernel(lambda a, b: np.dot(a, b), signature="(n),(n)->()")
    for n in range(1, 7):
        a = np.arange(float(n))
        assert [kernel(a, a) for _ in range(3)] == [float(sum(k * k for k in range(n)))] * 3
    assert len(kernel.plain.runs(entries.VALUE)) == 3


def test_a_kernel_in_compiled_code_wants_its_size():
    @numba.njit
    def call(a, b):
        return dot(a, b)

    with pytest.raises(ArgumentTypeError, match=r"dot.sized\(n=3\)"):
        call(np.ones(3), np.ones(3))


def test_values_are_those_of_the_kernel_with_the_size_written_out():
    fixed = nbad.kernel(softmax.__wrapped__, signature="(6)->(6)")
    x = np.random.default_rng(3).normal(size=(50, 6))
    assert_array_equal(softmax(x), fixed(x))
    assert_array_equal(nbad.vjp(softmax, x)[1](x)[0], nbad.vjp(fixed, x)[1](x)[0])
    assert math.isclose(float(softmax(x).sum()), 50, rel_tol=1e-12)
