"""Checks of derivatives: by forward and reverse mode, along tangents, of second and third order."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from nbad.api.decorate import kernel
from nbad.api.kernel import Kernel
from nbad.derivatives.differentiate import JointGraph
from nbad.derivatives.differentiate import jacobian as joint_graph
from nbad.testing.case import ELEMENTS, MODES, Case, Oracle, flat, leaves
from nbad.testing.comparisons import Findings, Inapplicable, Near, same
from nbad.testing.exact import difference_error, exact_jacobian
from nbad.testing.oracles import bounded
from nbad.verbs import gradients, jacobians
from nbad.verbs import pushforward as linearization

POINTS, TANGENTS, ORDERS = 2, 3, 3
LARGEST = 1000  # operations of a kernel that is differentiated three times


def modes(case: Case) -> Findings:
    """Forward and reverse mode of the Jacobian against the interpreter on both joint graphs, and so against each other."""
    expected, bound = (np.moveaxis(a, -1, 0) for a in (case.oracle.partials, case.oracle.partial_bounds))
    for mode in MODES:
        found = jacobians.jacobian(case.kernel, tuple(case.names), mode)(*case.columns)
        yield Near(f"jacobian in {mode} mode", found, expected, bound)


def tangents(case: Case) -> Findings:
    """Jacobian times tangents: `linearize`, one and many at a time, and `jvp`, against the oracle."""
    if not case.wrt:
        yield Inapplicable("no argument is differentiated")
        return
    many = case.directions(TANGENTS, ELEMENTS)
    y, pushforward = linearization.linearize(case.kernel, *case.columns, argnums=tuple(case.names))
    yield from same("value of linearize, output", leaves(y), case.outputs(*case.columns))
    dots = leaves(pushforward.batched(tuple(many)))
    for s in range(TANGENTS):
        v = [a[s] for a in many]
        yield from same(f"tangent {s} of {TANGENTS}, output", [dot[s] for dot in dots], leaves(pushforward(tuple(v))))
        yield from _pushed(case, f"tangent {s}", [dot[s] for dot in dots], v)
    given = iter(v)
    primals = tuple(next(given) if k in case.wrt else 0.0 for k in range(len(case.columns)))
    yield from _pushed(case, "jvp", leaves(linearization.jvp(case.kernel, case.columns, primals)[1]), v)


def _pushed(case: Case, what: str, dots: Iterable[Any], v: Iterable[Any]) -> Findings:
    """Compare tangents of the outputs with the oracle's."""
    rows = flat(v, case.wrt_cores)
    for m, dot in enumerate(flat(dots, case.traced.outputs)):
        yield Near(f"{what} of output {m}", dot, *case.oracle.tangent(rows, m))


def second_order(case: Case) -> Findings:
    """The Jacobian of the Jacobian's graph against differences of that graph in 60 digits; `hessian` and `hvp` against both."""
    if not case.wrt:
        yield Inapplicable("no argument is differentiated")
        return
    inner, points = case.joints[1], [c[:POINTS] for c in case.columns]
    rows, slots = case.rows(points), case.slots
    oracle = Oracle([joint_graph(inner.graph, slots, mode) for mode in MODES], rows, slots)
    for k in range(POINTS):
        true = exact_jacobian(inner.graph, [row[k] for row in rows], slots)
        found, bound = oracle.partials[..., k], oracle.partial_bounds[..., k] + difference_error(true)
        yield Near(f"second partials of element {k}", found, true, bound, unknown=np.isnan(true))
    if case.traced.structure.is_tuple or case.traced.outputs != ((),):
        yield Inapplicable("`hessian` takes kernels of one number")
        return
    yield from _hessian(case, points, inner, oracle)
    yield from _value_and_grad(case)


