"""Texts of partial derivatives to graphs: one walk over Python's own syntax tree.

A text is computed in the order written. Numbers are exact until they meet a value. A power stays one operation: products and
quotients in its place would leave the range where the next derivative does not, and meet as 0 * inf at its pole.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NoReturn

from nbad.graphs.graph import Graph
from nbad.graphs.simplify import SimplifyingBuilder
from nbad.operations.table import TABLE, newest

Value = Fraction | int | bool  # an exact number, a node, or the outcome of comparing two numbers
HALF = Fraction(1, 2)
NAMES = {"Abs": "abs", "ceiling": "ceil", "Eq": "eq"}  # in SymPy, and here
BINARY = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("sub", operator.sub),
    ast.Mult: ("mul", operator.mul),
    ast.Div: ("div", operator.truediv),
    ast.BitAnd: ("and", None),
    ast.BitOr: ("or", None),
}
RELATIONS = {
    ast.Lt: ("lt", operator.lt),
    ast.LtE: ("le", operator.le),
    ast.Gt: ("gt", operator.gt),
    ast.GtE: ("ge", operator.ge),
    ast.Eq: ("eq", operator.eq),
    ast.NotEq: ("ne", operator.ne),
}


def read_partial(text: str, inputs: Sequence[str], numbers: Mapping[str, Any] | None = None) -> Graph:
    """The recipe of a partial derivative.

    Parameters
    ----------
    text : str
        In the names of `inputs` and `numbers`, `pi`, and the operations of the primitive table.
    inputs : tuple of str
        Names of the operands and of the value.
    numbers : dict, optional
        Names of exact numbers.

    Returns
    -------
    Graph
        Its outputs are the condition and the factor of each case of a `Piecewise` in turn, then the factor where none holds.

    Raises
    ------
    ValueError
        For what a partial cannot have, with that part of the text.

    Examples
    --------
    >>> print(read_partial("1/(3*v**2)", ("x", "v")))
    partial(x, v):
      %2 = mul(v, v)
      %4 = mul(3.0, %2)
      %6 = div(1.0, %4)
      return %6
    """
    reader = _Reader(inputs, numbers or {})
    return reader.builder.build(reader.outputs(ast.parse(text.strip(), mode="eval").body))


class _Reader(ast.NodeVisitor):
    """Visits return a node of the graph, an exact number as a Fraction, or the outcome of comparing two of these."""

    def __init__(self, inputs: Sequence[str], numbers: Mapping[str, Any]) -> None:
        self.builder = SimplifyingBuilder("partial", inputs)
        self.numbers = {name: Fraction(number) for name, number in numbers.items()}
        self.inputs = {name: position for position, name in enumerate(inputs)}

    def outputs(self, tree: Any) -> list[int]:
        """A choice at the root becomes cases, of which the last holds always."""
        if not (isinstance(tree, ast.Call) and ast.unparse(tree.func) == "Piecewise"):
            return [self.node(tree)]
        cases: list[Any] = tree.args
        *guarded, (otherwise, _) = (case.elts for case in cases)
        pairs = [self.node(part) for factor, condition in guarded for part in (condition, factor)]
        return [*pairs, self.node(otherwise)]

    def node(self, tree: Any) -> int:
        """The node of a part of the text."""
        value = self.visit(tree)
        return self.builder.constant(float(value)) if isinstance(value, Fraction) else value

    def visit_Constant(self, tree: Any) -> Value:
        return Fraction(tree.value)

    def visit_Name(self, tree: Any) -> Value:
        if tree.id in self.inputs:
            return self.inputs[tree.id]
        if tree.id in self.numbers:
            return self.numbers[tree.id]
        return self.builder.constant(math.pi) if tree.id == "pi" else self.generic_visit(tree)

    def visit_UnaryOp(self, tree: Any) -> Value:
        if not isinstance(tree.op, ast.USub):
            return self.generic_visit(tree)
        value = self.visit(tree.operand)
        return -value if isinstance(value, Fraction) else self.builder.add("neg", value)

    def visit_BinOp(self, tree: Any) -> Value:
        if isinstance(tree.op, ast.Pow):
            return self.power(tree)
        if type(tree.op) not in BINARY:
            return self.generic_visit(tree)
        # an exact 0 is no factor but the lack of a term: x**0 has the slope 0 at 0 too
        is_product = isinstance(tree.op, ast.Mult)
        if is_product and isinstance(left := self.visit(tree.left), Fraction) and left == 0:
            return left
        return self.apply(*BINARY[type(tree.op)], tree.left, tree.right)

    def visit_Compare(self, tree: Any) -> Value:
        (relation,), (right,) = tree.ops, tree.comparators
        return self.apply(*RELATIONS[type(relation)], tree.left, right)

    def visit_IfExp(self, tree: Any) -> Value:
        """Decided here: the condition is one on exact numbers."""
        return self.visit(tree.body if self.visit(tree.test) else tree.orelse)

    def visit_Call(self, tree: Any) -> Value:
        name = ast.unparse(tree.func)
        # as `not eq`, so that it is seen to be the opposite of an `Eq`
        if name == "Ne":
            return self.builder.add("not", self.operation("eq", *tree.args))
        op = newest(NAMES.get(name, name))
        if op not in TABLE:
            return self.generic_visit(tree)
        has_payload = TABLE[op].payload is not None
        payload = int(self.visit(tree.args[0])) if has_payload else None
        operands = tree.args[has_payload:]
        if len(operands) != len(TABLE[op].operands):
            return self.generic_visit(tree)
        return self.operation(op, *operands, payload=payload)

    def generic_visit(self, tree: Any) -> NoReturn:
        raise ValueError(ast.unparse(tree))

    def apply(self, op: str, exact: Callable[..., Any] | None, left: Any, right: Any) -> Value:
        """An operation on two parts of the text; `exact` is the same on numbers."""
        values = self.visit(left), self.visit(right)
        if exact is not None and all(isinstance(value, Fraction) for value in values):
            return exact(*values)
        return self.operation(op, left, right)

    def operation(self, op: str, *operands: Any, payload: int | None = None) -> int:
        """The node of an operation on parts of the text."""
        return self.builder.add(op, *map(self.node, operands), payload=payload)

    def power(self, tree: Any) -> int:
        """Whole powers and negative halves by their own operations, 1/2 as a square root, the rest by `pow`."""
        x, exponent = self.node(tree.left), self.visit(tree.right)
        if not isinstance(exponent, Fraction):
            return self.builder.add("pow", x, exponent)
        if exponent.denominator == 1:
            return self.builder.add("powi", x, payload=int(exponent))
        if exponent == HALF:
            return self.builder.add("sqrt", x)
        if exponent.denominator == 2 and exponent < 0:
            return self.builder.add("half_power", x, payload=math.floor(exponent))
        return self.builder.add("pow", x, self.builder.constant(float(exponent)))
