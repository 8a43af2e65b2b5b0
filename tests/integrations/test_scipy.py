"""SciPy's solvers on kernels: published problems, and how many sweeps they take.

Jacobians are measured against complex steps of plain NumPy functions, which cancel nothing, and against closed forms.
"""

from collections import Counter, namedtuple

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.sparse
import scipy.sparse.linalg
from helpers.gallery import load
from helpers.gallery_reference import NIST, standard_deviations
from numpy.testing import assert_allclose, assert_array_equal

import nbad
import nbad.integrations.scipy as partner
from nbad.errors import TraceError
from nbad.integrations.scipy import Problem

STEP = 1e-100


def complex_steps(function, x):
    return np.stack([function(x + 1j * STEP * e).imag / STEP for e in np.eye(x.size)], -1)


@pytest.fixture
def sweeps(monkeypatch):
    """How many forward sweeps, reverse sweeps and Jacobians were made."""
    counted = Counter()

    def counting(name, function):
        def run(*args, **kwargs):
            counted[name] += 1
            return function(*args, **kwargs)

        return run

    for name in ("vjp", "linearize"):
        monkeypatch.setattr(partner, name, counting(name, getattr(partner, name)))
    for name in ("__call__", "jacobian"):
        monkeypatch.setattr(nbad.verbs.pullback.Pullback, name, counting(name, getattr(nbad.verbs.pullback.Pullback, name)))
    return counted


# NIST's reference problems


@pytest.mark.parametrize("name", ["misra1a", "rat43", *[pytest.param(name, marks=pytest.mark.slow) for name in sorted(NIST)]])
def test_curves_have_the_certified_parameters(name):
    known, model = NIST[name], load("nonlinear_regression").MODELS[name]
    unknowns = {f"b{k + 1}": value for k, value in enumerate(known.start)}
    curve = Problem(model, unknowns, {"x": known.x}).curve("x")
    found, _ = scipy.optimize.curve_fit(curve.fun, known.x, known.y, curve.x0, jac=curve.jac, ftol=1e-14, xtol=1e-14, gtol=1e-14)
    assert_allclose((found - known.parameters) / known.deviations, 0.0, atol=1e-6)
    assert_allclose(standard_deviations(curve.jac(known.x, *found), known), known.deviations, rtol=1e-5)
    assert np.sum((curve.fun(known.x, *found) - known.y) ** 2) == pytest.approx(known.residual_sum, rel=1e-9)
    assert curve.jac(known.x[:3], *found).shape == (3, known.parameters.size)


@nbad.kernel
def misra(x, y, b):
    return b[0] * (1 - np.exp(-b[1] * x)) - y


def test_least_squares_sweeps_once_at_each_point(sweeps):
    known = NIST["misra1a"]
    f = nbad.kernel(lambda x, y, b1, b2: b1 * (1 - np.exp(-b2 * x)) - y)
    problem = Problem(f, {"b1": 500.0, "b2": 1e-4}, {"x": known.x, "y": known.y})
    fit = scipy.optimize.least_squares(problem.fun, problem.x0, problem.jac, x_scale="jac", ftol=1e-15, xtol=1e-15, gtol=1e-15)
    assert_allclose(fit.x, known.parameters, rtol=1e-9)
    assert type(problem.jac(fit.x)) is np.ndarray
    assert sweeps["vjp"] == fit.nfev + (sweeps["vjp"] - fit.nfev > 0) * 1  # one more where the last point was rejected
    assert sweeps["jacobian"] == fit.njev + 1
    assert sweeps["__call__"] == sweeps["linearize"] == 0
    sweeps.clear()
    problem.half_squares.fun(fit.x), problem.half_squares.jac(fit.x)
    assert sweeps == Counter(__call__=1)


def test_half_of_squares_is_minimized():
    known = NIST["danwood"]
    f = nbad.kernel(lambda x, y, b1, b2: b1 * x**b2 - y)
    half = Problem(f, {"b1": 1.0, "b2": 5.0}, {"x": known.x, "y": known.y}).half_squares
    for options in ({"method": "BFGS"}, {"method": "trust-exact", "hess": half.gauss_newton}):
        fit = scipy.optimize.minimize(half.fun, half.x0, jac=half.jac, tol=1e-9, **options)
        assert_allclose(fit.x, known.parameters, rtol=1e-6)
        assert 2 * fit.fun == pytest.approx(known.residual_sum, rel=1e-9)
    b, p = fit.x, np.array([0.5, -2.0])
    J = np.stack([known.x ** b[1], b[0] * known.x ** b[1] * np.log(known.x)], -1)
    assert_allclose(half.gauss_newtonp(b, p), J.T @ (J @ p), rtol=1e-12)


