"""Masks and writes in place, for numbers that stand for elements and for arrays; right is what NumPy makes of arrays of one."""

import re
import warnings

import mpmath
import numpy as np
import pytest
from helpers.random_masks import Writer
from helpers.tracing import function_of
from numpy.testing import assert_allclose

import nbad
from nbad.errors import TraceError
from nbad.graphs.interpreter import evaluate
from nbad.tracing.arguments import Argument
from nbad.tracing.tracer import trace

POINTS = np.array([[-1.3, 0.4], [0.15, 0.8], [0.9, -0.6], [2.1, 2.0], [0.0, 0.3]])


def program(seed):
    source = Writer(seed).program()
    return function_of(source, f"<masks {seed}>", "kernel", np=np), source


def plain(kernel, point, make):
    """What NumPy makes of arrays of one element, or without axes; None where it raises."""
    try:
        return float(np.ravel(kernel(*map(make, point)))[0])
    except (TypeError, IndexError, ValueError, DeprecationWarning):  # NumPy 2.0 warns of places without axes
        return None


def run_program(seed):
    """Compare one program's graph with NumPy; the text of the error where it is refused."""
    kernel, source = program(seed)
    try:
        graph = trace(kernel, [Argument("x"), Argument("y")], {}).graph
    except TraceError as error:
        return str(error)
    for point in POINTS:
        (found,) = evaluate(graph, *point)
        for make in (lambda v: np.array([v]), np.array):
            expected = plain(kernel, point, make)
            if expected is not None:
                assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=f"{source}{point}")
    return ""


KNOWN = (
    "uses a number after its array was written to under another name|writes to a list or array that has several names|"
    "returns on a traced value, and changes what outlives the call|combines items that different conditions pick|"
    "writes real numbers among|writes into .*, which nobody can write to|"
    "writes into a number, which is none of the kernel's arguments"
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seeds", [range(60), pytest.param(range(60, 200), marks=pytest.mark.slow)])
def test_random_programs(seeds):
    """Refused is what another name could see, and nothing else; nothing is accepted wrongly."""
    refusals = [text for seed in seeds if (text := run_program(seed))]
    assert [text for text in refusals if not re.search(KNOWN, text)] == []
    assert len(refusals) < 0.6 * len(seeds)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("first", range(1000, 6000, 500))
def test_many_random_programs(first):
    refusals = [text for seed in range(first, first + 500) if (text := run_program(seed))]
    assert [text for text in refusals if not re.search(KNOWN, text)] == []


def zeros_by_a_mask(x):
    y = np.zeros_like(x)
    y[x > 0] = np.sqrt(x)[x > 0]
    return y


def cut_in_place(x):
    x = np.asarray(x, dtype=float)
    x[x < 0] = 0.0
    return x


def both_sides(x):
    y, positive = np.empty(x.shape), x > 0
    y[positive] = np.log(x[positive]) + 1.0
    y[~positive] = x[~positive] ** 2 - x[~positive]
    return y


def made_of_ones(x):
    y, z = np.ones_like(x) * np.nan, 2.0 * np.ones(x.shape) - 1.0
    y[x > 0] = x[x > 0]
    y[np.isnan(y)] = 0.5
    z[x < 0] = 0.0
    return y * z


def guarded(x):
    """Guards that save work for arrays without such elements."""
    y, small, large = np.ones_like(x), x < 0, x > 1
    if np.any(small):
        y[small] = np.exp(x[small])
    if large.any() and not np.all(small):
        y[large] = np.sqrt(x[large])
    return y


def counted(x):
    """Conditions as numbers."""
    large = x > 0.5
    weights = np.array([large, ~large], dtype=int)
    return (
        (large.astype(float) * 3.0 - large.astype(int)) * x + weights[0] * x + 2 * weights[1] + np.asarray(x < 0, dtype=bool) * 5
    )


def scaled_places(x):
    y = x * 1.0
    y[y < 0] *= 2.0
    y[np.isclose(y, 0.0)] += 5.0
    y[(y > 1) & (y < 3)] **= 2
    return y[()]


def divided(x):
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0.2)


def divided_into(x):
    z = np.full_like(x, 7.0)
    np.divide(1.0, x, out=z, where=x > 0.2)
    np.add(z, 1.0, out=z)
    z += x
    return z


