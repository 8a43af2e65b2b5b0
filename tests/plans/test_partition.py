"""Residual policies: every one gives the bits of the others, and the minimum cut is minimal."""

import itertools
import math
import random
import time

import numpy as np
import pytest
from helpers.gallery import GALLERY, load
from helpers.random_graphs import POINTS, graphs
from helpers.same_bits import bits, leaves
from hypothesis import given
from hypothesis import strategies as st

import nbad
from kernels import polynomials
from nbad.derivatives.differentiate import JointGraph, jacobian
from nbad.errors import ArgumentValueError
from nbad.graphs.graph import GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.plans import cost, work
from nbad.plans.partition import partition
from nbad.plans.plan import fuse
from nbad.plans.policies import POLICIES, Targets, stored_values

X, Y = np.linspace(0.5, 2.0, 300), np.linspace(-1.0, 1.0, 300)
every_policy = pytest.mark.parametrize("policy", ["auto", *POLICIES, ()], ids=str)


def joint_of(function):
    """The joint graph of a kernel by all its arguments."""
    graph = nbad.kernel(function).whole_program().graph
    return jacobian(graph, tuple(range(len(graph.inputs))))


def plan_of(function, policy, seeds=1):
    joint = joint_of(function)
    return partition(joint, tuple(range(len(joint.graph.inputs))), policy, seeds)


def names_of(plan):
    return [residual.name for residual in plan.residuals]


# agreement


def outputs_of(graph, columns):
    with np.errstate(all="ignore"):
        return [np.asarray(a) for a in evaluate(graph, *columns)]


def results_of(plan, columns, seeds):
    """Outputs and cotangents by the interpreter, from the residuals alone."""
    found = outputs_of(plan.forward, columns)
    reverse = fuse(plan.prologue, plan.reverse) if plan.prologue else plan.reverse
    return found[: plan.outputs], outputs_of(reverse, [*found[plan.outputs :], *seeds])


def same(left, right):
    return all(np.array_equal(a, b, equal_nan=True) for pair in zip(left, right, strict=True) for a, b in zip(*pair, strict=True))


def columns_of(graph):
    grid = np.meshgrid(*[POINTS] * len(graph.inputs), indexing="ij")
    return [axis.ravel() for axis in grid]


@given(graphs(), st.data())
def test_policies_agree_on_random_graphs(graph, data):
    """To the bit, infinities and nan included: a policy computes the same operations, only elsewhere."""
    wrt = tuple(range(len(graph.inputs)))[: data.draw(st.integers(1, len(graph.inputs)))]
    joint, columns = jacobian(graph, wrt), columns_of(graph)
    expected = partition(joint, wrt, "partials")
    names = data.draw(st.lists(st.sampled_from([expected.forward.label(k) for k in range(len(expected.forward.nodes))])))
    kept = tuple(name for name in names if name.startswith("%") or name in graph.inputs)
    seeds = [np.random.default_rng(k).standard_normal(columns[0].size) for k in range(expected.outputs)]
    for policy in (*POLICIES, "auto", kept):
        plan = partition(joint, wrt, policy)
        assert same(results_of(plan, columns, seeds), results_of(expected, columns, seeds)), policy


@pytest.mark.parametrize("name", GALLERY)
def test_policies_agree_on_the_gallery(name):
    module = load(name)
    for kernel in (value for value in vars(module).values() if isinstance(value, nbad.Kernel)):
        try:
            xs = module.sample_inputs(np.random.default_rng(5), 300, np.float64, name=kernel.__name__)
        except TypeError:
            xs = module.sample_inputs(np.random.default_rng(5), 300, np.float64)
        results = [nbad.vjp(kernel, *xs, residuals=policy) for policy in POLICIES]
        seeds = tuple(np.random.default_rng(k).standard_normal((3, *leaf.shape)) for k, leaf in enumerate(leaves(results[0][0])))
        cts = [pullback.batched(seeds if isinstance(y, tuple) else seeds[0]) for y, pullback in results]
        assert [bits(y) for y, _ in results] == [bits(results[0][0])] * len(POLICIES)
        assert [bits(ct) for ct in cts] == [bits(cts[0])] * len(POLICIES)


@nbad.kernel
def wave(a, x, t):
    amplitude = a * math.exp(-t)
    return amplitude * math.sin(x) / (1.0 + t), np.where(x > 0.0, amplitude * math.sqrt(x), -a)


