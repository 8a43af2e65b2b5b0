"""`python -m nbad.operations.derive` writes `derived.py` beside it: SymPy's own derivatives where no other form is needed.

So SymPy need not be loaded to differentiate a kernel. A test derives them again.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from nbad.operations.row import Operation
from nbad.operations.table import ROWS

HEAD = '''"""Partials as SymPy derives them, written by `python -m nbad.operations.derive`."""

DERIVED = {
'''


def derived_source() -> str:
    """The text of `nbad/operations/derived.py`.

    Examples
    --------
    >>> '"mul": ("y", "x")' in derived_source()
    True
    """
    rows = {row.name: tuple(_entries(row)) for row in ROWS if None in (row.partials or ())}
    lines = [f"    {name!r}: {entries!r},\n" for name, entries in rows.items()]
    return "".join([HEAD, *lines, "}\n"]).replace("'", '"')


def _entries(row: Operation) -> Iterator[str | None]:
    """For each operand SymPy's derivative; None where the row has a form of its own."""
    for operand, text in zip("xyz", row.partials or (), strict=False):
        yield _derivative(row.expression, operand) if text is None else None


def _derivative(expression: str | None, operand: str) -> str:
    import sympy

    symbols = {name: sympy.Symbol(name, real=True) for name in "xyz"}
    return str(sympy.sympify(expression, locals=symbols).diff(symbols[operand]))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # `--help` tells what this writes, and writes nothing
    (Path(__file__).parent / "derived.py").write_text(derived_source(), encoding="utf-8")
