"""A user's scalar function as C functions that report errors instead of raising them."""

import ctypes
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import NumbaError
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic

from nbad.errors import ArgumentTypeError
from nbad.memo import Memo
from nbad.runtime.failures import noted


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
    def value(self) -> Any:
        """The value; nan where the implementation raises, which is noted."""
        return self._made("value", lambda: self._c_function(_value_or_nan))

    @property
    def failure(self) -> Any:
        """1 where the implementation raises, else 0."""
        return self._made("failure", lambda: self._c_function(_is_error))

    def _c_function(self, answer: Callable[..., Any]) -> Any:
        attempt, names = _attempt(self._function(), answer), ", ".join(f"x{k}" for k in range(self.arity))
        wrapper = eval(f"lambda {names}: attempt(({names},))", {"attempt": attempt})
        return numba.cfunc(numba.float64(*[numba.float64] * self.arity))(wrapper)

    def _function(self) -> Any:
        """The implementation for floats, as code of Numba's own kind, which reports errors by a status."""
        return self._made("function", self._compiled)

    def _compiled(self) -> Any:
        function = self.implementation
        if hasattr(function, "py_func"):
            names = ", ".join(f"x{k}" for k in range(self.arity))
            function = eval(f"lambda {names}: implementation({names})", {"implementation": function})
        # not `numba.njit`, which does nothing where NUMBA_DISABLE_JIT is set
        dispatcher = CPUDispatcher(function, targetoptions={"nopython": True, "error_model": "numpy"})
        signature = numba.float64(*[numba.float64] * self.arity)
        try:
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

    def __call__(self, *operands: Any) -> np.ndarray:
        """Values on arrays, nan where the implementation raises."""
        return np.vectorize(self.value.ctypes, otypes=[float])(*operands)

    def fails(self, *operands: Any) -> np.ndarray:
        """Where it raises, as 1 and 0."""
        return np.vectorize(self.failure.ctypes, otypes=[float])(*operands)


def _attempt(compiled: Any, answer: Callable[..., Any]) -> Any:
    """What calls compiled code with a tuple of operands; `answer` makes the result of its status and value."""

    @intrinsic
    def attempt(typingctx, operands):
        def codegen(context, builder, signature, args):
            context.active_code_library.add_linking_library(compiled.library)
            each = cgutils.unpack_tuple(builder, args[0])
            status, value = context.call_internal_no_propagate(builder, compiled.fndesc, compiled.signature, each)
            if compiled.signature.return_type != types.float64:  # it always raises
                value = context.get_constant(types.float64, float("nan"))
            return answer(context, builder, status, value)

        return types.float64(operands), codegen

    return attempt


def _value_or_nan(context: Any, builder: Any, status: Any, value: Any) -> Any:
    with cgutils.if_unlikely(builder, status.is_error):
        counter = context.get_constant(types.intp, ctypes.addressof(noted))
        counter = builder.inttoptr(counter, ir.IntType(64).as_pointer())
        builder.atomic_rmw("add", counter, ir.IntType(64)(1), "monotonic")
        _forget(context, builder, status)
    return builder.select(status.is_error, value.type(float("nan")), value)


def _is_error(context: Any, builder: Any, status: Any, value: Any) -> Any:
    with cgutils.if_unlikely(builder, status.is_error):
        _forget(context, builder, status)
    return builder.uitofp(status.is_error, value.type)


def _forget(context: Any, builder: Any, status: Any) -> None:
    """Let go of an error: of the room for arguments that are known at run time only, or of Python's own, if Python raised it."""
    with cgutils.if_unlikely(builder, status.is_python_exc):
        python = context.get_python_api(builder)
        state = python.gil_ensure()
        python.err_clear()
        python.gil_release(state)
    with cgutils.if_unlikely(builder, status.is_user_exc):
        error = builder.load(status.excinfoptr)
        operands, is_dynamic = (builder.extract_value(error, k) for k in (2, 4))
        with builder.if_then(builder.icmp_signed(">", is_dynamic, is_dynamic.type(0))):
            # not by Numba's own way, which needs the interpreter's lock and loses a reference each time
            context.nrt.free(builder, operands)
            context.nrt.free(builder, builder.bitcast(status.excinfoptr, cgutils.voidptr_t))
