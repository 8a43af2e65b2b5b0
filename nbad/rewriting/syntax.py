"""The syntax tree of a function: found in its file or notebook cell, and proved to be what the function was compiled from."""

import __future__

import ast
import contextlib
import functools
import inspect
import linecache
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, NamedTuple

from nbad.rewriting.scopes import parts, placed

_FUTURE = functools.reduce(int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
# all that a code object does; not its lines and names of files, in which the copy may differ
_COMPARED = (
    "co_name co_code co_names co_varnames co_freevars co_cellvars co_argcount co_posonlyargcount co_kwonlyargcount"
).split()
_MISSING = "its source text cannot be found (made by exec, by `python -c`, at a prompt, or installed as byte code alone)"
_CHANGED = "its source text is not what it was compiled from (edited since, or changed by an import hook)"
_NESTED = "its source text is nested too deeply"

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class NoSource(Exception):
    """The text says why the source of a function cannot be used."""


class Origin(NamedTuple):
    """A function's syntax tree, which nobody may change.

    Attributes
    ----------
    node : ast.FunctionDef or ast.Lambda
    owner : str or None
        The class around it, whose private names it uses.
    imports : tuple of str
        Names that its module imports: Python compiles calls of their attributes in another way.
    """

    node: Function
    owner: str | None
    imports: tuple[str, ...]


def find(code: CodeType) -> Origin:
    """The origin of a code object; raises `NoSource` where there is none."""
    origin = _search(code)
    if origin is None:
        linecache.checkcache(code.co_filename)
        origin = _search(code)
    if origin is None:
        is_file = code.co_filename != "<string>"  # of which Python 3.13 keeps the text of `python -c`
        raise NoSource(_CHANGED if is_file and linecache.getlines(code.co_filename) else _MISSING)
    return origin


def compiled(node: Function, origin: Origin, code: CodeType) -> CodeType:
    """The code of `node`, compiled to see the same outer names as `code` does."""
    flags = code.co_flags & _FUTURE
    module = _module(_bare(node), origin, code.co_freevars)
    try:
        with _told():
            outer = compile(module, code.co_filename, "exec", flags, dont_inherit=True)
    except (RecursionError, SyntaxError):  # of more than 20 blocks
        raise NoSource(_NESTED) from None
    # from the module through the outer function, and the class, to the function itself
    for _ in range(3 if origin.owner else 2):
        outer = next(constant for constant in outer.co_consts if isinstance(constant, CodeType))
    return outer


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What Python warns of in a source, it has told when it compiled that: it is neither said again nor an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _search(code: CodeType) -> Origin | None:
    text = "".join(linecache.getlines(code.co_filename))
    candidates = _functions(text).get((code.co_name, code.co_firstlineno), ())
    return next((origin for origin in candidates if _same(compiled(origin.node, origin, code), code)), None)


def _bare(node: Function) -> Function:
    """The function without what runs outside of it: decorators, defaults, annotations."""
    kept = node.args
    arguments = {name: [_unannotated(a) for a in getattr(kept, name)] for name in ("posonlyargs", "args", "kwonlyargs")}
    starred = {name: _unannotated(argument) for name in ("vararg", "kwarg") if (argument := getattr(kept, name)) is not None}
    args = ast.arguments(**arguments, **starred, kw_defaults=[None] * len(kept.kwonlyargs), defaults=[])  # type: ignore[call-overload]
    if isinstance(node, ast.Lambda):
        return placed(ast.Lambda(args=args, body=node.body), node)
    new = type(node)(name=node.name, args=args, body=node.body, decorator_list=[], type_params=[])  # type: ignore[call-arg]
    return placed(new, node)


def _unannotated(argument: ast.arg) -> ast.arg:
    return placed(ast.arg(arg=argument.arg), argument)


def _module(node: Function, origin: Origin, free: Iterable[str]) -> ast.Module:
    """A module in which `node` is compiled as it was at first: in a function with the variables `free`, in a class."""

    def put(new: Any) -> Any:
        return placed(new, node)

    body = [put(ast.Expr(node)) if isinstance(node, ast.Lambda) else node]
    if not isinstance(node, ast.Lambda) and node.name not in free:
        body.insert(0, put(ast.Global(names=[node.name])))  # a function that calls itself finds its name where it did
    if origin.owner:
        of_class = put(ast.ClassDef(name=origin.owner, bases=[], keywords=[], body=body, decorator_list=[], type_params=[]))  # type: ignore[call-arg]
        # so does a method that names its class
        body = [of_class] if origin.owner in free else [put(ast.Global(names=[origin.owner])), of_class]
    names = [put(ast.arg(arg=name)) for name in free]
    args = ast.arguments(posonlyargs=[], args=names, kwonlyargs=[], kw_defaults=[], defaults=[])
    outer = put(ast.FunctionDef(name="<outer>", args=args, body=body, decorator_list=[], type_params=[]))  # type: ignore[call-arg]
    imports = [put(ast.Import(names=[put(ast.alias(name=name))])) for name in origin.imports]
    return ast.Module(body=[*imports, outer], type_ignores=[])


@functools.lru_cache(maxsize=64)
def _functions(text: str) -> dict[tuple[str, int], list[Origin]]:
    """All functions in a text by name and first line."""
    found: dict[tuple[str, int], list[Origin]] = defaultdict(list)
    try:
        with _told():
            tree = ast.parse(text)
    except (SyntaxError, RecursionError):
        return found
    imports = tuple(sorted(_imported(tree)))
    # no expression holds a function, unless it is a lambda: most files have none, and are mostly expressions
    closed = () if "lambda" in text else (ast.expr,)
    for node, owner in _walk(tree, closed):
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        decorators = getattr(node, "decorator_list", ())
        first = decorators[0].lineno if decorators else node.lineno
        found[name, first].append(Origin(node, owner, imports))
    return found


def _walk(tree: ast.AST, closed: tuple[type[ast.AST], ...]) -> Iterator[tuple[Function, str | None]]:
    """Every function with the innermost class around it; not those in nodes that are `closed`."""
    nodes: list[tuple[ast.AST, str | None]] = [(tree, None)]
    while nodes:
        node, owner = nodes.pop()
        if isinstance(node, Function):
            yield node, owner
        inner = node.name if isinstance(node, ast.ClassDef) else owner
        nodes += [(child, inner) for child in parts(node) if not isinstance(child, closed)]


def _imported(tree: ast.AST) -> Iterator[str]:
    """The names that the statements of a module itself import."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*")
        if not isinstance(node, Function | ast.ClassDef | ast.expr):
            nodes += parts(node)


def _same(a: CodeType, b: CodeType) -> bool:
    """Whether two code objects do the same; where they stand does not matter."""
    if any(getattr(a, field) != getattr(b, field) for field in _COMPARED) or len(a.co_consts) != len(b.co_consts):
        return False
    if (a.co_flags ^ b.co_flags) & ~inspect.CO_NESTED:
        return False
    return all(map(_same_constant, a.co_consts, b.co_consts))


def _same_constant(a: Any, b: Any) -> bool:
    if isinstance(a, CodeType) and isinstance(b, CodeType):
        return _same(a, b)
    return type(a) is type(b) and repr(a) == repr(b)
