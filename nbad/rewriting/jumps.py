"""`break` and `continue`, which become variables of the loop that they leave: what comes behind them asks these."""

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

from nbad.rewriting.expressions import At
from nbad.rewriting.scopes import CLOSED, TRIES, changed, parts, placed

_JUMPS, _LOOPS = (ast.Break, ast.Continue), (ast.For, ast.AsyncFor, ast.While)
_CLAUSES = (ast.ExceptHandler, ast.match_case)


class Jumps(NamedTuple):
    """The variables of a loop without `break` and `continue`.

    Attributes
    ----------
    left : str or None
        It says whether the loop was left by `break`; None where it never is.
    skipped : str or None
        It says whether the rest of a pass is skipped; None where the rest is an arm of the `if` that jumps.
    """

    left: str | None
    skipped: str | None


def without_jumps(body: Sequence[ast.stmt], left: str, skipped: str) -> tuple[list[ast.stmt], Jumps]:
    """The body of a loop without its `break`s and `continue`s, and which of the two variables it sets instead."""
    cut = _Cut(left, skipped)
    done = cut.block(body)
    if not cut.skips:  # nobody asks
        done = _Cut(left, None).block(body)
    return done, Jumps(left if cut.leaves else None, skipped if cut.skips else None)


class _Cut:
    """Cuts jumps out: what follows is the other arm of the `if` that jumps, or runs only where nothing was skipped."""

    def __init__(self, left: str, skipped: str | None) -> None:
        self.left, self.skipped, self._is_in_finally = left, skipped, False
        self.leaves = self.skips = False

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements of a block without jumps."""
        for k, statement in enumerate(body):
            if isinstance(statement, _JUMPS):
                return [*body[:k], *self._jump(statement), *_unreachable(body[k + 1 :], statement)]
            if jumps(statement):
                return [*body[:k], *self._statements(statement, body[k + 1 :])]
        return list(body)

    def _statements(self, statement: ast.stmt, rest: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The same for a statement that jumps somewhere in it, and those behind it."""
        if isinstance(statement, ast.If) and (arms := _arms(statement, rest)) is not None:
            return [changed(statement, body=self.block(arms[0]), orelse=self.block(arms[1]))]
        fields = {name: self._field(statement, name, value) for name, value in ast.iter_fields(statement)}
        if isinstance(statement, TRIES) and statement.orelse and any(map(jumps, statement.body)):
            fields["orelse"] = self._guarded(fields["orelse"])
        return [changed(statement, **fields), *(self._guarded(self.block(rest)) if rest else [])]

    def _field(self, statement: ast.stmt, name: str, value: Any) -> Any:
        """A field of a statement; an inner loop has its own jumps."""
        if not isinstance(value, list) or (isinstance(statement, _LOOPS) and name == "body"):
            return value
        if name == "finalbody" and any(map(jumps, value)):
            before, self._is_in_finally = self._is_in_finally, True
            done = [*self.block(value), *self._jumps_at_end(value)]
            self._is_in_finally = before
            return done
        if value and isinstance(value[0], ast.stmt):
            return self.block(value)
        return [changed(part, body=self.block(part.body)) if isinstance(part, _CLAUSES) else part for part in value]

    def _jump(self, statement: ast.stmt) -> list[ast.stmt]:
        is_break = isinstance(statement, ast.Break)
        self.leaves = self.leaves or is_break
        # the `continue` of a `finally` takes back a `break` before it
        settings = {self.left: is_break} if is_break or self._is_in_finally else {}
        settings |= {self.skipped: True} if self.skipped else {}
        return At(statement).lines("\n".join(f"{name} = {value}" for name, value in settings.items()) or "pass")

    def _jumps_at_end(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Jumps at the end of a `finally`, which hide errors."""
        self.skips, place = True, statements[-1]
        leaves = any(jumps(statement, (ast.Break,)) for statement in statements)
        ends = At(place).lines(f"if {self.left}: break\n" * leaves + f"if {self.skipped}: continue")
        return [placed(end, place) for end in ends]

    def _guarded(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Statements that run where nothing was skipped."""
        self.skips, place = True, statements[0]
        return [placed(At(place).statement(f"if not {self.skipped}: rest", rest=statements), place)]


def jumps(statement: ast.AST, kinds: tuple[type[ast.stmt], ...] = _JUMPS) -> bool:
    """Whether a statement holds a `break` or `continue`, or one of these, of the loop that it stands in."""
    if isinstance(statement, kinds):
        return True
    # those of an inner loop are its own, apart from those behind its `else`
    inner = statement.orelse if isinstance(statement, _LOOPS) else parts(statement)
    return not isinstance(statement, CLOSED) and any(jumps(part, kinds) for part in inner)


def _arms(statement: ast.If, rest: Sequence[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]] | None:
    """The two arms of an `if` that is followed by `rest`, one of which always jumps, or nothing follows; else None."""
    then, other = statement.body, statement.orelse
    if not rest or any(isinstance(part, _JUMPS) for part in then):
        return then, [*other, *rest]
    return ([*then, *rest], other) if any(isinstance(part, _JUMPS) for part in other) else None


def _unreachable(statements: Sequence[ast.stmt], place: ast.stmt) -> list[ast.stmt]:
    """Statements that never run, but whose variables belong to the function."""
    return [placed(At(place).statement("if False: rest", rest=list(statements)), place)] if statements else []
