"""Whose an outer value is, the user's or a library's, and what it is used as: by this its stand-in is chosen."""

import functools
import inspect
from types import FunctionType
from typing import Any

from nbad import lines
from nbad.graphs.kernels import is_kernel
from nbad.language import vocabulary

CachedFunction = type(functools.cache(lambda: None))
_NUMERIC = frozenset(
    "autograd cmath cupy jax math mpmath numba numexpr numpy random scipy secrets statistics sympy tensorflow time torch".split()
)
# an object that overloads any of these is used by more than attributes and calls, where no stand-in could stand for it
_OVERLOADS = {name for kind in (float, int, dict, list) for name in dir(kind) if name[:2] == "__"} - set(dir(object)) | {
    "__getattr__", "__setattr__", "__enter__", "__array__", "__array_ufunc__",
}  # fmt: skip


def python_function(value: Any) -> FunctionType | None:
    """The Python function in a function, a cached function, or a function compiled by Numba; else None."""
    if isinstance(value, CachedFunction):
        return python_function(value.__wrapped__)
    if str(type(value).__module__).startswith("numba."):
        return getattr(getattr(value, "_dispatcher", value), "py_func", None)
    return value if isinstance(value, FunctionType) else None


def called(value: Any) -> Any:
    """What Python runs where an object is called; None where nothing is."""
    return next((vars(base)["__call__"] for base in type(value).__mro__ if "__call__" in vars(base)), None)


def is_users(function: Any) -> bool:
    """Whether a Python function is neither nbad's nor a library's."""
    is_outer = isinstance(function, FunctionType) and not is_own(function)
    return is_outer and not is_known(str(function.__globals__.get("__name__")))


def is_own(value: Any) -> bool:
    """Whether a function is nbad's, or what one of its verbs returned."""
    function = value if isinstance(value, FunctionType) else called(value)
    return isinstance(function, FunctionType) and function.__code__.co_filename.startswith(lines.PACKAGE)


def is_known(module: str) -> bool:
    """Whether a module belongs to Python or to a library that computes with numbers."""
    top = module.partition(".")[0]
    return top in lines.LIBRARIES or top in _NUMERIC


def is_numeric(value: Any) -> bool:
    """Whether a callable belongs to a library that computes with numbers, or is compiled code outside Python's own library."""
    module = vocabulary.module_of(value)
    is_python = isinstance(value, FunctionType) or isinstance(called(value), FunctionType)
    return module.partition(".")[0] in _NUMERIC or not (is_python or is_known(module))


def has_functions(cls: type) -> bool:
    """Whether a class offers static or class methods, so that it serves as a namespace."""
    return type(cls) is type and any(name[0] != "_" and isinstance(m, (staticmethod, classmethod)) for name, m in _members(cls))


def sets_up(value: Any) -> bool:
    """Whether objects of a class are made by Python's own `__new__`, and a function of the user's with source sets them up."""
    if not isinstance(value, type) or type(value).__call__ is not type.__call__ or value.__new__ is not object.__new__:
        return False
    begin = inspect.getattr_static(value, "__init__")
    return is_users(begin) and not (is_generated(begin) and (not hasattr(value, "__post_init__") or not value.__dictoffset__))


def is_of_users(value: Any) -> bool:
    """Whether an outer value is a class of the user's, or an object of one: it may have methods that no stand-in stands for."""
    return not is_known(str((value if isinstance(value, type) else type(value)).__module__))


def is_generated(function: FunctionType) -> bool:
    """Whether the module dataclasses has made a function."""
    return function.__code__.co_filename == "<string>"


def has_methods(value: Any) -> bool:
    """Whether a user's object is used through its attributes and calls only, and some of these are methods."""
    members = () if is_known(str(type(value).__module__)) else tuple(_members(type(value)))
    methods = {name for name, member in members if isinstance(member, FunctionType) or is_kernel(member)}
    return _OVERLOADS.isdisjoint(name for name, _ in members) and any(name[0] != "_" or name == "__call__" for name in methods)


def _members(cls: type) -> list[tuple[str, Any]]:
    return [item for base in cls.__mro__[:-1] for item in vars(base).items()]


def is_from(path: str, modules: tuple[str, ...]) -> bool:
    """Whether a dotted path is that of one of these modules, or of what is in them."""
    return any(path == module or path.startswith(module + ".") for module in modules)
