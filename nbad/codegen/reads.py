"""Reads: inputs that lie side by side for each element, as those of a vector argument do, transposed in registers; rows in lines.

They are loaded by squares as those of blocks are, a last one overlapping the one before it; a single column that is left, lane by
lane. Two or three are all in as many registers, of which each is chosen. A square is loaded where one of its columns is asked for
first.

Rows in lines, as residuals are where they are many, are one entry of the table: a cache line of each row after the other, then
the next line of each. A vector of all of them is contiguous memory, where rows of their own are as many streams, and pages.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from nbad.codegen.blocks import SIDE, Entry, Step, transposed
from nbad.codegen.host import LINE

if TYPE_CHECKING:
    from nbad.codegen.vector_ir import Printer

# columns: with AVX-512 softmax of 64 is 1.25 times faster than from rows that are staged, of 256 1.1 times
MOST = 256
FEW = 3  # columns that are chosen from registers
PLACE = """\
  %n{row}.lane = and i64 %i, {mask}
  %n{row}.line = sub i64 %i, %n{row}.lane
  %n{row}.first = mul i64 %n{row}.line, {number}
  %n{row} = add i64 %n{row}.first, %n{row}.lane"""


def may_read(number: int, lanes: int) -> bool:
    """Whether so many columns are read side by side.

    Examples
    --------
    >>> may_read(1, 4), may_read(2, 4), may_read(3, 1), may_read(MOST, 4), may_read(MOST + 1, 4)
    (False, True, False, True, False)
    """
    return 1 < number <= MOST and lanes > 1


def part_of(column: int, number: int, lanes: int) -> tuple[int, int]:
    """The first column that is loaded together with a column, and how many are.

    Examples
    --------
    >>> [part_of(column, 9, 4) for column in (3, 4, 8)], [part_of(column, 6, 8) for column in (3, 4, 5)]
    ([(0, 4), (4, 4), (8, 1)], [(0, 4), (2, 4), (2, 4)])
    >>> [part_of(column, 3, 4) for column in range(3)], [part_of(column, 3, 2) for column in range(3)]
    ([(0, 3), (0, 3), (0, 3)], [(0, 2), (0, 2), (2, 1)])
    """
    if number <= FEW and lanes > FEW:
        return 0, number
    side = min(lanes, SIDE, 1 << (number.bit_length() - 1))
    start = column // side * side
    left = number - start
    return (start, min(side, left)) if left >= side or left == 1 else (number - side, side)


def chosen(number: int, lanes: int) -> tuple[list[Step], list[int]]:
    """How two or three columns come out of as many registers, and which of the vectors they are then.

    Examples
    --------
    >>> chosen(2, 4)
    ([(0, 1, (0, 2, 4, 6)), (0, 1, (1, 3, 5, 7))], [2, 3])
    """
    steps: list[Step] = []
    rows = []
    for column in range(number):
        places = range(column, number * lanes, number)  # counted through all registers: a step sees two
        steps.append((0, 1, tuple([place if place < 2 * lanes else 0 for place in places])))
        if number == FEW:
            mask = tuple([k if place < 2 * lanes else place - lanes for k, place in enumerate(places)])
            steps.append((number + len(steps) - 1, 2, mask))
        rows.append(number + len(steps) - 1)
    return steps, rows


class Read(Entry):
    """Inputs from `first` on, so many, that lie side by side in what an entry of the table points to."""

    def __init__(self, row: int, first: int, number: int, printer: "Printer"):
        super().__init__(row, number, printer, "g")
        self.first = first

    def load(self, k: int) -> dict[int, str]:
        """Print the loads of an input, and of all that is loaded with it: the name of each, by its number."""
        start, count = part_of(k - self.first, self.number, self.lanes)
        registers: list[list[str]] = [[] for _ in range(count)]  # of each column
        for element in range(0, self.printer.width, self.lanes):
            for column, register in zip(registers, self._columns(element * self.number + start, count), strict=True):
                column.append(register)
        return {self.first + start + column: self.joined(parts, self.lanes) for column, parts in enumerate(registers)}

    def _columns(self, place: int, count: int) -> list[str]:
        """One register of each column, for the elements from a place behind the vector's first item on."""
        if count == 1:
            return [self._by_lanes(place)]
        steps: list[Step] = []
        if count == self.number <= FEW:
            vectors = [self._loaded(place + k * self.lanes, self.lanes) for k in range(count)]
            steps, rows = chosen(count, self.lanes)
        else:
            vectors = [self._row(place, k, count) for k in range(count)]
            rows = transposed(count, self.lanes, steps)
        for a, b, mask in steps:
            vectors.append(self.shuffled(f"<{self.lanes} x {self.printer.scalar}>", (vectors[a], vectors[b]), mask))
        return [vectors[row] for row in rows]

    def _row(self, place: int, first: int, count: int) -> str:
        """So many columns of an element, of that `count` behind it, and so on."""
        elements = range(first, self.lanes, count)
        return self.joined([self._loaded(place + element * self.number, count) for element in elements], count)

    def _by_lanes(self, place: int) -> str:
        kind, scalar, vector = f"<{self.lanes} x {self.printer.scalar}>", self.printer.scalar, "poison"
        for lane in range(self.lanes):
            item = self.named(f"load {scalar}, ptr {self.address(place + lane * self.number, 1)}, align {self.size}")
            vector = self.named(f"insertelement {kind} {vector}, {scalar} {item}, i32 {lane}")
        return vector

    def _loaded(self, place: int, items: int) -> str:
        return self.named(f"load <{items} x {self.printer.scalar}>, ptr {self.address(place, items)}, align {self.size}")


class Lines(Entry):
    """Rows in lines, of inputs or outputs."""

    def __init__(self, row: int, columns: Sequence[int], printer: "Printer", is_stored: bool):
        super().__init__(row, len(columns), printer, "l", is_stored)
        self.items = LINE // self.size
        self.rows: dict[int, list[int]] = {}  # of each node
        for place, k in enumerate(columns):
            self.rows.setdefault(k, []).append(place)

    def before(self) -> list[str]:
        """How many items are before the vector's first one: a line may have several vectors."""
        if self.printer.width >= self.items:
            return super().before()
        return PLACE.format(row=self.row, number=self.number, mask=self.items - 1).splitlines()

    def load(self, k: int) -> dict[int, str]:
        """Print the load of an input: its name."""
        each = self._parts(self.rows[k][0])
        return {k: self.joined([self.named(f"load {kind}, ptr {at}, align {self.size}") for _, kind, at in each], self.items)}

    def end(self) -> None:
        """Nothing waits."""

    def know(self, k: int) -> None:
        """Store a node."""
        for place in self.rows.get(k, ()):
            self.printer.body.add()  # maybe of a new block, in which the node is known then
            vector = self.printer.operand(k)
            is_whole = self.printer.width <= self.items or vector.startswith("splat")
            for first, kind, at in self._parts(place):
                lanes = range(first, first + self.items)
                part = vector if is_whole else self.shuffled(self.printer.vector, (vector, "poison"), lanes)
                self.add(f"  store {kind} {part}, ptr {at}, align {self.size}")

    def _parts(self, row: int) -> Iterator[tuple[int, str, str]]:
        """What of a vector lies in each line: the first of its elements, the type, the address."""
        items = min(self.printer.width, self.items)
        for first in range(0, self.printer.width, self.items):
            yield first, f"<{items} x {self.printer.scalar}>", self.address(first * self.number + row * self.items, items)
