"""The report of the command `nbad profile`: time, bytes and operations of each sweep, on inputs that the kernel's file provides.

`profile` measures what `nbad.profile` does, with bytes, operations and first uses beside it, and returns a `Report`;
`compare_policies` times every residual policy; printing is `nbad.tools.cli`'s.
The bytes of a sweep are those of every array that it must read or write, each counted once: whatever a sweep moves beyond
that lowers its GB/s. Operations are those of the cost model: a multiplication counts 1, a call of exp 20.
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numba
import numpy as np

from nbad.api.kernel import Kernel
from nbad.api.options import Residuals
from nbad.codegen.host import host
from nbad.graphs.structures import outputs_of
from nbad.plans.policies import POLICIES
from nbad.plans.work import total
from nbad.profiles import shares
from nbad.profiles.roofs import Roofs
from nbad.profiles.shares import Share, Step, first, seeds_for
from nbad.profiles.timing import best, seconds
from nbad.testing.check import check_kernel
from nbad.testing.comparisons import Near, Same, compare
from nbad.tools.explain import explain
from nbad.tools.kernel_files import Subject
from nbad.verbs.jacobians import jacobian, value_and_jacobian
from nbad.verbs.vjp import vjp

SAMPLE = 64
Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Options:
    """Size of the run: elements, seeds of the reverse sweep, dtype of the inputs, and how often each sweep is timed."""

    n: int = 1_000_000
    seeds: int = 8
    dtype: str = "float64"
    repeats: int = 7


@dataclass(frozen=True)
class Sweep:
    """One row of a report.

    Attributes
    ----------
    share : Share
        Its best time, and the parts of it.
    first_use : float
        The time of the very first call.
    bytes_moved : int
        What has to be read and written.
    operations : float
    """

    share: Share
    first_use: float
    bytes_moved: int
    operations: float

    @property
    def name(self) -> str:
        return self.share.name

    @property
    def seconds(self) -> float:
        return self.share.seconds

    @property
    def intensity(self) -> float:
        """Operations for each byte that moves."""
        return self.operations / self.bytes_moved

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds


@dataclass(frozen=True)
class Report:
    """What `profile` measured."""

    subject: Subject
    options: Options
    sweeps: tuple[Sweep, ...]
    roofs: Roofs
    load: float | None
    residual_bytes: int
    checked: str

    @property
    def compile_seconds(self) -> float:
        """Everything that the first calls did beside running: tracing, derivatives, compiling or loading from disk."""
        return sum(sweep.first_use for sweep in self.sweeps)

    @property
    def seconds_per_seed(self) -> float:
        """The time of the reverse sweep of all seeds for each of them."""
        return next(s.seconds for s in reversed(self.sweeps) if s.name.startswith("reverse")) / self.options.seeds


@dataclass(frozen=True)
class PolicyCost:
    """What one residual policy costs: what it keeps, and the best times.

    Attributes
    ----------
    policy : str
    chosen : str
        The same, or what "auto" stands for here.
    residuals : int
        Values kept for each element.
    residual_bytes : int
        Bytes kept by all elements.
    forward, one_seed, all_seeds : float
        Seconds of the forward sweep, and of the reverse sweep for one seed and for all.
    """

    policy: str
    chosen: str
    residuals: int
    residual_bytes: int
    forward: float
    one_seed: float
    all_seeds: float

    @property
    def seconds(self) -> float:
        """Forward once, and reverse for all seeds in a batch."""
        return self.forward + self.all_seeds


def profile(subject: Subject, options: Options, step: Step = lambda name: None) -> Report:
    """Run value, forward, reverse and Jacobian of a kernel, time each, and check a sample.

    Parameters
    ----------
    subject : Subject
    options : Options
    step : callable, optional
        Called with the name of each step as it begins.

    Returns
    -------
    Report

    Raises
    ------
    AssertionError
        A check found a wrong result.

    Examples
    --------
    >>> import nbad
    >>> from pathlib import Path
    >>> square = nbad.kernel(lambda x: x * x)
    >>> subject = Subject(square, lambda rng, n, dtype: (rng.random(n).astype(dtype),), Path("square.py"), "square.py")
    >>> [sweep.name for sweep in profile(subject, Options(n=1000, seeds=3)).sweeps]
    ['value', 'forward', 'reverse, 1 seed', 'reverse, 3 seeds', 'Jacobian']
    """
    (kernel, xs), (_, sample) = subject.call(options.n, options.dtype), subject.call(SAMPLE, options.dtype)
    step("first use")
    first_uses = _first_uses(kernel, sample, options.seeds)
    found = shares.measure(kernel, xs, options.seeds, options.repeats, step)
    step("check")
    operations, moved = _operations(kernel, sample, options.seeds), _moved(kernel, xs, options.seeds)
    sweeps = [Sweep(s, first_uses[s.name], moved[s.name], options.n * operations[s.name]) for s in found.sweeps]
    residual_bytes = moved["forward"] - moved["value"]
    return Report(subject, options, tuple(sweeps), found.roofs, found.load, residual_bytes, _check(kernel, sample, xs))


def compare_policies(subject: Subject, options: Options, step: Step = lambda name: None) -> tuple[PolicyCost, ...]:
    """Time the forward and the reverse sweep under each residual policy.

    Parameters
    ----------
    subject, options, step
        As for `profile`.

    Returns
    -------
    tuple of PolicyCost
        Of every policy, then of "auto".

    Examples
    --------
    >>> import nbad
    >>> from pathlib import Path
    >>> cube = nbad.kernel(lambda x: x**3)
    >>> subject = Subject(cube, lambda rng, n, dtype: (rng.random(n).astype(dtype),), Path("cube.py"), "cube.py")
    >>> [cost.policy for cost in compare_policies(subject, Options(n=1000, seeds=3, repeats=1))]
    ['partials', 'mincut', 'recompute', 'auto']
    """
    kernel, xs = subject.call(options.n, options.dtype)
    chosen = explain(kernel, *xs, seeds=options.seeds).policy
    costs = []
    for policy in (*POLICIES, "auto"):
        step(policy)
        costs.append(_policy_cost(kernel, xs, policy, options))
    return (*costs[:-1], replace(costs[-1], chosen=chosen))


def machine() -> dict[str, str]:
    """What decides speed beside the kernel: threads, threading layer, vector width and library.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> sorted(machine())
    ['threads', 'vectors']
    """
    return {"threads": f"{numba.get_num_threads()} ({_threading_layer()})", "vectors": str(host())}


def _first_uses(kernel: Kernel, xs: Arrays, count: int) -> dict[str, float]:
    """How long each sweep takes when it is first called, in an order in which it does its own compilation and no other's."""
    calls, met, times = shares.sweeps(kernel, xs, count), list[Any](), list[float]()
    while not met or met[-1]:
        times.append(seconds(lambda: met.append(next(calls, None))))
    return {name: time for (name, _), time in zip(met[:-1], times, strict=False)}


