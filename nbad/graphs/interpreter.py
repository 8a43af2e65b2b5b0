"""The slow oracle: a graph run in NumPy, one operation at a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nbad.graphs.graph import Graph, Node
from nbad.operations.table import row_of

if TYPE_CHECKING:
    from nbad.graphs.loops import Loop


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
    loops: dict[Any, list[Any]] = {}
    # both arms of a select are computed, and one of them may overflow or divide by 0
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            if node.op == "loop":
                (loop, place), key = node.payload, (node.args, node.payload.loop)
                if key not in loops:
                    loops[key] = repeat(loop, [values[a] for a in node.args])
                values.append(loops[key][place])
            else:
                values.append(_evaluate_node(node, values, arrays, dtype))
    return values


def repeat(loop: "Loop", operands: Sequence[Any]) -> list[Any]:
    """The last value of each state of a loop, and 1 where it was not done, for the operands of its nodes."""
    active, states, captured = operands[0], operands[1 : loop.states + 1], operands[loop.states + 1 :]
    for passes in range(loop.max_passes + 1):
        values = evaluate_all(loop.step, *states, *captured)
        goes_on, *following = (values[k] for k in loop.step.outputs)
        moves = np.logical_and(active, goes_on)
        if passes == loop.max_passes or not moves.any():
            break
        # an element that is done keeps its states, so that it stays done
        states = [np.where(moves, new, old) for new, old in zip(following, states, strict=True)]
    return [*states, np.asarray(moves, states[0].dtype)]


def _evaluate_node(node: Node, values: list[Any], arrays: list[Any], dtype: np.dtype) -> Any:
    if node.op == "input":
        return arrays[node.payload].astype(dtype)
    if node.op == "const":
        return np.bool_(node.payload) if node.kind == "bool" else dtype.type(node.payload)
    payload = () if node.payload is None else (node.payload,)
    result = row_of(node.op, node.payload).numpy(*(values[a] for a in node.args), *payload)
    return result if node.kind == "bool" else np.asarray(result, dtype)
