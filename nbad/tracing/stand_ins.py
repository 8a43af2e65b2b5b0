"""What stands for an outer object inside one trace: modules, functions, classes and methods, bound again to know traced values.

A kernel runs as a copy (`nbad.tracing.copies`) whose outer names hold stand-ins. No module is patched, and what is called without
any traced value is called as it is.
"""

import copy
import functools
import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from nbad import lines
from nbad.branching.flow import Flow
from nbad.graphs.failures import first_causes, may_fail
from nbad.graphs.interpreter import evaluate
from nbad.graphs.kernels import KernelLike, is_kernel
from nbad.language import arrays, masks, meanings, vocabulary
from nbad.language.trace import Trace
from nbad.language.values import Perhaps, Tracer, first_traced
from nbad.rewriting.unseen import asking_method
from nbad.tracing import copies, origins, roots

Answer = Callable[["Rebinder", Any, str, tuple[Any, ...], dict[str, Any]], Any]
DEEPEST_RECURSION = 100
_ASYNCHRONOUS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_IMPURE = ("random", "secrets", "time", "numpy.random")
# what to write for a verb in a kernel, where that is not the gradient
_VERBS = {
    "nbad.bind": "f(x)  # the kernel itself",
    "nbad.indexed": "f(nbad.indexed(a, i))  # outside, in the call of the kernel",
    "nbad.value_and_grad(f)": "f(x), nbad.grad(f)(x)",
    "nbad.value_and_jacobian(f)": "f(x), nbad.grad(f)(x)",
    "nbad.hessian(f)": "nbad.grad(nbad.grad(f))(x)",
    "nbad.hvp": "nbad.grad(nbad.grad(f))(x) * v",
    "nbad.jvp": "nbad.grad(f)(x) * x_dot",
}
_PLAIN = (float, int, complex, str, bytes, type(None), np.generic)
# what a kernel may take out of a container or an object, and call
_REACHED = (FunctionType, BuiltinFunctionType, np.ufunc, functools.partial, origins.CachedFunction)


class StandIn:
    """Stands for `original` in a kernel: `answer(rebinder, original, path, args, kwargs)` a call, attributes have stand-ins."""

    __slots__ = ("_answer", "_original", "_path", "_rebinder")

    def __init__(self, original: Any, path: str, rebinder: "Rebinder", answer: Answer) -> None:
        put = functools.partial(object.__setattr__, self)  # its own `__setattr__` refuses
        put("_original", original)
        put("_path", path)
        put("_rebinder", rebinder)
        put("_answer", answer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._answer(self._rebinder, self._original, self._path, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            found = getattr(self._original, name)
        except AttributeError:
            if not isinstance(self._original, ModuleType) or name.startswith("_"):
                raise
            raise vocabulary.missing(self._rebinder.trace, self._original, name) from None
        return self._rebinder.rebind(found, f"{self._path}.{name}")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise self._rebinder.trace.refusal(f"writes the attribute `{name}` of `{self._path}`", "return the value instead")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._original, memo)  # which is the kernel's own

    def __repr__(self) -> str:
        return repr(self._original)

    def __eq__(self, other: Any) -> bool:
        return self._original == _original(other)

    def __hash__(self) -> int:
        return hash(self._original)

    # `isinstance(x, int | float)`: the names of types are stand-ins too
    def __or__(self, other: Any) -> Any:
        return self._original | _original(other)

    def __ror__(self, other: Any) -> Any:
        return other | self._original

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._original,)  # of `class Length(float)` in a kernel

    def __instancecheck__(self, instance: Any) -> bool:
        if type(instance) is Perhaps:
            raise self._rebinder.trace.refusal_of("perhaps")
        return isinstance(instance, self._original)

    def __subclasscheck__(self, subclass: Any) -> bool:
        return issubclass(_original(subclass), self._original)

    # `isinstance` asks for it: a stand-in is of the class that its original is of
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._original)

    @property
    def dtype(self) -> Any:
        """NumPy asks for it where a type, such as float, is passed as a dtype."""
        return np.dtype(self._original) if isinstance(self._original, type) else self.__getattr__("dtype")


