"""Loops that call kernels, told to compute several vectors side by side.

LLVM's vectorizer takes one vector at a time where a loop calls functions: each call waits for the one before, and the processor
for both. With AVX-512 the value of Black-Scholes takes 1.22 of the time of nbad's own call so, and 0.77 with four vectors at a
time; loops of less than two vectors take longer, up to 6 times. The vectorizer is told by metadata at the branch back of a loop.
That is written when Numba has linked all that a function calls, and before LLVM optimizes it: Numba's step there is taken over.
Loops that call no kernel stay as they are.

Functions with such loops are optimized twice: only then are the functions for whole vectors inlined, around whose calls all
registers are put aside; and what still is put aside lies within cache lines. The value of Black-Scholes and its five partials
take 1.0 of the time of nbad's own call so, 1.2 else (AVX-512), and compile in 1.3 of the time.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from llvmlite import binding
from numba.core.codegen import CPUCodeLibrary

from nbad.codegen.length import by_calls

NAME = r'(?:"[^"]*"|[-\w.$]+)'
FUNCTION = re.compile(rf"^define [^\n]*?@({NAME})\([^\n]*\n(.*?)^}}", re.MULTILINE | re.DOTALL)
LABEL, TARGET = re.compile(rf"^({NAME}):", re.MULTILINE), re.compile(rf"label %({NAME})")
CALLED, NUMBER = re.compile(rf" call [^\n]*?@({NAME})\("), re.compile(r"^!(\d+) =", re.MULTILINE)
VECTOR = re.compile(r"nbad_\w+_f(?:32|64)_[0-9a-f]{16}")  # the scalar forms of `scalar_functions.widenable`
OPERATION = re.compile(r"= (?:f(?:add|sub|mul|div|rem|neg|cmp)|select) ")
HEAD = re.compile(r"((?: (?:comdat|gc|personality|section|!\w+) .*)?) \{\n$")  # what stands behind the attributes of a function
LATCH = re.compile(r"  br (?!.*!llvm\.loop)[^\n]*\Z")  # a branch that says nothing of a loop yet
HINT = """
!{0} = distinct !{{!{0}, !{1}}}
!{1} = !{{!"llvm.loop.interleave.count", i32 {2}}}
"""


class Block(NamedTuple):
    """A block of a function: its text up to the end of its last line, where that ends in the module, and what follows it."""

    text: str
    end: int
    targets: list[str]


class Work(NamedTuple):
    """Operations on numbers, and those among them that call a function that has vector variants."""

    operations: int
    calls: int

    @property
    def vectors(self) -> int:
        """How many to compute side by side: as many registers as a vector of a kernel has (`nbad.codegen.length`)."""
        return by_calls(self.operations, self.calls)


def interleaved(text: str) -> str:
    """The text of a module, where innermost loops that call what kernels call say how many vectors to take at a time.

    Examples
    --------
    >>> text = "define void @f() {\\nentry:\\n  ret void\\n}\\n"
    >>> interleaved(text) == text
    True
    """
    functions = {found[1]: found for found in FUNCTION.finditer(text)}
    module = _Module({name: found[2] for name, found in functions.items()})
    added, number = [], max(map(int, NUMBER.findall(text)), default=-1) + 1
    for found in functions.values():
        loops = [
            (latch, module.work("\n".join(passes)).vectors) for latch, passes in _innermost(_blocks(found[2], found.start(2)))
        ]
        for latch, vectors in loops:
            if vectors > 1:
                added.append((latch, f", !llvm.loop !{number}"))
                text += HINT.format(number, number + 1, vectors)
                number += 2
        if any(vectors > 1 for _, vectors in loops):
            head = HEAD.search(text, found.start(), found.start(2))
            assert head is not None
            added.append((head.start(), " alignstack(64)"))
    for place, more in sorted(added, reverse=True):
        text = f"{text[:place]}{more}{text[place:]}"
    return text


class _Module:
    """The functions of a module, and what a call of each computes."""

    def __init__(self, bodies: dict[str, str]):
        self._bodies, self._known = bodies, dict[str, Work]()

    def work(self, code: str) -> Work:
        """What lines of code compute, and what they call."""
        found = [self._called(name) for name in CALLED.findall(code)]
        own = len(OPERATION.findall(code))
        return Work(own + sum(each.operations for each in found), sum(each.calls for each in found))

    def _called(self, name: str) -> Work:
        if VECTOR.fullmatch(name):
            return Work(1, 1)
        if name not in self._known:
            self._known[name] = Work(0, 0)  # of what calls itself
            self._known[name] = self.work(self._bodies.get(name, ""))
        return self._known[name]


def _blocks(body: str, start: int) -> dict[str, Block]:
    """The blocks of a function by their labels, of which the first may have none."""
    labels = [(found.start(), found[1]) for found in LABEL.finditer(body)]
    labels = labels if labels and labels[0][0] == 0 else [(0, ""), *labels]
    ends = [place for place, _ in labels[1:]] + [len(body)]
    texts = {label: (body[place:end].rstrip(), place) for (place, label), end in zip(labels, ends, strict=True)}
    return {label: Block(text, start + place + len(text), TARGET.findall(text)) for label, (text, place) in texts.items()}


def _innermost(blocks: dict[str, Block]) -> Iterator[tuple[int, list[str]]]:
    """The innermost loops of a function that end in a branch: where that ends, and the text of one pass."""
    back, before = _back(blocks), dict[str, list[str]]()
    for label, block in blocks.items():
        for target in block.targets:
            before.setdefault(target, []).append(label)
    for latch, header in back:
        inside = _inside(before, latch, header)
        has_others = any(other in inside for other, _ in back if other != latch)
        if LATCH.search(blocks[latch].text) and not has_others:
            yield blocks[latch].end, [blocks[label].text for label in inside]


def _back(blocks: dict[str, Block]) -> list[tuple[str, str]]:
    """The ways back, from a block to one that led to it: found by walking the blocks, depth first."""
    first = next(iter(blocks))
    found, on_path = [], {first: True}
    path = [(first, iter(blocks[first].targets))]
    while path:
        label, ahead = path[-1]
        for target in ahead:
            if target not in on_path:
                on_path[target] = True
                path.append((target, iter(blocks[target].targets)))
                break
            if on_path[target]:
                found.append((label, target))
        else:
            on_path[label] = False
            path.pop()
    return found


def _inside(before: dict[str, list[str]], latch: str, header: str) -> set[str]:
    """The blocks of a loop: its header, and all from which the latch is reached without that; `before` has those before each."""
    inside, waiting = {header, latch}, {latch} - {header}
    while waiting:
        more = set(before.get(waiting.pop(), ())) - inside
        inside |= more
        waiting |= more
    return inside


def register() -> None:
    """Take over Numba's step between linking and optimizing."""
    optimize = CPUCodeLibrary._optimize_final_module

    def interleave_and_optimize(self: Any) -> None:
        module, before, after = self._final_module, "", ""
        if any(VECTOR.fullmatch(function.name) for function in module.functions):
            before = str(module)
            after = interleaved(before)
            self._final_module = binding.parse_assembly(after)
            self._final_module.name = module.name
        optimize(self)
        if after != before:
            optimize(self)

    CPUCodeLibrary._optimize_final_module = interleave_and_optimize  # type: ignore[method-assign]
