"""Random programs that write to objects and dicts, under several names, in branches, loops, `try`, `match` and helpers."""

import math
import random

NUMBERS = ("x", "y", "z", "o.a", "o.b", "p.a", "q.b", "d['u']", "d[0]", "e['v']", "l[0].a", "o.n * 0.25", "0.7", "-1.3")
TARGETS = ("o.a", "o.b", "p.a", "p.b", "q.a", "d['u']", "d['v']", "d[0]", "e['v']", "l[0].b", "l[1].a", "z")
NAMES = ("q = o", "q = p", "e = d", "l = [p, o]", "d = dict(d)", "q = Thing(z, y)", "o.c = x", "d['w'] = x")
FAILING = ("1 / {}", "math.log({})", "math.sqrt({})", "risky({}, o)")
CAUGHT = ("ZeroDivisionError", "ValueError", "(ArithmeticError, ValueError)", "Exception")
END = "o.a + 2 * o.b + 3 * p.a + 5 * p.b + 7 * d['u'] + 11 * d['v'] + 13 * e['u'] + z + q.a + l[0].a * 0.1 + o.n + d[0]"


class Thing:
    """An object with methods that branch and return early."""

    def __init__(self, a, b):
        self.a, self.b, self.n = a, b, 0

    def bump(self, v):
        """Write to one attribute or another."""
        if v > self.a:
            self.a += 0.5
            self.n += 1
            return self.a
        self.b = v - self.b
        return self.b

    def mix(self, other):
        """Write to two objects, which may be one."""
        self.a, other.b = other.b * 0.5, self.a * 0.5
        if self.n > 1:
            self.n = 0


class Slotted:
    """The same without a dict."""

    __slots__ = ("a", "b", "c", "n")
    __init__, bump, mix = Thing.__init__, Thing.bump, Thing.mix


def risky(v, o):
    """Write before and after an error that may be."""
    o.b += 1
    if v > 0.5:
        raise ValueError("too much")
    o.a -= 0.25
    return v


SETTING = {"math": math, "Thing": Thing, "Slotted": Slotted, "risky": risky}


class Writer:
    """One program: a function `f` of x and y."""

    def __init__(self, seed):
        self.random, self.lines, self.count, self.loops = random.Random(seed), [], 0, 0

    def program(self):
        """Its text."""
        cls = self.random.choice(("Thing", "Slotted"))
        self.lines = ["def f(x, y):", f"    o, p, z = {cls}(x, 1.0), {cls}(0.5, y), x", "    q, l = o, [o, p]"]
        self.lines += ["    d = {'u': x, 'v': 0.0, 0: 1.0}", "    e = d"]
        self.block(1, 0, self.random.randint(3, 6))
        return "\n".join([*self.lines, f"    return {END}"])

    def block(self, level, depth, count):
        """Some statements, which may hold others."""
        simple = (self.write, self.write, self.write, self.call, self.name)
        deeper = (self.branch, self.branch, self.repeat, self.search, self.attempt, self.match) if depth < 3 else ()
        for _ in range(count):
            self.random.choice((*simple, *deeper))(level, depth)

    def add(self, level, text):
        self.lines.append("    " * level + text)

    def number(self):
        one, other = self.random.choice(NUMBERS), self.random.choice(NUMBERS)
        return self.random.choice((one, f"({one} + {other})", f"({one} * 0.7 - {other})", f"({one} if {other} > 0 else y)"))

    def condition(self):
        text = f"{self.random.choice(NUMBERS)} {self.random.choice('<>')} {self.random.choice(NUMBERS)}"
        return self.random.choice((text, text, f"not {text}", f"{text} and y > -1"))

    def write(self, level, depth):
        sign = self.random.choice(("=", "=", "+=", "-="))
        self.add(level, f"{self.random.choice(TARGETS)} {sign} {self.number()}")

    def call(self, level, depth):
        calls = (f"z = {self.random.choice('opq')}.bump({self.number()})", "o.mix(p)", "q.mix(l[1])")
        self.add(level, self.random.choice(calls))

    def name(self, level, depth):
        self.add(level, self.random.choice(NAMES) if self.random.random() < 0.3 else "o.n += 1")

    def branch(self, level, depth):
        self.add(level, f"if {self.condition()}:")
        self.block(level + 1, depth + 1, self.random.randint(1, 2))
        chance = self.random.random()
        if chance < 0.3 and self.loops:
            self.add(level + 1, self.random.choice(("break", "continue")))
        elif chance < 0.4:
            self.add(level + 1, f"return {END}")
        if self.random.random() < 0.6:
            self.add(level, "else:")
            self.block(level + 1, depth + 1, 1)

    def repeat(self, level, depth):
        self.loop(level, depth, f"for k in range({self.random.choice((2, 3, 40))}):")

    def search(self, level, depth):
        self.count += 1
        counter = f"m{self.count}"
        self.add(level, f"{counter} = 0")
        self.loop(level, depth, f"while {self.condition()}:", f"{counter} += 1", f"if {counter} > 4: break")

    def loop(self, level, depth, *begin):
        self.add(level, begin[0])
        for text in begin[1:]:
            self.add(level + 1, text)
        self.loops += 1
        self.block(level + 1, depth + 1, self.random.randint(1, 3))
        self.loops -= 1

    def attempt(self, level, depth):
        failing = self.random.choice(FAILING).format(self.number())
        self.add(level, "try:")
        self.add(level + 1, f"{self.random.choice(TARGETS)} = {failing}")
        self.add(level, f"except {self.random.choice(CAUGHT)}:")
        self.block(level + 1, depth + 1, 1)
        if self.random.random() < 0.3:
            self.add(level, "finally:")
            self.write(level + 1, depth)

    def match(self, level, depth):
        self.add(level, f"match {self.number()}:")
        for case in (f"v if v > {self.number()}", f"_ if {self.condition()}", "_"):
            self.add(level + 1, f"case {case}:")
            self.block(level + 2, depth + 1, 1)
