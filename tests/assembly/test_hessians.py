"""Hessians of energies over nets: dense matrices that NumPy assembles of partials by hand, whatever parts there are."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nbad
from nbad.assembly import parts
from nbad.assembly.structure import Columns, Squares
from nbad.indexing.index import Sums

NODES, ELEMENTS = 40, 900


def quartic(corners, size):
    """The energy `c.a * (1 + (c.a)**2 * s)` of all numbers of some corners, with its gradient's factors by hand."""
    values = 3 * size

    @nbad.kernel(signature=f"({corners},{size}),({corners},{size}),()->()")
    def energy(p, a, s):
        total = sum(p[k, j] * a[k, j] for k in range(corners) for j in range(size))
        return total * (1 + total * total * s)

    def block(p, a, s):
        flat = a.reshape(len(a), -1)
        total = np.sum(p.reshape(len(p), -1) * flat, axis=1)
        return (6 * total * s)[:, None, None] * flat[:, :, None] * flat[:, None, :]

    return energy, block, values


def assembled(blocks, columns, total):
    dense = np.zeros((total, total))
    for block, own in zip(blocks, columns, strict=True):
        np.add.at(dense, (own[:, None], own), block)
    return dense


def case(rng, corners, size, is_distinct, dtype=float):
    nodes = rng.normal(size=(NODES, size)).astype(dtype)
    elements = np.argsort(rng.random((ELEMENTS, NODES)), axis=1)[:, :corners]
    if not is_distinct:
        elements[5, 1] = elements[5, 0]
    a, s = rng.normal(size=(ELEMENTS, corners, size)).astype(dtype), rng.normal(size=ELEMENTS).astype(dtype)
    return nodes, elements, a, s


@pytest.mark.parametrize("near", [1, 1 << 22])
@pytest.mark.parametrize("is_distinct", [True, False])
@pytest.mark.parametrize(("corners", "size"), [(2, 1), (3, 2), (2, 3), (3, 3), (2, 4), (2, 6)])
def test_hessians_are_those_that_numpy_assembles(rng, monkeypatch, corners, size, is_distinct, near):
    monkeypatch.setattr(parts, "NEAR", near)
    nodes, elements, a, s = case(rng, corners, size, is_distinct)
    energy, block, _ = quartic(corners, size)
    columns = (elements[:, :, None] * size + np.arange(size)).reshape(ELEMENTS, -1)
    expected = assembled(block(nodes[elements], a, s), columns, nodes.size)
    H = nbad.sparse_hessian(energy, argnums="p")(nbad.indexed(nodes, elements), a, s)
    np.testing.assert_allclose(H.toarray(), expected, atol=1e-11 * np.abs(expected).max())
    assert np.array_equal(H.toarray(), H.T.toarray())
    H.check_format(full_check=True)


def test_parts_change_rounding_only_and_threads_no_bit(rng, monkeypatch):
    nodes, elements, a, s = case(rng, 3, 3, True)
    energy, _, _ = quartic(3, 3)
    xs, threads, made = (nbad.indexed(nodes, elements), a, s), numba.get_num_threads(), []
    monkeypatch.setattr(parts, "NEAR", 1)
    for number in (1, threads):
        numba.set_num_threads(number)
        made.append(nbad.sparse_hessian(energy, argnums="p")(*xs).data)
    numba.set_num_threads(threads)
    assert np.array_equal(*made)
    monkeypatch.setattr(parts, "NEAR", 1 << 22)
    whole = nbad.sparse_hessian(energy, argnums="p")(*xs).data
    np.testing.assert_allclose(made[0], whole, atol=1e-12 * np.abs(whole).max())


def test_single_precision_is_summed_in_double(rng, monkeypatch):
    monkeypatch.setattr(parts, "NEAR", 1)
    nodes, elements, a, s = case(rng, 3, 3, True, np.float32)
    energy, block, _ = quartic(3, 3)
    columns = (elements[:, :, None] * 3 + np.arange(3)).reshape(ELEMENTS, -1)
    expected = assembled(block(*(x.astype(float) for x in (nodes[elements], a, s))), columns, nodes.size)
    H = nbad.sparse_hessian(energy, argnums="p")(nbad.indexed(nodes, elements), a, s)
    assert H.dtype == np.float32
    np.testing.assert_allclose(H.toarray(), expected, atol=3e-6 * np.abs(expected).max())


def test_sums_that_leave_single_precision_are_infinite(monkeypatch):
    """Without a warning, as in a sweep: of one part, and of several, which are added in double."""
    x, k = np.full(ELEMENTS, 1e37, np.float32), np.array(2.0, np.float32)
    for near in (1 << 22, 1):
        monkeypatch.setattr(parts, "NEAR", near)
        assert nbad.sparse_hessian(nbad.kernel(lambda x, k: x * k * k), argnums="k")(x, k).data.tolist() == [np.inf]


