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


NESTED = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", "n"])
SINGLE = pd.MultiIndex.from_arrays([list("abc")], names=["k"])
LEVELS = {
    "tuples of one label": (pd.Index(list("cab"), name="k"), SINGLE, 1, [21, 55, 26]),
    "tuples of one label of another name": (pd.Index(list("cab")), SINGLE, 1, [21, 55, 26]),
    "such beside longer ones": (SINGLE[[2, 0, 1]], NESTED, 2, [21, 33, 65]),
    "categories": (pd.CategoricalIndex(list("cab"), name="k"), NESTED, 1, [21, 33, 65]),
    "a label twice": (pd.Index(list("baa"), name="k"), NESTED, 2, [21, 33, 26]),
}


@pytest.mark.parametrize("name", LEVELS)
def test_labels_with_levels_that_others_have_not_are_paired_by_the_lines_of_the_errors(name):
    """`Index.join` takes a label for the tuple of it, which arithmetic does not."""
    own, other, count, right = LEVELS[name]
    names = {"a": pd.Series([2.0, 3.0, 5.0], own), "b": pd.Series([7.0, 11.0, 13.0], other)}
    for _ in range(count):
        with pytest.raises(nbad.NbadError, match=r"that a has not|that b has not|of a twice") as caught:
            tables.vjp(product, names["a"], names["b"], 1.0)
        line = str(caught.value).partition("fix: ")[2]
        names[line[0]] = eval(line, dict(names))
    assert tables.vjp(product, names["b"], names["a"], 1.0)[0].sort_index().tolist() == right


def test_missing_labels_beside_small_numbers_are_aligned():
    """Pandas makes whole numbers of what is missing, and fails."""
    a, b = pd.Series([2.0, 3.0, 5.0], LABELS["missing"]), pd.Series([7.0, 11.0, 13.0], LABELS["small numbers"])
    y, pullback = tables.vjp(product, a, b, 1.0)
    assert [y[1], y[2]] == [14.0, 33.0]
    assert [bar[[1, 2]].tolist() for bar in pullback(1.0)[:2]] == [[7.0, 11.0], [2.0, 3.0]]


@pytest.mark.parametrize("labels", [["b", "c", "a"], ["b", "b"], ["b", "b", "a"], []], ids=",".join)
def test_the_line_for_seeds_with_other_labels_runs(labels):
    y, pullback = tables.vjp(nbad.kernel(lambda x: x * x), pd.Series([1.0, 2.0], ["a", "b"]))
    ct = pd.Series([5.0] * len(labels), labels, dtype=float)
    with pytest.raises(ValueError, match="the labels of ct are not those of the value") as caught:
        pullback(ct)
    seed = eval(str(caught.value).partition("fix: ")[2], {"ct": ct, "y": y})
    assert pullback(seed)[0].tolist() == [10.0 * ("a" in labels), 20.0 * ("b" in labels)]