def _hessian(case: Case, points: list[Any], inner: JointGraph, oracle: Oracle) -> Findings:
    """`hessian`, and `hvp` for a direction."""
    slots = case.slots
    expected, bound = np.zeros((2, POINTS, len(slots), len(slots)))
    for row, (_, slot) in enumerate(inner.positions, inner.n_outputs):
        expected[:, slots.index(slot)], bound[:, slots.index(slot)] = oracle.partials[row].T, oracle.partial_bounds[row].T
    yield Near("hessian", gradients.hessian(case.kernel, tuple(case.names))(*points), expected, bound)
    v = iter(directions := case.directions(POINTS))
    primals = tuple(next(v) if k in case.wrt else 0.0 for k in range(len(points)))
    columns = flat(directions, case.wrt_cores)
    for m, dot in enumerate(flat(gradients.hvp(case.kernel, tuple(points), primals), case.wrt_cores)):
        yield Near(f"hvp by `{case.slot_names[m]}`", dot, *oracle.contract(columns, expected[:, m].T, bound[:, m].T))


def _value_and_grad(case: Case) -> Findings:
    """Value and partials in one sweep."""
    y, partials = gradients.value_and_grad(case.kernel, tuple(case.names))(*case.columns)
    yield from same("value of value_and_grad, output", [y], case.outputs(*case.columns))
    for n, found in enumerate(flat(partials, case.wrt_cores)):
        expected, bound = case.oracle.partials[0, n], case.oracle.partial_bounds[0, n]
        yield Near(f"partial by `{case.slot_names[n]}` of value_and_grad", found, expected, bound)


def third_order(case: Case) -> Findings:
    """`grad` three times, along a line on which every partial of third order takes part.

    Each derivative is held against differences, in 60 digits, of the graph of the one before it.
    """
    if len(case.wrt) < len(case.columns):
        yield Inapplicable("an integer argument does not vary along a line")
        return
    if len(case.traced.graph.nodes) > LARGEST:
        yield Inapplicable(f"the kernel has more than {LARGEST} operations")
        return
    derivative, xs = _line(case), _line_inputs(case)
    rows = [np.broadcast_to(row, POINTS) for x in xs for row in (x.T if x.ndim == 2 else [x])]
    for order in range(1, ORDERS + 1):
        before = derivative.bind_traced(xs, {}).traced.graph
        derivative = gradients.grad(derivative, "t")
        error = bounded(derivative.bind_traced(xs, {}).traced.graph, rows)[0].error
        found = derivative(*xs)
        for k in range(POINTS):
            true = exact_jacobian(before, [row[k] for row in rows], (0,))[0, 0]
            bound = 2 * error[k] + difference_error(np.array(true))
            yield Near(f"derivative {order} along a line from element {k}", found[k], true, bound, unknown=np.isnan(true))


def _line(case: Case) -> Kernel:
    """The kernel along a line through its slots, its outputs added up with weights: one number of one number."""
    cores, slots, outputs = case.cores, len(case.traced.graph.inputs), len(case.traced.graph.outputs)
    ends, f = np.cumsum([0, *map(math.prod, cores)]).tolist(), case.kernel
    structure, leaf_cores = case.traced.structure, case.traced.outputs

    def along(t: Any, start: Any, direction: Any, weights: Any) -> Any:
        point = start + t * direction
        parts = [point[a:b].reshape(core) if core else point[a] for a, b, core in zip(ends, ends[1:], cores)]  # noqa: B905
        y = structure.leaves(f(*parts))
        values = [value for leaf, core in zip(y, leaf_cores) for value in (leaf.ravel() if core else [leaf])]  # noqa: B905
        return sum(w * value for w, value in zip(weights, values))  # noqa: B905

    return kernel(along, signature=f"(),({slots}),({slots}),({outputs})->()", max_operations=100 * LARGEST)


def _line_inputs(case: Case) -> tuple[np.ndarray, ...]:
    """Where the lines start, where they lead, and the weights."""
    starts = np.stack([row[:POINTS] for row in case.rows(case.columns)], axis=1)
    directions = 0.1 * np.abs(starts) * np.random.default_rng(7).standard_normal(starts.shape)
    return np.zeros(()), starts, directions, np.random.default_rng(8).standard_normal((POINTS, len(case.traced.graph.outputs)))