# bundle adjustment


def turned(rotation, d):
    angle = np.sqrt(np.sum(rotation * rotation, -1, keepdims=True))
    axis = rotation / angle
    along = np.sum(axis * d, -1, keepdims=True)
    return d * np.cos(angle) + np.cross(axis, d) * np.sin(angle) + axis * along * (1 - np.cos(angle))


def projected(camera, point):
    r = turned(camera[..., :3], point - camera[..., 3:6])
    image = r[..., :2] / r[..., 2:]
    s = np.sum(image * image, -1, keepdims=True)
    return image * camera[..., 6:7] * (1 + camera[..., 9:10] * s + camera[..., 10:11] * s * s) + camera[..., 7:9]


class Bundle:
    """Cameras around a cloud of points, each seen by some of them."""

    def __init__(self, rng, cameras, points):
        turns = np.linspace(0.0, 1.0, cameras)[:, None]
        lens = np.tile([800.0, 5.0, -3.0, -0.05, 0.01], (cameras, 1))
        poses = np.hstack([0.3 * np.sin(5 * turns) + 0.1, turns - 0.5, 0.2 * turns - 0.3, turns, 0.5 - turns, -6.0 - turns])
        self.cameras, self.points = np.hstack([poses, lens]), rng.uniform(-1.0, 1.0, (points, 3))
        seen = rng.uniform(size=(cameras, points)) < 0.8
        self.camera_of, self.point_of = np.nonzero(seen | (np.arange(points) < 4))
        self.features = projected(self.cameras[self.camera_of], self.points[self.point_of])

    def problem(self, start):
        unknowns = {"camera": (start[0], self.camera_of), "point": (start[1], self.point_of)}
        return Problem(load("reprojection").reprojection, unknowns, {"weight": 1.0, "feature": self.features})

    def start(self, rng, size):
        return [a * (1 + size * rng.standard_normal(a.shape)) for a in (self.cameras, self.points)]


def test_bundle_adjustment(rng, sweeps):
    bundle = Bundle(rng, 3, 10)
    problem = bundle.problem(bundle.start(rng, 1e-3))

    def plain(x):
        cameras, points = x[:33].reshape(3, 11), x[33:].reshape(10, 3)
        return (projected(cameras[bundle.camera_of], points[bundle.point_of]) - bundle.features).ravel()

    J, expected = problem.jac(problem.x0), complex_steps(plain, problem.x0)
    assert type(J) is scipy.sparse.csr_array
    assert J.shape == (2 * bundle.camera_of.size, 63)
    assert J.nnz == 2 * bundle.camera_of.size * 14
    assert_allclose(problem.fun(problem.x0), plain(problem.x0), rtol=0, atol=1e-9)
    assert_allclose(J.toarray(), expected, rtol=1e-9, atol=1e-9)
    w, v = rng.standard_normal(J.shape[0]), rng.standard_normal(J.shape[1])
    operator = problem.LinearOperator(problem.x0)
    assert_allclose(problem.vjp(problem.x0, w), w @ expected, rtol=1e-9)
    assert_allclose(operator @ v, expected @ v, rtol=1e-9)
    assert_allclose(operator.T @ w, w @ expected, rtol=1e-9)
    assert_array_equal(problem.jac_sparsity.toarray(), expected != 0.0)
    assert sweeps["vjp"] == sweeps["linearize"] == 1
    sweeps.clear()
    before = np.sum(problem.fun(problem.x0) ** 2)
    fit = scipy.optimize.least_squares(problem.fun, problem.x0, problem.jac, x_scale="jac", tr_solver="lsmr", max_nfev=8)
    assert 2 * fit.cost < 0.1 * before
    assert sweeps["vjp"] <= fit.nfev
    assert sweeps["jacobian"] == fit.njev
    fit = scipy.optimize.least_squares(problem.fun, problem.x0, problem.dense.jac, x_scale="jac")
    assert 2 * fit.cost < 1e-12 * before
    assert problem.named(fit.x)["camera"].shape == (3, 11)


