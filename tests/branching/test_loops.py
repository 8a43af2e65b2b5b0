"""Loops on data: they have Python's values and the derivatives of the passes that each element does, or are refused."""

import math
import textwrap
import warnings
from types import FunctionType

import numpy as np
import pytest
from helpers.duals import on_duals, value_and_partials
from helpers.tracing import of_graph, traced, written

import nbad
from nbad.errors import NotConvergedError, TraceError
from nbad.graphs.interpreter import evaluate

TABLE = (0.5, -1.0, 2.0, 0.25)


# roots


def newton_root(x, a):
    y = x
    while abs(y * y - a) > 1e-12 * a:
        y = 0.5 * (y + a / y)
    return y


def kepler(m, e):
    u = m
    for _ in range(50):
        d = (u - e * math.sin(u) - m) / (1.0 - e * math.cos(u))
        u -= d
        if abs(d) < 1e-13:
            break
    return u


def kepler_with_a_carried_step(m, e):
    u, d = m, 1.0
    while abs(d) > 1e-13:
        d = (u - e * math.sin(u) - m) / (1.0 - e * math.cos(u))
        u = u - d
    return u, d


def colebrook(re, rough):
    f = 0.02
    while True:
        new = (-2.0 * math.log10(rough / 3.7 + 2.51 / (re * math.sqrt(f)))) ** -2
        if abs(new - f) < 1e-14:
            return new
        f = new


def bisection(a, c):
    low, high = 0.0, 2.0 + a
    while high - low > 1e-3:
        middle = 0.5 * (low + high)
        if middle * middle * middle + a * middle < c:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def normal(x):
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def call_price(s, k, sigma):
    d = math.log(s / k) / sigma + 0.5 * sigma
    return s * normal(d) - k * normal(d - sigma), s * math.exp(-0.5 * d * d) / math.sqrt(2.0 * math.pi)


def implied_volatility(price, k):
    low, high, sigma, count = 1e-3, 5.0, 0.5, 0
    while count < 100:
        value, vega = call_price(1.0, k, sigma)
        error = value - price
        if error > 0:
            high = sigma
        else:
            low = sigma
        if abs(error) < 1e-13:
            break
        new = sigma - error / vega
        sigma = new if low < new < high else 0.5 * (low + high)
        count += 1
    return sigma


def secant(a, b):
    previous, now = a, b
    f_previous = previous * previous - 2.0
    while True:
        f = now * now - 2.0
        if abs(f) < 1e-12:
            break
        previous, now = now, now - f * (now - previous) / (f - f_previous)
        f_previous = f
    return now, previous


def secant_without_a_start(x, a):
    previous = None
    for k in range(60):
        f = x * x - a
        if abs(f) < 1e-12:
            return x, k
        slope = 2.0 * x if previous is None else (f - previous[1]) / (x - previous[0])
        previous = x, f
        x = x - f / slope
    return -x, -1


def three_nested(x, y):
    s = x
    for i in range(12):
        for j in range(12):
            for k in range(12):
                s = s + 0.02 * math.sin(s * y) / (i + j + k + 1)
                if s > 2.5:
                    break
    return s, 100 * i + 10 * j + k


# counters and series


def collatz(n, x):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        x = x * 1.01
        steps += 1
    return steps, x


def arithmetic_geometric_mean(a, b):
    while abs(a - b) > 1e-15 * a:
        a, b = 0.5 * (a + b), math.sqrt(a * b)
    return a


def continued_fraction(x, a):
    b = x + 1.0 - a
    c = 1e300
    d = 1.0 / b
    h = d
    for i in range(1, 200):
        an = -i * (i - a)
        b += 2.0
        d = 1.0 / (an * d + b)
        c = b + an / c
        delta = c * d
        h *= delta
        if abs(delta - 1.0) < 1e-14:
            break
    return h * math.exp(-x)


def bessel_series(x, nu):
    term = total = 1.0
    k = 0
    while abs(term) > 1e-17 * abs(total):
        k += 1
        term *= -x * x / (4.0 * k * (k + nu))
        total += term
    return total


def and_conditions(x, y):
    k, total = 0, 0.0
    while k < 20 and total < y and x > 0:
        total += x / (k + 1)
        k += 1
    return total, k


def or_conditions(x, y):
    while x < 1 or (y < 2 and not x > 5):
        x, y = x * 1.3 + 0.1, y + 0.25 * x
    return x * y


def chained_conditions(x, y):
    while 0.5 < x < 3.0 < y + 5.0:
        x, y = x + 0.25 * y, y * 0.9
    return x - y


