"""Facts about statements: what is in them, what they bind, whether they return; and loops without `break` and `continue`."""

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_CLOSED = (*_SCOPES, ast.expr)  # no statements are in an expression
_JUMPS, _LOOPS = (ast.Break, ast.Continue), (ast.For, ast.AsyncFor, ast.While)
_TRIES, _CLAUSES = (ast.Try, ast.TryStar), (ast.ExceptHandler, ast.match_case)
_LOOKING = frozenset(("locals", "vars", "dir", "eval", "exec"))
_KNOWN_MANAGERS = ("errstate", "catch_warnings")  # which suppress no errors
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def parts(node: ast.AST) -> list[ast.AST]:
    """The nodes in a node, but for contexts and operators: as `ast.iter_child_nodes`, which takes three times as long."""
    found: list[ast.AST] = []
    for value in vars(node).values():
        if type(value) is list:
            found += [part for part in value if isinstance(part, ast.AST)]
        elif type(value) is not int and isinstance(value, ast.AST) and value._fields:  # its lines and columns are most
            found.append(value)
    return found


def all_nodes(root: ast.AST) -> list[ast.AST]:
    """A node and all in it, likewise."""
    found = [root]
    for node in found:
        found += parts(node)
    return found


def placed(node: Any, like: Any) -> Any:
    """A node with the place of another, as by `ast.copy_location`, which takes five times as long."""
    if node._attributes and like._attributes:
        node.lineno, node.col_offset = like.lineno, like.col_offset
        node.end_lineno, node.end_col_offset = like.end_lineno, like.end_col_offset
    return node


def is_plain_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is neither a generator nor asynchronous."""
    inside = _own_nodes(node.body)
    return isinstance(node, ast.FunctionDef) and not any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in inside)


def returns(statement: ast.stmt) -> bool:
    """Whether a statement contains a `return` of the function that it stands in."""
    return any(isinstance(node, ast.Return) for node in _own_nodes([statement], _CLOSED))


def leaves(statement: ast.stmt) -> bool:
    """Whether a statement of a `finally` may leave it, and with it an error that is on its way."""
    return any(isinstance(node, (ast.Return, ast.Break, ast.Continue)) for node in _own_nodes([statement], _CLOSED))


def asked_names(function: ast.AST) -> set[str]:
    """The names by which a function, or one in it, may do something else where they have no value: catch that error, or look."""
    nodes = all_nodes(function)
    if any(isinstance(node, ast.Name) and node.id in _LOOKING for node in nodes):
        return _mentioned([function])
    tried = [node.body for node in nodes if isinstance(node, _TRIES) and any(_may_catch_names(h.type) for h in node.handlers)]
    managed = [node for node in nodes if isinstance(node, ast.With) and not all(map(_is_known_manager, node.items))]
    inner = [node for node in nodes[1:] if isinstance(node, _SCOPES)] if tried or managed else []  # which may be called there
    return _mentioned([*(statement for body in tried for statement in body), *managed, *inner])


def _mentioned(nodes: Iterable[ast.AST]) -> set[str]:
    return {part.id for node in nodes for part in all_nodes(node) if isinstance(part, ast.Name)}


def _is_known_manager(item: ast.withitem) -> bool:
    return ast.unparse(item.context_expr).partition("(")[0].endswith(_KNOWN_MANAGERS)


def _may_catch_names(kind: ast.expr | None) -> bool:
    """Whether a handler may be for a NameError; of names that are no builtins nobody knows."""
    if kind is None:
        return True
    kinds = [getattr(builtins, part.id, Exception) for part in all_nodes(kind) if isinstance(part, ast.Name)]
    return any(isinstance(part, type) and issubclass(UnboundLocalError, part) for part in kinds)


def bound_names(statements: Iterable[ast.AST]) -> set[str]:
    """The names that statements or expressions bind or delete."""
    return {name for node in _own_nodes(statements) for name in _names(node)}


def _own_nodes(nodes: Iterable[ast.AST], closed: tuple[type, ...] = _SCOPES) -> Iterator[ast.AST]:
    """All nodes of the same scope; of functions and classes, and others that are `closed`, only the node itself."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        # their variables are their own, but `:=` in them binds one of the function around
        if isinstance(node, closed):
            continue
        if isinstance(node, _COMPREHENSIONS):
            stack += [part for part in all_nodes(node) if isinstance(part, ast.NamedExpr)]
        else:
            stack += parts(node)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, _SCOPES[:3]):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest


class Jumps(NamedTuple):
    """The variables of a loop without `break` and `continue`.

    Attributes
    ----------
    left : str or None
        It says whether the loop was left by `break`; None where it never is.
    skipped : str or None
        It says whether the rest of a pass is skipped; None where the rest is an arm of the `if` that jumps.
    """

    left: str | None
    skipped: str | None


