"""Derivatives of graphs: hard points and kinks of every operation, branches, structure, and random graphs in 60 digits."""

import itertools
import json
import math
import time
from pathlib import Path

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.interpreter import evaluate, evaluate_all
from nbad.graphs.simplify import simplify
from nbad.operations.table import TABLE
from nbad.testing.exact import exact, exact_jacobian

# Elementary functions and their derivatives at hard points, computed in 60-digit arithmetic.
GOLDENS = json.loads((Path(__file__).parents[1] / "data" / "scalar_rules_goldens.json").read_text())
MODES = ("reverse", "forward")
in_both_modes = pytest.mark.parametrize("mode", MODES)


NAMES = {"sinc_pi": "sinc", "log1pexp": "softplus", "logsigmoid": "log_expit"}
ROWS = [(NAMES.get(name, name), row) for kind in ("unary", "binary") for name, rows in GOLDENS[kind].items() for row in rows]
CASES = [(op, tuple(np.atleast_1d(row["x"])), row.get("grad", [row.get("df")])) for op, row in ROWS if op in TABLE]
CORRECTED = {("acosh", 1.0000001): -11180340157.215664}  # that of the file is 74 ulp off
SECOND = [(op, row["x"], CORRECTED.get((op, row["x"]), row["d2f"])) for op, row in ROWS if op in TABLE and "d2f" in row]


def graph_of(operation, payload=None):
    arity = len(TABLE[operation].operands)
    builder = GraphBuilder(operation, "xy"[:arity])
    return builder.build([builder.add(operation, *range(arity), payload=payload)])


def dense(joint, evaluated):
    """The Jacobian of scalar evaluations, absent entries 0."""
    rows = np.zeros((joint.n_outputs, len(joint.graph.inputs)))
    for (m, n), entry in zip(joint.positions, evaluated[joint.n_outputs :], strict=True):
        rows[m, n] = entry
    return rows


def partials(graph, point, mode="reverse"):
    joint = jacobian(graph, tuple(range(len(graph.inputs))), mode)
    return dense(joint, evaluate(simplify(joint.graph), *point))


def derivative(graph, mode="reverse"):
    """The graph whose outputs are the Jacobian entries of another."""
    joint = jacobian(graph, tuple(range(len(graph.inputs))), mode)
    return simplify(Graph(graph.name, graph.inputs, joint.graph.nodes, joint.graph.outputs[joint.n_outputs :]))


def ulps(got, expected):
    if got == expected:
        return 0
    return abs(got - expected) / np.spacing(abs(expected)) if math.isfinite(got) else math.inf


@in_both_modes
@pytest.mark.parametrize(("operation", "point", "expected"), CASES)
def test_first_derivative_at_hard_points(operation, point, expected, mode):
    got = partials(graph_of(operation), point, mode)[0]
    assert max(map(ulps, got, expected)) <= 8, got


@pytest.mark.parametrize(("operation", "x", "expected"), SECOND)
def test_second_derivative_at_hard_points(operation, x, expected):
    first = derivative(graph_of(operation))
    got = partials(first, (x,))[0, 0] if first.outputs else 0.0
    assert ulps(got, expected) <= 16 or abs(got - expected) < 1e-170, got  # the file's 60 digits may cancel


