"""A copy of a user's function that reads its outer names from a namespace of its own. The original is never touched.

A function that branches, loops by a test or reads items runs in the rewritten form of `nbad.rewriting.statements`, if its source
can be found.
"""

import dis
import functools
import opcode
import sys
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from nbad import lines
from nbad.containers.kinds import Globals
from nbad.containers.snapshots import Distant, Heap, home_of
from nbad.rewriting.expressions import ERRORS_WAY
from nbad.rewriting.scopes import is_own
from nbad.rewriting.statements import rewritten
from nbad.rewriting.syntax import NoSource
from nbad.tracing.origins import has_methods, is_known, is_of_users, is_users

if TYPE_CHECKING:
    from nbad.tracing.stand_ins import Rebinder

_MISSING = object()
_EMPTY = CellType()  # to which a cell is equal if it is empty: what it holds is not asked
_GLOBAL_STORES = ("STORE_GLOBAL", "DELETE_GLOBAL")
_OUTER_STORES = ("STORE_DEREF", "DELETE_DEREF")
_STORES = {dis.opmap[name] for name in _GLOBAL_STORES + _OUTER_STORES}
_INLINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
# beginnings of names of instructions, in Python 3.11 to 3.14, that branches, loops by a test, items, handlers and f-strings need
_TELLING = (
    "POP_JUMP", "JUMP_IF", "BINARY_SUBSCR", "STORE_SUBSCR", "CONTAINS_OP", "IS_OP", "UNARY_NOT", "RAISE_VARARGS", "PUSH_EXC_INFO",
    "FORMAT_",
)  # fmt: skip
_REWRITTEN = {code for name, code in dis.opmap.items() if name.startswith(_TELLING)}
_FOR = dis.opmap["FOR_ITER"]  # over a range it may be long, or end at a traced value
# methods of lists that write, of containers that may be given a traced value; attributes of errors; functions that take methods
_ATTRIBUTES = frozenset((
    *"append clear count extend get index insert pop remove reverse sort".split(), *ERRORS_WAY,
    *"accumulate bisect brenth brentq filter map newton reduce ridder root_scalar solve starmap toms748".split(),
))  # fmt: skip
_SUBSCRIPT = [k for k, (name, _) in enumerate(getattr(opcode, "_nb_ops", ())) if name == "NB_SUBSCR"]  # of Python 3.14
_CALLS = {dis.opmap[name] for name in ("CALL", "CALL_KW", "CALL_FUNCTION_EX") if name in dis.opmap}
# how a method is called: Python 3.11 has an instruction for it, later ones an odd argument, or the latter behind the attribute
_METHOD = dis.opmap["LOAD_METHOD"] if sys.version_info < (3, 12) else None
_NULL = dis.opmap["PUSH_NULL"] if sys.version_info >= (3, 13) else None
_BETWEEN = {dis.opmap["CACHE"], dis.opmap["EXTENDED_ARG"]}


def rebound_copy(function: FunctionType, rebinder: "Rebinder") -> FunctionType:
    """The same function, with `rebinder.rebind` applied to every global, builtin, closure variable and default."""
    original, rebind = function.__code__, rebinder.rebind
    lines.learn(original, function.__globals__)
    _refuse_own_names(function, rebinder)
    code, obstacle = _code(function)
    namespace = _namespace(function, rebinder) | {"__nbad__": rebinder.flow, "__nbad_obstacle__": obstacle}
    cells = dict(zip(original.co_freevars, function.__closure__ or (), strict=True))
    closure = tuple(_cell(name, cells[name], rebinder, id(function) in rebinder.made) for name in code.co_freevars)
    copy = FunctionType(code, namespace, function.__name__, None, closure)
    copy.__defaults__ = tuple(map(rebind, function.__defaults__ or ()))
    copy.__kwdefaults__ = {name: rebind(value) for name, value in (function.__kwdefaults__ or {}).items()}
    names = original.co_varnames[: original.co_argcount][-len(copy.__defaults__) :]
    for name, value in (*zip(names, copy.__defaults__, strict=False), *copy.__kwdefaults__.items()):
        rebinder.flow.adopt(name, value)
    return copy


