"""Memory asked for ahead by kernels of wide elements, which meet cache lines in an order that the processor does not foresee.

Elements side by side are taken by squares: a line of each of some elements, then the next line of each. Many rows are as many
streams. And what is asked for in a burst, where results are stored, waits: computing and memory take their times one after the
other. So the lines of a vector are asked for at an even pace over all that is computed, each a while before it is used, and where
that falls into an earlier vector, there. With AVX-512 and cold caches, the value of softmax of 64 takes 0.7 ns a number so, and
1.3 where lines are asked for as those of the vector before are used; with residuals in lines its forward sweep takes 0.8, 1.3
before, and its reverse sweep 0.7, 1.9 before.
"""

import re
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from nbad.codegen.host import ITEMSIZE, LINE

if TYPE_CHECKING:
    from nbad.codegen.vector_ir import Printer

MANY = 12  # rows, beyond which each is asked for
CALL = 20  # how many instructions a call takes as long as
SLACK = 300  # instructions: so long before its use at least a line is asked for
# bytes of a vector up to which the nearest cache keeps two: they are asked for in the order of memory, longer ones in that of use
NEAR = 24 << 10
ADDRESS = re.compile("getelementptr|= (?:add|mul|and) i64|= load ptr")
DECLARATION = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"


def is_wide(number: int, itemsize: int) -> bool:
    """Whether elements of so many items, side by side, are longer than a line or as long.

    Examples
    --------
    >>> is_wide(7, 8), is_wide(8, 8), is_wide(8, 4)
    (False, True, False)
    """
    return number * itemsize >= LINE


def asked(name: str, address: str, nbytes: int, for_stores: bool) -> tuple[str, str]:
    """The lines that ask for what lies so many bytes behind an address."""
    return (
        f"  {name} = getelementptr i8, ptr {address}, i64 {nbytes}",
        f"  call void @llvm.prefetch.p0(ptr {name}, i32 {int(for_stores)}, i32 3, i32 1)",
    )


class Ask(NamedTuple):
    """A line of memory: when it is used first, in which entry of the table it lies, and where behind the vector's first item."""

    time: float
    row: int
    place: int


def paced(asks: list[Ask], total: float) -> list[tuple[float, int, Ask]]:
    """When each line is asked for: the moment, in the time that a vector takes, and for how many vectors on.

    Examples
    --------
    >>> asks = [Ask(0.0, 0, 0), Ask(0.0, 0, 64), Ask(800.0, 1, 0), Ask(900.0, 1, 64)]
    >>> [(moment, vectors, ask.row, ask.place) for moment, vectors, ask in paced(asks, 1000.0)]
    [(200.0, 0, 1, 64), (450.0, 1, 0, 0), (700.0, 1, 0, 64), (950.0, 1, 1, 0)]
    """
    asks, step = sorted(asks), total / max(len(asks), 1)
    lead = max([k * step - ask.time for k, ask in enumerate(asks)], default=0.0) + SLACK
    found = []
    for k, ask in enumerate(asks):
        vectors, moment = divmod(k * step - lead, total)
        found.append((moment, -int(vectors), ask))
    return sorted(found)


class Pace:
    """The lines of memory that a vector uses: noted while its values are printed, and then asked for between these."""

    def __init__(self, printer: "Printer"):
        self.printer, self.size = printer, ITEMSIZE[printer.oplist.dtype]
        self._places: list[int] = []  # lines of text before which others may stand
        self._uses: dict[tuple[int, int], int] = {}  # for each entry and line of memory the line of text that uses it first
        self._entries: dict[int, tuple[int, bool]] = {}  # items of an element, and whether they are stored

    def between(self) -> None:
        """A value begins."""
        self._places.append(len(self.printer.body.lines))

    def uses(self, row: int, number: int, place: int, items: int, is_stored: bool) -> None:
        """So many items of an entry, which has `number` of each element, are used next, from a place behind the first item on."""
        self._entries[row] = number, is_stored
        for line in range(place * self.size // LINE, ((place + items) * self.size - 1) // LINE + 1):
            self._uses.setdefault((row, line), len(self.printer.body.lines))

    def woven(self) -> list[str]:
        """The text with what asks."""
        lines = self.printer.body.lines
        if not self._uses:
            return lines
        times = list(accumulate(map(_time, lines), initial=0.0))
        starts, own = [times[place] for place in self._places], [list[str]() for _ in self._places]
        for k, (moment, vectors, ask) in enumerate(paced(self._asks(times), times[-1])):
            number, is_stored = self._entries[ask.row]
            before, address = self.printer.first_of(ask.row, f"%q{k}")
            ahead = vectors * self.printer.width * number * self.size
            own[max(bisect_right(starts, moment) - 1, 0)] += [
                *before,
                *asked(f"%q{k}.line", address, ahead + ask.place, is_stored),
            ]
        parts = zip(own, self._places, [*self._places[1:], len(lines)], strict=True)
        return lines[: self._places[0]] + [line for asks, a, b in parts for line in (*asks, *lines[a:b])]

    def _asks(self, times: list[float]) -> list[Ask]:
        """In the order of memory those of an entry are used all at once."""
        is_near, first = len(self._uses) * LINE <= NEAR, dict[int, int]()
        for (row, _), at in self._uses.items():
            first[row] = min(first.get(row, at), at)
        return [Ask(times[first[row] if is_near else at], row, line * LINE) for (row, line), at in self._uses.items()]


def _time(line: str) -> float:
    """Of a line of text, in instructions: addresses take none."""
    if " call " in line and "@llvm." not in line:
        return CALL
    return 0.0 if ADDRESS.search(line) else 1.0
