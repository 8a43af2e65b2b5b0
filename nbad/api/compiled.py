"""A user's scalar function as C functions that report errors instead of raising them."""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher, cpu_target

from nbad.errors import ArgumentTypeError
from nbad.forks import IMPORTS
from nbad.memo import Memo
from nbad.runtime.failures import noted

DOUBLE, COUNT = ir.DoubleType(), ir.IntType(64)
OPERANDS, IS_DYNAMIC = 2, 4  # fields of what Numba says of an error


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