def put_and_placed(x):
    y = np.array(x)
    np.putmask(y, y > 1, x * x)
    np.copyto(y, -x, where=x < 0)
    np.place(y, y < 0.25, 7.0)
    return y


def at_places(x):
    y, (places,) = np.ones_like(x), np.where(x > 0)
    y[places] = np.log(x[places])
    y[np.flatnonzero(x < -1)] = 3.0
    y[np.nonzero(x > 1)] -= 1.0
    return y


def flags(x):
    mask = np.zeros_like(x, dtype=bool)
    mask[x > 0.5] = True
    mask |= x < -1
    y = np.ones_like(x)
    y[mask] = 0.25
    return y * x


def of_dtype(x):
    y = np.zeros(np.shape(x), dtype=np.result_type(x, 1.0))
    assert np.issubdtype(y.dtype, np.floating)
    assert x.dtype == y.dtype == float
    assert np.zeros_like(x, dtype=bool).dtype == bool
    y[...] = x.astype(y.dtype)
    y[x > 0] = 1.0
    return y * (2.0 if np.isrealobj(x) and not np.iscomplexobj(y) else 0.0)


def without_nan(x):
    y = np.array(np.where(x > 0, x, np.nan))
    np.nan_to_num(y, copy=False, nan=3.0)
    return y + np.nan_to_num(np.where(x < 0, x, np.nan), copy=False)


def through_other_code(x):
    """Methods of NumPy's own, which no stand-in stands for."""
    y = np.zeros_like(x)
    ufunc = {"add": np.add}["add"]
    ufunc.__call__(x, 1.0, out=y, where=x > 0)
    return y


def several_names(x):
    y = np.array(x)
    z = w = y
    z[x > 0] = 1.0
    w += 0.5
    return y + 2.0 * z + 4.0 * w


def in_helpers(x):
    def fill(out, mask):
        out[mask] = -1.0

    y = np.zeros_like(x)
    fill(y, x > 0)
    return y * x


def in_branches(x):
    y = x * 2.0
    if x > 0.5:
        y[y > 1.5] = 1.5
    elif x < -1:
        y = np.array(x)
        y[y < -2] = 0.0
    return y + x


def returned_before(x):
    y = np.exp(x)
    if x > 1:
        return y
    y[y < 1] = 1.0
    return y


def whole(x):
    y = x * 1.0
    y[:] = np.sin(x)
    y[...] *= 2.0
    return y[:] + y[...]


FOR_NUMBERS = [
    guarded, counted, made_of_ones, zeros_by_a_mask, cut_in_place, both_sides, scaled_places, divided, divided_into,
    put_and_placed, at_places, flags, of_dtype, without_nan, through_other_code, several_names, in_helpers, in_branches,
    returned_before, whole,
]  # fmt: skip
FOR_ARRAYS = [f for f in FOR_NUMBERS if f not in (cut_in_place, in_branches, returned_before)]
X = np.array([-2.3, -1.2, -0.4, 0.0, 0.15, 0.7, 1.3, 2.9])


def difference(function, x):
    h = 1e-6
    return (function(np.array([x + h])) - function(np.array([x - h])))[0] / (2 * h)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("function", FOR_NUMBERS)
def test_numbers_stand_for_elements(function):
    """As the function was written: one call for the whole array."""
    f, expected = nbad.kernel(function), np.array([function(np.array([x]))[0] for x in X])
    assert_allclose(f(X), expected, rtol=1e-14)
    y, pullback = nbad.vjp(f, X)
    assert_allclose(y, expected, rtol=1e-14)
    inside = X != 0.0
    slopes = [difference(function, x) for x in X[inside]]
    assert_allclose(pullback(1.0)[0][inside], slopes, rtol=1e-7, atol=1e-7)
    assert_allclose(nbad.grad(f)(X)[inside], slopes, rtol=1e-7, atol=1e-7)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("function", FOR_ARRAYS)
def test_arrays_of_numbers(function):
    f, v = nbad.kernel(function, signature="(4)->(4)"), X.reshape(2, 4)
    assert_allclose(f(v), [function(row.copy()) for row in v], rtol=1e-14)
    slopes = np.array([difference(function, x) for x in X]).reshape(2, 4)
    inside = v != 0.0
    assert_allclose(nbad.vjp(f, v)[1](np.ones((2, 4)))[0][inside], slopes[inside], rtol=1e-7, atol=1e-7)


