"""Arguments as functions take them: settings beside numbers, `**kwargs`, partial functions, methods and objects."""

import dataclasses
import enum
import functools
import math
import types

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.errors import TraceError
from nbad.testing import check_kernel

X, Y = np.linspace(0.5, 2.0, 7), np.linspace(1.0, 3.0, 7)


class Phase(enum.Enum):
    LIQUID = 1
    GAS = 2


class Order(enum.IntEnum):
    FIRST = 1
    SECOND = 2


@dataclasses.dataclass
class Gas:
    mass: float
    name: str = "air"
    limits: tuple = (0.0, 10.0)

    def density(self, p, t):
        return p * self.mass / t


@dataclasses.dataclass(frozen=True)
class Mixture:
    first: Gas
    share: float = 0.5


class Scaled:
    """A callable object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x * x


def by_name(x, y=2.0, method="sum", *, phase=Phase.LIQUID):
    if phase is Phase.GAS:
        x = x / 2
    return {"sum": x + y, "product": x * y}[method]


def optional(x, y=None, z=3.0):
    return x * z if y is None else x * y * z


def of_order(x, order):
    return x if order is Order.FIRST else x * x


def of_gas(x, gas, y):
    return gas.density(x, y) if isinstance(gas, Gas) else x * gas.first.mass * gas.share + y


def applied(function, x):
    return function(x) * 2.0


SETTINGS = {
    "text": (by_name, (X, Y, "product"), {}),
    "text by keyword": (by_name, (X,), {"method": "product"}),
    "enum member": (by_name, (X, Y), {"phase": Phase.GAS, "method": "sum"}),
    "None": (optional, (X, None), {}),
    "None and a number": (optional, (X, None, Y), {}),
    "no None": (optional, (X, Y, Y), {}),
    "member of whole numbers": (of_order, (X, Order.SECOND), {}),
    "the other member": (of_order, (X, Order.FIRST), {}),
    "dataclass": (of_gas, (X, Gas(3.0), Y), {}),
    "library function": (applied, (np.sin, X), {}),
    "function": (applied, (lambda v: v**3, X), {}),
    "partial function": (applied, (functools.partial(math.pow, 2.0), X), {}),
    "method": (applied, (functools.partial(Gas(2.0).density, t=3.0), X), {}),
    "callable object": (applied, (Scaled(2.0), X), {}),
    "kernel": (applied, (nbad.kernel(lambda v: v**3), X), {}),
}


def plain(function, args, kwargs):
    """The function element by element."""
    arrays = [a for a in args if isinstance(a, np.ndarray)]
    points = zip(*arrays, strict=True)
    return np.array([function(*_at(args, iter(point)), **kwargs) for point in points])


def _at(args, values):
    return [next(values) if isinstance(a, np.ndarray) else a for a in args]


@pytest.mark.parametrize(("function", "args", "kwargs"), SETTINGS.values(), ids=SETTINGS)
def test_what_is_no_number_is_static_by_itself(function, args, kwargs):
    f, count = nbad.kernel(function), sum(isinstance(a, np.ndarray) for a in args)
    expected = plain(function, args, kwargs)
    tangents = tuple(np.ones(7) if isinstance(a, np.ndarray) else None for a in args)
    for _ in range(3):
        assert_allclose(f(*args, **kwargs), expected, rtol=1e-15)
        y, pullback = nbad.vjp(f, *args, **kwargs)
        assert_allclose(y, expected, rtol=1e-15)
        cts = pullback(1.0)
        assert len(cts) == count
        blocks = nbad.jacobian(f)(*args, **kwargs)
        assert blocks.shape == (7, 1, count)
        assert_allclose(np.stack(cts, -1), blocks[:, 0], rtol=1e-14)
        assert_allclose(nbad.jvp(f, args, tangents, **kwargs)[1], blocks.sum((1, 2)), rtol=1e-14)
    step = [1e-6 * (isinstance(a, np.ndarray)) for a in args]
    ahead, behind = ([a + s * h if h else a for a, h in zip(args, step, strict=True)] for s in (1, -1))
    slope = (plain(function, ahead, kwargs) - plain(function, behind, kwargs)) / 2e-6
    assert_allclose(blocks.sum((1, 2)), slope, rtol=1e-7)
    which = next(k for k, a in enumerate(args) if isinstance(a, np.ndarray))
    assert_allclose(nbad.grad(f, which)(*args, **kwargs), blocks[:, 0, 0], rtol=1e-14)


def test_one_kernel_takes_numbers_and_settings_in_turn():
    """A short cut for the one must not serve the other."""
    f = nbad.kernel(optional)
    for _ in range(4):
        assert_array_equal(f(X, Y, Y), X * Y * Y)
        assert_array_equal(f(X, None, Y), X * Y)
        assert_array_equal(f(X, Y), X * Y * 3.0)
        assert_array_equal(f(X, None), X * 3.0)
        assert_array_equal(f(X), X * 3.0)
        assert nbad.jacobian(f)(X, None, Y).shape == (7, 1, 2)
        assert nbad.jacobian(f)(X, Y, Y).shape == (7, 1, 3)
        assert f(2.0, None, 4.0) == 8.0
        assert f(2.0, 3.0, 4.0) == 24.0


def test_flags_are_numbers_and_not_asked_by_identity():
    """Python's bools are numbers, as its whole numbers are: a kernel is traced once for all of them."""
    f = nbad.kernel(lambda x, full=False: 2.0 * x if full else x)
    assert_array_equal(f(X, True), 2.0 * X)
    assert_array_equal(f(X, full=False), X)
    by_value = nbad.kernel(lambda x, full: 2.0 * x if full == True else x)  # noqa: E712
    assert_array_equal(by_value(X, True), 2.0 * X)
    for function in (lambda x, full: 2.0 * x if full is True else x, lambda x, full: x if full is not False else -x):
        with pytest.raises(TraceError, match=r"asks by `is` for what depends on a traced value[\s\S]*fix: a == b"):
            nbad.kernel(function)(X, True)
        fixed = nbad.kernel(function, static="full")
        assert_array_equal(fixed(X, True), function(X, True))
        assert_array_equal(fixed(X, False), function(X, False))


