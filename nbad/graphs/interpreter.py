"""The slow oracle: a graph run in NumPy, one operation at a time."""

from typing import Any

import numpy as np

from nbad.graphs.graph import Graph, Node
from nbad.operations.table import TABLE


def evaluate(graph: Graph, *inputs: Any) -> list[Any]:
    """Run the graph in NumPy, one operation at a time: the slow oracle.

    Parameters
    ----------
    graph : Graph
    *inputs : array_like
        One per scalar input, broadcastable among themselves; computed in float32 if all are float32, else in float64.

    Returns
    -------
    list of numpy.ndarray
        One per output, in the broadcast shape of the inputs.
    """
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    values = evaluate_all(graph, *inputs)
    return [np.broadcast_to(values[k], shape) for k in graph.outputs]


def evaluate_all(graph: Graph, *inputs: Any) -> list[Any]:
    """The value of every node, each in a shape that broadcasts to that of the inputs."""
    arrays = [np.asarray(x) for x in inputs]
    single = bool(arrays) and all(a.dtype == np.float32 for a in arrays)
    dtype = np.dtype(np.float32 if single else np.float64)
    values: list[Any] = []
    # both arms of a select are computed, and one of them may overflow or divide by 0
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            values.append(_evaluate_node(node, values, arrays, dtype))
    return values


def _evaluate_node(node: Node, values: list[Any], arrays: list[Any], dtype: np.dtype) -> Any:
    if node.op == "input":
        return arrays[node.payload].astype(dtype)
    if node.op == "const":
        return np.bool_(node.payload) if node.kind == "bool" else dtype.type(node.payload)
    payload = () if node.payload is None else (node.payload,)
    result = TABLE[node.op].numpy(*(values[a] for a in node.args), *payload)
    return result if node.kind == "bool" else np.asarray(result, dtype)
