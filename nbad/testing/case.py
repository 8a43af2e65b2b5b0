"""One kernel on trial: its inputs as columns, and the `Oracle`: values, partials and cotangents to expect there, with bounds.

Arrays that go in and out have their core axes, as users see them; the oracles know scalar slots, each with a row of elements.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nbad.api.calls import analyse
from nbad.api.kernel import Kernel
from nbad.api.options import Mode
from nbad.api.signatures import name_in_code
from nbad.derivatives.differentiate import JointGraph
from nbad.derivatives.differentiate import jacobian as joint_graph
from nbad.errors import ArgumentValueError
from nbad.graphs.structures import outputs_of
from nbad.memo import cached_property
from nbad.testing.comparisons import Findings, Near
from nbad.testing.oracles import bounded
from nbad.verbs import vjp as transforms

ELEMENTS = 1027  # four tiles and a bit
MODES: tuple[Mode, ...] = ("forward", "reverse")

Array = np.ndarray
Columns = tuple[Array, ...]
Shape = tuple[int, ...]


def _example(core: tuple[int, ...]) -> str:
    """Code for fifty elements of an argument with this core shape."""
    numbers = f"np.linspace(0.1, 2.0, {50 * math.prod(core)})"
    return f"{numbers}.reshape({(50, *core)})" if core else numbers


class Case:
    """A kernel, the arguments as given, and columns of one length sampled from them; integers stay integers.

    `wrt` are the positions of the arguments that are differentiated, `slots` the numbers of their scalar slots.
    """

    def __init__(self, kernel: Kernel, given: Columns, wrt: tuple[int, ...], columns: Columns):
        self.kernel, self.given, self.wrt, self.columns = kernel, given, wrt, columns

    @classmethod
    def of(cls, kernel: Kernel, xs: Iterable[Any]) -> "Case":
        """Sample the elements of the arguments jointly, so that constraints among them hold."""
        xs = [x.to_dataarray() if hasattr(x, "to_dataarray") else x for x in xs]  # of a Dataset all variables
        arrays = [np.asarray(x, float) if type(x) in (int, float, bool) else np.asarray(x) for x in xs]
        if any(a.dtype == object for a in arrays):  # which some libraries compute with: of pandas' <NA> all is <NA>
            analyse(kernel, tuple(x if a.dtype == object else a for x, a in zip(xs, arrays, strict=True)), {}, ())
        wrt = tuple(k for k, a in enumerate(arrays) if a.dtype.kind == "f")
        given = tuple(a.astype(float) if k in wrt else a for k, a in enumerate(arrays))
        cores = [kernel.core(name) for name in kernel.parameters[: len(given)]]
        shape = np.broadcast_shapes(*map(batch, given, cores))
        if not arrays or 0 in shape:
            examples = ", ".join(_example(kernel.core(name)) for name in kernel.parameters)
            raise ArgumentValueError(
                f"`check_kernel({kernel.__name__}, ...)`: there is no element to check on",
                got=f"arguments of shape {shape}" if arrays else "no arguments",
                expected="a few dozen elements that vary",
                fix=f"nbad.testing.check_kernel({name_in_code(kernel)}, {examples})",
            )
        rows = [np.broadcast_to(a, (*shape, *core)).reshape(-1, *core) for a, core in zip(given, cores, strict=True)]
        count = len(rows[0])
        picked = np.arange(ELEMENTS) if count >= ELEMENTS else np.random.default_rng(1).integers(count, size=ELEMENTS)
        return cls(kernel, given, wrt, tuple(row[picked] for row in rows))

    @cached_property
    def traced(self) -> Any:
        """Graph and structure of the kernel; defaults of omitted parameters are constants."""
        return self.kernel.bind_traced(self.columns, {}).traced

    @property
    def names(self) -> list[str]:
        """Names of the differentiated arguments."""
        return [self.kernel.parameters[k] for k in self.wrt]

    @property
    def cores(self) -> list[Shape]:
        """Core shapes of all arguments."""
        return [c.shape[1:] for c in self.columns]

    @property
    def wrt_cores(self) -> list[Shape]:
        """Core shapes of the differentiated arguments."""
        return [self.cores[k] for k in self.wrt]

    @property
    def slots(self) -> tuple[int, ...]:
        """Numbers of the differentiated input slots."""
        ends = np.cumsum([0, *map(math.prod, self.cores)])
        return tuple(slot for k in self.wrt for slot in range(ends[k], ends[k + 1]))

    @property
    def slot_names(self) -> list[str]:
        """Names of the differentiated input slots."""
        return [self.traced.graph.inputs[slot] for slot in self.slots]

    @cached_property
    def joints(self) -> list[JointGraph]:
        """Joint graphs of both modes: one Jacobian by two orders of operations."""
        return [joint_graph(self.traced.graph, self.slots, mode) for mode in MODES]

    @cached_property
    def oracle(self) -> "Oracle":
        """What the interpreter makes of the columns."""
        return Oracle(self.joints, self.rows(self.columns), self.slots)

    def rows(self, columns: Iterable[Array]) -> list[Array]:
        """The input slots of arguments."""
        return flat(columns, self.cores)

    def seeds(self, *shape: int) -> list[Array]:
        """Fixed random seeds, one array per output."""
        return [np.random.default_rng(k).standard_normal((*shape, *core)) for k, core in enumerate(self.traced.outputs)]

    def directions(self, *shape: int) -> list[Array]:
        """Fixed random tangents, one array per differentiated argument."""
        return [np.random.default_rng(99 + k).standard_normal((*shape, *self.cores[k])) for k in self.wrt]

    def unit_seeds(self) -> Iterator[list[Any]]:
        """For each output slot the seeds that select it; numbers stand for outputs that are scalars."""
        cores = self.traced.outputs
        for chosen in range(len(self.traced.graph.outputs)):
            numbers = iter(range(len(self.traced.graph.outputs)))
            slots = [[float(next(numbers) == chosen) for _ in range(math.prod(core))] for core in cores]
            yield [
                np.tile(np.reshape(values, core), (ELEMENTS, *(1 for _ in core))) if core else values[0]
                for values, core in zip(slots, cores, strict=True)
            ]

    def pack(self, leaves: Sequence[Any]) -> Any:
        """Leaves in the structure of the kernel's output."""
        return self.traced.structure.build(leaves)

    def outputs(self, *xs: Any) -> list[Array]:
        """The kernel's outputs as a list."""
        return leaves(self.kernel(*xs))

    def vjp(self, *xs: Any, **options: Any) -> tuple[list[Array], "Pull"]:
        """Outputs as a list, and a pullback that takes its seeds as a list."""
        argnums = None if self.wrt else ()  # by default a call without anything to differentiate by is an error
        y, pullback = transforms.vjp(self.kernel, *xs, argnums=argnums, **options)
        return leaves(y), Pull(self, pullback)

    def pulled(self, what: str, got: Iterable[Array], seeds: Iterable[Any]) -> Findings:
        """Compare cotangents of the columns with the oracle's."""
        rows = flat(seeds, self.traced.outputs)
        for n, (name, ct) in enumerate(zip(self.slot_names, flat(got, self.wrt_cores), strict=True)):
            yield Near(f"{what} of `{name}`", ct, *self.oracle.cotangent(rows, n))


