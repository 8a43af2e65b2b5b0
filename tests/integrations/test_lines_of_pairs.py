"""Pairs of arguments that do not fit one another: the line that the error shows is code, and after it they do."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nbad
from nbad.integrations import pandas as tables
from nbad.integrations import xarray as labelled


@nbad.kernel
def f(x, y):
    return x + 0 * y


def other_dimension():
    return xr.DataArray(np.ones((2, 2)), dims=["i", "output"])


PAIRS = {
    "a list that is too long": (f, np.ones((3, 2)), [1.0, 2.0, 3.0], r"np\.asarray\(y\)\[:, None\]"),
    "a list beside a Series": (f, pd.Series([1.0, 1.0]), [1.0, 2.0, 3.0], r"(x\.to_numpy|np\.asarray)\("),
    "one label beside an array": (f, pd.Series([1.0], ["a"]), np.ones(3), r"x\.item\(\)  # a number, for all"),
    "no dimension beside an array": (f, np.ones(3), xr.DataArray(2.0), r"y\.item\(\)"),
    "two axes beside a Series": (
        lambda x, y: tables.vjp(f, x, y), pd.Series([1.0, 1.0]), np.ones((2, 2)), r"pd\.Series\(np\.ravel\(y\)\)",
    ),
    "a dimension of the result's": (
        lambda x, y: labelled.jacobian(f)(x, y), xr.DataArray([1.0, 1.0], dims="i"), other_dimension(), r"y\.rename\(",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PAIRS)
def test_the_line_makes_them_fit(case):
    call, x, y, line = PAIRS[case]
    with pytest.raises(nbad.NbadError, match=rf"fix: {line}") as caught:
        call(x, y)
    fix = str(caught.value).rpartition("fix: ")[2]
    made = eval(fix, {"x": x, "y": y, "np": np, "pd": pd})
    call(*((x, made) if "y" in fix.partition("#")[0] else (made, y)))


@pytest.mark.parametrize(
    ("partner", "y", "many"),
    [
        (tables, pd.Series([1.0, 2.0]), pd.DataFrame({"p": [1.0, 0.0], "q": [0.0, 2.0]})),
        (labelled, xr.DataArray([1.0, 2.0], dims="i"), xr.DataArray([[1.0, 0.0], [0.0, 2.0]], dims=["seed", "i"])),
    ],
)
def test_many_seeds_in_a_tuple_for_one_result_are_told_the_call_for_many(partner, y, many):
    pullback = partner.vjp(f, y, 1.0)[1]
    with pytest.raises(nbad.NbadError, match=r"pullback\.batched\(cts\)`(.*\n)*.*fix: pullback\.batched\(cts\[0\]\)"):
        pullback.batched((many,))
    assert np.array_equal(np.asarray(pullback.batched(many)[0]), np.asarray(many))  # the line, run
