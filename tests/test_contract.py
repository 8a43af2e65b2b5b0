"""The contract, line by line: what a user may rely on when calling a kernel and its derivatives."""

import inspect
import math

import numba
import numpy as np
import pytest

import nbad

N = 1000
RNG = np.random.default_rng(2)
X = RNG.uniform(0.5, 2.0, N)
Y = RNG.uniform(-1.0, 1.0, N)
W = RNG.standard_normal(N)
V = RNG.standard_normal(N)


@nbad.kernel
def copy(x):
    return x


@nbad.kernel
def square(x):
    return x**2


@nbad.kernel
def polar(r, phi):
    """Cartesian coordinates."""
    return r * math.cos(phi), r * math.sin(phi)


@nbad.kernel
def decay(x, rate, scale=2.0):
    return scale * math.exp(-rate * x)


@nbad.kernel
def single(x):
    return (3.0 * x,)


@nbad.kernel
def product(a, b, c):
    return a * b * c


# kernel, its arguments, seeds of the value's structure
SCENARIOS = {
    "copy": (copy, (X,), W),
    "square": (square, (X,), W),
    "two outputs": (polar, (X, Y), (W, V)),
    "broadcast parameter": (decay, (X, 0.7), W),
}
scenarios = pytest.mark.parametrize(("f", "xs", "seed"), SCENARIOS.values(), ids=SCENARIOS)


def leaves(result):
    return list(result) if isinstance(result, tuple) else [result]


def bits(result):
    """Everything there is to compare."""
    return [(a.dtype.str, a.shape, a.tobytes()) for a in map(np.asarray, leaves(result))]


def each(function, structure):
    return tuple(map(function, structure)) if isinstance(structure, tuple) else function(structure)


def copies(xs):
    return [np.copy(x) for x in xs]


def overwrite(arrays):
    for a in arrays:
        np.asarray(a)[...] = -99.0


# independent results


@pytest.mark.parametrize(("f", "expected"), [(copy, 1.0), (square, 6.0)])
def test_three_calls_with_seed_one_give_one_answer(f, expected):
    """The failure that nbad answers: 1, 3, 6 for the identity, an index error for the square."""
    _, pullback = nbad.vjp(f, 3.0)
    assert [pullback(1.0) for _ in range(3)] == [(expected,)] * 3


@scenarios
def test_same_seed_three_times_gives_the_same_bits(f, xs, seed):
    _, pullback = nbad.vjp(f, *xs)
    first, second, third = (bits(pullback(seed)) for _ in range(3))
    assert first == second == third


@scenarios
def test_interleaved_pullbacks_do_not_disturb_each_other(f, xs, seed):
    others = [np.asarray(x)[::-1].copy() if np.ndim(x) else x + 1 for x in xs]
    expected = [bits(nbad.vjp(f, *args)[1](seed)) for args in (xs, others)]
    one, two = nbad.vjp(f, *xs)[1], nbad.vjp(f, *others)[1]
    assert [bits(pullback(seed)) for pullback in (one, two, one, one, two)] == [expected[k] for k in (0, 1, 0, 0, 1)]


@scenarios
def test_writing_in_place_between_calls_changes_nothing(f, xs, seed):
    expected = bits(nbad.vjp(f, *xs)[1](seed))
    inputs, given = copies(xs), each(np.copy, seed)
    y, pullback = nbad.vjp(f, *inputs)
    overwrite([*inputs, *(leaf for leaf in leaves(y) if leaf.ndim)])
    first = pullback(given)
    assert bits(first) == expected
    overwrite(leaves(given))
    assert bits(first) == expected
    overwrite([ct for ct in first if ct.ndim])
    assert bits(pullback(seed)) == expected


@scenarios
def test_results_are_fresh_memory(f, xs, seed):
    y, pullback = nbad.vjp(f, *xs)
    first, second = pullback(seed), pullback(seed)
    everything = [a for a in (*xs, *leaves(y), *leaves(seed), *first, *second) if np.ndim(a)]
    shared = [np.shares_memory(a, b) for k, a in enumerate(everything) for b in everything[:k]]
    assert not any(shared)


@scenarios
def test_a_result_outlives_its_pullback_and_many_later_calls(f, xs, seed):
    y, pullback = nbad.vjp(f, *xs)
    first, expected = pullback(seed), bits(pullback(seed))
    value = bits(y)
    del pullback
    for k in range(5):
        f(*xs)
        nbad.vjp(f, *(x + k for x in xs))[1](seed)
    assert (bits(first), bits(y)) == (expected, value)


