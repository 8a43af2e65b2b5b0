"""Loops that elements leave: what asking for the next item, or test, does besides is done for the others."""

import numpy as np
import pytest

import nbad
from nbad.errors import TraceError

XS = np.array([-2.5, -0.0, 0.3, 0.5, 1.0, 1.7, 2.0, 3.6, 7.0])


def generator_that_counts(x):
    count = [0.0]

    def items():
        for item in (x, x + 1, x + 2):
            count[0] += 1
            yield item

    for item in items():
        if item > 1:
            break
    return count[0]


def iterator_that_counts(x):
    count = [0.0]

    class Items:
        def __iter__(self):
            return self

        def __next__(self):
            count[0] += 1
            if count[0] > 3:
                raise StopIteration
            return x * count[0]

    for item in Items():
        if item > 1:
            break
    else:
        count[0] += 100
    return count[0]


def sequence_that_counts(x):
    count = [0.0]

    class Items:
        def __getitem__(self, k):
            count[0] += 1
            return [x, 2 * x, 3 * x][k]

    for item in Items():
        if item > 1:
            break
    return count[0]


def map_that_counts(x):
    count = [0.0]

    def twice(v):
        count[0] += 1
        return 2 * v

    for item in map(twice, (x, 1.0)):
        if item > 0.5:
            break
    return count[0]


def counting_test(x):
    count = [0.0]

    def goes_on():
        count[0] += 1
        return count[0] < 3

    while goes_on():
        if x > count[0]:
            break
    return count[0]


def counting_test_with_a_sum(x):
    count, total = [0], 0.0

    def goes_on():
        count[0] += 1
        return count[0] < 4

    while goes_on():
        total += x
        if total > 2:
            break
    return total + 10 * count[0]


def counting_test_of_many_passes(x):
    count, y = [0.0], x

    def goes_on():
        count[0] += 1
        return count[0] < 300

    while goes_on():
        y = np.sin(y) + x / count[0]
    return y * count[0]


def traced_test_in_the_body(x):
    count = [0.0]

    def goes_on():
        count[0] += 1
        return x * count[0] < 3 and count[0] < 5

    while True:
        if not goes_on():
            break
    return count[0]


