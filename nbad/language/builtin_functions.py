"""Functions of Python and NumPy that are made of several operations, or that mean something else on traced values."""

import builtins
import functools
import itertools
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad import lines
from nbad.graphs.flags import Cause
from nbad.language import merging, refusals
from nbad.language.lookup import extreme, select_tree
from nbad.language.meanings import Meaning, means

if TYPE_CHECKING:
    from nbad.language.trace import Trace

# builtins


def _id(trace: "Trace", value: Any) -> int:
    if isinstance(value, list | np.ndarray) or trace.is_traced(value):
        raise trace.refusal(*refusals.FLOW["identity"])
    return id(value)


def _whole(op: str) -> Meaning:
    return means(lambda trace, x: trace.whole(op, x))


def _fix(trace: "Trace", x: Any) -> Any:
    return trace.apply("trunc", (trace.real(x),))


def _bool(trace: "Trace", x: Any) -> Any:
    return trace.condition(x) if trace.is_traced(x) else bool(x)


class TracedRange:
    """A range with traced bounds, over which a `for` loop of the kernel may run."""

    def __init__(self, trace: "Trace", start: Any, stop: Any, step: int) -> None:
        self.trace, self.start, self.stop, self.step = trace, start, stop, step

    def __iter__(self) -> NoReturn:
        raise self.trace.refusal(*refusals.FLOW["range"])

    __len__ = __contains__ = __getitem__ = __reversed__ = __iter__


def _range(trace: "Trace", *bounds: Any) -> Any:
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if trace.is_traced(step) or step == 0 or len(bounds) > 3:
        raise trace.refusal(*refusals.FLOW["step"])
    return TracedRange(trace, _bound(trace, start), _bound(trace, stop), operator.index(step))


def _bound(trace: "Trace", bound: Any) -> Any:
    """A bound of a range, which a number that is not whole cannot be."""
    if not trace.is_traced(bound):
        return operator.index(bound)
    if not isinstance(bound, int):  # of an argument, which is a float for the trace
        frame = lines.user_frame()
        module = "" if frame is None else str(frame.f_globals.get("__name__"))
        error = TypeError("'float' object cannot be interpreted as an integer")
        trace.no_value(
            trace.logic("not", bound.is_integer()), Cause(error, lines.running_line() or lines.Line("", "", 0), module)
        )
    return trace.whole("trunc", bound)


def _round(trace: "Trace", x: Any, digits: Any = None) -> Any:
    """To the nearest whole number; halves go to the even one."""
    if digits:
        raise trace.refusal("rounds to digits", "np.round(x, 2)")
    return trace.apply("round", (x,)) if digits is not None else trace.whole("round", x)


def _numpy_round(trace: "Trace", x: Any, decimals: int = 0) -> Any:
    scale = 10.0 ** abs(decimals)  # as NumPy does it: by a power with a positive exponent, which is exact up to 22
    if decimals > 0:
        return trace.apply("round", (trace.real(x) * scale,)) / scale
    return trace.apply("round", (trace.real(x) / scale,)) * scale if decimals else trace.apply("round", (x,))


def _any(trace: "Trace", values: Any) -> Any:
    return _joined(trace, values, merging.either, True)


def _all(trace: "Trace", values: Any) -> Any:
    return _joined(trace, values, merging.both, False)


def _joined(trace: "Trace", values: Any, join: Callable[..., Any], decisive: bool) -> Any:
    """Conditions joined one by one; a plain one may decide, and then the rest is not asked for, as in Python."""
    result = not decisive
    for value in values:
        result = join(trace, result, trace.condition(value) if trace.is_traced(value) else bool(value))
        if result is decisive:
            break
    return result


def _max(trace: "Trace", *values: Any, **options: Any) -> Any:
    return _extreme(trace, builtins.max, "pymax", values, options)


def _min(trace: "Trace", *values: Any, **options: Any) -> Any:
    return _extreme(trace, builtins.min, "pymin", values, options)


def _extreme(trace: "Trace", function: Callable[..., Any], op: str, values: Any, options: Any) -> Any:
    """Python's `max` or `min`, of arguments or of any iterable."""
    if len(values) == 1 and not trace.is_traced(values[0]):
        values = (list(values[0]),)
    if not trace.holds_traced(values):
        return function(*values, **options)
    if options:
        name = function.__name__
        raise trace.refusal(f"passes `{next(iter(options))}=` to `builtins.{name}`", f"{name}(x)")
    items = list(values[0]) if len(values) == 1 else values  # a scalar refuses to be iterated over
    return extreme(trace, op, items)


