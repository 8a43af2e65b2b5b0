"""The tester of the harness: right kernels pass, and every planted fault is caught, by the check that should."""

import math

import numba
import numpy as np
import pytest

import nbad
from nbad import differentiate, transforms
from nbad.decorate import Kernel
from nbad.graph import GraphBuilder
from nbad.harness import case as case_module
from nbad.harness import checks
from nbad.harness.case import ELEMENTS, Case
from nbad.harness.comparisons import Inapplicable, compare
from nbad.testing import CHECKS, CheckFailure, Report, check_kernel

X = np.linspace(0.3, 1.7, 40)
Y = np.linspace(-1.0, 1.0, 40)


@nbad.kernel
def polar(r, phi):
    return r * math.cos(phi), r * math.sin(phi)


@nbad.kernel
def decay(x, rate):
    return math.exp(-rate * x)


@nbad.kernel
def copy(x):
    return x


@nbad.kernel
def scaled(x, count, factor=3.0):
    return (factor * count * x**3,)


@nbad.kernel
def branches(x):
    return np.where(x > 1.0, np.sqrt(x - 1.0), 0.0)


# right kernels


@pytest.mark.parametrize(
    ("f", "xs"),
    [(polar, (X, Y)), (decay, (X, 0.7)), (copy, (X,)), (scaled, (X, np.arange(40))), (branches, (X,)), (copy, (2,)),
     (decay, (X[:, None], Y[:30].astype(np.float32)))],
    ids=["two outputs", "broadcast parameter", "copy", "integer argument", "branches", "one element", "two shapes"],
)
def test_right_kernels_pass(f, xs):
    report = check_kernel(f, *xs)
    assert isinstance(report, Report)
    assert [entry.check for entry in report.entries] == [check.__name__ for check in CHECKS]
    assert all(entry.compared or entry.notes for entry in report.entries)


def test_gallery_kernel_passes(gallery):
    module = gallery["arc_distance"]
    report = check_kernel(module.arc_distance, *module.sample_inputs(np.random.default_rng(0), 100, np.float64))
    assert sum(entry.compared for entry in report.entries) > 100_000


def test_report_says_what_was_compared_and_what_did_not_apply():
    report = check_kernel(scaled, X, np.arange(40))
    text = str(report)
    assert text.startswith("scaled: all checks passed; numbers compared:\n  value ")
    assert "single_precision                 0  not applicable: an integer argument makes every computation float64" in text
    assert len(text.splitlines()) == 1 + len(CHECKS)


def test_more_elements_than_needed_are_taken_from_the_front():
    x = np.arange(3000.0)
    np.testing.assert_array_equal(Case.of(copy, (x,)).columns[0], x[:ELEMENTS])


def test_samples_keep_arguments_together():
    columns = Case.of(decay, (X, 2 * X)).columns
    np.testing.assert_array_equal(columns[1], 2 * columns[0])


# planted faults: each a context in which nbad is wrong in one way


class Faulty:
    """A pullback that does its work rightly, and then `spoil`s it; `state` lives as long as the pullback does."""

    def __init__(self, real, xs, spoil):
        self.real, self.xs, self.spoil, self.state = real, xs, spoil, {}

    def __call__(self, ct):
        return self.spoil(self, self.real(ct), ct)

    def batched(self, cts):
        return self.real.batched(cts)


def plant(monkeypatch, spoil, kind=Faulty):
    real = transforms.vjp

    def vjp(f, *xs, **options):
        y, pullback = real(f, *xs, **options)
        return y, kind(pullback, xs, spoil)

    monkeypatch.setattr(transforms, "vjp", vjp)


def changed(cts, function):
    """Cotangents with the first one changed."""
    return (function(cts[0]), *cts[1:])


def accumulates(pullback, cts, ct):
    total = pullback.state.get("total", 0.0)
    pullback.state["total"] = total + cts[0]
    return changed(cts, lambda a: total + a)


def writes_input(pullback, cts, ct):
    x = pullback.xs[0]
    if x.ndim and x.flags.writeable:
        x[...] = 0.0
    return cts


def writes_seed(pullback, cts, ct):
    seed = ct[0] if isinstance(ct, tuple) else ct
    if np.ndim(seed) and seed.flags.writeable:
        seed *= 2.0
    return cts


def returns_one_buffer(pullback, cts, ct):
    buffer = pullback.state.setdefault("buffer", np.empty_like(cts[0]))
    buffer[...] = cts[0]
    return buffer, *cts[1:]


