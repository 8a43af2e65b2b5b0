"""A copy of a user's function that reads its outer names from a namespace of its own. The original is never touched."""

import dis
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

from nbad import source

_MISSING = object()
_GLOBAL_STORES = ("STORE_GLOBAL", "DELETE_GLOBAL")
_OUTER_STORES = ("STORE_DEREF", "DELETE_DEREF")
_STORES = {dis.opmap[name] for name in _GLOBAL_STORES + _OUTER_STORES}


def rebound_copy(function: FunctionType, rebind: Callable[[Any], Any]) -> FunctionType:
    """The same code, with `rebind` applied to every global, builtin, closure variable and default that it can see."""
    code = function.__code__
    copy = FunctionType(code, _namespace(function, rebind), function.__name__, None, _cells(function, rebind))
    copy.__defaults__ = function.__defaults__ and tuple(map(rebind, function.__defaults__))
    copy.__kwdefaults__ = function.__kwdefaults__ and {k: rebind(v) for k, v in function.__kwdefaults__.items()}
    return copy


def _namespace(function, rebind):
    """The function's globals, with rebound values for the names that its code mentions."""
    outer, builtins = function.__globals__, function.__builtins__
    namespace = dict(outer)
    for name in {name for code in _codes(function.__code__) for name in code.co_names}:
        value = outer.get(name, builtins.get(name, _MISSING))
        if value is not _MISSING and (new := rebind(value)) is not value:
            namespace[name] = new
    load = builtins["__import__"]
    namespace["__builtins__"] = {**builtins, "__import__": lambda *args, **kwargs: rebind(load(*args, **kwargs))}
    return namespace


def _cells(function, rebind):
    if function.__closure__ is None:
        return None
    return tuple(_cell(cell, rebind) for cell in function.__closure__)


def _cell(cell, rebind):
    try:
        value = cell.cell_contents
    except ValueError:
        return CellType()
    return CellType(rebind(value))


def outer_write(function: FunctionType) -> tuple[str, source.Line] | None:
    """The first global or closure variable that the function assigns, and the line; None if there is none."""
    root = function.__code__
    if not any(_STORES.intersection(code.co_code[::2]) for code in _codes(root)):
        return None
    for code in _codes(root):
        for instruction in dis.get_instructions(code):
            if _writes_out(instruction, root):
                return instruction.argval, source.line_of(code, source.line_number(instruction))
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code and those of the functions nested in it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _writes_out(instruction, root):
    if instruction.opname in _GLOBAL_STORES:
        return True
    return instruction.opname in _OUTER_STORES and instruction.argval in root.co_freevars
