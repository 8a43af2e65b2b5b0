"""Tile kernels without the driver: one call through the address, on whole arrays."""

import ctypes
import itertools

import numpy as np

from nbad.codegen.compile import TileKernel
from nbad.graphs.graph import GraphBuilder
from nbad.operations.table import TABLE

ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, ctypes.c_ssize_t)
EDGES = (
    0.0,
    5e-324,
    1e-310,
    2.2e-308,
    1.4e-45,
    1.2e-38,
    1e-30,
    1e-8,
    0.1,
    0.5,
    0.7,
    1.0,
    1.5,
    2.0,
    3.0,
    20.0,
    88.5,
    89.0,
    104.0,
    128.0,
    709.5,
    710.4,
    745.0,
    1024.0,
    1e5,
    1e15,
    1e22,
    1e38,
    1e308,
    np.inf,
)


def compile_tile(oplist):
    """The tile kernel of an op list, compiled or loaded."""
    return TileKernel(oplist, np.dtype(oplist.dtype), oplist.math, oplist.form).load()


def run_tile(kernel, *inputs):
    """The results of a tile kernel for one-dimensional inputs; the last element is repeated up to a multiple of the width."""
    count = len(inputs[0])
    padded = -(-count // kernel.width) * kernel.width
    rows = [np.pad(np.asarray(x, kernel.dtype), (0, padded - count), "edge") for x in inputs]
    results = [np.empty(padded, kernel.dtype) for _ in range(kernel.results)]
    table = np.array([row.ctypes.data for row in (*rows, *results)], np.intp)
    ENTRY(kernel.address)(table.ctypes.data, padded)
    return [result[:count] for result in results]


def edges(dtype):
    """Values at which functions go wrong."""
    with np.errstate(over="ignore"):
        positive = np.array(EDGES).astype(dtype)
    return np.concatenate([positive, -positive, [dtype(np.nan)]]).astype(dtype)


def pairs(values):
    """All pairs of the values, as two arrays."""
    return [grid.ravel() for grid in np.meshgrid(values, values)]


def graph_of(*names):
    """A graph with one output per operation, each on the inputs x, y; bools become 1 and 0."""
    builder = GraphBuilder("operations", ["x", "y"])
    return builder.build([as_real(builder, apply(builder, name)) for name in names])


def apply(builder, name):
    """One operation on the first inputs; a bool operand is a comparison of an input with 0.5."""
    row, half = TABLE[name], builder.constant(0.5)
    kinds = list(row.operands)
    reals = itertools.cycle(range(2))
    operands = [next(reals) if kind == "real" else builder.add("gt", k % 2, half) for k, kind in enumerate(kinds)]
    return builder.add(name, *operands, payload=row.payload)


def as_real(builder, node):
    """A node as a real: 1 where it is true."""
    if builder.nodes[node].kind == "real":
        return node
    return builder.add("select", node, builder.constant(1.0), builder.constant(0.0))


def same_bits(x, y):
    """Whether two arrays agree in every bit; any nan equals any other."""
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    nan = np.isnan(x) & np.isnan(y)
    return bool(np.all(nan | ((x == y) & (np.signbit(x) == np.signbit(y)))))


def ulps(x, y):
    """Distance in units in the last place; nan and nan are 0 apart, nan and a number infinitely far."""

    def position(a):
        bits = a.view(np.int64 if a.dtype == np.float64 else np.int32).astype(np.int64)
        lowest = np.iinfo(np.int64 if a.dtype == np.float64 else np.int32).min
        return np.where(bits < 0, lowest - bits, bits).astype(np.float64)

    distance = np.abs(position(x) - position(y))
    one, both = np.isnan(x) ^ np.isnan(y), np.isnan(x) & np.isnan(y)
    return np.where(one, np.inf, np.where(both, 0.0, distance))
