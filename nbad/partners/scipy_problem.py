"""What `Problem` of `integrations/scipy` is made of: unknowns in a flat vector, swept points, matrices, views for solvers."""

import array
import copy
import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nbad.api.options import Array
from nbad.assembly.scipy_sparse import csr
from nbad.assembly.structure import Columns, Squares, of_hessian, of_jacobian
from nbad.errors import ArgumentValueError
from nbad.graphs.structures import outputs_of
from nbad.indexing.index import Index
from nbad.indexing.indexed import Indexed, indexed
from nbad.memo import Memo
from nbad.runtime.operands import as_array
from nbad.verbs.pullback import Pullback

CALL = "`nbad.integrations.scipy.Problem`"
Problem = Any  # which is made of these: its file imports this one


class Unknown(NamedTuple):
    """An argument that is to be found: where it lies in the flat vector, and what of it each element takes.

    Attributes
    ----------
    start : array
        Where the search begins; its shape is that of the unknown.
    by : Index or None
        Which entries of its first axis elements take, as in `nbad.indexed(start, by)`; None where the kernel takes it as it is.
    first : int
        Its first place in the flat vector.
    """

    start: Array
    by: Index | None
    first: int

    @classmethod
    def of(cls, name: str, given: Any, first: int) -> "Unknown":
        """What is said of an unknown: an array, or one that is picked from, checked."""
        is_pair = isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0]) > 0
        if isinstance(given, Indexed) or is_pair:
            picked = indexed(*given) if is_pair else given
            return cls(picked.array.astype(float), picked.index, first)
        return cls(as_array(CALL, name, given).astype(float), None, first)

    def own(self, x: Array) -> Array:
        """The unknown in the flat vector."""
        return x[self.first : self.first + self.start.size].reshape(self.start.shape)

    def argument(self, x: Array) -> Any:
        """What the kernel is given."""
        return self.own(x) if self.by is None else Indexed(self.own(x), self.by)

    def gathered(self, x: Array) -> Array:
        """What it takes of it."""
        return self.own(x) if self.by is None else self.own(x)[self.by.positions]


def copy_of(value: Any, before: Any) -> Any:
    """A copy of whatever may be changed in place: of arrays, of what is picked from them, and of containers of these.

    It is the copy of before, where nothing has changed; other values are what they are.

    Examples
    --------
    >>> x = np.arange(3.0)
    >>> copy = copy_of(x, None)
    >>> copy is x, copy_of(x, copy) is copy
    (False, True)
    """
    if isinstance(value, array.array | memoryview):
        value = np.asarray(value)
    if isinstance(value, Indexed):
        is_alike = isinstance(before, Indexed) and before.index is value.index
        items = copy_of(value.array, before.array if is_alike else None)
        return before if is_alike and items is before.array else Indexed(items, value.index)
    if isinstance(value, np.ndarray):
        return before if type(before) is type(value) and is_same(before, value) else value.copy()
    if type(value) in (list, tuple, dict) or hasattr(value, "_fields"):
        return _copy_of_many(value, before if type(before) is type(value) and len(before) == len(value) else None)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _copy_of_fields(value, before if type(before) is type(value) else None)
    if hasattr(value, "__array__") and not isinstance(value, np.generic | type):
        return copy.copy(value)  # nobody knows whether it has changed
    return before if type(value) is type(before) is float and before.hex() == value.hex() else value


def is_same(one: Array, other: Array) -> bool:
    """Whether two arrays have the same bits: 0.0 is not -0.0, and nan is nan.

    Examples
    --------
    >>> is_same(np.array([0.0]), np.array([-0.0])), is_same(np.array([math.nan]), np.array([math.nan]))
    (False, True)
    """
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.kind not in "biuf" or one.itemsize > 8:
        return one.tobytes() == other.tobytes()
    bits = f"u{one.itemsize}"
    return np.array_equal(one.view(bits), other.view(bits))


def _copy_of_many(value: Any, before: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else range(len(value))
    old = [None if before is None or (isinstance(before, dict) and key not in before) else before[key] for key in keys]
    made = [copy_of(value[key], was) for key, was in zip(keys, old, strict=True)]
    if before is not None and all(new is was for new, was in zip(made, old, strict=True)):
        return before
    if isinstance(value, dict):
        return type(value)(zip(keys, made, strict=True))
    return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)


def _copy_of_fields(value: Any, before: Any) -> Any:
    names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
    made = {name: copy_of(getattr(value, name), getattr(before, name, None)) for name in names}
    if before is not None and all(hasattr(before, name) and new is getattr(before, name) for name, new in made.items()):
        return before
    result = copy.copy(value)
    for name, new in made.items():
        object.__setattr__(result, name, new)  # as frozen ones allow it
    return result


