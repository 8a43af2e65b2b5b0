"""`nbad.indexed`: bits of calls are those of arrays that NumPy gathers, and cotangents are sums that NumPy makes."""

import itertools
import math
import pickle
import tracemalloc

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nbad
from nbad import indexed
from nbad.assembly import scatter, sums
from nbad.indexing import index
from nbad.runtime import memory


@nbad.kernel
def mixed(x, y):
    return x * y + x * x * y


@nbad.kernel(signature="(3,2),(2)->(),()")
def corners(p, q):
    return p[0, 0] * q[0] - p[2, 1] * q[1] + p[1, 0] * p[1, 0], p[1, 1] * q[0]


@nbad.kernel(signature="(2,2)->()")
def spring(ends):
    return (ends[0, 0] - ends[1, 0]) ** 2 * (ends[0, 1] - ends[1, 1])


def scattered(ct, i, size):
    """What `np.add.at` makes of cotangents of `a[i]`, in long double."""
    total = np.zeros((size, *ct.shape[np.ndim(i) :]), np.longdouble)
    np.add.at(total, i, ct)
    return total


def corners_cotangents(p, q, first, second):
    """The cotangents of `corners` by hand, for seeds of both outputs."""
    ps, qs = np.zeros(p.shape), np.zeros(q.shape)
    ps[..., 0, 0], ps[..., 2, 1], ps[..., 1, 0] = first * q[..., 0], -first * q[..., 1], first * 2 * p[..., 1, 0]
    ps[..., 1, 1] = second * q[..., 0]
    qs[..., 0], qs[..., 1] = first * p[..., 0, 0] + second * p[..., 1, 1], -first * p[..., 2, 1]
    return ps, qs


def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) and x.dtype == y.dtype for x, y in zip(a, b, strict=True))


