"""Planted faults in the transforms beside the pullback: modes, tangents, orders, policies, accumulation, chunking."""

import math

import numpy as np
import pytest
from helpers.planted_faults import Faulty, X, Y, caught, changed, polar, reads_input_late, run

import nbad
from nbad.verbs import gradients, jacobians
from nbad.verbs import pushforward as linearization
from nbad.verbs import vjp as transforms


@nbad.kernel
def wave(x, y):
    return math.exp(-x) * math.sin(x * y) + y**3


ONE_NUMBER = dict(f=wave, xs=(X, Y))


# modes


@pytest.mark.parametrize("wrong", ["forward", "reverse"])
def test_a_mode_that_differs_is_caught(monkeypatch, wrong):
    real = jacobians.jacobian

    def jacobian(f, argnums=None, mode="auto"):
        return lambda *xs: real(f, argnums, mode)(*xs) * (1 + 1e-12 * (mode == wrong))

    assert run("modes") > 0
    monkeypatch.setattr(jacobians, "jacobian", jacobian)
    assert caught("modes").what == f"jacobian in {wrong} mode"


# tangents


class FaultyPushforward:
    """A pushforward that does its work rightly, and then spoils one tangent or many."""

    def __init__(self, real, one, many):
        self.real, self.one, self.many = real, one, many

    def __call__(self, tangents):
        return self.one(self.real(tangents))

    def batched(self, tangents):
        return self.many(self.real.batched(tangents))


def right(dots):
    return dots


def negative(dots):
    return tuple(-dot for dot in dots)


def first_tangent_for_all(dots):
    return changed(dots, lambda dot: np.repeat(dot[:1], len(dot), axis=0))


def rounded(dots):
    return changed(dots, lambda dot: np.nextafter(dot, 9.0))


@pytest.mark.parametrize(
    ("one", "many", "what"),
    [
        (negative, negative, "tangent 0 of output 0"),
        (right, first_tangent_for_all, "tangent 1 of 3, output 0"),
        (right, rounded, "tangent 0 of 3, output 0"),
        (rounded, right, "tangent 0 of 3, output 0"),
    ],
)
def test_a_wrong_pushforward_is_caught(monkeypatch, one, many, what):
    real = linearization.linearize

    def linearize(f, *xs, **options):
        y, pushforward = real(f, *xs, **options)
        return y, FaultyPushforward(pushforward, one, many)

    assert run("tangents") > 0
    monkeypatch.setattr(linearization, "linearize", linearize)
    assert caught("tangents").what == what


def test_a_linearize_whose_value_differs_is_caught(monkeypatch):
    real = linearization.linearize

    def linearize(f, *xs, **options):
        y, pushforward = real(f, *xs, **options)
        return rounded(y), pushforward

    monkeypatch.setattr(linearization, "linearize", linearize)
    assert caught("tangents").what == "value of linearize, output 0"


def test_a_jvp_that_swaps_its_tangents_is_caught(monkeypatch):
    real = linearization.jvp
    monkeypatch.setattr(linearization, "jvp", lambda f, primals, tangents: real(f, primals, tangents[::-1]))
    assert caught("tangents").what == "jvp of output 0"


# orders


@pytest.mark.parametrize("spoil", [lambda dots: (dots[1], dots[0]), lambda dots: changed(dots, lambda a: a * (1 + 1e-11))])
def test_a_wrong_hvp_is_caught(monkeypatch, spoil):
    real = gradients.hvp
    assert run("second_order", **ONE_NUMBER) > 0
    monkeypatch.setattr(gradients, "hvp", lambda *args: spoil(real(*args)))
    assert caught("second_order", **ONE_NUMBER).what == "hvp by `x`"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda y, partials: (np.nextafter(y, 9.0), partials), "value of value_and_grad, output 0"),
        (lambda y, partials: (y, partials[::-1]), "partial by `x` of value_and_grad"),
    ],
)
def test_a_wrong_value_and_grad_is_caught(monkeypatch, spoil, what):
    real = gradients.value_and_grad
    monkeypatch.setattr(gradients, "value_and_grad", lambda *setup: lambda *xs: spoil(*real(*setup)(*xs)))
    assert caught("second_order", **ONE_NUMBER).what == what


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("case", [ONE_NUMBER, dict(f=polar, xs=(X, Y))], ids=["one number", "two outputs"])
def test_a_wrong_derivative_of_any_order_is_caught(monkeypatch, order, case):
    real = gradients.grad

    def grad(f, argnums=0):
        """Of this order only, off by a little; a derivative that starts from it is off too, and agrees with it."""
        derivative = real(f, argnums)
        if derivative.__name__.count("_grad") != order:
            return derivative
        return nbad.kernel(lambda t, z, v, w: derivative(t, z, v, w) * (1 + 1e-9), signature=derivative.signature)

    assert run("third_order", **case) > 0
    monkeypatch.setattr(gradients, "grad", grad)
    assert caught("third_order", **case).what == f"derivative {order} along a line from element 0"


