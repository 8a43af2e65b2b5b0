"""`nbad.explain` against numbers counted by hand, and against what the calls really keep."""

import json
import math
import tracemalloc

import numpy as np
import pytest
from helpers.gallery import kernels, whole_sample
from helpers.gallery_mpmath import cores_of
from helpers.wide_kernels import sample, softmax

import nbad
from kernels import decay, polynomials
from nbad.plans.policies import POLICIES
from nbad.profiles import roofs, timing
from nbad.runtime import memory
from nbad.tools import explain

X = np.linspace(0.5, 2.0, 1000)
RETURNS = f"kernels.py:{decay.__wrapped__.__code__.co_firstlineno + 3}"  # behind decorator, head and docstring


def account(told, policy):
    return told.policies[POLICIES.index(policy)]


def work(sweep):
    return sweep.bytes, sweep.flops


def test_counts_by_hand():
    """In the primal a product, a sign and an exponential: 1, 1 and 20. Each partial is one more of both.

    A seed takes a product and a select for each partial, and one comparison with 0.
    """
    partials = account(nbad.explain(decay, X, X), "partials")
    assert work(partials.forward) == (16 + 8 + 16, 22 + 4)
    assert work(partials.call) == (16, 0)
    assert work(partials.seed) == (8 + 16, 2 * 2 + 1)


def test_recomputing_moves_operations_from_the_forward_sweep_to_the_reverse_one():
    told = nbad.explain(decay, X, X)
    partials, recompute = account(told, "partials"), account(told, "recompute")
    assert work(recompute.forward) == (40, 22 + 2)
    assert work(recompute.call) == (16, 22 + 4)
    assert recompute.seed == partials.seed
    assert [r.name for r in recompute.residuals] == ["x", "rate"]


def test_broadcast_arguments_move_next_to_nothing():
    partials = account(nbad.explain(decay, X, 0.5), "partials")
    assert partials.forward.bytes == pytest.approx(8 + 8 + 16 + 8 / 1000)
    assert partials.seed.bytes == pytest.approx(8 + 8 + 8 / 1000)


def test_float32_halves_the_bytes():
    double, single = nbad.explain(decay, X, X), nbad.explain(decay, *2 * [X.astype(np.float32)])
    assert single.dtype == "float32"
    for a, b in zip(double.policies, single.policies, strict=True):
        assert [getattr(b, s).bytes * 2 for s in explain.SWEEPS] == [getattr(a, s).bytes for s in explain.SWEEPS]
        assert b.bytes_per_element * 2 == a.bytes_per_element


@pytest.mark.parametrize("policy", POLICIES)
def test_residuals_are_those_of_the_pullback(policy):
    told = account(nbad.explain(decay, X, 0.5), policy)
    kept = nbad.vjp(decay, X, 0.5, residuals=policy)[1].residuals
    assert told.residuals == kept.values
    assert told.bytes_per_element == kept.bytes_per_element


def test_arguments():
    assert nbad.explain(decay, X, 0.5).arguments == ("x", "rate")
    assert nbad.explain(decay, X, np.arange(1000)).arguments == ("x",)
    told = nbad.explain(decay, X, rate=0.5, argnums="rate")
    assert told.arguments == ("rate",)
    assert len(account(told, "partials").residuals) == 1


def test_the_choice_is_that_of_vjp():
    told = nbad.explain(polynomials, X)
    assert told.changes[0][1] == told.policy
    (_, first), (turn, second), *_ = told.changes
    for seeds, policy in ((1, first), (turn - 1, first), (turn, second)):
        assert nbad.explain(polynomials, X, seeds=seeds).policy == policy
        chosen, kept = (nbad.vjp(polynomials, X, residuals=r, seeds=seeds)[1].residuals for r in ("auto", policy))
        assert chosen == kept


def test_linear_kernels():
    told = nbad.explain(nbad.kernel(lambda x, y: 2.0 * x - y), X, X)
    assert all((a.residuals, a.call.bytes, a.call.flops) == ((), 0, 0.0) for a in told.policies)
    assert told.changes == ((1, "partials"),)
    assert "'recompute' keeps nothing." in str(told)


@pytest.mark.parametrize("xs", [(X[:0], X[:0]), (2.0, 3.0)])
def test_no_elements_and_scalars(xs):
    told = nbad.explain(decay, *xs)
    assert told.elements == np.size(xs[0])
    assert "decay by x, rate" in str(told)


def test_peak_bytes():
    """A row of 1,000 numbers has room for 1,024 and a gap; each seed adds its own row and those of the cotangents."""
    row, told = 8 * (1024 + 8), nbad.explain(decay, X, X, seeds=16)
    assert account(told, "partials").peak_bytes == 2 * row + 16 * 3 * 8000
    scalar = account(nbad.explain(decay, X, 0.5, seeds=16), "partials")
    assert scalar.peak_bytes == 2 * row + 16 * (2 * 8000 + 8 + 4 * 8)
    partly = account(nbad.explain(decay, X[:500, None], X[None, :2]), "partials")
    assert partly.peak_bytes == 2 * row + 8000 + (4000 + 8000) + (16 + 8000)


def test_prints_tables():
    lines = str(nbad.explain(decay, X, 0.5, seeds=8)).splitlines()
    assert lines[0] == "decay by x, rate: 1000 elements of float64"
    assert lines[2].split()[:4] == ["policy", "residuals", "forward", "bytes"]
    assert [line.split()[0] for line in lines[3:6]] == list(POLICIES)
    text = "\n".join(lines)
    assert 'For 8 seeds "auto" takes' in text
    assert "GB/s" in text
    assert f"∂y0/∂x     8 bytes  {RETURNS}  entry of the Jacobian" in text
    assert "'mincut' keeps the same as 'partials'." in text


