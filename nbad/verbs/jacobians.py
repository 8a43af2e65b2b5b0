"""The verbs `jacobian` and `value_and_jacobian`."""

import functools
import reprlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from nbad import config
from nbad.api.calls import F, analyse, check_kernel, keep_plain, leaves_for, pair_of, plain_name, selection
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, Array, Mode
from nbad.api.signatures import RECEIVERS
from nbad.api.trees import flattened
from nbad.displays import html
from nbad.displays.names import Public
from nbad.errors import ArgumentValueError, closest, cut, fitting, leaving
from nbad.lines import MADE_BY
from nbad.runtime import plain, sweeps
from nbad.runtime.out import check_out, check_overlaps

MOST_AXES = 64
MODES = ("auto", "reverse", "forward")
WIDEST_PATTERN = 24  # rows or columns of a pattern that is shown


@fitting("nbad.jacobian({f})({xs})")
def jacobian(f: Kernel, argnums: Argnums = None, mode: Mode = "auto") -> Callable[..., Array]:
    """The function that computes the per-element Jacobian.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        Arguments to differentiate; by default all but integer and bool arrays.
    mode : {"auto", "reverse", "forward"}
        How the entries are accumulated: one sweep per output, one per input, or whichever costs less. They agree to rounding.

    Returns
    -------
    callable
        `jacobian(f)(*xs, out=None)` of shape `(*B, M, N)`: M runs over the outputs, N over the chosen arguments, in order, core
        values in C order. Both axes are always there.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> nbad.jacobian(area)(np.array([2.0, 3.0]), 5.0)
    array([[[5., 2.]],
           [[5., 3.]]])
    """
    check_kernel(f)
    chosen = selection(argnums, f)  # first: a third argument may be an array, too, where those of the kernel were passed
    _check_mode(mode)
    return Jacobian(f, chosen, mode)


def _check_mode(mode):
    if not isinstance(mode, str) or mode not in MODES:
        meant = closest(mode, MODES)
        raise ArgumentValueError(
            f"`nbad.jacobian(f, mode={reprlib.repr(mode)})`: unknown mode",
            got=reprlib.repr(mode),
            expected=", ".join(map(repr, MODES)),
            meant=meant and repr(meant),
            fix=f"mode={meant or 'auto'!r}",
        )


def check_axes(program, shape):
    """The blocks have two axes more than the elements, and NumPy's arrays 64 at most."""
    axes = len(shape) + 2
    if axes > MOST_AXES:
        name = program.names[0]
        raise ArgumentValueError(
            f"{program.call}: the Jacobian has two axes more than the broadcast arguments, which are too many",
            got=f"{axes} axes",
            expected=f"{MOST_AXES} at most, as in any array of NumPy",
            fix=f"np.squeeze({name})" if 1 in shape else f"np.ravel({name})",
        )


def _blocks(call, sweep, out):
    """The array of `out=` for the Jacobian, checked."""
    return check_out(sweep.call, (out,), ["out"], [sweep.shapes[-1]], call.layout.dtype, call.arrays)[0]


@fitting("nbad.value_and_jacobian({f})({xs})")
def value_and_jacobian(f: Kernel, argnums: Argnums = None) -> Callable[..., tuple[Any, Array]]:
    """The function that computes value and per-element Jacobian in one sweep.

    Parameters
    ----------
    f : Kernel
    argnums : int, str or tuple of these, optional
        As for `jacobian`.

    Returns
    -------
    callable
        `value_and_jacobian(f)(*xs, out=None)` returns `(y, J)`; `out` is such a pair, filled.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> y, J = nbad.value_and_jacobian(area)(2.0, 5.0)
    >>> y, J
    (np.float64(10.0), array([[5., 2.]]))
    """
    check_kernel(f)
    return ValueAndJacobian(f, selection(argnums, f), "auto")


class Made(Public):
    """What a verb makes of a kernel: a function with its name, docstring and signature, and a method where it is one."""

    __call__: Callable[..., Any]
    internal = frozenset("argnums both bound f gives is_many made_by mode plain with_value".split())
    gives = ""

    def __init__(self, f, argnums=None):
        functools.update_wrapper(self, f, updated=())
        self.f, self.argnums = f, argnums

    def __repr__(self):
        return f"<{self._spelled()}>"

    def _spelled(self):
        options = "" if self.argnums is None else f", argnums={self.argnums!r}"
        return f"{self.made_by}({self.f.__name__}{options})"

    @property
    def made_by(self):
        """The verb as code."""
        return f"nbad.{MADE_BY.get(type(self).__name__, type(self).__name__)}"

    def _of(self, flat):
        """The same of a flat kernel, which keeps it; for an argument with structure stands what is in it, in order."""
        chosen, options = flat.selected(self.f, self.argnums), self._options()
        make: Any = type(self)
        return flat.kernel.remember((make.__name__, chosen, *options), lambda: make(flat.kernel, chosen, *options))

    def _options(self):
        """What else it is made of."""
        return ()

    def _repr_html_(self):
        """For notebooks: what it takes and gives; nothing is traced for this."""
        facts = [("kernel", repr(self.f)[1:-1]), ("takes", ", ".join(self.f.parameters)), ("gives", self.gives)]
        return html.page("function", self._spelled(), html.facts(facts), self._picture())

    def _picture(self):
        """What there is to be seen."""

    def __get__(self, instance, owner=None):
        is_method = instance is not None and self.f.parameters[:1] and self.f.parameters[0] in RECEIVERS
        return types.MethodType(self, instance) if is_method else self


