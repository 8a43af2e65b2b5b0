"""Plain cases that several threads share: the same bits as one thread's, and what Python is asked for meanwhile."""

import ctypes
import math
import sys

import numpy as np
import pytest
from helpers.same_bits import bits
from helpers.tiles_by_hand import compile_tile

import nbad
from nbad.codegen.lower import lower
from nbad.graphs.graph import GraphBuilder
from nbad.native import cpython, sharing
from nbad.native.entry import Bounds, Means, Move, Plain, Rows, entry
from nbad.native.entry_table import TEAM_BITS
from nbad.runtime import memory, plain, threads
from nbad.runtime.threads import asked

SIZES = [1, 3, 8, 255, 256, 257, 511, 1_000, 4_097, 70_003]
NEVER = 1 << 60


@nbad.kernel
def wave(x, y):
    return math.sin(x) * y, math.exp(-y) + x


def product(dtype="float64", shared_from=1, long_from=1, means=None, woken_from=1):
    builder = GraphBuilder("product", ["a", "b"])
    kernel = compile_tile(lower(builder.build([builder.add("mul", 0, 1)]), dtype))
    loads, stores = (Move(0), Move(1)), (Move(2),)
    sweep = Plain(kernel, ((), ()), ((((),), False),), loads, stores)
    return entry(sweep, Bounds(1 << 20, 256, shared_from, long_from, woken_from), means or Means(asked, NEVER, asked))


def scaling(means):
    """The product of seeds with a residual row."""
    builder = GraphBuilder("scaling", ["w", "seed"])
    kernel = compile_tile(lower(builder.build([builder.add("mul", 0, 1)]), "float64"))
    sweep = Plain(kernel, (Rows(1), ()), ((((),), True),), (Move(0, 0, 0), Move(1)), (Move(2),), batched=True)
    return entry(sweep, Bounds(1 << 20, 256, 1, 1, 1), means)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("long_from", [1, NEVER])
@pytest.mark.parametrize("n", SIZES)
def test_shared_by_two(n, long_from, dtype, rng, helped):
    a, b = rng.standard_normal((2, n)).astype(dtype)
    run, out = product(dtype, 1, long_from, helped), np.full(n + 2, 7.0, dtype)
    for _ in range(3):
        assert np.array_equal(run((a, b), None), a * b)
        assert run((a, b), out[1:-1]).base is out
        assert np.array_equal(out, [7.0, *(a * b), 7.0])


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seeds", [1, 2, 7])
def test_seeds_shared_by_two(n, seeds, rng, helped):
    pitch = n + 11
    rows, given = rng.standard_normal((1, pitch)), rng.standard_normal((seeds, n))
    for _ in range(3):
        (found,) = scaling(helped)((n,), rows, (given,), None)
        assert np.array_equal(found, rows[0, :n] * given)


def flat(results):
    """The bits of nested results."""
    return [part for each in results for part in (flat(each) if isinstance(each, tuple) else bits(each))]


@pytest.fixture
def helped():
    """Means with one helper, which listens."""
    return Means(lambda: 2 << TEAM_BITS | threads._helpers.ready(1), NEVER, asked)


@pytest.fixture
def early(monkeypatch):
    """Entries that share whatever there is, and take memory that was used before."""
    monkeypatch.setattr(plain, "SHARED", 0)
    monkeypatch.setattr(plain, "SMALL", 1_000)
    monkeypatch.setattr(memory, "SMALLEST", 256)


@pytest.mark.parametrize("n", SIZES)
def test_every_sweep_has_the_bits_of_the_general_way(n, rng, early):
    """The general way meets arrays with gaps."""
    f, (x, y, u), w = nbad.kernel(wave.__wrapped__), rng.uniform(0.5, 2.0, (3, n)), rng.standard_normal((5, n))
    gapped = [np.repeat(a, 2)[::2] for a in (x, y, u)]
    seeds, sparse = (w, w + 1.0), (np.repeat(w, 2, 1)[:, ::2], np.repeat(w + 1.0, 2, 1)[:, ::2])

    def sweeps(x, y, u, seeds):
        value, pullback = nbad.vjp(f, x, y)
        one, pushed = [seed[0] for seed in seeds], nbad.linearize(f, x, y)[1]
        return [
            *(f(x, y), value, pullback(tuple(one)), pullback.batched(seeds), nbad.jvp(f, (x, y), (u, x))),
            *(nbad.jacobian(f)(x, y), nbad.value_and_jacobian(f)(x, y), pushed((u, x)), pushed.batched(seeds)),
        ]

    expected = flat(sweeps(*gapped, sparse))
    for _ in range(3):
        assert flat(sweeps(x, y, u, seeds)) == expected


