"""The one channel of errors that single elements cause: noted by compiled code, found after the sweep, raised by plain Python.

Compiled code cannot raise where it is. It counts, without any lock, how often a function of the user's failed in this process.
A sweep in which that could happen compares before and after; only where the count moved are the failing elements searched for.
The count may have moved for elements that do not use the value, or in another thread: then nothing is found, and nothing raised.
"""

import ctypes
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np

from nbad.codegen.compile import TileKernel
from nbad.errors import InternalError
from nbad.graphs.failures import call_of, first_call, first_causes, may_fail
from nbad.graphs.graph import Graph
from nbad.pipeline import Program
from nbad.runtime.launch import Launch, Routes
from nbad.runtime.pack import Slot
from nbad.runtime.strides import Shape, contiguous_strides

noted = ctypes.c_int64()  # compiled code adds to it


class Given(NamedTuple):
    """What a kernel reads: the element space, the slot of each input, and how many arrays these number."""

    shape: Shape
    slots: list[Slot]
    arrays: int

    def element(self, index: Shape) -> "Given":
        """The same for one element."""
        ahead = [sum(i * stride for i, stride in zip(index, slot.strides, strict=True)) for slot in self.slots]
        moved = zip(self.slots, ahead, strict=True)
        return Given((), [s._replace(strides=(), offset=s.offset + a, padded=False) for s, a in moved], self.arrays)


class Failure(NamedTuple):
    """The first element in C order that failed, how many did, and the node of a graph that did it first."""

    element: Shape
    total: int
    cause: int = 0

    def __str__(self) -> str:
        return f"element {self.element}, the first of {self.total} that failed" if self.element else "the only element"

    @classmethod
    def among(cls, codes: np.ndarray, causes: Sequence[int] = (0,)) -> "Failure | None":
        """The first element whose code is not 0, but the number, counted from 1, of its cause; None where there is none."""
        failed = codes != 0.0
        if not failed.any():
            return None
        element = np.unravel_index(np.argmax(failed), codes.shape)
        return cls(tuple(map(int, element)), int(np.count_nonzero(failed)), causes[int(codes[element]) - 1])


class Search:
    """Finds the elements that fail in a sweep.

    Parameters
    ----------
    program : Program
    key : hashable
        What the kernels of the search are kept under.
    graph : Graph
        What the elements compute: all its outputs are used.
    causes : sequence of int
        The nodes of it that the sweep computed and that may fail.
    dtype : numpy.dtype
    """

    def __init__(self, program: Program, key: Hashable, graph: Graph, causes: Sequence[int], dtype: np.dtype):
        self.program, self.key, self.graph, self.causes, self.dtype = program, key, graph, causes, dtype

    @cached_property
    def _codes(self) -> TileKernel:
        return self.program.kernel(("failing", self.key), first_causes(self.graph, self.causes), self.dtype)

    def first(self, given: Given, arrays: Sequence[np.ndarray]) -> Failure | None:
        """The first element that fails; None where none does that uses the value."""
        (codes,) = self._computed(self._codes, given, arrays)
        return Failure.among(codes, self.causes)

    def check(self, given: Given, arrays: Sequence[np.ndarray]) -> None:
        """Raise what the user's function raises for the first element that fails, if one does."""
        failure = self.first(given, arrays)
        if failure is None:
            return
        cause = failure.cause
        kernel = self.program.kernel(("call", self.key, cause), first_call(self.graph, cause), self.dtype)
        numbers = [float(x) for x in self._computed(kernel, given.element(failure.element), arrays)]
        call = call_of(self.graph, cause, numbers)
        raise_plainly(call.plain, call.operands, f"{self.program.call}: raised at {failure}, by {call}")

    def _computed(self, kernel: TileKernel, given: Given, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """The outputs of a kernel, one array for all."""
        results = np.empty((kernel.results, *given.shape), self.dtype)
        strides, width = contiguous_strides(given.shape, self.dtype.itemsize), results.strides[0]
        writes = [Slot(given.arrays, self.dtype, strides, k * width) for k in range(kernel.results)]
        routes = Routes(tuple(enumerate(given.slots)), tuple(enumerate(writes, len(given.slots))))
        Launch(kernel, given.shape, routes)([*arrays[: given.arrays], results])
        return results


def raise_plainly(plain: Callable[..., Any], operands: Sequence[float], where: str) -> NoReturn:
    """Raise what a function of the user's raises, with a note on where that was."""
    with _Noting(where):
        plain(*operands)
    raise InternalError(
        f"{where}; called from Python it raises nothing",
        got="an error in compiled code only",
        expected="the same from both",
        source=None,
    )


class _Noting:
    """Adds a note to whatever is raised in its block."""

    def __init__(self, note: str):
        self.note = note

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            error.add_note(self.note)


class Computed(NamedTuple):
    """What a kernel computes: its key and graph, and what makes a graph that begins with this and has used outputs only."""

    key: Hashable
    graph: Graph
    used: Callable[[], Graph]


class Watched:
    """A launch in which something may fail, and the search that follows where something did."""

    def __init__(self, launch: Callable[..., None], search: Search, given: Given):
        self.launch, self.search, self.given = launch, search, given

    def __call__(self, arrays: Sequence[np.ndarray], n_seeds: int = 1) -> None:
        """Run, and raise if an element failed."""
        before = noted.value
        self.launch(arrays, n_seeds)
        if noted.value != before:
            self.search.check(self.given, arrays)


def watched(
    launch: Callable[..., None], program: Program, computed: Computed, dtype: np.dtype, given: Given
) -> Callable[..., None]:
    """A launch that raises where elements fail: itself, if none can."""
    causes = may_fail(computed.graph)
    return Watched(launch, Search(program, computed.key, computed.used(), causes, dtype), given) if causes else launch


def cautious(entry: Callable[..., Any], graph: Graph) -> Callable[..., Any]:
    """An entry that answers False where something failed, so that the general way runs, and raises; itself, if nothing can."""
    if not may_fail(graph):
        return entry

    def run(*args):
        before = noted.value
        made = entry(*args)
        return made if noted.value == before else False

    return run