def returns_its_residual(pullback, cts, ct):
    return pullback.state.setdefault("first", cts)


def reads_input_late(pullback, cts, ct):
    """As a pullback that kept a reference to its input instead of a copy."""
    x = pullback.xs[0]
    if "x" not in pullback.state:
        pullback.state["x"] = np.copy(x)
    return changed(cts, lambda a: a + (x - pullback.state["x"]))


def depends_on_threads(pullback, cts, ct):
    many = np.size(cts[0]) > 50_000 and numba.get_num_threads() > 1
    return changed(cts, lambda a: np.nextafter(a, math.inf) if many else a)


def sums_by_threads(pullback, cts, ct):
    odd = np.ndim(cts[0]) == 1 and np.size(cts[0]) == 1 and numba.get_num_threads() > 1 and np.size(pullback.xs[1]) > 50_000
    return changed(cts, lambda a: np.nextafter(a, math.inf) if odd else a)


def wrong_at_tile_boundary(pullback, cts, ct):
    if np.ndim(cts[0]) == 1 and cts[0].size > 256:
        cts[0][256] = np.nextafter(cts[0][256], math.inf)
    return cts


def wrong_in_the_tail(pullback, cts, ct):
    if np.ndim(cts[0]) == 1 and cts[0].size % 8:
        cts[0][-1] = np.nextafter(cts[0][-1], math.inf)
    return cts


def shape_of_elements(pullback):
    return np.broadcast_shapes(*map(np.shape, pullback.xs))


def averages_instead_of_sum(pullback, cts, ct):
    count = math.prod(shape_of_elements(pullback)) / max(1, np.size(cts[0]))
    return changed(cts, lambda a: a / max(count, 1))


def sums_the_wrong_axes(pullback, cts, ct):
    return changed(cts, lambda a: a[::-1] if np.shape(a) != shape_of_elements(pullback) and np.ndim(a) else a)


def nan_for_zero_seed(pullback, cts, ct):
    seed = ct[0] if isinstance(ct, tuple) else ct
    return changed(cts, lambda a: np.where(np.equal(seed, 0.0) & np.equal(a, 0.0), np.nan, a))


def loses_float32(pullback, cts, ct):
    return changed(cts, lambda a: a.astype(np.float16).astype(np.float32) if a.dtype == np.float32 else a)


def widens_float32(pullback, cts, ct):
    return changed(cts, lambda a: a.astype(np.float64))


def wrong_partial(pullback, cts, ct):
    return changed(cts, lambda a: a * (1 + 1e-12))


def forgets_an_output(pullback, cts, ct):
    return pullback.real((ct[0], 0.0))


def swaps_arguments(pullback, cts, ct):
    return (cts[1], cts[0]) if np.shape(cts[0]) == np.shape(cts[1]) else cts


def ignores_strides(pullback, cts, ct):
    seed = ct[0] if isinstance(ct, tuple) else ct
    if np.ndim(seed) != 2 or seed.flags.c_contiguous:
        return cts
    flat = np.lib.stride_tricks.as_strided(seed, (seed.size,), (seed.itemsize if min(seed.strides) > 0 else -seed.itemsize,))
    return pullback.real((flat.reshape(seed.shape), *ct[1:]))


def mistakes_empty_sums(pullback, cts, ct):
    return changed(cts, lambda a: a + math.nan if 0 in shape_of_elements(pullback) and np.size(a) else a)


SPOILS = {
    wrong_partial: "cotangents",
    forgets_an_output: "cotangents",
    swaps_arguments: "cotangents",
    accumulates: "repeatable",
    writes_input: "repeatable",
    writes_seed: "repeatable",
    returns_one_buffer: "repeatable",
    returns_its_residual: "repeatable",
    reads_input_late: "repeatable",
    depends_on_threads: "threads",
    sums_by_threads: "threads",
    wrong_at_tile_boundary: "tiles",
    wrong_in_the_tail: "tiles",
    averages_instead_of_sum: "broadcasting",
    sums_the_wrong_axes: "broadcasting",
    nan_for_zero_seed: "zero_seed",
    loses_float32: "single_precision",
    widens_float32: "single_precision",
    ignores_strides: "layouts",
    mistakes_empty_sums: "sizes",
}


