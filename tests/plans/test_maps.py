"""Maps that keep inner vertices: the same cotangents and tangents as from the whole Jacobian, whatever is kept, and where."""

import functools

import numpy as np
import pytest
from helpers.random_graphs import graphs
from helpers.same_bits import bits
from helpers.wide_kernels import MAKERS, branching, kinetics, log_sum_exp, sample, softmax
from hypothesis import given, settings

import nbad
from nbad.api.calls import analyse
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.interpreter import evaluate
from nbad.plans import kept
from nbad.plans.partition import partition
from nbad.plans.plan import fuse, jvp_graph
from nbad.plans.policies import POLICIES

ENDS = ("greedy", "plain")
WIDTH = 8


def outputs_of(graph, columns):
    with np.errstate(all="ignore"):
        return [np.asarray(a, float) for a in evaluate(graph, *columns)]


def walks(plan, columns, seeds, tangents):
    """Cotangents, output tangents by the interpreter, from the residuals alone."""
    kept = outputs_of(plan.forward, columns)[plan.outputs :]
    found = []
    for graph, given_ in ((plan.reverse, seeds), (plan.pushforward, tangents)):
        found += outputs_of(fuse(plan.prologue, graph) if plan.prologue else graph, [*kept, *given_])
    return found


def matrix(plan, columns):
    """All entries likewise."""
    return outputs_of(plan.blocks, outputs_of(plan.forward, columns)[plan.outputs :])


def directions(count, shape, seed=0):
    """Some of them 0."""
    rng = np.random.default_rng(seed)
    return [rng.choice([0.0, 0.0, 1.0, -0.5], shape) for _ in range(count)]


@functools.cache
def program(make):
    return make(WIDTH).whole_program()


def wrt_of(graph):
    return tuple(range(len(graph.inputs)))


# agreement


@settings(max_examples=40)
@given(graphs(largest=30))
def test_policies_give_the_same_bits_by_every_elimination(graph):
    """Infinities and nan included; and what is written as text is read as it was."""
    wrt = wrt_of(graph)
    columns = [np.random.default_rng(k).choice([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0], 60) for k in wrt]
    seeds, tangents = directions(len(graph.outputs), 60, 1), directions(len(wrt), 60, 2)
    for elimination in ENDS:
        joint = jacobian(graph, wrt, elimination=elimination)
        plans = [partition(joint, wrt, policy) for policy in POLICIES]
        expected = [*walks(plans[0], columns, seeds, tangents), *matrix(plans[0], columns)]
        for plan in (*plans[1:], kept.loads(kept.dumps(plans[1]))):
            for a, b in zip([*walks(plan, columns, seeds, tangents), *matrix(plan, columns)], expected, strict=True):
                assert np.array_equal(a, b, equal_nan=True)


@settings(max_examples=40)
@given(graphs(largest=30))
def test_entries_are_what_unit_seeds_or_unit_tangents_give(graph):
    """Whichever are fewer; infinities and nan included."""
    wrt, outputs = wrt_of(graph), len(graph.outputs)
    columns = [np.random.default_rng(k).choice([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0], 60) for k in wrt]
    seeds, tangents = np.zeros((outputs, 60)), np.zeros((len(wrt), 60))
    given_, part = (seeds, slice(len(wrt))) if outputs <= len(wrt) else (tangents, slice(len(wrt), None))
    for elimination in ("full", *ENDS):
        plan, expected = partition(jacobian(graph, wrt, elimination=elimination), wrt, "mincut"), []
        for unit in given_:
            unit[...] = 1.0
            expected.append(walks(plan, columns, seeds, tangents)[part])
            unit[...] = 0.0
        rows = expected if given_ is seeds else zip(*expected, strict=True)
        for a, b in zip(matrix(plan, columns), [entry for row in rows for entry in row], strict=True):
            assert np.array_equal(np.broadcast_to(a, 60), np.broadcast_to(b, 60), equal_nan=True)


