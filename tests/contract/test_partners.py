"""Kernels of objects of pandas, xarray, dask, pint and astropy: what NumPy's own function gives, or a refusal by name whose line
works. Nothing is paired by position, or computed, in silence.
"""

import pickle
from importlib.util import find_spec

import numpy as np
import pytest

import nbad

# the stand-in's name of each is tested in tests/api, too
NAMES = ["add", "modf", *(pytest.param(name, marks=pytest.mark.slow) for name in ("subtract", "power", "mod", "exp"))]


def named(name, function):
    function.__name__ = function.__qualname__ = name
    return nbad.kernel(function)


@pytest.fixture(scope="module", params=NAMES)
def subtract(request):
    """Kernels of one function under names that partners know."""
    return named(request.param, lambda x, y: x - y)


@pytest.fixture(scope="module")
def both():
    return nbad.kernel(lambda x, y: (x - y, x * y))


@pytest.fixture(scope="module")
def ends():
    return nbad.kernel(lambda r, s: [r[0] * s, r[2] * s], signature="(3),()->(2)")


def fix_of(error):
    return str(error).partition("fix: ")[2].partition("  #")[0]


def refused(call, what):
    with pytest.raises(nbad.NbadError, match=rf"is an? {what}") as caught:
        call()
    assert __file__.rpartition("/")[2] in str(caught.value)  # the user's line, and no partner's
    return fix_of(caught.value)


@pytest.mark.parametrize("dtype", ["Float64", "float32", *["double[pyarrow]", "float[pyarrow]"] * bool(find_spec("pyarrow"))])
def test_columns_of_several_outputs_keep_their_dtype(both, dtype):
    """Of all that a function returns pandas makes one column of Arrow's."""
    import pandas as pd

    x = pd.Series([1.0, 2.0, None], dtype=dtype)
    for pair in ((x, x), (x, 1.0), (2.0, x)):
        found = both(*pair)
        assert [y.dtype.name for y in found] == [x.dtype.name] * 2
        assert [y.isna().tolist() for y in found] == [[False, False, True]] * 2
    assert [y[:2].tolist() for y in found] == [[1.0, 0.0], [2.0, 4.0]]


def test_text_is_told_before_missing_bools_of_arrows(both):
    """Which pandas makes objects of."""
    import pandas as pd

    text = pd.Series(["u", "v"])
    for dtype in ["bool[pyarrow]"] * bool(find_spec("pyarrow")):
        bools = pd.Series([True, None], dtype=dtype)
        with pytest.raises(TypeError, match=r"y has elements that are no numbers[^$]*dtype str[^$]*which may be nullable\n"):
            both(bools, text)
        with pytest.raises(
            TypeError, match=r"nullable; missing bools of Arrow's are objects to pandas\n  fix: x.astype\(float\)$"
        ):
            both(bools, 1.0)
        assert both(bools.astype(float), 1.0)[0].isna().tolist() == [False, True]


def test_pandas_aligns(subtract, both):
    import pandas as pd

    x, y = pd.Series([1.0, 2.0, 3.0], list("abc"), name="n"), pd.Series([10.0, 20.0, 30.0], list("cax"), name="n")
    pd.testing.assert_series_equal(subtract(x, y), np.subtract(x, y))
    pd.testing.assert_series_equal(subtract(x, 1.0), x - 1.0)
    pd.testing.assert_series_equal(subtract(1, x.astype("float32")), np.float32(1) - x.astype("float32"))
    difference, product = both(x, y)
    assert list(difference.index) == list("abcx")
    pd.testing.assert_series_equal(difference, x - y)
    pd.testing.assert_series_equal(product, x * y)
    pd.testing.assert_series_equal(nbad.grad(nbad.kernel(lambda x, y: x * y))(x, y), y.reindex(list("abcx")))
    assert list(subtract(y, x).index) == list("abcx")
    frame, other = pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25]}), pd.DataFrame({"b": [1.0, 2.0], "a": [4.0, 8.0]}, [1, 0])
    pd.testing.assert_frame_equal(subtract(frame, other), frame - other)
    pd.testing.assert_frame_equal(subtract(frame, 1.0), frame - 1.0)
    missing = pd.Series([1.0, None], dtype="Float64")
    pd.testing.assert_series_equal(subtract(missing, 1.0), missing - 1.0)


