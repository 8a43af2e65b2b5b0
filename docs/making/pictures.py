"""The pictures of the documentation: each is drawn by code, from kernels of the gallery or from measured figures.

Nothing here depends on the machine, up to the last bits of the kernels. A docstring is the caption.
"""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import nbad

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results.md"
README = Path(__file__).parents[1] / "pictures" / "seeds.svg"
STYLE = {
    "svg.hashsalt": "nbad",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def save(figure, path, description=None):
    """Write a picture, the same bytes for the same picture, and what is said of it inside."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None, "Description": description})


def panels(rows=1, columns=1, size=(7, 4.2)):
    """A figure and its axes."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size)
        return figure, figure.subplots(rows, columns)


def black_scholes(module):
    """A call with strike 100, half a year to go, volatility 0.25: its value and Greeks over the spot. Value and first derivatives
    come from one sweep, gamma from the Hessian."""
    call = nbad.kernel(lambda s, t, r, sigma: module.price(s, 100.0, t, r, sigma)[0])
    s = np.linspace(60.0, 140.0, 161)
    value, slopes = nbad.value_and_jacobian(call)(s, 0.5, 0.03, 0.25)
    gamma = nbad.hessian(call, argnums="s")(s, 0.5, 0.03, 0.25)[:, 0, 0]
    delta, theta, rho, vega = slopes[:, 0].T
    curves = {"value": value, "delta": delta, "gamma": gamma, "vega": vega, "theta, per year": -theta, "rho": rho}
    figure, axes = panels(2, 3, (8, 4.6))
    for ax, (name, curve) in zip(axes.flat, curves.items(), strict=True):
        ax.plot(s, curve, color="C0")
        ax.axvline(100.0, color="0.8", linewidth=1, zorder=0)
        ax.set_title(name, fontsize=11)
    figure.supxlabel("spot", fontsize=10)
    return figure


def implied_volatility(module):
    """Smiles: implied volatilities of calls whose prices come from a share that jumps (Merton's model). The shorter the time, the
    more a jump matters."""
    figure, ax = panels()
    strikes = np.linspace(70.0, 130.0, 121)
    for t in (0.1, 0.25, 1.0):
        v = module.implied_volatility(100.0, strikes, t, 0.0, merton(module, 100.0, strikes, t))
        ax.plot(strikes, v, label=f"{t:g} year{'s' * (t != 1)}")
    ax.set(xlabel="strike, spot at 100", ylabel="implied volatility per year")
    ax.legend()
    return figure


def merton(module, s, x, t, sigma=0.15, rate=1.0, mean=-0.06, deviation=0.12):
    """Calls on a share whose logarithm jumps `rate` times a year by normal amounts: a sum over the number of jumps."""
    formula = nbad.kernel(lambda v, s, x, t, r: module.mispricing(v, s, x, t, r, 0.0))
    growth = np.exp(mean + deviation**2 / 2)
    total, weight = np.zeros_like(x), np.exp(-rate * growth * t)
    for jumps in range(25):
        drift = -rate * (growth - 1.0) + jumps * np.log(growth) / t
        total += weight * formula(np.sqrt(sigma**2 + jumps * deviation**2 / t), s, x, t, drift)
        weight *= rate * growth * t / (jumps + 1)
    return total


def kepler(module):
    """Orbits of eccentricity 0, 0.5 and 0.8 with the focus in the origin, one point for each 24th of a revolution, and at each
    the derivative by the mean anomaly, which is the velocity."""
    figure, ax = panels(size=(6.4, 5))
    for k, e in enumerate((0.0, 0.5, 0.8)):
        x, y = module.position(np.linspace(0.0, 2 * np.pi, 400), e)
        ax.plot(x, y, color=f"C{k}", linewidth=1, label=f"e = {e:g}")
        (x, y), blocks = nbad.value_and_jacobian(module.position, argnums="m")(np.arange(24) * (2 * np.pi / 24), e)
        ax.quiver(x, y, *blocks[:, :, 0].T, color=f"C{k}", angles="xy", scale_units="xy", scale=6, width=0.004)
    ax.plot(0, 0, "o", color="black", markersize=4)
    ax.set(aspect="equal", xlabel="x, in semi-major axes", ylabel="y")
    ax.legend(loc="upper left")
    return figure


def colebrook(module):
    """Moody's chart: Darcy's friction factor of pipes by Reynolds number, a line for each relative roughness."""
    figure, ax = panels(size=(7, 5))
    reynolds = np.geomspace(4e3, 1e8, 200)
    for k in (0.0, 1e-5, 1e-4, 1e-3, 5e-3, 2e-2, 5e-2):
        f = module.friction_factor(reynolds, k)
        ax.loglog(reynolds, f, color="C0", linewidth=1.2)
        ax.annotate(f"{k:g}", (reynolds[-1], f[-1]), (4, -3), textcoords="offset points", fontsize=9)
    laminar = np.geomspace(6e2, 2.3e3, 20)
    ax.loglog(laminar, 64 / laminar, color="0.5", linewidth=1.2)
    ax.annotate("laminar: 64/Re", (1e3, 0.064), (6, 4), textcoords="offset points", fontsize=9, color="0.4")
    ax.set(xlabel="Reynolds number", ylabel="friction factor", yticks=(0.01, 0.02, 0.05, 0.1))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    ax.set_title("roughness/diameter at the right", fontsize=10, loc="right")
    return figure


# NIST's problem Rat43: weights of onions after growing times 1 to 15
ONIONS = (16.08, 33.83, 65.80, 97.20, 191.55, 326.20, 386.87, 520.53, 590.03, 651.92, 724.93, 699.56, 689.96, 637.56, 717.41)


def nonlinear_regression(module):
    """NIST's problem Rat43, onions that grow: data, the curve at the certified parameters, and where the curve lies with a
    probability of 95 %, from the Jacobian by the parameters."""
    data, times, parameters = np.array(ONIONS), np.arange(1.0, 16.0), module.REFERENCE["rat43"]["parameters"]
    slopes = nbad.jacobian(module.rat43, argnums=("b1", "b2", "b3", "b4"))
    J, t = slopes(times, *parameters)[:, 0], np.linspace(0.5, 16.0, 200)
    variance = np.sum((data - module.rat43(times, *parameters)) ** 2) / (len(data) - len(parameters))
    covariance = variance * np.linalg.inv(J.T @ J)
    along, y = slopes(t, *parameters)[:, 0], module.rat43(t, *parameters)
    half = 2.201 * np.sqrt(np.einsum("ij,jk,ik->i", along, covariance, along))  # Student's t of 11 degrees of freedom
    figure, ax = panels()
    ax.fill_between(t, y - half, y + half, color="C0", alpha=0.2, linewidth=0)
    ax.plot(t, y, color="C0")
    ax.plot(times, data, "o", color="black", markersize=4)
    ax.set(xlabel="growing time", ylabel="weight")
    return figure


def arc_distance(module):
    """Degrees along the great circle from Zurich (the point) to every place."""
    figure, ax = panels(size=(7.4, 4))
    latitude, longitude = np.meshgrid(np.linspace(-90, 90, 181), np.linspace(-180, 180, 361), indexing="ij")
    degrees = np.degrees(module.arc_distance(*np.radians((47.4, 8.5)), np.radians(latitude), np.radians(longitude)))
    lines = ax.contour(longitude, latitude, degrees, levels=range(20, 180, 20), colors="C0", linewidths=1)
    ax.clabel(lines, fmt="%d°", fontsize=8)
    ax.plot(8.5, 47.4, "o", color="black", markersize=4)
    ax.set(xlabel="longitude", ylabel="latitude", xticks=range(-180, 181, 60), yticks=range(-90, 91, 30))
    return figure


def lennard_jones(module):
    """Energy of two argon atoms, and the force between them, minus the derivative of the energy."""
    r = np.linspace(3.3, 8.0, 300)
    energy, slopes = nbad.value_and_grad(module.lennard_jones, argnums="x")(r, 0.0, 0.0, 119.8, 3.405)
    figure, axes = panels(1, 2, (8, 3.6))
    axes[0].plot(r, energy)
    axes[1].plot(r, -slopes, color="C1")
    axes[0].set(ylim=(-140, 200), xlabel="distance, angstrom", ylabel="energy, K")
    axes[1].set(ylim=(-120, 300), xlabel="distance, angstrom", ylabel="force, K per angstrom")
    return figure


def activations(module):
    """Activation functions and, thinner, their derivatives."""
    x = np.linspace(-4.0, 4.0, 401)
    names = ("relu", "elu", "sigmoid", "silu", "hard_swish", "gelu")
    figure, axes = panels(2, 3, (8, 4.6))
    for ax, name in zip(axes.flat, names, strict=True):
        y, slope = nbad.value_and_grad(getattr(module, name))(x)
        ax.plot(x, y, linewidth=2)
        ax.plot(x, slope, linewidth=1)
        ax.set_title(name, fontsize=11)
        ax.set_ylim(-1.3, 3.0)
    return figure


def lambert_w(module):
    """The principal branch and its slope, which is infinite at -1/e."""
    y = -np.exp(-1.0) + np.geomspace(1e-6, 6.0, 400)
    w, slope = nbad.value_and_grad(module.lambert_w)(y)
    figure, ax = panels()
    ax.plot(y, w, label="W")
    ax.plot(y, slope, linewidth=1, label="slope")
    ax.set(xlabel="y", ylim=(-1.2, 5.0))
    ax.legend()
    return figure


def arrhenius(module):
    """Rates of two reactions over the inverse temperature: a straight line where n is 0, bent where it is 2."""
    temperature = np.linspace(300.0, 2000.0, 200)
    figure, ax = panels()
    for n in (0.0, 2.0):
        ax.semilogy(1000 / temperature, module.arrhenius(temperature, 1.0, n, 4e4), label=f"n = {n:g}")
    ax.set(xlabel="1000 K / temperature", ylabel="rate, in units of a")
    ax.legend()
    return figure


def specific_volume(module):
    """Surface water by salinity and temperature: its density in kg/m³ (lines), and its thermal expansion in 1e-4 per kelvin
    (dashes), from value and derivative of one sweep. At 4 °C and below, fresh water shrinks when it is warmed."""
    salinity, temperature = np.meshgrid(np.linspace(0.0, 40.0, 121), np.linspace(0.0, 30.0, 121), indexing="ij")
    volume, slopes = nbad.value_and_jacobian(module.specific_volume, argnums="CT")(salinity, temperature, 0.0)
    figure, ax = panels()
    density = ax.contour(salinity, temperature, 1 / volume, levels=range(996, 1034, 4), colors="C0", linewidths=1)
    ax.clabel(density, fmt="%d", fontsize=8)
    expansion = ax.contour(salinity, temperature, 1e4 * slopes[..., 0, 0] / volume, levels=range(4), colors="C1", linestyles="--")
    ax.clabel(expansion, fmt="%d", fontsize=8)
    ax.set(xlabel="Absolute Salinity, g/kg", ylabel="Conservative Temperature, °C")
    return figure


def seeds():
    """Reverse sweeps of Black-Scholes over a million options on two cores: 1 seed and 8 seeds, float64, with fresh results."""
    times = seed_times()
    figure, ax = panels(size=(7, 3.4))
    for k, count in enumerate((1, 8)):
        names = [*times[count]][::-1]
        heights = np.arange(len(names)) + (0.2 if count == 1 else -0.2)
        widths = [times[count][name] for name in names]
        bars = ax.barh(heights, widths, 0.38, color=f"C{k}", label="1 seed" if count == 1 else "8 seeds")
        ax.bar_label(bars, fmt=lambda width: f"{float(f'{width:.2g}'):g} ms", padding=3, fontsize=9)
    ax.set_yticks(range(len(names)), [NAMES.get(name, name) for name in names])
    ax.set(xlabel="milliseconds", xlim=(0, 1.1 * max(widths)))
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper right")
    return figure


NAMES = {"numba": "Numba by hand", "vector": "by hand, vector functions", "jax": "JAX", "torch": "PyTorch"}


def seed_times():
    """Milliseconds by number of seeds and tool, as `benchmarks/results.md` has them: nbad's own, and ratios of it."""
    table = RESULTS.read_text(encoding="utf-8").partition("### Time over nbad's, fresh results")[2]
    header, rows = [cell.strip() for cell in table.split("\n")[2].strip("|").split("|")], {}
    for count in (1, 8):
        pattern = rf"^\| black_scholes reverse of {count} seeds?, n = 1e6, float64, 2 threads \|(.*)\|$"
        own, *ratios = (cell.strip(" *") for cell in re.search(pattern, table, re.MULTILINE)[1].split("|"))
        value, unit = own.split()
        own = float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
        rows[count] = {"nbad": own} | {name: own * float(r) for name, r in zip(header[2:], ratios, strict=True) if r}
    return rows


def main():
    """Draw the picture of the README, which is kept in the repository."""
    README.parent.mkdir(exist_ok=True)
    save(seeds(), README, str(seed_times()))


# fmt: off
PICTURES = {
    f.__name__: f for f in (
        activations, arc_distance, arrhenius, black_scholes, colebrook, implied_volatility, kepler, lambert_w, lennard_jones,
        nonlinear_regression, specific_volume,
    )
}
# fmt: on

if __name__ == "__main__":
    main()
