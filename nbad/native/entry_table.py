"""The table of an entry, which Python fills and the entry reads: names of its fields."""

# a header: of the sweep, of its bounds, where sections begin, of Python; behind it each argument (inputs first, then results),
# their core shapes, moves, groups of results, sets of inputs that decide work, and rooms of rows in scratch
KERNEL, WIDTH, ROWS, ROOMS, INPUTS, RESULTS, GROUPS, MOVES, LOADS, DECIDING, IN_PLACE, FROM_ROWS, BATCHED, PRIMALS = range(14)
LIMIT, FEW, TILE_SIZE, AT_ONCE, WHOLE, SHARED_FROM, LONG_FROM, WOKEN_FROM, ASKED, FRESH_FROM, LEASED, SUMS = range(14, 26)
MOVES_AT, GROUPS_AT, DECIDING_AT, ROOMS_AT = range(26, 30)
ARRAY, TUPLE, NONE, FLOAT, NUMBER, ITEM_TYPE, TYPE_NUMBER, NEW, RETURN, OWN, TUPLE_NEW, TUPLE_SET = range(30, 42)
AS_SIZE, FROM_SIZE, ANSWER, CALL, CALL_WITH, RELEASE, RETAIN, SAVE, RESTORE, TOGETHER, HEADER = range(42, 53)
IS_ROWS, DEPTH, CORE, CORE_SIZE, SHARED, ARGUMENT = range(6)
ROW, OF, OFFSET, STEP, ITEMS, DIRECT, MOVE = range(7)
NEVER, OFTEN, ALWAYS = range(3)  # whether a move is in place: where vectors are whole, or always, as of what has room for them
COUNT, IS_TUPLE, GROUP = range(3)
MOST_DIMENSIONS, MOST_ARGUMENTS = 32, 64
TEAM_BITS = 48  # of an address; what `ASKED` answers has a number of threads above it
AN_ARRAY, A_NUMBER, WITHOUT_AXES = range(3)  # what an argument is: the last two have one value for all elements
