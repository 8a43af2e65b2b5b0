"""The decorator `nbad.kernel`."""

import functools
from collections.abc import Callable, Iterable
from typing import overload

from nbad.api.kernel import Kernel
from nbad.api.options import Errors, Math
from nbad.errors import fitting


@overload
def kernel(
    fn: Callable[..., object],
    *,
    signature: str | None = None,
    static: str | Iterable[str] = (),
    math: Math = "simd",
    max_operations: int = 5000,
    errors: Errors = "raise",
    max_passes: int = 10_000,
) -> Kernel: ...


@overload
def kernel(
    fn: None = None,
    *,
    signature: str | None = None,
    static: str | Iterable[str] = (),
    math: Math = "simd",
    max_operations: int = 5000,
    errors: Errors = "raise",
    max_passes: int = 10_000,
) -> Callable[[Callable[..., object]], Kernel]: ...


@fitting("nbad.kernel(lambda x: x * x, math='libm')")
def kernel(fn=None, *, signature=None, static=(), math="simd", max_operations=5000, errors="raise", max_passes=10_000):
    """Make an elementwise kernel of a Python function of scalars.

    The function is traced once for each set of passed arguments; globals, closures and defaults are read then. Derivatives come
    from `nbad.vjp`, `nbad.jvp`, `nbad.jacobian` and their kin.

    Parameters
    ----------
    fn : callable
        Plain Python with `math.*` and `numpy.*` functions; returns one value, or a tuple, a namedtuple or a dict of values, which
        come back as such. A list is an array, where the signature says so.
    signature : str, optional
        Core shapes in NumPy's gufunc notation, such as "(3),()->(2)", a group for each argument that is not static; scalars
        without it. A letter is a size that each call tells, as in "(n),(n)->()": the kernel is traced and compiled once for each
        size (`f.sized(n=3)` is the kernel of one). Inside, such arguments are read-only arrays that NumPy's functions and
        operators work on. Sums, products and other reductions run from left to right, as a loop would.
    static : tuple of str
        Arguments that are Python values fixed when the kernel is traced; one specialization for each value, told apart by type
        and contents, items of lists and dicts and attributes of objects included. Text, None, enum members, functions, and
        dataclasses of plain values are static by themselves, and so are dicts, namedtuples and dataclasses that hold nothing
        else, and what goes into `**kwargs`. The `self` of a method is static: `obj.f` is a kernel of the other arguments, made
        anew from the attributes of `obj` wherever it is written; `f = obj.f` keeps it.
    math : {"simd", "libm"}
        Vector functions within a few ulp, or the C library's scalar ones bit for bit.
    max_operations : int
        A kernel of more operations is refused. A loop whose passes would be too many of them is a loop of the machine code, and
        counts as one pass.
    errors : {"raise", "nan"}
        What elements do that take a path without a value, by `raise`, by an `assert` that fails, or by an operation on None: the
        call raises the user's own exception, as the function does for the first of them in C order, with a note on element,
        count and line; or value and derivatives are nan there, and a seed of 0 still gives 0. Of kernels that call one another
        the outermost decides.
    max_passes : int
        Elements for which a loop that depends on data does more passes have no value: the call raises `NotConvergedError`, with
        their state, or they are nan.

    Returns
    -------
    Kernel
        With the function's name, docstring, signature, defaults and keyword arguments.

    Raises
    ------
    TraceError
        At decoration for `*args` and for reserved parameter names; at the first call for what cannot be traced.

    Examples
    --------
    >>> import nbad, math
    >>> @nbad.kernel
    ... def damped(x, rate=0.5):
    ...     return math.exp(-rate * x) * math.cos(x)
    >>> damped(0.0)
    np.float64(1.0)
    """
    options = dict(
        signature=signature, static=static, math=math, max_operations=max_operations, errors=errors, max_passes=max_passes
    )
    return functools.partial(kernel, **options) if fn is None else Kernel(fn, **options)
