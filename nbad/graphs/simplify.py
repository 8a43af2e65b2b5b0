"""Graph to graph: constants folded, exact identities applied, equal nodes merged, dead nodes dropped.

Every rule gives the same bits as the operation that it replaces: -0.0, inf and nan survive, and nothing is reassociated. Only the
sign of a nan may change, which IEEE 754 leaves open.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from nbad.graphs.graph import Graph, GraphBuilder, Payload, without_dead
from nbad.graphs.loops import Carried, Loop, narrow
from nbad.operations.table import row_of

# those of `math` are Python's own, and a loop may be long; functions of SciPy and of the user's are not for us to keep
UNFOLDED = ("gamma", "lgamma", "alarm", "unbound", "loop")
# Python's floats have NumPy's bits here, and raise nowhere, in a tenth of the time; derivatives multiply by many constants
EXACT: dict[str, Callable[..., float]] = dict(add=operator.add, sub=operator.sub, mul=operator.mul, neg=operator.neg)
# the operation that is the same with its operands exchanged
MIRRORED = {op: op for op in ("add", "mul", "eq", "ne", "and", "or")} | {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


def simplify(graph: Graph) -> Graph:
    """The same outputs, bit for bit, from fewer nodes; all inputs stay, in their places.

    Examples
    --------
    >>> builder = GraphBuilder("f", ["x"])
    >>> print(simplify(builder.build([builder.add("mul", 0, builder.constant(-1.0))])))
    f(x):
      %1 = neg(x)
      return %1
    """
    found = _simplified(graph)
    # steps of loops may have found more constants among what they are given
    return _simplified(found) if found != graph and any(node.op == "loop" for node in found.nodes) else found


def _simplified(graph: Graph) -> Graph:
    builder = SimplifyingBuilder(graph.name, graph.inputs)
    return compact(builder, builder.splice(graph, range(len(graph.inputs))))  # rules may leave nodes behind that nobody uses


def compact(given: Graph | GraphBuilder, outputs: Iterable[int]) -> Graph:
    """A graph of these outputs and all inputs, without nodes that no output needs, and states of loops that nobody needs."""
    outputs = tuple(outputs)  # first: a generator may still add nodes
    if any(node.op == "loop" for node in given.nodes):
        given = narrow(Graph(given.name, given.inputs, tuple(given.nodes), outputs))
        outputs = given.outputs
    return Graph(given.name, given.inputs, *without_dead(given, outputs))


@functools.lru_cache(256)
def _simple(loop: Loop) -> Loop:
    return replace(loop, step=simplify(loop.step))


class SimplifyingBuilder(GraphBuilder):
    """A builder that simplifies every operation as it is added.

    Examples
    --------
    >>> builder = SimplifyingBuilder("f", ["x"])
    >>> builder.add("neg", builder.add("neg", 0))
    0
    """

    def add(self, op: str, *args: int, payload: Payload = None, source: str | None = None) -> int:
        """The node of operation `op` on earlier nodes, or a simpler one with the same bits."""
        found = self._folded(op, args, payload)
        if found is None and (rule := RULES.get(op)):
            found = rule(self, *args) if payload is None else rule(self, *args, payload)
        if found is None and op in MIRRORED:
            # a node that is there already, not a normal order: so primal operations stay as they were written
            found = self.find(MIRRORED[op], *reversed(args))
        return super().add(op, *args, payload=payload, source=source) if found is None else found

    def value(self, k: int) -> float | bool | None:
        """The value of a constant node, else None."""
        node = self.nodes[k]
        return node.payload if node.op == "const" else None

    def inner(self, k: int, op: str) -> int | None:
        """The operand of node `k` if that is a unary `op`, else None."""
        node = self.nodes[k]
        return node.args[0] if node.op == op else None

    def is_constant(self, k: int, value: float) -> bool:
        """Whether node `k` is this constant; 0.0 and -0.0 differ."""
        return self.nodes[k].op == "const" and repr(self.nodes[k].payload) == repr(value)

    def opposite(self, p: int, q: int) -> bool:
        """Whether one condition is the other's `not`."""
        return self.inner(p, "not") == q or self.inner(q, "not") == p

    def _folded(self, op: str, args: tuple[int, ...], payload: Payload) -> int | None:
        for a in args:
            if self.nodes[a].op != "const":
                return None
        row = row_of(op, payload)
        if op in UNFOLDED or row.scipy or row.address:
            return None
        return self.constant(_compute(op, [self.nodes[a].payload for a in args], payload))


