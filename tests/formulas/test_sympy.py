"""SymPy both ways: `from_sympy` against mpmath and SymPy's own evaluation, and kernels as formulas."""

import functools
import inspect
import itertools
import math
import re

import hypothesis
import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
import sympy
from helpers.gallery import kernels, random, whole_sample
from helpers.gallery_mpmath import slots_of
from numpy.testing import assert_allclose, assert_array_equal
from sympy.codegen import cfunctions

import nbad
import nbad.testing
from nbad.derivatives.differentiate import jacobian
from nbad.errors import ArgumentTypeError, ArgumentValueError, TraceError
from nbad.formulas.from_sympy import known_functions
from nbad.formulas.to_sympy import of_graph
from nbad.graphs.interpreter import evaluate
from nbad.operations.table import TABLE
from nbad.testing.oracles import bounded
from nbad.verbs.sympy_kernels import argument_names, evaluated, graph_of

x, y, z = sympy.symbols("x y z")
INSIDE, ANY, POSITIVE, BEYOND = (-0.9, -0.3, 1e-6, 0.8), (-2.6, -0.7, 0.3, 1.9), (1e-3, 0.7, 25.0), (1.001, 1.7, 30.0)
OUTSIDE = (*BEYOND, -1.001, -2.5)
SMALL = (-0.5, -1e-12, 1e-9, 0.7)


def cubic_root(t):
    return mpmath.sign(t) * mpmath.cbrt(abs(t))


# how SymPy spells it: what mpmath makes of it, and points
UNARY = {
    "sin": (sympy.sin, mpmath.sin, ANY),
    "cos": (sympy.cos, mpmath.cos, ANY),
    "tan": (sympy.tan, mpmath.tan, ANY),
    "asin": (sympy.asin, mpmath.asin, INSIDE),
    "acos": (sympy.acos, mpmath.acos, INSIDE),
    "atan": (sympy.atan, mpmath.atan, ANY),
    "sinh": (sympy.sinh, mpmath.sinh, ANY),
    "cosh": (sympy.cosh, mpmath.cosh, ANY),
    "tanh": (sympy.tanh, mpmath.tanh, (*ANY, 20.0)),
    "asinh": (sympy.asinh, mpmath.asinh, ANY),
    "acosh": (sympy.acosh, mpmath.acosh, BEYOND),
    "atanh": (sympy.atanh, mpmath.atanh, INSIDE),
    "sec": (sympy.sec, mpmath.sec, ANY),
    "csc": (sympy.csc, mpmath.csc, ANY),
    "cot": (sympy.cot, mpmath.cot, ANY),
    "sech": (sympy.sech, mpmath.sech, ANY),
    "csch": (sympy.csch, mpmath.csch, ANY),
    "coth": (sympy.coth, mpmath.coth, ANY),
    "asec": (sympy.asec, mpmath.asec, OUTSIDE),
    "acsc": (sympy.acsc, mpmath.acsc, OUTSIDE),
    "acot": (sympy.acot, mpmath.acot, ANY),
    "asech": (sympy.asech, mpmath.asech, (0.01, 0.3, 0.999)),
    "acsch": (sympy.acsch, mpmath.acsch, ANY),
    "acoth": (sympy.acoth, mpmath.acoth, OUTSIDE),
    "exp": (sympy.exp, mpmath.exp, ANY),
    "log": (sympy.log, mpmath.log, POSITIVE),
    "sqrt": (sympy.sqrt, mpmath.sqrt, POSITIVE),
    "cbrt": (sympy.cbrt, mpmath.cbrt, POSITIVE),
    "Abs": (sympy.Abs, abs, ANY),
    "sign": (sympy.sign, mpmath.sign, ANY),
    "floor": (sympy.floor, mpmath.floor, ANY),
    "ceiling": (sympy.ceiling, mpmath.ceil, ANY),
    "frac": (sympy.frac, lambda t: t - mpmath.floor(t), ANY),
    "Heaviside": (sympy.Heaviside, lambda t: mpmath.mpf(t > 0), ANY),
    "erf": (sympy.erf, mpmath.erf, ANY),
    "erfc": (sympy.erfc, mpmath.erfc, ANY),
    "expm1": (cfunctions.expm1, mpmath.expm1, SMALL),
    "log1p": (cfunctions.log1p, mpmath.log1p, SMALL),
    "exp2": (cfunctions.exp2, lambda t: mpmath.mpf(2) ** t, ANY),
    "2**x": (lambda t: 2**t, lambda t: mpmath.mpf(2) ** t, ANY),
    "10**x": (lambda t: 10**t, lambda t: mpmath.mpf(10) ** t, ANY),
    "log2": (cfunctions.log2, lambda t: mpmath.log(t, 2), POSITIVE),
    "log10": (cfunctions.log10, mpmath.log10, POSITIVE),
    "Sqrt": (cfunctions.Sqrt, mpmath.sqrt, POSITIVE),
    "Cbrt": (cfunctions.Cbrt, cubic_root, ANY),
}
ONLY_WITH_ROWS = {  # operations that are not elementary
    "gamma": (sympy.gamma, mpmath.gamma, (0.3, 1.9, 7.5)),
    "loggamma": (sympy.loggamma, mpmath.loggamma, (0.3, 1.9, 7.5)),
    "digamma": (sympy.digamma, mpmath.digamma, (0.3, 1.9, 7.5)),
    "trigamma": (sympy.trigamma, lambda t: mpmath.psi(1, t), (0.3, 1.9, 7.5)),
    "factorial": (sympy.factorial, mpmath.factorial, (0.3, 1.9, 7.5)),
    "erfinv": (sympy.erfinv, mpmath.erfinv, INSIDE),
    "sinc": (sympy.sinc, mpmath.sinc, ANY),
    "Ei": (sympy.Ei, mpmath.ei, (-2.6, 0.3, 1.9)),
    "LambertW": (sympy.LambertW, mpmath.lambertw, (-0.3, 0.7, 25.0)),
    "elliptic_k": (sympy.elliptic_k, mpmath.ellipk, (-2.6, 1e-6, 0.8)),
    "elliptic_e": (sympy.elliptic_e, mpmath.ellipe, (-2.6, 1e-6, 0.8)),
}
OF_ONE_OPERAND = ("besselj", "bessely", "besseli", "besselk", "zeta")  # by the other the derivative is not known
UNARY |= ONLY_WITH_ROWS
BINARY = {
    "atan2": (sympy.atan2, mpmath.atan2),
    "hypot": (cfunctions.hypot, mpmath.hypot),
    "Max": (sympy.Max, max),
    "Min": (sympy.Min, min),
    "Mod": (sympy.Mod, lambda a, b: a - b * mpmath.floor(a / b)),
    "pow": (lambda a, b: sympy.Abs(a) ** b, lambda a, b: abs(a) ** b),
    "quotient": (lambda a, b: a / b**2, lambda a, b: a / b**2),
}
PAIRS = tuple(itertools.product((-1.7, 0.4, 2.3), (-2.1, -0.6, 1.3)))


