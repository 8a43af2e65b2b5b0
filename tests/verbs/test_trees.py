"""Arguments that are dicts, namedtuples and dataclasses of arrays: taken and given in the same structure by every verb."""

import copy
import functools
import math
import pickle
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.same_bits import bits
from numpy.testing import assert_allclose, assert_array_equal

import nbad

Line = namedtuple("Line", ["slope", "offset"])


@dataclass(frozen=True)
class Wave:
    amplitude: Any
    inner: Any
    name: str = "wave"

    def __post_init__(self):
        if self.name != "wave":
            raise ValueError(self.name)

    def at(self, x):
        return self.amplitude * np.sin(self.inner.slope * x + self.inner.offset)


@dataclass
class Settings:
    order: int = 2
    weights: list = field(default_factory=lambda: [1.0])


@nbad.kernel
def line(x, p, scale=2.0):
    return scale * (p["a"] * x * x + p["b"])


@nbad.kernel
def wave(x, w):
    return w.at(x)


@nbad.kernel
def tuples(x, p):
    return p.slope * x, p.offset


@nbad.kernel(signature="(2),(2)->(2),()")
def vectors(v, p):
    return v * p["scale"] + p["shift"], v @ p["scale"]


X = np.linspace(0.5, 2.0, 7)
P = {"a": 3.0, "b": X**2}


