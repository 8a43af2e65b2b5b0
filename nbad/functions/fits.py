"""`python -m nbad.functions.fits` writes `coefficients.py` beside it: polynomials with the smallest greatest error.

E. Ya. Remez's exchange (as in Muller, Elementary Functions, chapter 3) on a grid, weighted so that the error is that of the
function's result; a test fits them again.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from nbad.functions.error_functions import CENTRE, FAR, MIDDLE, NEAR, SHIFT, SLOPE, START
from nbad.functions.lines import rounded

PRECISION, POINTS, ROUNDS = 240, 500, 12
TERMS = 60
HEAD = '''"""Coefficients of polynomials, the lowest first, written by `python -m nbad.functions.fits`."""

# fmt: off
COEFFICIENTS: dict[str, dict[str, tuple[float, ...]]] = {
'''


class Fit(NamedTuple):
    """What a polynomial approximates, where, and how much an error at a point weighs in the result."""

    function: Callable[[Any], Any]
    low: str
    high: str
    weight: Callable[[Any], Any]
    double: int  # degree in float64
    single: int  # and in float32


def coefficients_source() -> str:
    """The text of `nbad/functions/coefficients.py`."""
    lines = []
    for name in _fits():
        lines.append(f'    "{name}": {{\n')
        for dtype in ("float64", "float32"):
            lines += [f'        "{dtype}": (\n', *(f"            {c!r},\n" for c in fitted(name, dtype)), "        ),\n"]
        lines.append("    },\n")
    return "".join([HEAD, *lines, "}\n"])


def fitted(name: str, dtype: str) -> tuple[float, ...]:
    """The coefficients of one polynomial."""
    fit = _fits()[name]
    coefficients, _ = _remez(fit, fit.double if dtype == "float64" else fit.single)
    return tuple(rounded(c, dtype) for c in coefficients)


def _fits() -> dict[str, Fit]:
    """By name, at most of the function less its first terms: a weight says how much of the result that is."""
    from mpmath import mp

    mp.prec = PRECISION

    def series(term: Callable[[int], Any]) -> Callable[[Any], Any]:
        terms = [mp.mpf(term(k)) for k in range(TERMS)]
        return lambda x: mp.polyval(terms[::-1], x)

    def tanh(s: Any) -> Any:
        return (mp.tanh(mp.sqrt(s)) / mp.sqrt(s) - 1) / s if s > 0 else -mp.mpf(1) / 3

    def erf(s: Any) -> Any:
        """`erf(x)/x - 1`, where s is the square of x."""
        return (mp.erf(mp.sqrt(s)) / mp.sqrt(s) if s > 0 else 2 / mp.sqrt(mp.pi)) - 1

    def root(x: Any) -> Any:
        """The 8th one of erfc(x)."""
        return mp.root(mp.erfc(x), 8)

    def erfc(u: Any) -> Any:
        """`erfc(x)*exp(x*x)*(SLOPE*x + START) - 1`, where `u = x/(x + SHIFT) - CENTRE`."""
        x = SHIFT * (u + CENTRE) / (1 - u - CENTRE)
        return mp.erfc(x) * mp.exp(x * x) * (SLOPE * x + START) - 1

    return {
        "exp": Fit(series(lambda k: 1 / mp.factorial(k + 2)), "-0.34661", "0.34661", lambda r: r * r * mp.exp(-r), 9, 4),
        "expm1": Fit(series(lambda k: 2 / mp.factorial(k + 3)), "-0.34661", "0.34661", lambda r: r * r, 8, 4),
        "sinh": Fit(series(lambda k: 1 / mp.factorial(2 * k + 3)), "0", "1", lambda s: s, 6, 3),
        "tanh": Fit(tanh, "0", "0.391", lambda s: s, 11, 5),
        "log": Fit(series(lambda k: mp.mpf(2) / (2 * k + 3)), "0", "0.02944", lambda z: z, 6, 2),
        "inverse": Fit(lambda f: 1 / (1 + f), "-0.293", "0.4143", lambda f: 1 + f, 2, 2),
        "sin": Fit(series(lambda k: (-1) ** k / mp.factorial(2 * k + 3)), "0", "0.622", lambda s: s, 5, 2),
        "cos": Fit(series(lambda k: (-1) ** k / mp.factorial(2 * k + 4)), "0", "0.622", lambda s: s * s, 5, 2),
        "atan": Fit(series(lambda k: -((-1) ** k) / mp.mpf(2 * k + 3)), "0", "0.1915", lambda s: s, 10, 4),
        "asin": Fit(
            series(lambda k: mp.binomial(2 * k + 2, k + 1) / mp.mpf(4) ** (k + 1) / (2 * k + 3)), "0", "0.25", lambda s: s, 12, 5
        ),
        "cbrt": Fit(lambda f: 1 / mp.cbrt(1 + f), "-0.293", "0.4143", lambda f: mp.cbrt(1 + f), 6, 3),
        "pow": Fit(series(lambda k: mp.mpf(1) / (2 * k + 5)), "0", "0.02944", lambda z: z * z, 6, 2),
        "erf": Fit(lambda t: erf(t + MIDDLE), f"{-MIDDLE}", f"{MIDDLE}", lambda t: 1 / (1 + erf(t + MIDDLE)), 13, 8),
        "erf_far": Fit(lambda u: root(u + NEAR), "0", f"{FAR}", lambda u: root(u + NEAR) ** 7, 16, 6),
        "erfc": Fit(erfc, "-0.469", "0.419", lambda u: 1 / (1 + erfc(u)), 22, 10),
    }


def _remez(fit: Fit, degree: int) -> tuple[list[Any], Any]:
    """Coefficients, and the greatest weighted error."""
    from mpmath import mp

    mp.prec = PRECISION
    middle, half = (mp.mpf(fit.low) + mp.mpf(fit.high)) / 2, (mp.mpf(fit.high) - mp.mpf(fit.low)) / 2
    grid = [middle - half * mp.cos(mp.pi * k / (POINTS - 1)) for k in range(POINTS)]
    values, weights = [fit.function(x) for x in grid], [mp.mpf(fit.weight(x)) for x in grid]
    weights = [w + max(weights) * mp.mpf("1e-8") for w in weights]  # one of 0 is no weight
    chosen = [round(k * (POINTS - 1) / (degree + 1)) for k in range(degree + 2)]
    for _ in range(ROUNDS):
        rows = [[grid[k] ** j for j in range(degree + 1)] + [(-1) ** i / weights[k]] for i, k in enumerate(chosen)]
        *coefficients, level = mp.lu_solve(mp.matrix(rows), mp.matrix([values[k] for k in chosen]))
        errors = [w * (v - mp.polyval(coefficients[::-1], x)) for x, v, w in zip(grid, values, weights, strict=True)]
        peaks, worst = _peaks(errors, degree + 2), max(map(abs, errors))
        if len(peaks) < degree + 2 or peaks == chosen or worst < abs(level) * mp.mpf("1.001"):
            break
        chosen = peaks
    return coefficients, worst


def _peaks(errors: list[Any], count: int) -> list[int]:
    """Where the errors are greatest, one of each run of one sign; no more than `count` of them."""
    peaks: list[int] = []
    for k, error in enumerate(errors):
        if not peaks or (error > 0) != (errors[peaks[-1]] > 0):
            peaks.append(k)
        elif abs(error) > abs(errors[peaks[-1]]):
            peaks[-1] = k
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # `--help` tells what this writes, and writes nothing
    (Path(__file__).parent / "coefficients.py").write_text(coefficients_source(), encoding="utf-8")