@scenarios
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_batched_equals_the_loop_bit_for_bit(f, xs, seed, count):
    _, pullback = nbad.vjp(f, *xs)
    seeds = each(lambda w: np.stack([w * (s - 2.5) for s in range(count)]) if count else np.empty((0, N)), seed)
    many = pullback.batched(seeds)
    assert [ct.shape for ct in many] == [(count, *np.shape(x)) for x in xs]
    for s in range(count):
        assert bits(tuple(ct[s] for ct in many)) == bits(pullback(each(lambda w, s=s: w[s], seeds)))


@scenarios
def test_bits_do_not_depend_on_the_number_of_seeds(f, xs, seed):
    _, pullback = nbad.vjp(f, *xs)
    expected = bits(pullback(seed))
    for count in (1, 3, 16):
        many = pullback.batched(each(lambda w, count=count: np.broadcast_to(w, (count, N)), seed))
        assert all(bits(tuple(ct[s] for ct in many)) == expected for s in range(count))


# reproducible


@scenarios
def test_value_is_one_whichever_call_computes_it(f, xs, seed):
    expected = bits(f(*xs))
    assert bits(nbad.vjp(f, *xs)[0]) == expected
    assert bits(nbad.value_and_jacobian(f)(*xs)[0]) == expected
    assert bits(nbad.jvp(f, xs, (1.0,) * len(xs))[0]) == expected


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 4), (1, 9), (7, 263), (255, 512), (0, 257), (999, 1000)])
def test_a_slice_has_the_bits_of_the_whole(start, stop):
    part = slice(start, stop)
    y, pullback = nbad.vjp(polar, X, Y)
    whole = (*y, *pullback((W, V)), nbad.jacobian(polar)(X, Y))
    y, pullback = nbad.vjp(polar, X[part], Y[part])
    result = (*y, *pullback((W[part], V[part])), nbad.jacobian(polar)(X[part], Y[part]))
    assert bits(result) == bits(tuple(a[part] for a in whole))


def on_threads(count, work):
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        return work()
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("rate", [0.7, np.array([0.7]), np.full((1, 1), 0.7)], ids=["scalar", "one element", "two axes"])
def test_bits_do_not_depend_on_threads(rate):
    x, w = np.resize(X, 100_003), np.resize(W, 100_003)

    def work():
        y, pullback = nbad.vjp(decay, x, rate)
        w_like_y = w.reshape(np.shape(y))
        return bits((y, *pullback(w_like_y), *pullback.batched(np.stack([w_like_y, -w_like_y]))))

    assert on_threads(1, work) == on_threads(numba.config.NUMBA_NUM_THREADS, work)


def test_sum_over_rows_does_not_depend_on_threads():
    x, rate = np.resize(X, (300, 401)), np.linspace(0.1, 0.9, 401)
    works = [lambda: bits(nbad.vjp(decay, x, rate)[1](1.0)), lambda: bits(nbad.vjp(decay, x, rate[:300, None])[1](1.0))]
    for work in works:
        assert on_threads(1, work) == on_threads(numba.config.NUMBA_NUM_THREADS, work)


def test_sums_of_float32_are_accumulated_in_float64():
    count = 300_000
    _, pullback = nbad.vjp(product, np.ones(count, np.float32), np.float32(1.0), np.float32(1.0))
    seed = np.float32(0.1)
    expected = np.float32(math.fsum([float(seed)] * count))
    assert pullback(np.full(count, seed))[1] == expected


# shapes and structure


def test_kernel_keeps_name_docstring_and_signature():
    assert (polar.__name__, polar.__doc__) == ("polar", "Cartesian coordinates.")
    assert decay.__wrapped__(1.0, 0.0) == 2.0
    assert str(inspect.signature(decay)) == "(x, rate, scale=2.0)"


