"""A call on pandas' Series: aligned by their index, as arrays for the kernel, and results as Series of that index."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nbad import foreign, labels
from nbad.api.signatures import name_in_code
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.partners.named import Bound, by_name, output_names, refuse_unlabelled, refuse_vectors, without_partner


class Aligned:
    """A call on Series and numbers.

    Attributes
    ----------
    bound : Bound
    names, outputs : tuple of str, list of str
        The differentiated arguments, and the outputs.
    index : pandas.Index
        The common one: the union of all.
    """

    def __init__(self, bound: Bound, values: list[Any], index: pd.Index, names: tuple[str, ...]):
        self.bound, self.index, self.names, self.outputs = bound, index, names, output_names(bound)
        self._originals = [x.copy(deep=False) if isinstance(x, pd.Series) else x for x in values]  # users may set their labels
        self._nullable = _nullable([x.dtype for x in values if isinstance(x, pd.Series)])

    @classmethod
    def of(cls, verb: str, f: Any, xs: Sequence[Any], kwargs: dict[str, Any], argnums: Any) -> "Aligned":
        """The call of a verb, read and checked."""
        call = f"nbad.integrations.pandas.{verb}"
        if len(xs) == 1 and isinstance(xs[0], pd.DataFrame):
            (table,), xs = xs, ()
            _refuse_doubles(call, f, table)
            kwargs = by_name(call, f, table, list(table.columns), kwargs)
        bound, values = Bound.of(f, xs, kwargs)
        series = {name: x for name, x in zip(bound.names, values, strict=True) if isinstance(x, pd.Series)}
        for name, value in zip(bound.names, values, strict=True):
            if name in series:
                _check_numbers(f"`{call}` of `{name_in_code(f)}`", name, value)
            else:
                fix = functools.partial(_as_series, name, value, series)
                refuse_unlabelled(call, f, name, value, "Series", pd.DataFrame, fix)
        if not series:
            raise without_partner(call, f, values, "Series", "a Series, or a DataFrame with columns of the parameters' names")
        refuse_vectors(
            call, bound, lambda: f"nbad.jacobian({name_in_code(f)})({', '.join(f'{name}.to_numpy()' for name in bound.names)})"
        )
        index = _common_index(call, f, series)
        dtypes = [np.ones((), _numpy_dtype(x.dtype)) if isinstance(x, pd.Series) else x for x in values]
        return cls(bound, values, index, bound.differentiated(dtypes, argnums))

    @property
    def columns(self) -> list[str]:
        """The outputs as columns of a table beside their derivatives: of other names where one would replace the other."""
        derivatives = {f"d{output}/d{name}" for output in self.outputs for name in self.names}
        return [f"y{k}" for k in range(len(self.outputs))] if derivatives & {*self.outputs} else self.outputs

    @property
    def arrays(self) -> list[Any]:
        """The arguments as arrays over the common index, and numbers."""
        return [_array(x, self.index) if isinstance(x, pd.Series) else x for x in self._originals]

    @property
    def given(self) -> dict[str, Any]:
        """The arguments as arrays, by name, beside the static values that were passed."""
        return self.bound.statics | dict(zip(self.bound.names, self.arrays, strict=True))

    def call(self, function: Callable[..., Any], **options: Any) -> Any:
        """What a function of the kernel's arguments makes of these."""
        return self.bound.call(function, self.arrays, **options)

    def series(self, values: Any, name: Any = None) -> pd.Series:
        """A Series over the common index; of nullable dtype where an argument is."""
        made = pd.Series(np.broadcast_to(values, len(self.index)), index=self.index, name=name, copy=True)
        return made.astype(self._nullable[made.dtype.name]) if self._nullable else made

    def frame(self, columns: Mapping[Any, Any]) -> pd.DataFrame:
        """A DataFrame over the common index."""
        made = {key: self.series(values) for key, values in columns.items()}
        return pd.DataFrame(made, index=self.index, columns=list(made))

    def cotangent(self, name: str, bar: Any) -> Any:
        """A cotangent with the index and the name of its argument; of a number a number."""
        original = self._originals[self.bound.names.index(name)]
        if not isinstance(original, pd.Series):
            return bar
        return _aligned(self.series(bar, original.name), original.index)

    def cotangents(self, name: str, bars: Any, seeds: pd.Index) -> Any:
        """Cotangents for many seeds as columns; of a number a Series."""
        original = self._originals[self.bound.names.index(name)]
        if not isinstance(original, pd.Series):
            return pd.Series(bars, index=seeds)
        made = pd.DataFrame(np.transpose(bars), self.index, seeds)
        return _aligned(made.astype(self._nullable[bars.dtype.name]) if self._nullable else made, original.index)

    def seed(self, name: str, seed: Any, kind: type) -> Any:
        """A seed for arrays: a Series, or a DataFrame for many; a number stays as it is."""
        return self._over_all("`pullback`", name, seed, kind, _Labels("the value", "y", self.index))

    def tangent(self, name: str, tangent: Any) -> Any:
        """A tangent for arrays: a Series with the labels of its argument; a number stays as it is, and is that of a number."""
        original = self._originals[self.bound.names.index(name)]
        if tangent is None or not isinstance(original, pd.Series):
            # whole numbers that alignment made floats have none, either
            return 0.0 if tangent is None and name not in self.names else tangent
        return self._over_all(
            "`nbad.integrations.pandas.jvp`", f"{name}_dot", tangent, pd.Series, _Labels("its argument", name, original.index)
        )

    def _over_all(self, call, name, given, kind, of):
        """What is given for each label, as an array over the common index."""
        if not isinstance(given, kind):
            if foreign.axes_of(given) == 0:
                return given[()] if isinstance(given, np.ndarray) else given
            raise ArgumentTypeError(
                f"{call}: {name} is no {kind.__name__}, and nothing is paired by position",
                got=foreign.named(given),
                expected=f"a {kind.__name__} with the labels of {of.whose}, or a number",
                fix=_as_kind(kind, given, name, of.code),
            )
        labels.refuse_others(call, {name: given})
        index, own = given.index, of.index
        if not index.equals(own):
            if _have_other_levels(index, own):
                raise _unlike_names(call, name, index, of)
            order = _order(index, own)
            if order is None:
                raise ArgumentValueError(
                    f"{call}: the labels of {name} are not those of {of.whose}",
                    got=f"{len(index)} labels, {int((~index.isin(own)).sum())} of them others",
                    expected=f"the {len(own)} labels of {of.whose}, each once",
                    fix=f"{name if index.is_unique else labels.without_doubles(name)}.reindex({of.code}.index, fill_value=0.0)",
                )
            given = given.iloc[order].set_axis(own)
        table = given if own.equals(self.index) else _aligned(given, self.index)
        return np.array(table.to_numpy(dtype=float, na_value=np.nan).T)

    def pairs(self, blocks: np.ndarray, rows: Sequence[str], levels: Sequence[str]) -> pd.DataFrame:
        """Blocks as columns, by pairs of row and argument; the levels of their labels go by these names."""
        names = [(row, name) for row in rows for name in self.names]
        made = self.frame(dict(zip(names, blocks.reshape(len(blocks), len(names)).T, strict=True)))
        made.columns = pd.MultiIndex.from_tuples(names, names=levels)
        return made

    def blocks(self, blocks: np.ndarray) -> pd.DataFrame:
        """The Jacobian as columns: by argument, and by output before it where the kernel returns several."""
        made = self.pairs(blocks, self.outputs, ["output", "argument"])
        return made if self.bound.program.structure.is_tuple else made.droplevel("output", axis=1)


