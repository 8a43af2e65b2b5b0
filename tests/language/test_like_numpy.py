"""What NumPy does to whole numbers, conditions and lists in a way of their own."""

import numpy as np
import pytest
from helpers.tracing import function_of, traced

import nbad
from nbad.errors import TraceError

XS, YS = np.array([-1.7, -0.6, 0.3, 0.9]), np.array([0.7, -1.2, 1.9, -0.2])


def empty_of_whole_numbers(x, y):
    a = np.empty_like(np.array([1, 2]))
    a[0] = 2.7
    return x * a[0]


def empty_of_floats(x, y):
    a = np.empty_like(np.array([1, 2]), dtype=float)
    a[:] = x, 2.7
    return a[0] * a[1]


def empty_of_traced_values(x, y):
    a = np.empty_like([x, y])
    a[:] = x
    return a[0] * a[1]


def differing_conditions(x, y):
    c = np.array([x, y, 0.5, x * y]) > 0
    return np.where(np.diff(c), 1.0, 0.5).sum() + np.sum(np.diff(c)) + np.sum(np.diff(c, 2))


def differences(x, y):
    a = np.array([[x, y, x * y], [y, 2.0, 3.0 * x]])
    return np.sum(np.diff(a, axis=0) ** 2) + np.diff(a)[0, 0] * np.diff(a, 2)[1, 0]


def sums_of_conditions(x, y):
    c = np.array([x, y]) > 0
    return np.sum(c + c) + np.sum(c * c) + np.sum(c + (x > y)) + sum(c)


def counted_conditions(x, y):
    c = np.array([x, y]) > 0
    counts = [np.cumsum(c)[0], np.cumulative_prod(c[::-1])[0], np.sum(c[:1]), np.prod(c[1:])]
    return sum(isinstance(count, bool) for count in counts) + sum((k + 1) * count for k, count in enumerate(counts))


def sorted_list(x, y):
    z = w = [x, y, 0.5]
    z.sort()
    if x > 0:
        z.sort(reverse=True)
    plain = ["b", "a"]
    plain.sort()
    return w[0] + 2.0 * w[1] + 3.0 * w[2] + (plain == ["a", "b"])


def counted(x, y):
    z = [x, 0.3, y, 0.9, 0.9]
    return z.count(0.9) / 2 + (x, 0.3).count(x) * y + [1, 1].count(1) + isinstance(z.count(y), int) + "aab".count("a")


def products_in_place(x, y):
    a, b = np.array([[x, y], [y, 2.0]]), np.array([x, 1.0])
    same = a
    a @= a
    b @= np.array([[0.0, 1.0], [y, x]])
    return same[0, 1] + b[0] * b[1]


def selected(x, y):
    return np.select(condlist=[np.array([x, y]) > 0.5], choicelist=[[x, 2.0]], default=y).sum()


def through_the_flat_iterator(x, y):
    whole, conditions, a = np.array([x, y]).astype(int), np.array([x, y]) > 0, np.array([[x, y], [2.0, x * y]])
    whole.flat[0], conditions.flat[1:], a.T.flat[1:] = 2.7, 2.0, (y, 7.0)
    if x > 0:
        a.flat[0] *= 3.0
    first = a.flat
    both = next(first) + len(first) * first.index
    return whole[0] + conditions.sum() + both + np.sum(a.flat[2:]) + sum(a.flat) + float((a.flat == a.ravel())[3])


def asked_of_the_flat_iterator(x, y):
    a = np.array([[x, y], [1.0, 0.5]])
    items = a.flat
    next(items)
    kept = items.copy()
    a[0, 0] = 7.0
    return kept[0] + np.sum((items > 0.7) * 1.0) - np.sum((a.flat <= y) * 2.0) + 10.0 * items.coords[1] + items.index


def filled_by_the_flat_iterator(x, y):
    a, c = np.zeros((2, 2), order="F"), np.array(x * y)
    a.flat = x, y, 3.0
    c.flat[0] += 1.0
    return a.ravel("K") @ np.arange(4.0) + c


def put(x, y):
    a, whole = np.array([[x, y], [y, 2.0]]), np.array([x, y]).astype(int)
    a.put([0, -1], y)
    np.put(a.T, [5, 1], [x, 3.0], mode="wrap")
    whole.put(0, 2.7)
    if x > y:
        np.put(a, 0, (x * x, 0.0))
    return a.ravel() @ np.arange(1.0, 5.0) + whole.sum()


def in_place_by_position(x, y):
    a, counts = np.array([x, y]) * np.inf, np.array([1, 2])
    np.nan_to_num(a, False, 3.0, y, x)
    return a[0] + 2 * a[1] + np.nan_to_num(counts, False, 3.0).sum()


def the_arrays_themselves(x, y):
    whole, conditions, a = np.array([x, y]).astype(int), np.array([x, y]) > 0, np.array([x, y])
    np.asarray(whole)[0], np.array(conditions, copy=None)[0], np.array(a, ndmin=2, copy=None)[0, 1] = 10, False, 5.0
    whole.astype(int, copy=False)[1] = 20
    return whole.sum() + conditions.sum() + a.sum() + float(np.asarray(whole) is whole)


def whole_numbers_of_plain_ones(x, y):
    whole = np.zeros_like([x, y]).astype(int)
    whole[0] = 2.7
    return x * whole[0] + float(whole.dtype == int) + (np.array([x, y]) > 0).astype(None).dtype.itemsize


def order_of_sorted_items(x, y):
    a = np.array([[x, y], [y, 2.0]])
    return np.sort(a, axis=0).ravel("K") @ np.arange(4.0) + np.sort(a.T).ravel("K") @ np.arange(4.0)


