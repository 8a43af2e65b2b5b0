"""A function of the user's that raises: its own exception comes out of every call that used its value, and of no other."""

import functools
import importlib.util
import math
import random
import re
import threading

import numba
import numpy as np
import pytest

import nbad
import nbad.testing
from nbad.errors import InternalError
from nbad.runtime import failures
from nbad.runtime.launch import Launch


class Negative(ValueError):
    pass


def plain_root(x):
    if x < 0.0:
        raise Negative("no root of", x)
    return math.sqrt(x)


def plain_log(x):
    if x <= 0.0:
        raise ZeroDivisionError("no logarithm")
    return math.log(x)


IS_STRICT = True


def plain_strict(x):
    if IS_STRICT and x < 0.0:
        raise Negative("compiled")
    return x


def plain_slope(x):
    if x == 0.0:
        raise Negative("no slope at", x)
    return 0.5 / math.sqrt(x)


# made once: what a module holds is what kernels see; a slope that is a function of the user's, too, is the partial of the third
root = nbad.primitive("checked_root", plain_root, ["0.5/v"])
log = nbad.primitive("checked_log", numba.njit(plain_log), ["1/x"])
slope = nbad.primitive("checked_slope", plain_slope, ["-v/(2*x)"])
steep = nbad.primitive("steep_root", lambda x: math.sqrt(x), [lambda x, v: slope(x)])


@nbad.kernel
def scaled(x, y):
    return root(x) * y


@nbad.kernel
def guarded(x, y):
    return root(x) * y if x >= 0.0 else -y


@nbad.kernel
def climbing(x, y):
    return steep(x) * y


@nbad.kernel(signature="(2)->()")
def length(r):
    return root(r[0]) + log(r[1])


X = np.array([[4.0, -1.0, 9.0], [1.0, -16.0, 2.25]])
Y = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
VERBS = {
    "value": lambda f, *xs: f(*xs),
    "vjp": lambda f, *xs: nbad.vjp(f, *xs),
    "recompute": lambda f, *xs: nbad.vjp(f, *xs, residuals="recompute")[1](1.0),
    "mincut": lambda f, *xs: nbad.vjp(f, *xs, residuals="mincut")[1](1.0),
    "blocks": lambda f, *xs: nbad.vjp(f, *xs, residuals="recompute")[1].jacobian(),
    "bounded": lambda f, *xs: nbad.vjp(f, *xs, max_bytes=1 << 20)[1](1.0),
    "batched": lambda f, *xs: nbad.vjp(f, *xs)[1].batched(np.ones((2, *np.broadcast_shapes(*map(np.shape, xs))))),
    "jacobian": lambda f, *xs: nbad.jacobian(f)(*xs),
    "forward mode": lambda f, *xs: nbad.jacobian(f, mode="forward")(*xs),
    "value and jacobian": lambda f, *xs: nbad.value_and_jacobian(f)(*xs),
    "jvp": lambda f, *xs: nbad.jvp(f, xs, (1.0,) * len(xs)),
    "linearize": lambda f, *xs: nbad.linearize(f, *xs)[1]((1.0,) * len(xs)),
    "grad": lambda f, *xs: nbad.grad(f)(*xs),
    "value and grad": lambda f, *xs: nbad.value_and_grad(f, (0, 1))(*xs),
    "hessian": lambda f, *xs: nbad.hessian(f)(*xs),
    "hvp": lambda f, *xs: nbad.hvp(f, xs, (1.0,) * len(xs)),
    "nested": lambda f, *xs: nbad.kernel(lambda x, y: f(x, y) + f(y * y, x))(*xs),
}
DERIVATIVES = {name: verb for name, verb in VERBS.items() if name not in ("value", "nested")}
by_every_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
by_every_derivative = pytest.mark.parametrize("verb", DERIVATIVES.values(), ids=DERIVATIVES)


def raises(kind, *parts):
    """An error whose message and notes say all this, in order."""
    return pytest.raises(kind, match="(?s)" + ".*".join(map(re.escape, parts)))


@pytest.fixture(autouse=True)
def nothing_printed(capfd):
    yield
    assert capfd.readouterr() == ("", "")


@by_every_verb
def test_every_verb_raises_what_the_function_raises(verb):
    for _ in range(3):  # small calls go other ways from the second on
        with raises(
            Negative,
            "('no root of', -1.0)",
            "element (0, 1), the first of 2 that failed",
            "`checked_root(-1.0)`",
            "test_failing_functions.py:",
        ):
            verb(scaled, X, Y)