def test_arguments_are_cut_where_elements_have_their_own(rng, monkeypatch):
    """Of all elements, of each, picked, and with the axis of the elements behind that which is picked from."""
    energy = nbad.kernel(lambda x, y, z: x * x * y * z * z)
    x, y, z, i = rng.normal(size=30), rng.normal(size=700), 1.5, rng.integers(0, 30, 700)
    at, expected = x[i], np.zeros((731, 731))
    for k, (p, q, j) in enumerate(zip(at, y, i, strict=True)):
        own = [j, 30 + k, 730]
        second = np.array([[2 * q * z * z, 2 * p * z * z, 4 * p * q * z], [0, 0, 2 * p * p * z], [0, 0, 2 * p * p * q]])
        np.add.at(expected, np.ix_(own, own), second + np.triu(second, 1).T)
    monkeypatch.setattr(parts, "NEAR", 1)
    hessian = nbad.sparse_hessian(energy)
    np.testing.assert_allclose(hessian(nbad.indexed(x, i), y, z).toarray(), expected, atol=1e-10)
    np.testing.assert_allclose(hessian(at, y, nbad.indexed([z], 0)).toarray()[700:, 700:], expected[30:, 30:], atol=1e-10)
    rows = nbad.indexed(np.stack([y, at]), 1)
    np.testing.assert_allclose(hessian(rows, y, z).toarray()[1400:, 1400:], expected[30:, 30:], atol=1e-10)


def test_an_element_that_fails_is_told_by_its_own_number(monkeypatch):
    monkeypatch.setattr(parts, "NEAR", 1)

    @nbad.kernel
    def guarded(x):
        if x < 0:
            raise ValueError("x is below 0")
        return x**3

    x = np.ones(1000)
    x[777] = -1
    with pytest.raises(ValueError, match="x is below 0") as caught:
        nbad.sparse_hessian(guarded)(x)
    assert "777" in "".join(caught.value.__notes__)


def test_equal_squares_are_left_once():
    columns = Columns(np.array([[0, 1, 2, 3]]), 4, 2)
    nodes = np.array([[1, 2, 5, 6], [2, 3, 6, 8], [5, 6, 1, 2], [6, 8, 2, 3]])
    squares = Squares.distinct(columns, np.ones((4, 4), bool), nodes.ravel().tolist())
    assert (squares.height, squares.width, squares.entries) == (2, 2, (0, 1, 1, 5, 2, 3, 6, 7))
    assert squares.places.tolist() == [0, 2, 2, 0]
    in_part = np.ones((4, 4), bool)
    in_part[0, 3] = in_part[3, 0] = False
    assert Squares.distinct(columns, in_part, range(16)).width == 1


def test_numbers_of_rows_may_be_large():
    assert Sums(np.array([1 << 31]), np.array([0, 1]), np.array([0])).order.dtype == np.int64


def test_elements_behind_the_axis_that_is_picked_are_no_neighbours():
    a, b = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([[7.0, 8.0], [9.0, 10.0]])
    product = nbad.kernel(lambda x, y: x * x * x * y * y)
    found = nbad.sparse_hessian(product)(nbad.indexed(a, np.array(2)), nbad.indexed(b, np.array(-1))).toarray()
    expected, (x, y) = np.zeros((10, 10)), (a[2], b[1])
    for k in range(2):  # of elements
        own, other = 4 + k, 8 + k
        expected[own, own], expected[other, other] = 6 * x[k] * y[k] ** 2, 2 * x[k] ** 3
        expected[own, other] = expected[other, own] = 6 * x[k] ** 2 * y[k]
    assert_array_equal(found, expected)


def test_one_argument_of_elements_behind_the_axis_that_is_picked():
    a = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    found = nbad.sparse_hessian(nbad.kernel(lambda x: x * x * x))(nbad.indexed(a, np.array(1))).toarray()
    assert_array_equal(found, np.diag([0.0, 0.0, 0.0, 24.0, 30.0, 36.0]))


def test_rows_of_elements_behind_the_axis_that_is_picked():
    a = np.arange(1.0, 13.0).reshape(2, 3, 2)
    area = nbad.kernel(lambda x: x[0] * x[0] * x[1], signature="(2)->()")
    found = nbad.sparse_hessian(area)(nbad.indexed(a, np.array(1))).toarray()
    expected = np.zeros((12, 12))
    for k in range(3):
        u, v = a[1, k]
        expected[6 + 2 * k : 8 + 2 * k, 6 + 2 * k : 8 + 2 * k] = [[2 * v, 2 * u], [2 * u, 0.0]]
    assert_array_equal(found, expected)
