"""Op list to readable Python: one scalar function, one statement per operation, the user's source lines as comments.

Under `numba.njit(error_model="numpy")` its bits are those of the vector code with `math="libm"`: Numba takes the functions that
it calls from the same C library. Exceptions: its float32 `cbrt` is that of float64, rounded; `gamma` and `lgamma` are Python's.
"""

import keyword
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nbad.codegen.lower import OpList
from nbad.graphs.graph import Graph, Node, needed
from nbad.graphs.loops import each_once
from nbad.operations.table import TABLE, row_of

OPERATORS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "abs": "abs({})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} and {}",
    "or": "{} or {}",
    "not": "not {}",
    "select": "{1} if {0} else {2}",
    "alarm": "{1}",
    "floor": "np.floor({})",
    "ceil": "np.ceil({})",
    "trunc": "np.trunc({})",  # those of `math` return integers
    "round": "np.rint({})",
    "cbrt": "np.cbrt({})",
    "fmod": "np.fmod({}, {})",  # Numba lacks those of `math`
}
FLIPPED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
MARGIN, LONGEST = 60, 130


class Written(NamedTuple):
    """A function of scalars as Python has it: its parameters, its statements, and what it returns."""

    parameters: list[str]
    statements: list[str]
    returned: list[str]


def print_python(oplist: OpList) -> str:
    """Source text of a module with one function, which takes and returns scalars.

    Parameters
    ----------
    oplist : OpList

    Returns
    -------
    str

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> builder = GraphBuilder("double", ["x"])
    >>> print(print_python(lower(builder.build([builder.add("add", 0, 0)]))))
    import math
    <BLANKLINE>
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def double(x):
        v1 = x + x
        return v1
    <BLANKLINE>
    """
    parameters, statements, returned = written(oplist)
    scipy = ["from scipy import special"] if _calls_scipy(oplist) else []
    head = f"def {_identifier(oplist.name)}({', '.join(parameters)}):"
    last = f"    return {', '.join(returned)}"
    return "\n".join(["import math", "", "import numpy as np", *scipy, "", "", head, *statements, last, ""])


def written(oplist: OpList, calls: Mapping[str, str] | None = None, told: Callable[[str], str] = str) -> Written:
    """The function of an op list.

    Parameters
    ----------
    oplist : OpList
    calls : mapping of str to str, optional
        Operations that are calls of functions with other names.
    told : callable, optional
        What a comment says in place of a file and a line, where there is room.
    """
    text = _Text(oplist.dtype, calls or {}, told)
    writer = _Writer(oplist, text, "v", [text.unique(_identifier(name)) for name in oplist.inputs])
    writer.statements(range(len(oplist.nodes)))
    return Written([writer.names[k] for k in range(len(oplist.inputs))], text.lines, [writer.names[k] for k in oplist.outputs])


def _calls_scipy(graph: Graph) -> bool:
    nodes = list(each_once(graph))
    steps = (node.payload.loop.step for node in nodes if node.op == "loop")
    return any(row_of(node.op, node.payload).scipy for node in nodes) or any(map(_calls_scipy, steps))


class _Text:
    """The lines of a function, and the names that it has."""

    def __init__(self, dtype: str, calls: Mapping[str, str], told: Callable[[str], str]):
        self.dtype, self.calls, self.indent, self._told = dtype, calls, " " * 4, told
        self.lines: list[str] = []
        self._source: str | None = None
        self._taken = {"math", "np", "abs", "special"} | {op.partition(".")[0] for op in TABLE if TABLE[op].address}
        self._taken |= set(calls.values())

    def unique(self, name: str) -> str:
        """A name that nothing else has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def add(self, statement: str, source: str | None = None) -> None:
        """One line, with the user's behind it where that is another one than before."""
        line = self.indent + statement
        if source not in (None, self._source):
            with_own, with_place = (f"{line:<{len(self.indent) + MARGIN}}  # {told}" for told in (self._told(source), source))
            line = with_own if len(with_own) <= LONGEST else with_place
        self.lines.append(line)
        self._source = source


