"""The verbs `jvp` and `linearize`: the Jacobian times tangents, at once, or as often as one likes after one forward sweep."""

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from nbad import lines
from nbad.api.calls import analyse, check_kernel, keep_plain, leaves_for, pair_of, says_what_is_missing, selection, unfit
from nbad.api.kernel import Kernel
from nbad.api.options import Argnums, ArrayArgument, Out
from nbad.api.signatures import code_of, respelled
from nbad.api.trees import flattened
from nbad.displays.names import Public
from nbad.displays.text import amount, plural
from nbad.errors import ArgumentTypeError, ArgumentValueError, cut, fitting, leaving
from nbad.foreign import shown
from nbad.forks import IMPORTS
from nbad.graphs.structures import in_tuple
from nbad.memo import MISSING
from nbad.runtime import memory, plain, sweeps
from nbad.runtime.out import check_out, check_overlaps
from nbad.verbs.seeds import Given, as_given, count_of, made_of, many

ONE, MANY = "pushforward", "pushforward.batched"  # as fixes call them


class Pushforward(Public):
    """Apply the Jacobian of one forward sweep to tangents: any number of times, in any order, from any thread.

    Made by `nbad.linearize`. Calling it takes one tangent per argument; `batched` takes many of each.
    """

    def __init__(self, pushing, rows, indices=()):
        self._program, self._layout = pushing.program, pushing.layout
        self._pushing, self._rows, self._indices = pushing, rows, indices

    def __repr__(self) -> str:
        elements = plural(math.prod(self._layout.shape), "element")
        return (
            f"<nbad.Pushforward of {self._program.call[1:-1]}: {elements} of {self._layout.dtype}, {amount(self._rows.nbytes)}>"
        )

    @says_what_is_missing
    def __call__(self, tangents: Sequence[ArrayLike], out: Out = None, *more: NoReturn, **unknown: NoReturn) -> Any:
        """Output tangents for one tangent per differentiated argument.

        Parameters
        ----------
        tangents : tuple of array_like
            In the arguments' shapes; a Python scalar may stand for any of them.
        out : array or tuple of arrays, optional
            Filled and returned, in the structure and shape of the value.

        Returns
        -------
        array or tuple of arrays
            In the structure and shape of the value.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If there is not one tangent per differentiated argument, or one has a wrong shape or dtype.

        Examples
        --------
        >>> import nbad
        >>> y, pushforward = nbad.linearize(nbad.kernel(lambda x: x * x), 3.0)
        >>> pushforward((1.0,)), pushforward((2.0,))
        (np.float64(6.0), np.float64(12.0))
        """
        try:
            if more or unknown:
                raise unfit(Pushforward.__call__, ONE, (tangents, out, *more), unknown, self._example(False))
            few = self._pushing.plain
            if few:
                made = few.one(self._layout.shape, self._rows, tangents, out)
                if made is not False:
                    return made
            return self._push(self._read(Given("`pushforward(tangents)`", self._layout.dtype, False), tangents), None, out)
        except Exception as error:
            cut(error)
            raise

    @says_what_is_missing
    def batched(self, tangents: Sequence[ArrayLike], out: Out = None, *more: NoReturn, **unknown: NoReturn) -> Any:
        """Output tangents for many tangents: every tangent array and every result has one leading axis.

        Parameters
        ----------
        tangents : tuple of array_like
            Of shape `(S, *shape of the argument)`; a Python scalar stands for all of an argument's.
        out : array or tuple of arrays, optional
            As for one tangent, with the leading axis.

        Returns
        -------
        array or tuple of arrays
            Of shape `(S, *shape of the leaf)`; row `s` has the bits of a single call.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            As for one tangent; also if no tangent is an array, for then their number is not known.

        Examples
        --------
        >>> import nbad, numpy as np
        >>> y, pushforward = nbad.linearize(nbad.kernel(lambda x: x * x), 3.0)
        >>> pushforward.batched((np.array([1.0, 2.0]),))
        array([ 6., 12.])
        """
        try:
            if more or unknown:
                raise unfit(Pushforward.batched, MANY, (tangents, out, *more), unknown, self._example(True))
            few = self._pushing.plain
            if few:
                made = few.many(self._layout.shape, self._rows, tangents, out)
                if made is not False:
                    return made
            given = Given("`pushforward.batched(tangents)`", self._layout.dtype, True)
            arrays = self._read(given, tangents)
            return self._push(arrays, self._count(given, arrays), out)
        except Exception as error:
            cut(error)
            raise

    def __reduce__(self):
        raise ArgumentTypeError(
            "a pushforward cannot be pickled or copied: it holds compiled code and residuals",
            got="pickle or copy",
            expected="the arguments of `nbad.linearize`, to make it again",
            fix=f"y, pushforward = nbad.linearize({self._made_of()})",
        )

    def _made_of(self):
        return made_of(self._program)

    def _parts(self):
        return self._pushing, self._rows, self._indices

    def _count(self, given, arrays):
        return count_of(given, arrays, "tangent", lambda: self._example(True))

    def _example(self, is_batched):
        """A call that fits; of no tangents there are as many as one likes."""
        shapes = self._pushing.shapes
        texts = many(shapes) if is_batched else ["1.0"] * len(shapes)
        return f"{MANY if is_batched and shapes else ONE}({self._written(texts)})"

    def _written(self, texts):
        """Code of a tuple of these tangents."""
        return in_tuple(texts)

    def _read(self, given, tangents):
        names, shapes = self._pushing.names, self._pushing.shapes
        if not isinstance(tangents, tuple | list) or len(tangents) != len(names):
            got = f"{len(tangents)} tangents" if isinstance(tangents, tuple | list) else shown(tangents)
            raise ArgumentValueError(
                f"{given.call}: there must be one tangent per differentiated argument",
                got=got,
                expected=f"a tuple of {len(names)}{': ' * bool(names)}{', '.join(names)}",
                fix=self._example(given.batched),
            )
        each = zip(names, tangents, shapes, strict=True)
        return [as_given(given, f"the tangent of {name}", tangent, shape, f"{name}_dot") for name, tangent, shape in each]

    def _push(self, tangents, count, out):
        program, layout, dtype = self._program, self._layout, self._layout.dtype
        shapes = layout.leaf_shapes if count is None else [(count, *shape) for shape in layout.leaf_shapes]
        if out is None:
            nbytes = dtype.itemsize * sum(map(math.prod, shapes))
            memory.require("`pushforward`", nbytes, "a part of the tangents at a time, or out=")
            order = sweeps.order_of_results(self._pushing.order, self._rows, tangents, count is not None)
            dots = [sweeps.new(shape, dtype, order, int(count is not None)) for shape in shapes]
        else:
            names = [f"y{k}_dot" for k in range(len(shapes))]
            dots = check_out("`pushforward`", program.structure.leaves(out), names, shapes, dtype, tangents)
        if count != 0:
            self._pushing(self._rows, tangents, dots, count, self._indices)
        return sweeps.structured(program, dots) if out is None else out


