"""The table of an entry, which Python fills and the entry reads: names of its fields."""

# the table: a header; then for each argument (inputs first, then results), move, constant and group of results its fields
KERNEL, WIDTH, INPUTS, RESULTS, ROWS, LIMIT, FEW, TILE_SIZE, IN_PLACE, FROM_ROWS, LOADS, MOVES, CONSTANTS, GROUPS = range(14)
ARRAY, ITEM_TYPE, FLOAT, NUMBER, TYPE_NUMBER, NEW, RETURN, TUPLE_NEW, TUPLE_SET, TUPLE_SIZE, TUPLE_GET = range(14, 25)
AS_SIZE, ANSWER, MOVES_AT, CONSTANTS_AT, GROUPS_AT, BATCHED, PRIMALS, RELEASE, HEADER = range(25, 34)
IS_ROWS, DEPTH, CORE, CORE_SIZE, SHARED, ARGUMENT = range(6)
ROW, OF, OFFSET, STEP, ALONE, MOVE = range(6)
VALUE, CONSTANT = range(1, 3)
COUNT, IS_TUPLE, GROUP = range(3)
MOST_DIMENSIONS, MOST_ARGUMENTS = 32, 64
AN_ARRAY, A_NUMBER, WITHOUT_AXES = range(3)  # what an argument is: the last two have one value for all elements
