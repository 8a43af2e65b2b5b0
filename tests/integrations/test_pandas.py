"""Derivatives on Series and DataFrames: aligned by labels, names and missing values kept; values from closed forms."""

import functools
import math
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

import nbad
from kernels import polar, product
from nbad.integrations import pandas as tables


@pytest.fixture
def book():
    return pd.DataFrame({"phi": [0.1, 0.2, 0.3], "r": [1.0, 2.0, 3.0], "who": list("xyz")}, index=list("abc"))


@pytest.fixture
def x():
    return pd.Series([1.0, 2.0, 3.0], list("abc"), name="n")


def test_a_table_of_arguments_becomes_one_of_values_and_partials(book):
    r, cos, sin = book.r, np.cos(book.phi), np.sin(book.phi)
    expected = {"y0": r * cos, "y1": r * sin, "dy0/dr": cos, "dy0/dphi": -r * sin, "dy1/dr": sin, "dy1/dphi": r * cos}
    found = tables.value_and_partials(polar)(book)
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected), rtol=1e-14)
    assert list(book.join(found).columns) == [*book.columns, *found.columns]
    only = tables.value_and_partials(polar, "phi")(book.r, phi=0.5)
    assert list(only.columns) == ["y0", "y1", "dy0/dphi", "dy1/dphi"]
    np.testing.assert_allclose(only["dy1/dphi"], r * math.cos(0.5), rtol=1e-15)


def test_columns_have_the_names_of_variables_of_fields_and_of_the_kernel(book):
    @nbad.kernel
    def circle(r):
        area, length = math.pi * r * r, 2 * math.pi * r
        return area, length

    found = tables.value_and_partials(circle)(book)
    assert list(found.columns) == ["area", "length", "darea/dr", "dlength/dr"]
    np.testing.assert_allclose(found["darea/dr"], found["length"], rtol=1e-15)
    powers = nbad.kernel(lambda r: {"square": r * r, "cube": r**3})
    assert list(tables.value_and_partials(powers)(book).columns) == ["square", "cube", "dsquare/dr", "dcube/dr"]
    assert list(tables.value_and_partials(product)(book.r, 1.0, c=2.0).columns[:2]) == ["product", "dproduct/da"]


def test_an_output_may_have_the_name_of_a_derivative(x):
    """One column would take the place of the other."""
    found = tables.value_and_partials(nbad.kernel(lambda p: {"p": p * p, "dp/dp": -p}))(x)
    pd.testing.assert_frame_equal(found, pd.DataFrame({"y0": x * x, "y1": -x, "dy0/dp": 2 * x, "dy1/dp": -1.0}))
    assert len(found) == 3


def test_jacobians_have_columns_by_output_and_argument(book):
    blocks = tables.jacobian(polar)(book)
    assert blocks.columns.names == ["output", "argument"]
    np.testing.assert_allclose(blocks["y0", "phi"], -book.r * np.sin(book.phi), rtol=1e-14)
    (first, second), again = tables.value_and_jacobian(polar)(book)
    pd.testing.assert_frame_equal(again, blocks)
    np.testing.assert_allclose(second, book.r * np.sin(book.phi), rtol=1e-14)
    pd.testing.assert_frame_equal(tables.vjp(polar, book)[1].jacobian(), blocks)
    single = tables.jacobian(product)(book.r, book.phi, 2.0)
    assert list(single.columns) == ["a", "b", "c"]
    y, (c_bar, a_bar) = tables.value_and_grad(product, ("c", "a"))(book.r, book.phi, 2.0)
    np.testing.assert_allclose(y, 2.0 * book.r * book.phi, rtol=1e-15)
    np.testing.assert_allclose(c_bar, book.r * book.phi, rtol=1e-15)
    np.testing.assert_allclose(a_bar, 2.0 * book.phi, rtol=1e-15)
    assert first.index.equals(book.index)


def test_series_are_aligned_and_what_is_missing_is_nan(x):
    y = pd.Series([10.0, 20.0, 30.0], list("cax"), name="m")
    value, pullback = tables.vjp(product, x, y, 2.0)
    pd.testing.assert_series_equal(value, 2.0 * x * y, check_names=False)
    x_bar, y_bar, two_bar = pullback(1.0)
    pd.testing.assert_series_equal(x_bar, (2.0 * y).reindex(x.index).rename("n"))
    pd.testing.assert_series_equal(y_bar, (2.0 * x).reindex(y.index).rename("m"))
    assert math.isnan(two_bar)
    blocks = tables.jacobian(product)(x, y, 2.0)
    assert blocks["a"].isna().tolist() == [False, True, False, False]  # where y has no number


