"""`Pullback`: the reverse sweeps that follow one forward sweep."""

import math
from typing import Any, NoReturn

from nbad.api.calls import says_what_is_missing, unfit
from nbad.api.options import Array
from nbad.assembly.scatter import Picked, sweeps_over
from nbad.displays import html
from nbad.displays.names import Public
from nbad.displays.text import amount, plural
from nbad.errors import ArgumentTypeError, ArgumentValueError, cut, fitting, leaving
from nbad.memo import cached_property
from nbad.runtime import memory
from nbad.runtime.operands import DOUBLE, SINGLE
from nbad.runtime.out import check_out
from nbad.runtime.reverse import Reverse
from nbad.runtime.strides import Shape
from nbad.runtime.sweeps import new, order_of_results, scalars
from nbad.verbs import pickling
from nbad.verbs.jacobians import check_axes
from nbad.verbs.residuals import Residuals
from nbad.verbs.seeds import Given, as_given, count_of, example, leaves_of, made_of

ONE = {dtype.itemsize: Given("`pullback(ct)`", dtype, False) for dtype in (DOUBLE, SINGLE)}
MANY = {dtype.itemsize: Given("`pullback.batched(cts)`", dtype, True) for dtype in (DOUBLE, SINGLE)}


class Pullback(Public):
    """Apply the transposed Jacobian of one forward sweep to seeds: any number of times, in any order, from any thread.

    Parameters are made by `nbad.vjp`. Calling it takes one seed in the structure and shape of the value; `batched` takes many.
    """

    internal = frozenset(["rows"])

    def __init__(
        self,
        reverse: Reverse,
        rows: Array | None,
        shape: Shape,
        shapes: tuple[Shape, ...],
        max_bytes: int | None = None,
        picked: Picked | None = None,
        order: Shape | None = None,
    ):
        self._reverse, self.rows, self._shape, self._shapes, self._max_bytes = reverse, rows, shape, shapes, max_bytes
        self._plain, self._picked = None if picked else reverse.plain_case(shape, shapes, order, max_bytes is not None), picked
        self._order = order  # of the axes in rows

    @cached_property
    def _sweeps(self):
        return sweeps_over(self._reverse, self._shape, self._shapes, self._picked, self._order)

    @property
    def shape(self) -> Shape:
        """That of the elements: what the arguments broadcast to."""
        return self._shape

    @property
    def residuals(self) -> Residuals:
        """What is kept: names, dtype, bytes."""
        return Residuals(self._reverse.plan.residuals, self._reverse.dtype, math.prod(self._shape))

    def __repr__(self) -> str:
        kept = "closed" if self.rows is None else f"{len(self.residuals)} residuals, {amount(self.residuals.nbytes)}"
        return f"<nbad.Pullback of {self._reverse.program.call[1:-1]}: {self._elements()}, {kept}>"

    def _repr_html_(self) -> str:
        """For notebooks: what it takes and gives, and what is kept."""
        program, reverse, kept, policy = self._reverse.program, self._reverse, self.residuals, self._reverse.plan.policy
        names = (f"{name} of shape {shape}" for name, shape in zip(reverse.names, self._shapes, strict=True))
        facts = [
            ("elements", self._elements()),
            ("cotangents of", ", ".join(names)),
            ("policy", policy if isinstance(policy, str) else f"keeps {', '.join(policy)}"),
            ("keeps", "nothing any more: it is closed" if self.rows is None else amount(kept.nbytes)),
        ]
        return html.page("nbad.Pullback", program.call[1:-1], html.facts(facts), kept.as_table())

    def _elements(self) -> str:
        shape = f" of shape {self._shape}" if len(self._shape) > 1 else ""
        return f"{plural(math.prod(self._shape), 'element')}{shape} of {self._reverse.dtype}"

    @says_what_is_missing
    def __call__(
        self, ct: Any, out: tuple[Array, ...] | None = None, accumulate: bool = False, *more: NoReturn, **unknown: NoReturn
    ) -> tuple[Any, ...]:
        """Cotangents of the differentiated arguments for one seed.

        Parameters
        ----------
        ct : array_like or tuple of array_like
            The seed, in the structure and shape of the value; a Python scalar may stand for any leaf.
        out : tuple of arrays, optional
            Filled and returned; one per differentiated argument, in its shape and in the working dtype.
        accumulate : bool
            Add to `out` instead of overwriting it.

        Returns
        -------
        tuple of arrays
            One per differentiated argument, in that argument's shape: summed over the axes it was broadcast along.

        Raises
        ------
        ArgumentValueError
            If the seed's structure or shape is not the value's, or `out` does not fit.
        ArgumentTypeError
            If a seed or `out` has a wrong dtype.

        Examples
        --------
        >>> import nbad
        >>> square = nbad.kernel(lambda x: x * x)
        >>> y, pullback = nbad.vjp(square, 3.0)
        >>> pullback(1.0), pullback(1.0)
        ((np.float64(6.0),), (np.float64(6.0),))
        """
        try:
            if more or unknown:
                given = ONE[self._reverse.dtype.itemsize]
                raise unfit(Pullback.__call__, "pullback", (ct, out, accumulate, *more), unknown, self._example(given))
            rows, reverse, few = self.rows, self._reverse, self._plain
            if few and rows is not None and not accumulate:
                made = few.one(self._shape, rows, reverse.program.structure.leaves(ct), out)
                if made is not False:
                    return made
            seeds = self._seeds(ONE[reverse.dtype.itemsize], ct)
            return self._sweep_into(seeds, None, out, accumulate)
        except Exception as error:
            cut(error)
            raise

    @says_what_is_missing
    def batched(
        self, cts: Any, out: tuple[Array, ...] | None = None, accumulate: bool = False, *more: NoReturn, **unknown: NoReturn
    ) -> tuple[Array, ...]:
        """Cotangents for many seeds: every seed array and every result has one leading axis.

        Parameters
        ----------
        cts : array_like or tuple of array_like
            Seeds of shape `(S, *shape of the leaf)`; a Python scalar stands for a leaf of all seeds.
        out, accumulate
            As for one seed, with the leading axis.

        Returns
        -------
        tuple of arrays
            Shape `(S, *shape of the argument)`; row `s` has the bits of `pullback` of seed `s`.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            As for one seed; also if no leaf is an array, for then the number of seeds is not known.

        Examples
        --------
        >>> import nbad, numpy as np
        >>> square = nbad.kernel(lambda x: x * x)
        >>> y, pullback = nbad.vjp(square, np.array([1.0, 2.0]))
        >>> pullback.batched(np.eye(2))
        (array([[2., 0.],
               [0., 4.]]),)
        """
        try:
            if more or unknown:
                given = MANY[self._reverse.dtype.itemsize]
                raise unfit(Pullback.batched, "pullback.batched", (cts, out, accumulate, *more), unknown, self._example(given))
            rows, reverse, few = self.rows, self._reverse, self._plain
            if few and rows is not None and not accumulate:
                made = few.many(self._shape, rows, reverse.program.structure.leaves(cts), out)
                if made is not False:
                    return made
            given = MANY[reverse.dtype.itemsize]
            seeds = self._seeds(given, cts)
            return self._sweep_into(seeds, count_of(given, seeds, "seed", lambda: self._example(given)), out, accumulate)
        except Exception as error:
            cut(error)
            raise

    @leaving
    @says_what_is_missing
    def jacobian(self, out: Array | None = None, *more: NoReturn, **unknown: NoReturn) -> Array:
        """The per-element Jacobian, from what the forward sweep kept.

        Parameters
        ----------
        out : array, optional
            Filled and returned, in the working dtype.

        Returns
        -------
        array
            Of shape `(*B, M, N)`, as of `nbad.jacobian(f, argnums)(*xs)`: M runs over the outputs, N over the differentiated
            arguments, in order, core values in C order. Broadcast arguments have columns in each block; nothing is summed.

        Raises
        ------
        ArgumentValueError, ArgumentTypeError
            If `out` does not fit, or the pullback is closed.

        Examples
        --------
        >>> import nbad, numpy as np
        >>> area = nbad.kernel(lambda a, b: a * b)
        >>> y, pullback = nbad.vjp(area, np.array([2.0, 3.0]), 5.0)
        >>> pullback.jacobian()
        array([[[5., 2.]],
               [[5., 3.]]])
        """
        if more or unknown:
            raise unfit(Pullback.jacobian, "pullback.jacobian", (out, *more), unknown, "pullback.jacobian()")
        rows, reverse, space = self.rows, self._reverse, self._shape
        run = reverse.plain_blocks(space, self._order)
        if run and rows is not None:
            made = run(space, rows, (), out)
            if made is not False:
                return made
        rows = self._open("a call")
        check_axes(reverse.program, space)
        sweep = reverse.blocks(space, self._order)
        if out is None:
            return sweep([rows])[0]
        sweep.into([rows], check_out(sweep.call, (out,), ["out"], sweep.shapes, sweep.dtype, (rows,)))
        return out

    def _seeds(self, given, ct):
        """The leaves of a seed as arrays, checked against the value's structure and shapes."""
        program, shapes = self._reverse.program, self._sweeps.leaf_shapes
        each = zip(program.seed_names, leaves_of(given, program, ct, shapes), shapes, strict=True)
        return [as_given(given, name, leaf, shape, name) for name, leaf, shape in each]

    def _example(self, given):
        """A call that fits."""
        return example(given, self._reverse.program, self._sweeps.leaf_shapes)

    def _sweep_into(self, seeds, count, out, accumulate):
        reverse = self._reverse
        shapes = self._shapes if count is None else [(count, *shape) for shape in self._shapes]
        if accumulate and out is None:
            raise ArgumentTypeError(
                "`pullback(ct, accumulate=True)`: there is nothing to add to",
                got="out=None",
                expected="out= with one array per differentiated argument",
                fix="pullback(ct, out=cts, accumulate=True)",
            )
        rows, room, sweeps = self._open("a call"), self._room(), self._sweeps
        if out is None:
            nbytes = sweeps.result_bytes * (1 if count is None else count)
            if nbytes > memory.CAREFUL:
                memory.require("`pullback`", nbytes, "pullback.batched(cts[:S // 2]), twice")
            is_batched = count is not None
            order = order_of_results(self._order, rows, seeds, is_batched)
            results = [new(shape, reverse.dtype, order, int(is_batched)) for shape in shapes]
        else:
            results = check_out("`pullback`", out, reverse.names, shapes, reverse.dtype, seeds)
        if count != 0:
            sweeps(rows, seeds, results, count, accumulate, room)
        return tuple(scalars(results) if out is None else out)

    def _room(self):
        """Bytes that temporaries may take at a time."""
        rows = self._open("a call")
        return memory.TEMPORARY if self._max_bytes is None else self._max_bytes - rows.nbytes

    def _open(self, what: str) -> Array:
        """The residual rows, if they are still there."""
        rows = self.rows
        if rows is None:
            raise ArgumentValueError(
                "`pullback` is closed",
                got=f"{what} after close()",
                expected=f"{what} before it",
                fix=f"y, pullback = nbad.vjp({self._made_of()})",
            )
        return rows

    def _made_of(self) -> str:
        return made_of(self._reverse.program)

    @fitting("pullback.close()", "pullback.close")
    def close(self) -> None:
        """Give the residuals' memory back now; the pullback cannot be called any more. It is also a context manager.

        Examples
        --------
        >>> import nbad
        >>> with nbad.vjp(nbad.kernel(lambda x: x * x), 3.0)[1] as pullback:
        ...     pullback(1.0)
        (np.float64(6.0),)
        """
        self.rows = None

    def __reduce__(self):
        rows = pickling.with_blank_padding(self._open("pickle or copy"), math.prod(self._shape))
        return _loaded, (pickling.Saved.of(self._reverse), rows, *self._parts()[2:])

    def __copy__(self) -> "Pullback":
        return self._like(self._open("pickle or copy"))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pullback":
        return self._like(self._open("pickle or copy").copy())

    def _like(self, rows: Array) -> "Pullback":
        return Pullback(self._reverse, rows, *self._parts()[2:])

    def _parts(self):
        return self._reverse, self.rows, self._shape, self._shapes, self._max_bytes, self._picked, self._order

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + (0 if self.rows is None else self.rows.nbytes)

    def __enter__(self) -> "Pullback":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _loaded(made_by, rows, shape, *more):
    """A pullback that was pickled, maybe in another process."""
    reverse = made_by.reverse()
    return Pullback(reverse, pickling.as_rows(reverse, rows, shape), shape, *more)