def _moved(kernel: Kernel, xs: Arrays, count: int) -> dict[str, int]:
    """The bytes that each sweep reads and writes."""
    y, pullback = vjp(kernel, *xs, seeds=count)
    seeds, kept = seeds_for(y, count), pullback.residuals.nbytes
    one, inputs = first(seeds), _nbytes(tuple(np.asarray(x) for x in xs))
    return {
        "value": inputs + _nbytes(y),
        "forward": inputs + _nbytes(y) + kept,
        "reverse, 1 seed": kept + _nbytes(one) + _nbytes(pullback(one)),
        f"reverse, {count} seeds": kept + _nbytes(seeds) + _nbytes(pullback.batched(seeds)),
        "Jacobian": inputs + _nbytes(jacobian(kernel)(*xs)),
    }


def _operations(kernel: Kernel, xs: Arrays, count: int) -> dict[str, float]:
    """Operations of each sweep for one element, by the cost model."""
    told = explain(kernel, *xs, seeds=count)
    accounts = {account.policy: account for account in told.policies}
    chosen = accounts[told.policy]
    return {
        "value": total(kernel.bind(xs, {})[0].simple),
        "forward": chosen.forward.flops,
        "reverse, 1 seed": chosen.call.flops + chosen.seed.flops,
        f"reverse, {count} seeds": chosen.call.flops + count * chosen.seed.flops,
        "Jacobian": accounts["partials"].forward.flops,
    }


