"""Facts about statements: what is in them, what they bind, whether they return."""

import ast
import builtins
from collections.abc import Iterable, Iterator
from typing import Any

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
TRIES = ast.Try, ast.TryStar
CLOSED = (*_SCOPES, ast.expr)  # no statements are in an expression
_LOOKING = frozenset(("locals", "vars", "dir", "eval", "exec"))
_KNOWN_MANAGERS = ("errstate", "catch_warnings")  # which suppress no errors
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def is_own(name: str) -> bool:
    """Whether a name is one of those that nbad writes into functions; not `_nbad`, as which some may import it."""
    return name.startswith(("_nbad", "__nbad")) and name != "_nbad"


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


def changed(node: Any, **fields: Any) -> Any:
    """A node with other fields, in its place."""
    return placed(type(node)(**(dict(ast.iter_fields(node)) | fields)), node)


def is_plain_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is neither a generator nor asynchronous."""
    inside = own_nodes(node.body)
    return isinstance(node, ast.FunctionDef) and not any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in inside)


def returns(statement: ast.stmt) -> bool:
    """Whether a statement contains a `return` of the function that it stands in."""
    return any(isinstance(node, ast.Return) for node in own_nodes([statement], CLOSED))


def asked_names(function: ast.AST) -> set[str]:
    """The names by which a function, or one in it, may do something else where they have no value: catch that error, or look."""
    nodes = all_nodes(function)
    if any(isinstance(node, ast.Name) and node.id in _LOOKING for node in nodes):
        return _mentioned([function])
    tried = [node.body for node in nodes if isinstance(node, TRIES) and any(_may_catch_names(h.type) for h in node.handlers)]
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
    return {name for node in own_nodes(statements) for name in _names(node)}


def own_nodes(nodes: Iterable[ast.AST], closed: tuple[type, ...] = _SCOPES) -> Iterator[ast.AST]:
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