def test_long_sweeps_use_memory_again(rng):
    f, (x, y) = nbad.kernel(wave.__wrapped__), rng.uniform(0.5, 2.0, (2, 50_000))
    f(x, y), f(x, y)
    nbad.release_memory()
    first = f(x, y)
    places = {a.ctypes.data for a in first}
    del first
    assert {a.ctypes.data for a in f(x, y)} == places
    assert f.plain.runs(("value",))[0]((x, y), None) is not False


@pytest.mark.parametrize("what", ["asked", "fresh"])
def test_what_python_raises_meanwhile_comes_out(what):
    def refuse(*_):
        raise MemoryError("none left")

    given = Means(refuse, NEVER, asked) if what == "asked" else Means(asked, 1, refuse)
    run, a = product(means=given), np.ones(300)
    before = sys.getrefcount(a)
    with pytest.raises(MemoryError, match="none left"):
        run((a, a), None)
    assert sys.getrefcount(a) == before
    if what == "fresh":
        assert np.array_equal(run((a, a), np.empty(300)), a)


def test_memory_of_big_results_is_lent():
    made = []

    def take(size):
        made.append(np.empty(size, np.uint8))
        return made[-1]

    lend, _ = cpython.lender(take, lambda block: None, 0)
    run, a = product(means=Means(asked, 2400, lend)), np.ones(600)
    for shape, size in {(299,): None, (300,): 2560, (20, 30): 5120, (6, 1, 100): 5120}.items():
        made.clear()
        found = run((a[: math.prod(shape)].reshape(shape),) * 2, None)
        assert (found.shape, [block.nbytes for block in made]) == (shape, [size] if size else [])
        assert (found == 1.0).all()
        assert found.flags.carray
        if made:
            assert found.ctypes.data == made[0].ctypes.data
            counts = [sys.getrefcount(made[0])]
            del found
            assert [*counts, sys.getrefcount(made[0])] == [3, 2]  # the array's, the list's and the argument's


def test_where_one_thread_is_wanted_nobody_else_works(run_python):
    out = run_python(
        """
import numpy as np, nbad
from nbad.runtime import threads
f, x = nbad.kernel(lambda x: np.exp(x) + x), np.linspace(0.0, 1.0, 20_000)
for _ in range(4):
    y = f(x)
print(threads._helpers.team, np.array_equal(y, f(x[::-1])[::-1]))
""",
        NUMBA_NUM_THREADS="1",
    )
    assert out.split() == ["None", "True"]


@pytest.mark.parametrize(("n", "listens", "is_woken"), [(999, 1, 0), (1_000, 1, 1), (999, 8_000, 1), (99, 8_000, 0)])
def test_helpers_that_sleep_are_not_woken_for_little(n, listens, is_woken):
    """Where launches come one after another they listen, and are asked for less."""
    woken = []
    release = ctypes.CFUNCTYPE(None, ctypes.c_int64)(woken.append)
    team = np.zeros(16, np.int64)
    team[: sharing.OWN_CORE] = 1, listens, 0, ctypes.cast(release, ctypes.c_void_p).value, 0
    team[8 : 8 + sharing.THREAD] = sharing.ASLEEP, 7
    answer = 2 << TEAM_BITS | team.ctypes.data
    run, a = product("float64", 100, NEVER, Means(lambda: answer, NEVER, asked), woken_from=1_000), np.arange(float(n))
    assert np.array_equal(run((a, a), None), a * a)
    assert woken == [7] * is_woken


def test_a_helper_is_offered_a_launch_once():
    """Else one that took it, did all of it and fell asleep, while its caller waited for a core, counted twice.

    The caller waited for ever. What may happen between two instructions shows in their text only.
    """
    lines = sharing._print_together().splitlines()
    states = sharing.FREE, sharing.ASLEEP
    free, asleep = (
        next(k for k, line in enumerate(lines) if "cmpxchg" in line and f" i64 {state}, i64 %" in line) for state in states
    )
    assert any(line.lstrip().startswith("br i1") for line in lines[free:asleep])
