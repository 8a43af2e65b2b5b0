"""What control flow on traced values may not do: refused by kernel, construct, source line and rewrite."""

import contextlib
import inspect
import linecache
import math
import re

import numpy as np
import pytest
from helpers.tracing import check_values, traced, written

from nbad.branching import loops
from nbad.errors import TraceError

TABLE = [1.0, 2.0]
SETTINGS = {"mode": 1.0}
NOTHING = None
MASK = np.array([1.0, 2.0])


def names_of(kernel):
    return " ".join(kernel.__code__.co_varnames[: kernel.__code__.co_argcount])


def expect(kernel, what, fix, got=""):
    """The kernel is refused with these words at its line marked `# !`."""
    lines, first = inspect.getsourcelines(kernel)
    ((number, text),) = [(first + k, line.strip()) for k, line in enumerate(lines) if "# !" in line]
    what, source = re.escape(what), rf"{re.escape(text)} *\(test_refusals\.py:{number}\)\n"
    got = rf"  got: {re.escape(got)}.*\n" if got else ""
    with pytest.raises(TraceError, match=rf"^kernel `{kernel.__name__}` {what}:\n    {source}{got}  fix: {re.escape(fix)}"):
        traced(kernel, names_of(kernel))


def test_what_loops_on_traced_values_cannot_carry():
    def grows(x):
        values = [x]
        while x > 1:  # !
            x = x / 2
            values.append(x)
        return values[0]

    def writes_outside(x):
        while x > 1:  # !
            x = x / 2
            TABLE[0] = x
        return x

    def changes_a_dict(x):
        seen = {}
        while x > 1:  # !
            x = x / 2
            seen["last"] = x
        return x

    def changes_an_array(x):
        mask = np.arange(3)
        while x > 1:  # !
            x = x / 2
            mask[0] = 4
        return x

    def writes_text(x):
        names = ["a", "b"]
        while x > 1:  # !
            x = x / 2
            names[0] = "c"
        return x

    def changes_text(x):
        name = "a"
        while x > 1:
            x = x / 2 if name == "a" else x / 3  # !
            name = name + "b"
        return x

    def counts_by_steps(x):
        for k in range(0, 10, int(x)):  # !
            x = x + k
        return x

    def writes_to_what_it_binds(x):
        v = [x, 1.0]
        while x > 1:
            v[0] = x  # !
            v = [v[1], v[0]]
            x = x / 2
        return v[0]

    def divides_in_a_try(x):
        y = 0.0
        try:
            while x > 1:
                y += 1 / (x - 2)  # !
                x = x - 1
        except ZeroDivisionError:
            y = -1.0
        return y

    fix = "{} = [value if k == n else old for k, old in enumerate({})]  # a list of a fixed length"
    expect(grows, "changes the length of the list `values` in a loop on a traced value", fix.format("values", "values"))
    expect(writes_outside, "changes `TABLE`, from outside the kernel, in a loop on a traced value", "own = copy.deepcopy(TABLE)")
    fix = "seen[key] = 0.0  # before it: what is there may be written to"
    expect(changes_a_dict, "changes which keys the dict `seen` has in a loop on a traced value", fix)
    expect(changes_an_array, "changes the array `mask` in a loop on a traced value", "mask = np.zeros(3)  # an array of floats")
    expect(writes_text, "writes to `names` in a loop on a traced value what is no number", "names[k] = 1.0")
    expect(
        changes_text,
        "uses `name`, which has no number at the begin of each pass of a loop on a traced value",
        "name = 0.0",
        "while x > 1:",
    )
    expect(counts_by_steps, "counts by a traced step", "for k in range(n): i = start + step * k")
    expect(
        writes_to_what_it_binds, "writes to a list or array that a loop on traced values binds anew", "v = list(v)", "the loop:"
    )
    what = "catches errors of arithmetic in a loop on traced values that stands in the `try`"
    expect(divides_in_a_try, what, "put the `try` into the loop")
    assert TABLE == [1.0, 2.0]


