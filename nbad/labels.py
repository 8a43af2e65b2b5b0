"""Arguments with labels: how code makes them fit one another, or arrays of them that are paired by what the labels say.

Nothing is imported for it: a value shows itself how its labels are kept.
"""

import itertools
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.memo import MISSING

NUMBERS = "iufb"  # kinds of dtypes


def together(named: dict[str, Any]) -> tuple[list[str], str] | None:
    """Which of some arguments have labels, and the line that makes arrays of them, paired by these; None where only one has.

    Examples
    --------
    >>> together({"x": np.ones(2), "y": 1.0}) is None
    True
    """
    names = [name for name, value in named.items() if _is(value, "xarray", "DataArray") or _is(value, "pandas", "Series")]
    if len(names) < 2:
        return None
    if any(is_of_xarray(named[name]) for name in names):
        whole = ", ".join(for_xarray(name, named[name]) for name in names)
        line = f"(x.to_numpy() for x in xr.broadcast(*xr.align({whole})))"
    else:
        line = f"pd.concat([{', '.join(names)}], axis=1).to_numpy().T"
    return names, f"{', '.join(names)} = {line}"


def unaligned(call: str, named: dict[str, Any], value: Any, error: Exception) -> ArgumentValueError:
    """The error for arguments that do not fit one another, in the words of the library that was asked."""
    return ArgumentValueError(
        f"{call}: the arguments do not fit one another",
        got=str(error).splitlines()[0] if str(error) else type(error).__name__,
        expected=f"arguments that {type(value).__module__.partition('.')[0]} makes one of",
        fix=aligning(named),
    )


def aligning(named: dict[str, Any]) -> str | None:
    """The line that makes arguments fit one another of which a library said that they do not; None where none is known.

    Examples
    --------
    >>> aligning({"x": np.ones(2), "y": 1.0}) is None
    True
    """
    indices = {name: value.index for name, value in named.items() if hasattr(getattr(value, "index", None), "nlevels")}
    for (one, index), (another, wanted) in itertools.combinations(indices.items(), 2):
        if levels_in(index) != levels_in(wanted) or (levels_in(index) and index.names != wanted.names):
            return of_levels(another, wanted, one, index)
    double = next((name for name, index in indices.items() if not index.is_unique), None)
    if double is not None:
        return without_doubles(double)
    lines = filter(None, itertools.starmap(_fitting, itertools.combinations(named.items(), 2)))
    single = (f"{name}.item()  # a number, for all" for name, value in named.items() if has_labels(value) and value.size == 1)
    return of_one_kind(named) or next(lines, None) or next(single, None)


def levels_in(index: Any) -> int:
    """How many levels the labels of a Series have; 0 where they are no tuples; tuples of one label are of one level."""
    return len(getattr(index, "levels", ()))


def of_levels(name: str, index: Any, other: str, wanted: Any) -> str:
    """The line that gives the labels of a Series, as code calls it, the levels of another's, or this one those."""
    names = list(wanted.names)
    if levels_in(index) == levels_in(wanted):
        if {*index.names} == {*names} and len({*names} - {None}) == len(names):
            return f"{name}.reorder_levels({names})"
        return f"{name}.rename_axis({other}.index.names)  # if these are the same levels, in this order"
    (least, fewer), (most, more) = sorted(((name, index), (other, wanted)), key=lambda pair: levels_in(pair[1]))
    for single, labels in ((least, fewer), (most, more)):
        if levels_in(labels) == 1:
            return f"{single}.set_axis({single}.index.get_level_values(0))"
    if levels_in(fewer):
        return f"{most}.droplevel({list(range(fewer.nlevels, more.nlevels))})"
    if not fewer.is_unique:
        return without_doubles(least)
    level = fewer.name if fewer.name in more.names and fewer.name is not None else 0
    return f"{least}.reindex({most}.index.get_level_values({level!r})).set_axis({most}.index)"


def without_doubles(name: str) -> str:
    """The line that keeps the first of a Series' numbers for each label.

    Examples
    --------
    >>> without_doubles("x")
    'x[~x.index.duplicated()]'
    """
    return f"{name}[~{name}.index.duplicated()]"


