"""What a problem of SciPy's is made of: unknowns in a flat vector, points that were swept, the matrix between them, and views."""

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from nbad.api.options import Array
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.foreign import shown
from nbad.graphs.kernels import outputs_of
from nbad.runtime.operands import as_array
from nbad.verbs.pullback import Pullback

if TYPE_CHECKING:
    from nbad.integrations.scipy import Problem

CALL = "`nbad.integrations.scipy.Problem`"


@dataclass(frozen=True)
class Unknown:
    """An argument that is to be found: where it lies in the flat vector, and what of it each element takes.

    Attributes
    ----------
    start : array
        Where the search begins; its shape is that of the unknown.
    index : array of int, or None
        The entry of its first axis that each element takes; None where the kernel takes it as it is.
    first : int
        Its first place in the flat vector.
    """

    start: Array
    index: Array | None
    first: int

    @classmethod
    def of(cls, name: str, given: Any, first: int) -> "Unknown":
        """What is said of an unknown: an array, or a pair of an array and an index, checked."""
        start, index = given if _is_pair(given) else (given, None)
        array = as_array(CALL, name, start).astype(float)
        if index is None:
            return cls(array, None, first)
        index = np.asarray(index)
        if index.size and not (-len(array) <= index.min() and index.max() < len(array)):
            raise ArgumentValueError(
                f"{CALL}: the index of {name} is out of range",
                got=f"from {index.min()} to {index.max()}",
                expected=f"from 0 to {len(array) - 1}: {name} has {len(array)} entries",
                fix=f"{name}_of % len({name}), if that is meant",
            )
        return cls(array, index.astype(np.intp), first)

    def own(self, x: Array) -> Array:
        """The unknown in the flat vector."""
        return x[self.first : self.first + self.start.size].reshape(self.start.shape)

    def argument(self, x: Array) -> Array:
        """What the kernel takes."""
        own = self.own(x)
        return own if self.index is None else own[self.index]

    @functools.cached_property
    def places(self) -> Array:
        """The place in the flat vector of each number that the kernel takes."""
        return self.argument(np.arange(self.first + self.start.size))

    def summed(self, cotangent: Any) -> Array:
        """The cotangent of the unknown, flat, from that of the argument: what elements share is added up in their order."""
        if self.index is None:
            return np.ravel(cotangent)
        return np.bincount(np.ravel(self.places) - self.first, np.ravel(cotangent), self.start.size)


class Point(NamedTuple):
    """Where a kernel was evaluated, and what came of it."""

    x: Array
    data: dict[str, Any]
    y: Any
    pullback: Pullback

    def is_at(self, x: Array, data: dict[str, Any]) -> bool:
        """Whether it is there."""
        if self.data.keys() != data.keys() or not np.array_equal(self.x, x):
            return False
        return all(
            self.data[name] is value or (type(value) is float and self.data[name] == value) for name, value in data.items()
        )

    @property
    def flat(self) -> Array:
        """The outputs, elements in C order, for each of them all outputs; a copy."""
        elements = math.prod(self.pullback.shape)
        parts = [
            np.reshape(leaf, (elements, math.prod(np.shape(leaf)[len(self.pullback.shape) :]))) for leaf in outputs_of(self.y)
        ]
        return np.concatenate(parts, axis=1, dtype=float).ravel()

    def seeds(self, v: Any) -> Any:
        """A flat vector of weights, or one for all outputs, in the structure of the value."""
        leaves, space = outputs_of(self.y), self.pullback.shape
        widths = [math.prod(np.shape(leaf)[len(space) :]) for leaf in leaves]
        whole = math.prod(space), sum(widths)
        weights = np.broadcast_to(float(v), whole) if np.ndim(v) == 0 else np.reshape(np.asarray(v, float), whole)
        parts = np.split(weights, np.cumsum(widths)[:-1], axis=1)
        shaped = tuple(part.reshape(np.shape(leaf)) for part, leaf in zip(parts, leaves, strict=True))
        return shaped if isinstance(self.y, tuple | dict) else shaped[0]

    @property
    def blocks(self) -> Array:
        """The Jacobian of each element: of shape (elements, outputs, unknowns that it takes)."""
        blocks = self.pullback.jacobian()
        return blocks.reshape(math.prod(blocks.shape[:-2]), *blocks.shape[-2:])


