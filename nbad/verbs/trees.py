"""Pullbacks and pushforwards by arguments with structure: what comes and goes for a dict of arrays is a dict."""

from collections.abc import Sequence
from typing import Any, NoReturn

from numpy.typing import ArrayLike

from nbad.api.calls import says_what_is_missing
from nbad.api.options import Array, Out
from nbad.api.trees import FILLED, Groups
from nbad.errors import leaving
from nbad.verbs.pullback import Pullback
from nbad.verbs.pushforward import Pushforward
from nbad.verbs.seeds import made_of

WHOLE = ("*xs",)  # the arguments as they were given, whose parts have names of their own


class TreePullback(Pullback):
    """A pullback by arguments of which some are dicts, namedtuples or dataclasses: cotangents come in their structure."""

    def __init__(self, *parts: Any, groups: Groups):
        super().__init__(*parts)
        self._groups = groups

    @classmethod
    def of(cls, pullback: Pullback, groups: Groups) -> "TreePullback":
        """That of a flat one."""
        return cls(*pullback._parts(), groups=groups)

    @leaving
    @says_what_is_missing
    def __call__(
        self, ct: Any, out: Any = None, accumulate: bool = False, *more: NoReturn, **unknown: NoReturn
    ) -> tuple[Any, ...]:
        """As of any pullback; each cotangent, and each entry of `out`, in the structure of its argument.

        Integer arrays in it have none: there is None.
        """
        into = None if out is None else self._groups.leaves("`pullback`", out, FILLED)
        made = super().__call__(ct, into, accumulate, *more, **unknown)
        return self._groups.build(made) if out is None else out

    @leaving
    @says_what_is_missing
    def batched(
        self, cts: Any, out: Any = None, accumulate: bool = False, *more: NoReturn, **unknown: NoReturn
    ) -> tuple[Any, ...]:
        """Likewise for many seeds."""
        into = None if out is None else self._groups.leaves("`pullback.batched`", out, FILLED)
        made = super().batched(cts, into, accumulate, *more, **unknown)
        return self._groups.build(made) if out is None else out

    def _made_of(self) -> str:
        return made_of(self._reverse.program, WHOLE)

    def _like(self, rows: Array) -> "TreePullback":
        return TreePullback.of(super()._like(rows), self._groups)

    def __reduce__(self):
        return _of, (super()._like(self._open("pickle or copy")), self._groups)


def _of(pullback, groups):
    return TreePullback.of(pullback, groups)


class TreePushforward(Pushforward):
    """A pushforward by such arguments: tangents are given in their structure."""

    def __init__(self, pushforward: Pushforward, groups: Groups):
        super().__init__(*pushforward._parts())
        self._groups = groups

    def _written(self, texts):
        return self._groups.written(texts)

    def _made_of(self):
        return made_of(self._program, WHOLE)

    @leaving
    @says_what_is_missing
    def __call__(self, tangents: Sequence[ArrayLike], out: Out = None, *more: NoReturn, **unknown: NoReturn) -> Any:
        """As of any pushforward; a number may stand for all that is in an argument."""
        return super().__call__(self._groups.leaves("`pushforward(tangents)`", tangents), out, *more, **unknown)

    @leaving
    @says_what_is_missing
    def batched(self, tangents: Sequence[ArrayLike], out: Out = None, *more: NoReturn, **unknown: NoReturn) -> Any:
        """Likewise for many tangents."""
        return super().batched(self._groups.leaves("`pushforward.batched(tangents)`", tangents), out, *more, **unknown)