SHAPES = [((), ()), ((3,), ()), ((), (3,)), ((4, 1), (3,)), ((0,), ()), ((3, 0), (1, 1)), ((1,), (1, 1)), ((2, 3, 4), (3, 1))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_outputs_and_cotangents_have_their_shapes(shapes):
    r, phi = (np.full(shape, 0.5) for shape in shapes)
    shape = np.broadcast_shapes(*shapes)
    y, pullback = nbad.vjp(polar, r, phi)
    assert [leaf.shape for leaf in y] == [shape, shape]
    ones = np.ones(shape)
    cts = pullback((ones, ones))
    assert [ct.shape for ct in cts] == list(shapes)
    count = math.prod(shape) / max(1, math.prod(shapes[0]))
    np.testing.assert_allclose(cts[0], np.full(shapes[0], count * (math.cos(0.5) + math.sin(0.5))), rtol=1e-14)
    many = pullback.batched((np.ones((2, *shape)), 1.0))
    assert [ct.shape for ct in many] == [(2, *s) for s in shapes]


def test_zero_dimensional_results_are_numpy_scalars():
    y, pullback = nbad.vjp(square, 3)
    for value in (y, square(3.0), square(np.array(3.0)), pullback(1)[0], pullback(np.float64(1))[0], pullback(np.array(1.0))[0]):
        assert type(value) is np.float64
    assert type(square(np.float32(3.0))) is np.float32
    assert [type(v) for v in polar(1.0, 0.0)] == [np.float64, np.float64]


def test_tuple_of_one_stays_a_tuple():
    y, pullback = nbad.vjp(single, X)
    assert isinstance(y, tuple)
    assert len(y) == 1
    assert isinstance(single(2.0), tuple)
    assert bits(pullback((W,))) == bits((3.0 * W,))
    assert bits(pullback((1.0,))) == bits((np.full(N, 3.0),))
    assert isinstance(nbad.jvp(single, (X,), (1.0,))[1], tuple)


def test_pullback_always_returns_a_tuple():
    assert isinstance(nbad.vjp(square, X)[1](W), tuple)
    assert isinstance(nbad.vjp(square, X)[1].batched(W[None]), tuple)
    assert nbad.vjp(decay, X, 0.7, argnums=())[1](W) == ()


def test_scalars_count_as_float_and_get_a_cotangent():
    cts = nbad.vjp(product, 2, 3.0, True)[1](1.0)
    assert cts == (3.0, 2.0, 6.0)


def test_lists_are_arrays_of_floats():
    y, pullback = nbad.vjp(square, [[1, 2], [3, 4]])
    assert bits(y) == bits(np.array([[1.0, 4.0], [9.0, 16.0]]))
    assert bits(pullback([[1, 1], [1, 0]])) == bits((np.array([[2.0, 4.0], [6.0, 0.0]]),))


def test_a_matrix_is_its_array():
    with pytest.warns(PendingDeprecationWarning, match="matrix"):
        m = np.matrix([[1.0, 2.0]])
    assert type(square(m)) is np.ndarray
    assert bits(square(m)) == bits(np.array([[1.0, 4.0]]))


def test_omitted_defaults_are_constants_and_passed_ones_are_arguments():
    assert len(nbad.vjp(decay, X, 0.7)[1](W)) == 2
    cts = nbad.vjp(decay, X, 0.7, 2.0)[1](W)
    assert len(cts) == 3
    np.testing.assert_allclose(cts[2], np.sum(W * np.exp(-0.7 * X)), rtol=1e-12)


def test_keyword_arguments_are_the_same_arguments():
    expected = bits(nbad.vjp(decay, X, 0.7, 1.5)[1](W))
    assert bits(nbad.vjp(decay, X, scale=1.5, rate=0.7)[1](W)) == expected
    assert bits(decay(rate=0.7, x=X)) == bits(decay(X, 0.7))
    assert bits(nbad.jacobian(decay)(X, scale=1.5, rate=0.7)) == bits(nbad.jacobian(decay)(X, 0.7, 1.5))


# argnums


@pytest.mark.parametrize(
    ("argnums", "order"),
    [
        (None, (0, 1, 2)), (0, (0,)), ("b", (1,)), ((2, 0), (2, 0)), (("c", "a"), (2, 0)),
        (("c", 0, "b"), (2, 0, 1)), ((), ()), ([1, "c"], (1, 2)),
    ],
    ids=str,
)
def test_argnums_select_by_position_or_name_in_order(argnums, order):
    a, b, c = X, 2.0 * X, X - 3.0
    partial = (b * c, a * c, a * b)
    cts = nbad.vjp(product, a, b, c, argnums=argnums)[1](1.0)
    assert isinstance(cts, tuple)
    np.testing.assert_allclose(np.reshape(cts, (-1, N)), np.reshape([partial[k] for k in order], (-1, N)), rtol=1e-15)
    jacobian = nbad.jacobian(product, argnums)(a, b, c)
    assert jacobian.shape == (N, 1, len(order))
    assert bits(jacobian) == bits(nbad.value_and_jacobian(product, argnums)(a, b, c)[1])
    assert bits(tuple(jacobian[:, 0].T)) == bits(cts)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16, np.bool_])