def _have_other_levels(index, own):
    """Whether levels have other names: of which labels are the same pandas asks level by level, not label by label."""
    return index.nlevels > 1 and own.nlevels > 1 and index.names != own.names


def _as_kind(kind, given, name, code):
    """The line that makes a Series, or a table of many, of what is given for one."""
    if isinstance(given, pd.DataFrame):
        return f"{name}.iloc[:, 0]  # of many, each with pullback.batched"
    if isinstance(given, pd.Series):
        return f"{name}.to_frame()  # or pullback({name})"
    return (
        f"pd.Series({name}, index={code}.index)"
        if kind is pd.Series
        else f"pd.DataFrame(np.transpose({name}), index={code}.index)"
    )


class _Labels(NamedTuple):
    """Labels that something is to have: whose they are, as text and as code, and the index."""

    whose: str
    code: str
    index: pd.Index


def _refuse_doubles(call, f, table):
    """Refuse a table that has several columns of a parameter's name."""
    double = next((name for name in getattr(f, "parameters", ()) if list(table.columns).count(name) > 1), None)
    if double is not None:
        raise ArgumentValueError(
            f"`{call}` of `{name_in_code(f)}`: the table has two columns named {double}",
            got=", ".join(map(str, table.columns)),
            expected="one column for each parameter",
            fix="df.loc[:, ~df.columns.duplicated()]",
        )


def _as_series(name, value, series):
    """The line that makes a Series of what is none: with the labels of another argument that has as many."""
    if hasattr(value, "compute") and hasattr(value, "index"):
        return f"{name}.compute()"
    if foreign.axes_of(value) > 1:
        return f"pd.Series(np.ravel({name}))"
    like = next((other for other, x in series.items() if len(x) == len(value)), None)
    return f"pd.Series({name}, {like}.index)" if like else f"pd.Series({name})"


def _check_numbers(headline, name, series):
    if _numpy_dtype(series.dtype).kind not in labels.NUMBERS:
        raise labels.no_numbers(headline, name, series, labels.conversion(name, series))


def _is_masked(dtype):
    """Whether a dtype is one of numbers that may be missing, such as Float64."""
    return isinstance(dtype, pd.api.extensions.ExtensionDtype) and hasattr(dtype, "numpy_dtype")


