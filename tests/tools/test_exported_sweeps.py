"""The sweeps of exported modules: any number of elements, results that pass the caches, loops on data, wrong seeds."""

import enum
import itertools
import math
import types

import numba
import numpy as np
import pytest

import nbad

LINE = 8  # numbers of a cache line
Axis = enum.Enum("Axis", ["LONG", "WIDE"])


def exported(kernel, past, dtype="float64"):
    """The module of a kernel, which stores so many bytes of cotangents and more past the caches."""
    text, module = nbad.export(kernel, dtype), types.ModuleType("exported")
    assert text.count("PAST = 1 << 24 ") == 1
    exec(text.replace("PAST = 1 << 24 ", f"PAST = {past} "), vars(module))
    return module


@pytest.fixture(scope="module")
def product():
    return exported(nbad.kernel(lambda x, a: x * a), past=-1)


def test_cotangents_that_pass_the_caches(product):
    """Where rows begin at the same place of a line, from the first whole one on; around them nothing changes."""
    for n, lead in itertools.product([0, 1, 5, 8, 9, 40, 520, 2500, 6000], [0, 3, 7]):
        check_cotangents(product, n, lead)


def check_cotangents(product, n, lead):
    rng, count = np.random.default_rng(n), 3 * 2 * n
    x, seeds, room = rng.normal(size=(2, n)), rng.normal(size=(3, 1, n)), np.full(count + 4 * LINE, -1.0)
    start = -room.ctypes.data // 8 % LINE + LINE - lead
    y, kept, cotangents = np.empty((1, n)), np.empty((2, n)), room[start : start + count].reshape(3, 2, n)
    product.forward(x, y, kept)
    product.reverse(kept, seeds, cotangents)
    np.testing.assert_array_equal(y[0], x[0] * x[1])
    np.testing.assert_array_equal(cotangents, np.stack([x[1] * seeds[:, 0], x[0] * seeds[:, 0]], axis=1))
    assert (room[:start] == -1.0).all()
    assert (room[start + count :] == -1.0).all()