def test_integer_arrays_are_not_differentiated(dtype):
    b = np.ones(N, dtype)
    cts = nbad.vjp(product, X, b, 2)[1](1.0)
    assert [np.shape(ct) for ct in cts] == [(N,), ()]
    assert len(nbad.vjp(product, X, dtype(1), 2)[1](1.0)) == 2
    assert nbad.jacobian(product)(X, b, 2).shape == (N, 1, 2)
    with pytest.raises(TypeError, match=r"argnums names b.*\n.*\n.*got: dtype .*\n.*\n  fix: b\.astype\(float\)"):
        nbad.vjp(product, X, b, 2, argnums="b")


# dtypes


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (np.float32, np.float32, np.float32), (np.float32, float, np.float32), (np.float32, int, np.float32),
        (np.float32, np.float64, np.float64), (np.float16, np.float16, np.float64), (np.float16, np.float32, np.float64),
        (np.int32, np.int32, np.float64), (np.bool_, np.bool_, np.float64), (np.float32, np.int8, np.float64),
        (np.float32, np.bool_, np.float64), (float, int, np.float64), (np.uint64, np.float32, np.float64),
    ],
    ids=lambda t: getattr(t, "__name__", str(t)),
)
def test_working_dtype(a, b, dtype):
    def make(kind):
        return kind(1) if kind in (float, int) else np.ones(5, kind)

    y, pullback = nbad.vjp(product, make(a), make(b), 2.0)
    assert y.dtype == dtype
    assert {ct.dtype for ct in pullback(1.0)} == {np.dtype(dtype)}
    assert nbad.jacobian(product)(make(a), make(b), 2.0).dtype == dtype


def test_constants_in_the_kernel_are_weak():
    y = decay(X.astype(np.float32), np.float32(0.7))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, 2.0 * np.exp(-0.7 * X), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.uint64, np.bool_])
def test_other_dtypes_become_float64_first(dtype):
    x = np.array([0, 1, 3, 7, 11, 200]).astype(dtype)
    assert bits(square(x)) == bits(square(x.astype(np.float64)))


LAYOUTS = {
    "big-endian": lambda a: a.astype(">f8"),
    "big-endian float32": lambda a: a.astype(">f4"),
    "read-only": lambda a: np.frombuffer(a.tobytes()),
    "reversed": lambda a: a[::-1].copy()[::-1],
    "every other": lambda a: np.repeat(a, 2)[::2],
    "structured field": lambda a: np.rec.fromarrays([a, a], names="p,q")["q"],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), np.float64, offset=1),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_and_byte_orders_have_the_bits_of_contiguous_arrays(layout):
    x, w = layout(X), layout(W)
    plain, seed = np.array(x, x.dtype.newbyteorder("=")), np.array(w, w.dtype.newbyteorder("="))
    y, pullback = nbad.vjp(polar, x, x)
    expected, twin = nbad.vjp(polar, plain, plain)
    assert bits((*y, *pullback((w, 1.0)))) == bits((*expected, *twin((seed, 1.0))))


@pytest.mark.parametrize("order", ["F", "transposed", "sliced"])
def test_two_dimensional_layouts(order):
    plain = X.reshape(20, 50)
    x = {"F": np.asfortranarray(plain), "transposed": plain.T.copy().T, "sliced": np.pad(plain, 3)[3:-3, 3:-3]}[order]
    y, pullback = nbad.vjp(decay, x, np.broadcast_to(0.7, (20, 50)))
    expected, twin = nbad.vjp(decay, plain, np.full((20, 50), 0.7))
    assert bits((y, *pullback(x))) == bits((expected, *twin(plain)))


def test_broadcast_cotangents_are_sums():
    x, rate, scale = X.reshape(4, 5, 50), np.linspace(0.1, 1.0, 5)[:, None], np.float64(2.0)
    w = W.reshape(x.shape)
    cts = nbad.vjp(decay, x, rate, scale)[1](w)
    y = np.exp(-rate * x)
    np.testing.assert_allclose(cts[0], -w * scale * rate * y, rtol=1e-13)
    np.testing.assert_allclose(cts[1], np.sum(-w * scale * x * y, axis=(0, 2))[:, None], rtol=1e-11)
    np.testing.assert_allclose(cts[2], np.sum(w * y), rtol=1e-11)


# jacobian and jvp