@pytest.mark.parametrize(
    "f",
    [
        generator_that_counts, iterator_that_counts, sequence_that_counts, map_that_counts, counting_test,
        counting_test_with_a_sum, counting_test_of_many_passes, traced_test_in_the_body,
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_what_is_done_besides_is_done_for_those_that_ask(f):
    expected = [f(x) for x in XS]
    np.testing.assert_allclose(nbad.kernel(f)(XS), expected, rtol=1e-14)


def test_an_error_of_the_next_item_is_that_of_elements_that_ask_for_it():
    def f(x):
        def items():
            yield x
            raise ValueError("no more")

        for item in items():
            if item > 1:
                break
        return item * 2

    xs = np.array([0.5, 3.0])
    np.testing.assert_array_equal(nbad.kernel(f, errors="nan")(xs), [np.nan, 6.0])
    with pytest.raises(ValueError, match="no more"):
        nbad.kernel(f)(xs)


def rest_of_an_iterator(x):
    items = iter([x, 1.0, -x])
    for item in items:
        if item > 0.4:
            break
    return sum(items)


def rest_of_a_generator(x):
    items = (v for v in (x, 2.0, 3.0))
    for item in items:
        if item > 1:
            break
    return sum(items)


def rest_of_zip(x):
    items = zip((x, 1.0, 2.0), (3.0, 4.0, 5.0), strict=True)
    for a, _ in items:
        if a > 0.4:
            break
    return sum(b for _, b in items)


@pytest.mark.parametrize("f", [rest_of_an_iterator, rest_of_a_generator, rest_of_zip], ids=lambda f: f.__name__)
def test_what_is_left_in_an_iterator_is_not_the_same_for_all(f):
    with pytest.raises(TraceError, match=r"changes the (iterator|generator) `items` in a branch on a traced value"):
        nbad.kernel(f)(XS)


def test_a_traced_test_that_writes_is_refused_with_what_works():
    def f(x):
        count = [0.0]

        def goes_on():
            count[0] += 1
            return x * count[0] < 3

        while goes_on():
            pass
        return count[0]

    with pytest.raises(TraceError, match=r"(?s)changes the list `count` in the test of a loop.*if not test: break"):
        nbad.kernel(f)(XS)


class Counter:
    def __init__(self):
        self.count = [0.0]

    @property
    def next(self):
        self.count[0] += 1
        return self.count[0]

    def __contains__(self, value):
        return value < self.next

    def __getitem__(self, key):
        return key + self.next


def writing_property(x):
    counter = Counter()
    while x < counter.next:
        x = x + 1.5
    return x + counter.count[0]


def writing_container(x):
    counter = Counter()
    while x in counter:
        x = x + 1.5
    return x + counter.count[0]


def writing_item(x):
    counter = Counter()
    while x < counter[1]:
        x = x + 1.5
    return x + counter.count[0]


@pytest.mark.parametrize("f", [writing_property, writing_container, writing_item], ids=lambda f: f.__name__)
def test_a_test_that_writes_without_a_call_is_refused(f):
    with pytest.raises(
        TraceError, match=r"(changes the list `counter` in the test of a loop|uses a traced value as True or False)"
    ):
        nbad.kernel(f)(XS)


def test_a_traced_value_is_in_no_iterator():
    def f(x):
        items = iter([0.5, 1.0])
        while x in items:
            x = x + 1
        return x

    with pytest.raises(TraceError, match=r"(?s)asks whether a traced value is in an iterator.*fix: x in list\(items\)"):
        nbad.kernel(f)(XS)


def test_a_traced_value_is_in_the_values_of_a_dict():
    def f(x):
        return 1.0 if x in {"a": 0.5, "b": x * x}.values() else 0.0

    np.testing.assert_array_equal(nbad.kernel(f)(XS), [f(x) for x in XS])


def counted(log, n=5):
    try:
        yield from range(n)
    finally:
        log[0] += 1.0


def left_by_break(x):
    log, total = [0.0], 0.0
    for k in counted(log):
        total = total + k * x
        if k == 2:
            break
    return total + log[0]


def left_by_return(x):
    log = [0.0]

    def first():
        for k in counted(log):
            if k == 2:
                return k * x
        return 0.0

    return first() + log[0]


def left_by_an_error(x):
    log = [0.0]
    try:
        for k in counted(log):
            if k == 2:
                raise KeyError
    except KeyError:
        return x + log[0]
    return x


def left_in_a_branch(x):
    log, total = [0.0], 0.0
    if x > 0.4:
        for k in counted(log):
            total = total + k * x
            if k == 2:
                break
    return total + log[0]


def left_by_nobody(x):
    log, total = [0.0], 0.0
    for k in counted(log):
        total = total + k * x if total < 4 else total
    return total + log[0]


@pytest.mark.parametrize(
    "f", [left_by_break, left_by_return, left_by_an_error, left_in_a_branch, left_by_nobody], ids=lambda f: f.__name__
)
def test_a_generator_ends_where_its_loop_is_left(f):
    np.testing.assert_allclose(nbad.kernel(f)(XS), [f(x) for x in XS], rtol=1e-14)


def left_by_some(x):
    log, total = [0.0], 0.0
    for k in counted(log):
        total = total + k * x
        if total > 1:
            break
    return total + log[0]


def left_by_some_through_zip(x):
    log, total = [0.0], 0.0
    for k, weight in zip(counted(log), (1.0, 2.0, 3.0), strict=False):
        total = total + k * x * weight
        if total > 1:
            break
    return total + log[0]


def returned_from_by_some(x):
    log = [0.0]

    def first():
        for k in counted(log):
            if k * x > 1:
                return k
        return 0

    return first() + log[0]


def left_by_any(x):
    log = [0.0]
    is_above = any(k * x > 1 for k in counted(log))
    return log[0] + is_above


@pytest.mark.parametrize(
    "f", [left_by_some, left_by_some_through_zip, returned_from_by_some, left_by_any], ids=lambda f: f.__name__
)
def test_a_generator_that_ends_for_some_elements_only_is_refused(f):
    with pytest.raises(TraceError, match=r"(?s)leaves a generator on a traced value where that.*list\(items\)"):
        nbad.kernel(f)(XS)


def test_an_error_of_some_elements_does_not_leave_a_generator_that_ends():
    def f(x):
        log, total = [0.0], 0.0
        try:
            for k in counted(log):
                total = total + 1 / (x - k)
        except ZeroDivisionError:
            total = -1.0
        return total + log[0]

    with pytest.raises(TraceError, match="catches an error of some elements that leaves a `finally` or `with` before"):
        nbad.kernel(f)(XS)


def test_what_waits_in_no_finally_is_left_by_some():
    def f(x):
        def items():
            yield 1.0
            try:
                yield 2.0
            except ValueError:
                yield 3.0

        total = 0.0
        for item in items():
            total = total + item * x
            if total > 1:
                break
        return total

    np.testing.assert_allclose(nbad.kernel(f)(XS), [f(x) for x in XS], rtol=1e-14)


PLACES = [[(7 * k * k + 3 * k) % 5 for k in range(200)], [(3 * k * k + k + 1) % 5 for k in range(200)]]


def test_a_loop_whose_pass_for_all_fails_goes_on_with_its_items():
    def moved(x):
        found = [0.0] * 5
        for n in range(200):  # so many operations that one pass is tried for all, in which no place is a number
            for places, change in ((PLACES[0], -x * n), (PLACES[1], x * n)):
                found[np.array(places)[n]] += change
        return sum((k + 1) * value for k, value in enumerate(found))

    f = nbad.kernel(moved)
    assert (f(2.0), nbad.grad(f)(2.0)) == (moved(2.0), moved(1.0))
