"""The functions that partners' verbs make of kernels: they travel, show what they are, and take selections, as nbad's own."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nbad
from nbad.integrations import dask as lazy
from nbad.integrations import pandas as tables
from nbad.integrations import xarray as labelled


@nbad.kernel
def area(a, b):
    """The area."""
    return a * b


def of_dask(x):
    import dask.array as da

    return da.from_array(x, chunks=1)


ARGUMENTS = {tables: lambda x: pd.Series(x, ["x", "y"]), labelled: lambda x: xr.DataArray(x, dims="i"), lazy: of_dask}
VERBS = [(partner, verb) for partner in ARGUMENTS for verb in ("jacobian", "value_and_jacobian", "value_and_grad", "hessian")] + [
    (tables, "value_and_partials")
]


def numbers(found):
    """All numbers in a result, one after the other."""
    if isinstance(found, tuple):
        return [each for part in found for each in numbers(part)]
    return np.asarray(found).ravel().tolist()


@pytest.mark.parametrize(("partner", "verb"), VERBS, ids=[f"{p.__name__.rpartition('.')[2]}-{v}" for p, v in VERBS])
def test_they_travel(partner, verb):
    made = getattr(partner, verb)(area, "b")
    x = ARGUMENTS[partner](np.array([2.0, 3.0]))
    expected = numbers(made(x, 5.0))
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert numbers(other(x, 5.0)) == expected
        assert (other.__name__, other.__doc__) == ("area", "The area.")
    assert repr(made).startswith(f"<{partner.__name__}.{verb}(area, argnums=")


@pytest.mark.parametrize(("partner", "verb"), VERBS, ids=[f"{p.__name__.rpartition('.')[2]}-{v}" for p, v in VERBS])
def test_calls_that_do_not_fit_are_refused_with_the_line_of_the_verb(partner, verb):
    made, x = getattr(partner, verb), ARGUMENTS[partner](np.array([2.0, 3.0]))
    for call in (lambda: made(area, "b")(x), lambda: made(area, "b")(x, 5.0, c=1.0)):
        with pytest.raises(nbad.NbadError, match=r"missing a required argument|unexpected keyword argument") as caught:
            call()
        line = str(caught.value).partition("fix: ")[2]
        assert line.startswith(f"{partner.__name__}.{verb}(area, ")
        found = eval(line, {"nbad": nbad, "area": area, "a": x, "b": 5.0})
        assert numbers(found) == numbers(made(area, "b")(x, 5.0))
    with pytest.raises(nbad.NbadError, match=rf"fix: {partner.__name__}\.{verb}\(area\)\(a, b\)"):
        made(area, argnum="b")


@pytest.mark.parametrize("partner", ARGUMENTS, ids=lambda p: p.__name__.rpartition(".")[2])
def test_calls_of_arguments_that_do_not_fit_are_refused_with_the_line_of_the_verb(partner):
    x, path = ARGUMENTS[partner](np.array([2.0, 3.0])), partner.__name__
    names = {"nbad": nbad, "area": area, "a": x, "b": 5.0}
    for call in (lambda: partner.vjp(area, x), lambda: partner.jvp(area, (x,), (1.0,)), lambda: partner.jvp(area, x, 1.0)):
        with pytest.raises(nbad.NbadError, match=rf"fix: {path}\.[vj][jv]p\(area, ") as caught:
            call()
        assert eval(str(caught.value).partition("fix: ")[2], names) is not None
    with pytest.raises(nbad.NbadError, match=rf"fix: {path}\.vjp\(f, x\)"):
        partner.vjp()


@pytest.mark.parametrize("partner", ARGUMENTS, ids=lambda p: p.__name__.rpartition(".")[2])
def test_collections_select_several(partner):
    x = ARGUMENTS[partner](np.array([2.0, 3.0]))
    _, partials = partner.value_and_grad(area, range(2))(x, 5.0)
    assert numbers(partials) == [5.0, 5.0, 2.0, 3.0]
    assert numbers(partner.value_and_grad(area, 1)(x, 5.0)[1]) == [2.0, 3.0]
    J = partner.jacobian(area, (each for each in ("b", "a")))
    for _ in range(2):
        assert numbers(J(x, 5.0)) == [2.0, 5.0, 3.0, 5.0]
    _, pullback = partner.vjp(area, x, 5.0, argnums=(each for each in ("b", "a")))
    assert numbers(pullback(1.0)) == [5.0, 5.0, 5.0]


@pytest.mark.parametrize("partner", ARGUMENTS, ids=lambda p: p.__name__.rpartition(".")[2])
def test_tangents_that_do_not_fit(partner):
    x, name = ARGUMENTS[partner](np.array([2.0, 3.0])), partner.__name__.rpartition(".")[2]
    fix = rf"nbad\.integrations\.{name}\.jvp\(area, \(a, b,\), \(1\.0, 1\.0,\)\)"
    with pytest.raises(ValueError, match=rf"got: 1 tangent\n  expected: a tuple of 2: a, b\n  fix: {fix}"):
        partner.jvp(area, (x, 5.0), (1.0,))


SERIES, TABLE = pd.Series([2.0, 3.0], ["x", "y"]), pd.DataFrame({"u": [2.0, 3.0]}, ["x", "y"])
DATASET = xr.Dataset({"u": ("i", [2.0, 3.0])})


@nbad.kernel
def of_dict(p, x):
    return p["a"] * x


@nbad.kernel(signature="(2)->()")
def of_vector(x):
    return x[0] * x[1]


FIXES = {
    "a table and a tangent": ("nbad.jvp(area, (a, 2.0), (1.0, 1.0))", {"a": TABLE, "b": 2.0}),
    "a dataset and a tangent": ("nbad.jvp(area, (a, 2.0), (1.0, 1.0))", {"a": DATASET, "b": 2.0}),
    "a dict and no dask array": ("lazy.vjp(of_dict, p, 2.0)", {"p": {"a": np.ones(2)}, "x": 2.0}),
    "a dict and no Series": ("tables.vjp(of_dict, p, 2.0)", {"p": {"a": 1.0}, "x": 2.0}),
    "vectors of a dataset": ("of_vector(x)", {"x": DATASET}),
    "vectors in several chunks": ("of_vector(x)", {"x": of_dask(np.ones(2))}),
}


@pytest.mark.parametrize(("call", "names"), FIXES.values(), ids=FIXES)
def test_fixes_run(call, names):
    import dask.array as da

    names = names | dict(area=area, of_dict=of_dict, of_vector=of_vector, nbad=nbad, lazy=lazy, tables=tables, xr=xr, da=da)
    with pytest.raises(nbad.NbadError, match="fix: ") as caught:
        eval(call, names)
    eval(str(caught.value).rpartition("fix: ")[2], names)


@pytest.mark.parametrize("value", [DATASET, [[1.0], [1.0, 2.0]]], ids=["a dataset", "a ragged list"])
def test_what_numpy_makes_no_array_of_has_no_labels_of_pandas(value):
    for call in (
        lambda: tables.vjp(area, SERIES, value),
        lambda: tables.vjp(area, SERIES, 2.0)[1](value),
        lambda: tables.jvp(area, (SERIES, 2.0), (value, 1.0)),
    ):
        with pytest.raises(nbad.NbadError, match="paired by position"):
            call()


@pytest.mark.parametrize("partner", ARGUMENTS, ids=lambda p: p.__name__.rpartition(".")[2])
def test_calls_of_pullbacks_that_do_not_fit_are_refused_with_one_that_does(partner):
    y, pullback = partner.vjp(area, ARGUMENTS[partner](np.array([2.0, 3.0])), 5.0)
    calls = {
        "pullback": [lambda: pullback(), lambda: pullback(y, y), lambda: pullback(y, outt=y)],
        "pullback.batched": [lambda: pullback.batched(), lambda: pullback.batched(y, y)],
        "pullback.jacobian": [lambda: pullback.jacobian(y)],
    }
    for name, each in calls.items():
        for call in each:
            with pytest.raises(nbad.errors.ArgumentTypeError, match=rf"^`{name}\((ct|cts)?\)`: (missing|takes|got)") as caught:
                call()
            found = eval(str(caught.value).partition("fix: ")[2], {"pullback": pullback, "y": y})
            assert numbers(found) == ([5.0, 2.0, 5.0, 3.0] if name == "pullback.jacobian" else [50.0, 75.0, 65.0])


@pytest.mark.parametrize("partner", ARGUMENTS, ids=lambda p: p.__name__.rpartition(".")[2])
def test_seeds_of_another_structure_are_refused_with_one_that_fits(partner):
    both = nbad.kernel(lambda a, b: (a * b, a + b))
    y, pullback = partner.vjp(both, ARGUMENTS[partner](np.array([2.0, 3.0])), 5.0)
    for call in (lambda: pullback(y[0]), lambda: pullback((*y, 1.0)), lambda: pullback((y, 1.0))):
        with pytest.raises(nbad.errors.ArgumentValueError, match="the seed does not have the structure of the value") as caught:
            call()
        found = eval(str(caught.value).partition("fix: ")[2], {"pullback": pullback})
        assert numbers(found) == [6.0, 6.0, 7.0]


@pytest.mark.parametrize(("partner", "verb"), VERBS, ids=[f"{p.__name__.rpartition('.')[2]}-{v}" for p, v in VERBS])
def test_the_line_for_arguments_in_the_place_of_argnums_is_the_partners(partner, verb):
    a = b = ARGUMENTS[partner](np.array([2.0, 3.0]))
    with pytest.raises(TypeError, match="argnums is an array: it selects arguments") as caught:
        getattr(partner, verb)(area, a)
    fix = str(caught.value).partition("fix: ")[2]
    assert fix == f"{partner.__name__}.{verb}(area)(a, b)"
    assert len(numbers(eval(fix, {"nbad": nbad, "area": area, "a": a, "b": b}))) >= 4
