"""From kernels to formulas: a traced graph as SymPy expressions.

Nodes become evaluated expressions: SymPy orders and merges terms as it likes. They are equal in exact arithmetic, apart from nan
and the sign of zero, which SymPy does not know.
"""

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError
from nbad.forks import IMPORTS
from nbad.graphs.graph import Graph, Node
from nbad.graphs.simplify import simplify
from nbad.operations.table import TABLE

Result = TypeVar("Result")
LARGEST_DENOMINATOR = 64  # of a constant that is shown as a fraction
LARGEST_INTEGER = 2**53
LONGEST = 100_000  # operations of the formulas, written out
STABLE = ("expm1", "log1p", "hypot")  # SymPy has functions for these in `sympy.codegen.cfunctions`


def expressions(kernel: Any, *operands: Any) -> Any:
    """The outputs of a kernel as SymPy expressions.

    Parameters
    ----------
    kernel : Kernel
    *operands : SymPy expressions, optional
        What to put in for each scalar slot of the arguments; by default symbols without assumptions that are named after the
        arguments, `r_0`, `r_1` for a vector and `m_0_1` for a matrix.

    Returns
    -------
    SymPy expression, or what the kernel returns with expressions in it: a tuple, a namedtuple or a dict
        A vector or matrix output is a SymPy array.

    Examples
    --------
    >>> import math, nbad
    >>> expressions(nbad.kernel(lambda x, y: x * math.sqrt(y) + 0.5))
    x*sqrt(y) + 1/2
    """
    with IMPORTS:
        import sympy

    program = kernel.whole_program()
    given, graph = operands_of(program, operands), simplify(program.graph)
    check_loops(kernel, "sympy", graph)
    check_size(kernel, "sympy", max(_written_out(graph)), LONGEST)
    found = guarded(kernel, lambda: of_graph(graph, given))
    leaves = tuple(
        sympy.Array([found[k] for k in slots]).reshape(*core) if core else found[slots[0]]
        for core, slots in zip(program.leaves, program.leaf_slots, strict=True)
    )
    return program.structure.build(leaves)


def of_graph(
    graph: Graph, operands: Sequence[Any], stable: tuple[str, ...] = STABLE, named: Callable[[int, Any], Any] = lambda k, e: e
) -> list[Any]:
    """The outputs of a graph as SymPy expressions of its operands, one for each scalar input.

    `named(k, e)` may put a name for the expression `e` of node `k`, wherever that is used.

    Examples
    --------
    >>> import sympy
    >>> from nbad.graphs.graph import GraphBuilder
    >>> builder = GraphBuilder("f", ["x"])
    >>> of_graph(builder.build([builder.add("mul", 0, 0)]), sympy.symbols("x,"))
    [x**2]
    """
    values = []
    for k, node in enumerate(graph.nodes):
        if node.op == "input":
            values.append(operands[node.payload])
        elif node.op == "const":
            values.append(_constant(node.payload))
        else:
            values.append(named(k, _applied(node, [values[a] for a in node.args], stable)))
    return [values[k] for k in graph.outputs]


def _constant(value: Any) -> Any:
    """A number as an integer or a simple fraction where it is exactly that, else as a Float."""
    import sympy

    if isinstance(value, bool) or value != value or value in (float("inf"), float("-inf")):
        return sympy.sympify(value)
    # every float is a fraction; those that a person would write as one have a small denominator
    exact = Fraction(value)
    if abs(exact) <= LARGEST_INTEGER and exact.denominator <= LARGEST_DENOMINATOR:
        return sympy.Rational(exact.numerator, exact.denominator)
    return sympy.Float(value)


def _applied(node: Node, operands: Sequence[Any], stable: tuple[str, ...]) -> Any:
    """The expression of one operation."""
    import sympy

    if node.op == "tied":
        return operands[0]
    if node.op in stable:
        from sympy.codegen import cfunctions

        return getattr(cfunctions, node.op)(*operands)
    template = _template(node.op)
    if template is None:
        return sympy.Function(node.op)(*operands)
    values = [*operands, *([] if node.payload is None else [sympy.Integer(node.payload)])]
    return _substituted(template, dict(zip(_names(node), values, strict=True)))


def _names(node: Node) -> Iterable[Any]:
    """The symbols of an operation's expression, one for each operand and the payload."""
    import sympy

    letters = {"select": "cxy"}.get(node.op, "xyz")[: len(node.args)]
    return map(sympy.Symbol, letters if node.payload is None else f"{letters}n")


