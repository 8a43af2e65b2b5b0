"""Op list to scalar LLVM IR: a function of numbers that is inlined into loops of others, which LLVM makes vector code of.

It computes what the tile kernel computes for one element, by the same operations in the same order, and has the same bits. Calls
carry what the vectorizer of the caller's loop must know (`nbad.njit.scalar_functions`). An alarm is silent here: who calls
asks for a code of what is wrong beside the values. A loop on data is a loop.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from nbad.codegen.functions import INTRINSICS
from nbad.codegen.host import Host
from nbad.codegen.lower import OpList
from nbad.codegen.vector_ir import INSTRUCTIONS, Body, Printer
from nbad.graphs.graph import needed
from nbad.njit.scalar_functions import PURE, ScalarFunctions

QUICK = {*INSTRUCTIONS, *INTRINSICS, "const"} - {"sqrt"}  # what takes a few cycles, not tens
INLINED = 1500  # operations; larger kernels are called
FUNCTION = """\
define {kind} @{symbol}({parameters}) {pure} {inlining} {{
entry:
{lines}
  ret {kind} {returned}
}}
attributes #1 = {{ {pure} }}
"""


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
    functions, body = ScalarFunctions(host, oplist.dtype, oplist.math), _Whole("entry")
    printer = Printer(oplist, functions, body, given=[f"%x{k}" for k in range(len(oplist.inputs))])
    printer.values(_soonest(oplist, needed(oplist, oplist.outputs)))
    scalar = functions.scalar
    kind, packed = f"{{ {', '.join([scalar] * len(oplist.outputs))} }}", "poison"
    for place, k in enumerate(oplist.outputs):
        body.add(f"  %r{place} = insertvalue {kind} {packed}, {scalar} {printer.operand(k)}, {place}")
        packed = f"%r{place}"
    function = FUNCTION.format(
        kind=kind,
        symbol="element",
        parameters=", ".join(f"{scalar} %x{k}" for k in range(len(oplist.inputs))),
        pure=PURE,
        inlining="alwaysinline" if len(oplist.nodes) < INLINED else "",
        lines="\n".join(body.lines),
        returned=packed,
    )
    text = "\n".join([*functions.texts.values(), function])
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
        if node.op != "alarm":
            is_call = node.op not in QUICK
            waits[k] = max((waits.get(a, 0) for a in node.args), default=0) + is_call
    return sorted(waits, key=lambda k: (waits[k], k))


class _Whole(Body):
    """The lines of a function that go on in one block, however many."""

    def add(self, *lines: str) -> None:
        """Lines that belong together."""
        self.lines += lines