def test_seeds_are_paired_by_label(x):
    _, pullback = tables.vjp(product, x, x[::-1], 2.0)
    seed = pd.Series([100.0, 1.0, 10.0], list("cab"))
    a_bar, b_bar, c_bar = pullback(seed)
    pd.testing.assert_series_equal(a_bar, 2.0 * x * pd.Series([1.0, 10.0, 100.0], list("abc")), check_names=False)
    assert (a_bar.index.tolist(), b_bar.index.tolist()) == (list("abc"), list("cba"))
    assert c_bar == 1.0 + 40.0 + 900.0
    many = pullback.batched(pd.DataFrame({"one": 1.0, "seed": seed}))
    pd.testing.assert_series_equal(many[0]["seed"], a_bar, check_names=False)
    pd.testing.assert_series_equal(many[2], pd.Series({"one": 14.0, "seed": 941.0}))
    assert pullback.batched(pd.DataFrame(index=x.index))[0].shape == (3, 0)


def test_the_same_index_may_have_a_label_twice():
    x = pd.Series([1.0, 2.0, 3.0], list("aab"))
    y, pullback = tables.vjp(product, x, x, 1.0)
    assert y.tolist() == [1.0, 4.0, 9.0]
    a_bar = pullback(1.0)[0]
    a_bar.iloc[0] = y.iloc[0] = 5.0  # results may be written to, which pandas before 3.0 makes of memory that may not
    assert (a_bar.tolist(), y.tolist()) == ([5.0, 2.0, 3.0], [5.0, 4.0, 9.0])
    assert pullback(1.0)[0].tolist() == [1.0, 2.0, 3.0]


SAME = ["Float64", "Float32", "float32", *["double[pyarrow]", "float[pyarrow]"] * bool(find_spec("pyarrow"))]