@pytest.mark.slow
def test_bundle_adjustment_with_thousands_of_points(rng):
    """By Levenberg's and Marquardt's steps, whose equations are sparse."""
    bundle = Bundle(rng, 12, 3000)
    problem = bundle.problem(bundle.start(rng, 1e-3))
    x, before = problem.x0, np.sum(problem.fun(problem.x0) ** 2)
    for _ in range(8):
        J = problem.jac(x)
        A = (J.T @ J).tocsc()
        x = x - scipy.sparse.linalg.spsolve(A + 1e-6 * scipy.sparse.diags_array(A.diagonal()), problem.vjp(x, problem.fun(x)))
    assert np.sum(problem.fun(x) ** 2) < 1e-8 * before


# energies


@nbad.kernel(signature="(2,2),()->()")
def spring(ends, length):
    d = ends[1] - ends[0]
    return 0.5 * (np.sqrt(d[0] * d[0] + d[1] * d[1]) - length) ** 2 + 0.05 * np.sum(ends * ends)


def spring_hessian(nodes, pairs, length):
    """That of all springs, by hand."""
    H = np.zeros((*nodes.shape, *nodes.shape))
    for a, b in pairs:
        d = nodes[b] - nodes[a]
        r = np.sqrt(d @ d)
        block = np.outer(d, d) / r**2 * (length / r) + (1 - length / r) * np.eye(2)
        for i, j, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            H[i, :, j] += sign * block + 0.1 * np.eye(2) * (i == j)
    return H.reshape(nodes.size, nodes.size)


@pytest.fixture
def net(rng):
    """A chain with some cross springs, its nodes out of place."""
    pairs = np.array([(k, k + 1) for k in range(11)] + [(k, k + 2) for k in range(10)] + [(3, 3 + 6), (9, 3)])
    nodes = np.stack([np.arange(12.0), np.zeros(12)], -1) + 0.2 * rng.standard_normal((12, 2))
    return nodes, pairs, Problem(spring, {"ends": nbad.indexed(nodes, pairs)}, {"length": 1.3})


def test_hessians_of_energies(net, rng):
    nodes, pairs, problem = net
    energy, expected = problem.summed, spring_hessian(nodes, pairs, 1.3)
    H = energy.hess(energy.x0)
    assert scipy.sparse.issparse(H)
    assert_allclose(H.toarray(), expected, rtol=1e-12, atol=1e-13)
    p, v = rng.standard_normal(24), rng.standard_normal(len(pairs))
    assert_allclose(energy.hessp(energy.x0, p), expected @ p, rtol=1e-12, atol=1e-13)
    weighted = sum(w * spring_hessian(nodes, [pair], 1.3) for w, pair in zip(v, pairs, strict=True))
    assert_allclose(problem.hess(problem.x0, v).toarray(), weighted, rtol=1e-12, atol=1e-13)
    assert_allclose(problem.hessp(problem.x0, p, v), weighted @ p, rtol=1e-11, atol=1e-12)
    assert energy.fun(energy.x0) == pytest.approx(float(np.sum(spring(nodes[pairs], 1.3))), rel=1e-15)


def test_a_net_comes_to_rest(net, sweeps):
    _, _, problem = net
    energy = problem.summed
    rest = scipy.optimize.minimize(energy.fun, energy.x0, jac=energy.jac, hessp=energy.hessp, method="trust-krylov", tol=1e-10)
    assert np.max(np.abs(energy.jac(rest.x))) < 1e-7
    assert sweeps["jacobian"] == 0
    with_hessian = scipy.optimize.minimize(
        energy.fun, rest.x + 0.01, jac=energy.jac, hess=lambda x: energy.hess(x).toarray(), method="trust-exact", tol=1e-10
    )
    assert with_hessian.fun == pytest.approx(rest.fun, abs=1e-9)