def _policy_cost(kernel: Kernel, xs: Arrays, policy: str, options: Options) -> PolicyCost:
    def sweep() -> Any:
        return vjp(kernel, *xs, residuals=cast(Residuals, policy), seeds=options.seeds)

    y, pullback = sweep()
    seeds, kept = seeds_for(y, options.seeds), pullback.residuals
    one = first(seeds)
    calls = sweep, lambda: pullback(one), lambda: pullback.batched(seeds)
    for call in calls:
        call()
    return PolicyCost(policy, policy, len(kept), kept.nbytes, *(best(call, options.repeats) for call in calls))


def _nbytes(result: Any) -> int:
    """Bytes of arrays."""
    return sum(leaf.nbytes for part in (result if isinstance(result, tuple) else [result]) for leaf in outputs_of(part))


def _check(kernel: Kernel, sample: Arrays, xs: Arrays) -> str:
    """A proof on the sample; over the whole run, every call that computes the same thing gives the same bits."""
    if kernel.signature is None:
        proof = f"{len(check_kernel(kernel, *sample).entries)} checks of the harness passed"
    else:
        proof = _products(kernel, sample)
    y, pullback = vjp(kernel, *xs)
    seeds = seeds_for(y, 2)
    _compare(kernel, "the value from f and from vjp", kernel(*xs), y)
    _compare(kernel, "the value from value_and_jacobian and from vjp", value_and_jacobian(kernel)(*xs)[0], y)
    _compare(kernel, "pullback and pullback.batched", pullback(first(seeds)), first(pullback.batched(seeds)))
    return f"{proof} on {SAMPLE} elements; repeated results have the same bits on all"


def _products(kernel: Kernel, sample: Arrays) -> str:
    """For a kernel of vectors: the pullback of a seed is its product with the Jacobian."""
    blocks = jacobian(kernel)(*sample)
    shape, eps = blocks.shape[:-2], np.finfo(blocks.dtype).eps
    y, pullback = vjp(kernel, *_tiled(kernel, sample, shape, blocks.dtype))
    seed = first(seeds_for(y, 1))
    flat, cotangents = (_side_by_side(outputs_of(leaves), shape) for leaves in (seed, pullback(seed)))
    expected = np.einsum("...m,...mn->...n", flat, blocks)
    bound = 4 * blocks.shape[-2] * eps * np.einsum("...m,...mn->...n", abs(flat), abs(blocks))
    compared = compare(kernel.__name__, "profile", Near("pullback and product with the Jacobian", cotangents, expected, bound))
    return f"{compared} numbers of the pullback agree with the Jacobian"


def _tiled(kernel: Kernel, xs: Arrays, shape: tuple[int, ...], dtype: np.dtype) -> list[np.ndarray]:
    """Every argument in the full shape, so that no cotangent is a sum."""
    cores = kernel.bind(xs, {})[0].cores
    arrays = (x if isinstance(x, np.ndarray) else np.asarray(x, dtype) for x in xs)
    return [np.broadcast_to(x, (*shape, *core)) for x, core in zip(arrays, cores, strict=True)]


def _side_by_side(leaves: Arrays, shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([leaf.reshape(*shape, -1) for leaf in leaves], -1)


def _compare(kernel: Kernel, what: str, got: Any, expected: Any) -> None:
    for a, b in zip(outputs_of(got), outputs_of(expected), strict=True):
        compare(kernel.__name__, "profile", Same(what, a, b))


def _threading_layer() -> str:
    try:
        return numba.threading_layer()
    except ValueError:
        return "not started"
