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


# what is made of products


ARRAYS = {"a": (3, 3), "b": (2, 3), "x": (4,), "y": (3,)}
COMBINED = {
    "sign and logarithm of a determinant": (
        lambda a, b, x, y: tuple(np.linalg.slogdet(a)),
        lambda a, b, x, y: (np.sign(np.linalg.det(a)), np.log(abs(np.linalg.det(a)))),
    ),
    "a cube": (lambda a, b, x, y: np.linalg.matrix_power(a, 3), lambda a, b, x, y: a @ a @ a),
    "a power below 0": (lambda a, b, x, y: np.linalg.matrix_power(a, -2), lambda a, b, x, y: np.linalg.inv(a) @ np.linalg.inv(a)),
    "axes summed": (lambda a, b, x, y: np.tensordot(b, a, ([1], [0])), lambda a, b, x, y: b @ a),
    "all axes summed": (lambda a, b, x, y: np.tensordot(a, a), lambda a, b, x, y: np.sum(a * a)),
    "a convolution": (
        lambda a, b, x, y: np.convolve(x, y, "valid"),
        lambda a, b, x, y: np.array([x[k] * y[2] + x[k + 1] * y[1] + x[k + 2] * y[0] for k in range(2)]),
    ),
    "a norm of order 3": (lambda a, b, x, y: np.linalg.norm(x, 3), lambda a, b, x, y: np.sum(abs(x) ** 3) ** (1 / 3)),
    "the least size": (lambda a, b, x, y: np.linalg.norm(x, -np.inf), lambda a, b, x, y: np.min(abs(x))),
}


@pytest.mark.parametrize("name", COMBINED)
def test_what_is_made_of_products(name, rng):
    function, written_out = COMBINED[name]
    given = {each: rng.normal(size=shape) for each, shape in ARRAYS.items()}
    expected = function(**given)
    parts = expected if isinstance(expected, tuple) else (expected,)
    cores = [",".join(map(str, np.shape(part))) for part in (*given.values(), *parts)]
    signature = f"{','.join(f'({core})' for core in cores[:4])}->{','.join(f'({core})' for core in cores[4:])}"
    kernel, other = (nbad.kernel(each, signature=signature) for each in (function, written_out))
    for got, part in zip(kernel(**given) if len(parts) > 1 else (kernel(**given),), parts, strict=True):
        np.testing.assert_allclose(got, part, rtol=1e-13)
    jacobians = (nbad.jacobian(each)(*given.values()) for each in (kernel, other))
    np.testing.assert_allclose(*jacobians, rtol=1e-11, atol=1e-13)


# factors and eigenvalues


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("n", SIZES)
def test_cholesky(n, condition):
    rng, core = np.random.default_rng(n), f"({n},{n})->({n},{n})"
    a = matrices(rng, n, 40, condition**0.5)
    a = a @ a.transpose(0, 2, 1)
    lower, upper = nbad.kernel(
        lambda a: (np.linalg.cholesky(a), np.linalg.cholesky(a, upper=True)), signature=f"{core},({n},{n})"
    )(a)
    np.testing.assert_allclose(lower, np.linalg.cholesky(a), rtol=1e-14 * condition, atol=1e-15)
    np.testing.assert_allclose(upper, np.linalg.cholesky(a, upper=True), rtol=1e-14 * condition, atol=1e-15)
    assert np.isnan(nbad.kernel(lambda a: np.linalg.cholesky(a), signature=core)(-np.eye(n))).any()


def symmetric(rng, n):
    a = rng.normal(size=(40, n, n)) * 10.0 ** rng.uniform(-8, 8, (40, 1, 1))
    a[:4] = np.eye(n), np.zeros((n, n)), np.ones((n, n)), np.diag(np.arange(n, 0.0, -1.0))
    return a + a.transpose(0, 2, 1)


@pytest.mark.parametrize("n", SIZES)
def test_eigenvalues(n):
    a = symmetric(np.random.default_rng(n), n)
    f = nbad.kernel(
        lambda a, b: (np.linalg.eigvalsh(a), np.linalg.eigvalsh(b, "U")), signature=f"({n},{n}),({n},{n})->({n}),({n})"
    )
    for values in f(np.tril(a), np.triu(a)):  # the other triangle is not looked at
        error = np.abs(values - np.linalg.eigvalsh(a)).max(-1)
        assert (error <= 2e-15 * np.abs(a).sum((1, 2))).all()


def test_slopes_of_eigenvalues_are_squares_of_eigenvectors():
    """Of a matrix that is diagonal already, too."""
    a = symmetric(np.random.default_rng(3), 3)[3:]
    f = nbad.kernel(lambda a: np.linalg.eigvalsh(a), signature="(3,3)->(3)")
    vectors = np.linalg.eigh(a)[1]
    slopes = nbad.jacobian(f)(a).reshape(-1, 3, 3, 3)[..., [0, 1, 2], [0, 1, 2]]
    np.testing.assert_allclose(slopes, vectors.transpose(0, 2, 1) ** 2, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_second_order_of_eigenvalues_is_that_of_perturbation_theory():
    @nbad.kernel
    def greatest(b):
        return np.linalg.eigvalsh(np.array([[1.0, 0.0, 0.0], [b, 3.0, 0.0], [0.0, b, 4.0]]))[2]

    assert nbad.grad(nbad.grad(greatest))(0.0) == pytest.approx(2.0, rel=1e-12)


def test_eigenvalues_where_items_of_the_diagonal_are_equal():
    f = nbad.kernel(lambda x: tuple(np.linalg.eigvalsh(np.array([[x, 1.0], [1.0, 2.0]]))))
    xs = np.array([1.0, 2.0, 3.5])
    root = np.sqrt((xs - 2) ** 2 + 4)
    np.testing.assert_allclose(nbad.jacobian(f)(xs)[..., 0], np.stack([(1 - (xs - 2) / root) / 2, (1 + (xs - 2) / root) / 2], 1))
    second = 2 / root**3
    hessian = nbad.hessian(nbad.kernel(lambda x: np.linalg.eigvalsh(np.array([[x, 1.0], [1.0, 2.0]]))[1]))
    np.testing.assert_allclose(hessian(xs)[:, 0, 0], second, rtol=1e-12)