def by_flat(method: F) -> F:
    """The decorator of a public method of such a function: where arguments have structure, that of the flat kernel answers."""

    @leaving
    @functools.wraps(method)
    def call(self, /, *xs, **kwargs):
        flat = flattened(self.f, xs, kwargs, self.argnums)
        if flat is not None:
            return getattr(self._of(flat), method.__name__)(*flat.args, **flat.kwargs)
        return method(self, *xs, **kwargs)

    made: Any = call
    return made


class Jacobian(Made):
    """What `jacobian` returns: a function with the kernel's name, docstring and signature.

    Parameters
    ----------
    f : Kernel
    argnums : selection of arguments
    mode : {"auto", "reverse", "forward"}
    """

    with_value = False
    gives = "J of shape (*B, M, N): M outputs by N inputs for each element"

    def __init__(self, f, argnums, mode):
        super().__init__(f, argnums)
        self.mode = mode
        self._name = plain_name(type(self).__name__, argnums, mode)
        self._runs = f.plain.runs(self._name)

    def __call__(self, /, *xs, out=None, **kwargs):
        try:
            if not kwargs and not config.debug.get():
                for run in self._runs:  # in line, as a kernel's
                    made = run(xs, out)
                    if made is not False:
                        return made
            return self._general(xs, out, kwargs)
        except Exception as error:
            cut(error)
            raise

    def _general(self, xs, out, kwargs):
        flat = flattened(self.f, xs, kwargs, self.argnums)
        if flat is not None:
            return self._of(flat)(*flat.args, out=out, **flat.kwargs)
        call = analyse(self.f, xs, kwargs, self.argnums)
        check_axes(call.program, call.layout.shape)
        plan = call.program.jacobian_plan(call.wrt, self.mode)
        sweep = sweeps.jacobian(call.program, plan, call.layout, self.with_value)
        result = self._new(call, sweep) if out is None else self._into(call, sweep, out)
        if not kwargs:
            make = functools.partial(plain.jacobian, call.program, plan, call.layout.dtype, self.with_value)
            keep_plain(self.f, self._name, call, self.argnums, len(xs), make)
            self._runs = self.f.plain.runs(self._name)
        return result

    def _options(self):
        return (self.mode,)

    def __getstate__(self):
        return {**vars(self), "_runs": ()}  # an entry stays in its process

    @by_flat
    def sparsity(self, /, *xs, **kwargs):
        """Which entries of a block are not 0 by structure: bools of shape `(M, N)`, the same for all elements.

        The others are not computed. An entry may be 0 all the same, where values are such, or arms are not taken.

        Examples
        --------
        >>> import nbad
        >>> nbad.jacobian(nbad.kernel(lambda a, b: (a * a, a + b))).sparsity(2.0, 3.0)
        array([[ True, False],
               [ True,  True]])
        """
        call = analyse(self.f, xs, kwargs, self.argnums)
        return np.array(call.program.sparsity(call.wrt), bool).reshape(-1, len(call.wrt))

    def _picture(self):
        """Which entries are not 0 by structure, of a kernel that was traced."""
        program = self.f.last_program()
        if program is None or self.argnums is not None:
            return None
        slots = [slot for a in program.arguments for slot in a.slots]
        rows = program.sparsity(tuple(range(len(slots))))
        if max(len(rows), len(slots)) > WIDEST_PATTERN:
            return None
        marked = ([html.code(f"y{m}"), *("\u25cf" if entry else "\u00b7" for entry in row)] for m, row in enumerate(rows))
        return html.table(["", *map(html.code, slots)], marked, title="Entries that are not 0 by structure")

    def bound(self, xs, out):
        """The plain case of a call as a function without arguments; None where it is none, or not yet."""
        return self.f.plain.bound(self._name, xs, out)

    def _new(self, call, sweep):
        return sweep(call.given)[0]

    def _into(self, call, sweep, out):
        sweep.into(call.given, [_blocks(call, sweep, out)])
        return out


class ValueAndJacobian(Jacobian):
    """What `value_and_jacobian` returns, likewise."""

    with_value = True
    gives = "(y, J): the value, and J of shape (*B, M, N)"

    def _new(self, call, sweep):
        *leaves, blocks = sweep(call.given)
        return sweeps.structured(call.program, leaves), blocks

    def _into(self, call, sweep, out):
        headline = f"value_and_jacobian of {call.program.call}"
        y, blocks = pair_of(out, headline, ("y", "J"))
        leaves, blocks = leaves_for(call, y, headline), _blocks(call, sweep, blocks)
        check_overlaps(headline, blocks, "J", leaves)
        sweep.into(call.given, [*leaves, blocks])
        return out