def test_an_entry_that_an_element_takes_twice():
    f = nbad.kernel(lambda u: u[0] * u[1], signature="(2)->()")
    problem = Problem(f, {"u": (np.array([3.0, 5.0]), np.array([[0, 0], [0, 1], [-1, -1]]))})
    assert_array_equal(problem.jac(problem.x0).toarray(), [[6.0, 0.0], [5.0, 3.0], [0.0, 10.0]])
    assert_array_equal(problem.summed.hess(problem.x0).toarray(), [[2.0, 1.0], [1.0, 2.0]])
    assert_array_equal(problem.summed.jac(problem.x0), [11.0, 13.0])
    assert_array_equal(problem.jac(problem.x0).toarray(), problem.jac(problem.x0).toarray())


def test_constraints_have_hessians(rng):
    """As SciPy asks them: of the constraints' weighted sum."""
    circle = nbad.kernel(lambda p, r: p[0] * p[0] + 2.0 * p[1] * p[1] - r, signature="(2),()->()")
    problem = Problem(circle, {"p": np.array([1.0, 1.0])}, {"r": np.array([1.0, 4.0])})
    bound = scipy.optimize.NonlinearConstraint(problem.fun, [0.0, -np.inf], [np.inf, 0.0], problem.jac, problem.hess)
    assert_array_equal(bound.hess(problem.x0, [2.0, 3.0]), np.diag([10.0, 20.0]))
    best = scipy.optimize.minimize(
        lambda p: p.sum(),
        problem.x0,
        jac=lambda p: np.ones(2),
        constraints=bound,
        method="trust-constr",
        hess=lambda p: np.zeros((2, 2)),
    )
    assert_allclose(best.x, [-2.0 * np.sqrt(2.0 / 3.0), -np.sqrt(2.0 / 3.0)], atol=1e-3)


# equations


def test_equations_of_all_elements_are_solved():
    f = nbad.kernel(lambda u, c: u**3 - c)
    c = np.array([8.0, 27.0, 0.125])
    problem = Problem(f, {"u": np.full(3, 2.0)}, {"c": c})
    assert_allclose(scipy.optimize.root(problem.dense.fun, problem.x0, jac=problem.dense.jac).x, np.cbrt(c), rtol=1e-12)
    found = scipy.optimize.newton(problem.fun, problem.x0, fprime=problem.fprime, fprime2=problem.fprime2)
    assert_allclose(found, np.cbrt(c), rtol=1e-12)
    one = Problem(f, {"u": 2.0}, {"c": 27.0})
    assert scipy.optimize.newton(one.fun, 2.0, one.fprime, fprime2=one.fprime2) == pytest.approx(3.0, rel=1e-12)
    with pytest.raises(TypeError, match=r"not one unknown for each element"):
        Problem(f, {"u": 2.0}, {"c": c}).fprime([2.0])


@nbad.kernel(signature="(3),(3)->(3)")
def robertson(y, k):
    a, b, c = k[0] * y[0], k[1] * y[1] * y[1], k[2] * y[1] * y[2]
    return np.array([c - a, a - b - c, b])


def test_stiff_kinetics(sweeps):
    """Robertson's reactions at t = 40: values of Hairer and Wanner, Solving Ordinary Differential Equations II."""
    start, k = np.array([1.0, 0.0, 0.0]), np.array([0.04, 3e7, 1e4])
    right = Problem(robertson, {"y": start}, {"k": k}).ode()
    done = scipy.integrate.solve_ivp(right.fun, (0.0, 40.0), right.x0, method="Radau", jac=right.jac, rtol=1e-8, atol=1e-12)
    assert_allclose(done.y[:, -1], [0.7158270688, 0.9185534765e-5, 0.2841637457], rtol=1e-6)
    assert sweeps["jacobian"] == done.njev
    many = Problem(robertson, {"y": np.tile(start, (4, 1))}, {"k": k * np.array([[1.0], [0.9], [1.1], [1.0]])}).ode()
    done = scipy.integrate.solve_ivp(many.fun, (0.0, 40.0), many.x0, method="BDF", jac=many.jac, rtol=1e-7, atol=1e-11)
    assert_allclose(done.y[[0, 9], -1], 0.7158270688, rtol=1e-5)
    assert many.jac(0.0, many.x0).nnz == 36