def _rebuilt(e: Any, operands: Sequence[Any]) -> Any:
    """The same operation on other operands. Choices stay as they stand: SymPy unfolds nested ones, at exponential cost."""
    from sympy import Basic, Piecewise
    from sympy.core.relational import Relational
    from sympy.functions.elementary.piecewise import ExprCondPair

    if isinstance(e, Piecewise | ExprCondPair):
        return Basic.__new__(type(e), *operands)
    return e.func(*operands, evaluate=False) if isinstance(e, Relational) else e.func(*operands)


def _substituted(e: Any, values: dict[Any, Any]) -> Any:
    """A small expression with other expressions for its symbols."""
    return values.get(e, e) if not e.args else _rebuilt(e, [_substituted(a, values) for a in e.args])


EXPRESSIONS = {
    "cbrt": "sign(x)*Abs(x)**Rational(1, 3)",  # of negative numbers too, where SymPy's own goes complex
    "lt": "x < y",
    "le": "x <= y",
    "gt": "x > y",
    "ge": "x >= y",
    "eq": "Eq(x, y)",
    "ne": "Ne(x, y)",
    "and": "And(x, y)",
    "or": "Or(x, y)",
    "not": "Not(x)",
}


@functools.cache
def _template(op: str) -> Any:
    """The expression of an operation in its operands and its payload n, or None."""
    import sympy
    from sympy.parsing.sympy_parser import parse_expr

    text = EXPRESSIONS.get(op, TABLE[op].expression)
    if text is None:
        return None
    own = {name: sympy.Function(name) for name in re.findall(r"\w+", text) if name in TABLE and not hasattr(sympy, name)}
    return parse_expr(text, local_dict=own | {name: sympy.Symbol(name) for name in "cxyzn"})


def operands_of(program: Any, given: Any) -> tuple[Any, ...]:
    """What stands for each scalar slot of the arguments: the expressions given, or symbols."""
    import sympy

    slots = [slot for a in program.arguments for slot in a.slots]
    if not given:
        return _symbols(slots)
    if len(given) != len(slots):
        raise ArgumentTypeError(
            f"{program.call}.sympy: there must be one expression for each scalar slot",
            got=f"{len(given)}",
            expected=f"{len(slots)}: {', '.join(slots)}",
            fix=f"{program.name}.sympy()",
        )
    try:
        return tuple(sympy.sympify(e, strict=True) for e in given)  # text would be executed
    except sympy.SympifyError as error:
        raise ArgumentTypeError(
            f"{program.call}.sympy: an operand is not an expression",
            got=repr(error.expr),
            expected="SymPy expressions and numbers",
            fix=f"{program.name}.sympy(*sympy.symbols({' '.join(slots)!r}, seq=True))",
        ) from None


def _symbols(slots: list[str]) -> tuple[Any, ...]:
    """A symbol for each slot: `r_0` for `r[0]`, or `rv_0` where that is an argument of its own."""
    import sympy

    found: list[str] = []
    for slot in slots:
        base, *index = slot.rstrip("]").replace("[", ",").split(",")
        while "_".join([base, *index]) in [*found, *(slots if index else ())]:
            base += "v"
        found.append("_".join([base, *index]))
    return tuple(map(sympy.Symbol, found))


def _written_out(graph: Graph) -> list[int]:
    """For each node, how many operations its formula has: what is used twice is written twice."""
    sizes: list[int] = []
    for node in graph.nodes:
        sizes.append(1 + sum(sizes[a] for a in (node.args[:1] if node.op == "tied" else node.args)))
    return sizes


def check_size(kernel: Any, method: str, size: int, most: int) -> None:
    """Refuse formulas that nobody could read, and SymPy could hardly build."""
    if size > most:
        raise ArgumentValueError(
            f"`{kernel.__name__}.{method}()`: the formulas are too long",
            got=f"{size:,} operations",
            expected=f"{most:,} at most",
            fix=f"nbad.show({kernel.__name__}, 'partials')",
        )


def check_loops(kernel: Any, method: str, graph: Graph) -> None:
    """Refuse loops whose passes depend on the data: no formula says how many there are."""
    found = next((node for node in graph.nodes if node.op == "loop"), None)
    if found is not None:
        raise TraceError(
            f"`{kernel.__name__}.{method}()`: a loop whose passes depend on traced values has no formula",
            got=f"the loop of {found.source or 'this kernel'}",
            expected="operations that SymPy has",
            fix=f"nbad.show({kernel.__name__}, 'graph')",
        )


def guarded(kernel: Any, make: Callable[[], Result]) -> Result:
    """Whatever `make` returns; an honest error where SymPy's recursion ends."""
    try:
        return make()
    except RecursionError:
        raise TraceError(
            f"kernel `{kernel.__name__}` nests its operations too deeply for SymPy", fix=f"nbad.show({kernel.__name__}, 'graph')"
        ) from None
