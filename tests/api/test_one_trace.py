"""A kernel has one meaning: whatever is derived from it starts from the trace that it keeps for these arguments and statics."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

import nbad

HERE = globals()
ROOT = 3.0
FACTOR, TABLE, LIST = 2, np.array([5.0]), [0.0, 7.0]


def scale(x, n=2):
    return FACTOR * x**n + TABLE[0] * x + LIST[1]


def f_and_state():
    """A kernel, and what it captures: 2 x**2 + 5 x + 7."""
    HERE["FACTOR"], HERE["TABLE"], HERE["LIST"] = 2, np.array([5.0]), [0.0, 7.0]
    return nbad.kernel(scale, static="n")


def change():
    HERE["FACTOR"] = 3
    HERE["TABLE"][0] = 1.0
    HERE["LIST"][1] = 1.0


def inside(f, x):
    return nbad.kernel(lambda x: f(x) * 1.0)(x)


USES = {
    "call": (lambda f: f(ROOT), 40.0),
    "vjp": (lambda f: nbad.vjp(f, ROOT)[1](1.0)[0], 17.0),
    "jvp": (lambda f: nbad.jvp(f, (ROOT,), (1.0,))[1], 17.0),
    "linearize": (lambda f: nbad.linearize(f, ROOT)[1]((1.0,)), 17.0),
    "jacobian": (lambda f: nbad.jacobian(f)(ROOT).item(), 17.0),
    "value_and_jacobian": (lambda f: nbad.value_and_jacobian(f)(ROOT)[0], 40.0),
    "grad": (lambda f: nbad.grad(f)(ROOT), 17.0),
    "grad as it is written": (lambda f: nbad.grad(f).__wrapped__(ROOT), 17.0),
    "value_and_grad": (lambda f: nbad.value_and_grad(f)(ROOT), (40.0, 17.0)),
    "hessian": (lambda f: nbad.hessian(f)(ROOT).item(), 4.0),
    "hvp": (lambda f: nbad.hvp(f, (ROOT,), (1.0,))[0], 4.0),
    "second grad": (lambda f: nbad.grad(nbad.grad(f))(ROOT), 4.0),
    "sympy": (lambda f: float(f.sympy().subs("x", ROOT)), 40.0),
    "sympy of grad": (lambda f: float(nbad.grad(f).sympy().subs("x", ROOT)), 17.0),
    "kernel in kernel": (lambda f: inside(f, ROOT), 40.0),
    "grad in kernel": (lambda f: inside(nbad.grad(f), ROOT), 17.0),
    "with its static argument": (lambda f: f(ROOT, n=2), 40.0),
    "grad with its static argument": (lambda f: nbad.grad(f)(ROOT, 2), 17.0),
    "fixed": (lambda f: f.fixed({"n": 2})(ROOT), 40.0),
}


@pytest.mark.parametrize(("first", "second"), [*pairwise([*USES, "call"]), *(("call", use) for use in USES)])
def test_every_use_has_the_meaning_of_the_first(first, second):
    f = f_and_state()
    assert USES[first][0](f) == USES[first][1]
    change()
    assert USES[second][0](f) == USES[second][1]
    assert nbad.grad(nbad.kernel(scale))(ROOT) == 19.0  # another kernel of the same function reads anew


def test_each_combination_of_arguments_and_statics_is_read_at_its_first_trace():
    f = f_and_state()
    assert f(ROOT) == 40.0
    change()
    assert (f(ROOT, 3), nbad.grad(f)(ROOT, 3)) == (85.0, 82.0)
    assert (f(ROOT), nbad.grad(f)(ROOT)) == (40.0, 17.0)


def test_mutable_defaults_are_read_once():
    weights = [1.0, 2.0]

    def powers(x, weights=weights):
        return weights[0] * x + weights[1] * x * x

    f = nbad.kernel(powers, static="weights")
    assert f(ROOT) == 21.0
    weights[0] = 100.0
    assert (f(ROOT), nbad.grad(f)(ROOT), nbad.hessian(f)(ROOT).item()) == (21.0, 13.0, 4.0)


def test_a_function_is_run_once_for_all_that_is_made_of_it():
    runs = []

    @nbad.kernel
    def f(x, y):
        runs.append(1)
        return x * y

    nbad.grad(f, ("x", "y"))(2.0, 3.0), f(2.0, 3.0), nbad.hessian(f)(2.0, 3.0), inside(lambda x: f(x, x), 2.0)
    assert len(runs) == 1


def one_of_two():
    """Kernels that call one another, down to n = 0."""
    f = nbad.kernel(lambda x, n: x if n == 0 else x + g(x, n - 1), static="n")
    g = nbad.kernel(lambda x, n: x if n == 0 else x * f(x, n - 1), static="n")
    return f, g


def test_two_threads_that_trace_kernels_which_call_one_another():
    for _ in range(20):
        f, g = one_of_two()
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.submit(f, 2.0, 9), pool.submit(g, 2.0, 9)
            assert first.result(60) - 2.0 == g(2.0, 8)
            assert second.result(60) / 2.0 == f(2.0, 8)
        assert nbad.grad(f)(2.0, 1) == 2.0


@nbad.kernel(static="n")
def module_level(x, n=2):
    return x**n


def test_derived_kernels_still_travel():
    assert pickle.loads(pickle.dumps(nbad.grad(module_level)))(3.0) == 6.0
