"""Solutions and inverses of small matrices: as good as LAPACK's, by mpmath, at any condition and of any size of numbers."""

import itertools

import mpmath
import numpy as np
import pytest

import nbad

SIZES = (1, 2, 3)


def kernels(n):
    @nbad.kernel(signature=f"({n},{n}),({n})->({n})")
    def solve(a, b):
        return np.linalg.solve(a, b)

    @nbad.kernel(signature=f"({n},{n})->({n},{n})")
    def inverse(a):
        return np.linalg.inv(a)

    return solve, inverse


def matrices(rng, n, count, condition):
    """With singular values from 1 to 1/condition."""
    u, v = (np.linalg.qr(rng.normal(size=(count, n, n)))[0] for _ in range(2))
    return u * np.geomspace(1, 1 / condition, n) @ v


def exact(a, b):
    with mpmath.workdps(60):
        inverse = mpmath.matrix(a.tolist()) ** -1
        x = inverse * mpmath.matrix(b.tolist())
        return np.array(inverse.tolist()), np.array(x.tolist())[:, 0]


def error(got, expected):
    """In norm, as the condition bounds it."""
    return float(np.abs(got - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("n", SIZES)
def test_errors_are_those_of_lapack(n, condition):
    rng, (solve, inverse) = np.random.default_rng(n), kernels(n)
    a, b = matrices(rng, n, 40, condition), rng.normal(size=(40, n))
    ours, lapack = [], []
    for k, (x, y) in enumerate(zip(solve(a, b), inverse(a), strict=True)):
        of_inverse, solution = exact(a[k], b[k])
        ours += [error(x, solution), error(y, of_inverse)]
        lapack += [error(np.linalg.solve(a[k], b[k]), solution), error(np.linalg.inv(a[k]), of_inverse)]
    assert max(ours) <= 3 * max(lapack) + 4e-16
    assert max(ours) <= 8e-16 * condition


@pytest.mark.parametrize("scale", [1e-300, 1e-120, 1e120, 1e300])
@pytest.mark.parametrize("n", SIZES)
def test_numbers_of_any_size(n, scale):
    rng, (solve, inverse) = np.random.default_rng(n), kernels(n)
    a, b = matrices(rng, n, 10, 10.0), rng.normal(size=(10, n))
    np.testing.assert_allclose(solve(a * scale, b * scale), np.linalg.solve(a, b[..., None])[..., 0], rtol=1e-12)
    np.testing.assert_allclose(inverse(a * scale) * scale, np.linalg.inv(a), rtol=1e-12)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_rows_in_any_order(order):
    """Zeros and ties on the diagonal are no pivots."""
    solve, inverse = kernels(3)
    a = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -3.0], [0.0, 0.0, 1e-9]])[list(order)]
    np.testing.assert_allclose(inverse(a) @ a, np.eye(3), atol=1e-14)
    np.testing.assert_allclose(solve(a, a @ [1.0, 2.0, 3.0]), [1.0, 2.0, 3.0], rtol=1e-12)
    ties = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])[list(order)]
    np.testing.assert_allclose(inverse(ties), np.linalg.inv(ties), atol=1e-16)


def partials(a, b):
    """Of `x = inv(a) b` and of the inverse: -inv(a) da x, inv(a) db, -inv(a) da inv(a)."""
    inverse, x = exact(a, b)
    by_a = -np.einsum("ij,k->ijk", inverse, x)
    return by_a, inverse, -np.einsum("ij,kl->iljk", inverse, inverse)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize(("condition", "scale"), [(10.0, 1.0), (1e4, 1.0), (1e8, 1.0), (10.0, 1e-120), (10.0, 1e120)])
@pytest.mark.parametrize("n", SIZES)
def test_partials(n, condition, scale, mode):
    rng, (solve, inverse) = np.random.default_rng(n), kernels(n)
    a, b = matrices(rng, n, 8, condition) * scale, rng.normal(size=(8, n)) * scale
    of_solution, of_inverse = nbad.jacobian(solve, mode=mode)(a, b), nbad.jacobian(inverse, mode=mode)(a)
    for k in range(len(a)):
        by_a, by_b, of_inv = partials(a[k], b[k])
        bound = 4e-15 * condition
        assert error(of_solution[k, :, : n * n].reshape(by_a.shape), by_a) <= bound
        assert error(of_solution[k, :, n * n :], by_b) <= bound
        assert error(of_inverse[k].reshape(of_inv.shape), of_inv) <= bound


def test_second_order():
    """The second differential of an inverse is inv da inv da' inv, both ways round."""
    a = np.array([[0.0, 2.0, 1.0], [1.0, -1.0, 0.5], [3.0, 0.2, -2.0]])
    corner = nbad.kernel(lambda a: np.linalg.inv(a)[0, 0], signature="(3,3)->()")
    inverse = np.linalg.inv(a)
    one_way = np.einsum("i,jk,l->ijkl", inverse[0], inverse, inverse[:, 0])
    expected = (one_way + one_way.transpose(2, 3, 0, 1)).reshape(9, 9)
    np.testing.assert_allclose(nbad.hessian(corner)(a), expected, rtol=1e-12, atol=1e-14)


def test_known_items():
    """Of matrices that hold numbers beside traced values, whole ones too; what is singular is so for numbers alone."""

    @nbad.kernel
    def rotated(c, s):
        return tuple(np.linalg.solve([[c, -s], [s, c]], [1, 0])) + tuple(np.linalg.inv([[0, c], [2, 0]])[0])

    np.testing.assert_allclose(rotated(0.6, 0.8), (0.6, -0.8, 0.0, 0.5), atol=1e-16)
    singular = nbad.kernel(lambda c: np.linalg.solve([[0.0, c], [0.0, 1.0]], [c, 1.0])[0])
    assert not np.isfinite(singular(2.0))


def test_float32():
    a = matrices(np.random.default_rng(3), 3, 20, 100.0)
    got = kernels(3)[1](a.astype(np.float32))
    assert got.dtype == np.float32
    assert max(error(x, y) for x, y in zip(got, np.linalg.inv(a.astype(np.float32).astype(float)), strict=True)) < 2e-5