@pytest.mark.parametrize(("dtype", "result"), [*zip(SAME, SAME, strict=True), ("Sparse[float32]", "float32")])
def test_dtypes(dtype, result):
    x = pd.Series([1.0, 2.0, None], dtype=dtype)
    value, pullback = tables.vjp(product, x, x, 2.0)
    (x_bar, _, _), seeded = pullback(1.0), pullback(value.fillna(1.0))[0]
    blocks = tables.jacobian(product)(x, x, 2.0)
    assert {value.dtype.name, x_bar.dtype.name, *(d.name for d in blocks.dtypes)} == {result}
    assert (x_bar[:2].tolist(), seeded[:2].tolist()) == ([2.0, 4.0], [4.0, 32.0])
    assert value.isna().tolist() == x_bar.isna().tolist() == blocks["a"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("dtype", ["int64", "Int64", "bool", "boolean", "Sparse[int64]", "Sparse[bool]"])
def test_whole_numbers_have_no_derivative(dtype):
    n = pd.Series([1, 0], dtype=dtype)
    found = tables.value_and_partials(product)(pd.Series([2.0, 3.0]), n, 1.0)
    assert list(found.columns) == ["product", "dproduct/da", "dproduct/dc"]
    assert found["dproduct/da"].tolist() == [1.0, 0.0]
    longer = tables.value_and_partials(product)(pd.Series([2.0, 3.0, 4.0]), n, 1.0)  # now with a missing number
    assert list(longer.columns) == list(found.columns)
    assert longer["dproduct/da"].isna().tolist() == [False, False, True]
    with pytest.raises(TypeError, match="argnums names b, which has no derivative"):
        tables.jacobian(product, "b")(pd.Series([2.0, 3.0]), n, 1.0)


def test_arguments_with_structure(x):
    @nbad.kernel
    def scaled(p, t):
        return p["x"] * p["s"] * t

    p_bar, t_bar = tables.vjp(scaled, {"x": x, "s": 2.0}, x)[1](1.0)
    pd.testing.assert_series_equal(p_bar["x"], 2.0 * x)
    pd.testing.assert_series_equal(t_bar, 2.0 * x)
    assert p_bar["s"] == 14.0
    columns = ["scaled", "dscaled/dp_x", "dscaled/dp_s", "dscaled/dt"]
    assert list(tables.value_and_partials(scaled)({"x": x, "s": 2.0}, x).columns) == columns


WRONG = {
    "an array": ("vjp(product, x, b, 1.0)", "b has no labels", "(lambda a: vjp(product, a, FIX, 1.0)[0].dropna().loc['a'])(x)"),
    "no Series": ("vjp(product, 1.0, 2.0, 3.0)", "no argument is a Series", "nbad.vjp(product, 1.0, 2.0, 3.0)"),
    "a table among others": ("vjp(product, a, 1.0, 1.0)", "stands for all arguments", "vjp(product, FIX, 1.0, 1.0)"),
    "a table without a name": ("jacobian(product)(pd.DataFrame({'a': x}), c=1.0)", "has nothing named b", None),
    "a name misspelt": ("jacobian(polar)(table)", "nothing named phi", "jacobian(polar)(FIX)"),
    "text": (
        "vjp(product, text, 1.0, 1.0)",
        "a has elements that are no numbers",
        "(lambda a: vjp(product, FIX, 1.0, 1.0))(text)",
    ),
    "objects": (
        "vjp(product, x.astype(object), 1.0, 1.0)",
        "a has elements that are no numbers",
        "(lambda a: vjp(product, FIX, 1.0, 1.0))(x)",
    ),
    "categories": (
        "vjp(product, x.astype('category'), 1.0, 1.0)",
        "dtype category",
        "(lambda a: vjp(product, FIX, 1.0, 1.0))(x)",
    ),
    "dates": ("vjp(product, dates, 1.0, 1.0)", "dtype datetime64", "(lambda a: vjp(product, FIX, 1.0, 1.0))(dates)"),
    "durations": ("vjp(product, days, 1.0, 1.0)", "timedelta64", "(lambda a: vjp(product, FIX, 1.0, 1.0))(days)"),
    "complex": ("vjp(product, x + 1j, 1.0, 1.0)", "dtype complex128", "(lambda a: vjp(product, FIX, 1.0, 1.0))(x + 1j)"),
    "a label twice": ("vjp(product, x, twice, 1.0)", "twice cannot be aligned", "vjp(product, x, (lambda b: FIX)(twice), 1.0)"),
    "labels of several levels beside others": (
        "vjp(product, x, levels, 1.0)",
        "has labels with levels that",
        "(lambda a, b: vjp(product, FIX, b, 1.0))(x, levels)",
    ),
    "a level of labels": (
        "vjp(product, levels, x.rename_axis('k'), 1.0)",
        "has labels with levels that",
        "(lambda a, b: vjp(product, a, FIX, 1.0))(levels, x.rename_axis('k'))",
    ),
    "a column twice": (
        "vjp(product, doubled, b=1.0, c=1.0)",
        "two columns named a",
        "vjp(product, (lambda df: FIX)(doubled), b=1.0, c=1.0)",
    ),
    "an option of arrays": ("jacobian(product)(x, 1.0, 1.0, out=x)", r"'out'\n[^$]*expected: 3 at most: a, b, c\n  fix: ", None),
    "no kernel": ("value_and_partials(abs)", r"`nbad.integrations.pandas.value_and_partials\(f, ...\)`: the first", None),
    "a seed of other labels": ("back(ct)", "labels of ct are not those", "back(FIX)"),
    "a seed of text": ("back(text)", "ct has elements that are no numbers", None),
    "a seed without labels": ("back(ct.to_numpy())", "is no Series", "back((lambda ct: FIX)(ct.to_numpy()))"),
    "a seed in a tuple": ("back((ct,))", "does not have the structure", None),
    "no table of seeds": ("back.batched(1.0)", "number of seeds is not known", "(lambda pullback, cts: FIX)(back, 1.0)"),
    "a table of seeds and text": (
        "back.batched(y.to_frame('p').assign(q='q'))",
        "ct has columns of what are no numbers",
        "back.batched((lambda ct: FIX)(y.to_frame('p').assign(q='q')))",
    ),
    "other seeds": (
        "jointly.batched((y.to_frame('p'), y.to_frame('q')))",
        "other columns in one leaf than",
        "jointly.batched((y.to_frame('p'), (lambda ct: FIX)((y.to_frame('p'), y.to_frame('q')))))",
    ),
    "a Series of seeds": ("back.batched(y)", "is no DataFrame", "back.batched((lambda ct: FIX)(y))"),
    "an array of seeds": ("back.batched(np.ones((2, 3)))", "is no DataFrame", "back.batched((lambda ct: FIX)(np.ones((2, 3))))"),
    "a table for a seed": ("back(y.to_frame())", "is no Series", "back((lambda ct: FIX)(y.to_frame()))"),
    "vectors": ("jacobian(norm)(x)", "vectors for each element", "FIX"),
}


@pytest.fixture
def names(x, book):
    norm = nbad.kernel(lambda v: np.sqrt(v @ v), signature="(3)->()")
    y, back = tables.vjp(product, x, 1.0, 1.0)
    dates = pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"]))
    text, twice, ct = pd.Series(["1.0", "2", "c"], list("abc")), pd.Series([1.0, 2.0], list("aa")), x.set_axis(list("abx"))
    given = dict(a=book.drop(columns="who"), b=np.ones(3), table=book.rename(columns={"phi": "ph"}), days=dates - dates)
    given |= dict(x=x, y=y, back=back, dates=dates, text=text, twice=twice, ct=ct, v=x, f=norm, norm=norm)
    levels = pd.Series([1.0, 2.0, 3.0], pd.MultiIndex.from_tuples([("a", 1), ("b", 1), ("b", 2)], names=["k", "n"]))
    given |= dict(levels=levels, doubled=pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]))
    given |= dict(jointly=tables.vjp(polar, x, 1.0)[1], product=product, polar=polar, np=np, pd=pd, nbad=nbad)
    return given | {verb: getattr(tables, verb) for verb in tables.__all__}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_with_a_fix(name, names):
    wrong, says, right = WRONG[name]
    with pytest.raises(nbad.NbadError, match=says) as caught:
        eval(wrong, names)
    if right:
        fix = str(caught.value).partition("fix: ")[2].partition("  #")[0]
        assert eval(right.replace("FIX", fix), names) is not None