def test_loops_without_end(monkeypatch):
    def waits(x):
        while TABLE:  # !
            pass
        return x

    monkeypatch.setattr(loops, "LARGEST_LOOP", 1000)
    expect(waits, "loops more than 1,000 times", "for _ in range(n):  # a fixed n")


def test_errors_that_all_elements_raise():
    def raises_for_all(x, n=2):
        if n == 1:
            return x
        raise ValueError("one")

    def raises_on_every_path(x):
        if x > 0:
            raise ValueError("positive")
        elif x > -1:
            raise ValueError("small")
        raise ValueError("negative")  # !

    with pytest.raises(ValueError, match=r"^one$"):
        traced(raises_for_all)
    expect(raises_on_every_path, "raises an error on every path", "return y  # on one of them")


def test_variables_that_a_branch_has_not():
    def of_its_own(x):
        if x > 0:
            return y + x  # !  # noqa: F821
        y = 1.0
        return y

    def of_the_function_around(x):
        if not TABLE:
            report = {}

        def halved(v):
            if v > 10.0:
                report["steps"] = v  # !
            return 0.5 * v

        return halved(x)

    what, fix = "uses `{}`, which has no value on one side of a branch on a traced value", "{} = 0.0  # before the branch"
    got = "not assigned before: if"
    expect(of_its_own, what.format("y"), fix.format("y"), got)
    expect(of_the_function_around, what.format("report"), fix.format("report"), got)


def test_errors_in_operands():
    def raises_in_an_operand(x):
        return x if x > 0 else NOTHING[0]  # !

    def raises_in_a_later_test(x):
        if x > 0:
            return x
        elif NOTHING < 1:  # !
            return -x
        return x

    fix = "if x > 0: y = f(x)  # a statement of its own, and nested ones for `elif`"
    expect(
        raises_in_an_operand, "raises an error in an operand, or in the test of an `elif`, that depends on a traced value", fix
    )
    expect(
        raises_in_a_later_test, "raises an error in an operand, or in the test of an `elif`, that depends on a traced value", fix
    )


def test_errors_that_traced_arithmetic_does_not_raise():
    def suppresses(x):
        with contextlib.suppress(ZeroDivisionError):  # !
            x = 1 / x
        return x

    def hides(x):
        try:
            return np.unwrap(x)  # !
        except (TypeError, ValueError):
            return 0.0

    def hides_a_lost_variable(x):
        if x > 0:
            y = 1.0
        try:
            return x + y  # !
        except NameError:
            return x

    def leaves_a_branch(x):
        try:
            if x > 0:
                x = math.inf.missing
        except AttributeError:  # !
            x = 0.0
        return x

    what = "catches errors of arithmetic on traced values, in a way that nbad cannot follow"
    expect(suppresses, what, "y = 1 / x if x != 0 else 0.0  # test before")
    text = r"calls `numpy\.unwrap` on a traced value, which nbad does not know:\n    return np\.unwrap\(x\)"
    with pytest.raises(TraceError, match=text):
        traced(hides)
    expect(hides_a_lost_variable, "uses `y`, which has no value on one side of a branch on a traced value", "y = 0.0", "assigned")
    expect(leaves_a_branch, "catches an error that left a branch on a traced value", "put the `try` into the branch")


