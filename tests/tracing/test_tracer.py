"""Tracing: the graph that a kernel makes, as text and by its values."""

import copy
import importlib
import math
import sys
from time import process_time
from zipfile import ZipFile

import numpy as np
import pytest
from helpers.tracing import FakeKernel, check_values, text, traced
from hypothesis import given
from hypothesis import strategies as st

import nbad
from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace

SCALE = np.float64(1.5)
reals = st.floats(0.1, 3.0) | st.floats(-3.0, -0.1)


def cube(x):
    return x * math.fabs(x) * x


# graphs as text


def test_printed_graph_names_the_lines_of_the_user():
    def wave(x, k):
        phase = k * x
        return math.sin(phase) / 2, k

    first = wave.__code__.co_firstlineno
    assert str(traced(wave, "x k").graph) == "\n".join(
        [
            "wave(x, k):",
            f"  phase = mul(k, x)                            # test_tracer.py:{first + 1}",
            f"  %3 = sin(phase)                              # test_tracer.py:{first + 2}",
            f"  %5 = div(%3, 2.0)                            # test_tracer.py:{first + 2}",
            "  return %5, k",
        ]
    )


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        (lambda x: x + 1, ["%2 = add(x, 1.0)"]),
        (lambda x: 1 + x, ["%2 = add(1.0, x)"]),
        (lambda x: 1 - x, ["%2 = sub(1.0, x)"]),
        (lambda x: 3 * x, ["%2 = mul(3.0, x)"]),
        (lambda x: 1 / x, ["%2 = div(1.0, x)"]),
        (lambda x: np.float64(2) / x, ["%2 = div(2.0, x)"]),
        (lambda x: x / np.int64(2), ["%2 = div(x, 2.0)"]),
        (lambda x: np.array(2.0) - x, ["%2 = sub(2.0, x)"]),
        (lambda x: True + x, ["%2 = add(1.0, x)"]),
        (lambda x: -x, ["%1 = neg(x)"]),
        (lambda x: abs(x), ["%1 = abs(x)"]),
        (lambda x: x**3, ["%1 = powi(x, 3)"]),
        (lambda x: x**-2, ["%1 = powi(x, -2)"]),
        (lambda x: x ** np.int32(2), ["%1 = powi(x, 2)"]),
        (lambda x: pow(x, 2), ["%1 = powi(x, 2)"]),
        (lambda x: x**2.0, ["%2 = pow(x, 2.0)"]),
        (lambda x: x**65537, ["%2 = pow(x, 65537.0)"]),
        (lambda x: x**65536, ["%1 = powi(x, 65536)"]),
        (lambda x: 2**x, ["%2 = pow(2.0, x)"]),
        (lambda x: np.float64(2) ** x, ["%2 = pow(2.0, x)"]),
        (lambda x: x**x, ["%1 = pow(x, x)"]),
        (lambda x: np.power(x, 2), ["%2 = pow(x, 2.0)"]),
        (lambda x: x // 2, ["%2 = floordiv(x, 2.0)"]),
        (lambda x: 7 % x, ["%2 = mod(7.0, x)"]),
        (lambda x: divmod(x, 3)[1], ["%2 = floordiv(x, 3.0)", "%3 = mod(x, 3.0)"]),
        (lambda x: round(x), ["%1 = round(x)", "%3 = add(%1, 0.0)"]),
        (lambda x: np.round(x), ["%1 = round(x)"]),
        (lambda x: np.around(x, 2), ["%2 = mul(x, 100.0)", "%3 = round(%2)", "%4 = div(%3, 100.0)"]),
        (lambda x: np.round(x, decimals=-1), ["%2 = div(x, 10.0)", "%3 = round(%2)", "%4 = mul(%3, 10.0)"]),
        (lambda x: math.pow(x, 2), ["%2 = pow(x, 2.0)"]),
        (lambda x: math.floor(x), ["%1 = floor(x)", "%3 = add(%1, 0.0)"]),
        (lambda x: math.log(x, 2), ["%1 = log(x)", "%3 = log(2.0)", "%4 = div(%1, %3)"]),
        (lambda x: max(x, 1), ["%2 = pymax(x, 1.0)"]),
        (
            lambda x: min(0, x, 1),
            ["%2 = pymin(0.0, x)", "%4 = pymin(%2, 1.0)", "%5 = tied(%4, 0.0, x, 1.0, one of 3)"]),
        (lambda x: max([x, 2]), ["%2 = pymax(x, 2.0)"]),
        (lambda x: sum([x, x]), ["%2 = add(0.0, x)", "%3 = add(%2, x)"]),
        (lambda x: np.where(x > 0, x, 0), ["%2 = gt(x, 0.0)", "%3 = select(%2, x, 0.0)"]),
        (lambda x: np.where(x, 1, 2), ["%2 = ne(x, 0.0)", "%5 = select(%2, 1.0, 2.0)"]),
        (lambda x: np.where(True, x, 2), ["%3 = select(True, x, 2.0)"]),
        (lambda x: 2 * (x > 0), ["%2 = gt(x, 0.0)", "%5 = select(%2, 1.0, 0.0)", "%6 = mul(2.0, %5)", "%7 = add(%6, 0.0)"]),
        (lambda x: np.where((x > 0) & (x < 1), x, 0),
         ["%2 = gt(x, 0.0)", "%4 = lt(x, 1.0)", "%5 = and(%2, %4)", "%6 = select(%5, x, 0.0)"]),
        (lambda x: np.where(~(x >= 0) | True, x, 0),
         ["%2 = ge(x, 0.0)", "%3 = not(%2)", "%5 = or(%3, True)", "%6 = select(%5, x, 0.0)"]),
        (lambda x: x * x + x * x, ["%1 = mul(x, x)", "%2 = add(%1, %1)"]),
        (lambda x: x + 2 * 3 / 4, ["%2 = add(x, 1.5)"]),
        (lambda x: x + math.sqrt(4), ["%2 = add(x, 2.0)"]),
        (lambda x: x * np.pi, ["%2 = mul(x, 3.141592653589793)"]),
        (lambda x: x * SCALE, ["%2 = mul(x, 1.5)"]),
        (lambda x: x * 0.0 + math.inf, ["%2 = mul(x, 0.0)", "%4 = add(%2, inf)"]),
    ],
)  # fmt: skip
def test_operators_as_text(function, lines):
    assert text(function)[:-1] == lines


