"""Kernels called in compiled code on arrays: broadcasting, layouts, `out`, the gallery, other kinds of compiled functions."""

import math

import numba
import numpy as np
import pytest
import scipy.special
from helpers.compiled import assert_same, calling
from helpers.gallery import GALLERY

import nbad
from kernels import decay, polar, scaled_decay

pytestmark = pytest.mark.slow


def test_arguments_broadcast():
    rng = np.random.default_rng(2)
    a, b = rng.uniform(size=(6, 1)), rng.uniform(size=7)
    call = calling(decay, 2)
    for x, rate in [(a, b), (b, a[0, 0]), (a, 2), (rng.uniform(size=(3, 1, 2)), a[None]), (np.empty(0), 1.0), (a, np.arange(7))]:
        assert_same(call(x, rate), decay(x, rate))
    with pytest.raises(ValueError, match="broadcast"):
        call(np.ones(3), np.ones(4))


def test_what_may_be_none():
    @numba.njit
    def call(is_given, x):
        chosen = None
        if is_given:
            chosen = x
        return decay(chosen, 0.5), nbad.grad(decay)(x, rate=chosen)

    x = np.array([1.0, 2.0])
    for given in (x, 1.5):
        assert_same(call(True, given), (decay(given, 0.5), nbad.grad(decay)(given, given)))
        with pytest.raises(TypeError, match="got None"):
            call(False, given)


def test_layouts_and_dtypes():
    rng = np.random.default_rng(3)
    x, call = rng.uniform(size=(6, 8)), calling(decay, 2)
    for view in (x, x.T, x[::2, ::-1], np.asfortranarray(x), x.astype(np.float32), (10 * x).astype(np.int16), x > 0.5):
        assert_same(call(view, 0.5), decay(view, 0.5))
        assert_same(call(view, view), decay(view, view))
    assert_same(calling(polar, 2)(x.astype(np.float32), x), polar(x.astype(np.float32), x))


def test_results_are_filled():
    @numba.njit
    def fill(r, phi, x, y):
        polar(r, phi, out=(x, y))

    rng = np.random.default_rng(4)
    r, phi = rng.uniform(size=(5, 4)), rng.uniform(size=4)
    x, y = np.empty((4, 5)).T, np.empty((5, 8))[:, ::2]
    fill(r, phi, x, y)
    assert_same((x, y), polar(r, phi))
    with pytest.raises(ValueError, match="shape"):
        fill(r, phi, x[:4], y)


def test_a_caller_may_leave_out_what_is_filled():
    @numba.njit
    def fill(x, out=None):
        return decay(x, 0.5, out=out)

    x, out = np.linspace(0, 1, 5), np.empty(5)
    assert_same(fill(x), decay(x, 0.5))
    assert fill(2.0) == decay(2.0, 0.5)
    assert_same(fill(x, out), decay(x, 0.5))


def test_results_may_lie_where_arguments_do():
    @numba.njit
    def fill(x, rate, out):
        return decay(x, rate, out=out)

    memory = np.linspace(0, 1, 50)
    for given, out in ((slice(0, 40), slice(0, 40)), (slice(0, 40), slice(3, 43)), (slice(5, 45), slice(0, 40))):
        line = memory.copy()
        wanted = decay(line[given].copy(), 0.5)
        assert_same(fill(line[given], 0.5, line[out]).copy(), wanted)


def test_a_vector_that_all_elements_share_may_lie_in_the_results():
    scale = nbad.kernel(lambda v, x: [v[0] * x, v[1] * x, v[2] + x], signature="(3),()->(3)")

    @numba.njit
    def fill(v, x, out):
        scale(v, x, out=out)

    out, x = np.arange(15.0).reshape(5, 3), np.linspace(1, 2, 5)
    wanted = scale(out[1].copy(), x)
    fill(out[1], x, out)
    assert_same(out, wanted)


def test_in_parallel_loops_and_ufuncs_and_callbacks():
    @numba.njit(parallel=True)
    def parallel(x, out):
        for i in numba.prange(x.size):
            out[i] = decay(x[i], 0.5)
        return out

    ufunc = numba.vectorize(lambda x: decay(x, 0.5))
    generalized = numba.guvectorize(["(float64[:], float64[:])"], "(n)->(n)")(fill_decays)
    callback = numba.cfunc("float64(float64)")(lambda x: decay(x, 0.5))
    x = np.linspace(0, 2, 1001)
    wanted = decay(x, 0.5)
    for found in (parallel(x, np.empty(1001)), ufunc(x), generalized(x)):
        assert_same(found, wanted)
    assert callback.ctypes(x[7]) == wanted[7]


def fill_decays(x, out):
    for i in range(x.size):
        out[i] = decay(x[i], 0.5)


def test_functions_of_scipy_and_of_the_user():
    bump = nbad.primitive("compiled_bump", lambda x: math.exp(-x * x), ["-2*x*v"])
    f = nbad.kernel(lambda x: bump(x) + scipy.special.erfinv(0.5 * x))
    g, x = nbad.grad(f), np.linspace(-1, 1, 13)
    for dtype in (np.float64, np.float32):
        assert_same((calling(f, 1)(x.astype(dtype)), calling(g, 1)(x.astype(dtype))), (f(x.astype(dtype)), g(x.astype(dtype))))


def test_a_function_of_the_user_that_raises():
    def careful(x):
        if x < 0:
            raise ValueError("negative")
        return math.sqrt(x)

    own = nbad.primitive("careful_root", careful, ["0.5/v"])
    call = calling(nbad.kernel(lambda x: own(x) + 1.0), 1)
    assert call(4.0) == 3.0
    with pytest.raises(ArithmeticError, match=r"`careful_root`.* raised"):
        call(-4.0)


def test_arrays_of_which_an_element_raises():
    @nbad.kernel
    def checked(x, y):
        if x < 0:
            raise ValueError("negative")
        if y > 1:
            raise KeyError("large")
        return math.log(1.0 + x) * y

    call, x, y = calling(checked, 2), np.linspace(0, 1, 101), np.linspace(0, 1, 101)[::-1]
    assert_same(call(x, y), checked(x, y))
    table = call(x[:, None], y)
    assert_same(table, checked(x[:, None], y))
    for k, raised, wrong in ((7, ValueError, (-1.0, 2.0)), (9, KeyError, (0.5, 2.0))):
        u, v = x.copy(), y.copy()
        u[k], v[k] = wrong
        u[50] = -1.0
        with pytest.raises(raised, match=r"negative|large"):
            call(u, v)


def test_defaults_and_libm():
    exact, x = nbad.kernel(scaled_decay.__wrapped__, math="libm"), np.linspace(0, 1, 9)
    assert_same(calling(exact, 2)(x, 0.5), exact(x, 0.5))
    assert_same(calling(scaled_decay, 2)(x, 0.5), scaled_decay(x, 0.5))


@pytest.mark.parametrize("name", GALLERY)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gallery(gallery, name, dtype):
    """Values and Jacobians have the bits of nbad's own array calls."""
    module, rng = gallery[name], np.random.default_rng(5)
    for f in [f for f in vars(module).values() if isinstance(f, nbad.Kernel)]:
        names = [p for p in f.parameters if p not in f.static]
        xs = module.sample_inputs(rng, 101, dtype) if f.__name__ == name else ()
        if len(xs) != len(names):
            xs = [rng.uniform(0.1, 0.9, (101, *f.core(p))).astype(dtype) for p in names]
        for called in (f, nbad.value_and_jacobian(f)):
            assert_same(calling(called, len(xs))(*xs), called(*xs))