@pytest.mark.parametrize("call", ["jacobian(product, 'b')", "hessian(product, 'c')", "grad(nbad.grad(product, 'c'), 'a')"])
def test_a_table_where_none_is_taken_is_refused_with_a_line_that_takes_it(call, names):
    df = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [5.0, 6.0]})
    with pytest.raises(nbad.NbadError, match="missing a required argument") as caught:
        eval(f"nbad.{call}(df)", names | {"df": df})
    found = eval(str(caught.value).partition("fix: ")[2], names | {"df": df})
    right = {"j": df.a * df.c, "h": 0.0 * df.a, "g": df.b}[call[0]]
    np.testing.assert_array_equal(np.ravel(found), right)


def test_hessians_have_columns_by_pairs_of_arguments(book):
    growth = nbad.kernel(lambda r, phi: r**2 * phi**3)
    r, phi = book.r, book.phi
    found = tables.hessian(growth)(book)
    assert found.columns.names == ["argument", "other_argument"]
    expected = {
        ("r", "r"): 2 * phi**3,
        ("r", "phi"): 6 * r * phi**2,
        ("phi", "r"): 6 * r * phi**2,
        ("phi", "phi"): 6 * r**2 * phi,
    }
    for pair, values in expected.items():
        pd.testing.assert_series_equal(found[pair], values, check_names=False, rtol=1e-14)
    only = tables.hessian(growth, "phi")(r, phi=0.5)
    assert list(only.columns) == [("phi", "phi")]
    np.testing.assert_allclose(only["phi", "phi"], 3 * r**2, rtol=1e-15)
    with pytest.raises(nbad.errors.TraceError, match="take kernels with one number as output"):
        tables.hessian(polar)(book)


def test_tangents_are_aligned_by_labels(x):
    scale = nbad.kernel(lambda a, b: (a * b, a + 2 * b))
    b = pd.Series([10.0, 20.0, 30.0], list("cba"))
    dot = pd.Series([3.0, 1.0, 2.0], list("cab"))
    (y, total), (y_dot, total_dot) = tables.jvp(scale, (x, b), (dot, 0.5))
    assert [s.tolist() for s in (y, total)] == [[30.0, 40.0, 30.0], [61.0, 42.0, 23.0]]
    assert y_dot.to_dict() == {"a": 30.5, "b": 41.0, "c": 31.5}
    assert total_dot.to_dict() == {"a": 2.0, "b": 3.0, "c": 4.0}
    table = pd.DataFrame({"a": x, "b": b})
    for one, other in zip(tables.jvp(scale, (table,), (dot, 0.5))[1], (y_dot, total_dot), strict=True):
        pd.testing.assert_series_equal(one, other)
    power = nbad.kernel(lambda x, n: x**n, static=("n",))
    assert tables.jvp(power, (x, 2), (1.0, None))[1].tolist() == [2.0, 4.0, 6.0]


