"""The contract, line by line: arguments, shapes, dtypes, derivatives and seeds."""

import inspect
import math
import pickle

import numpy as np
import pytest
from helpers.same_bits import bits

import nbad
from kernels import copy, polar, product, scaled_decay, square
from nbad.errors import ArgumentTypeError

N = 1000
RNG = np.random.default_rng(2)
X = RNG.uniform(0.5, 2.0, N)
Y = RNG.uniform(-1.0, 1.0, N)
W = RNG.standard_normal(N)
V = RNG.standard_normal(N)


@nbad.kernel
def single(x):
    return (3.0 * x,)


# shapes and structure


def test_kernel_keeps_name_docstring_and_signature():
    assert (polar.__name__, polar.__doc__) == ("polar", "Cartesian coordinates.")
    assert scaled_decay.__wrapped__(1.0, 0.0) == 2.0
    assert str(inspect.signature(scaled_decay)) == "(x, rate, scale=2.0)"


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
    assert nbad.vjp(scaled_decay, X, 0.7, argnums=())[1](W) == ()


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
    assert len(nbad.vjp(scaled_decay, X, 0.7)[1](W)) == 2
    cts = nbad.vjp(scaled_decay, X, 0.7, 2.0)[1](W)
    assert len(cts) == 3
    np.testing.assert_allclose(cts[2], np.sum(W * np.exp(-0.7 * X)), rtol=1e-12)


def test_keyword_arguments_are_the_same_arguments():
    expected = bits(nbad.vjp(scaled_decay, X, 0.7, 1.5)[1](W))
    assert bits(nbad.vjp(scaled_decay, X, scale=1.5, rate=0.7)[1](W)) == expected
    assert bits(scaled_decay(rate=0.7, x=X)) == bits(scaled_decay(X, 0.7))
    assert bits(nbad.jacobian(scaled_decay)(X, scale=1.5, rate=0.7)) == bits(nbad.jacobian(scaled_decay)(X, 0.7, 1.5))


# argnums


