"""Derivatives on DataArrays: dimensions by name, labels and attributes kept, lazy through dask; values from closed forms."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import nbad
from kernels import polar, product
from nbad.integrations import xarray as labelled


@pytest.fixture
def r():
    return xr.DataArray(
        np.arange(1.0, 7.0).reshape(2, 3),
        dims=("i", "j"),
        coords={"i": [0, 1], "j": list("abc"), "lat": ("i", [5.0, 6.0])},
        attrs={"units": "m"},
        name="r",
    )


@pytest.fixture
def phi():
    return xr.DataArray(
        np.linspace(0.1, 0.6, 6).reshape(3, 2), dims=("j", "i"), coords={"j": list("cba"), "i": [1, 0]}, name="phi"
    )


@pytest.fixture
def k():
    return xr.DataArray([2.0, 3.0, 5.0, 7.0], dims="k")


def test_dimensions_are_paired_by_name(r, phi):
    (x, y), pullback = labelled.vjp(polar, r, phi)
    xr.testing.assert_identical(x, polar(r, phi)[0])  # what xarray makes of any function
    np.testing.assert_allclose(y.values, (r * np.sin(phi)).transpose("i", "j").reindex_like(r).values)
    r_bar, phi_bar = pullback((1.0, x))
    assert (r_bar.dims, phi_bar.dims) == (("i", "j"), ("j", "i"))
    assert (r_bar.name, r_bar.attrs, phi_bar.name) == ("r", {"units": "m"}, "phi")
    expected = (np.cos(phi) + r * np.cos(phi) * np.sin(phi)).transpose("i", "j").reindex_like(r)
    np.testing.assert_allclose(r_bar.values, expected.values, rtol=1e-14)
    expected = (-r * np.sin(phi) + r * r * np.cos(phi) ** 2).transpose("j", "i").reindex_like(phi)
    np.testing.assert_allclose(phi_bar.values, expected.values, rtol=1e-14)
    assert r_bar.coords.identical(r.coords)
    assert phi_bar.coords.identical(phi.coords)


def test_labels_that_alignment_drops_have_the_cotangent_zero(r):
    other = xr.DataArray([10.0, 20.0, 30.0], dims="i", coords={"i": [1, 2, 0], "depth": ("i", [7.0, 8.0, 9.0])})
    y, pullback = labelled.vjp(product, r.isel(i=[1]), other, 2.0)
    assert y.sizes == {"i": 1, "j": 3}
    r_bar, other_bar, number_bar = pullback(1.0)
    np.testing.assert_array_equal(r_bar.values, [[20.0] * 3])
    np.testing.assert_array_equal(other_bar.values, [2.0 * (4 + 5 + 6), 0.0, 0.0])
    assert other_bar.coords.identical(other.coords)
    assert number_bar == 10.0 * (4 + 5 + 6)


def test_dimensions_that_an_argument_has_not_are_summed(r, k):
    y, pullback = labelled.vjp(product, r, k, 1.0)
    assert y.dims == ("i", "j", "k")
    r_bar, k_bar, _ = pullback(xr.DataArray([1.0, 10.0, 100.0], dims="j", coords={"j": list("abc")}))
    assert (r_bar.dims, k_bar.dims) == (("i", "j"), ("k",))
    np.testing.assert_array_equal(r_bar.values, np.array([[17.0, 170.0, 1700.0]] * 2))
    np.testing.assert_array_equal(k_bar.values, [5.0 + 70.0 + 900.0] * 4)


def test_many_seeds_have_a_dimension_of_their_own(r, phi):
    (x, _), pullback = labelled.vjp(polar, r, phi)
    seeds = xr.concat([xr.ones_like(x), 3.0 * x], dim="seed").assign_coords(seed=["one", "x"])
    many = pullback.batched((seeds.transpose("j", "seed", "i"), 2.0))
    for name, ct in (("one", xr.ones_like(x)), ("x", 3.0 * x)):
        for bar, single in zip(many, pullback((ct, 2.0)), strict=True):
            assert bar.dims == ("seed", *single.dims)
            np.testing.assert_array_equal(bar.sel(seed=name).values, single.values)
    shared = labelled.vjp(product, r, 2.0, 3.0)[1].batched(xr.DataArray([1.0, 2.0], dims="seed"))[1]
    np.testing.assert_array_equal(shared.values, [63.0, 126.0])


def test_seeds_without_a_dimension_may_have_its_label(r):
    seed = r.isel(i=1)  # which has the scalar coordinate i
    _, pullback = labelled.vjp(product, r, 2.0, 3.0)
    np.testing.assert_array_equal(pullback(seed)[0].values, 6.0 * np.stack([seed.values] * 2))
    many = xr.concat([seed, 2.0 * seed], "seed")
    np.testing.assert_array_equal(pullback.batched(many)[0].values[1], 12.0 * np.stack([seed.values] * 2))


def test_seeds_of_several_outputs_are_the_same_in_all(r):
    _, pullback = labelled.vjp(polar, r, 0.5)
    first = xr.DataArray([1.0, 10.0], dims="seed", coords={"seed": ["p", "q"]})
    by_r, by_phi = pullback.batched((first.drop_vars("seed"), first))
    assert list(by_r.seed.values) == list(by_phi.seed.values) == ["p", "q"]
    np.testing.assert_allclose(by_r.sel(seed="q").values, 10.0 * (np.cos(0.5) + np.sin(0.5)))


def test_jacobians_have_named_dimensions(r, phi):
    (x, y), blocks = labelled.value_and_jacobian(polar)(r, phi)
    assert blocks.dims == ("i", "j", "output", "argument")
    assert (list(blocks.output.values), list(blocks.argument.values)) == (["y0", "y1"], ["r", "phi"])
    assert blocks.attrs == {"units": "m"}
    assert "lat" in blocks.coords
    for output, argument, expected in (
        ("y0", "r", np.cos(phi)),
        ("y0", "phi", -r * np.sin(phi)),
        ("y1", "r", np.sin(phi)),
        ("y1", "phi", r * np.cos(phi)),
    ):
        found = blocks.sel(output=output, argument=argument)
        np.testing.assert_allclose(found.values, expected.transpose("i", "j").reindex_like(r).values, rtol=1e-14)
    xr.testing.assert_allclose(x, r * np.cos(phi))
    xr.testing.assert_allclose(y, r * np.sin(phi))
    xr.testing.assert_identical(labelled.jacobian(polar)(r, phi), blocks)
    xr.testing.assert_identical(labelled.vjp(polar, r, phi)[1].jacobian(), blocks)
    xr.testing.assert_identical(labelled.jacobian(polar, "phi")(r, phi=phi), blocks.isel(argument=[1]))


def test_outputs_have_the_names_of_their_fields(r):
    powers = nbad.kernel(lambda x: {"square": x * x, "cube": x**3})
    blocks = labelled.jacobian(powers)(r)
    np.testing.assert_array_equal(blocks.sel(output="cube", argument="x").values, 3 * r.values**2)


def test_gradients_hessians_and_tangents(r, k):
    y, (r_bar, k_bar) = labelled.value_and_grad(product, ("a", "b"))(r, k, 2.0)
    xr.testing.assert_identical(y.drop_attrs().rename(None), (r * k * 2.0).drop_attrs().rename(None))
    np.testing.assert_array_equal(r_bar.values, np.broadcast_to(2.0 * k.values, (2, 3, 4)))
    np.testing.assert_array_equal(k_bar.values, (2.0 * r.values)[..., None] * np.ones(4))
    blocks = labelled.hessian(product, ("a", "b"))(r, k, 2.0)
    assert blocks.dims == ("i", "j", "k", "argument", "other_argument")
    assert float(blocks.sel(argument="a", other_argument="b")[0, 0, 0]) == 2.0
    _, y_dot = labelled.jvp(product, (r, k, 2.0), (r.T, 1.0, 0.5))
    np.testing.assert_allclose(y_dot.values, (r * k * 2.0 + r * 2.0 + r * k * 0.5).values, rtol=1e-15)


def test_a_dataset_stands_for_the_parameters_of_its_names(r, phi):
    ds = xr.Dataset({"r": r, "phi": phi}).assign_coords(c=2.0)
    xr.testing.assert_identical(
        labelled.jacobian(polar)(ds).drop_vars("c"), labelled.jacobian(polar)(ds.r, ds.phi).drop_vars("c")
    )
    y, pullback = labelled.vjp(product, ds.rename(r="a", phi="b"))  # c is a coordinate
    np.testing.assert_allclose(pullback(1.0)[2].values, (r * phi).sum().values, rtol=1e-14)
    np.testing.assert_array_equal(labelled.vjp(product, ds.rename(r="a", phi="b"), c=3.0)[0].values, 1.5 * y.values)


def test_dask_stays_lazy(r, phi):
    loaded = []

    def load(block):
        loaded.append(block.size)
        return block

    def lazily(x):
        return x.copy(data=x.chunk({"j": 2}).data.map_blocks(load, dtype=float, meta=np.empty((0, 0))))

    with dask.config.set(scheduler="synchronous"):
        given = lazily(r), lazily(phi.transpose("i", "j"))
        (x, _), pullback = labelled.vjp(polar, *given)
        blocks = labelled.jacobian(polar)(*given)
        bars = pullback((1.0, x)) + pullback.batched((xr.DataArray([1.0, 2.0], dims="s"), 1.0))
        _, pushed = labelled.jvp(polar, given, (1.0, 0.0))
        assert all(a.chunks is not None for a in (x, blocks, *bars, *pushed))
        assert loaded == []
        eager = labelled.vjp(polar, r, phi.transpose("i", "j"))
        wanted = eager[1]((1.0, eager[0][0]))
        for bar, expected in zip(bars, wanted, strict=False):
            xr.testing.assert_identical(bar.compute(), expected)
        xr.testing.assert_identical(blocks.compute(), labelled.jacobian(polar)(r, phi.transpose("i", "j")))


def test_stacked_labels_are_kept(r):
    stacked = r.stack(place=("i", "j"))
    _, pullback = labelled.vjp(product, stacked, 2.0, 3.0)
    xr.testing.assert_identical(pullback(1.0)[0], xr.full_like(stacked, 6.0))
    blocks = labelled.jacobian(product)(stacked, 2.0, 3.0)
    assert float(blocks.sel(place=(1, "b"), argument="b", output="product")) == 15.0


def test_arguments_with_structure(r, k):
    scaled = nbad.kernel(lambda p, k: p["r"] * p["s"] * k)
    _, pullback = labelled.vjp(scaled, {"r": r, "s": 2.0}, k)
    p_bar, k_bar = pullback(1.0)
    xr.testing.assert_allclose(p_bar["r"].drop_attrs(), (0.0 * r + 34.0).drop_attrs())
    assert p_bar["s"] == r.values.sum() * k.values.sum()
    np.testing.assert_array_equal(k_bar.values, [2.0 * r.values.sum()] * 4)
    assert list(labelled.jacobian(scaled)({"r": r, "s": 2.0}, k).argument.values) == ["p_r", "p_s", "k"]


def test_attributes_follow_the_options_of_xarray(r):
    with xr.set_options(keep_attrs=False):
        y, pullback = labelled.vjp(product, r, 2.0, 3.0)
        assert (y.attrs, pullback(1.0)[0].attrs) == ({}, {})
    with xr.set_options(arithmetic_join="outer"):
        y, pullback = labelled.vjp(product, r, r.isel(i=[0]), 1.0)
        assert np.isnan(y.isel(i=1)).all()
        np.testing.assert_array_equal(pullback(1.0)[1].values, r.values[:1])


WRONG = {
    "an array without labels": ("vjp(product, r, np.ones(3), 1.0)", "b has no labels", "vjp(product, r, FIX, 1.0)"),
    "no labels at all": ("vjp(product, 1.0, 2.0, 3.0)", "no argument is a DataArray", "nbad.vjp(product, 1.0, 2.0, 3.0)"),
    "a Dataset among others": ("vjp(product, ds, 1.0, 1.0)", "stands for all arguments", "vjp(product, ds['r'], 1.0, 1.0)"),
    "a Dataset without a name": ("vjp(product, named, c=1.0)", "has nothing named b", "vjp(product, named, FIX, c=1.0)"),
    "a seed without labels": ("vjp(product, r, 1.0, 1.0)[1](ct)", "ct has no labels", "vjp(product, r, 1.0, 1.0)[1](FIX)"),
    "a table for a seed": ("vjp(product, r, 1.0, 1.0)[1](ds)", "ct has no labels", "vjp(product, r, 1.0, 1.0)[1](ds['r'])"),
    "a seed of other labels": ("vjp(product, r, 1.0, 1.0)[1](other)", "labels of ct", "vjp(product, r, 1.0, 1.0)[1](r)"),
    "a seed of other dimensions": ("vjp(product, r, 1.0, 1.0)[1](k)", "a dimension that the value has not", None),
    "no dimension of seeds": ("vjp(product, r, 1.0, 1.0)[1].batched(r)", "dimension of the seeds is not known", None),
    "a tuple for a seed": ("vjp(product, r, 1.0, 1.0)[1]((r, r))", "does not have the structure", None),
    "seeds of other labels": ("vjp(polar, r, 1.0)[1].batched((seeds, seeds.assign_coords(seed=[7, 8])))", "labels of", None),
    "seeds of another number": ("vjp(polar, r, 1.0)[1].batched((k.drop_vars('k', errors='ignore'), k[:1]))", "labels of", None),
    "a label twice": ("vjp(product, r, r.isel(i=[0, 0, 1]), 1.0)", "cannot be aligned", "(lambda b: FIX)(r.isel(i=[0, 0, 1]))"),
    "sizes without labels": ("vjp(product, k, k[:2], 1.0)", "cannot be aligned", "(lambda a: vjp(product, FIX, k[:2], 1.0))(k)"),
    "labels of other kinds": (
        "vjp(product, other, dated, 1.0)",
        "cannot be aligned",
        "(lambda b: vjp(product, other, FIX, 1.0))(dated)",
    ),
    "labels of other kinds in a plain call": (
        "product(other, dated, 1.0)",
        "do not fit",
        "(lambda b: product(other, FIX, 1.0))(dated)",
    ),
    "a dimension of that name": (
        "jacobian(product)(k.rename(k='output'), 1.0, 1.0)",
        "arguments have a dimension 'output'",
        None,
    ),
    "a tangent of other dimensions": ("jvp(product, (r, 1.0, 1.0), (k, 1.0, 1.0))", "other dimensions", None),
    "a tangent without labels": (
        "jvp(product, (r, 1.0, 1.0), (np.ones((2, 3)), 1.0, 1.0))",
        "`jvp`: a_dot has no labels",
        "(lambda a, a_dot: jvp(product, (a, 1.0, 1.0), (FIX, 1.0, 1.0)))(r, np.ones((2, 3)))",
    ),
    "a tangent of a number": (
        "jvp(product, (r, 1.0, 1.0), (r, np.ones(2), 1.0))",
        "`jvp`: b_dot has no labels",
        "jvp(product, (r, 1.0, 1.0), (r, FIX, 1.0))",
    ),
    "too few tangents": ("jvp(product, (r, 1.0, 1.0), (r,))", "one tangent per argument", None),
    "vectors": ("jacobian(norm)(r)", "vectors for each element", "FIX"),
    "dates": ("vjp(product, r.astype('M8[ns]'), 1.0, 1.0)", "a holds datetimes", None),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_with_a_fix(name, r, k):
    wrong, says, right = WRONG[name]
    norm = nbad.kernel(lambda v: np.sqrt(v @ v), signature="(3)->()")
    names = {verb: getattr(labelled, verb) for verb in labelled.__all__} | {"r": r, "k": k, "ds": xr.Dataset({"r": r}), "y": r}
    names |= {"product": product, "norm": norm, "np": np, "xr": xr, "nbad": nbad, "b": np.ones(3), "ct": np.ones((2, 3)), "v": r}
    names |= {"polar": polar, "seeds": xr.DataArray([1.0, 2.0], dims="seed", coords={"seed": [0, 1]})}
    names |= {"other": r.assign_coords(i=[7, 8]), "dated": r.assign_coords(i=pd.date_range("2020", periods=2))}
    names |= {"f": norm, "named": xr.Dataset({"a": r})}
    with pytest.raises(nbad.NbadError, match=says) as caught:
        eval(wrong, names)
    if right:
        fix = str(caught.value).partition("fix: ")[2].partition("  #")[0]
        assert eval(right.replace("FIX", fix), names) is not None


NESTED = pd.MultiIndex.from_tuples([(0, 0), (1, 0), (2, 1)], names=["p", "q"])
UNLIKE = {
    "levels": (xr.Coordinates.from_pandas_multiindex(NESTED, "i"), "inner", "b.reset_index('i')", [14.0, 33.0, 65.0]),
    "order": ({"i": [0, 1, 2]}, "exact", "b.reindex({'i': a.indexes['i']})", [26.0, 21.0, 55.0]),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_labels_that_do_not_fit_are_refused_with_a_line_for_their_dimension(name):
    """Along k they fit, for there they are the same, though each is there twice."""
    labels, join, line, right = UNLIKE[name]
    a, b = xr.DataArray([2.0, 3.0, 5.0], {"i": [2, 0, 1]}, "i"), xr.DataArray([7.0, 11.0, 13.0], labels, "i")
    a, b = (x.expand_dims(k=2).assign_coords(k=[4, 4]) for x in (a, b))
    with xr.set_options(arithmetic_join=join):
        for call in (product, labelled.jacobian(product)):
            with pytest.raises(nbad.NbadError, match=r"do not fit one another|cannot be aligned") as caught:
                call(a, b, 1.0)
            assert str(caught.value).partition("fix: ")[2].partition("  #")[0] == line
        assert product(a, eval(line, {"a": a, "b": b}), 1.0).values.tolist() == [right, right]


def test_the_fix_of_a_tangent_with_other_labels_is_right():
    area = nbad.kernel(lambda a, b: a * b)
    a = xr.DataArray([2.0, 3.0], dims="x", coords={"x": ["p", "q"]})
    b = xr.DataArray([5.0, 7.0], dims="x", coords={"x": ["q", "r"]})
    with pytest.raises(nbad.errors.ArgumentValueError, match=r"fix: b_dot\.reindex_like\(b, fill_value=0\.0\)"):
        labelled.jvp(area, (a, b), (0.0, b[:1]))
    assert labelled.jvp(area, (a, b), (0.0, b[:1].reindex_like(b, fill_value=0.0)))[1].values.tolist() == [15.0]


def test_labels_of_seeds_and_tangents_come_in_any_order():
    area = nbad.kernel(lambda a, b: a * b)
    for index in (pd.Index([3, 1, 2]), pd.MultiIndex.from_tuples([("u", 1), ("u", 2), ("v", 1)], names=["k", "l"])):
        a = xr.DataArray(
            [2.0, 3.0, 4.0], coords=xr.Coordinates.from_pandas_multiindex(index, "x") if index.nlevels > 1 else {"x": index}
        )
        along = a.copy(data=[10.0, 20.0, 30.0])[::-1]
        _, pullback = labelled.vjp(area, a, 5.0)
        assert pullback(along)[0].equals(a.copy(data=[50.0, 100.0, 150.0]))
        assert pullback(along)[1] == 20.0 + 60.0 + 120.0
        assert labelled.jvp(area, (a, 5.0), (along, 0.0))[1].equals(a.copy(data=[50.0, 100.0, 150.0]))
    seeds = xr.DataArray([1.0, 10.0], dims="seed", coords={"seed": [0, 1]})
    both = labelled.vjp(nbad.kernel(lambda a: (a, 3.0 * a)), a)[1].batched((seeds, 2.0 * seeds[::-1]))[0]
    assert both.transpose("seed", "x").values.tolist() == [[7.0] * 3, [70.0] * 3]


def test_coordinates_of_tangents_are_not_those_of_results(r):
    along = r.copy(data=np.ones((2, 3))).assign_coords(lat=("i", [7.0, 8.0]), run=5)
    for found in labelled.jvp(nbad.kernel(lambda a: a * a), (r,), (along,)):
        assert found.coords.to_dataset().identical(r.coords.to_dataset())


def test_intervals_that_overlap_come_in_any_order():
    lots = pd.IntervalIndex.from_tuples([(0, 2), (1, 3), (2, 4)])
    a = xr.DataArray([2.0, 3.0, 4.0], dims="x", coords={"x": lots})
    seed = a.copy(data=[10.0, 20.0, 30.0])[::-1]
    assert labelled.vjp(nbad.kernel(lambda a: a * a), a)[1](seed)[0].equals(a.copy(data=[40.0, 120.0, 240.0]))


def test_levels_of_other_names_are_not_paired():
    """As xarray's arithmetic does not pair them: ("u", 1) of one might be ("u", 1) of quite another thing."""
    index = pd.MultiIndex.from_tuples([(1, 2), (2, 1), (3, 3)], names=["k", "l"])
    a, along = (
        xr.DataArray([2.0, 3.0, 4.0], coords=xr.Coordinates.from_pandas_multiindex(labels, "x"))
        for labels in (index, index.rename(["l", "k"])[::-1])
    )
    square = nbad.kernel(lambda a: a * a)
    with pytest.raises(ValueError, match="conflicting"):
        a * along
    for call in (lambda: labelled.vjp(square, a)[1](along), lambda: labelled.jvp(square, (a,), (along,))):
        with pytest.raises(nbad.errors.ArgumentValueError, match="are others than those of what it belongs to"):
            call()


