"""What kernels have in common with NumPy's ufuncs: counts, `where=`, `out=(a,)`, `outer`, the memory order of results, and the
question to arguments that have an `__array_ufunc__` of their own.
"""

import numpy as np
import pytest

import nbad

NUMPYS = {name for name in dir(np) if isinstance(getattr(np, name), np.ufunc)}
subtract = nbad.kernel(lambda x, y: x - y)


@nbad.kernel
def both(x, y):
    return x - y, x * y


@nbad.kernel(signature="(3),()->(2)")
def ends(r, s):
    return [r[0] * s, r[2] * s]


@nbad.kernel
def root(x):
    if x < 0:
        raise ValueError("negative")
    return np.sqrt(x)


def test_counts_are_those_of_a_ufunc():
    assert (subtract.nin, subtract.nout, subtract.nargs, subtract.signature) == (2, 1, 3, None)
    assert subtract.types == ["ff->f", "dd->d"]
    assert (both.nin, both.nout, both.types) == (2, 2, ["ff->ff", "dd->dd"])
    assert (ends.nin, ends.nout, ends.signature) == (2, 1, "(3),()->(2)")
    power = nbad.kernel(lambda x, n=2: x**n, static=("n",))
    assert (power.nin, power.nout, nbad.grad(power).nout) == (1, 1, 1)
    assert not {"at", "reduce", "accumulate"} & set(dir(subtract))


# where=


def test_where_computes_the_chosen_elements_only():
    x = np.array([4.0, -1.0, 9.0])
    out = np.full(3, 7.0)
    assert root(x, where=x >= 0, out=out) is out
    np.testing.assert_array_equal(out, [2.0, 7.0, 3.0])
    np.testing.assert_array_equal(root(x, where=x >= 0), [2.0, np.nan, 3.0])
    np.testing.assert_array_equal(root(x, where=False), [np.nan] * 3)
    np.testing.assert_array_equal(root(np.abs(x), where=True), [2.0, 1.0, 3.0])
    with pytest.raises(ValueError, match="negative") as caught:
        root(x, where=x < 5)
    assert "elements are counted among those that where= chooses" in caught.value.__notes__


def test_where_is_numpys():
    rng = np.random.default_rng(5)
    for shapes in (
        ((4,), (), (4,)),
        ((2, 3), (3,), (2, 1)),
        ((3,), (3,), (2, 3)),
        ((), (), (3,)),
        ((), (), ()),
        ((0,), (), (0,)),
    ):
        x, y, mask = rng.random(shapes[0]), rng.random(shapes[1]), rng.random(shapes[2]) > 0.5
        expected = np.full(np.broadcast_shapes(*shapes), np.nan)
        np.subtract(x, y, where=mask, out=expected)
        np.testing.assert_array_equal(subtract(x, y, where=mask), expected)
        np.testing.assert_array_equal(both(x, y, where=mask)[0], expected)
    x = np.arange(3, dtype=np.float32)
    assert subtract(x, 2.0, where=[True, False, True]).dtype == np.float32


def test_where_of_vector_kernels():
    r, s = np.arange(6.0).reshape(2, 3), np.array([[1.0], [10.0]])
    mask = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(ends(r, s, where=mask), np.where(mask[..., None], ends(r, s), np.nan))


def test_what_is_no_mask_is_refused():
    x, mask = np.arange(3.0), np.ones(3, bool)
    for wrong in (np.ones(3), 1, [1, 0, 1], np.ones(2, bool)):
        with pytest.raises((TypeError, ValueError), match="where="):
            subtract(x, x, where=wrong)
    with pytest.raises(ValueError, match="overlaps an input"):
        subtract(x, 1.0, where=mask, out=x)


def test_a_parameter_of_that_name_wins():
    @nbad.kernel
    def choose(x, where):
        return x * where

    @nbad.kernel
    def open_ended(x, **settings):
        return x * settings["where"]

    assert choose(3.0, where=2.0) == 6.0
    assert open_ended(3.0, where=2.0) == 6.0


# out= and outer