def test_one_output_in_a_tuple_comes_in_it():
    import dask.array as da
    import pandas as pd
    import xarray as xr

    x, y = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    product = nbad.kernel(lambda x, y: x * y)
    kinds = (pd.Series, pd.DataFrame, xr.DataArray, lambda a: xr.DataArray(a).chunk(dim_0=1), lambda a: da.from_array(a, 1))
    for kernel, right in ((nbad.kernel(lambda x, y: (x * y,)), x * y), (nbad.grad(product, ("x",)), y)):
        for kind in kinds:
            found = kernel(kind(x), kind(y))
            assert (type(found), type(found[0])) == (tuple, type(kind(x)))
            np.testing.assert_array_equal(np.ravel(*found), right)
        assert nbad.kernel(lambda x, y: {"z": x - y})(pd.Series(y), pd.Series(x))["z"].tolist() == [3.0, 4.0]


def test_one_answer_for_several_outputs_is_refused(both):
    """Polars' expressions stand for whatever a function returns."""

    class Expression:
        def __array_ufunc__(self, ufunc, *args, **options):
            return self

    refused(lambda: both(Expression(), 1.0), "[a-z_]+.Expression")


def test_what_pandas_cannot_do_is_refused_by_name(subtract, ends):
    import pandas as pd

    x, frame = pd.Series([1.0, 2.0], list("ab")), pd.DataFrame(np.eye(3))
    mixed = refused(lambda: subtract(x, frame), "pandas.Series")
    frame = pd.DataFrame([[1.0, 2.0], [4.0, 8.0]], list("ba"), pd.MultiIndex.from_tuples([("p", 1), ("p", 1)], names=["k", "n"]))
    found = eval(mixed, {"pd": pd, subtract.__name__: subtract, "x": x, "y": frame})
    pd.testing.assert_frame_equal(found, -frame.sub(x, axis=0))
    assert refused(lambda: subtract(x, pd.NA), "pandas.NAType") == "np.nan"
    with pytest.raises(nbad.NbadError, match=r"elements that are no numbers[^$]*fix: x\.astype\(float\)"):
        subtract(x.astype(object), 1.0)
    with pytest.raises(nbad.NbadError, match=r"holds Python objects[^$]*fix: x\.astype\(float\)"):
        subtract(x.iloc[:1] > 1.0, x)
    assert refused(lambda: nbad.hessian(subtract)(x, x), "pandas.Series").startswith("nbad.integrations.pandas.hessian(")
    assert refused(lambda: nbad.jvp(subtract, (x, x), (x, 1.0)), "pandas.Series").startswith("nbad.integrations.pandas.jvp(")
    assert refused(lambda: ends(frame, 1.0), "pandas.DataFrame") == "r.to_numpy()"
    line = refused(lambda: nbad.vjp(subtract, x, x), "pandas.Series")
    assert line == f"nbad.integrations.pandas.vjp({subtract.__name__}, x, y)"
    pd.testing.assert_series_equal(
        eval(line, {"nbad": nbad, subtract.__name__: subtract, "x": x, "y": 2.0 * x})[0], -x, check_names=False
    )
    assert refused(lambda: nbad.vjp(subtract, x, np.ones(2)), "pandas.Series") == "x.to_numpy()"
    assert refused(lambda: nbad.linearize(subtract, x, 1.0), "pandas.Series") == "x.to_numpy()"
    assert refused(lambda: subtract(x, 1.0, out=np.empty(2)), "pandas.Series") == "x.to_numpy()"
    assert refused(lambda: subtract(np.ones(2), 1.0, where=x > 1), "pandas.Series") == "where.to_numpy()"


DAYS = "pd.date_range('2020', periods=2, tz='UTC')"
ODD = {
    "texts": "pd.Series(['1', '2.5'])",
    "texts of which one is no number": "pd.Series(['1', 'x'])",
    "categories of numbers": "pd.Series([1, 2]).astype('category')",
    "categories of whole numbers, one of which is missing": "pd.Series(pd.Categorical([1, None]))",
    "categories of texts": "pd.Series(['1', 'x']).astype('category')",
    "categories of dates": f"pd.Series({DAYS}).astype('category')",
    "dates": f"pd.Series({DAYS})",
    "periods": "pd.Series(pd.PeriodIndex(['2020-01', None], freq='M'))",
    "intervals": "pd.Series(pd.interval_range(0, 2))",
    "complex numbers": "pd.Series([1j, 2.0])",
}


