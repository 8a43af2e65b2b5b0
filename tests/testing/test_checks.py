"""The tester of the harness: right kernels pass, and every planted fault is caught, by the check that should."""

import math

import numpy as np
import pytest
from helpers.planted_faults import (
    BATCH_SPOILS,
    SPOILS,
    SpoiledBatch,
    X,
    Y,
    accumulates,
    caught,
    changed,
    plant,
    polar,
    run,
    shape_of_elements,
)

import nbad
from kernels import copy, decay
from nbad.api.kernel import Kernel
from nbad.derivatives import differentiate
from nbad.graphs.graph import GraphBuilder
from nbad.testing import CHECKS, CheckFailure, Report, check_kernel, checks, orders
from nbad.testing import case as case_module
from nbad.testing.case import ELEMENTS, Case
from nbad.verbs import gradients, jacobians
from nbad.verbs import pushforward as linearization
from nbad.verbs import vjp as transforms


@nbad.kernel
def scaled(x, count, factor=3.0):
    return (factor * count * x**3,)


@nbad.kernel
def branches(x):
    return np.where(x > 1.0, np.sqrt(x - 1.0), 0.0)


# right kernels


@pytest.mark.parametrize(
    ("f", "xs"),
    [
        (polar, (X, Y)),
        (decay, (X, 0.7)),
        (copy, (X,)),
        (scaled, (X, np.arange(40))),
        (branches, (X,)),
        (copy, (2,)),
        (decay, (X[:, None], Y[:30].astype(np.float32))),
    ],
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


@nbad.kernel(signature="(3),(2,2),()->(2),()", static="twice")
def turned(a, m, twice, s=2.0):
    return m @ a[:2] * s, np.linalg.norm(a) * m[0, 1] * (2 if twice else 1)


def test_roundings_of_large_numbers_pass():
    """A step of differences there is one over many jumps."""
    assert check_kernel(nbad.kernel(lambda x: math.floor(x) * x), np.logspace(20, 60, 41)).entries[0].compared > 0


def test_kernels_without_anything_to_differentiate_or_to_tell_apart_pass():
    assert check_kernel(nbad.kernel(lambda n: n * 2.0), np.arange(10)).entries[0].compared > 0
    assert check_kernel(nbad.kernel(lambda x: 3.0), X).entries[0].compared > 0
    assert check_kernel(nbad.kernel(lambda x, y: x * x), X, Y).entries[0].compared > 0


@pytest.mark.parametrize("f", [lambda x, y: max(x, y), lambda x, y: abs(x - y) * x, lambda x, y: np.sign(x - y) + y**3])
def test_kinks_and_jumps_at_every_element_pass(f):
    """A derivative that jumps has slopes that grow as the step shrinks: differences say nothing there."""
    assert check_kernel(nbad.kernel(f), X, X).entries[0].compared > 0


@pytest.mark.parametrize(("f", "xs"), [(copy, (X[:0],)), (decay, (X[:0, None], Y))])
def test_nothing_to_check_on_is_said(f, xs):
    with pytest.raises(ValueError, match=r"there is no element to check on\n[\s\S]*expected: a few dozen elements that vary"):
        check_kernel(f, *xs)


VECTORS = np.random.default_rng(5).normal(size=(30, 3)), np.random.default_rng(6).normal(size=(30, 2, 2))


def test_vector_and_static_arguments_pass():
    report = check_kernel(turned, *VECTORS, True, X[:30])
    assert [entry.check for entry in report.entries] == [check.__name__ for check in CHECKS]
    assert check_kernel(turned, VECTORS[0], VECTORS[1][:1], False).entries[0].compared > 3 * ELEMENTS
    assert check_kernel(nbad.grad(nbad.kernel(lambda a: (a**2).sum() * a[0], signature="(3)->()")), VECTORS[0]).entries


# planted faults: each a context in which nbad is wrong in one way


@pytest.mark.parametrize(("spoil", "check"), SPOILS.items(), ids=lambda p: getattr(p, "__name__", None))
def test_spoiled_pullbacks_are_caught(monkeypatch, spoil, check):
    assert run(check) > 0
    plant(monkeypatch, spoil)
    assert caught(check).check == check


def swaps_components(pullback, cts, ct):
    return changed(cts, lambda a: a[..., ::-1])


def transposes_matrices(pullback, cts, ct):
    return cts[0], np.swapaxes(cts[1], -1, -2)


def forgets_a_component(pullback, cts, ct):
    return changed(cts, lambda a: a * np.array([1.0, 1.0, 0.0]))


@pytest.mark.parametrize("spoil", [swaps_components, transposes_matrices, forgets_a_component])
def test_spoiled_pullbacks_of_vectors_are_caught(monkeypatch, spoil):
    case = dict(f=turned.fixed({"twice": False}), xs=VECTORS)
    assert run("cotangents", **case) > 0
    plant(monkeypatch, spoil)
    assert caught("cotangents", **case).check == "cotangents"


def test_the_seed_failure_is_caught_on_the_identity(monkeypatch):
    """1, 3, 6."""
    plant(monkeypatch, accumulates)
    assert "second call, cotangent" in caught("repeatable", f=copy, xs=(X,)).what


@pytest.mark.parametrize("spoil", BATCH_SPOILS)
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
    home = linearization if name == "jvp" else transforms
    real = getattr(home, name)
    monkeypatch.setattr(home, name, lambda *args, **options: spoil(real(*args, **options)))


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
    real = jacobians.jacobian
    monkeypatch.setattr(jacobians, "jacobian", lambda *setup: lambda *xs: spoil(real(*setup)(*xs)))
    assert caught("partials").what == "jacobian"


def test_a_wrong_value_and_jacobian_is_caught(monkeypatch):
    real = jacobians.value_and_jacobian

    def both(*setup):
        def compute(*xs):
            y, jacobian = real(*setup)(*xs)
            return y, jacobian * (1 + 1e-12)

        return compute

    monkeypatch.setattr(jacobians, "value_and_jacobian", both)
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
    real, factor = jacobians.value_and_jacobian, 1 + 1e-12

    def both(*setup):
        return lambda *xs: tuple(a * s for a, s in zip(real(*setup)(*xs), (1.0, factor), strict=True))

    single = nbad.kernel(lambda x: math.sin(x) * x)
    monkeypatch.setattr(case_module, "joint_graph", scaled_joint(factor))
    monkeypatch.setattr(jacobians, "value_and_jacobian", both)
    monkeypatch.setattr(jacobians, "jacobian", lambda *setup: lambda *xs: both(*setup)(*xs)[1])
    assert caught("partials", f=single, xs=(X,)).what == "jacobian of element 0 in 60 digits"


def test_a_wrong_second_derivative_is_caught(monkeypatch):
    assert run("second_order") > 0
    monkeypatch.setattr(orders, "joint_graph", scaled_joint(1 + 1e-12))
    assert caught("second_order").what == "second partials of element 0"


def test_a_wrong_hessian_is_caught(monkeypatch):
    real = gradients.hessian
    monkeypatch.setattr(gradients, "hessian", lambda *setup: lambda *xs: real(*setup)(*xs) * (1 + 1e-12))
    assert caught("second_order", f=decay).what == "hessian"


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
