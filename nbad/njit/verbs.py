"""nbad's verbs where compiled code asks for them: `nbad.grad(f)` and its kin are known when the call is typed."""

from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from nbad.njit.callees import JVP, VALUE, Form, callee_in
from nbad.njit.calls import TUPLES
from nbad.njit.typing import KernelType, type_of, type_of_callee
from nbad.verbs.gradients import grad, hessian, hvp, value_and_grad
from nbad.verbs.jacobians import jacobian, value_and_jacobian
from nbad.verbs.pushforward import jvp, linearize
from nbad.verbs.vjp import vjp

PUSH = """\
def push(f, primals, tangents):
    return made()({passed})
"""


def _kernel(kind: Any, verb: str) -> Any:
    """The kernel that a verb is given; None where it is given something else, of which Numba says so."""
    if not isinstance(kind, KernelType) or kind.callee is None:
        return None
    if kind.callee.form.verb != VALUE:
        raise TypingError(f"nbad.{verb}(f, ...): f is {kind.callee.name}, expected a kernel")
    return kind.callee.kernel


def _constant(kind: Any, name: str, default: Any) -> Any:
    """The value of an argument of a verb, which the caller writes out."""
    if kind is default or isinstance(kind, str | int | tuple) or kind is None:
        return kind
    if isinstance(kind, types.Omitted):
        return kind.value
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, types.Literal):
        return kind.literal_value
    if isinstance(kind, TUPLES):
        return tuple(_constant(member, name, None) for member in kind)
    raise TypingError(f"{name} is of type {kind}: compiled code must write it out, as {name}=0, or make the function outside")


def _maker(kind: KernelType) -> Callable[..., Any]:
    """A function of no arguments that compiled code calls for the value of a type."""

    def made(context):
        return kind(), lambda context, builder, signature, args: context.get_dummy_value()

    return intrinsic(made)


def _made(f: Any, verb: Callable[..., Any], name: str, *options: Any) -> Callable[[], Any] | None:
    """What makes what a verb returns."""
    kernel = _kernel(f, name)
    if kernel is None:
        return None
    key = name, repr(options)
    return kernel.remember(("njit", *key), lambda: _maker(type_of(verb(kernel, *options))))


def _grad(f: Any, argnums: Any = 0) -> Any:
    made = _made(f, grad, "grad", _constant(argnums, "argnums", 0))
    return None if made is None else lambda f, argnums=0: made()


def _value_and_grad(f: Any, argnums: Any = 0) -> Any:
    made = _made(f, value_and_grad, "value_and_grad", _constant(argnums, "argnums", 0))
    return None if made is None else lambda f, argnums=0: made()


def _jacobian(f: Any, argnums: Any = None, mode: Any = "auto") -> Any:
    made = _made(f, jacobian, "jacobian", _constant(argnums, "argnums", None), _constant(mode, "mode", "auto"))
    return None if made is None else lambda f, argnums=None, mode="auto": made()


def _value_and_jacobian(f: Any, argnums: Any = None) -> Any:
    made = _made(f, value_and_jacobian, "value_and_jacobian", _constant(argnums, "argnums", None))
    return None if made is None else lambda f, argnums=None: made()


def _hessian(f: Any, argnums: Any = None) -> Any:
    made = _made(f, hessian, "hessian", _constant(argnums, "argnums", None))
    return None if made is None else lambda f, argnums=None: made()


def _jvp(f: Any, primals: Any, tangents: Any) -> Any:
    kernel = _kernel(f, "jvp")
    if kernel is None or not isinstance(primals, TUPLES) or not isinstance(tangents, TUPLES):
        return None
    if len(primals) != len(tangents) or len(primals) > len(kernel.parameters):
        raise TypingError(f"nbad.jvp({kernel.__name__}, primals, tangents): {len(primals)} primals, {len(tangents)} tangents")
    names = kernel.parameters[: len(primals)]
    passed = [f"primals[{k}]" for k in range(len(names))] + [f"tangent_{n}=tangents[{k}]" for k, n in enumerate(names)]
    scope = {"made": _maker(type_of_callee(callee_in(kernel, Form(JVP))))}
    exec(PUSH.format(passed=", ".join(passed)), scope)
    return scope["push"]


def _refusal(verb: str, instead: str) -> Callable[..., Any]:
    """What tells that compiled code has not a verb."""

    def refused(f: Any, *arguments: Any) -> Any:
        raise TypingError(f"nbad.{verb}: compiled code has no such thing; use nbad.{instead} there, or nbad.{verb} outside")

    return refused


OVERLOADS: dict[Callable[..., Any], Callable[..., Any]] = {
    grad: _grad,
    value_and_grad: _value_and_grad,
    jacobian: _jacobian,
    value_and_jacobian: _value_and_jacobian,
    hessian: _hessian,
    jvp: _jvp,
    vjp: _refusal("vjp", "value_and_jacobian(f)(x)"),
    hvp: _refusal("hvp", "jvp(nbad.grad(f), primals, tangents)"),
    linearize: _refusal("linearize", "value_and_jacobian(f)(x)"),
}


def register() -> None:
    """Tell Numba what the verbs are in compiled code."""
    for verb, implementation in OVERLOADS.items():
        overload(verb, prefer_literal=True, strict=False)(implementation)