# shapes of loops


def no_pass_for_some(x, y):
    while x < 0:
        x = x + math.sqrt(y) * 0.7
        y = y * 1.1
    return x * y


def no_pass_and_no_derivative(x, y):
    total = y
    while x > 0:
        total += math.sqrt(x)
        x -= 1.0
    return total


def returns_inside(x, y):
    for k in range(100):
        if x > y:
            return x * k
        if y > 50:
            return y - k
        x = x * 1.5 + 0.1
    return -x


def returns_numbers_inside(x, y):
    n = 0
    while n < 40:
        n += 1
        if x > 10:
            return x * n
        x = x + y
        if y < -3:
            return y
        y = y - 0.3
    return x * y


def else_of_for(x, y):
    for k in range(30):
        y = y + 0.3 * x
        if y > 3:
            y = y * k
            break
    else:
        y = -y
    return y


def else_of_while(x, y):
    while x < 5:
        x = x + y
        if y < 0.3:
            x = x * 2
            break
        y = y * 0.8
    else:
        x = x + 100
    return x, y


def continues_on_data(x, y):
    total = 0.0
    while x < 6:
        x = x + 0.5
        if x > y:
            if total > 2:
                continue
            total += 0.1
        total += x
    return total


def continue_and_break(x, y):
    total = 1.0
    for k in range(40):
        x = x + 0.25
        if x < y:
            continue
        total *= 1.1
        if total > 2:
            if x > 4:
                break
            total -= 0.5 * x
        total += 0.1 * k
    return total, x


def nested(x, y):
    total = 0.0
    for i in range(100):
        t = 1.0
        while t < x + i:
            t *= 1.7
            if t > y:
                break
        total += t
        if total > 300:
            break
    else:
        total = -total
    return total


def three_deep(x, y):
    total, i = 0.0, 0
    while total < y:
        j = 0
        while j < 3 and x < 4:
            k = x
            while k > 0.1:
                k = k * 0.5
                total += k * 0.1
            x = x + 0.1
            j += 1
        total += 0.5 + 0.1 * x
        i += 1
    return total, x, i


def branches_inside(x, y):
    k = 0
    while k < 12:
        if x > y:
            x = x - y
            if x > 2:
                x = math.sqrt(x)
        elif x > 0.5:
            y = y * 0.5
        else:
            x = x + math.exp(-y)
        k += 1
        if y < 0.01:
            k += 5
    return x, y


def in_an_arm(x, y):
    if x > 0:
        z = x
        while z < y:
            z = z * 2.0
    else:
        z = -x
        while z > y:
            z = z * 0.5 + 0.1
    return z + x


def after_a_return(x, y):
    if x < 0:
        return y
    while x < 1e3:  # it has no end for negative numbers
        x = x * 2.0 + y * 0.1
    return x


def endless_in_the_other_arm(x, y):
    z = y
    if x > 0:
        while z < 100:
            z = z + x
    return z


def helper(x, tolerance=1e-10):
    y = 1.0
    while abs(y * y - x) > tolerance:
        y = 0.5 * (y + x / y)
    return y


def early(x, y):
    while True:
        if x > y:
            return x - y
        x = x * 1.5 + 0.2


def functions_inside(x, y):
    total = 0.0
    while total < y:
        total += helper(x + total) * 0.3 + early(x, total) * 0.01
    return total


@nbad.kernel
def inner(x, y):
    while x > y:
        x = x * 0.7
    return x


def kernels_inside(x, y):
    total = 0.0
    while total < y:
        total += inner(x + total, 0.5)
    return total


def first_pass_known(x, y):
    error, n = 1.0, 0
    while error > 1e-9:
        new = 0.5 * (x + y / x)
        error = abs(new - x)
        x = new
        n += 1
    return x, n


def variables_from_the_body(x, y):
    while True:
        z = x * y
        w = z + 1.0
        x = x * 0.5
        if w < 2.0:
            break
    return z * w, x


def walrus(x, y):
    n = 0
    while (z := x * x + 0.1) > y:
        x = x * 0.5
        n += 1
    return z, n


def walrus_with_else(x, y):
    while (z := x + 1.0) > 0.5:
        x = x - 0.75
        if z < y:
            break
    else:
        z = z + 100
    return z, x


def flags(x, y):
    done, above = False, x > y
    while not done:
        x, y = y, 0.5 * x
        above = above and x > y
        done = abs(x) < 0.1
    return x + (10.0 if above else 0.0)


