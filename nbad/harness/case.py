"""One kernel on trial: its inputs as columns, and what the oracles expect there."""

from functools import cached_property

import numpy as np

from nbad import transforms
from nbad.differentiate import jacobian as joint_graph
from nbad.harness.comparisons import Near
from nbad.harness.oracles import bounded

ELEMENTS = 1027  # four tiles and a bit


class Case:
    """A kernel, the arguments as given, and columns of one length sampled from them; integers stay integers.

    `wrt` are the positions that are differentiated.
    """

    def __init__(self, kernel, given, wrt, columns):
        self.kernel, self.given, self.wrt, self.columns = kernel, given, wrt, columns

    @classmethod
    def of(cls, kernel, xs):
        """Sample the elements of the arguments jointly, so that constraints among them hold."""
        arrays = [np.asarray(x, float) if type(x) in (int, float, bool) else np.asarray(x) for x in xs]
        wrt = tuple(k for k, a in enumerate(arrays) if a.dtype.kind == "f")
        given = tuple(a.astype(float) if k in wrt else a for k, a in enumerate(arrays))
        rows = [a.ravel() for a in np.broadcast_arrays(*given)]
        count = rows[0].size
        picked = np.arange(ELEMENTS) if count >= ELEMENTS else np.random.default_rng(1).integers(count, size=ELEMENTS)
        return cls(kernel, given, wrt, tuple(row[picked] for row in rows))

    @cached_property
    def traced(self):
        """Graph and structure of the kernel; defaults of omitted parameters are constants."""
        return self.kernel.bind_traced(self.columns, {})[0]

    @property
    def names(self):
        """Names of the differentiated arguments."""
        return [self.traced.graph.inputs[k] for k in self.wrt]

    @cached_property
    def joints(self):
        """Joint graphs of both modes: one Jacobian by two orders of operations."""
        return [joint_graph(self.traced.graph, self.wrt, mode) for mode in ("forward", "reverse")]

    @cached_property
    def oracle(self):
        """What the interpreter makes of the columns."""
        return Oracle(self.joints, self.columns, self.wrt)

    def seeds(self, *shape):
        """Fixed random seeds, one array per output."""
        return [np.random.default_rng(k).standard_normal(shape) for k in range(len(self.traced.outputs))]

    def pack(self, leaves):
        """Leaves in the structure of the kernel's output."""
        return tuple(leaves) if self.traced.is_tuple else leaves[0]

    def outputs(self, *xs):
        """The kernel's outputs as a list."""
        return leaves(self.kernel(*xs))

    def vjp(self, *xs, **options):
        """Outputs as a list, and a pullback that takes its seeds as a list."""
        y, pullback = transforms.vjp(self.kernel, *xs, **options)
        return leaves(y), Pull(self, pullback)

    def pulled(self, what, got, seeds):
        """Compare cotangents of the columns with the oracle's."""
        for n, (name, ct) in enumerate(zip(self.names, got, strict=True)):
            yield Near(f"{what} of `{name}`", ct, *self.oracle.cotangent(seeds, n))


class Pull:
    """A pullback of one case: it packs lists of seeds."""

    def __init__(self, case, pullback):
        self.case, self.pullback = case, pullback

    def __call__(self, seeds):
        return self.pullback(self.case.pack(seeds))

    def batched(self, seeds):
        return self.pullback.batched(self.case.pack(seeds))


class Oracle:
    """Values and partials by the graph's interpreter, with bounds on the rounding errors of both sides."""

    def __init__(self, joints, columns, wrt, dtype=np.float64):
        forward, reverse = (bounded(joint.graph, columns, dtype) for joint in joints)
        count = joints[0].n_outputs
        self.eps = float(np.finfo(dtype).eps)
        self.values, self.value_bounds = [b.value for b in forward[:count]], [2 * b.error for b in forward[:count]]
        self.partials, self.partial_bounds = np.zeros((2, count, len(wrt), len(columns[0])))
        for joint, results in zip(joints, (forward, reverse), strict=True):
            for (m, slot), b in zip(joint.positions, results[count:], strict=True):
                self.partials[m, wrt.index(slot)] = b.value
                self.partial_bounds[m, wrt.index(slot)] += 2 * b.error

    def cotangent(self, seeds, n):
        """Cotangent of the `n`-th differentiated argument, and its bound."""
        return self._contract(seeds, self.partials[:, n], self.partial_bounds[:, n])

    def tangent(self, tangents, m):
        """Tangent of output `m`, and its bound."""
        return self._contract(tangents, self.partials[m], self.partial_bounds[m])

    def _contract(self, weights, partials, bounds):
        """Sum of weight times partial; a weight of zero makes its term zero."""
        with np.errstate(all="ignore"):
            terms = [np.where(np.equal(w, 0), 0.0, w * p) for w, p in zip(weights, partials, strict=True)]
            slack = [np.where(np.equal(w, 0), 0.0, np.abs(w) * b) for w, b in zip(weights, bounds, strict=True)]
            return sum(terms), sum(slack) + (len(terms) + 2) * self.eps * sum(map(np.abs, terms))


def leaves(result):
    """A tuple's values, or the only one, as a list."""
    return list(result) if isinstance(result, tuple) else [result]
