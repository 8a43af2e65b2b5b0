"""Operations of the user's own: values, partials to any order, the caches, the harness and the errors."""

import copy
import ctypes
import inspect
import math
import pickle
import re

import mpmath
import numba
import numpy as np
import pytest
import sympy

import nbad
import nbad.testing
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError
from nbad.operations.table import TABLE


@numba.njit
def clip(x, low):
    return low + math.log1p(math.exp(x - low))


def by_x(x, low, value):
    return 1.0 / (1.0 + math.exp(low - x))


X, LOW, V = sympy.symbols("x low v")
SLOPE = 1 / (1 + sympy.exp(LOW - X))
FORMS = {
    "functions": [by_x, lambda x, low, value: 1.0 - by_x(x, low, value)],
    "text": ["1/(1 + exp(low - x))", "1 - 1/(1 + exp(low - x))"],
    "sympy": [SLOPE, 1 - SLOPE],
    "value": ["1 - exp(low - v)", lambda x, low, value: np.exp(low - value)],
    "compiled": [numba.njit(by_x), nbad.kernel(lambda x, low, v: 1.0 - by_x(x, low, v))],
}
in_every_form = pytest.mark.parametrize("partials", FORMS.values(), ids=FORMS)


@pytest.fixture(scope="module")
def soft_clip():
    """Not made when this module is imported: rows of the table are what other modules parametrize their tests with."""
    return nbad.primitive("soft_clip", clip, FORMS["functions"])


@nbad.kernel
def plain(x, y):
    return y + np.log1p(np.exp(x * y - y)) * x


def fresh(partials, name="soft_clip_again"):
    operation = nbad.primitive(name, clip, partials)
    return nbad.kernel(lambda x, y: (operation(x * y, y) - y) * x + y)


def columns(rng):
    return rng.normal(size=(2, 100))