def placed(x, y):
    a, mask = np.array([[x, y], [y, x]]), np.array([x, y, y, x]) > 0
    np.place(a, mask, [4.0])
    np.putmask(a.T, mask, [[1.0, 2.0, x, y]])
    return a.ravel() @ np.arange(1.0, 5.0)


def items_behind_an_ellipsis(x, y):
    a, b = np.array([x, y]), np.array([[x, y]])
    first, last, other = a[..., 0], a[..., -1], b[0, ..., 1]
    last += 3.0
    a[0], b[0, 1] = 7.0, 5.0
    for _ in range(int(abs(y)) + 1):
        last *= 2.0
    b *= first
    return a[1] + first + 10.0 * other


def whole_numbers_among_real_ones(x, y):
    a = np.append(np.insert(np.ediff1d([x, y], to_end=2), 0, 3), True)
    return (
        isinstance(a[0], float)
        + 2 * isinstance(a[-1], float)
        + a[2]
        + a[-1]
        + np.diff([x, y], append=0)[-1]
        + float(a.dtype == float)
    )


def of_no_items(x, y):
    a = np.array([x, y])
    a.put([0, 1], [])
    a.flat[:1] = []
    return np.sort(a[:0]).sum() + a.sum() + np.sort(np.zeros((0, 3)) + x, axis=0).sum()


def order_of_whole_parts(x, y):
    return np.modf(np.array([[x, 3.5 * y], [9.5, 2.5]]).T)[1].ravel("K") @ np.arange(4.0)


FUNCTIONS = [
    counted_conditions, items_behind_an_ellipsis, whole_numbers_among_real_ones, of_no_items, order_of_whole_parts,
    through_the_flat_iterator, asked_of_the_flat_iterator,
    filled_by_the_flat_iterator, put, in_place_by_position, the_arrays_themselves,
    whole_numbers_of_plain_ones, order_of_sorted_items, placed,
    sorted_list, counted, products_in_place, selected,
    empty_of_whole_numbers, empty_of_floats, empty_of_traced_values, differing_conditions, differences, sums_of_conditions,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_are_those_of_numpy(function):
    expected = [function(x, y) for x, y in zip(XS.tolist(), YS.tolist(), strict=True)]
    np.testing.assert_allclose(nbad.kernel(function)(XS, YS), expected, rtol=1e-14)


def test_derivatives():
    np.testing.assert_allclose(nbad.grad(nbad.kernel(empty_of_traced_values))(XS, YS), 2 * XS)
    np.testing.assert_allclose(nbad.grad(nbad.kernel(empty_of_whole_numbers))(XS, YS), 2.0)


@pytest.mark.parametrize("expression", ["c[1:] - c[:-1]", "-c"])
def test_differences_of_conditions_that_numpy_refuses(expression):
    with pytest.raises(TraceError, match="subtracts conditions, which NumPy refuses"):
        traced(eval(f"lambda x, y: [c := np.array([x, y]) > 0, {expression}][1]", {"np": np}), "x y")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("a[0] = a", r"writes an array of shape \(2,\) into one item"),
        ("np.copyto(a, np.append(a, 1.0))", r"writes an array of shape \(3,\) into one of shape \(2,\)"),
        ("a.flat[0] = a", r"writes an array of shape \(2,\) into one item"),
        ("v.flat[0] = 1.0", "writes to its argument v"),
        ("v.put(0, 1.0)", "writes to its argument v"),
        ("np.fill_diagonal(a, 1.0)", r"fills the diagonal of an array of shape \(2,\)"),
        ("np.place(a, np.append(a, 1.0) > 0, 1.0)", "calls `numpy.place` with arrays of different shapes"),
        ("np.vecdot(v[0], a)", "multiplies vectors of lengths 0 and 2"),
    ],
)
def test_what_numpy_refuses_too(statement, message):
    source = f"def f(v):\n    a = v.copy()\n    {statement}\n    return a[0]\n"
    with pytest.raises((ValueError, TypeError), match=r"broadcast|read-only|2-d|size|sequence|single item|dimension"):
        function_of(source, "<plain>", np=np)(np.broadcast_to([1.0, 2.0], 2))
    with pytest.raises(TraceError, match=message):
        nbad.kernel(function_of(source, "<kernel>", np=np), signature="(2)->()")([1.0, 2.0])


def test_writes_of_functions_that_are_not_known():
    def along(x):
        a = np.zeros((2, 2))
        np.put_along_axis(a, np.array([[0], [1]]), 1.5, axis=1)
        return a[0, 0] * x

    with pytest.raises(TraceError, match=r"writes to an array by `put_along_axis`(?s:.*)fix: a\[0\] = 1.0  # item by item"):
        nbad.kernel(along)(1.0)


@pytest.mark.parametrize("call", ["append(1.0)", "index(1.0)", "reverse()"])
def test_methods_of_lists(call):
    def as_list(v):
        v = list(v)
        v.append(v[0] * v[1])
        return v[2] if hasattr(v, "append") else 0.0

    kernel = nbad.kernel(eval(f"lambda v: v.{call}"), signature="(2)->()")
    with pytest.raises(
        TraceError, match=rf"calls the list method `{call.partition('(')[0]}` of an array(?s:.*)fix: v = list\(v\)"
    ):
        kernel([1.0, 2.0])
    assert nbad.kernel(as_list, signature="(2)->()")([3.0, 2.0]) == 6.0
    assert nbad.kernel(lambda v: v[0] if hasattr(v, "append") else v[1], signature="(2)->()")(np.array([3.0, 2.0])) == 2.0
