"""Values of long bodies that are used far from where they are known: they lie in memory meanwhile.

LLVM would put them there, too, but looks long for the best ones where thousands are alive across dozens of blocks: 12,000 lines
take it 1.4 s, and 0.5 s in this form. So a value that is used in a later block is stored where it is known, and loaded once in
each block that uses it. Inputs lie in memory already, and so do the addresses of rows; comparisons are done again.
"""

import heapq
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from nbad.graphs.graph import Node
from nbad.operations.row import REAL

if TYPE_CHECKING:
    from nbad.codegen.vector_ir import Body

COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
LONG = 1_000  # nodes of a body from which on it pays


class Spills:
    """The values of one body, by the numbers of their nodes; those that are `kept` may be asked for at any time."""

    def __init__(self, body: "Body", nodes: Sequence[Node], vector: str, kept: Set[int] = frozenset()) -> None:
        self.body, self.nodes, self.vector = body, nodes, vector
        self.count = 0
        self._known: dict[int, tuple[str, int]] = {}  # the block and the line in which a value is known
        self._here: dict[tuple[int, str], str] = {}  # names by blocks
        self._slots: dict[int, int] = {}
        self._free: list[tuple[int, int]] = []  # from which line on, and which
        self._ends: dict[int, list[int]] = {}
        last = {a: k for k, node in enumerate(nodes) for a in node.args}
        kept = set(kept)
        for k in range(len(nodes) - 1, -1, -1):
            if nodes[k].op in (*COMPARISONS, "alarm"):  # done again where it is used, or written as its operand
                last |= {a: max(last[a], last.get(k, k)) for a in nodes[k].args}
                kept.update(nodes[k].args if k in kept else ())
        for a, k in last.items():
            if a not in kept:
                self._ends.setdefault(k, []).append(a)

    def define(self, k: int) -> None:
        """The last line says what a node is."""
        self._here[k, self.body.block] = self.body.lines[-1].split()[0]
        if self.nodes[k].kind == REAL and self.nodes[k].op != "loop":
            self._known[k] = self.body.block, len(self.body.lines) - 1

    def finish(self, k: int) -> None:
        """A node is printed: slots of what is not used behind it may be used again."""
        for a in self._ends.get(k, ()):
            if a in self._slots:
                heapq.heappush(self._free, (len(self.body.lines), self._slots[a]))

    def near(self, k: int, name: str) -> str:
        """How a value of another block is written in the one at hand."""
        if k not in self._known:
            return name
        if k not in self._slots:
            self._store(k, name)
        return self.fetched(k, f"load {self.vector}, ptr %spill{self._slots[k]}")

    def fetched(self, k: int, load: str, *before: str) -> str:
        """The name of what a load brings to the block at hand, which is used in it from there on."""
        name = f"%v{k}.{len(self.body.lines)}"
        self.body.add(*before, f"  {name} = {load}")
        self._here[k, self.body.block] = name
        return name

    def known_here(self, names: dict[int, str]) -> dict[int, str]:
        """Values have names in the block at hand."""
        self._here |= {(k, self.body.block): name for k, name in names.items()}
        return names

    def here(self, k: int) -> str | None:
        """How a value is written that is known in the block at hand."""
        return self._here.get((k, self.body.block))

    def _store(self, k: int, name: str) -> None:
        line = self._known[k][1]
        if self._free and self._free[0][0] <= line:
            self._slots[k] = heapq.heappop(self._free)[1]
        else:
            self._slots[k], self.count = self.count, self.count + 1
        self.body.lines[line] += f"\n  store {self.vector} {name}, ptr %spill{self._slots[k]}"

    @property
    def slots(self) -> list[str]:
        """The lines that take memory for them, once for all passes."""
        return [f"  %spill{slot} = alloca {self.vector}" for slot in range(self.count)]
