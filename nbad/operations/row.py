"""What a row of the primitive table is, and short ways to write one."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nbad.operations import scipy_link
from nbad.operations.series import by_expansion

REAL, BOOL = "real", "bool"
# a partial by a parameter of a special function, of two operands or of three: nan, and so are its own partials
UNKNOWN = ("unknown(x + y)", "unknown(x + y + z)")
PAIR = (REAL, REAL)


# a named tuple, as all records of nbad that need no more: to make a frozen dataclass takes a millisecond of the import
class Operation(NamedTuple):
    """One primitive.

    Attributes
    ----------
    name : str
    numpy : callable
        Reference implementation on NumPy values, for the interpreter, `nbad.special` and the tests; the payload comes last.
    spellings : tuple of str
        Where a kernel finds it: "math.sin", "numpy.sin".
    operands, kind : kinds of the operands and of the value, "real" or "bool".
    payload : int or None
        A sample of the whole number that the operation takes beside its operands; None where it takes none.
    expression : str or None
        The value as text that SymPy and mpmath read; None where it has no derivative (comparisons, logic).
    partials : tuple of (str or None), or None
        One per real operand; None stands for SymPy's own derivative, which `nbad.operations.derived` holds, and a text of
        UNKNOWN for one that nbad does not know, which is nan.
    square : tuple of str
        The partials of the square of the value, where it is smooth at points at which the value is not, or may be.
    expansion : callable or None
        `expansion(g, *operands)` builds the value from other operations; `g` offers them by name, operands overload operators.
    libm : str or None
        Name of the C function in float64; float32 adds an `f`.
    scipy : str or None
        Name of the function of `scipy.special.cython_special`, in float64.
    address : callable or None
        Returns the address of a C function of doubles: a user's own.
    plain : callable or None
        The user's own function in Python, where `address` is one that may fail: it raises what that cannot.
    recipes : callable or None
        Returns the partials as graphs in the operands and the value, where they are not text.
    formula : Graph or None
        What an operation of the user's is, where it is no function: constants are computed by it.
    cost : float
        Rough cost of one element in units of one multiplication, as vector code on AVX-512.
    samples : tuple of tuples
        Points of the domain at which tests check values and partials.
    domain : tuple of (float, float)
        For each operand the interval in which the published accuracy is measured.
    kink : str
        The convention where the derivative is not unique, and where a partial is less accurate than 8 ulp.
    """

    name: str
    numpy: Callable[..., Any]
    spellings: tuple[str, ...] = ()
    operands: tuple[str, ...] = (REAL,)
    kind: str = REAL
    payload: int | None = None
    expression: str | None = None
    partials: tuple[str | None, ...] | None = None
    square: tuple[str, ...] = ()
    expansion: Callable[..., Any] | None = None
    libm: str | None = None
    scipy: str | None = None
    address: Callable[[], int] | None = None
    plain: Callable[..., Any] | None = None
    recipes: Callable[[], tuple[Any, ...]] | None = None
    formula: Any = None
    cost: float = 1.0
    samples: tuple[tuple[float, ...], ...] = ((-0.8,), (0.3,), (2.5,))
    domain: tuple[tuple[float, float], ...] = ()
    kink: str = ""

    @property
    def is_call(self) -> bool:
        """Whether compiled code calls a function for it."""
        return bool(self.libm or self.scipy or self.address)


PAIRS = ((0.3, 0.7), (1.3, -0.4), (-2.5, -0.6), (-0.9, 3.0))
POSITIVE = ((0.01,), (0.7,), (25.0,))
INSIDE = ((-0.999,), (-0.3,), (1e-6,), (0.8,))


def both(name: str, *others: str) -> tuple[str, ...]:
    """Spellings in `math` and in `numpy`."""
    return f"math.{name}", f"numpy.{name}", *(f"numpy.{other}" for other in others)


def special(name: str, *others: str) -> tuple[str, ...]:
    """Spellings in `scipy.special` and in `nbad.special`."""
    return *(f"scipy.special.{each}" for each in (name, *others)), f"nbad.special.{name}"


def scalar(function: Callable[..., Any], pole: float = math.nan) -> Callable[..., Any]:
    """A NumPy-like version of a function of `math`, which raises at poles and where it overflows."""

    def call(*operands: Any) -> float:
        try:
            return function(*operands)
        except OverflowError:
            return math.inf
        except ValueError:
            return pole

    # without `otypes` NumPy calls the function once more to learn its type, and refuses arrays of size 0
    return np.vectorize(call, otypes=[float])


def _row(
    name: str, expression: str | None, partials: tuple[str | None, ...], function: Callable[..., Any], **more: Any
) -> Operation:
    """A row, whose partials are SymPy's own where none are given."""
    own = (None,) * len(more.get("operands", (REAL,))) if expression else None
    return Operation(name, function, expression=expression, partials=partials or own, **more)


def machine(
    name: str, expression: str, *partials: str | None, function: Callable[..., Any] | None = None, **more: Any
) -> Operation:
    """A single instruction."""
    return _row(name, expression, partials, function or getattr(np, name), **more)


def call(name: str, expression: str, *partials: str | None, function: Callable[..., Any] | None = None, **more: Any) -> Operation:
    """A function of the C library."""
    more = {"spellings": both(name), "libm": name, "cost": 20.0} | more
    return _row(name, expression, partials, function or getattr(np, name), **more)


def composite(
    name: str,
    expression: str,
    expansion: Callable[..., Any],
    *partials: str | None,
    function: Callable[..., Any] | None = None,
    **more: Any,
) -> Operation:
    """An operation made of others: also for NumPy's values, where NumPy has none of the name."""
    function = function or getattr(np, name, None) or by_expansion(expansion)
    return _row(name, expression, partials, function, expansion=expansion, **more)


def of_scipy(name: str, expression: str | None, *partials: str | None, own: str | None = None, **more: Any) -> Operation:
    """A function of SciPy's, called `own` in its compiled module, for each lane."""
    more = {"spellings": special(name), "scipy": own or name, "cost": 300.0} | more
    return _row(name, expression, partials, scipy_link.reference(own or name), **more)