def run(name, f=polar, xs=(X, Y)):
    """One check alone."""
    check = next(check for check in CHECKS if check.__name__ == name)
    findings = check(Case.of(f, xs))
    return sum(compare(f.__name__, name, finding) for finding in findings if not isinstance(finding, Inapplicable))


def caught(name, **case):
    """The failure that the check finds; the whole harness must fail too."""
    with pytest.raises(CheckFailure, match=f"{name} fails: ") as failure:
        run(name, **case)
    with pytest.raises(AssertionError, match="fails: "):
        check_kernel(case.get("f", polar), *case.get("xs", (X, Y)))
    return failure.value


@pytest.mark.parametrize(("spoil", "check"), SPOILS.items(), ids=lambda p: getattr(p, "__name__", None))
def test_spoiled_pullbacks_are_caught(monkeypatch, spoil, check):
    assert run(check) > 0
    plant(monkeypatch, spoil)
    assert caught(check).check == check


def test_the_seed_failure_is_caught_on_the_identity(monkeypatch):
    """1, 3, 6."""
    plant(monkeypatch, accumulates)
    assert "second call, cotangent" in caught("repeatable", f=copy, xs=(X,)).what


class SpoiledBatch(Faulty):
    """A pullback whose batch is wrong."""

    def __call__(self, ct):
        return self.real(ct)

    def batched(self, cts):
        return self.spoil(self, self.real.batched(cts), cts)


def repeats_the_first_seed(pullback, cts, ct):
    return changed(cts, lambda a: np.repeat(a[:1], len(a), axis=0) if len(a) else a)


def stops_after_four_seeds(pullback, cts, ct):
    cts[0][4:] = 0.0
    return cts


def rounds_in_a_batch(pullback, cts, ct):
    return changed(cts, lambda a: np.nextafter(a, 0.0) if len(a) > 1 else a)


def drops_the_axis_of_one_seed(pullback, cts, ct):
    return changed(cts, lambda a: a[0] if len(a) == 1 else a)


def no_seed_is_one_seed(pullback, cts, ct):
    return changed(cts, lambda a: a if len(a) else np.zeros((1, *a.shape[1:])))


@pytest.mark.parametrize(
    "spoil", [repeats_the_first_seed, stops_after_four_seeds, rounds_in_a_batch, drops_the_axis_of_one_seed, no_seed_is_one_seed]
)
def test_spoiled_batches_are_caught(monkeypatch, spoil):
    plant(monkeypatch, spoil, SpoiledBatch)
    assert caught("batched_equals_loop").check == "batched_equals_loop"


def test_sums_that_depend_on_the_batch_are_caught(monkeypatch):
    def spoil(pullback, cts, ct):
        return changed(cts, lambda a: np.nextafter(a, 0.0) if a.shape[1:] != shape_of_elements(pullback) else a)

    plant(monkeypatch, spoil, SpoiledBatch)
    assert "seed 1 of 2" in caught("broadcasting").what


def test_pullbacks_that_share_state_are_caught(monkeypatch):
    """Every pullback answers with the residuals of the latest one."""
    latest, real = [], transforms.vjp

    def vjp(f, *xs, **options):
        y, pullback = real(f, *xs, **options)
        latest[:] = [pullback]
        return y, lambda ct: latest[0](ct)

    assert run("interleaved") > 0
    monkeypatch.setattr(transforms, "vjp", vjp)
    assert caught("interleaved").what.startswith("pullback 0")


def test_a_wrong_residual_policy_is_caught(monkeypatch):
    real = transforms.vjp

    def vjp(f, *xs, residuals="auto", **options):
        y, pullback = real(f, *xs, **options)
        return y, (lambda ct: changed(pullback(ct), lambda a: a * 1.001)) if residuals == "recompute" else pullback

    monkeypatch.setattr(checks.partition, "POLICIES", ("partials", "recompute"))
    monkeypatch.setattr(transforms, "vjp", vjp)
    assert "policy 'recompute'" in caught("residual_policies").what


def replace(monkeypatch, name, spoil):
    """Change what a verb returns."""
    real = getattr(transforms, name)
    monkeypatch.setattr(transforms, name, lambda *args, **options: spoil(real(*args, **options)))


def test_a_wrong_value_is_caught(monkeypatch):
    real = Kernel.__call__
    monkeypatch.setattr(Kernel, "__call__", lambda *args, **options: tuple(y * (1 + 4e-15) for y in real(*args, **options)))
    failure = caught("value")
    assert failure.what == "output 0"
    assert failure.index == (0,)


