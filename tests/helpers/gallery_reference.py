"""Closed forms and published problems that the gallery is measured against; nothing here uses nbad."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import mpmath
import numpy as np
from numpy.testing import assert_allclose

DATA = Path(__file__).parents[1] / "data"


def goldens(path):
    return json.loads((DATA / path).read_text())


def casts(check_casts):
    """Salinity, temperature and pressure of TEOS-10's check casts."""
    return tuple(check_casts[f"{name}_chck_cast"] for name in ("SA", "CT", "p"))


def assert_published(check_casts, name, computed, rtol=1e-12):
    """Equal to the published check value, to its own tolerance and to `rtol`; a gap in a cast is nan in both."""
    assert_allclose(computed, check_casts[name], rtol=0, atol=float(check_casts[f"{name}_ca"]))
    assert_allclose(computed, check_casts[name], rtol=rtol)


def black_scholes(*option):
    """Call and put, and their Jacobian by (s, k, t, r, sigma), in 50 digits, rounded to float64."""
    with mpmath.workdps(50):
        s, k, t, r, sigma = map(mpmath.mpf, option)
        root, discount, cdf = mpmath.sqrt(t), mpmath.exp(-r * t), mpmath.ncdf
        d1 = (mpmath.log(s / k) + (r + sigma**2 / 2) * t) / (sigma * root)
        d2 = d1 - sigma * root
        vega = s * mpmath.npdf(d1) * root
        call = s * cdf(d1) - k * discount * cdf(d2)
        put = k * discount * cdf(-d2) - s * cdf(-d1)
        decay = vega * sigma / (2 * t)
        of_call = cdf(d1), -discount * cdf(d2), decay + r * k * discount * cdf(d2), k * t * discount * cdf(d2), vega
        of_put = -cdf(-d1), discount * cdf(-d2), decay - r * k * discount * cdf(-d2), -k * t * discount * cdf(-d2), vega
        return np.array([call, put], float), np.array([of_call, of_put], float)


@dataclass(frozen=True)
class Regression:
    """A problem of NIST's Statistical Reference Datasets, as its file states it."""

    x: np.ndarray
    y: np.ndarray
    parameters: np.ndarray
    deviations: np.ndarray
    residual_sum: float
    start: np.ndarray


def read_nist(path):
    """Read one `.dat` file: lines `bK = start start parameter deviation`, the sum of squares, then rows y, x."""
    text = path.read_text()
    rows = np.array([line.split("=")[1].split() for line in text.splitlines() if re.match(r"\s*b\d+ =", line)], float)
    data = np.array([line.split() for line in text[text.rindex("Data:") :].splitlines()[1:] if line.strip()], float)
    residual_sum = float(re.search(r"Residual Sum of Squares:\s*(\S+)", text).group(1))
    return Regression(data[:, 1], data[:, 0], rows[:, 2], rows[:, 3], residual_sum, rows[:, 1])


NIST = {path.stem.lower(): read_nist(path) for path in sorted((DATA / "nist_strd").glob("*.dat"))}


def standard_deviations(jacobian, problem):
    """Of the fitted parameters, sqrt(s^2 inv(J'J)_jj), by QR of the column-scaled Jacobian.

    The degrees of freedom are counted: the file of rat43 says 9 where 15 observations and 4 parameters leave 11.
    """
    scale = np.linalg.norm(jacobian, axis=0)
    inverse = np.linalg.inv(np.linalg.qr(jacobian / scale, mode="r"))
    variance = problem.residual_sum / (problem.x.size - problem.parameters.size)
    return np.sqrt(variance * np.sum(inverse**2, axis=1)) / scale


@dataclass(frozen=True)
class Mixture:
    """ADBench's Gaussian mixture in two dimensions: weights, means, factors `q` and `l` of the precision, data, prior."""

    alpha: np.ndarray
    mean: np.ndarray
    factor: np.ndarray
    x: np.ndarray
    gamma: float
    m: int


def read_gmm():
    numbers = [float(word) for word in (DATA / "adbench" / "gmm_test.txt").read_text().split()]
    d, k, n = (int(v) for v in numbers[:3])
    sizes = np.cumsum([3, k, k * d, k * d * (d + 1) // 2, n * d])
    alpha, mean, factor, x, (gamma, m) = (np.array(part) for part in np.split(numbers, sizes)[1:])
    return Mixture(alpha, mean.reshape(k, d), factor.reshape(k, -1), x.reshape(n, d), gamma, int(m))


def gmm_constant(mixture):
    """What the objective holds beside the mixture's likelihood and the prior's sum: no parameter enters."""
    n, d = mixture.x.shape
    freedom = d + mixture.m + 1
    log_gamma = d * (d - 1) / 4 * np.log(np.pi) + sum(float(mpmath.loggamma((freedom - j) / 2)) for j in range(d))
    prior = freedom * d * (np.log(mixture.gamma) - 0.5 * np.log(2)) - log_gamma
    return -n * d / 2 * np.log(2 * np.pi) - len(mixture.alpha) * prior
