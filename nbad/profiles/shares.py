"""Where the time of a sweep goes: body, launch, staging, blocks, and waiting.

Each sweep is timed on all elements, and on two parts of them that the caches keep, as they lie and as contiguous arrays: from two
parts follows what an element takes, and what is left of a call without any. The rounds are interleaved, and roofs are measured
among them, so that all of it sees the same machine.

* launch: a call without elements.
* body: what the compiled code takes for the elements as contiguous arrays in the caches, shared out to the threads.
* staging: what other layouts and dtypes of the arguments add to that.
* blocks: what it adds to write a Jacobian as blocks instead of rows.
* waiting: the rest, for memory and for other threads and processes.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np

from nbad.api.calls import analyse
from nbad.api.kernel import Kernel
from nbad.api.statics import is_setting
from nbad.api.trees import flattened
from nbad.graphs.structures import outputs_of
from nbad.profiles.roofs import Roofs, probes
from nbad.profiles.timing import seconds
from nbad.runtime.threads import SMALL
from nbad.verbs.jacobians import jacobian
from nbad.verbs.vjp import vjp

PART, BIT = 2048, 256  # elements that the caches keep with all that belongs to them
SHORTEST = 2e-4  # seconds of one timing: shorter calls are repeated
KINDS = ("whole", "part", "bit", "flat_part", "flat_bit")
PARTS = ("body", "launch", "staging", "blocks", "waiting")
Step = Callable[[str], object]


@dataclass(frozen=True)
class Share:
    """One sweep and the seconds of its parts, whose sum is at least its time.

    Attributes
    ----------
    name : str
    seconds : float
        The best time of a call; results are written to the same arrays each time, but for the forward sweep.
    body, launch, staging, blocks, waiting : float
    """

    name: str
    seconds: float
    body: float
    launch: float
    staging: float
    blocks: float
    waiting: float

    def fractions(self) -> dict[str, float]:
        """Each part as a fraction of their sum."""
        parts = {name: getattr(self, name) for name in PARTS}
        whole = sum(parts.values()) or 1.0
        return {name: part / whole for name, part in parts.items()}


class Shares(NamedTuple):
    """Those of every sweep, the roofs of the same minutes, and how many processes wanted to run then."""

    sweeps: tuple[Share, ...]
    roofs: Roofs
    load: float | None


class _Inputs(NamedTuple):
    """The arguments: all elements, two parts as they lie, and these as contiguous arrays; and how many elements that are."""

    whole: tuple[Any, ...]
    part: tuple[Any, ...]
    bit: tuple[Any, ...]
    flat_part: tuple[Any, ...]
    flat_bit: tuple[Any, ...]
    elements: tuple[int, int, int]
    dtype: str


def of_numbers(f: Kernel, xs: tuple[Any, ...]) -> tuple[Kernel, tuple[Any, ...]]:
    """The kernel of its arguments that are numbers or arrays, and these; what is in dicts and namedtuples stands alone.

    Examples
    --------
    >>> import nbad
    >>> power = nbad.kernel(lambda x, n: x**n, static=("n",))
    >>> kernel, xs = of_numbers(power, (2.0, 3))
    >>> kernel(*xs), xs
    (np.float64(8.0), (2.0,))
    """
    if (flat := flattened(f, xs, {})) is not None:
        f, xs = flat.kernel, flat.args
    given = dict(zip(f.parameters, xs, strict=False))
    statics = {name: value for name, value in given.items() if name in f.static or is_setting(value)}
    if not statics or len(xs) > len(f.parameters):
        return f, xs
    return f.fixed(statics), tuple(value for name, value in given.items() if name not in statics)


def measure(kernel: Kernel, xs: tuple[Any, ...], seeds: int, rounds: int, step: Step = lambda name: None) -> Shares:
    """Time the sweeps of a kernel and their parts.

    Parameters
    ----------
    kernel : Kernel
    xs : tuple of array_like
        Its arguments.
    seeds : int
        Of the reverse sweep of many.
    rounds : int
        The best of so many is taken.
    step : callable, optional
        Called with a name as each round begins.

    Returns
    -------
    Shares

    Examples
    --------
    >>> import nbad
    >>> found = measure(nbad.kernel(lambda x: x * x), (np.linspace(0.0, 1.0, 5000),), 3, 1)
    >>> [sweep.name for sweep in found.sweeps]
    ['value', 'forward', 'reverse, 1 seed', 'reverse, 3 seeds', 'Jacobian']
    """
    inputs = _inputs(kernel, xs)
    kinds = KINDS[:3] if inputs.flat_part is inputs.part else KINDS
    calls = {(name, what): call for what in kinds for name, call in sweeps(kernel, getattr(inputs, what), seeds)}
    names = [name for name, what in calls if what == "whole"]
    for size in ("part", "bit"):
        calls["rows", f"flat_{size}"] = partial(vjp, kernel, *getattr(inputs, f"flat_{size}"), residuals="partials")
    roofs = probes(inputs.dtype)
    calls |= {("roofs", name): probe for name, (probe, _) in roofs.items()}
    best = _timed(calls, rounds, step)
    if inputs.flat_part is inputs.part:
        best |= {(name, f"flat_{size}"): best[name, size] for name in names for size in ("part", "bit")}
    found = _roofs(best, roofs)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Shares(tuple(_share(name, best, inputs) for name in names), found, load)


def seeds_for(y: Any, count: int) -> Any:
    """Random seeds for a value, with a leading axis."""
    leaves = outputs_of(y)
    if leaves[0] is not y:
        return tuple(seeds_for(leaf, count) for leaf in leaves)
    return np.random.default_rng(1).standard_normal((count, *np.shape(y))).astype(y.dtype)


def first(batch: Any) -> Any:
    """The first seed of some."""
    return tuple(leaf[0] for leaf in batch) if isinstance(batch, tuple) else batch[0]


def _timed(calls: dict[tuple[str, str], Callable[[], object]], rounds: int, step: Step) -> dict[tuple[str, str], float]:
    """The best time of each call, in rounds of all of them; first calls compile, and say how often short ones are repeated."""
    step("compile")
    for call in calls.values():
        _repeat(call, 3)
    repeats = {key: 1 + int(min(1000, SHORTEST / max(seconds(call), 1e-7))) for key, call in calls.items()}
    best = dict.fromkeys(calls, math.inf)
    for number in range(rounds):
        step(f"round {number + 1}")
        for key, call in calls.items():
            best[key] = min(best[key], seconds(partial(_repeat, call, repeats[key])) / repeats[key])
    return best


def _repeat(call: Callable[[], object], times: int) -> None:
    for _ in range(times):
        call()


def _roofs(best: dict[tuple[str, str], float], roofs: dict[str, tuple[Callable[[], object], float]]) -> Roofs:
    return Roofs(*(amount / best["roofs", name] for name, (_, amount) in roofs.items()))


def _share(name: str, best: dict[tuple[str, str], float], inputs: _Inputs) -> Share:
    elements, part, bit = inputs.elements

    def each(sweep: str, form: str = "") -> float:
        """Seconds for an element."""
        return max(0.0, (best[sweep, f"{form}part"] - best[sweep, f"{form}bit"]) / (part - bit)) if part > bit else 0.0

    whole, as_it_lies, body = best[name, "whole"], each(name), each(name, "flat_")
    launch = min(whole, max(0.0, best[name, "bit"] - bit * as_it_lies))
    staging, blocks = max(0.0, as_it_lies - body), max(0.0, body - each("rows", "flat_")) if name == "Jacobian" else 0.0
    threads = numba.get_num_threads() if as_it_lies * elements * 1e9 >= SMALL else 1
    body, staging, blocks = (found * elements / threads for found in (body - blocks, staging, blocks))
    return Share(name, whole, body, launch, staging, blocks, max(0.0, whole - launch - body - staging - blocks))


def _inputs(kernel: Kernel, xs: tuple[Any, ...]) -> _Inputs:
    call = analyse(kernel, xs, {}, None)
    shape, cores = call.layout.shape, call.program.cores
    elements, axis = math.prod(shape), int(np.argmax(shape)) if shape else 0
    along = shape[axis] if shape else 1
    arrays = [(x if np.ndim(x) == 0 else np.asarray(x), len(core)) for x, core in zip(xs, cores, strict=True)]
    counts = [min(along, max(1, size * along // max(elements, 1))) for size in (PART, BIT)]
    part, bit = (tuple(_cut(x, depth, len(shape), axis, count) for x, depth in arrays) for count in counts)
    flat_part, flat_bit = (tuple(_flat(x, call.layout.dtype) for x in cut) for cut in (part, bit))
    if all(x is y for x, y in zip(part, flat_part, strict=True)):
        flat_part, flat_bit = part, bit
    sizes = [elements // max(along, 1) * count for count in counts]
    return _Inputs(xs, part, bit, flat_part, flat_bit, (elements, *sizes), call.layout.dtype.name)


def _flat(x: Any, dtype: np.dtype) -> Any:
    """A contiguous array of the working dtype; what has no derivative keeps its own."""
    if np.ndim(x) == 0 or (x.flags.c_contiguous and (x.dtype == dtype or x.dtype.kind != "f")):
        return x
    return np.array(x, dtype if x.dtype.kind == "f" else x.dtype, order="C")


def _cut(x: Any, depth: int, axes: int, axis: int, count: int) -> Any:
    """The first elements along an axis of the element space."""
    own = np.ndim(x) - depth
    place = axis + own - axes
    return x if own == 0 or place < 0 or x.shape[place] == 1 else x[(slice(None),) * place + (slice(count),)]


def sweeps(kernel: Kernel, xs: tuple[Any, ...], count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each sweep by name, after its first call: into arrays that are used again, where results are arrays."""
    yield "value", partial(kernel, *xs, out=_reused(kernel(*xs)))
    y, pullback = vjp(kernel, *xs, seeds=count)
    yield "forward", partial(vjp, kernel, *xs, seeds=count)
    seeds = seeds_for(y, count)
    one = first(seeds)
    yield "reverse, 1 seed", partial(pullback, one, out=_reused(pullback(one)))
    if count > 1:
        yield f"reverse, {count} seeds", partial(pullback.batched, seeds, out=_reused(pullback.batched(seeds)))
    blocks = jacobian(kernel)
    yield "Jacobian", partial(blocks, *xs, out=blocks(*xs))


def _reused(result: Any) -> Any:
    """Results as `out=`; None where they are numbers."""
    return result if all(isinstance(leaf, np.ndarray) for leaf in outputs_of(result)) else None
