"""The adjoint that a careful author writes by hand, derived once for all workloads: a straight-line program.

The kernel's function runs on symbols that write down each operation once. Walking the program backwards gives every entry of the
Jacobian as further operations; the same walk from each of them gives the Hessian. Nothing here is shared with nbad.
"""

import functools
import math
from dataclasses import dataclass

from benchmarks.cases.rebinding import rebound
from benchmarks.cases.workloads import workloads

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "gt": ">", "ge": ">="}
SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0
FUNCTIONS = "sqrt exp log sin cos erf atan2 pow".split()

# Partial derivatives of each operation by its operands, from the operands and the result `v`.
PARTIALS = {
    "add": lambda v, x, y: (1.0, 1.0),
    "sub": lambda v, x, y: (1.0, -1.0),
    "mul": lambda v, x, y: (y, x),
    "div": lambda v, x, y: (1.0 / y, -v / y),
    "neg": lambda v, x: (-1.0,),
    "sqrt": lambda v, x: (0.5 / v,),
    "exp": lambda v, x: (v,),
    "log": lambda v, x: (1.0 / x,),
    "sin": lambda v, x: (x.call("cos"),),
    "cos": lambda v, x: (-x.call("sin"),),
    "erf": lambda v, x: (SLOPE * (-(x * x)).call("exp"),),
    "pow": lambda v, x, y: (y * x.call("pow", y - 1.0), v * x.call("log")),
    "abs": lambda v, x: ((x > 0.0).call("where", 1.0, -1.0),),
    "gt": lambda v, x, y: (0.0, 0.0),
    "ge": lambda v, x, y: (0.0, 0.0),
    "where": lambda v, test, x, y: (0.0, test.call("where", 1.0, 0.0), test.call("where", 0.0, 1.0)),
    "atan2": lambda v, y, x: (x / (x * x + y * y), -y / (x * x + y * y)),
}


class Program:
    """Operations in order, each written once: a list of (operation, operands)."""

    def __init__(self):
        self.steps, self.known = [], {}

    def add(self, op, *operands):
        """The symbol of an operation's result."""
        key = op, *operands
        if key not in self.known:
            self.known[key] = Symbol(self, f"t{len(self.steps)}")
            self.steps.append((self.known[key], op, operands))
        return self.known[key]


@dataclass(frozen=True, eq=False)
class Symbol:
    """A number that the program computes."""

    program: Program
    name: str

    def call(self, op, *others):
        """A function of this symbol."""
        return self.program.add(op, self, *others)

    def __add__(self, other):
        return self if _is(other, 0) else self.call("add", other)

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return self if _is(other, 0) else self.call("sub", other)

    def __rsub__(self, other):
        return -self if _is(other, 0) else self.program.add("sub", other, self)

    def __mul__(self, other):
        if _is(other, 0):
            return 0.0
        return self if _is(other, 1) else -self if _is(other, -1) else self.call("mul", other)

    def __rmul__(self, other):
        return self * other

    def __truediv__(self, other):
        return self if _is(other, 1) else self.call("div", other)

    def __rtruediv__(self, other):
        return self.program.add("div", other, self)

    def __neg__(self):
        return self.call("neg")

    def __abs__(self):
        return self.call("abs")

    def __gt__(self, other):
        return self.call("gt", other)

    def __ge__(self, other):
        return self.call("ge", other)

    def __pow__(self, exponent):
        if isinstance(exponent, Symbol):
            return self.call("pow", exponent)
        half = self ** (exponent // 2) if exponent > 1 else 1.0
        return half * half * (self if exponent % 2 else 1.0)


@dataclass(frozen=True)
class Derivation:
    """Value and Jacobian of a workload: arguments, outputs and entries are symbols or numbers, the program computes them.

    `active` are the differentiated arguments.
    """

    program: Program
    arguments: tuple
    active: tuple
    outputs: tuple
    rows: tuple

    @functools.cached_property
    def hessian(self):
        """Rows of second derivatives of the only output; what is the same by symmetry is the same symbol."""
        (gradient,) = self.rows
        steps = list(self.program.steps)
        found = [_row(steps, entry, self.active) for entry in gradient]
        return tuple(tuple(found[max(k, m)][min(k, m)] for m in range(len(found))) for k in range(len(found)))

    def steps(self, results):
        """The operations that compute some results, nothing else: (symbol, operation, operands) in order."""
        needed, steps = {r for r in results if isinstance(r, Symbol)}, []
        for symbol, op, operands in reversed(self.program.steps):
            if symbol in needed:
                needed.update(o for o in operands if isinstance(o, Symbol))
                steps.append((symbol, op, operands))
        return steps[::-1]

    def text(self, results):
        """The same as Python statements."""
        return [f"{symbol.name} = {_text(op, operands)}" for symbol, op, operands in self.steps(results)]

    def count(self, results):
        """Operations that the results take."""
        return len(self.steps(results))


@functools.cache
def derive(name):
    """The derivation of a workload."""
    workload, program = workloads()[name], Program()
    arguments = tuple(Symbol(program, f"a{k}") for k in range(len(workload.inputs(1, "float64"))))
    y = rebound(workload.function, {op: functools.partial(_function, op) for op in (*FUNCTIONS, "where")})(*arguments)
    outputs = tuple(y) if workload.is_tuple else (y,)
    steps = list(program.steps)
    active = tuple(arguments[k] for k in workload.wrt)
    return Derivation(program, arguments, active, outputs, tuple(_row(steps, output, active) for output in outputs))


def literal(value):
    """A symbol's name, or a number as Python writes it."""
    return value.name if isinstance(value, Symbol) else repr(float(value))


def _is(value, number):
    return not isinstance(value, Symbol) and value == number


def _function(op, first, *others):
    return first.call(op, *others) if isinstance(first, Symbol) else getattr(math, op)(first, *others)


def _row(steps, output, arguments):
    """Partials of one output by the arguments, by a walk from the output back."""
    cotangents = {output: 1.0}
    for symbol, op, operands in reversed(steps):
        if symbol in cotangents:
            for operand, partial in zip(operands, PARTIALS[op](symbol, *operands), strict=True):
                if isinstance(operand, Symbol):
                    cotangents[operand] = cotangents.get(operand, 0.0) + cotangents[symbol] * partial
    return tuple(cotangents.get(argument, 0.0) for argument in arguments)


def _text(op, operands):
    operands = [literal(o) for o in operands]
    if op in SIGNS:
        return f" {SIGNS[op]} ".join(operands)
    if op == "where":
        return "{1} if {0} else {2}".format(*operands)
    return f"-{operands[0]}" if op == "neg" else f"{op}({', '.join(operands)})"
