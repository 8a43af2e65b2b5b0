"""Names that rooms had: pickles of an earlier nbad hold them, and are read or refused as those of today."""

import importlib
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nbad
from nbad.renamed import ROOMS

PACKAGE = Path(nbad.__file__).parent


@nbad.kernel
def area(a, b):
    return a * b * b


def by_old_names(value):
    """What an nbad of before would have pickled: rooms by the names that they had."""
    plain = pickle.dumps(value, protocol=0)
    for old, new in ROOMS.items():
        plain = plain.replace(f"c{new}\n".encode(), f"c{old}\n".encode())
    return plain


def test_no_room_has_the_name_that_another_had():
    assert [old for old in ROOMS if (PACKAGE.parent / f"{old.replace('.', '/')}.py").exists()] == []
    assert [new for new in ROOMS.values() if not (PACKAGE.parent / f"{new.replace('.', '/')}.py").exists()] == []


@pytest.mark.parametrize("old", ROOMS)
def test_old_names_lead_to_the_rooms_of_today(old):
    assert importlib.import_module(old) is importlib.import_module(ROOMS[old])
    assert importlib.import_module(ROOMS[old]).__spec__.name == ROOMS[old]


def test_other_names_are_still_refused():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'nbad\.verbs\.sved'"):
        importlib.import_module("nbad.verbs.sved")


@pytest.mark.parametrize(("module", "wrap"), [(nbad, np.asarray), (nbad.integrations.pandas, pd.Series)], ids=["numpy", "pandas"])
def test_pullbacks_under_old_names_are_read(module, wrap):
    _, pullback = module.vjp(area, wrap([2.0, 3.0]), wrap([5.0, 7.0]))
    data = by_old_names(pullback)
    assert "nbad.verbs.saved" in {str(argument).split()[0] for _, argument, _ in pickletools.genops(data) if argument}
    a_bar, b_bar = pickle.loads(data)(1.0)
    assert list(a_bar) == [25.0, 49.0]
    assert list(b_bar) == [20.0, 42.0]
