"""The outputs and partials of a kernel as formulas in LaTeX.

The partials are the entries of the joint graph, those that nbad computes, its conventions at kinks included.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from nbad.forks import IMPORTS
from nbad.formulas.to_sympy import check_loops, check_size, guarded, of_graph, operands_of
from nbad.graphs.graph import Graph
from nbad.graphs.simplify import simplify

LONGEST = 2000  # operations of the formulas
SMALLEST_SHARED = 8  # operands and operations of a subexpression that is written once


def latex(kernel: Any) -> str:
    """The outputs of a kernel, and their partials that are not zero, as aligned lines of LaTeX.

    Longer subexpressions that repeat are written once, as u_0, u_1 and so on.

    Examples
    --------
    >>> import math, nbad
    >>> print(latex(nbad.kernel(lambda x, y: x * math.sqrt(y))))
    \\begin{aligned}
    f &= x \\sqrt{y} \\\\
    \\frac{\\partial f}{\\partial x} &= \\sqrt{y} \\\\
    \\frac{\\partial f}{\\partial y} &= \\frac{x}{2 \\sqrt{y}}
    \\end{aligned}
    """
    return guarded(kernel, lambda: _aligned(_lines(kernel)))


def _lines(kernel: Any) -> list[tuple[str, Any]]:
    """The left side of each line, and the expression on its right."""
    with IMPORTS:
        import sympy

    program = kernel.whole_program()
    symbols = operands_of(program, ())
    joint = program.joint(tuple(range(len(symbols))), "reverse")
    graph = simplify(joint.graph)
    check_loops(kernel, "latex", graph)
    check_size(kernel, "latex", len(graph.nodes), LONGEST)
    names = list(_output_names(kernel.__name__, program))
    shared = _Shared(graph, names, symbols)
    found = of_graph(graph, symbols, (), shared.named)
    left = [*names, *(_partial(names[m], sympy.latex(symbols[n])) for m, n in joint.positions)]
    rest = [(name, e) for name, e in zip(left, found, strict=True) if name not in shared.lines]
    return [*shared.lines.items(), *rest]


class _Shared:
    """Names for longer subexpressions that are used more than once: those of outputs, or u_0, u_1, ...

    `lines` has the expression under each name.
    """

    def __init__(self, graph: Graph, names: list[str], symbols: Any) -> None:
        import sympy

        self.outputs = dict(zip(graph.outputs, names, strict=False))
        self.lines: dict[str, Any] = {}
        self.uses = Counter([*graph.outputs, *(a for node in graph.nodes for a in node.args)])
        self.fresh = (s for s in sympy.numbered_symbols("u_", exclude=symbols) if sympy.latex(s) not in names)

    def named(self, k: int, e: Any) -> Any:
        """What stands for the value of node `k`."""
        import sympy

        if self.uses[k] < 2 or _length(e) < SMALLEST_SHARED:
            return e
        symbol = sympy.Dummy(self.outputs[k]) if k in self.outputs else next(self.fresh)
        self.lines[sympy.latex(symbol)] = e
        return symbol


def _length(e: Any) -> int:
    return 1 + sum(map(_length, e.args))


def _aligned(lines: list[tuple[str, Any]]) -> str:
    import sympy

    body = " \\\\\n".join(f"{name} &= {sympy.latex(e)}" for name, e in lines)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def _output_names(name: str, program: Any) -> Iterator[str]:
    """`f`, or `f_{0}` for an output of a tuple or a component of a vector."""
    name = name if name.isidentifier() else "f"
    symbol = name if len(name) == 1 else r"\mathrm{" + name.replace("_", r"\_") + "}"
    for k, core in enumerate(program.leaves):
        for index in np.ndindex(core):
            numbers = ((k,) if program.structure.is_tuple else ()) + index
            yield f"{symbol}_{{{','.join(map(str, numbers))}}}" if numbers else symbol


def _partial(output: str, symbol: str) -> str:
    return rf"\frac{{\partial {output}}}{{\partial {symbol}}}"