def partials(expression, symbols, columns):
    """Value and one row for each partial, zeros included."""
    graph = graph_of(expression, symbols, "f").graph
    joint = jacobian(graph, tuple(range(len(symbols))))
    value, *entries = evaluate(joint.graph, *columns)
    rows = np.zeros((len(symbols), len(columns[0])))
    for (_, n), entry in zip(joint.positions, entries, strict=True):
        rows[n] = entry
    return value, rows


@pytest.mark.parametrize("name", UNARY)
def test_function_against_mpmath(name):
    make, exact, points = UNARY[name]
    value, (slope,) = partials(make(x), (x,), [np.array(points)])
    with mpmath.workdps(40):
        expected = [exact(mpmath.mpf(p)) for p in points]
        slopes = [mpmath.diff(exact, mpmath.mpf(p)) for p in points]
    assert_allclose(value, np.array(expected, float), rtol=4e-15)
    assert_allclose(slope, np.array(slopes, float), rtol=1e-14, atol=1e-30)


@pytest.mark.parametrize("name", BINARY)
def test_function_of_two_against_mpmath(name):
    make, exact = BINARY[name]
    value, slopes = partials(make(x, y), (x, y), np.array(PAIRS).T)
    with mpmath.workdps(40):
        points = [tuple(map(mpmath.mpf, pair)) for pair in PAIRS]
        expected = [exact(*pair) for pair in points]
        by_x = [mpmath.diff(exact, pair, (1, 0)) for pair in points]
        by_y = [mpmath.diff(exact, pair, (0, 1)) for pair in points]
    assert_allclose(value, np.array(expected, float), rtol=4e-15)
    assert_allclose(slopes, np.array([by_x, by_y], float), rtol=1e-14, atol=1e-30)


def test_every_known_function_is_tested():
    assert set(known_functions()) <= {*UNARY, *BINARY, *OF_ONE_OPERAND, "beta", "fma", "cosm1", "polygamma", "Xor", "ITE"}


@pytest.mark.parametrize("name", [*OF_ONE_OPERAND, "beta"])
def test_functions_with_parameters(name):
    value = graph_of(getattr(sympy, name)(2.5, x), (x,), "f").graph
    joint = jacobian(value, (0,))
    for point in (0.7, 3.5):
        exact = mpmath.diff(lambda t: getattr(mpmath, name)(2.5, t), point)
        expected = [float(getattr(mpmath, name)(2.5, point)), float(exact)]
        assert_allclose([float(e) for e in evaluate(joint.graph, point)], expected, rtol=1e-12)


