"""Run a kernel once on traced values and keep what it computed as a graph."""

import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from nbad import lines
from nbad.branching import no_value
from nbad.errors import TraceError
from nbad.graphs.kernels import Traced
from nbad.graphs.structures import Structure
from nbad.language import arrays, objects
from nbad.language.masks import Masked, Places
from nbad.language.trace import MAX_PASSES, Cause, Trace
from nbad.language.values import Perhaps, TracedWhole, Tracer, plain_number
from nbad.operations.row import BOOL, REAL
from nbad.tracing.arguments import Argument, Bundle, parts_of, signature_of
from nbad.tracing.names import Names
from nbad.tracing.stand_ins import Rebinder

DEEPEST_NESTING = 20
MAX_OPERATIONS = 5000


# of each thread: others may trace at the same time
class _Running(threading.local):
    """The functions that this thread is tracing, outermost first."""

    def __init__(self) -> None:
        self.functions: list[Callable] = []


_RUNNING = _Running()


def trace(
    function: Callable,
    arguments: Sequence[Argument | Bundle],
    constants: dict[str, Any],
    max_operations: int = MAX_OPERATIONS,
    max_passes: int = MAX_PASSES,
) -> Traced:
    """Trace a kernel: call a rebound copy of it once, with traced values for its arguments.

    Parameters
    ----------
    function : callable
        The kernel. It is not changed.
    arguments : sequence of Argument or Bundle
        The traced arguments, in the order of the graph's inputs.
    constants : dict
        Plain values for other arguments: defaults and static ones.
    max_operations : int
        A kernel that needs more operations is refused.
    max_passes : int
        Elements for which a loop on traced values does more passes have no value.

    Returns
    -------
    Traced

    Examples
    --------
    >>> import math
    >>> def wave(x, k=2.0):
    ...     return k * math.sin(x)
    >>> trace(wave, (Argument("x"),), {"k": 2.0}).graph.outputs
    (3,)
    """
    name = getattr(function, "__name__", type(function).__name__)
    run = Trace(name, [slot for argument in arguments for slot in argument.slots], max_operations, max_passes)
    rebinder = Rebinder(run)
    with _running(run, function), Names(run, _call.__code__, rebinder.flow.outer) as names:
        with rebinder.flow:
            returned = _call(rebinder, function, arguments, constants)
        run.line = functools.partial(_line, function, returned is not None)  # an array of traced values would never be collected
        structure, leaves = _outputs(run, returned)
        outputs = [_output(run, value) for leaf in leaves for value in leaf.flat]
        names.give()
        graph, flags = no_value.frozen(run, outputs)
    return Traced(graph, tuple(leaf.shape for leaf in leaves), structure, flags)


@contextmanager
def _running(run: Trace, function: Callable) -> Iterator[None]:
    """Keep the trace open, and refuse a kernel that calls itself through other kernels without end."""
    running = _RUNNING.functions
    if running.count(function) >= DEEPEST_NESTING:
        raise run.refusal("is recursive", "for _ in range(n):  # a fixed n")
    running.append(function)
    try:
        yield
    except RecursionError:
        run.line = functools.partial(_line, function)
        raise run.refusal("is recursive, or nested too deeply", "for _ in range(n):  # a fixed n") from None
    except ValueError as error:  # NumPy's, of an item that refused to become a number
        if isinstance(error.__cause__, TraceError):
            raise error.__cause__ from None
        raise
    finally:
        running.pop()
        run.is_open = False


def _call(rebinder: Rebinder, function: Any, arguments: Sequence[Argument | Bundle], constants: dict[str, Any]) -> Any:
    run = rebinder.trace
    run.unseen.root = _call.__code__
    values = {name: _constant(run, name, rebinder.rebind(value)) for name, value in constants.items()}
    values |= _traced_values(rebinder, arguments)
    copy = rebinder.copy(function) if isinstance(function, FunctionType) else rebinder.rebind(function)
    try:
        parameters = signature_of(function).parameters.values()
    except ValueError:  # a ufunc, of which NumPy before 2.4 does not tell them
        return copy(*values.values())
    leading = itertools.takewhile(lambda p: p.name in values and p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD), parameters)
    positional = [values.pop(p.name) for p in leading]  # a wrapper may take `*args` only
    return copy(*positional, **values)