def test_returns_that_a_finally_follows():
    def from_a_branch(x):
        items = [x]
        try:  # !
            if x > 0:
                return items[0]
        finally:
            items[0] = 1.0
        return items[0]

    def after_another_return(x):
        items = [x]
        if x > 0:
            return items[0]
        try:  # !
            return items[0] * 2
        finally:
            items[0] = 2.0

    def that_returns(x):
        try:  # !
            if x > 0:
                return x
        finally:
            return -x  # noqa: B012

    @contextlib.contextmanager
    def doubled(items):
        yield items
        items[0] = items[0] * 2

    def from_a_context(x):
        items = [x]
        with doubled(items) as held:  # !
            if x > 0:
                return held[0]
            held[0] = 1.0
        return items[0]

    def before_an_error_of_the_others(x):
        items = [x]

        def one(x):
            try:  # !
                if x > 0:
                    return x
                raise KeyError
            finally:
                items[0] = 1.0

        return one(x) + items[0]

    def from_a_context_that_an_error_of_the_others_leaves(x):
        items = [x]

        def one(x):
            with doubled(items):  # !
                if x > 0:
                    return x
                raise KeyError

        return one(x) + items[0]

    def in_a_handler(x):
        items = [x]
        try:
            raise KeyError
        except KeyError:
            with doubled(items):  # !
                if x > 0:
                    return x
        return items[0]

    def that_writes_what_the_others_hold(x):
        items = [0.0, 0.0]

        def one(x):
            try:  # !
                while x > 0:
                    items[1] = 5.0
                    return x
            finally:
                items[1] = items[0]

        return items[1] if one(x) is None else 2 * items[1]

    what = "returns on a traced value, before a `finally` or `with` whose end returns, raises or changes what outlives the call"
    with_errors = before_an_error_of_the_others, from_a_context_that_an_error_of_the_others_leaves, in_a_handler
    for kernel in (
        from_a_branch, after_another_return, that_returns, from_a_context, that_writes_what_the_others_hold, *with_errors
    ):  # fmt: skip
        expect(kernel, what, "one `return`, behind the `try` or `with`")


def test_returns_that_a_finally_may_undo():
    def by_a_return_for_some(x):
        try:  # !
            return x
        finally:
            if x > 0:
                return -x  # noqa: B012

    def by_a_return_from_a_loop(x):
        try:  # !
            return x
        finally:
            for k in range(3):
                if k > 1:
                    return -x  # noqa: B012

    def by_a_break(x):
        for _ in range(3):
            try:  # !
                return x
            finally:
                break  # noqa: B012
        return -x

    def not_at_all(x):
        counts = [0.0]
        try:
            return x
        finally:
            for k in range(3):
                if k > 1:
                    break
                counts[0] += k

    what = "returns before a `finally` that a `return`, `break` or `continue` may leave, which undoes the return"
    for kernel in (by_a_return_for_some, by_a_return_from_a_loop, by_a_break):
        expect(kernel, what, "one `return`, behind the `try`")
    check_values(not_at_all, 2.0)


def test_errors_in_an_arm_name_the_branch():
    def kernel(x):
        if x > 0:
            x = math.inf.missing
        return x

    with pytest.raises(AttributeError, match="missing") as caught:
        traced(kernel)
    number = kernel.__code__.co_firstlineno + 1
    assert caught.value.__notes__ == [f"nbad runs both arms of a branch on a traced value: if x > 0: (test_refusals.py:{number})"]


def test_variables_without_a_single_value():
    def one_sided(x):
        if x > 0:
            y = {"a": 1.0}
        x = x + 1
        return x + y["a"]  # !

    def asked_for(x):
        if x > 0:
            y = 1.0
        try:
            return y  # !
        except NameError:
            return x

    def text(x):
        mode = "a" if x is None else "b"
        if x > 0:
            mode = "c"
        return x if mode == "c" else -x  # !

    def function(x):
        f = abs
        if x > 0:
            f = math.sin
        return f(x)  # !

    def shape(x):
        v = [x, x]
        if x > 0:
            v = [x]
        return v[0]  # !

    what = "uses `y`, which has no value on one side of a branch on a traced value"
    for kernel in (one_sided, asked_for):
        expect(kernel, what, "y = 0.0  # before the branch, or in both arms", "assigned in one branch only: if x > 0: (test_ref")
    what, fix = "which has no single value after a branch on a traced value", "= ...  # numbers, or lists and arrays of one shape"
    expect(text, f"uses `mode`, {what}", f"mode {fix}", "a str in one branch and another one in the other: if x > 0: (test_ref")
    expect(function, f"uses `f`, {what}", f"f {fix}", "a function in one branch and another one in the other")
    expect(shape, f"uses `v`, {what}", f"v {fix}", "a list of 1 items in one branch and of 2 in the other")