class Pull:
    """A pullback of one case: it packs lists of seeds."""

    def __init__(self, case: Case, pullback: Any):
        self.case, self.pullback = case, pullback

    def __call__(self, seeds: Sequence[Any], **options: Any) -> tuple[Array, ...]:
        return self.pullback(self.case.pack(seeds), **options)

    def batched(self, seeds: Sequence[Any], **options: Any) -> tuple[Array, ...]:
        return self.pullback.batched(self.case.pack(seeds), **options)

    @property
    def residuals(self) -> Any:
        return self.pullback.residuals


class Oracle:
    """Values and partials by the interpreter of joint graphs, with bounds on the rounding errors of all of them."""

    def __init__(
        self, joints: Sequence[JointGraph], columns: Sequence[Array], wrt: tuple[int, ...], dtype: DTypeLike = np.float64
    ):
        results = [bounded(joint.graph, columns, dtype) for joint in joints]
        count = joints[0].n_outputs
        self.eps = float(np.finfo(dtype).eps)
        self.values, self.value_bounds = [b.value for b in results[0][:count]], [2 * b.error for b in results[0][:count]]
        self.partials, self.partial_bounds = np.zeros((2, count, len(wrt), len(columns[0])))
        for joint, found in zip(joints, results, strict=True):
            for (m, slot), b in zip(joint.positions, found[count:], strict=True):
                self.partials[m, wrt.index(slot)] = b.value
                self.partial_bounds[m, wrt.index(slot)] += 2 * b.error

    def cotangent(self, seeds: Iterable[Any], n: int, elements: slice = slice(None)) -> tuple[Array, Array]:
        """Cotangent of the `n`-th differentiated argument, and its bound, for some elements."""
        return self.contract(seeds, self.partials[:, n, elements], self.partial_bounds[:, n, elements])

    def tangent(self, tangents: Iterable[Any], m: int) -> tuple[Array, Array]:
        """Tangent of output `m`, and its bound."""
        return self.contract(tangents, self.partials[m], self.partial_bounds[m])

    def contract(self, weights: Iterable[Any], partials: Array, bounds: Array) -> tuple[Array, Array]:
        """Sum of weight times partial, and its bound; a weight of zero makes its term zero."""
        with np.errstate(all="ignore"):
            terms: list[Any] = [np.where(np.equal(w, 0), 0.0, w * p) for w, p in zip(weights, partials, strict=True)]
            slack: list[Any] = [np.where(np.equal(w, 0), 0.0, np.abs(w) * b) for w, b in zip(weights, bounds, strict=True)]
            return sum(terms), sum(slack) + (len(terms) + 2) * self.eps * sum(map(np.abs, terms))


def batch(array: Array, core: Shape) -> Shape:
    """Shape of an array without its core axes."""
    return array.shape[: array.ndim - len(core)]


def flat(arrays: Iterable[Any], cores: Iterable[Shape]) -> list[Any]:
    """The slots of several arrays, in order; a number stands for all slots of a scalar output."""
    return [a[(..., *index)] if core else a for a, core in zip(arrays, cores, strict=True) for index in np.ndindex(core)]


def leaves(result: Any) -> list[Array]:
    """What a kernel returns, in whatever structure, as a list."""
    return list(outputs_of(result))
