"""Results side by side: what the squares of a block cover, and that they change no bit."""

import numpy as np
import pytest
from helpers.tiles_by_hand import ENTRY, compile_tile, run_tile

from nbad.codegen.blocks import squares
from nbad.codegen.lower import lower
from nbad.graphs.graph import GraphBuilder


@pytest.mark.parametrize(("lanes", "itemsize"), [(2, 8), (4, 8), (8, 8), (4, 4), (8, 4), (16, 4)])
def test_squares_store_every_item_of_every_element_in_its_place(lanes, itemsize):
    for number in range(2, 40):
        memory = {}
        for square in squares(number, lanes, itemsize):
            vectors = [[(element, square.start + column) for element in range(lanes)] for column in range(square.columns)]
            for a, b, mask in square.steps:
                vectors.append([(vectors[a] + vectors[b])[k] for k in mask])
            for stored in square.stores:
                assert len(vectors[stored.vector]) == stored.items
                memory |= dict(enumerate(vectors[stored.vector], square.start + stored.place))
        assert [memory[k] for k in sorted(memory)] == [(e, c) for e in range(lanes) for c in range(number)]


def many_kinds(results, dtype="float64"):
    """A kernel with so many results of every kind: computed ones, inputs, constants, and some more than once."""
    builder = GraphBuilder("kinds", ["x", "y"])
    kinds = [
        builder.add("mul", 0, 1),
        0,
        builder.constant(3.0),
        builder.add("sin", 0),
        builder.add("cos", 0),
        builder.constant(0.0),
    ]
    kinds += [builder.add("exp", builder.add("sub", 0, 1)), kinds[0], 1]
    return lower(builder.build([kinds[k % len(kinds)] for k in range(results)]), dtype)


def run_blocks(kernel, *inputs):
    """The results of a tile kernel as arrays of a row for each element, and what was written behind them."""
    rows = [np.ascontiguousarray(x, kernel.dtype) for x in inputs]
    results = [np.full((len(rows[0]) + 1, len(columns)), 7.0, kernel.dtype) for columns in kernel.oplist.results]
    table = np.array([a.ctypes.data for a in (*rows, *results)], np.intp)
    ENTRY(kernel.address)(table.ctypes.data, len(rows[0]))
    assert all((result[-1] == 7.0).all() for result in results)
    return np.concatenate([result[:-1] for result in results], axis=1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("registers", [1, 4])
@pytest.mark.parametrize("widths", [(2, 1, 3), (14, 5)])
def test_blocks_have_the_bits_of_rows(dtype, registers, widths, rng, monkeypatch):
    rows = compile_tile(many_kinds(sum(widths), dtype))
    for module in ("vector_ir", "length"):
        monkeypatch.setattr(f"nbad.codegen.{module}.length", lambda oplist, host: registers)
    blocks = rows.beside(widths)
    x, y = rng.uniform(0.5, 2.0, (2, 4 * blocks.width))
    np.testing.assert_array_equal(run_blocks(blocks, x, y), np.array(run_tile(rows, x, y)).T)