def test_settings_inside_other_kernels():
    inner, mixed = nbad.kernel(by_name), nbad.kernel(of_gas)

    @nbad.kernel
    def outer(x, y, which="product"):
        return inner(x, y, which, phase=Phase.GAS) + mixed(x, Gas(2.0, "steam"), y)

    assert_allclose(outer(X, Y), X * Y / 2 + X * 2.0 / Y, rtol=1e-15)
    assert_allclose(outer(X, Y, "sum"), X / 2 + Y + X * 2.0 / Y, rtol=1e-15)


def test_settings_of_a_kernel_with_core_shapes():
    @nbad.kernel(signature="(3),(3),()->()")
    def weighted(v, w, how="mean"):
        total = np.sum(v if w is None else v * w)
        return total / 3.0 if how == "mean" else total

    v = np.arange(6.0).reshape(2, 3)
    assert_allclose(weighted(v, None), v.mean(1), rtol=1e-15)
    assert_allclose(weighted(v, v, "sum"), (v * v).sum(1), rtol=1e-15)
    assert_allclose(nbad.jacobian(weighted)(v, None, "sum"), np.ones((2, 1, 3)), rtol=1e-15)


def test_a_setting_is_no_argument_to_differentiate_by():
    f = nbad.kernel(by_name)
    with pytest.raises(
        ValueError, match=r"argnums='method' does not select[\s\S]*got: method, which the call does not pass as a number"
    ):
        nbad.vjp(f, X, Y, "sum", argnums="method")
    with pytest.raises(TypeError, match=r"method has no derivative, so its tangent must be 0"):
        nbad.jvp(f, (X, Y, "sum"), (1.0, 1.0, 1.0))


def test_where_a_number_was_meant_the_error_says_so():
    f = nbad.kernel(lambda x, y: np.sin(x) * y)
    for value, text in ((None, "holds Python objects"), ("2.0", "holds text"), (math.sin, "holds Python objects")):
        for args in ((X, value), (value, X), (value, value)):
            with pytest.raises(TypeError, match=rf"^`<lambda>\(x, y\)`: [xy] {text}"):
                f(*args)

    def strict(x, mode):
        raise TypeError("mode must be one of 'a' and 'b'")

    with pytest.raises(TypeError, match=r"^mode must be one of 'a' and 'b'$"):
        nbad.kernel(strict)(X, "c")


def test_dataclasses_are_told_apart_by_their_contents():
    f, gas = nbad.kernel(of_gas), Gas(2.0)
    assert_allclose(f(X, gas, Y), X * 2.0 / Y, rtol=1e-15)
    gas.mass = 3.0
    assert_allclose(f(X, gas, Y), X * 3.0 / Y, rtol=1e-15)
    assert_allclose(f(X, Mixture(gas), Y), X * 1.5 + Y, rtol=1e-15)
    gas.mass = 4.0
    assert_allclose(f(X, Mixture(gas, 0.25), Y), X + Y, rtol=1e-15)
    assert_allclose(nbad.grad(f)(X, Mixture(gas, 0.25), Y), np.ones(7))


