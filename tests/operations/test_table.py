"""The primitive table: every row against 60 digits, every stable partial against SymPy's own derivative."""

import functools
import importlib
import itertools
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy
from sympy.parsing.sympy_parser import parse_expr

import nbad
from nbad.codegen.lower import INSTRUCTIONS, lower
from nbad.derivatives.differentiate import jacobian
from nbad.graphs.graph import Graph, GraphBuilder
from nbad.graphs.interpreter import evaluate
from nbad.operations.derive import derived_source
from nbad.operations.row import UNKNOWN
from nbad.operations.table import ROWS, TABLE
from nbad.testing.exact import exact, exact_jacobian

ISSUED = """
    sqrt cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc hypot
    logaddexp logaddexp2 deg2rad rad2deg pow powi abs sign minimum maximum pymin pymax floor ceil trunc copysign square reciprocal
    logistic logit softplus log_ndtr ndtr erfinv erfcx xlogy xlog1py sinc gamma lgamma digamma polygamma fmod mod floordiv round
    heaviside stop_gradient
"""
MEASURED = [row for row in ROWS if row.expression and row.samples]
EXPANDED = [row for row in ROWS if row.expansion]
STEPS = [TABLE[name] for name in ("floor", "ceil", "trunc", "round", "floordiv")]  # SymPy has no derivative for them
OTHER = [TABLE[name] for name in ("fmod", "mod", "stop_gradient", "heaviside", "unknown")]
PROVEN = [row for row in ROWS if row.partials and row not in (*STEPS, *OTHER)]
STABLE = [(row, k) for row in PROVEN for k, text in enumerate(row.partials) if text not in (None, *UNKNOWN)]
LOOSE = {"ndtr": 8, "lgamma": 8, "beta_density": 8, "i0e_slope": 8, "i1e_slope": 16}
HARD = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-300, 1e300, np.inf, -np.inf, np.nan)


def name_of(case):
    return case.name if hasattr(case, "name") else str(case)


def graph_of(row):
    builder = GraphBuilder(row.name, "xyz"[: len(row.operands)])
    return builder.build([builder.add(row.name, *range(len(row.operands)), payload=row.payload)])


def numpy_value(row, operands):
    with np.errstate(all="ignore"):
        return row.numpy(*operands) if row.payload is None else row.numpy(*operands, row.payload)


def points(row):
    """The samples, and the middle between every two neighbours."""
    middles = [tuple((a + b) / 2 for a, b in zip(p, q, strict=True)) for p, q in itertools.pairwise(row.samples)]
    return [*row.samples, *middles]


def ulps(got, expected):
    return abs(float(got) - float(expected)) / np.spacing(abs(float(expected)))


class NumpyExpander:
    """What an expansion is given, on NumPy's scalars."""

    def __getattr__(self, name):
        return TABLE["select" if name == "where" else name].numpy


def test_every_operation_of_the_issue_has_a_row():
    assert set(ISSUED.split()) <= set(TABLE)


def test_names_and_spellings_are_unique():
    spellings = [spelling for row in ROWS for spelling in row.spellings]
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("spelling", [spelling for row in ROWS for spelling in row.spellings])
def test_spelling_is_a_function(spelling):
    module, name = spelling.rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_operation_is_either_an_instruction_or_a_call_or_expanded(row):
    assert (row.name in INSTRUCTIONS) + row.is_call + bool(row.expansion) == 1


@pytest.mark.parametrize("row", MEASURED, ids=name_of)
def test_reference_is_the_expression(row):
    """SciPy and Python's own `math.lgamma` are not quite as good as the C library."""
    bound = 64 if row.scipy else LOOSE.get(row.name, 4)
    for point in points(row):
        assert ulps(numpy_value(row, point), exact(graph_of(row), point)[0]) <= bound, point


@pytest.mark.parametrize("row", EXPANDED, ids=name_of)
def test_expansion_is_the_reference(row):
    """At infinities, nan and zeros too; internal operations may differ from libm's by their rounding."""
    for point in itertools.product(map(np.float64, HARD), repeat=len(row.operands)):
        with np.errstate(all="ignore"):
            got = row.expansion(NumpyExpander(), *point, *([] if row.payload is None else [row.payload]))
        assert np.allclose(got, numpy_value(row, point), rtol=1e-15, atol=0, equal_nan=True), point