def _compute(op: str, values: list[Any], payload: Payload) -> Any:
    """An operation on constants, as the C library computes it, where Python's `math` calls that; else as NumPy does."""
    if op in EXACT:
        return EXACT[op](*values)
    row = row_of(op, payload)
    if row.libm and op != "hypot":  # math.hypot is Python's own
        try:
            return getattr(math, op)(*values)
        except (ValueError, OverflowError):
            pass  # Python raises where IEEE has inf or nan, and NumPy too
    scalars = [np.asarray(value)[()] for value in values]
    with np.errstate(all="ignore"):
        return row.numpy(*scalars) if payload is None else row.numpy(*scalars, payload)


Rule = Callable[..., int | None]  # from the builder, the operands and the payload to a node that does, if there is one


def _abs(b: SimplifyingBuilder, x: int) -> int | None:
    inside = b.inner(x, "neg")
    return None if inside is None else b.add("abs", inside)


def _add(b: SimplifyingBuilder, x: int, y: int) -> int | None:
    for p, q in ((x, y), (y, x)):
        # not 0.0, which makes 0.0 of -0.0
        if b.is_constant(q, -0.0):
            return p
        if (inside := b.inner(q, "neg")) is not None:
            return b.add("sub", p, inside)
    return None


def _sub(b: SimplifyingBuilder, x: int, y: int) -> int | None:
    if b.is_constant(y, 0.0):
        return x
    # not 0.0: 0.0 - 0.0 is 0.0, whose negative is -0.0
    if b.is_constant(x, -0.0):
        return b.add("neg", y)
    inside = b.inner(y, "neg")
    return None if inside is None else b.add("add", x, inside)


# there is no rule for a product with 0: the other factor may be inf or nan, or negative
def _mul(b: SimplifyingBuilder, x: int, y: int) -> int | None:
    for p, q in ((x, y), (y, x)):
        if (unit := _by_unit(b, p, q)) is not None:
            return unit
    return _without_signs(b, "mul", x, y)


def _div(b: SimplifyingBuilder, x: int, y: int) -> int | None:
    unit = _by_unit(b, x, y)
    return _without_signs(b, "div", x, y) if unit is None else unit


def _by_unit(b: SimplifyingBuilder, x: int, unit: int) -> int | None:
    """x*1, x/1, x*-1, x/-1."""
    if b.value(unit) == 1.0:
        return x
    return b.add("neg", x) if b.value(unit) == -1.0 else None


def _without_signs(b: SimplifyingBuilder, op: str, x: int, y: int) -> int | None:
    """A product or quotient with the signs of its operands outside, where sums absorb them."""
    a, c = b.inner(x, "neg"), b.inner(y, "neg")
    if a is None and c is None:
        return None
    bare = b.add(op, x if a is None else a, y if c is None else c)
    return b.add("neg", bare) if a is None or c is None else bare


def _powi(b: SimplifyingBuilder, x: int, n: Payload) -> int | None:
    if n == 0:
        return b.constant(1.0)
    if n == 1:
        return x
    return b.add("mul", x, x) if n == 2 else None


def _scaled(b: SimplifyingBuilder, x: int, *more: int) -> int | None:
    """A product, where an infinite factor beside 0 cannot be: of numbers, and of a reciprocal with what is over the same."""
    y = more[-1]
    if b.value(x) == 0.0:
        return x
    if (inside := b.inner(x, "neg")) is not None:
        return b.add("neg", b.add("over" if len(more) > 1 else "scaled", inside, *more))
    top = _common_top(b, x, y)
    bound = b.value(y)
    is_bounded = bound is not None and math.isfinite(bound)
    return b.add("mul", x, y) if is_bounded or b.value(x if top is None else top) not in (None, 0.0) else None


