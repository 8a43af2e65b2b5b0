"""Kernels in the many ways of Python: compiled value, pullback and Jacobian against dual numbers on the same function."""

import collections
import contextlib
import functools
import itertools
import operator
import typing

import numpy as np
import pytest
from helpers.duals import value_and_partials

import nbad
from nbad.errors import TraceError

POINTS = np.array([(-1.71, 0.72), (-0.62, -1.23), (0.33, 1.94), (0.94, 0.25), (2.45, -0.46), (1.3, 2.2)])
Pair = collections.namedtuple("Pair", "a b")


def bubble_sort(x, y):
    a = [x, y, x + y]
    for i in range(3):
        for j in range(2 - i):
            if a[j] > a[j + 1]:
                a[j], a[j + 1] = a[j + 1], a[j]
    return a[0] + 2 * a[1] + 3 * a[2]


def returns_within_two_loops_of_a_helper(x, y):
    def helper(z):
        for i in range(3):
            for j in range(2):
                if z > i + j:
                    return z * (i + j + 1)
            if z * z < 0.5:
                z = z - 0.3
                continue
            z = z + y
        return z * y

    return helper(x) + helper(helper(y))


def largest_and_its_place(x, y):
    best, place = x, 0
    for i, v in enumerate([x, y, x * y, x + y]):
        if v < best:
            best, place = v, i
    return best * (place + 1)


def newton_with_an_early_end(x, y):
    z = abs(x) + 1.0
    for _ in range(6):
        step = (z * z - (abs(x) + y * y + 0.5)) / (2 * z)
        z = z - step
        if abs(step) < 1e-12:
            return z
    return z


def escape_time(x, y):
    done, n, z = False, 0.0, x * 0.5
    for _ in range(6):
        if not done:
            if abs(z) > 4:
                done = True
            else:
                z = z * z + y * 0.5
                n += 1
    return z * 0.1 + n


def items_of_earlier_places(x, y):
    v = [0.0] * 4
    for i in range(4):
        if x > i - 1:
            v[i] = x * i
            if y > 0:
                v[i - 1] += y
        elif y < 0:
            v[i], v[0] = v[0], x
    return v[0] + 2 * v[1] - v[2] * v[3]


def conditions_as_values(x, y):
    a, b = x > 0, y > 0
    c = a if y > 1 else b
    d = True if a else False  # noqa: SIM210
    e = b if a else True
    return c * 1.0 + d * 2.0 + e * 4.0 + (c and e) * x + (d or not e) * y - (x >= y) / 2 + -(x > 0) + (a == b) * x


def plain_values_among_conditions(x, y, n=2):
    if n and x > 0 and not y > 0:
        return x * y
    if (x > 0 or n > 5) and (n or y > 0):
        return x + y * y
    return (x > 0 and x) + (x or y) + (not x)


def chains(x, y):
    return (1.0 if -1 < x < y < 2 else 2.0) * x + (x if 0 < x != y else y * y) + (0 < x < 1) * y


def tools(x, y):
    total = functools.reduce(operator.add, [x, x * x]) + functools.reduce(lambda a, b: a * x + b, [1.0, 2.0, 3.0])
    for a, b in itertools.product((x, y), (1.0, 2.0)):
        total = total + a * b
    for a, b in itertools.pairwise([x, y, x * y]):
        total = total - a / (b * b + 3)
    with contextlib.nullcontext(y) as z:
        if z > x:
            total = total * z
    return total + sum(itertools.accumulate([x, y, x])) + sum(map(lambda t: t * x, [1, 2]))  # noqa: C417


def generators(x, y):
    def powers():
        yield x
        yield x * y
        for i in range(2):
            yield y * i

    return sum(powers()) + sum(v * v for v in powers()) + max(powers())


def closures(x, y):
    def outer(a):
        k = a * 2

        def inner(b):
            if b > k:
                return b - k
            return k * b

        return inner

    late = [lambda t: t * k + x for k in range(3)]  # noqa: B023
    bound = [lambda t, k=k: t * k for k in range(3)]
    return outer(x)(y) * outer(y)(0.1) + sum(f(y) for f in late) + sum(f(y) for f in bound)


def recursion_of_fixed_depth(x, y):
    def inner(a, depth):
        if depth == 0:
            return a
        return inner(a * y if a > 0 else a + y, depth - 1)

    return inner(x, 3)


def arguments_of_helpers(x, y):
    def helper(a, *rest, scale=1.0, **more):
        if rest and rest[0] > 0:
            return a * scale
        return a - scale + more.get("b", 0.0)

    return helper(x, y) + helper(y, scale=x) + helper(*(x, y), **{"scale": 2.0, "b": y})


def unpacking(x, y):
    a, (b, *c) = x, (y, x * y, 2.0)
    (d, e), f = (a, b), c[0]
    p = Pair(x, y)
    if x > y:
        p = p._replace(a=y * y)
        a, b = b, 2 * a
    return a * b + d - e * f + p.a * p.b + p[0]


def rows_and_lists(x, y):
    m = [[x, y], [y, x]]
    if x > 0:
        m[0][1] = 2 * x
        m[1] = [1.0, y]
    else:
        m[0], m[1] = m[1], m[0]
    r = [m[0][0]]
    r += [m[0][1]]
    r.extend((x * y,))
    r.insert(0, 1.0)
    z = r.pop()
    r[0:1] = [2.0, x]
    return sum(r) * z - m[1][0] * m[1][1]


