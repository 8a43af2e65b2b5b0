"""Errors of partners' functions show the user's frames only."""

import traceback

import numpy as np
import pytest
import xarray as xr

import nbad


@nbad.kernel
def area(a, b):
    return a * b


@pytest.mark.parametrize("call", [
    lambda labelled: nbad.integrations.xarray.vjp(area, labelled, "no number"),
    lambda labelled: nbad.integrations.xarray.jacobian(area)(labelled, "no number"),
    lambda labelled: nbad.integrations.pandas.jacobian(area)(labelled, 1.0),
    lambda labelled: nbad.integrations.dask.jacobian(area)(np.ones(3), 1.0),
    lambda labelled: nbad.integrations.dask.vjp(area, np.ones(3), 1.0),
])  # fmt: skip
def test_frames_of_ours_are_cut(call):
    with pytest.raises(nbad.NbadError, match="area") as raised:
        call(xr.DataArray(np.ones(3), dims="i"))
    files = {frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)}
    assert files == {__file__}