@pytest.mark.parametrize("elimination", ["auto", "greedy", pytest.param("plain", marks=pytest.mark.slow)])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_maps_are_the_jacobian(make, elimination):
    graph = program(make).graph
    wrt = wrt_of(graph)
    xs = sample(make, WIDTH)
    columns = [x for a in xs for x in (np.moveaxis(a, -1, 0) if a.ndim > 1 else [a])]
    seeds, tangents = directions(len(graph.outputs), 40, 1), directions(len(wrt), 40, 2)
    joint = jacobian(graph, wrt, elimination=elimination)
    whole, plan = partition(jacobian(graph, wrt), wrt, "partials"), partition(joint, wrt, "mincut")
    expected = walks(whole, columns, seeds, tangents)
    for a, b in zip(walks(plan, columns, seeds, tangents), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    for a, b in zip(matrix(plan, columns), matrix(whole, columns), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    dots = outputs_of(jvp_graph(joint, wrt), [*columns, *tangents])[len(graph.outputs) :]
    for a, b in zip(dots, expected[len(wrt) :], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


# what flows, and where


def root(x, c):
    s = np.sqrt(x)
    return s, np.where(c > 0, 2.0 * s, 2.0)


def behind(x, c):
    """The root is of what an arm chooses, and stands at 0 where that is not x."""
    s = np.sqrt(np.where(c > 0, x, 0.0))
    return s, 3.0 * s, s * c


def inside(x, c):
    """All of it within an arm."""
    if c > 0:
        s = np.sqrt(x)
        return s, 3.0 * s, s * c
    return x, 2.0 * x, 1.0


def pole(x, c):
    """Genuine infinity times 0: the cotangent of the logarithm is 0 by its value, and its slope infinite."""
    v = np.log(x) + c
    return v, v * c


POINTS = [
    (root, (0.0, -1.0), (0.0, 1.0), (0.0, 0.0)),  # the only seed belongs to an output that does not use the root here
    (root, (0.0, -1.0), (1.0, 1.0), (np.inf, 0.0)),
    (root, (0.0, 1.0), (0.0, 1.0), (np.inf, 0.0)),
    (behind, (4.0, -1.0), (1.0, 1.0, 1.0), (0.0, 0.0)),
    (behind, (0.0, 1.0), (0.0, 0.0, 1.0), (np.inf, 0.0)),
    (behind, (4.0, 1.0), (1.0, 1.0, 1.0), (1.25, 2.0)),
    (inside, (-1.0, -1.0), (1.0, 1.0, 1.0), (3.0, 0.0)),  # where the root is nan, nobody takes it
    (inside, (0.0, -1.0), (0.0, 0.0, 1.0), (0.0, 0.0)),
    (inside, (4.0, 1.0), (1.0, 0.0, 1.0), (0.5, 2.0)),
    (pole, (0.0, 0.0), (0.0, 1.0), (np.nan, -np.inf)),
    (pole, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)),
]


@pytest.mark.parametrize("elimination", ["full", *ENDS])
@pytest.mark.parametrize(("function", "at", "seeds", "expected"), POINTS)
def test_what_is_not_used_passes_nothing(function, at, seeds, expected, elimination):
    graph = nbad.kernel(function).whole_program().graph
    joint = jacobian(graph, (0, 1), elimination=elimination)
    assert joint.inner > 0 or elimination != "plain"
    for policy in POLICIES:
        plan = partition(joint, (0, 1), policy)
        found = walks(plan, [np.array([x]) for x in at], [np.array([s]) for s in seeds], [np.zeros(1)] * 2)[:2]
        np.testing.assert_array_equal(np.ravel(found), expected)


@pytest.mark.parametrize("elimination", ENDS)
def test_no_tangent_passes_an_arm_that_is_not_taken(elimination):
    graph = nbad.kernel(behind).whole_program().graph
    joint = jacobian(graph, (0, 1), elimination=elimination)
    columns, tangents = [np.array([4.0, 4.0]), np.array([-1.0, 1.0])], [np.array([1.0, 1.0]), np.zeros(2)]
    expected = [[0.0, 0.25], [0.0, 0.75], [0.0, 0.25]]
    np.testing.assert_array_equal(walks(partition(joint, (0, 1), "mincut"), columns, [np.zeros(2)] * 3, tangents)[2:], expected)
    np.testing.assert_array_equal(outputs_of(jvp_graph(joint, (0, 1)), [*columns, *tangents])[3:], expected)


# compiled


def closed_form(x):
    y = np.exp(x - x.max(-1, keepdims=True))
    y /= y.sum(-1, keepdims=True)
    return y, y[..., None] * (np.eye(x.shape[-1]) - y[..., None, :])


def plan_of(kernel, *xs, policy="auto", seeds=1):
    call = analyse(kernel, xs, {}, None)
    return call.program.plan(call.wrt, policy, seeds)


@pytest.mark.parametrize(
    ("policy", "dtype", "near"), [*((p, np.float64, 1e-14) for p in ("auto", *POLICIES)), ("auto", np.float32, 1e-6)]
)
def test_softmax(policy, dtype, near):
    x = np.random.default_rng(0).standard_normal((1000, WIDTH)).astype(dtype)
    y, pullback = nbad.vjp(softmax(WIDTH), x, residuals=policy)
    expected, block = closed_form(x)
    seeds = np.random.default_rng(1).standard_normal((3, *x.shape)).astype(dtype)
    np.testing.assert_allclose(y, expected, rtol=0, atol=near)
    (many,) = pullback.batched(seeds)
    np.testing.assert_allclose(many, np.einsum("bmn,sbm->sbn", block, seeds), rtol=0, atol=10 * near)
    assert bits(pullback(seeds[1])) == bits((many[1],))
    assert bits(nbad.vjp(softmax(WIDTH), x[:5], residuals=policy)[1](seeds[1, :5])) == bits((many[1, :5],))
    assert plan_of(softmax(WIDTH), x, policy=policy).inner > 0


def test_seeds_are_read_once():
    """Whether a seed is 0 is asked for where it is multiplied, hundreds of seeds before their sum is known."""
    program = softmax(WIDTH).whole_program()
    reverse = program.plan(program.input_slots((0,)), "auto").reverse
    for seed in range(len(reverse.inputs) - WIDTH, len(reverse.inputs)):
        uses = [k for k, node in enumerate(reverse.nodes) if seed in node.args]
        assert len(uses) == 2
        assert uses[1] - uses[0] <= 2


def test_equal_items_have_one_weight():
    """Of a softmax that takes the greatest off first: the values, which items are equal to it, and what each of these has."""
    plan = softmax(2 * WIDTH).whole_program().plan(tuple(range(2 * WIDTH)), "auto")
    assert plan.prologue is None
    assert len(plan.residuals) == 4 * WIDTH + 1


def test_tangents():
    x, t = np.random.default_rng(0).standard_normal((2, 1000, WIDTH))
    expected, block = closed_form(x)
    expected_dot = np.einsum("bmn,bn->bm", block, t)
    y, dot = nbad.jvp(softmax(WIDTH), (x,), (t,))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-15)
    np.testing.assert_allclose(dot, expected_dot, rtol=0, atol=1e-14)
    pushforward = nbad.linearize(softmax(WIDTH), x)[1]
    np.testing.assert_allclose(pushforward((t,)), expected_dot, rtol=0, atol=1e-14)
    np.testing.assert_allclose(pushforward.batched((np.stack([t, -t]),)), [expected_dot, -expected_dot], rtol=0, atol=1e-14)


def test_jacobians_are_whole():
    x = np.random.default_rng(0).standard_normal((50, WIDTH))
    np.testing.assert_allclose(nbad.jacobian(softmax(WIDTH))(x), closed_form(x)[1], rtol=0, atol=1e-15)


def test_shared_arguments():
    """Broadcast arguments: cotangents are summed, and those of chosen ones alone are the same."""
    c, t = sample(kinetics, 20, 100)
    f = kinetics(20)
    seeds = np.random.default_rng(1).standard_normal((2, 100, 20))
    whole = nbad.vjp(f, c, t)[1].batched(seeds)
    shared = nbad.vjp(f, c[0], t)[1].batched(seeds)
    tiled = nbad.vjp(f, np.tile(c[0], (100, 1)), t)[1].batched(seeds)
    np.testing.assert_allclose(shared[0], tiled[0].sum(1), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(nbad.vjp(f, c, t, argnums="c")[1].batched(seeds)[0], whole[0], rtol=1e-12, atol=1e-14)
    assert plan_of(f, c, t).inner > 0


def test_more_seeds_may_ask_for_another_map():
    """The expected number counts, and each choice has its own kernels."""
    (x,) = sample(log_sum_exp, 10, 20)
    few, many = (nbad.vjp(log_sum_exp(10), x, seeds=seeds)[1] for seeds in (1, 10_000))
    seed = np.ones(20), np.cos(x)
    np.testing.assert_allclose(few(seed)[0], many(seed)[0], rtol=1e-12, atol=1e-14)


def test_names_of_residuals():
    """Weights are named by the vertices between which they lie, conditions have a question mark; each can be asked for."""
    xs = sample(branching, WIDTH, 200)
    f = branching(WIDTH)
    expected = nbad.vjp(f, *xs, residuals="partials")[1]
    names = expected.residuals.names
    assert any(name.startswith("∂%") for name in names)
    seed = np.random.default_rng(0).standard_normal((200, WIDTH))
    chosen = nbad.vjp(f, *xs, residuals=tuple(name for name in names if "?" in name)[:4])[1]
    assert bits(chosen(seed)) == bits(expected(seed))


def test_elements_without_a_value_are_nan_in_every_cotangent():
    def checked(x):
        if x[0] < 0:
            raise ValueError("negative")
        e = np.exp(x)
        return e / np.sum(e)

    f = nbad.kernel(checked, signature=f"({WIDTH})->({WIDTH})", errors="nan")
    x = np.random.default_rng(0).standard_normal((100, WIDTH))
    y, pullback = nbad.vjp(f, x)
    ct = pullback(np.ones_like(y))[0]
    assert np.array_equal(np.isnan(ct), np.broadcast_to(x[:, :1] < 0, ct.shape))
    raising = nbad.kernel(checked, signature=f"({WIDTH})->({WIDTH})")
    np.testing.assert_allclose(nbad.vjp(raising, abs(x))[1](np.cos(x))[0], nbad.vjp(f, abs(x))[1](np.cos(x))[0], atol=1e-15)
    with pytest.raises(ValueError, match="negative"):
        nbad.vjp(raising, x)


def test_hessian_times_vector():
    """Through the map of the gradient, whose Jacobian has an entry for each pair of inputs."""
    width = 10
    f = nbad.kernel(lambda x: np.log(np.sum(np.exp(x - np.max(x)))) + np.max(x), signature=f"({width})->()")
    x, t = np.random.default_rng(0).standard_normal((2, 50, width))
    (found,) = nbad.hvp(f, (x,), (t,))
    np.testing.assert_allclose(found, np.einsum("bmn,bn->bm", closed_form(x)[1], t), rtol=0, atol=1e-14)


def test_the_hessians_of_sums_follow_few_operations():
    """The joint graph of a gradient grows with the width, not with its square, though arms nest in a largest value."""
    sizes = []
    for width in (16, 64):
        f = nbad.kernel(lambda x: np.log(np.sum(np.exp(x - np.max(x)))), signature=f"({width})->()")
        program = analyse(nbad.grad(f), (np.zeros((1, width)),), {}, None).program
        sizes.append(len(program.jvp_graph(tuple(range(width))).nodes))
    assert sizes[1] < 5 * sizes[0]


def test_plans_of_other_vertices_are_told_apart():
    """Few seeds keep the sum here, many its function: entries at the same places, but other weights and fewer of them."""
    width, shape = 30, (5, 30)

    def both(x):
        p = np.sum(np.sin(x))
        y = np.exp(p) * p
        return np.array([y + x[0], y - x[1]])

    f = nbad.kernel(both, signature=f"({width})->(2)")
    x, seed = np.random.default_rng(0).uniform(-1, 1, shape), np.random.default_rng(1).uniform(-1, 1, (5, 2))
    p = np.sin(x).sum(1)
    expected = (seed.sum(1) * np.exp(p) * (1 + p))[:, None] * np.cos(x)
    expected[:, 0] += seed[:, 0]
    expected[:, 1] -= seed[:, 1]
    pullbacks = [nbad.vjp(f, x, seeds=count)[1] for count in (1, 20)]
    assert len({len(pullback.residuals) for pullback in pullbacks}) == 2
    for pullback in pullbacks:
        np.testing.assert_allclose(pullback(seed)[0], expected, rtol=1e-12, atol=1e-12)