@in_every_form
def test_value_and_derivatives_are_those_of_the_function_written_out(partials, rng):
    f, xs = fresh(partials), columns(rng)
    np.testing.assert_allclose(f(*xs), plain(*xs), rtol=1e-13)
    np.testing.assert_allclose(nbad.jacobian(f)(*xs), nbad.jacobian(plain)(*xs), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(nbad.hessian(f)(*xs), nbad.hessian(plain)(*xs), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(nbad.grad(nbad.grad(f))(*xs), nbad.grad(nbad.grad(plain))(*xs), rtol=1e-11, atol=1e-12)


@in_every_form
def test_the_harness_proves_it(partials, rng):
    report = nbad.testing.check_kernel(fresh(partials), *columns(rng))
    assert report.entries


def test_the_harness_finds_a_wrong_partial(rng):
    f = fresh([by_x, "2"], "half_wrong")
    with pytest.raises(nbad.testing.CheckFailure, match=r"partial 1 of `half_wrong`, against differences"):
        nbad.testing.check_kernel(f, *columns(rng))


def test_differences_are_silent_at_kinks(rng):
    ramp = nbad.primitive("ramp", lambda x: x if x > 0.0 else 0.0, [lambda x, v: np.where(x > 0.0, 1.0, 0.0)])
    assert nbad.testing.check_kernel(nbad.kernel(lambda x: ramp(x)), np.array([-1.0, 0.0, 2.0])).entries


def test_plain_calls_compute_the_bits_of_the_kernel(rng, soft_clip):
    x, low = columns(rng)
    assert soft_clip(1.0, 2.0) == 2.0 + math.log1p(math.exp(-1.0))
    assert isinstance(soft_clip(1.0, low=2.0), float)
    np.testing.assert_array_equal(nbad.kernel(lambda x, low: soft_clip(x, low))(x, low), soft_clip(x, low))
    assert soft_clip(np.ones((2, 1)), np.ones(3)).shape == (2, 3)
    assert soft_clip(np.empty(0), 1.0).shape == (0,)


def test_single_precision_is_double_rounded(soft_clip):
    x = np.linspace(-3.0, 3.0, 50, dtype=np.float32)
    y = nbad.kernel(lambda x: soft_clip(x, 0.5))(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, soft_clip(x.astype(float), 0.5).astype(np.float32))


def test_it_works_in_helpers_kernels_arrays_and_sympy(rng, soft_clip):
    @nbad.kernel
    def inner(x):
        return soft_clip(x, 0.1)

    class Holder:
        operation = soft_clip

    table = [soft_clip]
    x = rng.normal(size=20)
    expected = soft_clip(x, 0.1)
    by_sympy = nbad.from_sympy(sympy.Function("soft_clip")(X, sympy.Float("0.1")), (X,))
    kernels = (
        inner,
        nbad.kernel(lambda x: inner(x)),
        nbad.kernel(lambda x: Holder.operation(x, 0.1)),
        by_sympy,
        nbad.kernel(lambda x: table[0](x, low=0.1)),
    )
    for f in kernels:
        np.testing.assert_array_equal(f(x), expected)
        np.testing.assert_allclose(nbad.grad(f)(x), 1 / (1 + np.exp(0.1 - x)), rtol=1e-14)
    vector = nbad.kernel(lambda r: np.sum(soft_clip(r, 0.1)), signature="(3)->()")
    np.testing.assert_allclose(vector(x[:3]), expected[:3].sum(), rtol=1e-15)


def test_primitives_may_be_each_others_partials():
    sine = nbad.primitive("my_sine", lambda x: math.sin(x), [lambda x, v: cosine(x)])
    cosine = nbad.primitive("my_cosine", lambda x: math.cos(x), [lambda x, v: -sine(x)])
    f = nbad.kernel(lambda x: sine(x) * cosine(x))
    third = nbad.grad(nbad.grad(nbad.grad(f)))
    with mpmath.workdps(30):
        expected = float(mpmath.diff(lambda x: mpmath.sin(x) * mpmath.cos(x), 0.7, 3))
    assert third(0.7) == pytest.approx(expected, rel=1e-14)


def test_a_value_that_is_its_own_derivative():
    growth = nbad.primitive("growth", lambda x: math.exp(x), ["v"])
    f = nbad.kernel(lambda x: growth(growth(x)))
    assert nbad.hessian(f)(0.3)[0, 0] == pytest.approx(math.exp(math.exp(0.3) + 0.3) * (1 + math.exp(0.3)), rel=1e-14)


def test_defining_it_again_leaves_older_kernels_alone():
    double = nbad.primitive("again", lambda x: 2.0 * x, ["2"])
    before = nbad.kernel(lambda x: double(x))
    assert before(1.0) == 2.0
    triple = nbad.primitive("again", lambda x: 3.0 * x, [3])
    after = nbad.kernel(lambda x: triple(x))
    assert (before(1.0), after(1.0), nbad.grad(before)(1.0), nbad.grad(after)(1.0)) == (2.0, 3.0, 2.0, 3.0)
    assert nbad.from_sympy(sympy.Function("again")(X), (X,))(1.0) == 3.0
    assert repr(triple) == "<nbad.primitive again(x)>"


PROGRAM = """
import math, sys
import numpy as np
import nbad

unit = {unit}
f_of = nbad.primitive("changing", lambda x: {value}, [lambda x, v: {slope}])
f = nbad.kernel(lambda x: f_of(x) * x)
x = np.linspace(0.5, 2.0, 33)
y, pullback = nbad.vjp(f, x)
print(y[0], pullback(1.0)[0][0], nbad.grad(nbad.grad(f))(0.5))
"""


@pytest.mark.slow
def test_no_process_sees_what_another_cached(run_python, tmp_path):
    """The last version runs twice: it finds its own code and plan, and adds no file."""
    versions = [
        (dict(unit=1.0, value="x * x * unit", slope="2.0 * x * unit"), (0.125, 0.75, 3.0)),
        (dict(unit=4.0, value="x * x * unit", slope="2.0 * x * unit"), (0.5, 3.0, 12.0)),
        (dict(unit=4.0, value="x * x * 2.0", slope="4.0 * x"), (0.25, 1.5, 6.0)),
        (dict(unit=4.0, value="x * x * 2.0", slope="4.0 * x"), (0.25, 1.5, 6.0)),
    ]
    files = []
    for names, expected in versions:
        printed = run_python(PROGRAM.format(**names), NBAD_CACHE_DIR=str(tmp_path / "cache"))
        assert tuple(map(float, printed.split())) == pytest.approx(expected, rel=1e-14)
        files.append(sorted(path.name for path in (tmp_path / "cache").rglob("*.nbad")))
    assert files[-1] == files[-2] != files[0]


def test_pickled_and_copied():
    kept = nbad.primitive("kept", clip, FORMS["text"])
    for again in (pickle.loads(pickle.dumps(kept)), copy.deepcopy(kept)):
        f = nbad.kernel(lambda x, operation=again: operation(x, 2.0))
        assert (f(1.0), nbad.grad(f)(1.0)) == (kept(1.0, 2.0), by_x(1.0, 2.0, 0.0))


def test_interpreter(run_python):
    program = PROGRAM.format(unit=1.0, value="x * x", slope="2.0 * x")
    assert run_python(program, NUMBA_DISABLE_JIT="1").split() == ["0.125", "0.75", "3.0"]


def says(*parts):
    return r"(?s)" + ".*".join(map(re.escape, parts))


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        (
            ("sin", clip, ["1", "1"]),
            ArgumentValueError,
            ("`nbad.primitive('sin', ...)`: nbad has an operation of this name", "fix: name='my_sin'"),
        ),
        (("soft clip", clip, ["1", "1"]), ArgumentTypeError, ("the name is not an identifier", "got: 'soft clip'")),
        (("größe", clip, ["1", "1"]), ArgumentTypeError, ("the name is not an identifier of ASCII letters", "got: 'größe'")),
        (("a", 3.0, ["1"]), ArgumentTypeError, ("the implementation is not a function", "got: 3.0", "made, or a C function")),
        (("a", math.sin, ["1"]), ArgumentTypeError, ("the implementation is not a function", "fix: lambda x: math.sin(x)")),
        (("a", lambda x=1.0: x, ["1"]), ArgumentTypeError, ("must take one or more arguments", "got: <lambda>(x=1.0)")),
        (("a", lambda: 1.0, []), ArgumentTypeError, ("must take one or more arguments", "got: <lambda>()")),
        (("a", lambda v: v, ["1"]), ArgumentValueError, ("a parameter of the implementation is named v", "other names")),
        (("a", clip, ["1"]), ArgumentValueError, ("one partial for each parameter", "got: 1 partial", "expected: 2: by x, low")),
        (("a", clip, "1"), ArgumentValueError, ("one partial for each parameter", "got: 1 partial")),
        (("a", clip, by_x), ArgumentValueError, ("one partial for each parameter", "got: 1 partial")),
        (("a", clip, ["1", None]), ArgumentTypeError, ("neither a function nor a formula", "got: None", "(x, low, v)")),
        (("a", clip, ["1", "struve(0, x)"]), ArgumentValueError, ("a part that nbad does not know", "got: struve(0, x)")),
        (("a", clip, ["1", "x +"]), ArgumentValueError, ("a part that nbad does not know", "in 'x +'")),
        (("a", clip, ["1", "y"]), ArgumentValueError, ("a part that nbad does not know", "got: y in 'y'", "in x, low, v")),
        (("a", clip, ["1", X * sympy.Symbol("t")]), ArgumentValueError, ("other symbols than the arguments and v", "got: t*x")),
        (("a", clip, ["1", sympy.Si(X)]), TraceError, ("uses `Si`, for which nbad has no operation",)),
        (
            ("a", clip, ["1", lambda x, low: x]),
            ArgumentTypeError,
            (
                "a partial takes the arguments of the implementation and, behind them, its value",
                "got: (x, low)",
                "fix: lambda x, low, v: ...",
            ),
        ),
    ],
)
def test_refusals(arguments, error, parts):
    with pytest.raises(error, match=says(*parts)):
        nbad.primitive(*arguments)
    assert "a" not in TABLE


