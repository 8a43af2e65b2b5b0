"""Tracebacks of users' errors: they show the users' frames only, and a switch shows all."""

import math
import threading
import traceback

import numpy as np
import pytest

import nbad
from nbad import lines
from nbad.errors import InternalError, NbadError, cut, leaving
from nbad.lines import PACKAGE

X = np.array([1.0, 2.0])


@nbad.kernel
def wave(a, x):
    return a * math.sin(x)


@nbad.kernel
def refused(x):
    return helper(x) + 1.0


def helper(x):
    return x.nothing


Y, PULLBACK = nbad.vjp(wave, X, X)
PUSHFORWARD = nbad.linearize(wave, X, X)[1]
TREE = nbad.vjp(nbad.kernel(lambda p: p["a"] * p["b"]), {"a": X, "b": X})[1]
CALLS = {
    "call": lambda: wave(X, np.ones(3)),
    "too many": lambda: wave(X, X, X),
    "out": lambda: wave(X, X, out=np.ones(5)),
    "vjp": lambda: nbad.vjp(wave, X, X, argnums="b"),
    "vjp of nothing": lambda: nbad.vjp(math.sin, X),
    "jvp": lambda: nbad.jvp(wave, (X, X), (X,)),
    "linearize": lambda: nbad.linearize(wave, X, np.ones(3)),
    "pushforward": lambda: PUSHFORWARD((X,)),
    "pushforward.batched": lambda: PUSHFORWARD.batched((X, X)),
    "hvp": lambda: nbad.hvp(wave, (X, np.ones(3)), (X, X)),
    "pullback": lambda: PULLBACK(np.ones(3)),
    "pullback.batched": lambda: PULLBACK.batched(1.0),
    "pullback.jacobian": lambda: PULLBACK.jacobian(np.ones(3)),
    "pullback of a dict": lambda: TREE(np.ones(3)),
    "pullback.batched of a dict": lambda: TREE.batched(1.0),
    "jacobian": lambda: nbad.jacobian(wave, mode="up"),
    "jacobian()": lambda: nbad.jacobian(wave)(X, np.ones(3)),
    "sparsity": lambda: nbad.jacobian(wave).sparsity(X),
    "value_and_jacobian": lambda: nbad.value_and_jacobian(wave)(X, np.ones(3)),
    "sparse_jacobian": lambda: nbad.sparse_jacobian(wave)(X, np.ones(3)),
    "hessian": lambda: nbad.hessian(wave)(X, np.ones(3)),
    "value_and_grad": lambda: nbad.value_and_grad(wave)(X, np.ones(3)),
    "grad": lambda: nbad.grad(wave, "b"),
    "bind": lambda: nbad.bind(wave, X, np.ones(3))(),
    "kernel": lambda: nbad.kernel(wave.py_func, math="fast"),
    "unknown option": lambda: nbad.kernel(wave.py_func, speed=3),
    "explain": lambda: nbad.explain(wave, X),
    "profile": lambda: nbad.profile(wave, X),
    "show": lambda: nbad.show(wave, "all"),
    "precompile": lambda: wave.precompile("int8"),
    "inspect_llvm": lambda: wave.inspect_llvm((3,)),
    "outer": lambda: refused.outer(X, X),
    "sympy": lambda: wave.sympy(1.0),
    "latex": lambda: refused.latex(),
    "check_kernel": lambda: nbad.testing.check_kernel(wave, X),
    "residuals": lambda: nbad.vjp(wave, X, X, residuals=("b",)),
}


def frames(error):
    """The files and functions that a traceback shows."""
    return [(frame.f_code.co_filename, frame.f_code.co_name) for frame, _ in traceback.walk_tb(error.__traceback__)]


def raised(call):
    with pytest.raises(NbadError, match=r"\w") as caught:
        call()
    return caught.value


@pytest.mark.parametrize("name", CALLS)
def test_no_frame_of_nbads_is_shown(name):
    error = raised(CALLS[name])
    assert not [file for file, _ in frames(error) if file.startswith(PACKAGE)]
    assert frames(error)[-1] in ((__file__, "<lambda>"), (__file__, "helper"))


def test_the_users_frames_in_a_kernel_are_shown():
    error = raised(lambda: refused(1.0))
    assert [name for _, name in frames(error)[1:]] == ["<lambda>", "refused", "helper"]
    text = "".join(traceback.format_exception(error))
    assert "    return x.nothing\n" in text
    assert PACKAGE not in text


def test_the_switch_shows_all(monkeypatch):
    monkeypatch.setenv("NBAD_FRAMES", "1")
    assert [file for file, _ in frames(raised(lambda: refused(1.0))) if file.startswith(PACKAGE)]


def test_in_threads():
    found = []

    def run():
        try:
            wave(X, np.ones(3))
        except NbadError as error:
            found.append(frames(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [[(__file__, "run")]]


@nbad.kernel
def root(x):
    if x < 0.0:
        raise OverflowError("too small")
    return math.sqrt(x)


@nbad.kernel
def misspelled(x):
    return mtah.sin(x)  # noqa: F821


@pytest.mark.parametrize(("kernel", "says"), [(root, "too small"), (misspelled, "name 'mtah' is not defined")])
def test_errors_of_the_users_own_show_no_frames_of_nbads_either(kernel, says):
    for call in (kernel, lambda *xs: nbad.vjp(kernel, *xs), nbad.jacobian(kernel), nbad.value_and_grad(kernel)):
        with pytest.raises((OverflowError, NameError), match=says) as caught:
            call(np.array([1.0, -1.0]))
        assert {file for file, _ in frames(caught.value)} == {__file__}
        assert frames(caught.value)[-1][1] == kernel.__name__


def test_what_nbads_code_raises_by_mistake_keeps_all():
    with pytest.raises(AttributeError, match="has no attribute") as caught:
        leaving(lines.parts_of)(3)
    assert frames(caught.value)[-1][0].startswith(PACKAGE)


def test_errors_that_were_raised_from_others():
    def run():
        try:
            wave(X, np.ones(3))
        except ValueError as error:
            raise RuntimeError("mine") from error

    with pytest.raises(RuntimeError, match="mine") as caught:
        run()
    assert frames(caught.value.__cause__) == [(__file__, "run")]


def test_bugs_of_ours_keep_all():
    def broken():
        raise InternalError("broken")

    with pytest.raises(InternalError, match="broken") as caught:
        leaving(broken)()
    assert [name for _, name in frames(caught.value)[-2:]] == ["call", "broken"]


def test_a_circle_of_causes_ends():
    first, second = ValueError("1"), NbadError("2")
    first.__cause__, second.__cause__ = second, first
    cut(second)
    assert second.__cause__ is first


def test_what_is_caught_within_is_as_it_was():
    """The traceback of another error that was being handled stays the user's."""

    def run():
        try:
            raise KeyError("mine")
        except KeyError:
            wave(X, np.ones(3))

    error = raised(run)
    assert isinstance(error.__context__, KeyError)
    assert frames(error.__context__) == [(__file__, "run")]