def _common_top(b: SimplifyingBuilder, x: int, y: int) -> int | None:
    """What `x` divides by the same as the reciprocal `y`, if they are such: both are 0 alike."""
    p, q = b.nodes[x], b.nodes[y]
    is_pair = p.op == q.op == "div" and p.args[1] == q.args[1] and b.value(q.args[0]) == 1.0
    return p.args[0] if is_pair else None


def _power_log(b: SimplifyingBuilder, x: int, y: int, z: int, n: Payload) -> int | None:
    """Without a condition for a base that is known."""
    return b.add("mul", z, b.add("powi", b.add("log", x), payload=n)) if b.value(x) else None


def _select(b: SimplifyingBuilder, c: int, x: int, y: int) -> int | None:
    if b.value(c) is not None:
        return x if b.value(c) else y
    if x == y:
        return x
    if (inside := b.inner(c, "not")) is not None:
        return b.add("select", inside, y, x)
    chosen, rejected = _arm(b, c, x, 1), _arm(b, c, y, 2)
    return None if (chosen, rejected) == (x, y) else b.add("select", c, chosen, rejected)


def _arm(b: SimplifyingBuilder, c: int, k: int, which: int) -> int:
    """What node `k` is where the truth of `c` is known: one arm of a select by `c`, else itself."""
    node = b.nodes[k]
    return node.args[which] if node.op == "select" and node.args[0] == c else k


def _loop(b: SimplifyingBuilder, active: int, *operands: Any) -> int | None:
    """The given states, where no pass is ever done; else a loop with a simpler step, if there is one."""
    *numbers, (loop, place) = operands
    if b.value(active) is False:
        return numbers[place] if place < loop.states else b.constant(0.0)
    simple = _simple(loop)
    return None if simple == loop else b.add("loop", active, *numbers, payload=Carried(simple, place))


def _logic(op: str, dual: str, neutral: bool) -> Rule:
    """The rule for `and` (neutral True) or `or` (neutral False)."""

    def one_sided(b: SimplifyingBuilder, p: int, q: int) -> int | None:
        if b.value(p) is neutral or p == q:
            return q
        if b.value(p) is (not neutral) or (b.nodes[q].op == dual and p in b.nodes[q].args):
            return p
        if b.opposite(p, q):
            return b.constant(not neutral)
        return _within(b, p, q) if b.nodes[q].op == op else None

    def _within(b: SimplifyingBuilder, p: int, q: int) -> int | None:
        if p in b.nodes[q].args:
            return q
        return b.constant(not neutral) if any(b.opposite(p, a) for a in b.nodes[q].args) else None

    def common(b: SimplifyingBuilder, p: int, q: int) -> int | None:
        """(c and d) or (c and not d) is c."""
        if b.nodes[p].op != dual or b.nodes[q].op != dual:
            return None
        for shared in set(b.nodes[p].args) & set(b.nodes[q].args):
            rests = [next((a for a in b.nodes[k].args if a != shared), shared) for k in (p, q)]  # `c and c` has no other
            if b.opposite(*rests):
                return shared
        return None

    def rule(b: SimplifyingBuilder, x: int, y: int) -> int | None:
        for p, q in ((x, y), (y, x)):
            if (found := one_sided(b, p, q)) is not None:
                return found
        return common(b, x, y)

    return rule


RULES: dict[str, Rule] = {
    "neg": lambda b, x: b.inner(x, "neg"),
    "abs": _abs,
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "powi": _powi,
    "pow": lambda b, x, y: b.constant(1.0) if b.value(y) == 0.0 else None,  # of nan too
    "scaled": _scaled,
    "over": _scaled,
    "quotient": lambda b, x, y: b.add("div", x, y) if b.value(x) or b.value(y) else None,
    "power_log": _power_log,
    "square": lambda b, x: b.add("mul", x, x),
    "reciprocal": lambda b, x: b.add("div", b.constant(1.0), x),
    "select": _select,
    "loop": _loop,
    "alarm": lambda b, rings, x: x if b.value(rings) is False else None,
    "not": lambda b, c: b.inner(c, "not"),
    "and": _logic("and", "or", True),
    "or": _logic("or", "and", False),
}