def check(found, expected):
    """The same structure, and values near."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            check(found[key], expected[key])
    elif isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            check(one, other)
    elif isinstance(expected, Wave):
        check((found.amplitude, found.inner), (expected.amplitude, expected.inner))
    elif expected is not None:
        assert np.shape(found) == np.shape(expected)
        assert_allclose(found, expected, rtol=1e-14)


def f8(value):
    return np.float64(value)


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_cotangents_come_as_the_argument_came(kind):
    y, pullback = nbad.vjp(line, X, kind(P))
    check(y, 6.0 * X * X + 2.0 * X**2)
    seed = np.cos(X)
    check(pullback(seed), (12.0 * X * seed, kind(a=f8(np.sum(2.0 * X * X * seed)), b=2.0 * seed)))
    check(pullback.batched(np.ones((2, 7)))[1]["b"], np.full((2, 7), 2.0))
    assert_allclose(pullback.jacobian()[:, 0], np.array([12.0 * X, 2.0 * X * X, np.full(7, 2.0)]).T)


def test_chosen_by_name_and_by_position():
    for argnums in ("p", 1, ("p",), -2):
        (ct,) = nbad.vjp(line, X, P, argnums=argnums)[1](1.0)
        check(ct, {"a": f8(np.sum(2.0 * X * X)), "b": np.full(7, 2.0)})
    check(nbad.vjp(line, X, P, argnums=("p", "x"))[1](1.0)[1], 12.0 * X)
    check(nbad.vjp(line, X, P, argnums="x")[1](1.0), (12.0 * X,))
    check(nbad.vjp(line, x=X, scale=1.0, p=P)[1](1.0)[2], f8(np.sum(line(X, P)) / 2.0))


def test_namedtuples_and_dataclasses_one_within_the_other():
    w = Wave(2.0, Line(X, 0.5))
    y, pullback = nbad.vjp(wave, X, w)
    s, c = np.sin(X * X + 0.5), np.cos(X * X + 0.5)
    check(y, 2.0 * s)
    check(pullback(1.0), (2.0 * c * X, Wave(f8(np.sum(s)), Line(2.0 * c * X, f8(np.sum(2.0 * c))))))
    assert pullback(1.0)[1].name is None
    check(nbad.grad(wave, "w")(X, w), Wave(s, Line(2.0 * c * X, 2.0 * c)))
    check(nbad.grad(nbad.grad(wave), "w")(1.0, Wave(1.0, Line(1.0, 0.0))).amplitude, f8(math.cos(1.0)))


def test_gradients_and_values():
    two = {"a": 2.0 * X * X, "b": np.full(7, 2.0)}
    check(nbad.grad(line, "p")(X, P), two)
    check(nbad.grad(line, ("p", "x"))(X, P), (two, 12.0 * X))
    check(nbad.value_and_grad(line, "p")(X, P), (line(X, P), two))
    check(nbad.value_and_grad(line, ("x", "p"))(X, P), (line(X, P), (12.0 * X, two)))
    check(nbad.grad(line)(X, P), 12.0 * X)
    out = {"a": np.empty(7), "b": np.empty(7)}
    assert nbad.grad(line, "p")(X, P, out=out) is out
    check(out, two)
    _, pullback = nbad.vjp(nbad.grad(line, "p"), X, P)  # a kernel whose outputs have structure
    check(pullback({"a": 1.0, "b": 0.0}), (4.0 * X, {"a": f8(0.0), "b": np.zeros(7)}))


def test_tangents():
    tangents = 1.0, {"a": 0.5, "b": X}
    dot = 12.0 * X + X * X + 2.0 * X
    check(nbad.jvp(line, (X, P), tangents), (line(X, P), dot))
    check(nbad.jvp(line, (X,), (1.0,), p=P)[1], 12.0 * X)
    _, pushforward = nbad.linearize(line, X, P)
    check(pushforward(tangents), dot)
    check(pushforward((0.0, 1.0)), 2.0 * X * X + 2.0)  # a number stands for all
    check(pushforward.batched((np.ones((3, 7)), {"a": 0.0, "b": 0.0})), np.tile(12.0 * X, (3, 1)))
    check(nbad.hvp(line, (X, P), (1.0, {"a": 1.0, "b": 1.0})), (12.0 + 4.0 * X, {"a": 4.0 * X, "b": np.zeros(7)}))


def test_blocks_have_a_column_for_each_number():
    J = nbad.jacobian(line, ("p", "x"))(X, P)
    assert_allclose(J[:, 0], np.array([2.0 * X * X, np.full(7, 2.0), 12.0 * X]).T)
    check(nbad.value_and_jacobian(tuples)(2.0, Line(3.0, 4.0))[1], np.array([[3.0, 2.0, 0.0], [0.0, 0.0, 1.0]]))
    assert nbad.jacobian(tuples).sparsity(2.0, Line(3.0, 4.0)).tolist() == [[True, True, False], [False, False, True]]
    H = nbad.hessian(line, "p")(X, P)
    assert_array_equal(H, np.zeros((7, 2, 2)))
    assert nbad.hessian(line)(X, P).shape == (7, 3, 3)


def test_core_shapes_are_those_of_the_parameter(rng):
    v, scale, shift = rng.normal(size=(3, 5, 2))
    (y, _), pullback = nbad.vjp(vectors, v, {"scale": scale, "shift": shift[0]})
    assert_allclose(y, v * scale + shift[0])
    ct, p = pullback((np.ones((5, 2)), 1.0))
    assert_allclose(ct, 2.0 * scale)
    check(p, {"scale": 2.0 * v, "shift": np.full(2, 5.0)})
    assert pullback.jacobian().shape == (5, 3, 6)


def test_integers_have_no_derivative_and_settings_are_fixed():
    f = nbad.kernel(lambda x, p: p["n"] * p["a"] * x if p["kind"] == "linear" else x)
    p = {"n": np.array([2, 3]), "a": 4.0, "kind": "linear"}
    check(nbad.vjp(f, np.ones(2), p)[1](1.0), (np.array([8.0, 12.0]), {"n": None, "a": f8(5.0), "kind": None}))
    check(nbad.vjp(f, np.ones(2), p, argnums="p")[1](1.0), ({"n": None, "a": f8(5.0), "kind": None},))
    check(f(np.ones(2), p | {"kind": "other"}), np.ones(2))
    with pytest.raises(TypeError, match="no derivative"):
        nbad.vjp(f, np.ones(2), {"n": np.array([1]), "a": np.array([1]), "kind": "linear"}, argnums="p")


def test_dataclasses_of_plain_numbers_stay_settings_unless_named():
    f = nbad.kernel(lambda x, s: x**s.order * s.weights[0])
    assert len(nbad.vjp(f, 3.0, Settings())[1](1.0)) == 1
    g = nbad.kernel(lambda x, s: x * s.order)
    assert nbad.grad(g, "s")(3.0, Settings(order=2.0, weights=0.0)).order == 3.0


def test_dataclasses_of_plain_numbers_are_numbers_where_nothing_else_is():
    """As all settings: these go with numbers, so without any they were to be numbers."""
    g = nbad.kernel(lambda p: p.amplitude * p.inner)
    assert g(Wave(2.0, 3.0)) == g(p=Wave(2.0, 3.0)) == 6.0
    check(nbad.vjp(g, Wave(2.0, 3.0))[1](1.0), (Wave(f8(3.0), f8(2.0)),))
    check(nbad.jvp(g, (Wave(2.0, 3.0),), (Wave(1.0, 0.0),)), (f8(6.0), f8(3.0)))
    with pytest.raises(TypeError, match="s holds text"):
        nbad.kernel(lambda s: 1.0)("linear")


def test_kernels_in_kernels():
    f = nbad.kernel(lambda x: line(x, {"a": x, "b": 1.0}))
    check(nbad.grad(f)(X), 6.0 * X * X)
    g = nbad.kernel(lambda x: nbad.grad(line, "p")(x, {"a": x, "b": 1.0})["a"])
    check(nbad.grad(g)(X), 4.0 * X)


def test_out_is_given_in_the_structure():
    _, pullback = nbad.vjp(line, X, P)
    out = np.empty(7), {"a": np.empty(()), "b": np.ones(7)}
    assert pullback(1.0, out=out) is out
    pullback(1.0, out=out, accumulate=True)
    check(out[1]["b"], np.full(7, 4.0))
    with pytest.raises(ValueError, match=r"what is given for p does not have its structure[\s\S]*keys 'a', 'b'"):
        pullback(1.0, out=(out[0], {"a": out[1]["a"]}))


def test_saved_and_copied():
    _, pullback = nbad.vjp(line, X, P)
    for again in (pickle.loads(pickle.dumps(pullback)), copy.deepcopy(pullback), copy.copy(pullback)):
        check(again(1.0), pullback(1.0))
        assert bits(again.jacobian()) == bits(pullback.jacobian())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: line(P),
            r"`line\(x, p, scale\)`: missing a required argument: 'p'[\s\S]*at most: x, p, scale\n  fix: line\(x, p, scale\)",
        ),
        (lambda: nbad.vjp(line, p=P), r"missing a required argument: 'x'[\s\S]*fix: nbad.vjp\(line, x, p, scale\)"),
        (lambda: line(X, P, q=1.0), r"got an unexpected keyword argument 'q'[\s\S]*fix: line\(x, p, scale\)"),
        (lambda: line({"x": X, "p": P}), r"missing a required argument: 'p'[\s\S]*fix: line\(\*\*x\)"),
        (lambda: nbad.vjp(line, {"x": X, "p": P}), r"fix: nbad.vjp\(line, \*\*x\)"),
        (lambda: nbad.kernel(lambda x: x * x)({"x": X}), r"x holds Python objects[\s\S]*fix: x\['x'\]"),
    ],
)
def test_a_call_with_a_wrong_number_of_arguments_is_told_of_as_it_was_written(call, says):
    with pytest.raises(nbad.NbadError, match=says):
        call()
    assert line(**{"x": 1.0, "p": {"a": 2.0, "b": 3.0}}) == nbad.vjp(line, **{"x": 1.0, "p": {"a": 2.0, "b": 3.0}})[0]


def test_pickled_gradients_by_several_arguments_come_in_their_structure():
    slopes = pickle.loads(pickle.dumps(nbad.grad(line, ("p", "x"))))
    by_p, by_x = slopes(np.array([1.0, 3.0]), {"a": 5.0, "b": 7.0})
    assert_array_equal(by_p["a"], [2.0, 18.0])
    assert_array_equal(by_p["b"], [2.0, 2.0])
    assert_array_equal(by_x, [20.0, 60.0])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"does not have its structure[\s\S]*got: dict[\s\S]*fix: \{'a'"):
        nbad.jvp(line, (X, P), (1.0, {"a": 1.0}))
    with pytest.raises(ValueError, match=r"one entry for each argument[\s\S]*got: 3 entries[\s\S]*a tuple of 2: x, p"):
        nbad.jvp(line, (X, P), (1.0, 1.0, 1.0))
    _, pushforward = nbad.linearize(line, X, P)
    with pytest.raises(ValueError, match=r"pushforward\(tangents\)`: there must be one entry for each argument"):
        pushforward(1.0)
    with pytest.raises(ValueError, match=r"`pullback`: there must be one entry for each argument"):
        nbad.vjp(line, X, P)[1](1.0, out=(np.empty(7), np.empty(()), np.empty(7)))
    with pytest.raises(TypeError, match=r"`line\(x, p_a, p_b\)`: p_b holds Python objects"):
        line(X, {"a": 1.0, "b": object()})
    with pytest.raises(ValueError, match="do not broadcast"):
        line(X, {"a": np.ones(3), "b": 1.0})


class Doubling(dict):
    def __getitem__(self, key):
        return 2.0 * dict.__getitem__(self, key)


class Scaled(Line):
    offset_scale = 1.0


@dataclass
class Attributed:
    a: Any
    b: Any
    scale = 1.0

    @functools.cached_property
    def twice(self):
        return self.a + self.a


class Halved:
    def __get__(self, this, owner=None):
        return 1.0 if this is None else this.kept

    def __set__(self, this, value):
        this.kept = 0.5 * value


@dataclass
class Converting:
    a: Any
    b: Any = Halved()


def _with(value, **attributes):
    for name, each in attributes.items():
        setattr(value, name, each)
    return value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Doubling(a=X, b=1.0), "__getitem__"),
        (_with(Scaled(X, 1.0), offset_scale=2.0), "offset_scale"),
        (_with(Attributed(X, 1.0), scale=2.0), "scale"),
        (Converting(X, 1.0), "b"),
        ({"inner": Doubling(a=X)}, "__getitem__"),
    ],
)
def test_what_is_more_than_its_parts_is_refused(value, what):
    """Put together from its items or fields alone, it would be another value than the user's function gets."""
    with pytest.raises(TypeError, match=f"p is more than its .*\n.*\n.* {what} "):
        line(X, value)