def test_other_functions():
    from sympy.codegen.scipy_nodes import cosm1

    value = graph_of((cfunctions.fma(x, y, 2), cosm1(x), sympy.log(x, 3, evaluate=False)), (x, y), "f")
    fma, one, log = evaluate(value.graph, 1e-9, 3.0)
    assert_allclose([fma, one, log], [2.000000003, -5e-19, math.log(1e-9) / math.log(3)], rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "values", "slope"), [("asec", (0.0, math.pi), math.inf), ("acsc", (math.pi / 2, -math.pi / 2), -math.inf)]
)
def test_inverse_secants_where_they_end(name, values, slope):
    """At 1 and -1, where their slopes have the sign that they have all over."""
    f = nbad.from_sympy(getattr(sympy, name)(x), x)
    assert_array_equal(f([1.0, -1.0]), values)
    assert_array_equal(nbad.grad(f)([1.0, -1.0]), [slope, slope])
    assert_allclose(nbad.grad(f)([-2.0, 2.0]), math.copysign(1 / math.sqrt(12), slope), rtol=1e-14)


def test_undefined_function_named_like_an_operation():
    logistic = sympy.Function("logistic")
    value, (slope,) = partials(logistic(x), (x,), [np.array([-40.0])])
    assert_allclose([value[0], slope[0]], [math.exp(-40.0)] * 2, rtol=1e-14)


# --- order of evaluation


def operations(expression, *symbols):
    """The operations in order; `#0` is the value of the first."""
    graph = graph_of(expression, symbols, "f").graph
    numbers: dict[int, int] = {}
    lines = []
    for k, node in enumerate(graph.nodes):
        if node.op not in ("input", "const"):
            operands = [f"#{numbers[a]}" if a in numbers else graph.label(a) for a in node.args]
            lines.append(" ".join([node.op, *operands, *([] if node.payload is None else [str(node.payload)])]))
            numbers[k] = len(numbers)
    return lines


def test_half_powers_are_flat_at_zero():
    f = nbad.from_sympy(x ** sympy.Rational(5, 2), x)
    assert [nbad.grad(f)(0.0), nbad.grad(nbad.grad(f))(0.0)] == [0.0, 0.0]
    assert nbad.grad(nbad.from_sympy(x ** sympy.Rational(3, 2), x))(0.0) == 0.0


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        (x**3, ["powi x 3"]),
        (x**-2, ["mul x x", "div 1.0 #0"]),
        (sympy.sqrt(x), ["sqrt x"]),
        (x ** sympy.Rational(3, 2), ["pow x 1.5"]),
        (x ** sympy.Rational(-3, 2), ["sqrt x", "mul x #0", "div 1.0 #1"]),
        (3 / x ** sympy.Rational(3, 2), ["sqrt x", "mul x #0", "div 3.0 #1"]),
        (1 / sympy.sqrt(x), ["sqrt x", "div 1.0 #0"]),
        (x ** sympy.Rational(1, 3), ["pow x 0.3333333333333333"]),
        (x ** sympy.Rational(41, 2), ["pow x 20.5"]),
        (x ** sympy.Float(2.0), ["pow x 2.0"]),
        (sympy.Rational(1, 3) * x, ["mul 0.3333333333333333 x"]),
        (sympy.pi * x, ["mul 3.141592653589793 x"]),
        (2**x, ["exp2 x"]),
        (3**x, ["pow 3.0 x"]),
        (sympy.E**x, ["exp x"]),
        (x / (1 + x), ["add 1.0 x", "div x #0"]),
        (x / (sympy.sin(x) * (1 + x) ** 2), ["add 1.0 x", "mul #0 #0", "sin x", "mul #1 #2", "div x #3"]),
        (sympy.sin(x) - x, ["sin x", "sub #0 x"]),
        (sympy.Max(x, 1, 2 * x), ["maximum 1.0 x", "mul 2.0 x", "maximum #0 #1"]),
        (sympy.UnevaluatedExpr(x) + 1, ["add 1.0 x"]),
    ],
)
def test_operations_of_an_expression(expression, lines):
    assert operations(expression, x) == lines


def test_operands_come_in_the_order_of_sympy():
    e = (x + 0.1) * (y - z / 3) / (x * y) - 2 * z**3
    f = nbad.from_sympy(e, (x, y, z))

    def by_hand(e, values):
        if not e.args:
            return values[e] if e in values else float(e)
        if e.is_Pow:
            return math.prod([by_hand(e.base, values)] * int(e.exp))
        if e.is_Mul:
            below = [1 / a for a in e.args if a.is_Pow and a.exp.is_negative]
            above = math.prod(by_hand(a, values) for a in e.args if 1 / a not in below)
            return above / math.prod(by_hand(a, values) for a in below) if below else above
        return sum((by_hand(a, values) for a in e.args[1:]), by_hand(e.args[0], values))

    columns = random().standard_normal((3, 200))
    expected = [by_hand(e, dict(zip((x, y, z), map(float, point), strict=True))) for point in columns.T]
    assert_array_equal(f(*columns), expected)


def test_unevaluated_expressions_keep_their_order():
    kept = sympy.Add(sympy.Float(1e16), x, sympy.Float(-1e16), evaluate=False)
    assert nbad.from_sympy(kept, x)(1.0) == (1e16 + 1.0) - 1e16


def test_constants_are_rounded_once():
    e = sympy.sqrt(2) * sympy.pi ** sympy.Rational(1, 3) / sympy.gamma(sympy.Rational(1, 3)) + 0 * x
    assert evaluate(graph_of(e, (x,), "f").graph, 0.0)[0] == float(e.evalf(40))


