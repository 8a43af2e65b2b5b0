"""Blocks: results that lie side by side for each element, as those of a Jacobian do, transposed in registers.

The columns of a block are taken by squares: as many as a register has lanes, 8 at most, and what is left by smaller ones. A
square is stored as soon as its columns are known, so that few of them are alive.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from nbad.codegen.ahead import is_wide
from nbad.codegen.functions import shuffle
from nbad.codegen.host import ITEMSIZE

if TYPE_CHECKING:
    from nbad.codegen.vector_ir import Printer

# how the lanes of two vectors, counted through both, become a third: numbers of the two, and the lanes
Step = tuple[int, int, tuple[int, ...]]

# Three columns, the most usual block that no square fits, side by side: steps within halves of registers first, then across.
# By the bytes of an item and the lanes of a register. LLVM takes 15 steps for the first where it is told the result alone.
THREE: dict[tuple[int, int], tuple[Step, ...]] = {
    (8, 4): (
        *((0, 1, (0, 4, 2, 6)), (2, 0, (0, 5, 2, 7)), (1, 2, (1, 5, 3, 7))),
        *((3, 4, (0, 1, 4, 5)), (5, 3, (0, 1, 6, 7)), (4, 5, (2, 3, 6, 7))),
    ),
    (4, 8): (
        *((0, 1, (0, 2, 8, 10, 4, 6, 12, 14)), (1, 2, (1, 3, 9, 11, 5, 7, 13, 15)), (2, 0, (0, 2, 9, 11, 4, 6, 13, 15))),
        *((3, 5, (0, 2, 8, 10, 4, 6, 12, 14)), (4, 3, (0, 2, 9, 11, 4, 6, 13, 15)), (5, 4, (1, 3, 9, 11, 5, 7, 13, 15))),
        *((6, 7, (0, 1, 2, 3, 8, 9, 10, 11)), (8, 6, (0, 1, 2, 3, 12, 13, 14, 15)), (7, 8, (4, 5, 6, 7, 12, 13, 14, 15))),
    ),
}


SIDE = 8  # columns of a square: with 16 lanes, halves of registers are stored at once, and one of 16 takes as long or longer


class Stored(NamedTuple):
    """A vector of a square, and from which item of the first element's columns on it is stored."""

    vector: int
    items: int
    place: int


class Square(NamedTuple):
    """Neighbouring columns of a block: the first of them, how many there are, and how they are transposed.

    The vectors that the steps make are numbered on behind those of the columns.
    """

    start: int
    columns: int
    steps: tuple[Step, ...]
    stores: tuple[Stored, ...]


def squares(number: int, lanes: int, itemsize: int) -> list[Square]:
    """What a block of so many columns is taken by; a last square may overlap the one before it.

    Examples
    --------
    >>> [(s.start, s.columns) for s in squares(11, 4, 8)]
    [(0, 4), (4, 4), (7, 4)]
    >>> [(s.start, s.columns) for s in squares(9, 4, 8)]
    [(0, 4), (4, 4), (8, 1)]
    """
    if number == 3:
        return [_three(lanes, itemsize)]
    found, start, side = [], 0, min(lanes, SIDE)
    while start < number:
        left = number - start
        count = side if left >= side else 1 << (left - 1).bit_length()
        if count > number:  # there is nothing before it to overlap
            count //= 2
        start = min(start, number - count)
        found.append(_square(start, count, lanes, number))
        start += count
    return found


def _three(lanes: int, itemsize: int) -> Square:
    """Three columns, stored as three whole vectors."""
    steps = THREE.get((itemsize, lanes)) or _three_by_any(lanes)
    last = 2 + len(steps)
    return Square(0, 3, steps, tuple(Stored(last - 2 + k, lanes, k * lanes) for k in range(3)))


def _three_by_any(lanes: int) -> tuple[Step, ...]:
    """The same where two vectors may be mixed at will."""
    both = tuple(range(2 * lanes))
    order = [column * lanes + element for element in range(lanes) for column in range(3)]
    parts = [tuple(order[k * lanes : (k + 1) * lanes]) for k in range(3)]
    return (0, 1, both), (2, 2, both), *((3, 4, part) for part in parts)


def _square(start: int, count: int, lanes: int, number: int) -> Square:
    steps: list[Step] = []
    if count == number < lanes:
        whole = _side_by_side(count, lanes, steps)
        return Square(start, count, tuple(steps), (Stored(whole, lanes * count, 0),))
    rows = transposed(count, lanes, steps)
    if count < lanes:  # a row is several elements
        parts = [(row, tuple(range(place, place + count))) for place in range(0, lanes, count) for row in rows]
        rows = list(range(first := count + len(steps), first + lanes))
        steps += [(row, row, part) for row, part in parts]
    return Square(start, count, tuple(steps), tuple(Stored(row, count, k * number) for k, row in enumerate(rows)))


def transposed(count: int, lanes: int, steps: list[Step]) -> list[int]:
    """The rows of so many columns: the k-th has those of element k, of that `count` behind it, and so on, side by side.

    Columns come of such rows by the same steps. Each round takes neighbours two by two, and of both what stands at even places or
    at odd ones, in groups that double: most steps stay within halves of registers, those across move halves as a whole. With
    AVX2 LLVM needs half the instructions that rounds of interleaving take.
    """
    rows, size = list(range(count)), 1
    while size < count:
        made, half = count + len(steps), count // 2
        pairs = [(rows[k + r], rows[k + size + r]) for k in range(0, count, 2 * size) for r in range(size)]
        for odd in (0, size):
            groups = [range(place, place + size) for place in range(odd, lanes, 2 * size)]
            mask = tuple(vector + lane for group in groups for vector in (0, lanes) for lane in group)
            steps += [(a, b, mask) for a, b in pairs]
        rows = [made + k + r for start in range(0, half, size) for k in (start, start + half) for r in range(size)]
        size *= 2
    return rows


