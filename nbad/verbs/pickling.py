"""How pullbacks travel: the kernel by its name or by value, the plan by what it was made for, the residual rows by value.

Plans are made anew where a pullback is loaded. Whether they are the same, and so what the rows mean, is told by digests of the
kernel's graph and of the plan: both hold all operations and constants, and the code or formula of those that are the user's own,
and no lines of the source.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from nbad import config
from nbad.api.kernel import Kernel
from nbad.api.pickling import version_of
from nbad.api.signatures import name_in_code
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.foreign import shown
from nbad.graphs.graph import Graph
from nbad.graphs.loops import digest_of
from nbad.operations.table import TABLE
from nbad.plans.plan import Policy, are_lined
from nbad.runtime.reverse import Reverse, reverse_of
from nbad.runtime.strides import blank_behind
from nbad.runtime.sweeps import row_length


class Saved(NamedTuple):
    """What makes a station of pullbacks again, in any process: the call's kernel and statics, what was asked for, and digests."""

    kernel: Any
    names: tuple[str, ...]  # of the arguments that were passed as numbers
    statics: dict[str, Any]
    errors: str
    arguments: tuple[int, ...]
    asked: tuple[Policy, int]  # for which policy, and how many seeds
    dtype: str
    digests: tuple[str, str]

    @classmethod
    def of(cls, reverse: Reverse) -> "Saved":
        """That of a station."""
        program, plan = reverse.program, reverse.plan
        kernel, statics = program.made_from
        request = reverse.arguments, plan.asked, reverse.dtype.name
        return cls(kernel, program.names, statics, program.errors, *request, (_digest(program), _digest_of_plan(plan)))

    def reverse(self) -> Reverse:
        """The station, found or made."""
        program = self._program()
        if _digest(program) == self.digests[0]:
            plan = program.plan(program.input_slots(self.arguments), *self.asked)
            if _digest_of_plan(plan) == self.digests[1]:
                return reverse_of(program, plan, self.arguments, np.dtype(self.dtype))
        raise self._edited("another graph" if _digest(program) != self.digests[0] else "another plan of it")

    def _program(self):
        if not isinstance(self.kernel, Kernel):
            raise self._edited(shown(self.kernel))
        before = config.raising.set(self.errors != self.kernel.errors)
        try:
            return self.kernel.bind_names({**dict.fromkeys(self.names, 0.0), **self.statics})[0]
        except ArgumentTypeError as error:
            raise self._edited(f"the parameters {', '.join(self.kernel.parameters)}") from error
        finally:
            config.raising.reset(before)

    def _edited(self, got):
        name = name_in_code(self.kernel)
        return ArgumentValueError(
            f"this pullback was saved by another version of `{name}`, or of nbad: what it keeps would be misread",
            got=got,
            expected="the kernel whose forward sweep it followed",
            fix=f"y, pullback = nbad.vjp({name}, {', '.join(self.names)})",
        )


def _digest(program):
    """What tells what a program computes, and how it is called, from others."""
    return program.remember("digest", lambda: _digest_anew(program))


def _digest_anew(program):
    called = program.names, program.cores, program.leaves, program.seed_names
    return digest_of(program.graph, program.math, program.errors, *called, _versions(program.graph))


def _digest_of_plan(plan):
    """Partials may use operations that the graph does not have; rows were not always in lines."""
    versions = [version for graph in (plan.forward, plan.prologue) if graph for version in _versions(graph)]
    digest = digest_of(plan.forward, plan.digest, versions) if versions else plan.digest
    return f"{digest} in lines" if are_lined(len(plan.residuals)) else digest


def _versions(graph: Graph) -> list[tuple[str, str]]:
    """What tells the code of each of the user's own operations: a graph knows their names only."""
    loops = {node.payload.loop.digest: node.payload.loop for node in graph.nodes if node.op == "loop"}
    inside = {version for loop in loops.values() for version in _versions(loop.step)}
    own = [TABLE[op] for op in {node.op for node in graph.nodes} if op in TABLE]
    inside |= {(row.name, digest_of(row.formula)) for row in own if row.formula is not None}
    return sorted(inside | {(row.name, version_of(row.plain)) for row in own if row.plain is not None})


def with_blank_padding(rows: np.ndarray, elements: int) -> np.ndarray:
    """The residual rows with zeros where no element's number is: what lay in that memory before is not told to anybody."""
    if rows.flags.writeable:
        blank_behind(rows, elements)
    return rows


def as_rows(reverse: Reverse, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows from elsewhere as compiled code reads them."""
    expected = len(reverse.plan.residuals), row_length(math.prod(shape), reverse.dtype)
    if rows.shape != expected:
        raise ArgumentValueError("a saved pullback is damaged", got=f"rows of shape {rows.shape}", expected=f"shape {expected}")
    return np.require(rows, reverse.dtype, ["C", "A"])