@pytest.mark.parametrize(
    "function",
    [lambda x: x, lambda x: +x, lambda x: x**1, lambda x: float(x), lambda x: np.float64(x), lambda x: copy.deepcopy(x)],
)
def test_what_is_no_operation(function):
    assert text(function) == ["return x"]


def test_power_zero_is_one():
    assert text(lambda x: x**0) == ["return 1.0"]


def test_constants_and_inputs_as_outputs():
    run = traced(lambda x, y: (y, 2, x, np.float32(0.5), -0.0), "x y")
    assert run.structure.is_tuple
    assert run.outputs == ((),) * 5
    assert text(lambda x, y: (y, 2, x, np.float32(0.5), -0.0), "x y") == ["return y, 2.0, x, 0.5, -0.0"]


def test_tuple_of_one_and_single_value():
    assert traced(lambda x: (x,)).structure.is_tuple
    assert not traced(lambda x: x).structure.is_tuple


def test_slots_of_vector_arguments_are_named_in_c_order():
    assert Argument("m", (2, 2)).slots == ("m[0,0]", "m[0,1]", "m[1,0]", "m[1,1]")
    assert Argument("r", (3,)).slots == ("r[0]", "r[1]", "r[2]")
    assert Argument("x").slots == ("x",)


# other kernels


def test_kernel_in_kernel_is_spliced():
    inner = FakeKernel(lambda a, b: (a * b, a - 1), "a b")

    def kernel(x):
        p, q = inner(x, b=2.0)
        return p + q + inner(2.0, 3.0)[0]

    assert text(kernel) == ["p = mul(x, 2.0)", "q = sub(x, 1.0)", "%5 = add(p, q)", "%7 = add(%5, 6.0)", "return %7"]


def test_spliced_single_output_and_conditions_as_operands():
    inner = FakeKernel(lambda a: math.exp(a), "a")
    assert text(lambda x: inner(x > 0)) == ["%2 = gt(x, 0.0)", "%4 = select(%2, 1.0, 0.0)", "%5 = exp(%4)", "return %5"]


def test_spliced_nodes_keep_their_source():
    inner = FakeKernel(cube, "x")
    graph = traced(lambda x: inner(x)).graph
    line = cube.__code__.co_firstlineno + 1
    assert {node.source for node in graph.nodes if node.op != "input"} == {f"test_tracer.py:{line}"}


# values


def arithmetic(x, y):
    a = (x + y) * x - y / x
    b = math.exp(-a * a) + x**3 - 2**y + abs(x) ** 1.5
    return a, b, np.hypot(a, b), np.where(a > b, a, -b)


def conditions(x, y):
    inside = (x > -1) & (x < 1) | (y >= 2) ^ (x != y)
    return np.where(~inside, x, y) + (x == x) - (x <= y) * 2, inside + 0.5, np.where(x > 0, x > 1, y > 1) * 1.0