@pytest.mark.parametrize(("constant", "expected"), [(sympy.oo, math.inf), (-sympy.oo, -math.inf), (sympy.nan, math.nan)])
def test_constants_beyond_the_numbers(constant, expected):
    assert_array_equal(nbad.from_sympy(constant, x)(1.0), expected)


def test_shared_subexpressions_are_computed_once():
    e = x
    for _ in range(200):  # written out, 2**200 operations
        e = e * sympy.sin(e, evaluate=False) + y
    assert len(graph_of(e, (x, y), "f").graph.nodes) == 2 + 3 * 200


def test_deep_expressions():
    e = x
    for _ in range(3000):
        e = sympy.sin(e, evaluate=False)
    assert len(graph_of(e, (x,), "f").graph.nodes) == 3001


# --- branches


def test_piecewise():
    e = sympy.Piecewise((x**2, (x > 0) & (x < 1)), (-x, (x <= -1) | sympy.Eq(x, 0)), (7, sympy.Ne(x, 2) & ~(x > 3)))
    f = nbad.from_sympy(e, x)
    assert_array_equal(f(np.array([0.5, -2.0, 0.0, 1.5, 2.0, 4.0])), [0.25, 2.0, 0.0, 7.0, math.nan, math.nan])


def test_derivatives_are_nan_where_no_case_holds():
    """As those of SymPy's own derivative."""
    e = sympy.Piecewise((x**2 * y, x < 0), (sympy.sqrt(x) + y, x > 1))
    f, points = nbad.from_sympy(e, (x, y)), (np.array([-2.0, 0.5, 4.0]), 3.0)
    np.testing.assert_allclose(f(*points), [12.0, np.nan, 5.0], rtol=1e-15)
    for name, expected in (("x", [-12.0, np.nan, 0.25]), ("y", [4.0, np.nan, 1.0])):
        np.testing.assert_allclose(nbad.grad(f, name)(*points), expected, rtol=1e-15)
        again = nbad.from_sympy(sympy.diff(e, name), (x, y))
        np.testing.assert_allclose(again(*points), expected, rtol=1e-15)
    assert np.isnan(nbad.hessian(f)(*points)[1]).all()
    gamma = nbad.from_sympy(sympy.loggamma(x), x)
    assert np.isnan([gamma(-1.5), nbad.grad(gamma)(-1.5), nbad.grad(nbad.grad(gamma))(-1.5)]).all()


def test_other_logic():
    p, q = x > 0, y > 0
    e = sympy.Piecewise((1, sympy.Xor(p, q)), (2, sympy.ITE(p, x > 1, y < -1)), (3, True))
    points = np.array([[1.0, -1.0, 2.0, 0.5, -1.0, -1.0], [-1.0, 1.0, 1.0, 1.0, -2.0, -0.5]])
    assert_array_equal(nbad.from_sympy(e, (x, y))(*points), [1.0, 1.0, 2.0, 3.0, 2.0, 3.0])


def test_branch_not_taken_does_not_spoil_the_derivative():
    f = nbad.from_sympy(sympy.Piecewise((sympy.sqrt(x), x > 0), (0, True)), x)
    assert_array_equal(nbad.jacobian(f)(np.array([4.0, 0.0, -1.0]))[:, 0, 0], [0.25, 0.0, 0.0])
    assert_array_equal(nbad.grad(nbad.grad(f))(np.array([4.0, 0.0, -1.0])), [-1 / 32, 0.0, 0.0])


def test_kinks_follow_the_table():
    f = nbad.from_sympy((sympy.Abs(x), sympy.Max(x, 0), sympy.sign(x), sympy.Heaviside(x), sympy.Heaviside(x, 1)), x)
    assert f(0.0) == (0.0, 0.0, 0.0, 0.5, 1.0)
    assert_array_equal(nbad.jacobian(f)(0.0)[:, 0], [0.0, 0.5, 0.0, 0.0, 0.0])


# --- the kernel


def test_behaves_like_other_kernels(rng):
    f = nbad.from_sympy((x * sympy.sin(y), x**2), (x, y), name="wave")
    a, b = rng.standard_normal((2, 30))
    assert repr(f) == "<nbad.Kernel wave(x, y)>"
    assert list(inspect.signature(f).parameters) == ["x", "y"]
    assert_allclose(f(a, y=b), (a * np.sin(b), a**2))
    _, pullback = nbad.vjp(f, a, b)
    assert_allclose(pullback((1.0, 2.0)), (np.sin(b) + 4 * a, a * np.cos(b)))
    assert_allclose(nbad.jacobian(f, argnums="y")(a, b)[:, 0, 0], a * np.cos(b))


def test_structure_of_the_outputs():
    assert nbad.from_sympy(x, x)(2.0) == 2.0
    assert nbad.from_sympy((x,), (x,))(2.0) == (2.0,)
    assert nbad.from_sympy([x, 2 * x], [x])(2.0) == (2.0, 4.0)
    assert nbad.from_sympy(sympy.Tuple(x, y), (y, x))(1.0, 2.0) == (2.0, 1.0)
    assert nbad.from_sympy(3, x)(2.0) == 3.0


