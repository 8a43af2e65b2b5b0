"""Graph to op list: composite operations expanded, dead ones dropped, one dtype and one kind of math chosen.

An op list has only operations that are one vector instruction or one call of a function of the C library, and loops whose steps
are such lists. Powers with a constant
are reduced as LLVM reduces them under Numba, so that `math="libm"` has the very bits of the same function under `numba.njit`.
"""

import ctypes
import functools
import math as scalar
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate, repeat
from typing import Any, NamedTuple, Union

from nbad.errors import InternalError
from nbad.graphs.graph import Graph, GraphBuilder, Node, without_dead
from nbad.graphs.loops import Carried, Loop, in_lockstep
from nbad.operations.table import TABLE, row_of

INSTRUCTIONS = frozenset(
    "input const add sub mul div neg sqrt abs floor ceil trunc round copysign lt le gt ge eq ne and or not select alarm".split()
)
LARGEST_POWER = 0x10000  # Numba calls pow for a greater integer exponent
LARGEST_BASE = 62  # LLVM writes 2**62 to a power as exp2, greater bases as pow

Operand = Union["Value", float]


class Form(NamedTuple):
    """How a kernel meets memory.

    Attributes
    ----------
    widths : tuple of int
        How many outputs each result has, side by side for each element; where it is empty, every output is a row.
    streams : bool
        Whether results are stored past the caches: their rows begin at whole cache lines.
    reads : tuple of int
        As `widths`, of inputs.
    lines : {"", "read", "written"}
        Whether the first that is read, or the last result, are rows in lines, as `nbad.codegen.reads` says.
    is_narrow : bool
        Whether a value takes one register, for few elements, whatever pays for many.
    """

    widths: tuple[int, ...] = ()
    streams: bool = False
    reads: tuple[int, ...] = ()
    lines: str = ""
    is_narrow: bool = False


BY_ROWS = Form()  # as kernels are at first


@dataclass(frozen=True)
class OpList(Graph):
    """A graph of instructions and calls of C functions only, with the dtype, the kind of math and the form to compile it for."""

    dtype: str = "float64"
    math: str = "simd"
    form: Form = BY_ROWS

    @property
    def sources(self) -> list[range]:
        """The inputs of each row or block that is read."""
        ends = accumulate(self.form.reads or [1] * len(self.inputs))
        return [range(end - width, end) for end, width in zip(ends, self.form.reads or repeat(1), strict=False)]

    @property
    def results(self) -> list[tuple[int, ...]]:
        """The outputs of each result: of one a row, of several a block."""
        ends = accumulate(self.form.widths or [1] * len(self.outputs))
        return [self.outputs[end - width : end] for end, width in zip(ends, self.form.widths or repeat(1), strict=False)]

    def __str__(self) -> str:
        return f"{self.dtype}, math={self.math!r}\n{Graph.__str__(self)}"


def lower(graph: Graph, dtype: str = "float64", math: str = "simd") -> OpList:
    """Reduce a graph to instructions and calls.

    Parameters
    ----------
    graph : Graph
    dtype : "float64" or "float32"
        The working dtype; constants are rounded to it.
    math : "simd" or "libm"
        Vector functions, or the scalar functions that Numba calls.

    Returns
    -------
    OpList

    Examples
    --------
    >>> builder = GraphBuilder("cube", ["x"])
    >>> print(lower(builder.build([builder.add("powi", 0, payload=3)])))
    float64, math='simd'
    cube(x):
      %1 = mul(x, x)
      %2 = mul(x, %1)
      return %2
    """
    expander = Expander(GraphBuilder(graph.name, graph.inputs), dtype, math)
    places: list[Value] = []
    nodes = expander.builder.nodes
    for node in graph.nodes:
        place = expander.lower(node, [places[a] for a in node.args])
        places.append(place)
        # both are kept as long as the kernel: an equal node once. Constants not, for 0.0 equals -0.0; loops are lowered
        if node.op not in ("const", "loop") and nodes[place.node] == node:
            nodes[place.node] = node
    kept = without_dead(expander.builder, [places[k].node for k in graph.outputs])
    return OpList(graph.name, graph.inputs, *kept, dtype, math)


def is_in_step(oplist: OpList, node: Node) -> bool:
    """Whether all elements do as many passes of a loop: it only counts, from a constant on."""
    constants = {s for s, a in enumerate(node.args, -1) if oplist.nodes[a].op == "const"}  # -1: whether it is active
    return -1 in constants and in_lockstep(node.payload.loop, constants)