# **kwargs


def with_options(x, y=1.0, **options):
    if options.get("flip"):
        x = -x
    names = "".join(options)
    return (x + y) * options.get("scale", 1.0) + len(names)


OPTIONS = {
    "none": {},
    "numbers and flags": {"scale": 2.0, "flip": True},
    "in the other order": {"flip": True, "scale": 2.0},
    "text": {"name": "a", "scale": 3},
    "of the name of the rest": {"options": 1.0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_keyword_arguments_without_a_name_are_static(options):
    f = nbad.kernel(with_options)
    for _ in range(2):
        assert_allclose(f(X, Y, **options), with_options(X, Y, **options), rtol=1e-15)
        assert_allclose(f(X, **options), with_options(X, **options), rtol=1e-15)
        assert_allclose(f(x=X, y=Y, **options), with_options(X, Y, **options), rtol=1e-15)
        slope = options.get("scale", 1.0) * (-1.0 if options.get("flip") else 1.0)
        assert_allclose(nbad.vjp(f, X, Y, **options)[1](1.0)[0], np.full(7, slope), rtol=1e-15)
        assert_allclose(nbad.grad(f)(X, Y, **options), np.full(7, slope), rtol=1e-15)
        assert_allclose(nbad.jacobian(f, "y")(X, Y, **options)[:, 0, 0], np.full(7, options.get("scale", 1.0)), rtol=1e-15)
    assert f.parameters == ("x", "y")


def test_options_are_told_apart_by_contents():
    f = nbad.kernel(lambda x, **options: x * options["scale"] + sum(options.get("more", ())))
    for _ in range(2):
        for scale in (2, 2.0, 3.0):
            assert_array_equal(f(X, scale=scale), X * scale)
        for more in ([1.0], [1.0, 2.0], np.ones(3)):
            assert_array_equal(f(X, scale=1.0, more=more), X + sum(more))
    with pytest.raises(TypeError, match=r"multiple values for argument 'x'"):
        f(X, x=2.0, scale=1.0)
    with pytest.raises(TypeError, match=r"missing a required argument: 'x'"):
        f(scale=1.0)
    text = r"passes a traced value for `scale`, a static argument of `<lambda>`"
    with pytest.raises(TraceError, match=text):
        nbad.kernel(lambda x: f(x, scale=x))(X)


def test_keyword_only_settings():
    def kernel(x, *, y=2.0, how="add", table=(1.0,)):
        return (x + y if how == "add" else x * y) * table[0]

    f = nbad.kernel(kernel, static="table")
    for options in ({}, {"y": Y}, {"y": Y, "how": "times"}, {"how": "times", "table": [3.0]}):
        assert_allclose(f(X, **options), kernel(X, **options), rtol=1e-15)
        assert_allclose(nbad.vjp(f, X, **options)[0], kernel(X, **options), rtol=1e-15)


# what may be made a kernel


def test_partials_methods_and_objects_are_kernels():
    gas = Gas(2.0)
    made = {
        "partial": (functools.partial(by_name, method="product"), (X, Y)),
        "partial by position": (functools.partial(by_name, 2.0), (X,)),
        "partial of a partial": (functools.partial(functools.partial(by_name, method="product"), y=3.0), (X,)),
        "partial with options": (functools.partial(with_options, scale=2.0), (X, Y)),
        "method": (gas.density, (X, Y)),
        "partial of a method": (functools.partial(gas.density, t=3.0), (X,)),
        "callable object": (Scaled(3.0), (X,)),
        "cached function": (functools.lru_cache(optional), (X, Y)),
    }
    for function, args in made.values():
        f = nbad.kernel(function)
        original = function.__wrapped__ if hasattr(function, "cache_info") else function
        expected = plain(original, args, {})
        assert_allclose(f(*args), expected, rtol=1e-15)
        assert_allclose(nbad.jacobian(f)(*args)[:, 0, 0], nbad.grad(f, f.bind(args, {})[0].names[0])(*args), rtol=1e-14)


@pytest.mark.slow
def test_the_harness_takes_settings():
    assert check_kernel(nbad.kernel(by_name), X, Y, "product").entries
    assert check_kernel(nbad.kernel(optional), X, None, Y).entries


# globals of the live module


ON_DEMAND = """
import numpy as np
_loaded, _table, _scale = False, None, None
loads = 0

def _load():
    global _loaded, _table, _scale, loads
    _table, _scale, _loaded, loads = {"a": np.array([2.0, 3.0])}, 5.0, True, loads + 1

def value(x, key="a"):
    if not _loaded:
        _load()
    return x * _table[key][1] + _scale

def twice(x):
    return value(x) + value(2.0 * x)
"""


@pytest.mark.parametrize("has_source", [True, False])
def test_globals_that_a_call_fills_are_read_from_the_live_module(has_source, tmp_path):
    """Libraries with large tables load them when they are first asked for."""
    path = tmp_path / "on_demand.py"
    if has_source:
        path.write_text(ON_DEMAND, encoding="utf-8")
    for name, expected in (("value", 3.0 * X + 5.0), ("twice", 9.0 * X + 10.0)):
        module = types.ModuleType("on_demand")
        exec(compile(ON_DEMAND, str(path), "exec"), module.__dict__)
        assert_array_equal(nbad.kernel(vars(module)[name])(X), expected)
        assert module.loads == 1


notes, loaded = [], None


def note():
    notes.append(1.0)


def load():
    global loaded
    loaded = [2.0]


def test_what_a_branch_does_to_globals_through_other_functions_is_refused():
    def notes_in_a_branch(x):
        if x > 1.0:
            note()
        return x * len(notes)

    def loads_in_a_branch(x):
        if x > 1.0:
            load()
        return x if loaded is None else x * loaded[0]

    def loads_after_a_branch(x):
        if x > 1.0:
            x = 2.0 * x
        load()
        return x * loaded[0]

    def loads_after_a_return(x):
        if x > 1.0:
            return x
        load()
        return x * loaded[0]

    with pytest.raises(TraceError, match="changes `notes`, from outside the kernel, in a branch on a traced value"):
        nbad.kernel(notes_in_a_branch)(X)
    text = r"calls a function that sets an outer variable, in a branch on a traced value[\s\S]*fix: load\(\)  # before"
    with pytest.raises(TraceError, match=text):
        nbad.kernel(loads_in_a_branch)(X)
    with pytest.raises(TraceError, match="returns on a traced value, and changes what outlives the call after it"):
        nbad.kernel(loads_after_a_return)(X)
    assert_array_equal(nbad.kernel(loads_after_a_branch)(X), 2.0 * np.where(X > 1.0, 2.0 * X, X))


def test_names_that_are_made_or_removed_while_a_kernel_runs():
    names = {}
    exec("def make():\n    global made\n    made = 4.0\n\ndef kernel(x):\n    make()\n    return x * made\n", names)
    assert_array_equal(nbad.kernel(names["kernel"])(X), 4.0 * X)
    exec("def shadow():\n    global abs\n    abs = lambda v: v + 1.0\n", names)
    exec("def kernel(x):\n    y = abs(x)\n    shadow()\n    return y + abs(x)\n", names)
    assert_array_equal(nbad.kernel(names["kernel"])(-X), X - X + 1.0)
    exec("def kernel(x):\n    return x * nowhere\n", names)
    with pytest.raises(NameError, match="name 'nowhere' is not defined"):
        nbad.kernel(names["kernel"])(X)


@pytest.mark.parametrize(
    ("call", "right"),
    [
        (lambda f: nbad.grad(f, "y")(2.0), 4.0),
        (lambda f: nbad.grad(nbad.grad(f, "y"))(2.0), 4.0),
        (lambda f: nbad.value_and_grad(f, ("y", "x"))(2.0), (12.0, (4.0, 12.0))),
        (lambda f: nbad.value_and_grad(nbad.grad(f), "y")(2.0), (12.0, 4.0)),
        (lambda f: nbad.hessian(nbad.grad(f, "y"))(2.0), [[2.0, 0.0], [0.0, 0.0]]),
        (lambda f: nbad.vjp(nbad.grad(f, "y"), 2.0)[0], 4.0),
        (lambda f: nbad.jacobian(f, "y")(2.0), [[4.0]]),
        (lambda f: nbad.value_and_jacobian(f, ("y", "x"))(2.0), (12.0, [[4.0, 12.0]])),
        (lambda f: nbad.hessian(f, 0)(2.0), [[6.0]]),
    ],
)
def test_the_line_for_a_derivative_computes_the_same_derivative(call, right):
    f = nbad.kernel(lambda x, y: x * x * y)
    with pytest.raises(nbad.NbadError, match="fix: nbad") as caught:
        call(f)
    fix = str(caught.value).partition("fix: ")[2]
    found = eval(fix, {"nbad": nbad, "f": f, "x": 2.0, "y": 3.0})
    assert _numbers(found[0] if "vjp" in fix else found) == _numbers(right)


def _numbers(values):
    parts = values.tolist() if isinstance(values, np.ndarray) else values
    return [number for part in parts for number in _numbers(part)] if isinstance(parts, list | tuple) else [parts]