def test_third_order_says_why_it_does_not_apply(monkeypatch):
    counted = nbad.kernel(lambda x, n: x**3 * n)
    entries = {entry.check: entry for entry in nbad.testing.check_kernel(counted, X, np.arange(40)).entries}
    assert entries["third_order"].notes == ("an integer argument does not vary along a line",)
    monkeypatch.setattr("nbad.testing.orders.LARGEST", 2)
    entries = {entry.check: entry for entry in nbad.testing.check_kernel(polar, X, Y).entries}
    assert entries["third_order"].notes == ("the kernel has more than 2 operations",)


# policies


def plant_where(monkeypatch, option, chosen, spoil, kind=Faulty):
    """Spoil the pullbacks of those calls of `vjp` whose option is chosen."""
    real = transforms.vjp

    def vjp(f, *xs, **options):
        y, pullback = real(f, *xs, **options)
        return y, kind(pullback, xs, spoil) if chosen(options.get(option)) else pullback

    monkeypatch.setattr(transforms, "vjp", vjp)


@pytest.mark.parametrize("policy", ["partials", "mincut", "recompute", ("∂y0/∂r", "∂y1/∂r")], ids=str)
def test_a_policy_that_reads_the_inputs_late_is_caught(monkeypatch, policy):
    class Late(Faulty):
        def __init__(self, *given):
            super().__init__(*given)
            self.state["x"] = np.copy(self.xs[0])

    assert run("residual_policies") > 0
    plant_where(monkeypatch, "residuals", lambda chosen: chosen == policy, reads_input_late, Late)
    assert caught("residual_policies").what == f"policy {policy!r}, cotangent of `r`"


# accumulation


class FaultyMemory(Faulty):
    """A pullback that fills `out=` wrongly: `spoil` gets the real call, the seeds, `out`, and whether to add."""

    def __call__(self, ct, out=None, accumulate=False):
        return self.real(ct) if out is None else self.spoil(self, self.real, ct, out, accumulate)

    def batched(self, cts, out=None, accumulate=False):
        return self.real.batched(cts) if out is None else self.spoil(self, self.real.batched, cts, out, accumulate)


def overwrites(pullback, call, ct, out, accumulate):
    return call(ct, out=out)


def adds_twice(pullback, call, ct, out, accumulate):
    for _ in range(1 + accumulate):
        call(ct, out=out, accumulate=accumulate)
    return out


def always_adds(pullback, call, ct, out, accumulate):
    return call(ct, out=out, accumulate=True)


def leaves_out_alone(pullback, call, ct, out, accumulate):
    return call(ct)


def returns_a_copy(pullback, call, ct, out, accumulate):
    call(ct, out=out, accumulate=accumulate)
    return tuple(np.zeros_like(a) for a in out)


def forgets_shared_arguments(pullback, call, ct, out, accumulate):
    kept = [a.copy() for a in out]
    call(ct, out=out, accumulate=accumulate)
    for a, before in zip(out, kept, strict=True):
        if accumulate and a.shape[-1] == 1:
            a[...] = before
    return out


def adds_one_seed_of_a_batch(pullback, call, ct, out, accumulate):
    kept = out[0].copy()
    call(ct, out=out, accumulate=accumulate)
    if accumulate and np.ndim(out[0]) == 2:
        out[0][1:] = kept[1:]
    return out


