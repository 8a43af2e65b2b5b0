"""Reads: inputs that lie side by side for each element, as those of a vector argument do, transposed in registers.

They are loaded by squares of as many columns as a register has lanes, a last one overlapping the one before it; a single column
that is left, lane by lane. A square is loaded where one of its columns is asked for first.
"""

from collections.abc import Sequence

from nbad.codegen.ahead import Ahead, asked, is_wide
from nbad.codegen.blocks import Printer, Step, transposed
from nbad.codegen.functions import shuffle
from nbad.codegen.host import ITEMSIZE

# columns: with AVX-512 softmax of 64 is 1.25 times faster than from rows that are staged, of 256 1.1 times
MOST = 256
THREE_OF_FOUR = (3, 4)  # columns and lanes
# these are taken across halves of registers first, then within them
THREE: tuple[Step, ...] = (
    *((0, 1, (0, 1, 6, 7)), (0, 2, (2, 3, 4, 5)), (1, 2, (0, 1, 6, 7))),
    *((3, 4, (0, 5, 2, 7)), (3, 5, (1, 4, 3, 6)), (4, 5, (0, 5, 2, 7))),
)


def may_read(number: int, lanes: int) -> bool:
    """Whether so many columns are read side by side.

    Examples
    --------
    >>> [number for number in range(1, 10) if may_read(number, 4)], [number for number in range(1, 10) if may_read(number, 8)]
    ([3, 4, 5, 6, 7, 8, 9], [8, 9])
    >>> may_read(256, 4), may_read(257, 4)
    (True, False)
    """
    return 1 < lanes <= number <= MOST or (number, lanes) == THREE_OF_FOUR


def part_of(column: int, number: int, lanes: int) -> tuple[int, int]:
    """The first column that is loaded together with a column, and how many are.

    Examples
    --------
    >>> [part_of(column, 9, 4) for column in (3, 4, 8)], [part_of(column, 6, 4) for column in (3, 4, 5)]
    ([(0, 4), (4, 4), (8, 1)], [(0, 4), (2, 4), (2, 4)])
    >>> [part_of(column, 3, 4) for column in range(3)], [part_of(column, 3, 2) for column in range(3)]
    ([(0, 3), (0, 3), (0, 3)], [(0, 2), (0, 2), (2, 1)])
    """
    if (number, lanes) == THREE_OF_FOUR:
        return 0, 3
    start = column // lanes * lanes
    left = number - start
    return (start, min(lanes, left)) if left >= lanes or left == 1 else (number - lanes, lanes)


class Read:
    """Inputs from `first` on, so many, that lie side by side in what an entry of the table points to."""

    def __init__(self, row: int, first: int, number: int, printer: Printer):
        self.row, self.first, self.number, self.printer = row, first, number, printer
        self.lanes, self.size = printer.functions.lanes, ITEMSIZE[printer.oplist.dtype]
        self._names = 0
        self._seen: set[int] = set()  # columns that were loaded from there on
        self._from: str | None = None  # the place of the first element, where the next vector's lines are asked for
        self._ahead = Ahead(printer.width * number * self.size)

    def load(self, k: int) -> dict[int, str]:
        """Print the loads of an input, and of all that is loaded with it: the name of each, by its number."""
        start, count = part_of(k - self.first, self.number, self.lanes)
        registers: list[list[str]] = [[] for _ in range(count)]  # of each column
        offset = self._named(f"mul i64 %i, {self.number}")
        self._from = offset if is_wide(self.number, self.size) and start not in self._seen else None
        self._seen.add(start)
        for element in range(0, self.printer.width, self.lanes):
            place = self._named(f"add i64 {offset}, {element * self.number + start}")
            for column, register in zip(registers, self._columns(place, count), strict=True):
                column.append(register)
        return {self.first + start + column: self._joined(parts) for column, parts in enumerate(registers)}

    def _columns(self, place: str, count: int) -> list[str]:
        """One register of each column, for the elements from a place on."""
        if count == 1:
            return [self._by_lanes(place)]
        pitch = self.number if count == self.lanes else self.lanes
        vectors = [self._loaded(place, row * pitch) for row in range(count)]
        steps = list(THREE)
        rows = [6, 7, 8] if count == 3 else transposed(count, steps := [])
        for a, b, mask in steps:
            self._add(shuffle(name := self._new(), f"<{self.lanes} x {self.printer.scalar}>", (vectors[a], vectors[b]), mask))
            vectors.append(name)
        return [vectors[row] for row in rows]

    def _by_lanes(self, place: str) -> str:
        kind, scalar, vector = f"<{self.lanes} x {self.printer.scalar}>", self.printer.scalar, "poison"
        for lane in range(self.lanes):
            item = self._named(f"load {scalar}, ptr {self._address(place, lane * self.number)}, align {self.size}")
            vector = self._named(f"insertelement {kind} {vector}, {scalar} {item}, i32 {lane}")
        return vector

    def _loaded(self, place: str, items: int) -> str:
        kind, address = f"<{self.lanes} x {self.printer.scalar}>", self._address(place, items)
        nbytes = self._ahead.pass_by(self.lanes * self.size) if self._from else None
        if self._from and nbytes is not None:
            for line in asked(self._new(), self._address(self._from, 0), nbytes, for_stores=False):
                self._add(line)
        return self._named(f"load {kind}, ptr {address}, align {self.size}")

    def _address(self, place: str, items: int) -> str:
        at = self._named(f"add i64 {place}, {items}")
        return self._named(f"getelementptr {self.printer.scalar}, ptr %s{self.row}, i64 {at}")

    def _joined(self, parts: Sequence[str]) -> str:
        """Registers as one vector, two by two."""
        items = self.lanes
        while len(parts) > 1:
            joined, kind = [], f"<{items} x {self.printer.scalar}>"
            items *= 2
            for pair in zip(parts[::2], parts[1::2], strict=True):
                self._add(shuffle(name := self._new(), kind, pair, range(items)))
                joined.append(name)
            parts = joined
        return parts[0]

    def _named(self, right: str) -> str:
        name = self._new()
        self._add(f"  {name} = {right}")
        return name

    def _add(self, line: str) -> None:
        self.printer.body.lines.append(line)  # at once with the line before it, in the same block

    def _new(self) -> str:
        self._names += 1
        return f"%g{self.row}.{self._names}"
