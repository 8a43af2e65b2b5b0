"""Random programs with one long loop, of more passes than are traced one by one, and loops, branches and `try` within."""

import random

OPERANDS = ("x", "a", "b", "t[0]", "t[2]", "k * 0.01", "0.5 * x", "WEIGHTS[k % 5]", "x * a", "b - x", "abs(b)", "min(a, x)")
CONDITIONS = ("a > b", "x > 0.5", "k % 3 == 1", "t[0] < a", "abs(a) < 2")
ENDS = ("a > 3", "k > 150 and x > 1", "b < -2", "k == 170")
PAIRS = (
    "((PLACES, 0.1 * x), (OTHERS, -0.1 * a))",
    "zip((PLACES, OTHERS), (0.2, x * 0.1))",
    "[(PLACES, 0.3), (OTHERS, b * 0.1)]",
    "((q, 0.01 * x) for q in (PLACES, OTHERS))",
)
OUTER = ("range({n})", "iter(range({n}))", "items({n})", "list(range({n}))")
SETTING = {
    "PLACES": [(7 * k * k + 3 * k) % 7 for k in range(400)],
    "OTHERS": [(3 * k * k + k + 1) % 5 for k in range(400)],
    "WEIGHTS": [0.1, 0.2, -0.3, 0.4, 0.5],
}


def items(n):
    """So many numbers, from a generator that ends with some work."""
    try:
        yield from range(n)
    finally:
        n = 0


class Writer:
    """One program: a function `f` of x and y."""

    def __init__(self, seed):
        self.random, self.lines = random.Random(seed), []

    def program(self):
        """Its text."""
        passes, outer = self.random.choice((10, 120, 200, 300)), self.random.choice(OUTER)
        self.lines = ["def f(x, y):", "    a, b, t = x, y, [0.0, x, y]", f"    for k in {outer.format(n=passes)}:"]
        for _ in range(self.random.randint(2, 5)):
            self.statement(2, 0)
        if self.random.random() < 0.3:
            self.lines += ["    else:", "        a = a + 0.5"]
        return "\n".join([*self.lines, "    return a + b + t[0] + 2 * t[1] + 3 * t[2]"])

    def statement(self, level, depth):
        """One statement of a pass, which may hold others."""
        simple = (self.number, self.item)
        deeper = (self.inner, self.branch, self.attempt) if depth < 2 else ()
        self.random.choice((*simple, *simple, self.end, *deeper))(level, depth)

    def add(self, level, text):
        self.lines.append("    " * level + text)

    def number(self, level, depth):
        name, operand = self.random.choice("ab"), self.random.choice(OPERANDS)
        self.add(level, f"{name} = {name} * {self.random.choice((0.5, 0.8, 0.9))} + 0.2 * {operand}")

    def item(self, level, depth):
        place = self.random.choice(("PLACES[k] % 3", "k % 3", "1"))
        self.add(level, f"t[{place}] = t[{place}] * 0.5 + {self.random.choice(OPERANDS)} * 0.1")

    def end(self, level, depth):
        self.add(level, f"if {self.random.choice(ENDS)}:")
        self.add(level + 1, self.random.choice(("break", "continue", "return a + b")))

    def inner(self, level, depth):
        self.add(level, f"for places, change in {self.random.choice(PAIRS)}:")
        self.add(level + 1, self.random.choice(("t[places[k] % 3] += change", "a = a * 0.9 + change * places[k] * 0.01")))
        if self.random.random() < 0.3:
            self.add(level + 1, f"if {self.random.choice(CONDITIONS)}:")
            self.add(level + 2, self.random.choice(("break", "continue")))

    def branch(self, level, depth):
        self.add(level, f"if {self.random.choice(CONDITIONS)}:")
        self.statement(level + 1, depth + 1)
        if self.random.random() < 0.5:
            self.add(level, "else:")
            self.statement(level + 1, depth + 1)

    def attempt(self, level, depth):
        self.add(level, "try:")
        self.statement(level + 1, depth + 1)
        is_caught = self.random.random() < 0.5
        self.add(level, "except ZeroDivisionError:" if is_caught else "finally:")
        self.add(level + 1, "a = 0.1" if is_caught else "b = b + 0.001")
