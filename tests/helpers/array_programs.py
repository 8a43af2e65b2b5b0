"""Random kernels on arrays as source text: expressions, views, and writes into arrays and parts of them."""

import math
import random

import numpy as np

ARGUMENTS = {"x": (3,), "y": (2, 3), "z": (2, 2), "s": ()}
LARGEST, DEEPEST = 40, 3
ELEMENTWISE = (
    "np.sin({0})", "np.exp(-np.square({0}))", "-{0}", "abs({0})", "({0}) ** 2", "np.tanh({0})", "({0} + 0)", "np.array({0})",
    "np.copy({0})", "np.asarray({0})", "np.where({0} > 0, {0}, 0.5)",
)  # fmt: skip
BROADCAST = (
    "({0} + {1})", "({0} - {1})", "({0} * {1})", "np.minimum({0}, {1})", "np.maximum({0}, {1})", "np.hypot({0}, {1})",
    "np.where({0} > {1}, {0}, {1})",
)  # fmt: skip
REDUCED = (
    "np.sum({0})", "np.prod({0})", "({0}).mean()", "({0}).max()", "np.linalg.norm({0})", "({0}).sum(axis=0)",
    "np.min({0}, axis=-1)", "({0}).sum(axis=0, keepdims=True)", "np.cumsum({0})",
)  # fmt: skip
MOVED = (
    "({0}).T", "({0}).ravel()", "np.ravel({0})", "({0}).reshape(-1)", "({0})[::-1]", "({0})[0]", "({0})[1:]", "np.roll({0}, 1)",
    "({0})[..., None]", "np.reshape({0}, ({0}).shape[::-1])", "np.flip({0}, 0)", "np.stack([{0}, 2 * {0}], axis=-1)",
    "np.swapaxes({0}, 0, -1)", "np.diag({0})", "np.concatenate([{0}, {0}])", "({0})[[0, -1]]", "np.split({0}, [1])[1]",
)  # fmt: skip
PRODUCTS = ("({0} @ {1})", "np.dot({0}, {1})", "np.inner({0}, {1})", "np.outer({0}, {1})")
TARGETS = (
    "{0}", "{0}[0]", "{0}[-1]", "{0}[...]", "{0}[1:]", "{0}.T[0]", "{0}.ravel()[0]", "np.ravel({0})[-1:]", "np.asarray({0})[0]",
    "{0}[[0, -1]]", "np.reshape({0}, -1)[1:]",
)  # fmt: skip
NEW = ("np.zeros((2, 3))", "np.ones(3)", "np.full((2, 2), 0.5)", "np.eye(2)")


class Writer:
    """Writes one program; `variables` are the names and shapes so far."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.variables = dict(ARGUMENTS)

    def program(self):
        """The source of one function that returns all its variables."""
        lines = [line for k in range(self.random.randrange(3, 9)) if (line := self.statement(k))]
        lines.append(f"return {', '.join(self.variables)}")
        return f"def kernel({', '.join(ARGUMENTS)}):\n" + "".join(f"    {line}\n" for line in lines)

    def statement(self, k):
        local = [name for name, shape in self.variables.items() if name not in ARGUMENTS and shape]
        if local and self.random.random() < 0.5:
            return self.write(self.random.choice(local))
        text = self.random.choice(NEW) if self.random.random() < 0.2 else self.expression()
        self.variables[f"v{k}"] = self.shape(text)
        return f"v{k} = {text}"

    def write(self, name):
        target = self.random.choice(TARGETS).format(name)
        shape = self.shape(target)
        values = (self.expression() for _ in range(20))
        value = next((v for v in values if shape is not None and self.shape(f"np.broadcast_to({v}, {shape})") == shape), None)
        operators = ("+=", "*=") if target == name else ("=", "+=", "*=", "-=")
        return value and f"{target} {self.random.choice(operators)} {value}"

    def expression(self, depth=0):
        name = self.random.choice(list(self.variables))
        if depth == DEEPEST or self.random.random() < 0.25:
            return name
        forms = self.random.choice((ELEMENTWISE, BROADCAST, REDUCED, MOVED, MOVED, PRODUCTS))
        first, second = self.expression(depth + 1), self.expression(depth + 1)
        if forms in (REDUCED, MOVED) and self.shape(first) == ():  # a number has not the methods of arrays
            return first
        text = self.random.choice(forms).format(first, second)
        return name if self.shape(text) is None else text

    def shape(self, text):
        """The shape of an expression; None where it has none, or is too large."""
        arrays = {name: np.full(shape, 0.5) if shape else np.float64(0.5) for name, shape in self.variables.items()}
        try:
            shape = np.shape(eval(text, {"np": np}, arrays))
        except (ValueError, IndexError, TypeError, AttributeError):
            return None
        return shape if math.prod(shape) <= LARGEST else None
