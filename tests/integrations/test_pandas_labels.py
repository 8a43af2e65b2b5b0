"""Which labels are the same: those that pandas' own arithmetic pairs. What comes back has its argument's own labels."""

import numpy as np
import pandas as pd
import pytest

import nbad
from kernels import product
from nbad.integrations import pandas as tables

LABELS = {
    "numbers": pd.RangeIndex(1, 4),
    "the same backwards": pd.Index([3, 2, 1]),
    "small numbers": pd.Index([1, 2, 3], dtype="uint8"),
    "floats": pd.Index([1.0, np.nan, 2.0], name="k"),
    "missing": pd.Index([1, 2, pd.NA], dtype="Int64"),
    "intervals": pd.interval_range(0, 3),
    "categories": pd.CategoricalIndex([1, 3, 2], categories=[3, 2, 1], ordered=True),
    "texts": pd.Index(["2020-01-01", "2020-01-02", "c"], name="k"),
    "dates": pd.date_range("2020-01-01", periods=3),
    "periods": pd.period_range("2020-01-01", periods=3, freq="D"),
    "levels": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", "n"]),
    "the same levels": pd.MultiIndex.from_tuples([("b", 1), ("c", 1), ("a", 1)], names=["k", "n"]),
    "none": pd.Index([], dtype=float),
}


PAIRS = [
    "numbers, intervals",
    "intervals, floats",
    "numbers, the same backwards",
    "numbers, small numbers",
    "small numbers, floats",
    "missing, numbers",
    "categories, numbers",
    "categories, the same backwards",
    "texts, dates",
    "dates, periods",
    "none, texts",
    "numbers, none",
    "levels, the same levels",
]


@pytest.mark.filterwarnings("ignore:.*sort order is undefined:RuntimeWarning")  # of pandas, of labels of many kinds
@pytest.mark.parametrize("pair", PAIRS)
def test_labels_are_paired_as_in_arithmetic(pair):
    """`Series.reindex` finds numbers in intervals, which arithmetic does not."""
    own, other = map(LABELS.get, pair.split(", "))
    a, b = pd.Series(np.arange(2.0, 2.0 + len(own)), own, name="a"), pd.Series(np.arange(5.0, 5.0 + len(other)), other, name="b")
    y, pullback = tables.vjp(product, a, b, 1.0)
    pd.testing.assert_series_equal(y, a * b, check_names=False)
    assert y.index.names == (a * b).index.names
    seed = pd.Series(np.arange(1.0, 1.0 + len(y)), y.index)
    for ct in (seed, seed[::-1]):
        a_bar, b_bar, _ = pullback(ct)
        for bar, x, expected in ((a_bar, a, seed * b), (b_bar, b, seed * a)):
            assert bar.index.identical(x.index)
            assert bar.name == x.name
            pd.testing.assert_series_equal(bar.dropna(), x.align(expected)[1].reindex(x.index).dropna(), check_names=False)


def test_times_with_and_without_zones_cannot_be_paired():
    """Pandas' union of them has each twice, and what is computed would be nan: so it is in plain calls of pandas before 3.1."""
    a = pd.Series([1.0, 2.0], pd.date_range("2020", periods=2))
    b = a.tz_localize("UTC")
    with pytest.raises(nbad.NbadError, match=r"labels of b cannot be aligned with those of a") as caught:
        tables.vjp(product, a, b, 1.0)
    assert eval(str(caught.value).partition("fix: ")[2], {"b": b}).index.equals(a.index)
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):
        assert product(b, a, 1.0).isna().all()
    else:
        fix = r"fix: a\.set_axis\(a\.index\.tz_localize\(None\)\)"
        with pytest.raises(nbad.NbadError, match=rf"do not fit one another[^$]*tz-aware[^$]*{fix}"):
            product(b, a, 1.0)
    with pytest.raises(nbad.NbadError, match=r"labels of ct are not those of the value"):
        tables.vjp(product, a, a, 1.0)[1](b)
    assert tables.vjp(product, a, b.tz_localize(None), 1.0)[0].tolist() == [1.0, 4.0]
    assert tables.vjp(product, b.tz_convert("Asia/Tokyo"), b, 1.0)[0].tolist() == [1.0, 4.0]


def test_nullable_numbers_are_aligned_where_pandas_fails():
    """Pandas raises a TypeError for some pairs of indices, such as these, one of which is the union."""
    a, b = pd.Series([1.0, 2.0, 3.0], [3, 1, 2]), pd.Series([10.0, 20.0], [1, 2], dtype="Float64")
    for x, y in ((a, b), (b, a), (a.astype("Float64"), b)):
        value, pullback = tables.vjp(product, x, y, 1.0)
        assert value.sort_index().dropna().tolist() == [20.0, 60.0]
        assert [bar.index.tolist() for bar in pullback(1.0)[:2]] == [x.index.tolist(), y.index.tolist()]
