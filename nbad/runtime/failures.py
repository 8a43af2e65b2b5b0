"""The one channel of errors that single elements cause: noted by compiled code, found after the sweep, raised by plain Python.

Compiled code cannot raise where it is. It counts, without any lock, how often in this process a function of the user's failed, or
a path without a value was taken. A sweep in which that could happen compares before and after; only where the count moved are the
failing elements searched for. The count may have moved for elements that do not use the value, or in another thread: then nothing
is found, and nothing raised. What elements warn of goes the same way.
"""

import sys
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple, NoReturn

import numpy as np

from nbad import config
from nbad.codegen.compile import TileKernel
from nbad.codegen.host import noted
from nbad.errors import InternalError
from nbad.graphs.failures import call_of, first_call, first_causes, may_fail
from nbad.graphs.flags import Cause, has_alarm
from nbad.graphs.graph import Graph
from nbad.memo import cached_property
from nbad.pipeline import Program
from nbad.runtime.launch import Launch, Routes
from nbad.runtime.pack import Slot
from nbad.runtime.strides import Shape, contiguous_strides


class Given(NamedTuple):
    """What a kernel reads: the element space, the slot of each input, and how many arrays these number."""

    shape: Shape
    slots: list[Slot]
    arrays: int

    def element(self, index: Shape) -> "Given":
        """The same for one element."""
        return Given((), [own for slot in self.slots for own in slot.at(index)], self.arrays)


class Failure(NamedTuple):
    """The first element in C order that failed, how many did, and by what: the node of a graph, or a cause."""

    element: Shape
    total: int
    cause: Any = 0

    def __str__(self) -> str:
        return f"element {self.element}, the first of {self.total} that failed" if self.element else "the only element"

    @classmethod
    def among(cls, codes: np.ndarray, causes: Sequence[Any] = (0,)) -> "Failure | None":
        """The first element whose code is not 0, but the number, counted from 1, of its cause; None where there is none."""
        failed = codes != 0.0
        if not failed.any():
            return None
        element = np.unravel_index(np.argmax(failed), codes.shape)
        return cls(tuple(map(int, element)), int(np.count_nonzero(failed)), causes[int(codes[element]) - 1])


class Search:
    """Finds the elements that fail in a sweep, and those that warn.

    All outputs of `graph`, what the elements compute, are used; `nodes` of it may fail. The kernels of the search are kept under
    `key`. Where it `has_flags`, those of the elements can be told from what the graph is given.
    """

    def __init__(
        self, program: Program, key: Hashable, graph: Graph, nodes: Sequence[int], dtype: np.dtype, has_flags: bool = False
    ):
        self.program, self.key, self.graph, self.dtype = program, key, graph, dtype
        self.flags = program.flags if has_flags else None
        self._nodes, self._dead = (nodes, self.flags.numbers if self.flags else []) if program.errors == "raise" else ((), [])
        self.causes = [*(Flagged(program, number, dtype) for number in self._dead), *self._nodes]

    @cached_property
    def _codes(self) -> TileKernel:
        graph = first_causes(self.graph, self._nodes, self.flags, self._dead)
        return self.program.kernel(("failing", self.key), graph, self.dtype)

    def check(self, given: Given, arrays: Sequence[np.ndarray]) -> None:
        """Raise what the user's function raises for the first element that fails, if one does; issue what warnings there are."""
        codes, *warns = computed(self._codes, given, arrays, self.dtype)
        failure = Failure.among(codes, self.causes)
        if failure is None:
            for number, found in zip(self.flags.warnings if self.flags else (), warns, strict=True):
                cause = Flagged(self.program, number, self.dtype)
                if (failure := Failure.among(found, [cause])) is not None:
                    cause.warn(given.element(failure.element), arrays)
        elif isinstance(failure.cause, Flagged):
            failure.cause.fail(failure, given.element(failure.element), arrays)
        else:
            self._fail(failure, given, arrays)

    def _fail(self, failure: Failure, given: Given, arrays: Sequence[np.ndarray]) -> NoReturn:
        """Raise what a function that the kernel calls raises."""
        cause = failure.cause
        kernel = self.program.kernel(("call", self.key, cause), first_call(self.graph, cause), self.dtype)
        numbers = [float(x) for x in computed(kernel, given.element(failure.element), arrays, self.dtype)]
        call = call_of(self.graph, cause, numbers)
        raise_plainly(call.plain, call.operands, f"{self.program.call}: raised at {failure}, by {call}")