def test_a_value_that_depends_on_the_call_is_caught(monkeypatch):
    replace(monkeypatch, "vjp", lambda result: (tuple(np.nextafter(y, 9.0) for y in result[0]), result[1]))
    assert caught("one_value").what == "vjp, output 0"


@pytest.mark.parametrize("spoil", [lambda d: d * (1 + 1e-12), lambda d: d.swapaxes(-1, -2), lambda d: d[..., ::-1]])
def test_a_wrong_jacobian_is_caught(monkeypatch, spoil):
    real = transforms.jacobian
    monkeypatch.setattr(transforms, "jacobian", lambda *setup: lambda *xs: spoil(real(*setup)(*xs)))
    assert caught("partials").what == "jacobian"


def test_a_wrong_value_and_jacobian_is_caught(monkeypatch):
    real = transforms.value_and_jacobian

    def both(*setup):
        def compute(*xs):
            y, jacobian = real(*setup)(*xs)
            return y, jacobian * (1 + 1e-12)

        return compute

    monkeypatch.setattr(transforms, "value_and_jacobian", both)
    assert caught("partials").what == "value_and_jacobian"


def test_a_jvp_of_wrong_sign_is_caught(monkeypatch):
    replace(monkeypatch, "jvp", lambda result: (result[0], tuple(-t for t in result[1])))
    assert caught("dot_product").what == "<J v, w>"


def test_a_jvp_whose_value_differs_is_caught(monkeypatch):
    replace(monkeypatch, "jvp", lambda result: (tuple(np.nextafter(y, 9.0) for y in result[0]), result[1]))
    assert "value of jvp" in caught("dot_product").what


def scaled_joint(factor, of=differentiate.jacobian):
    """A differentiation whose every partial is off by `factor`."""
    def jacobian(graph, wrt, mode="reverse"):
        joint = of(graph, wrt, mode)
        builder = GraphBuilder.extending(joint.graph)
        wrong = [builder.add("mul", k, builder.constant(factor)) for k in joint.graph.outputs[joint.n_outputs :]]
        outputs = (*joint.graph.outputs[: joint.n_outputs], *wrong)
        return differentiate.JointGraph(builder.build(outputs), joint.n_outputs, joint.positions)

    return jacobian


def test_a_wrong_symbolic_derivative_is_caught_by_sixty_digits(monkeypatch):
    """Kernel and interpreter agree on a wrong derivative: only the oracle without symbolic derivatives can tell."""
    real, factor = transforms.value_and_jacobian, 1 + 1e-12

    def both(*setup):
        return lambda *xs: tuple(a * s for a, s in zip(real(*setup)(*xs), (1.0, factor), strict=True))

    single = nbad.kernel(lambda x: math.sin(x) * x)
    monkeypatch.setattr(case_module, "joint_graph", scaled_joint(factor))
    monkeypatch.setattr(transforms, "value_and_jacobian", both)
    monkeypatch.setattr(transforms, "jacobian", lambda *setup: lambda *xs: both(*setup)(*xs)[1])
    assert caught("partials", f=single, xs=(X,)).what == "jacobian of element 0 in 60 digits"


def test_a_wrong_second_derivative_is_caught(monkeypatch):
    assert run("second_order") > 0
    monkeypatch.setattr(checks, "joint_graph", scaled_joint(1 + 1e-12))
    assert caught("second_order").what == "second partials of element 0"


def test_a_graph_that_is_not_the_function_is_caught(monkeypatch):
    """The traced graph and the kernel agree on a wrong value: only the undecorated function can tell."""
    real = checks.undecorated
    monkeypatch.setattr(checks, "undecorated", lambda function, columns: real(lambda *xs: function(*xs)[::-1], columns))
    assert caught("value").what == "output 0, undecorated,"


# the failure


def test_failure_names_check_place_and_values(monkeypatch):
    plant(monkeypatch, lambda pullback, cts, ct: changed(cts, lambda a: a + 1.0))
    text = r"`check_kernel\(polar, \.\.\.\)`: cotangents fails: cotangent of `r` at element \(0,\)"
    with pytest.raises(CheckFailure, match=text) as failure:
        check_kernel(polar, X, Y)
    error = failure.value
    assert isinstance(error, nbad.NbadError)
    assert isinstance(error, AssertionError)
    assert (error.check, error.index) == ("cotangents", (0,))
    assert f"got: {error.got}" in str(error)
    assert "within" in error.expected