def test_an_implementation_that_numba_does_not_compile():
    broken = nbad.primitive("broken", lambda x: str(x), ["1"])
    text = says("`nbad.primitive('broken', ...)`: Numba does not compile the implementation for floats", "fix: numba.njit(")
    with pytest.raises(ArgumentTypeError, match=text):
        broken(1.0)
    with pytest.raises(ArgumentTypeError, match=text):
        nbad.kernel(lambda x: broken(x))(1.0)


def test_a_partial_with_two_outputs():
    pair = nbad.primitive("pair", lambda x: x, [lambda x, v: (x, v)])
    with pytest.raises(TraceError, match=says("partial `pair_by_x` returns more than one number", "got: 2 outputs")):
        nbad.grad(nbad.kernel(lambda x: pair(x)))(1.0)


def test_a_partial_that_cannot_be_traced():
    opaque = nbad.primitive("opaque", lambda x: x, [lambda x, v: math.ulp(x)])
    with pytest.raises(TraceError, match=r"test_primitives\.py"):
        nbad.grad(nbad.kernel(lambda x: opaque(x)))(1.0)


def test_calls_with_wrong_arguments(soft_clip):
    with pytest.raises(ArgumentTypeError, match=says("`soft_clip(x, low)`: missing a required argument", "expected: 2: x, low")):
        soft_clip(1.0)
    with pytest.raises(ArgumentTypeError, match=says("`soft_clip(x, low)`: too many positional arguments", "got: 3 arguments")):
        nbad.kernel(lambda x: soft_clip(x, x, x))(1.0)