def _traced_values(rebinder: Rebinder, arguments: Sequence[Argument | Bundle]) -> dict[str, Any]:
    """A traced value for each scalar argument, a read-only array of them for each other one, and structures of these."""
    run = rebinder.trace
    values, slots = {}, map(run.value, range(len(run.builder.inputs)))
    for argument in arguments:
        parts = []
        for part in parts_of(argument):
            items = itertools.islice(slots, len(part.slots))
            parts.append(arrays.read_only(run, objects.filled(items, part.shape), part.name))
        values[argument.name] = argument.tree.build(parts, rebinder.rebind) if isinstance(argument, Bundle) else parts[0]
    return values


def _constant(run: Trace, name: str, value: Any) -> Any:
    """A constant argument; an array of floats becomes one that the kernel may copy and fill."""
    is_array = isinstance(value, np.ndarray) and value.dtype == float
    return arrays.read_only(run, arrays.items(run, value), name) if is_array else value


def _outputs(run: Trace, returned: Any) -> tuple[Structure, list[np.ndarray]]:
    """The structure of what a kernel returns, and its outputs as arrays of objects; a list is an array."""
    structure, leaves = Structure.of(returned)
    leaves = tuple([_not_none(run, leaf) if type(leaf) is Perhaps else leaf for leaf in leaves])
    kind = getattr(structure.kind, "__name__", "")
    for leaf in leaves:
        fault = next(filter(None, map(_fault, _items(leaf))), None)
        if fault is not None:
            what, fix = fault
            where = " in an array" if isinstance(leaf, np.ndarray) else " in a list" if isinstance(leaf, list) else ""
            where = where or (f" in a {kind}" if kind else "")
            raise run.refusal(f"returns {what}{where}", fix, expected="a number, an array, or a tuple, a dict or a list of these")
    if not leaves or any(isinstance(leaf, list) and not leaf for leaf in leaves):
        raise run.refusal(f"returns an empty {kind or 'list'}", "return y")
    return structure, [arrays.items(run, leaf) for leaf in leaves]


def _output(run: Trace, value: Any) -> int:
    """The node of an output; a whole number has no -0."""
    node = run.node(value, REAL)
    if not (isinstance(value, TracedWhole) and value.is_signed):
        return node
    line = run.line()
    return run.builder.add("add", node, run.builder.constant(0.0), source=line and line.place)


def _items(leaf: Any) -> Iterator[Any]:
    """The values in an array, or in a list of these and of lists; any other value itself."""
    if isinstance(leaf, np.ndarray):
        yield from leaf.flat
    elif isinstance(leaf, list):
        for part in leaf:
            yield from _items(part)
    else:
        yield leaf


def _not_none(run: Trace, leaf: Perhaps) -> Any:
    """An output; elements for which it is None have no value."""
    line = run.line() or lines.Line("return", "", 0)
    run.no_value(leaf.none, Cause(TypeError(f"`{run.name}` returns None"), line))
    return leaf.number


_FAULTS = {
    type(None): ("nothing", "return y"),
    str: ("a string", "return y"),
    dict: ("a dict", "return a, b"),
    tuple: ("a tuple", "return a, b, c"),
    Masked: ("items that a traced condition picks", "np.where(mask, x, 0.0)  # for all elements"),
    Places: ("the places where a traced condition holds", "np.where(mask, 1.0, 0.0)  # for all elements"),
}


def _fault(leaf: Any) -> tuple[str, str] | None:
    """What is wrong with an output and what to return instead, or None."""
    plain = leaf if isinstance(leaf, Tracer) else plain_number(leaf)
    if isinstance(plain, bool) or (isinstance(leaf, Tracer) and leaf.kind == BOOL):
        return "a condition", "return np.where(condition, 1.0, 0.0)"
    return None if plain is not None else _FAULTS.get(type(leaf), (f"a value of type {type(leaf).__name__}", "return y"))


def _line(function: Any, returns: bool = False) -> lines.Line | None:
    """The line of the kernel's `return`, or of its definition where it returns nothing; None without Python code."""
    while function is not None and not isinstance(function, FunctionType):
        inner = (getattr(function, name, None) for name in ("func", "__func__", "py_func", "__wrapped__"))
        function = next(filter(None, inner), None)
    if function is None:
        return None
    return (lines.return_line if returns else lines.definition_line)(function.__code__)