class _Writer:
    """Writes the statements of an op list, or of the step of a loop; `given` are the names of its inputs."""

    def __init__(self, graph: Graph, text: _Text, prefix: str, given: Sequence[str]):
        self.graph, self.text, self.prefix = graph, text, prefix
        self.names = dict(enumerate(given))
        self._pythons: set[int] = set()  # what plain Python computes from constants alone, between which elements choose
        self._loops: dict[Any, list[str]] = {}  # the names of the states of each, and of whether it would go on

    def statements(self, wanted: Iterable[int]) -> None:
        """Write some operations."""
        for k in wanted:
            node = self.graph.nodes[k]
            if node.op == "const":
                self.names[k] = _constant(node.payload, self.text.dtype)
                self._pythons |= {k} if self.text.dtype == "float64" else set()
            elif node.op == "loop":
                self._last_value(k, node)
            elif node.op != "input":
                self.names[k] = self.text.unique(f"{self.prefix}{k}")
                self.text.add(f"{self.names[k]} = {self._expression(k, node)}", node.source)

    def _expression(self, k: int, node: Node) -> str:
        """An operation; comparisons as one writes them, not of a value with itself, nor with a number on its left."""
        op, operands = node.op, self._operands(k, node)
        if op in ("eq", "ne") and node.args[0] == node.args[1]:
            return f"{'not ' * (op == 'eq')}np.isnan({operands[0]})"
        if op in FLIPPED and self.graph.nodes[node.args[0]].op == "const":
            op, operands = FLIPPED[op], operands[::-1]
        template = _call(self.text.calls[op], op) if op in self.text.calls else _template(op)
        return template.format(*operands)

    def _operands(self, k: int, node: Node) -> list[str]:
        """The names of what an operation takes; Python's own numbers, of which `1.0 / 0.0` raises, are not divided."""
        first, *others = [self.names[a] for a in node.args]
        read = node.args[1:] if node.op == "select" else node.args
        if node.op not in ("select", "add", "sub", "mul", "div", "neg", "abs") or not self._pythons.issuperset(read):
            return [first, *others]
        if node.op == "div":
            return [f"np.float64({first})", *others]
        self._pythons.add(k)
        return [first, *others]

    def _last_value(self, k: int, node: Node) -> None:
        loop, place = node.payload
        if (key := (node.args, loop)) not in self._loops:
            self._loops[key] = self._loop(k, node)
        self.names[k] = self._loops[key][place]
        if place == loop.states:
            one, zero = _constant(1.0, self.text.dtype), _constant(0.0, self.text.dtype)
            more, self.names[k] = self.names[k], self.text.unique(f"{self.prefix}{k}")
            self.text.add(f"{self.names[k]} = {one} if {more} else {zero}", node.source)

    def _loop(self, k: int, node: Node) -> list[str]:
        """Write a loop: what decides whether it goes on, the way out, and the rest of a pass."""
        (loop, _), text = node.payload, self.text
        active, *operands = [self.names[a] for a in node.args]
        states = [text.unique(_identifier(name)) for name in loop.step.inputs[: loop.states]]
        passes, more = text.unique(f"passes{k}"), text.unique(f"more{k}")
        text.add(f"{passes}, {', '.join(states)} = 0, {', '.join(operands[: loop.states])}", node.source)
        text.add("while True:")
        outside, text.indent = text.indent, text.indent + " " * 4
        step = _Writer(loop.step, text, f"{self.prefix}{k}_", [*states, *operands[loop.states :]])
        goes_on, *following = loop.step.outputs
        first = needed(loop.step, [goes_on])
        step.statements(first)
        text.add(f"{more} = {step.names[goes_on]}" + ("" if active == "True" else f" and {active}"))
        text.add(f"if not {more} or {passes} == {loop.max_passes}:")
        text.add("    break")
        step.statements(needed(loop.step, following, set(first)))
        text.add(f"{passes}, {', '.join(states)} = {passes} + 1, {', '.join(step.names[k] for k in following)}")
        text.indent = outside
        return [*states, more]


def _template(op: str) -> str:
    if op in OPERATORS:
        return OPERATORS[op]
    row = TABLE[op]
    spelling = next((s for s in row.spellings if s.startswith("math.")), f"math.{op}")
    if row.scipy or row.address:
        spelling = f"special.{row.scipy}" if row.scipy else op.partition(".")[0]  # SciPy's, or the user's own
    return _call(spelling, op)


def _call(function: str, op: str) -> str:
    return f"{function}({', '.join(['{}'] * len(TABLE[op].operands))})"


def _identifier(name: str) -> str:
    """A Python name like `name`: `r[0]` becomes `r_0`."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "kernel"
    return f"{plain}_" if keyword.iskeyword(plain) or plain[0].isdigit() else plain


def _constant(value: Any, dtype: str) -> str:
    if isinstance(value, bool):
        return repr(value)
    text = repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}math.{abs(value)!r}"
    return f"np.float32({text})" if dtype == "float32" else text
