"""Op list to scalar LLVM IR: a function of numbers that is inlined into loops of others, which LLVM makes vector code of.

It computes what the tile kernel computes for one element, by the same operations in the same order, and has the same bits. Calls
carry what the vectorizer of the caller's loop must know (`nbad.njit.scalar_functions`). An alarm is silent here: who calls
asks for a code of what is wrong beside the values. A loop on data is a loop.
"""

import hashlib
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from nbad.codegen.functions import INTRINSICS
from nbad.codegen.host import Host
from nbad.codegen.lower import OpList
from nbad.codegen.vector_ir import INSTRUCTIONS
from nbad.graphs.graph import Node, needed
from nbad.graphs.loops import Loop
from nbad.njit.scalar_functions import PURE, ScalarFunctions

QUICK = {*INSTRUCTIONS, *INTRINSICS, "const", "alarm"} - {"sqrt"}  # what takes a few cycles, not tens
INLINED = 1500  # operations; larger kernels are called
FUNCTION = """\
define {kind} @{symbol}({parameters}) {pure} {inlining} {{
entry:
{lines}
  ret {kind} {returned}
}}
"""
PASS = """\
  %g{name} = and i1 {active}, {goes_on}
  %f{name} = icmp slt i64 %k{name}, {max_passes}
  %o{name} = and i1 %g{name}, %f{name}
  br i1 %o{name}, label %again{name}, label %left{name}
again{name}:"""
AGAIN = """\
  %j{name} = add nuw nsw i64 %k{name}, 1
  br label %pass{name}
left{name}:"""


class ScalarCode(NamedTuple):
    """The code of one element.

    Attributes
    ----------
    symbol : str
        Of a function from one number for each input to a struct of the outputs; it holds the hash of the code.
    text : str
        The module that defines it.
    modules : dict of str to tuple of str
        Those that define the functions that it calls, by their names.
    """

    symbol: str
    text: str
    modules: dict[str, tuple[str, ...]]


