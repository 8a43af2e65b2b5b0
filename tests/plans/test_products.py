"""Products with the linear map of a plan, which plans of one kernel share."""

import math

import pytest

from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.plans.linear import Entry
from nbad.plans.plan import Plan


def plan(entries, inner):
    forward = GraphBuilder("f", ["x"]).build([0])
    return Plan("partials", (0,), 1, forward, (), None, entries, inner=inner)


@pytest.mark.parametrize("inner", [0, 1])
@pytest.mark.parametrize("product", ["reverse", "pushforward"])
def test_maps_that_differ_in_the_sign_of_a_zero_are_two(product, inner):
    signs = []
    for zero in (0.0, -0.0):
        entries = (Entry(0, 1, None, 1.0), Entry(1, 0, None, zero)) if inner else (Entry(0, 0, None, zero),)
        signs.append(math.copysign(1.0, evaluate(getattr(plan(entries, inner), product), 1.0)[0]))
    assert signs == [1.0, -1.0]


def test_equal_maps_share_their_graph():
    entries = (Entry(0, 0, None, 3.0),)
    assert plan(entries, 0).reverse is plan(entries, 0).reverse
    assert plan(entries, 0).reverse != plan((Entry(0, 0, None, 2.0),), 0).reverse
