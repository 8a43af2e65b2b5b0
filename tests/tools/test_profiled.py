"""`nbad.profile`: shares that add up to the times that were measured, as text, page and picture."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import nbad
from nbad.profiles import roofs, shares
from nbad.tools import plots, profiled, progress

NAMES = ["value", "forward", "reverse, 1 seed", "reverse, 3 seeds", "Jacobian"]


@nbad.kernel(static=("power",))
def wave(a, x, power=2):
    return a * math.sin(x) ** power, a * x


def told(n=3000, **options):
    return nbad.profile(wave, 2.0, np.linspace(0.0, 3.0, n), seeds=3, rounds=1, **options)


@pytest.fixture(scope="module")
def profile():
    return told()


def test_shares_add_up(profile):
    assert [sweep.name for sweep in profile.sweeps] == NAMES
    for sweep in profile.sweeps:
        parts = [getattr(sweep, name) for name in shares.PARTS]
        assert min(parts) >= 0.0
        assert sum(parts) >= sweep.seconds * (1 - 1e-9)
        assert sum(sweep.fractions().values()) == pytest.approx(1.0)
        assert sweep.launch <= sweep.seconds


INPUTS = shares._Inputs((), (), (), (), (), (8192, 2048, 1024), "float64")


def share(name, rows=None, inputs=INPUTS, **times):
    best = {(name, kind): times[kind] * 1e-6 for kind in shares.KINDS}
    best |= {("rows", f"flat_{size}"): time * 1e-6 for size, time in (rows or {}).items()}
    found = shares._share(name, best, inputs)
    return pytest.approx([getattr(found, part) * 1e6 for part in shares.PARTS])


def test_what_the_parts_are(monkeypatch):
    """In microseconds: body, launch, staging, blocks, waiting."""
    monkeypatch.setattr(shares.numba, "get_num_threads", lambda: 1)
    times = dict(whole=70.0, part=19.0, bit=10.0, flat_part=7.0, flat_bit=4.0)
    assert share("value", **times) == [24.0, 1.0, 48.0, 0.0, 0.0]
    assert share("value", **times | {"whole": 100.0}) == [24.0, 1.0, 48.0, 0.0, 27.0]
    assert share("Jacobian", {"part": 6.0, "bit": 4.0}, **times) == [16.0, 1.0, 48.0, 8.0, 0.0]


def test_threads_share_the_work(monkeypatch):
    monkeypatch.setattr(shares.numba, "get_num_threads", lambda: 4)
    times = dict(whole=40_000.0, part=10.0, bit=6.0, flat_part=10.0, flat_bit=6.0)
    inputs = INPUTS._replace(elements=(1024 * 1000, 2048, 1024))
    assert share("value", inputs=inputs, **times) == [1000.0, 2.0, 0.0, 0.0, 38998.0]


def test_calls_of_one_element_are_launch():
    inputs, times = INPUTS._replace(elements=(1, 1, 1)), dict.fromkeys(shares.KINDS, 2.0)
    assert share("value", inputs=inputs, **times) == [0.0, 2.0, 0.0, 0.0, 0.0]


def test_what_has_no_axes_of_elements_is_not_cut():
    f = nbad.kernel(lambda r, s: r[0] * s, signature="(2),()->()")
    r, s = np.ones(2), 3.0
    found = shares._inputs(f, (r, s))
    assert (found.elements, found.part[0].shape, found.part[1]) == ((1, 1, 1), (2,), 3.0)
    assert str(nbad.profile(f, r, s, rounds=1)).startswith("<lambda>(r, s)")


def test_inputs_are_cut_as_they_lie():
    f = nbad.kernel(lambda r, s, t: r[0] * s + t, signature="(2),(),()->()")
    r, s, t = np.ones((7, 5000, 2))[:, ::2], np.ones(2500, np.float32), 3.0
    found = shares._inputs(f, (r, s, t))
    assert [np.shape(x) for x in found.part] == [(7, 292, 2), (292,), ()]
    assert [np.shape(x) for x in found.bit] == [(7, 36, 2), (36,), ()]
    assert found.part[0].strides == r.strides
    assert [(x.flags.c_contiguous, x.dtype) for x in found.flat_part[:2]] == [(True, np.float64)] * 2
    assert (found.elements, found.flat_part[2]) == ((17500, 2044, 252), 3.0)


def test_contiguous_arguments_need_no_staging(profile):
    assert {sweep.staging for sweep in profile.sweeps} == {0.0}


def test_text(profile):
    lines = str(profile).splitlines()
    assert lines[0] == "wave(a, x): 3,000 elements of float64"
    assert lines[2].split() == "sweep time ns per element body launch staging blocks waiting".split()
    assert [line.strip().partition("  ")[0] for line in lines[3:8]] == NAMES
    assert lines[-1].startswith("Measured beside ")
    assert repr(profile).startswith("<nbad.Profile of wave(a, x): 3,000 elements of float64; print it for its table; longest: ")


def test_page_and_picture(profile, monkeypatch):
    page = profile._repr_html_()
    assert page.count('class="stack"') == len(NAMES)
    assert "waiting" in page
    assert profile._repr_png_().startswith(b"\x89PNG")
    monkeypatch.setattr(plots.util, "find_spec", lambda name: None)
    assert profile._repr_png_() is None


@pytest.mark.parametrize("rounds", [0, -1, 1.5, True])
def test_wrong_rounds(rounds):
    with pytest.raises(ValueError, match="is not a number of rounds"):
        nbad.profile(wave, 2.0, 3.0, rounds=rounds)


def test_arguments_with_structure():
    scaled = nbad.kernel(lambda sides, by: sides["a"] * sides["b"] * by)
    found = nbad.profile(scaled, {"a": np.ones(50), "b": 2.0}, 3.0, rounds=1)
    assert (found.elements, len(found.sweeps)) == (50, len(NAMES))


def test_picked_arguments_are_refused():
    square = nbad.kernel(lambda x: x * x)
    with pytest.raises(TypeError, match=r"x is picked by an index[\s\S]*fix: nbad.profile\(f, a\[i\]\)"):
        nbad.profile(square, nbad.indexed(np.ones(5), np.array([0, 1, 1])))


def test_what_is_no_kernel():
    with pytest.raises(TypeError, match=r"`nbad.profile\(f, ...\)`: the first argument is not a kernel"):
        nbad.profile(math.sin, 2.0)


def test_a_bar_is_drawn_on_terminals_only(monkeypatch, capsys):
    steps = []
    monkeypatch.setattr(progress, "Console", lambda stderr: SimpleNamespace(is_terminal=False))
    found = (), roofs.Roofs(1.0, 1.0), 0.5
    monkeypatch.setattr(profiled.shares, "measure", lambda f, xs, seeds, rounds, step: step("round") or found)
    assert nbad.profile(wave, 2.0, 3.0).load == 0.5
    with progress.bar(3) as step:
        steps.append(step("one"))
    assert steps == [None]
    assert capsys.readouterr() == ("", "")
