"""The table of a launch, which Python packs and the worker reads: names of its fields, and the sizes of what a worker needs."""

from nbad.codegen.host import LINE

TILE = 256
GAP, GAP_EVERY = 64, 4096  # bytes: rows a multiple of 4096 apart would share cache sets
PITCH = 8 * TILE + GAP
LANES = 16
TARGET = 4  # entries of a store's target: source, target, stride, mode
# header; a section has its start and its length, and for loads and stores how many are needed in a full tile too
BODY, PROLOGUE, BODY_ROW, COUNT, NDIM, WIDTH, ITEMSIZE = range(7)
ROWS, ROW_COUNT, LOADS, LOAD_COUNT, STAGED_LOADS, STORES, STORE_COUNT, STAGED_STORES = range(7, 15)
SUMS, SUM_COUNT, BLOCKS, BLOCK_COUNT, READS, READ_COUNT, GATHERS, GATHER_COUNT, INDEXED, INDEXED_COUNT = range(15, 25)
BLOCK_STREAMS, PART, BLOCK_BYTES, LEAD, ALL_DIRECT, SHAPE, HEADER = range(25, 32)
# fields of a row, and of a load, store or sum: in loads and stores one stride per dimension follows; those of a block are the
# first ones, how many columns are before its own, and how many these are
R_ARRAY, R_OFFSET, R_SEED_STRIDE, R_PADDED, R_ITEMS, R_SIZE = range(6)
M_ROW, M_ARRAY, M_OFFSET, M_SEED_STRIDE, M_MODE, M_SIZE = range(6)
BEFORE, COLUMNS, BLOCK_SIZE = range(M_MODE, M_SIZE + 2)
# fields of a gather: how many fields and how many loads it has, the bytes from an element to the next; behind them the loads
G_LENGTH, G_NUMBER, G_PITCH, G_SIZE = range(4)
# fields of loads by an index: the same numbers, the row for addresses, the index's array and its offset, the bytes of one step;
# behind them the strides of the index, those of the array, and the loads, without strides
X_LENGTH, X_NUMBER, X_ROW, X_ARRAY, X_OFFSET, X_PITCH, X_SIZE = range(7)
PER_SEED, UNIFORM, MODE_SHIFT = 1, 2, 2  # a load's mode: two flags below its dtype code; a store's: whether it adds


def worker_bytes(rows, stores, parts):
    """Memory that one worker needs: scratch rows, parts of blocks, the kernel's table, targets of the stores, lanes of a sum."""
    size = rows * PITCH + parts + 8 * (rows + TARGET * stores + LANES)
    return -(-size // LINE) * LINE  # scratch rows begin at whole cache lines, those of the next worker, too