@pytest.mark.parametrize("series", ODD.values(), ids=ODD)
def test_a_series_of_what_are_no_numbers_needs_one_fix(series):
    """One for the call of the partner's verb, another for the numbers: the line has both."""
    import pandas as pd

    area, x = nbad.kernel(lambda x, y: x * y), eval(series, {"pd": pd})
    names = {"pd": pd, "nbad": nbad, "f": area, "x": x, "y": 2.0}
    with pytest.raises(nbad.NbadError, match="x has elements that are no numbers") as caught:
        area(x, 2.0)
    numbers = eval(fix_of(caught.value), names)
    assert numbers[x.isna()].isna().all()
    pd.testing.assert_series_equal(area(numbers, 2.0), 2.0 * numbers)
    y, pullback = eval(refused(lambda: nbad.vjp(area, x, 2.0), "pandas.Series"), names)
    pd.testing.assert_series_equal(y, 2.0 * numbers, check_names=False)
    pd.testing.assert_series_equal(pullback(1.0)[0], 0.0 * numbers.fillna(0.0) + 2.0, check_names=False)


def test_a_table_with_other_columns_than_numbers_is_refused_with_the_line_that_picks_these(subtract):
    import pandas as pd
    import xarray as xr

    table = pd.DataFrame({"a": [1.0, 2.0], "n": [1, 2], "text": ["p", "q"], "d": pd.to_timedelta([1, 2], "s"), "c": [1j, 1.0]})
    data = xr.Dataset({"a": ("i", [1.0, 2.0]), "text": ("i", ["p", "q"])})
    for x in (table, data):
        with pytest.raises(nbad.NbadError, match="x has columns of what are no numbers") as caught:
            subtract(x, 1.0)
        kept = eval(fix_of(caught.value), {"x": x})
        assert list(subtract(kept, 1.0)) == [key for key in x if key in "an"]


def test_labels_that_are_there_twice_are_refused_with_the_line_that_keeps_the_first():
    """Pandas aligns two of such Series by all pairs, and three not at all."""
    import pandas as pd

    total, x = nbad.kernel(lambda x, y, z: x + y + z), pd.Series([1.0, 2.0], ["a", "b"])
    y = pd.Series([10.0, 20.0, 30.0], pd.Index(["b", "b", "a"], name="k"))
    with pytest.raises(nbad.NbadError, match="do not fit one another") as caught:
        total(x, y, x)
    assert total(x, eval(fix_of(caught.value), {"y": y}), x).to_dict() == {"a": 32.0, "b": 14.0}


def test_several_arguments_with_labels_become_arrays_that_are_paired_by_these(subtract):
    """One by one they would be paired by their places."""
    import pandas as pd
    import xarray as xr

    x = pd.Series([1.0, 2.0, 3.0], list("abc"))
    y, names = 10.0 * x[::-1], {"pd": pd, "xr": xr}
    for call in (lambda: nbad.linearize(subtract, x, y), lambda: subtract(x, y, out=np.empty(3))):
        names |= {"x": x, "y": y}
        exec(refused(call, "pandas.Series, and so is y"), names)
        assert nbad.linearize(subtract, names["x"], names["y"])[0].tolist() == [-9.0, -18.0, -27.0]
    a = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("i", "j"), coords={"i": [0, 1]})
    b = xr.DataArray([10.0, 20.0], dims="i", coords={"i": [1, 0]})
    names |= {"x": a, "y": b}
    exec(refused(lambda: nbad.hvp(subtract, (a, b), (1.0, 1.0)), "xarray.DataArray, and so is y"), names)
    np.testing.assert_array_equal(subtract(names["x"], names["y"]), a - b)
    names |= {"x": a, "y": b.to_series()}
    exec(refused(lambda: nbad.linearize(subtract, a, names["y"]), "xarray.DataArray, and so is y"), names)
    np.testing.assert_array_equal(subtract(names["x"], names["y"]), a - b)


def test_xarray_pairs_dimensions_by_name(subtract, both):
    import xarray as xr

    x = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("i", "j"), coords={"i": [0, 1]})
    y = xr.DataArray(np.arange(6.0).reshape(3, 2), dims=("j", "i"), coords={"i": [1, 0]})
    xr.testing.assert_identical(subtract(x, y), np.subtract(x, y))
    xr.testing.assert_identical(both(x, y)[1], x * y)
    xr.testing.assert_identical(subtract(xr.Dataset({"v": x}), y), xr.Dataset({"v": x}) - y)
    lazy = subtract(x.chunk({"j": 1}), y)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), np.subtract(x, y))


