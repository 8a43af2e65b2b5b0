"""Random wide graphs: vectors, sums and largest values of them, arms that depend on elements and on sums, well-conditioned."""

import random

from nbad.graphs.graph import GraphBuilder
from nbad.operations.ties import Tied

LARGEST = 40


class Wide:
    """Grows one graph; a vector is a list of nodes."""

    def __init__(self, seed, largest=LARGEST):
        self.random = random.Random(seed)
        self.width = min(self.random.randint(3, largest) for _ in range(2))
        self.builder = GraphBuilder("wide", [*(f"x{k}" for k in range(self.width)), "c"])
        self.vectors, self.numbers, self.conditions = [list(range(self.width))], [self.width], []

    def graph(self):
        """Some steps, then one or two vectors, and perhaps a number."""
        steps = [self.elementwise, self.both, self.spread, self.total, self.largest, self.neighbours, self.choose, self.mixed]
        for _ in range(self.random.randint(3, 9)):
            self.random.choice(steps)()
        outputs = [k for vector in self.vectors[-self.random.randint(1, 2) :] for k in vector]
        return self.builder.build([*outputs, *self.numbers[-self.random.randint(0, 1) :]])

    def add(self, op, *operands):
        return self.builder.add(op, *operands)

    def constant(self, value):
        return self.builder.constant(value)

    def function(self, k):
        """A bounded, smooth function, none of them constant."""
        kind = self.random.choice(("tanh", "sin", "exp", "sqrt", "div"))
        if kind == "exp":
            return self.add("exp", self.add("neg", self.add("mul", k, k)))
        if kind in ("sqrt", "div"):
            positive = self.add("add", self.constant(1.5), self.add("mul", k, k))
            return self.add("sqrt", positive) if kind == "sqrt" else self.add("div", k, positive)
        return self.add(kind, k)

    def vector(self):
        return self.random.choice(self.vectors[-4:])

    def number(self):
        return self.random.choice(self.numbers[-4:])

    def elementwise(self):
        state, vector = self.random.getstate(), self.vector()
        found = []
        for k in vector:  # the same function of each, or another
            if self.random.random() < 0.9:
                self.random.setstate(state)
            found.append(self.function(k))
        self.vectors.append(found)

    def both(self):
        op, pairs = self.random.choice(("add", "sub", "mul")), zip(self.vector(), self.vectors[0], strict=True)
        self.vectors.append([self.function(self.add(op, a, b)) if a != b else self.function(a) for a, b in pairs])

    def spread(self):
        number, op = self.number(), self.random.choice(("sub", "mul", "add"))
        self.vectors.append([self.add(op, k, number) for k in self.vector()])

    def total(self):
        vector, found = self.vector(), None
        for k in vector:
            found = k if found is None else self.add("add", found, k)
        self.numbers.append(self.function(self.add("mul", self.constant(1.0 / len(vector)), found)))

    def largest(self):
        """Two by two, or of all of them at once."""
        found, *others = vector = self.vector()
        for k in others:
            found = self.add("maximum", found, k)
        if self.random.random() < 0.5:
            found = self.builder.add("tied", found, *vector, payload=Tied(len(vector)))
        self.numbers.append(self.function(found))

    def neighbours(self):
        vector = self.vector()
        self.vectors.append([self.function(self.add("sub", k, vector[place - 1])) for place, k in enumerate(vector)])

    def mixed(self):
        """A few numbers, each of a part of a vector: a bottleneck."""
        vector = self.vector()
        for part in (vector[::2], vector[1::2]):
            found = None
            for k in part:
                term = self.add("mul", self.constant(self.random.uniform(-1.0, 1.0)), k)
                found = term if found is None else self.add("add", found, term)
            self.numbers.append(self.function(found))

    def choose(self):
        """Arms of one condition for all, or of one for each; a root that is nan where nobody takes it."""
        a, b, shared = self.vector(), self.vector(), self.random.random() < 0.5
        condition = self.add("lt", self.number(), self.constant(self.random.uniform(-0.3, 0.6)))
        found = []
        for p, q in zip(a, b, strict=True):
            chosen = condition if shared else self.add("gt", p, self.constant(0.1))
            arm = self.add("sqrt", p) if not shared and self.random.random() < 0.5 else self.function(p)
            found.append(self.add("select", chosen, arm, q))
        self.vectors.append(found)