def two_loops(x, y):
    k = 0
    while x > 1:
        x /= 2
        k += 1
    while y > 1:
        y /= 3
        k -= 1
    return x * y, k


def text_beside(x, y):
    name, scale = "a", None
    while x > y:
        x = x * 0.75
        name, scale = "a", None
    return x if name == "a" and scale is None else y


def errors_caught_inside(x, y):
    total = y
    while x > 1:
        try:
            total += 1.0 / (x - 2.0)
        except ZeroDivisionError:
            total = -x
        x = x - 1.0
    return total


def no_number_before(x, y):
    z = None
    while x > 1:
        z = x if z is None else z * y + x
        x = x - 1.0
    return y if z is None else z


# what is carried


def tuples(x, y):
    pair, k = (x, (y, 1)), 0
    while pair[0] < 8:
        pair = (pair[0] + pair[1][0] * 0.5 + 0.3, (pair[1][0] * 0.9, pair[1][1] + 1))
        k += 1
    return pair[0], pair[1][0], pair[1][1] + k


def lists_written(x, y):
    state = [x, y, 0.0]
    alias = state
    while state[0] < 6:
        state[0] += 0.5
        state[1] *= 0.9
        alias[2] = state[0] * state[1]
    return state[0], state[1], state[2]


def lists_rebound(x, y):
    v, k = [x, y], 0
    while v[0] < 6:
        v = [v[0] + 0.5 * v[1] + 0.2, v[1] * 0.9]
        k += 1
    return v[0] * k, v[1]


def lists_of_lists(x, y):
    m = [[x, y], [1.0, 0.0]]
    while m[0][0] < 5:
        for row in m:
            row[0] = row[0] + 0.4 + 0.1 * row[1]
        m[1][1] += m[0][0]
    return m[0][0] + m[1][1] * m[1][0]


def arrays(x, y):
    v = np.array([x, y, 1.0])
    a = np.array([[0.9, 0.1, 0.0], [-0.1, 0.9, 0.1], [0.0, 0.0, 1.1]])
    while np.dot(v, v) < 9.0:
        v = a @ v
    return v[0], v[1], v[2]


def arrays_in_place(x, y):
    v, w = np.array([x, y]), np.zeros(2)
    n = 0
    while v[0] < 4:
        v += 0.3 * w + 0.2
        w[0] = v[1]
        w[1] *= 0.5
        w[1] += v[0]
        n += 1
    return v[0], v[1] * n, w[1]


def a_table_by_a_counter(x, y):
    k = 0
    while k < 4 and x < y:
        x += TABLE[k] * TABLE[k]
        k += 1
    return x, k


def fibonacci(x, y):
    a, b, n = x, y, 0
    while b < 50:
        a, b, n = b, a + b, n + 1
    return b / a, n


# traced lengths


def traced_length(n, x):
    total = 0.0
    for k in range(int(n)):
        total += x / (k + 1)
    return total


def traced_length_of_an_argument(n, x):
    for _ in range(n):
        x = x * 0.5 + 1.0
    return x


def traced_bounds(n, x):
    total = k = 0
    for k in range(int(n), 10, 3):
        total += x * k
    return total, k


def traced_bounds_downwards(n, x):
    total = 0.0
    for k in range(int(n), -1, -2):
        total = total * 0.5 + x * k
        if total > 20:
            break
    else:
        total = total - 1000
    return total


def traced_length_unbound_before(n, x):
    last = 0.0
    for k in range(int(n)):
        if k > 0:
            last = last + x * previous  # noqa: F821
        previous = x + k  # noqa: F841
    return last


# fixed lengths


def long_and_fixed(x, y):
    for k in range(1000):
        x = x + 0.001 * (math.sin(x) - y * x) + 0.0001 * k
    return x, k


def runge_kutta(x, v):
    h, t = 0.01, 0.0
    for _ in range(300):
        k1, l1 = v, -math.sin(x)
        k2, l2 = v + 0.5 * h * l1, -math.sin(x + 0.5 * h * k1)
        k3, l3 = v + 0.5 * h * l2, -math.sin(x + 0.5 * h * k2)
        k4, l4 = v + h * l3, -math.sin(x + h * k3)
        x = x + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        v = v + h / 6.0 * (l1 + 2.0 * l2 + 2.0 * l3 + l4)
        t += h
    return x, v, t


def long_with_a_large_integer(x, y):
    seed = 12345
    for _ in range(300):
        seed = (1103515245 * seed + 12345) % 2147483648
        x = x + y * seed / 2147483648
    return x