def test_whole_numbers_have_no_tangent_where_alignment_makes_floats_of_them(x):
    count = pd.Series([4, 5], list("bd"))
    _, y_dot = tables.jvp(nbad.kernel(lambda n, x: n * x), (count, x), (None, x))
    assert y_dot.equals(count * x)


def test_tangents_that_do_not_fit_are_refused(x):
    square = nbad.kernel(lambda x: x * x)
    with pytest.raises(nbad.errors.ArgumentTypeError, match="x_dot is no Series, and nothing is paired by position"):
        tables.jvp(square, (x,), (np.ones(3),))
    with pytest.raises(nbad.errors.ArgumentValueError, match=r"the labels of x_dot are not those of its argument\n[^$]*2 labels"):
        tables.jvp(square, (x,), (pd.Series([1.0, 2.0], list("ab")),))
    with pytest.raises(nbad.errors.ArgumentValueError, match="there must be one tangent per argument"):
        tables.jvp(square, (x,), (1.0, 2.0))
    fixed = pd.Series([1.0, 2.0], list("ab")).reindex(x.index, fill_value=0.0)
    assert tables.jvp(square, (x,), (fixed,))[1].tolist() == [2.0, 8.0, 0.0]


def test_one_table_stands_for_primals_or_tangents():
    area = nbad.kernel(lambda a, b: a * b)
    table = pd.DataFrame({"a": [2.0, 3.0], "b": [5.0, 7.0]})
    along = pd.DataFrame({"b": [10.0, 0.0], "a": [0.0, 1.0]}, [1, 0])
    for given in [(table, along), ((table,), (along,)), (table, (along.a, along.b)), ((table.a, table.b), along)]:
        y, y_dot = tables.jvp(area, *given)
        assert (y.tolist(), y_dot.tolist()) == ([10.0, 21.0], [5.0, 30.0])
    with pytest.raises(nbad.errors.ArgumentValueError, match=r"the tangent of b is missing[^$]*fix: 0\.0"):
        tables.jvp(area, table, along[["a"]])


@pytest.mark.parametrize("static", [(), ("n",)], ids=["number", "static"])
def test_a_parameter_that_no_column_has_keeps_its_default(static):
    """What comes behind it was taken for it, and the derivatives were those of another call."""
    power = nbad.kernel(lambda x, n=2.0, *, c=1.0: c * x**n, static=static)
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0], "c": [0.5, 0.25, 2.0]})
    y, y_dot = tables.jvp(power, (table,), (1.0, 10.0))
    assert y.tolist() == [0.5, 1.0, 18.0]
    assert y_dot.tolist() == [11.0, 41.0, 102.0]


def test_tables_without_rows():
    none, area = pd.Series([], dtype=float), nbad.kernel(lambda a, b: a * b)
    assert tables.jacobian(area)(none, none).shape == (0, 2)
    assert tables.hessian(area)(none, none).shape == (0, 4)
    assert tables.value_and_partials(area)(none, none).shape == (0, 3)
    assert [s.shape for s in tables.jvp(area, (none, none), (1.0, none))] == [(0,), (0,)]


def test_levels_of_other_names_are_not_paired():
    """pandas pairs levels by name: ("u", 1) of one is (1, "u") of the other."""
    index = pd.MultiIndex.from_tuples([(1, 2), (2, 1), (3, 3)], names=["k", "l"])
    a = pd.Series([2.0, 3.0, 4.0], index=index)
    along = pd.Series([1.0, 10.0, 100.0], index=index.rename(["l", "k"]))[::-1]
    assert (a * along).loc[(1, 2)] == 2.0 * 10.0
    square = nbad.kernel(lambda a: a * a)
    for call in (lambda: tables.vjp(square, a)[1](along), lambda: tables.jvp(square, (a,), (along,))):
        with pytest.raises(nbad.errors.ArgumentValueError, match=r"the levels of the labels .*[^$]*got: l, k[^$]*expected: k, l"):
            call()
    by_name = along.reorder_levels(["k", "l"])
    assert tables.vjp(square, a)[1](by_name)[0].tolist() == [40.0, 6.0, 800.0]
    area, others = nbad.kernel(lambda a, b: a * b), along.rename_axis(["k", "other"])
    for call in (tables.value_and_partials(area), tables.jacobian(area), functools.partial(tables.vjp, area)):
        with pytest.raises(nbad.errors.ArgumentValueError, match=r"`: the levels .* of b .*[^$]*fix: b.reorder_levels"):
            call(a, along)
        with pytest.raises(nbad.errors.ArgumentValueError, match=r"`: the levels .* of b .*[^$]*fix: b.rename_axis"):
            call(a, others)
    assert tables.vjp(area, a, by_name)[0].sort_index().tolist() == [20.0, 3.0, 400.0]


