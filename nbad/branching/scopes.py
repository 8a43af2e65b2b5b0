"""Facts about statements: what they bind, whether they return; and loops without the `continue`s that can be arms."""

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LOOKING = frozenset(("locals", "vars", "dir", "eval", "exec"))
_KNOWN_MANAGERS = ("errstate", "catch_warnings")  # which suppress no errors
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def is_plain_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is neither a generator nor asynchronous."""
    inside = _own_nodes(node.body)
    return isinstance(node, ast.FunctionDef) and not any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in inside)


def returns(statement: ast.stmt) -> bool:
    """Whether a statement contains a `return` of the function that it stands in."""
    return any(isinstance(node, ast.Return) for node in _own_nodes([statement]))


def leaves(statement: ast.stmt) -> bool:
    """Whether a statement of a `finally` may leave it, and with it an error that is on its way."""
    return any(isinstance(node, (ast.Return, ast.Break, ast.Continue)) for node in _own_nodes([statement]))


def asks_for_names(function: ast.AST) -> bool:
    """Whether a function, or one in it, may do something else where a variable has no value: catch that error, or look."""
    return any(
        (isinstance(node, ast.Name) and node.id in _LOOKING)
        or (isinstance(node, ast.ExceptHandler) and _may_catch_names(node.type))
        or (isinstance(node, ast.withitem) and not ast.unparse(node.context_expr).partition("(")[0].endswith(_KNOWN_MANAGERS))
        for node in ast.walk(function)
    )


def _may_catch_names(kind: ast.expr | None) -> bool:
    """Whether a handler may be for a NameError; of names that are no builtins nobody knows."""
    if kind is None:
        return True
    kinds = [getattr(builtins, part.id, Exception) for part in ast.walk(kind) if isinstance(part, ast.Name)]
    return any(isinstance(part, type) and issubclass(UnboundLocalError, part) for part in kinds)


def bound_names(statements: Iterable[ast.AST]) -> set[str]:
    """The names that statements or expressions bind or delete."""
    return {name for node in _own_nodes(statements) for name in _names(node)}


def _own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes of the same scope; of functions and classes only the node itself."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        yield node
        # their variables are their own, but `:=` in them binds one of the function around
        if isinstance(node, _COMPREHENSIONS):
            stack += (part for part in ast.walk(node) if isinstance(part, ast.NamedExpr))
        elif not isinstance(node, _SCOPES):
            stack += ast.iter_child_nodes(node)


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


def without_continue(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The body of a loop, or a block at its end, with what follows `if ...: continue` as the other arm of that `if`."""
    for k, statement in enumerate(body):
        if isinstance(statement, ast.Continue):
            return [*body[:k], *_unreachable(body[k + 1 :], statement)]
        if isinstance(statement, ast.If) and (arms := _arms(statement, body[k + 1 :])) is not None:
            then, other = arms
            new = ast.If(test=statement.test, body=then or [_pass(statement)], orelse=other)
            return [*body[:k], ast.copy_location(new, statement)]
    return list(body)


def _arms(statement: ast.If, rest: Sequence[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]] | None:
    """The two arms of an `if` that is followed by `rest`, one of which continues, or nothing follows; else None."""
    then, other = statement.body, statement.orelse
    if not rest:
        return without_continue(then), without_continue(other)
    if _continues(then):
        return without_continue(then), without_continue([*other, *rest])
    if _continues(other):
        return without_continue([*then, *rest]), without_continue(other)
    return None


def _continues(block: Sequence[ast.stmt]) -> bool:
    return any(isinstance(statement, ast.Continue) for statement in block)


def _unreachable(statements: Sequence[ast.stmt], place: ast.stmt) -> list[ast.stmt]:
    """Statements that never run, but whose variables belong to the function."""
    if not statements:
        return []
    never = ast.copy_location(ast.Constant(value=False), place)
    return [ast.copy_location(ast.If(test=never, body=list(statements), orelse=[]), place)]


def _pass(place: ast.stmt) -> ast.Pass:
    return ast.copy_location(ast.Pass(), place)