def test_one_dataset_stands_for_primals_or_tangents():
    area = nbad.kernel(lambda a, b: a * b)
    ds = xr.Dataset({"a": ("i", [2.0, 3.0]), "b": ("i", [5.0, 7.0])})
    along = xr.Dataset({"a": ("i", [1.0, 0.0]), "b": ("i", [0.0, 10.0])})
    for given in [(ds, along), ((ds,), (along,)), (ds, (along.a, along.b)), ((ds.a, ds.b), along)]:
        y, y_dot = labelled.jvp(area, *given)
        assert (y.values.tolist(), y_dot.values.tolist()) == ([10.0, 21.0], [5.0, 30.0])
    with pytest.raises(nbad.errors.ArgumentValueError, match=r"the tangent of b is missing[^$]*jvp\(area, ds[^$]*fix: 0\.0"):
        labelled.jvp(area, ds, along[["a"]])


def test_labels_that_are_set_after_the_call_leave_the_pullback_alone():
    a = xr.DataArray([1.0, 2.0], dims="i", coords={"i": [10, 20]}, name="a", attrs={"units": "m"})
    expected, seed = a.copy(data=[2.0, 40.0]), xr.DataArray([10.0, 1.0], dims="i", coords={"i": [20, 10]})
    y, pullback = labelled.vjp(nbad.kernel(lambda a: a * a), a)
    y.coords["i"], a.coords["i"], a.attrs["units"], a.name = [1, 2], [3, 4], "s", "other"
    assert pullback(seed)[0].identical(expected)