def flat_of(name: str, value: Any, count: int, what: str, fix: str) -> Array:
    """A flat vector of so many numbers, which are all of something."""
    array = as_array(CALL, name, value).astype(float, copy=False)
    if array.size != count:
        raise ArgumentValueError(
            f"{CALL}: {name} does not hold all {what}", got=f"{array.size} numbers", expected=f"{count}", fix=fix
        )
    return array.ravel()


class Point(NamedTuple):
    """Where a kernel was evaluated, for which data, copies that nobody changes, and what came of it."""

    x: Array
    data: dict[str, Any]
    y: Any
    pullback: Pullback

    def is_at(self, x: Array, data: dict[str, Any]) -> bool:
        """Whether it is there."""
        if self.data.keys() != data.keys() or not is_same(self.x, x):
            return False
        return all(self.data[name] is value for name, value in data.items())

    @property
    def flat(self) -> Array:
        """The outputs, elements in C order, for each of them all outputs; a copy."""
        leaves, space = outputs_of(self.y), self.pullback.shape
        parts = [np.reshape(leaf, (math.prod(space), math.prod(np.shape(leaf)[len(space) :]))) for leaf in leaves]
        return np.concatenate(parts, axis=1, dtype=float).ravel()

    def weights(self, v: Any) -> Array:
        """A weight for each output of each element, flat and checked."""
        count = sum(map(np.size, outputs_of(self.y)))
        return flat_of("v", v, count, "weights of the outputs", f"np.ones({count})")

    def seeds(self, v: Any) -> Any:
        """A flat vector of weights, or one for all outputs, in the structure of the value."""
        leaves, space = outputs_of(self.y), self.pullback.shape
        widths = [math.prod(np.shape(leaf)[len(space) :]) for leaf in leaves]
        whole = math.prod(space), sum(widths)
        weights = np.broadcast_to(float(v), whole) if np.ndim(v) == 0 else self.weights(v).reshape(whole)
        parts = np.split(weights, np.cumsum(widths)[:-1], axis=1)
        shaped = tuple(part.reshape(np.shape(leaf)) for part, leaf in zip(parts, leaves, strict=True))
        return shaped if isinstance(self.y, tuple | dict) else shaped[0]

    @property
    def blocks(self) -> Array:
        """The Jacobian of each element: of shape (elements, outputs, unknowns that it takes)."""
        blocks = self.pullback.jacobian()
        return blocks.reshape(math.prod(blocks.shape[:-2]), *blocks.shape[-2:])


class Assembly:
    """How the blocks of all elements become one matrix by all unknowns; its structure is made when it is first needed.

    Parameters
    ----------
    columns : Columns
    """

    def __init__(self, columns: Columns):
        self.columns, self._made = columns, Memo()
        numbers = columns.numbers
        self.is_whole = numbers.shape[1] == columns.total and bool(np.all(numbers == np.arange(columns.total)))

    def matrix(self, blocks: Array) -> Any:
        """The Jacobian: a sparse array, or NumPy's where every element takes all unknowns in order."""
        elements, outputs, _ = blocks.shape
        if self.is_whole:
            return blocks.reshape(elements * outputs, self.columns.total)
        return csr(self._made(outputs, lambda: of_jacobian(self.columns, outputs)), blocks)

    def hessian(self, blocks: Array, pattern: Array) -> Any:
        """The sum of Hessians of all elements likewise; `pattern` tells which entries of a block may differ from 0."""
        if self.is_whole:
            return blocks.sum(axis=0)
        return csr(self._made("hessian", lambda: of_hessian(self.columns, Squares.whole(pattern))), blocks)


# the same as some solvers take it


