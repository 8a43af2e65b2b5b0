"""Rebinding: library functions under every name, helpers of every kind, and originals that stay as they are."""

import builtins
import functools
import math
import math as m
import operator
import re
import types
from collections import Counter
from dataclasses import dataclass
from math import sin

import numba
import numpy
import numpy as np
import numpy.linalg
import pytest
import scipy.special
from helpers.tracing import check_values, function_of, text, traced, written
from numpy import exp as e
from scipy.special import erf as error_function

import nbad
from nbad.language import array_functions, matrices, number_functions, special_functions
from nbad.language.vocabulary import MEANINGS
from nbad.operations.row import BOOL
from nbad.operations.table import TABLE

MODULES = {
    "math": math,
    "numpy": np,
    "scipy.special": scipy.special,
    "builtins": builtins,
    "nbad": nbad,
    "nbad.special": nbad.special,
}
SPELLINGS = [
    (module, name, row.name)
    for row in TABLE.values()
    for module, _, name in (path.rpartition(".") for path in row.spellings)
    if hasattr(MODULES[module], name)
]


# library functions


@pytest.mark.parametrize(("module", "name", "op"), SPELLINGS)
def test_every_spelling_is_found_as_attribute_and_as_imported_name(module, name, op):
    operands = ", ".join("abc"[: len(TABLE[op].operands)])
    result = "np.where({}, 1, 0)" if TABLE[op].kind == BOOL else "{}"
    outer = {"module": MODULES[module], "f": getattr(MODULES[module], name), "np": np}
    as_attribute, as_name = (
        text(eval(f"lambda {operands}: {result.format(f'{spelling}({operands})')}", outer), operands.replace(",", ""))
        for spelling in (f"module.{name}", "f")
    )
    assert as_attribute == as_name
    assert any(f"= {op}(" in line for line in as_name)


def test_all_ways_to_import():
    def kernel(x):
        import math as local

        import numpy.linalg as la
        from numpy import arctan2 as inner

        assert la.norm([3.0, 4.0]) == 5.0
        return math.sin(x), m.sin(x), sin(x), np.sin(x), numpy.sin(x), local.sin(x), e(x), inner(x, x), error_function(x)

    check_values(kernel, 0.3)
    assert len(set(traced(kernel).graph.outputs[:6])) == 1


def test_original_function_and_modules_are_untouched():
    def kernel(x, f=math.cos):
        return f(sin(x))

    before = dict(kernel.__globals__), kernel.__defaults__
    assert text(kernel, f=math.cos) == ["%1 = sin(x)", "%2 = cos(%1)", "return %2"]
    assert (kernel.__globals__, kernel.__defaults__) == before
    assert kernel.__globals__["sin"] is math.sin
    assert kernel(0.0) == 1.0


def test_numpy_dispatches_to_the_trace_where_names_are_not_rebound():
    functions = {"sin": np.sin, "where": np.where, "minimum": np.minimum}

    def kernel(x):
        return functions["where"](x > 1, functions["sin"](x), functions["minimum"](x, 0.5))

    assert text(kernel)[-2:] == ["%6 = select(%2, %3, %5)", "return %6"]


# helpers


def cube(x):
    return x * math.fabs(x) * x


def power_by_recursion(x, n):
    return 1.0 if n == 0 else x * power_by_recursion(x, n - 1)


def total(*values, weight=1.0):
    return weight * sum(values)


@numba.njit
def compiled(x):
    return math.exp(-x)


@functools.cache
def cached(x):
    return math.tanh(x)


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 2 * function(*args)

    return wrapper


@doubled
def decorated(x):
    return math.cosh(x)


class Shapes:
    scale = 3.0

    @staticmethod
    def bell(x):
        return math.exp(-x * x)

    @classmethod
    def wide(cls, x):
        return cls.scale * math.cos(x)


@dataclass
class Gas:
    gamma: float

    def sound(self, x):
        return math.sqrt(self.square(x))

    def square(self, x):
        return self.gamma * math.fabs(x)

    def __call__(self, x):
        return math.atan(x)


