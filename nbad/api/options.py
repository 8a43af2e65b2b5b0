"""The options of `nbad.kernel` and `nbad.vjp`, checked."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbad.errors import ArgumentTypeError, ArgumentValueError, closest
from nbad.foreign import shown
from nbad.forks import IMPORTS
from nbad.indexing.indexed import Indexed

Array = NDArray[Any]
ArrayArgument = ArrayLike | Indexed  # of a kernel
Argnums = int | str | Sequence[int | str] | None  # arguments by position or name
Residuals = Literal["auto", "partials", "mincut", "recompute"] | tuple[str, ...] | list[str]  # a policy, or names of values
Math = Literal["simd", "libm"]
Errors = Literal["raise", "nan"]
Mode = Literal["auto", "reverse", "forward"]
Out = Array | tuple[Array, ...] | None
MATH = ("simd", "libm")
ERRORS = ("raise", "nan")


def check_function(fn: Any) -> None:
    """What `nbad.kernel` decorates: a function, or an object that is called like one."""
    is_signature = isinstance(fn, str) and "->" in fn
    fix = f"@nbad.kernel(signature={fn!r})" if is_signature else "nbad.kernel(lambda x: x * x)"
    if isinstance(fn, staticmethod | classmethod | property):
        fix = f"@{type(fn).__name__}  # above @nbad.kernel"
    elif isinstance(fn, type) and "__call__" in vars(fn):
        fix = f"nbad.kernel({fn.__name__}())"
    elif callable(fn):
        return
    raise ArgumentTypeError(
        "`nbad.kernel(fn)`: fn is not a function", got=shown(fn), expected="a Python function of scalars", fix=fix
    )


def check_math(name: str, library: str) -> str:
    """The option `math=`."""
    return _check_word(name, "math", library, MATH, "unknown library", usual="simd")


def check_errors(name: str, errors: str) -> str:
    """The option `errors=`."""
    return _check_word(name, "errors", errors, ERRORS, "unknown answer to elements without a value", usual="nan")


def _check_word(name: str, option: str, word: str, words: tuple[str, str], wrong: str, *, usual: str) -> str:
    """An option that is one of two words; `usual` is the one to propose where none is meant."""
    if not isinstance(word, str) or word not in words:
        meant = closest(word, words)
        raise ArgumentValueError(
            f"`nbad.kernel({option}=...)` of `{name}`: {wrong}",
            got=repr(word),
            expected=" or ".join(map(repr, words)),
            meant=meant,
            fix=f"{option}={meant or usual!r}",
        )
    return word


def check_operations(name: str, number: Any) -> int:
    """The option `max_operations=`."""
    return _check_count(name, "max_operations=5000", number, "operations")


def check_passes(name: str, number: Any) -> int:
    """The option `max_passes=`."""
    return _check_count(name, "max_passes=10_000", number, "passes", below=2**53)


def _check_count(name: str, fix: str, number: Any, things: str, below: float = float("inf")) -> int:
    """An option that is a number of things."""
    if isinstance(number, bool) or not hasattr(number, "__index__") or not 0 < number < below:
        raise ArgumentValueError(
            f"`nbad.kernel({fix.partition('=')[0]}=...)` of `{name}`: not a number of {things}",
            got=repr(number),
            expected="a positive int",
            fix=fix,
        )
    return int(number)


def working_dtype(call: str, dtype: Any, code: str) -> np.dtype:
    """A dtype that compiled code computes in; `code` is a call with a place for one."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        meant = closest(dtype, ("float64", "float32"))
        raise ArgumentTypeError(
            f"{call}: not a working dtype",
            got=str(dtype),
            expected="float64 or float32",
            meant=meant,
            fix=code.format(meant or "float64"),
        )
    return found


def check_bound(call: str, max_bytes: Any) -> int | None:
    """The option `max_bytes=` as an int, or None."""
    if max_bytes is None:
        return None
    if hasattr(max_bytes, "__index__") and not isinstance(max_bytes, bool) and max_bytes > 0:
        return int(max_bytes)
    raise ArgumentValueError(
        f"{call}: max_bytes={max_bytes!r} is not a number of bytes",
        got=repr(max_bytes),
        expected="a positive int",
        fix="max_bytes=2**30",
    )


def check_policy(call: str, residuals: Any) -> str | tuple[str, ...]:
    """The option `residuals=` of a call: "auto", a policy, or a tuple of names of values, which the plan checks."""
    with IMPORTS:
        from nbad.plans.policies import POLICIES  # here, so that `import nbad` need not load what plans

    if isinstance(residuals, tuple | list) and all(isinstance(name, str) for name in residuals):
        return tuple(residuals)
    if isinstance(residuals, str) and residuals in ("auto", *POLICIES):
        return residuals
    meant = closest(residuals, ("auto", *POLICIES))
    raise ArgumentValueError(
        f"{call}: unknown residual policy",
        got=repr(residuals),
        expected="'auto', one of " + ", ".join(map(repr, POLICIES)) + ", or a tuple of names of values",
        meant=meant and repr(meant),
        fix=f"residuals={meant or 'auto'!r}"
        + f"  # or residuals=({residuals!r},) for a value of that name" * isinstance(residuals, str),
    )


def check_seeds(call: str, seeds: Any) -> int:
    """The option `seeds=` of a call as an int."""
    if isinstance(seeds, bool) or not hasattr(seeds, "__index__") or seeds < 0:
        raise ArgumentValueError(
            f"{call}: seeds={seeds!r} is not a number of seeds", got=repr(seeds), expected="an int, 0 or more", fix="seeds=8"
        )
    return int(seeds)