@in_both_modes
@pytest.mark.parametrize(
    ("operation", "point", "expected"),
    [
        ("abs", (0.0,), [0.0]),
        ("sign", (0.0,), [0.0]),
        ("sign", (2.0,), [0.0]),
        ("floor", (1.0,), [0.0]),
        ("sqrt", (0.0,), [math.inf]),
        ("cbrt", (0.0,), [math.inf]),
        ("asin", (1.0,), [math.inf]),
        ("acosh", (1.0,), [math.inf]),
        ("hypot", (0.0, 0.0), [0.0, 0.0]),
        ("hypot", (-3.0, 0.0), [-1.0, 0.0]),
        ("atan2", (0.0, 0.0), [math.nan, math.nan]),
        ("copysign", (-2.0, 3.0), [-1.0, 0.0]),
        ("copysign", (2.0, -0.0), [-1.0, 0.0]),
        ("pow", (0.0, 2.0), [0.0, 0.0]),
        ("pow", (0.0, 1.0), [1.0, 0.0]),
        ("pow", (0.0, 0.5), [math.inf, 0.0]),
        ("pow", (0.0, 0.0), [0.0, -math.inf]),
        ("pow", (-2.0, 3.0), [12.0, math.nan]),
        *((name, (1.5, 1.5), [0.5, 0.5]) for name in ("maximum", "minimum", "fmax", "fmin", "pymax", "pymin")),
        ("fmax", (2.0, math.nan), [1.0, 0.0]),
        ("pymax", (2.0, math.nan), [1.0, 0.0]),
        ("logaddexp", (math.inf, 1.0), [1.0, 0.0]),
        ("logaddexp", (-math.inf, 1.0), [0.0, 1.0]),
    ],
)
def test_conventions(operation, point, expected, mode):
    np.testing.assert_array_equal(partials(graph_of(operation), point, mode)[0], expected)


@pytest.mark.parametrize(
    ("operation", "point", "expected"),
    [
        ("tanh", (350.0,), [4 * math.exp(-700.0)]),
        ("asinh", (1e200,), [1e-200]),
        ("acosh", (1e200,), [1e-200]),
        ("atan", (1e300,), [0.0]),
        ("cbrt", (1e300,), [1 / 3e200]),
        ("hypot", (3e200, -4e200), [0.6, -0.8]),
        ("hypot", (3e-200, -4e-200), [0.6, -0.8]),
        ("atan2", (3e200, -4e200), [-1.6e-201, -1.2e-201]),
        ("atan2", (3e-200, 4e-200), [1.6e199, -1.2e199]),
        ("logaddexp2", (1e5, -1e5), [1.0, 0.0]),
        ("reciprocal", (1e-150,), [-1e300]),
        ("div", (1e300, 1e300), [1e-300, -1e-300]),
    ],
)
def test_partials_neither_overflow_nor_cancel(operation, point, expected):
    np.testing.assert_allclose(partials(graph_of(operation), point)[0], expected, rtol=1e-15)


@pytest.mark.parametrize("x", [0.0, 1e-8, 20.0, 800.0, 1e200])
def test_tanh_is_accurate_to_the_third_derivative(x):
    """1 - tanh(x)**2 would cancel, 1/cosh(x)**2 would give inf * 0 one order higher."""
    third = derivative(derivative(derivative(graph_of("tanh"))))
    with mpmath.workdps(800):
        s, t = mpmath.sech(x), mpmath.tanh(x)
        expected = float(4 * s**2 * t**2 - 2 * s**4)
    assert math.isclose(evaluate(third, x)[0], expected, rel_tol=1e-14, abs_tol=1e-300)


# Expressions of a kernel, enough to write branches in.


class Scalar:
    def __init__(self, builder, node):
        self.builder, self.node = builder, node

    def __call__(self, operation, *others):
        nodes = [other.node if isinstance(other, Scalar) else self.builder.constant(other) for other in others]
        return Scalar(self.builder, self.builder.add(operation, self.node, *nodes))

    def __add__(self, other):
        return self("add", other)

    def __mul__(self, other):
        return self("mul", other)

    def __pow__(self, n):
        if isinstance(n, float):
            return self("pow", n)
        return Scalar(self.builder, self.builder.add("powi", self.node, payload=n))

    def __gt__(self, other):
        return self("gt", other)


def kernel(function):
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    builder = GraphBuilder(function.__name__, names)
    results = function(*(Scalar(builder, k) for k in range(len(names))))
    return builder.build([result.node for result in (results if isinstance(results, tuple) else (results,))])


def where(condition, x, y):
    return condition("select", x, y)


def operations(graph, *names):
    return [node.op for node in simplify(graph).nodes if node.op in names]


@kernel
def guarded_root(x):
    return where(x > 0.0, x("sqrt"), 0.0)


