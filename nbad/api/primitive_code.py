"""The C functions of a primitive of the user's: compiled from a scalar function, to report errors, or brought from elsewhere."""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, sigutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher, cpu_target

from nbad.errors import ArgumentTypeError
from nbad.forks import IMPORTS
from nbad.memo import Memo
from nbad.runtime.failures import noted

DOUBLE, COUNT = ir.DoubleType(), ir.IntType(64)
OPERANDS, IS_DYNAMIC = 2, 4  # fields of what Numba says of an error
NAMES = ("x", "y", "z")  # of parameters; where there are more, they are numbered
CALLBACK = "CThunkObject"  # what ctypes holds of a Python function


class Function(NamedTuple):
    """A C function of doubles: for ctypes, its address, and what owns its code."""

    call: Callable[..., float]
    address: int
    library: Any


class Compiled:
    """The C functions of one implementation, compiled when they are first asked for.

    Parameters
    ----------
    call : str
        What made it, as the user wrote it, for the message.
    implementation : function
        A Python function, or one that `numba.njit` made, whose own options hold.
    arity : int
    """

    def __init__(self, call: str, implementation: Any, arity: int) -> None:
        self.call, self.implementation, self.arity = call, implementation, arity
        self._made = Memo()

    @property
    def value(self) -> Function:
        """The value; nan where the implementation raises, which is noted."""
        return self._made("value", lambda: self._function("value", _value_or_nan))

    @property
    def failure(self) -> Function:
        """1 where the implementation raises, else 0."""
        return self._made("failure", lambda: self._function("failure", _is_error))

    def __call__(self, *operands: Any) -> np.ndarray:
        """Values on arrays, nan where the implementation raises."""
        return np.vectorize(self.value.call, otypes=[float])(*operands)

    def fails(self, *operands: Any) -> np.ndarray:
        """Where it raises, as 1 and 0."""
        return np.vectorize(self.failure.call, otypes=[float])(*operands)

    def _function(self, name: str, answer: Callable[..., Any]) -> Function:
        """A function around the implementation's code; `answer` makes the result of its status and value."""
        compiled, context = self._made("compiled", self._compile), cpu_target.target_context.subtarget(enable_nrt=True)
        with global_compiler_lock:
            name = f"{compiled.fndesc.llvm_func_name}.{name}"
            module = context.create_module(name)
            function = ir.Function(module, ir.FunctionType(DOUBLE, [DOUBLE] * self.arity), name)
            builder, kind = ir.IRBuilder(function.append_basic_block()), compiled.signature
            callee = context.declare_function(module, compiled.fndesc)
            status, value = context.call_conv.call_function(builder, callee, kind.return_type, kind.args, function.args)
            builder.ret(answer(context, builder, status, value if kind.return_type == types.float64 else DOUBLE(float("nan"))))
            library = context.codegen().create_library(name)
            library.add_ir_module(module)
            library.add_linking_library(compiled.library)
            library.finalize()
            address = library.get_pointer_to_function(name)
        return Function(ctypes.CFUNCTYPE(*[ctypes.c_double] * (1 + self.arity))(address), address, library)

    def _compile(self) -> Any:
        """The implementation for floats as code of Numba's own kind, which reports errors by a status."""
        function, signature = self.implementation, numba.float64(*[numba.float64] * self.arity)
        if hasattr(function, "py_func"):
            names = ", ".join(f"x{k}" for k in range(self.arity))
            function = eval(f"lambda {names}: implementation({names})", {"implementation": function})
        # not `numba.njit`, which does nothing where NUMBA_DISABLE_JIT is set
        dispatcher = CPUDispatcher(function, targetoptions={"nopython": True, "error_model": "numpy"})
        try:
            with IMPORTS:
                dispatcher.compile(signature)
        except NumbaError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ArgumentTypeError(
                f"{self.call}: Numba does not compile the implementation for floats",
                got=" ".join(lines[:2]),
                expected=f"a function of {self.arity} floats that returns one float",
                fix="numba.njit(implementation)(1.0)  # shows more",
                source=None,
            ) from None
        return dispatcher.overloads[signature.args]