def test_what_xarray_cannot_do_is_refused_with_a_line_that_works(subtract, ends):
    import xarray as xr

    r = xr.DataArray(np.arange(12.0).reshape(3, 4), dims=("c", "t")).transpose("t", "c")
    s = xr.DataArray(np.arange(4.0), dims="t")
    line = refused(lambda: ends(r, s), "xarray.DataArray")
    made = eval(line, {"xr": xr, "f": ends, "r": r, "s": s})
    np.testing.assert_array_equal(made.to_numpy(), ends(r.to_numpy(), s.to_numpy()))
    line = refused(lambda: nbad.jacobian(subtract)(r, s), "xarray.DataArray")
    assert line == f"nbad.integrations.xarray.jacobian({subtract.__name__})(x, y)"
    made = eval(line, {"nbad": nbad, subtract.__name__: subtract, "x": r, "y": s})
    np.testing.assert_array_equal(made, np.broadcast_to([[1.0, -1.0]], (*r.shape, 1, 2)))
    assert refused(lambda: nbad.jacobian(ends)(r, s), "xarray.DataArray") == "r.to_numpy()"


def test_what_xarray_does_not_take_beside_its_arrays_becomes_one_of_them(subtract, ends):
    """To call `xr.apply_ufunc` paired a Series by its places."""
    import pandas as pd
    import xarray as xr

    x, y = xr.DataArray([1.0, 2.0], dims="i", coords={"i": ["p", "q"]}), pd.Series([10.0, 20.0], pd.Index(["q", "p"], name="i"))
    names = {"np": np, "xr": xr, "nbad": nbad, subtract.__name__: subtract, "x": x, "y": y}
    assert eval(refused(lambda: subtract(x, y), "xarray.DataArray"), names).values.tolist() == [-19.0, -8.0]
    fives = [5.0, 5.0]
    assert eval(refused(lambda: subtract(x, fives), "xarray.DataArray"), names | {"y": fives}).values.tolist() == [-4.0, -3.0]
    r, t = (
        xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("i", "j"), coords={"i": ["p", "q"]}),
        pd.DataFrame(np.eye(3), list("pqr")),
    )
    names |= {"f": ends, "r": r, "s": y}
    assert eval(refused(lambda: ends(r, y), "xarray.DataArray"), names).values.tolist() == [[0.0, 40.0], [30.0, 50.0]]
    t.index.name, names = "i", names | {"r": t, "s": x}
    assert eval(refused(lambda: ends(t, x), "pandas.DataFrame"), names).values.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    with pytest.raises(nbad.NbadError, match=r"y has no labels[^$]*fix: xr\.DataArray\(y\)"):
        nbad.integrations.xarray.vjp(subtract, x, y)


def test_lazy_arrays_of_xarray_stay_so_where_a_line_is_needed(both, ends):
    """What dask refuses of the arrays within is told of those with labels."""
    import dask.array as da
    import xarray as xr

    x = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("i", "j"), coords={"i": [0, 1]})
    y, names = xr.DataArray([1.0, 2.0], dims="i", coords={"i": [1, 0]}), {"xr": xr, "f": both}
    made = eval(refused(lambda: both(x.chunk(i=1), y), "xarray.DataArray"), names | {"x": x.chunk(i=1), "y": y})
    assert made[1].chunks is not None
    xr.testing.assert_identical(made[1].compute(), both(x, y)[1])
    data, number = xr.Dataset({"p": x.chunk(i=1), "q": x.chunk(i=2)}), xr.DataArray(da.asarray(2.0))
    made = eval(refused(lambda: both(data, y), "xarray.Dataset"), names | {"x": data, "y": y})
    xr.testing.assert_identical(made[0].compute(), both(data.compute(), y)[0])
    made = eval(refused(lambda: both(number, y), "xarray.DataArray"), names | {"x": number, "y": y})
    xr.testing.assert_equal(made[1].compute(), 2.0 * y)
    r, s = x.chunk(i=1, j=1), y.chunk(i=1)
    made = eval(refused(lambda: ends(r, s), "xarray.DataArray"), names | {"f": ends, "r": r, "s": s})
    np.testing.assert_array_equal(made.compute().sel(i=[0, 1]), ends(x.values, [2.0, 1.0]))


SHAPES = ["pd.Series(a)", "pd.Index(a)", "pd.array(a)", "xr.DataArray(a)", "da.from_array(a)", "xr.DataArray(a).chunk(1)"]