def test_time_may_be_an_argument():
    forced = Problem(nbad.kernel(lambda y, t, w: -y + np.cos(w * t)), {"y": np.zeros(2)}, {"w": np.array([1.0, 2.0])}).ode("t")
    assert_allclose(forced.fun(0.5, [1.0, 2.0]), [np.cos(0.5) - 1.0, np.cos(1.0) - 2.0], atol=1e-15)
    done = scipy.integrate.solve_ivp(forced.fun, (0.0, 5.0), forced.x0, method="Radau", jac=forced.jac, rtol=1e-8, atol=1e-10)
    assert done.y[0, -1] == pytest.approx((np.cos(5.0) + np.sin(5.0) - np.exp(-5.0)) / 2, abs=1e-7)


def test_many_points_at_once_are_columns():
    """As `vectorized=True` asks: solvers that make differences give them together."""
    right = Problem(nbad.kernel(lambda a, b: (-a, a - b * b)), {"a": 1.0, "b": 0.0}).ode()
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert_allclose(right.fun(0.0, x), [-x[0], x[0] - x[1] ** 2], rtol=1e-15)
    assert right.fun(0.0, x[:, :1]).shape == (2, 1)
    done = scipy.integrate.solve_ivp(right.fun, (0.0, 2.0), right.x0, method="BDF", vectorized=True, rtol=1e-8, atol=1e-10)
    assert done.y[0, -1] == pytest.approx(np.exp(-2.0), rel=1e-6)


def predator_prey(x):
    u, v = x.reshape(2, -1)
    return np.concatenate([u - u * v, u * v - v])


Pair = namedtuple("Pair", "v u")
RATES = {
    "in their order": lambda u, v: (u - u * v, u * v - v),
    "by keys": lambda u, v: {"v": u * v - v, "u": u - u * v},
    "by fields": lambda u, v: Pair(v=u * v - v, u=u - u * v),
}


@pytest.mark.parametrize("way", RATES)
@pytest.mark.parametrize("n", [1, 3])
def test_the_derivatives_of_several_unknowns_stand_where_these_do(way, n):
    """The outputs of an element stand together in `fun` of a problem, each unknown for itself in x."""
    right = Problem(nbad.kernel(RATES[way]), {"u": np.linspace(1.0, 2.0, n), "v": np.linspace(0.5, 1.0, n)}).ode()
    assert_allclose(right.fun(0.0, right.x0), predator_prey(right.x0), rtol=1e-15)
    assert_allclose(right.fun(0.0, right.x0[:, None])[:, 0], predator_prey(right.x0), rtol=1e-15)
    jac = right.jac(0.0, right.x0)
    assert_allclose(jac.toarray() if n > 1 else jac, complex_steps(predator_prey, right.x0), rtol=1e-14)


def test_derivatives_of_neighbours_stand_where_the_unknowns_do():
    ring = np.array([[0, 1], [1, 2], [2, 0]])
    f = nbad.kernel(lambda a, b: (a[1] - a[0], a[0] * b[1]), signature="(2),(2)->(),()")
    a, b = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 8.0])
    right = Problem(f, {"a": (a, ring), "b": (b, ring)}).ode()
    assert_allclose(right.fun(0.0, right.x0), [1.0, 2.0, -3.0, 5.0, 16.0, 12.0])


def test_outputs_that_are_no_derivatives_of_the_unknowns_are_refused():
    three = nbad.kernel(lambda v, s: s * np.array([v[0], v[1], s]), signature="(2),()->(3)")
    assert Problem(three, {"v": [1.0, 2.0], "s": 3.0}).ode().fun(0.0, [1.0, 2.0, 3.0]).tolist() == [3.0, 6.0, 9.0]
    says = r"outputs are not the derivatives[^$]*for each of v, s one in its shape: 4, 2 numbers[^$]*fix: return dv, ds"
    for f in (three, nbad.kernel(lambda v, s: v[0] * s, signature="(2),()->()")):
        problem = Problem(f, {"v": np.ones((2, 2)), "s": np.ones(2)})
        with pytest.raises(ValueError, match=says):
            problem.ode().fun(0.0, problem.x0)


# several outputs, shapes, what is refused


