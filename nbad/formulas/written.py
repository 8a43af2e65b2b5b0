"""The lines of a kernel's formulas: its outputs and partials, and what is written once before them.

The partials are the entries of the joint graph, those that nbad computes, its conventions at kinks included. What a variable of
the kernel holds is written under the name of that variable, and longer parts that repeat as u_0, u_1 and so on.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from nbad.formulas.to_sympy import check_loops, check_size, of_graph, operands_of
from nbad.graphs.graph import Graph
from nbad.graphs.simplify import simplify

LONGEST = 2000  # operations of the formulas
LONG = 60  # operands and operations of an expression that is no use in a notebook
SMALLEST_SHARED = 8  # operands and operations of a subexpression that is written once
CONSTANTS = "1 sqrt(2) sqrt(3) pi pi/180 1/pi sqrt(pi) 1/sqrt(pi) sqrt(2*pi) 1/sqrt(2*pi) E log(2)"


class Output(NamedTuple):
    """An output of a kernel, or a component of one."""

    kernel: str
    numbers: tuple[int, ...]


class Partial(NamedTuple):
    """The derivative of an output by a symbol."""

    output: Output
    by: Any


class Line(NamedTuple):
    """What is defined, a symbol, an output or a partial, and its expression."""

    left: Any
    right: Any


def lines_of(kernel: Any, method: str, program: Any = None, has_partials: bool = True) -> list[Line]:
    """The formulas of a kernel in the order in which they can be read.

    Parameters
    ----------
    kernel : Kernel
    method : str
        What the caller was asked for, for errors.
    program : Program, optional
        The specialization; by default that in which every number is passed.
    has_partials : bool

    Examples
    --------
    >>> import math, nbad
    >>> for line in lines_of(nbad.kernel(lambda x: 3 * x), "latex"):
    ...     print(line)
    Line(left=Output(kernel='f', numbers=()), right=3*x)
    Line(left=Partial(output=Output(kernel='f', numbers=()), by=x), right=3)
    """
    program = program or kernel.whole_program()
    symbols = operands_of(program, ())
    if has_partials:
        joint = program.joint(tuple(range(len(symbols))), "reverse")
        graph, positions = simplify(joint.graph), joint.positions
    else:
        graph, positions = simplify(program.graph), ()
    check_loops(kernel, method, graph)
    check_size(kernel, method, len(graph.nodes), LONGEST)
    outputs = list(_outputs(kernel.__name__, program))
    shared = _Shared(graph, outputs, symbols)
    found = [_rounded(e) for e in of_graph(graph, symbols, (), shared.named)]
    left = [*outputs, *(Partial(outputs[m], symbols[n]) for m, n in positions)]
    rest = [Line(name, e) for name, e in zip(left, found, strict=True) if name not in shared.written]
    return [*shared.lines, *rest]


class _Shared:
    """What is written once: under the names of variables, those of outputs, or u_0, u_1, ...

    Attributes
    ----------
    lines : list of Line
    written : set of Output
        Those among them.
    """

    def __init__(self, graph: Graph, outputs: list[Output], symbols: Any) -> None:
        import sympy

        self.outputs = dict(zip(graph.outputs, outputs, strict=False))
        self.lines: list[Line] = []
        self.written = set[Output]()
        self.uses = Counter([*graph.outputs, *(a for node in graph.nodes for a in node.args)])
        self.symbols = _variables(graph, {*map(str, symbols), *map(symbol_of, outputs)})
        taken = {*symbols, *self.symbols.values(), *map(sympy.Symbol, map(symbol_of, outputs))}
        self.fresh = sympy.numbered_symbols("u_", exclude=taken)

    def named(self, k: int, e: Any) -> Any:
        """What stands for the value of node `k`."""
        import sympy

        is_output = k in self.outputs
        if not (k in self.symbols and not is_output and e.args) and (self.uses[k] < 2 or _length(e) < SMALLEST_SHARED):
            return e
        if is_output:
            left: Any = self.outputs[k]
            self.written.add(left)
            symbol = sympy.Symbol(symbol_of(left))
        else:
            left = symbol = self.symbols.get(k) or next(self.fresh)
        self.lines.append(Line(left, _rounded(e)))
        return symbol


def _variables(graph: Graph, taken: set[str]) -> dict[int, Any]:
    """A symbol for each node that a variable of the kernel's own names."""
    import sympy

    found = {}
    for k, node in enumerate(graph.nodes):
        name = next((name for name in node.names if "." not in name), "").rstrip("]").replace("[", "_").replace(",", "_")
        if name and name not in taken:
            taken.add(name)
            found[k] = sympy.Symbol(name)
    return found


def symbol_of(output: Output) -> str:
    """The name of a symbol for an output."""
    return "_".join([output.kernel, *map(str, output.numbers)])


def is_long(e: Any) -> bool:
    """Whether an expression is left out where there is little room."""
    return _length(e) > LONG


def _length(e: Any) -> int:
    return 1 + sum(map(_length, e.args))


def _outputs(name: str, program: Any) -> Iterator[Output]:
    name = name if name.isidentifier() else "f"
    for k, core in enumerate(program.leaves):
        for index in np.ndindex(core):
            yield Output(name, ((k,) if program.structure.is_tuple else ()) + index)


def _rounded(e: Any) -> Any:
    """An expression whose decimals are the constants that people write, where they are that to the last digits."""
    import sympy

    floats = e.atoms(sympy.Float)
    return e.xreplace({number: found for number in floats if (found := _constant(float(number))) is not None})


def _constant(number: float) -> Any:
    """A constant or its double, half or opposite; None for all other numbers."""
    for value, constant in _constants():
        ratio = number / value
        for factor in (1, -1, 2, -2, 4, -4):
            for exact in (factor, 1 / factor):
                if abs(ratio / exact - 1.0) < 1e-15:
                    return constant * factor if exact == factor else constant / factor
    return None


@functools.cache
def _constants() -> list[tuple[float, Any]]:
    import sympy

    return [(float(constant), constant) for constant in map(sympy.sympify, CONSTANTS.split())]