def test_inside_another_kernel():
    spring = nbad.from_sympy(x**2 / 2, x)

    @nbad.kernel
    def energy(a, b):
        return spring(a) + spring(x=a - b)

    assert energy(1.0, 3.0) == 2.5
    assert_array_equal(nbad.jacobian(energy)(1.0, 3.0), [[-1.0, 2.0]])


def test_float32():
    f = nbad.from_sympy(x / 3 + 1, x)
    result = f(np.ones(3, np.float32))
    assert result.dtype == np.float32
    assert_array_equal(result, np.float32(1.0) + np.float32(1 / 3))


def test_harness():
    f = nbad.from_sympy((sympy.sin(x) * y + 3, sympy.Piecewise((sympy.exp(x), x > y), (y, True))), (x, y))
    report = nbad.testing.check_kernel(f, np.linspace(-2.0, 2.0, 37), np.linspace(-3.0, 2.5, 37))
    assert report.entries[0].compared > 0


def test_wrapped_is_evaluated_by_sympy():
    f = nbad.from_sympy((sympy.exp(x) / 3, sympy.Piecewise((1, x > y))), (x, y))
    assert f.__wrapped__(1.0, y=0.5) == (math.e / 3, 1.0)
    with pytest.raises(ValueError, match=r"log\(x\) is not a real number here"):
        nbad.from_sympy(sympy.log(x), x).__wrapped__(-1.0)


def test_names_become_identifiers():
    names = r"\sigma_0", "x'", "v^{2}", "lambda", "out", "2nd", "\N{GREEK SMALL LETTER XI}", "x y", "{}", r"\theta", "theta", "_p"
    symbols = [sympy.Symbol(name) for name in names]
    expected = ("sigma_0", "x", "v_2", "lambda_", "out_", "x2nd", names[6], "x_y", "x_", "theta", "theta_", "_p")
    assert argument_names(symbols) == expected
    f = nbad.from_sympy(sum(symbols), symbols)
    assert f(*range(12)) == 66.0
    assert f(**dict(zip(expected, range(12), strict=True))) == 66.0


def test_dummies_and_assumptions_tell_symbols_apart():
    a, b = sympy.Dummy("a"), sympy.Symbol("a", positive=True)
    f = nbad.from_sympy(a - b, (a, b))
    assert list(inspect.signature(f).parameters) == ["a", "a_"]
    assert f(3.0, 1.0) == 2.0


# --- what is refused


def says(*parts):
    """The pattern of a message that has these parts in this order."""
    return "(?s)" + ".*".join(map(re.escape, parts))


def test_missing_symbols():
    parts = (
        "`nbad.from_sympy(expressions, (x))`: the expression has symbols that are not among these\n    ",
        "(test_sympy.py:",
        "got: y, z\n  expected: only x\n  fix: nbad.from_sympy(expressions, (x, y, z))",
    )
    with pytest.raises(ArgumentValueError, match=says(*parts)):
        nbad.from_sympy(x + y * z, x)


def test_symbols_with_other_assumptions():
    other = sympy.Symbol("x", real=True)
    parts = "got: x; this `x` is another one, with other assumptions", "fix: expression.subs(x_of_the_expression, x)"
    with pytest.raises(ArgumentValueError, match=says(*parts)):
        nbad.from_sympy(other**2, x)


