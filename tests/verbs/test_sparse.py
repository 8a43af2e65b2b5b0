"""Sparse Jacobians and Hessians: dense matrices that NumPy assembles from partials by hand, and what SciPy does with them."""

import sys

import numba
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import nbad
from nbad import indexed


@nbad.kernel(signature="(3,2),(2),()->(),(2)")
def corners(p, q, s):
    return p[0, 0] * q[0] - p[2, 1] * q[1] * s, np.array([p[1, 0] * p[1, 0], p[1, 1] * q[0]])


@nbad.kernel(signature="(3,2),(2),()->()")
def energy(p, q, s):
    return p[0, 0] * p[0, 0] * q[0] * s + p[2, 1] * q[1] * s * s + p[1, 0] * p[1, 0] * p[0, 1]


def corners_partials(p, q, s):
    """The blocks of `corners` by hand: outputs first, values of all arguments last."""
    blocks = np.zeros((*s.shape, 3, 9))
    blocks[..., 0, 0], blocks[..., 0, 5] = q[..., 0], -q[..., 1] * s
    blocks[..., 0, 6], blocks[..., 0, 7], blocks[..., 0, 8] = p[..., 0, 0], -p[..., 2, 1] * s, -p[..., 2, 1] * q[..., 1]
    blocks[..., 1, 2], blocks[..., 2, 3], blocks[..., 2, 6] = 2 * p[..., 1, 0], q[..., 0], p[..., 1, 1]
    return blocks


def energy_partials(p, q, s):
    """The second partials of `energy` by hand."""
    blocks = np.zeros((*s.shape, 9, 9))

    def put(row, column, value):
        blocks[..., row, column] = blocks[..., column, row] = value

    put(0, 0, 2 * q[..., 0] * s)
    put(0, 6, 2 * p[..., 0, 0] * s)
    put(0, 8, 2 * p[..., 0, 0] * q[..., 0])
    put(6, 8, p[..., 0, 0] ** 2)
    put(5, 7, s * s)
    put(5, 8, 2 * q[..., 1] * s)
    put(7, 8, 2 * p[..., 2, 1] * s)
    put(8, 8, 2 * p[..., 2, 1] * q[..., 1])
    put(2, 2, 2 * p[..., 0, 1])
    put(1, 2, 2 * p[..., 1, 0])
    return blocks


