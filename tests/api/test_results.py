"""Results as kernels return them: namedtuples, dicts and lists, in every verb that gives or takes them."""

import collections
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nbad
from nbad.errors import TraceError
from nbad.testing import check_kernel


class Polar(NamedTuple):
    r: float
    phi: float


Pair = collections.namedtuple("Pair", "a b")
X, Y = np.linspace(0.5, 2.0, 7), np.linspace(-1.0, 1.0, 7)


def polar(x, y):
    return Polar(np.hypot(x, y), np.arctan2(y, x))


def report(x, y):
    return {"total": x + y, "product": x * y, 3: x}


def tuple_of(function):
    """The same function with a tuple for what it returns."""

    def plain(x, y):
        returned = function(x, y)
        return tuple(returned.values()) if isinstance(returned, dict) else tuple(returned)

    return plain


STRUCTURED = {"namedtuple": polar, "dict": report, "ordered dict": lambda x, y: collections.OrderedDict(b=x * y, a=x / y)}
each_structure = pytest.mark.parametrize("function", STRUCTURED.values(), ids=STRUCTURED)


def leaves(value):
    return tuple(value.values()) if isinstance(value, dict) else tuple(value)


def assert_all_equal(got, expected):
    """Results of several shapes, one by one."""
    for a, b in zip(got, expected, strict=True):
        assert_array_equal(a, b)


def assert_structured(got, like, leaves_of_it):
    """The same type, names and order as the plain function's result, with these leaves."""
    assert type(got) is type(like)
    if isinstance(like, dict):
        assert list(got) == list(like)
    assert_array_equal(leaves(got), leaves_of_it)


@each_structure
@pytest.mark.parametrize("xs", [(X, Y), (1.5, 0.25), (X[:, None], Y)], ids=["arrays", "numbers", "broadcast"])
def test_every_verb_gives_what_the_function_returns(function, xs):
    f, plain = nbad.kernel(function), nbad.kernel(tuple_of(function))
    like, y = function(1.5, 0.25), plain(*xs)
    tangents = tuple(np.ones_like(x) for x in xs)
    dots = nbad.jvp(plain, xs, tangents)[1]
    for _ in range(3):  # the first calls take the general way, later ones the short cut
        assert_structured(f(*xs), like, y)
        assert_structured(nbad.vjp(f, *xs)[0], like, y)
        assert_structured(nbad.value_and_jacobian(f)(*xs)[0], like, y)
        primal, dot = nbad.jvp(f, xs, tangents)
        assert_structured(primal, like, y)
        assert_structured(dot, like, dots)
        primal, pushforward = nbad.linearize(f, *xs)
        assert_structured(primal, like, y)
        for _ in range(2):
            assert_structured(pushforward(tangents), like, nbad.linearize(plain, *xs)[1](tangents))
        many = tuple(np.stack([t, -t]) for t in tangents)
        assert_structured(pushforward.batched(many), like, nbad.linearize(plain, *xs)[1].batched(many))
        assert_array_equal(nbad.jacobian(f)(*xs), nbad.jacobian(plain)(*xs))


@each_structure
@pytest.mark.parametrize("xs", [(X, Y), (1.5, 0.25), (X[:, None], Y)], ids=["arrays", "numbers", "broadcast"])
def test_seeds_come_in_the_structure_of_the_value_or_in_a_tuple(function, xs):
    y, pullback = nbad.vjp(nbad.kernel(function), *xs)
    seeds = tuple(np.random.default_rng(k).standard_normal(leaf.shape) for k, leaf in enumerate(leaves(y)))
    expected = nbad.vjp(nbad.kernel(tuple_of(function)), *xs)[1]
    structured = type(y)(zip(y, seeds, strict=True)) if isinstance(y, dict) else type(y)(*seeds)
    many = [np.stack([s, 2 * s]) for s in seeds]
    for _ in range(3):
        for ct in (seeds, structured):
            assert_all_equal(pullback(ct), expected(seeds))
        if isinstance(y, dict):  # by the keys, in any order
            assert_all_equal(pullback(dict(reversed(structured.items()))), expected(seeds))
        batch = type(y)(zip(y, many, strict=True)) if isinstance(y, dict) else type(y)(*many)
        assert_all_equal(pullback.batched(batch), expected.batched(tuple(many)))
        assert_all_equal(pullback(y), expected(leaves(y)))