def _value_or_nan(context: Any, builder: Any, status: Any, value: Any) -> Any:
    with cgutils.if_unlikely(builder, status.is_error):
        counter = builder.inttoptr(COUNT(ctypes.addressof(noted)), COUNT.as_pointer())
        builder.atomic_rmw("add", counter, COUNT(1), "monotonic")
        _forget(context, builder, status)
    return builder.select(status.is_error, DOUBLE(float("nan")), value)


def _is_error(context: Any, builder: Any, status: Any, value: Any) -> Any:
    with cgutils.if_unlikely(builder, status.is_error):
        _forget(context, builder, status)
    return builder.uitofp(status.is_error, DOUBLE)


def _forget(context: Any, builder: Any, status: Any) -> None:
    """Let go of an error: of the room for arguments that are known at run time only, or of Python's own, if Python raised it."""
    with cgutils.if_unlikely(builder, status.is_python_exc):
        python = context.get_python_api(builder)
        state = python.gil_ensure()
        python.err_clear()
        python.gil_release(state)
    with cgutils.if_unlikely(builder, status.is_user_exc):
        error = builder.load(status.excinfoptr)
        operands, is_dynamic = (builder.extract_value(error, field) for field in (OPERANDS, IS_DYNAMIC))
        with builder.if_then(builder.icmp_signed(">", is_dynamic, is_dynamic.type(0))):
            # not by Numba's own way, which needs the interpreter's lock and loses a reference each time
            context.nrt.free(builder, operands)
            context.nrt.free(builder, builder.bitcast(status.excinfoptr, cgutils.voidptr_t))


class Pointer(NamedTuple):
    """A C function of doubles, with what keeps its code alive.

    Attributes
    ----------
    address, arity : int
    owner : object
    """

    address: int
    arity: int
    owner: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Those of its parameters."""
        return NAMES[: self.arity] if self.arity <= len(NAMES) else tuple(f"x{k}" for k in range(self.arity))

    @property
    def value(self) -> Function:
        """The function."""
        return Function(ctypes.CFUNCTYPE(*[ctypes.c_double] * (1 + self.arity))(self.address), self.address, self.owner)

    def of_arrays(self, *operands: Any) -> np.ndarray:
        """Values on arrays."""
        return np.vectorize(self.value.call, otypes=[float])(*operands)


def pointer_to(call: str, implementation: Any) -> Pointer | None:
    """The C function that an implementation is: one of ctypes, or a pair of address and signature; None for anything else.

    Raises
    ------
    ArgumentTypeError
        If it is one, but not of doubles alone; or a Python function behind an address.
    """
    if isinstance(implementation, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        return _of_ctypes(call, implementation)
    if isinstance(implementation, tuple) and len(implementation) == 2 and isinstance(implementation[0], int):
        return _of_pair(call, *implementation)
    return None


def _of_ctypes(call: str, function: Any) -> Pointer:
    if any(type(held).__name__ == CALLBACK for held in (function._objects or {}).values()):
        raise ArgumentTypeError(
            f"{call}: ctypes made this C function of a Python one, whose errors would be lost",
            got=repr(function),
            expected="the Python function itself",
            fix="lambda x: x * x  # in its place, whatever it is",
        )
    given = function.argtypes
    if function.restype is not ctypes.c_double or not given or any(kind is not ctypes.c_double for kind in given):
        raise ArgumentTypeError(
            f"{call}: ctypes does not say that this C function is one of doubles",
            got=f"argtypes={_listed(given)}, restype={getattr(function.restype, '__name__', None)}",
            expected="argtypes that are all ctypes.c_double, and such a restype",
            fix="function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double",
        )
    return Pointer(ctypes.cast(function, ctypes.c_void_p).value or 0, len(given), function)


def _listed(kinds: Any) -> str:
    return f"[{', '.join(kind.__name__ for kind in kinds)}]" if kinds else repr(kinds)


def _of_pair(call: str, address: int, signature: Any) -> Pointer:
    try:
        given, returned = sigutils.normalize_signature(signature)
    except (NameError, SyntaxError, TypeError, AttributeError):
        given, returned = (), None
    if not given or any(kind != types.float64 for kind in (*given, returned)):
        raise ArgumentTypeError(
            f"{call}: the signature is not that of a function of doubles",
            got=repr(signature),
            expected="text like 'float64(float64, float64)', or such a signature of Numba's",
            fix=f"({address}, 'float64(float64)')",
        )
    return Pointer(address, len(given), None)