def reference(seeds, *xs):
    return nbad.vjp(wave, *xs, residuals="partials")[1].batched(seeds)


@every_policy
def test_shapes_and_dtypes(policy):
    """Broadcast arguments, subsets of them, float32, several seeds, one and none."""
    cases = [
        ((0.5, X, Y), {}),
        ((0.5, X, Y), {"argnums": ("t", "a")}),
        ((X[:, None], Y[None, :40], 0.3), {}),
        ((X.astype(np.float32), Y.astype(np.float32), np.float32(0.3)), {}),
        ((0.5, 0.25, 2.0), {}),
        ((X[:0], 1.0, 2.0), {}),
    ]
    for xs, options in cases:
        y, pullback = nbad.vjp(wave, *xs, residuals=policy, **options)
        expected = nbad.vjp(wave, *xs, residuals="partials", **options)[1]
        for count in (0, 1, 5):
            seeds = tuple(np.random.default_rng(k).standard_normal((count, *leaf.shape)) for k, leaf in enumerate(y))
            assert bits(pullback.batched(seeds)) == bits(expected.batched(seeds))
        one = tuple(np.float64(1.5) for _ in y)
        assert bits(pullback(one)) == bits(expected(one))


@every_policy
def test_results_are_stable_and_inputs_are_not_read_again(policy):
    xs = [np.array(a) for a in (X, Y, X[::-1])]
    y, pullback = nbad.vjp(wave, *xs, residuals=policy)
    first = bits(pullback((1.0, 2.0)))
    for a in (*xs, *y):
        a[...] = 77.0
    assert bits(pullback((1.0, 2.0))) == first
    assert bits(pullback((1.0, 2.0))) == first


@every_policy
def test_more_elements_than_a_thread_is_given(policy):
    """Tiles and seeds are shared among threads; each runs the prologue of its own tiles."""
    for count, elements in ((2, 70_001), (300, 40)):
        xs = [np.resize(a, elements) for a in (X, Y, X[::-1])]
        seeds = tuple(np.random.default_rng(k).standard_normal((count, elements)) for k in range(2))
        pullback = nbad.vjp(wave, *xs, residuals=policy)[1]
        assert bits(pullback.batched(seeds)) == bits(reference(seeds, *xs))
        assert bits(pullback((seeds[0][1], seeds[1][1]))) == bits(tuple(ct[1] for ct in reference(seeds, *xs)))


def test_vector_arguments():
    @nbad.kernel(signature="(3),()->(2)")
    def turn(v, angle):
        c, s = math.cos(angle), math.sin(angle)
        return np.array([c * v[0] - s * v[1], s * v[0] + c * v[1] * v[2]])

    v, angle, seed = np.random.default_rng(0).standard_normal((20, 3)), np.linspace(0, 1, 20), np.ones((20, 2))
    results = [nbad.vjp(turn, v, angle, residuals=policy)[1](seed) for policy in POLICIES]
    assert [bits(ct) for ct in results] == [bits(results[0])] * len(POLICIES)


# what is stored

COUNTS = {  # residuals by "partials", "mincut" and "recompute"
    "chain": (lambda x: math.exp(math.sin(x)), (1, 1, 1)),
    "linear": (lambda x, y: 3.0 * x - y, (0, 0, 0)),
    "product": (lambda x, y: x * y, (2, 2, 2)),
    "square": (lambda x: x * x, (1, 1, 1)),
    "shared exponential": (lambda x, y: (math.exp(x) * y, math.exp(x) * y * y, math.exp(x) * y**3), (6, 2, 2)),
    "one factor for many": (lambda a, b, c, x: math.sin(x) * (a + 2.0 * b + 3.0 * c), (4, 2, 4)),
    "outer product": (lambda a, b, c, d: tuple(math.exp(u) * math.log(v) for u in (a, b) for v in (c, d)), (8, 6, 4)),
}


@pytest.mark.parametrize(("function", "counts"), COUNTS.values(), ids=COUNTS.keys())
def test_counts(function, counts):
    assert tuple(len(plan_of(function, policy).residuals) for policy in POLICIES) == counts


@pytest.mark.parametrize("policy", POLICIES)
def test_linear_kernels_have_no_prologue(policy):
    plan = plan_of(lambda x, y: (2.0 * x + y, -x), policy)
    assert (plan.residuals, plan.prologue, plan.partials) == ((), None, 0)