def test_a_guard_keeps_the_derivative_of_what_is_not_taken_away():
    f = nbad.kernel(zeros_by_a_mask)
    assert_allclose(nbad.grad(f)(np.array([-1.0, 0.0, 4.0])), [0.0, 0.0, 0.25])
    assert_allclose(nbad.grad(nbad.kernel(divided))(np.array([0.0, 0.5])), [0.0, -4.0])


def test_rows_and_views():
    def rows(m):
        y = m.copy()
        y[m[:, 0] > 0] = m[m[:, 0] > 0] * 2.0
        y[m[:, 1] > 0] = np.array([1.0, 2.0])
        y[1:][m[1:] < 0] = -5.0
        y.T[0, ::2][m[::2, 0] > 0.5] = 9.0
        return y

    m = np.random.default_rng(1).normal(size=(5, 4, 2))
    assert_allclose(nbad.kernel(rows, signature="(4,2)->(4,2)")(m), [rows(each) for each in m], rtol=1e-15)


def test_at_least_one_axis():
    def on_axes(x):
        x = np.atleast_1d(x)
        y = np.zeros(x.shape)
        y[x > 0] = x[x > 0] ** 3
        return y

    f = nbad.kernel(on_axes)
    assert_allclose(f(X), on_axes(X), rtol=1e-15)
    assert f(X).shape == X.shape
    assert nbad.grad(f)(2.0) == 12.0


def lambert(x):
    """Lambert's W where x is not negative, as libraries write it for arrays: by two methods, each where it suits."""
    x = np.asarray(x, float)
    w = np.zeros_like(x)
    positive = x > 0
    if np.any(positive):
        z = x[positive]
        part = np.full_like(z, np.nan)
        small = z <= 100
        logarithm = np.log(z[~small])
        root = logarithm - np.log(logarithm)
        for _ in range(4):
            root = root * (1 - np.log(root) + logarithm) / (1 + root)
        part[~small] = root
        if np.any(small):
            root = np.log1p(z[small])
            for _ in range(8):
                root -= (root - z[small] * np.exp(-root)) / (1 + root)
            part[small] = root
        w[positive] = part if part.shape != 1 else part[0]
    return w


def test_items_of_picked_items_are_picked_and_written():
    x = np.array([-1.0, 0.0, 1e-3, 0.5, 3.0, 99.0, 101.0, 1e4])
    expected = np.array([float(mpmath.lambertw(v).real) if v > 0 else 0.0 for v in x.tolist()])
    value, slope = nbad.value_and_grad(nbad.kernel(lambert))(x)
    assert_allclose(value, expected, rtol=1e-12)
    assert_allclose(slope, np.where(x > 0, np.exp(-expected) / (1 + expected), 0.0), rtol=1e-9)


def test_picked_items_may_be_warned_of():
    def checked(x):
        if np.any(x[np.logical_or(x < 0, x > 10)]):
            warnings.warn("out of range", stacklevel=1)
        return 2 * x

    f = nbad.kernel(checked)
    assert f(3.0) == 6.0
    with pytest.warns(UserWarning, match="out of range"):
        assert f(11.0) == 22.0


def refused(function, text, fix):
    """The error of a kernel, whose last line but one is the fix as code."""
    with pytest.raises(TraceError, match=rf"(?s){text}.*fix: {fix}"):
        nbad.kernel(function)(X)


def test_what_is_picked_is_for_writing_back():
    picks, fix = "uses items that a traced condition picks for more than to write them back", r"y\[mask\] = f\(x\[mask\]\)"
    for use in (np.sum, len, lambda p: p.sum(), lambda p: p.size, lambda p: p[0], bool, list, np.concatenate, lambda p: p.shape):
        refused(lambda x: use(x[x > 0]), picks, fix)  # noqa: B023
    refused(lambda x: len(np.where(x > 0)[0]), picks, fix)
    refused(lambda x: x[x > 0], "returns items that a traced condition picks", r"np\.where\(mask, x, 0\.0\)")
    refused(lambda x: np.nonzero(x > 0), "returns the places where a traced condition holds", r"np\.where\(mask, 1\.0, 0\.0\)")

    def other_mask(x):
        y = x * 1.0
        y[y > 0] = x[x < 0]
        return y

    refused(other_mask, "combines items that different conditions pick", r"y\[mask\] = x\[mask\]")


