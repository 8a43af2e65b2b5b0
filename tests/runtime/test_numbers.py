"""Numbers among arrays: one value for all elements, at every place, of every kind, in every sweep."""

import itertools

import numba
import numpy as np
import pytest
from helpers.same_bits import bits
from helpers.tiles_by_hand import compile_tile

import nbad
from nbad.codegen.lower import lower
from nbad.graphs.graph import GraphBuilder
from nbad.native.entry import Bounds, Means, Move, Plain, entry
from nbad.native.entry_table import TEAM_BITS
from nbad.runtime import plain, threads
from nbad.runtime.operands import DOUBLE, SINGLE
from nbad.runtime.threads import asked

SIZES = [1, 7, 16, 17, 511, 512, 513, 520, 4_095, 4_096, 4_097, 100_000]
NEVER = 1 << 60
KINDS = {"number": float, "NumPy's": np.float64, "no axes": None}
PLACES = [places for size in (1, 2, 3) for places in itertools.combinations(range(4), size)]


@nbad.kernel
def energy(x, y, epsilon, sigma):
    q = sigma / (x * y)
    return epsilon * (q * q - q), q


def by_numpy(x, y, epsilon, sigma):
    """Each operation rounds as the kernel's does."""
    q = sigma / (x * y)
    return epsilon * (q * q - q), q


def partials_by_numpy(x, y, epsilon, sigma):
    """Of both results, by each argument: in float64, from the formulas."""
    x, y, epsilon, sigma = (np.asarray(a, float) for a in (x, y, epsilon, sigma))
    q = sigma / (x * y)
    slopes = -q / x, -q / y, 0.0 * q, q / sigma
    by_epsilon = q * q - q
    return [epsilon * (2.0 * q - 1.0) * slope + (by_epsilon if k == 2 else 0.0) for k, slope in enumerate(slopes)], slopes


def given(n, places, kind, dtype, rng):
    """Arguments with numbers at these places, as the kernel takes them and as arrays of the working dtype."""
    numbers = rng.uniform(0.5, 2.0, 4).astype(dtype)
    arrays = [rng.uniform(0.5, 2.0, n).astype(dtype) for _ in range(4)]
    xs = [(KINDS[kind] or np.array)(numbers[k]) if k in places else arrays[k] for k in range(4)]
    return xs, [np.full(n, numbers[k]) if k in places else arrays[k] for k in range(4)]


@pytest.fixture
def early(monkeypatch):
    """Entries that share whatever there is."""
    monkeypatch.setattr(plain, "SHARED", 0)
    monkeypatch.setattr(plain, "SMALL", 1_000)


@pytest.fixture(params=[1, 2])
def threaded(request, early):
    before = numba.get_num_threads()
    numba.set_num_threads(min(request.param, numba.config.NUMBA_NUM_THREADS))
    yield
    numba.set_num_threads(before)


def served(f, xs, out=None):
    """What the entry for the value makes of arguments, or False."""
    return next((made for run in f.plain.runs(("value",)) if (made := run(tuple(xs), out)) is not False), False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", SIZES)
def test_values_at_every_place(n, dtype, rng, threaded):
    f = nbad.kernel(energy.__wrapped__)
    for places, kind in itertools.product(PLACES, KINDS):
        if kind == "NumPy's" and dtype == "float32":
            continue  # of a double no single is made
        xs, arrays = given(n, places, kind, dtype, rng)
        expected = bits(by_numpy(*arrays))
        assert bits(f(*xs)) == expected
        out = tuple(np.full(n + 2, 7.0, dtype) for _ in range(2))
        assert f(*xs, out=tuple(a[1:-1] for a in out))[0].base is out[0]
        assert bits(tuple(a[1:-1] for a in out)) == expected
        assert all(a[0] == a[-1] == 7.0 for a in out)
    assert served(f, xs) is not False


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [1, 17, 513, 4_096, 20_001])
@pytest.mark.parametrize("places", [(0,), (3,), (1, 2), (0, 2, 3)])
def test_every_sweep(n, places, dtype, rng, threaded):
    """The formulas, and the bits of the general way, which meets arrays with gaps."""
    f, xs, arrays = nbad.kernel(energy.__wrapped__), *given(n, places, "number", dtype, rng)
    seeds = [rng.standard_normal((3, n)).astype(dtype) for _ in range(2)]
    tangents = [1.5 if k in places else np.asarray(a[::-1]) for k, a in enumerate(arrays)]

    def sweeps(xs, seeds, tangents):
        value, pullback = nbad.vjp(f, *xs)
        one, pushed = tuple(seed[0] for seed in seeds), nbad.linearize(f, *xs)[1]
        return [
            *(bits(value), bits(pullback(one)), bits(pullback.batched(tuple(seeds)))),
            *(bits(nbad.jacobian(f)(*xs)), bits(nbad.value_and_jacobian(f)(*xs)[1]), bits(pushed(tangents))),
            *(bits(part) for part in nbad.jvp(f, xs, tangents)),
        ]

    with_gaps = [np.repeat(x, 2)[::2] if isinstance(x, np.ndarray) else x for x in xs]
    expected = sweeps(with_gaps, [np.repeat(s, 2, 1)[:, ::2] for s in seeds], tangents)
    for _ in range(3):
        assert sweeps(xs, seeds, tangents) == expected
    close = dict(rtol=1e-13, atol=1e-13) if dtype == "float64" else dict(rtol=2e-5, atol=2e-5)
    exact = np.stack([np.stack([np.broadcast_to(p, n) for p in row], -1) for row in partials_by_numpy(*arrays)], -2)
    np.testing.assert_allclose(nbad.jacobian(f)(*xs), exact, **close)
    along = np.stack([np.broadcast_to(np.asarray(t, float), n) for t in tangents], -1)
    np.testing.assert_allclose(np.stack(nbad.jvp(f, xs, tangents)[1], -1), np.einsum("nij,nj->ni", exact, along), **close)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_one_seed_for_all_elements(dtype, rng, threaded):
    xs = [rng.uniform(0.5, 2.0, 5_000).astype(dtype) for _ in range(4)]
    _, pullback = nbad.vjp(nbad.kernel(energy.__wrapped__), *xs)
    seed = rng.standard_normal(5_000).astype(dtype)
    for _ in range(3):
        assert bits(pullback((2.0, seed))) == bits(pullback((np.full(5_000, 2.0, dtype), seed)))
    batch = np.stack([seed, -seed])
    for _ in range(3):
        assert bits(pullback.batched((batch, batch[::-1].copy()))) == bits(pullback.batched((batch, batch[::-1])))


