"""Functions of numbers and conditions that are no single operation: Python's builtins, `math`'s and NumPy's elementwise ones."""

import functools
import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from nbad.graphs.flags import Cause
from nbad.language import arrays, merging, objects
from nbad.language.lookup import extreme, extreme_by, ordered
from nbad.language.meanings import Meaning, means
from nbad.operations.row import both

if TYPE_CHECKING:
    from nbad.language.trace import Trace

_LARGEST_STEP, _ALL_EXPONENTS = 1022, 4200  # powers of two that are normal numbers; beyond what any number has

# builtins


def _id(trace: "Trace", value: Any) -> int:
    if isinstance(value, list | np.ndarray) or trace.is_traced(value):
        raise trace.refusal_of("identity")
    return id(value)


def _whole(op: str) -> Meaning:
    return means(lambda trace, x: trace.whole(op, x))


class TracedRange:
    """A range with traced bounds, over which a `for` loop of the kernel may run."""

    def __init__(self, trace: "Trace", start: Any, stop: Any, step: int) -> None:
        self.trace, self.start, self.stop, self.step = trace, start, stop, step

    def __iter__(self) -> NoReturn:
        raise self.trace.refusal_of("range")

    __len__ = __contains__ = __getitem__ = __reversed__ = __iter__


def _range(trace: "Trace", *bounds: Any) -> Any:
    start, stop, step = (0, *bounds, 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    if trace.is_traced(step) or step == 0 or len(bounds) > 3:
        raise trace.refusal_of("step")
    return TracedRange(trace, _bound(trace, start), _bound(trace, stop), operator.index(step))


def _bound(trace: "Trace", bound: Any) -> Any:
    """A bound of a range, which a number that is not whole cannot be."""
    if not trace.is_traced(bound):
        return operator.index(bound)
    if not isinstance(bound, int):  # of an argument, which is a float for the trace
        error = TypeError("'float' object cannot be interpreted as an integer")
        trace.no_value(trace.logic("not", bound.is_integer()), Cause.here(error))
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


def _joined(trace: "Trace", values: Any, join: Callable[..., Any], decisive: bool) -> Any:
    """Conditions joined one by one; a plain one may decide, and then the rest is not asked for, as in Python."""
    if not isinstance(values, list | tuple | np.ndarray):  # to ask for an item may do things of its own
        return trace.quantified(values, join, decisive)
    result = not decisive
    for value in values:
        result = join(trace, result, merging.as_condition(trace, value))
        if result is decisive:
            break
    return result


def _extreme(function: Callable[..., Any], op: str, is_better: Callable[..., Any]) -> Meaning:
    """Python's `max` or `min`, of arguments or of any iterable."""

    def act(trace: "Trace", *values: Any, key: Any = None, **options: Any) -> Any:
        if len(values) == 1 and not trace.is_traced(values[0]):
            values = (list(values[0]),)
        is_empty = len(values) == 1 and isinstance(values[0], list) and not values[0]
        if is_empty or (key is None and not trace.holds_traced(values)):
            return function(*values, key=key, **options)
        items = list(values[0]) if len(values) == 1 else values  # a scalar refuses to be iterated over
        return extreme(trace, op, items) if key is None else extreme_by(trace, is_better, key, items)

    return means(act, each=(), always=True)


def _of_iterable(function: Callable[..., Any], act: Callable[..., Any]) -> Meaning:
    """The meaning of a function of any iterable: a generator does not show whether it yields traced values."""

    def act_on_items(trace: "Trace", values: Any, **options: Any) -> Any:
        items = list(values)
        return act(trace, items, **options) if trace.holds_traced((items, options)) else function(items, **options)

    return means(act_on_items, each=(), always=True)


def _sorted(trace: "Trace", values: list[Any], *, key: Any = None, reverse: Any = False) -> list[Any]:
    if key is not None:
        raise trace.refusal("passes `key=` to `builtins.sorted`", "sorted(x)")
    step = -1 if reverse else 1  # nan beside one item stays where Python leaves it; beside more its versions differ
    return ordered(trace, values[::step], "pymin", "pymax")[::step]


def _product(trace: "Trace", values: list[Any], *, start: Any = 1) -> Any:
    return functools.reduce(operator.mul, values, start)


def _hypot(trace: "Trace", *values: Any) -> Any:
    first, *others = values or (0.0,)
    result: Any = first if others else abs(first)
    for value in others:
        result = trace.apply("hypot", (result, value))
    return result


def _fsum(trace: "Trace", values: list[Any]) -> Any:
    """What every addition rounds off is added at the end: Python's has more digits still, and rounds once."""
    total, rest = trace.real(0.0), trace.real(0.0)
    for value in values:
        before, total = total, total + value
        back = total - before
        rest = rest + ((before - (total - back)) + (value - back))
    return trace.apply("select", (_isfinite(trace, rest), total + rest, total))


def _modf(trace: "Trace", x: Any) -> Any:
    x = trace.real(x)
    rest = trace.apply("fmod", (x, 1.0))  # of the sign of x, and with the slope 1 where it is 0, too
    rest = trace.apply("select", (_isinf(trace, x), trace.apply("copysign", (0.0, x)), rest))
    return rest, trace.apply("trunc", (x,))


def _numpy_modf(trace: "Trace", x: Any) -> Any:
    items = arrays.items(trace, x)
    parts = zip(*(_modf(trace, value) for value in items.flat), strict=True)
    return tuple(arrays.wrap(trace, objects.like(items, part)) for part in parts)


def _divmod(trace: "Trace", x: Any, y: Any) -> Any:
    return trace.call(np.floor_divide, (x, y), {}), trace.call(np.remainder, (x, y), {})


def _ldexp(trace: "Trace", x: Any, i: Any) -> Any:
    if trace.is_traced(i):
        return x * trace.apply("exp2", (i,))
    steps, rest = divmod(min(abs(i), _ALL_EXPONENTS), _LARGEST_STEP)  # only the last step may round
    for step in (rest, *[_LARGEST_STEP] * steps):
        x = x * math.ldexp(1.0, step if i > 0 else -step)
    return x


def _remainder(trace: "Trace", x: Any, y: Any) -> Any:
    """The multiple of `y` nearest to `x` is taken off, of two that are as near the even one."""
    x, size = trace.real(x), abs(trace.real(y))
    sign = trace.apply("copysign", (1.0, x))
    # exact, and with the parity of the quotient; the sign, for `abs` has no slope at 0
    rest = sign * trace.apply("fmod", (x, size + size))
    once = rest - size
    twice = trace.apply("select", (once + once >= size, once - size, once))
    return sign * trace.apply("select", (rest + rest > size, twice, rest))


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


def _allclose(trace: "Trace", a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    options = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan}
    return _joined(trace, np.ravel(arrays.items(trace, trace.call(np.isclose, (a, b), options))), merging.both, False)


def _math_isclose(trace: "Trace", a: Any, b: Any, *, rel_tol: float = 1e-9, abs_tol: float = 0.0) -> Any:
    a, b = trace.real(a), trace.real(b)
    difference = abs(a - b)
    near = (difference <= abs(rel_tol * b)) | (difference <= abs(rel_tol * a)) | (difference <= abs_tol)
    return (near & _isfinite(trace, a) & _isfinite(trace, b)) | (a == b)


def _nan_to_num(trace: "Trace", x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = trace.real(x)
    # the largest number: which of the two it is tells one that is infinite in float32 alone
    most = _where(trace, abs(x) > 1e39, float(np.finfo(float).max), float(np.finfo(np.float32).max))
    x = _where(trace, x == math.inf, most if posinf is None else posinf, x)
    x = _where(trace, x == -math.inf, -most if neginf is None else neginf, x)
    return _where(trace, _isnan(trace, x), nan, x)


def _select(trace: "Trace", condlist: Any, choicelist: Any, default: Any = 0.0) -> Any:
    """The first choice whose condition holds."""
    if len(condlist) != len(choicelist):
        raise trace.refusal("calls `numpy.select` with lists of different lengths", "np.select([x > 0, x < 0], [x, -x])")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = trace.call(np.where, (condition, choice, result), {})
    return result


def _where(trace: "Trace", condition: Any, x: Any, y: Any) -> Any:
    return merging.chosen(trace, trace.condition(condition), x, y)


def _piecewise(trace: "Trace", x: Any, condlist: Any, funclist: Any) -> Any:
    """Of the conditions that hold the last one decides, as in NumPy; where none does, one more function, or 0."""
    is_list = isinstance(condlist, list | tuple | np.ndarray)
    is_one = not is_list or (isinstance(x, np.ndarray) and not isinstance(condlist[0], list | np.ndarray))
    conditions = [condlist] if is_one else list(condlist)
    if len(funclist) not in (len(conditions), len(conditions) + 1):
        raise trace.refusal("calls `numpy.piecewise` with lists that do not fit", "np.piecewise(x, [x < 0], [f, g])  # else g")
    functions, default = funclist[: len(conditions)], (*funclist, 0.0)[len(conditions)]

    def value(x: Any, *holds: Any) -> Any:
        result = _applied(default, x)
        for condition, function in zip(holds, functions, strict=True):
            result = _where(trace, condition, _applied(function, x), result)
        return result

    return arrays.each(trace, lambda trace, *values: value(*values), value, [x, *conditions])


def _applied(function: Any, x: Any) -> Any:
    return function(x) if callable(function) else function


def _real(trace: "Trace", x: Any) -> Any:
    """An array itself: NumPy's is a view of it."""
    return x if isinstance(x, np.ndarray) else trace.real(x)


def _log(trace: "Trace", x: Any, *base: Any) -> Any:
    logarithms = [trace.apply("log", (value,)) for value in (x, *base)]
    return trace.apply("div", logarithms) if base else logarithms[0]  # `/` would note its own error before those of `log`


# functions of numbers


def _clip(trace: "Trace", x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """By either pair of names: that of the function, or of the method."""
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is high is None:
        return trace.call(np.copy, (x,), {})
    x = x if low is None else trace.call(np.maximum, (x, low), {})
    return x if high is None else trace.call(np.minimum, (x, high), {})


MEANINGS = {
    **dict.fromkeys(("builtins.int", "math.trunc"), _whole("trunc")),
    "math.floor": _whole("floor"),
    "math.ceil": _whole("ceil"),
    "numpy.fix": means(lambda trace, x: trace.apply("trunc", (trace.real(x),))),
    "builtins.id": means(_id, each=(), always=True),
    "builtins.bool": means(lambda trace, x: merging.as_condition(trace, x), each=()),
    "builtins.range": means(_range, each=()),
    "builtins.round": means(_round),
    **dict.fromkeys(("numpy.round", "numpy.around"), means(_numpy_round, each=(0,))),
    "builtins.any": means(lambda trace, values: _joined(trace, values, merging.either, True), each=(), always=True),
    "builtins.all": means(lambda trace, values: _joined(trace, values, merging.both, False), each=(), always=True),
    "builtins.max": _extreme(max, "pymax", operator.gt),
    "builtins.min": _extreme(min, "pymin", operator.lt),
    "builtins.sorted": _of_iterable(sorted, _sorted),
    "numpy.isscalar": means(lambda trace, x: trace.is_traced(x), each=()),
    "numpy.iterable": means(lambda trace, x: not trace.is_traced(x), each=()),
    **dict.fromkeys(both("isnan"), means(_isnan)),
    **dict.fromkeys(both("isinf"), means(_isinf)),
    **dict.fromkeys(both("isfinite"), means(_isfinite)),
    "numpy.allclose": means(_allclose, each=()),
    "numpy.isclose": means(_isclose, each=(0, 1)),
    "math.isclose": means(_math_isclose),
    "numpy.nan_to_num": means(_nan_to_num, each=(0,)),
    "numpy.divmod": means(_divmod, each=()),
    "numpy.signbit": means(lambda trace, x: trace.apply("copysign", (1.0, x)) < 0.0),
    "numpy.select": means(_select, each=()),
    "numpy.where": means(_where),
    **dict.fromkeys(
        ("builtins.float", "numpy.float64", "numpy.positive", "numpy.conj", "numpy.conjugate"),
        means(lambda trace, x: trace.real(x)),
    ),
    "numpy.real": means(_real, each=()),
    "numpy.imag": means(lambda trace, x: 0.0),
    "numpy.isrealobj": means(lambda trace, x: True, each=()),
    **dict.fromkeys(("numpy.iscomplexobj", "scipy.sparse.issparse"), means(lambda trace, x: False, each=())),
    "numpy.piecewise": means(_piecewise, each=()),
    "math.log": means(_log),
    "math.prod": _of_iterable(math.prod, _product),
    "math.dist": means(lambda trace, p, q: trace.call(math.hypot, tuple(map(operator.sub, p, q)), {}), each=()),
    "math.hypot": means(_hypot),
    "math.fsum": _of_iterable(math.fsum, _fsum),
    "math.modf": means(_modf),
    "numpy.modf": means(_numpy_modf, each=()),
    "math.remainder": means(_remainder),
    "math.ldexp": means(_ldexp),
    "numpy.ldexp": means(_ldexp, each=(0,)),
    "numpy.bitwise_and": means(lambda trace, x, y: trace.logic("and", x, y)),
    "numpy.bitwise_or": means(lambda trace, x, y: trace.logic("or", x, y)),
    "numpy.bitwise_xor": means(lambda trace, x, y: trace.exclusive(x, y)),
    "numpy.logical_xor": means(lambda trace, x, y: trace.exclusive(trace.condition(x), trace.condition(y))),
    "numpy.invert": means(lambda trace, x: trace.logic("not", x)),
    "numpy.clip": means(_clip, each=()),
}