def test_outputs_of_each_element_stand_together():
    f = nbad.kernel(lambda v, s: {"a": v * s, "b": v[0] - v[1]}, signature="(2),()->(2),()")
    v, s = np.arange(1.0, 13.0).reshape(2, 3, 2), np.array([1.0, 2.0, 3.0])
    problem = Problem(f, {"s": s, "v": v})
    y = f(v, s)
    assert_array_equal(problem.fun(problem.x0), np.concatenate([y["a"], y["b"][..., None]], -1).ravel())

    def plain(x):
        s, v = x[:3], x[3:].reshape(2, 3, 2)
        return np.concatenate([v * s[:, None], v[..., :1] - v[..., 1:]], -1).ravel()

    expected = complex_steps(plain, problem.x0)
    assert_allclose(problem.jac(problem.x0).toarray(), expected)
    w = np.linspace(0.0, 1.0, 18)
    assert_allclose(problem.vjp(problem.x0, w), w @ expected, rtol=1e-14)
    assert_allclose(problem.summed.jac(problem.x0), expected.sum(0))
    assert_allclose(problem.LinearOperator(problem.x0) @ problem.x0, expected @ problem.x0)
    assert_array_equal(problem.flat(s=0.0, v=v), np.concatenate([np.zeros(3), v.ravel()]))


def test_what_a_solver_changes_is_seen():
    problem = Problem(nbad.kernel(lambda u: u * u), {"u": np.array([1.0, 2.0])})
    x = problem.x0.copy()
    before = problem.fun(x)
    x[0] = 5.0
    assert_array_equal(problem.fun(x), [25.0, 4.0])
    assert_array_equal(before, [1.0, 4.0])
    problem.fun(x)[:] = 0.0
    changed = problem.jac(x).copy()  # as of `nbad.sparse_jacobian`, structures are shared
    changed.data[:] = 0.0
    changed.eliminate_zeros()
    assert_array_equal(problem.jac(x).toarray(), np.diag([10.0, 4.0]))


def test_curves_see_where_they_are_asked_for():
    curve = Problem(nbad.kernel(lambda t, a: a * t), {"a": 2.0}).curve("t")
    t = np.array([1.0, 2.0])
    assert_array_equal(curve.fun(t, 3.0), [3.0, 6.0])
    t[:] = 5.0
    assert_array_equal(curve.fun(t, 3.0), [15.0, 15.0])
    assert_array_equal(curve.jac(t, 3.0), [[5.0], [5.0]])


WRONG = {
    "no such parameter": (lambda f: Problem(f, {"z": 1.0}), ValueError, "'z' is no parameter of"),
    "both": (lambda f: Problem(f, {"x": 1.0}, {"x": 1.0}), ValueError, r"(?s)and among the data.* once\n  fix: del data\['x'\]"),
    "static": (
        lambda f: Problem(nbad.kernel(lambda x, n: x**n, static="n"), {"n": 2}),
        ValueError,
        r"'n' is static[^$]* once\n  fix: data={'n': 1}",
    ),
    "nothing": (lambda f: Problem(f, {}), ValueError, "nothing to be found"),
    "index": (lambda f: Problem(f, {"x": (np.ones(3), np.array([3]))}), ValueError, "out of range"),
    "no index": (lambda f: Problem(f, {"x": (np.ones(3), np.array([0.5]))}), TypeError, "i is no index"),
    "size": (lambda f: Problem(f, {"x": 1.0}, {"y": 1.0}).fun([1.0, 2.0]), ValueError, "does not hold all unknowns"),
    "no kernel": (lambda f: Problem(abs, {"x": 1.0}), TypeError, r"`nbad.integrations.scipy.Problem\(f, .* is not a kernel"),
    "missing data": (
        lambda f: Problem(f, {"x": 1.0}).fun([1.0]),
        TypeError,
        r"y is neither an unknown nor(?s:.*)fix: data=\{'y'",
    ),
    "curve": (lambda f: Problem(f, {"x": 1.0}).curve("x"), ValueError, "no parameter that may be given"),
    "bounds": (lambda f: Problem(f, {"x": 1.0}).flat(y=1.0), ValueError, "a value for each unknown"),
    "hessian": (lambda f: Problem(nbad.kernel(lambda x: (x, x)), {"x": 1.0}).hess([1.0]), TraceError, "one number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name):
    call, kind, what = WRONG[name]
    with pytest.raises(kind, match=what):
        call(nbad.kernel(lambda x, y: x * y))