def test_bits_depend_on_no_place(rng, threaded):
    f, x, y = nbad.kernel(lambda x, y, a: np.exp(x * a) / y), *rng.uniform(0.5, 2.0, (2, 9_001))
    whole = f(x, y, 1.25)
    for start, end in ((0, 9_001), (1, 9_001), (3, 530), (500, 1_013), (4_000, 8_099), (8_995, 9_001)):
        for _ in range(3):
            assert bits(f(x[start:end], y[start:end], 1.25)) == bits(whole[start:end])


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
def test_what_numbers_decide_is_left_to_who_does_it_once(dtype, rng):
    """An exponential of a number is taken out of the sweep over many elements; one product of numbers is not."""
    program = nbad.kernel(lambda x, a, b: x * b * b + np.exp(a)).whole_program()
    run = plain.value(program, dtype)
    x, y = rng.uniform(0.5, 2.0, (2, plain.MANY)).astype(dtype)
    few = x[:-1].copy()
    assert run((x, 2.0, 3.0), None) is run((x, np.array(2.0, dtype), y), None) is False
    assert np.allclose(run((few, 2.0, 3.0), None), few * 9.0 + np.exp(2.0), rtol=1e-6)
    assert np.allclose(run((x, y, 3.0), None), x * 9.0 + np.exp(y), rtol=1e-6)
    assert np.allclose(run((2.0, x, 3.0), None), 18.0 + np.exp(x), rtol=1e-6)


@pytest.mark.parametrize("deciding", [(), (1,), (2,), (3,), (1, 2), (6,)])
def test_sets_of_numbers_that_decide(deciding, rng):
    """Each of a set is a number: the call is no plain case beyond so many elements."""
    builder = GraphBuilder("product", ["a", "b", "c"])
    kernel = compile_tile(lower(builder.build([builder.add("mul", builder.add("mul", 0, 1), 2)]), "float64"))
    loads, stores = tuple(map(Move, range(3))), (Move(3),)
    sweep = Plain(kernel, ((),) * 3, ((((),), False),), loads, stores, deciding=deciding)
    run = entry(sweep, Bounds(NEVER, 600, NEVER, NEVER, NEVER), Means(asked, NEVER, asked))
    for n, places in itertools.product(
        (600, 601), [places for size in range(3) for places in itertools.combinations(range(3), size)]
    ):
        arrays = rng.standard_normal((3, n))
        xs = [float(a[0]) if k in places else a for k, a in enumerate(arrays)]
        made, numbers = run(tuple(xs), None), sum(1 << k for k in places)
        if n > 600 and any(numbers & some == some for some in deciding):
            assert made is False
        else:
            assert np.array_equal(made, xs[0] * xs[1] * xs[2])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("number", [1, 40, 62])
def test_very_many_numbers(number, dtype, rng, early):
    """Their rows on the stack are shorter."""
    names = [f"x{k}" for k in range(number + 1)]
    f = nbad.kernel(eval(f"lambda {', '.join(names)}: {' + '.join(names)}"))
    numbers = [float(k) for k in range(number)]
    for n in (1, 100, 1_000, 3_000):
        x = rng.integers(0, 100, n).astype(dtype)
        for _ in range(3):
            assert np.array_equal(f(*numbers, x), x + sum(numbers))


@pytest.mark.parametrize("n", SIZES)
def test_threads_that_share_rows_of_numbers(n, rng):
    builder = GraphBuilder("line", ["x", "a", "b"])
    kernel = compile_tile(lower(builder.build([builder.add("add", builder.add("mul", 0, 1), 2)]), "float64"))
    loads, stores = tuple(map(Move, range(3))), (Move(3),)
    helped = Means(lambda: 2 << TEAM_BITS | threads._helpers.ready(1), NEVER, asked)
    run = entry(Plain(kernel, ((),) * 3, ((((),), False),), loads, stores), Bounds(NEVER, NEVER, 1, 1, 1), helped)
    x = rng.standard_normal(n)
    for _ in range(5):
        assert np.array_equal(run((x, 2.5, np.array(-1.5)), None), x * 2.5 - 1.5)
        assert np.array_equal(run((0.25, x, x), None), 0.25 * x + x)
