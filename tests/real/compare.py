"""One function as a kernel, against the function itself: values at a few points, Jacobians against extrapolated differences."""

import inspect
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from real.collect import Example, call, numbers_in, python_function, quiet, time_limit
from real.pieces import decisions

import nbad
from nbad.errors import TraceError

SHIFTS = (0.0, 1e-3, -0.7e-3)  # relative, of the points; where an argument is 0 the first is a point by itself
NEAR_ZERO = 1e-4
COMPILING = 60.0  # seconds for trace, compilation and run
VALUE, DERIVATIVE = 1e-10, 1e-6
LEVELS = 6  # of the extrapolation
# where differences begin, relative; those within a piece of the program begin where the piece is as wide
STEPS, PIECES = (1e-2, 1e-4), tuple(10.0**-k for k in range(2, 13))
ROUNDING_STEPS = (5e-16, 1e-13, 1e-11, 1e-9, 3e-8, 1e-7)


class Outcome(NamedTuple):
    """What became of one function: right, refused, wrong value, wrong derivative or crash, and why."""

    path: str
    outcome: str
    reason: str = ""
    line: str = ""
    is_guess: bool = False


class Wrong(Exception):
    """The kernel's result is not the function's."""


def outcome_of(example: Example) -> Outcome:
    """Make a kernel of the function and compare it."""
    try:
        points = points_of(example)
        try:
            _check(example, points, "simd")
        except Exception as error:  # by the last bit of a cosine, perhaps, that an arc cosine or a search makes much of
            if not isinstance(error, Wrong) and not _is_its_own(error):
                raise
            _check(example, points, "libm")
    except TraceError as error:
        headline, *rest = str(error).splitlines()
        line = next((text.strip() for text in rest if text.startswith("    ")), "")
        got = next((text.strip() for text in rest if text.startswith("  got:")), "")
        return Outcome(example.path, "refused", f"{headline} {got}".strip(), line, example.is_guess)
    except Wrong as error:
        kind, reason = error.args
        return Outcome(example.path, f"wrong {kind}", reason, "", example.is_guess)
    except (Exception, SystemExit) as error:  # noqa: BLE001, whatever comes is what we want to know
        return Outcome(example.path, "crash", f"{type(error).__name__}: {error}", "", example.is_guess)
    return Outcome(example.path, "right", is_guess=example.is_guess)


def _is_its_own(error: Exception) -> bool:
    """Whether an error is one that the function raises for an element."""
    return any(": raised at " in note for note in getattr(error, "__notes__", ()))


def _check(example: Example, points: list[dict[str, Any]], functions: str) -> None:
    with quiet(), time_limit(COMPILING):
        y, jacobian = _of_kernel(example, points, functions)
    check_values(example, points, y)
    try:
        check_jacobian(example, points, jacobian)
    except Wrong:  # but perhaps no more than by its own rounding
        with quiet(), time_limit(COMPILING):
            noise = _noise(example, points, functions, jacobian)
        check_jacobian(example, points, jacobian, 10 * noise)


def _noise(example: Example, points: list[dict[str, Any]], functions: str, jacobian: np.ndarray) -> np.ndarray:
    """How much of a Jacobian is rounding: its second differences over a few last bits of all arguments."""
    noise = np.zeros_like(jacobian)
    for step in (5e-16, 1e-15, 2e-15, 4e-15):
        sides = []
        for shift in (step, -step):
            moved = [point | {name: _shifted(point[name], shift, 0.0) for name in example.traced} for point in points]
            sides.append(_of_kernel(example, moved, functions)[1])
        noise = np.maximum(noise, abs(sides[0] + sides[1] - 2 * jacobian))
    return noise


def points_of(example: Example) -> list[dict[str, Any]]:
    """The example, and points beside it where the function runs."""
    found = []
    for number, shift in enumerate(SHIFTS):
        point = dict(example.values)
        for k, name in enumerate(example.traced):
            point[name] = _shifted(point[name], shift * (1 + 0.3 * k), NEAR_ZERO * number)
        if _numbers(example.function, point) is not None:
            found.append(point)
    return found