@pytest.mark.parametrize(
    ("symbols", "parts"),
    [
        ((x, y, x), ("`x` comes twice in symbols", "got: x, y, x\n  expected: each symbol once\n  fix: (x, y,)")),
        (
            "x y",
            ("not all of symbols are symbols", "got: str x y\n  expected: SymPy symbols", 'fix: x, y = sympy.symbols("x y")'),
        ),
        ((x, 2 * y), ("not all of symbols are symbols", "got: Mul 2*y")),
        ((x, sympy.IndexedBase("y")[0]), ("not all of symbols are symbols", "got: Indexed y[0]")),
    ],
)
def test_wrong_symbols(symbols, parts):
    with pytest.raises((ArgumentTypeError, ArgumentValueError), match=says(*parts)):
        nbad.from_sympy(x, symbols)


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        (sympy.Matrix([x, y]), ("got: MutableDenseMatrix", "fix: nbad.from_sympy(tuple(M), symbols)")),
        ((x, sympy.Matrix([x, y])), ("fix: nbad.from_sympy(tuple(M), symbols)",)),
        (sympy.MatrixSymbol("A", 2, 2), ("got: MatrixSymbol A",)),
        (sympy.Array([x, y]), ("fix: nbad.from_sympy(tuple(M), symbols)",)),
        (sympy.Eq(y, x**2), ("got: Equality Eq(y, x**2)", "fix: equation.rhs")),
        (x > y, ("got: StrictGreaterThan x > y", "fix: sympy.Piecewise((1, condition), (0, True))")),
        ("x + y", ("got: str x + y", "fix: sympy.sympify('x + y')")),
        (None, ("got: NoneType None", "expected: a SymPy expression of numbers, or a tuple of them")),
        ((), ("got: tuple ()",)),
    ],
)
def test_wrong_expressions(expression, parts):
    with pytest.raises(ArgumentTypeError, match=says("there is no expression to compute", *parts)):
        nbad.from_sympy(expression, (x, y))


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        (sympy.Si(x), ("kernel `expression` uses `Si`, for which nbad has no operation", "functions among Abs, ")),
        (1 + sympy.Function("g")(x), ("uses `g`", "got: g(x)", "fix: expression.rewrite(...), or its definition")),
        (sympy.Integral(sympy.exp(-(x**2)), (x, 0, y)), ("uses `Integral`", "fix: expression.doit()")),
        (sympy.Sum(z * x, (z, 1, 3)), ("uses `Sum`", "fix: expression.doit()")),
        (sympy.Derivative(sympy.Function("g")(x), x), ("uses `Derivative`", "fix: expression.doit()")),
        (sympy.DiracDelta(x), ("uses `DiracDelta`",)),
        (sympy.polygamma(y, x), ("uses `polygamma`", "got: polygamma(y, x)")),
        (sympy.MatrixSymbol("A", 2, 2)[0, 0], ("uses `MatrixElement`",)),
        (sympy.I * x, ("has a constant that is not a real number", "got: I", "fix: real, imaginary = expression.as_real_imag()")),
        (sympy.cbrt(-8) + x, ("has a constant that is not a real number", "got: 2*(-1)**(1/3)")),
        (sympy.zoo, ("has a constant that is not a real number", "got: zoo")),
        (sympy.Piecewise((x, y), (1, True)), ("needs a condition where the expression has a number", "got: y", "sympy.Ne(x, 0)")),
    ],
)
def test_what_cannot_be_computed(expression, parts):
    with pytest.raises(TraceError, match=says(*parts)):
        nbad.from_sympy(expression, (x, y))


def test_deep_twins():
    """SymPy compares two equal expressions that were built apart by recursion."""

    def tower():
        e = x
        for _ in range(3000):
            e = sympy.sin(e, evaluate=False)
        return e

    parts = "kernel `f` has expressions nested too deeply for SymPy to compare", "fix: sympy.cse(expression)"
    with pytest.raises(TraceError, match=says(*parts)):
        graph_of((tower(), tower()), (x,), "f")


# --- random expressions


def expressions_of(symbols):
    leaves = st.sampled_from((*symbols, sympy.Integer(2), sympy.Rational(-1, 3), sympy.Float(0.7), sympy.pi))
    unary = st.sampled_from(
        (
            sympy.sin,
            sympy.atan,
            sympy.tanh,
            sympy.Abs,
            sympy.exp,
            lambda e: e**2,
            lambda e: -e,
            lambda e: 1 / (1 + e**2),
            lambda e: sympy.sqrt(1 + e**2),
            lambda e: sympy.Abs(e) ** sympy.Rational(3, 2),
            lambda e: cfunctions.log1p(e**2),
        )
    )
    binary = st.sampled_from(
        (
            lambda a, b: a + b,
            lambda a, b: a * b,
            lambda a, b: a - b,
            lambda a, b: a / (2 + sympy.cos(b)),
            sympy.Max,
            sympy.Min,
            lambda a, b: sympy.Piecewise((a, a < b), (b + 1, True)),
            lambda a, b: sympy.atan2(a, 1 + sympy.Abs(b)),
        )
    )

    def grow(inner):
        return st.builds(lambda f, a: f(a), unary, inner) | st.builds(lambda f, a, b: f(a, b), binary, inner, inner)

    return st.recursive(leaves, grow, max_leaves=6)


REALS = sympy.symbols("x y", real=True)


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(expressions_of(REALS), st.tuples(*[st.floats(-2, 2, allow_subnormal=False)] * 2))
def test_random_expressions_against_sympy(e, point):
    graph = graph_of(e, REALS, "f").graph
    (value,) = bounded(graph, point)
    expected = float(e.evalf(30, subs=dict(zip(REALS, map(sympy.Float, point), strict=True))))
    assert abs(value.value - expected) <= 2 * value.error + 1e-14 * abs(expected)


def check_there_and_back(e, point):
    graph = graph_of(e, REALS, "f").graph
    (back,) = of_graph(graph, REALS)
    first, second = (bounded(g, point)[0] for g in (graph, graph_of(back, REALS, "f").graph))
    assert abs(first.value - second.value) <= 2 * (first.error + second.error) + 1e-14 * abs(first.value)


EXPRESSIONS = expressions_of(REALS), st.tuples(*[st.floats(-2, 2, allow_subnormal=False)] * 2)