def test_stop_gradient():
    f = nbad.kernel(lambda x, y: x * nbad.stop_gradient(x * y) + nbad.stop_gradient(y))
    assert f(2.0, 3.0) == 15.0
    assert nbad.jacobian(f)(2.0, 3.0).tolist() == [[6.0, 0.0]]
    assert nbad.hessian(f)(2.0, 3.0).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert nbad.jvp(f, (2.0, 3.0), (1.0, 1.0))[1] == 6.0


def test_stop_gradient_of_plain_values_and_arrays():
    x = np.arange(3.0)
    assert nbad.stop_gradient(2.5) == 2.5
    assert nbad.stop_gradient(x) is x
    f = nbad.kernel(lambda r: np.dot(r, nbad.stop_gradient(r)), signature="(3)->()")
    assert nbad.grad(f)(x).tolist() == [0.0, 1.0, 2.0]


def test_stop_gradient_under_the_harness(rng):
    f = nbad.kernel(lambda x, y: np.sin(x) * nbad.stop_gradient(np.exp(x) * y) + y)
    assert nbad.testing.check_kernel(f, *columns(rng)).entries


# formulas alone

Y, Z = sympy.symbols("y z", real=True)
FORMULA = sympy.exp(-(Y**2)) * sympy.besselj(1, Z) + sympy.Piecewise((Y**3, Y > Z), (sympy.sqrt(1 + Z**2), True))


@pytest.fixture(scope="module")
def of_formula():
    return nbad.primitive("of_formula", FORMULA)


def test_value_and_partials_follow_from_a_formula(of_formula, rng):
    f, written, xs = nbad.kernel(lambda y, z: of_formula(y, z * 2.0)), nbad.from_sympy(FORMULA, (Y, Z)), columns(rng)
    plainly = nbad.kernel(lambda y, z: written(y, z * 2.0))
    np.testing.assert_allclose(f(*xs), plainly(*xs), rtol=1e-14)
    np.testing.assert_allclose(nbad.jacobian(f)(*xs), nbad.jacobian(plainly)(*xs), rtol=1e-12)
    np.testing.assert_allclose(nbad.hessian(f)(*xs), nbad.hessian(plainly)(*xs), rtol=1e-11, atol=1e-14)
    assert nbad.testing.check_kernel(f, *xs).entries


def test_a_formula_is_called_like_a_function(of_formula):
    expected = float(FORMULA.subs({Y: 0.5, Z: 0.7}).evalf())
    assert of_formula(0.5, z=0.7) == pytest.approx(expected, rel=1e-15)
    np.testing.assert_allclose(of_formula([0.5, 0.5], 0.7), [expected] * 2, rtol=1e-15)
    assert repr(of_formula) == "<nbad.primitive of_formula(y, z)>"
    assert pickle.loads(pickle.dumps(of_formula))(0.5, 0.7) == of_formula(0.5, 0.7)


def test_a_lambda_orders_its_parameters():
    quotient = nbad.primitive("ordered_quotient", sympy.Lambda((Z, Y), Z / Y))
    f = nbad.kernel(lambda a, b: quotient(a, b))
    assert f(3.0, 4.0) == 0.75
    assert nbad.jacobian(f)(3.0, 4.0).tolist() == [[0.25, -0.1875]]