def else_of_loops(x, y):
    total = 0.0
    for k in range(3):
        for j in range(3):
            if x * j > y * k + 1:
                return x * (k + 1) + j
        else:
            x = x + 0.1
    while total is not None:
        total = total + x
        break
    else:
        total = 0.0
    return total * y


def statements_of_all_kinds(x: float, y: float = 2.0) -> float:
    """A kernel may have one."""
    z: float = x
    unused: typing.Any  # noqa: F842
    try:
        z = {"x": x}["z"]
    except KeyError as error:
        z = x * len(error.args)
    finally:
        z = z + 1
    match (1, 2), {"k": 2.0}:
        case (a, *rest), {"k": v, **other}:
            z = z * v + a + len(rest) + len(other)
    if (n := x * x) > 1:
        z = z * n
    from operator import neg as minus

    del x
    return minus(z) * y


def assignments_in_tests(x, y):
    m, items = 0.5, [1.0, 2.0]
    if (n := x * y) > 1:
        z = x
    elif (m := y * y) > 1:
        z = m
    elif (items := [y, m])[0] > 0:
        z = n
    else:
        z = -m
    return z + m * items[0]


def returns_beside_finally(x, y):
    items = [x]

    def helper(k):
        if k == 1:
            try:
                return items[0] * y
            finally:
                items[0] = items[0] + 1
        try:
            items[0] = items[0] * y
        finally:
            items[0] = items[0] - 1
        if items[0] > y:
            return items[0]
        return y

    return helper(1) + helper(2) * items[0]


def classes(x, y):
    class Local:
        scale = 2.0

        def __init__(self, a):
            self.a = a

        def square(self):
            return self.a * self.a * self.scale if self.a > 0 else -self.a

        @property
        def half(self):
            if self.a > 1:
                return self.a / 2
            return self.a

        def __add__(self, other):
            return Local(self.a + other.a)

    return (Local(x) + Local(y)).square() + Local(x).half


def matched_classes_and_tables(x, y):
    i = 1 if x > 0 else 0
    if y > 0:
        i = i + 1
    pairs = ((x, 1.0), (y, x), (2.0, y))
    a, b = pairs[i]
    return [10.0, 20.0, 30.0][i] * x + a * b + [[x, y], [y, 1.0], [x, x]][i][1]


KERNELS = [value for value in list(globals().values()) if getattr(value, "__module__", None) == __name__ and callable(value)]
KERNELS = [kernel for kernel in KERNELS if kernel is not Pair]


@pytest.mark.parametrize("function", KERNELS)
def test_value_pullback_and_jacobian(function):
    kernel = nbad.kernel(function)
    wanted = [value_and_partials(function, *point) for point in POINTS]
    value, pullback = nbad.vjp(kernel, *POINTS.T)
    np.testing.assert_allclose(value, [y[0] for y, _ in wanted], rtol=1e-12, atol=1e-13)
    jacobian = nbad.jacobian(kernel)(*POINTS.T)
    np.testing.assert_allclose(jacobian, [partials for _, partials in wanted], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(np.transpose(pullback(2.0)), 2.0 * jacobian[:, 0], rtol=1e-13, atol=1e-14)


def test_kernels_made_in_kernels():
    def length(v):
        return np.sqrt(v[0] * v[0] + v[1] * v[1]) if v[0] > 0 else np.abs(v).sum()

    @nbad.kernel(signature="(2)->(2)")
    def outer(v):
        unit = nbad.kernel(lambda w: w / (np.linalg.norm(w) if w[0] > 0 else length(w)), signature="(2)->(2)")
        scale = nbad.kernel(lambda x, k: np.exp(-x) * k if x > k else x)
        return unit(v) * scale(v[0], v[1]) + nbad.grad(scale)(v[1], 0.5)

    def plain(v):
        unit = v / (np.hypot(*v) if v[0] > 0 else np.abs(v).sum())
        slope = -0.5 * np.exp(-v[1]) if v[1] > 0.5 else 1.0
        return unit * (np.exp(-v[0]) * v[1] if v[0] > v[1] else v[0]) + slope

    np.testing.assert_allclose(outer(POINTS), [plain(v) for v in POINTS], rtol=1e-14)


class Tagged(list):
    """Something that is not quite a list."""


class Row(tuple):
    """Something that is not quite a tuple."""


@pytest.mark.parametrize(("make", "text"), [
    (lambda k: np.array([k, 0]), "two different arrays of dtype int64"),
    (lambda k: Tagged([1.0]), "a Tagged in one branch and another one in the other"),
    (lambda k: Row([1.0]), "a Row in one branch and another one in the other"),
    (lambda k: "ab"[:k], "a str in one branch and another one in the other"),
    (lambda k: np.zeros(k + 1), r"an array of shape \(1,\) in one branch and of shape \(2,\)"),
    (lambda k: [1.0] * (k + 1), "a list of 1 items in one branch and of 2 in the other"),
    (lambda k: {k: 1.0}, r"a dict with the keys \[0\] in one branch and \[1\] in the other"),
])  # fmt: skip
def test_what_cannot_be_chosen_between(make, text):
    def kernel(x):
        chosen = make(0) if x > 0 else make(1)
        return x + len(chosen)

    what = "chooses by a traced value between things that cannot be merged"
    pattern = rf"(?s){what}:.*chosen = make\(0\).*got: {text}.*fix: numbers, or lists and arrays of one shape"
    with pytest.raises(TraceError, match=pattern):
        nbad.kernel(kernel)(1.0)