@leaving
@says_what_is_missing
def linearize(f: Kernel, /, *xs: ArrayArgument, argnums: Argnums = None, **kwargs: Any) -> tuple[Any, Pushforward]:
    """Run the forward sweep once and return the value with its pushforward.

    Parameters
    ----------
    f : Kernel
    *xs, **kwargs : array_like
        The kernel's arguments.
    argnums : int, str or tuple of these, optional
        Arguments to differentiate; by default all but integer and bool arrays.

    Returns
    -------
    y : array or tuple of arrays
    pushforward : Pushforward
        Takes one tangent per differentiated argument; `pushforward.batched` takes many.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or options that do not fit.
    TraceError
        For a kernel that cannot be traced.

    Examples
    --------
    >>> import nbad
    >>> y, pushforward = nbad.linearize(nbad.kernel(lambda a, b: a * b), 2.0, 5.0)
    >>> y, pushforward((1.0, 0.0)), pushforward((0.0, 1.0))
    (np.float64(10.0), np.float64(5.0), np.float64(2.0))
    """
    argnums = selection(argnums)
    flat = flattened(f, xs, kwargs, argnums)
    if flat is not None:
        with IMPORTS:
            from nbad.verbs.trees import TreePushforward
        y, pushforward = linearize(flat.kernel, *flat.args, argnums=flat.selected(f, argnums), **flat.kwargs)
        return y, TreePushforward(pushforward, flat.groups(f, argnums))
    call = analyse(f, xs, kwargs, argnums)
    sweep, pushing = linearized(call)
    *leaves, rows = sweep(call.given)
    indices = call.given[len(call.arrays) :]
    return sweeps.structured(call.program, leaves), Pushforward(pushing, rows, indices)


def linearized(call):
    """The stations of a forward sweep and of its linear map, made once for a layout."""
    return call.layout.remember(("linearize", call.arguments), lambda: _stations(call))


def _stations(call):
    program, layout = call.program, call.layout
    plan = program.plan(call.wrt, "partials")
    advice = "a part of the arguments at a time, or `nbad.jvp`, which keeps nothing"
    order = sweeps.order_of_rows(program, layout, call.arguments)
    return sweeps.forward(program, plan, layout, order, advice), sweeps.Pushing(program, plan, call.arguments, layout, order)