@pytest.mark.parametrize(
    "spoil",
    [overwrites, adds_twice, always_adds, leaves_out_alone, returns_a_copy, forgets_shared_arguments, adds_one_seed_of_a_batch],
)
def test_wrong_accumulation_is_caught(monkeypatch, spoil):
    assert run("accumulation") > 0
    plant_where(monkeypatch, "max_bytes", lambda bound: bound is None, spoil, FaultyMemory)
    assert caught("accumulation").check == "accumulation"


def test_accumulating_that_stays_in_the_pullback_is_caught(monkeypatch):
    class Remembers(FaultyMemory):
        def __call__(self, ct, out=None, accumulate=False):
            self.state["added"] = self.state.get("added", 0) + accumulate
            cts = self.real(ct, out=out, accumulate=accumulate)
            return cts if out is not None else changed(cts, lambda a: a + self.state["added"])

    plant_where(monkeypatch, "max_bytes", lambda bound: bound is None, None, Remembers)
    assert "after accumulating, cotangent 0" in caught("accumulation").what


@pytest.mark.parametrize(("part", "what"), [(0, "out= of value_and_jacobian, 0"), (1, "out= of value_and_jacobian, 2")])
def test_an_out_of_value_and_jacobian_that_stays_empty_is_caught(monkeypatch, part, what):
    real = jacobians.value_and_jacobian

    def both(*setup):
        def compute(*xs, out=None):
            result = real(*setup)(*xs)
            if out is None:
                return result
            for k, (a, b) in enumerate(zip((*out[0], out[1]), (*result[0], result[1]), strict=True)):
                a[...] = np.nan if k == 2 * part else b
            return out

        return compute

    monkeypatch.setattr(jacobians, "value_and_jacobian", both)
    assert caught("accumulation").what == what


# chunking


def loses_the_last_index(pullback, cts, ct):
    cts[0].reshape(-1)[-1] = 0.0
    return cts


def sums_in_another_order(pullback, cts, ct):
    return changed(cts, lambda a: np.nextafter(a, 9.0))


class FaultyChunks(FaultyMemory):
    """A pullback under a bound that spoils results and what it adds."""

    def __call__(self, ct, out=None, accumulate=False):
        return self.spoil(self, self.real(ct, out=out, accumulate=accumulate), ct)

    def batched(self, cts, out=None, accumulate=False):
        return self.spoil(self, self.real.batched(cts, out=out, accumulate=accumulate), cts)


class AddsPerChunk(FaultyMemory):
    """A pullback that adds each of two chunks to the whole."""

    def batched(self, cts, out=None, accumulate=False):
        for _ in range(1 + accumulate):
            result = self.real.batched(cts, out=out, accumulate=accumulate)
        return result


@pytest.mark.parametrize(
    ("spoil", "kind", "what"),
    [
        (loses_the_last_index, FaultyChunks, "one seed under a bound, cotangent 0"),
        (sums_in_another_order, FaultyChunks, "one seed under a bound, cotangent 0"),
        (
            lambda pullback, cts, ct: loses_the_last_index(pullback, cts, ct) if cts[0].ndim == 3 else cts,
            FaultyChunks,
            "many seeds under a bound, cotangent 0",
        ),
        (None, AddsPerChunk, "accumulated under a bound, cotangent 0"),
    ],
)
def test_wrong_chunks_are_caught(monkeypatch, spoil, kind, what):
    assert run("chunking") > 0
    plant_where(monkeypatch, "max_bytes", lambda bound: bound is not None, spoil, kind)
    assert caught("chunking").what == what


def test_a_value_that_depends_on_the_bound_is_caught(monkeypatch):
    real = transforms.vjp

    def vjp(f, *xs, max_bytes=None, **options):
        y, pullback = real(f, *xs, max_bytes=max_bytes, **options)
        return y if max_bytes is None else rounded(y), pullback

    monkeypatch.setattr(transforms, "vjp", vjp)
    assert caught("chunking").what == "output under a bound, 0"
