"""What users pass that is no array of numbers: how it is told, and the line that makes one of it.

Nothing is imported for it: a type says itself which module it comes from.
"""

import re
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any

import numpy as np

from nbad.memo import MISSING

# package, or a part of it, to the line that makes a NumPy array; types of all of these mean more than their numbers
LINES = {
    "astropy": "{0}.value",
    "awkward": "{0}.to_numpy()",
    "cudf": "{0}.to_numpy()",
    "cupy": "{0}.get()",
    "dask": "{0}.compute()",
    "dask_expr": "{0}.compute()",
    "numpy.ma": "{0}.astype(float).filled(np.nan)",
    "pandas": "{0}.to_numpy()",
    "pint": "{0}.magnitude",
    "polars.lazyframe": "{0}.collect().to_numpy()",
    "polars": "{0}.to_numpy()",
    "quantities": "{0}.magnitude",
    "scipy.sparse": "{0}.toarray()",
    "sparse": "{0}.todense()",
    "uncertainties": "{0}.nominal_value",
    "unyt": "{0}.value",
    "xarray.core.dataset": "{0}.to_dataarray().to_numpy()",
    "xarray": "{0}.to_numpy()",
}
# these become arrays as they are, where they lie in this machine's memory and carry no derivatives of their own
TENSORS = {"torch": "{0}.detach().cpu().double().numpy()", "jax": "np.asarray({0})", "jaxlib": "np.asarray({0})"}
# partners whose file in `nbad.integrations` has verbs for their arrays: where these are defined, and the verbs
PARTNERS = {"dask": ("dask.array", "Array"), "xarray": ("xarray", "DataArray"), "pandas": ("pandas", "Series")}
VERBS = frozenset({"vjp", "jacobian", "value_and_jacobian", "value_and_grad", "hessian", "jvp"})
TABLES = {"pandas": ("DataFrame", "df"), "xarray": ("Dataset", "ds")}  # which stand for all arguments, and what code calls one
_NUMPY = np.ndarray.__array_ufunc__
_FAULTS = {
    "c": ("is complex", "{0}.real  # and {0}.imag as an argument of its own", "np.real({0})  # and np.imag({0}), likewise"),
    "f": ("is a long double", "{0}.astype(np.float64)", "np.asarray({0}, dtype=float)"),
    "M": ("holds datetimes", *["({0} - np.datetime64(0, 's')) / np.timedelta64(1, 's')"] * 2),
    "m": ("holds time differences", "{0} / np.timedelta64(1, 's')", "np.asarray({0}) / np.timedelta64(1, 's')"),
}
_HOLDS = {"O": "holds Python objects", "U": "holds text", "S": "holds bytes", "T": "holds text"}
_CONVERSIONS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("{0}.astype(float)", lambda value: value.astype(float)),  # first, for it keeps labels and laziness
    ("np.asarray({0}, dtype=float)", lambda value: np.asarray(value, dtype=float)),
    ("np.array(list({0}.values()), dtype=float)", lambda value: np.array(list(value.values()), dtype=float)),
    ("np.array(sorted({0}), dtype=float)", lambda value: np.array(sorted(value.union()), dtype=float)),
    ("np.hstack({0})  # all of its numbers, one after the other", lambda value: np.hstack(_parts(value)).astype(float)),
)
_EXAMPLE = "np.array([1.0, 2.0])  # an array of numbers"


def part_of(value: Any) -> Any:
    """The value itself, or the part of nested lists, that means more than its numbers: labels, units, a mask; None without.

    Examples
    --------
    >>> part_of([1.0, np.ones(2)]) is None
    True
    >>> part_of([1.0, np.ma.ones(2)])
    masked_array(data=[1., 1.],
                 mask=False,
           fill_value=1e+20)
    """
    return next(_parts_of(value), None)