LAYOUTS = {
    "C": np.ascontiguousarray,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@st.composite
def cases(draw):
    """An array of points, triangles of them, an array of pairs, and the numbers of these; shapes that broadcast."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from([(), (0,), (1,), (7,), (300,), (3, 5), (2, 0), (2, 300)]))
    own = draw(st.sampled_from([shape, (1,) * len(shape), shape[1:]]))
    sizes = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    t, k = rng.integers(-sizes[0], sizes[0], (*shape, 3)), rng.integers(-sizes[1], sizes[1], own)
    points, pairs = (rng.normal(size=(size, 2)).astype(dtype) for size in sizes)
    make = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))]
    return rng, shape, make(points), t, pairs, k


def check_calls(case):
    """Calls have the bits of those with gathered arrays."""
    rng, _, points, t, pairs, k = case
    xs, whole = (indexed(points, t), indexed(pairs, k)), (points[t], pairs[k])
    assert same(corners(*xs), corners(*whole))
    assert same([nbad.jacobian(corners)(*xs)], [nbad.jacobian(corners)(*whole)])
    tangents = rng.normal(size=points.shape), rng.normal(size=pairs.shape).astype(pairs.dtype)
    picked = tangents[0][t], tangents[1][k]
    assert same(nbad.jvp(corners, xs, tangents)[1], nbad.jvp(corners, whole, picked)[1])
    _, push = nbad.linearize(corners, *xs)
    _, reference = nbad.linearize(corners, *whole)
    assert same(push(tangents), reference(picked))
    many = np.stack([tangents[0], -tangents[0]])
    assert same(push.batched((many, 2.0)), reference.batched((many[:, t], 2.0)))


def check_cotangents(case):
    """Cotangents are the sums that NumPy makes, alone, added to others, and many at a time."""
    rng, shape, points, t, pairs, k = case
    dtype = pairs.dtype
    seeds = tuple(rng.normal(size=shape).astype(dtype) for _ in range(2))
    before = points.copy(), pairs.copy()
    _, pullback = nbad.vjp(corners, indexed(points, t), indexed(pairs, k))
    made = pullback(seeds)
    places = np.broadcast_to(k, shape)
    ps, qs = corners_cotangents(points[t].astype(float), np.broadcast_to(pairs[k], (*shape, 2)).astype(float), *seeds)
    for ct, expected in zip(made, (scattered(ps, t, len(points)), scattered(qs, places, len(pairs))), strict=True):
        assert (ct.shape, ct.dtype) == (expected.shape, dtype)
        np.testing.assert_allclose(ct, expected.astype(float), rtol=0, atol=300 * np.finfo(dtype).eps * max(1, len(shape) * 20))
    assert same((points, pairs), before)
    out = tuple(np.full((*ct.shape, 2), 7, dtype)[..., 0] for ct in made)
    assert pullback(seeds, out=out) is out
    assert same(out, made)
    pullback(seeds, out=out, accumulate=True)
    assert same(out, [2 * ct for ct in made])
    many = pullback.batched(tuple(np.stack([seed, 2 * seed, -seed]) for seed in seeds))
    assert all(same([row[0] for row in many], made) and np.array_equal(-row[2], row[0]) for row in many)


def small_parts(patch):
    """So that there are many: no part may be smaller than a block of a sum over all elements."""
    for room in (index, sums, scatter):
        patch.setattr(room, "PART", 256)


@settings(max_examples=10)
@given(cases())
def test_some_calls_have_the_bits_of_gathered_arrays(case):
    check_calls(case)


@settings(max_examples=10)
@given(cases())
def test_some_cotangents_are_the_sums_that_numpy_makes(case):
    check_cotangents(case)


@settings(max_examples=10)
@given(cases())
def test_some_cotangents_are_right_part_by_part(case):
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        check_cotangents(case)


@pytest.mark.slow
@settings(max_examples=300)
@given(cases())
def test_calls_and_cotangents_are_right(case):
    check_calls(case)
    check_cotangents(case)
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch)
        check_cotangents(case)


@pytest.fixture(scope="module")
def cloud():
    rng = np.random.default_rng(5)
    size, n = 1300, 70_000
    skewed = np.minimum(rng.integers(0, size, n), rng.integers(0, 3, n) * size)  # a third of them the first entry
    return rng.normal(size=size), skewed, rng.normal(size=n), rng.normal(size=n)


def test_long_sums_do_not_depend_on_threads_seeds_bounds_ways_or_policies(monkeypatch, cloud):
    a, i, y, seed = cloud
    x = indexed(a, i)
    _, pullback = nbad.vjp(mixed, x, y)
    made = pullback(seed)
    expected = scattered(seed * (y + 2 * a[i] * y), i, len(a))
    np.testing.assert_allclose(made[0], expected.astype(float), rtol=1e-13, atol=1e-12)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        assert same(pullback(seed), made)
    finally:
        numba.set_num_threads(threads)
    many = pullback.batched(np.stack([seed] * 3))
    assert all(same([row[k] for row in many], made) for k in range(3))
    monkeypatch.setattr(sums, "SMALL_SUMS", 0)  # rows are added where they lie, sum by sum
    assert same(pullback(seed), made)
    with pytest.raises(nbad.NbadError, match="max_bytes=1 is too small") as refused:
        nbad.vjp(mixed, x, y, residuals="partials", max_bytes=1)
    least = int(str(refused.value).rpartition("max_bytes=")[2])
    _, bounded = nbad.vjp(mixed, x, y, residuals="partials", max_bytes=least)
    _, kept = nbad.vjp(mixed, x, y, residuals="partials")
    assert same(bounded.batched(np.stack([seed] * 3)), kept.batched(np.stack([seed] * 3)))
    for policy in ("partials", "mincut", "recompute"):
        _, other = nbad.vjp(mixed, x, y, residuals=policy)
        np.testing.assert_allclose(other(seed)[0], made[0], rtol=1e-13, atol=1e-12)


def test_an_index_that_is_sorted_already_gives_the_same_sums(cloud):
    a, (i, y, seed) = cloud[0], (each[:30_000] for each in cloud[1:])
    order = np.argsort(i, kind="stable")
    made, sorted_ = (nbad.vjp(mixed, indexed(a, i[o]), y[o])[1](seed[o])[0] for o in (np.arange(len(i)), order))
    assert same([made], [sorted_])


@nbad.kernel
def weighted(x, y, w):
    return x * y * w + x * x * y


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(70_000,), (2, 40_000)])
def test_parts_of_many_elements_leave_what_other_arguments_get(shape, dtype):
    rng = np.random.default_rng(7)
    a, i = rng.normal(size=50).astype(dtype), rng.integers(0, 50, shape)
    y, seeds = rng.normal(size=shape).astype(dtype), rng.normal(size=(*shape, 2)).astype(dtype)[..., 0]
    w = np.array(0.7, dtype)
    _, whole = nbad.vjp(weighted, a[i], y, w)
    _, pullback = nbad.vjp(weighted, indexed(a, i), y, w)
    expected, made = whole(seeds), pullback(seeds)
    assert same(made[1:], expected[1:])
    total = scattered(expected[0].astype(float), i, 50).astype(float)
    np.testing.assert_allclose(made[0], total, rtol=0, atol=100 * np.finfo(dtype).eps * (1 if dtype == np.float32 else 100))
    cts = tuple(np.zeros((2, *ct.shape, 2), dtype)[..., 0] for ct in made)
    for _ in range(2):
        pullback.batched(np.stack([seeds, -seeds]), out=cts, accumulate=True)
    assert same([ct[0] for ct in cts], [2 * ct for ct in made])
    assert same([ct[1] for ct in cts], [-2 * ct for ct in made])
    two = np.stack([y, y])  # over another axis the picked ones are broadcast
    _, broadcast = nbad.vjp(weighted, indexed(a, i), two, w, argnums="x")
    np.testing.assert_allclose(
        broadcast(np.stack([seeds, 0 * seeds]))[0], made[0], rtol=1e-5, atol=1e-2 if dtype == np.float32 else 1e-10
    )


@pytest.mark.parametrize("is_broadcast", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_temporaries_stay_under_the_bound(monkeypatch, cloud, is_broadcast):
    monkeypatch.setattr(memory, "SMALLEST", 1 << 60)  # so that tracemalloc sees every array
    a, i, y, seed = cloud
    xs = indexed(a, i), np.stack([y, y]) if is_broadcast else y, 0.7
    with pytest.raises(nbad.NbadError, match="max_bytes=") as refused:
        nbad.vjp(weighted, *xs, residuals="partials", max_bytes=1)
    bound = int(str(refused.value).rpartition("max_bytes=")[2])
    _, pullback = nbad.vjp(weighted, *xs, residuals="partials", max_bytes=bound)
    seeds = np.broadcast_to(seed, (3, *xs[1].shape))
    cts = pullback.batched(seeds)
    pullback.batched(seeds, out=cts, accumulate=True)
    for accumulate in (False, True):
        tracemalloc.start()
        pullback.batched(seeds, out=cts, accumulate=accumulate)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak + pullback.rows.nbytes < bound + 60_000  # objects of Python
        assert pullback.rows.nbytes < bound < pullback.rows.nbytes + (7_000_000 if is_broadcast else 500_000)


def test_axes_of_the_array_beyond_the_core_are_elements():
    rng = np.random.default_rng(1)
    a, i, y = rng.normal(size=(5, 40)), rng.integers(0, 5, (600, 1)), rng.normal(size=40)
    assert same([mixed(indexed(a, i), y)], [mixed(a[i], y)])
    assert same([mixed(indexed(a, i[:, 0]), y)], [mixed(a[i[:, 0]], y)])
    seed = rng.normal(size=(600, 40))
    _, pullback = nbad.vjp(mixed, indexed(a, i[:, 0]), y)
    expected = scattered(seed * (y + 2 * a[i[:, 0]] * y), i[:, 0], 5)
    np.testing.assert_allclose(pullback(seed)[0], expected.astype(float), atol=1e-11)
    assert same([mixed(indexed(a, 3), 2.0)], [mixed(a[3], 2.0)])


def test_what_all_elements_share_is_computed_once():
    rng = np.random.default_rng(2)
    a, y = rng.normal(size=7), rng.normal(size=10_000)
    assert same([mixed(indexed(a, 3), y)], [mixed(a[3], y)])
    _, pullback = nbad.vjp(mixed, indexed(a, [3]), y)
    expected = np.zeros(7)
    expected[3] = math.fsum(y + 2 * a[3] * y)
    np.testing.assert_allclose(pullback(1.0)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16", ">f8"])
def test_arrays_are_converted_as_others_are(dtype):
    rng = np.random.default_rng(3)
    a, i, y = (rng.normal(size=9) * 3).astype(dtype), rng.integers(0, 9, 700), rng.normal(size=700)
    assert same([mixed(indexed(a, i), y)], [mixed(a[i], y)])
    _, pullback = nbad.vjp(mixed, indexed(a, i), y)
    assert len(pullback(1.0)) == 1 + (a.dtype.kind == "f")
    if a.dtype.kind != "f":
        with pytest.raises(TypeError, match="no derivative"):
            nbad.vjp(mixed, indexed(a, i), y, argnums="x")


def test_made_functions_and_kernels_take_it():
    rng = np.random.default_rng(4)
    nodes, edges = rng.normal(size=(6, 2)), rng.integers(0, 6, (50, 2))
    ends = indexed(nodes, edges)
    assert same([nbad.grad(spring)(ends)], [nbad.grad(spring)(nodes[edges])])
    assert same([nbad.hessian(spring)(ends)], [nbad.hessian(spring)(nodes[edges])])
    assert same(nbad.value_and_jacobian(spring)(ends), nbad.value_and_jacobian(spring)(nodes[edges]))
    assert same(nbad.value_and_grad(spring)(ends), nbad.value_and_grad(spring)(nodes[edges]))
    v = rng.normal(size=nodes.shape)
    assert same(nbad.hvp(spring, (ends,), (v,)), nbad.hvp(spring, (nodes[edges],), (v[edges],)))
    assert nbad.explain(spring, ends).elements == 50
    with nbad.debugging():
        assert same([spring(ends)], [spring(nodes[edges])])
    mask = np.arange(50) % 3 == 0
    assert same([mixed(indexed(nodes[:, 0], edges[:, 0]), 2.0, where=mask)], [mixed(nodes[edges[:, 0], 0], 2.0, where=mask)])
    assert same([mixed(y=indexed(nodes[:, 1], edges[:, 1]), x=1.0)], [mixed(1.0, nodes[edges[:, 1], 1])])


def test_the_array_is_read_anew_and_the_index_is_not():
    a, i = np.arange(4.0), np.array([3, 0, 0])
    x = indexed(a, i)
    update = nbad.bind(mixed, x, 1.0)
    for _ in range(4):
        i[:] = 1
        assert same([update()], [mixed(a[[3, 0, 0]], 1.0)])
        a += 1
    again = indexed(2 * a, x.index)
    assert again.index is x.index
    assert same([mixed(again, 1.0)], [mixed(2 * a[[3, 0, 0]], 1.0)])
    assert same([mixed(indexed(np.zeros(9), x.index), 1.0)], [np.zeros(3)])
    with pytest.raises(IndexError, match="out of range"):
        indexed(np.zeros(2), x.index)
    other = pickle.loads(pickle.dumps(x))
    assert same([mixed(other, 1.0)], [mixed(x, 1.0)])
    assert repr(x) == "<nbad.indexed: (3,) of (4,), float64>"
    with pytest.raises(ValueError, match="read-only"):
        x.index.positions[0] = 1


def test_lists_of_numbers_are_arrays():
    assert same([mixed(indexed([1, 2, 3], [2, -3]), 1.0)], [mixed(np.array([3.0, 1.0]), 1.0)])
    assert mixed(indexed([1.0, 2.0], []), 1.0).shape == (0,)


A = np.arange(5.0)
REFUSED = {
    "too large": (A, [0, 5], "i\\[1\\] is out of range\n.*\n  got: 5", IndexError),
    "too small": (A, -6, "i is out of range\n.*\n  got: -6", IndexError),
    "huge": (A, np.array([2**63], np.uint64), "out of range", IndexError),
    "into nothing": (np.zeros((0, 2)), [0], "out of range", IndexError),
    "floats": (A, [0.0], "dtype float64", IndexError),
    "bools": (A, A > 2, "np.flatnonzero", IndexError),
    "empty floats": (A, np.zeros(0), "dtype float64", IndexError),
    "tuple": (A, (0, 1), "ravel_multi_index", TypeError),
    "slice": (A, slice(2), "i is no index", TypeError),
    "nothing": (A, None, "i is no index", TypeError),
    "masked": (A, np.ma.array([0, 1], mask=[0, 1]), "i is no index", TypeError),
    "ragged": (A, [[0], [1, 2]], "i is not an array of numbers", TypeError),
    "ragged array": ([[0.0], [1.0, 2.0]], [0], "a is not an array of numbers", TypeError),
    "no axis": (2.0, [0], "no axis", ValueError),
    "masked array": (np.ma.ones(3), [0], "more than its numbers", TypeError),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_index_is_refused(what):
    a, i, message, kind = REFUSED[what]
    with pytest.raises(kind, match=message) as refused:
        indexed(a, i)
    assert isinstance(refused.value, nbad.NbadError)


@pytest.mark.parametrize("i", [[2.0, 0.0], (2, 0), np.array([2.0, 0.0]), [True, False]])
def test_what_is_no_index_becomes_one_by_the_line_of_the_error(i):
    with pytest.raises(TypeError, match="i is no index") as refused:
        indexed(A, i)
    right = [0] if i[0] is True else [2, 0]
    assert (
        eval(str(refused.value).partition("fix: ")[2], {"nbad": nbad, "np": np, "a": A, "i": i}).index.positions.tolist() == right
    )


@pytest.mark.slow  # it imports pandas
def test_an_index_into_what_is_picked_is_one_index():
    i = np.array([3, 1])
    picked = nbad.indexed(np.array([10.0, 11.0, 12.0, 13.0, 14.0]), [4, 0, 2, -1])
    with pytest.raises(TypeError, match=r"fix: nbad\.indexed\(a\.array, a\.index\.positions\[i\]\)"):
        nbad.indexed(picked, i)
    direct = nbad.indexed(picked.array, picked.index.positions[i])
    np.testing.assert_array_equal(nbad.kernel(lambda x: x)(direct), [14.0, 10.0])


def test_labels_are_taken_off_by_the_user():
    import pandas as pd

    with pytest.raises(TypeError, match=r"i\.to_numpy\(\)"):
        indexed(A, pd.Series([0, 1]))
    with pytest.raises(TypeError, match=r"a\.to_numpy\(\)"):
        indexed(pd.Series(A), [0, 1])


def test_arrays_that_get_another_shape_are_read_as_they_were():
    a = np.arange(6.0)
    x = indexed(a, [5, 0])
    a.resize((2, 3), refcheck=False)  # in place; NumPy 2.5 warns of `a.shape = ...`
    assert same([mixed(x, 1.0)], [mixed(np.array([5.0, 0.0]), 1.0)])
    with pytest.raises(AttributeError, match="no setter"):
        x.array = a


def test_what_is_no_argument_is_not_picked():
    _, pullback = nbad.vjp(mixed, np.zeros(2), 1.0)
    calls = (
        lambda x: pullback(x),
        lambda x: nbad.jvp(mixed, (np.zeros(2), 1.0), (x, 0.0)),
        lambda x: mixed(np.zeros(2), 1.0, where=x),
        lambda x: mixed.outer(x, A),
    )
    for call in calls:
        with pytest.raises(TypeError, match="picked by an index, which arguments of kernels and verbs alone may be"):
            call(indexed(A, [0, 1]))


def test_the_harness_refuses_it():
    with pytest.raises(TypeError, match="picked by an index"):
        nbad.testing.check_kernel(mixed, indexed(A, [0, 1]), 1.0)


def test_arguments_that_do_not_fit_are_refused_by_name():
    with pytest.raises(ValueError, match=r"p, which is `nbad.indexed\(a, i\)`, does not end in its core shape"):
        corners(indexed(np.zeros((4, 2)), np.zeros((5, 2), int)), np.zeros(2))
    with pytest.raises(ValueError, match="do not broadcast"):
        mixed(indexed(A, [0, 1]), np.zeros(3))
    with pytest.raises(TypeError, match="x is complex"):
        mixed(indexed(A + 1j, [0, 1]), 1.0)
    with pytest.raises(TypeError, match="nothing to differentiate"):
        nbad.vjp(mixed, indexed(np.arange(3), [0, 1]), np.array([1, 2]))
    with pytest.raises(ValueError, match="the tangent of x has a wrong shape"):
        nbad.jvp(mixed, (indexed(A, [0, 1]), 1.0), (np.zeros(2), 0.0))
    _, pullback = nbad.vjp(mixed, indexed(A, [0, 1]), 1.0)
    with pytest.raises(ValueError, match="out= for x has a wrong shape"):
        pullback(1.0, out=(np.zeros(2), np.zeros(())))


def test_errors_of_elements_name_the_element():
    @nbad.kernel
    def careful(x, y):
        if x > y:
            raise ValueError(f"{x} > {y}")
        return x * y

    a, i = np.array([1.0, 5.0, 2.0]), np.array([[0, 2], [2, 1]])
    with pytest.raises(ValueError, match=r"5.0 > 3.0") as raised:
        careful(indexed(a, i), np.array([3.0, 3.0]))
    assert "element (1, 1)" in raised.value.__notes__[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "dtype"), list(itertools.product([1, 2, 3, 5, 8, 15, 16, 17, 33, 40], [np.float64, np.float32]))
)
def test_rows_of_any_length_are_picked_and_added(values, dtype):
    @nbad.kernel(signature=f"({values})->()")
    def total(x):
        return sum(x[k] * x[k] for k in range(values))

    rng = np.random.default_rng(values)
    for size, n in ((3, 2000), (700, 1000)):
        a, i = rng.normal(size=(size, values)).astype(dtype), rng.integers(0, size, n)
        assert same([total(indexed(a, i))], [total(a[i])])
        ct = nbad.vjp(total, indexed(a, i))[1](1.0)[0]
        expected = 2 * a * np.bincount(i, minlength=size)[:, None]
        np.testing.assert_allclose(ct, expected, rtol=(40 if dtype == np.float32 else 700) * np.finfo(dtype).eps)