@pytest.mark.parametrize("row", [row for row in EXPANDED if row.kind == "real"], ids=name_of)
def test_no_constant_of_an_expansion_is_beyond_float32(row):
    """Coefficients of the series of `i0e_slope` were inf and 0, and so was what depended on them."""
    wide, narrow = (
        [node.payload for node in lower(graph_of(row), dtype).nodes if node.op == "const"] for dtype in ("float64", "float32")
    )
    assert [(c != 0, np.isfinite(c)) for c in narrow] == [(c != 0, np.isfinite(c)) for c in wide]


@pytest.mark.parametrize(("x", "n"), [(1.1, 0), (np.inf, 0), (np.nan, 0), (1.1, 1), (1.1, 7), (1.1, -3), (0.0, -2), (-2.0, 63)])
def test_integer_power_multiplies_in_the_order_of_numba(x, n):
    """`static_power_impl` in numba/cpython/numbers.py, written out."""
    result, square, left = 1.0, np.float64(x), abs(n)
    while left:
        if left & 1:
            result = result * square
        left >>= 1
        square = square * square
    with np.errstate(all="ignore"):
        expected = np.float64(1.0) / result if n < 0 else result
        assert np.array_equal(TABLE["powi"].numpy(np.float64(x), n), expected, equal_nan=True)


def test_python_extrema_keep_the_comparisons_of_python():
    for x, y in itertools.product(HARD, repeat=2):
        assert np.array_equal(TABLE["pymax"].numpy(x, y), max(x, y), equal_nan=True)
        assert np.array_equal(TABLE["pymin"].numpy(x, y), min(x, y), equal_nan=True)


def symbols():
    return sympy.symbols("x y z", real=True)


def expression_of(row, *operands):
    """The value of an operation; a payload comes first."""
    names = dict(zip("xyz" if row.payload is None else "nxyz", operands, strict=False))
    return parse_expr(row.expression, local_dict=names)


def stable_partial(row, k):
    """The text of a partial, in functions that SymPy knows."""
    names = {name: functools.partial(expression_of, TABLE[name]) for name in TABLE if TABLE[name].expression}
    given = {"n": row.payload, "v": expression_of(row, *payload_of(row), *symbols())}
    return parse_expr(row.partials[k], local_dict=names | given | dict(zip("xyz", symbols(), strict=True)))


def payload_of(row):
    return [] if row.payload is None else [sympy.Integer(row.payload)]


@pytest.mark.parametrize(("row", "k"), STABLE, ids=name_of)
def test_stable_partial_is_the_derivative(row, k):
    """In 40 digits, where neither form loses any: SymPy raises its precision until they are right."""
    both = stable_partial(row, k), sympy.diff(expression_of(row, *payload_of(row), *symbols()), symbols()[k])
    for point in points(row):
        at = {symbol: sympy.Rational(value) for symbol, value in zip(symbols(), point, strict=False)}
        stable, expected = (mpmath.mpmathify(e.subs(at).doit().evalf(40)) for e in both)
        with mpmath.workdps(40):
            assert abs(stable - expected) <= mpmath.mpf("1e-37") * abs(expected), point


@pytest.mark.parametrize("row", [row for row in ROWS if set(UNKNOWN) & set(row.partials or ())], ids=name_of)
def test_partials_that_are_not_known_are_nan(row):
    """To any order, and those that are known may be asked beside them."""
    slots = tuple(range(len(row.operands)))
    first = jacobian(graph_of(row), slots)
    values = dict(zip(first.positions, evaluate(first.graph, *row.samples[0])[1:], strict=True))
    unknown = [text in UNKNOWN for text in row.partials]
    assert [np.isnan(values[0, n]) for n in slots] == unknown
    entries = first.graph.outputs[1:]
    second = jacobian(Graph(row.name, first.graph.inputs, first.graph.nodes, entries), slots)
    values = dict(zip(second.positions, evaluate(second.graph, *row.samples[0])[len(entries) :], strict=True))
    assert all(np.isnan(values[m, n]) for m in slots if unknown[m] for n in slots)


def test_other_partials_are_what_sympy_derives():
    assert (Path(nbad.__file__).parent / "operations" / "derived.py").read_text() == derived_source()


@pytest.mark.parametrize("row", STEPS, ids=name_of)
def test_steps_are_flat(row):
    assert set(row.partials) == {"0"}
    assert all(exact_jacobian(graph_of(row), point, (0,)) == 0 for point in points(row))


@pytest.mark.parametrize("name", "abs sign floor sqrt cbrt hypot atan2 pow maximum minimum pymax pymin asin acosh".split())
def test_row_tells_its_convention(name):
    assert TABLE[name].kink