def test_values_that_cannot_be_merged():
    def operands(x):
        return x if ("a" if x > 0 else None) else -x  # !

    def results(x):
        if x > 0:
            return x, x  # !
        return x

    def items(x):
        values = [x, "a"]
        if x > 0:  # !
            values[1] = "b"
        return values[0]

    def table(x):
        return ("a", 1.0)[x]  # !

    def arrays(x):
        return (np.zeros(2) if x > 0 else np.zeros(3))[0]  # !

    advice = "numbers, or lists and arrays of one shape"
    expect(operands, "chooses by a traced value between things that cannot be merged", advice, "a str in one branch and None in")
    what = "returns things that cannot be merged, depending on a traced value"
    expect(results, what, "return a number on every path", "a tuple in one branch and a number in the other")
    expect(items, "writes to `values` in a branch on a traced value what cannot be merged", advice, "a str in one branch and")
    expect(table, "picks by a traced value among things that cannot be merged", advice, "a str in one branch and a number")
    expect(arrays, "chooses by a traced value between things that cannot be merged", advice, "an array of shape (2,) in one")


class Point:
    def __init__(self, x):
        self.x = x

    def move(self):
        self.z = self.x + 1


def test_changes_of_earlier_objects_in_a_branch():
    def appends(x):
        items = [x]
        if x > 0:
            x = x + 1
            items.append(x)  # !
        return items[0]

    def pops(x):
        items = [x, 1.0]
        return items.pop() if x > 0 else items[0]  # !

    def deletes(x):
        items = [x, 1.0]
        if x > 0:
            x = 1.0
        else:
            del items[0]  # !
        return items[0]

    def extends(x):
        items = [x]
        if x > 0:
            items += [1.0]  # !
        return items[0]

    def held_by_a_later_dict(x):
        items = [x]
        table = {"all": items}
        if x > 0:
            items.append(1.0)  # !
        return items[0] * len(table)

    def writes_a_dict(x):
        table = {"a": x}
        if x > 0:
            table["b"] = 1.0  # !
        return table["a"]

    def adds_to_a_set(x):
        seen = {1}
        if x > 0:
            seen.add(2)  # !
        return x

    def writes_an_attribute(x):
        p = Point(x)
        if x > 0:
            p.y = 1.0  # !
        return p.x

    def moves(x):
        p = Point(x)
        if x > 0:
            p.move()  # !
        return p.x

    def in_a_helper(x):
        items = [x]

        def grow(values):
            values.append(1.0)

        if x > 0:
            grow(items)  # !
        return items[0]

    def takes_from_an_iterator(x):
        numbers = iter([x, 1.0])
        if x > 0:
            x = next(numbers)  # !
        return x

    def takes_from_a_generator(x):
        numbers = (k * x for k in (1, 2))
        if x > 0:
            x = next(numbers)  # !
        return x

    def writes_integers(x):
        mask = np.arange(3)
        if x > 0:
            mask[0] = 5  # !
        return x

    what = "changes the length of the list `items` in a branch on a traced value"
    for kernel in (appends, pops, deletes, extends, in_a_helper, held_by_a_later_dict):
        expect(kernel, what, "items[k] = value  # items may be written; or one list in each branch: items = [...]")
    advice = "local variables instead, or items of a list"
    fix = "table[key] = 0.0  # before it: what is there may be written to"
    expect(writes_a_dict, "changes which keys the dict `table` has in a branch on a traced value", fix)
    expect(adds_to_a_set, "changes the set `seen` in a branch on a traced value", advice)
    fix = "p.attribute = 0.0  # before it: what is there may be written to"
    expect(writes_an_attribute, "changes which attributes the object `p` has in a branch on a traced value", fix)
    expect(moves, "changes which attributes the object `p` has in a branch on a traced value", fix)
    expect(takes_from_an_iterator, "changes the iterator `numbers` in a branch on a traced value", advice)
    expect(takes_from_a_generator, "changes the generator `numbers` in a branch on a traced value", advice)
    expect(writes_integers, "changes the array `mask` in a branch on a traced value", "mask = np.zeros(3)  # an array of floats")


