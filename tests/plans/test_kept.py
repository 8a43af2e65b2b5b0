"""Plans as the disk keeps them: nothing is lost, and a process that finds one needs no SymPy."""

import math

import numpy as np
import pytest
from helpers.random_graphs import graphs
from hypothesis import given

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import GraphBuilder
from nbad.plans import kept
from nbad.plans.partition import partition
from nbad.plans.policies import POLICIES

KERNEL = """
import math, sys
import numpy as np
import nbad

@nbad.kernel
def f(x, y):
    return math.exp(x) * y, math.exp(x) * y * y, np.where(x > 0, math.exp(x) * y**3, x)

x = np.linspace(-1, 1, 1000)
"""
USE = """
results = []
for residuals in ("partials", "mincut", "recompute", "auto", ("%2",), ()):
    y, pullback = nbad.vjp(f, x, x[::-1], residuals=residuals, seeds=8)
    results += [*y, *pullback((1.0, 2.0, 3.0)), np.array([len(pullback.residuals)])]
told = nbad.explain(f, x, x)
print(hash(tuple(a.tobytes() for a in results)), told.policy, told.changes, "sympy" in sys.modules)
"""

OF_A_FORMULA = """
import numpy as np
import sympy
import nbad

scaled = nbad.primitive("scaled_by_many", {factor} * sympy.Symbol("x"), ["1"])
product = nbad.primitive("product_of_own", lambda x, y: x * y, [lambda x, y, v: scaled(y), lambda x, y, v: x])
f = nbad.kernel(lambda x: product(x, 5.0))
print(nbad.vjp(f, np.ones(2))[1](1.0)[0].tolist(), nbad.kernel(lambda x: scaled(x) + x)(np.arange(3.0)).tolist())
"""


def plans(graph):
    wrt = tuple(range(len(graph.inputs)))
    joint = jacobian(graph, wrt)
    numbers = tuple(graph.inputs[:1])
    return [partition(joint, wrt, policy) for policy in (*POLICIES, "auto", numbers)]


def texts(plan):
    """What a plan is, as texts; nan, which differs from itself, is equal there."""
    return [str(plan), repr(plan.entries), repr(plan.residuals), plan.wrt, plan.outputs, plan.policy, str(plan.pushforward)]


@given(graphs())
def test_nothing_is_lost(graph):
    for plan in plans(graph):
        again = kept.loads(kept.dumps(plan))
        assert texts(again) == texts(plan)
        assert (again.prologue is None) == (plan.prologue is None)


def test_the_greatest_of_many_is_kept():
    graph = nbad.kernel(lambda a: a * np.max(a), signature="(20)->(20)").whole_program().graph
    for plan in plans(graph):
        assert any(node.op == "tied" for node in plan.forward.nodes)
        assert texts(kept.loads(kept.dumps(plan))) == texts(plan)


def test_lines_of_the_source_are_kept():
    graph = nbad.kernel(lambda x: math.exp(math.sin(x)) * x).whole_program().graph
    for plan in plans(graph):
        again = kept.loads(kept.dumps(plan))
        assert again == plan
        pairs = [(a, b) for a, b in ((again.forward, plan.forward), (again.prologue, plan.prologue)) if a]
        assert all([n.source for n in a.nodes] == [n.source for n in b.nodes] for a, b in pairs)


@pytest.mark.parametrize("value", [-0.0, 1e-310, math.inf, math.nan, 0.1, True])
def test_constants_keep_every_bit(value):
    builder = GraphBuilder("f", ["x"])
    c = builder.constant(value)
    factor = builder.add("select", c, 0, 0) if value is True else builder.add("mul", c, 0)
    (plan, *_) = plans(builder.build([builder.add("exp", factor)]))
    again = kept.loads(kept.dumps(plan))
    assert [repr(n) for n in again.forward.nodes] == [repr(n) for n in plan.forward.nodes]


def test_keys_tell_requests_and_graphs_apart():
    graph = nbad.kernel(lambda x: x * 2.0).whole_program().graph
    other = nbad.kernel(lambda x: x * 2.5).whole_program().graph
    requests = [((0,), "partials"), ((0,), "mincut"), ((0,), "auto", 1), ((0,), "auto", 8), ((0,), ("x",)), ((), "partials")]
    keys = [kept.key(g, *request) for g in (graph, other) for request in requests]
    assert len(set(keys)) == len(keys)


def test_plans_need_no_sympy(run_python, tmp_path):
    """The same bits, whether a plan was made or found."""
    first, second = (run_python(KERNEL + USE, NBAD_CACHE_DIR=str(tmp_path / "cache"), PYTHONHASHSEED="0") for _ in range(2))
    assert first.split()[-1] == "False"
    assert second == first


def test_formulas_of_which_constants_are_made_are_told(run_python, tmp_path):
    """The partial by x is a constant of a plan, made by an operation that was edited since; code of it is lowered anew."""
    printed = [run_python(OF_A_FORMULA.format(factor=k), NBAD_CACHE_DIR=str(tmp_path / "cache")) for k in (2.0, 3.0)]
    assert printed == ["[10.0, 10.0] [0.0, 3.0, 6.0]\n", "[15.0, 15.0] [0.0, 4.0, 8.0]\n"]


def test_results_of_a_loaded_plan_are_those_of_a_made_one():
    f = nbad.kernel(lambda x, y: math.exp(x) * y)
    program = f.whole_program()
    plan = partition(program.joint((0, 1), "reverse"), (0, 1), "recompute")
    again = kept.loads(kept.dumps(plan))
    assert program.prologue(again, np.dtype(float)).oplist == program.prologue(plan, np.dtype(float)).oplist
