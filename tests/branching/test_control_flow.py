"""Control flow on traced values: what Python would compute for each element, and its derivatives to second order."""

import functools
import linecache
import math
import time
from collections import namedtuple
from types import FunctionType, SimpleNamespace

import mpmath
import numpy as np
import pytest
from helpers.tracing import FakeKernel, text, traced, written

import nbad
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace

GRID = [(x, y) for x in (-2.0, -0.7, 0.0, 0.4, 1.3, 2.6) for y in (-1.1, 0.0, 0.6, 3.0)]
TABLE = (1.0, 4.0, 9.0, 16.0)
MATRIX = np.arange(6).reshape(2, 3)
Pair = namedtuple("Pair", "first second")


def check(function):
    """The graph has the values of the function at every point of a grid."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    points = sorted({point[: len(names)] for point in GRID})
    columns = evaluate(traced(function, " ".join(names)).graph, *np.array(points).T)
    expected = [function(*point) for point in points]
    expected = [value if isinstance(value, tuple) else (value,) for value in expected]
    np.testing.assert_allclose(np.broadcast_arrays(*columns), np.array(expected, float).T, rtol=1e-13)


# branches


def chain(x, y):
    if x > 2:
        z = x * y
    elif x > 1:
        z, x = y, x * y
    elif x > 0:
        return x + y
    else:
        z = -y
    if y > 0:
        z = z + 1
        if x > y:
            return z
        z *= 2
    return z


def nested(x, y):
    if x > 0:
        if y > 0:
            a, b = x, y
        else:
            a, b = y, x
        a, b = b, 2 * a
    else:
        a = b = x * y
    return a - b


def arms_that_leave(x, y):
    if x > 0:
        if y > 1:
            return x
        return y
    elif y > 0:
        return x * y
    return 0.0


def unused_variables(x, y):
    if x > 0:
        only_here = x * 2
        y = only_here + y
    if y > 0:
        mode = "same"
    else:
        mode = "same"
    return y if mode == "same" else x


def flags(x, y):
    found, count, undecided = False, 0, x > 100
    for v in (x, y, x * y):
        if v > 1:
            found = True
            count += 1
        elif undecided:
            count = 7
    return (1.0 if found else 2.0) + count / 2, TABLE[count]


def in_both_arms_the_same(x, y):
    if x > y:
        n, s, z = 2, (1, "a"), y
    else:
        n, s, z = 2, (1, "a"), y
    return x**n + len(s) * z + sum(z for _ in range(n))


def named_tuples(x, y):
    pair = Pair(x, y) if x > y else Pair(y, x)
    return pair.first - 2 * pair.second


def walrus(x, y):
    if (z := x * 2) > y:
        y = z
    return y + z + sum((last := v) for v in (x, y)) + last


# expressions


def conditional_expressions(x, y):
    return (1.0 if x > 1 else 2.0 if x > 0 else 3.0) * (y if not x > y else -y), x if x else y


def boolean_operators(x, y):
    inside = (x > 0 and y > 0) or not (x < -1 or y > 2)
    return (x and y) + (x or 2.0) + (0 or x) + (5 and y), 1.0 if inside else 0.0, (x > 0 and y) + (y < 1 or x)


def chained_comparisons(x, y):
    return 1.0 if 0 < x <= math.exp(y) < 3 else 0.0, sum([1.0 * (0 < math.sin(v) < 0.9) for v in (x, y, 1.2)])


def plain_operands_decide(x, y):
    items = []
    empty = items and items[0] > x
    return x if (empty or 1 < 2 < 1 or y > 1) and not items else y


def membership(x, y):
    return (x in (1.3, 2.6)) * 1.0 + (y not in [0.0, x]) * 2.0 + (x in {0.4, 9.0}) * 4.0 + (2 in range(3)) * 8.0


def conditions_in_comprehensions(x, y):
    squares = [v * v if v > 0 else 0.0 for v in ([x, y] if x > y else [y, 1.0]) if True]
    return sum(squares) + max(v for v in squares) + min({k: -v for k, v in enumerate(squares)}.values())


def any_and_all(x, y):
    return 1.0 if any(v > 1 for v in (x, y)) else 0.0, all([x > 0, y > 0, True]) + any([x > y, False]) * 2.0


# loops


def loops(x, y):
    total = 0.0
    for k, (v, w) in enumerate(zip([x, y], TABLE, strict=False)):
        total += v * w if k else v
        if k == 1:
            break
    else:
        total = 100.0
    n = 3
    while n:
        n -= 1
        if n == 1:
            continue
        total = total * x + n if total > y else total
    return total


def continues(x, y):
    total = 0.0
    for v in (x, y, 1.0):
        if v < 0:
            continue
        if v > 2:
            total += 1
            continue
        elif v > 1:
            total += v * v
        if v > 0.5:
            total -= v
        else:
            continue
        total += v
        if total > 2:
            if y > 1:
                total -= 1
                continue
            total -= 2
    return total


def returns_in_loops(x, y):
    for i in range(3):
        for j in (1, 2):
            if x > i * j:
                y = y + j
                if y > 2:
                    return x * i, y
            elif y < -1:
                return 0.0, x
    return y, x


def returns_in_while(x, y):
    n = 3
    while n > 0:
        n -= 1
        if x > n:
            return x * n
        y = y + n
    return y


def returns_from_while_true(x, y):
    n = 0
    while True:
        n += 1
        x = x * 0.5 if x > y else x + 1
        if n == 3:
            return x


def returns_at_the_end_of_else(x, y):
    for v in (x, y):
        if v > 1:
            y = y + v
    else:
        if y > 2:
            return y
    return -y


# containers


def aliases(x, y):
    a = [x, y]
    b = a
    if x > 0:
        a[0] = y
    b[1] = 5.0
    return a[0] + a[1] * b[0]


def rebound_aliases(x, y):
    if x > 0:
        a = b = [x, 1.0]
    else:
        a = b = [y, 2.0]
    a[0] = 7.0
    return b[0] + b[1] * x


def nested_lists(x, y):
    m = [[x, y], [1.0, 2.0]]
    if x > 0:
        m[0][1] = 3.0
        row = m[1]
        row[0] += x
    for row in m:
        if row[0] > row[1]:
            row[0], row[1] = row[1], row[0]
    return m[0][0] * m[0][1] + m[1][0] * m[1][1] * 2


def exchanged_rows(x, y):
    m = [[x, y], [1.0, 2.0]]
    if x > y:
        m[0], m[1] = m[1], m[0]
    return m[0][0] - m[1][1]


def exchanged_and_written(x, y):
    m = [[[x], [y]], [[1.0], [2.0]]]
    if x > 0:
        m[0][0][0] = 9.0
        m[0], m[1] = m[1], m[0]
        m[0][1] = [y * 2]
    else:
        m[1][1][0] = 8.0
        m[0][0], m[0][1] = m[0][1], m[0][0]
    return m[0][0][0] + 2 * m[0][1][0] + 3 * m[1][0][0] + 5 * m[1][1][0]


def lists_of_views(x, y):
    m = np.array([[x, y], [1.0, 2.0]])
    rows = [m[0], m[1]]
    if x > 0:
        rows[0], rows[1] = rows[1], rows[0]
        m[0, 0] = 7.0
    return rows[0][0] + 2 * rows[0][1] + 3 * rows[1][0] + 5 * rows[1][1]


def writes_between_returns(x, y):
    m = [[x, y], [1.0, 2.0]]

    def change(t):
        if t > 1:
            return 0.0
        m[0][0] = 5.0
        m[0], m[1] = m[1], m[0]
        if t < 0:
            return 1.0
        m[0] = [t, 7.0]
        m[1][1] = t
        return 2.0

    return change(x) + m[0][0] * 3 + m[0][1] * 5 + m[1][0] * 7 + m[1][1] * 11


def the_same_list_on_every_path(x, y):
    items = [x, y]

    def change(v):
        if x > 0:
            return v
        v[0] = 3.0
        return v

    same = change(items)
    same[1] = 8.0
    return items[0] + items[1] * 2 + same[0] * 3


def arrays(x, y):
    m = np.zeros((2, 2))
    row = m[0]
    for i in range(2):
        if x > i:
            m[i, 1] = x
            m[i, 0] += 1
        else:
            row[i] = y
    v = m[0] if x > y else m[1] * 2
    return m[0] @ m[1] + v[0] - v[1]


def new_lists_may_grow(x, y):
    if y > 0:
        items = [x]
        items.append(y)
    else:
        items = [y, x]
    table = {"a": x} if 1 < 2 else {}
    return items[0] * items[1] + table["a"]


def put(items, k, value):
    if value > 1:
        return -1.0
    items[k] = value
    return 1.0


def writes_in_helpers(x, y):
    items = [x, y]
    if x > y:
        sign = put(items, 0, y * y)
    else:
        sign = put(items, 1, x)
    return sign * items[0] - items[1]


def either_list(x):
    if x > 0:
        return [x, 1.0]
    return [0.0, -x]


def written_results(x, y):
    v = either_list(x)
    v[0] += y
    return v[0] * v[1]


def argument_or_copy(items, x):
    if x > 0:
        items[1] = x
        if x > 1:
            return items
        items[0] = 7.0
    return items


def returned_arguments(x, y):
    items = [x, y]
    same = argument_or_copy(items, x)
    return same[0] * items[0] + items[1]


def closures(x, y):
    totals = [0.0, 0.0]

    def push(v):
        if v < 0:
            return
        totals[0] += v
        totals[1] += 1.0

    push(x)
    push(y)
    power = (lambda t: t * t) if 1 < 2 else abs
    return totals[0] * totals[1] + power(x if x > y else y)


# statements around


def contexts(x, y):
    with np.errstate(all="ignore"):
        if x > 0:
            return x * 2
        z = y
    try:
        missing = {}["key"] * x
    except KeyError:
        missing = x * 3 if y > 1 else 1.0
    finally:
        z = z + 1
    return z + missing


def returns_through_finally(x, y):
    try:
        if x > 0:
            return x
        y = y + 1
    except KeyError:
        y = 100.0
    else:
        y = y * 3
    finally:
        y = y * 2
    return y


def cases(x, y):
    for n in (1, 2, 3):
        match n:
            case 1:
                if x > 0:
                    return 1.0
            case 2 if n > 1:
                y = y + 1
            case other:
                y = y * other
    return y


def unreachable(x, y):
    for v in (x, y):
        if v > 1:
            y = y + v
            continue
            y = 100.0
        y = y - v
    if x > y:
        return x
    else:
        return y
    y = 7.0
    return y


def asserts_plain_conditions(x, y, n=2):
    assert_that = n > 1
    if not assert_that:
        raise ValueError("n is known")
    return x if x > y else y


def generators(x, y):
    def doubled():
        for v in (x, y):
            yield 2 * v

    return sum(v if v > 0 else 0.0 for v in doubled())


KERNELS = [
    chain, nested, arms_that_leave, unused_variables, flags, in_both_arms_the_same, named_tuples, walrus, conditional_expressions,
    boolean_operators, chained_comparisons, plain_operands_decide, membership, conditions_in_comprehensions, any_and_all, loops,
    continues, returns_in_loops, returns_in_while, returns_from_while_true, returns_at_the_end_of_else, aliases, rebound_aliases,
    nested_lists, exchanged_rows, exchanged_and_written, lists_of_views, writes_between_returns, the_same_list_on_every_path,
    arrays, new_lists_may_grow, writes_in_helpers, written_results, returned_arguments, closures,
    contexts, returns_through_finally, cases, unreachable, generators,
]  # fmt: skip


@pytest.mark.parametrize("function", KERNELS, ids=lambda function: function.__name__)
def test_values_are_those_of_python(function):
    check(function)


def test_arguments_that_are_not_passed_are_plain():
    assert text(asserts_plain_conditions, "x y", n=2) == ["%2 = gt(x, y)", "%3 = select(%2, x, y)", "return %3"]


# graphs as text


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        (lambda x: x if x > 0 else -x, ["%2 = gt(x, 0.0)", "%3 = neg(x)", "%4 = select(%2, x, %3)", "return %4"]),
        (lambda x: x if 1 > 0 else -x, ["return x"]),
        (lambda x: x if x > 0 else +x, ["%2 = gt(x, 0.0)", "return x"]),
        (lambda x: 1.0 * (0 < x < 2), ["%2 = gt(x, 0.0)", "%4 = lt(x, 2.0)", "%5 = and(%2, %4)", "%7 = select(%5, 1.0, 0.0)",
                                       "%8 = mul(1.0, %7)", "return %8"]),
        (lambda x: 2.0 if x > 0 and True else 4 / 2, ["%2 = gt(x, 0.0)", "return 2.0"]),
        (lambda x: float(1 > 2 and x > 0), ["return 0.0"]),
    ],
)  # fmt: skip
def test_choices_as_text(function, lines):
    assert text(function) == lines


def doubled_from_here(v):
    if v[0] > 0:
        return 2 * v
    return v


def doubled_up_to_here(v):
    if v[0] > 0:
        return v
    return 2 * v


def filled_up(v):
    if any(x == 0 for x in v):
        return np.array([x if x != 0 else 7.0 for x in v])
    return v


def seen_through_a_view(v):
    a = 3 * v
    w = np.broadcast_to(a, (3,))
    if v[0] > 0:
        return w
    a[0] = 5.0
    return w


@pytest.mark.parametrize("function", [doubled_from_here, doubled_up_to_here, filled_up, seen_through_a_view])
def test_a_vector_that_nobody_may_write_to_is_returned_on_one_path(function):
    rows = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(nbad.kernel(function, signature="(3)->(3)")(rows), [function(row) for row in rows])


def test_an_early_return_is_one_select():
    def kernel(x):
        if x > 3:
            return 1.0
        y = x * 2
        return y

    assert text(kernel) == ["%2 = gt(x, 3.0)", "y = mul(x, 2.0)", "%6 = select(%2, 1.0, y)", "return %6"]


def test_nodes_name_the_lines_of_the_user():
    # fmt: off
    def kernel(x):
        if x > 0:
            y = (
                x
                * 2
            )
        else:
            y = -x
        return y if y > 1 else (
            1.0
        )
    # fmt: on

    first = kernel.__code__.co_firstlineno
    lines = [int(node.source.rpartition(":")[2]) - first for node in traced(kernel).graph.nodes if node.source]
    assert lines == [1, 3, 7, 1, 8, 8]


# derivatives


def derivatives(function, x):
    """Value, first and second derivative of a function of one number at points, by two reverse sweeps."""
    first = jacobian(traced(function).graph, (0,))
    slope = first.graph.outputs[1]
    second = jacobian(type(first.graph)("slope", first.graph.inputs, first.graph.nodes, (slope,)), (0,))
    curve = evaluate(second.graph, x)[1] if second.positions else np.zeros(len(x))
    return [*evaluate(first.graph, x), curve]


def in_high_precision(function, x):
    outer = {"math": SimpleNamespace(sin=mpmath.sin, sqrt=mpmath.sqrt, exp=mpmath.exp, log=mpmath.log)}
    outer |= {f.__name__: FunctionType(f.__code__, outer) for f in (root_or_zero, far_from_poles)}
    oracle = FunctionType(function.__code__, {**outer, "range": range})
    with mpmath.workdps(40):
        return [float(mpmath.diff(oracle, mpmath.mpf(x), n)) for n in range(3)]


def root_or_zero(x):
    if x > 0:
        return math.sqrt(x)
    return 0.0


def far_from_poles(x):
    return (math.log(x) if x > 1 else x * x) / x if x > 0.5 else math.exp(1 / x) if x < -0.5 else 2 * x


def steps(x):
    y = x
    for k in range(4):
        if y > 1:
            y = math.sqrt(y) - math.sin(x)
        elif y < -1:
            return y * y * math.exp(x)
        y = y + x / (k + 1)
    return y * x


def through_helpers(x):
    return root_or_zero(x - 1) * root_or_zero(x) + (far_from_poles(x) if x < 2 else x**3)


def with_items(x):
    values = [x, x * x, 1.0]
    for k in range(3):
        if values[k] > x / 2:
            values[k] = math.sin(values[k]) * values[k - 1]
    return values[0] + values[1] * values[2]


def several_uses(x):
    y = math.sin(x) if x > 0 else math.exp(x)
    return y * y


@pytest.mark.parametrize("function", [root_or_zero, far_from_poles, steps, through_helpers, with_items, several_uses])
def test_second_derivatives_against_mpmath(function):
    xs = np.array([-3.1, -1.7, -0.6, -0.2, 0.3, 0.8, 1.4, 2.3, 5.0])
    with np.errstate(all="ignore"):
        columns = np.broadcast_arrays(*derivatives(function, xs))
    np.testing.assert_allclose(np.array(columns).T, [in_high_precision(function, x) for x in xs], rtol=1e-11, atol=1e-13)


def test_arms_that_are_not_taken_spoil_nothing():
    def kernel(x):
        if x == 0:
            return 2 * x + x * x
        return math.sin(x) / x + math.sqrt(x) + math.log(x)

    value, slope, curve = derivatives(kernel, np.array([0.0]))
    assert (value, slope, curve) == (0.0, 2.0, 2.0)


# cost


IFS = "".join(f"    if s > {k}:\n        s = s * y\n    else:\n        s = s + {k}\n" for k in range(200))
RETURNS = "".join(f"    if s > {k}:\n        return s * y\n    s = s + {k}\n" for k in range(200))
ELIFS = "".join(f"    elif x < {k}:\n        s = y + {k}\n" for k in range(200))
RETURNING_ELIFS = ELIFS.replace("s = y", "return y")


@pytest.mark.parametrize(
    "body",
    [f"    s = x\n{IFS}", f"    s = x\n{RETURNS}", f"    if x < -1:\n        s = y\n{ELIFS}    else:\n        s = x\n",
     f"    s = x\n    if x < -1:\n        return y\n{RETURNING_ELIFS}"],
    ids=["ifs", "returns", "elifs", "returning elifs"],
)  # fmt: skip
def test_cost_is_linear(body, tmp_path):
    f = written(tmp_path / "kernel.py", f"def f(x, y):\n{body}    return s\n")
    start = time.process_time()
    graph = traced(f, "x y").graph
    assert time.process_time() - start < 3.0
    assert len(graph.nodes) < 1100
    points = np.array([(-2.0, 0.5), (3.5, 0.5), (77.2, 0.9), (250.0, 1.5)])
    np.testing.assert_allclose(evaluate(graph, *points.T)[0], [f(*point) for point in points], rtol=1e-12)
    assert len(jacobian(graph, (0, 1)).graph.nodes) < 5000


def test_each_arm_runs_once(capsys):
    def count(name):
        print(name)
        return 1.0

    def kernel(x):
        for k in range(3):
            if x > k:
                x = x + count("then")
            elif x < -k:
                return count("elif")
            else:
                x = x - (count("if") if x > 0.5 else count("else"))
        return x

    traced(kernel)
    assert sorted(capsys.readouterr().out.split()) == sorted(3 * ["then", "elif", "if", "else"])


def test_a_thousand_steps_are_traced_fast():
    def kernel(x):
        for _ in [None] * 1000:
            x = math.sin(x)
        return x

    start = time.process_time()
    assert len(traced(kernel).graph.nodes) == 1001
    assert time.process_time() - start < 1.0


# tables at a traced place


def test_items_at_a_traced_place():
    local = [0.5, -0.5]

    kernels = [
        lambda i: TABLE[i], lambda i: MATRIX[1, i], lambda i: MATRIX[i, 1], lambda i: MATRIX[i][2], lambda i: [i, i * i, 2.0][i],
        lambda i: MATRIX[i, 1:][0], lambda i: local[i < 1],
    ]  # fmt: skip
    nan = math.nan
    expected = {
        0.0: (1, 3, 1, 2, 0, 1, -0.5), 1.0: (4, 4, 4, 5, 1, 4, 0.5), 2.0: (9, 5, nan, nan, 2, nan, 0.5),
        -1.0: (16, 5, 4, 5, 2, 4, -0.5), -3.0: (4, 3, nan, nan, -3, nan, -0.5), 4.0: (nan,) * 6 + (0.5,),
        -5.0: (nan,) * 6 + (-0.5,), 0.5: (nan,) * 6 + (-0.5,), nan: (nan,) * 6 + (0.5,),
    }  # fmt: skip
    places = np.array(list(expected))
    for kernel, values in zip(kernels, zip(*expected.values(), strict=True), strict=True):
        graph, flags = (made := traced(kernel, "i")).graph, made.flags
        (found,), failed = evaluate(graph, places), False if flags is None else np.any(evaluate(flags.graph, places), axis=0)
        np.testing.assert_array_equal(np.where(failed, nan, found), values)


def test_places_cost_the_size_of_the_table():
    table = [float(k * k) for k in range(500)]
    graph = traced(lambda i: table[i], "i").graph
    assert len(graph.nodes) < 4 * 500
    np.testing.assert_array_equal(evaluate(graph, np.arange(500.0))[0], table)


def test_integer_and_bool_arguments_choose():
    @nbad.kernel
    def kernel(x, order, up):
        if order == 2:
            return x * x
        return TABLE[order] * x if up else -x

    x, order, up = np.array([3.0, 3.0, 3.0]), np.array([2, 1, 0]), np.array([True, True, False])
    y, pullback = nbad.vjp(kernel, x, order, up)
    assert y.tolist() == [9.0, 12.0, -3.0]
    assert pullback(1.0)[0].tolist() == [6.0, 4.0, -1.0]


# where kernels come from


def test_lambdas_on_one_line():
    first, second = (lambda x: x if x > 0 else 0.0), (lambda x: x * 2 if x > 1 else 1.0)
    check(first)
    check(second)


def scaled(factor):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            return factor * function(*args)

        return wrapper

    return decorate


class Valve:
    __limit = 0.5

    def __init__(self, slope):
        self.slope = slope

    def flow(self, x):
        if x > self.__limit:
            return self.slope * x
        return super().__sizeof__() * 0.0

    @classmethod
    def limited(cls, x):
        return x if x < cls.__limit else cls.__limit

    @staticmethod
    def positive(x):
        return x if x > 0 else 0.0

    @staticmethod
    def by_its_class(x):
        return Valve.limited(x) if x > 0 else x


valve = Valve(3.0)


@pytest.mark.parametrize(
    ("function", "original"),
    [(scaled(2.0)(scaled(3.0)(root_or_zero)), lambda x: 6.0 * root_or_zero(x)), (valve.flow, valve.flow),
     (Valve.limited, Valve.limited), (Valve.positive, Valve.positive), (Valve.by_its_class,) * 2,
     (lambda x: valve.flow(x) + Valve.limited(x),) * 2],
)  # fmt: skip
def test_decorated_functions_and_methods(function, original):
    xs = np.array([-1.0, 0.2, 0.7])
    graph = trace(function, (Argument("x"),), {}).graph
    assert evaluate(graph, xs)[0].tolist() == [original(x) for x in xs.tolist()]


LOW, HIGH = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])


def test_a_branch_may_choose_among_tables():
    def kernel(x):
        if x > 0:
            table = LOW
        else:
            table = HIGH
        return table[1, 0] * x

    check(kernel)


def test_cells_of_a_notebook():
    source = "import math\nlimit = 0.5\ndef f(x):\n    if x > limit:\n        return math.sqrt(x)\n    return limit\n"
    linecache.cache["<ipython-input-1>"] = len(source), None, source.splitlines(keepends=True), "<ipython-input-1>"
    namespace = {"__name__": "__main__"}
    exec(compile(source, "<ipython-input-1>", "exec"), namespace)
    check(namespace["f"])
    assert "<ipython-input-1>:5" in str(traced(namespace["f"]).graph)
    namespace["limit"] = 2.0
    check(namespace["f"])


def test_a_function_that_moved_in_its_file_is_still_found(tmp_path):
    source = "def f(x):\n    return x if x > 0 else 0.0\n"
    f = written(tmp_path / "kernel.py", source)
    (tmp_path / "kernel.py").write_text(source + "\n# more\n")
    check(f)


def test_other_kernels_in_branches():
    inner = FakeKernel(root_or_zero, "x")
    check(lambda x, y: inner(x) if y > 0 else inner(-x) * y)


def test_constants_of_the_future_and_names_of_the_module_do_not_matter(tmp_path):
    source = "from __future__ import annotations\nimport math\n\ndef f(x: float, /) -> float:\n    'Doc.'\n"
    source += "    return math.sin(x) if x > 0 else 0.0\n"
    check(written(tmp_path / "kernel.py", source))


def test_a_kernel_with_branches_end_to_end():
    @nbad.kernel
    def soft_threshold(x, width=1.0):
        """Shrink towards 0."""
        if x > width:
            return x - width
        if -width <= x <= width:
            return 0.0 * x
        return x + width

    xs = np.linspace(-3.0, 3.0, 24)
    assert nbad.testing.check_kernel(soft_threshold, xs)
    assert soft_threshold(xs).tolist() == [soft_threshold.__wrapped__(x) for x in xs.tolist()]