@st.composite
def cases(draw):
    """Arguments, each as it is passed, as what it stands for, and as the numbers of its columns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.sampled_from([(), (0,), (1,), (9,), (3, 4)]))
    is_distinct = draw(st.booleans())
    given_, whole, columns, start = [], [], [], 0
    kinds = draw(st.tuples(*[st.sampled_from(["own", "shared", "picked"])] * 3).filter(lambda kinds: set(kinds) != {"shared"}))
    for core, kind in zip(((3, 2), (2,), ()), kinds, strict=True):
        own = (*shape, *core) if kind == "own" else core if kind == "shared" else (5, *core[-1:])
        a = rng.normal(size=own)
        numbers = start + np.arange(a.size).reshape(own)
        start += a.size
        if kind == "picked":
            lead = (*shape, *core[:-1])
            i = rng.integers(-5, 5, lead) if not is_distinct else np.arange(np.prod(lead, dtype=int)).reshape(lead) % 5
            given_.append(indexed(a, i))
            a, numbers = a[i], numbers[i]
        else:
            given_.append(a)
        whole.append(np.broadcast_to(a, (*shape, *core)))
        columns.append(np.broadcast_to(numbers, (*shape, *core)).reshape(int(np.prod(shape)), -1) if np.prod(shape) else None)
    columns = np.concatenate(columns, axis=1) if np.prod(shape) else np.zeros((0, 9), int)
    return rng, given_, whole, columns, start


def assembled(blocks, columns, total):
    """The dense matrix of all elements: what an element reads twice is summed."""
    elements, outputs, values = blocks.shape
    matrix = np.zeros((elements, outputs, total))
    for k in range(values):
        np.add.at(matrix, (np.arange(elements), slice(None), columns[:, k]), blocks[:, :, k])
    return matrix.reshape(elements * outputs, total)


def is_canonical(matrix):
    matrix.check_format(full_check=True)
    again = scipy.sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)  # which looks for itself
    return matrix.has_canonical_format and again.has_canonical_format


def check_jacobian(case):
    rng, xs, whole, columns, total = case
    expected = assembled(corners_partials(*whole).reshape(-1, 3, 9), columns, total)
    jacobian = nbad.sparse_jacobian(corners)
    J = jacobian(*xs)
    assert isinstance(J, scipy.sparse.csr_array)
    np.testing.assert_allclose(J.toarray(), expected, atol=1e-13)
    assert J.shape == expected.shape
    assert is_canonical(J)
    operator, v, w = jacobian.operator(*xs), rng.normal(size=(total, 3)), rng.normal(size=(len(expected), 2))
    for k in (slice(None), 0, slice(0, 0)):
        np.testing.assert_allclose(operator @ v[:, k], expected @ v[:, k], atol=1e-12)
        np.testing.assert_allclose(operator.T @ w[:, k], expected.T @ w[:, k], atol=1e-12)
        np.testing.assert_allclose((operator.T @ operator) @ v[:, k], expected.T @ (expected @ v[:, k]), atol=1e-11)


def check_hessian(case):
    rng, xs, whole, columns, total = case
    blocks = energy_partials(*whole).reshape(-1, 9, 9)
    expected = np.zeros((total, total))
    for block, own in zip(blocks, columns, strict=True):
        np.add.at(expected, (own[:, None], own), block)
    H = nbad.sparse_hessian(energy)(*xs)
    np.testing.assert_allclose(H.toarray(), expected, atol=1e-12)
    assert is_canonical(H)
    assert np.array_equal(H.toarray(), H.T.toarray())
    operator, v = nbad.sparse_hessian(energy).operator(*xs), rng.normal(size=(total, 3))
    for k in (slice(None), 0, slice(0, 0)):
        np.testing.assert_allclose(operator @ v[:, k], expected @ v[:, k], atol=1e-11)
        np.testing.assert_allclose(operator.T @ v[:, k], expected @ v[:, k], atol=1e-11)


@settings(max_examples=12)
@given(cases())
def test_some_matrices_are_those_that_numpy_assembles(case):
    check_jacobian(case)
    check_hessian(case)


@pytest.mark.slow
@settings(max_examples=200)
@given(cases())
def test_matrices_are_those_that_numpy_assembles(case):
    check_jacobian(case)
    check_hessian(case)


@pytest.fixture
def mesh(rng):
    """Points, triangles that meet and one that reads a point twice, and other arguments."""
    triangles = np.concatenate([rng.integers(0, 30, (600, 3)), [[1, 1, 2]]])
    return rng.normal(size=(30, 2)), triangles, rng.normal(size=(601, 2)), rng.normal(size=601)


def test_structure_is_made_once_and_results_are_their_own(mesh):
    points, triangles, q, s = mesh
    jacobian, p = nbad.sparse_jacobian(corners), indexed(points, triangles)
    first, second = jacobian(p, q, s), jacobian(p, q, s)
    assert first.indices.base is second.indices.base or first.indices is second.indices
    before = second.toarray()
    first.data[:] = 0
    points += 1
    assert np.array_equal(second.toarray(), before)
    assert not np.array_equal(jacobian(p, q, s).toarray(), before)
    with pytest.raises(ValueError, match="read-only"):
        first.indices[0] = 1
    other = jacobian(indexed(points, triangles[::-1]), q[::-1], s[::-1])
    rows = np.arange(3 * 601).reshape(601, 3)[::-1].ravel()
    np.testing.assert_array_equal(other.toarray()[rows][:, :60], jacobian(p, q, s).toarray()[:, :60])
    owned = first.copy()
    owned.eliminate_zeros()
    assert owned.nnz == 0
    assert jacobian(p, q, s).nnz == second.nnz


def test_blocks_are_the_data_where_columns_ascend(rng):
    a, k = rng.normal(size=8), np.arange(7)
    product = nbad.kernel(lambda x, y: x * x * y)
    J = nbad.sparse_jacobian(product)(indexed(a, k), rng.normal(size=7))
    assert J.data.base is not None
    assert J.nnz == 14
    sums = nbad.sparse_jacobian(product, argnums="y")(indexed(a, k), 2.0)
    np.testing.assert_array_equal(sums.toarray(), (a[k] ** 2)[:, None])


def test_bits_do_not_depend_on_threads_and_float32_stays(mesh):
    points, triangles, q, s = (a if a.dtype.kind == "i" else a.astype("f4") for a in mesh)
    hessian, p = nbad.sparse_hessian(energy), indexed(points, triangles)
    many = [np.repeat(triangles, 60, axis=0), np.repeat(q, 60, axis=0), np.repeat(s, 60)]
    xs = indexed(points, many[0]), many[1], many[2]
    threads, made = numba.get_num_threads(), []
    for number in (1, threads):
        numba.set_num_threads(number)
        made.append(hessian(*xs).data)
    numba.set_num_threads(threads)
    assert np.array_equal(*made)
    assert hessian(p, q, s).dtype == nbad.sparse_jacobian(corners)(p, q, s).dtype == np.float32


def test_energy_of_a_truss_is_minimized_by_newton():
    """A chain of springs between two held ends: as long as it is stretched, all are equally long."""

    @nbad.kernel(signature="(2),()->()")
    def stretched(ends, rest):
        return 0.5 * ((ends[1] - ends[0]) / rest - 1) ** 2 + 0.01 * ((ends[1] - ends[0]) / rest - 1) ** 4

    u, links = np.linspace(0, 1, 12) ** 2, np.stack([np.arange(11), np.arange(1, 12)], axis=1)
    ends, hessian = indexed(u, links), nbad.sparse_hessian(stretched, argnums="ends")
    for _ in range(8):
        _, pullback = nbad.vjp(stretched, ends, 0.05, argnums="ends")
        H = hessian(ends, 0.05)
        u[1:-1] -= scipy.sparse.linalg.spsolve(H[1:-1, 1:-1].tocsc(), pullback(1.0)[0][1:-1])
    np.testing.assert_allclose(u, np.linspace(0, 1, 12), atol=1e-14)


def test_matrices_without_entries(rng):
    linear = nbad.kernel(lambda x, y: 2 * x - y)
    H = nbad.sparse_hessian(linear)(indexed(np.arange(3.0), [0, 2]), 1.0)
    assert (H.shape, H.nnz) == ((4, 4), 0)
    assert is_canonical(H)


def test_elements_without_a_value_are_nan_in_entries_that_are_0_for_all_others():
    def of_positive(x, y):
        if x < 0:
            raise ValueError("x is negative")
        return x * x * y

    f, x = nbad.kernel(of_positive, errors="nan"), np.array([1.0, -3.0])
    expected = np.array([[4.0, 0.0, 2.0], [0.0, np.nan, np.nan], [2.0, np.nan, np.nan]])
    np.testing.assert_array_equal(nbad.sparse_hessian(f)(x, 2.0).toarray(), expected)
    slopes = nbad.jacobian(nbad.grad(f, ("x", "y")))
    blocks = slopes(x, 2.0)
    np.testing.assert_array_equal(blocks[0], [[4.0, 2.0], [2.0, 0.0]])
    assert np.isnan(blocks[1]).all()
    assert slopes.sparsity(x, 2.0).all()
    as_it_raises = nbad.jacobian(nbad.grad(nbad.kernel(of_positive), ("x", "y"))).sparsity(x, 2.0)
    np.testing.assert_array_equal(as_it_raises, [[True, True], [True, False]])


def test_operators_by_no_argument_are_those_of_matrices_without_columns():
    square, x = nbad.kernel(lambda x: x * x), np.ones(3)
    J, H = nbad.sparse_jacobian(square, ()).operator(x), nbad.sparse_hessian(square, ()).operator(x)
    assert (J.shape, H.shape) == ((3, 0), (0, 0))
    for _ in range(3):
        np.testing.assert_array_equal(J @ np.ones(0), np.zeros(3))
        assert ((J.T @ x).shape, (H @ np.ones(0)).shape, (H @ np.ones((0, 2))).shape) == ((0,), (0,), (0, 2))


def test_operators_take_complex_vectors():
    """As SciPy's solvers for eigenvalues may give them to operators of real numbers."""
    f, x = nbad.kernel(lambda x, y: x * x * y), np.array([1.0, 2.0, 4.0])
    v, w = np.array([1.0 + 2.0j, 3.0j, -1.0, 0.5 - 1.0j]), np.array([1.0j, 2.0, 3.0 - 1.0j])
    J = np.hstack([np.diag(2.0 * x * 5.0), (x * x)[:, None]])
    H = np.diag([10.0, 10.0, 10.0, 0.0]) + np.pad(2.0 * x[None], ((3, 0), (0, 1))) + np.pad(2.0 * x[:, None], ((0, 1), (3, 0)))
    jacobian, hessian = nbad.sparse_jacobian(f).operator(x, 5.0), nbad.sparse_hessian(f).operator(x, 5.0)
    np.testing.assert_allclose(jacobian @ v, J @ v)
    np.testing.assert_allclose(jacobian @ np.stack([v, 1j * v], axis=1), J @ np.stack([v, 1j * v], axis=1))
    np.testing.assert_allclose(jacobian.H @ w, J.T @ w)
    np.testing.assert_allclose(hessian @ v, H @ v)


def test_errors_say_what_does_not_fit():
    with pytest.raises(TypeError, match="not a kernel"):
        nbad.sparse_jacobian(abs)
    with pytest.raises(TypeError, match="take kernels with one number as output"):
        nbad.sparse_hessian(corners)(np.zeros((3, 2)), np.zeros(2), 1.0)
    with pytest.raises(TypeError, match="nothing to differentiate"):
        nbad.sparse_jacobian(energy)(np.zeros((3, 2), int), np.zeros(2, int), np.array(1))
    with pytest.raises(ValueError, match="argnums"):
        nbad.sparse_jacobian(energy, argnums="r")(np.zeros((3, 2)), np.zeros(2), 1.0)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse.linalg", None)
    made = nbad.sparse_jacobian(energy), nbad.sparse_hessian(energy)
    for call in (*made, *(each.operator for each in made)):
        with pytest.raises(ImportError, match=r'pip install "nbad\[scipy\]"'):
            call(np.zeros((3, 2)), np.zeros(2), 1.0)
