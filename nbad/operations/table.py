"""The primitive table: one row is all that an operation needs.

Expressions are text that both SymPy and mpmath read, in the operands `x`, `y`, `z`, the payload `n` and, in partials, the value
`v` of the operation itself. Where a partial is None, SymPy's own derivative of `expression` is used, which
`nbad.operations.derived` holds; a text is a stable form of it, computed in the order written, which a test proves equal. It may
call operations by their names in this table, a payload first. Where the first case of a `Piecewise` is 0, the operand counts as
an untaken branch: nothing that happens in it can spoil a derivative.

An operation with an `expansion` is lowered to other operations; one with a `libm` name calls that function of the C library or
its vector variant, one with a `scipy` name that of SciPy; the rest are single machine instructions.

An expansion is called as `expansion(g, *operands)`, the payload last where there is one. `g.<name>(...)` applies an operation of
the table and `g.where(c, a, b)` a select. Operands overload `+ - * /`, unary minus and `< <= > >=`, conditions `& | ~`; equality
is `g.eq` and `g.ne`. Python floats stand for constants everywhere, as the result too.

Some operations have no spelling: kernels cannot name them, they are there for partials. `tanh` has the partial `sech(x)**2`,
whose own derivative neither cancels nor overflows, so that derivatives of every order stay accurate.
"""

from typing import Any

from nbad.operations.bessel import BESSEL
from nbad.operations.elementary import ARITHMETIC, EXPONENTIAL, LOGIC, ROUNDING, TRIGONOMETRIC
from nbad.operations.integrals import INTEGRALS
from nbad.operations.row import Operation
from nbad.operations.special import SPECIAL

ROWS = ARITHMETIC + LOGIC + ROUNDING + EXPONENTIAL + TRIGONOMETRIC + SPECIAL + BESSEL + INTEGRALS
# the one table that grows: `nbad.primitive` adds a row for each operation of the user's
TABLE = {row.name: row for row in ROWS}


def row_of(op: str, payload: Any = None) -> Operation:
    """The row of an operation: that of the table, or the one that its payload brings, as that of a loop does.

    Examples
    --------
    >>> row_of("sin").libm
    'sin'
    """
    row: Operation | None = (
        None if payload is None else getattr(payload, "row", None)
    )  # nearly all have none, and it is asked often
    return TABLE[op] if row is None else row


def newest(name: str) -> str:
    """The row that a name stands for now: a user who defines an operation again gets a row `name.2`, and so on.

    Examples
    --------
    >>> newest("sin")
    'sin'
    """
    count = 1
    while f"{name}.{count + 1}" in TABLE:
        count += 1
    return name if count == 1 else f"{name}.{count}"