@dataclass(frozen=True)
class Structure:
    """Where the blocks of the elements stand among all unknowns.

    Attributes
    ----------
    columns : array
        For each element the places in the flat vector of the unknowns that it takes.
    size : int
        How many unknowns there are.
    is_whole, is_repeated : bool
        Whether every element takes all of them in order, and whether some element takes one twice.
    """

    columns: Array
    size: int
    is_whole: bool
    is_repeated: bool

    @classmethod
    def of(cls, columns: Array, size: int) -> "Structure":
        """That of these columns."""
        is_whole = columns.shape[1] == size and bool(np.all(columns == np.arange(size)))
        ordered = np.sort(columns, axis=1)
        return cls(columns, size, is_whole, bool(np.any(ordered[:, 1:] == ordered[:, :-1])))

    @functools.cached_property
    def _rows(self) -> dict[int, tuple[Array, Array]]:
        return {}

    def _csr(self, outputs: int) -> tuple[Array, Array]:
        """Column indices and the beginnings of rows, for blocks of so many rows."""
        if outputs not in self._rows:
            elements, width = self.columns.shape
            kind = np.int32 if max(self.columns.size * outputs, self.size) < 2**31 else np.int64
            indices = np.repeat(self.columns[:, None], outputs, axis=1).astype(kind).ravel()
            self._rows[outputs] = indices, np.arange(elements * outputs + 1, dtype=kind) * width
        return self._rows[outputs]

    def matrix(self, blocks: Array) -> Any:
        """The Jacobian of all elements: a sparse array, or NumPy's where every element takes all unknowns."""
        elements, outputs, _ = blocks.shape
        shape = elements * outputs, self.size
        if self.is_whole:
            return blocks.reshape(shape)
        own = (a.copy() for a in self._csr(outputs))  # methods of sparse arrays change them where they are
        found = scipy.sparse.csr_array((blocks.ravel(), *own), shape)
        if self.is_repeated:
            found.sum_duplicates()
        return found

    def hessian(self, blocks: Array) -> Any:
        """The sum of Hessians of all elements likewise."""
        if self.is_whole:
            return blocks.sum(axis=0)
        rows = np.broadcast_to(self.columns[:, :, None], blocks.shape).ravel()
        columns = np.broadcast_to(self.columns[:, None, :], blocks.shape).ravel()
        return scipy.sparse.csr_array(scipy.sparse.coo_array((blocks.ravel(), (rows, columns)), (self.size, self.size)))


def _is_pair(given: Any) -> bool:
    """Whether it is an array with an index, and not a vector of two."""
    if not (isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0])):
        return False
    index = np.asarray(given[1])
    if index.dtype.kind not in "iu" and index.size:
        raise ArgumentTypeError(
            f"{CALL}: the second of a pair is no index",
            got=shown(given[1]),
            expected="integers: the entry of the array that each element takes",
            fix="np.asarray(index, int)",
        )
    return True


# the same as some solvers take it


class View:
    """A problem as some solvers take it.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: "Problem"):
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

    def __init__(self, problem: "Problem", name: str):
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
    """The right side of an equation: `solve_ivp(o.fun, (t0, t1), o.x0, method="Radau", jac=o.jac)`."""

    def __init__(self, problem: "Problem", name: str | None):
        super().__init__(problem)
        self.name = name

    def fun(self, t: float, x: ArrayLike) -> Array:
        """The derivative of the unknowns by time."""
        return self._at(t, x).flat

    def jac(self, t: float, x: ArrayLike) -> Any:
        """Its Jacobian by the unknowns."""
        point = self._at(t, x)
        return self.problem.matrix(point)

    def _at(self, t, x):
        return self.problem.at(x, {} if self.name is None else {self.name: float(t)})


def _dense(J):
    return J.toarray() if hasattr(J, "toarray") else J
