"""Random wide kernels, branches inside: their maps by every elimination and policy, against differences in 60 digits."""

import mpmath
import numpy as np
import pytest
from helpers.random_wide import LARGEST, Wide
from helpers.tiles_by_hand import compile_tile, run_tile

from nbad.codegen.lower import lower
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import by_demand
from nbad.graphs.interpreter import evaluate
from nbad.plans.partition import partition
from nbad.plans.plan import fuse, jvp_graph
from nbad.plans.policies import POLICIES
from nbad.testing.exact import exact

ELIMINATIONS = ("full", "greedy", "plain", "auto")
POINTS, NEAR = 8, 1e-10


def run(graph, columns):
    with np.errstate(all="ignore"):
        return [np.asarray(a, float) for a in evaluate(graph, *columns)]


def slope(graph, point, seeds, direction):
    """`<seeds, J direction>` at one point, by a central difference in 60 digits."""
    with mpmath.workdps(60):
        step = mpmath.mpf(10) ** -20
        moved = [
            exact(graph, [mpmath.mpf(float(x)) + side * step * float(t) for x, t in zip(point, direction, strict=True)])
            for side in (1, -1)
        ]
        total = sum(float(s) * (a - b) for s, a, b in zip(seeds, *moved, strict=True))
        return float(total / (2 * step))


def check(seed, compiled=False, largest=LARGEST):
    """All walks of one random kernel; how many vertices the greedy elimination keeps."""
    graph, rng = Wide(seed, largest).graph(), np.random.default_rng(seed)
    wrt = tuple(range(len(graph.inputs)))
    columns, tangents = list(rng.uniform(-1.0, 1.0, (len(wrt), POINTS))), list(rng.standard_normal((len(wrt), POINTS)))
    seeds = [s if rng.random() < 0.7 else np.zeros(POINTS) for s in rng.standard_normal((len(graph.outputs), POINTS))]
    full = jacobian(graph, wrt)
    entries = run(full.graph, columns)[full.n_outputs :]
    scale = sum(np.abs(e * seeds[m] * tangents[n]) for (m, n), e in zip(full.positions, entries, strict=True)) + 1.0
    points = (0, POINTS - 1)
    expected = [slope(graph, *([row[k] for row in rows] for rows in (columns, seeds, tangents))) for k in points]
    for elimination in ELIMINATIONS:
        joint = jacobian(graph, wrt, elimination=elimination)
        plans = [partition(joint, wrt, policy) for policy in (POLICIES if joint.inner else POLICIES[:1])]
        found = [cotangents(plan, columns, seeds, compiled) for plan in plans]
        assert all(np.array_equal(a, b) for other in found[1:] for a, b in zip(other, found[0], strict=True))
        dots = run(jvp_graph(joint, wrt), [*columns, *tangents])[len(graph.outputs) :]
        by_seeds = sum(ct * t for ct, t in zip(found[0], tangents, strict=True))
        by_tangents = sum(s * dot for s, dot in zip(seeds, dots, strict=True))
        assert np.all(np.abs(by_seeds - by_tangents) <= NEAR * scale), elimination
        for k, true in zip(points, expected, strict=True):
            assert np.isnan(true) or abs(by_seeds[k] - true) <= NEAR * scale[k], (elimination, k)
    return jacobian(graph, wrt, elimination="greedy").inner


def cotangents(plan, columns, seeds, compiled):
    """By the interpreter, or by compiled code; prologue and walk in one."""
    reverse = by_demand(fuse(plan.prologue, plan.reverse) if plan.prologue else plan.reverse)
    if not compiled:
        return run(reverse, [*run(plan.forward, columns)[plan.outputs :], *seeds])
    kept = run_tile(compile_tile(lower(plan.forward)), *columns)[plan.outputs :]
    return run_tile(compile_tile(lower(reverse)), *kept, *seeds)


@pytest.mark.parametrize("seed", range(6))
def test_maps_of_random_kernels(seed):
    check(seed, largest=8)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 2000, 100))
def test_maps_of_thousands_of_random_kernels(start):
    kept = [check(seed) for seed in range(start, start + 100)]
    assert sum(count > 0 for count in kept) > 30


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 60, 20))
def test_compiled_maps_of_random_kernels(start):
    for seed in range(start, start + 20):
        check(seed, compiled=True)