def test_out_may_be_a_tuple_of_one():
    x, out = np.arange(3.0), np.empty(3)
    assert subtract(x, 1.0, out=(out,)) is out
    np.testing.assert_array_equal(out, x - 1.0)


def test_outer_is_numpys():
    a, b = np.arange(6.0).reshape(2, 3), np.array([[1.0], [5.0]])
    np.testing.assert_array_equal(subtract.outer(a, b), np.subtract.outer(a, b))
    np.testing.assert_array_equal(subtract.outer([1.0, 2.0], 3.0), [-2.0, -1.0])
    assert subtract.outer(a.astype(np.float32), 2.0).dtype == np.float32
    out = np.empty((2, 2))
    assert subtract.outer(a[:, 0], b[:, 0], out=out) is out
    np.testing.assert_array_equal(out, np.subtract.outer(a[:, 0], b[:, 0]))
    np.testing.assert_array_equal(ends.outer(a, b[:, 0])[1, 0], ends(a[1], 1.0))
    with pytest.raises(TypeError, match="all pairs"):
        root.outer(a, b)


def test_outer_loses_no_keyword():
    mask = np.array([[True, False], [False, True]])
    masked = subtract.outer([1.0, 2.0], [3.0, 4.0], where=mask, out=np.zeros((2, 2)))
    np.testing.assert_array_equal(masked, np.subtract.outer([1.0, 2.0], [3.0, 4.0], where=mask, out=np.zeros((2, 2))))
    with pytest.raises(TypeError, match="unexpected keyword argument 'whree'"):
        subtract.outer(1.0, 2.0, whree=mask)
    with pytest.raises(TypeError, match="multiple values for argument 'x'"):
        subtract.outer(1.0, 2.0, x=3.0)


# memory order


def random_array(rng, shape):
    """Of this shape, its axes in any order, some of them turned around or with gaps."""
    axes = rng.permutation(len(shape))
    array = rng.random([2 * shape[k] for k in axes]).transpose(np.argsort(axes))
    steps = [(rng.choice([1, 2, -1, -2]), size) for size in shape]
    return array[tuple(slice(None, None, step) for step, _ in steps)][tuple(slice(size) for _, size in steps)]


def test_results_lie_in_memory_as_numpys_do():
    rng = np.random.default_rng(6)
    for _ in range(300):
        shape = tuple(rng.integers(1, 4, size=rng.integers(1, 4)).tolist())
        x, y = random_array(rng, shape), random_array(rng, shape[rng.integers(len(shape)) :])
        got, expected = subtract(x, y), np.subtract(x, y)
        np.testing.assert_array_equal(got, expected)
        along = [k for k, size in enumerate(shape) if size > 1]
        assert [got.strides[k] for k in along] == [expected.strides[k] for k in along]


def test_transforms_of_arrays_in_fortran_order():
    rng = np.random.default_rng(7)
    x, w = np.asfortranarray(rng.random((70, 90))), np.float64(3.0)
    y, pullback = nbad.vjp(both, x, w)
    assert all(leaf.flags.c_contiguous for leaf in y)  # as residuals do, of which sums are made
    assert all(leaf.flags.f_contiguous for leaf in both(x, w))
    seeds = tuple(rng.random(x.shape) for _ in y)
    straight = nbad.vjp(both, np.ascontiguousarray(x), w)[1]
    for got, expected in zip(pullback(seeds), straight(seeds), strict=True):
        assert np.asarray(got).tobytes() == np.asarray(expected).tobytes()  # sums have the bits of C order
    np.testing.assert_array_equal(nbad.jacobian(both)(x, w), nbad.jacobian(both)(x.copy(), w))
    assert ends(np.asfortranarray(rng.random((4, 5, 3))), 1.0).shape == (4, 5, 2)


# arguments with an answer of their own


class Labelled:
    """Answers with what it was asked."""

    def __init__(self, answer=None):
        self.answer = answer

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return self.answer(ufunc, *inputs) if self.answer else (ufunc, method, inputs, options)


class Derived(Labelled):
    pass