air = Gas(1.4)
half = functools.partial(total, weight=0.5)
sound = air.sound
module = types.ModuleType("users_module")
exec("import numpy as np\nimport math\nTABLE = [1.0, 2.0]\ndef cnd(x):\n    return math.erf(x) + TABLE[1]", module.__dict__)


@pytest.mark.parametrize(
    "kernel",
    [
        lambda x: cube(x) + cube(2 * x),
        lambda x: power_by_recursion(x, 5),
        lambda x: total(x, 2.0, x * x, weight=x),
        lambda x: half(x, x),
        lambda x: compiled(x),
        lambda x: decorated(x),
        lambda x: Shapes.bell(x) + Shapes.wide(x) + Shapes.scale,
        lambda x: air.sound(x) + air(x) + air.gamma,
        lambda x: sound(x),
        lambda x: module.cnd(x) * module.TABLE[0],
        lambda x: functools.reduce(operator.mul, [x, x, 2.0]),
        lambda x: sum(map(math.sin, (x, 2 * x))),
        lambda x: (y := x + 1) * y,
        lambda x: (lambda f, *a: f(*a))(math.atan2, x, 2.0),
        lambda x: sum(i * math.cos(i * x) for i in range(3)),
    ],
)
def test_helpers(kernel):
    check_values(kernel, 0.7)


def test_cached_helper_is_traced():
    assert text(lambda x: cached(x)) == ["%1 = tanh(x)", "return %1"]


def test_helper_without_traced_arguments_runs_as_it_is():
    calls = []

    def table(n):
        calls.append(n)
        return np.linalg.solve(np.eye(n), np.arange(n, dtype=float))

    def kernel(x):
        return x * table(3)[2]

    assert text(kernel) == ["%2 = mul(x, 2.0)", "return %2"]
    assert calls == [3]


def test_functions_inside_the_kernel_and_closures():
    rate = 2.0

    def decay(x):
        return math.exp(-rate * x)

    def kernel(x, y):
        def inner(z):
            return decay(z) * sin(y)

        return inner(x) + inner(2 * x)

    check_values(kernel, 0.4, 0.8)


def test_functions_that_are_passed_to_helpers():
    def integrate(f, a, b):
        return (b - a) * (f(a) + 4 * f((a + b) / 2) + f(b)) / 6

    def kernel(x):
        return integrate(lambda t: math.exp(t * x), 0.0, 1.0)

    check_values(kernel, 0.4)


def test_globals_are_read_at_each_trace():
    namespace = {"k": 2.0}
    exec("def f(x): return k * x", namespace)
    assert text(namespace["f"])[0] == "%2 = mul(2.0, x)"
    namespace["k"] = 3.0
    assert text(namespace["f"])[0] == "%2 = mul(3.0, x)"


def test_kernels_without_source():
    namespace = {}
    exec(compile("import numpy as np\ndef f(x): return np.exp(x)\ng = lambda x: f(x) + 1", "<cell>", "exec"), namespace)
    assert str(traced(namespace["f"]).graph).splitlines()[1].endswith("# <cell>:2")
    assert text(namespace["g"]) == ["%1 = exp(x)", "%3 = add(%1, 1.0)", "return %3"]


@pytest.mark.parametrize("kernel", [functools.partial(cube), air.sound, compiled, math.sin, np.sin, cached])
def test_kernels_that_are_not_plain_functions(kernel):
    assert len(text(kernel)) > 1


def test_keyword_only_and_positional_only_parameters():
    def kernel(x, /, y, *, z):
        return x - y * z

    assert text(kernel, "x y z") == ["%3 = mul(y, z)", "%4 = sub(x, %3)", "return %4"]


def test_constants_may_be_functions_and_text():
    def kernel(x, f, mode):
        return f(x) if mode == "f" else x

    assert text(kernel, f=math.tan, mode="f") == ["%1 = tan(x)", "return %1"]
    assert text(kernel, f=math.tan, mode="g") == ["return x"]


