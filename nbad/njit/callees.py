"""What compiled code may call: a kernel's value, or what a verb makes of it, with what tells it from others in every process."""

import contextlib
import hashlib
import inspect
import uuid
from typing import Any, NamedTuple

from nbad.api.kernel import Kernel
from nbad.api.pickling import by_name
from nbad.errors import ArgumentTypeError
from nbad.memo import Memo
from nbad.plans.kept import key
from nbad.verbs.gradients import Hessian, ValueAndGrad
from nbad.verbs.jacobians import Jacobian, Made, ValueAndJacobian
from nbad.version import VERSION

VALUE, JVP = "value", "jvp"
TANGENT = "tangent_{}"


class Form(NamedTuple):
    """What is computed of a kernel: the verb, and what that was told.

    Attributes
    ----------
    verb : str
    argnums : tuple or None
        Positions or names, as the user gave them.
    option : str or bool or None
        The mode of a Jacobian; of `value_and_grad` whether the partials come in a tuple.
    """

    verb: str = VALUE
    argnums: tuple[int | str, ...] | None = None
    option: Any = None


class Callee:
    """A kernel in one form.

    Attributes
    ----------
    kernel : Kernel
        The one whose graph is lowered: of `value_and_grad` that of both.
    form : Form
    parameters : tuple of str
        Those of a call: of `jvp` the kernel's, and behind them their tangents.
    remember : Memo
        What follows from it and the types of arguments.
    """

    def __init__(self, kernel: Kernel, form: Form):
        self.kernel, self.form, self.remember = kernel, form, Memo()
        self._primals = dict(zip(kernel.parameters, kernel.parameters, strict=True))
        if form.verb == JVP:
            self._primals |= {TANGENT.format(name): name for name in kernel.parameters}
        self.parameters = tuple(self._primals)

    @property
    def signature(self) -> inspect.Signature:
        """How arguments are passed, by position or by name."""
        if self.form.verb == JVP:
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            return inspect.Signature([inspect.Parameter(name, kind) for name in self.parameters])
        known = self.kernel._parameters_signature.parameters
        return inspect.Signature([known[name] for name in self.parameters])

    @property
    def name(self) -> str:
        """How messages call it."""
        name = self.kernel.__name__
        return name if self.form.verb in (VALUE, "value_and_grad") else f"{self.form.verb}({name})"

    @property
    def call(self) -> str:
        """A call of it as messages show it."""
        return f"`{self.name}({', '.join(self.parameters)})`"

    def core(self, parameter: str) -> tuple[int, ...]:
        """The core shape of an argument."""
        return self.kernel.core(self._primals[parameter])

    def is_static(self, parameter: str) -> bool:
        """Whether the kernel says that an argument is no number."""
        return self._primals[parameter] in self.kernel.static

    @property
    def named(self) -> bytes | None:
        """The kernel by its name; None where it has none."""
        return self.remember("named", lambda: by_name(self.kernel))

    @property
    def lineage(self) -> "list[Callee]":
        """The callee, and behind it the values of its kernel and of those that this was derived from."""
        kernel, found = self.kernel, [self]
        found += [callee_in(kernel, Form())] if self.form != Form() else []
        while kernel._made_from and kernel._made_from[1] == "derived":
            kernel = kernel._made_from[0]
            found.append(callee_in(kernel, Form()))
        return found

    @property
    def token(self) -> str:
        """What tells it from others in every process: its name, and the hash of its graph."""
        return self.remember("token", self._token)

    def _token(self) -> str:
        kernel, known = self.kernel, self.named
        is_one = not any(kernel.default(name) is not inspect.Parameter.empty for name in kernel.parameters)
        graph = None if kernel.static else _fingerprint(kernel)
        if known is None and (graph is None or not is_one):
            known = uuid.uuid4().bytes  # graphs that depend on the call, and no name by which to ask for them
        return hashlib.sha256(repr((VERSION, known, self.form, graph)).encode()).hexdigest()[:24]


def callee_of(made: Kernel | Made) -> Callee:
    """What compiled code may call for a kernel, or for what a verb made of one; the kernel keeps it."""
    if isinstance(made, Kernel):
        return callee_in(made, Form())
    if isinstance(made, ValueAndGrad):
        return callee_in(made.both, Form("value_and_grad", None, made.is_many))
    verb = {ValueAndJacobian: "value_and_jacobian", Jacobian: "jacobian", Hessian: "hessian"}.get(type(made))
    if verb is None:
        raise ArgumentTypeError(
            f"compiled code cannot call what this verb made of `{made.f.__name__}`",
            got=type(made).__name__,
            expected="what nbad.grad, value_and_grad, jacobian, value_and_jacobian or hessian made",
            fix=f"nbad.jacobian({made.f.__name__})",
        )
    argnums = getattr(made, "argnums", None)
    return callee_in(made.f, Form(verb, None if argnums is None else tuple(argnums), getattr(made, "mode", None)))


def callee_in(kernel: Kernel, form: Form) -> Callee:
    """A kernel in one form, which the kernel keeps."""
    return kernel.remember(("njit", repr(form)), lambda: Callee(kernel, form))


def _fingerprint(kernel: Kernel) -> str | None:
    """The hash of a kernel's graph, of the partials of the user's own operations in it, and of what its values come in.

    None where there is no graph of numbers alone, as that of a kernel that takes a function.
    """
    program = None
    with contextlib.suppress(Exception):  # the user's own, too, where a default is nothing to compute with
        program = kernel.whole_program()
    if program is None:
        return None
    parts = [program.names, program.cores, program.leaves, program.structure, program.math, program.errors]
    if program.flags is not None:
        parts += [program.flags.graph, [repr(cause.error) for cause in program.flags.causes]]
    return hashlib.sha256(f"{key(program.graph)}{parts!r}".encode()).hexdigest()