def long_with_a_growing_list(x, y):
    values = []
    for k in range(150):
        values.append(x * k + y)
        x = x * 0.99
    return sum(values), len(values) * x


def unrolled_with_a_break(x, y):
    for v in (x, y, 0.5, 2.0):
        if v < 0:
            break
        x = x + v * v
    return x, v


def unrolled_else(x, y):
    for v in (1.0, 2.0, 3.0):
        if x < v:
            y = y * v
            break
        x = x - 0.25
    else:
        y = y + 100
    return x * y


# FPBench


def pendulum(t, w):
    n, h = 0, 0.01
    while n < 300:
        k1w = -9.8 / 2.0 * math.sin(t)
        k2t = w + h / 2.0 * k1w
        t2 = t + h / 2.0 * w
        k2w = -9.8 / 2.0 * math.sin(t2)
        t, w = t + h * k2t, w + h * k2w
        n = n + 1
    return t, w


def odometry(sr, sl):
    theta, x, y, t, j = -0.985, 0.0, 0.0, 0, 0.0
    while t < 100:
        delta_dl, delta_dr = sl * 0.2, sr * 0.2
        delta_d = (delta_dl + delta_dr) * 0.5
        delta_theta = (delta_dr - delta_dl) * 0.0785398
        arg = theta + delta_theta * 0.5
        x += (1.0 - arg * arg * 0.5 + arg**4 * 0.0416666666) * delta_d
        y += (arg - arg**3 * 0.1666666666) * delta_d
        theta += delta_theta
        t += 1
        if j == 50.0:
            j = 0.0
            sl, sr = sr, sl
        else:
            j += 1.0
    return x, y


def lead_lag(y, yd):
    xc0, xc1, i, e = 0.0, 0.0, 0.0, 1.0
    while e > 0.01 and i < 500:
        yc = y - yd
        yc = -1.0 if yc < -1.0 else 1.0 if yc > 1.0 else yc
        u = 564.48 * xc0 - 1280.0 * yc
        xc0 = 0.499 * xc0 - 0.05 * xc1 + yc
        xc1 = 0.01 * xc0 + xc1
        i += 1.0
        y = y - 1e-4 * u
        e = abs(yc - 0.05 * xc1)
    return xc1, i


def arc_length(n, p):
    t1, d1, s1, i = math.pi, 0.0, 0.0, 1
    dppi = math.pi / n
    while i <= n:
        d2 = 0.0
        t2 = i * dppi
        k = 1
        while k <= 5:
            d2 = d2 + math.sin(2.0**k * t2) / 2.0**k * p
            k = k + 1
        t2 = t2 + d2
        s0 = math.sqrt(dppi * dppi + (t2 - t1) * (t2 - t1))
        s1 = s1 + s0
        t1 = t2
        i = i + 1
    return s1 + d1


