"""`Pullback`, the reverse sweeps that follow one forward sweep, and `Residuals`, what it keeps."""

import math
from dataclasses import dataclass

import numpy as np

from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.plans.plan import Residual
from nbad.runtime import memory
from nbad.runtime.budget import TEMPORARY, require
from nbad.runtime.operands import DOUBLE, WEAK, as_array
from nbad.runtime.out import check_out
from nbad.runtime.reverse import reverse_of
from nbad.runtime.sweeps import scalars


@dataclass(frozen=True)
class Residuals:
    """What a pullback keeps; prints as a table.

    Attributes
    ----------
    values : tuple of Residual
        Each with `name`, `source` and `reason`. `∂y0/∂x` is the derivative of output 0 by `x`, `%7` the value of that number in
        `nbad.show(f, "plan")`; an input goes by its name.
    dtype : numpy.dtype
    elements : int
        Elements of the broadcast shape.
    """

    values: tuple[Residual, ...]
    dtype: np.dtype
    elements: int

    @property
    def names(self):
        """The name of each residual."""
        return tuple(value.name for value in self.values)

    @property
    def bytes_per_element(self):
        """Bytes that one element keeps."""
        return len(self.values) * self.dtype.itemsize

    @property
    def nbytes(self):
        """Bytes that all elements keep."""
        return self.bytes_per_element * self.elements

    def __len__(self):
        return len(self.values)

    def __str__(self):
        head = f"{len(self)} residuals, {self.dtype}, {self.bytes_per_element} bytes per element, {self.nbytes} in all"
        each = self.dtype.itemsize * self.elements
        lines = (f"  {k:>3}  {v.name:<20} {each:>12} bytes  {v.source or '':<24} {v.reason}" for k, v in enumerate(self.values))
        return "\n".join([head, *lines])

    __repr__ = __str__


