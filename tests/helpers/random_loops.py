"""Random programs with loops on data, for numbers of any kind: they grow graphs, compute, or carry derivatives."""

from typing import NamedTuple

import numpy as np
from helpers.loops import Steps, sin, sqrt, where

BINARY = ("add", "sub", "mul", "mean", "div")
SHARP = (*BINARY, "over")  # has a pole
CONSTANTS = (-1.5, -0.5, 0.0, 0.25, 1.0, 2.0)
MOST = 7  # passes


class Code(NamedTuple):
    """Instructions on a list of numbers that grows by what each gives."""

    instructions: tuple

    def __call__(self, values):
        values = list(values)
        for op, *operands in self.instructions:
            values += op(*operands, values)
        return values


def constant(number, values):
    return [np.float64(number)]


def binary(op, a, b, values):
    x, y = values[a], values[b]
    return [{"add": add, "sub": sub, "mul": mul, "mean": mean, "div": div, "over": over}[op](x, y)]


def add(x, y):
    return x + y


def sub(x, y):
    return x - y


def mul(x, y):
    return x * y


def mean(x, y):
    return 0.5 * (x + y)


def div(x, y):
    return x / (1.0 + y * y)


def over(x, y):
    return x / y


def wave(a, values):
    return [sin(values[a])]


def root(a, values):
    return [sqrt(values[a])]


def choice(a, b, c, d, values):
    return [where(values[a] < values[b], values[c], values[d])]


def loop(steps, initial, captured, active, values):
    """The states at the end, and whether it was not done; active for some elements only, where two numbers say so."""
    holds = True if active is None else values[active[0]] < values[active[1]]
    found = steps([values[k] for k in initial], [values[k] for k in captured], holds)
    return found if active is None else [where(holds, x, values[captured[0]]) for x in found]


class Writer:
    """Writes random code: "exact" has the same bits wherever it is computed, "smooth" has slopes, "sharp" has poles, too."""

    def __init__(self, rng, kind):
        self.rng, self.kind = rng, kind

    def code(self, inputs, length, depth=0):
        instructions, count = [], inputs
        for _ in range(length):
            instruction, more = self.instruction(count, depth)
            instructions.append(instruction)
            count += more
        return Code(tuple(instructions)), count

    def instruction(self, count, depth):
        kind = self.rng.random()
        if kind < 0.15:
            return (constant, float(self.rng.choice(CONSTANTS))), 1
        if kind < 0.3 and self.kind != "exact":
            return (root if self.kind == "sharp" else wave, self.pick(count)), 1
        if kind < 0.45:
            return (choice, *(self.pick(count) for _ in range(4))), 1
        if kind < (0.6 if depth == 0 else 0.52) and depth < 2:
            return self.loop(count, depth)
        return (binary, str(self.rng.choice(SHARP if self.kind == "sharp" else BINARY)), self.pick(count), self.pick(count)), 1

    def loop(self, count, depth):
        states, captured = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3))
        steps = self.steps(states, captured, depth + 1)
        active = (self.pick(count), self.pick(count)) if self.rng.random() < 0.4 else None
        initial = [self.pick(count) for _ in range(states + 1)]  # one counts
        return (loop, steps, initial, [self.pick(count) for _ in range(captured)], active), states + 2

    def steps(self, states, captured, depth):
        code, count = self.code(states + captured, int(self.rng.integers(2, 7)), depth)
        following = [self.pick(count) for _ in range(states)]
        a, b = self.pick(count), self.pick(count)
        limit, counts = float(self.rng.integers(0, MOST)), bool(self.rng.random() < 0.75)

        def step(*given):
            *values, counter = (*given[:states], *given[states + 1 :], given[states])
            values = code(values)
            goes_on = values[a] < values[b]
            if counts:
                goes_on = (counter < limit) & (goes_on if limit > 3.0 else counter < limit)
            return goes_on, [*(values[k] for k in following), counter + 1.0]

        return Steps(step, states + 1, captured, max_passes=MOST)

    def pick(self, count):
        """The newer numbers more often."""
        return count - 1 - min(int(self.rng.exponential(count / 2)), count - 1)


def random_function(rng, kind, inputs=2, results=2):
    """A function of some numbers, with one loop at least."""
    writer = Writer(rng, kind)
    head, count = writer.code(inputs, 2)
    instruction, more = writer.loop(count, 0)
    tail, count = writer.code(count + more, int(rng.integers(1, 6)))
    wanted = [writer.pick(count) for _ in range(results)]

    def function(*xs):
        values = tail(Code((*head.instructions, instruction))(xs))
        return tuple(values[k] for k in wanted)

    return function