def _answering(answer: Answer) -> Callable[["Rebinder", Any, str], StandIn]:
    """What makes stand-ins that answer calls in a way."""
    return lambda rebinder, value, path: StandIn(value, path, rebinder, answer)


class _Known(NamedTuple):
    """What stands for a value; holding the value keeps its identity its own."""

    stand_in: Any
    original: Any


class Rebinder:
    """The stand-ins of one trace, each made when it is first needed."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.flow = Flow(trace, _original, self.reached)
        self._known: dict[int, _Known] = {}
        self._copies: dict[FunctionType, FunctionType] = {}
        self._depth: Counter[FunctionType] = Counter()
        self._plain: dict[int, Any] = {}  # what may run as it is in branches
        self.made = dict[int, Any]()  # functions that were made in the trace by code that ran as it is, by identity

    def rebind(self, value: Any, path: str | None = None) -> Any:
        """The stand-in for an outer value, or the value itself where none is needed."""
        if isinstance(value, StandIn) and value._rebinder is not self:  # of a kernel around this one
            return self.rebind(value._original, value._path)
        if isinstance(value, _UNTOUCHED):
            return value
        if isinstance(value, MethodType):
            return self._stand_in(value, path or vocabulary.path_of(value))
        known = self._known.get(id(value))
        if known is None:
            known = self._known[id(value)] = _Known(self._stand_in(value, path or vocabulary.path_of(value)), value)
            if path is not None:
                self.flow.adopt(path, known.stand_in)
        return known.stand_in

    def reached(self, value: Any) -> Any:
        """What stands for a function that the kernel reached by another way than its name; other values as they are.

        The object of a method stays what it is: the kernel may have made it, and write to it.
        """
        if isinstance(value, StandIn):
            return value
        if isinstance(value, MethodType):
            function = value.__func__ if origins.is_own(value.__func__) else self.reached(value.__func__)
            return value if function is value.__func__ else MethodType(function, value.__self__)
        if origins.sets_up(value):
            return functools.partial(self._made, value)
        if not (isinstance(value, _REACHED) or is_kernel(value)):
            call = origins.called(value)  # of an object that the kernel may have made
            return MethodType(self.reached(call), value) if origins.is_users(call) else value
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType):
            return self.flow.method(value)
        is_made_here = "__nbad__" in getattr(value, "__globals__", ())
        return value if is_made_here else self.rebind(value)

    def copy(self, function: FunctionType) -> FunctionType:
        """The copy of a Python function that runs in the trace."""
        written = copies.outer_write(function)
        if written is not None:
            name, line = written
            raise self.trace.refusal(f"assigns the outer variable `{name}`", f"return {name}", line=line)
        if function.__code__.co_flags & _ASYNCHRONOUS:
            line = lines.definition_line(function.__code__)
            what = f"runs `{function.__qualname__}`, which is asynchronous"
            raise self.trace.refusal(what, f"def {function.__name__}(...):  # without `async`", line=line)
        return copies.rebound_copy(function, self)

    def _stand_in(self, value: Any, path: str) -> Any:
        make = next((make for applies, make in _RULES if applies(value, path)), None)
        is_class = isinstance(value, type)
        cls: Any = value if is_class else type(value)
        if (make is None or is_class) and (method := asking_method(cls)):
            raise self.trace.refusal_of("type", name=f"{path}.{method}")
        return value if make is None else make(self, value, path)

    @_answering
    def _namespace(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if origins.sets_up(value):
            return self._made(value, *args, **kwargs)
        return self._function_made(_call(value, args, kwargs))

    def _made(self, cls: Any, *args: Any, **kwargs: Any) -> Any:
        """An object of a class whose objects a function of the user's sets up."""
        if _is_plain((args, kwargs)):
            self.adopt_reach(cls, cls.__qualname__)
            return _call(cls, args, kwargs)
        new = object.__new__(cls)
        if origins.is_generated(cls.__init__):  # of a dataclass: it calls this by the object, which has it until then
            ended = None

            def finish(*given: Any) -> None:
                nonlocal ended
                del vars(new)["__post_init__"]
                ended = self.reached(new.__post_init__)(*given)

            vars(new)["__post_init__"] = finish
            cls.__init__(new, *args, **kwargs)
        else:
            ended = self.rebind(cls.__init__)(new, *args, **kwargs)
        has_ended = isinstance(ended, Tracer) and ended._node == self.trace.nothing()._node
        return ended if has_ended else new

    def _function_made(self, result: Any) -> Any:
        """What a library returns, with a stand-in where that is a function that knows traced values: a spline, a polynomial."""
        return self.rebind(result) if vocabulary.made(result) else result

    @_answering
    def _object(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.rebind(value.__call__)(*args, **kwargs)

    def _module(self, value: ModuleType, path: str) -> StandIn:
        return self._namespace(value, value.__name__)

    @_answering
    def _type(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`type(x) is float` must see the stand-in of float on both sides."""
        if len(args) != 1:
            return _call(type, args, kwargs)
        if type(args[0]) is Perhaps:
            raise self.trace.refusal_of("perhaps")
        return self.rebind(_original(args[0]).__class__)

    @_answering
    def _library_function(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._function_made(self.trace.call(value, *_originals(args, kwargs), path))

    @_answering
    def _kernel(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Another nbad kernel; without traced arguments it runs, compiled, if it can: else the elements that get here raise."""
        given = _originals(args, kwargs)
        if masks.holds_masked(*given):
            return masks.lifted(self.trace, lambda *args, **kwargs: self.trace.splice(value, args, kwargs), *given)
        if first_traced((args, kwargs)) is None and not _raises(value, *given):
            return meanings.call_plain(self.trace, value, *given)
        return self.trace.splice(value, *given)

    @_answering
    def _verb(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function of nbad itself: it takes and makes kernels, but takes no traced values."""
        if first_traced((args, kwargs)) is not None:
            raise self.trace.refusal(f"calls `{path}` with a traced value", _VERBS.get(path, "nbad.grad(f)(x)"))
        return self.rebind(_call(value, args, kwargs), f"{path}(f)")

    @_answering
    def _solver(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A root finder: what it solves runs in the trace, and sees traced values around it."""
        return roots.solved_by(self.trace, value, path, args, kwargs)

    @_answering
    def _impure(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        what = f"calls `{path}`, whose value in the first trace would be kept for ever"
        raise self.trace.refusal(what, "pass the value as an argument")

    @_answering
    def _warn(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """`warnings.warn`, for the elements that get there."""
        args, kwargs = _originals(args, kwargs)
        given = dict(zip(("message", "category", "stacklevel", "source"), args, strict=False)) | kwargs
        if not self.flow.notes_warning(given):
            value(**given | {"stacklevel": given.get("stacklevel", 1) + 2})  # this function, and what calls it

    def _partial(self, value: functools.partial, path: str) -> functools.partial:
        keywords = {name: self.rebind(argument) for name, argument in value.keywords.items()}
        return functools.partial(self.rebind(value.func), *map(self.rebind, value.args), **keywords)

    def _method(self, value: MethodType, path: str) -> MethodType:
        return MethodType(self.rebind(value.__func__), self.rebind(value.__self__))

    @_answering
    def _helper(self, value: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        function: Any = origins.python_function(value)  # there is one, by the rule
        self.flow.check_handled(function.__code__)
        with self.flow.operand():
            if not _is_plain((args, kwargs)) or (id(function) in self.made and self.flow.heaps()):
                return self._descend(function, args, kwargs)
            if self.flow.heaps():
                self.adopt_reach(function, path)
            result = meanings.made(self.trace, _call(value, args, kwargs))
            # a cache, or a variable of the function's, holds it too
            if sys.getrefcount(result) > _ALONE and all(known is not result for _, known in self.flow.outer):
                self.flow.adopt(f"{path}()", result)
            made = copies.made_by(function, result) if function is value else {}  # else it may be out of a cache
            if made:
                self.adopt_reach(function, path)
                self.made |= made
            return result
        return self.trace.nothing()

    def adopt_reach(self, value: Any, path: str) -> None:
        """Let branches know what code may write to that runs as it is, for some elements only."""
        if id(value) not in self._plain:
            self._plain[id(value)] = value
            for name, held in copies.reach(value, path):
                self.flow.adopt(name, held)

    def _descend(self, function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # a recursion that ends by a plain count is fine; one that asks a traced value never ends
        if self._depth[function] >= DEEPEST_RECURSION:
            raise self.trace.refusal(f"calls `{function.__qualname__}`, which is recursive", "for _ in range(n):  # a fixed n")
        self._depth[function] += 1
        try:
            if function not in self._copies:
                self._copies[function] = self.copy(function)
            return self._copies[function](*args, **kwargs)
        finally:
            self._depth[function] -= 1


def _references() -> int:
    result = object()
    return sys.getrefcount(result)


_ALONE = _references()
_UNTOUCHED = (*_PLAIN, Tracer, StandIn)


def _original(value: Any) -> Any:
    return value._original if isinstance(value, StandIn) else value


def _call(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call an outer object as it is."""
    args, kwargs = _originals(args, kwargs)
    return value(*args, **kwargs)


def _raises(kernel: KernelLike, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a kernel raises, or warns, for plain numbers."""
    traced, operands, cores = kernel.bind_traced(args, kwargs)
    causes = may_fail(traced.graph)
    if not (causes or traced.flags) or [np.shape(operand) for operand in operands] != cores:
        return False
    slots = [slot for operand in operands for slot in np.ravel(operand)]
    numbers = traced.flags.numbers if traced.flags else ()
    return any(map(bool, evaluate(first_causes(traced.graph, causes, traced.flags, numbers), *slots)))


def _originals(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    # a function `key=` may see traced values
    return tuple(map(_original, args)), {name: arg if name == "key" else _original(arg) for name, arg in kwargs.items()}


def _is_plain(value: Any) -> bool:
    """Whether a value is data through and through: numbers, strings, arrays, and containers of them."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, Tracer):
        return False
    return isinstance(value, _PLAIN) or (isinstance(value, np.ndarray) and not arrays.holds_objects(value))


# The first rule that applies makes the stand-in; what no rule applies to stands for itself.
_RULES = (
    (lambda value, path: value is type, Rebinder._type),
    (lambda value, path: isinstance(value, ModuleType), Rebinder._module),
    (lambda value, path: vocabulary.find(value) is not None, Rebinder._library_function),
    (lambda value, path: is_kernel(value), Rebinder._kernel),
    (lambda value, path: roots.problem_of(value) is not None, Rebinder._solver),
    (lambda value, path: origins.is_own(value), Rebinder._verb),
    (lambda value, path: origins.is_from(path, _IMPURE) and not isinstance(value, type), Rebinder._impure),
    (lambda value, path: value is warnings.warn, Rebinder._warn),
    (lambda value, path: isinstance(value, functools.partial), Rebinder._partial),
    (lambda value, path: isinstance(value, MethodType) and origins.is_users(value.__func__), Rebinder._method),
    (lambda value, path: origins.is_users(origins.python_function(value)), Rebinder._helper),
    (
        lambda value, path: isinstance(value, type) and (origins.has_functions(value) or vocabulary.makes(value)),
        Rebinder._namespace,
    ),
    (lambda value, path: origins.has_methods(value), Rebinder._object),
    (
        lambda value, path: not isinstance(value, type) and callable(value) and origins.is_numeric(value),
        Rebinder._library_function,
    ),
)
