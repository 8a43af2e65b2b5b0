"""Code that nbad does not rewrite is guarded all the same: handlers, managers and identity in it."""

import contextlib
import functools
import math

import numpy as np
import pytest
from helpers.tracing import traced

import nbad
from nbad.errors import TraceError

XS, YS = np.array([-1.7, -0.6, 0.3, 0.9]), np.array([0.7, -1.2, 1.9, -0.2])
MADE = {}
exec(
    """
def divides(x):
    try:
        return 1 / x
    except ZeroDivisionError:
        return 0.0
def suppresses(x, managers):
    v = 3.0
    with managers.suppress(Exception):
        v = 1 / x
    return v
def asks(x):
    return 1.0 if (x > 0) is True else 0.0
def looks_up(x, table=None):
    try:
        y = table["k"]
    except KeyError:
        y = 2.0
    return x * y if table is not None else x
""",
    MADE,
)


def inverse(x):
    try:
        v = 1 / x
    except ZeroDivisionError:
        v = 0.0
    yield v


def root(x):
    v = 3.0
    with contextlib.suppress(Exception):
        v = math.sqrt(x)
    yield v


def is_positive(x):
    yield 1.0 if (x > 0) is True else 0.0


class Outer:
    class Inner:
        def inverse(self, x):
            try:
                return 1 / x
            except ZeroDivisionError:
                return 0.0

        @staticmethod
        def is_positive(x):
            return 1.0 if (x > 0) is True else 0.0

    if True:

        def asks(self, x):
            return 1.0 if (x > 0) is True else 0.0


class Number:
    def __init__(self, x):
        self.x = x

    def __add__(self, other):
        try:
            return other / self.x
        except ZeroDivisionError:
            return 0.0

    @property
    def sign(self):
        return 1.0 if (self.x > 0) is True else -1.0

    def __getattr__(self, name):
        return 1.0 if (self.x > 0) is True else -1.0


def generator_that_catches(x):
    return sum(inverse(x))


def generator_that_suppresses(x):
    return next(root(x))


def generator_that_asks(x):
    return sum(is_positive(x)) * x


def generator_in_the_kernel(x):
    def made():
        def inner():
            try:
                return 1 / x
            except ZeroDivisionError:
                return 0.0

        yield inner()

    return sum(made())


def made_by_exec(x):
    return MADE["divides"](x)


def made_by_exec_with(x):
    return MADE["suppresses"](x, contextlib)


def made_by_exec_is(x):
    return x * MADE["asks"](x)


def text_in_the_kernel(x):
    names = {"x": x}
    exec("try:\n    v = 1 / x\nexcept ZeroDivisionError:\n    v = 0.0", names)
    return names["v"]


def expression_in_the_kernel(x):
    return x * eval("1.0 if (x > 0) is True else 0.0", {"x": x})


def class_in_the_kernel(x):
    class A:
        class B:
            def inverse(self, x):
                try:
                    return 1 / x
                except ZeroDivisionError:
                    return 0.0

    return A.B().inverse(x)


def body_of_a_class(x):
    class A:
        try:
            v = 1 / x
        except ZeroDivisionError:
            v = 0.0

    return A.v


def body_of_a_class_asks(x):
    class A:
        v = 1.0 if (x > 0) is True else 0.0

    return x * A.v


def lambda_of_a_class(x):
    class A:
        asks = lambda self, x: 1.0 if (x > 0) is True else 0.0  # noqa: E731

    return x * A().asks(x)


def operator(x):
    return Number(x) + 1


def property_of_an_object(x):
    return x * Number(x).sign


def missing_attribute(x):
    return x * Number(x).other


HIDING = [
    generator_that_catches, generator_that_suppresses, generator_that_asks, generator_in_the_kernel, made_by_exec,
    made_by_exec_with, made_by_exec_is, text_in_the_kernel, expression_in_the_kernel,
    class_in_the_kernel, body_of_a_class, body_of_a_class_asks,
    lambda_of_a_class, operator, property_of_an_object, missing_attribute,
]  # fmt: skip


@pytest.mark.parametrize("function", HIDING)
def test_what_may_hide_something_is_refused(function):
    text = r"where `\S+` may catch errors, in code|compares traced values in `\S+`, which asks by `is`, in code"
    with pytest.raises(TraceError, match=text) as caught:
        traced(function)
    assert "fix: " in str(caught.value)


