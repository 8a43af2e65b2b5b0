"""Control flow in kernels: branches, loops and early returns have Python's values and right derivatives; the rest is refused."""

import math
import time

import numpy as np
import pytest
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

POINTS = np.array([(x, y) for x in (-1.5, -0.4, 0.3, 1.7) for y in (-0.9, 0.2, 1.1)])
TABLE = (1.0, 4.0, 9.0)


def chain(x, y):
    if x > 1:
        return x * y
    elif x > 0:
        z = math.sqrt(x)
    elif y > 0:
        z = y**3
    else:
        return math.sin(x)
    return z + x


def expressions(x, y):
    inside = -1 < x < 1 and not y > 0.5
    return (x if x > y else y * y) + (2.0 * x if inside else 0.0) + (x or y)


def early_returns_in_loops(x, y):
    for k in range(3):
        if x > k:
            return x * (k + 1)
        y = y + x
    return y


def unpacking(x, y):
    a, b = x, y
    for _ in range(3):
        a, b = b, 2 * a
        if a > b:
            a += 1.0
    return a * b


def lists(x, y):
    values = [x, y, 0.0]
    alias = values
    if x > y:
        values[2] = x * y
        alias[0] = 1.0
    return sum(v * w for v, w in zip(values, TABLE, strict=True))


def arrays(x, y):
    m = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            if i == j:
                m[i, j] = x
            elif y > 0:
                m[i, j] = y
    return m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]


def loops(x, y):
    n, total = 0, 0.0
    while True:
        n += 1
        if n > 4:
            break
        if n == 2:
            continue
        total += x**n / n
    for k, w in enumerate(TABLE):
        total = total + w * y if k < 2 else total - w
    return total


def helper(v):
    if v > 0:
        return math.log(v)
    return 0.0


def helpers(x, y):
    return helper(x) * y + helper(y)


KERNELS = [chain, expressions, early_returns_in_loops, unpacking, lists, arrays, loops, helpers]


def slopes(function, x, y):
    """Central differences at a point that is away from all kinks."""
    h = 1e-6
    return [(function(x + h, y) - function(x - h, y)) / (2 * h), (function(x, y + h) - function(x, y - h)) / (2 * h)]


@pytest.mark.parametrize("function", KERNELS, ids=lambda f: f.__name__)
def test_values_and_derivatives(function):
    f = nbad.kernel(function)
    values, blocks = nbad.value_and_jacobian(f)(*POINTS.T)
    assert np.allclose(values, [function(*p) for p in POINTS], rtol=1e-13)
    assert np.allclose(blocks[:, 0], [slopes(function, *p) for p in POINTS], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("function", [chain, helpers, early_returns_in_loops], ids=lambda f: f.__name__)
def test_the_harness_agrees(function):
    assert nbad.testing.check_kernel(nbad.kernel(function), *POINTS.T)


def test_second_order_through_branches():
    f = nbad.kernel(lambda x: math.sqrt(x) if x > 0 else (x * x if x < 0 else 0.0))
    assert nbad.hessian(f)([4.0, -3.0]).ravel().tolist() == [-0.25 / 8, 2.0]
    assert nbad.hessian(nbad.kernel(lambda x: math.sin(x) ** 2 if x >= 0 else 1 / x))(0.0) == 2.0


def test_untaken_branches_do_not_spoil_derivatives():
    def f(x):
        if x > 0:
            return math.sqrt(x) * math.log(x)
        return 3.0 * x

    _, pullback = nbad.vjp(nbad.kernel(f), [-1.0, 0.0, 1.0])
    assert pullback(1.0)[0].tolist() == [3.0, 3.0, 1.0]


def many_ifs(returns):
    lines = ["def f(x):"]
    for k in range(200):
        lines += [f"    if x > {k}:", f"        return x + {k}.0" if returns else f"        x = x * 1.01 - {k / 1000}"]
    return "\n".join([*lines, "    return x"])


@pytest.mark.parametrize("returns", [False, True])
def test_two_hundred_ifs_cost_linearly(returns, tmp_path):
    path = tmp_path / "ifs.py"
    path.write_text(many_ifs(returns))
    namespace: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    start = time.process_time()
    graph = traced(namespace["f"]).graph
    assert time.process_time() - start < 5.0
    assert len(graph.nodes) < 2000
    f, xs = nbad.kernel(namespace["f"]), np.array([-1.0, 0.5, 57.3, 250.0])
    assert np.allclose(f(xs), [namespace["f"](x) for x in xs], rtol=1e-12)


def test_a_thousand_steps():
    @nbad.kernel
    def settle(x):
        for _ in range(1000):
            x = math.sin(x)
        return x

    expected = 1.0
    for _ in range(1000):
        expected = math.sin(expected)
    y, pullback = nbad.vjp(settle, 1.0)
    assert y == pytest.approx(expected, rel=1e-12)
    assert 0.0 < pullback(1.0)[0] < 1.0


def test_a_loop_of_too_many_operations_is_refused_with_the_count():
    @nbad.kernel(max_operations=100)
    def long(x):
        for _ in range(101):
            x = math.sin(x)
        return x

    with pytest.raises(TraceError, match="has more than 100 operations"):
        long(1.0)


def grows_in_a_branch(x):
    items = [x]
    if x > 0:
        items.append(1.0)
    return items[0]


def breaks_on_a_traced_test(x):
    for _ in range(3):
        if x > 1:
            break
        x = x + 1.0
    return x


def calls_itself(x):
    return calls_itself(x - 1.0) if x > 0 else x


def counts_to_a_traced_value(x):
    for _ in range(x):
        x = x + 1.0
    return x


@pytest.mark.parametrize(("function", "text"), [
    (grows_in_a_branch, r"items[\s\S]*test_statements\.py:\d+"),
    (breaks_on_a_traced_test, r"break[\s\S]*test_statements\.py:\d+"), (calls_itself, r"recursive[\s\S]*test_statements\.py:\d+"),
    (counts_to_a_traced_value, r"counts to a traced value[\s\S]*test_statements\.py:\d+[\s\S]*fix: "),
], ids=lambda p: getattr(p, "__name__", ""))  # fmt: skip
def test_refusals_name_line_and_construct(function, text):
    with pytest.raises(TraceError, match=text) as caught:
        nbad.kernel(function)(1.0)
    assert "fix: " in str(caught.value)