@pytest.mark.parametrize("shapes", [((), ()), ((7,), ()), ((3, 1), (4,)), ((0,), ()), ((2, 0, 3), (3,)), ((1, 1), (1,))], ids=str)
def test_jacobian_is_a_block_for_each_element(shapes):
    r, phi = (np.random.default_rng(3).uniform(0.5, 1.0, shape) for shape in shapes)
    y, jacobian = nbad.value_and_jacobian(polar)(r, phi)
    rows = np.broadcast_arrays(np.cos(phi), -r * np.sin(phi), np.sin(phi), r * np.cos(phi), np.empty(np.broadcast(r, phi).shape))
    expected = np.stack(rows[:4], axis=-1).reshape(*rows[4].shape, 2, 2)
    assert isinstance(jacobian, np.ndarray)
    assert jacobian.shape == expected.shape
    np.testing.assert_allclose(jacobian, expected, rtol=1e-14)
    assert bits(nbad.jacobian(polar)(r, phi)) == bits(jacobian)
    assert bits(y) == bits(polar(r, phi))


def test_jacobian_of_the_identity_has_both_axes():
    assert bits(nbad.jacobian(copy)(2.0)) == bits(np.ones((1, 1)))
    assert bits(nbad.jacobian(copy)(X)) == bits(np.ones((N, 1, 1)))


def test_jvp_is_the_directional_derivative():
    y, y_dot = nbad.jvp(polar, (X, Y), (W, V))
    np.testing.assert_allclose(y_dot[0], np.cos(Y) * W - X * np.sin(Y) * V, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(y_dot[1], np.sin(Y) * W + X * np.cos(Y) * V, rtol=1e-12, atol=1e-14)
    assert bits(y) == bits(polar(X, Y))
    _, scalar = nbad.jvp(polar, (X, Y), (1.0, 0))
    assert bits(scalar) == bits(nbad.jvp(polar, (X, Y), (np.ones(N), np.zeros(N)))[1])


def test_jvp_of_broadcast_arguments_takes_tangents_in_their_shape():
    _, y_dot = nbad.jvp(decay, (X, 0.7), (0.0, 2.0))
    np.testing.assert_allclose(y_dot, -2.0 * X * decay(X, 0.7), rtol=1e-14)
    assert type(nbad.jvp(square, (3.0,), (1.0,))[1]) is np.float64


# seeds


def test_a_scalar_stands_for_any_leaf():
    _, pullback = nbad.vjp(polar, X, Y)
    ones, zeros = np.ones(N), np.zeros(N)
    assert bits(pullback((1.0, W))) == bits(pullback((ones, W)))
    assert bits(pullback((True, 0))) == bits(pullback((ones, zeros)))
    assert bits(pullback.batched((1, W[None]))) == bits(pullback.batched((ones[None], W[None])))


def test_seeds_may_have_any_real_dtype_and_layout():
    _, pullback = nbad.vjp(square, X)
    ints = np.arange(N)
    assert bits(pullback(ints)) == bits(pullback(ints.astype(float)))
    assert bits(pullback(list(W))) == bits(pullback(W))
    assert bits(pullback(np.broadcast_to(2.0, N))) == bits(pullback(2.0))
    assert bits(pullback.batched(np.asfortranarray(np.stack([W, V])))) == bits(pullback.batched(np.stack([W, V])))


def test_seeds_of_float32_kernels_become_float32():
    _, pullback = nbad.vjp(square, X.astype(np.float32))
    assert bits(pullback(W)) == bits(pullback(W.astype(np.float32)))


def test_a_zero_seed_gives_zero_where_the_partial_is_infinite():
    root = nbad.kernel(lambda x: np.sqrt(x))
    _, pullback = nbad.vjp(root, np.array([0.0, 4.0]))
    assert pullback(np.array([0.0, 1.0]))[0].tolist() == [0.0, 0.25]
    assert pullback(1.0)[0].tolist() == [math.inf, 0.25]
    assert nbad.jvp(root, (np.array([0.0]),), (0.0,))[1].tolist() == [0.0]


def test_an_argument_without_influence_has_cotangent_zero():
    _, pullback = nbad.vjp(nbad.kernel(lambda x, y: np.floor(x) + y), X, Y)
    assert bits(pullback(W)) == bits((np.zeros(N), W))
    y, pullback = nbad.vjp(nbad.kernel(lambda x: 3.0), X)
    assert bits(y) == bits(np.full(N, 3.0))
    assert bits(pullback(W)) == bits((np.zeros(N),))
    assert bits(nbad.jacobian(nbad.kernel(lambda x: (3.0, x)))(X)) == bits(np.broadcast_to([[0.0], [1.0]], (N, 2, 1)).copy())