def test_tangents_are_what_their_dict_says():
    p = {"a": X, "b": 1.0}
    expected = nbad.jvp(line, (X, p), (0.0, {"a": 2.0, "b": 2.0}))[1]
    check(nbad.jvp(line, (X, p), (0.0, Doubling(a=1.0, b=1.0)))[1], expected)
    check(nbad.linearize(line, X, p)[1]((0.0, Doubling(a=1.0, b=1.0))), expected)


def test_what_holds_itself_is_refused():
    p = {"a": X, "b": 1.0}
    p["p"] = p
    with pytest.raises(ValueError, match=r"p holds itself[\s\S]*fix: p = {key: part for"):
        line(X, p)
    check(line(X, {key: part for key, part in p.items() if part is not p}), 2.0 * (X * X * X + 1.0))


def test_what_an_object_caches_does_not_matter():
    value = Attributed(X, 1.0)
    assert value.twice is value.twice
    check(nbad.kernel(lambda p: p.a * p.b)(value), X)


def test_errors_of_elements_are_raised_by_the_users_function():
    @nbad.kernel
    def careful(x, p):
        if p["a"] < 0:
            raise ValueError(f"a is {p['a']}")
        return p["a"] * x

    with pytest.raises(ValueError, match=r"a is -1\.0"):
        careful(X[:2], {"a": np.array([1.0, -1.0])})