@fitting("nbad.jvp({f}, ({xs},), ({xs},))")
@says_what_is_missing
def jvp(
    f: Kernel,
    primals: Sequence[ArrayArgument],
    tangents: Sequence[ArrayLike | None],
    /,
    out: tuple[Any, Any] | None = None,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Value and directional derivative.

    Parameters
    ----------
    f : Kernel
    primals : tuple of array_like
        The kernel's arguments.
    tangents : tuple of array_like
        One per primal, in its shape; a Python scalar may stand for one. An integer or static argument takes 0 or None.
    out : pair, optional
        `(y, y_dot)`, each an array or a tuple of arrays, filled and returned.
    **kwargs
        Arguments that are passed by keyword are held fixed.

    Returns
    -------
    y, y_dot : arrays or tuples of arrays
        Both in the structure and shape of the value.

    Raises
    ------
    ArgumentTypeError, ArgumentValueError
        For arguments or tangents that do not fit.

    Examples
    --------
    >>> import nbad
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> nbad.jvp(cube, (2.0,), (1.0,))
    (np.float64(8.0), np.float64(12.0))
    """
    primals, tangents = as_tuples(f, primals, tangents)
    key = None
    if isinstance(f, Kernel) and not kwargs and len(primals) == len(tangents):
        key = ("jvp",)
        made = f.plain(key, (*primals, *tangents), out)
        if made is not False:
            return made
    flat = flattened(f, primals, kwargs)
    if flat is not None:
        return jvp(flat.kernel, flat.args, flat.along(f, primals, tangents), out=out, **flat.kwargs)
    call = analyse(f, primals, kwargs, None)
    program, given = call.program, f.parameters[: len(primals)]
    if kwargs:
        call = call.by(given)
    check_count(f, given, tangents, call.names, more=kwargs)
    arrays = tangents_of(call, given, tangents)
    sweep, count = sweeps.jvp(program, (call.arguments, call.wrt), call.layout, arrays), len(program.leaves)
    if out is None:
        results = sweep((*call.given, *arrays))
        out = sweeps.structured(program, results[:count]), sweeps.structured(program, results[count:])
    else:
        leaves, dots = _jvp_results(call, arrays, out)
        sweep.into((*call.given, *arrays), [*leaves, *dots])
    if key is not None:
        keep_plain(f, key, call, None, len(primals), lambda: plain.jvp(program, call.wrt, call.arguments, call.layout.dtype))
    return out


def _jvp_results(call, tangents, out):
    """The arrays of `out=` for value and derivative, apart from one another and from the tangents."""
    headline = f"jvp of {call.program.call}"
    leaves, dots = (leaves_for(call, given, headline) for given in pair_of(out, headline, ("y", "y_dot")))
    for k, leaf in enumerate(leaves):
        check_overlaps(headline, leaf, f"y{k}", (*tangents, *dots))
    for k, dot in enumerate(dots):
        check_overlaps(headline, dot, f"y_dot{k}", tangents)
    return leaves, dots


def as_tuples(f, primals, tangents):
    """Primals and tangents as tuples."""
    if type(primals) is tuple and type(tangents) is tuple:
        return primals, tangents
    check_kernel(f)
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            fix = respelled(f, f.parameters)
            raise ArgumentTypeError(
                f"`{fix.partition('(')[0]}(f, primals, tangents)`: {name} is {'missing' if value is MISSING else 'not a tuple'}",
                got=shown(value),
                expected="a tuple with one entry per argument",
                fix=fix,
            )
    return tuple(primals), tuple(tangents)


def check_count(f, given, tangents, differentiated, primals=None, more=()):
    """Refuse other than one tangent for each of the arguments that are given by these names.

    `primals` is how code spells these where one table has all of them, and `more` are the names of what else the call passes.
    """
    if len(tangents) == len(given):
        return
    verb, partner = lines.verb() or "jvp", lines.partner()
    path = f"nbad.integrations.{partner}.{verb}" if partner else f"nbad.{verb}"
    along = in_tuple(["1.0" if name in differentiated else "None" for name in given])
    options = "".join(f", {name}={name}" for name in more)
    raise ArgumentValueError(
        f"`{path}({f.__name__}, primals, tangents)`: there must be one tangent per argument",
        got=plural(len(tangents), "tangent"),
        expected=f"a tuple of {len(given)}{': ' * bool(given)}{', '.join(given)}",
        fix=f"{path}({code_of(f)}, {primals or in_tuple(given)}, {along}{options})",
    )


def tangents_of(call, given, tangents):
    """The tangents of the differentiated arguments as arrays, checked; `given` are the names of the primals, as many as these."""
    program = call.program
    if call.names != given:
        tangents = _by_differentiated(call, dict(zip(given, tangents, strict=True)))
    missing = next((name for name, tangent in zip(call.names, tangents, strict=True) if tangent is None), None)
    if missing is not None:
        raise ArgumentValueError(
            f"{program.call}: the tangent of {missing} is missing",
            got="None, which stands for that of an argument without derivative",
            expected=f"a number or an array, since {missing} has one",
            fix="0.0",
        )
    given_to, shapes = Given(program.call, call.layout.dtype, False), [call.layout.shapes[k] for k in call.arguments]
    each = zip(call.names, tangents, shapes, strict=True)
    return [as_given(given_to, f"the tangent of {name}", tangent, shape, f"{name}_dot") for name, tangent, shape in each]


def _by_differentiated(call, tangents):
    """The tangents, by name, of the differentiated arguments; those of all others must be 0."""
    program = call.program
    for name, tangent in tangents.items():
        if name not in call.names and tangent is not None and np.any(tangent):
            raise ArgumentTypeError(
                f"{program.call}: {name} has no derivative, so its tangent must be 0",
                got=repr(tangent),
                expected="0 or None",
                fix=f"{name}.astype(float)" if name in program.names else "None",
            )
    return [tangents[name] for name in call.names]