def print_scalar(oplist: OpList, host: Host) -> ScalarCode:
    """The code of one element.

    Parameters
    ----------
    oplist : OpList
    host : Host
        Gives the vector functions, whose bits the code has.

    Returns
    -------
    ScalarCode

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> from nbad.codegen.host import host
    >>> builder = GraphBuilder("double", ["x"])
    >>> "fadd double %x0, %x0" in print_scalar(lower(builder.build([builder.add("add", 0, 0)])), host()).text
    True
    """
    functions, lines = ScalarFunctions(host, oplist.dtype, oplist.math), _Lines()
    printer = _Printer(oplist, functions, lines, given=[f"%x{k}" for k in range(len(oplist.inputs))])
    printer.values(_soonest(oplist, needed(oplist, oplist.outputs)))
    scalar = functions.scalar
    kind, packed = f"{{ {', '.join([scalar] * len(oplist.outputs))} }}", "poison"
    for place, k in enumerate(oplist.outputs):
        lines.add(f"  %r{place} = insertvalue {kind} {packed}, {scalar} {printer.operand(k)}, {place}")
        packed = f"%r{place}"
    body = FUNCTION.format(
        kind=kind,
        symbol="element",
        parameters=", ".join(f"{scalar} %x{k}" for k in range(len(oplist.inputs))),
        pure=PURE,
        inlining="alwaysinline" if len(oplist.nodes) < INLINED else "",
        lines="\n".join(lines.printed),
        returned=packed,
    )
    text = "\n".join([*functions.texts.values(), body])
    symbol = f"nbad_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    return ScalarCode(symbol, text.replace("@element(", f"@{symbol}("), functions.modules)


def _soonest(oplist: OpList, wanted: Iterable[int]) -> list[int]:
    """The same operations, calls of functions as soon as no other call keeps them waiting: the processor runs them side by side.

    LLVM leaves calls in the order in which they are written. With AVX2 a loop over the value of Black-Scholes takes 0.92 of the
    time that it takes in the kernel's own order.
    """
    waits: dict[int, int] = {}
    for k in wanted:
        node = oplist.nodes[k]
        is_call = node.op not in QUICK
        waits[k] = max((waits.get(a, 0) for a in node.args), default=0) + is_call
    return sorted(waits, key=lambda k: (waits[k], k))


class _Lines:
    """The lines of the function, and the block that they are in."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.block = "entry"

    def add(self, text: str, block: str | None = None) -> None:
        """Lines, and the block that begins at the last of them."""
        self.printed.append(text)
        self.block = block or self.block


class _Printer:
    """The lines of the values of a graph, or of the step of a loop in it; `prefix` tells the names of a step from others."""

    def __init__(self, oplist: OpList, functions: ScalarFunctions, lines: _Lines, given: list[str], prefix: str = ""):
        self.oplist, self.functions, self.lines, self.prefix = oplist, functions, lines, prefix
        self.names = dict(enumerate(given))
        self.scalar = functions.scalar
        self.loops: dict[Any, list[str]] = {}  # the states of each at its end, and whether it would go on

    def values(self, wanted: Iterable[int]) -> None:
        """Some operations, in order."""
        for k in wanted:
            node = self.oplist.nodes[k]
            if node.op != "const" and k not in self.names:
                self.names[k] = self._value(k, node)

    def operand(self, k: int) -> str:
        """How node `k` is written as an operand."""
        node = self.oplist.nodes[k]
        return self._constant(node.payload) if node.op == "const" else self.names[k]

    def _value(self, k: int, node: Node) -> str:
        """The name of a value, once its lines are printed."""
        name, operands = f"%v{self.prefix}{k}", [self.operand(a) for a in node.args]
        if node.op == "alarm":
            return operands[1]
        if node.op == "loop":
            return self._last_value(name, node, operands)
        if node.op in INSTRUCTIONS:
            right = INSTRUCTIONS[node.op].replace("splat (i1 true)", "true").format(*operands, v=self.scalar, m="i1")
        else:
            called = self.functions.find(node.op)
            right = f"call {self.scalar} @{called.name}({', '.join(f'{self.scalar} {x}' for x in operands)}) {called.attributes}"
        self.lines.add(f"  {name} = {right}")
        return name

    def _constant(self, value: Any) -> str:
        """A constant in LLVM's notation, which is that of a double for either dtype."""
        if isinstance(value, bool):
            return str(value).lower()
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"

    def _last_value(self, name: str, node: Node, operands: list[str]) -> str:
        """What a node of a loop is."""
        loop, place = node.payload
        key = node.args, loop
        if key not in self.loops:
            self.loops[key] = self._loop(name.removeprefix("%v"), loop, operands)
        found = self.loops[key][place]
        if place < loop.states:
            return found
        one, zero = self._constant(1.0), self._constant(0.0)
        self.lines.add(f"  {name} = select i1 {found}, {self.scalar} {one}, {self.scalar} {zero}")
        return name

    def _loop(self, name: str, loop: Loop, operands: list[str]) -> list[str]:
        """Print a loop: what decides whether it goes on, the rest of the step, and the way back."""
        assert isinstance(loop.step, OpList)
        lines, before, states = self.lines, self.lines.block, [f"%z{name}.{s}" for s in range(loop.states)]
        given = [*states, *operands[loop.states + 1 :]]
        step = _Printer(loop.step, self.functions, lines, given, f"{name}.")
        goes_on, *following = loop.step.outputs
        lines.add(f"  br label %pass{name}\npass{name}:", f"pass{name}")
        lines.add("")  # the phis, which name the last block
        phis, first = len(lines.printed) - 1, needed(loop.step, [goes_on])
        step.values(first)
        test = dict(name=name, active=operands[0], goes_on=step.operand(goes_on), max_passes=loop.max_passes)
        lines.add(PASS.format(**test), f"again{name}")
        step.values(needed(loop.step, following, set(first)))
        pairs = [(f"%k{name}", "i64", "0", f"%j{name}")]
        pairs += [(z, self.scalar, operands[s + 1], step.operand(following[s])) for s, z in enumerate(states)]
        last = lines.block
        lines.add(AGAIN.format(name=name), f"left{name}")
        lines.printed[phis] = "\n".join(f"  {z} = phi {kind} [ {a}, %{before} ], [ {b}, %{last} ]" for z, kind, a, b in pairs)
        return [*states, f"%g{name}"]
