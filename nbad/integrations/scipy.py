"""`Problem`, for SciPy's solvers: a kernel as a function of one flat vector of unknowns, its Jacobian, gradient and Hessian.

A solver asks for values and for derivatives at the same point, one after the other. Both come from one forward sweep, and no
derivative is made where none is asked for.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import ArrayLike

from nbad.api.calls import check_kernel
from nbad.api.kernel import Kernel
from nbad.api.options import Array
from nbad.api.signatures import in_order
from nbad.assembly.structure import Columns
from nbad.errors import ArgumentTypeError, ArgumentValueError, closest
from nbad.foreign import shown
from nbad.memo import Recent
from nbad.partners.named import is_needed
from nbad.partners.scipy_problem import CALL, Assembly, Curve, Dense, HalfSquares, Ode, Point, Summed, Unknown, copy_of, flat_of
from nbad.runtime.operands import as_array, broadcast
from nbad.verbs.gradients import grad
from nbad.verbs.jacobians import Jacobian
from nbad.verbs.pushforward import linearize
from nbad.verbs.vjp import vjp


class Problem:
    """A kernel of many elements as a function of one flat vector of unknowns, as SciPy's solvers take it.

    Parameters
    ----------
    f : Kernel
    unknowns : dict
        For each argument that is to be found an array where the search begins, in the shape in which the kernel takes it, or
        `nbad.indexed(array, index)`, of which each element takes the entries `array[index]`; a pair of these means the same.
    data : dict, optional
        The other arguments by name. They are read anew in each call: whoever changes one is seen.

    Attributes
    ----------
    x0 : array
        Where the search begins: all unknowns, one after the other, each in C order.

    Notes
    -----
    `fun(x)` has the outputs of the kernel, elements in C order, for each of them all outputs. `jac(x)` is their Jacobian:
    a `scipy.sparse.csr_array`, or a NumPy array where every element takes all of the unknowns. Both are of one forward sweep
    where they are asked for the same x: `jac` is made of the residuals that it kept.

    Examples
    --------
    A curve through data:

    >>> import nbad, numpy as np, scipy.optimize
    >>> decay = nbad.kernel(lambda t, y, size, rate: size * np.exp(-rate * t) - y)
    >>> t = np.array([0.0, 1.0, 2.0, 3.0])
    >>> data = {"t": t, "y": 3.0 * np.exp(-0.5 * t)}
    >>> problem = nbad.integrations.scipy.Problem(decay, unknowns={"size": 1.0, "rate": 1.0}, data=data)
    >>> fit = scipy.optimize.least_squares(problem.fun, problem.x0, problem.jac)
    >>> {name: value.round(6) for name, value in problem.named(fit.x).items()}
    {'size': np.float64(3.0), 'rate': np.float64(0.5)}

    Heights of four points, of which five measurements each compare two:

    >>> a, b = np.array([0, 1, 2, 0, 3]), np.array([1, 2, 3, 3, 0])
    >>> ends = nbad.kernel(lambda h, dh: h[1] - h[0] - dh, signature="(2),()->()")
    >>> levels = nbad.integrations.scipy.Problem(
    ...     ends, {"h": nbad.indexed(np.zeros(4), np.stack([a, b], -1))}, {"dh": np.array([1.0, 1.0, 2.0, 4.0, -4.0])}
    ... )
    >>> fit = scipy.optimize.least_squares(levels.fun, levels.x0, levels.jac)
    >>> np.round(fit.x - fit.x[0], 6)
    array([0., 1., 2., 4.])
    """

    def __init__(self, f: Kernel, unknowns: Mapping[str, Any], data: Mapping[str, Any] | None = None):
        check_kernel(f)
        for name, given in (("unknowns", unknowns), ("data", {} if data is None else data)):
            if not isinstance(given, Mapping):
                raise ArgumentTypeError(
                    f"{CALL}: {name} is no dict",
                    got=shown(given),
                    expected="arrays by the names of parameters",
                    fix=f"{name}={{{f.parameters[0]!r}: 1.0}}",
                )
        self.f, self.data, self._unknowns = f, dict(data or {}), dict[str, Unknown]()
        self._check_names(unknowns)
        for name, given in unknowns.items():
            self._unknowns[name] = Unknown.of(name, given, self.size)
        self._names = tuple(self._unknowns)
        self._assemblies = Recent(2)  # by shapes of the elements, of which a curve may have several
        self._copies: dict[str, Any] = {}
        self._last: dict[Kernel, Point] = {}  # the kernel's, and its gradient's
        self.x0 = self.flat(**{name: unknown.start for name, unknown in self._unknowns.items()})

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_last": {}}  # sweeps stay in their process

    def __repr__(self) -> str:
        return f"<nbad.integrations.scipy.Problem of {self.f.__name__}: {self.size} unknowns in {', '.join(self._unknowns)}>"

    def _check_names(self, unknowns):
        both = self.data.keys() & unknowns.keys()
        for name in (*unknowns, *self.data):
            is_static = name in unknowns and name in self.f.static
            if name not in self.f.parameters or name in both or is_static:
                meant = None if name in both or is_static else closest(name, self.f.parameters)
                what, fix = f"no parameter of `{self.f.__name__}`", f"unknowns={{{meant or self.f.parameters[0]!r}: 1.0}}"
                if name in both:
                    what, fix = "an unknown, and among the data", f"del data[{name!r}]"
                if is_static:
                    what, fix = "static", f"data={{{name!r}: 1}}  # which no derivative is taken by"
                raise ArgumentValueError(
                    f"{CALL}: {name!r} is {what}",
                    got=repr(name),
                    expected=f"each of {', '.join(self.f.parameters)} once",
                    meant=meant and repr(meant),
                    fix=fix,
                )
        if not unknowns:
            raise ArgumentValueError(
                f"{CALL}: there is nothing to be found",
                got="unknowns={}",
                expected="an argument and where the search begins",
                fix=f"unknowns={{{self.f.parameters[0]!r}: 1.0}}",
            )

    # the vector of unknowns

    @property
    def size(self) -> int:
        """How many numbers are to be found."""
        return sum(unknown.start.size for unknown in self._unknowns.values())

    def named(self, x: ArrayLike) -> dict[str, Array]:
        """The unknowns in a flat vector by their names, in their shapes; copies."""
        x = self._read(x)
        return {name: unknown.own(x).copy()[()] for name, unknown in self._unknowns.items()}

    def flat(self, **values: ArrayLike) -> Array:
        """The flat vector of the unknowns of these names, such as bounds or scales; a number stands for all of an unknown."""
        if values.keys() != self._unknowns.keys():
            raise ArgumentValueError(
                f"{CALL}.flat: there must be a value for each unknown",
                got=", ".join(values) or "none",
                expected=", ".join(self._unknowns),
                fix=f"problem.flat({', '.join(f'{name}=1.0' for name in self._unknowns)})",
            )
        return np.concatenate([self._spread(name, values[name]).ravel() for name in self._unknowns])

    def _spread(self, name, value):
        """What is given for an unknown, in its shape."""
        value, shape = as_array(f"{CALL}.flat", name, value).astype(float), self._unknowns[name].start.shape
        if broadcast([value.shape, shape]) != shape:
            raise ArgumentValueError(
                f"{CALL}.flat: {name} does not have the shape of the unknown",
                got=f"shape {value.shape}",
                expected=f"shape {shape}, or a number",
                fix=f"np.ones({shape})" if shape else "1.0",
            )
        return np.broadcast_to(value, shape)

    def _read(self, x: ArrayLike) -> Array:
        return flat_of("x", x, self.size, "unknowns", "problem.x0")

    # one forward sweep for all that is asked for at a point

    def _arguments(self, x, data):
        """The arguments by position as far as that goes, and the others by name."""
        unknowns = {name: unknown.argument(x) for name, unknown in self._unknowns.items()}
        given = {**data, **unknowns}
        missing = next((name for name in self.f.parameters if name not in given and is_needed(self.f, name)), None)
        if missing is not None:
            raise ArgumentTypeError(
                f"{CALL}: {missing} is neither an unknown nor among the data",
                got=", ".join(given),
                expected=", ".join(self.f.parameters),
                fix=f"data={{{missing!r}: 1.0}}",
            )
        return in_order(self.f._parameters, given)

    def at(self, x: ArrayLike, data: dict[str, Any] | None = None) -> Point:
        """The forward sweep at a point, with some of the data replaced: done already, or now."""
        return self._at(self.f, x, data or {})

    def _slope_at(self, x: ArrayLike) -> Point:
        """The same of the gradient of each element."""
        return self._at(self._gradient, x, {})

    def _at(self, f, x, data):
        x, kept, last = self._read(x), self._kept({**self.data, **data}), self._last.get(f)
        if last is None or not last.is_at(x, kept):
            last = self._last[f] = self._swept(f, x, kept)
        return last

    def _kept(self, data):
        """Copies of the data as they are now: those of before, where nobody has changed anything."""
        self._copies = kept = {name: copy_of(value, self._copies.get(name)) for name, value in data.items()}
        return kept  # other threads may have others by now

    @functools.cached_property
    def _gradient(self):
        return grad(self.f, self._names)

    def _swept(self, f, x, data):
        args, kwargs = self._arguments(x, data)
        y, pullback = vjp(f, *args, argnums=self._names, residuals="partials", **kwargs)
        return Point(x.copy(), data, y, pullback)

    def _pulled(self, point: Point, seeds: Any) -> Array:
        """The cotangents of all unknowns, flat."""
        return np.concatenate([np.ravel(ct) for ct in point.pullback(seeds)])

    # structure

    def _assembly(self, point: Point) -> Assembly:
        """How the blocks of a point's elements become one matrix."""
        return self._assemblies(point.pullback.shape, lambda: self._new_assembly(point.pullback.shape))

    def _new_assembly(self, shape):
        unknowns, cores = self._unknowns.values(), [self.f.core(name) for name in self._names]
        return Assembly(Columns.of(shape, [u.start.shape for u in unknowns], cores, [u.by for u in unknowns]))

    def _pattern(self, f, point):
        """Which entries of a block may differ from 0."""
        args, kwargs = self._arguments(point.x, point.data)
        return Jacobian(f, self._names, "auto").sparsity(*args, **kwargs)

    @property
    def jac_sparsity(self) -> Any:
        """Which entries of the Jacobian are not 0 by structure, as a sparse array of bools.

        For solvers that make differences by themselves: `least_squares(problem.fun, problem.x0, jac_sparsity=...)`.
        """
        point = self._last.get(self.f) or self.at(self.x0)
        pattern = self._pattern(self.f, point)
        blocks = np.tile(pattern.astype(float), (math.prod(point.pullback.shape), 1, 1))
        found = scipy.sparse.csr_array(self._assembly(point).matrix(blocks), copy=True)
        found.eliminate_zeros()
        return found.astype(bool)

    # functions of all elements

    def fun(self, x: ArrayLike) -> Any:
        """The outputs of all elements, flat."""
        y = self.at(x).flat
        return y[0] if np.ndim(x) == 0 and y.size == 1 else y

    def jac(self, x: ArrayLike) -> Any:
        """Their Jacobian."""
        return self.matrix(self.at(x))

    def matrix(self, point: Point) -> Any:
        """The Jacobian at a point that was swept."""
        return self._assembly(point).matrix(point.blocks)

    def vjp(self, x: ArrayLike, v: ArrayLike) -> Array:
        """The vector `v @ jac(x)`, without a Jacobian."""
        point = self.at(x)
        return self._pulled(point, point.seeds(v))

    def hess(self, x: ArrayLike, v: ArrayLike | None = None) -> Any:
        """The Hessian of `v @ fun(x)`, or of the sum of all elements: sparse where the Jacobian is. The kernel has one output.

        As `scipy.optimize.NonlinearConstraint` takes it.
        """
        point = self._slope_at(x)
        blocks = point.blocks if v is None else point.blocks * self._weights(point, v).reshape(-1, 1, 1)
        return self._assembly(point).hessian(blocks, self._pattern(self._gradient, point))

    def hessp(self, x: ArrayLike, p: ArrayLike, v: ArrayLike | None = None) -> Array:
        """The product of that with a vector, without a Hessian; the same x costs one forward sweep, whatever the vectors are."""
        point, p = self._slope_at(x), self._read(p)
        space = point.pullback.shape
        weights = None if v is None else self._weights(point, v).reshape(space)
        seeds = []
        for name, unknown in self._unknowns.items():  # a Hessian is symmetric
            core = self.f.core(name)
            along = np.broadcast_to(unknown.gathered(p), (*space, *core))
            seeds.append(along if weights is None else along * weights.reshape(*space, *[1] * len(core)))
        return self._pulled(point, tuple(seeds))

    def _weights(self, point, v):
        """A weight for each element, flat and checked."""
        count = math.prod(point.pullback.shape)
        return flat_of("v", v, count, "weights of the elements", f"np.ones({count})")

    def LinearOperator(self, x: ArrayLike) -> scipy.sparse.linalg.LinearOperator:
        """The Jacobian as a linear operator, which makes no matrix."""
        point = self.at(x)
        args, kwargs = self._arguments(point.x, point.data)
        pushforward = functools.cache(lambda: linearize(self.f, *args, argnums=self._names, **kwargs)[1])

        def matvec(v):
            v = self._read(v)
            dots = pushforward()(tuple(unknown.own(v) for unknown in self._unknowns.values()))
            return point._replace(y=dots).flat

        def rmatvec(w):
            return self._pulled(point, point.seeds(w))

        shape = point.flat.size, self.size
        return scipy.sparse.linalg.LinearOperator(shape, matvec, rmatvec, dtype=np.dtype(float))

    # one unknown for each element

    def fprime(self, x: ArrayLike) -> Any:
        """The derivative of each element by its own unknown, as `scipy.optimize.newton` takes it."""
        return self._diagonal(x, self.at(x))

    def fprime2(self, x: ArrayLike) -> Any:
        """The second derivative likewise."""
        return self._diagonal(x, self._slope_at(x))

    def _diagonal(self, x, point):
        blocks = point.blocks
        if blocks.shape[1:] != (1, 1) or len(blocks) != self.size:
            raise ArgumentTypeError(
                f"{CALL}.fprime: not one unknown for each element",
                got=f"{self.size} unknowns, {len(blocks)} elements with blocks of shape {blocks.shape[1:]}",
                expected="a kernel with one output, and an unknown with one number for each element",
                fix="problem.jac(x)",
            )
        return blocks.reshape(np.shape(x))[()]

    # views

    @property
    def summed(self) -> "Summed":
        """The sum of all elements and outputs, an energy say, for `scipy.optimize.minimize`."""
        return Summed(self)

    @property
    def half_squares(self) -> "HalfSquares":
        """Half the sum of squares, for `scipy.optimize.minimize`."""
        return HalfSquares(self)

    @property
    def dense(self) -> "Dense":
        """The same with Jacobians that are NumPy's arrays always, as `scipy.optimize.root` takes them."""
        return Dense(self)

    def curve(self, name: str) -> "Curve":
        """A model for `scipy.optimize.curve_fit`, which passes the argument `name` first, and then the unknowns one by one."""
        return Curve(self, self._parameter(name))

    def ode(self, time: str | None = None) -> "Ode":
        """The right side of an equation for `scipy.integrate.solve_ivp`, whose time is the argument of that name."""
        return Ode(self, None if time is None else self._parameter(time))

    def _parameter(self, name):
        if name in self.f.parameters and name not in self._unknowns:
            return name
        free = [each for each in self.f.parameters if each not in self._unknowns]
        raise ArgumentValueError(
            f"{CALL}: {shown(name)} is no parameter that may be given",
            got=repr(name),
            expected=f"one of {', '.join(free)}",
            meant=(meant := closest(name, free)) and repr(meant),
            fix=repr(meant or (free or ["x"])[0]),
        )
