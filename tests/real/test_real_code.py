"""Functions of scientific packages as they stand, as kernels: right, or refused with a reason; never wrong.

The packages are those of the extra `real`; what is not installed is not tested.
`python -m real.table`, from the folder of the tests, prints what came of each.
"""

import importlib.util

import pytest
from real.collect import PACKAGES
from real.table import run

# how much of a package is right at least, in percent: what was reached, never lower
RIGHT = {
    "fluids": 94,
    "chemicals": 94,
    "ht": 94,
    "thermo": 100,
    "iapws": 97,
    "pvlib": 94,
    "colour": 91,
    "astropy": 66,
    "lmfit": 84,
    "hapsira": 100,
    "psychrolib": 100,
    "seawater": 94,
    "pymap3d": 93,
    "pyXSteam": 100,
    "pythermalcomfort": 96,
    "pygasflow": 90,
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("package", list(filter(importlib.util.find_spec, PACKAGES)))
def test_functions_of_a_package_are_right_or_refused_with_a_reason(package):
    outcomes = run(package)
    faults = [f"{row.path}: {row.outcome}: {row.reason}" for row in outcomes if row.outcome not in ("right", "refused")]
    assert not faults, "\n".join(faults)
    right = sum(row.outcome == "right" for row in outcomes)
    assert 100 * right >= RIGHT[package] * len(outcomes)