def spelled(x, y):
    u = np.sqrt(np.abs(x)) + np.square(y) - np.minimum(x, y) + np.maximum(x, 0.5)
    v = np.sign(x) * np.floor(y) + np.ceil(x) + np.reciprocal(x) + np.deg2rad(y) + math.degrees(x)
    return u, v, np.logaddexp(x, y), np.arctan2(x, y), max(x, y, 0.0) - min(x, y), np.logical_xor(x > 0, y > 0) * x


@given(reals, reals)
@pytest.mark.parametrize("kernel", [arithmetic, conditions, spelled])
def test_graph_has_the_values_of_the_function(kernel, x, y):
    check_values(kernel, x, y)


def _grown(inner):
    calls = st.sampled_from(["math.sin", "np.cos", "abs", "-", "math.tanh", "np.square"])
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda p: f"({' '.join(p)})"),
        st.tuples(calls, inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"np.where({p[0]} > {p[1]}, {p[2]}, {p[0]})"),
        st.tuples(st.sampled_from(["max", "min"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.tuples(inner, st.integers(0, 3)).map(lambda p: f"({p[0]}) ** {p[1]}"),
    )


@given(st.recursive(st.sampled_from(["x", "y", "1.5", "-2"]), _grown, max_leaves=12), reals, reals)
def test_random_expressions(expression, x, y):
    function = eval(f"lambda x, y: {expression}", {"math": math, "np": np})
    run = traced(function, "x y")
    with np.errstate(all="ignore"):
        expected = float(function(np.float64(x), np.float64(y)))
    np.testing.assert_allclose(float(evaluate(run.graph, x, y)[0]), expected, rtol=1e-12, equal_nan=True)


# odds and ends


def test_traced_values_print_and_format(capsys):
    seen = []

    def kernel(x, y):
        seen.append((f"{x}", f"{x * y:.3f}", repr(x**0), str([y])))
        return x

    def shows(x, y):
        print(x, f"{x * y:.3f}", x**0, [y])
        return x

    traced(shows, "x y")
    assert capsys.readouterr().out == "<traced x> <traced %2> 1.0 [<traced y>]\n"
    with pytest.raises(TraceError, match="computes with the text of a traced value, which is not that of a number"):
        traced(kernel, "x y")
    assert seen == [("<traced x>", "<traced %2>", "1.0", "[<traced y>]")]


def test_identity_and_types():
    def kernel(x, y):
        assert x is x
        assert x is not y
        assert isinstance(x, float)
        assert not isinstance(x, int)
        assert isinstance(2.0, float)
        assert not hasattr(x, "__iter__")
        assert getattr(x, "shape", None) == ()
        assert (x == None) is False  # noqa: E711
        assert x != "text"
        return x + y

    assert text(kernel, "x y")[-2] == "%2 = add(x, y)"


def test_other_types_may_answer_for_themselves():
    class Vector:
        def __rmul__(self, other):
            return other + 10

    assert text(lambda x: x * Vector()) == ["%2 = add(x, 10.0)", "return %2"]


def test_traces_may_run_inside_one_another_and_again():
    inner = FakeKernel(lambda a: FakeKernel(cube, "x")(a) + 1, "a")
    assert text(lambda x: inner(x)) == text(lambda x: inner(x))


def test_source_in_an_archive_is_found(tmp_path, monkeypatch):
    source = "import nbad\n\n@nbad.kernel\ndef f(x):\n    return x * x if x > 0 else -x\n\ndef wrong():\n    return f('a')\n"
    with ZipFile(tmp_path / "application.pyz", "w") as archive:
        archive.writestr("of_archive.py", source)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "application.pyz"), *sys.path])
    module = importlib.import_module("of_archive")
    with pytest.raises(TypeError, match=r"x holds text\n    return f\('a'\) +\(of_archive\.py:8\)"):
        module.wrong()
    assert list(nbad.grad(module.f)(np.array([3.0, -1.0]))) == [6.0, -1.0]


def test_operations_are_counted_without_constants():
    def kernel(x):
        for _ in range(10):
            x = x + 1
        return x

    assert len(trace(kernel, (Argument("x"),), {}, max_operations=10).graph.outputs) == 1
    with pytest.raises(TraceError, match="has more than 9 operations"):
        trace(kernel, (Argument("x"),), {}, max_operations=9)


def test_tracing_is_quick():
    def kernel(x, y):
        for _ in range(25):
            x = x * y + 1.5
            y = y - x / 3.0
        return x

    def seconds():
        start = process_time()
        traced(kernel, "x y")
        return process_time() - start

    assert min(seconds() for _ in range(5)) < 0.02
