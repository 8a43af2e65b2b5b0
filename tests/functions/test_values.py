"""nbad's own vector functions against mpmath, and what holds of their bits."""

import math
import re

import numpy as np
import pytest
from helpers.own_functions import BOUNDS, errors, evaluate, hide_library, random_points, special_points
from helpers.tiles_by_hand import compile_tile, graph_of, pairs, run_tile, same_bits

from nbad.codegen.host import host
from nbad.codegen.lower import lower
from nbad.codegen.vector_ir import print_ir
from nbad.functions.library import FUNCTIONS, symbol
from nbad.graphs.graph import GraphBuilder
from nbad.operations.table import TABLE

NUMPY = {row.libm: row.numpy for row in TABLE.values() if row.libm}
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])
some = pytest.mark.parametrize("count", [30, pytest.param(4000, marks=pytest.mark.slow)])


def test_every_function_is_published_as_one_ulp_or_hardly_more():
    assert set(BOUNDS) == set(FUNCTIONS)
    more = {name for name, bounds in BOUNDS.items() if max(bounds.values()) > 1.0}
    assert more <= {"tanh", "erf", "erfc", "pow", "atan2"}
    assert max(max(bounds.values()) for bounds in BOUNDS.values()) <= 1.5


@some
@every_dtype
@every_function
def test_values_are_as_exact_as_is_said(monkeypatch, name, dtype, count):
    points = random_points(name, dtype, count)
    found = errors(name, dtype, evaluate(monkeypatch, name, dtype, *points), *points)
    worst = int(np.argmax(found))
    assert found[worst] <= BOUNDS[name][dtype], [float(x[worst]) for x in points]


# the worst of ten million points of each function
WORST = (
    ("sinh", "float64", -1.0438432758047276), ("acosh", "float64", 1.0604635550439658), ("log10", "float64", 1.3331462041800837),
    ("pow", "float64", 1.4567403131021193, 1813.985043462642), ("hypot", "float64", -4.956391217e-314, -2.1239996556739956e-308),
    ("atanh", "float64", 0.17124505569392484), ("tan", "float32", 14.92568302154541), ("log", "float32", 1.4012778997421265),
    ("log10", "float32", 0.7070960402488708), ("atan2", "float32", 1.114172408984662e-41, 1.6276483240953957e-24),
    ("erfc", "float64", 22.9178053165854), ("erfc", "float32", 0.003542595310136676), ("log2", "float32", 1.402142882347107),
)  # fmt: skip


@pytest.mark.parametrize(("name", "dtype", "point"), [(name, dtype, point) for name, dtype, *point in WORST])
def test_the_worst_points_are_within_what_is_said(monkeypatch, name, dtype, point):
    points = [np.array([x], dtype) for x in point]
    assert errors(name, dtype, evaluate(monkeypatch, name, dtype, *points), *points)[0] <= BOUNDS[name][dtype]


@every_dtype
@every_function
def test_special_points(monkeypatch, name, dtype):
    """Zeros and their signs, infinities, nan, and the ends of the range, against NumPy's function in double precision."""
    points, arity = special_points(dtype), FUNCTIONS[name].arity
    operands = [points] if arity == 1 else pairs(points)
    results = evaluate(monkeypatch, name, dtype, *operands)
    with np.errstate(all="ignore"):
        exact = NUMPY[name](*(x.astype(np.float64) for x in operands))
        expected = exact.astype(dtype)
    special = ~np.isfinite(expected) | (expected == 0)
    assert same_bits(results[special], expected[special])
    units = np.spacing(np.abs(expected[~special])).astype(np.float64)
    distance = np.abs(results[~special].astype(np.float64) - exact[~special])
    assert np.all(distance <= (BOUNDS[name][dtype] + 0.5) * units)  # NumPy's is off by as much


@every_dtype
@every_function
def test_bits_of_a_lane_depend_on_its_own_operands(monkeypatch, name, dtype):
    """Not on its place, its neighbours or the length of the vector; some are so far out that the C function is called."""
    points = random_points(name, dtype, 20)
    points[0][::7] = 1e9
    order = np.random.default_rng(1).permutation(len(points[0]))
    first = evaluate(monkeypatch, name, dtype, *points)
    for registers in (1, 2, 4):
        moved = evaluate(monkeypatch, name, dtype, *(x[order] for x in points), registers=registers)
        assert same_bits(moved, first[order])
    alone = [evaluate(monkeypatch, name, dtype, *(x[k : k + 1] for x in points)) for k in range(8)]
    assert same_bits(np.concatenate(alone), first[:8])


