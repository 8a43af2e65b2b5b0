"""The table of `nbad/operations/README.md`: whole, and kept at points that are measured again."""

import math

import mpmath
import numpy as np
import pytest

from nbad.operations.table import TABLE
from nbad.tools import accuracy
from nbad.tools.accuracy import Errors

PUBLISHED = accuracy.read_table()
FEW = 6


def test_table_has_every_operation_that_rounds():
    assert list(PUBLISHED) == [row.name for row in accuracy.rows()]
    assert {"exp", "hypot", "digamma", "softplus", "erfinv", "mod", "sinc", "pow"} <= set(PUBLISHED)
    assert all(len(kinds) == 2 for kinds in PUBLISHED.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_operation_keeps_its_bounds(name):
    for math_, bounds in zip(accuracy.MATHS, PUBLISHED[name], strict=True):
        for measured, bound in zip(accuracy.measure(TABLE[name], math_, FEW), bounds, strict=True):
            assert measured <= bound, (math_, measured)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_operation_keeps_its_bounds_everywhere(name):
    for math_, bounds in zip(accuracy.MATHS, PUBLISHED[name], strict=True):
        assert all(measured <= bound for measured, bound in zip(accuracy.measure(TABLE[name], math_), bounds, strict=True))


def test_few_operations_are_far_off():
    """Those whose condition explains it; see the text above the table."""
    far = {name for name, kinds in PUBLISHED.items() if max(kinds[0].value, kinds[0].first, kinds[0].second) > 16}
    inverses = "erfinv erfcinv ndtri lambertw".split()
    zeros = "i1e j0 j1 y0 y1 besselj bessely expi rel_entr kl_div entr sinc".split()
    others = "pow boxcox logaddexp logaddexp2 erf erfc ndtr gammainc gammaincc betainc beta betaln zeta besselk".split()
    assert far <= {*inverses, *zeros, *others}


def test_line_and_table_agree(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    measured = [Errors(0.3, 1.7, 3.0, 0.5), Errors(0.0, 200.0, 1e9, 1.0)]
    text = accuracy.line(TABLE["pow"], measured)
    assert text == "| `pow` | (0.001, 30) x (-5, 5) | 0.5 / 0.5 | 2 / 256 | 4 / inf | 0.5 / 1 |\n"
    readme.write_text(f"before\n\n{accuracy.HEAD}{text}\nafter\n")
    monkeypatch.setattr(accuracy, "README", readme)
    assert accuracy.read_table() == {"pow": [Errors(0.5, 2.0, 4.0, 0.5), Errors(0.5, 256.0, math.inf, 1.0)]}


def test_writing_replaces_the_table_only(tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{accuracy.HEAD}| `old` | - | 1 / 1 | 1 / 1 | 1 / 1 | 1 / 1 |\n\nafter\n")
    monkeypatch.setattr(accuracy, "README", readme)
    monkeypatch.setattr(accuracy, "rows", lambda: [TABLE["div"], TABLE["sqrt"]])
    accuracy.write_table(count=3)
    assert readme.read_text().startswith(f"before\n\n{accuracy.HEAD}| `div` | (-20, 20) x (-20, 20) | 0.5 / 0.5 | ")
    assert readme.read_text().endswith(" |\n\nafter\n")
    assert list(accuracy.read_table()) == ["div", "sqrt"]


@pytest.mark.parametrize(
    ("got", "true", "expected"), [(1.0, 1, 0.0), (1.0 + 2**-52, 1, 1.0), (math.inf, 1, math.inf), (1.0, 0, None)]
)
def test_unit_of_error(got, true, expected):
    assert accuracy._ulps(np.float64(got), mpmath.mpf(true)) == expected


def test_unit_of_error_is_that_of_the_dtype():
    assert accuracy._ulps(np.float32(1.0), mpmath.mpf(1) + mpmath.mpf(2) ** -24) == 0.5
    assert accuracy._ulps(np.float32(1.0), mpmath.mpf(1e-40)) is None


def test_wrong_partials_would_show():
    """The measure is not blind: the partials of the logarithm for those of the root."""
    graph, orders = accuracy._derivatives(TABLE["log"])
    errors = dict(accuracy._errors(TABLE["sqrt"], graph, orders, np.array([[2.0]]), "libm"))
    assert errors[1] > 1e14
