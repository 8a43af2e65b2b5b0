"""The Numba type of a kernel, and of what verbs make of it: as a global, a closure variable, an argument."""

import inspect
from collections import ChainMap
from typing import Any

from numba.core import types
from numba.core.imputils import lower_constant
from numba.core.serialize import NumbaPickler
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox

from nbad.api.kernel import Kernel
from nbad.errors import ArgumentTypeError
from nbad.njit.callees import VALUE, Callee, callee_of
from nbad.njit.calls import function_for
from nbad.njit.linking import keep_no_code
from nbad.verbs.jacobians import Made


class KernelType(types.Callable, types.Dummy):
    """The type of one callee: its name holds the hash of the graph, so that types of equal kernels are equal in every process.

    Attributes
    ----------
    callee : Callee or None
        None in a type that came from a cache, until a kernel of this type is met.
    """

    callee: Callee | None = None

    def __init__(self, callee: Callee):
        super().__init__(name=f"nbad.{callee.name} {callee.token}")

    @property
    def kernel(self) -> Kernel | None:
        """The kernel, to whom it is a static argument; None for what a verb made."""
        return self.callee.kernel if self.callee is not None and self.callee.form.verb == VALUE else None

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name}

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        """Compile the call, and tell what it returns."""
        assert self.callee is not None
        args, kws = tuple(map(_present, args)), {name: _present(kind) for name, kind in dict(kws).items()}
        called: Any = types.Dispatcher(function_for(self.callee, args, kws))
        signature = called.get_call_type(context, args, kws)
        return signature.replace(pysig=_Called.of(signature.pysig, called))

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        """None is known beforehand."""
        return [], True

    def get_impl_key(self, signature: Any) -> Any:
        """The code of the call."""
        return signature.pysig.called.get_impl_key(signature)


def _present(kind: Any) -> Any:
    """The type of what may be None as of what is not: Numba tests for that at the call."""
    return kind.type if isinstance(kind, types.Optional) else kind


class _Called(inspect.Signature):
    """The signature of a call, and the function that was compiled for it."""

    __slots__ = ("called",)
    called: Any

    @classmethod
    def of(cls, signature: inspect.Signature, called: Any) -> "_Called":
        made = cls(list(signature.parameters.values()))
        made.called = called
        return made


def _in_a_key(kernel: Kernel) -> Any:
    """How Numba pickles a kernel that a caller closes over: one without a name cannot travel, but be part of a cache's key."""
    try:
        return kernel.__reduce__()
    except ArgumentTypeError:
        return _lost, (type_of(kernel).name,)


def _lost(name: str) -> Any:
    raise ArgumentTypeError(
        f"{name} cannot be pickled: it is not found by a name",
        got="a kernel that compiled code closes over",
        expected="a kernel at the top level of a module",
        fix="import cloudpickle, which pickles kernels by value, or define it with `def` at the top level",
    )


def type_of(made: Kernel | Made) -> KernelType:
    """The type of a kernel, or of what a verb made of one."""
    callee = callee_of(made)
    return callee.remember("type", lambda: type_of_callee(callee))


def type_of_callee(callee: Callee) -> KernelType:
    """The type, which may have come from a cache before the kernel was met."""
    found = KernelType(callee)
    found.callee = callee
    return found


def _type_of_made(made: Made, context: Any) -> KernelType:
    return type_of(made)


def _constant(context: Any, builder: Any, kind: KernelType, value: Any) -> Any:
    if callee_of(value).named is None:
        keep_no_code(builder)
    return context.get_dummy_value()


def _unboxed(kind: KernelType, value: Any, c: Any) -> Any:
    return NativeValue(c.context.get_dummy_value())


def register() -> None:
    """Tell Numba what a kernel is in compiled code: nothing but its type."""
    register_model(KernelType)(models.OpaqueModel)
    typeof_impl.register(Made)(_type_of_made)
    lower_constant(KernelType)(_constant)
    unbox(KernelType)(_unboxed)
    NumbaPickler.dispatch_table = ChainMap({Kernel: _in_a_key}, NumbaPickler.dispatch_table)