def test_bandwidth_is_measured_once_and_late(monkeypatch):
    roofs.memory_bandwidth.cache_clear()
    measured = []
    monkeypatch.setattr(timing, "seconds", lambda call: measured.append(call) or 1e-3)
    told = nbad.explain(decay, X, X)
    assert measured == []
    expected = 3 * 8 * roofs.STREAM / 1e-3 / 1e9
    assert told.bandwidth == pytest.approx(expected)
    assert told.roofline(account(told, "partials").call) == pytest.approx(16 / expected)
    assert str(told)
    assert len(measured) == roofs.REPEATS
    roofs.memory_bandwidth.cache_clear()


def test_as_dict_is_plain():
    told = nbad.explain(decay, X, 0.5)
    data = json.loads(json.dumps(told.as_dict()))
    assert data["kernel"] == "decay"
    assert data["bandwidth"] > 0
    assert [policy["policy"] for policy in data["policies"]] == list(POLICIES)
    residual = data["policies"][0]["residuals"][0]
    assert residual == {"name": "∂y0/∂x", "source": RETURNS, "reason": "entry of the Jacobian"}
    assert data["policies"][0]["call"]["roofline"] == pytest.approx(16 / data["bandwidth"])


def test_wrong_options():
    with pytest.raises(ValueError, match=r"seeds=-1 is not a number of seeds"):
        nbad.explain(decay, X, X, seeds=-1)
    with pytest.raises(TypeError, match="not a kernel"):
        nbad.explain(math.exp, X)


def test_every_field_is_in_the_dict():
    told = nbad.explain(decay, X, 0.5, seeds=3)
    data = told.as_dict()
    fields = {"kernel", "arguments", "elements", "dtype", "seeds", "policy", "policies", "changes", "equalities", "bandwidth"}
    assert data.keys() == fields | {"maps", "elimination"}
    for account_of, found in zip(told.policies, data["policies"], strict=True):
        assert found.keys() == {"policy", "residuals", "residual_bytes", "forward", "call", "seed", "peak_bytes"}
        assert found["peak_bytes"] == account_of.peak_bytes
        assert all(found[sweep].keys() == {"bytes", "flops", "roofline"} for sweep in explain.SWEEPS)
    assert (data["arguments"], data["elements"], data["dtype"], data["seeds"]) == (("x", "rate"), 1000, "float64", 3)
    assert data["changes"] == told.changes


@pytest.mark.parametrize("name", kernels())
def test_changes_are_where_the_choice_changes_on_the_gallery(name):
    """From each change on the choice is another, and not before."""
    module, kernel = kernels()[name]
    xs = whole_sample(module, kernel, 10)
    told = nbad.explain(kernel, *xs)
    assert told.changes[0] == (1, told.policy)
    for (turn, policy), (_, before) in zip(told.changes[1:], told.changes, strict=False):
        assert nbad.explain(kernel, *xs, seeds=turn).policy == policy != before
        assert nbad.explain(kernel, *xs, seeds=turn - 1).policy == before


@pytest.mark.parametrize("name", kernels())
@pytest.mark.parametrize("seeds", [1, 8, 1000])
def test_the_choice_costs_least_by_the_numbers_that_are_shown(name, seeds):
    module, kernel = kernels()[name]
    xs = [np.broadcast_to(x, (10, *core)) for x, core in zip(whole_sample(module, kernel, 10), cores_of(kernel), strict=True)]
    told = nbad.explain(kernel, *map(np.array, xs), seeds=seeds)
    costs = {a.policy: a.forward.nanoseconds + seeds * (a.call.nanoseconds + a.seed.nanoseconds) for a in told.policies}
    assert costs[told.policy] == pytest.approx(min(costs.values()), rel=1e-12)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seeds", [1, 16])
@pytest.mark.parametrize("shapes", [((20_480,), (20_480,)), ((20_480,), ()), ((200, 100), (100,))], ids=str)
def test_peak_bytes_are_what_a_sweep_holds(monkeypatch, policy, seeds, shapes):
    """Counted by tracemalloc, within a few tiles for scratch memory, and what blocks that entries are lent are rounded by."""
    xs = [np.ones(shape) for shape in shapes]
    expected = account(nbad.explain(decay, *xs, seeds=seeds), policy).peak_bytes
    nbad.vjp(decay, *xs, residuals=policy)[1].batched(np.ones((seeds, *shapes[0])))  # compiled
    monkeypatch.setattr(memory.POOL, "limit", 0)  # nothing is kept for reuse
    monkeypatch.setattr(memory, "rounded", lambda size: size)
    nbad.release_memory()
    tracemalloc.start()
    _, pullback = nbad.vjp(decay, *xs, residuals=policy)
    given = np.ones((seeds, *shapes[0]))
    _, value_peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    results = pullback.batched(given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(results) == 2
    assert value_peak <= expected + given.nbytes + 8 * 20_480 + 100_000
    assert expected <= peak <= expected + 100_000 + 2 * 65_536  # residuals, and what is summed along an axis


def test_wide_kernels_tell_their_map():
    told = nbad.explain(softmax(16), *sample(softmax, 16))
    full, greedy, plain = told.maps
    assert (told.elimination, full.arcs, plain.products) == ("greedy", 256, 0)
    assert greedy.multiplications < full.multiplications / 3
    text = str(told)
    assert f"'greedy' is taken, {greedy.arcs} arcs, {greedy.multiplications} multiplications a seed" in text
    assert "weight of the linear map" in text
    assert nbad.explain(decay, X, 0.5).elimination == "full"