def _isscalar(trace: "Trace", x: Any) -> bool:
    return trace.is_traced(x)


def _iterable(trace: "Trace", x: Any) -> bool:
    return not trace.is_traced(x)


# conditions


def _isnan(trace: "Trace", x: Any) -> Any:
    x = trace.real(x)
    return x != x


def _isinf(trace: "Trace", x: Any) -> Any:
    return abs(trace.real(x)) == math.inf


def _isfinite(trace: "Trace", x: Any) -> Any:
    return abs(trace.real(x)) < math.inf


def _isclose(trace: "Trace", a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    a, b = trace.real(a), trace.real(b)
    near = (_isfinite(trace, b) & (abs(a - b) <= atol + rtol * abs(b))) | (a == b)
    return near | (_isnan(trace, a) & _isnan(trace, b)) if equal_nan else near


def _math_isclose(trace: "Trace", a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> Any:
    a, b = trace.real(a), trace.real(b)
    difference = abs(a - b)
    near = (difference <= abs(rel_tol * b)) | (difference <= abs(rel_tol * a)) | (difference <= abs_tol)
    return (near & _isfinite(trace, a) & _isfinite(trace, b)) | (a == b)


def _nan_to_num(trace: "Trace", x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x, most = trace.real(x), float(np.finfo(float).max)
    x = _where(trace, x == math.inf, most if posinf is None else posinf, x)
    x = _where(trace, x == -math.inf, -most if neginf is None else neginf, x)
    return _where(trace, _isnan(trace, x), nan, x)


def _divmod(trace: "Trace", x: Any, y: Any) -> Any:
    return trace.apply("floordiv", (x, y)), trace.apply("mod", (x, y))


def _searchsorted(trace: "Trace", a: Any, v: Any, side: str = "left") -> Any:
    return _place(trace, _knots(trace, "np.searchsorted({a}, x)", a), v, side)


def _digitize(trace: "Trace", x: Any, bins: Any, right: bool = False) -> Any:
    return _place(trace, _knots(trace, "np.digitize(x, {bins})", bins), x, "left" if right else "right")


def _place(trace: "Trace", knots: list[float], x: Any, side: str) -> Any:
    """How many knots lie below a number; nan lies above all, as in NumPy."""
    x = trace.real(x)
    below = [~(x <= knot) if side == "left" else ~(x < knot) for knot in knots]
    return trace.whole("floor", sum(below, start=0.0))


def _signbit(trace: "Trace", x: Any) -> Any:
    return trace.apply("copysign", (1.0, x)) < 0.0


def _select(trace: "Trace", conditions: Any, choices: Any, default: Any = 0.0) -> Any:
    """The first choice whose condition holds."""
    if len(conditions) != len(choices):
        raise trace.refusal("calls `numpy.select` with lists of different lengths", "np.select([x > 0, x < 0], [x, -x])")
    result = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = trace.call(np.where, (condition, choice, result), {})
    return result


def _where(trace: "Trace", condition: Any, x: Any, y: Any) -> Any:
    condition = trace.condition(condition)
    # a select takes numbers: of conditions it is made of logic
    if all(trace.is_condition(value) for value in (x, y)):
        return (condition & x) | (~condition & y)
    return trace.apply("select", (condition, x, y))


def _float(trace: "Trace", x: Any) -> Any:
    return trace.real(x)


def _log(trace: "Trace", x: Any, *base: Any) -> Any:
    logarithms = [trace.apply("log", (value,)) for value in (x, *base)]
    return functools.reduce(lambda x, y: x / y, logarithms)


def _bitwise_and(trace: "Trace", x: Any, y: Any) -> Any:
    return trace.logic("and", x, y)


def _bitwise_or(trace: "Trace", x: Any, y: Any) -> Any:
    return trace.logic("or", x, y)


def _bitwise_xor(trace: "Trace", x: Any, y: Any) -> Any:
    return trace.exclusive(x, y)


def _logical_xor(trace: "Trace", x: Any, y: Any) -> Any:
    return trace.exclusive(trace.condition(x), trace.condition(y))


def _invert(trace: "Trace", x: Any) -> Any:
    return trace.logic("not", x)


# functions of numbers


def _clip(trace: "Trace", x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    for function, bound in ((np.maximum, a_min), (np.minimum, a_max)):
        x = x if bound is None else trace.call(function, (x, bound), {})
    return x


def _polyval(trace: "Trace", p: Any, x: Any) -> Any:
    """The polynomial with these coefficients, the highest power first, by Horner's rule, as NumPy does it."""
    return functools.reduce(lambda sum_, coefficient: sum_ * x + coefficient, p, 0.0)


def _interp(trace: "Trace", x: Any, xp: Any, fp: Any) -> Any:
    """Linear interpolation in a table, constant beyond its ends; at a knot the derivative is that of the right-hand piece."""
    x, knots = trace.real(x), _knots(trace, "np.interp(x, {xp}, fp)", xp)
    values = [v if trace.is_traced(v) else float(v) for v in fp]
    if len(values) != len(xp) or not knots:
        raise trace.refusal("calls `numpy.interp` with tables that do not fit", "np.interp(x, xp, fp)  # of one length")
    last = len(knots) - 1
    # two equal knots are a jump, which has no slope
    pieces = [k for k in range(last) if knots[k] < knots[k + 1]]
    if not pieces:
        return trace.real(values[0]) if last == 0 else trace.apply("select", (x < knots[0], values[0], values[last]))
    slopes = [(values[k + 1] - values[k]) / (knots[k + 1] - knots[k]) for k in pieces]

    def pick(numbers: list[Any]) -> Any:
        return select_tree(trace, numbers, lambda k: x < knots[pieces[k]])

    inside = pick(slopes) * (x - pick([knots[k] for k in pieces])) + pick([values[k] for k in pieces])
    above = trace.apply("select", (x >= knots[last], values[last], inside))
    return trace.apply("select", (x < knots[0], values[0], above))


def _knots(trace: "Trace", example: str, table: Any) -> list[float]:
    """A constant table that increases; `example` is the call, with the table's name in braces."""
    call, name = example.partition("(")[0].replace("np", "numpy"), example.partition("{")[2].partition("}")[0]
    if trace.holds_traced(table):
        fix = example.replace(f"{{{name}}}", "[0.0, 1.0, 2.0]") + "  # a constant table"
        raise trace.refusal(f"calls `{call}` with a traced `{name}`", fix)
    knots = [float(knot) for knot in table]
    if not all(itertools.starmap(operator.le, itertools.pairwise(knots))):
        fix = example.replace(f"{{{name}}}", f"sorted({name})")
        raise trace.refusal(f"calls `{call}` with an `{name}` that does not increase", fix)
    return knots


MEANINGS = {
    "builtins.int": _whole("trunc"),
    "math.trunc": _whole("trunc"),
    "math.floor": _whole("floor"),
    "math.ceil": _whole("ceil"),
    "numpy.fix": means(_fix),
    "builtins.id": means(_id, each=(), always=True),
    "builtins.bool": means(_bool, each=()),
    "builtins.range": means(_range, each=()),
    "builtins.round": means(_round),
    "numpy.round": means(_numpy_round, each=(0,)),
    "numpy.around": means(_numpy_round, each=(0,)),
    "builtins.any": means(_any, each=(), always=True),
    "builtins.all": means(_all, each=(), always=True),
    "builtins.max": means(_max, each=(), always=True),
    "builtins.min": means(_min, each=(), always=True),
    "numpy.isscalar": means(_isscalar, each=()),
    "numpy.iterable": means(_iterable, each=()),
    "numpy.isnan": means(_isnan),
    "math.isnan": means(_isnan),
    "numpy.isinf": means(_isinf),
    "math.isinf": means(_isinf),
    "numpy.isfinite": means(_isfinite),
    "math.isfinite": means(_isfinite),
    "numpy.isclose": means(_isclose, each=(0, 1)),
    "math.isclose": means(_math_isclose),
    "numpy.nan_to_num": means(_nan_to_num, each=(0,)),
    "numpy.divmod": means(_divmod),
    "numpy.searchsorted": means(_searchsorted, each=(1,)),
    "numpy.digitize": means(_digitize, each=(0,)),
    "numpy.signbit": means(_signbit),
    "numpy.select": means(_select, each=()),
    "numpy.where": means(_where),
    "builtins.float": means(_float),
    "numpy.float64": means(_float),
    "numpy.positive": means(_float),
    "math.log": means(_log),
    "numpy.bitwise_and": means(_bitwise_and),
    "numpy.bitwise_or": means(_bitwise_or),
    "numpy.bitwise_xor": means(_bitwise_xor),
    "numpy.logical_xor": means(_logical_xor),
    "numpy.invert": means(_invert),
    "numpy.clip": means(_clip, each=()),
    "numpy.polyval": means(_polyval, each=(1,)),
    "numpy.interp": means(_interp, each=(0,)),
}