@each_structure
def test_out_is_filled_and_returned_in_the_structure_or_a_tuple(function):
    f = nbad.kernel(function)
    y = f(X, Y)
    for _ in range(3):
        for out in (type(y)({k: np.empty(7) for k in y}) if isinstance(y, dict) else Polar(np.empty(7), np.empty(7)),):
            assert f(X, Y, out=out) is out
            assert_array_equal(leaves(out), leaves(y))
            dots = tuple(np.empty(7) for _ in leaves(y))
            pair = nbad.jvp(f, (X, Y), (1.0, 1.0), out=(out, dots))
            assert pair == (out, dots)
            assert_array_equal(dots, leaves(nbad.jvp(f, (X, Y), (1.0, 1.0))[1]))
        out = tuple(np.empty(7) for _ in leaves(y))
        assert f(X, Y, out=out) is out
        assert_array_equal(out, leaves(y))


def test_wrong_structures_are_refused():
    y, pullback = nbad.vjp(nbad.kernel(report), X, Y)
    text = r"structure of the value\n[\s\S]*expected: a dict with the keys 'total', 'product', 3, or a tuple of 3"
    for ct in ({"total": 1.0}, {**y, "more": 1.0}, (1.0, 1.0), [1.0, 1.0, 1.0], 1.0, Pair(1.0, 1.0)):
        with pytest.raises(ValueError, match=text):
            pullback(ct)
    with pytest.raises(ValueError, match=r"ct\['total'\] has a wrong shape[\s\S]*fix: np\.broadcast_to\(ct\['total'\], \(7,\)\)"):
        pullback({"total": np.ones(1), "product": 1.0, 3: 1.0})
    _, pullback = nbad.vjp(nbad.kernel(polar), X, Y)
    with pytest.raises(ValueError, match=r"structure of the value\n[\s\S]*expected: a Polar of [\w, ]+, or a tuple of 2"):
        pullback(Pair(1.0, 1.0))
    with pytest.raises(ValueError, match=r"ct\.phi has a wrong shape"):
        pullback(Polar(1.0, np.ones(3)))
    with pytest.raises(ValueError, match=r"out= does not have the structure[\s\S]*got: a dict\n  expected: a tuple of 2 arrays"):
        nbad.kernel(polar)(X, Y, out={"r": np.empty(7), "phi": np.empty(7)})


def test_lists_are_arrays_where_the_signature_says_so():
    @nbad.kernel(signature="(),()->(2)")
    def rotated(x, y):
        return [x - y, x + y]

    assert_array_equal(rotated(X, Y), np.stack([X - Y, X + Y], -1))
    assert_array_equal(nbad.jacobian(rotated)(X, Y)[3], [[1.0, -1.0], [1.0, 1.0]])
    assert_array_equal(nbad.vjp(rotated, X, Y)[1](np.ones((7, 2))), (np.full(7, 2.0), np.zeros(7)))

    @nbad.kernel(signature="(),()->(2,2),(),(3)")
    def several(x, y):
        return [[x, y], [1, x * y]], x, list(np.array([x, y, 2.0]))

    matrix, number, vector = several(X, Y)
    assert_array_equal(matrix[2], [[X[2], Y[2]], [1.0, X[2] * Y[2]]])
    assert_array_equal(number, X)
    assert_array_equal(vector[:, 2], np.full(7, 2.0))

    @nbad.kernel(signature="()->(2),()")
    def named(x):
        return {"both": [x, 2 * x], "one": x}

    both = named(X)
    assert_array_equal(both["both"], np.stack([X, 2 * X], -1))
    assert nbad.vjp(named, X)[1](both)[0].shape == (7,)

    text = r"`<lambda>` returns an array, but has no signature[\s\S]*fix: @nbad.kernel\(signature=\"\(\),\(\)->\(2\)\"\)"
    with pytest.raises(TraceError, match=text):
        nbad.kernel(lambda x, y: [x, y])(X, Y)
    for make, what in (
        (lambda x: [], "an empty list"),
        (lambda x: {}, "an empty dict"),
        (lambda x: [x, None], "nothing in a list"),
        (lambda x: {"a": x > 0}, "a condition in a dict"),
        (lambda x: {"a": {"b": x}}, "a dict in a dict"),
        (lambda x: Pair(x, (x, x)), "a tuple in a Pair"),
    ):
        with pytest.raises(TraceError, match=f"returns {what}"):
            nbad.kernel(make)(X)
    with pytest.raises(TraceError, match="makes an array of parts of different shapes"):
        nbad.kernel(lambda x: [[x], x], signature="()->(2)")(X)