def _refuse_own_names(function: Any, rebinder: "Rebinder") -> None:
    """Refuse names that what nbad writes into copies has, and by which copies are told from other functions."""
    if isinstance(function.__builtins__, _Live):  # it was made in a copy
        return
    for code in _codes(function.__code__):
        names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars, *code.co_names)
        name = next((name for name in names if is_own(name)), None)
        if name is not None:
            fix = f"{name.replace('nbad', 'my')} = ...  # another name: nbad's own begin so"
            raise rebinder.trace.refusal(f"has a variable `{name}`", fix, line=lines.definition_line(code))


def _code(function: Any) -> tuple[CodeType, str | None]:
    """The code to run, and why it is not rewritten, if that is for want of source."""
    original = function.__code__
    # straight-line code needs no source: it runs at a prompt and from `exec` too
    if not any(map(_needs_rewriting, _codes(original))) and not any(map(is_of_users, _outer(function))):
        return original, None
    try:
        return rewritten(original, original.co_filename), None
    except NoSource as reason:
        return original, str(reason)


def _outer(function: Any) -> Iterator[Any]:
    """What the names of a function's outer variables hold."""
    builtins = function.__builtins__
    outer = builtins.outer if isinstance(builtins, _Live) else function.__globals__
    yield from (outer[name] for code in _codes(function.__code__) for name in code.co_names if name in outer)
    yield from (cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY)


@functools.lru_cache(maxsize=4096)  # every trace asks it of every function
def _needs_rewriting(code: CodeType) -> bool:
    """Whether anything but straight-line arithmetic, calls and loops over sequences is in the code, or such an attribute."""
    if not _ATTRIBUTES.isdisjoint(code.co_names):
        return True
    # two bytes each, operation and argument, in all versions of Python so far that nbad runs on
    instructions = code.co_code[::2]
    if not _REWRITTEN.isdisjoint(instructions) or ("range" in code.co_names and _FOR in instructions):
        return True
    pairs = list(zip(instructions, code.co_code[1::2], strict=True))
    return _calls_others(code, pairs) or any(
        name == dis.opmap["BINARY_OP"] and argument in _SUBSCRIPT for name, argument in pairs
    )


def _calls_others(code: CodeType, pairs: list[tuple[int, int]]) -> bool:
    """Whether code calls anything but globals and what is in them: a method of an object, a function out of a list."""
    calls = sum(name in _CALLS for name, _ in pairs)
    known = sum(isinstance(inner, CodeType) and inner.co_name in _INLINE for inner in code.co_consts)  # each is called once
    of_global = False  # what is loaded last
    for name, argument in pairs:
        if name == dis.opmap["LOAD_GLOBAL"]:
            of_global, known = True, known + argument % 2  # odd where it is called
        elif of_global and (name == _METHOD or name == dis.opmap["LOAD_ATTR"]):
            known += name == _METHOD or (_METHOD is None and argument % 2)
        elif name not in _BETWEEN:
            known += of_global and name == _NULL
            of_global = False
    return calls != known


def _namespace(function: Any, rebinder: "Rebinder") -> dict[str, Any]:
    """The function's globals; names that its code mentions are looked up where the original has them, whenever they are read."""
    outer, builtins = function.__globals__, function.__builtins__
    if isinstance(builtins, _Live):  # it was made in a copy
        outer, builtins = builtins.outer, builtins.builtins
    mentioned = {name for code in _codes(function.__code__) for name in code.co_names}
    # imports inside the function are to give stand-ins too
    load = builtins["__import__"]
    imported = {"__import__": lambda *args, **kwargs: rebinder.rebind(load(*args, **kwargs))}
    rest = {name: value for name, value in builtins.items() if name not in mentioned}
    names = {name: value for name, value in outer.items() if name not in mentioned or name[:2] == "__"}
    live = _Live(rest | imported, outer, builtins, rebinder)
    for name in mentioned & (outer.keys() | builtins.keys()):
        live[name]  # branches are to know of what it holds
    rebinder.flow.adopt("a variable", Globals(outer, mentioned & outer.keys()))
    return names | {"__builtins__": live}