@pytest.mark.parametrize("name", ["add", "power", "mod", "exp", "modf"])
def test_a_stand_in_has_no_name_of_numpys(name):
    def function(x, y):
        return x * 10 + y

    function.__name__ = function.__qualname__ = name
    kernel, x = nbad.kernel(function), Labelled()
    ufunc, method, inputs, options = kernel(x, 2.0)
    assert ufunc.__name__ not in NUMPYS | set(dir(np))
    assert (method, inputs, options) == ("__call__", (x, 2.0), {})
    assert (ufunc.nin, ufunc.nout, ufunc.signature, ufunc.types) == (2, 1, None, ["ff->f", "dd->d"])
    np.testing.assert_array_equal(ufunc(np.ones(2), 2.0), [12.0, 12.0])


def test_who_is_asked_first():
    def declines(ufunc, *inputs):
        asked.append(inputs)
        return NotImplemented

    asked = []
    assert subtract(Labelled(), Derived(lambda ufunc, *inputs: "derived")) == "derived"
    assert subtract(Labelled(lambda ufunc, *inputs: "left"), Labelled()) == "left"
    assert subtract(Labelled(lambda ufunc, *inputs: "left"), 1.0) == "left"
    with pytest.raises(TypeError, match=r"x is a \w+.Derived"):
        subtract(Derived(declines), Labelled(declines))
    assert len(asked) == 2


def test_static_arguments_and_keywords_stay_the_kernels():
    @nbad.kernel(static=("n",))
    def power(n, x, y=1.0):
        return x**n * y

    ufunc, _, inputs, _ = power(3, y=Labelled(), x=2.0)
    assert (ufunc.nin, inputs[0]) == (2, 2.0)
    assert ufunc(2.0, 5.0) == 40.0
    named = type("Pair", (tuple,), {})
    assert both(Labelled(lambda ufunc, *inputs: named("ab")), 1.0) == ("a", "b")


def test_errors_are_the_kernels_or_a_refusal_by_name():
    def says(error):
        def answer(ufunc, *inputs):
            raise error

        return Labelled(answer)

    for error in (TypeError("no such ufunc"), RuntimeError("no such ufunc")):
        with pytest.raises(TypeError, match=r"x is a \w+.Labelled\n(.|\n)*which says: no such ufunc"):
            subtract(says(error), 1.0)
    with pytest.raises(nbad.errors.ArgumentValueError, match=r"do not fit one another\n(.|\n)*got: not aligned\n") as caught:
        subtract(says(ValueError("not aligned")), 1.0)
    assert str(caught.value.__cause__) == "not aligned"
    with pytest.raises(ValueError, match=r"^negative\n.*raised at element"):
        root(Labelled(lambda ufunc, *inputs: ufunc(np.array([-1.0]))))
    with pytest.raises(TypeError, match="takes out= and where=, not dtype="):
        root(Labelled(lambda ufunc, *inputs: ufunc(np.ones(1), dtype="d")))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: nbad.vjp(subtract, x, 1.0),
        lambda x: nbad.jacobian(subtract)(x, 1.0),
        lambda x: nbad.value_and_jacobian(subtract)(x, 1.0),
        lambda x: nbad.hessian(subtract)(x, 1.0),
        lambda x: nbad.jvp(subtract, (x, 1.0), (1.0, 1.0)),
        lambda x: nbad.linearize(subtract, x, 1.0),
        lambda x: subtract(x, 1.0, out=np.empty(3)),
        lambda x: subtract(x, 1.0, where=np.ones(3, bool)),
        lambda x: subtract.outer(x, np.ones(3)),
    ],
)
def test_what_pairs_by_position_refuses_by_name(call):
    def answer(ufunc, *inputs):
        raise AssertionError("asked")

    with pytest.raises(TypeError, match=r"x is a \w+.Labelled"):
        call(Labelled(answer))


def test_gradients_are_kernels_and_ask():
    ufunc, *_ = nbad.grad(subtract)(Labelled(), 1.0)
    assert ufunc(np.ones(2), 1.0).tolist() == [1.0, 1.0]
    assert nbad.value_and_grad(subtract)(Labelled(lambda ufunc, *inputs: ufunc(3.0, 1.0)), 1.0) == (2.0, 1.0)
