"""Random kernels as people write them for arrays: masks, writes in place, and several names of one array."""

import random

HEADER = """
def half(v, mask):
    v[mask] = 0.5
    return v
def same(v, c):
    if c > 0.25:
        return v
    return v * 2.0
def clipped(v):
    v = np.array(v)
    v[v > 1.0] = 1.0
    return v
"""
NUMBERS = (
    "{a} * 2.0",
    "{a}.copy() + 0.0",
    "{a} + {b}", "{a} - {b}", "np.sin({a})", "np.minimum({a}, {b})", "np.where({m}, {a}, {b})", "-{a}", "abs({a})",
)  # fmt: skip
CELLS = (
    "np.zeros_like({a})", "np.ones_like({a})", "np.full_like({a}, 0.75)", "np.array({a})", "np.asarray({a})", "np.copy({a})",
    "np.array({a}, copy=True)",
    "np.asanyarray({a}, dtype=float)", "np.asarray({a}).copy()",
    "clipped({a})", "np.add({a}, {b}, out=np.zeros_like({a}), where={m})",
)  # fmt: skip
NAMES = (
    "{a}", "{a}.copy()", "{a}[...]", "{a}.real", "half({a}, {m})", "same({a}, {b})", "[{a}, {b}][0]", "{a} if {c} else {b}",
    "max({a}, {b})", "(lambda: {a})()",
)  # fmt: skip
WRITES = (
    "{v}[{m}] = 0.25", "{v}[{m}] = {a}[{m}]", "{v}[{m}] = np.cos({a}[{m}]) + {b}[{m}]", "{v}[{m}] *= 2.0", "{v}[{m}] += {a}[{m}]",
    "{v}[...] = {a}", "{v}[:] = 0.125", "{v}[{a} < {b}] = 1.0", "{v}[~{m}] = {a}[~{m}] * 3.0", "{v}[np.where({m})] = -1.0",
    "{v}[{m}] = 2.0 ** {a}[{m}]", "half({v}, {m})",
)  # fmt: skip
CELL_WRITES = (
    "np.putmask({v}, {m}, {a})", "np.copyto({v}, {a}, where={m})", "np.place({v}, {m}, 0.3)",
    "np.multiply({a}, {b}, out={v}, where={m})",
    "{v} += {a}", "{v} *= 0.5", "np.subtract({a}, {b}, out={v})", "np.place({v}, {m}, {a}[{m}])",
)  # fmt: skip
# of what a mask picks, `p`, of another name or copy of it, `q`, and of a condition of it, `k`
PICKED = (
    "p", "np.asarray(p)", "p * 2.0", "np.zeros_like(p)", "np.array(p)", "np.full_like(p, 0.4)", "np.asarray(p, float)",
    "p.copy()",
)  # fmt: skip
OF_PICKED = (
    "q[k] = 0.7", "q[~k] = np.sin(p[~k])", "q += 1.0", "p *= 2.0", "p[k] = q[k] - 0.5", "q[k] += 0.25", "q = q + p", "k = p < q",
    "if np.any(k):\n        q[k] = p[k] ** 2", "if np.all(q > 0.1) and not np.any(k):\n        p -= q",
    "q = q if p.shape == 1 else p", "r = p[k]\n    r[r > 0.4] *= r[r > 0.4]\n    q[k] = r",
    "if {a} > {t}:\n        q[k] = p[k] + 1.0\n    else:\n        p[~k] = 0.1",
)  # fmt: skip
MASKS = ("{a} > 0.2", "{a} < {b}", "~{m}", "{m} & {n}", "{m} | {n}", "np.isfinite({a})", "np.logical_or({m}, {a} > 0.5)")


class Writer:
    """Writes one program of the numbers `x` and `y`."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.values, self.cells, self.masks = ["x", "y"], [], ["m0"]
        self.count = 0

    def program(self):
        body = ["m0 = x > 0.0"]
        for _ in range(self.random.randint(4, 9)):
            body += self.statement()
        result = " + ".join(f"{k + 1.0} * {v}" for k, v in enumerate(self.values))
        lines = ["def kernel(x, y):", *(f"    {line}" for line in body), f"    return {result}"]
        return HEADER + "\n".join(lines) + "\n"

    def statement(self):
        """A statement of the function's own block, which may make a new name."""
        kind = self.random.choice(
            ("number", "cell", "cell", "name", "name", "write", "write", "write", "mask", "branch", "return", "picked")
        )
        if kind == "picked":
            return self.picked()
        if kind == "branch":
            return self.branch()
        if kind == "return":
            return (
                [f"if {self.fill('{a} > {t}')}:", f"    return {self.fill('{a} * 3.0 + {b}')}"]
                if self.random.random() < 0.4
                else []
            )
        if kind == "write":
            return [self.write()]
        if kind == "mask":
            mask, text = f"m{len(self.masks)}", self.fill(self.random.choice(MASKS))
            self.masks.append(mask)
            return [f"{mask} = {text}"]
        text = self.fill(self.random.choice({"number": NUMBERS, "cell": CELLS, "name": NAMES}[kind]))
        self.count += 1
        name = f"v{self.count}"
        self.values.append(name)
        if kind == "cell":
            self.cells.append(name)
        return [f"{name} = {text}"]

    def picked(self):
        """Statements on what a mask picks, which is written back in the end."""
        mask, forms = self.random.choice(self.masks), [self.random.choice(OF_PICKED) for _ in range(self.random.randint(1, 4))]
        lines = ["p = {a}[{m}]", "q = " + self.random.choice(PICKED), "k = p > {t}", *forms]
        target = self.random.choice(self.cells or self.values)
        return [*(self.fill(line, m=mask) for line in lines), f"{target}[{mask}] = q"]

    def branch(self):
        """Both arms write, or give new values to names."""
        lines = [f"if {self.fill('{a} > {t}')}:", *(f"    {self.inner()}" for _ in range(self.random.randint(1, 2)))]
        if self.random.random() < 0.5:
            lines += ["else:", f"    {self.inner()}"]
        return lines

    def inner(self):
        if self.random.random() < 0.6:
            return self.write()
        name = self.random.choice(self.values)
        if name in self.cells:
            self.cells.remove(name)
        return self.fill(f"{name} = " + self.random.choice(NUMBERS + NAMES))

    def write(self):
        if self.cells and self.random.random() < 0.4:
            return self.fill(self.random.choice(CELL_WRITES), v=self.random.choice(self.cells))
        return self.fill(self.random.choice(WRITES), v=self.random.choice(self.values))

    def fill(self, text, **given):
        """A pattern with names of values and masks put in."""
        a, b = self.random.choice(self.values), self.random.choice(self.values)
        m, n = self.random.choice(self.masks), self.random.choice(self.masks)
        c = f"{self.random.choice(self.values)} > 0.1"
        return text.format(**{"a": a, "b": b, "m": m, "n": n, "c": c, "t": self.random.choice(("0.0", "0.3")), **given})
