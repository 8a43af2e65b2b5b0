"""Reads: inputs that lie side by side for each element, as those of a vector argument do, transposed in registers.

They are loaded by squares as those of blocks are, a last one overlapping the one before it; a single column that is left, lane by
lane. Two or three are all in as many registers, of which each is chosen. A square is loaded where one of its columns is asked for
first.
"""

from collections.abc import Sequence

from nbad.codegen.ahead import Ahead, asked, is_wide
from nbad.codegen.blocks import SIDE, Printer, Step, transposed
from nbad.codegen.functions import shuffle
from nbad.codegen.host import ITEMSIZE

# columns: with AVX-512 softmax of 64 is 1.25 times faster than from rows that are staged, of 256 1.1 times
MOST = 256
FEW = 3  # columns that are chosen from registers
# three columns and four lanes: these are taken across halves of registers first, then within them
THREE: tuple[Step, ...] = (
    *((0, 1, (0, 1, 6, 7)), (0, 2, (2, 3, 4, 5)), (1, 2, (0, 1, 6, 7))),
    *((3, 4, (0, 5, 2, 7)), (3, 5, (1, 4, 3, 6)), (4, 5, (0, 5, 2, 7))),
)


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
    if (number, lanes) == (3, 4):
        return list(THREE), [6, 7, 8]
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
        return {self.first + start + column: self._joined(parts, self.lanes) for column, parts in enumerate(registers)}

    def _columns(self, place: str, count: int) -> list[str]:
        """One register of each column, for the elements from a place on."""
        if count == 1:
            return [self._by_lanes(place)]
        steps: list[Step] = []
        if count == self.number <= FEW:
            vectors = [self._loaded(place, k * self.lanes, self.lanes) for k in range(count)]
            steps, rows = chosen(count, self.lanes)
        else:
            vectors = [self._row(place, k, count) for k in range(count)]
            rows = transposed(count, self.lanes, steps)
        for a, b, mask in steps:
            self._add(shuffle(name := self._new(), f"<{self.lanes} x {self.printer.scalar}>", (vectors[a], vectors[b]), mask))
            vectors.append(name)
        return [vectors[row] for row in rows]

    def _row(self, place: str, first: int, count: int) -> str:
        """So many columns of an element, of that `count` behind it, and so on."""
        elements = range(first, self.lanes, count)
        return self._joined([self._loaded(place, element * self.number, count) for element in elements], count)

    def _by_lanes(self, place: str) -> str:
        kind, scalar, vector = f"<{self.lanes} x {self.printer.scalar}>", self.printer.scalar, "poison"
        for lane in range(self.lanes):
            item = self._named(f"load {scalar}, ptr {self._address(place, lane * self.number)}, align {self.size}")
            vector = self._named(f"insertelement {kind} {vector}, {scalar} {item}, i32 {lane}")
        return vector

    def _loaded(self, place: str, first: int, items: int) -> str:
        kind, address = f"<{items} x {self.printer.scalar}>", self._address(place, first)
        nbytes = self._ahead.pass_by(items * self.size) if self._from else None
        if self._from and nbytes is not None:
            for line in asked(self._new(), self._address(self._from, 0), nbytes, for_stores=False):
                self._add(line)
        return self._named(f"load {kind}, ptr {address}, align {self.size}")

    def _address(self, place: str, items: int) -> str:
        at = self._named(f"add i64 {place}, {items}")
        return self._named(f"getelementptr {self.printer.scalar}, ptr %s{self.row}, i64 {at}")

    def _joined(self, parts: Sequence[str], items: int) -> str:
        """Vectors of so many items as one, two by two."""
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
