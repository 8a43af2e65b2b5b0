"""Implicit functions: numbers that solve equations, found by Newton's steps in a loop.

How they follow the parameters is read off the equations at the solution, not off the steps: where r(y, p) = 0, the partials are
those of y = -r_y^-1 r_p. They are made of the solution itself and of other operations, so that any order of derivatives follows.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nbad.derivatives.differentiate import JointGraph, jacobian
from nbad.graphs import elimination
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.loops import Loop, digest_of
from nbad.graphs.recipes import read_partial
from nbad.graphs.simplify import SimplifyingBuilder, compact
from nbad.memo import cached_property
from nbad.operations.row import REAL, Operation

# The step is done where it is small beside the unknown, or beside what separates it from the next number: an eighth of such a
# step is lost when it is added. What no longer shrinks within 4096 of these is rounding in the equations.
SMALL = "(abs(s) <= tol*maximum(1, abs(v))) | Eq(v + s/8, v)"
NOISE = "Eq(v + s/8192, v)"

# Of the end `e` of a bracket where the residual `f` is no larger than `g` at the other: Newton's step is `m`, the chord's `x/t`,
# with `x` the residual times the width, `t` the size of both. Both are short where the root is near. Newton's alone is beside a
# pole, and where the slope has no bound; the chord's alone is where the other residual is huge. To look there costs 4 to 10% of
# all the steps; a loop of one pass, for the elements that need it, doubled them.
SAME = "(Eq(sign(f), sign(g)) & Ne(f, 0))"
# Without a change of sign: the end is the root but for rounding, which is 32 of what separates numbers of the size `v`.
ROUNDED = f"({SAME} & Ne(m, 0) & Eq(v + m/64, v) & Eq(v*t + x/8192, v*t))"
# The root is just inside: steps from afar would leave the bracket, which is halved then until it is as small as `tol`.
INSIDE = "(Ne(m, 0) & (abs(m) <= 1e-11*maximum(1, abs(e))) & (1024*abs(m) <= abs(e)) & (abs(x) <= 1e-10*maximum(1, abs(e))*t))"


@dataclass(frozen=True, eq=False)
class Equations:
    """What is to be 0.

    Attributes
    ----------
    residual : Graph
        Its inputs are the unknowns and behind them the parameters; it has as many outputs as there are unknowns.
    """

    residual: Graph

    @property
    def unknowns(self) -> int:
        """How many there are."""
        return len(self.residual.outputs)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Their names."""
        return self.residual.inputs[self.unknowns :]

    @cached_property
    def digest(self) -> str:
        """What tells equations apart."""
        return digest_of(self.residual)

    @cached_property
    def joint(self) -> JointGraph:
        """The residuals and their partials by all inputs."""
        return jacobian(self.residual, tuple(range(len(self.residual.inputs))))

    def evaluated(self, builder: GraphBuilder, operands: Sequence[int]) -> "tuple[list[int], Block, Block]":
        """The nodes of the residuals, of their partials by the unknowns, and of those by the parameters."""
        found = builder.splice(self.joint.graph, operands)
        values, entries = found[: self.unknowns], dict(zip(self.joint.positions, found[self.unknowns :], strict=True))
        zero = builder.constant(0.0)
        rows = [[entries.get((m, n), zero) for n in range(len(operands))] for m in range(self.unknowns)]
        return values, [row[: self.unknowns] for row in rows], [row[self.unknowns :] for row in rows]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equations) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Equations, (self.residual,)


Block = list[list[int]]


class Implicit(NamedTuple):
    """The payload of a node: its operands are all unknowns and the parameters; its value is the unknown in one place."""

    equations: Equations
    place: int

    @property
    def row(self) -> Operation:
        """What the primitive table says of other operations."""
        operands = (REAL,) * len(self.equations.residual.inputs)
        return Operation("implicit", _chosen, operands=operands, payload=0, expansion=_expanded, recipes=self.recipes, cost=0.0)

    def parameters(self, operands: Sequence[int]) -> Sequence[int]:
        """Those of the operands that are no unknowns."""
        return operands[self.equations.unknowns :]

    def recipes(self) -> tuple[Graph, ...]:
        """The partial by each operand, in the operands and the value: 0 by the unknowns, from where the steps set out."""
        names = (*self.equations.residual.inputs, "y")
        builder = SimplifyingBuilder("partial", names)
        operands, unknowns = range(len(names) - 1), self.equations.unknowns
        solutions = [
            builder.add("implicit", *operands, payload=Implicit(self.equations, place)) if place != self.place else len(operands)
            for place in range(unknowns)
        ]
        _, by_unknowns, by_parameters = self.equations.evaluated(builder, [*solutions, *operands[unknowns:]])
        columns = elimination.solved(builder, by_unknowns, by_parameters)[self.place] if by_parameters[0] else []
        zero, partials = builder.constant(0.0), [builder.add("neg", node) for node in columns]
        return tuple(compact(builder, [node]) for node in (*[zero] * unknowns, *partials))

    def __repr__(self) -> str:
        return f"unknown {self.place} of equations {self.equations.digest}"


def _chosen(*values: Any) -> Any:
    *operands, (_, place) = values
    return operands[place]


def _expanded(g: Any, *values: Any) -> Any:
    return _chosen(*values)


def implicit(builder: GraphBuilder, equations: Equations, unknowns: Sequence[int], parameters: Sequence[int]) -> list[int]:
    """Found unknowns as functions of the parameters."""
    places = range(equations.unknowns)
    return [builder.add("implicit", *unknowns, *parameters, payload=Implicit(equations, place)) for place in places]


# Newton's steps