def _side_by_side(count: int, lanes: int, steps: list[Step]) -> int:
    """One long vector of some columns, element after element."""
    rows, items = list(range(count)), lanes
    while len(rows) > 1:
        made, half = count + len(steps), len(rows) // 2
        mask = tuple(lane for k in range(items) for lane in (k, items + k))
        steps += [(a, b, mask) for a, b in zip(rows[:half], rows[half:], strict=True)]
        rows, items = list(range(made, made + half)), 2 * items
    return rows[0]


class Entry:
    """An entry of the table that has several items of each element; names in its text begin with a letter of its own."""

    def __init__(self, row: int, number: int, printer: "Printer", letter: str, is_stored: bool = False):
        self.row, self.number, self.printer, self.is_stored = row, number, printer, is_stored
        self.size = ITEMSIZE[printer.oplist.dtype]
        self.lanes = printer.functions.lanes
        self._letter, self._names = letter, 0

    def begin(self) -> None:
        """What a pass begins with: the address of the vector's first item."""
        for line in (*self.before(), f"  %e{self.row} = getelementptr {self.printer.scalar}, ptr %s{self.row}, i64 %n{self.row}"):
            self.add(line)

    def before(self) -> list[str]:
        """How many items are before the vector's first one."""
        return [f"  %n{self.row} = mul i64 %i, {self.number}"]

    def address(self, place: int, items: int) -> str:
        """The address of so many items that are used next, from a place behind the first one on."""
        if is_wide(self.number, self.size):
            self.printer.pace.uses(self.row, self.number, place, items, self.is_stored)
        return self.named(f"getelementptr {self.printer.scalar}, ptr %e{self.row}, i64 {place}")

    def shuffled(self, kind: str, pair: Sequence[str], lanes: Sequence[int]) -> str:
        """The lanes of two vectors as one."""
        self.add(shuffle(name := self.new(), kind, (pair[0], pair[1]), lanes))
        return name

    def joined(self, parts: Sequence[str], items: int) -> str:
        """Vectors of so many items as one, two by two."""
        while len(parts) > 1:
            pairs, kind, items = zip(parts[::2], parts[1::2], strict=True), f"<{items} x {self.printer.scalar}>", 2 * items
            parts = [self.shuffled(kind, pair, range(items)) for pair in pairs]
        return parts[0]

    def named(self, right: str) -> str:
        """A value that has a name from here on."""
        self.add(f"  {(name := self.new())} = {right}")
        return name

    def new(self) -> str:
        """A name."""
        self._names += 1
        return f"%{self._letter}{self.row}.{self._names}"

    def add(self, line: str) -> None:
        """A line, at once with the one before it, in the same block."""
        self.printer.body.lines.append(line)


class Block(Entry):
    """A block of columns, and the squares of it that are not stored yet."""

    def __init__(self, row: int, columns: tuple[int, ...], printer: "Printer"):
        super().__init__(row, len(columns), printer, "x", is_stored=True)
        self.columns = columns
        self.left = squares(len(columns), self.lanes, self.size)
        nodes = printer.oplist.nodes
        self._missing = {k for k in columns if nodes[k].op not in ("input", "const")}

    def add(self, line: str) -> None:
        """A line, maybe of a new block."""
        self.printer.body.add(line)

    def know(self, k: int) -> None:
        """Store what is complete now."""
        if k in self._missing:
            self._missing.remove(k)
            own = {place for place, column in enumerate(self.columns) if column == k}
            complete = [s for s in self.left if own & set(range(s.start, s.start + s.columns)) and not self._misses(s)]
            self.store(complete)

    def _misses(self, square: Square) -> bool:
        return not self._missing.isdisjoint(self.columns[square.start : square.start + square.columns])

    def end(self) -> None:
        """Store what waited for nothing: inputs and constants alone."""
        self.store(self.left)

    def store(self, complete: list[Square]) -> None:
        """Print some squares, for each register of a vector one after the other."""
        self.left = [square for square in self.left if square not in complete]
        for square in complete:
            columns = [self.printer.operand(k) for k in self.columns[square.start : square.start + square.columns]]
            for first in range(0, self.printer.width, self.lanes):
                self._store(square, [self._part(column, first) for column in columns], first * self.number + square.start)

    def _part(self, vector: str, first: int) -> str:
        """One register of a vector."""
        if self.lanes == self.printer.width or vector.startswith("splat"):
            return vector
        return self.shuffled(self.printer.vector, (vector, "poison"), range(first, first + self.lanes))

    def _store(self, square: Square, vectors: list[str], place: int) -> None:
        """Transpose registers and store what comes out, from a place behind the vector's first item on."""
        scalar, items = self.printer.scalar, [self.lanes] * len(vectors)
        for a, b, lanes in square.steps:
            vectors.append(self.shuffled(f"<{items[a]} x {scalar}>", (vectors[a], vectors[b]), lanes))
            items.append(len(lanes))
        for stored in square.stores:
            address = self.address(place + stored.place, stored.items)
            self.add(f"  store <{stored.items} x {scalar}> {vectors[stored.vector]}, ptr {address}, align {self.size}")
