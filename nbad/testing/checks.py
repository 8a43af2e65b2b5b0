"""The checks: each a generator of comparisons, or of the reason why it does not apply; `CHECKS` lists them in their order.

A check looks at what the public calls return, never at how they came to it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nbad.derivatives.differentiate import jacobian
from nbad.derivatives.scarcity import ELIMINATIONS
from nbad.graphs.interpreter import evaluate
from nbad.plans import partition
from nbad.plans.plan import fuse
from nbad.testing.case import ELEMENTS, Case, Oracle, flat, leaves
from nbad.testing.comparisons import Findings, Inapplicable, Near, Same, same
from nbad.testing.exact import difference_error, exact_jacobian
from nbad.testing.layouts import broadcasting, layouts, sizes, threads, tiles
from nbad.testing.oracles import undecorated
from nbad.testing.orders import modes, second_order, tangents, third_order
from nbad.testing.own_operations import own_partials
from nbad.testing.results import accumulation, chunking
from nbad.verbs import jacobians, pushforward

PLAIN_ELEMENTS, EXACT_POINTS = 64, 4


# what the kernel computes


def value(case: Case) -> Findings:
    """Values against the graph's interpreter, and against the undecorated function, element by element."""
    oracle, few = case.oracle, slice(0, PLAIN_ELEMENTS)
    plain = undecorated(vars(case.kernel)["__wrapped__"], [c[few] for c in case.columns])
    for m, y in enumerate(flat(case.outputs(*case.columns), case.traced.outputs)):
        yield Near(f"output {m}", y, oracle.values[m], oracle.value_bounds[m])
        yield Near(f"output {m}, undecorated,", y[few], plain[m], oracle.value_bounds[m][few], unknown=np.isnan(plain[m]))


def partials(case: Case) -> Findings:
    """Jacobians against the interpreter on both joint graphs, and against differences in 60 digits."""
    expected, bound = (np.moveaxis(a, -1, 0) for a in (case.oracle.partials, case.oracle.partial_bounds))
    _, both = jacobians.value_and_jacobian(case.kernel, tuple(case.names))(*case.columns)
    yield Near("jacobian", jacobians.jacobian(case.kernel, tuple(case.names))(*case.columns), expected, bound)
    yield Near("value_and_jacobian", both, expected, bound)
    for k in range(EXACT_POINTS):
        true = exact_jacobian(case.traced.graph, [row[k] for row in case.rows(case.columns)], case.slots)
        near = bound[k] + difference_error(true)
        yield Near(f"jacobian of element {k} in 60 digits", both[k], true, near, unknown=np.isnan(true))
    yield from own_partials(case.traced.graph, case.rows(case.columns))


def cotangents(case: Case) -> Findings:
    """Pullbacks of random seeds, and of the unit seeds, against the oracle."""
    pullback, seeds = case.vjp(*case.columns)[1], case.seeds(ELEMENTS)
    yield from case.pulled("cotangent", pullback(seeds), seeds)
    for m, unit in enumerate(case.unit_seeds()):
        yield from case.pulled(f"cotangent, seed 1 for output {m},", pullback(unit), unit)


def dot_product(case: Case) -> Findings:
    """`<J v, w> = <v, J' w>` for each element: `jvp` against the pullback."""
    if not case.wrt:
        yield Inapplicable("no argument is differentiated")
        return
    seeds, v = case.seeds(ELEMENTS), case.directions(ELEMENTS)
    tangents = tuple(v[case.wrt.index(k)] if k in case.wrt else 0.0 for k in range(len(case.columns)))
    y, y_dot = pushforward.jvp(case.kernel, case.columns, tangents)
    rows, dots = flat(seeds, case.traced.outputs), flat(leaves(y_dot), case.traced.outputs)
    directions, cts = (flat(arrays, case.wrt_cores) for arrays in (v, case.vjp(*case.columns)[1](seeds)))
    left = sum(w * t for w, t in zip(rows, dots, strict=True))
    right = sum(a * ct for a, ct in zip(directions, cts, strict=True))
    yield Near("<J v, w>", left, right, _dot_bound(case.oracle, rows, directions), unknown=~np.isfinite(right))
    yield from same("value of jvp, output", leaves(y), case.outputs(*case.columns))