@pytest.mark.parametrize("made", SHAPES)
def test_shapes_that_do_not_broadcast_are_refused_with_a_line_that_works(subtract, made):
    import dask.array as da
    import pandas as pd
    import xarray as xr

    given = {"pd": pd, "xr": xr, "da": da, "np": np, "x": np.arange(3.0), "y": np.array([10.0, 20.0])}
    for name in "xy":
        names = given | {name: eval(made, {**given, "a": given[name]})}
        with pytest.raises(nbad.NbadError, match=r"do not broadcast\n[^$]*got: [xy]") as caught:
            subtract(names["x"], names["y"])
        axis = str(caught.value).partition("fix: ")[2][0]
        names[axis] = eval(fix_of(caught.value), names)
        right = np.subtract.outer(given["x"], given["y"])
        np.testing.assert_array_equal(subtract(names["x"], names["y"]), right if axis == "x" else right.T)


def test_names_of_dimensions_are_no_shapes(subtract):
    """What is raised for others is not taken for a misfit of these."""
    import xarray as xr

    @nbad.kernel
    def picky(x, y):
        if x == y:
            raise ValueError("the same")
        return x

    x = xr.Variable("i", np.ones(2))
    with pytest.raises(ValueError, match="the same"):
        picky(x, xr.Variable("j", np.arange(3.0)))
    with pytest.raises(nbad.NbadError, match=r"fix: y\.isel"):
        subtract(x, xr.Variable("i", np.arange(3.0)))


def test_what_dask_cannot_take_is_refused_before_anything_runs(subtract):
    import dask
    import dask.array as da

    x = da.ones(4, chunks=2)
    masked = da.ma.masked_greater(da.arange(4.0, chunks=2), 1.0)
    fix = refused(lambda: subtract(masked, x), "masked array")
    assert subtract(eval(fix, {"da": da, "np": np, "x": masked}), x).compute()[:2].tolist() == [-1.0, 0.0]
    assert refused(lambda: subtract(x, np.ma.ones(4)), "masked array") == "y.filled(np.nan)"
    with dask.config.set(scheduler="synchronous"):
        for call in (lambda: subtract(x, dask.delayed(3.0)), lambda: nbad.vjp(subtract, np.ones(2), dask.delayed(3.0))):
            assert refused(call, "dask.Delayed") == "y.compute()"


def test_dask_stays_lazy(subtract):
    import dask.array as da

    def load(block):
        loaded.append(block.size)
        return block

    loaded = []
    x = da.from_array(np.arange(6.0), chunks=2).map_blocks(load, dtype=float, meta=np.empty(0))
    loaded.clear()
    made = subtract(x, 2.0 * x)
    assert isinstance(made, da.Array)
    assert loaded == []
    np.testing.assert_array_equal(made.compute(scheduler="synchronous"), -np.arange(6.0))


def test_dask_runs_nothing_to_find_the_dtype():
    import dask.array as da

    @nbad.kernel
    def picky(x):
        if x < 1e300:
            raise ValueError("small")
        return x / 1e300

    for dtype in ("float64", "float32"):
        x = da.full(4, 2, dtype=dtype, chunks=2)
        assert picky(x).dtype == dtype
        with pytest.raises(ValueError, match="small"):
            picky(x).compute(scheduler="synchronous")


def test_what_dask_cannot_do_is_refused_with_a_line_that_works(both, ends):
    import dask.array as da

    @nbad.kernel
    def area(a, b):
        return a * b

    a = da.from_array(np.arange(6.0) + 2.0, chunks=2)
    r = da.from_array(np.arange(12.0).reshape(4, 3), chunks=(2, 3))
    calls = {
        (both, "xy"): lambda x, y: both(x, y),
        (ends, "rs"): lambda r, s: ends(r, s),
        (area, "ab"): lambda a, b: nbad.value_and_grad(area)(a, b),
    }
    more = {(area, "ab"): lambda a, b: nbad.value_and_grad(area, ("b", "a"))(a, b)}
    for (kernel, names), call in [*calls.items(), *more.items()]:
        given = dict(zip(names, (r, a[:4].rechunk(3)) if names == "rs" else (a, 2.0 * a.rechunk(4)), strict=False))
        line = refused(lambda call=call, given=given: call(**given), "dask.Array")
        name = kernel.__name__ if kernel.__name__.isidentifier() else "f"
        made = eval(line, {"da": da, "nbad": nbad, name: kernel, **given})
        first = made[0] if isinstance(made, tuple) else made
        assert isinstance(first, da.Array)
        values = kernel(**{name: value.compute(scheduler="synchronous") for name, value in given.items()})
        np.testing.assert_array_equal(first.compute(scheduler="synchronous"), values[0] if isinstance(values, tuple) else values)


