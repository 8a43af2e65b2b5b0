"""The compiled part of sums of rows: one worker's share, with the parameters that a sweep's worker has.

`adder` adds the rows of each sum, run by run, wherever they lie. `scatterer` goes through the rows as they lie, and adds each to
its sum, in an array of sums for each part. Both add the rows of a run, or of a part, one after the other, in float64, and all
columns at once as far as registers go: the bits of a column do not depend on what else is added, or by whom.
"""

import functools
from typing import NamedTuple

from llvmlite import ir

from nbad.codegen.compile import compile_lasting
from nbad.codegen.disk import text_of
from nbad.codegen.host import LINE
from nbad.native.builder import I32, I64, VOID, Code, Int
from nbad.native.convert import DOUBLE, FLOAT, FLOATS
from nbad.native.cpython import DATA
from nbad.native.interleave import load_three
from nbad.native.launch_table import TILE

# tables: how many sums; bytes from seed to seed of what is added, and of the result; bytes of an item of the result
COUNT, SEED, RESULT_SEED, RESULT_ITEM, FIELDS = range(5)
# or how many rows, and how many of them are a part; the same bytes; sums of a part
ROWS, PART_ROWS, ROWS_SEED, SUMS_SEED, SUMS, PART_FIELDS = range(6)
SOURCE, RESULT, ORDER, BOUNDS, FIRSTS, TARGETS, STEPS = range(7)  # the arrays
WIDEST = 16  # columns at once
AHEAD = 16  # rows that are asked for before they are added: without it, each that lies in memory is waited for
PREFETCH = "llvm.prefetch.p0"


class Kind(NamedTuple):
    """What the code of sums depends on.

    Attributes
    ----------
    values : int
        Of a row.
    itemsize : int
        Of what is added.
    number : int
        Bytes of the numbers in the arrays of integers.
    is_ordered, has_runs, has_targets : bool
        Which of these there are: without an order rows are those that runs name; without runs each sum has one; without targets
        the sums are all, in order.
    is_chained : bool
        Whether a sum begins with what its place holds, a float64, if that is no complement.
    is_far : bool
        Whether rows may be in memory only.
    rows : int
        Of a term.
    """

    values: int
    itemsize: int
    number: int
    is_ordered: bool
    has_runs: bool
    has_targets: bool
    is_chained: bool
    is_far: bool = True
    rows: int = 1


@functools.cache
def adder(kind):
    """Address of `add(table, ids, scratch, tile, last tile, seed, last seed)`; a tile is 256 sums.

    Examples
    --------
    >>> adder(Kind(3, 8, 4, True, False, False, False)) != 0
    True
    """
    return compile_lasting(text_of(f"adder {DATA} {tuple(kind)}", lambda: _print_adder(kind)), "add")


@functools.cache
def scatterer(values, itemsize, number):
    """Address of `scatter(table, ids, scratch, tile, last tile, seed, last seed)`; a tile is a part.

    Examples
    --------
    >>> scatterer(3, 8, 4) != 0
    True
    """
    key = values, itemsize, number
    return compile_lasting(text_of(f"scatterer {DATA} {key}", lambda: _print_scatterer(*key)), "scatter")


def _print_adder(kind):
    code = Code(ir.Module("adder"), "add", 7, internal=False)
    table, ids, _, tile, last_tile, first_seed, last_seed = code.parameters
    source, result, *integers = (code.load(code.field(ids, k) + DATA) for k in range(STEPS + 1))
    order, bounds, firsts, targets, steps = (functools.partial(_number, code, array, size=kind.number) for array in integers)
    count, size = code.field(table, COUNT), code.field(table, RESULT_ITEM)
    last_row = bounds(firsts(count) if kind.has_runs else count) - 1
    pitch = kind.values * kind.itemsize
    with code.loop(first_seed, last_seed) as seed, code.loop(tile * TILE, code.smaller(last_tile * TILE, count)) as number:
        start = source + seed * code.field(table, SEED)
        target, begins = (targets(number) if kind.has_targets else number), None
        if kind.has_targets and kind.is_chained:
            begins = target < 0
            target = code.select(begins, target * -1 - 1, target)
        place = result + seed * code.field(table, RESULT_SEED) + target * kind.values * size
        apart = steps(number) * kind.values * size if kind.rows > 1 else None
        runs = (firsts(number), firsts(number + 1)) if kind.has_runs else (number, number + 1)

        def row_of(k, first, columns, start=start):
            """Where the columns of a row begin."""
            if not kind.is_ordered:
                return start + k * pitch + first * kind.itemsize
            if kind.is_far:
                ahead = start + order(code.smaller(k + AHEAD, last_row)) * pitch + first * kind.itemsize
                for byte in sorted({*range(0, columns * kind.itemsize, LINE), columns * kind.itemsize - 1}):
                    _prefetch(code, ahead + byte)
            return start + order(k) * pitch + first * kind.itemsize

        for first, columns in _groups(code, kind.values):
            own = _Columns(code, columns, FLOATS[kind.itemsize], kind.rows, code.int(pitch))
            totals = own.loaded(place + first * 8, DOUBLE, apart) if kind.is_chained else []
            if begins is not None:
                totals = [code.builder.select(begins.value, ir.Constant(v.type, None), v) for v in totals]
            if kind.has_runs:
                totals = own.chained(totals, runs, bounds, functools.partial(row_of, first=first, columns=columns))
            else:
                sums = own.run((bounds(number), bounds(number + 1)), functools.partial(row_of, first=first, columns=columns))
                totals = own.added(totals, sums) if totals else sums
            own.store(totals, place + first * size, size, apart)
    return code.text()