@pytest.mark.parametrize("chunk", [False, True])
def test_whole_numbers_have_no_tangent_where_alignment_makes_floats_of_them(r, chunk):
    count = xr.DataArray([4, 5], dims="j", coords={"j": ["b", "d"]})
    with xr.set_options(arithmetic_join="outer"):
        x = r.chunk(j=1) if chunk else r
        _, y_dot = labelled.jvp(nbad.kernel(lambda n, x: n * x), (count, x), (None, x))
        np.testing.assert_array_equal(y_dot.transpose("j", "i"), count * r)


def test_numbers_may_be_arrays_without_axes(k):
    square = nbad.kernel(lambda x: x * x)
    assert labelled.vjp(square, k)[1](np.array(10.0))[0].values.tolist() == [40.0, 60.0, 100.0, 140.0]
    assert labelled.jvp(square, (k,), (np.array(10.0),))[1].values.tolist() == [40.0, 60.0, 100.0, 140.0]


def test_cotangents_have_the_coordinates_of_their_arguments():
    """Alignment gives arrays without labels those of others; their cotangents have none, as they."""
    x, b = xr.DataArray([1.0, 2.0], dims="i", coords={"i": ["p", "q"], "s": 3.0}), xr.DataArray([3.0, 4.0], dims="i", name="b")
    x_bar, b_bar, _ = labelled.vjp(product, x, b, 1.0)[1](1.0)
    assert x_bar.identical((x * 0 + b.values).drop_attrs())
    assert b_bar.identical(xr.DataArray([1.0, 2.0], dims="i", name="b"))
    many = labelled.vjp(product, x, b, 1.0)[1].batched(xr.DataArray([1.0, 10.0], dims="seed", coords={"seed": [5, 6]}))[1]
    assert many.identical(xr.DataArray([[1.0, 2.0], [10.0, 20.0]], {"seed": [5, 6]}, ("seed", "i"), "b"))


SEEDS = {
    "other labels": (["a", "b"], ["b", "c"]),
    "labels twice": (["a", "b"], ["b", "b"]),
    "more labels, one of them twice": (["a", "b"], ["b", "b", "a"]),
    "another size": (["a", "b"], 3),
    "another size than one without labels": (2, 3),
    "labels for none": (2, ["a", "b", "c"]),
}


@pytest.mark.parametrize("case", SEEDS)
def test_the_line_for_seeds_with_other_labels_runs(case):
    def array(labels):
        coords = None if isinstance(labels, int) else {"i": labels}
        return xr.DataArray(np.ones(labels if coords is None else len(labels)), dims="i", coords=coords)

    x, ct = map(array, SEEDS[case])
    y, pullback = labelled.vjp(nbad.kernel(lambda x: x * x), x)
    with pytest.raises(ValueError, match="the labels of ct are others than those of what it belongs to") as caught:
        pullback(ct)
    seed = eval(str(caught.value).partition("fix: ")[2], {"ct": ct, "y": y, "xr": xr})
    has_seed = [label in ct.coords["i"] for label in ["a", "b"]] if "i" in ct.coords and "i" in x.coords else [True, True]
    assert pullback(seed)[0].values.tolist() == [2.0 * has for has in has_seed]
