"""Arrays in any order of axes: values, shapes and bits are those of C order, whichever order arguments, seeds and `out=` have."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import nbad
from nbad.runtime import launch, plain
from tests.helpers.same_bits import bits

SHAPE = (7, 5, 11)  # more than a tile
ORDERS = {"C": (0, 1, 2), "Fortran": (2, 1, 0), "turned": (1, 2, 0), "swapped": (0, 2, 1)}
PAIRS = [*((own, own) for own in ORDERS), ("Fortran", "C"), ("C", "Fortran"), ("turned", "swapped")]


def laid(array, order, lead=0):
    """The same numbers with axes in this order in memory, those behind as they are."""
    axes = (*range(lead), *(lead + k for k in ORDERS[order]), *range(lead + 3, array.ndim))
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


def order_of(array, lead=0):
    """The order of the axes of the elements in memory."""
    return tuple(np.argsort([-stride for stride in array.strides[lead : lead + 3]]))


@nbad.kernel
def pair(x, y):
    return x * y, x * x - y


def cotangents(x, y, a, b):
    return a * y + b * 2 * x, a * x - b


def blocks(x, y):
    return np.stack([np.stack([y, x], -1), np.stack([2 * x, -np.ones_like(y)], -1)], -2)


@pytest.fixture
def arrays(rng):
    return rng.standard_normal((2, *SHAPE))


def check(found, expected, rtol=1e-13):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


@pytest.fixture(params=["as it is", "no plain case"])
def cases(request, monkeypatch):
    if request.param == "no plain case":
        monkeypatch.setattr(plain, "_entry", lambda *_: plain.never)


@pytest.mark.usefixtures("cases")
@pytest.mark.parametrize(("own", "other"), PAIRS)
def test_pullbacks(arrays, rng, own, other):
    x, y = laid(arrays[0], own), laid(arrays[1], other)
    found, pullback = nbad.vjp(pair, x, y)
    check(found, (x * y, x * x - y))
    twin = nbad.vjp(pair, *arrays)[1]
    seeds = rng.standard_normal((2, 3, *SHAPE))
    for given, first in [(own, own), ("C", "C"), ("C", "Fortran"), ("turned", own)]:
        a, b = laid(seeds[0], given, 1), laid(seeds[1], first, 1)
        check(pullback((a[0], b[0])), cotangents(x, y, a[0], b[0]))
        check(pullback((a[0], 2.0)), cotangents(x, y, a[0], 2.0))
        check(pullback.batched((a, b)), cotangents(x, y, a, b))
        assert bits(pullback((a[1], b[1]))) == bits(twin((seeds[0, 1], seeds[1, 1])))
        assert bits(pullback.batched((a, b))) == bits(twin.batched((seeds[0], seeds[1])))
    for given in ORDERS:
        out = tuple(laid(np.ones_like(x), order) for order in (given, "Fortran"))
        assert pullback((1.5, laid(seeds[1, 0], given)), out=out) is out
        check(out, cotangents(x, y, 1.5, seeds[1, 0]))
        pullback((1.5, laid(seeds[1, 0], given)), out=out, accumulate=True)
        check(out, cotangents(x, y, 3.0, 2 * seeds[1, 0]))
    check([pullback.jacobian()], [blocks(x, y)])
    check([pullback.jacobian(out=np.empty((*SHAPE, 2, 2)))], [blocks(x, y)])
    for again in (copy.copy(pullback), copy.deepcopy(pullback), pickle.loads(pickle.dumps(pullback))):
        check(again((seeds[0, 0], laid(seeds[1, 0], own))), cotangents(x, y, seeds[0, 0], seeds[1, 0]))


@pytest.mark.parametrize(("own", "other"), PAIRS)
def test_pushforwards_and_blocks(arrays, rng, own, other):
    x, y = laid(arrays[0], own), laid(arrays[1], other)
    dots = rng.standard_normal((2, 3, *SHAPE))
    values, pushforward = nbad.linearize(pair, x, y)
    check(values, (x * y, x * x - y))
    for given in ORDERS:
        a, b = laid(dots[0], given, 1), dots[1]
        check(pushforward((a[0], b[0])), (a[0] * y + b[0] * x, 2 * x * a[0] - b[0]))
        check(pushforward((a[0], 0.5)), (a[0] * y + 0.5 * x, 2 * x * a[0] - 0.5))
        check(pushforward.batched((a, b)), (a * y + b * x, 2 * x * a - b))
        check(nbad.jvp(pair, (x, y), (a[0], b[0]))[1], (a[0] * y + b[0] * x, 2 * x * a[0] - b[0]))
    values, found = nbad.value_and_jacobian(pair)(x, y)
    check([*values, found], (x * y, x * x - y, blocks(x, y)))
    out = np.empty((*SHAPE, 2, 2))
    check([nbad.jacobian(pair)(x, y), nbad.jacobian(pair)(x, y, out=out)], [blocks(x, y)] * 2)


@pytest.mark.parametrize("own", ORDERS)
def test_results_lie_in_memory_as_arguments_and_seeds_do(arrays, own):
    """Where arguments and many seeds disagree, in C order."""
    x, y = (laid(a, own) for a in arrays)
    values, pullback = nbad.vjp(pair, x, y)
    pushforward = nbad.linearize(pair, x, y)[1]
    found = [*values, *pullback((1.0, x)), *pullback((1.0, 1.0)), *pushforward((x, 1.0)), *nbad.value_and_jacobian(pair)(x, y)[0]]
    found += [pullback.jacobian(), nbad.jacobian(pair)(x, y), nbad.hessian(nbad.kernel(lambda x, y: x * y))(x, y)]
    assert {order_of(a) for a in found} == {ORDERS[own]}
    many = laid(np.stack([x, y]), own, 1)
    assert {order_of(a, 1) for a in (*pullback.batched((many, 1.0)), *pushforward.batched((many, 1.0)))} == {ORDERS[own]}
    straight = arrays[0], 1.0
    assert {order_of(a) for a in (*pullback(straight), *pushforward(straight))} == {ORDERS[own]}


@pytest.mark.parametrize("other", ORDERS)
@pytest.mark.parametrize("own", ORDERS)
def test_results_of_jvp_lie_as_arguments_do(arrays, own, other):
    """At every call, whatever order tangents have."""
    x, dot = laid(arrays[0], own), laid(arrays[1], other)
    square = nbad.kernel(lambda x: x * x)
    for given, tangent in [(x, dot), (x[:, :, 0], dot[:, :, 0])] * 3:
        y, y_dot = nbad.jvp(square, (given,), (tangent,))
        assert y.strides == y_dot.strides == np.empty_like(given).strides
        check([y_dot], [2 * given * tangent])


@pytest.mark.parametrize("by", [0, 1])
@pytest.mark.parametrize("shared", [2.0, np.ones(1), np.ones((7, 1)), np.ones(5)], ids=np.shape)
def test_order_beside_what_is_shared_and_not_differentiated(rng, shared, by):
    """At every call: cotangents that are sums alone turn results into C order."""
    x, f = np.asfortranarray(rng.standard_normal((7, 5))), nbad.kernel(lambda x, y: x * y)
    for _ in range(4):
        y, pullback = nbad.vjp(f, x, shared, argnums=by)
        (found,) = pullback(x)
        assert y.flags.f_contiguous == (by == 0)
        if by == 0:
            assert found.flags.f_contiguous
            assert bits(found) == bits(x * shared)


cubes = nbad.kernel(lambda x, c: x * x * x * c, signature="(33),()->(33)")


@pytest.mark.parametrize("own", ORDERS)
@pytest.mark.parametrize("policy", ["partials", "mincut"])
def test_many_rows_of_vectors(rng, own, policy):
    """So many that they lie in lines."""
    x, w, c = rng.standard_normal((*SHAPE, 33)), rng.standard_normal((2, *SHAPE, 33)), rng.standard_normal(SHAPE)
    for given in (laid(x, own), np.asfortranarray(x)):
        y, pullback = nbad.vjp(cubes, given, laid(c, own), residuals=policy)
        check([y], [x**3 * c[..., None]])
        expected = 3 * x * x * c[..., None] * w, np.sum(x**3 * w, -1)
        for seed in (w, laid(w, own, 1), laid(w, "Fortran", 1)):
            check(pullback.batched(seed), expected, 1e-12)
            check(pullback(seed[0]), [ct[0] for ct in expected], 1e-12)
        block = pullback.jacobian()
        check([block], [nbad.jacobian(cubes)(x, c)], 1e-12)
        check([np.einsum("...kk->...k", block[..., :33])], [3 * x * x * c[..., None]], 1e-12)


@pytest.mark.parametrize("own", ORDERS)
@pytest.mark.parametrize("shape", [(), (11,), (5, 1), (7, 1, 11)])
@pytest.mark.parametrize("max_bytes", [None, 9_000])
def test_cotangents_that_are_sums_have_the_bits_of_c_order(arrays, own, shape, max_bytes):
    shared = np.linspace(1.0, 2.0, int(np.prod(shape))).reshape(shape)
    x, w = laid(arrays[0], own), arrays[1]
    _, pullback = nbad.vjp(pair, x, shared, max_bytes=max_bytes)
    twin = nbad.vjp(pair, arrays[0], shared)[1]
    for given in ORDERS:
        assert bits(pullback((laid(w, given), 1.0))) == bits(twin((w, 1.0)))
    axes = tuple(k for k in range(3) if (1, 1, 1, *shape)[len(shape) :][k] == 1)
    expected = cotangents(arrays[0], shared, w, 1.0)
    check(pullback((w, 1.0)), [expected[0], np.sum(expected[1], axis=axes).reshape(shape)], 1e-12)
    undifferentiated = nbad.vjp(pair, x, shared, argnums="x")[1]
    check(undifferentiated((w, 1.0)), expected[:1])


@pytest.mark.parametrize("own", ORDERS)
def test_past_the_caches(arrays, rng, monkeypatch, own):
    """Several seeds at once, too."""
    monkeypatch.setattr(launch, "STREAM_ABOVE", -1)
    monkeypatch.setattr(launch, "BYTES_PER_NS", 1e-9)
    x, y = (laid(a, own) for a in arrays)
    seeds = rng.standard_normal((5, *SHAPE))
    _, pullback = nbad.vjp(pair, x, y)
    for given in ORDERS:
        check(pullback.batched((laid(seeds, given, 1), 1.0)), cotangents(x, y, seeds, 1.0))


@pytest.mark.parametrize("shape", [(0, 3, 4), (1, 9, 1), (1, 1, 1), (9, 1, 300)])
def test_axes_of_no_and_of_one_element(rng, shape):
    x, y, w = rng.standard_normal((3, *shape))
    for own, given in itertools.product(ORDERS, repeat=2):
        found = nbad.vjp(pair, laid(x, own), laid(y, own))[1]((laid(w, given), 1.0))
        check(found, cotangents(x, y, w, 1.0))


def test_the_first_element_that_fails_is_that_in_c_order(rng):
    @nbad.kernel
    def root(x, y):
        if x < 0:
            raise ValueError("negative")
        return math_free(x) * y

    def math_free(x):
        return x * x

    x = np.ones(SHAPE)
    x[1, 4, 0] = x[2, 0, 0] = -1.0
    for own in ORDERS:
        with pytest.raises(ValueError, match="negative") as caught:
            nbad.vjp(root, laid(x, own), laid(x, own))
        assert any("element (1, 4, 0), the first of 2" in note for note in caught.value.__notes__)