PAIRS = [(-1.5, 0.4), (-0.4, 1.1), (0.3, 0.2), (1.7, 2.6), (0.75, 7.0), (2.25, 1.3)]
POSITIVE = [(0.3, 0.2), (1.7, 2.6), (0.75, 7.0), (2.25, 1.3), (40.0, 0.01)]
LENGTHS = [(0, 2.0), (1, 0.5), (2, -1.0), (7, 1.5), (12, 0.25), (-3, 1.0)]
POINTS = {
    newton_root: POSITIVE,
    kepler: [(0.1, 0.0), (1.0, 0.5), (2.0, 0.9), (-3.0, 0.3), (0.5, 0.95)],
    kepler_with_a_carried_step: [(0.1, 0.0), (1.0, 0.5), (2.0, 0.9), (-3.0, 0.3)],
    colebrook: [(4e3, 0.0), (1e5, 1e-4), (1e7, 0.02)],
    bisection: POSITIVE,
    implied_volatility: [(0.1, 1.0), (0.3, 0.8), (0.05, 1.3), (0.2, 1.0)],
    secant: [(1.0, 2.0), (0.5, 3.0), (-1.0, -2.0)],
    secant_without_a_start: [(1.0, 2.0), (3.0, 9.0), (5.0, 0.3)],
    collatz: [(1.0, 2.0), (6.0, 1.0), (27.0, -1.0), (7.0, 0.5)],
    arithmetic_geometric_mean: [(1.0, 0.2), (24.0, 6.0), (1.0, 1.0), (5.0, 0.001)],
    continued_fraction: [(3.0, 0.5), (5.0, 1.5), (2.0, 0.3)],
    bessel_series: [(0.5, 0.0), (3.0, 1.0), (0.0, 0.5), (8.0, 0.25)],
    no_pass_for_some: [(-3.0, 0.5), (1.0, 2.0), (-0.1, 4.0), (2.0, 1.0)],
    no_pass_and_no_derivative: [(-3.0, 0.5), (2.5, 2.0), (0.25, 4.0), (-0.5, 1.0)],
    returns_inside: [(0.3, 7.0), (0.1, 20.0), (3.0, 2.0), (0.5, 0.25)],
    early: POSITIVE,
    after_a_return: [(-3.0, 0.5), (1.0, 2.0), (-0.1, 4.0), (2.0, 1.0)],
    walrus: POSITIVE[:4],
    errors_caught_inside: [(0.5, 2.0), (4.0, 1.0), (3.5, 0.5), (7.25, -1.0)],
    no_number_before: [(0.5, 2.0), (4.0, 1.0), (3.5, 0.5), (7.25, -1.0)],
    traced_length: LENGTHS,
    traced_length_of_an_argument: LENGTHS,
    traced_bounds: LENGTHS,
    traced_bounds_downwards: LENGTHS,
    traced_length_unbound_before: LENGTHS,
    functions_inside: POSITIVE,
    kernels_inside: POSITIVE,
    first_pass_known: POSITIVE,
    or_conditions: POSITIVE,
    fibonacci: POSITIVE,
    odometry: [(0.0525, 0.0525), (0.055, 0.05)],
    lead_lag: [(2.1, 5.0), (0.5, 1.0)],
    arc_length: [(5.0, 1.0), (12.0, 0.5)],
}
HELPERS = (normal, call_price, helper)
PROGRAMS = [f for f in list(globals().values()) if isinstance(f, FunctionType) and f.__module__ == __name__ and f not in HELPERS]


def names_of(function):
    return " ".join(function.__code__.co_varnames[: function.__code__.co_argcount])