@kernel
def nested(x, y):
    return where(x > 0.0, x("sqrt") * y, where(y > 0.0, y("log") * x, x * y))


@kernel
def shared(x, y):
    """One root in two branches, of which the second lies deeper."""
    root = x("sqrt")
    return where(x > 0.0, root, where(y > 1.0, root("copysign", 1.0) * 0.0 + y, y))


@kernel
def shared_by_unions(x, y):
    root = (x * y)("sqrt")
    first = where(x * y > 0.0, root, 1.0)
    return where(y > 0.0, first * root("cos") * 0.5, first)


@kernel
def inside_a_function(x):
    return where(x > 0.0, x("log")("exp"), x("neg")("log"))("sin") * x


@kernel
def branch_on_an_intermediate(x):
    square = x * x
    return where(square > 1.0, (square + -1.0)("sqrt"), square("neg")("exp"))


BRANCHES = (guarded_root, nested, shared_by_unions, inside_a_function, branch_on_an_intermediate)
GRID = (-2.0, -0.5, 0.5, 2.0)


@in_both_modes
@pytest.mark.parametrize("graph", BRANCHES, ids=lambda graph: graph.name)
def test_branches_to_second_order(graph, mode):
    """Whatever the other branches do, wherever the taken one is differentiable."""
    first = derivative(graph, mode)
    for point in itertools.product(GRID, repeat=len(graph.inputs)):
        slots = tuple(range(len(graph.inputs)))
        expected, second = exact_jacobian(graph, point, slots), exact_jacobian(first, point, slots)
        assert np.isfinite(expected).all() or np.isnan(evaluate(graph, *point)).any()
        if np.isfinite(expected).all():
            np.testing.assert_allclose(partials(graph, point, mode), expected, rtol=1e-13, atol=1e-15)
            np.testing.assert_allclose(partials(first, point, mode), second, rtol=1e-13, atol=1e-15)


@in_both_modes
@pytest.mark.parametrize("x", [-1.0, 0.0, -0.0])
def test_untaken_root_is_silent_to_third_order(x, mode):
    graph = guarded_root
    for _ in range(3):
        graph = derivative(graph, mode)
        assert evaluate(graph, x)[0] == 0.0


@in_both_modes
def test_no_value_is_tested(mode):
    """sin(x)**2 at 0: a cotangent that happens to be 0 must not be taken for a structural one."""
    assert evaluate(derivative(derivative(kernel(lambda x: x("sin") ** 2), mode), mode), 0.0)[0] == 2.0


@pytest.mark.parametrize("exponent", [2, 2.0])
def test_square_at_zero_has_second_derivative_two(exponent):
    assert evaluate(derivative(derivative(kernel(lambda x: x**exponent))), 0.0)[0] == 2.0


def test_traced_exponent_has_second_derivatives_at_zero():
    second = jacobian(derivative(graph_of("pow")), (0,))
    assert evaluate(second.graph, 0.0, 2.0)[second.n_outputs] == 2.0


def test_opposite_branches_become_one_select():
    graph = kernel(lambda x: where(x > 0.0, x("sin"), x("cos")))
    assert operations(derivative(graph), "select", "and", "or", "not", "add") == ["select"]


def test_one_region_has_no_selects_inside():
    graph = kernel(lambda x: where(x > 0.0, x("log")("sin")("exp") * x("log"), 0.0))
    assert operations(derivative(graph), "select") == ["select"]


def test_straight_lines_have_no_conditions():
    graph = kernel(lambda x, y: (x("exp") * y + x)("sin"))
    joint = jacobian(graph, (0, 1))
    assert not [node for node in simplify(joint.graph).nodes if node.kind == "bool" or node.op == "select"]


def test_long_chains_of_branches_stay_linear():
    def chain(x, y):
        for k in range(1000):
            y = where(x > float(k), (x * float(k + 2))("sqrt"), y)
        return y

    graph = kernel(chain)
    began = time.process_time()
    joint = simplify(jacobian(graph, (0, 1)).graph)
    assert time.process_time() - began < 5.0
    assert len(joint.nodes) < 2 * len(graph.nodes)


