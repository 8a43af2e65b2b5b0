"""Rewrite `for` and `while`: what runs their passes is asked for each, and whether they were left."""

import ast
import builtins
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from nbad.rewriting.expressions import At, Expressions
from nbad.rewriting.jumps import Jumps, without_jumps
from nbad.rewriting.scopes import all_nodes, bound_names, placed, returns

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
    around, in_loop : tuples of str
        The variables of the branches around it: all, and those inside the innermost loop.
    """

    is_outermost: bool
    has_call: bool
    around: tuple[str, ...] = ()
    in_loop: tuple[str, ...] = ()

    @property
    def inside(self) -> "Place":
        """The place of a block here."""
        return self._replace(is_outermost=False)

    def arm(self, branch: str) -> "Place":
        """The place of an arm of the branch with the given variable."""
        return self.inside._replace(around=(*self.around, branch), in_loop=(*self.in_loop, branch))

    def loop(self, variable: str) -> "Place":
        """The place of the body of the loop with the given variable."""
        return self.inside._replace(around=(*self.around, variable), in_loop=())


class Loops(Expressions):
    """Makes rewritten copies of loops."""

    asked: set[str]  # the variables of which the function may ask whether they have values
    block: Callable[[Iterable[ast.stmt], Place], list[ast.stmt]]  # the rewritten statements of a block

    def asks(self, names: Iterable[str]) -> bool:
        """Whether the function may ask for any of several variables."""
        return not self.asked.isdisjoint(names)

    def rewrite_for(self, node: ast.For, place: Place) -> list[ast.stmt]:
        at, variable = At(node), self.temporary()
        begin, target = at.statement(f"{variable} = __nbad__.each(iterable)"), at.statement(f"target = {variable}.item")
        begin.value.args = [self.visit(node.iter)]
        target.targets = [self.visit(node.target)]
        return self._loop(
            node, place, variable, begin, at.statement(f"{variable}.stays(left)").value, [target], [node.target, node.iter]
        )

    def rewrite_while(self, node: ast.While, place: Place) -> list[ast.stmt]:
        """A test that binds variables is a part of the body, from which the loop is left."""
        at, variable = At(node), self.temporary()
        if bound_names([node.test]):
            return self._while_true(node, place)
        watches = "watches=True" * any(map(_may_write, all_nodes(node.test)))
        begin, goes_on = at.lines(f"{variable} = __nbad__.loop({watches})\n{variable}.goes_on(test, left)")
        goes_on = goes_on.value
        goes_on.args[0] = self.visit(node.test)
        return self._loop(node, place, variable, begin, goes_on, [], [node.test])

    def _while_true(self, node: ast.While, place: Place) -> list[ast.stmt]:
        at, done = At(node), self.temporary()
        begin, head = at.lines(f"{done} = False\nif test:\n    pass\nelse:\n    {done} = True\n    break")
        head.test = node.test
        loop = placed(ast.While(test=at.constant(True), body=[head, *node.body], orelse=[]), node)
        rest = at.lines(f"if {done}:\n    pass") if node.orelse else []
        for statement in rest:
            statement.body = node.orelse
        return [begin, *self.rewrite_while(loop, place), *self._rest(rest, place)]

    def _loop(
        self, node: Any, place: Place, variable: str, begin: Any, goes_on: Any, first: list[ast.stmt], binding: list[ast.AST]
    ) -> list[ast.stmt]:
        """A loop, of which `begin` makes what runs its passes, and `goes_on` asks for one; `first` stands before the body."""
        at = At(node)
        body, jumps = without_jumps(node.body, self.temporary(), self.temporary())
        names = sorted(bound_names([*body, *binding]))
        has_return = any(map(returns, node.body))
        passed = at.statement(
            f"f({tuple(names)!r}, {node.body[-1].end_lineno}{', _nbad_call' if has_return else ', None'}, {self.asks(names)})"
        ).value.args
        begin.value.args += passed
        goes_on.args[-1] = left = at.statement(jumps.left or "False").value
        inner = self.block(body, place.loop(variable))
        while_ = at.statement(f"while {variable}.next(left):\n    with {variable}:\n        if goes_on:\n            pass")
        while_.test.args, (with_,) = [left], while_.body
        with_.body[0].test = goes_on
        stays = [line for name in jumps if name for line in at.lines(f"{name} = False")]
        with_.body[0].body = [*first, *stays, *inner]
        while_.body = [*settings(at, f"if {variable}.sets:", variable, names), with_]
        end = at.statement(f"while {variable}.ends():\n    pass")
        end.body = settings(at, "if True:", variable, names) or end.body
        before = at.lines(f"{jumps.left} = False") if jumps.left else []
        return [*before, begin, while_, end, *self._else(node, place, jumps)]

    def _else(self, node: Any, place: Place, jumps: Jumps) -> list[ast.stmt]:
        """The `else` of a loop: it runs where the loop was not left."""
        rest = list(node.orelse)
        if rest and jumps.left:
            stays = At(rest[0]).statement(f"if not {jumps.left}:\n    pass")
            stays.body, rest = rest, [stays]
        done = self._rest(rest, place)
        if rest and place.has_call and any(map(returns, node.body)):
            alive = At(rest[0]).statement("if _nbad_call.alive:\n    pass")
            alive.body, done = done, [alive]
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