def test_methods_of_nested_classes_are_seen_into():
    of_class = nbad.kernel(lambda x: x * Outer.Inner.is_positive(x))
    np.testing.assert_array_equal(of_class([-1.0, 2.0]), [x * Outer.Inner.is_positive(x) for x in (-1.0, 2.0)])
    kernel = nbad.kernel(lambda x: Outer.Inner().inverse(x) + Outer().asks(x))
    np.testing.assert_array_equal(kernel([0.0, 2.0, -4.0]), [0.0, 1.5, -0.25])


class Cached:
    def __init__(self, x):
        self.x = x

    @functools.cached_property
    def square(self):
        return self.x**2


def test_cached_properties_are_computed_once():
    kernel = nbad.kernel(lambda x: (c := Cached(x)).square + c.square)
    np.testing.assert_array_equal(nbad.grad(kernel)([1.0, -3.0]), [4.0, -12.0])


def multiples(x):
    try:
        for k in range(3):
            yield k * x
    finally:
        k = 0


class Table:
    def __init__(self, values):
        self.values = values

    def __getitem__(self, name):
        try:
            return self.values[name]
        except KeyError:
            return 2.0

    def scaled(self, x, by=None):
        return x * self["b"] if by is None else x * by


def generator(x, y):
    return sum(multiples(x)) * y


def straight_line(x, y):
    return MADE["looks_up"](x * y, {})


def object_in_the_kernel(x, y):
    table = Table({"a": x})
    return table.scaled(table["a"]) * y


SLOPES = {generator: lambda x, y: 3 * y, straight_line: lambda x, y: 2 * y, object_in_the_kernel: lambda x, y: 2 * y}


@pytest.mark.parametrize("function", SLOPES)
def test_what_hides_nothing_is_right(function):
    kernel, points = nbad.kernel(function), list(zip(XS.tolist(), YS.tolist(), strict=True))
    np.testing.assert_allclose(kernel(XS, YS), [function(*point) for point in points], rtol=1e-14)
    np.testing.assert_allclose(nbad.grad(kernel)(XS, YS), [SLOPES[function](*point) for point in points], rtol=1e-14)


def by_identity(self, other):
    return self.x * (2.0 if type(other) is float else 3.0)


def by_equality(self, other):
    return self.x * (2.0 if type(other) == float else 3.0)  # noqa: E721


def among_several(self, other):
    return 2.0 if type(other) in (int, float) else 3.0


def by_table(self, other):
    return {float: 2.0}.get(type(other), 3.0)


def by_subclass(self, other):
    return 2.0 if issubclass(type(other), float) else 3.0


def by_name(self, other):
    return 2.0 if type(other).__name__ == "float" else 3.0


def of_an_attribute(self, other):
    return 2.0 if type(other.real) is float else 3.0


@pytest.mark.parametrize(
    "ask", [by_identity, by_equality, among_several, by_table, by_subclass, by_name, of_an_attribute]
)  # fmt: skip
def test_methods_that_ask_for_the_type_of_a_number_are_refused(ask):
    scale = type("Scale", (), {"__init__": Number.__init__, "__mul__": ask})
    outer = scale(1.0)
    for kernel in (lambda x: (scale(1.0) * x) * x, lambda x: (outer * x) * x):
        with pytest.raises(TraceError, match=r"(?s)asks by `type` for numbers in `.*__mul__`.*fix: isinstance\(value, float\)"):
            nbad.kernel(kernel)(XS)


def test_properties_that_ask_for_the_type_of_a_number_are_refused():
    class Asking(Number):
        @property
        def doubled(self):
            return self.x * (2.0 if type(self.x) is float else 3.0)

    made = {"Asking": Asking}  # not by name
    with pytest.raises(TraceError, match="asks by `type` for numbers in `doubled`"):
        nbad.kernel(lambda x: made["Asking"](x).doubled)(XS)


class Vector:
    def __init__(self, *items):
        self.items = items

    def __add__(self, other):
        if type(other) is not Vector:
            return type(self)(*(float(0) + v + other for v in self.items))
        return type(self)(*(v + w for v, w in zip(self.items, other.items, strict=True)))

    def scaled(self, factor):
        return Vector(*(v * (2.0 if isinstance(factor, float) else 3.0) * factor for v in self.items))


def test_methods_that_ask_for_their_own_type_are_right():
    def kernel(x, y):
        return ((Vector(x, y) + Vector(1.0, x)) + y).scaled(x).items[1]

    expected = [kernel(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(kernel)(XS, YS), expected, rtol=1e-15)


def test_a_class_of_the_kernel_may_ask_for_types():
    def kernel(x):
        class Local:
            def __mul__(self, other):
                return 2.0 if type(other) is float else 3.0

        return (Local() * x) * x

    np.testing.assert_array_equal(nbad.kernel(kernel)(XS), 2 * XS)
