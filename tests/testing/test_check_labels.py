"""The harness takes what a plain call takes: of labelled arrays and tables it checks the numbers."""

import pandas as pd
import pytest
import xarray as xr

import nbad


def test_tables_are_checked_on_all_their_numbers():
    """xarray makes no array of a Dataset."""
    data = xr.Dataset({"a": ("i", [1.0, 2.0]), "b": ("j", [3.0, 4.0, 5.0])})
    assert "value" in str(nbad.testing.check_kernel(nbad.kernel(lambda x: x * x), data))


def test_missing_values_are_refused():
    """A plain call of them is pandas' own: all of its numbers are missing, too."""
    square = nbad.kernel(lambda x: x * x)
    with pytest.raises(nbad.errors.ArgumentTypeError, match=r"`<lambda>\(x\)`: x is a pandas.NAType[\s\S]*fix: np.nan"):
        nbad.testing.check_kernel(square, pd.NA)