# Structure.


@in_both_modes
def test_positions_leave_out_structural_zeros(mode):
    graph = kernel(lambda x, y, z: (x * y, z("floor") + y, x, x("neg") + z))
    joint = jacobian(graph, (0, 2), mode)
    assert joint.n_outputs == 4
    assert joint.positions == ((0, 0), (2, 0), (3, 0), (3, 2))
    assert [joint.graph.label(k) for k in joint.graph.outputs[4:]] == ["y", "1.0", "-1.0", "1.0"]


@in_both_modes
def test_primal_is_left_alone(mode):
    joint = jacobian(nested, (0, 1), mode)
    assert joint.graph.nodes[: len(nested.nodes)] == nested.nodes
    assert joint.graph.outputs[:1] == nested.outputs


@in_both_modes
def test_order_of_entries_is_the_order_asked_for(mode):
    joint = jacobian(graph_of("mul"), (1, 0), mode)
    assert joint.positions == ((0, 1), (0, 0))


def test_partials_remember_the_line():
    builder = GraphBuilder("f", ["x"])
    builder.add("sin", 0, source="k.py:3")
    joint = jacobian(builder.build([1]), (0,))
    assert joint.graph.nodes[joint.graph.outputs[1]].source == "k.py:3"


@pytest.mark.parametrize(
    ("operation", "used"),
    [
        ("exp", ["exp"]),
        ("tan", ["tan", "mul", "add"]),
        ("sqrt", ["sqrt", "div"]),
        ("sinh", ["sinh", "cosh"]),
        ("div", ["div", "div", "over"]),
    ],
)
def test_partials_reuse_the_value(operation, used):
    graph = simplify(jacobian(graph_of(operation), tuple(range(len(TABLE[operation].operands)))).graph)
    assert [node.op for node in graph.nodes if node.op not in ("input", "const", "neg")] == used


CHEAP = [
    (0.5, ["half_power", "mul"]),
    (2.0, ["mul"]),
    (1.5, ["sqrt", "mul"]),
    (-2.0, ["powi", "mul"]),
    (2.3, ["pow", "mul"]),
    (-0.5, ["half_power", "mul"]),
]


@pytest.mark.parametrize(("exponent", "used"), CHEAP)
def test_constant_exponents_have_cheap_partials(exponent, used):
    graph = derivative(kernel(lambda x: x**exponent))
    assert [node.op for node in graph.nodes if node.op not in ("input", "const")] == used


@pytest.mark.parametrize("exponent", [1.5, 2.5, 3.5, 4.3])
def test_powers_are_flat_at_zero_as_long_as_the_exponent_is_positive(exponent):
    """No product with a square root, whose own derivative is infinite there."""
    graph, factor = kernel(lambda x: x**exponent), 1.0
    for order in range(1, int(exponent) + 1):
        graph, factor = derivative(graph), factor * (exponent - order + 1)
        assert evaluate(graph, 0.0)[0] == 0.0
        np.testing.assert_allclose(evaluate(graph, 1.0)[0], factor, rtol=1e-15)


def test_a_cancelled_cotangent_is_a_structural_zero():
    """A root less itself: no 0 * inf at 0."""
    builder = GraphBuilder("f", ["x"])
    root = builder.add("sqrt", 0)
    graph = builder.build([builder.add("sub", root, root)])
    assert jacobian(graph, (0,)).positions == ()


@in_both_modes
@pytest.mark.parametrize("choice", ["maximum", "fmax", "pymax"])
def test_an_extremum_is_a_branch(choice, mode):
    """What it does not choose may have an infinite partial, before it or after it, or be nan where Python ignores that."""
    before, after = kernel(lambda x: x("sqrt")(choice, 1.0)), kernel(lambda x: x(choice, 0.0)("sqrt"))
    assert partials(before, (0.0,), mode)[0, 0] == 0.0
    assert partials(after, (-1.0,), mode)[0, 0] == 0.0
    ignored = kernel(lambda x, y: x(choice, y("sqrt")))
    assert choice == "maximum" or partials(ignored, (2.0, -1.0), mode).tolist() == [[1.0, 0.0]]