def _print_scatterer(values, itemsize, size):
    code = Code(ir.Module("scatterer"), "scatter", 7, internal=False)
    table, ids, _, tile, last_tile, first_seed, last_seed = code.parameters
    source, result, positions = (code.load(code.field(ids, k) + DATA) for k in range(ORDER + 1))
    rows, step, sums = (code.field(table, k) for k in (ROWS, PART_ROWS, SUMS))
    with code.loop(first_seed, last_seed) as seed, code.loop(tile, last_tile) as part:
        start, own = source + seed * code.field(table, ROWS_SEED), result + seed * code.field(table, SUMS_SEED)
        own = own + part * sums * (values * 8)
        with code.loop(0, sums * values) as k:
            code.store(own + k * 8, ir.Constant(DOUBLE, 0.0), DOUBLE)
        with code.loop(part * step, code.smaller((part + 1) * step, rows)) as row:
            place = own + _number(code, positions, row, size) * (values * 8)
            for first, count in _groups(code, values):
                columns = _Columns(code, count, FLOATS[itemsize])
                terms = columns.loaded(start + row * (values * itemsize) + first * itemsize, columns.kind)
                before = columns.loaded(place + first * 8, DOUBLE)
                columns.store(columns.added(before, terms), place + first * 8, code.int(8))
    return code.text()


def _groups(code, values):
    """The columns of a row by groups: the first of each, and how many it has; those of full groups inside a loop."""
    full = values // WIDEST
    if full:
        with code.loop(0, full) as k:
            yield k * WIDEST, WIDEST
    if values > full * WIDEST:
        yield code.int(full * WIDEST), values - full * WIDEST


class _Columns:
    """Some columns of rows, as vectors in registers: a list of them for each term or sum, which may be of several rows."""

    def __init__(self, code, columns, kind, rows=1, step=None):
        self.code, self.kind, self.step = code, kind, step
        self.pieces = [(row, column, width) for row in range(rows) for column, width in _pieces(columns, rows > 1)]

    def _places(self, address, size, step):
        """Where each vector begins, and how many items it is."""
        return [(address + (step * row if row else 0) + column * size, width) for row, column, width in self.pieces]

    def loaded(self, address, kind, step=None):
        """A term as float64, from items of this kind and rows so many bytes apart."""
        vectors = []
        for place, width in self._places(address, 8 if kind is DOUBLE else 4, step):
            vector = load_three(self.code, place, kind) if width == 3 else self.code.load(place, ir.VectorType(kind, width))
            vectors.append(vector if kind is DOUBLE else self.code.builder.fpext(vector, ir.VectorType(DOUBLE, _lanes(width))))
        return vectors

    def added(self, some, others):
        """The sum of two."""
        return [self.code.builder.fadd(a, b) for a, b in zip(some, others, strict=True)]

    def run(self, span, row_of):
        """The sum of the rows of a run."""
        with self.code.fold(*span, self._zeros()) as (k, totals):
            totals[:] = self.added(totals, self.loaded(row_of(k), self.kind, self.step))
        return totals

    def chained(self, start, runs, bounds, row_of):
        """The sums of runs, one added to the other."""
        with self.code.fold(*runs, start or self._zeros()) as (k, totals):
            totals[:] = self.added(totals, self.run((bounds(k), bounds(k + 1)), row_of))
        return totals

    def _zeros(self):
        return [ir.Constant(ir.VectorType(DOUBLE, _lanes(width)), None) for *_, width in self.pieces]

    def store(self, vectors, address, itemsize, step=None):
        """Put a sum, in items of this size."""
        for size, kind in FLOATS.items():
            with self.code.when(itemsize.equals(size)):
                for (place, width), vector in zip(self._places(address, size, step), vectors, strict=True):
                    narrow = vector if kind is DOUBLE else self.code.builder.fptrunc(vector, ir.VectorType(FLOAT, _lanes(width)))
                    for first, count in ((0, 2), (2, 1)) if width == 3 else ((0, width),):
                        part = self._part(narrow, first, count)
                        self.code.store(place + first * size, part, part.type)

    def _part(self, vector, first, count):
        """Some lanes of a vector."""
        if vector.type.count == count:
            return vector
        return self.code.builder.shuffle_vector(
            vector, vector, ir.Constant(ir.VectorType(I32, count), [*range(first, first + count)])
        )


def _pieces(columns, are_tall=False):
    """Columns as vectors that registers hold: the first of each, and how many it has.

    Three that are left are two and one, as they are stored: to load what two stores wrote as one vector waits for both, and took
    pullbacks of 1e4 triangles 1.4 times as long. Of tall terms they are one with a lane to spare: Hessians of 1e5 take 1.1 times
    as long without it.

    Examples
    --------
    >>> _pieces(11), _pieces(3, are_tall=True)
    ([(0, 4), (4, 4), (8, 2), (10, 1)], [(0, 3)])
    """
    pieces = [(column, min(4, columns - column)) for column in range(0, columns, 4)]
    if pieces[-1][1] == 3 and not are_tall:
        pieces[-1:] = [(columns - 3, 2), (columns - 1, 1)]
    return pieces


def _lanes(width):
    """Of the vector of so many items."""
    return 4 if width == 3 else width


def _number(code, array, k, size):
    """Number `k` of an array of integers of this size."""
    if size == 8:
        return code.field(array, k)
    return Int(code.builder, code.builder.sext(code.load(array + k * 4, I32), I64))


def _prefetch(code, address):
    """Ask for what lies at an address."""
    flags = I32(0), I32(3), I32(1)  # to read, into all caches, data
    code.intrinsic(PREFETCH, VOID, code.pointer(address, ir.IntType(8)), *flags)
