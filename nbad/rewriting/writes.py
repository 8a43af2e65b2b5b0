"""Writes to items of local variables, as assignments of these: what is written to may be a number, which never changes.

y[mask] = v     y = __nbad__.put(v, y, mask)
y[mask] *= v    y = __nbad__.put(__nbad__.augmented("imul", __nbad__.item(y, _nbad_at := mask), v), y, _nbad_at)
"""

import ast
from typing import Any

from nbad.rewriting.expressions import At, may_be_mask
from nbad.rewriting.scopes import CLOSED, bound_names, changed, own_nodes

_IN_PLACE = {
    ast.Add: "iadd", ast.Sub: "isub", ast.Mult: "imul", ast.Div: "itruediv", ast.FloorDiv: "ifloordiv", ast.Mod: "imod",
    ast.Pow: "ipow", ast.BitAnd: "iand", ast.BitOr: "ior", ast.BitXor: "ixor",
}  # fmt: skip


def with_writes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """The body of a function, in which writes to items assign the variable too, where that is local."""
    names = _local_names(function)
    return [_statement(part, names) for part in function.body]


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    declared = (node for node in own_nodes(function.body, CLOSED) if isinstance(node, ast.Global | ast.Nonlocal))
    outer = {name for node in declared for name in node.names}
    return ({each.arg for each in given if each is not None} | bound_names(function.body)) - outer


def _statement(node: Any, names: set[str]) -> Any:
    """A statement, or a part of one that holds statements."""
    if isinstance(node, CLOSED):
        return node
    target: Any = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
    if _is_place(target, names):
        return _assigned(node, target, node.value, target.slice)
    if isinstance(node, ast.AugAssign) and type(node.op) in _IN_PLACE and _is_place(node.target, names):
        return _augmented(node)
    lists = ((name, value) for name, value in ast.iter_fields(node) if isinstance(value, list))
    inner = {name: value for name, value in lists if value and isinstance(value[0], ast.AST)}
    if not inner or not isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
        return node
    return changed(node, **{name: [_statement(part, names) for part in value] for name, value in inner.items()})


def _is_place(target: Any, names: set[str]) -> bool:
    """Whether this may be an item of a number in a local variable."""
    is_item = isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id in names
    return is_item and may_be_mask(target.slice)


def _assigned(node: Any, target: Any, value: ast.expr, index: ast.expr) -> ast.Assign:
    at, name = At(node), target.value.id
    given = at.put(ast.Name(id=name, ctx=ast.Load()))
    place = at.call("slice", None, None, None) if isinstance(index, ast.Slice) else index
    return at.put(ast.Assign(targets=[at.put(ast.Name(id=name, ctx=ast.Store()))], value=at.call("put", value, given, place)))


def _augmented(node: Any) -> ast.Assign:
    at, target = At(node), node.target
    variable = "_nbad_at"
    index = at.call("slice", None, None, None) if isinstance(target.slice, ast.Slice) else target.slice
    index = at.put(ast.NamedExpr(target=at.put(ast.Name(id=variable, ctx=ast.Store())), value=index))
    old = at.call("item", at.put(ast.Name(id=target.value.id, ctx=ast.Load())), index)
    new = at.call("augmented", _IN_PLACE[type(node.op)], old, node.value)
    return _assigned(node, target, new, at.put(ast.Name(id=variable, ctx=ast.Load())))