class _Live(dict):
    """What a copy's namespace has not: builtins, and globals as they are now, for calls of other functions may change these."""

    def __init__(self, known: dict[str, Any], outer: dict[str, Any], builtins: dict[str, Any], rebinder: "Rebinder") -> None:
        super().__init__(known)
        self.outer, self.builtins, self._rebinder = outer, builtins, rebinder
        self._found: dict[str, tuple[Any, Any]] = {}  # each with its stand-in

    def __missing__(self, name: str) -> Any:
        value = self.outer.get(name, self.builtins.get(name, _MISSING))
        if value is _MISSING:
            raise KeyError(name)
        found = self._found.get(name)
        if found is None or found[0] is not value:
            found = self._found[name] = value, _rebound(name, value, self._rebinder)
        return found[1]


def _rebound(name: str, value: Any, rebinder: "Rebinder") -> Any:
    new = rebinder.rebind(value)
    rebinder.flow.adopt(name, new)
    if is_of_users(value):  # its operators and properties run as they are
        rebinder.adopt_reach(value, name)
    return new


def _cell(name: str, cell: CellType, rebinder: "Rebinder", is_own: bool) -> CellType:
    try:
        value = cell.cell_contents
    except ValueError:
        return CellType()
    # `__class__` is for `super()`; the kernel's own objects may be written to
    if name == "__class__" or (is_own and has_methods(value)):
        return CellType(value)
    return CellType(rebinder.rebind(value) if is_own else _rebound(name, value, rebinder))


def made_by(function: FunctionType, result: Any) -> dict[int, Any]:
    """The functions in what a function has returned that it made itself, by identity."""
    codes = {*_codes(function.__code__)} - {function.__code__}
    within = Heap([("", result)]).seen if codes else {}
    return {key: made for key, made in within.items() if isinstance(made, FunctionType) and made.__code__ in codes}


def reach(value: Any, path: str) -> list[tuple[str, Any]]:
    """What a function or class that runs as it is may write to: what it leads to, and outer variables of functions there."""
    home = home_of(value)
    found: list[tuple[str, Any]] = [(Distant(path, home), value)]
    heap, done = Heap(found), set[Any]()
    while new := [f for f in heap.seen.values() if isinstance(f, FunctionType) and f not in done and is_users(f)]:
        done.update(new)
        added: list[tuple[str, Any]] = []
        for function in new:
            outer, names = function.__globals__, {name for code in _codes(function.__code__) for name in code.co_names}
            cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)  # it may set them, too
            held = [(name, outer[name]) for name in sorted(names & outer.keys())]
            modules = [module for _, module in held if isinstance(module, ModuleType) and not is_known(module.__name__)]
            added += [("a variable", Globals(variables, names & variables.keys())) for variables in (outer, *map(vars, modules))]
            added += [*held, *cells]
        added = [(Distant(name, home), held) for name, held in added]
        heap.add(added)
        found += added
    return found[::-1]  # each under its own name first


def outer_write(function: FunctionType) -> tuple[str, lines.Line] | None:
    """The first variable of an outer function or module that the function or one in it assigns, and the line; else None."""
    root = function.__code__
    if not any(_STORES.intersection(code.co_code[::2]) for code in _codes(root)):
        return None
    for code in _codes(root):
        for instruction in dis.get_instructions(code):
            if _writes_out(instruction, root, code):
                return instruction.argval, lines.line_of(code, lines.line_number(instruction))
    return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code and those of the functions nested in it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _writes_out(instruction: dis.Instruction, root: CodeType, code: CodeType) -> bool:
    """A comprehension may assign a variable of the function around it, by `:=`."""
    if instruction.opname in _GLOBAL_STORES:
        return True
    is_outer = instruction.argval in (root if code.co_name in _INLINE else code).co_freevars
    return instruction.opname in _OUTER_STORES and is_outer