def _dot_bound(oracle: Oracle, seeds: list[Any], v: list[Any]) -> Any:
    """Rounding of both sides."""
    slack = [np.abs(a) * oracle.cotangent(seeds, n)[1] for n, a in enumerate(v)]
    slack += [np.abs(w) * oracle.tangent(v, m)[1] for m, w in enumerate(seeds)]
    return 2 * sum(slack)


def single_precision(case: Case) -> Findings:
    """float32 in, float32 out, within the rounding of float32, and one value whichever call computes it."""
    if len(case.wrt) < len(case.columns):
        yield Inapplicable("an integer argument makes every computation float64")
        return
    columns, seeds = ([a.astype(np.float32) for a in arrays] for arrays in (case.columns, case.seeds(ELEMENTS)))
    oracle = Oracle(case.joints, case.rows(columns), case.slots, np.float32)
    y, pullback = case.vjp(*columns)
    yield from same("output of float32 by f and by vjp,", case.outputs(*columns), y)
    for m, leaf in enumerate(flat(y, case.traced.outputs)):
        yield from _single(f"output {m}", leaf, oracle.values[m], oracle.value_bounds[m])
    rows = flat(seeds, case.traced.outputs)
    for n, (name, ct) in enumerate(zip(case.slot_names, flat(pullback(seeds), case.wrt_cores), strict=True)):
        yield from _single(f"cotangent of `{name}`", ct, *oracle.cotangent(rows, n))


def _single(what: str, got: Any, expected: Any, bound: Any) -> Findings:
    """One float32 result; where even float64 loses the bound, float32 may overflow."""
    yield Same(f"dtype of {what}", got.dtype.name, "float32")
    yield Near(what, got, expected, bound, unknown=~np.isfinite(bound))


# the calls, and one another


def one_value(case: Case) -> Findings:
    """`f`, `vjp` and `value_and_jacobian` return the same bits."""
    expected = case.outputs(*case.columns)
    both = jacobians.value_and_jacobian(case.kernel, tuple(case.names))
    yield from same("vjp, output", case.vjp(*case.columns)[0], expected)
    yield from same("value_and_jacobian, output", leaves(both(*case.columns)[0]), expected)


def repeatable(case: Case) -> Findings:
    """Three calls of one pullback agree, whatever is written into inputs and results between them; no call writes to either."""
    inputs, seeds = [c.copy() for c in case.columns], case.seeds(ELEMENTS)
    y, pullback = case.vjp(*inputs)
    kept = [leaf.copy() for leaf in y]
    first = pullback(seeds)
    expected = [ct.copy() for ct in first]
    yield from same("after the call, input", inputs, case.columns)
    yield from same("after the call, output", y, kept)
    yield from same("after the call, seed", seeds, case.seeds(ELEMENTS))
    _overwrite([*inputs, *y])
    second = pullback(seeds)
    yield from same("second call, cotangent", second, expected)
    _overwrite([*second, *seeds])
    yield from same("first result after the second call, cotangent", first, expected)
    _overwrite(first)
    yield from same("third call, cotangent", pullback(case.seeds(ELEMENTS)), expected)


def _overwrite(arrays: Iterable[Any]) -> None:
    for array in arrays:
        array[...] = 77


def interleaved(case: Case) -> Findings:
    """Two pullbacks of one kernel, called in turn, do not see one another."""
    mirrored, seeds = [c[::-1].copy() for c in case.columns], case.seeds(ELEMENTS)
    expected = [case.vjp(*xs)[1](seeds) for xs in (case.columns, mirrored)]
    pullbacks = [case.vjp(*xs)[1] for xs in (case.columns, mirrored)]
    for call in range(2):
        for k, pullback in enumerate(pullbacks):
            yield from same(f"pullback {k}, call {call}, cotangent", pullback(seeds), expected[k])


