"""The walk of SymPy expressions into a graph.

Operations come in the order in which SymPy keeps the operands; nothing is rewritten for speed. Integer powers are products, the
power 1/2 is a square root, and the factors with a negative power form one denominator. Subexpressions without symbols are
evaluated in many digits and rounded once. Equal subexpressions are one node. The walk does not recurse, so that deep expressions
pass.
"""

import functools
import re
from collections.abc import Callable, Generator, Sequence
from typing import Any, NoReturn

from nbad.errors import ArgumentValueError, TraceError
from nbad.graphs.graph import Graph
from nbad.graphs.simplify import SimplifyingBuilder, simplify
from nbad.operations.row import REAL
from nbad.operations.table import TABLE, newest

Steps = Generator[Any, Any, int]  # of a rule: yields operands, is sent their nodes, returns a node
DIGITS = 30  # of a constant, before it is rounded once
LARGEST_POWER = 65536
LARGEST_HALF_POWER = 8  # beyond it, products round more than `pow` does
SHOWN = 60  # characters of an expression in a message
EXPONENTIALS = {2: "exp2", "Exp1": "exp"}
RELATIONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}


def walk(expressions: tuple[Any, ...], inputs: dict[Any, str], name: str) -> Graph:
    """The graph of a tuple of expressions.

    Parameters
    ----------
    expressions : tuple of SymPy expressions
    inputs : dict
        Symbol to name of the input, in order.
    name : str

    Returns
    -------
    Graph

    Examples
    --------
    >>> import sympy
    >>> x, y = sympy.symbols("x y")
    >>> print(walk((x / (2 * y),), {x: "x", y: "y"}, "f"))
    f(x, y):
      %3 = mul(0.5, x)
      %4 = div(%3, y)
      return %4
    """
    try:
        steps = _Walk(name, inputs, parts_of(expressions))
        outputs = [steps.real(e) for e in expressions]
    except RecursionError:
        raise TraceError(
            f"kernel `{name}` has expressions nested too deeply for SymPy to compare", fix="sympy.cse(expression)"
        ) from None
    return simplify(steps.builder.build(outputs))


def parts_of(expressions: tuple[Any, ...]) -> tuple[Any, ...]:
    """Every subexpression once, operands first; deep expressions are hashed from the leaves up."""
    found: dict[Any, None] = {}
    seen, stack = set(), [(e, False) for e in reversed(expressions)]
    while stack:
        e, is_done = stack.pop()
        if is_done:
            found.setdefault(e)
        elif id(e) not in seen:
            seen.add(id(e))
            stack.append((e, True))
            stack += [(a, False) for a in reversed(e.args)]
    return tuple(found)


def shown(e: Any) -> str:
    """The text of an expression, cut to a line."""
    try:
        text = str(e)
    except RecursionError:
        return f"a {type(e).__name__}, nested too deeply to show"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