def of_one_kind(named: dict[str, Any]) -> str | None:
    """The line that makes labels comparable of which a library cannot say whether they are the same; None for others.

    Examples
    --------
    >>> of_one_kind({"x": np.ones(2), "y": 1.0}) is None
    True
    """
    for (name, value), (other, beside) in itertools.combinations(named.items(), 2):
        labels, others = _indices(value), _indices(beside)
        for d in [d for d in labels if d in others and levels_in(labels[d]) == levels_in(others[d])]:
            pair = {other: others[d], name: labels[d]}
            zones = {key: getattr(index, "tz", MISSING) for key, index in pair.items()}
            has_one_zone = None in zones.values() and len({*zones.values()} - {MISSING}) == 2
            odd = [key for key, index in pair.items() if _is_odd(index, d is None)]
            if has_one_zone or (odd and labels[d].dtype != others[d].dtype):
                which = next(key for key in pair if zones[key] not in (None, MISSING)) if has_one_zone else odd[0]
                index = f"{which}.index" if d is None else f"{which}.indexes[{d!r}]"
                made = f"{index}.tz_localize(None)" if has_one_zone else f"{index}.astype(object)"
                return f"{which}.set_axis({made})" if d is None else f"{which}.assign_coords({{{d!r}: {made}}})"
    return None


def _is_odd(index: Any, is_of_pandas: bool) -> bool:
    """Whether a library may not know if such labels are others: pandas not of <NA>, xarray not of times and intervals."""
    is_numpy, kind = isinstance(index.dtype, np.dtype), index.dtype.kind
    return not is_numpy and kind in "iuf" if is_of_pandas else not is_numpy or kind in "Mm"


def _indices(value: Any) -> dict[Any, Any]:
    """The labels of an array of xarray's by dimension, those of a Series under None."""
    if is_of_xarray(value):
        return dict(value.indexes)
    return {None: value.index} if _is(value, "pandas", "Series") else {}


def _fitting(one: tuple[str, Any], another: tuple[str, Any]) -> str | None:
    """The line that makes one of two arrays of xarray's fit the other along a dimension that both have; None where they do."""
    sizes = {name: dict(getattr(value, "sizes", {})) for name, value in (one, another)}
    (name, other), line = sizes, None
    for d in [d for d in sizes[name] if d in sizes[other]]:
        indices = {key: each.indexes[d] for key, each in (another, one) if d in getattr(each, "indexes", ())}
        if len(indices) == 2 and not indices[name].equals(indices[other]):
            double = next((key for key, index in indices.items() if not index.is_unique), None)
            if double is not None:
                return f"{double}.drop_duplicates({d!r})"
            most = max(indices, key=lambda key: levels_in(indices[key]))
            if levels_in(indices[name]) != levels_in(indices[other]):
                return f"{most}.reset_index({d!r})  # if these belong together by their places"
            line = line or f"{other}.reindex({{{d!r}: {name}.indexes[{d!r}]}})"  # where users let no labels differ
        elif sizes[name][d] != sizes[other][d]:
            longer = max((name, other), key=lambda key: sizes[key][d])
            size = min(each[d] for each in sizes.values())
            return f"{longer}.isel({{{d!r}: slice({size})}})  # if these belong together by their places"
    return line


def for_xarray(name: str, value: Any) -> str:
    """How code spells an argument beside arrays of xarray's, which ask for arrays or labels of their own kind.

    Examples
    --------
    >>> for_xarray("x", [1.0, 2.0]), for_xarray("x", np.ones(2))
    ('np.asarray(x)', 'x')
    """
    if isinstance(value, list | tuple):
        return f"np.asarray({name})"
    return f"xr.DataArray({name})" if _is_of_pandas(value) or _is(value, "xarray", "Variable") else name


def of_numbers(name: str, value: Any) -> str:
    """How code spells an argument as numbers: a Series or a table of libraries' that holds others becomes one of numbers.

    Examples
    --------
    >>> of_numbers("x", np.array(["a"]))
    'x'
    """
    if _is(value, "pandas", "DataFrame") and not all(map(_holds_numbers, value.dtypes)):
        return f"{name}.select_dtypes(['number', 'bool'], ['timedelta', 'complexfloating'])"
    if _is(value, "xarray", "Dataset"):
        kept = [key for key, each in value.data_vars.items() if each.dtype.kind in NUMBERS]
        return name if len(kept) == len(value.data_vars) else f"{name}[{kept}]"
    return conversion(name, value) if _is(value, "pandas", "Series") and not _holds_numbers(value.dtype) else name


def refuse_others(call: str, named: dict[str, Any]) -> None:
    """Refuse a Series or a table of what are no numbers: libraries would hand it on as objects, or in parts."""
    lines = {name: line for name, value in named.items() if (line := of_numbers(name, value)) != name}
    if lines:
        name = min(lines, key=lambda name: _is_bool(named[name]))
        raise no_numbers(call, name, named[name], lines[name]) from None


def _is_bool(series: Any) -> bool:
    """Whether a Series holds bools: of Arrow's, where one is missing, pandas makes objects."""
    return getattr(getattr(series, "dtype", None), "kind", "O") == "b"