@hypothesis.settings(max_examples=20, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(*EXPRESSIONS)
def test_random_expressions_there_and_back(e, point):
    check_there_and_back(e, point)


@pytest.mark.slow
@hypothesis.settings(max_examples=200, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(*EXPRESSIONS)
def test_many_random_expressions_there_and_back(e, point):
    check_there_and_back(e, point)


# --- kernels as formulas


def has_formula(kernel):
    return all(node.op != "loop" for node in kernel.whole_program().graph.nodes)


CASES = {name: (module, kernel) for name, (module, kernel) in kernels().items() if has_formula(kernel)}


def values_and_partials(graph, columns):
    joint = jacobian(graph, tuple(range(len(columns))))
    found = evaluate(joint.graph, *columns)
    return found[: joint.n_outputs], dict(zip(joint.positions, found[joint.n_outputs :], strict=True))


@pytest.mark.parametrize(("module", "kernel"), CASES.values(), ids=CASES.keys())
def test_gallery_there_and_back(module, kernel):
    columns = slots_of(kernel, whole_sample(module, kernel, 9), 9).T
    symbols = [sympy.Symbol(f"a{k}", real=True) for k in range(len(columns))]
    graph = kernel.whole_program().graph
    back = graph_of(tuple(of_graph(graph, symbols)), symbols, "back").graph
    (values, jacobians), (again, partials_again) = (values_and_partials(g, columns) for g in (graph, back))
    assert_allclose(again, values, rtol=1e-9, atol=1e-12)
    for position in {*jacobians, *partials_again}:
        scale = np.abs(jacobians.get(position, np.zeros(1))).max()
        assert_allclose(partials_again.get(position, 0.0), jacobians.get(position, 0.0), rtol=1e-7, atol=1e-9 * scale + 1e-300)


def test_formula_of_a_kernel():
    f = nbad.kernel(lambda a, b: (math.exp(-a) * 0.5 + 0.1, np.where(a > b, a, -b)))
    a, b = sympy.symbols("a b")
    assert f.sympy() == (sympy.exp(-a) / 2 + 0.1, sympy.Piecewise((a, a > b), (-b, True)))
    assert nbad.kernel(lambda x: x * x + 1.0).sympy() == x**2 + 1
    assert nbad.kernel(lambda x: (x,)).sympy() == (x,)


def test_formula_of_given_operands():
    f = nbad.kernel(lambda a, b: a / b)
    assert f.sympy(x, 2 * y) == x / (2 * y)
    parts = "there must be one expression for each scalar slot", "got: 1\n  expected: 2: a, b\n  fix: <lambda>.sympy()"
    with pytest.raises(ArgumentTypeError, match=says(*parts)):
        f.sympy(x)


def test_formula_round_trips_through_a_kernel(rng):
    f = nbad.kernel(lambda a, b: math.log1p(a) * math.hypot(a, b) - np.cbrt(b))
    symbols = sympy.symbols("a b", positive=True)
    g = nbad.from_sympy(f.sympy(*symbols), symbols)
    points = rng.random((2, 50)) + 1e-9
    assert_allclose(g(*points), f(*points), rtol=1e-14)
    assert_allclose(nbad.jacobian(g)(*points), nbad.jacobian(f)(*points), rtol=1e-13)


WITH_FORMULAS = [name for name, row in TABLE.items() if row.kind == "real" and row.samples and row.expression]


@pytest.mark.parametrize("op", [pytest.param(op, marks=[pytest.mark.slow] * (k % 3 > 0)) for k, op in enumerate(WITH_FORMULAS)])
def test_formula_of_every_operation(op):
    from nbad.graphs.graph import GraphBuilder

    row = TABLE[op]
    symbols = sympy.symbols("x y z", real=True)[: len(row.operands)]
    builder = GraphBuilder(op, [s.name for s in symbols])
    graph = builder.build([builder.add(op, *range(len(symbols)), payload=row.payload)])
    (formula,) = of_graph(graph, symbols, stable=())
    for point in row.samples:
        expected = float(evaluate(graph, *point)[0])
        found = evaluated((formula,), dict(zip(symbols, point, strict=True)))[0]
        assert found == pytest.approx(expected, rel=1e-12), point


def test_formula_of_vectors():
    @nbad.kernel(signature="(3),(2,2),()->(2),()")
    def f(r, m, r_0):
        return m @ r[:2] * r_0, r[2]

    a, b, c, p, q, s, t, r_0 = symbols = sympy.symbols("rv_0 r_1 r_2 m_0_0 m_0_1 m_1_0 m_1_1 r_0")
    expected = sympy.Array([r_0 * (p * a + q * b), r_0 * (s * a + t * b)]), c
    assert f.sympy() == expected
    assert f.sympy(*symbols[::-1])[1] == symbols[5]
    lines = f.latex().splitlines()
    assert [line.partition(" &=")[0] for line in lines[1:4]] == ["f_{0,0}", "f_{0,1}", "f_{1}"]
    assert lines[-2] == r"\frac{\partial f_{1}}{\partial r_{2}} &= 1"


def test_integers_fractions_and_decimals():
    f = nbad.kernel(lambda x: (2.0 * x, 0.25 * x, 0.1 * x, x + math.inf))
    assert list(map(str, f.sympy())) == ["2*x", "x/4", "0.1*x", "x + oo"]


def test_chain_too_deep_for_sympy():
    @nbad.kernel
    def tower(x):
        return functools.reduce(lambda y, _: math.sin(y), range(2000), x)

    parts = "kernel `tower` nests its operations too deeply for SymPy", "fix: nbad.show(tower, 'graph')"
    with pytest.raises(TraceError, match=says(*parts)):
        tower.sympy()


def test_latex_of_one_output():
    def f(x, sigma_0):
        return x * math.sqrt(sigma_0)

    assert (
        nbad.kernel(f).latex()
        == r"""\begin{aligned}
f &= \sqrt{\sigma_{0}} x \\
\frac{\partial f}{\partial x} &= \sqrt{\sigma_{0}} \\
\frac{\partial f}{\partial \sigma_{0}} &= \frac{x}{2 \sqrt{\sigma_{0}}}
\end{aligned}"""
    )


def test_latex_of_several_outputs_names_them():
    @nbad.kernel
    def two_ways(x, y):
        return x + y, 2.0 * y

    assert two_ways.latex().splitlines()[1:-1] == [
        r"\mathrm{two\_ways}_{0} &= x + y \\",
        r"\mathrm{two\_ways}_{1} &= 2 y \\",
        r"\frac{\partial \mathrm{two\_ways}_{0}}{\partial x} &= 1 \\",
        r"\frac{\partial \mathrm{two\_ways}_{0}}{\partial y} &= 1 \\",
        r"\frac{\partial \mathrm{two\_ways}_{1}}{\partial y} &= 2",
    ]


def test_latex_writes_longer_parts_once():
    def f(x, y):
        return math.sin(x * x + y * y + 1.0)

    assert nbad.kernel(f).latex().splitlines()[1:-1] == [
        r"u_{0} &= x^{2} + y^{2} + 1 \\",
        r"f &= \sin{\left(u_{0} \right)} \\",
        r"\frac{\partial f}{\partial x} &= 2 x \cos{\left(u_{0} \right)} \\",
        r"\frac{\partial f}{\partial y} &= 2 y \cos{\left(u_{0} \right)}",
    ]


def test_latex_tells_its_names_apart():
    def u(x, u_2):
        y = math.exp(math.sin(x * u_2 + u_2 * u_2))
        return y, y

    lines = nbad.kernel(u).latex().splitlines()[1:-1]
    assert [line.partition(" &=")[0] for line in lines][:4] == ["u_{1}", "u_{0}", "u_{3}", "u_{4}"]
    assert len({line.partition(" &=")[0] for line in lines}) == len(lines)


def test_latex_grows_with_the_number_of_operations():
    def steps(n):
        def f(x, y):
            for k in range(n):
                x = np.maximum(np.hypot(x, y) - 1.5, np.where(x > k, x * y, 0.5))
            return x

        return nbad.kernel(f).latex()

    assert len(steps(12)) < 3 * len(steps(6))


def test_formulas_too_long(monkeypatch):
    f = nbad.from_sympy(x * sympy.exp(x), x, name="f")
    for module, method in (("to_sympy", f.sympy), ("written", f.latex)):
        monkeypatch.setattr(f"nbad.formulas.{module}.LONGEST", 2)
        parts = "the formulas are too long", "operations\n  expected: 2 at most\n  fix: nbad.show(f, 'partials')"
        with pytest.raises(ArgumentValueError, match=says(f"`f.{method.__name__}()`", *parts)):
            method()


def test_formula_of_branches_on_branches():
    """SymPy's own constructors take exponential time here."""

    def f(x, y):
        for k in range(6):
            x = np.where(x > 0.1 * k, x * y + 0.3, x - math.sin(y))
        return x

    f = nbad.kernel(f)
    graph = graph_of(f.sympy(*REALS), REALS, "f").graph
    columns = random().standard_normal((2, 50))
    assert_allclose(evaluate(graph, *columns)[0], f(*columns), rtol=1e-12)


PARTIALS = {
    "product": lambda x, y: x * math.sin(y) / (x + y),
    "powers": lambda x, y: x**y + math.sqrt(x) * math.exp(-x * y),
    "inverse": lambda x, y: math.atan2(x, y) + math.tanh(x * y) + math.asin(x / 3),
    "branch": lambda x, y: np.where(x > y, math.log(x), y * y),
    "special": lambda x, y: math.erf(x) * math.expm1(y) + math.hypot(x, y),
}


@pytest.mark.parametrize("name", PARTIALS)
def test_partials_shown_are_those_of_sympy(name):
    """The formulas of the joint graph against SymPy's derivative of the output's formula, at points."""
    f = nbad.kernel(PARTIALS[name])
    symbols = sympy.symbols("x y", positive=True)
    joint = f.whole_program().joint((0, 1), "reverse")
    value, *shown = of_graph(joint.graph, symbols, stable=())
    expected = [value.diff(symbols[n]) for _, n in joint.positions]
    for point in ((0.3, 1.9), (1.7, 0.4)):
        values = dict(zip(symbols, point, strict=True))
        assert_allclose(evaluated(tuple(shown), values), evaluated(tuple(expected), values), rtol=1e-12)
