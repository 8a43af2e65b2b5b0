"""Loops over elements, as Python text: what Numba compiles for the peers that are written by hand.

Arrays are `x0`, `x1`, ... (arguments), `y0`, ... (outputs), `r0`, ... (residuals: the entries of the Jacobian that are not
constant), `w0`, ... (seeds) and `g0`, ... (cotangents).
"""

import functools
from dataclasses import dataclass

from benchmarks.by_hand.adjoint import Symbol, derive, literal
from benchmarks.cases.workloads import workloads

BLOCK = 1024  # elements that one worker takes at a time, seeds in the inner loop


@dataclass(frozen=True)
class Loops:
    """The loops of a workload; `scalars` are the positions of arguments that all elements share."""

    derivation: object
    scalars: tuple[int, ...]

    @property
    def arguments(self):
        """Names of the arguments."""
        return [f"x{k}" for k in range(len(self.derivation.arguments))]

    @property
    def outputs(self):
        """Names of the outputs."""
        return [f"y{k}" for k in range(len(self.derivation.outputs))]

    @property
    def seeds(self):
        """Names of the seeds."""
        return [f"w{k}" for k in range(len(self.derivation.outputs))]

    @property
    def residuals(self):
        """Names of the residuals."""
        return [f"r{k}" for k in range(len(self.stored))]

    @property
    def cotangents(self):
        """Names of the cotangents."""
        return [f"g{k}" for k in range(len(self.derivation.rows[0]))]

    @property
    def stored(self):
        """What a forward sweep keeps: the entries of the Jacobian that are computed, in order."""
        return [entry for row in self.derivation.rows for entry in row if isinstance(entry, Symbol)]

    def value(self):
        """Stores of the value."""
        return list(zip([f"{y}[i]" for y in self.outputs], self.derivation.outputs, strict=True))

    def forward(self):
        """Stores of the value and the residuals."""
        return self.value() + list(zip([f"{r}[i]" for r in self.residuals], self.stored, strict=True))

    def jacobian(self):
        """Stores of the Jacobian in one array `j` of shape (n, M, N)."""
        return _blocks("j", self.derivation.rows)

    def value_and_jacobian(self):
        """Stores of both."""
        return self.value() + self.jacobian()

    def hessian(self):
        """Stores of the Hessian in one array `h` of shape (n, N, N)."""
        return _blocks("h", self.derivation.hessian)

    def body(self, stores):
        """Statements for element `i`."""
        loads = [f"a{k} = {x}{'' if k in self.scalars else '[i]'}" for k, x in enumerate(self.arguments)]
        return [*loads, *self.derivation.text([result for _, result in stores]), *(f"{to} = {literal(r)}" for to, r in stores)]

    def factors(self, residual, number):
        """The Jacobian as rows of what seeds are multiplied with: residuals, by name, and numbers, as functions print them."""
        names = iter(self.residuals)
        return [[residual(next(names)) if isinstance(e, Symbol) else number(e) for e in row] for row in self.derivation.rows]

    def products(self, seed):
        """One statement for each cotangent; `seed` is the index of the seeds and cotangents, such as `[q, i]`."""
        columns = zip(*self.factors(lambda residual: f"{residual}[i]", literal), strict=True)
        sums = [" + ".join(f"{w}{seed} * {f}" for w, f in zip(self.seeds, column, strict=True)) for column in columns]
        return [f"{g}{seed} = {total}" for g, total in zip(self.cotangents, sums, strict=True)]


def _blocks(array, rows):
    return [(f"{array}[i, {m}, {k}]", entry) for m, row in enumerate(rows) for k, entry in enumerate(row)]


@functools.cache
def loops(name):
    """The loops of a workload."""
    shared = tuple(k for k, x in enumerate(workloads()[name].inputs(2, "float64")) if x.ndim == 0)
    return Loops(derive(name), shared)


def function(parameters, *lines):
    """Text of a function `run`; each line is nested in the one before if that ends with a colon, a list of lines is a body."""
    text, depth = [f"def run({', '.join(parameters)}):"], 1
    for line in lines:
        for part in line if isinstance(line, list) else [line]:
            text.append("    " * depth + part)
        depth += isinstance(line, str) and line.endswith(":")
    return "\n".join(text) + "\n"


def define(text, scope):
    """The function that the text defines."""
    scope = dict(scope)
    exec(text, scope)
    return scope["run"]