def _shifted(value: Any, shift: float, zero: float) -> Any:
    if isinstance(value, list):
        return [_shifted(v, shift, zero) for v in value]
    if isinstance(value, np.ndarray):
        return np.where(value == 0, zero, value * (1.0 + shift))
    return float(value) * (1.0 + shift) if value else zero


def _numbers(function: Callable[..., Any], values: dict[str, Any]) -> np.ndarray | None:
    try:
        return numbers_in(call(function, values))
    except (Exception, SystemExit):  # noqa: BLE001, it has no value there
        return None


def _of_kernel(example: Example, points: list[dict[str, Any]], functions: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of shape (points, outputs), Jacobians of shape (points, outputs, inputs)."""
    known = inspect.signature(python_function(example.function)).parameters
    static = tuple(name for name in example.values if name in known and name not in example.traced)
    kernel = nbad.kernel(example.function, static=static, signature=_signature(example, static), math=functions)
    values = {
        name: np.array([point[name] for point in points], float) if name in example.traced else value
        for name, value in example.values.items()
    }
    y, jacobian = nbad.value_and_jacobian(kernel, example.traced)(**values)
    leaves = y.values() if isinstance(y, dict) else y if isinstance(y, tuple | list) else (y,)
    return np.concatenate([np.reshape(leaf, (len(points), -1)) for leaf in leaves], axis=1), jacobian


def _signature(example: Example, static: tuple[str, ...]) -> str | None:
    """Core shapes, where the function takes or returns anything but scalars; a list that is returned is an array."""
    result = call(example.function, example.values)
    parameters = inspect.signature(python_function(example.function)).parameters.values()
    names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name not in static]
    inputs = [np.shape(example.values.get(name, ())) if name in example.traced else () for name in names]
    leaves = result.values() if isinstance(result, dict) else result if isinstance(result, tuple) else (result,)
    outputs = [np.shape(leaf) for leaf in leaves]
    if not any((*inputs, *outputs)):
        return None
    return "->".join(",".join("(" + ",".join(map(str, shape)) + ")" for shape in side) for side in (inputs, outputs))


def check_values(example: Example, points: list[dict[str, Any]], y: np.ndarray) -> None:
    for point, row in zip(points, y, strict=True):
        expected = _numbers(example.function, point)
        if row.shape != expected.shape:
            raise Wrong("value", f"{row.size} numbers instead of {expected.size}")
        close = abs(row - expected) <= VALUE * abs(expected) + 100 * _rounding(example, point, expected)
        if not close.all():
            k = int(np.argmin(close))
            raise Wrong("value", f"{row[k]!r} instead of {expected[k]!r} at {_shown(point)}")


def _rounding(example: Example, point: dict[str, Any], expected: np.ndarray) -> np.ndarray:
    """How much of a result is rounding: second differences over steps so small that its curvature does not count."""
    noise = np.zeros(len(expected))
    for name, step in itertools.product(example.traced, ROUNDING_STEPS):
        sides = [_numbers(example.function, point | {name: _shifted(point[name], shift, 0.0)}) for shift in (step, -step)]
        if all(side is not None and side.shape == expected.shape for side in sides):
            noise = np.maximum(noise, abs(sides[0] + sides[1] - 2 * expected))
    return noise


def check_jacobian(example: Example, points: list[dict[str, Any]], jacobian: np.ndarray, noise: Any = 0.0) -> None:
    """At the points beside the example, for that is where functions have their corners, if there are any."""
    noise = np.broadcast_to(noise, jacobian.shape)
    for point, block, unsure in list(zip(points, jacobian, noise, strict=True))[-2:]:
        y = _numbers(example.function, point)
        column = 0
        for name in example.traced:
            for place in np.ndindex(np.shape(point[name])):
                _check_column(example, point, name, place, y, block[:, column], unsure[:, column])
                column += 1


def _check_column(example: Example, point: dict[str, Any], name: str, place: Any, y: Any, column: Any, unsure: Any) -> None:
    """One column against differences; where these contradict each other by more than they own to, they are as uncertain as that.

    Those within the piece of the program that the point lies in count where they contradict those from afar: a search that ends
    when it is near enough makes a staircase, and has the slope of a stair.
    """
    x = float(np.asarray(point[name], float)[place])
    unit = abs(x) or 1.0
    scale = abs(y) / unit

    def moved(step: float) -> dict[str, Any]:
        value = np.array(point[name], float)
        value[place] = x + step
        return point | {name: value.tolist() if isinstance(point[name], list) else value if value.ndim else float(value)}

    def at(step: float) -> np.ndarray | None:
        return _numbers(example.function, moved(step))

    noise = _rounding(example, point, y)
    far = []
    for first in STEPS:
        slope, error = derivative(at, first * unit, len(y))
        error = DERIVATIVE * (abs(slope) + scale) + 20 * error + 1e-13 * abs(slope).max()
        far.append((slope, error, 10 * noise / (first * unit / 2**LEVELS)))
    apart = abs(far[0][0] - far[1][0])
    uncertain = unsure + np.where(apart > far[0][1] + far[1][1], 2 * apart, 0.0)
    close = (column == 0) & (y == np.floor(y))  # a staircase has slopes from afar
    for slope, error, rounding in far:
        close |= ~(abs(column - slope) > error + rounding + uncertain)
    within = None if close.all() else _within_piece(lambda step: decisions(example.function, moved(step)), at, unit, y)
    if within is not None:
        slope, error = within
        error = error + DERIVATIVE * (abs(slope) + scale)
        is_stair = abs(slope - far[1][0]) > error + far[1][1] + far[1][2]
        close |= is_stair & (abs(column - slope) <= error)
    if not close.all():
        k = int(np.argmin(close))
        faults = [f"{float(slope[k])!r} +- {float(error[k]):.1e}" for slope, error, *_ in [*far, *filter(None, [within])]]
        where = f"of output {k} by {name}{list(place) or ''}"
        raise Wrong("derivative", f"{where}: {float(column[k])!r} instead of {' or '.join(faults)} at {_shown(point)}")


def _within_piece(path: Callable[[float], Any], at: Callable[[float], Any], unit: float, y: Any) -> tuple[Any, Any] | None:
    """The slope by the widest steps that leave the program's piece on neither side, and what it may be off; None where all do.

    These steps alone: far smaller ones are lost in rounding, which looks like a stair.
    """
    here = path(0.0)
    for first in PIECES:
        steps = [first * unit / 2**level for level in range(3)]
        if here is not None and all(path(side * step) == here for step in steps for side in (1, -1)):
            above, below = np.array([at(step) for step in steps]), np.array([at(-step) for step in steps])
            widths = np.reshape(steps, (-1, 1))
            slopes = (above - below) / (2 * widths)
            noise = (abs(above + below - 2 * y) + 4 * np.spacing(abs(y))) / widths
            return slopes[1], 2 * np.ptp(slopes, axis=0) + noise.max(axis=0)
    return None


def derivative(function: Callable[[float], Any], step: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Central differences in halved steps, extrapolated, and what the best of them may be off; nan where there are none."""
    best, error = np.full(size, np.nan), np.full(size, np.inf)
    rows: list[list[np.ndarray]] = []
    for level in range(LEVELS):
        h = step / 2**level
        above, below = function(h), function(-h)
        if above is None or below is None or above.size != size or below.size != size:
            rows = []
            continue
        row = [(above - below) / (2 * h)]
        for k, left in enumerate(rows[-1] if rows else []):
            row.append(row[k] + (row[k] - left) / (4.0 ** (k + 1) - 1))
        rows.append(row)
        for k in range(1, len(row)):
            off = np.maximum(abs(row[k] - row[k - 1]), abs(row[k] - rows[-2][k - 1]))
            better = off < error
            best, error = np.where(better, row[k], best), np.where(better, off, error)
    return best, error


def _shown(point: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in point.items())[:300]
