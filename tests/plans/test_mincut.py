"""The minimum cut against all cuts of small networks, and on big ones."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nbad.plans.mincut import INFINITE, Network

VERTICES = 6
EDGES = st.lists(st.tuples(st.integers(0, VERTICES - 1), st.integers(0, VERTICES - 1), st.integers(0, 7)), max_size=16)


def network_of(vertices, edges):
    network = Network(vertices)
    for edge in edges:
        network.connect(*edge)
    return network


def capacity(edges, side):
    """What leads into the sink's side."""
    return sum(amount for tail, head, amount in edges if tail not in side and head in side)


def all_sides(source, sink):
    others = [vertex for vertex in range(VERTICES) if vertex not in (source, sink)]
    for size in range(len(others) + 1):
        yield from ({sink, *chosen} for chosen in itertools.combinations(others, size))


@given(EDGES)
def test_flow_is_the_least_cut(edges):
    network = network_of(VERTICES, edges)
    assert network.flow(0, VERTICES - 1) == min(capacity(edges, side) for side in all_sides(0, VERTICES - 1))


@given(EDGES)
def test_sink_side_is_the_smallest_of_the_least_cuts(edges):
    network = network_of(VERTICES, edges)
    flow, side = network.flow(0, VERTICES - 1), network.sink_side(VERTICES - 1)
    least = [other for other in all_sides(0, VERTICES - 1) if capacity(edges, other) == flow]
    assert side in least
    assert all(side <= other for other in least)


def test_no_way_is_no_flow():
    network = network_of(3, [(0, 1, 5), (2, 1, 5)])
    assert network.flow(0, 2) == 0
    assert network.sink_side(2) == {2}


def test_flow_turns_back_where_it_must():
    """The only flow of 2 takes back what the shortest path sent through the middle."""
    edges = [(0, 1, 1), (1, 2, 1), (2, 5, 1), (0, 3, 1), (3, 2, 1), (1, 4, 1), (4, 5, 1)]
    assert network_of(6, edges).flow(0, 5) == 2


def test_deep_networks():
    """Much deeper than Python's stack."""
    edges = [(k, k + 1, INFINITE if k != 4000 else 3) for k in range(8000)]
    network = network_of(8001, edges)
    assert network.flow(0, 8000) == 3
    assert network.sink_side(8000) == set(range(4001, 8001))