def grows_outside(x):
    TABLE.append(3.0)
    return x


def test_changes_outside_the_kernel_in_a_branch():
    totals = [0.0]

    def writes_a_global(x):
        if x > 0:
            TABLE[0] = 5.0  # !
        return x

    def writes_a_dict(x):
        if x > 0:
            SETTINGS["mode"] = SETTINGS["mode"]
            SETTINGS["other"] = 1.0  # !
        return x

    def writes_a_closure(x):
        if x > 0:
            totals[0] += x  # !
        return x

    def calls(x):
        return grows_outside(x) if x > 0 else x  # !

    what, fix = "changes `{}`, from outside the kernel, in a branch on a traced value", "own = copy.deepcopy({})  # in it"
    expect(writes_a_global, what.format("TABLE"), fix.format("TABLE"))
    expect(writes_a_closure, what.format("totals"), fix.format("totals"))
    expect(calls, what.format("TABLE"), fix.format("TABLE"))
    assert (TABLE, totals) == ([1.0, 2.0], [0.0])
    with pytest.raises(TraceError, match=r"changes `SETTINGS`, from outside the kernel, in a branch"):
        traced(writes_a_dict)
    assert "other" not in SETTINGS


def test_writes_to_what_has_several_names():
    def chosen(x):
        u, w = [x, 1.0], [2.0, x]
        v = u if x > 0 else w
        u[0] = 9.0  # !
        return v[0]

    def restored(x):
        u, w = [x, 1.0], [2.0, x]
        v = u if x > 0 else w
        before, u[0] = u[0], 9.0  # !
        y = v[0]
        u[0] = before
        return y

    def merged(x):
        if x > 0:
            a = b = [x, 1.0]
        else:
            a, b = [x, 2.0], [x, 3.0]
        a[0] = 7.0  # !
        return b[0]

    def rows(x):
        m = np.array([[x, 1.0], [2.0, x]])
        row = m[0] if x > 0 else m[1]
        m[0, 0] = 3.0  # !
        return row[0]

    def exchanged(x):
        m = [[x, 1.0], [2.0, x]]
        if x > 0:
            m[0], m[1] = m[1], m[0]
        m[0][0] = 5.0  # !
        return m[1][0]

    def picked(i):
        m = np.array([[i, 1.0], [2.0, i]])
        row = m[i]
        row[0] = 5.0  # !
        return m[0, 0]

    def returned(x):
        items = [x, 1.0]

        def same(values):
            if x > 0:
                return values
            return [x, 2.0]

        v = same(items)
        v[0] = 3.0  # !
        return items[0]

    def mutated(x):
        u, w = [x, 1.0], [2.0, x]
        v = u if x > 0 else w
        u.reverse()
        return v[0]

    what = "writes to a list or array that has several names, depending on a traced value"
    for kernel in (chosen, restored, merged, rows, exchanged, picked, returned):
        expect(kernel, what, "v = v.copy()  # of each, before the branch; list(v) of a list", "names that depend on a traced")
    with pytest.raises(TraceError, match=rf"kernel `mutated` {what}"):
        traced(mutated)


def test_changes_after_a_return_on_a_traced_value():
    def late(x):
        items = [x]

        def grow(values):
            if x > 0:
                return 1.0
            values.append(2.0)
            return 0.0  # !

        return grow(items) + items[0]

    def a_dict(x):
        def make():
            table = {"a": 1.0}
            if x > 0:
                return table
            table["a"] = 2.0
            return table  # !

        return make()["a"]

    def an_object(x):
        def make():
            p = Point([1.0])
            if x > 0:
                return p
            p.x[0] = 2.0
            return p  # !

        return make().x[0]

    def a_function(x):
        def make():
            v = 1.0
            f = lambda: v  # noqa: E731
            if x > 0:
                return f
            v = 2.0
            return f  # !

        return make()()

    what, fix = "returns on a traced value, and changes what outlives the call after it", "one `return`, at the end"
    expect(late, what, fix, "the list `values` is changed after the first return")
    expect(a_dict, what, fix, "a dict is changed after the first return")
    expect(an_object, what, fix, "a list is changed after the first return")
    expect(a_function, what, fix, "a function is changed after the first return")