def test_loops_on_data():
    """Each element does its own number of passes: halving is exact, in single precision too."""

    def halved(x):
        n = 0.0
        while x > 1.0:
            x, n = 0.5 * x, n + 1.0
        return x, n

    halving = exported(nbad.kernel(halved), past=1 << 24, dtype="float32")
    for n in (1, 7, 8, 15, 16, 17, 63, 64, 65, 600):
        x = np.random.default_rng(n).uniform(0.5, 900.0, (1, n)).astype("f4")
        x[0, n // 2] = 2.0**30  # which goes on alone
        y, kept, codes = (np.empty((rows, n), "f4") for rows in (2, 1, 1))
        halving.forward(x, y, kept, codes)
        passes = np.ceil(np.log2(np.maximum(x[0].astype(float), 1.0)))
        np.testing.assert_array_equal(y, [x[0] / 2.0**passes, passes])
        cotangents, seeds = np.empty((2, 1, n), "f4"), np.array([[np.ones(n), np.zeros(n)], [np.full(n, 3.0), np.ones(n)]], "f4")
        halving.reverse(kept, seeds, cotangents)
        np.testing.assert_array_equal(cotangents[:, 0], [0.5**passes, 3.0 * 0.5**passes])
        assert not codes.any()


def test_results_that_are_not_contiguous_are_refused(product):
    with pytest.raises(numba.TypingError, match="results are C-contiguous arrays of float64"):
        product.forward(np.ones((2, 4)), np.empty((1, 8))[:, ::2], np.empty((2, 4)))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_results_of_another_dtype_are_refused(product, dtype):
    """Numbers are moved as they are, by whole lines."""
    with pytest.raises(numba.TypingError, match="results are C-contiguous arrays of float64"):
        product.forward(np.ones((2, 4)), np.empty((1, 4), dtype), np.empty((2, 4)))
    with pytest.raises(numba.TypingError, match="results are C-contiguous arrays of float64"):
        product.reverse(np.ones((2, 4)), np.ones((1, 1, 4)), np.empty((1, 2, 4), dtype))


@pytest.mark.slow
@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64")])
def test_modules_of_both_dtypes_in_one_process(dtypes):
    """Their vector functions are others, under names that all code of the process shares."""
    kernel = nbad.kernel(lambda x, y: tuple(np.sin(k * x + y) + np.exp(k * y) for k in range(1, 9)))
    x, y = np.random.default_rng(0).uniform(-1.0, 1.0, (2, 300))
    for dtype in dtypes:
        module = types.ModuleType("exported")
        exec(nbad.export(kernel, dtype), vars(module))
        u, v = x.astype(dtype).astype(float), y.astype(dtype).astype(float)
        expected = [np.sin(k * u + v) + np.exp(k * v) for k in range(1, 9)]
        np.testing.assert_allclose(module.value(x, y), expected, rtol=1e-12 if dtype == "float64" else 1e-4, atol=1e-5)


def test_code_that_calls_elements_of_both_dtypes():
    kernel, modules = nbad.kernel(lambda x: np.exp(x) + 0.0), []
    for dtype in ("float64", "float32"):
        modules.append(types.ModuleType("exported"))
        exec(nbad.export(kernel, dtype), vars(modules[-1]))
    double, single = (module.element for module in modules)

    @numba.njit
    def both(x):
        return double(x)[0], single(np.float32(x))[0]

    np.testing.assert_allclose(both(1.5), (np.exp(1.5), np.exp(1.5)), rtol=1e-6)


def test_arrays_in_any_order_are_read_without_a_word(product, capfd, rng):
    """The compiler remarks loops that it was told to make vectors of, and cannot."""
    x, kept, cotangents = rng.normal(size=(2, 100)), np.empty((2, 100)), np.empty((1, 2, 100))
    y, seeds = np.empty((1, 100)), np.asfortranarray(rng.normal(size=(1, 1, 100)).repeat(2, axis=0))[:1]
    product.forward(np.asfortranarray(x), y, kept)
    product.reverse(np.asfortranarray(kept), seeds, cotangents)
    np.testing.assert_array_equal(y[0], x[0] * x[1])
    np.testing.assert_array_equal(cotangents[0], x[::-1] * seeds[0])
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_functions_of_the_c_library_are_called_without_a_word(capfd):
    """Of loops that call some of them the compiler makes no vectors."""
    module = exported(nbad.kernel(lambda x: math.erf(x) + math.exp(x), math="libm"), past=1 << 24)
    x = np.linspace(-1.0, 1.0, 20)
    y, pullback = module.vjp(x)
    assert y.tolist() == [math.erf(number) + math.exp(number) for number in x]
    np.testing.assert_allclose(pullback(1.0)[0], 2.0 / math.sqrt(math.pi) * np.exp(-x * x) + np.exp(x), rtol=1e-14)
    assert capfd.readouterr().err == ""


def test_results_that_are_only_to_be_read_are_refused(product):
    y, cotangents = np.full((1, 4), -1.0), np.full((1, 2, 4), -1.0)
    y.flags.writeable = cotangents.flags.writeable = False
    with pytest.raises(numba.TypingError, match="arrays of float64 that can be written to"):
        product.forward(np.ones((2, 4)), y, np.empty((2, 4)))
    with pytest.raises(numba.TypingError, match="arrays of float64 that can be written to"):
        product.reverse(np.ones((2, 4)), np.ones((1, 1, 4)), cotangents)
    assert (y == -1.0).all()
    assert (cotangents == -1.0).all()


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_operands_of_another_dtype_are_refused(product, dtype):
    """What is computed of them would be rounded as they are."""
    with pytest.raises(numba.TypingError, match="what is read is arrays of float64"):
        product.forward(np.ones((2, 4), dtype), np.empty((1, 4)), np.empty((2, 4)))
    with pytest.raises(numba.TypingError, match="what is read is arrays of float64"):
        product.reverse(np.ones((2, 4)), np.ones((1, 1, 4), dtype), np.empty((1, 2, 4)))


def test_operands_in_the_other_byte_order_are_refused(product):
    """Numba has no type for them."""
    given = np.ones((2, 40)), np.empty((1, 40)), np.empty((2, 40))
    product.forward(*given)
    with pytest.raises(numba.TypingError, match="non-precise type"):
        product.forward(given[0].astype(given[0].dtype.newbyteorder()), *given[1:])
    np.testing.assert_array_equal(product.value(given[0][0].astype(">f8"), 3.0), np.full(40, 3.0))


def test_rows_that_do_not_fit_are_refused(product):
    """Else memory beside them would be read, or written to."""
    for place, shape in itertools.product(range(3), [(3, 40), (2, 41), (2, 39), (1, 0)]):
        given = [np.ones((2, 40)), np.empty((1, 40)), np.empty((2, 40))]
        given[place] = np.ones(shape)
        with pytest.raises(ValueError, match=r"x has the shape \(2, n\), y \(1, n\), residuals \(2, n\)"):
            product.forward(*given)
    for place, shape in itertools.product(range(3), [(3, 3, 40), (2, 2, 41), (4, 1, 40), (1, 0, 0)]):
        given = [np.ones((2, 40)), np.ones((3, 1, 40)), np.ones((3, 2, 40))]
        given[place] = np.ones(shape if place else shape[:2])
        with pytest.raises(ValueError, match=r"residuals have the shape \(2, n\), seeds \(S, 1, n\), cotangents \(S, 2, n\)"):
            product.reverse(*given)


@pytest.mark.parametrize(
    ("kernel", "seed", "message"),
    [
        (lambda x: (x, x), 1.0, "the structure of the value, a tuple of 2, and this is 1.0"),
        (lambda x: (x, x), (1.0, 2.0, 3.0), r"a tuple of 2, and this is \(1.0, 2.0, 3.0\)"),
        (lambda x: (x, x), np.ones((2, 2)), "a tuple of 2, and this is array"),
        (lambda x: {"a'": x, "b": x}, {"b": 1.0}, """a dict with the keys "a'", 'b', or a tuple of 2, and this is {'b': 1.0}"""),
        (lambda x: x, (1.0, 2.0), r"one array, and this is \(1.0, 2.0\)"),
    ],
)
def test_seeds_of_another_structure_are_refused(interpreted, kernel, seed, message):
    pullback = interpreted(nbad.kernel(kernel)).vjp(np.ones(2))[1]
    for call in (pullback, pullback.batched):
        with pytest.raises(ValueError, match=f"`<lambda>`: a seed has .*{message}"):
            call(seed)


def test_batches_of_unknown_length_are_refused(interpreted):
    batched = interpreted(nbad.kernel(lambda x: (x, x))).vjp(np.ones(2))[1].batched
    with pytest.raises(ValueError, match="`<lambda>`: seeds have one more axis in front, as long in all; here none has one"):
        batched((1.0, 1.0))
    with pytest.raises(ValueError, match=r"as long in all; here \[3, 4\]"):
        batched((np.ones((3, 2)), np.ones((4, 2))))


def test_seeds_of_dicts_come_in_any_order(interpreted):
    """Or in a tuple, as nbad takes them."""
    pullback = interpreted(nbad.kernel(lambda x: {"one": x, "ten": 10.0 * x})).vjp(2.0)[1]
    assert pullback({"ten": 1.0, "one": 3.0}) == (13.0,)
    assert pullback((3.0, 1.0)) == (13.0,)


def test_keys_that_code_cannot_write_are_refused():
    keyed = nbad.kernel(lambda x: {Axis.LONG: x, Axis.WIDE: 2.0 * x})
    with pytest.raises(TypeError, match=r"the kernel returns a dict with the keys \(<Axis\.LONG: 1>"):
        nbad.export(keyed)