def without_jumps(body: Sequence[ast.stmt], left: str, skipped: str) -> tuple[list[ast.stmt], Jumps]:
    """The body of a loop without its `break`s and `continue`s, and which of the two variables it sets instead."""
    cut = _Cut(left, skipped)
    done = cut.block(body)
    if not cut.skips:  # nobody asks
        done = _Cut(left, None).block(body)
    return done, Jumps(left if cut.leaves else None, skipped if cut.skips else None)


class _Cut:
    """Cuts jumps out: what follows is the other arm of the `if` that jumps, or runs only where nothing was skipped."""

    def __init__(self, left: str, skipped: str | None) -> None:
        self.left, self.skipped = left, skipped
        self.leaves = self.skips = False

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block without jumps."""
        for k, statement in enumerate(body):
            if isinstance(statement, _JUMPS):
                return [*body[:k], *self._jump(statement), *_unreachable(body[k + 1 :], statement)]
            if jumps(statement):
                return [*body[:k], *self._statements(statement, body[k + 1 :])]
        return list(body)

    def _statements(self, statement: ast.stmt, rest: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The same for a statement that jumps somewhere in it, and those behind it."""
        if isinstance(statement, ast.If) and (arms := _arms(statement, rest)) is not None:
            return [_copy(statement, body=self.block(arms[0]), orelse=self.block(arms[1]))]
        fields = {name: self._field(statement, name, value) for name, value in ast.iter_fields(statement)}
        if isinstance(statement, _TRIES) and statement.orelse and any(map(jumps, statement.body)):
            fields["orelse"] = self._guarded(fields["orelse"])
        return [_copy(statement, **fields), *(self._guarded(self.block(rest)) if rest else [])]

    def _field(self, statement: ast.stmt, name: str, value: Any) -> Any:
        """A field of a statement; an inner loop has its own jumps."""
        if not isinstance(value, list) or (isinstance(statement, _LOOPS) and name == "body"):
            return value
        if name == "finalbody" and any(map(jumps, value)):
            return [*self.block(value), *self._jumps_at_end(value[-1])]
        if value and isinstance(value[0], ast.stmt):
            return self.block(value)
        return [_copy(part, body=self.block(part.body)) if isinstance(part, _CLAUSES) else part for part in value]

    def _jump(self, statement: ast.stmt) -> list[ast.stmt]:
        is_break = isinstance(statement, ast.Break)
        self.leaves = self.leaves or is_break
        names = [name for name in (self.left if is_break else None, self.skipped) if name]
        return [_setting(name, statement) for name in names] or [placed(ast.Pass(), statement)]

    def _jumps_at_end(self, place: ast.stmt) -> list[ast.stmt]:
        """Jumps at the end of a `finally`, which hide errors."""
        self.skips = True
        ends = ((self.left, ast.Break()), (self.skipped or "", ast.Continue()))
        return [placed(ast.If(test=_name(name, place), body=[placed(end, place)], orelse=[]), place) for name, end in ends]

    def _guarded(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements that run where nothing was skipped."""
        self.skips, place = True, statements[0]
        test = ast.UnaryOp(op=ast.Not(), operand=_name(self.skipped or "", place))
        return [placed(ast.If(test=placed(test, place), body=statements, orelse=[]), place)]


def jumps(statement: ast.AST) -> bool:
    """Whether a statement holds a `break` or `continue` of the loop that it stands in."""
    if isinstance(statement, _JUMPS):
        return True
    # those of an inner loop are its own, apart from those behind its `else`
    inner = statement.orelse if isinstance(statement, _LOOPS) else parts(statement)
    return not isinstance(statement, _CLOSED) and any(map(jumps, inner))


def _arms(statement: ast.If, rest: Sequence[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]] | None:
    """The two arms of an `if` that is followed by `rest`, one of which always jumps, or nothing follows; else None."""
    then, other = statement.body, statement.orelse
    if not rest or any(isinstance(part, _JUMPS) for part in then):
        return then, [*other, *rest]
    return ([*then, *rest], other) if any(isinstance(part, _JUMPS) for part in other) else None


def _setting(name: str, place: ast.stmt) -> ast.stmt:
    """`name = True`."""
    target = placed(ast.Name(id=name, ctx=ast.Store()), place)
    return placed(ast.Assign(targets=[target], value=placed(ast.Constant(value=True), place)), place)


def _name(name: str, place: ast.stmt) -> ast.expr:
    return placed(ast.Name(id=name, ctx=ast.Load()), place)


def _unreachable(statements: Sequence[ast.stmt], place: ast.stmt) -> list[ast.stmt]:
    """Statements that never run, but whose variables belong to the function."""
    if not statements:
        return []
    return [placed(ast.If(test=placed(ast.Constant(value=False), place), body=list(statements), orelse=[]), place)]


def _copy(node: Any, **fields: Any) -> Any:
    """A node with other fields."""
    return placed(type(node)(**(dict(ast.iter_fields(node)) | fields)), node)
