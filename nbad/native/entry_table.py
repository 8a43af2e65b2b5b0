"""The table of an entry, which Python fills and the entry reads: names of its fields."""

# a header: of the sweep, of its bounds, where sections begin, of Python; behind it each argument (inputs first, then results),
# their core shapes, moves, groups of results, sets of inputs that decide work, and rooms of rows in scratch
KERNEL, WIDTH, ROWS, ROOMS, INPUTS, RESULTS, GROUPS, MOVES, LOADS, DECIDING, IN_PLACE, FROM_ROWS, BATCHED, PRIMALS = range(14)
LIMIT, FEW, COPIED, TILE_SIZE, AT_ONCE, WHOLE, SHARED_FROM, LONG_FROM, WOKEN_FROM, ASKED, FRESH_FROM, LEASED = range(14, 26)
SUMS, ORDERED, NARROW, NARROW_WIDTH, MOVES_AT, GROUPS_AT, DECIDING_AT, ROOMS_AT, ORDER_AT = range(26, 35)
ARRAY, TUPLE, NONE, FLOAT, NUMBER, INTEGER, ITEM_TYPE, TYPE_NUMBER, NEW, RETURN, OWN, COPY, TUPLE_NEW, TUPLE_SET = range(35, 49)
AS_SIZE, FROM_SIZE, ANSWER, CALL, CALL_WITH, RELEASE, RETAIN, SAVE, RESTORE, TOGETHER, FAILED, FORGET = range(49, 61)
ENTER, EXIT, UNWATCHED, HEADER = range(61, 65)
IS_ROWS, DEPTH, CORE, CORE_SIZE, SHARED, FLOATING, ARGUMENT = range(7)  # SHARED: 1 + its axes of length 1
ROW, OF, OFFSET, STEP, ITEMS, DIRECT, MOVE = range(7)
NEVER, OFTEN, ALWAYS = range(3)  # whether a move is in place: where vectors are whole, or always, as of what has room for them
COUNT, IS_TUPLE, GROUP = range(3)
MOST_DIMENSIONS, MOST_ARGUMENTS = 32, 64
TEAM_BITS = 48  # of an address; what `ASKED` answers has a number of threads above it
AN_ARRAY, A_NUMBER, ONE_ITEM = range(3)  # what an argument is: the last two have one value for all elements