def test_recompute_keeps_only_inputs_that_partials_need():
    plan = plan_of(lambda x, y, z: math.sin(x) * 2.0 + y + z * z, "recompute")
    assert names_of(plan) == ["x", "z"]
    assert plan.residuals[0].reason == "input of the partials"


def test_partials_that_are_inputs_need_no_prologue():
    plan = plan_of(lambda x, y: x * y, "recompute")
    assert plan.prologue is None
    assert [(r.name, r.reason) for r in plan.residuals] == [("y", "input, and entry ∂y0/∂x"), ("x", "input, and entry ∂y0/∂y")]


def expensive_in(graph):
    return [node.op for node in graph.nodes if work.is_expensive(node)] if graph else []


@pytest.mark.parametrize("name", GALLERY)
def test_minimum_cut_repeats_nothing_expensive(name):
    for kernel in (value for value in vars(load(name)).values() if isinstance(value, nbad.Kernel)):
        program = kernel.whole_program()
        wrt = tuple(range(len(program.graph.inputs)))
        joint = jacobian(program.graph, wrt)
        cut, partials = (partition(joint, wrt, policy) for policy in ("mincut", "partials"))
        assert expensive_in(cut.prologue) == []
        assert len(cut.residuals) <= len(partials.residuals)


def price(targets, kept):
    """What a choice of values costs; None where something expensive or an input would be repeated."""
    nodes = targets.graph.nodes
    below = targets.below(kept)
    repeated = [nodes[k] for k in below if k not in kept]
    if any(node.op == "input" or work.is_expensive(node) for node in repeated):
        return None
    return sum(work.of_keeping(nodes[k]) for k in below if k in kept) + sum(map(work.of_repeating, repeated))