class Listed(list):
    def show(self):
        return f"a list of {len(self)}"


class Reported(dict):
    def __init__(self, items, title):
        super().__init__(items)
        self.title = title


def test_subclasses_of_lists_and_dicts():
    """They come back as what they are subclasses of: the numbers of each element make no object of a class."""
    both = nbad.kernel(lambda x: Listed([x, x * x]), signature="()->(2)")(X)
    assert_array_equal(both, np.stack([X, X * X], -1))
    found = nbad.kernel(lambda x: Reported({"a": x, "b": 2.0}, title="first"))(X)
    assert type(found) is dict
    assert_all_equal(found.values(), (X, np.full(7, 2.0)))
    with pytest.raises(TraceError, match="returns an empty list"):
        nbad.kernel(lambda x: Listed())(X)


def test_branches_return_structures():
    def sides(x, y):
        if x > 1.0:
            return {"a": x * y, "b": 1.0}
        if y > 0.0:
            return {"a": y, "b": x}
        found = {"a": x} if x > 0.7 else {"a": -x}
        return {**found, "b": y * y}

    def named(x, y):
        result = Pair(x, y) if x > y else Pair(y, x)
        if x > 1.0:
            result = result._replace(a=x * x)
        return result

    for function in (sides, named):
        expected = [leaves(function(a, b)) for a, b in zip(X, Y, strict=True)]
        got = nbad.kernel(function)(X, Y)
        assert type(got) is type(function(1.0, 1.0))
        assert_allclose(np.stack(leaves(got), -1), expected, rtol=1e-15)

    for other in (lambda y: {"b": y}, lambda y: {"a": y, "b": y}, lambda y: collections.OrderedDict(a=y)):
        with pytest.raises(TraceError, match=r"cannot be merged[\s\S]*got: (a dict with the keys \['a'\] in one|an? \w+ in one)"):
            nbad.kernel(lambda x, y: {"a": x} if x > 0 else other(y))(X, Y)  # noqa: B023


def test_a_chosen_dict_may_not_be_written_to():
    def kernel(x, y):
        a, b = {"v": x}, {"v": y}
        chosen = a if x > 1.0 else b
        chosen["v"] = 2.0 * y
        return a["v"] + b["v"]

    def picked(x, y):
        dicts = [{"v": x}, {"v": y}]
        dicts[np.where(x > 1.0, 1, 0)]["v"] = 2.0 * y
        return dicts[0]["v"] + dicts[1]["v"]

    for function in (kernel, picked):
        with pytest.raises(TraceError, match="writes to a list or array that has several names"):
            nbad.kernel(function)(X, Y)


def test_structures_of_kernels_in_kernels():
    inner, marked = nbad.kernel(polar), nbad.kernel(report)

    @nbad.kernel
    def outer(x, y):
        found, more = inner(x, y), marked(x, y=y)
        assert list(more) == ["total", "product", 3]
        return found.r * found.phi + more["product"] + marked(1.0, 2.0)["total"]

    assert_allclose(outer(X, Y), np.hypot(X, Y) * np.arctan2(Y, X) + X * Y + 3.0, rtol=1e-15)


def test_structures_of_formulas_and_of_gradients():
    import sympy

    x, y = sympy.symbols("x y")
    assert nbad.kernel(report).sympy() == {"total": x + y, "product": x * y, 3: x}
    assert type(nbad.kernel(polar).sympy()) is Polar
    assert r"\mathrm{report}_{1} &= x y" in nbad.kernel(report).latex()
    for function, name in ((report, "dict"), (polar, "Polar")):
        with pytest.raises(
            TraceError, match=f"take kernels with one number as output, but `{function.__name__}` returns a {name}"
        ):
            nbad.grad(nbad.kernel(function))(X, Y)


@pytest.mark.slow
@each_structure
def test_the_harness_takes_structures(function):
    assert check_kernel(nbad.kernel(function), X, Y + 3.0).entries


def test_statics_may_choose_the_structure():
    f = nbad.kernel(lambda x, full=False: {"y": x * x, "x": x} if full else x * x, static="full")
    assert_array_equal(f(X), X * X)
    assert_array_equal(f(X, full=True)["y"], X * X)
    assert_array_equal(nbad.vjp(f, X, True)[1]({"x": 0.0, "y": 1.0}), (2 * X,))
