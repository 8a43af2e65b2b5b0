"""Random kernels as source text: branches, loops, early returns, helpers, lists and small arrays, as a person might nest them.

Values stay bounded, so that oracle and kernel take the same branches. Most programs can be traced; some must be refused.
"""

import random

CONSTANTS = ("0.5", "-0.25", "1.5", "2.0", "0.125", "-1.0")
TABLE = "(0.5, -1.0, 2.0, 0.25)"
HEADER = """\
from collections import namedtuple
from types import SimpleNamespace
Pair = namedtuple("Pair", "items rest")
class Held:
    def __init__(self, items):
        self.items = items
"""
HOLDERS = ("Pair({}, 0.5)", "SimpleNamespace(items={})", "Held({})")


class Scope:
    """The variables that a statement may use: numbers, lists and arrays with their lengths, and numbers known at the trace."""

    def __init__(self, numbers=(), lists=(), known=()):
        self.numbers, self.lists, self.known = list(numbers), dict(lists), list(known)

    def copy(self):
        return Scope(self.numbers, self.lists, self.known)


class Writer:
    """Writes one program."""

    header = HEADER

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []
        self.counter = 0
        self.helpers = []

    def program(self):
        """The text; the kernel is `f(x, y)`, and returns `n_outputs` numbers."""
        self.lines += self.header.splitlines()
        for k in range(self.random.randint(0, 2)):
            self._helper(f"h{k}")
        self.n_outputs = self.random.choice((1, 1, 2))
        scope = Scope(["x", "y"])
        self._line(0, "def f(x, y):")
        self._block(1, scope, self.random.randint(3, 7), depth=0, can_return=True, loop=None)
        self._line(1, f"return {self._result(scope)}")
        return "\n".join(self.lines) + "\n"

    def _helper(self, name):
        takes_list = self.random.random() < 0.4
        self.n_outputs = 1
        scope = Scope(["a", "b"], {"items": 3} if takes_list else {})
        self._line(0, f"def {name}(a, b{', items' if takes_list else ''}):")
        self._block(1, scope, self.random.randint(1, 4), depth=1, can_return=True, loop=None)
        self._line(1, f"return {self._result(scope)}")
        self._line(0, "")
        self.helpers.append((name, takes_list))

    def _line(self, indent, text):
        self.lines.append("    " * indent + text)

    def _new(self, prefix):
        self.counter += 1
        return f"{prefix}{self.counter}"

    def _chance(self, p):
        return self.random.random() < p

    # statements

    def _block(self, indent, scope, count, depth, can_return, loop):
        start = len(self.lines)
        for _ in range(count):
            self._statement(indent, scope, depth, can_return, loop)
        if len(self.lines) == start:
            self._line(indent, "pass")

    def _statement(self, indent, scope, depth, can_return, loop):
        weights, makers = zip(*self._makers(depth, loop), strict=True)
        maker = self.random.choices(makers, weights)[0]
        maker(indent, scope, depth, can_return, loop)

    def _makers(self, depth, loop):
        """What may come next, with weights."""
        choices = [
            (5, self._assign), (2, self._augment), (1, self._swap), (2, self._make_list), (3, self._write_item), (1, self._alias),
            (1, self._comprehension), (2, self._array), (1, self._closure), (1, self._call_for_effect), (1, self._choose_list),
            (1, self._rows), (1, self._several_results), (1, self._writing_closure), (1, self._attempt),
            (1, self._held),
        ]  # fmt: skip
        if depth < 3:
            choices += [(7, self._if), (2, self._for), (1, self._while), (1, self._plain_if), (1, self._one_sided)]
        if loop:
            choices += [(1, self._break)]
        return choices

    def _assign(self, indent, scope, depth, can_return, loop):
        name = self.random.choice([*scope.numbers, self._new("v")])
        self._line(indent, f"{name} = {self._bounded(scope)}")
        if name not in scope.numbers:
            scope.numbers.append(name)

    def _augment(self, indent, scope, *_):
        self._line(indent, f"{self.random.choice(scope.numbers)} {self.random.choice(('+=', '-=', '*='))} {self._bounded(scope)}")

    def _swap(self, indent, scope, *_):
        a, b = self.random.choice(scope.numbers), self.random.choice(scope.numbers)
        if a != b:
            self._line(indent, f"{a}, {b} = {b}, {self.random.choice(CONSTANTS)} * {a}")

    def _make_list(self, indent, scope, *_):
        name, size = self._new("l"), self.random.randint(2, 3)
        items = ", ".join(self._bounded(scope) for _ in range(size))
        self._line(indent, f"{name} = [{items}]")
        scope.lists[name] = size

    def _array(self, indent, scope, *_):
        name, size = self._new("a"), self.random.randint(2, 3)
        form = self.random.choice((f"np.zeros({size})", f"np.array([{', '.join(self._bounded(scope) for _ in range(size))}])"))
        self._line(indent, f"{name} = {form}")
        scope.lists[name] = size

    def _write_item(self, indent, scope, *_):
        if scope.lists:
            name = self.random.choice(list(scope.lists))
            operator = self.random.choice(("=", "=", "+=", "*="))
            self._line(indent, f"{name}[{self._place(scope, scope.lists[name])}] {operator} {self._bounded(scope)}")

    def _place(self, scope, size):
        known = [f"{name} % {size}" for name in scope.known]
        return self.random.choice([*map(str, range(size)), "-1", *known, *known])

    def _alias(self, indent, scope, *_):
        if scope.lists:
            source = self.random.choice(list(scope.lists))
            name = self._new("l")
            self._line(indent, f"{name} = {self.random.choice((source, source, f'{source}[:]', f'list({source})'))}")
            scope.lists[name] = scope.lists[source]

    def _held(self, indent, scope, *_):
        """A list as an attribute of an object."""
        if scope.lists:
            source, name = self.random.choice(list(scope.lists)), self._new("o")
            self._line(indent, f"{name} = {self.random.choice(HOLDERS).format(source)}")
            scope.lists[f"{name}.items"] = scope.lists[source]

    def _comprehension(self, indent, scope, *_):
        if scope.lists:
            source, name = self.random.choice(list(scope.lists)), self._new("l")
            inner = scope.copy()
            inner.numbers.append("t")
            self._line(indent, f"{name} = [{self._bounded(inner)} for t in {source}]")
            scope.lists[name] = scope.lists[source]

    def _closure(self, indent, scope, *_):
        name, result = self._new("g"), self._new("v")
        inner = scope.copy()
        inner.numbers.append("t")
        if self._chance(0.5):
            self._line(indent, f"{name} = lambda t: {self._bounded(inner)}")
        else:
            self._line(indent, f"def {name}(t):")
            self._line(indent + 1, f"if {self._condition(inner)}:")
            self._line(indent + 2, f"return {self._bounded(inner)}")
            self._line(indent + 1, f"return {self._bounded(inner)}")
        self._line(indent, f"{result} = {name}({self._number(scope)}) + {name}({self._number(scope)})")
        self._line(indent, f"{result} = math.tanh({result})")
        scope.numbers.append(result)

    def _choose_list(self, indent, scope, *_):
        """A list that depends on a condition; a later write to it or its sources must be refused."""
        lists = [name for name in scope.lists if name[0] == "l"]
        if lists:
            a, b = self.random.choice(lists), self.random.choice(lists)
            if scope.lists[a] == scope.lists[b]:
                name = self._new("l")
                copy = self.random.choice(("{}", "list({})", "{}[:]"))
                self._line(indent, f"{name} = {copy.format(a)} if {self._condition(scope)} else {copy.format(b)}")
                scope.lists[name] = scope.lists[a]

    def _rows(self, indent, scope, *_):
        """A matrix whose rows are views or lists, written in a branch and perhaps exchanged."""
        m, row = self._new("m"), self._new("l")
        rows = f"[{self._bounded(scope)}, {self._number(scope)}], [{self._number(scope)}, {self._bounded(scope)}]"
        form = self.random.choice(("[{}]", "np.array([{}])"))
        self._line(indent, f"{m} = {form.format(rows)}")
        self._line(indent, f"{row} = {m}[{self.random.randint(0, 1)}]")
        self._line(indent, f"if {self._condition(scope)}:")
        self._line(indent + 1, f"{m}[{self.random.randint(0, 1)}][{self.random.randint(0, 1)}] = {self._bounded(scope)}")
        if form == "[{}]" and self._chance(0.3):
            self._line(indent + 1, f"{m}[0], {m}[1] = {m}[1], {m}[0]")
        name = self._new("v")
        self._line(indent, f"{name} = {m}[0][1] * {m}[1][0] - {row}[0]")
        scope.numbers.append(name)
        scope.lists[row] = 2

    def _several_results(self, indent, scope, *_):
        name, a, b = self._new("g"), self._new("v"), self._new("v")
        inner = scope.copy()
        inner.numbers.append("t")
        self._line(indent, f"def {name}(t):")
        self._line(indent + 1, f"for s in (t, {self._number(scope)}):")
        self._line(indent + 2, f"if {self._condition(inner)}:")
        self._line(indent + 3, f"return [s, {self._bounded(inner)}], t")
        self._line(indent + 1, f"return [t, {self._number(inner)}], {self._bounded(inner)}")
        self._line(indent, f"({a}, {self._new('v')}), {b} = {name}({self._number(scope)})")
        scope.numbers += [a, b]

    def _writing_closure(self, indent, scope, *_):
        if scope.lists:
            name, target = self._new("g"), self.random.choice(list(scope.lists))
            inner = scope.copy()
            inner.numbers.append("t")
            self._line(indent, f"def {name}(t):")
            self._line(indent + 1, f"if {self._condition(inner)}:")
            self._line(indent + 2, "return")
            self._line(indent + 1, f"{target}[{self._place(scope, scope.lists[target])}] += {self._bounded(inner)}")
            self._line(indent, f"{name}({self._number(scope)})")

    def _attempt(self, indent, scope, *_):
        name = self.random.choice(scope.numbers)
        self._line(indent, "try:")
        self._line(indent + 1, f"{name} = {self._bounded(scope)}")
        if self._chance(0.5):
            self._line(indent + 1, f"{name} = {{}}['key'] * {name}")
        self._line(indent, "except KeyError:")
        self._line(indent + 1, f"{name} = {self._bounded(scope)}")
        if self._chance(0.5):
            self._line(indent, "finally:")
            self._line(indent + 1, f"{name} = 0.5 * {name}")

    def _call_for_effect(self, indent, scope, *_):
        """A helper that may write to a list of ours."""
        calls = [name for name, takes_list in self.helpers if takes_list]
        fitting = [name for name, size in scope.lists.items() if size == 3]
        if calls and fitting:
            arguments = f"{self._number(scope)}, {self._number(scope)}, {self.random.choice(fitting)}"
            self._line(indent, f"{self.random.choice(scope.numbers)} = {self.random.choice(calls)}({arguments})")

    def _if(self, indent, scope, depth, can_return, loop):
        arms = []
        for k in range(self.random.choice((1, 1, 1, 2, 3))):
            test = f"({self.random.choice(scope.numbers)} := {self._bounded(scope)}) > {self.random.choice(CONSTANTS)}"
            self._line(indent, f"{'el' if k else ''}if {test if self._chance(0.1) else self._condition(scope)}:")
            arms.append(self._arm(indent + 1, scope, depth + 1, can_return, loop))
        if self._chance(0.6):
            self._line(indent, "else:")
            arms.append(self._arm(indent + 1, scope, depth + 1, can_return, loop))
            alive = [arm for arm in arms if arm is not None]
            for kind in ("numbers", "lists") if alive else ():
                shared = set.intersection(*(set(getattr(arm, kind)) for arm in alive))
                self._take(scope, kind, alive[0], shared)

    def _take(self, scope, kind, arm, names):
        for name in sorted(names):
            if kind == "numbers" and name not in scope.numbers:
                scope.numbers.append(name)
            elif kind == "lists":
                scope.lists.setdefault(name, arm.lists[name])

    def _arm(self, indent, scope, depth, can_return, loop):
        """One arm; returns what it defines, or None where it leaves."""
        inner = scope.copy()
        if self._chance(0.3) and scope.lists:  # rebind a list
            name = self.random.choice(list(scope.lists))
            if name[0] == "l":
                self._line(indent, f"{name} = [{', '.join(self._bounded(scope) for _ in range(scope.lists[name]))}]")
        if self._chance(0.25):  # a variable that all arms may define
            self._line(indent, f"w{depth} = {self._bounded(scope)}")
            inner.numbers.append(f"w{depth}")
        self._block(indent, inner, self.random.randint(1, 3), depth, can_return, None)
        if can_return and self._chance(0.2):
            self._line(indent, f"return {self._result(inner)}")
            return None
        if loop and self._chance(0.3):
            self._line(indent, "continue")
            return None
        return inner

    def _one_sided(self, indent, scope, *_):
        """A variable that one arm defines and, rarely, somebody uses."""
        name = self._new("u")
        self._line(indent, f"if {self._condition(scope)}:")
        self._line(indent + 1, f"{name} = {self._bounded(scope)}")
        self._line(indent + 1, f"{self.random.choice(scope.numbers)} = {name} * 0.5")
        if self._chance(0.1):
            self._line(indent, f"{self.random.choice(scope.numbers)} = {name}")

    def _plain_if(self, indent, scope, depth, can_return, loop):
        if scope.known:
            self._line(indent, f"if {self.random.choice(scope.known)} {self.random.choice(('==', '<', '>'))} 1:")
            self._block(indent + 1, scope.copy(), self.random.randint(1, 2), depth + 1, can_return, None)

    def _for(self, indent, scope, depth, can_return, loop):
        inner, counter = scope.copy(), self._new("k")
        form = self.random.choice(("range", "range", "list", "enumerate", "zip"))
        if form == "range" or not scope.lists:
            self._line(indent, f"for {counter} in range({self.random.randint(1, 3)}):")
            inner.known.append(counter)
        else:
            name, item = self.random.choice(list(scope.lists)), self._new("t")
            inner.numbers.append(item)
            if form == "list":
                self._line(indent, f"for {item} in {name}:")
            elif form == "enumerate":
                self._line(indent, f"for {counter}, {item} in enumerate({name}):")
                inner.known.append(counter)
            else:
                other = self._new("t")
                inner.numbers.append(other)
                self._line(indent, f"for {item}, {other} in zip({name}, {self.random.choice(list(scope.lists))}):")
        self._block(indent + 1, inner, self.random.randint(1, 3), depth + 1, can_return, counter)
        if self._chance(0.15):
            self._line(indent, "else:")
            self._block(indent + 1, scope.copy(), 1, depth + 1, can_return, None)

    def _while(self, indent, scope, depth, can_return, loop):
        inner, counter = scope.copy(), self._new("k")
        inner.known.append(counter)
        self._line(indent, f"{counter} = {self.random.randint(1, 3)}")
        self._line(indent, f"while {counter} > 0:")
        self._line(indent + 1, f"{counter} -= 1")
        self._block(indent + 1, inner, self.random.randint(1, 2), depth + 1, can_return, counter)

    def _break(self, indent, scope, depth, can_return, loop):
        self._line(indent, f"if {self.random.choice(scope.known) if scope.known else 1} == 1:")
        self._line(indent + 1, "break")

    # expressions

    def _result(self, scope):
        return ", ".join(self._bounded(scope) for _ in range(self.n_outputs))

    def _number(self, scope):
        options = [*scope.numbers, *scope.numbers, self.random.choice(CONSTANTS)]
        options += [f"{name}[{self._place(scope, size)}]" for name, size in scope.lists.items()]
        options += [f"0.5 * {name}" for name in scope.known]
        return self.random.choice(options)

    def _bounded(self, scope, depth=2):
        """An expression whose value does not grow."""
        form = self.random.choice(("{a}", "math.sin({e})", "math.tanh({e})", "math.cos({e})", "{e} / (1.0 + {a} * {a})", "table",
                                   "({e} if {c} else {d})", "max({a}, {d})", "min({a}, {b}, 1.0)", "math.sqrt(abs({a}) + 0.1)",
                                   "call", "place", "({c}) * {a}", "math.atan({e}) ** 2"))  # fmt: skip
        if form == "table":
            return f"{TABLE}[min(3, int(abs({self._number(scope)})))]"
        if form == "place" and scope.lists:
            name = self.random.choice(list(scope.lists))
            return f"{name}[min({scope.lists[name] - 1}, int(abs(2.0 * {self._number(scope)})))]"
        calls = [name for name, takes_list in self.helpers if not takes_list]
        if form == "call" and calls:
            return f"{self.random.choice(calls)}({self._number(scope)}, {self._number(scope)})"
        if form in ("call", "place"):
            form = "{a} - {b}"
        deeper = self._bounded if depth else self._number
        extra = (depth - 1,) if depth else ()
        parts = {"a": self._number(scope), "b": self._number(scope), "d": self._number(scope)}
        return form.format(**parts, e=self._sum(scope, deeper, extra), c=self._condition(scope, depth - 1))

    def _sum(self, scope, deeper, extra):
        return f"({deeper(scope, *extra)} {self.random.choice('+-*')} {self._number(scope)})"

    def _condition(self, scope, depth=1):
        """A condition on traced values."""
        a, b, c = (self._number(scope) for _ in range(3))
        comparison = f"{a} {self.random.choice(('<', '>', '<=', '>='))} {b}"
        if depth <= 0 or self._chance(0.5):
            return comparison
        rest = self._condition(scope, depth - 1)
        forms = (f"{comparison} and {rest}", f"{comparison} or {rest}", f"not ({comparison})", f"{a} < {b} <= {c}",
                 f"{a} > math.sin({b}) > {c}", f"({rest}) == ({comparison})", f"any([{comparison}, {rest}])",
                 f"all(t > {a} for t in ({b}, {c}))")  # fmt: skip
        return self.random.choice(forms)