def test_operands_far_out(monkeypatch):
    x = np.array([1e22, -1e300, 2.0**20, 3.0, math.nan, math.inf])
    np.testing.assert_allclose(evaluate(monkeypatch, "sin", "float64", x)[:4], np.sin(x[:4]), rtol=1e-15)
    y = np.array([0.1, 3e-9, 7.0, 2.0, 1.0, 1.0])
    np.testing.assert_array_equal(evaluate(monkeypatch, "fmod", "float64", x, y), [*np.fmod(x[:4], y[:4]), math.nan, math.nan])


def test_all_that_the_table_calls_but_gamma_functions():
    assert set(NUMPY) - set(FUNCTIONS) == {"tgamma", "lgamma"}
    assert set(FUNCTIONS) <= set(NUMPY)


def test_they_serve_where_the_library_has_nothing():
    fused = host()._replace(offered=frozenset(), features="+fma", letter="d")
    assert all(fused.has_own(name, function.arity, "float64") for name, function in FUNCTIONS.items())
    assert not fused._replace(features="").has_own("exp", 1, "float64")
    assert not fused.has_own("tgamma", 1, "float64")
    assert fused._replace(features="+neon", letter="n").has_own("exp", 1, "float32")


def test_they_serve_beside_the_library_only_where_they_are_not_slower():
    symbols = frozenset({"_ZGVdN4v_exp", "_ZGVdN4v_sin", "_ZGVeN8v_exp", "_ZGVeN8v_sin", "_ZGVeN8v_cbrt", "_ZGVnN2v_exp"})
    avx2 = host()._replace(offered=symbols, features="+fma", letter="d", nbytes=32)
    assert avx2.has_own("exp", 1, "float64")
    assert not avx2.has_own("sin", 1, "float64")
    avx512 = avx2._replace(letter="e", nbytes=64)
    assert [name for name in ("exp", "sin", "cbrt") if avx512.has_own(name, 1, "float64")] == ["exp", "sin"]
    assert not avx2._replace(letter="n", nbytes=16).has_own("exp", 1, "float64")


@every_dtype
def test_sine_and_cosine_of_one_operand_are_one_call_with_the_same_bits(monkeypatch, dtype):
    """Also for lanes far out, and where the operand is a result of another call."""
    x = np.concatenate([special_points(dtype), *random_points("sin", dtype, 20)])
    hide_library(monkeypatch)
    kernel = compile_tile(lower(graph_of("sin", "cos", "tan"), dtype))
    assert kernel.llvm.count("call {") == 1
    assert not re.search(r"@nbad_(sin|cos)_", kernel.llvm)
    both = run_tile(kernel, x, x)
    for name, result in zip(("sin", "cos", "tan"), both, strict=True):
        assert same_bits(result, evaluate(monkeypatch, name, dtype, x))


def test_sine_and_cosine_of_different_operands_are_two_calls(monkeypatch):
    hide_library(monkeypatch)
    builder = GraphBuilder("two", ["x", "y"])
    kernel = compile_tile(lower(builder.build([builder.add("sin", 0), builder.add("cos", 1)])))
    assert kernel.code.functions == [symbol(name, "float64", kernel.width) for name in ("sin", "cos")]


def test_the_library_keeps_sine_and_cosine_apart():
    offered = host()._replace(offered=frozenset({"_ZGVdN4v_sin", "_ZGVdN4v_cos"}), features="+fma", letter="d", nbytes=32)
    assert "sincos" not in print_ir(lower(graph_of("sin", "cos")), offered)


@pytest.mark.slow
def test_cached_code_finds_its_functions_in_a_new_process(run_python, tmp_path):
    code = """
import numpy as np, nbad
f = nbad.kernel(lambda x, y: np.exp(np.fmod(x, y)) + np.tanh(x))
print(f(np.linspace(-9.0, 9.0, 100), 1.5).tobytes().hex())
"""
    first, second = (run_python(code, NBAD_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first == second
