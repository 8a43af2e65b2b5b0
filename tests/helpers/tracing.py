"""What the tests of the tracer share: kernels as graphs, as text, and against their own values."""

import linecache
from collections import Counter

import numpy as np

from nbad.derivatives.differentiate import jacobian
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace


def traced(function, names="x", **constants):
    return trace(function, tuple(map(Argument, names.split())), constants)


def text(function, names="x", **constants):
    """The lines of the graph without the name of the kernel and the sources of its nodes."""
    lines = str(traced(function, names, **constants).graph).splitlines()[1:]
    return [line.partition("#")[0].strip() for line in lines]


def function_of(text, name, called="f", **outer):
    """The function of this name in a text, whose source Python can find."""
    namespace = dict(outer)
    linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    exec(compile(text, name, "exec"), namespace)
    return namespace[called]


def tally(compare, seeds):
    """How many of the programs of these seeds `compare` finds accepted, and how many refused."""
    accepted = Counter(map(compare, seeds))
    return accepted[True], accepted[False]


def written(path, source):
    """The function `f` of a module of its own."""
    namespace = {"__name__": path.stem}
    path.write_text(source)
    exec(compile(source, str(path), "exec"), namespace)
    return namespace["f"]


def check_values(function, *xs):
    """Compare graph and function at one point."""
    names = " ".join(function.__code__.co_varnames[: len(xs)])
    values = evaluate(traced(function, names).graph, *xs)
    expected = function(*map(np.float64, xs))
    np.testing.assert_allclose(values, expected if isinstance(expected, tuple) else (expected,), rtol=1e-13)


def of_graph(graph, *columns):
    """Values and partials of a graph, for each point: of shapes (points, outputs) and (points, outputs, inputs)."""
    joint = jacobian(graph, tuple(range(len(columns))))
    found = [np.broadcast_to(column, len(columns[0])) for column in evaluate(joint.graph, *columns)]
    partials = np.zeros((len(columns[0]), joint.n_outputs, len(columns)))
    for (m, n), entry in zip(joint.positions, found[joint.n_outputs :], strict=True):
        partials[:, m, n] = entry
    return np.array(found[: joint.n_outputs]).T, partials


class FakeKernel:
    """What another nbad kernel looks like to the tracer."""

    def __init__(self, function, names):
        self.function, self.names = function, names.split()

    def __call__(self, *args):
        return self.function(*args)

    def bind_traced(self, args, kwargs):
        given = dict(zip(self.names, args, strict=False)) | kwargs
        return traced(self.function, " ".join(given)), list(given.values()), [()] * len(given)