def no_numbers(call: str, name: str, value: Any, line: str) -> ArgumentTypeError:
    """The error for a Series or a table of what are no numbers, and the line that makes these."""
    is_table = not hasattr(value, "dtype")
    return ArgumentTypeError(
        f"{call}: {name} has {'columns of what are' if is_table else 'elements that are'} no numbers",
        got=f"dtype {', '.join(map(str, dict(value.dtypes).values())) if is_table else value.dtype}",
        expected="floats, integers or bools, which may be nullable"
        + "; missing bools of Arrow's are objects to pandas" * _is_bool(value),
        fix=line,
    )


def _is(value: Any, module: str, kind: str) -> bool:
    """Whether a value is of a library's class, if that is there: what dask delays has whatever attribute one asks for."""
    return isinstance(value, getattr(sys.modules.get(module), kind, ()))


def _holds_numbers(dtype: Any) -> bool:
    """Whether a column of such a dtype holds numbers, which may be missing, or sparse."""
    if isinstance(dtype, np.dtype):
        return dtype.kind in NUMBERS
    return bool(getattr(dtype, "_is_numeric", False))


def conversion(code: str, series: Any) -> str:
    """The line that makes numbers of a Series which holds none."""
    kind = getattr(series.dtype, "kind", "O")
    if kind == "M":
        return f"({code} - {code}.min()) / pd.Timedelta('1s')"
    if kind == "m":
        return f"{code} / pd.Timedelta('1s')"
    if kind == "c":
        return f"pd.Series({code}.to_numpy().real, {code}.index)"
    if hasattr(series.dtype, "freq"):
        return f"{code}.astype('int64').astype(float).where({code}.notna())"
    if _works(series):
        return f"{code}.astype(float)"
    if hasattr(series.dtype, "categories"):
        return conversion(f"{code}.astype({code}.cat.categories.dtype)", series.astype(series.cat.categories.dtype))
    return f"pd.to_numeric({code}, errors='coerce').astype(float)"


def _works(series: Any) -> bool:
    try:
        series.astype(float)
    except (TypeError, ValueError):
        return False
    return True


def by_apply_ufunc(
    function: str, named: dict[str, Any], cores: Sequence[Any], results: list[list[str]], sizes: dict[str, int], more: str = ""
) -> str:
    """The call of xarray's function that applies such code, whose arguments and results have these core axes.

    Examples
    --------
    >>> by_apply_ufunc("f", {"x": 2.0}, [()], [["a0"]], {"a0": 3})
    "xr.apply_ufunc(f, x, input_core_dims=[[]], output_core_dims=[['a0']], join='inner')"
    """
    inputs = [_last_dims(value, len(core)) for value, core in zip(named.values(), cores, strict=True)]
    more = f"input_core_dims={inputs}, output_core_dims={results}, join='inner'{more}"
    if any(map(is_lazy, named.values())):
        options = {"allow_rechunk": True} | ({"output_sizes": sizes} if sizes else {})
        more += f", dask='parallelized', output_dtypes={['float'] * len(results)}, dask_gufunc_kwargs={options}"
    return f"xr.apply_ufunc({function}, {', '.join(named)}, {more})"


def is_lazy(value: Any) -> bool:
    """Whether an array or a table of xarray's holds dask arrays.

    Examples
    --------
    >>> is_lazy(np.ones(2))
    False
    """
    arrays = value.data_vars.values() if _is(value, "xarray", "Dataset") else [value]
    return is_of_xarray(value) and any(array.chunks is not None for array in arrays)


def has_labels(value: Any) -> bool:
    """Whether a value is an array or a table of xarray's, or a Series or a table of pandas'.

    Examples
    --------
    >>> has_labels(np.ones(2))
    False
    """
    return is_of_xarray(value) or _is_of_pandas(value)


def is_of_xarray(value: Any) -> bool:
    """Whether a value is an array or a table of xarray's.

    Examples
    --------
    >>> is_of_xarray(np.ones(2))
    False
    """
    return _is(value, "xarray", "DataArray") or _is(value, "xarray", "Dataset")


def _last_dims(value: Any, depth: int) -> list[Any]:
    """Names of the last dimensions of an array or a table of xarray's, or of what it makes of one of pandas'."""
    if _is_of_pandas(value):
        dims = [f"dim_{k}" if index.name is None else index.name for k, index in enumerate(value.axes)]
    else:
        dims = list(value.dims) if is_of_xarray(value) else []
    return dims[-depth:] if depth else []


def _is_of_pandas(value: Any) -> bool:
    return _is(value, "pandas", "Series") or _is(value, "pandas", "DataFrame")