def test_what_is_picked_by_an_index():
    a, i = np.array([1.0, 2.0, 3.0]), np.array([0, 2, 2, 0, 1, 1, 1])
    y, pullback = nbad.vjp(line, X, {"a": nbad.indexed(a, i), "b": 1.0})
    check(y, 2.0 * (a[i] * X * X + 1.0))
    check(pullback(1.0)[1]["a"], np.bincount(i, 2.0 * X * X))
    _, push = nbad.linearize(line, X, {"a": nbad.indexed(a, i), "b": 1.0})
    tangents = np.array([[1.0, -1.0, 3.0], [0.0, 2.0, 5.0]])
    check(push((0.0, {"a": tangents[0], "b": 0.0})), 2.0 * tangents[0][i] * X * X)
    check(push.batched((0.0, {"a": tangents, "b": 0.0})), 2.0 * tangents[:, i] * X * X)


def test_sparse_results_have_columns_for_each_number():
    p = {"a": 3.0, "b": X}
    J = nbad.sparse_jacobian(line, ("p", "x"))(X, p)
    expected = np.hstack([2.0 * X[:, None] ** 2, 2.0 * np.eye(7), np.diag(12.0 * X)])
    assert_allclose(J.toarray(), expected)
    assert_allclose(nbad.sparse_jacobian(line, ("p", "x")).operator(X, p) @ np.arange(15.0), expected @ np.arange(15.0))
    H = nbad.sparse_hessian(line, ("x", "p"))(X, p).toarray()
    assert_allclose(np.diag(H)[:7], 12.0)
    assert_allclose(H[7, :7], 4.0 * X)
    assert_allclose(nbad.sparse_hessian(line, ("x", "p")).operator(X, p) @ np.arange(15.0), H @ np.arange(15.0))