def _parts_of(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        kinds: set[Any] = set(map(type, value))
        odd = {kind for kind in kinds if issubclass(kind, list | tuple) or _is_foreign(kind)}
        parts = [part for part in value if type(part) in odd] if odd else ()  # most lists hold numbers
        yield from (found for part in parts for found in _parts_of(part))
    elif _is_foreign(type(value)):  # type: ignore[arg-type]  # mypy knows no class that can be hashed
        yield value


@lru_cache(maxsize=256)
def _is_foreign(kind: Any) -> bool:
    """Whether a type answers to ufuncs in a way of its own, is a table, or is known to mean more than numbers."""
    if kind.__module__.startswith("nbad."):  # traced values refuse in words of their own
        return False
    is_table = hasattr(kind, "__dataframe__")  # whose columns have names: Arrow's are arrays to NumPy
    return is_table or getattr(kind, "__array_ufunc__", _NUMPY) is not _NUMPY or _row(kind, LINES) is not None


def partner(verb: str | None, values: Iterable[Any]) -> str | None:
    """The partner whose own verb takes such arguments, or columns of them: arrays and numbers, for dask NumPy's too; or None.

    Examples
    --------
    >>> partner("vjp", [np.ones(2), 1.0]) is None
    True
    """
    arrays = [value for value in values if isinstance(value, list | tuple) or _has_axes(value)]
    for name, (module, kind) in PARTNERS.items():
        kinds = (kind, TABLES[name][0]) if name in TABLES else (kind,)
        known = tuple(getattr(sys.modules[module], each) for each in kinds) if module in sys.modules else ()
        takes = (*known, np.ndarray) if name == "dask" else known
        if verb in VERBS and any(isinstance(a, known) for a in arrays) and all(isinstance(a, takes) for a in arrays):
            return name
    return None


def _has_axes(value: Any) -> bool:
    axes = getattr(value, "ndim", 0)
    return axes > 0 if isinstance(axes, int) else True  # values that dask delays have whatever one asks for


def tensors_of(value: Any) -> str | None:
    """The partner that differentiates values of this type, by a function that it makes of a kernel; None without.

    Examples
    --------
    >>> tensors_of(np.ones(2)) is None
    True
    """
    package = next((p for p in TENSORS if _row(type(value), {p: p})), None)
    return "jax" if package == "jaxlib" else package


def table_of(value: Any) -> tuple[str, str] | None:
    """The partner whose verbs take a table in place of all arguments, and what code calls one; None for all else.

    Examples
    --------
    >>> table_of(np.ones(2)) is None
    True
    """
    for name, (kind, code) in TABLES.items():
        if isinstance(value, getattr(sys.modules.get(PARTNERS[name][0]), kind, ())):
            return name, code
    return None


def axes_of(value: Any) -> int:
    """How many axes a value has; 1 where NumPy makes no array of it, as of tables and of ragged lists.

    Examples
    --------
    >>> axes_of(2.0), axes_of([[1.0], [2.0, 3.0]])
    (0, 1)
    """
    try:
        axes = np.ndim(value)
        return axes if isinstance(axes, int) else 1  # of values that dask delays
    except (TypeError, ValueError):
        return 1


def answers(value: Any, is_vectors: bool) -> bool:
    """Whether a value says itself what a ufunc makes of it; pandas cuts arrays up, whatever signature a ufunc has.

    Examples
    --------
    >>> answers(np.ones(2), False), answers(np.ma.ones(2), False)
    (False, False)
    """
    return _answers(type(value), is_vectors)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _answers(kind: Any, is_vectors: bool) -> bool:
    own = getattr(kind, "__array_ufunc__", None)
    if own is None or own is _NUMPY or kind.__module__.startswith("nbad.") or issubclass(kind, np.ma.MaskedArray):
        return False
    return not (is_vectors and any(base.__module__.startswith("pandas.") for base in kind.__mro__))


def _row(kind: type, lines: dict[str, str]) -> str | None:
    """The line for a type, or for one that it derives from."""
    modules = [f"{base.__module__}." for base in kind.__mro__]
    return next((line for module in modules for prefix, line in lines.items() if module.startswith(f"{prefix}.")), None)


def named(value: Any) -> str:
    """The type of a value with the package that it comes from.

    Examples
    --------
    >>> named(np.ma.ones(2)), named(1.0)
    ('numpy.ma.MaskedArray', 'float')
    """
    kind = type(value)
    package = "numpy.ma" if isinstance(value, np.ma.MaskedArray) else kind.__module__.partition(".")[0]
    return kind.__name__ if package in ("builtins", "__main__") else f"{package}.{kind.__name__}"


def shown(value: Any) -> str:
    """Type and short text of a value.

    Examples
    --------
    >>> shown({"a": 1.0})
    "dict {'a': 1.0}"
    """
    if value is MISSING:
        return "nothing"
    return "None" if value is None else f"{named(value)} {reprlib.repr(value)}"


def line_for(value: Any, part: Any, code: str) -> str:
    """The line that makes a NumPy array of what `code` spells, where the value is, or a list holds, such a part."""
    if type(part).__name__ == "NAType":
        return "np.nan  # a missing value"
    line = _row(type(part), LINES | TENSORS) or "np.asarray({0})"
    _, _, method = line.partition("{0}.")
    if not hasattr(part, re.split(r"\W", method)[0] or "__array__"):
        return _EXAMPLE
    if isinstance(part, np.ma.MaskedArray) and part.dtype.kind in "fV":
        line = "{0}.filled(np.nan)" if part.dtype.names is None else f"{{0}}[{part.dtype.names[0]!r}]"
    if tensors_of(part) and str(getattr(part, "layout", "torch.strided")) != "torch.strided":
        line = line.replace("{0}", "{0}.to_dense()")
    return line.format(code) if value is part else f"[{line.format('each')} for each in {code}]"


def by_apply_gufunc(
    function: str, named: dict[str, Any], cores: Sequence[tuple[int, ...]], leaves: Sequence[tuple[int, ...]], more: str = ""
) -> str:
    """The call of dask's function that applies such code, whose arguments and results have these core axes.

    Examples
    --------
    >>> by_apply_gufunc("f", {"x": 1.0}, [(3,)], [(), (2,)])
    "da.apply_gufunc(f, '(i)->(),(j)', x, output_dtypes=(float, float), output_sizes={'j': 2}, allow_rechunk=True)"
    """
    letters: dict[int, str] = {}
    for core in (*cores, *leaves):
        for size in core:
            letters.setdefault(size, "ijklmnpqrstuvw"[len(letters)])
    sides = [",".join("(" + ",".join(letters[size] for size in core) + ")" for core in side) for side in (cores, leaves)]
    sizes = {letter: size for size, letter in letters.items() if not any(size in core for core in cores)}
    dtypes = "float" if len(leaves) == 1 else f"({', '.join(['float'] * len(leaves))})"
    options = f"output_dtypes={dtypes}"
    options += f", output_sizes={sizes}" if sizes else ""
    return f"da.apply_gufunc({function}, {'->'.join(sides)!r}, {', '.join(named)}, {options}, allow_rechunk=True{more})"


def indexable(value: Any, code: str) -> str:
    """How code spells a value as an array that takes new axes, as NumPy's and dask's do.

    Examples
    --------
    >>> indexable(np.ones(2), "x"), indexable([1.0, 1.0], "x")
    ('x', 'np.asarray(x)')
    """
    if part_of(value) is None:
        return code if hasattr(value, "ndim") else f"np.asarray({code})"
    return code if _row(type(value), {"dask.array": ""}) is not None else line_for(value, value, code)


def conversion(value: Any, name: str, code: str | None) -> str:
    """The line that makes numbers of what NumPy makes none of; `code` spells it where it is no argument of a kernel."""
    spelled = code or name
    if _row(type(value), TENSORS):
        return line_for(value, value, spelled)
    if value is None:
        return "1.0" if code else "np.nan  # a missing value"
    if isinstance(value, dict) and name in value:
        return f"{spelled}[{name!r}]"
    if hasattr(value, "__next__"):  # to try would use it up
        return f"np.array(list({spelled}), dtype=float)"
    found = next((line.format(spelled) for line, convert in _CONVERSIONS if _works(convert, value)), None)
    if found is None and code is None and isinstance(value, str | bytes):
        return f"@nbad.kernel(static=({name!r},))  # fixes {name} when the kernel is traced"
    return found or ("1.0" if code else _EXAMPLE)


def _parts(value: Any) -> Any:
    """Lists and arrays of arrays: of bytes and of Arrow's text NumPy makes numbers, too, those of their characters."""
    if not isinstance(value, list | tuple | np.ndarray):
        raise TypeError
    return value


def _works(convert: Callable[[Any], Any], value: Any) -> bool:
    try:
        convert(value)
    except (TypeError, ValueError, AttributeError, OverflowError, RuntimeError):
        return False
    return True


def dtype_fault(value: Any, array: np.ndarray, name: str, code: str | None) -> tuple[str, str]:
    """What is wrong with a value that becomes an array of such a dtype, and the line that makes numbers of it."""
    dtype, code_name = array.dtype, code or name
    if isinstance(value, Mapping | Set) and not value:
        return f"is an empty {type(value).__name__}, which holds no number", "1.0" if code else _EXAMPLE
    if dtype.isbuiltin == 2:  # of another package
        return f"has the dtype {dtype.name}, which NumPy does not compute with by itself", f"{code_name}.astype(np.float32)"
    if dtype.kind == "V":
        field = next(iter(dtype.names or ()), None)
        what = "is a structured array" if field is not None else "holds raw bytes"
        return what, f"{code_name}[{field!r}]" if field is not None else f"np.frombuffer({code_name}, np.uint8).astype(float)"
    if dtype.kind in _HOLDS:
        return _HOLDS[dtype.kind], conversion(value, name, code)
    what, *lines = _FAULTS[dtype.kind]
    return what, lines[isinstance(value, list | tuple)].format(code_name)