def newton(equations: Equations, tol: float, max_passes: int) -> Loop:
    """The loop of Newton's steps. Its states are the unknowns, the last step of each, and the size of the step before."""
    each = range(equations.unknowns)
    names = [*(f"v{k}" for k in each), *(f"s{k}" for k in each), "size"]
    builder = SimplifyingBuilder("newton", [*names, *equations.parameters])
    v, s, size = each, range(len(each), 2 * len(each)), 2 * len(each)
    values, by_unknowns, _ = equations.evaluated(builder, [*v, *range(size + 1, len(builder.inputs))])
    moves = [row[0] for row in elimination.solved(builder, by_unknowns, [[value] for value in values])]
    at_root = builder.fold("and", (_read(builder, "Eq(f, 0)", f=f) for f in values))
    moves = [builder.add("select", at_root, builder.constant(0.0), move) for move in moves]  # of a double root it is 0/0
    after = [builder.add("sub", a, b) for a, b in zip(v, moves, strict=True)]
    step = builder.build([_goes_on(builder, v, s, size, tol), *after, *moves, _greatest(builder, s)])
    return Loop(step, len(names), max_passes)


class Beginning(NamedTuple):
    """Nodes of where the steps within a bracket begin.

    Attributes
    ----------
    unknown : int
    step : int
        The last step: 0 where none is to come.
    sign : int
        That of the residual at the upper end.
    has_none : int
        Whether there is no root: both signs are the same, and no end is the root but for rounding.
    """

    unknown: int
    step: int
    sign: int
    has_none: int


def begin_within(
    builder: GraphBuilder, equations: Equations, start: int, bracket: tuple[int, int], parameters: Sequence[int]
) -> Beginning:
    """Begin at `start`, or at the end that is the root, or is next to it."""
    low, high = bracket
    (((below,), ((rise,),), _), ((above,), ((drop,),), _)) = (equations.evaluated(builder, [end, *parameters]) for end in bracket)
    e, f, g, d = (
        _read(builder, "select((abs(below) <= abs(above)) | Ne(above, above), p, q)", below=below, above=above, p=p, q=q)
        for p, q in ((low, high), (below, above), (above, below), (rise, drop))
    )
    steps = {
        "m": builder.add("div", f, d),
        "x": _read(builder, "f*(high - low)", f=f, low=low, high=high),
        "t": _read(builder, "abs(f) + abs(g)", f=f, g=g),
    }
    size = _read(builder, "maximum(abs(low), abs(high))", low=low, high=high)
    is_root = _read(builder, f"Eq(f, 0) | {ROUNDED}", f=f, g=g, v=size, **steps)
    unknown = _read(builder, "maximum(minimum(v, high), low)", v=start, low=low, high=high)
    unknown = builder.add("select", is_root, e, _read(builder, f"select({INSIDE}, e, v)", e=e, v=unknown, **steps))
    step = builder.add("select", is_root, builder.constant(0.0), builder.constant(float("inf")))
    sign = _read(builder, "select((above < 0) | (below > 0), -1, 1)", above=above, below=below)
    has_none = builder.add("and", _read(builder, SAME, f=f, g=g), builder.add("not", is_root))
    return Beginning(unknown, step, sign, has_none)


def newton_within(equations: Equations, tol: float, max_passes: int) -> Loop:
    """The same for one unknown within a bracket, halved where Newton's step would leave it, or is not much shorter than the last.

    States are the unknown, the last step, the size of the step before, and both ends; the first captured value is the sign of
    the residual at the upper end.
    """
    builder = SimplifyingBuilder("newton", ["v", "s", "size", "low", "high", "sign", *equations.parameters])
    v, s, size, low, high, sign = range(6)
    (f,), ((d,),), _ = equations.evaluated(builder, [v, *range(6, len(builder.inputs))])
    low = _read(builder, "select(f*sign <= 0, v, low)", f=f, sign=sign, v=v, low=low)
    high = _read(builder, "select(f*sign >= 0, v, high)", f=f, sign=sign, v=v, high=high)
    move = _read(builder, "select(Eq(f, 0), 0, f/d)", f=f, d=d)
    near = builder.add("sub", v, move)
    trusted = "(low <= near) & (near <= high) & ((2*abs(m) <= abs(s)) | Eq(v + m/8192, v))"
    text = f"select(Eq(f, f), select({trusted}, near, low + (high - low)/2), f)"
    after = _read(builder, text, f=f, low=low, high=high, near=near, m=move, s=s, v=v)
    moved = builder.add("sub", v, after)
    step = builder.build([_goes_on(builder, [v], [s], size, tol), after, moved, builder.add("abs", s), low, high])
    return Loop(step, 5, max_passes)


def _goes_on(builder: GraphBuilder, unknowns: Sequence[int], steps: Sequence[int], size: int, tol: float) -> int:
    """Whether another step is due; what is no number, and never will be, is done too."""
    small, noise, number = (
        builder.fold("and", (_read(builder, text, tol, v=v, s=s) for v, s in zip(unknowns, steps, strict=True)))
        for text in (SMALL, NOISE, "Eq(s, s)")
    )
    stays = _read(builder, "now > 0.9*size", now=_greatest(builder, steps), size=size)
    done = builder.add("or", small, builder.add("and", noise, stays))
    return builder.add("and", builder.add("not", done), number)


def _greatest(builder: GraphBuilder, steps: Sequence[int]) -> int:
    """The size of a step."""
    return builder.fold("maximum", (builder.add("abs", s) for s in steps))


def _read(builder: GraphBuilder, text: str, tol: float = 0.0, **nodes: int) -> int:
    """The node of a formula in nodes."""
    (node,) = builder.splice(_formula(text, tuple(nodes), tol), nodes.values())
    return node


@functools.cache  # outside of kernels, every call makes the steps anew
def _formula(text: str, names: tuple[str, ...], tol: float) -> Graph:
    return read_partial(text, names, {"tol": tol})
