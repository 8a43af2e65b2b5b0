"""Random programs that note in a log what happens: returns, jumps and errors in loops, `try`, `with` and `match`, in helpers.

What is noted tells which elements came by, and in what order.
"""

import random

HEADER = """\
import contextlib
import math


class Noting:
    def __init__(self, log, value):
        self.log, self.value = log, value

    def __enter__(self):
        self.log[0] += 1.0
        return self.value

    def __exit__(self, *error):
        self.log[1] += 1.0


@contextlib.contextmanager
def halving(log, value):
    log[2] = log[2] * 0.5 + value
    yield value * 0.5
    log[2] += 0.25


def note(log, k, value):
    log[k] = log[k] * 0.5 + value
    return value


def some(value, count):
    for k in range(count):
        yield value + k


def maybe(value):
    return value if value > 0.5 else None


"""
MANAGERS = ("Noting(log, {})", "halving(log, {})", "contextlib.nullcontext({})")
ITEMS = ("range(3)", "some({}, 3)", "({}, {})", "range(4, 0, -1)")
CAUGHT = ("KeyError", "(KeyError, ValueError)", "ValueError", "ZeroDivisionError", "(ValueError, IndexError)", "Exception")
FAILING = ("math.sqrt({})", "1.0 / {}", "(1.0, 2.0)[int({})]")
NUMBERS = ("{}", "{} + {}", "{} * {}", "math.tanh({})", "({} if ? else {})", "note(log, 1, {})", "(maybe({}) or {})")
CONDITIONS = ("{} < {}", "{} > {}", "{} == {}", "({} > {} and {} < {})", "maybe({}) is None", "note(log, 1, {}) > {}")


class Writer:
    """One program: a function `f` of x and y, which returns a number and the log."""

    def __init__(self, seed):
        self.random, self.lines, self.counter, self.helpers = random.Random(seed), [], 0, []
        self.last_line = 0

    def program(self):
        """Its text."""
        for k in range(self.random.randint(0, 2)):
            self._function(f"h{k}", "x, log", ["x"], 1)
            self.helpers.append(f"h{k}({{}}, log)")
        self._function("g", "x, y, log", ["x", "y"], 0)
        main = ["def f(x, y):", "    log = [0.0, 0.0, 0.0]", "    result = g(x, y, log)"]
        return HEADER + "\n".join([*self.lines, *main, "    return 9.0 if result is None else result, *log", ""])

    def _function(self, name, parameters, names, depth):
        self._add(0, f"def {name}({parameters}):")
        self.last_line = len(self.lines) + 20  # behind it nothing is nested any more
        self._block(1, names, self.random.randint(2, 4), depth, ends=self._chance(0.75) * ("return",))
        if depth:
            self._add(1, f"return {self._number(names)}")

    # parts

    def _add(self, level, text):
        self.lines.append("    " * level + text)

    def _chance(self, p):
        return self.random.random() < p

    def _new(self):
        self.counter += 1
        return f"v{self.counter}"

    def _filled(self, form, names):
        form = form.replace("?", self._condition(names)) if "?" in form else form
        return form.format(*(self.random.choice((*names, "0.5", "-0.5", "log[0]", "log[2]")) for _ in range(form.count("{}"))))

    def _number(self, names):
        return self._filled(self.random.choice((*NUMBERS, *self.helpers)), names)

    def _condition(self, names):
        return self._filled(self.random.choice(CONDITIONS), names)

    # statements

    def _block(self, level, names, count, depth, ends):
        """Statements, with variables of their own; `ends` are the jumps that may be among them."""
        names = list(names)
        for _ in range(count):
            simple = [self._assign, self._event, *(self._end for _ in ends)]
            deeper = [self._if, self._if, self._for, self._while, self._try, self._finally, self._with, self._match]
            is_full = depth > 3 or len(self.lines) > self.last_line
            self.random.choice(simple if is_full else simple * 2 + deeper)(level, names, depth, ends)

    def _assign(self, level, names, depth, ends):
        name = self.random.choice((*(name for name in names if not name.endswith("k")), self._new()))
        self._add(level, f"{name} = math.tanh({self._number(names)})")
        names.append(name)

    def _event(self, level, names, depth, ends):
        place, value = self.random.randrange(3), self._number(names)
        self._add(level, self.random.choice((f"log[{place}] += 1.0", f"note(log, {place}, {value})", f"log[{place}] = {value}")))

    def _end(self, level, names, depth, ends):
        end = self.random.choice(ends)
        if self._chance(0.8):
            self._add(level, f"if {self._condition(names)}:")
            level += 1
        self._add(level, {"return": f"return {self._number(names)}", "raise": "raise KeyError"}.get(end, end))

    def _if(self, level, names, depth, ends):
        self._add(level, f"if {self._condition(names)}:")
        self._block(level + 1, names, self.random.randint(1, 3), depth + 1, ends)
        if self._chance(0.6):
            self._add(level, "else:")
            self._block(level + 1, names, self.random.randint(1, 2), depth + 1, ends)

    def _for(self, level, names, depth, ends):
        name = self._new()
        items = "range(70)" if depth == 0 else self._filled(self.random.choice(ITEMS), names)
        self._add(level, f"for {name} in {items}:")
        self._loop(level, [*names, name], depth, ends)

    def _while(self, level, names, depth, ends):
        name = f"{self._new()}k"  # which nothing else may write to, or the loop may not end
        self._add(level, f"{name} = 0")
        self._add(level, f"while {name} < {self.random.choice((3, 6))} and {self._condition(names)}:")
        self._add(level + 1, f"{name} += 1")
        self._loop(level, [*names, name], depth, ends)

    def _loop(self, level, names, depth, ends):
        self._block(level + 1, names, self.random.randint(1, 3), depth + 1, (*ends, "break", "continue"))
        if self._chance(0.3):
            self._add(level, "else:")
            self._block(level + 1, names[:-1], 1, depth + 1, ends)

    def _try(self, level, names, depth, ends):
        name = self._new()
        self._add(level, "try:")
        self._add(level + 1, f"{name} = {self._filled(self.random.choice(FAILING), names)}")
        self._block(level + 1, [*names, name], self.random.randint(1, 2), depth + 1, (*ends, "raise"))
        self._add(level, f"except {self.random.choice(CAUGHT)}:")
        self._block(level + 1, names, 1, depth + 1, ends)
        if self._chance(0.3):
            self._add(level, "else:")
            self._block(level + 1, names, 1, depth + 1, ends)

    def _finally(self, level, names, depth, ends):
        self._add(level, "try:")
        self._block(level + 1, names, self.random.randint(1, 3), depth + 1, ends)
        self._add(level, "finally:")
        self._block(level + 1, names, 1, depth + 2, ())

    def _with(self, level, names, depth, ends):
        name = self._new()
        self._add(level, f"with {self._filled(self.random.choice(MANAGERS), names)} as {name}:")
        self._block(level + 1, [*names, name], self.random.randint(1, 3), depth + 1, ends)

    def _match(self, level, names, depth, ends):
        name = self._new()
        self._add(level, f"match {self._filled('({}, 1)', names)}:")
        self._add(level + 1, f"case ({name}, 1):")
        self._block(level + 2, [*names, name], self.random.randint(1, 2), depth + 1, ends)