def check(function, points, rtol=1e-9):
    """Value and Jacobian, of all points in one run, against plain Python on dual numbers."""
    graph = traced(function, names_of(function)).graph
    columns = [np.array(column, float) for column in zip(*points, strict=True)]
    expected = [value_and_partials(on_duals(function), *point) for point in points]
    np.testing.assert_allclose(np.array(evaluate(graph, *columns)).T, [y for y, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(of_graph(graph, *columns)[1], [j for _, j in expected], rtol=rtol, atol=1e-12)
    return graph


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_loops_have_the_values_and_derivatives_of_their_passes(function):
    check(function, POINTS.get(function, PAIRS))


# through the whole of nbad


def test_compiled_loops_have_the_derivatives_of_the_root():
    m, e = np.linspace(-3.0, 3.0, 23), np.linspace(0.0, 0.9, 23)
    f = nbad.kernel(kepler)
    u, pullback = nbad.vjp(f, m, e)
    np.testing.assert_allclose(u, [kepler(*point) for point in zip(m, e, strict=True)], rtol=1e-14)
    slope = 1.0 / (1.0 - e * np.cos(u))
    np.testing.assert_allclose(pullback(1.0), [slope, np.sin(u) * slope], rtol=1e-12)
    np.testing.assert_allclose(nbad.hessian(f)(m, e)[:, 0, 0], -e * np.sin(u) * slope**3, rtol=1e-11, atol=1e-14)


def halving(x):
    while x > 1:
        x = x / 2
    return x


def test_a_loop_that_is_not_done_raises_with_its_state():
    f = nbad.kernel(halving, max_passes=10)
    assert f(1000.0) == halving(1000.0)
    text = r"^kernel `halving`: a loop is not done after 10 passes; .*element \(2,\)[\s\S]*got: x = 2\.0\n"
    with pytest.raises(NotConvergedError, match=text) as caught:
        f(np.array([1.0, 1000.0, 2048.0, 0.5]))
    assert "fix: @nbad.kernel(max_passes=100)" in str(caught.value)
    assert isinstance(caught.value, RuntimeError)


def test_a_loop_that_is_not_done_is_nan():
    f = nbad.kernel(halving, max_passes=10, errors="nan")
    x = np.array([1.0, 1000.0, 2048.0])
    np.testing.assert_array_equal(f(x), [1.0, halving(1000.0), np.nan])
    np.testing.assert_array_equal(nbad.jacobian(f)(x).ravel(), [1.0, 2.0**-10, np.nan])


@pytest.mark.parametrize("passes", [0, -1, 1.5, True, "many"])
def test_max_passes_is_a_number_of_passes(passes):
    text = r"max_passes=\.\.\.\)` of `halving`: not a number of passes[\s\S]*fix: max_passes=10_000"
    with pytest.raises(ValueError, match=text):
        nbad.kernel(halving, max_passes=passes)


def test_a_number_of_passes_that_is_not_whole_is_no_number_of_passes():
    f = nbad.kernel(traced_length_of_an_argument)
    np.testing.assert_allclose(f(np.array([0, 3]), 2.0), [2.0, traced_length_of_an_argument(3, 2.0)])
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        f(np.array([1.0, 2.5]), 2.0)


def test_what_a_loop_without_pass_does_not_bind_has_no_value():
    @nbad.kernel
    def last_half(x):
        while x > 1:
            half = x / 2
            x = half
        return half

    assert last_half(3.0) == 0.75
    with pytest.raises(UnboundLocalError, match="half"):
        last_half(np.array([3.0, 0.5]))


def test_what_nobody_uses_after_a_loop_need_have_no_value_before_it():
    """Neither what each pass sets before it reads it, nor what a pass only hands on; what a message would tell is no use."""

    @nbad.kernel
    def set_in_each_pass(x, y):
        if x > 1.0:
            w = x * 2.0
        while y > 0.5:
            w = y - 0.3
            y = w
        return x + y

    @nbad.kernel
    def set_in_some_passes(x, y):
        if x > 1.0:
            w = x * 2.0
        while y > 0.5:
            if x > 0.0:
                w = y - 0.3  # noqa: F841
            y = y - 0.4
        return x + y

    points = np.array([[2.0, 0.0], [0.5, 0.0], [0.5, 0.7], [2.0, 0.7], [-2.0, 1.7]])
    for f in (set_in_each_pass, set_in_some_passes):
        np.testing.assert_allclose(f(*points.T), [f.__wrapped__(*point) for point in points], rtol=1e-14)
        np.testing.assert_array_equal(nbad.jacobian(f)(*points.T)[:, 0], np.ones((5, 2)))


def test_a_raise_in_a_loop_is_for_the_elements_that_get_there():
    @nbad.kernel
    def halves(x):
        n = 0
        while x > 1:
            x, n = x / 2, n + 1
            if n > 5:
                raise ValueError("too large")
        return x

    np.testing.assert_array_equal(halves(np.array([3.0, 32.0])), [0.75, 1.0])
    with pytest.raises(ValueError, match="too large"):
        halves(np.array([3.0, 1000.0]))


def test_long_loops_are_loops_of_the_machine():
    @nbad.kernel
    def long(x):
        for k in range(100_000):
            x = x + (math.sin(x) - x) * 1e-6 + k * 1e-12
        return x

    assert len(traced(long.__wrapped__).graph.nodes) < 10
    assert long(1.0) == pytest.approx(long.__wrapped__(1.0), rel=1e-9)


JUMPS = {
    "continue without a break": "try:\n    last = k\nfinally:\n    total += x\n    if k == 1:\n        continue\n    total += 10",
    "continue behind a break": "try:\n    if k == 1: break\nfinally:\n    total += x\n    if k < 3: continue\n    total += 10",
    "jumps of its own loop": "try:\n    total += x\nfinally:\n    for j in (0, 1):\n        if j == k: break\n        total += j",
    "break behind a continue": "try:\n    if k == 1: continue\nfinally:\n    total += x\n    if k == 1: break\n    total += 10",
}


def jumping(tmp_path, body):
    """A loop with jumps in a `finally`, of which newer Pythons warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        lines = textwrap.indent(body, " " * 8)
        return written(
            tmp_path / "jumping.py", f"def f(x):\n    total = 0.0\n    for k in range(4):\n{lines}\n    return total\n"
        )


@pytest.mark.parametrize("name", JUMPS)
def test_jumps_in_a_finally(name, tmp_path):
    f = jumping(tmp_path, JUMPS[name])
    assert nbad.kernel(f)(1.5) == f(1.5)


def test_a_jump_of_some_elements_in_a_finally_is_refused(tmp_path):
    f = jumping(tmp_path, "try:\n    total = 1.0\nfinally:\n    if x > k:\n        continue\n    total = 2.0")
    with pytest.raises(TraceError, match="leaves the `finally` of a `try` by `break` or `continue` on a traced value"):
        nbad.kernel(f)(1.5)
