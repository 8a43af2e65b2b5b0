"""Rewrite `for` and `while`: what runs their passes is asked for each, and whether they were left."""

import ast
import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from nbad.rewriting.expressions import At, Expressions
from nbad.rewriting.jumps import Jumps, without_jumps
from nbad.rewriting.scopes import all_nodes, bound_names, returns

_ASKING = ("next", "any", "all", "map", "filter", "sum", "max", "min", "list", "tuple", "sorted")  # run iterators
_NUMBERS = ("math", "np", "numpy")


class Place(NamedTuple):
    """Where a statement stands.

    Attributes
    ----------
    is_outermost : bool
        Whether it is one of the function's own statements, and not in a block.
    has_call : bool
        Whether the function returns from within branches.
    in_loop : tuple of str
        The variables of the branches around it, inside the innermost loop.
    """

    is_outermost: bool
    has_call: bool
    in_loop: tuple[str, ...] = ()

    @property
    def inside(self) -> "Place":
        """The place of a block here."""
        return self._replace(is_outermost=False)

    def arm(self, branch: str) -> "Place":
        """The place of an arm of the branch with the given variable."""
        return self.inside._replace(in_loop=(*self.in_loop, branch))


class Loops(Expressions):
    """Makes rewritten copies of loops."""

    asked: set[str]  # the variables of which the function may ask whether they have values
    block: Callable[[Iterable[ast.stmt], Place], list[ast.stmt]]  # the rewritten statements of a block

    def asks(self, names: Iterable[str]) -> bool:
        """Whether the function may ask for any of several variables."""
        return not self.asked.isdisjoint(names)

    def rewrite_for(self, node: ast.For, place: Place) -> list[ast.stmt]:
        return self._loop(node, place, "each(asked, {})", "stays({})", node.iter, node.target)

    def rewrite_while(self, node: ast.While, place: Place) -> list[ast.stmt]:
        """A test that binds variables is a part of the body, from which the loop is left."""
        if bound_names([node.test]):
            return self._while_true(node, place)
        begin = "loop({}, watches=True)" if any(map(_may_write, all_nodes(node.test))) else "loop({})"
        return self._loop(node, place, begin, "goes_on(asked, {})", node.test)

    def _while_true(self, node: ast.While, place: Place) -> list[ast.stmt]:
        at, done = At(node), self.temporary()
        begin, loop = at.lines(
            f"{done} = False\nwhile True:\n    if test: pass\n    else:\n        {done} = True\n        break\n    body",
            test=node.test,
            body=node.body,
        )
        rest = at.lines(f"if {done}: rest", rest=node.orelse) if node.orelse else []
        return [begin, *self.rewrite_while(loop, place), *self._rest(rest, place)]

    def _loop(self, node: Any, place: Place, begin: str, goes_on: str, asked: ast.expr, *targets: ast.expr) -> list[ast.stmt]:
        """A loop: `begin` makes what runs its passes, `goes_on` asks for one; one of them asks for the expression `asked`."""
        at, variable = At(node), self.temporary()
        first = [at.statement(f"target = {variable}.item", target=self.visit(target)) for target in targets]
        body, jumps = without_jumps(node.body, self.temporary(), self.temporary())
        names = sorted(bound_names([*body, asked, *targets]))
        has_return = any(map(returns, node.body))
        call = "_nbad_call" if has_return else None
        begin = begin.format(f"{tuple(names)!r}, {node.body[-1].end_lineno}, {call}, {self.asks(names)}")
        stays = at.lines("\n".join(f"{name} = False" for name in jumps if name))
        loop = at.lines(
            f"{jumps.left} = False\n" * bool(jumps.left) + f"{variable} = __nbad__.{begin}\n"
            f"while {variable}.next({jumps.left or False}):\n    sets\n"
            f"    with {variable}:\n        if {variable}.{goes_on.format(jumps.left or False)}: body\n"
            f"while {variable}.ends(): ends",
            asked=self.visit(asked),
            sets=settings(at, f"if {variable}.sets:", variable, names),
            body=[*first, *stays, *self.block(body, place.inside._replace(in_loop=()))],
            ends=settings(at, "if True:", variable, names) or at.lines("pass"),
        )
        return [*loop, *self._else(node, place, jumps)]

    def _else(self, node: Any, place: Place, jumps: Jumps) -> list[ast.stmt]:
        """The `else` of a loop: it runs where the loop was not left."""
        rest = list(node.orelse)
        if rest and jumps.left:
            rest = At(rest[0]).lines(f"if not {jumps.left}: rest", rest=rest)
        done = self._rest(rest, place)
        if rest and place.has_call and any(map(returns, node.body)):
            done = At(rest[0]).lines("if _nbad_call.alive: done", done=done)
        return done

    def _rest(self, statements: list[ast.stmt], place: Place) -> list[ast.stmt]:
        return self.block(statements, place.inside) if statements else []


def _may_write(node: ast.AST) -> bool:
    """Whether an expression asks what may write to something: a function that is not Python's own or of numbers, an object."""
    if isinstance(node, ast.Compare):
        return any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)  # of an iterator
    if isinstance(node, ast.Attribute):  # it may be a property
        return not (isinstance(node.value, ast.Name) and node.value.id in _NUMBERS)
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Subscript)
    return isinstance(node.func, ast.Name) and (not hasattr(builtins, node.func.id) or node.func.id in _ASKING)


def settings(at: At, head: str, variable: str, names: Sequence[str]) -> list[ast.stmt]:
    """Statements that set the variables to what a branch says; one without a value is deleted."""
    lines = [head]
    for name in names:
        lines += [f"    {name} = {variable}.values.get({name!r})", f"    if {name!r} not in {variable}.values: del {name}"]
    return at.lines("\n".join(lines)) if names else []
