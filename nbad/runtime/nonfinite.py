"""The debug mode: name the source line and the element of the first nan or inf in a value or a derivative.

Derivatives at elements that took an arm because two values are equal are named too, in a warning: they are right for that arm.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from nbad import config
from nbad.derivatives.equalities import equal_arms, line_of, takers
from nbad.errors import NbadError, fitting
from nbad.graphs.failures import fails_at
from nbad.graphs.interpreter import evaluate, evaluate_all
from nbad.lines import user_frame

AT_ONCE = 4096  # elements whose values are held


class NonFiniteError(NbadError, FloatingPointError):
    """A value or a derivative is nan or inf where all that went into it was finite."""


@contextmanager
@fitting("nbad.debugging()")
def debugging() -> Iterator[None]:
    """Check every value and derivative for nan and inf while the block runs, in this thread; NBAD_DEBUG=1 does so everywhere.

    Elements whose inputs are nan or inf themselves are passed over. Where derivatives are taken, a RuntimeWarning names the lines
    at which elements took an arm because two values are equal, as in `if a == b: return a`: that arm alone is differentiated.

    Raises
    ------
    NonFiniteError
        In the block, from the first call that meets one: it names the operation, the source line, and the element.

    Notes
    -----
    A checked call runs in the NumPy interpreter beside the compiled kernels: some hundred times slower.

    Examples
    --------
    >>> import math, nbad
    >>> root = nbad.kernel(lambda x: math.sqrt(x))
    >>> with nbad.debugging():
    ...     root([4.0, 9.0])
    array([2., 3.])
    """
    before = config.debug.set(True)
    try:
        yield
    finally:
        config.debug.reset(before)


def check_value(program, operands):
    """Raise if an output of a call is not finite."""
    _check(program, operands, program.graph, [f"output {k}" for k in range(len(program.graph.outputs))])


def check_derivatives(program, operands, wrt):
    """Raise if an output or a partial derivative of a call is not finite."""
    joint, names = program.joint(wrt, "reverse"), program.graph.inputs
    labels = [f"output {k}" for k in range(joint.n_outputs)]
    labels += [f"the derivative of output {m} by {names[n]}" for m, n in joint.positions]
    _check(program, operands, joint.graph, labels)


class Equality(NamedTuple):
    """A line at which elements took an arm because two values are equal, how many did, and the first of them."""

    source: str
    elements: int
    first: tuple[int, ...]


def equalities(program, operands, wrt):
    """The lines at which that happens with values that depend on the input slots `wrt`."""
    arms = equal_arms(program.graph, wrt)
    if not arms:
        return ()
    slots = [np.broadcast_to(slot, operands.shape) for slot in _slots(program, operands)]
    sources, graph = [line_of(program.graph, arm) or "a formula" for arm in arms], takers(program.graph, arms)
    found: dict[str, Equality] = {}
    for start in range(0, math.prod(operands.shape), AT_ONCE):
        taken = evaluate(graph, *(slot.flat[start : start + AT_ONCE] for slot in slots))
        for source in dict.fromkeys(sources):
            where = np.flatnonzero(sum(each for each, line in zip(taken, sources, strict=True) if line == source))
            if len(where):
                first = tuple(map(int, np.unravel_index(start + where[0], operands.shape)))
                before = found.get(source, Equality(source, 0, first))
                found[source] = before._replace(elements=before.elements + len(where))
    return tuple(found.values())


def warn_of_equalities(program, operands, wrt):
    """Name these lines in a warning that points at the user's call."""
    frame = user_frame()
    for source, elements, first in equalities(program, operands, wrt):
        text = (
            f"{program.call}: {elements} elements, the first at {first}, took an arm at {source} because two values are equal. "
            "Their derivative is that of this arm alone; if the function is smooth there, compare a distance and return a series."
        )
        if frame is None:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        else:
            registry = frame.f_globals.setdefault("__warningregistry__", {})  # so that a line is told once, as by `warnings.warn`
            warnings.warn_explicit(text, RuntimeWarning, frame.f_code.co_filename, frame.f_lineno, registry=registry)


def _check(program, operands, graph, labels):
    slots = _slots(program, operands)
    values = evaluate_all(graph, *slots)
    is_sound = np.broadcast_to(np.logical_and.reduce(np.broadcast_arrays(True, *map(np.isfinite, slots))), operands.shape)
    for label, k in zip(labels, graph.outputs, strict=True):
        bad = np.argwhere(is_sound & ~np.isfinite(values[k]))
        if len(bad):
            element = tuple(map(int, bad[0]))
            at = [_at(v, operands.shape, element) for v in values]
            culprit = _culprit(graph, at, k)
            if not fails_at(graph, culprit, at):  # else the sweep raises what the user's function does
                raise _error(program, graph, label, element, at, k, culprit)


def _slots(program, operands):
    """One array per scalar input."""
    slots = []
    for array, core in zip(operands.dense().arrays, program.cores, strict=True):
        flat = array.reshape(*array.shape[: array.ndim - len(core)], math.prod(core)) if core else array[..., None]
        slots += [flat[..., k].astype(operands.dtype) for k in range(flat.shape[-1])]
    return slots


def _at(value, shape, element):
    return np.broadcast_to(value, shape)[element]


def _error(program, graph, label, element, values, output, k):
    node = graph.nodes[k]
    operands = ", ".join(f"{values[a]!s}" for a in node.args)
    place = f"element {element}" if element else "the only element"
    inputs = ", ".join(f"{graph.inputs[n.payload]} = {v!s}" for n, v in zip(graph.nodes, values, strict=True) if n.op == "input")
    return NonFiniteError(
        f"{program.call}: {label} is {values[output]!s} at {place}, first in `{node.op}`"
        + (f" of {node.source}" if node.source else ""),
        got=f"{node.op}({operands}) = {values[k]!s}, with {inputs}",
        expected="finite numbers",
        fix="np.where(condition, value, other), with a condition that keeps the operation inside its domain",
        source=None,
    )


def _culprit(graph, values, output):
    """The node that is not finite although all it takes is: down from the output, along what is used."""
    k = output
    while True:
        used = _used(graph.nodes[k], values)
        worse = [a for a in used if graph.nodes[a].kind == "real" and not np.isfinite(values[a])]
        if not worse:
            return k
        k = worse[0]


def _used(node, values):
    """The operands that a value depends on: of a selection, the chosen one."""
    if node.op != "select":
        return node.args
    condition, yes, no = node.args
    return (yes,) if values[condition] else (no,)