class Pullback:
    """Apply the transposed Jacobian of one forward sweep to seeds: any number of times, in any order, from any thread.

    Parameters are made by `nbad.vjp`. Calling it takes one seed in the structure and shape of the value; `batched` takes many.
    """

    def __init__(self, program, plan, arguments, shapes, shape, dtype, max_bytes=None):
        self._program, self._plan, self._arguments, self._max_bytes = program, plan, arguments, max_bytes
        self._shapes, self._shape, self._dtype = shapes, shape, dtype
        self.rows = self._quick = self._reverse = None

    @classmethod
    def quick(cls, program, plan, arguments, shapes, shape, rows, call):
        """The pullback of a quick forward sweep."""
        pullback = cls(program, plan, arguments, shapes, shape, DOUBLE)
        pullback.rows = rows
        if all(own == shape + program.cores[a] for own, a in zip(shapes, arguments, strict=True)):
            pullback._quick = call
        return pullback

    @property
    def _names(self):
        return [self._program.names[a] for a in self._arguments]

    @property
    def _sweep(self):
        if self._reverse is None:
            self._reverse = reverse_of(self._program, self._plan, self._arguments, self._shapes, self._shape, self._dtype)
        return self._reverse

    @property
    def residuals(self):
        """What is kept: names, dtype, bytes."""
        return Residuals(self._plan.residuals, self._dtype, math.prod(self._shape))

    def __call__(self, ct, out=None, accumulate=False):
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
        if self._quick is not None and not accumulate:
            results = self._quick(ct, self.rows, self._shape, out)
            if results is not None:
                return results
        seeds = self._seeds(ct, "pullback(ct)", 0)
        return self._sweep_into(seeds, None, out, accumulate)

    def batched(self, cts, out=None, accumulate=False):
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
        seeds = self._seeds(cts, "pullback.batched(cts)", 1)
        counts = {s.shape[0] for s in seeds if s.ndim}
        if len(counts) != 1:
            raise ArgumentValueError(
                "`pullback.batched(cts)`: the number of seeds is not known",
                got=f"leading axes {sorted(counts)}" if counts else "Python scalars only",
                expected="at least one seed array, all with the same leading axis",
                fix="np.ones((S, *y.shape))",
            )
        return self._sweep_into(seeds, counts.pop(), out, accumulate)

    def _seeds(self, ct, call, lead):
        """The leaves of a seed as arrays, checked against the value's structure and shapes."""
        program = self._program
        leaves = ct if program.is_tuple else (ct,)
        if program.is_tuple and (type(ct) is not tuple or len(ct) != len(program.leaves)):
            got = f"a tuple of {len(ct)}" if type(ct) is tuple else f"a {type(ct).__name__}"
            raise ArgumentValueError(
                f"`{call}`: the seed does not have the structure of the value",
                got=got,
                expected=f"a tuple of {len(program.leaves)}, as `{program.name}` returns",
                fix=f"pullback(({', '.join(f'ct{k}' for k in range(len(program.leaves)))}{',' * (len(program.leaves) == 1)}))",
            )
        named = enumerate(zip(leaves, self._sweep.leaf_shapes, strict=True))
        return [self._seed(call, k, leaf, shape, lead) for k, (leaf, shape) in named]

    def _seed(self, call, k, leaf, shape, lead):
        is_plain = type(leaf) is np.ndarray and leaf.dtype is self._dtype
        if is_plain and leaf.shape[lead:] == shape and leaf.ndim == len(shape) + lead:
            return leaf
        name = f"ct[{k}]" if self._program.is_tuple else "ct"
        if isinstance(leaf, tuple):
            raise ArgumentValueError(
                f"`{call}`: the seed does not have the structure of the value",
                got=f"a tuple of {len(leaf)}",
                expected=f"one array of shape {shape}",
                fix="pullback(ct[0])",
            )
        array = as_array(f"`{call}`", name, leaf)
        if type(leaf) in WEAK or isinstance(leaf, np.generic):
            return array
        if array.shape[lead:] != shape or array.ndim < lead:
            wanted = _batched_shape(shape) if lead else str(shape)
            raise ArgumentValueError(
                f"`{call}`: {name} has a wrong shape",
                got=f"shape {array.shape}",
                expected=f"shape {wanted}",
                fix=f"np.broadcast_to({name}, {wanted})",
            )
        return array

    def _sweep_into(self, seeds, count, out, accumulate):
        shapes = self._shapes if count is None else [(count, *shape) for shape in self._shapes]
        if accumulate and out is None:
            raise ArgumentTypeError(
                "`pullback(ct, accumulate=True)`: there is nothing to add to",
                got="out=None",
                expected="out= with one array per differentiated argument",
                fix="pullback(ct, out=cts, accumulate=True)",
            )
        room = self._room()
        if out is None:
            nbytes = self._sweep.result_bytes * (1 if count is None else count)
            require("`pullback`", nbytes, "pullback.batched(cts[:S // 2]), twice")
            results = [memory.empty(shape, self._dtype) for shape in shapes]
        else:
            results = check_out("`pullback`", out, self._names, shapes, self._dtype, seeds, True)
        if count != 0:
            self._sweep(self.rows, seeds, results, count, accumulate, room)
        return tuple(scalars(results) if out is None else out)

    def _room(self):
        """Bytes that temporaries may take at a time."""
        if self.rows is None:
            raise ArgumentValueError(
                "`pullback` is closed",
                got="a call after close()",
                expected="calls before it",
                fix=f"y, pullback = nbad.vjp({self._program.name}, ...)",
            )
        return TEMPORARY if self._max_bytes is None else self._max_bytes - self.rows.nbytes

    @property
    def temporary_bytes(self):
        """Bytes that sums over broadcast axes need at least while they are computed."""
        return self._sweep.least_bytes

    def close(self):
        """Give the residuals' memory back now; the pullback cannot be called any more. It is also a context manager.

        Examples
        --------
        >>> import nbad
        >>> with nbad.vjp(nbad.kernel(lambda x: x * x), 3.0)[1] as pullback:
        ...     pullback(1.0)
        (np.float64(6.0),)
        """
        self.rows = self._quick = None

    def __reduce__(self):
        raise ArgumentTypeError(
            "a pullback cannot be pickled or copied: it holds compiled code and residuals",
            got="pickle or copy",
            expected="the arguments of `nbad.vjp`, to make it again",
            fix=f"y, pullback = nbad.vjp({self._program.name}, ...)",
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def _batched_shape(shape):
    return "(S, " + ", ".join(map(str, shape)) + ")" if shape else "(S,)"
