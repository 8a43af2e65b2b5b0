"""The options of `nbad.kernel` and `nbad.vjp`, checked."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nbad.errors import ArgumentTypeError, ArgumentValueError, closest

Array = NDArray[Any]
Argnums = int | str | Sequence[int | str] | None  # arguments by position or name
Residuals = Literal["auto", "partials", "mincut", "recompute"] | tuple[str, ...] | list[str]  # a policy, or names of values
Math = Literal["simd", "libm"]
Errors = Literal["raise", "nan"]
Mode = Literal["auto", "reverse", "forward"]
Out = Array | tuple[Array, ...] | None
MATH = ("simd", "libm")
ERRORS = ("raise", "nan")


def check_math(name: str, library: str) -> str:
    """The option `math=`."""
    if not isinstance(library, str) or library not in MATH:
        meant = closest(library, MATH)
        raise ArgumentValueError(
            f"`nbad.kernel(math=...)` of `{name}`: unknown library",
            got=repr(library),
            expected="'simd' or 'libm'",
            meant=meant,
            fix=f"math={meant or 'simd'!r}",
        )
    return library


def check_errors(name: str, errors: str) -> str:
    """The option `errors=`."""
    if not isinstance(errors, str) or errors not in ERRORS:
        meant = closest(errors, ERRORS)
        raise ArgumentValueError(
            f"`nbad.kernel(errors=...)` of `{name}`: unknown answer to elements without a value",
            got=repr(errors),
            expected="'raise' or 'nan'",
            meant=meant,
            fix=f"errors={meant or 'nan'!r}",
        )
    return errors


def check_operations(name: str, number: Any) -> int:
    """The option `max_operations=`."""
    if isinstance(number, bool) or not hasattr(number, "__index__") or number < 1:
        raise ArgumentValueError(
            f"`nbad.kernel(max_operations=...)` of `{name}`: not a number of operations",
            got=repr(number),
            expected="a positive int",
            fix="max_operations=5000",
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