class View:
    """A problem as some solvers take it.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem):
        self.problem = problem

    @property
    def x0(self) -> Array:
        """Where the search begins."""
        return self.problem.x0


class Summed(View):
    """The sum of all elements and outputs: `minimize(s.fun, s.x0, jac=s.jac, hess=s.hess)`, or with `hessp=s.hessp`."""

    def fun(self, x: ArrayLike) -> float:
        """The sum."""
        return float(np.sum(self.problem.fun(np.ravel(x))))

    def jac(self, x: ArrayLike) -> Array:
        """Its gradient, by one reverse sweep."""
        return self.problem.vjp(x, 1.0)

    def hess(self, x: ArrayLike) -> Any:
        """Its Hessian."""
        return self.problem.hess(x)

    def hessp(self, x: ArrayLike, p: ArrayLike) -> Array:
        """The product of that with a vector, without a Hessian."""
        return self.problem.hessp(x, p)


class HalfSquares(View):
    """Half the sum of squares: `minimize(h.fun, h.x0, jac=h.jac)`, and for Newton's methods `hess=h.gauss_newton`."""

    def fun(self, x: ArrayLike) -> float:
        """Half the sum of squares."""
        r = self.problem.fun(np.ravel(x))
        return 0.5 * float(r @ r)

    def jac(self, x: ArrayLike) -> Array:
        """Its gradient, by one reverse sweep."""
        return self.problem.vjp(x, self.problem.fun(np.ravel(x)))

    def gauss_newton(self, x: ArrayLike) -> Any:
        """The product of the Jacobian's transpose and the Jacobian: the Hessian where residuals are small, or almost linear."""
        J = self.problem.jac(x)
        return J.T @ J

    def gauss_newtonp(self, x: ArrayLike, p: ArrayLike) -> Array:
        """The product of that with a vector, without a Jacobian."""
        J = self.problem.LinearOperator(x)
        return J.rmatvec(J.matvec(p))


class Dense(View):
    """The same function with Jacobians that are NumPy's arrays: `root(d.fun, d.x0, jac=d.jac)`."""

    def fun(self, x: ArrayLike) -> Any:
        """The outputs of all elements, flat."""
        return self.problem.fun(x)

    def jac(self, x: ArrayLike) -> Array:
        """Their Jacobian."""
        return _dense(self.problem.jac(x))


class Curve(View):
    """A model: `curve_fit(c.fun, x, y, c.x0, jac=c.jac)`; what it is given first stands for one of the data."""

    def __init__(self, problem: Problem, name: str):
        super().__init__(problem)
        self.name = name

    def fun(self, given: ArrayLike, *x: float) -> Array:
        """The model for these parameters."""
        return self.problem.at(x, {self.name: given}).flat

    def jac(self, given: ArrayLike, *x: float) -> Array:
        """Its Jacobian by the parameters."""
        point = self.problem.at(x, {self.name: given})
        return _dense(self.problem.matrix(point))


class Ode(View):
    """The right side of an equation: `solve_ivp(o.fun, (t0, t1), o.x0, method="Radau", jac=o.jac)`.

    Of several unknowns each has an output in its shape, in their order or by their names: its derivative by time.
    """

    def __init__(self, problem: Problem, name: str | None):
        super().__init__(problem)
        self.name = name

    def fun(self, t: float, x: ArrayLike) -> Array:
        """The derivative of the unknowns by time; of a column for each of many points, as `vectorized=True` asks for it."""
        if np.ndim(x) == 2:
            return np.stack([self.fun(t, column) for column in np.transpose(x)], axis=1)
        point = self._at(t, x)
        return self._placed(point, point.flat)

    def jac(self, t: float, x: ArrayLike) -> Any:
        """Its Jacobian by the unknowns."""
        point = self._at(t, x)
        return self._placed(point, self.problem.matrix(point))

    def _placed(self, point, rows):
        """The rows of all outputs in the order of the unknowns: those of an element stand together, unknowns each for itself."""
        unknowns, y, space = self.problem._unknowns, point.y, point.pullback.shape
        names = list(y) if isinstance(y, dict) else list(getattr(y, "_fields", ()))
        leaves, n = outputs_of(y), math.prod(space)
        is_named = {*names} == {*unknowns} and len(names) == len(leaves)
        order = [names.index(name) for name in unknowns] if is_named else range(len(leaves))
        wanted = [unknown.start.size for unknown in unknowns.values()]
        if len(leaves) > 1 and [np.size(leaves[k]) for k in order] == wanted:
            widths = [math.prod(np.shape(leaf)[len(space) :]) for leaf in leaves]
            parts = np.split(np.arange(rows.shape[0]).reshape(n, sum(widths)), np.cumsum(widths)[:-1], axis=1)
            return rows[np.concatenate([parts[k].ravel() for k in order])]
        if sum(wanted) != rows.shape[0] or min(n, len(unknowns)) > 1:
            raise ArgumentValueError(
                f"{CALL}.ode: the outputs are not the derivatives of the unknowns by time",
                got=f"outputs of {', '.join(str(np.size(leaf)) for leaf in leaves)} numbers",
                expected=f"for each of {', '.join(unknowns)} one in its shape: {', '.join(map(str, wanted))} numbers",
                fix=f"return {', '.join(f'd{name}' for name in unknowns)}",
            )
        return rows

    def _at(self, t, x):
        return self.problem.at(x, {} if self.name is None else {self.name: float(t)})


def _dense(J):
    return J.toarray() if hasattr(J, "toarray") else J