@in_both_modes
def test_norm_at_zero_is_silent(mode):
    graph = kernel(lambda x, y: (x * x)("hypot", y)("square") + x)
    assert partials(graph, (0.0, 0.0), mode).tolist() == [[1.0, 0.0]]


# Random graphs. In 60 digits there is no rounding to speak of: entries must equal differences of the primal.

UNARY = ("neg", "sin", "tanh", "atan", "sqrt", "log", "square", "abs", "erf", "reciprocal", "acosh", "atanh", "cbrt")
BINARY = ("add", "sub", "mul", "div", "hypot", "atan2", "pymax", "logaddexp")


def random_graph(rng):
    """Two inputs, many branches that share their nodes, and much that is undefined where it is not used."""
    builder = GraphBuilder("f", ["x", "y"])
    reals, bools = [0, 1, builder.constant(0.7)], [builder.add("lt", 0, 1), builder.add("gt", 0, builder.constant(0.0))]

    def some(nodes, count):
        return [int(node) for node in rng.choice(nodes[-6:], count)]

    for _ in range(rng.integers(10, 40)):
        kind = rng.integers(7)
        if kind == 0:
            reals.append(builder.add(str(rng.choice(UNARY)), *some(reals, 1)))
        elif kind <= 2:
            reals.append(builder.add(str(rng.choice(BINARY)), *some(reals, 2)))
        elif kind <= 4:
            reals.append(builder.add("select", *some(bools, 1), *some(reals, 2)))
        elif kind == 5:
            bools.append(builder.add("lt", *some(reals, 2)))
        else:
            bools.append(builder.add("or", *some(bools, 1), builder.add("not", *some(bools, 1))))
    return builder.build([reals[-1], reals[-2]])


def everything(graph):
    """Every computed value as an output."""
    computed = [k for k, node in enumerate(graph.nodes) if node.kind == "real" and node.op != "const"]
    return Graph(graph.name, graph.inputs, graph.nodes, tuple(computed))


