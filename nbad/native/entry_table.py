"""The table of an entry, which Python fills and the entry reads: names of its fields."""

# the table: a header; then for each argument (inputs first, then results), move and group of results its fields
KERNEL, WIDTH, INPUTS, RESULTS, ROWS, LIMIT, FEW, TILE_SIZE, IN_PLACE, FROM_ROWS, LOADS, MOVES, GROUPS = range(13)
ARRAY, ITEM_TYPE, FLOAT, NUMBER, TYPE_NUMBER, NEW, RETURN, TUPLE_NEW, TUPLE_SET, TUPLE, NONE = range(13, 24)
AS_SIZE, ANSWER, MOVES_AT, GROUPS_AT, BATCHED, PRIMALS, RELEASE, RETAIN = range(24, 32)
SHARED_FROM, LONG_FROM, WOKEN_FROM, ASKED, CALL, TOGETHER, SAVE, RESTORE = range(32, 40)
FRESH_FROM, LEASED, CALL_WITH, FROM_SIZE, AS_INDEX, OWN, WHOLE, AT_ONCE, DECIDING, DECIDING_AT, HEADER = range(40, 51)
IS_ROWS, DEPTH, CORE, CORE_SIZE, SHARED, ARGUMENT = range(6)
ROW, OF, OFFSET, STEP, ALONE, ROOM, ITEMS, MOVE = range(8)
ALWAYS = 2  # a move that is alone, and in place whatever the count is: of rows in lines, which have room for whole vectors
COUNT, IS_TUPLE, GROUP = range(3)
MOST_DIMENSIONS, MOST_ARGUMENTS = 32, 64
TEAM_BITS = 48  # of an address; what `ASKED` answers has a number of threads above it
AN_ARRAY, A_NUMBER, WITHOUT_AXES = range(3)  # what an argument is: the last two have one value for all elements
