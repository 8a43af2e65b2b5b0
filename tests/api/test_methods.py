"""Kernels as methods: `self` is the object whose attributes the kernel reads, not an argument."""

import math
import os

import numpy as np
import pytest

import nbad
from nbad.errors import ArgumentTypeError, TraceError


class Spring:
    """A spring that is harder when it is pushed."""

    def __init__(self, stiffness):
        self.stiffness = stiffness

    @nbad.kernel
    def force(self, x, damping=0.5):
        if x > 0:
            return self.stiffness * x + damping
        return self.hardened(x)

    def hardened(self, x):
        return 2.0 * self.stiffness * x if x > -1.0 else math.sinh(x)

    slope = nbad.grad(force, "x")

    @classmethod
    @nbad.kernel
    def rest(cls, x):
        return cls.__name__.count("r") * x * x

    @staticmethod
    @nbad.kernel
    def square(x):
        return x * x

    @nbad.kernel(signature="(3),()->()", static="power")
    def work(self, u, x, power=2):
        return self.stiffness * x**power * np.linalg.norm(u)

    def untraced(self, x):
        return self.stiffness * x if x > 0 else 0.0


XS = np.array([-2.0, -0.5, 1.5])
US = np.array([[1.0, 2.0, 2.0], [0.0, 3.0, 4.0], [1.0, 0.0, 0.0]])


def test_values_and_derivatives_of_a_method():
    spring = Spring(3.0)
    np.testing.assert_allclose(spring.force(XS), [math.sinh(-2.0), -3.0, 5.0], rtol=1e-14)
    np.testing.assert_allclose(nbad.grad(spring.force)(XS), [math.cosh(2.0), 6.0, 3.0], rtol=1e-14)
    np.testing.assert_allclose(spring.slope(XS), [math.cosh(2.0), 6.0, 3.0], rtol=1e-14)
    y, pullback = nbad.vjp(spring.force, XS, 1.0)
    assert y[2] == 5.5
    assert pullback(1.0)[1] == 1.0
    assert nbad.jacobian(spring.force)(XS).shape == (3, 1, 1)
    nbad.testing.check_kernel(spring.force, XS)


def test_attributes_are_read_at_the_first_trace_of_each_kernel():
    spring = Spring(3.0)
    kept = spring.force
    assert (kept(1.0), Spring(5.0).force(1.0)) == (3.5, 5.5)
    spring.stiffness = 4.0
    assert (spring.force(1.0), kept(1.0)) == (4.5, 3.5)


def test_methods_look_like_methods():
    bound = Spring(3.0).force
    assert isinstance(bound, nbad.Kernel)
    assert (bound.parameters, bound.__name__, bound.static) == (("x", "damping"), "force", ())
    assert isinstance(Spring.force, nbad.Kernel)
    assert Spring.force(Spring(3.0), 1.0) == 3.5
    assert bound.__wrapped__(1.0) == 3.5


def test_class_methods_and_static_methods():
    assert Spring(3.0).rest(2.0) == Spring.rest(2.0) == 4.0
    assert Spring(3.0).square(3.0) == Spring.square(3.0) == 9.0


def test_vector_and_static_arguments_of_a_method():
    spring = Spring(2.0)
    np.testing.assert_allclose(spring.work(US, XS), 2.0 * XS**2 * [3.0, 5.0, 1.0])
    np.testing.assert_allclose(spring.work(US, XS, power=3), 2.0 * XS**3 * [3.0, 5.0, 1.0])
    assert nbad.jacobian(spring.work)(US, XS).shape == (3, 1, 4)


def test_a_method_made_a_kernel_where_it_is_used():
    spring = Spring(3.0)
    f = nbad.kernel(spring.untraced)
    np.testing.assert_array_equal(f(XS), [0.0, 0.0, 4.5])
    np.testing.assert_array_equal(nbad.grad(f)(XS), [0.0, 0.0, 3.0])


def test_methods_in_kernels():
    spring = Spring(3.0)
    f = nbad.kernel(lambda x: spring.force(x) * 2.0)
    np.testing.assert_allclose(nbad.grad(f)(XS), [2.0 * math.cosh(2.0), 12.0, 6.0], rtol=1e-14)


class Counter:
    law = nbad.kernel(lambda x: x * x)

    def __init__(self):
        self.calls = 0

    @nbad.kernel
    def count(self, x):
        self.calls += 1
        return x

    @nbad.kernel
    def named(this, x):
        return this.calls * x


def test_a_kernel_without_self_is_the_same_everywhere():
    assert Counter().law is Counter.law
    assert Counter().law(3.0) == 9.0


def test_what_a_method_may_not_do():
    with pytest.raises(TraceError, match=r"(?s)`count` writes the attribute `calls` of `.*self\.calls \+= 1.*return the value"):
        Counter().count(1.0)
    with pytest.raises(ArgumentTypeError, match=r"(?s)`named\(this, x\)`: missing a required argument: 'x'.*test_methods\.py"):
        Counter().named(1.0)


@pytest.mark.parametrize("text", ["y + 1", "__import__('os').environ.update(NBAD_EXECUTED='1')"])
def test_text_is_no_expression_and_is_not_executed(text):
    f = nbad.kernel(lambda x: 2.0 * x)
    with pytest.raises(
        ArgumentTypeError, match=r"sympy: an operand is not an expression\n(.*\n)*  fix: .*sympy\(\*sympy.symbols\('x', seq"
    ):
        f.sympy(text)
    assert "NBAD_EXECUTED" not in os.environ


class Lever:
    def __init__(self, k):
        self.k = k

    @nbad.kernel
    def torque(self, x):
        return self.k * x * x

    by_x, twice, both, pair = (
        nbad.jacobian(torque),
        nbad.hessian(torque),
        nbad.value_and_jacobian(torque),
        nbad.value_and_grad(torque, "x"),
    )
    of_another = nbad.jacobian(nbad.kernel(lambda x: x * x))


def test_what_verbs_return_is_a_method_too():
    lever = Lever(3.0)
    assert lever.by_x(2.0).tolist() == Lever.by_x(lever, 2.0).tolist() == [[12.0]]
    assert lever.twice(2.0).tolist() == [[6.0]]
    assert [part.tolist() for part in lever.both(2.0)] == [12.0, [[12.0]]]
    assert lever.pair(2.0) == (12.0, 12.0)
    assert lever.of_another(2.0).tolist() == [[4.0]]


def test_advice_names_the_verb_that_was_called():
    f = nbad.kernel(lambda x, y: x * y)
    for verb in ("jacobian", "value_and_jacobian", "hessian", "value_and_grad"):
        with pytest.raises(ArgumentTypeError, match=rf"nbad\.{verb}\(f\)\(x, y\)"):
            getattr(nbad, verb)(f)(1.0)