def test_verbs_name_the_function_that_takes_dask_arrays(ends):
    import dask.array as da

    power = nbad.kernel(lambda x, n, a: a * x**n, static=("n",))
    x, r = da.from_array(np.arange(6.0) + 2.0, chunks=2), da.from_array(np.arange(12.0).reshape(4, 3), chunks=(2, 3))
    given = {"nbad": nbad, "x": x, "n": 3, "a": 2.0, "s": np.ones(4), "r": r}
    calls = {
        "nbad.integrations.dask.vjp(f, x, n, a)": (power, lambda: nbad.vjp(power, x, 3, 2.0)),
        "nbad.integrations.dask.vjp(f, x, n, a=a)": (power, lambda: nbad.vjp(power, x, 3, a=2.0)),
        "nbad.integrations.dask.jvp(f, (x, n, a,), (1.0, None, 1.0,))": (
            power,
            lambda: nbad.jvp(power, (x, 3, 2.0), (1.0, None, 1.0)),
        ),
        "nbad.integrations.dask.hessian(f)(x, n, a)": (power, lambda: nbad.hessian(power)(x, 3, 2.0)),
        "nbad.integrations.dask.jacobian(f)(r, s)": (ends, lambda: nbad.jacobian(ends)(r, np.ones(4))),
    }
    for line, (kernel, call) in calls.items():
        assert refused(call, "dask.Array") == line
        made = eval(line, given | {"f": kernel})
        assert isinstance(made[0] if isinstance(made, tuple) else made, da.Array)


def test_verbs_name_the_function_that_takes_tables():
    import pandas as pd
    import xarray as xr

    @nbad.kernel
    def area(a, b):
        return a * b

    df = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    ds, given = xr.Dataset.from_dataframe(df), {"nbad": nbad, "area": area, "b": 2.0}
    calls = {
        "nbad.integrations.pandas.vjp(area, df)": lambda: nbad.vjp(area, df),
        "nbad.integrations.pandas.jacobian(area)(df)": lambda: nbad.jacobian(area)(df),
        "nbad.integrations.xarray.value_and_jacobian(area)(ds)": lambda: nbad.value_and_jacobian(area)(ds),
        "area(df['a'], df['b'])": lambda: area(df),
    }
    for line, call in calls.items():
        with pytest.raises(nbad.NbadError, match="missing a required argument: 'b'") as caught:
            call()
        assert fix_of(caught.value) == line
        assert eval(line, given | {"df": df, "ds": ds}) is not None
    line = refused(lambda: nbad.jacobian(area)(**df), "pandas.Series")
    assert line == "nbad.integrations.pandas.jacobian(area)(a=a, b=b)"
    assert eval(line, given | {"a": df.a, "b": df.b}).shape == (2, 2)


def test_dask_tells_an_edited_kernel_from_the_one_before():
    from dask.base import tokenize

    def stand_in(function):
        class Asking:
            def __array_ufunc__(self, ufunc, *args, **options):
                return ufunc

        return named("edited", function)(Asking())

    first, again, edited = (stand_in(f) for f in (lambda x: x + 1.0, lambda x: x + 1.0, lambda x: x + 2.0))
    assert tokenize(first) != tokenize(edited)
    assert tokenize(first) == tokenize(first)
    assert again(1.0) == 2.0


def test_a_stand_in_travels():
    import cloudpickle

    class Asking:
        def __array_ufunc__(self, ufunc, *args, **options):
            return ufunc

    ufunc = nbad.kernel(lambda x, n: x**n, static=("n",))(Asking(), 3)
    assert pickle.loads(cloudpickle.dumps(ufunc))(2.0) == 8.0


def test_units_are_refused_by_name(subtract, both):
    import astropy.units
    import pint

    metres, lengths = pint.UnitRegistry().Quantity(np.ones(2), "m"), np.ones(2) * astropy.units.m
    assert refused(lambda: subtract(metres, 1.0), "pint.Quantity") == "x.magnitude"
    assert refused(lambda: subtract(1.0, lengths), "astropy.Quantity") == "y.value"
    assert refused(lambda: both(metres, lengths), "pint.Quantity") == "x.magnitude"
    assert refused(lambda: nbad.vjp(subtract, lengths, 1.0), "astropy.Quantity") == "x.value"
    np.testing.assert_array_equal(subtract(metres.magnitude, 1.0), subtract(lengths.value, 1.0))