def test_a_formula_may_have_partials_of_its_own():
    softplus = nbad.primitive("own_softplus", sympy.log(1 + sympy.exp(Y)), ["1 - exp(-v)"])
    assert nbad.grad(nbad.kernel(lambda x: softplus(x)))(0.3) == pytest.approx(1 / (1 + math.exp(-0.3)))


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        (sympy.Integer(2), ArgumentValueError, "the symbols of the expression are not names of parameters"),
        (V * 2, ArgumentValueError, "v stands for the value"),
        (sympy.Symbol("a b") ** 2, ArgumentValueError, "got: a b"),
        (sympy.Symbol("x") * sympy.Symbol("x", real=True), ArgumentValueError, "each of one symbol"),
        (sympy.Derivative(sympy.sin(Y), Y), TraceError, "uses `Derivative`, for which nbad has no operation"),
        (sympy.Symbol("lambda") ** 2, ArgumentValueError, "got: lambda"),
        (sympy.Matrix([Y, Z]), ArgumentTypeError, "the implementation is not a function"),
        (sympy.Si(Y), TraceError, "uses `Si`, for which nbad has no operation"),
        (clip, ArgumentTypeError, "there are no partials"),
    ],
)
def test_formulas_that_cannot_be(formula, error, message):
    with pytest.raises(error, match=message):
        nbad.primitive("impossible", formula)


LIBRARY = ctypes.CDLL("libm.so.6")


def of_library(name, arity):
    function = getattr(LIBRARY, name)
    function.argtypes, function.restype = [ctypes.c_double] * arity, ctypes.c_double
    return function


@numba.cfunc("float64(float64, float64)")
def product_or_error(a, b):
    """Of two numbers, the second not negative."""
    if b < 0.0:
        raise ValueError("negative")
    return a * b


@pytest.mark.parametrize("as_pair", [False, True])
def test_c_functions_by_their_addresses(as_pair):
    hypot, x, y = of_library("hypot", 2), np.array([3.0, 5.0, -8.0]), np.array([4.0, 12.0, 15.0])
    given = (ctypes.cast(hypot, ctypes.c_void_p).value, "float64(float64, float64)") if as_pair else hypot
    distance = nbad.primitive("my_distance", given, ["x/v", "y/v"])
    f = nbad.kernel(lambda x, y: 2.0 * distance(x, y))
    assert f(x, y).tolist() == [10.0, 26.0, 34.0]
    assert nbad.jacobian(f)(x, y)[:, 0].tolist() == [[1.2, 1.6], [2.0 * 5 / 13, 2.0 * 12 / 13], [-2.0 * 8 / 17, 2.0 * 15 / 17]]
    assert distance(x, 4.0).tolist() == np.hypot(x, 4.0).tolist()
    with pytest.raises(TypeError, match="has an address in this process only"):
        pickle.dumps(distance)


def test_a_cfunc_of_numba_keeps_its_names_and_its_errors():
    product = nbad.primitive("my_product", product_or_error, ["b", "a"])
    assert (str(inspect.signature(product)), product.__doc__) == ("(a, b)", product_or_error._pyfunc.__doc__)
    f = nbad.kernel(lambda x, y: product(x, y))
    assert nbad.value_and_jacobian(f)(2.0, 5.0)[1].tolist() == [[5.0, 2.0]]
    with pytest.raises(ValueError, match="negative"):
        f(np.ones(3), np.array([1.0, -1.0, 2.0]))


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(lambda x: x)


@pytest.mark.parametrize(
    ("implementation", "parts"),
    [
        (LIBRARY["cbrt"], ("does not say that this C function is one of doubles", "argtypes=None, restype=c_int")),
        (CALLBACK, ("ctypes made this C function of a Python one", "the Python function itself")),
        ((12345, "float32(float64)"), ("not that of a function of doubles", "got: 'float32(float64)'")),
        ((12345, "floot64(float64)"), ("not that of a function of doubles", "fix: (12345, 'float64(float64)')")),
        ((12345, 3), ("not that of a function of doubles", "got: 3")),
    ],
)
def test_other_addresses_are_explained(implementation, parts):
    with pytest.raises(ArgumentTypeError, match=says(*parts)):
        nbad.primitive("my_other", implementation, ["1"])