@by_every_verb
def test_an_arm_that_an_element_does_not_take_raises_nothing(verb):
    for _ in range(3):
        verb(guarded, X, Y)
    np.testing.assert_array_equal(guarded(X, Y), [[2.0, -2.0, 9.0], [4.0, -5.0, 9.0]])
    np.testing.assert_allclose(nbad.jacobian(guarded)(X, Y)[0], [[[0.25, 2.0]], [[0.0, -1.0]], [[0.5, 3.0]]])


@by_every_derivative
def test_a_partial_may_fail_where_the_value_does_not(verb):
    x = np.array([4.0, 0.0, 1.0, 0.0])
    np.testing.assert_array_equal(climbing(x, 2.0), [4.0, 0.0, 2.0, 0.0])
    for _ in range(3):
        with raises(Negative, "('no slope at', 0.0)", "element (1,), the first of 2 that failed", "`checked_slope(0.0)`"):
            verb(climbing, x, x + 1.0)


OF_ZERO = {
    "vjp": lambda f, x, y: nbad.vjp(f, x, y)[1](0.0),
    "recompute": lambda f, x, y: nbad.vjp(f, x, y, residuals="recompute")[1](np.zeros_like(x)),
    "blocks": lambda f, x, y: nbad.vjp(f, x, y, residuals="recompute")[1].jacobian(),
    "linearize": lambda f, x, y: nbad.linearize(f, x, y)[1]((0.0, 0.0)),
    "jvp": lambda f, x, y: nbad.jvp(f, (x, y), (0.0, 0.0)),
    "jvp along the other": lambda f, x, y: nbad.jvp(f, (x, y), (0.0, 1.0)),
    "jvp of arrays": lambda f, x, y: nbad.jvp(f, (x, y), (np.zeros_like(x), np.ones_like(y))),
    "hvp": lambda f, x, y: nbad.hvp(f, (x, y), (0.0, 0.0)),
}


@pytest.mark.parametrize("verb", OF_ZERO.values(), ids=OF_ZERO)
@pytest.mark.parametrize("size", [1, 3000])
def test_a_partial_that_fails_raises_whatever_it_is_multiplied_by(verb, size):
    x = np.tile([4.0, 0.0], size)
    for _ in range(3):
        with raises(Negative, "('no slope at', 0.0)", f"element (1,), the first of {size} that failed", "`checked_slope(0.0)`"):
            verb(climbing, x, x + 1.0)


@pytest.mark.parametrize("verb", OF_ZERO.values(), ids=OF_ZERO)
def test_a_partial_that_is_not_asked_for_raises_nothing(verb):
    zero = np.zeros(3)
    half = nbad.kernel(lambda x, y: climbing(0.0, y) * x)
    verb(half, zero, zero)
    verb(nbad.kernel(lambda x, y: climbing(x, y) if y > 0.0 else y), zero, zero)
    np.testing.assert_array_equal(nbad.vjp(climbing, zero, zero, argnums="y")[1](0.0), [zero])


def test_the_reverse_sweep_raises_what_only_it_computes():
    x = np.linspace(0.0, 1.0, 3000).reshape(3, 1000)[::-1].copy()
    y, pullback = nbad.vjp(climbing, x, 2.0, residuals="recompute")
    np.testing.assert_array_equal(y, 2.0 * np.sqrt(x))
    for seed, call in ((1.0, pullback), (np.ones((4, 3, 1000)), pullback.batched)):
        with raises(Negative, "element (2, 0), the first of 1 that failed"):
            call(seed)
    out = np.empty_like(x), np.empty(())
    with raises(Negative):
        pullback(1.0, out=out)


def test_sums_in_slabs_name_the_element_of_the_whole():
    x, y = np.ones((40, 1, 50)), np.ones((1, 60, 1))
    x[3, 0, 2] = 0.0
    x[2, 0, 7] = 0.0
    _, pullback = nbad.vjp(climbing, x, y, residuals="recompute", max_bytes=1_950_000)
    with raises(Negative, "element (2, 0, 7), the first of 120 that failed"):
        pullback(1.0)