class _Walk:
    """Rules from expressions to nodes. A rule is a generator: it yields an operand and is sent that operand's node."""

    def __init__(self, name: str, inputs: dict[Any, str], parts: tuple[Any, ...]) -> None:
        self.name, self.inputs, self.parts = name, inputs, parts
        self.builder = SimplifyingBuilder(name, inputs.values())
        self.known = {symbol: position for position, symbol in enumerate(inputs)}
        self.constants = _constants(parts)

    def real(self, root: Any) -> int:
        """The node of a number."""
        node = self.node(root)
        self.check(REAL, node, root)
        return node

    def node(self, root: Any) -> int:
        """The node of an expression, however deep."""
        if root in self.known:
            return self.known[root]
        running = [(root, self.rule(root))]
        node: Any = None  # the operand that the last of them waits for
        while running:
            e, rule = running[-1]
            try:
                wanted = rule.send(node)
            except StopIteration as finished:
                node = self.known[e] = finished.value
                running.pop()
            else:
                node = self.known.get(wanted)
                if node is None:
                    running.append((wanted, self.rule(wanted)))
        return node

    def rule(self, e: Any) -> Steps:
        """The rule of an expression by its class, or the nearest one above."""
        if e in self.constants:
            return self.constant(e)
        return next(RULES[c.__name__] for c in type(e).__mro__ if c.__name__ in RULES)(self, e)

    def apply(self, op: str, operands: Sequence[Any]) -> Steps:
        """Yield the operands of an operation; its node."""
        nodes = []
        for kind, e in zip(TABLE[op].operands, operands, strict=True):
            nodes.append((yield e))
            self.check(kind, nodes[-1], e)
        return self.builder.add(op, *nodes)

    def chain(self, op: str, operands: Sequence[Any]) -> Steps:
        """One operation from left to right."""
        kind = TABLE[op].kind
        result: Any = None
        for e in operands:
            node = yield e
            self.check(kind, node, e)
            result = node if result is None else self.builder.add(op, result, node)
        return result

    def check(self, kind: str, node: int, e: Any) -> None:
        """Numbers and conditions are different kinds."""
        if self.builder.nodes[node].kind != kind:
            needed, found = ("a number", "a condition") if kind == REAL else ("a condition", "a number")
            raise self.refusal(
                f"needs {needed} where the expression has {found}",
                got=shown(e),
                fix="sympy.Piecewise((1, condition), (0, True))" if kind == REAL else "sympy.Ne(x, 0)",
            )

    def refusal(self, what: str, **parts: Any) -> TraceError:
        """The error that says what this expression does."""
        return TraceError(f"kernel `{self.name}` {what}", **parts)

    def symbol(self, e: Any) -> NoReturn:
        """A symbol that is no input."""
        missing = sorted({part for part in self.parts if part.is_Symbol} - set(self.inputs), key=str)
        alike = next((s.name for s in missing if s.name in {known.name for known in self.inputs}), None)
        note = f"; this `{alike}` is another one, with other assumptions" if alike else ""
        known = ", ".join(s.name for s in self.inputs)
        raise ArgumentValueError(
            f"`nbad.from_sympy(expressions, ({known}))`: the expression has symbols that are not among these",
            got=", ".join(s.name for s in missing) + note,
            expected=f"only {known}" if known else "none",
            fix=f"expression.subs({alike}_of_the_expression, {alike})"
            if alike
            else f"nbad.from_sympy(expressions, ({', '.join(s.name for s in (*self.inputs, *missing))}))",
        )

    def constant(self, e: Any) -> Steps:
        value = e.evalf(DIGITS)
        if value.is_Number:
            return self.builder.constant(float(value))
        if value.is_number:
            raise self.refusal(
                "has a constant that is not a real number",
                got=shown(e),
                expected="real numbers only",
                fix="real, imaginary = expression.as_real_imag()",
            )
        self.constants.discard(e)
        return (yield from self.rule(e))

    def truth(self, e: Any) -> Steps:
        yield from ()
        return self.builder.constant(bool(e))

    def add(self, e: Any) -> Steps:
        return (yield from self.chain("add", e.args))

    def mul(self, e: Any) -> Steps:
        below = [factor for factor in e.args if _is_inverse(factor)]
        above = [factor for factor in e.args if factor not in below]
        top = (yield from self.chain("mul", above)) if above else self.builder.constant(1.0)
        if not below:
            return top
        bottom: Any = None
        for factor in below:
            node = yield from self.divisor(factor)
            bottom = node if bottom is None else self.builder.add("mul", bottom, node)
        return self.builder.add("div", top, bottom)

    def pow(self, e: Any) -> Steps:
        if not _is_inverse(e):
            return (yield from self.power(e.base, e.exp))
        bottom = yield from self.divisor(e)
        return self.builder.add("div", self.builder.constant(1.0), bottom)

    def power(self, base: Any, exponent: Any) -> Steps:
        """Integers as products, 1/2 as a square root, the rest by `pow`, `exp2` or `exp`."""
        if exponent.is_Rational and (exponent.p, exponent.q) == (1, 2):
            return self.builder.add("sqrt", (yield base))
        if exponent.is_Integer and 0 <= exponent <= LARGEST_POWER:
            return self.builder.add("powi", (yield base), payload=int(exponent))
        op = EXPONENTIALS.get(type(base).__name__ if base.is_NumberSymbol else base)
        return (yield from (self.apply("pow", (base, exponent)) if op is None else self.apply(op, (exponent,))))

    def divisor(self, e: Any) -> Steps:
        """What a negative power divides by: halves as products with a square root, cheap, and of use but at 0, a pole here."""
        exponent = -e.exp
        if not (exponent.is_Rational and exponent.q == 2 and exponent <= LARGEST_HALF_POWER):
            return (yield from self.power(e.base, exponent))
        x = yield e.base
        return self.builder.add("mul", self.builder.add("powi", x, payload=exponent.p // 2), self.builder.add("sqrt", x))

    def relation(self, e: Any) -> Steps:
        return (yield from self.apply(RELATIONS[e.rel_op], e.args))

    def logic(self, e: Any) -> Steps:
        return (yield from self.chain(type(e).__name__.lower(), e.args))

    def negation(self, e: Any) -> Steps:
        return (yield from self.apply("not", e.args))

    def piecewise(self, e: Any) -> Steps:
        """Selects from the last case to the first; nan where no case holds, and so are derivatives of any order."""
        # SymPy leaves it undefined
        result = self.builder.constant(float("nan"))
        for symbol in sorted(e.free_symbols & set(self.inputs), key=lambda s: s.sort_key()):
            result = self.builder.add("mul", result, self.known[symbol])
        result = self.builder.add("sqrt", result)  # a product alone has 0 as a second derivative
        for value, condition in reversed(e.args):
            nodes = [(yield condition), (yield value)]
            self.check("bool", nodes[0], condition)
            self.check(REAL, nodes[1], value)
            result = self.builder.add("select", *nodes, result)
        return result

    def extremum(self, e: Any) -> Steps:
        return (yield from self.chain(_operations(len(TABLE))[type(e).__name__], e.args))

    def only(self, e: Any) -> Steps:
        return (yield e.args[0])

    def function(self, e: Any) -> Steps:
        """One of SymPy's own functions."""
        rewritten = None if EXACT.get(type(e).__name__) in TABLE else _rewritten(e)
        return (yield from self.named(e)) if rewritten is None else (yield rewritten)

    def named(self, e: Any) -> Steps:
        """A function that has the name of an operation, in SymPy or here."""
        name = type(e).__name__
        op = newest(_operations(len(TABLE)).get(name, name))
        if op not in TABLE or TABLE[op].operands != (REAL,) * len(e.args):
            self.unknown(e)
        return (yield from self.apply(op, e.args))

    def polygamma(self, e: Any) -> Steps:
        """A derivative of digamma, of which the number is known."""
        order, operand = e.args
        if not (order.is_Integer and order >= 0):
            return (yield from self.unknown(e))
        if order == 0:
            return (yield from self.apply("digamma", (operand,)))
        x = yield operand
        self.check(REAL, x, operand)
        return self.builder.add("polygamma", x, payload=int(order))

    def unknown(self, e: Any) -> NoReturn:
        name = type(e).__name__
        fix = "expression.doit()" if e.is_Derivative or name in UNEVALUATED else "expression.rewrite(...), or its definition"
        raise self.refusal(
            f"uses `{name}`, for which nbad has no operation",
            got=shown(e),
            expected=f"functions among {', '.join(known_functions())}",
            fix=fix,
        )


# by the names of classes, so that SymPy is loaded when the first expression is walked
RULES = {
    "Symbol": _Walk.symbol,
    "Number": _Walk.constant,
    "NumberSymbol": _Walk.constant,
    "BooleanAtom": _Walk.truth,
    "Add": _Walk.add,
    "Mul": _Walk.mul,
    "Pow": _Walk.pow,
    "Relational": _Walk.relation,
    "And": _Walk.logic,
    "Or": _Walk.logic,
    "Not": _Walk.negation,
    "Piecewise": _Walk.piecewise,
    "MinMaxBase": _Walk.extremum,
    "UnevaluatedExpr": _Walk.only,
    "AppliedUndef": _Walk.named,
    "polygamma": _Walk.polygamma,
    "Application": _Walk.function,
    "Basic": _Walk.unknown,
}
# functions of SymPy's that an operation of another name computes, where the table has it
EXACT = {"Sqrt": "sqrt", "Cbrt": "cbrt", "Mod": "mod"}
UNEVALUATED = ("Integral", "Sum", "Product", "Limit", "Subs")

# a function of SymPy's and its number of operands: the same in other functions, with `s` for SymPy
REWRITES: dict[tuple[str, int], Callable[..., Any]] = {
    ("sec", 1): lambda s, x: 1 / s.cos(x),
    ("csc", 1): lambda s, x: 1 / s.sin(x),
    ("cot", 1): lambda s, x: 1 / s.tan(x),
    ("coth", 1): lambda s, x: 1 / s.tanh(x),
    ("csch", 1): lambda s, x: 1 / s.sinh(x),
    # near 1, functions of 1/x lose digits; by the magnitude, because the root would be -0.0 at -1
    ("asec", 1): lambda s, x: s.atan2(s.sqrt((s.Abs(x) - 1) * (s.Abs(x) + 1)), s.sign(x)),
    ("acsc", 1): lambda s, x: s.atan2(s.sign(x), s.sqrt((s.Abs(x) - 1) * (s.Abs(x) + 1))),
    ("acot", 1): lambda s, x: s.atan(1 / x),
    ("asech", 1): lambda s, x: s.asinh(s.sqrt((1 - x) / x) * s.sqrt((1 + x) / x)),
    ("acsch", 1): lambda s, x: s.asinh(1 / x),
    ("acoth", 1): lambda s, x: s.sign(x) * s.Function("log1p")(2 / (s.Abs(x) - 1)) / 2,
    ("log", 2): lambda s, x, base: s.log(x) / s.log(base),
    ("frac", 1): lambda s, x: x - s.floor(x),
    ("Mod", 2): lambda s, x, y: x - y * s.floor(x / y),
    ("fma", 3): lambda s, x, y, z: x * y + z,
    ("cosm1", 1): lambda s, x: -2 * s.sin(x / 2) ** 2,
    ("Heaviside", 2): lambda s, x, tie: s.Piecewise((0, x < 0), (tie, s.Eq(x, 0)), (1, x > 0)),
    ("sinc", 1): lambda s, x: s.Function("sinc")(x / s.pi),  # NumPy's
    ("loggamma", 1): lambda s, x: s.Piecewise((s.Function("lgamma")(x), x > 0)),
    ("factorial", 1): lambda s, x: s.gamma(x + 1),
    ("Xor", 2): lambda s, p, q: (p & ~q) | (~p & q),
    ("ITE", 3): lambda s, c, p, q: (c & p) | (~c & q),
}


def _rewritten(e: Any) -> Any:
    """The same in other functions, or None."""
    import sympy

    rewrite = REWRITES.get((type(e).__name__, len(e.args)))
    return None if rewrite is None else rewrite(sympy, *e.args)


@functools.cache
def _operations(rows: int) -> dict[str, str]:
    """SymPy's functions, each with its operation; built anew when the table grows."""
    known = {name: op for name, op in EXACT.items() if op in TABLE}
    for row in TABLE.values():
        found = re.fullmatch(r"(\w+)\(x(, y)?\)", row.expression or "")
        if found:
            known.setdefault(found[1], row.name)
    return known


def known_functions() -> list[str]:
    """Names of the functions that a kernel may have, as SymPy spells them."""
    return sorted({*_operations(len(TABLE)), *(name for name, _ in REWRITES), "expm1", "log1p", "exp2", "log2", "log10", "hypot"})


def _is_inverse(e: Any) -> bool:
    return e.is_Pow and e.exp.is_Rational and e.exp.is_negative


def _constants(parts: tuple[Any, ...]) -> set[Any]:
    """The subexpressions without symbols."""
    import sympy

    found: set[Any] = set()
    for e in parts:
        if isinstance(e, sympy.Expr) and (found.issuperset(e.args) if e.args else e.is_number):
            found.add(e)
    return found
