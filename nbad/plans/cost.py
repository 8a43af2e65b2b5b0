"""What plans cost: the model behind the residual policies.

    time of a kernel for S seeds = forward + S * (reverse per call + reverse per seed)

"Reverse per call" turns residuals into partials, "per seed" multiplies and adds. In a batch the first is paid once for all seeds;
the model charges it for each seed, because seeds may also come one by one: there a wrong choice costs most, while in a
large batch all policies cost nearly the same.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from nbad.plans.plan import Plan
from nbad.plans.work import WORD, Work, total

WIDE = 2.0  # time of an operation in kernels of many results, whose vectors are one register long, over that in others


class Sweeps(NamedTuple):
    """Work of the forward sweep, and of a reverse sweep for each call and for each seed."""

    forward: Work
    call: Work
    seed: Work


class Line(NamedTuple):
    """Nanoseconds of one forward sweep, and of a reverse sweep for each seed."""

    once: float
    each: float

    def at(self, seeds: int) -> float:
        """The time of both."""
        return self.once + seeds * self.each


def sweeps(plan: Plan, inputs: float, cotangents: float, itemsize: int) -> Sweeps:
    """Work of the sweeps of a plan.

    Parameters
    ----------
    plan : Plan
    inputs, cotangents : float
        Bytes of the inputs, and of the cotangents, for one element; less where they are broadcast.
    itemsize : int

    Returns
    -------
    Sweeps
    """
    outputs, residuals = plan.outputs * itemsize, len(plan.residuals) * itemsize
    forward = Work(inputs + outputs + residuals, total(plan.forward))
    call = Work(residuals, total(plan.prologue) if plan.prologue else 0.0)
    return Sweeps(forward, call, Work(outputs + cotangents, total(plan.reverse)))


def nanoseconds(plan: Plan) -> Line:
    """Time of a plan for one element, by the model."""
    work = sweeps(plan, len(plan.forward.inputs) * WORD, len(plan.wrt) * WORD, WORD)
    forward, call, seed = (replace(w, flops=w.flops * (WIDE if plan.inner else 1.0)) for w in work)
    return Line(forward.nanoseconds, call.nanoseconds + seed.nanoseconds)


def best(plans: Sequence[Plan], seeds: int) -> Plan:
    """The plan that costs least for a number of seeds; of equals, the first."""
    return min(plans, key=lambda plan: nanoseconds(plan).at(seeds))


def changes(plans: Sequence[Plan]) -> list[tuple[int, Plan]]:
    """Where the best plan changes: pairs of a number of seeds and the plan that is best from there on, the first for 1 seed."""
    lines = [nanoseconds(plan) for plan in plans]
    crossings = ((b.once - a.once) / (a.each - b.each) for a in lines for b in lines if a.each != b.each)
    numbers = sorted({1, *(k for s in crossings if s >= 1 for k in (math.ceil(s), math.floor(s) + 1))})
    found = [(seeds, best(plans, seeds)) for seeds in numbers]
    return [pair for k, pair in enumerate(found) if k == 0 or pair[1] is not found[k - 1][1]]