@pytest.mark.parametrize("bad", [(0, 0), (1, 3), (2, 6), (4, 5)])
def test_the_element_is_found_where_residuals_lie_in_lines(bad):
    def sums(x):
        return [sum(steep(v) * (k + 1.0) for k, v in enumerate(x))]

    f = nbad.kernel(sums, signature="(40)->(1)")
    x = np.linspace(1.0, 2.0, 5 * 7 * 40).reshape(5, 7, 40)
    np.testing.assert_allclose(nbad.vjp(f, x, residuals="recompute")[1](1.0)[0], np.arange(1, 41) * 0.5 / np.sqrt(x), rtol=1e-15)
    x[bad][33] = x[4, 6, 2] = 0.0
    _, pullback = nbad.vjp(f, x, residuals="recompute")
    assert len(pullback.residuals) >= 32
    with raises(Negative, f"element {bad}, the first of 2 that failed"):
        pullback(1.0)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("size", [1, 3, 255, 256, 257, 5000, 300_000])
def test_every_driver_finds_the_first_in_c_order(size, dtype):
    x = np.arange(1.0, size + 1).astype(dtype)
    for bad in ({size - 1}, {0}, {size // 2, size // 3}):
        given = x.copy()
        given[list(bad)] = -2.5
        before = given.copy()
        for y in (2.0, x, x[::-1]):
            with raises(Negative, "-2.5", f"element ({min(bad)},), the first of {len(bad)} that failed"):
                scaled(given, y)
        np.testing.assert_array_equal(given, before)
    np.testing.assert_array_equal(scaled(x, 1.0), np.sqrt(x.astype(float)).astype(dtype))


def test_broadcast_shapes():
    column, row = np.array([[1.0], [-4.0], [-9.0]]), np.arange(4.0)
    with raises(Negative, "element (1, 0), the first of 8 that failed"):
        scaled(column, row)
    with raises(Negative, "element (0, 0), the first of 5000 that failed"):
        scaled(-1.0, np.ones((50, 100)))  # computed once for all
    with raises(Negative, "element (0, 0), the first of 5000 that failed"):
        nbad.jacobian(scaled, 1)(np.float64(-1.0), np.ones((50, 100)))
    with raises(Negative, "element (0, 1), the first of 2"):
        scaled(np.asfortranarray(X), Y[:, ::-1])
    assert scaled(np.empty((0, 3)), -1.0).shape == (0, 3)


@by_every_verb
def test_one_element(verb):
    for x in (-4.0, np.float64(-4.0), np.array(-4.0), -4):
        with raises(Negative, "-4.0", "the only element"):
            verb(scaled, x, 1.0)


def test_several_functions_in_one_kernel():
    r = np.array([[1.0, 1.0], [1.0, 0.0], [-2.0, 0.0], [-3.0, 1.0]])
    with raises(ZeroDivisionError, "no logarithm", "element (1,), the first of 3 that failed", "`checked_log(0.0)`"):
        length(r)
    with raises(Negative, "-2.0", "element (0,), the first of 2 that failed"):  # both fail: the first that the kernel calls
        nbad.vjp(length, r[2:])


def test_conditions_end_where_python_ends_them():
    @nbad.kernel
    def inside(x):
        return 1.0 if x > 0.0 and root(x) > 1.0 else 0.0

    @nbad.kernel
    def outside(x):
        if x < 0.0 or root(x) < 1.0:
            return 5.0 * x
        return x

    @nbad.kernel
    def unguarded(x):
        return 1.0 if root(x) > 1.0 and x > 0.0 else 0.0

    x = np.array([-1.0, 4.0, 0.25])
    np.testing.assert_array_equal(inside(x), [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(outside(x), [-5.0, 4.0, 1.25])
    np.testing.assert_array_equal(nbad.grad(outside)(x), [5.0, 1.0, 5.0])
    with raises(Negative):
        unguarded(x)


def test_nested_branches_in_every_policy():
    @nbad.kernel
    def nested(x, y):
        if x > 0.0:
            z = log(y) if y > 1.0 else root(-y)
        else:
            z = root(y) * steep(y) if y > 0.0 else x
        return z * x

    x, y = (a.ravel() for a in np.meshgrid([-2.0, 3.0], [-4.0, 0.0, 4.0]))
    expected = [nested.__wrapped__(*element) for element in zip(x, y, strict=True)]
    np.testing.assert_allclose(nested(x, y), expected, rtol=1e-15)
    for policy in ("partials", "mincut", "recompute"):
        cts = nbad.vjp(nested, x, y, residuals=policy)[1](1.0)
        np.testing.assert_allclose(cts[0][[0, 4, 5]], [-4.0, 4.0, math.log(4.0)])
        np.testing.assert_allclose(cts[1][[0, 4, 5]], [0.0, -2.0, 0.75])
    with raises(Negative, "element (1,), the first of 1"):
        nested(np.array([-2.0, 3.0]), np.array([4.0, 0.5]))


class Programs:
    """Random expressions in x and y, in which functions that may raise stand under conditions of all kinds."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, depth):
        kind = self.random.choice(["leaf", "root", "log", "sum", "choice", "choice"]) if depth else "leaf"
        if kind == "leaf":
            return f"({self.random.choice('xy')} + {self.random.uniform(-1, 1):.3f})"
        if kind == "choice":
            return f"({self.value(depth - 1)} if {self.condition(depth - 1)} else {self.value(depth - 1)})"
        if kind == "sum":
            return f"({self.value(depth - 1)} - {self.value(depth - 1)})"
        return f"{kind}({self.value(depth - 1)})"

    def condition(self, depth):
        kind = self.random.choice(["<", ">", "and", "or", "not"]) if depth else "<"
        if kind == "not":
            return f"(not {self.condition(depth - 1)})"
        part = self.condition if kind in ("and", "or") else self.value
        return f"({part(max(depth - 1, 0))} {kind} {part(max(depth - 1, 0))})"


def outcome(function, *operands):
    try:
        return function(*operands), None
    except (Negative, ZeroDivisionError) as error:
        return math.nan, (type(error), error.args)


@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_random_programs_raise_where_python_does(tmp_path, rng, count):
    programs = Programs(5)
    texts = [programs.value(5) for _ in range(count)]
    path = tmp_path / "programs.py"
    path.write_text("\n".join(f"def f{k}(x, y):\n    return {text} + 0.0 * x\n" for k, text in enumerate(texts)))
    spec = importlib.util.spec_from_file_location("programs", path)
    module = importlib.util.module_from_spec(spec)
    module.root, module.log = root, log
    spec.loader.exec_module(module)
    x, y = rng.normal(size=(2, 60))
    failed = 0
    for k in range(len(texts)):
        function = getattr(module, f"f{k}")
        values, errors = zip(*(outcome(function, *element) for element in zip(x, y, strict=True)), strict=True)
        bad = [k for k, error in enumerate(errors) if error]
        f = nbad.kernel(function)
        good = np.array([k for k in range(60) if k not in bad], int)
        np.testing.assert_allclose(f(x[good], y[good]), np.array(values)[good], rtol=1e-13, atol=1e-15)
        nbad.vjp(f, x[good], y[good], residuals="recompute")[1](1.0)
        if bad:
            kind, args = errors[bad[0]]
            for call in (f, nbad.jacobian(f), functools.partial(nbad.vjp, f)):
                with raises(kind, str(args[0]), f"element ({bad[0]},), the first of {len(bad)} that failed"):
                    call(x, y)
        failed += bool(bad)
    assert 4 * failed > count


def test_constant_operands_fail_for_those_who_take_them():
    @nbad.kernel
    def inner(x):
        return root(x)

    for call in (root, inner):
        f = nbad.kernel(lambda x, call=call: call(-1.0) if x > 0.0 else x)
        assert f(-3.0) == -3.0
        with raises(Negative, "element (1,), the first of 2 that failed"):
            f(np.array([-1.0, 2.0, 3.0]))


def test_calls_of_the_function_itself():
    with raises(Negative, "('no root of', -4.0)", "`checked_root(-4.0)`", "the only element", "test_failing_functions.py:"):
        root(-4.0)
    with raises(Negative, "('no root of', -1.0)", "element (0, 1), the first of 2 that failed"):
        root(X)
    np.testing.assert_array_equal(root(np.abs(X)), np.sqrt(np.abs(X)))


def test_results_from_before_are_kept_and_calls_go_on():
    before = scaled(np.abs(X), Y)
    kept, pullback = before.copy(), nbad.vjp(scaled, np.abs(X), Y)[1]
    given, out = X.copy(), np.empty_like(X)
    with raises(Negative):
        scaled(given, Y, out=out)
    np.testing.assert_array_equal(given, X)
    np.testing.assert_array_equal(before, kept)
    np.testing.assert_array_equal(scaled(np.abs(X), Y, out=out), kept)
    np.testing.assert_array_equal(pullback(1.0)[1], np.sqrt(np.abs(X)))


def test_nan_is_no_error():
    assert np.isnan(scaled(np.nan, 1.0))
    odd = nbad.primitive("odd", lambda x: math.log(x), ["1/x"])  # Python raises, compiled code has nan
    f = nbad.kernel(lambda x: odd(x) + root(x + 2.0))
    np.testing.assert_array_equal(np.isnan(f(np.array([-1.0, 1.0]))), [True, False])
    with raises(Negative, "element (2,), the first of 1"):
        f(np.array([-1.0, 1.0, -3.0]))


def test_what_fails_in_compiled_code_only_is_our_error(monkeypatch):
    strict = nbad.primitive("strict", plain_strict, ["1"])
    f = nbad.kernel(lambda x: strict(x))
    with raises(Negative, "compiled"):
        f(-1.0)
    monkeypatch.setitem(globals(), "IS_STRICT", False)  # compiled code has read it once
    with raises(InternalError, "element (1,), the first of 2 that failed, by `strict(-1.0)`"):
        f(np.array([1.0, -1.0, -1.0]))
    with raises(InternalError, "`strict(-1.0)`: raised at the only element"):
        strict(-1.0)


def test_what_always_raises():
    def always(x):
        raise Negative("never")

    never = nbad.primitive("never", always, ["1"])
    f = nbad.kernel(lambda x: never(x) if x > 0.0 else x)
    assert f(-1.0) == -1.0
    with raises(Negative, "never"):
        f(1.0)


def test_debugging_raises_the_same():
    with nbad.debugging():
        for verb in VERBS.values():
            with raises(Negative):
                verb(scaled, X, Y)
        guarded(X, Y)


def test_the_harness_passes_guarded_functions():
    assert nbad.testing.check_kernel(guarded, X.ravel(), Y.ravel()).entries


def test_threads_do_not_hear_of_each_other():
    x, y = np.linspace(1.0, 2.0, 1000), np.linspace(-1.0, 1.0, 1000)
    expected, faults = scaled(x, 3.0), []

    def good():
        for _ in range(100):
            if not np.array_equal(scaled(x, 3.0), expected) or not np.isfinite(nbad.grad(guarded)(y + 2e-3, 1.0)).all():
                faults.append("good")

    def bad():
        for _ in range(100):
            try:
                scaled(y, 3.0)
                faults.append("silent")
            except Negative as error:
                if "element (0,), the first of 500 that failed" not in error.__notes__[0]:
                    faults.append(error.__notes__[0])

    threads = [threading.Thread(target=run) for run in (good, bad) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_messages_made_of_operands():
    @numba.njit
    def told(x):
        if x < 0.0:
            raise ValueError(x)
        return x

    operation = nbad.primitive("told", told, ["1"])
    f = nbad.kernel(lambda x: operation(x))
    with raises(ValueError, "-2.5", "the only element, by `told(-2.5)`"):
        f(-2.5)


def test_kernels_without_such_functions_are_not_watched():
    plain = nbad.kernel(lambda x, y: np.exp(x) * y)
    before = failures.noted.value
    nbad.vjp(plain, X, Y)[1](1.0)
    program, _ = plain.bind((X, Y), {})
    assert failures.noted.value == before
    made = [station for layout in program.layouts.known.values() for station in layout.remember.known.values()]
    assert [type(station.sweep._fresh) for station in made if hasattr(station, "sweep")] == [Launch]


@pytest.mark.slow
def test_without_a_compiler(run_python):
    code = """
import math, numpy as np, nbad
def plain(x):
    if x < 0.0:
        raise KeyError(x)
    return math.sqrt(x)
f = nbad.kernel(lambda x, root=nbad.primitive("root", plain, ["0.5/v"]): root(x))
for call in (f, nbad.jacobian(f), lambda x: nbad.vjp(f, x)):
    try:
        call(np.array([1.0, -2.0, -3.0]))
    except KeyError as error:
        print(error.args, "element (1,), the first of 2 that failed" in error.__notes__[0])
"""
    assert run_python(code, NUMBA_DISABLE_JIT="1") == 3 * "(-2.0,) True\n"


def test_a_choice_within_a_branch_is_asked_for_where_the_branch_is_taken():
    """The sweep forwards came to the choice first, and its operand counted as used by every element."""

    @nbad.kernel
    def least(x, y):
        return max(root(x), y) if x >= 0.0 else y * x

    x, y = np.array([16.0, -2.0]), np.array([1.0, -3.0])
    assert nbad.jvp(least, (x, y), (1.0, 1.0))[1].tolist() == [0.125, -5.0]
    assert nbad.jacobian(least, mode="forward")(x, y)[:, 0].tolist() == [[0.125, 0.0], [-3.0, -2.0]]