def zero_seed(case: Case) -> Findings:
    """A zero seed gives an exact zero, even where the partial is infinite or nan."""
    pullback = case.vjp(*case.columns)[1]
    for zeros in ([0 * w for w in case.seeds(ELEMENTS)], [0.0] * len(case.traced.outputs)):
        for name, ct in zip(case.slot_names, flat(pullback(zeros), case.wrt_cores), strict=True):
            yield Near(f"cotangent of `{name}`", ct, np.zeros(ELEMENTS), 0.0)


def residual_policies(case: Case) -> Findings:
    """Every residual policy gives the same values to the bit, and cotangents to rounding that need none of the inputs any more.

    The last one is a choice by name: every other value of "partials", and what else the partials need.
    """
    expected, seeds = case.outputs(*case.columns), case.seeds(ELEMENTS)
    names = case.vjp(*case.columns, residuals="partials")[1].residuals.names[::2]
    for policy in ("auto", *partition.POLICIES, names):
        inputs = [c.copy() for c in case.columns]
        y, pullback = case.vjp(*inputs, residuals=policy)
        yield from same(f"policy {policy!r}, output", y, expected)
        _overwrite([*inputs, *y])
        yield from case.pulled(f"policy {policy!r}, cotangent", pullback(seeds), seeds)


def eliminations(case: Case) -> Findings:
    """The linear map with all inner vertices eliminated, with none, and between: cotangents by each, from what each policy keeps.

    By the interpreter: what is compiled is one of these, which the other checks meet. Where partials are infinite, sums of paths
    may be nan or not as they are grouped; with no vertex eliminated even those that cancel by structure.
    """
    few, graph = slice(0, PLAIN_ELEMENTS), case.traced.graph
    columns = [row[few] for row in case.rows(case.columns)]
    seeds = [w[few] for w in flat(case.seeds(ELEMENTS), case.traced.outputs)]
    for elimination in ELIMINATIONS:
        joint = jacobian(graph, case.slots, "reverse", elimination)
        for policy in partition.POLICIES:
            plan = partition.partition(joint, case.slots, policy)
            kept = evaluate(plan.forward, *columns)[plan.outputs :]
            is_finite = np.all(np.isfinite(kept), axis=0) | (elimination != "plain")
            found = evaluate(fuse(plan.prologue, plan.reverse) if plan.prologue else plan.reverse, *kept, *seeds)
            for n, (name, ct) in enumerate(zip(case.slot_names, found, strict=True)):
                expected, bound = case.oracle.cotangent(seeds, n, few)
                what = f"elimination {elimination!r}, policy {policy!r}, cotangent of `{name}`"
                unknown = ~(is_finite & np.isfinite(expected))
                yield Near(what, np.broadcast_to(ct, expected.shape), expected, bound, unknown)


def batched_equals_loop(case: Case) -> Findings:
    """A batch of seeds gives the bits of one call per seed: no seed, few, and many for few elements."""
    for elements, count in ((ELEMENTS, 0), (ELEMENTS, 1), (ELEMENTS, 5), (17, 600)):
        pullback, seeds = case.vjp(*(c[:elements] for c in case.columns))[1], case.seeds(count, elements)
        many = pullback.batched(seeds)
        for name, core, ct in zip(case.names, case.wrt_cores, many, strict=True):
            yield Same(f"shape of the cotangents of `{name}`", ct.shape, (count, elements, *core))
        for s in range(0, count, max(1, count // 5)):
            one = pullback([w[s] for w in seeds])
            yield from same(f"{count} seeds, seed {s}, cotangent", [ct[s] for ct in many], one)


# shapes, layouts, tiles and threads


CHECKS: tuple[Callable[[Case], Findings], ...] = (
    value,
    partials,
    modes,
    cotangents,
    dot_product,
    tangents,
    single_precision,
    second_order,
    third_order,
    one_value,
    repeatable,
    interleaved,
    zero_seed,
    residual_policies,
    eliminations,
    batched_equals_loop,
    accumulation,
    chunking,
    broadcasting,
    sizes,
    layouts,
    tiles,
    threads,
)
