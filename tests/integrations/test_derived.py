"""The linear maps of kernels as kernels: against closed forms, and against the sweeps that they are."""

import math

import numpy as np
import pytest

import nbad
from nbad.partners.derived import forward_kernel, of_arrays, reverse_kernel, with_partials


@nbad.kernel
def wave(a, b):
    return a * math.sin(b), a**3


@nbad.kernel(errors="nan")
def root(x):
    if x < 0:
        raise ValueError("negative")
    return math.sqrt(x)


def test_second_derivatives_by_arguments_and_seeds():
    """Of `u a sin b + v a^3`, by a: `u sin b + 3 v a^2`."""
    first = reverse_kernel(wave, ("a",))
    a, b, u, v = 2.0, 0.5, 0.0, 3.0
    assert first(a, b, u, v)[0] == pytest.approx(u * math.sin(b) + 3 * v * a * a)
    second = reverse_kernel(first, first.parameters)
    assert second(a, b, u, v, 1.0) == pytest.approx((6 * v * a, u * math.cos(b), math.sin(b), 3 * a * a))


def test_pushforward():
    assert forward_kernel(wave, ("a", "b"))(2.0, 0.5, 1.0, 10.0) == pytest.approx(
        (math.sin(0.5) + 20 * math.cos(0.5), 12.0), rel=1e-14
    )


def test_entries_of_vectors():
    affine = nbad.kernel(lambda m, x: (m @ x, x[0] * x[1]), signature="(2,2),(2)->(2),()")
    partials = with_partials(affine, ("x",))
    m, x = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])
    y, product, *found = partials.kernel(m, x)
    np.testing.assert_array_equal(y, m @ x)
    assert product == 30.0
    jacobian = np.zeros((3, 2))
    for entry in partials.entries:
        jacobian[entry.output, entry.input - 4] = entry.constant if entry.partial is None else found[entry.partial]
    np.testing.assert_array_equal(jacobian, [[1, 2], [3, 4], [6, 5]])


def test_elements_without_a_value_have_no_derivatives():
    np.testing.assert_array_equal(reverse_kernel(root, ("x",))([4.0, -1.0], 1.0)[0], [0.25, np.nan])
    np.testing.assert_array_equal(with_partials(root, ("x",)).kernel([4.0, -1.0]), [[2.0, np.nan], [0.25, np.nan]])


def test_what_a_call_does_not_pass_as_numbers_is_fixed():
    power = nbad.kernel(lambda x, n, scale=2.0, kind="plain": scale * x**n, static=("n",))
    kernel, values = of_arrays(power, (3.0,), {"n": 2, "kind": "other"})
    assert (kernel.parameters, values) == (("x",), [3.0])
    assert kernel(3.0) == 18.0
    assert of_arrays(power, (4.0,), {"n": 2, "kind": "other"})[0] is kernel
    assert of_arrays(power, (4.0,), {"n": 3, "kind": "other"})[0] is not kernel


def test_names_of_seeds_meet_no_argument():
    odd = nbad.kernel(lambda y0_bar, x: y0_bar * x)
    assert reverse_kernel(odd, ("x",))(2.0, 3.0, 10.0) == (20.0,)