def test_expressions():
    def filters(x):
        return sum([v for v in (x, 1.0) if v > 0])  # !

    def assigns(x):
        return x if x > 0 and (y := x) > 1 else y  # !

    def masks(x):
        return MASK[x > 0]  # !

    def indexes(x):
        return MASK[None, x][0]  # !

    def matches(x):
        match (x, 1.0):
            case (2.0, y):  # !
                return x + y
        return -x

    def matches_flags(x):
        match (x > 0, 1.0):
            case (True, _):  # !
                return x
        return -x

    def sorts(x):
        return next(filter(None, [x, 1.0]))  # !

    expect(filters, "filters a comprehension by a traced condition", "sum(v if v > 0 else 0.0 for v in values)  # keep all items")
    expect(assigns, "assigns `y` in an operand that depends on a traced value", "if x > 0: y = ...  # a statement of its own")
    for kernel in (masks, indexes):
        expect(kernel, "indexes an array by a traced value in this way", "table[i, :]  # whole numbers and slices")
    for kernel in (matches, matches_flags):
        expect(kernel, "matches a case on a traced condition", "if x > 0:  # if, elif and else may test traced values")
    what = "uses a traced value as True or False, in code that nbad cannot see into"
    expect(sorts, what, "np.where(condition, value_if_true, value_if_false)")


def test_functions_that_are_no_plain_functions():
    def generates(x):
        def positive():
            for v in (x, 1.0):
                if v > 0:  # !
                    yield v

        return sum(positive())

    async def waits(x):  # !
        return x

    def nonlocally(x):
        total = 0.0

        def add(v):
            nonlocal total
            total += v  # !

        add(x)
        return total

    fix = "np.where(condition, value_if_true, value_if_false)"
    expect(generates, "branches on a traced value", fix, "`positive` is a generator: its branches are not traced")
    expect(waits, "runs `test_functions_that_are_no_plain_functions.<locals>.waits`, which is asynchronous", "def waits(...):")
    expect(nonlocally, "assigns the outer variable `total`", "return total")


def test_recursion_on_a_traced_value():
    def factorial(x):
        return 1.0 if x < 1 else x * factorial(x - 1)  # !

    with pytest.raises(TraceError, match=r"factorial`[\s\S]*recursive[\s\S]*test_refusals\.py:\d+\)\n  fix: for _ in range\(n\)"):
        traced(factorial)


SOURCE = "def f(x):\n    if x > 0:\n        return x\n    return -x\ng = lambda x: 2 * x\n"


def test_functions_without_source():
    namespace = {}
    exec(SOURCE, namespace)
    text = (
        r"^kernel `f` uses a traced value as True or False, .*:\n    in `f` +\(<string>:2\)\n"
        r"  got: `f` cannot branch, for its source text cannot be found \(made by exec, .*\)\n  fix: np\.where\("
    )
    with pytest.raises(TraceError, match=text):
        traced(namespace["f"])
    assert len(traced(namespace["g"]).graph.nodes) == 3


def test_source_that_is_not_what_was_compiled(tmp_path):
    f = written(tmp_path / "written.py", SOURCE)
    (tmp_path / "written.py").write_text(SOURCE.replace("return x", "return 2 * x"))
    linecache.checkcache()
    text = (
        r"^kernel `f` branches on a traced value:\n    if x > 0: +\(written\.py:2\)\n"
        r"  got: `f` cannot branch, for its source text is not what it was compiled from \(edited since, .*\)\n  fix: np\.where\("
    )
    with pytest.raises(TraceError, match=text):
        traced(f)