def test_stand_ins_behave_like_the_originals():
    tables = {math.sin: 2.0, np.cos: 3.0}

    def kernel(x):
        assert tables[math.sin] + tables[np.cos] == 5.0
        assert math.sin is math.sin
        assert np.zeros(2, dtype=int).dtype == np.int64
        assert np.arange(3).astype(float).dtype == float
        assert np.dtype(float) == np.float64
        assert np.finfo(float).eps == np.finfo(np.float64).eps
        assert repr(math.sin) == "<built-in function sin>"
        assert math.sin.__name__ == "sin"
        assert issubclass(bool, int)
        assert float is float
        assert type(x) is float
        assert int is int
        assert type("Pair", (), {"a": 1}).a == 1
        assert (float | None) == (None | float)
        assert issubclass(np.float64, float)
        assert isinstance(air, Gas)
        assert air == Gas(1.4)
        assert float("2.5") == 2.5
        assert max(1, 2) == 2
        assert max([], default=3) == 3
        return x

    assert text(kernel) == ["return x"]


def test_functions_compiled_by_numba_as_ufuncs():
    @numba.vectorize
    def ramp(x):
        return math.fabs(x) * 2

    assert text(lambda x: ramp(x)) == ["%1 = abs(x)", "%3 = mul(%1, 2.0)", "return %3"]


def test_objects_keep_their_state():
    class Counter:
        calls = 0

        def __call__(self, x):
            return self.scaled(x)

        def scaled(self, x):
            return math.exp(x) * (self.calls + 2)

    class Table(Counter):
        def __getitem__(self, key):
            return 3.0

    counter, table = Counter(), Table()
    assert text(lambda x: counter(x)) == ["%1 = exp(x)", "%3 = mul(%1, 2.0)", "return %3"]
    assert text(lambda x: x * table[0] + counter.calls) == ["%2 = mul(x, 3.0)", "%4 = add(%2, 0.0)", "return %4"]


def test_no_two_rooms_say_what_a_function_means():
    rooms = (array_functions, number_functions, matrices, special_functions)
    counts = Counter(path for room in rooms for path in room.MEANINGS)
    assert {path for path, count in counts.items() if count > 1} == set()
    assert counts.keys() <= MEANINGS.keys()


def test_a_global_that_the_first_call_makes():
    source = "def load():\n    global TABLE\n    TABLE = [2.0, 3.0]\ndef f(x):\n    load()\n    return x * TABLE[1]\n"
    namespace = {}
    exec(source, namespace)
    assert "TABLE" not in namespace
    np.testing.assert_allclose(nbad.kernel(namespace["f"])(np.array([1.0, 2.0])), [3.0, 6.0])
    with pytest.raises(NameError, match="'missing'"):
        nbad.kernel(eval("lambda x: x * missing"))(1.0)


def test_what_python_warns_of_in_a_source_is_not_said_again(tmp_path):
    """The suite's filters make errors of warnings, with which the file would have no syntax tree."""
    source = 'WORDS = "\\d"\n\n\ndef f(x, kind=1):\n    return x * 2 if kind is 1 and x > 0 else x\n'
    with pytest.warns((SyntaxWarning, DeprecationWarning), match="invalid escape|with a literal|with 'int' literal"):
        f = written(tmp_path / "warned.py", source)
    np.testing.assert_array_equal(nbad.kernel(f)([-1.0, 1.0]), [-1.0, 2.0])


def test_annotations_are_not_evaluated():
    """Python 3.14 evaluates them when they are asked for; here the name that they use is not there then."""
    f = function_of("def f(x: Later, y=2.0) -> Later:\n    return x * y\n", "<annotated>", Later=float)
    del f.__globals__["Later"]
    kernel = nbad.kernel(f)
    assert (kernel(3.0), nbad.grad(kernel)(3.0)) == (6.0, 2.0)
    assert re.fullmatch(r"<nbad.Kernel f\(x: (float|Later), y=2.0\) -> (float|Later)>", repr(kernel))
    assert numba.njit(lambda x: kernel(x))(3.0) == 6.0
