"""`nbad.indexed`: an argument that stands for `a[i]`, and is never made."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nbad.errors import ArgumentTypeError, ArgumentValueError, fitting
from nbad.foreign import line_for, part_of, shown
from nbad.indexing.index import CALL, Index, as_array


class Indexed:
    """What `indexed` returns: entries of an array, by an index.

    Attributes
    ----------
    array : numpy.ndarray
        What is picked from: a view of the user's own, read by each call anew.
    index : Index
        It may be given to `indexed` again, with another array, and is then neither copied nor sorted again.
    shape : tuple of int
        Shape of `a[i]`.
    """

    __slots__ = ("_array", "_index")  # which nobody changes: positions are checked against the array once

    def __init__(self, array: np.ndarray, index: Index):
        self._array, self._index = array[...], index  # a view: the user may give the array another shape

    @property
    def array(self) -> np.ndarray:
        """What is picked from."""
        return self._array

    @property
    def index(self) -> Index:
        """By which it is picked."""
        return self._index

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `a[i]`."""
        return (*self.index.positions.shape, *self.array.shape[1:])

    if TYPE_CHECKING:  # for checkers alone: what takes arrays takes it, and is never given such an array

        def __array__(self) -> np.ndarray: ...

    def __reduce__(self):
        return Indexed, (self.array, self.index)

    def __repr__(self) -> str:
        return f"<nbad.indexed: {self.shape} of {self.array.shape}, {self.array.dtype}>"


@fitting("nbad.indexed(a, i)")
def indexed(a: ArrayLike, i: Any) -> Indexed:
    """An argument that stands for `a[i]`: each element reads its entries where they lie, and no array of them is made.

    Every verb takes it in place of an array: leading axes of `i` are the element space, trailing ones become core axes. What is
    differentiated is `a`: tangents and cotangents have its shape, and so have the columns of sparse results.

    Parameters
    ----------
    a : array_like
        Picked from along its first axis; an array is read anew by each call, and never changed.
    i : array_like of int
        Of any shape, as in `a[i]`: negative numbers count from the end, and numbers may repeat. It is copied; where a cotangent
        is asked for, it is sorted once, in O(n log n). `indexed(a, i).index` is the copy, which may be given for other arrays.

    Returns
    -------
    Indexed

    Raises
    ------
    ArgumentTypeError
        If `i` is not made of integers, also an IndexError as NumPy's; if `a` is no array of numbers.
    ArgumentValueError
        If a number is out of range, also an IndexError; if `a` has no axis.

    Notes
    -----
    The terms of a cotangent's entry are added in the order of `i`, by parts of 32,768 elements, in float64, and by all threads:
    bits do not depend on these. A pullback takes memory for cotangents of `a[i]`, as far as `max_bytes` of `nbad.vjp` allows.

    Examples
    --------
    Edges of a graph, each between two of four nodes in the plane:

    >>> import nbad, numpy as np
    >>> @nbad.kernel(signature="(2,2)->()")
    ... def energy(ends):
    ...     return (ends[0, 0] - ends[1, 0]) ** 2 + (ends[0, 1] - ends[1, 1]) ** 2
    >>> nodes = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [5.0, 5.0]])
    >>> edges = np.array([[0, 1], [1, 2]])
    >>> y, pullback = nbad.vjp(energy, nbad.indexed(nodes, edges))
    >>> y, pullback(1.0)
    (array([1., 4.]), (array([[-2.,  0.],
           [ 2., -4.],
           [ 0.,  4.],
           [ 0.,  0.]]),))
    """
    if isinstance(a, Indexed):
        raise ArgumentTypeError(
            f"{CALL}: a is picked by an index itself",
            got=shown(a),
            expected="the array that it is picked from, and an index that means the same entries",
            fix="nbad.indexed(a.array, a.index.positions[i])",
        )
    if (part := part_of(a)) is not None:
        raise ArgumentTypeError(
            f"{CALL}: a means more than its numbers",
            got=shown(part),
            expected="a NumPy array: labels, units and the like would be lost",
            fix=f"nbad.indexed({line_for(a, part, 'a').partition('  #')[0]}, i)",
        )
    array = as_array("a", a)
    if not isinstance(a, np.ndarray | np.generic) and not hasattr(a, "__array__") and array.dtype.kind in "iub":
        array = array.astype(float)  # as of other lists of numbers
    if array.ndim == 0:
        raise ArgumentValueError(
            f"{CALL}: a has no axis to pick from",
            got=shown(a),
            expected="an array of at least one axis",
            fix="nbad.indexed([a], 0)",
        )
    return Indexed(array, Index.of(i, len(array)))


class Pick(NamedTuple):
    """How an argument of one layout is picked: the number of its index among all arrays of a call, and the shapes of both.

    Attributes
    ----------
    number : int
    positions : tuple of int
        Shape of the index.
    own : tuple of int
        Shape of the array that is picked from.
    """

    number: int
    positions: tuple[int, ...]
    own: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is picked."""
        return (*self.positions, *self.own[1:])