def test_intervals_that_overlap_come_in_any_order():
    a = pd.Series([2.0, 3.0, 4.0], index=pd.IntervalIndex.from_tuples([(0, 2), (1, 3), (2, 4)]))
    seed = pd.Series([10.0, 20.0, 30.0], index=a.index)[::-1]
    assert tables.vjp(nbad.kernel(lambda a: a * a), a)[1](seed)[0].tolist() == [40.0, 120.0, 240.0]


def test_labels_that_are_set_after_the_call_leave_the_pullback_alone(x):
    a, b = x.copy(), x.copy()
    y, pullback = tables.vjp(nbad.kernel(lambda a, b: a * b), a, b)
    y.index, a.index, b.name = list("pqr"), list("uvw"), "other"
    for bar in pullback(pd.Series([1.0, 10.0, 100.0], list("abc"))):
        assert bar.equals(pd.Series([1.0, 20.0, 300.0], list("abc")))
        assert bar.name == "n"


def test_tables_and_series_are_not_mixed_by_position():
    """The line that is proposed pairs by labels: a row of the table has the label of the Series' number."""
    area = nbad.kernel(lambda a, b: a * b)
    a, b = pd.DataFrame({"u": [1.0, 2.0], "v": [3.0, 4.0]}, ["x", "y"]), pd.Series([10.0, 100.0], ["y", "x"])
    for args, fix in (((a, b), r"f\(a, pd\.concat\(\[b\] .*\)"), ((b, a), r"f\(pd\.concat\(\[a\] .*, b\)")):
        with pytest.raises(TypeError, match=rf"fix: {fix}$") as caught:
            area(*args)
        line = str(caught.value).rpartition("fix: ")[2]
        found = eval(line, {"f": area, "pd": pd, "a": args[0], "b": args[1]})
        assert found.to_dict() == {"u": {"x": 100.0, "y": 20.0}, "v": {"x": 300.0, "y": 40.0}}
    with pytest.raises(TypeError, match=r"fix: nbad\.integrations\.pandas\.vjp\(f, a\['u'\], b\)$"):
        nbad.vjp(area, a, b)
    assert tables.vjp(area, a["u"], b)[0].to_dict() == {"x": 100.0, "y": 20.0}


def test_numbers_may_be_arrays_without_axes(x):
    square = nbad.kernel(lambda x: x * x)
    assert tables.vjp(square, x)[1](np.array(10.0))[0].tolist() == [20.0, 40.0, 60.0]
    assert tables.jvp(square, (x,), (np.array(10.0),))[1].tolist() == [20.0, 40.0, 60.0]


def test_levels_without_names_are_not_paired_with_others():
    """As pandas refuses it, with the line that pairs them; before 3.1 it pairs levels of other names, by their labels."""
    pairs = [("u", 1), ("v", 2)]
    a, b = (pd.Series([1.0, 2.0], pd.MultiIndex.from_tuples(pairs, names=names)) for names in (None, ["k", "l"]))
    c = pd.Series([1.0, 2.0], pd.MultiIndex.from_tuples([(*pair, 0) for pair in pairs]))
    area = nbad.kernel(lambda a, b: a * b)
    cases = [(b[::-1], "b.rename_axis(a.index.names)"), (c, "b.droplevel([2])")]
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        assert area(a, cases.pop(0)[0]).to_dict() == {("u", 1): 1.0, ("v", 2): 4.0}
    for other, fix in cases:
        with pytest.raises(nbad.errors.ArgumentValueError, match="`: the arguments do not fit one another") as caught:
            area(a, other)
        assert f"fix: {fix}" in str(caught.value)
        assert area(a, eval(fix, {"a": a, "b": other})).tolist() == [1.0, 4.0]