def computed(kernel: TileKernel, given: Given, arrays: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """The outputs of a kernel, one array for all."""
    results = np.empty((kernel.results, *given.shape), dtype)
    strides, width = contiguous_strides(given.shape, dtype.itemsize), results.strides[0]
    writes = [Slot(given.arrays, dtype, strides, k * width) for k in range(kernel.results)]
    routes = Routes.of(kernel.graph, given.slots[: len(kernel.graph.inputs)], writes)
    Launch(kernel, given.shape, routes)([*arrays[: given.arrays], results])
    return results


class Flagged:
    """A cause of a program's flags, at work for one element."""

    def __init__(self, program: Program, number: int, dtype: np.dtype):
        self.program, self.number, self.dtype = program, number, dtype
        self.cause: Cause = program.flags.causes[number]

    def fail(self, failure: Failure, given: Given, arrays: Sequence[np.ndarray]) -> NoReturn:
        """Raise what the user's function raises for an element."""
        cause, where = self.cause, f"{self.program.call}: raised at {failure}, by {self.cause.line}"
        if cause.raises is not None:
            graph = self.program.flags.states(self.number)
            kernel = self.program.kernel(("states", self.number), graph, self.dtype)
            values = map(float, computed(kernel, given, arrays, self.dtype))
            raise cause.raises(where, dict(zip(dict(cause.states), values, strict=True)))
        with noting(where):
            self._run(given, arrays)
            raise cause.error.with_traceback(None)  # where compiled code rounds differently

    def _run(self, given: Given, arrays: Sequence[np.ndarray]) -> None:
        """Run the plain function on Python's numbers, else on NumPy's of the same dtype, until it raises what the trace met."""
        others: list[Exception] = []

        def keep(kind, error, traceback):
            is_other = isinstance(error, Exception) and not isinstance(error, type(self.cause.error))
            others.extend([error] * is_other)
            return is_other

        before = config.raising.set(True)
        try:
            for is_python in (True, False):
                element = self._element(given, arrays, is_python)
                with ExitStack() as stack, np.errstate(all="ignore"):
                    stack.push(keep)
                    self.program.plainly(element)
        finally:
            config.raising.reset(before)
        if others:
            raise others[0]

    def warn(self, given: Given, arrays: Sequence[np.ndarray]) -> None:
        """Issue the warning, with the text that it has for an element."""
        with warnings.catch_warnings(record=True) as issued, suppress(Exception):
            warnings.simplefilter("always")
            self._run(given, arrays)
        error, line = self.cause.error, self.cause.line
        message = next((w.message for w in issued if w.lineno == line.number and isinstance(w.message, type(error))), error)
        module = sys.modules.get(self.cause.module)
        registry = None if module is None else vars(module).setdefault("__warningregistry__", {})
        file = getattr(module, "__file__", None) or line.file
        warnings.warn_explicit(message, type(message), file, line.number, self.cause.module, registry)  # type: ignore[call-overload]

    def _element(self, given: Given, arrays: Sequence[np.ndarray], is_python: bool) -> dict[str, Any]:
        """The values of all arguments, by their names."""
        inputs = self.program.graph.inputs
        graph = Graph(self.program.name, inputs, self.program.graph.nodes[: len(inputs)], tuple(range(len(inputs))))
        kernel = self.program.kernel("inputs", graph, self.dtype) if inputs else None
        slots = computed(kernel, given, arrays, self.dtype) if kernel else np.empty(0)
        values = [_number(value, slot.dtype, is_python) for value, slot in zip(slots, given.slots, strict=False)]
        named = zip(self.program.names, self.program.slots, self.program.cores, strict=True)
        return {name: np.reshape([values[k] for k in own], core) if core else values[own[0]] for name, own, core in named}


def _number(value: Any, dtype: np.dtype, is_python: bool) -> Any:
    """A number of the sweep, as one of an array of this dtype."""
    if dtype.kind == "f":
        return float(value) if is_python else value
    return dtype.type(value).item() if is_python else dtype.type(value)


def raise_plainly(plain: Callable[..., Any], operands: Sequence[float], where: str) -> NoReturn:
    """Raise what a function of the user's raises, with a note on where that was."""
    with noting(where):
        plain(*operands)
    raise InternalError(
        f"{where}; called from Python it raises nothing",
        got="an error in compiled code only",
        expected="the same from both",
        source=None,
    )


@contextmanager
def noting(note: str) -> Iterator[None]:
    """Add a note to whatever is raised in the block."""
    with ExitStack() as stack:
        stack.push(lambda kind, error, traceback: error and error.add_note(note))
        yield


class Computed(NamedTuple):
    """What a kernel computes: its key and graph; what makes a graph that begins with this, and whose outputs are all used.

    Without that those of the graph itself are.
    """

    key: Hashable
    graph: Graph
    used: Callable[[], Graph] | None = None


def watched(
    launch: Callable[..., None], program: Program, computed: Computed, dtype: np.dtype, given: Given
) -> Callable[..., None]:
    """A launch that raises where elements fail: itself, if none can."""
    nodes, is_flagged = may_fail(computed.graph), has_alarm(computed.graph)
    if not is_flagged and (not nodes or program.errors == "nan"):
        return launch
    used = computed.used() if computed.used else computed.graph
    search = Search(program, computed.key, used, nodes, dtype, is_flagged)

    def run(arrays):
        before = noted.value
        launch(arrays)
        if noted.value != before:
            search.check(given, arrays)

    return run


def cautious(entry: Callable[..., Any], graph: Graph) -> Callable[..., Any]:
    """An entry that answers False where something failed, so that the general way runs, and raises; itself, if nothing can."""
    if not may_fail(graph) and not has_alarm(graph):
        return entry

    def run(*args):
        before = noted.value
        made = entry(*args)
        return made if noted.value == before else False

    return run