@pytest.mark.parametrize(
    ("argnums", "order"),
    [
        (None, (0, 1, 2)),
        (0, (0,)),
        ("b", (1,)),
        ((2, 0), (2, 0)),
        (("c", "a"), (2, 0)),
        (("c", 0, "b"), (2, 0, 1)),
        ((), ()),
        ([1, "c"], (1, 2)),
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


VERBS = {
    "vjp": lambda f, *xs: nbad.vjp(f, *xs),
    "jvp": lambda f, *xs: nbad.jvp(f, xs, (0,) * len(xs)),
    "jvp beside a keyword": lambda f, *xs: nbad.jvp(f, xs[:-1], (0,) * (len(xs) - 1), z=xs[-1].astype(float)),
    "linearize": lambda f, *xs: nbad.linearize(f, *xs),
    "jacobian": lambda f, *xs: nbad.jacobian(f)(*xs),
    "value_and_jacobian": lambda f, *xs: nbad.value_and_jacobian(f)(*xs),
    "hessian": lambda f, *xs: nbad.hessian(f)(*xs),
    "hvp": lambda f, *xs: nbad.hvp(f, xs, (0,) * len(xs)),
    "grad": lambda f, *xs: nbad.grad(f)(*xs),
    "value_and_grad": lambda f, *xs: nbad.value_and_grad(f)(*xs),
}
NAMING = {
    "vjp": lambda f, *xs: nbad.vjp(f, *xs, argnums="y"),
    "linearize": lambda f, *xs: nbad.linearize(f, *xs, argnums="y"),
    "jacobian": lambda f, *xs: nbad.jacobian(f, "y")(*xs),
    "value_and_jacobian": lambda f, *xs: nbad.value_and_jacobian(f, "y")(*xs),
    "hessian": lambda f, *xs: nbad.hessian(f, ("x", "y"))(*xs),
    "grad": lambda f, *xs: nbad.grad(f, "y")(*xs),
    "grad with out=": lambda f, *xs: nbad.grad(f, "y")(*xs, out=np.empty(N)),
    "grad of grad": lambda f, *xs: nbad.grad(nbad.grad(f, "y"), "x")(*xs),
    "jacobian of grad": lambda f, *xs: nbad.jacobian(nbad.grad(f, "y"))(*xs),
    "value_and_grad": lambda f, *xs: nbad.value_and_grad(f, ("x", "y"))(*xs),
}
volume = nbad.kernel(lambda x, y, z: x * y * y + z)


def mended(call, error, **values):
    """What a call gives when its arguments are what the error's fix makes of them."""
    fix = str(error).rpartition("fix: ")[2]
    return call(volume, *(values | {fix.partition(".")[0]: eval(fix, {}, values)}).values())


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_to_differentiate_by_is_an_error_in_every_verb(verb, dtype):
    call = VERBS[verb]
    for x in (np.ones(N, dtype), dtype(1)):
        for _ in range(2):
            with pytest.raises(ArgumentTypeError, match=r"`.*\(x, y, z\)`.*differentiate.* by") as caught:
                call(volume, x, x, x)
        assert "fix: x.astype(float)" in str(caught.value)
        mended(call, caught.value, x=x, y=x, z=x)


@pytest.mark.parametrize("verb", NAMING)
def test_an_integer_array_that_is_named_is_an_error_in_every_verb(verb):
    ints, call = np.arange(N), NAMING[verb]
    call(volume, X, X, ints)
    with pytest.raises(ArgumentTypeError, match=r"y, which has no derivative\n.*\n  got: dtype int64\n") as caught:
        call(volume, X, ints, ints)
    mended(call, caught.value, x=X, y=ints, z=ints)


def test_gradients_take_integer_arrays_that_are_not_differentiated():
    ints = np.arange(N)
    assert bits(nbad.grad(volume)(X, ints, 1)) == bits(ints * 1.0 * ints)
    assert nbad.jacobian(nbad.grad(volume))(X, ints, 1).shape == (N, 1, 2)
    assert nbad.hessian(volume)(X, ints, 1).shape == (N, 2, 2)
    assert nbad.grad(volume)(2, [1, 2], 3).tolist() == [1.0, 4.0]
    slope = nbad.grad(scaled_decay, "rate")
    for kernel in (slope, pickle.loads(pickle.dumps(slope))):
        with pytest.raises(ArgumentTypeError, match="differentiates by rate"):
            kernel(X, ints)


# dtypes


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (np.float32, np.float32, np.float32),
        (np.float32, float, np.float32),
        (np.float32, int, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float16, np.float16, np.float64),
        (np.float16, np.float32, np.float64),
        (np.int32, np.int32, np.float64),
        (np.bool_, np.bool_, np.float64),
        (np.float32, np.int8, np.float64),
        (np.float32, np.bool_, np.float64),
        (float, int, np.float64),
        (np.uint64, np.float32, np.float64),
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
    y = scaled_decay(X.astype(np.float32), np.float32(0.7))
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
    y, pullback = nbad.vjp(scaled_decay, x, np.broadcast_to(0.7, (20, 50)))
    expected, twin = nbad.vjp(scaled_decay, plain, np.full((20, 50), 0.7))
    assert bits((y, *pullback(x))) == bits((expected, *twin(plain)))


def test_broadcast_cotangents_are_sums():
    x, rate, scale = X.reshape(4, 5, 50), np.linspace(0.1, 1.0, 5)[:, None], np.float64(2.0)
    w = W.reshape(x.shape)
    cts = nbad.vjp(scaled_decay, x, rate, scale)[1](w)
    y = np.exp(-rate * x)
    np.testing.assert_allclose(cts[0], -w * scale * rate * y, rtol=1e-13)
    np.testing.assert_allclose(cts[1], np.sum(-w * scale * x * y, axis=(0, 2))[:, None], rtol=1e-11)
    np.testing.assert_allclose(cts[2], np.sum(w * y), rtol=1e-11)


def test_many_axes_in_any_order():
    rng = np.random.default_rng(5)
    x, rate = rng.random((2, 3, 2, 3, 2, 3, 2)).transpose(6, 1, 4, 3, 2, 5, 0), rng.random((3, 1, 3, 1, 1, 2))
    w = rng.standard_normal(x.shape)
    y, pullback = nbad.vjp(scaled_decay, x, rate)
    expected = 2.0 * np.exp(-rate * x)
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    summed = np.sum(-w * x * expected, axis=(0, 2, 4, 5), keepdims=True)[0]
    np.testing.assert_allclose(pullback(w)[1], summed, rtol=1e-11)


def test_subclasses_of_arrays_are_read_as_arrays():
    class Named(np.ndarray):
        pass

    y, pullback = nbad.vjp(square, X.view(Named))
    assert type(y) is np.ndarray
    assert bits(pullback(W.view(Named))) == bits((2 * X * W,))


# kernels of kernels, and of nothing


def test_kernels_call_kernels():
    outer = nbad.kernel(lambda x, y: square(x) + scaled_decay(x=y, rate=0.5) * polar(x, phi=y)[1])
    np.testing.assert_allclose(outer(X, Y), X**2 + 2 * np.exp(-0.5 * Y) * X * np.sin(Y), rtol=1e-12)
    ct_x, _ = nbad.vjp(outer, X, Y)[1](1.0)
    np.testing.assert_allclose(ct_x, 2 * X + 2 * np.exp(-0.5 * Y) * np.sin(Y), rtol=1e-12)


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
    _, y_dot = nbad.jvp(scaled_decay, (X, 0.7), (0.0, 2.0))
    np.testing.assert_allclose(y_dot, -2.0 * X * scaled_decay(X, 0.7), rtol=1e-14)
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
