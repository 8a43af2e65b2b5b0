"""What selects the arguments to differentiate by: one, or several in order, by any collection that has one."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import nbad


@nbad.kernel
def area(a, b):
    return a * b


SEVERAL = {
    "range": lambda: range(2),
    "dict": lambda: {"a": 1, "b": 2},
    "generator": lambda: (each for each in (0, 1)),
    "list of NumPy's": lambda: list(np.arange(2)),
}


@pytest.mark.parametrize("several", SEVERAL.values(), ids=SEVERAL)
def test_any_collection_selects_several(several):
    assert nbad.grad(area, several())(2.0, 5.0) == (5.0, 2.0)
    assert nbad.value_and_grad(area, several())(2.0, 5.0) == (10.0, (5.0, 2.0))
    assert_array_equal(nbad.jacobian(area, several())(2.0, 5.0), [[5.0, 2.0]])
    assert nbad.vjp(area, 2.0, 5.0, argnums=several())[1](1.0) == (5.0, 2.0)
    assert nbad.linearize(area, 2.0, 5.0, argnums=several())[1]((1.0, 10.0)) == 25.0


def test_collections_select_what_is_in_arguments_with_structure():
    @nbad.kernel
    def of_dict(p, x):
        return p["a"] * x

    _, pullback = nbad.vjp(of_dict, {"a": 2.0}, 5.0, argnums=(each for each in ("x", "p")))
    assert pullback(1.0) == (2.0, {"a": 5.0})
    _, pushforward = nbad.linearize(of_dict, {"a": 2.0}, 5.0, argnums=(each for each in ("x", "p")))
    assert pushforward((1.0, {"a": 10.0})) == 52.0


@pytest.mark.parametrize("verb", [nbad.grad, nbad.value_and_grad, nbad.jacobian, nbad.hessian, nbad.sparse_jacobian])
def test_sets_are_refused(verb):
    """Their order, which is that of results, is not the same in every process."""
    with pytest.raises(TypeError, match=r"argnums is a set, which has no order[\s\S]*fix: argnums=\('a', 'b',\)"):
        verb(area, {"b", "a"})


def test_the_gradient_by_what_is_no_number():
    @nbad.kernel
    def scaled(x, how, rate=2.0):
        return x * rate if how == "twice" else x

    text = r"`nbad\.{0}\(scaled, 'how'\)`: the call does not pass how as a number[\s\S]*fix: nbad\.{0}\(scaled, 'x'\)\(x\)"
    for verb in (nbad.grad, nbad.value_and_grad):
        with pytest.raises(ValueError, match=text.format(verb.__name__)):
            verb(scaled, "how")(1.0, "twice")


@pytest.mark.parametrize(("empty", "kind"), [({}, "dict"), (set(), "set")])
def test_empty_containers_hold_no_number(empty, kind):
    for call in (lambda: area(1.0, empty), lambda: nbad.vjp(area, 1.0, empty)):
        with pytest.raises(TypeError, match=rf"`area\(a, b\)`: b is an empty {kind}, which holds no number[\s\S]*fix: np.array"):
            call()
    with pytest.raises(TypeError, match=rf"ct is an empty {kind}[\s\S]*fix: 1\.0$"):
        nbad.vjp(area, 1.0, 2.0)[1](empty)


def test_calls_of_jvp_and_hvp_that_do_not_fit():
    for verb in (nbad.jvp, nbad.hvp):
        name = verb.__name__
        text = rf"`{name}\(f, primals, tangents.*takes .*positional[\s\S]*got: 5 by position[\s\S]*fix: nbad\.{name}\("
        with pytest.raises(TypeError, match=text):
            verb(area, (1.0, 2.0), (1.0, 1.0), None, 1.0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: area.outer(), r"`f\.outer\(a, b.*missing 2 [\s\S]*got: 0 by position[\s\S]*fix: f\.outer\(np\.arange\(3\.0\)"),
        (lambda: area.sized(3), r"`f\.sized\(.*takes .*positional[\s\S]*fix: f\.sized\(n=3\)$"),
        (lambda: area.precompile(dtype="f4"), r"`f\.precompile\(.*argument 'dtype'[\s\S]*fix: f\.precompile\(\"float32\"\)$"),
        (lambda: nbad.vjp(area, 1.0, 2.0)[1].close(1), r"`pullback\.close\(\)`: takes .*positional[\s\S]*fix: pullback\.close"),
        (lambda: nbad.profile(area, a=1.0, b=2.0), r"unexpected keyword argument 'a'[\s\S]*fix: nbad\.profile\(area, a, b\)$"),
    ],
)
def test_methods_and_profile_say_what_does_not_fit(call, text):
    with pytest.raises(nbad.NbadError, match=text):
        call()


def test_arguments_of_the_kernel_beside_it_are_told_of_as_such_whatever_stands_in_their_places():
    f, x = nbad.kernel(lambda x, y: x * y), np.ones(3)
    f.__name__ = "f"
    with pytest.raises(TypeError, match=r"argnums is an array[\s\S]*fix: nbad.jacobian\(f\)\(x, y\)$"):
        nbad.jacobian(f, x, x)
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'argnums'[\s\S]*fix: nbad.jacobian\(f, 1\)\(x, y\)$"):
        nbad.jacobian(f)(x, x, argnums=1)


@pytest.mark.parametrize("verb", ["export", "sparse_jacobian", "sparse_hessian", "hessian", "vjp", "explain"])
def test_the_line_for_what_is_no_kernel_runs(verb):
    f, x = nbad.kernel(lambda x: x * x), np.ones(3)
    with pytest.raises(TypeError, match="the first argument is not a kernel") as caught:
        getattr(nbad, verb)(f(1.0))
    eval(str(caught.value).rpartition("fix: ")[2], {"nbad": nbad, "f": f, "x": x})