@st.composite
def cases(draw):
    """A graph and a point at which it is smooth and no value is special by coincidence."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    graph, point = random_graph(rng), tuple(rng.uniform(0.3, 2.5, 2) * rng.choice([-1.0, 1.0], 2))
    assume(not {-1.0, 0.0, 1.0} & {float(value) for value in exact(everything(graph), point)})
    assume(np.isfinite(exact_jacobian(graph, point, (0, 1))).all())
    return graph, point


def check_against_differences(graph, point):
    expected = exact_jacobian(graph, point, (0, 1))
    smooth = np.isfinite(expected)
    for mode in MODES:
        joint = jacobian(graph, (0, 1), mode)
        got = dense(joint, [float(value) for value in exact(simplify(joint.graph), point)])
        np.testing.assert_allclose(got[smooth], expected[smooth], rtol=1e-10, atol=1e-10, err_msg=f"{mode} at {point} of {graph}")


@given(cases())
def test_random_graphs_against_differences(case):
    check_against_differences(*case)


@settings(max_examples=15)
@given(cases())
def test_random_graphs_to_second_order(case):
    graph, point = case
    check_against_differences(derivative(graph), point)


@pytest.mark.slow
@settings(max_examples=100)
@given(cases())
def test_many_random_graphs_to_second_order(case):
    graph, point = case
    check_against_differences(derivative(graph), point)


@given(cases())
def test_both_modes_agree_in_double_precision(case):
    graph, point = case
    reverse, forward = (partials(graph, point, mode) for mode in MODES)
    np.testing.assert_allclose(reverse, forward, rtol=1e-6, atol=1e-9 * (1.0 + np.abs(reverse).max()))


def taken(graph, values, output):
    """The nodes on which an output depends where the values are these: of a choice, what is chosen."""
    found, left = set(), [output]
    while left:
        k = left.pop()
        if k not in found:
            found.add(k)
            left += chosen(graph.nodes[k], values)
    return found


def chosen(node, values):
    if node.op == "select":
        return [node.args[1 if values[node.args[0]] else 2]]
    if node.op == "pymax":
        return [a for a in node.args if values[a] == max(values[b] for b in node.args)]
    return node.args


def is_regular(graph, point, output):
    """Whether all partials along the taken branches are finite, so that no product is 0 * inf."""
    values = evaluate_all(graph, *point)
    nodes = [graph.nodes[k] for k in taken(graph, values, output)]
    real = [node for node in nodes if node.kind == "real" and node.op not in ("input", "const", "select", "pymax")]
    return all(np.isfinite(partials(graph_of(node.op), [values[a] for a in node.args])).all() for node in real)


def has_jumps(graph, point):
    """Whether a comparison is of equals, so that the value may jump by any amount."""
    values = evaluate_all(graph, *point)
    return any(values[node.args[0]] == values[node.args[1]] for node in graph.nodes if node.op in ("lt", "gt", "pymax"))


def check_special_point(seed, k):
    """A random graph where operands are 0 or 1 and roots are vertical; returns how many entries are certain."""
    rng = np.random.default_rng([seed, k])
    graph, point = random_graph(rng), tuple(rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0], 2))
    exists = np.isfinite(exact_jacobian(graph, point, (0, 1))) & (not has_jumps(graph, point))
    regular = np.array([[is_regular(graph, point, output)] for output in graph.outputs]) & exists
    reverse, forward = (partials(graph, point, mode) for mode in MODES)
    certain = np.where(regular, exact_jacobian(graph, point, (0, 1)), 0.0)
    for got in (reverse, forward):
        np.testing.assert_allclose(np.where(regular, got, 0.0), certain, rtol=1e-6, atol=1e-6, err_msg=f"{point} of {graph}")
    same = np.isclose(reverse, forward, rtol=1e-6, atol=1e-9, equal_nan=True) | np.isnan(reverse) | np.isnan(forward)
    assert same[exists].all(), f"{point} of {graph}"
    return regular.sum()


def test_both_modes_are_right_at_special_points():
    assert sum(check_special_point(0, k) for k in range(40)) > 13


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 100, 1000])
def test_both_modes_are_right_at_many_special_points(first):
    assert sum(check_special_point(0, k) for k in range(first, first + 300)) > 100


@in_both_modes
def test_a_tangent_that_is_zero_by_predicate_stays_zero(mode):
    clipped = kernel(lambda x: (where(x > 0.0, x, 0.0) * 2.0)("sqrt") * x)
    assert partials(clipped, (-1.0,), mode)[0, 0] == 0.0
    both = kernel(lambda x, y: (where(x > 0.0, x, 0.0) + where(y > 0.0, y, 0.0))("sqrt"))
    assert partials(both, (-1.0, 4.0), mode).tolist() == [[0.0, 0.25]]
    assert partials(both, (-1.0, -1.0), mode).tolist() == [[0.0, 0.0]]
    assert np.isnan(partials(kernel(lambda x: (x * x)("sqrt")), (0.0,), mode)[0, 0])


def test_random_graphs_are_worth_it():
    """They have nodes that several branches share, and values that are undefined."""
    graphs = [random_graph(np.random.default_rng(seed)) for seed in range(20)]
    joined = [graph for graph in graphs if {"and", "or"} & {node.op for node in simplify(jacobian(graph, (0, 1)).graph).nodes}]
    undefined = [graph for graph in graphs if any(map(mpmath.isnan, exact(everything(graph), (-0.7, 1.9))))]
    assert min(len(joined), len(undefined)) >= 5


def test_the_power_zero_has_no_slope_anywhere():
    f = nbad.kernel(lambda x: x**0.0)
    x = np.array([-2.0, -0.0, 0.0, 3.0, np.inf])
    np.testing.assert_array_equal(nbad.grad(f)(x), 0.0)
    np.testing.assert_array_equal(nbad.grad(nbad.grad(f))(x), 0.0)
    np.testing.assert_array_equal(nbad.jvp(f, (x,), (1.0,))[1], 0.0)