def test_other_names_of_a_number_that_is_written_to():
    text, fix = "uses a number after its array was written to under another name", r"y = np\.array\(y\)"

    def alias(x):
        y = x * 2.0
        z = y
        y[y < 0] = 0.0
        return y + z

    def argument(x):
        y = np.asarray(x)
        y[y < 0] = 0.0
        return x + y

    def view(x):
        y = x * 2.0
        y.ravel()[0] = 3.0
        return y

    def in_a_list(x):
        y = x * 2.0
        kept = [y]
        y[y < 0] = 0.0
        return kept[0]

    def in_a_helper(x):
        def clear(v):
            v[v < 0] = 0.0

        y = x * 2.0
        clear(y)
        return y

    def in_a_branch(x):
        y = x * 2.0
        z = y
        if x > 0:
            y[y > 1] = 1.0
        return z

    def chosen(x):
        y, z = x * 2.0, x * 3.0
        w = y if x > 0 else z
        w[w > 1] = 1.0
        return y

    def by_out(x):
        y = x * 2.0
        np.add(y, 1.0, out=y)
        return y

    def chosen_beside_an_array(x):
        y = x * 2.0
        w = np.copy(y) if x > 0 else y
        w[w > -1] = -1.0
        return y

    for function in (alias, argument, view, in_a_list, in_a_helper, in_a_branch, chosen, by_out, chosen_beside_an_array):
        refused(function, text, fix)

    def followed(x):
        """The advice: an array of its own, all of whose names see what is written."""
        y = np.array(x * 2.0)
        z = y
        y[y < 0] = 0.0
        return y + z

    assert_allclose(nbad.kernel(followed)(X), np.where(X < 0, 0.0, 4.0 * X))


def test_what_nobody_can_write_to():
    def put(x):
        y = x * 2.0
        np.putmask(y, y > 0, 1.0)
        return y

    refused(put, "writes into x, which nobody can write to", r"x = np\.where\(mask, value, x\)")

    def plain_number(x):
        y = np.float64(0.0)
        y[x > 0] = 1.0
        return y

    def made_an_array(x):
        y = np.array(np.float64(0.0))
        y[x > 0] = 1.0
        return y

    refused(plain_number, "writes into a number, which is none of the kernel's arguments", r"y = np\.array\(y\)")
    assert_allclose(nbad.kernel(made_an_array)(X), X > 0)

    def whole_numbers(x):
        y = np.zeros(3, dtype=int)
        y[np.array([x, x, x]) > 0] = 1
        return x

    refused(whole_numbers, "writes by traced conditions into an array of whole numbers or bools", r"y = np\.array\(y, float\)")

    def among_conditions(x):
        mask = x > 0
        mask[x > 1] = 0.5
        return np.where(mask, x, 0.0)

    refused(among_conditions, "writes real numbers among conditions", r"y = y \* 1\.0")

    @nbad.kernel(signature="(3)->(3)")
    def of_the_caller(v):
        v[v < 0] = 0.0
        return v

    with pytest.raises(TraceError, match=r"writes to its argument v[\s\S]*fix: v = v\.copy\(\)"):
        of_the_caller(np.ones((2, 3)))


def test_kernels_compute_as_graphs_do():
    """The same through compiled code, with the derivative."""
    found = 0
    for seed in range(12):
        kernel, source = program(seed)
        f = nbad.kernel(kernel)
        try:
            y = f(*POINTS.T)
        except TraceError:
            continue
        expected = [plain(kernel, point, lambda v: np.array([v])) for point in POINTS]
        assert_allclose(y, expected, rtol=1e-12, err_msg=source)
        found += 1
    assert found > 3


@nbad.kernel(signature="(3)->(3)")
def parts(x):
    y = np.array(x)
    z = y.real
    z[1] = 5.0 * x[0]
    y.real = y * 2
    return y + y.imag + z + x.imag


@nbad.kernel(signature="(3)->(3)")
def imaginary(x):
    y = np.array(x)
    y.imag[0] = 3.0
    return y


def test_the_real_part_of_an_array_is_the_array():
    x = np.array([1.0, 2.0, 3.0])
    assert parts(x).tolist() == parts.__wrapped__(x).tolist() == [4.0, 20.0, 12.0]
    assert nbad.jacobian(parts)(x).tolist() == [[4.0, 0.0, 0.0], [20.0, 0.0, 0.0], [0.0, 0.0, 4.0]]
    with pytest.raises(TraceError, match="read-only"):
        imaginary(x)