@given(graphs(largest=7), st.integers(0, 60))
def test_no_choice_of_values_costs_less(graph, weight):
    """The cut against all subsets of the values, for every relation between bytes and operations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "of_keeping", lambda node: weight + 2 * (node.kind == "bool"))
        targets = Targets(graph, {k: [] for k in graph.outputs if graph.nodes[k].op != "const"})
        live = targets.below()
        subsets = (set(s) for size in range(len(live) + 1) for s in itertools.combinations(live, size))
        prices = (price(targets, kept) for kept in subsets)
        assert price(targets, set(stored_values(targets, "mincut"))) == min(p for p in prices if p is not None)


def test_big_graphs_are_cut_fast():
    """Thousands of nodes, hundreds of entries, each a long way of cheap operations from few expensive values."""
    rng, builder = random.Random(0), GraphBuilder("big", [f"x{k}" for k in range(20)])
    values = [builder.add("exp", k) for k in range(20)]
    entries = [rng.choice(values) for _ in range(400)]
    for _ in range(10):
        entries = [builder.add(rng.choice(["add", "mul"]), e, rng.choice(values)) for e in entries]
    targets = Targets(builder.build(entries), {k: [] for k in entries})
    start = time.process_time()
    assert stored_values(targets, "mincut") == values
    assert time.process_time() - start < 1.0


# conditions


def guarded_joint():
    """Six entries, each a choice between two of four expensive values by one condition of two expensive numbers."""
    builder = GraphBuilder("choose", list("abcdef"))
    values = [builder.add("exp", k) for k in range(4)]
    condition = builder.add("lt", builder.add("sin", 4), builder.add("cos", 5))
    entries = [builder.add("select", condition, x, y) for x, y in itertools.combinations(values, 2)]
    return JointGraph(builder.build([0, *entries]), 1, tuple((0, k) for k in range(6)))


def test_a_condition_is_kept_as_a_number():
    joint, wrt = guarded_joint(), tuple(range(6))
    plan = partition(joint, wrt, "mincut")
    assert len(plan.residuals) == 5
    assert all(plan.forward.nodes[k].kind == "real" for k in plan.forward.outputs)
    assert "select(" in str(plan.forward)
    assert "ne(" in str(plan.prologue)
    columns = [np.array(a) for a in zip(*itertools.product((-1.0, 0.0, np.nan), repeat=6), strict=True)]
    expected = partition(joint, wrt, "partials")
    assert same(results_of(plan, columns, [1.0]), results_of(expected, columns, [1.0]))


def test_an_unused_branch_stays_out():
    """Kept values of the branch that is not taken are infinite or nan there; the partial is not."""
    root = nbad.kernel(lambda x, y: np.where(x > 0.0, math.sqrt(x) * y, math.exp(y)))
    x, y = np.array([-1.0, 0.0, 4.0]), np.array([1.0, 2.0, 3.0])
    graph = root.whole_program().plan((0, 1), "partials").forward
    values = [graph.label(k) for k, node in enumerate(graph.nodes) if node.op not in ("const", "input")]
    for policy in (*POLICIES, *((value,) for value in values), tuple(values)):
        ct_x, ct_y = nbad.vjp(root, x, y, residuals=policy)[1](1.0)
        np.testing.assert_allclose(ct_x, [0.0, 0.0, 0.75])
        np.testing.assert_allclose(ct_y, [math.exp(1.0), math.exp(2.0), 2.0])


# a custom choice


def test_values_are_kept_by_name():
    function = lambda x, y: math.exp(x) * math.sin(y)  # noqa: E731
    assert names_of(plan_of(function, ())) == names_of(plan_of(function, "recompute"))
    assert names_of(plan_of(function, ("∂y0/∂x", "∂y0/∂y"))) == ["∂y0/∂x", "∂y0/∂y"]
    plan = plan_of(function, ("%2",))
    assert names_of(plan) == ["y", "%2"]
    assert [r.reason for r in plan.residuals] == ["input of the partials", "asked for"]
    assert plan.policy == ("%2",)


def test_every_name_that_residuals_go_by_can_be_asked_for():
    xs = X, Y, X
    for policy in POLICIES:
        pullback = nbad.vjp(wave, *xs, residuals=policy)[1]
        again = nbad.vjp(wave, *xs, residuals=pullback.residuals.names)[1]
        assert sorted(again.residuals.names) == sorted(pullback.residuals.names)
        assert bits(again((1.0, 2.0))) == bits(pullback((1.0, 2.0)))


def test_a_value_that_no_partial_needs_is_not_stored():
    plan = plan_of(lambda x: math.exp(x) + 3.0 * x, ("x", "∂y0/∂x"))
    assert names_of(plan) == ["∂y0/∂x"]


def test_unknown_names():
    text = (
        r"residuals=\('%2', 'nothing', '%99'\)[\s\S]*got: 'nothing', '%99'[\s\S]*names among x, %1, %2, %3, ∂y0/∂x, as"
        r"[\s\S]*fix: residuals=\('%3', '∂y0/∂x',\)"
    )
    with pytest.raises(ArgumentValueError, match=text):
        nbad.vjp(nbad.kernel(lambda x: math.exp(math.sin(x))), X, residuals=("%2", "nothing", "%99"))


@pytest.mark.parametrize("residuals", ["all", ("x", 3), None, 7], ids=str)
def test_unknown_policies(residuals):
    with pytest.raises(ArgumentValueError, match=r"unknown residual policy[\s\S]*'mincut', 'recompute', or a tuple of names"):
        nbad.vjp(wave, X, Y, X, residuals=residuals)


@pytest.mark.parametrize("seeds", [-1, 1.5, True, "8"])
def test_wrong_numbers_of_seeds(seeds):
    with pytest.raises(ArgumentValueError, match=r"seeds=.* is not a number of seeds[\s\S]*fix: seeds=8"):
        nbad.vjp(wave, X, Y, X, seeds=seeds)


# the choice


def test_auto_takes_what_costs_least():
    plans = [plan_of(polynomials.__wrapped__, policy) for policy in POLICIES]
    choices = [plan_of(polynomials.__wrapped__, "auto", seeds).policy for seeds in (1, 1000)]
    assert choices == [cost.best(plans, seeds).policy for seeds in (1, 1000)] == ["mincut", "partials"]


def test_changes_are_where_the_best_plan_changes():
    plans = [plan_of(polynomials.__wrapped__, policy) for policy in POLICIES]
    changes = cost.changes(plans)
    assert changes[0][0] == 1
    assert len(changes) > 1
    for (seeds, plan), (_, before) in zip(changes[1:], changes, strict=False):
        assert cost.best(plans, seeds) is plan
        assert cost.best(plans, seeds - 1) is before


def test_the_hint_reaches_the_plan():
    kernel = nbad.kernel(polynomials.__wrapped__)
    few, many = (nbad.vjp(kernel, X, seeds=seeds)[1].residuals for seeds in (1, 1000))
    assert len(few) < len(many) == 6


def test_prints():
    text = str(plan_of(lambda x, y: math.exp(x) * math.sin(y), "recompute"))
    assert "policy 'recompute': 2 residuals" in text
    assert text.index("forward:") < text.index("prologue:") < text.index("reverse:")
