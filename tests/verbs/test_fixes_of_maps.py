"""What errors of pullbacks and pushforwards propose is code that runs, whatever the arguments are."""

import copy

import numpy as np
import pytest

import nbad

X = np.ones(3)
cubic = nbad.kernel(lambda x, p: p["a"] * x**2 + p["b"] * x)
square = nbad.kernel(lambda x: x * x)
two = nbad.kernel(lambda x: (x * x, x))


def fix_of(call):
    with pytest.raises(nbad.NbadError, match="fix: ") as caught:
        call()
    return str(caught.value).rpartition("fix: ")[2].partition("  #")[0]


def pushes(*xs, **options):
    return nbad.linearize(cubic if len(xs) == 2 else square, *xs, **options)[1]


@pytest.mark.parametrize(
    "pushforward",
    [
        pushes(X, {"a": 1.0, "b": X}),
        pushes(2.0, {"a": X, "b": 1.0}),
        pushes(X, {"a": np.arange(3), "b": X}),
        pushes(X, {"a": X, "b": X}, argnums="p"),
        pushes(X),
        pushes(X, argnums=()),
    ],
)
def test_tangents(pushforward):
    calls = (
        lambda: pushforward.batched(1.0),
        lambda: pushforward.batched((1.0,) * 7),
        lambda: pushforward(1.0),
        lambda: pushforward((1.0,) * 7),
        lambda: pushforward(1.0, seeds=3),
        lambda: pushforward.batched(1.0, seeds=3),
    )
    for call in calls:
        fix = fix_of(call)
        assert np.shape(eval(fix if "push" in fix else f"pushforward({fix})", {"np": np, "pushforward": pushforward}))[-1:] == (
            3,
        )


@pytest.mark.parametrize("p", [{"a": 1.0, "b": X}, {"a": np.arange(3), "b": X}])
def test_tangents_of_one_call(p):
    for tangents in ((1.0,), (1.0, {"a": 1.0})):
        fix = fix_of(lambda: nbad.jvp(cubic, (X, p), tangents))  # noqa: B023, it is called at once
        tangent = eval(fix)
        nbad.jvp(cubic, (X, p), tangent if len(tangents) == 1 else (1.0, tangent))


def test_how_many_tangents_there_are_is_not_known_of_none():
    with pytest.raises(ValueError, match=r"got: no tangent\n[\s\S]*fix: pushforward\(\(\)\)"):
        pushes(X, argnums=()).batched(())


@pytest.mark.parametrize("f", [square, two, nbad.grad(square, ()), nbad.grad(square, ("x",))])
def test_seeds(f):
    pullback = nbad.vjp(f, X)[1]
    calls = (
        lambda: pullback.batched(1.0),
        lambda: pullback.batched(()),
        lambda: pullback((1.0,) * 5),
        lambda: pullback(1.0, a=2),
    )
    for call in calls:
        eval(fix_of(call), {"np": np, "pullback": pullback, "ct": (1.0,)})


@pytest.mark.parametrize(("f", "xs"), [(cubic, (X, {"a": 1.0, "b": X})), (square, (X,))])
def test_maps_are_made_again_of_what_they_were_made_of(f, xs):
    given = {"nbad": nbad, "f": f, "xs": xs, "x": xs[0]}
    pullback = nbad.vjp(f, *xs)[1]
    pullback.close()
    exec(fix_of(lambda: pullback(1.0)), given)
    exec(fix_of(lambda: copy.copy(nbad.linearize(f, *xs)[1])), given)
    assert len(given["pullback"](1.0)) == len(xs)
    assert given["pushforward"]((1.0,) * len(xs)).shape == (3,)