def _numpy_dtype(dtype):
    """The dtype of a Series' numbers; that of objects where it has none."""
    dtype = dtype.subtype if isinstance(dtype, pd.SparseDtype) else dtype
    if isinstance(dtype, np.dtype):
        return dtype
    return np.dtype(dtype.numpy_dtype) if _is_masked(dtype) else np.dtype(object)


def _nullable(dtypes):
    """What floats become beside columns of numbers that may be missing; Arrow's win, as in pandas' arithmetic. None without."""
    if any(isinstance(dtype, pd.ArrowDtype) for dtype in dtypes):
        return {"float64": "double[pyarrow]", "float32": "float[pyarrow]"}
    return {"float64": "Float64", "float32": "Float32"} if any(map(_is_masked, dtypes)) else None


def _common_index(call, f, series):
    """The index of all, or the union of theirs; Series come by the names of their arguments."""
    first, *others = [x.index for x in series.values()]
    if all(index is first or index.equals(first) for index in others):
        return first
    double = next((name for name, x in series.items() if not x.index.is_unique), None)
    if double is not None:
        index = series[double].index
        raise ArgumentValueError(
            f"`{call}` of `{name_in_code(f)}`: labels that are there twice cannot be aligned",
            got=f"label {index[index.duplicated()][0]!r} of {double} twice",
            expected="the same index everywhere, or labels that are there once",
            fix=labels.without_doubles(double),
        )
    most, least = (choose(series, key=lambda name: labels.levels_in(series[name].index)) for choose in (max, min))
    if labels.levels_in(series[most].index) != labels.levels_in(series[least].index):
        raise _unlike_levels(call, f, most, series[most].index, least, series[least].index)
    head, *names = series
    for name in names:
        if _have_other_levels(series[head].index, series[name].index):
            of = _Labels(head, head, series[head].index)
            raise _unlike_names(f"`{call}` of `{name_in_code(f)}`", name, series[name].index, of)
    for name in names:
        try:
            joined, places, _ = first.join(series[name].index, how="outer", return_indexers=True)
        except (TypeError, ValueError) as error:  # times with time zones beside those without, <NA> beside whole numbers
            raise ArgumentValueError(
                f"`{call}` of `{name_in_code(f)}`: the labels of {name} cannot be aligned with those of {head}",
                got=str(error),
                expected="labels of one kind",
                fix=labels.of_one_kind(series),
            ) from None
        has_times = joined.dtype.kind == "M"  # whose zones may differ
        first = first if places is None and not has_times else joined
    return first


def _aligned(table, index):
    """A Series or a table over an index, as arithmetic aligns it: `reindex` finds numbers in labels that are intervals."""
    if table.index.identical(index):
        return table
    if not table.index.equals(index):
        if table.index.dtype == index.dtype:  # in a third of the time
            table = table.reindex(index)
        else:
            places = _places(table.index, index)
            table = table if places is None else table.set_axis(range(len(table))).reindex(places)
    return table.set_axis(index)


def _places(index, wanted):
    """Where labels are among others, -1 where they are not; None where each has its place already."""
    try:
        return index.join(wanted, how="right", return_indexers=True)[1]
    except (TypeError, ValueError):  # times with time zones beside those without, <NA> beside whole numbers
        return index.astype(object).join(wanted.astype(object), how="right", return_indexers=True)[1]


def _order(index, wanted):
    """The order in which labels are others, each of which is there once; None where they are not the same."""
    if not index.is_unique or len(index) != len(wanted) or labels.levels_in(index) != labels.levels_in(wanted):
        return None
    places = index.get_indexer_for(wanted) if index.dtype == wanted.dtype else _places(index, wanted)
    places = np.arange(len(wanted)) if places is None else places
    return places if np.array_equal(np.sort(places), np.arange(len(wanted))) else None


def _unlike_names(call, name, index, of):
    """The error where levels have other names, or the same in another order, than those of what they belong to."""
    return ArgumentValueError(
        f"{call}: the levels of the labels of {name} have other names than those of {of.whose}",
        got=", ".join(map(str, index.names)),
        expected=", ".join(map(str, of.index.names)),
        fix=labels.of_levels(name, index, of.code, of.index),
    )


def _unlike_levels(call, f, most, index, least, fewer):
    """The error where labels of one Series have more levels than those of another."""
    return ArgumentValueError(
        f"`{call}` of `{name_in_code(f)}`: {most} has labels with levels that {least} has not",
        got=" and ".join(f"{type(each).__name__} of {list(each.names)}" for each in (index, fewer)),
        expected="labels of the same levels in all",
        fix=labels.of_levels(least, fewer, most, index),
    )


def _array(x, index):
    """A Series' numbers over an index; nan where it has none."""
    if not (x.index is index or x.index.equals(index)):
        x = _aligned(x.astype(float) if x.dtype == bool else x, index)
    if isinstance(x.dtype, np.dtype):
        return x.to_numpy()
    dtype = _numpy_dtype(x.dtype)
    if dtype.kind != "f" and not x.hasnans:
        return x.to_numpy(dtype=dtype)
    return x.to_numpy(dtype=dtype if dtype.kind == "f" else float, na_value=np.nan)
