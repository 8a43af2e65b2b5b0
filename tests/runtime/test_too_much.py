"""Asking for more memory than there is: refused with the number of bytes and what to do, before anything is allocated."""

import math

import numpy as np
import pytest

import nbad
from kernels import polynomials
from nbad.runtime import memory as room

N = 10_000
X = np.ones(N)


@nbad.kernel
def wave(a, x):
    return a * math.sin(x)


@pytest.fixture(autouse=True)
def new_kernel(monkeypatch):
    """Whatever test came before: a second call of few elements asks nobody."""
    monkeypatch.setitem(globals(), "wave", nbad.kernel(wave.__wrapped__))


@pytest.fixture
def memory(monkeypatch):
    """A machine with so many bytes, and no way to allocate any."""

    def machine(size):
        monkeypatch.setattr(room, "POOL", room.Pool(0))  # what waits would do, of other tests too
        monkeypatch.setattr(room, "CAREFUL", 1000)
        monkeypatch.setattr(room, "available", lambda: size)
        monkeypatch.setattr(room, "empty", None)

    return machine


WHOLE = {  # what a call needs in all, in bytes of float64 for each element
    "value": (lambda: wave(X, X), 1),
    "jvp": (lambda: nbad.jvp(wave, (X, X), (1.0, 1.0)), 1),
    "linearize": (lambda: nbad.linearize(wave, X, X), 3),
    "jacobian": (lambda: nbad.jacobian(wave)(X, X), 2),
    "hessian": (lambda: nbad.hessian(wave)(X, X), 4),
    "grad": (lambda: nbad.grad(wave)(X, X), 1),
    "value_and_grad": (lambda: nbad.value_and_grad(wave, (0, 1))(X, X), 3),
    "hvp": (lambda: nbad.hvp(wave, (X, X), (1.0, 1.0)), 2),
}


@pytest.mark.parametrize(("call", "values"), WHOLE.values(), ids=WHOLE)
def test_every_transform_refuses(memory, call, values):
    memory(50_000)
    text = rf"needs {8 * values * N:,}\d* bytes|needs [\d,]+ bytes"
    with pytest.raises(MemoryError, match=text + r"[\s\S]*got: 50,000 bytes available\n  expected: less than that\n  fix: "):
        call()


def test_vjp_counts_residuals_and_value(memory):
    memory(200_000)
    with pytest.raises(MemoryError, match=r"`wave\(a, x\)` needs 24\d,\d{3} bytes[\s\S]*fix: a part of the arguments at a time"):
        nbad.vjp(wave, X, X)


def test_vjp_names_the_bound_that_makes_auto_keep_less(memory, monkeypatch):
    with monkeypatch.context():
        memory(700_000)
        with pytest.raises(MemoryError, match=r"needs 971,904 bytes[\s\S]*fix: max_bytes=220000"):
            nbad.vjp(polynomials, X, seeds=1000)
    monkeypatch.undo()
    _, pullback = nbad.vjp(polynomials, X, seeds=1000, max_bytes=220_000)
    assert pullback.residuals.nbytes == 80_000
    assert np.all(pullback((1.0, 0.0, 0.0, 0.0, 0.0, 0.0))[0] > 0)


def test_a_fixed_policy_cannot_keep_less(memory):
    memory(700_000)
    with pytest.raises(MemoryError, match=r"needs 971,904 bytes[\s\S]*fix: a part of the arguments at a time"):
        nbad.vjp(polynomials, X, residuals="partials")


def test_many_tangents_and_many_seeds(memory):
    _, pushforward = nbad.linearize(wave, X, X)
    _, pullback = nbad.vjp(wave, X, X)
    lots = np.broadcast_to(1.0, (100, N))
    memory(1_000_000)
    with pytest.raises(MemoryError, match=r"`pushforward` needs 8,000,000 bytes[\s\S]*fix: a part of the tangents at a time"):
        pushforward.batched((lots, 0.0))
    with pytest.raises(MemoryError, match=r"`pullback` needs 16,000,000 bytes[\s\S]*fix: pullback.batched"):
        pullback.batched(lots)


def test_a_bound_may_be_any_integer():
    xs = np.ones((20, 30)), np.ones(30)
    expected = nbad.vjp(wave, *xs)[1](1.0)
    found = nbad.vjp(wave, *xs, max_bytes=np.int64(1 << 20))[1](1.0)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_bound_that_an_error_names_is_accepted():
    xs = np.ones((20, 30)), np.ones(30)
    with pytest.raises(ValueError, match="too small for the residuals and sums over broadcast axes") as refused:
        nbad.vjp(wave, *xs, max_bytes=100)
    least = int(str(refused.value).rpartition("fix: max_bytes=")[2])
    _, pullback = nbad.vjp(wave, *xs, max_bytes=least)
    np.testing.assert_allclose(pullback(1.0)[1], 20 * math.cos(1.0), rtol=1e-14)
    with pytest.raises(ValueError, match=f"expected: at least {least:,} bytes"):
        nbad.vjp(wave, *xs, max_bytes=least - 1)
    with pytest.raises(ValueError, match=r"max_bytes=100 is too small for the residuals\n"):
        nbad.vjp(wave, X, X, max_bytes=100)