def test_the_caller_keeps_its_dict():
    @nbad.kernel
    def writing(x, p):
        p["a"] = p["a"] * 2.0
        return p["a"] * x

    p = {"a": 1.0}
    check(nbad.grad(writing, "p")(3.0, p), {"a": f8(6.0)})
    assert p == {"a": 1.0}


def test_names_that_collide():
    f = nbad.kernel(lambda p, p_a, q: p["a"] * p_a + q["o u"] * q["o-u"])
    check(nbad.grad(f, ("p", "q"))({"a": 2.0}, 3.0, {"o u": 5.0, "o-u": 7.0}), ({"a": f8(3.0)}, {"o u": f8(7.0), "o-u": f8(5.0)}))


def test_explained_and_proved():
    assert nbad.explain(line, X, P).arguments == ("x", "p_a", "p_b")


@pytest.mark.slow
def test_the_harness_proves_them():
    assert nbad.testing.check_kernel(wave, X, Wave(2.0, Line(X, 0.5))).entries


def random_tree(random, rng, depth, leaves):
    """A tree of dicts, namedtuples and dataclasses; its leaves, which broadcast to (3, 4), are noted in order."""
    kind = random.choice(["leaf", "dict", "line", "wave"]) if depth else "leaf"
    if kind == "leaf":
        leaves.append(random.choice([1.5, np.float64(0.5), rng.normal(size=4), rng.normal(size=(3, 1)), np.array(2.0)]))
        return leaves[-1]
    one, other = (random_tree(random, rng, depth - 1, leaves) for _ in range(2))
    if kind == "dict":
        return dict(zip(random.sample(["a", "b c", 3, (1, 2)], 2), (one, other), strict=True))
    return Line(one, other) if kind == "line" else Wave(one, other)


def leaves_of(tree):
    if isinstance(tree, Wave):
        return leaves_of((tree.amplitude, tree.inner))
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in leaves_of(part)] if isinstance(tree, tuple | dict) else [tree]


@pytest.mark.slow
def test_random_trees_give_what_their_leaves_give_one_by_one(rng):
    random = Random(0)
    for _ in range(40):
        leaves = []
        tree = {"all": random_tree(random, rng, 3, leaves)}

        def values(x, found):
            for k, leaf in enumerate(found):
                x = x * leaf + np.sin(leaf * (k + 1.0))
            return x, x * x

        names = ", ".join(f"v{k}" for k in range(len(leaves)))
        one_by_one = nbad.kernel(eval(f"lambda x, {names}: values(x, [{names}])", {"values": values}))
        together = nbad.kernel(lambda x, p, values=values: values(x, leaves_of(p)))
        x = rng.normal(size=(3, 4))
        seeds = rng.normal(size=(3, 4)), 1.0
        (ct,), (_, *expected) = nbad.vjp(together, x, tree, argnums="p")[1](seeds), nbad.vjp(one_by_one, x, *leaves)[1](seeds)
        assert bits(tuple(leaves_of(ct))) == bits(tuple(expected))
        assert not isinstance(tree["all"], tuple | dict | Wave) or type(ct["all"]) is type(tree["all"])