class Expander:
    """What a row's `expansion` builds with: every operation by its name, and `where`."""

    def __init__(self, builder: GraphBuilder, dtype: str, math: str):
        self.builder, self.dtype, self.math = builder, dtype, math
        self._loops: dict[Loop, Loop] = {}  # with steps that are lowered

    def __getattr__(self, name: str) -> Callable[..., "Value"]:
        if name not in TABLE:
            raise AttributeError(name)
        return functools.partial(self.apply, name)

    def where(self, condition: "Value", x: Operand, y: Operand) -> "Value":
        """`x` where the condition holds, else `y`."""
        return self.apply("select", condition, x, y)

    def constant(self, value: float) -> "Value":
        """A constant in the working dtype."""
        if self.dtype == "float32" and not isinstance(value, bool):
            value = ctypes.c_float(value).value
        return Value(self, self.builder.constant(value))

    def apply(self, op: str, *operands: Any) -> "Value":
        """The value of an operation, expanded where its row says so; a last operand beyond its arity is the payload."""
        arity = len(TABLE[op].operands)
        return self._apply(op, list(map(self._value, operands[:arity])), *operands[arity:])

    def lower(self, node: Node, operands: list["Value"]) -> "Value":
        """The value of one node of the graph that is being lowered."""
        self.builder.source = node.source
        if node.op == "input":
            return Value(self, node.payload)
        if node.op == "const":
            return self.constant(node.payload)
        if node.op == "loop":
            return Value(self, self.builder.add("loop", *(v.node for v in operands), payload=self._lowered(node.payload)))
        return self._apply(node.op, operands, *(() if node.payload is None else (node.payload,)))

    def _apply(self, op: str, values: list["Value"], *payload: Any) -> "Value":
        row = row_of(op, *payload)
        if op == "powi" and abs(*payload) > LARGEST_POWER:
            return self.apply("pow", values[0], float(*payload))
        if op == "pow" and (reduced := self._power(*values)) is not None:
            return reduced
        if row.expansion and op not in INSTRUCTIONS:
            return self._value(row.expansion(self, *values, *payload))
        if op not in INSTRUCTIONS and not row.is_call:
            raise InternalError(f"`{op}` has neither an expansion nor a C function")
        return Value(self, self.builder.add(op, *(v.node for v in values)))

    def _lowered(self, carried: Carried) -> Carried:
        loop = carried.loop
        if loop not in self._loops:
            self._loops[loop] = replace(loop, step=lower(loop.step, self.dtype, self.math))
        return Carried(self._loops[loop], carried.place)

    def _power(self, x: "Value", y: "Value") -> "Value | None":
        """LLVM's reductions of a power with one constant; None where it has none."""
        base, exponent = x.constant, y.constant
        if base is not None and exponent is None and self.math == "libm":
            return self._power_of(base, y)
        if base is not None or exponent is None:
            return None
        if exponent == 0.5:  # beside the root: that of -inf is inf, and that of -0.0 is 0.0
            return self.where(x == -scalar.inf, scalar.inf, self.abs(self.sqrt(x)))
        reductions = {0.0: lambda: self.constant(1.0), 1.0: lambda: x, 2.0: lambda: x * x, -1.0: lambda: 1.0 / x}
        return reductions[exponent]() if exponent in reductions else None

    def _power_of(self, base: float, y: "Value") -> "Value | None":
        """A constant to a power: LLVM writes powers of two as exp2, which costs accuracy, so only Numba's bits ask for it."""
        mantissa, exponent = scalar.frexp(base)
        if base == 1.0:
            return self.constant(1.0)
        if mantissa != 0.5 or abs(exponent - 1) > LARGEST_BASE:
            return None
        return self.exp2(y * float(exponent - 1))

    def _value(self, result: Operand) -> "Value":
        return result if isinstance(result, Value) else self.constant(result)


def _infix(op: str, swapped: bool = False) -> Callable[["Value", Operand], "Value"]:
    def apply(self: "Value", other: Operand) -> "Value":
        return self.expander.apply(op, *((other, self) if swapped else (self, other)))

    return apply


class Value:
    """A node of the op list being built; Python's operators build on it."""

    def __init__(self, expander: Expander, node: int):
        self.expander, self.node = expander, node

    @property
    def constant(self) -> Any:
        """The number, where the node is a constant."""
        node = self.expander.builder.nodes[self.node]
        return node.payload if node.op == "const" else None

    def __neg__(self) -> "Value":
        return self.expander.neg(self)

    def __abs__(self) -> "Value":
        return self.expander.abs(self)

    def __invert__(self) -> "Value":
        return self.expander.apply("not", self)

    def __pow__(self, exponent: float) -> "Value":
        return self.expander.apply("powi" if isinstance(exponent, int) else "pow", self, exponent)

    __add__, __radd__ = _infix("add"), _infix("add", swapped=True)
    __sub__, __rsub__ = _infix("sub"), _infix("sub", swapped=True)
    __mul__, __rmul__ = _infix("mul"), _infix("mul", swapped=True)
    __truediv__, __rtruediv__ = _infix("div"), _infix("div", swapped=True)
    __lt__, __le__, __gt__, __ge__ = _infix("lt"), _infix("le"), _infix("gt"), _infix("ge")
    __eq__, __ne__ = _infix("eq"), _infix("ne")  # type: ignore[assignment]
    __and__, __or__ = _infix("and"), _infix("or")
    __hash__ = None  # type: ignore[assignment]
