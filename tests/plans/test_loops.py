"""Plans of loops on data: no policy repeats one, all agree, and text keeps them whole."""

import numpy as np
import pytest
from helpers import nested_duals as duals
from helpers.loops import EXAMPLES, Steps, graph_of, kepler, nested, oscillator, sin

from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.hoist import split
from nbad.graphs.interpreter import evaluate
from nbad.graphs.loops import Loop, each_once
from nbad.plans import kept, work
from nbad.plans.partition import partition
from nbad.plans.plan import fuse, jvp_graph
from nbad.plans.policies import POLICIES

examples = pytest.mark.parametrize("name", ["kepler", "oscillator", "nested", "untaken"])


def around(x, y):
    """Something before a loop and behind it."""
    return sin(kepler(x * y, 0.5 * y)) * kepler(x, y) * x


def plan_of(function, arity, policy, seeds=1):
    joint = jacobian(graph_of(arity, function), tuple(range(arity)))
    return partition(joint, tuple(range(arity)), policy, seeds)


def loops_of(graph):
    return [node for node in each_once(graph) if node.op == "loop"]


def cotangents(plan, point):
    """Outputs and the rows of the Jacobian by the interpreter, from the residuals alone."""
    found = evaluate(plan.forward, *point)
    reverse = fuse(plan.prologue, plan.reverse) if plan.prologue else plan.reverse
    seeds = np.eye(plan.outputs)
    return found[: plan.outputs], np.array([evaluate(reverse, *found[plan.outputs :], *seed) for seed in seeds])


@pytest.mark.parametrize("policy", [*POLICIES, "auto", (), ("x0",)], ids=str)
@examples
def test_policies_agree_and_repeat_no_loop(name, policy):
    function, points = EXAMPLES[name]
    check_policy(function, points, policy)


@pytest.mark.parametrize("policy", [*POLICIES, "auto", ()], ids=str)
def test_policies_agree_on_what_stands_around_loops(policy):
    check_policy(around, [(0.5, 0.25), (1.0, 0.75)], policy)


def check_policy(function, points, policy):
    plan = plan_of(function, len(points[0]), policy)
    loops = loops_of(plan.forward)
    assert len(loops) == len(loops_of(graph_of(len(points[0]), function)))
    for graph in (plan.prologue, plan.reverse, plan.pushforward):
        assert graph is None or not loops_of(graph)
    for point in points:
        outputs, rows = cotangents(plan, point)
        np.testing.assert_allclose(outputs, np.atleast_1d(function(*point)), rtol=1e-15)
        np.testing.assert_allclose(rows, duals.jacobian(function, point), rtol=1e-13, atol=1e-13)


def test_what_is_kept_is_what_the_partials_need():
    steps = Steps(lambda z, k, a: (k < 3.0, (z * a, k + 1.0)), 2, 1)
    plan = plan_of(lambda z, a: steps([z, 0.0], [a])[0] * a, 2, "recompute")
    # the state, its derivatives by both, and how many passes were done
    assert [r.reason for r in plan.residuals] == ["input of the partials", *["`loop` is too expensive to repeat"] * 4]
    # neither derivatives nor a count of passes are carried where nobody wants them
    value = partition(jacobian(graph_of(2, lambda z, a: steps([z, 0.0], [a])[0]), ()), (), "partials").forward
    assert [node.payload.loop.states for node in loops_of(value)] == [2]


@examples
def test_tangents(name):
    function, points = EXAMPLES[name]
    wrt = tuple(range(len(points[0])))
    graph = jvp_graph(jacobian(graph_of(len(wrt), function), wrt, "forward"), wrt)
    for point in points:
        tangents = np.linspace(0.5, 1.5, len(wrt))
        found = evaluate(graph, *point, *tangents)
        expected = duals.jacobian(function, point) @ tangents
        np.testing.assert_allclose(found[len(found) // 2 :], expected, rtol=1e-12, atol=1e-13)


@examples
def test_text_keeps_every_bit(name):
    function, points = EXAMPLES[name]
    for policy in POLICIES:
        plan = plan_of(function, len(points[0]), policy)
        again = kept.loads(kept.dumps(plan))
        assert (str(again), again.entries) == (str(plan), plan.entries)
        assert [node.payload.loop for node in loops_of(again.forward)] == [node.payload.loop for node in loops_of(plan.forward)]
        for point in points:
            for left, right in zip(cotangents(again, point), cotangents(plan, point), strict=True):
                np.testing.assert_array_equal(left, right)


def test_lines_of_the_source_of_a_step_are_kept():
    step, builder = GraphBuilder("step", ["y"], source="f.py:2"), GraphBuilder("f", ["x"], source="f.py:1")
    loop = Loop(step.build([step.add("lt", 0, step.constant(3.0)), step.add("exp", 0)]), 1, 5)
    joint = jacobian(builder.build(builder.loop(builder.constant(True), [0], [], loop)[:1]), (0,))
    plan = kept.loads(kept.dumps(partition(joint, (0,))))
    assert loops_of(plan.forward)[0].source == "f.py:1"
    assert {node.source for node in loops_of(plan.forward)[0].payload.loop.step.nodes} == {None, "f.py:2"}


def test_a_key_tells_steps_and_passes_apart():
    def key(factor=2.0, **more):
        steps = Steps(lambda y, x: (y < x, (y * factor,)), 1, 1, **more)
        return kept.key(graph_of(1, lambda x: steps([x], [x])[0]))

    assert key() == key()
    assert len({key(), key(max_passes=7), key(passes=3.0), key(factor=3.0)}) == 4


def test_a_loop_is_paid_once_for_all_its_states():
    steps = Steps(lambda x, y, k: (k < 9.0, (x * y, x + y, k + 1.0)), 3, 0, passes=9.0)
    one = graph_of(2, lambda x, y: steps([x, y, 0.0], [])[0])
    both = graph_of(2, lambda x, y: steps([x, y, 0.0], [])[:2])
    assert work.total(one) == work.total(both) == 9 * (3 + 4)
    deep = graph_of(2, nested)
    assert work.total(deep) > 8 * 8 * 20  # passes of the inner loop in passes of the outer one, each with a division


def test_a_loop_of_numbers_that_all_elements_share_is_taken_out():
    graph = graph_of(3, lambda x, m, e: x * kepler(m, e))
    head, body = split(graph, frozenset({1, 2}))
    assert len(loops_of(head)) == 1
    assert not loops_of(body)
    (found,) = evaluate(body, 3.0, 1.0, 0.5, *evaluate(head, 3.0, 1.0, 0.5))
    assert found == 3.0 * evaluate(graph_of(2, kepler), 1.0, 0.5)[0]
    assert split(graph, frozenset({1})) is None


def test_auto_keeps_partials_of_a_loop():
    assert plan_of(oscillator, 4, "auto").policy in POLICIES
