"""Op list to vector LLVM IR: one loop over elements, one vector per value, no fast-math flag anywhere.

Every value is a vector of one length from the start, one register or a few, so nothing depends on LLVM's vectorizer, and an
element's bits depend neither on its position nor on what else the kernel computes. Inputs are loaded at their first use and
results stored as soon as they are known, which keeps few values alive: rows one by one, blocks by squares. An alarm is a mask
that the loop carries; behind the loop it is counted if any element rang.

A loop on data is a loop inside: its states stay in registers, lanes that are done keep theirs by selects, and a vector leaves as
soon as no lane is active. Where it only counts, so that all lanes are done at once, there are no selects.

It is printed as text, not built: at 2,000 operations llvmlite's builder takes 12 times as long.
"""

import struct
from collections.abc import Iterable
from typing import Any

from nbad.codegen.ahead import DECLARATION, MANY, Pace
from nbad.codegen.blocks import Block, Entry
from nbad.codegen.functions import Functions
from nbad.codegen.host import ITEMSIZE, LINE, Host
from nbad.codegen.length import length
from nbad.codegen.lower import OpList, is_in_step
from nbad.codegen.reads import Lines, Read
from nbad.codegen.spills import COMPARISONS, LONG, Spills
from nbad.errors import InternalError
from nbad.graphs.graph import Node, needed
from nbad.graphs.loops import Loop

ENTRY = "tile"
INSTRUCTIONS = {
    "add": "fadd {v} {0}, {1}",
    "sub": "fsub {v} {0}, {1}",
    "mul": "fmul {v} {0}, {1}",
    "div": "fdiv {v} {0}, {1}",
    "neg": "fneg {v} {0}",
    "select": "select {m} {0}, {v} {1}, {v} {2}",
    "lt": "fcmp olt {v} {0}, {1}",
    "le": "fcmp ole {v} {0}, {1}",
    "gt": "fcmp ogt {v} {0}, {1}",
    "ge": "fcmp oge {v} {0}, {1}",
    "eq": "fcmp oeq {v} {0}, {1}",
    "ne": "fcmp une {v} {0}, {1}",
    "and": "and {m} {0}, {1}",
    "or": "or {m} {0}, {1}",
    "not": "xor {m} {0}, {true}",
}
KERNEL = """\
define void @tile(ptr %table, i64 %n) #0 {{
entry:
{slots}
  br label %loop
loop:
  %at = phi i64 [ 0, %entry ], [ %next, %{last} ]
{heard}  %i = call i64 @llvm.expect.i64(i64 %at, i64 0)
{body}
  %next = add nuw nsw i64 %i, {width}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %{behind}
{end}done:
  ret void
}}
declare i64 @llvm.expect.i64(i64, i64)
attributes #0 = {{ nounwind "min-legal-vector-width"="{bits}" "stackrealign" }}
attributes #1 = {{ nounwind willreturn memory(none) }}
!0 = !{{i32 1}}
"""
# "expect" only hides the counter from LLVM's loop strength reduction: it took up to a sixth of the time, for no better addresses
# "stackrealign": else registers that are put aside may lie across lines and pages, by where a thread's stack begins: in one
# process of five, stores past the caches took 2 to 6 times as long
PART = 400  # lines of a block: 5,500 operations in one block take LLVM 800 ms, in blocks of 400 lines 280
BREAK = """\
  %c{k} = icmp sge i64 %i, 0
  br i1 %c{k}, label %part{k}, label %done"""
PASS = """\
  %g{name} = and {mask} {active}, {goes_on}
  %w{name} = bitcast {mask} %g{name} to i{width}
  %y{name} = icmp ne i{width} %w{name}, 0
  %f{name} = icmp slt i64 %k{name}, {max_passes}
  %o{name} = and i1 %y{name}, %f{name}
  br i1 %o{name}, label %again{name}, label %left{name}"""
AGAIN = """\
  %j{name} = add nuw nsw i64 %k{name}, 1
  br label %pass{name}"""
HEARD = "  %heard = phi {mask} [ zeroinitializer, %entry ], [ {rung}, %{last} ]\n"
COUNT = """\
rung:
  %rang = call i1 @llvm.vector.reduce.or.v{width}i1({mask} {rung})
  br i1 %rang, label %count, label %done
count:
  call void @{note}()
  br label %done
"""
SLOT = """\
  %a{row} = getelementptr ptr, ptr %table, i64 {row}
  %s{row} = load ptr, ptr %a{row}"""


def print_ir(oplist: OpList, host: Host) -> str:
    """The LLVM module of a tile kernel: `void tile(ptr table, i64 n)`, n a positive multiple of the width.

    Parameters
    ----------
    oplist : OpList
    host : Host
        Gives the width and the vector functions.

    Returns
    -------
    str

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> from nbad.codegen.host import host
    >>> builder = GraphBuilder("double", ["x"])
    >>> "fadd" in print_ir(lower(builder.build([builder.add("add", 0, 0)])), host())
    True
    """
    body, functions = Body("loop"), Functions(host, oplist.dtype, oplist.math, length(oplist, host))
    printer = Printer(oplist, functions, body)
    for row in sorted(printer.entries):
        printer.entries[row].begin()
    for k, node in enumerate(oplist.nodes):
        printer.pace.between()
        printer.value(k, node)
        printer.results(k)
    printer.end()
    slots = "\n".join(printer.slots())
    heard, behind, end = "", "done", ""
    if printer.rung is not None:
        names = dict(mask=functions.mask, rung=printer.rung, width=functions.width)
        heard, behind, end = HEARD.format(last=body.block, **names), "rung", COUNT.format(note=functions.counting(), **names)
    texts = dict(slots=slots, heard=heard, body="\n".join(printer.pace.woven()), end=end)
    kernel = KERNEL.format(**texts, last=body.block, behind=behind, width=functions.width, bits=8 * host.nbytes)
    return "\n".join([DECLARATION, *functions.texts.values(), kernel])


class Body:
    """The lines of the loop over elements, in blocks: a long one leads to the next by a condition that always holds."""

    def __init__(self, block: str) -> None:
        self.lines: list[str] = []
        self.block = block
        self._start = self._breaks = 0

    def add(self, *lines: str) -> None:
        """Lines that belong together; they may begin a block."""
        if len(self.lines) - self._start >= PART:
            self._breaks += 1
            self.lines.append(BREAK.format(k=self._breaks))
            self.open(f"part{self._breaks}")
        self.lines += lines

    def open(self, block: str) -> None:
        """Begin a block."""
        self.lines.append(f"{block}:")
        self.block, self._start = block, len(self.lines)


class Printer:
    """The lines of the loop's body, or those of the step of a loop in it, and the functions that they call.

    `given` is how the inputs are written, where they need not be loaded; `prefix` tells the names of a step from others. Where
    values are single numbers, as in code for one element, there are no vectors of one.
    """

    def __init__(self, oplist: OpList, functions: Functions, body: Body, prefix: str = "", given: list[str] | None = None):
        self.oplist, self.functions, self.body, self.prefix, self.given = oplist, functions, body, prefix, given
        self.width, self.scalar, self.vector, self.mask = functions.width, functions.scalar, functions.vector, functions.mask
        self.loops: dict[Any, list[str]] = {}  # the states of each at its end, and the lanes that are not done
        self.names: dict[int, str] = {}
        self.rung: str | None = None  # which elements have rung so far
        self.partners = _partners(oplist)
        self.pace = Pace(self)
        self.rows: dict[int, list[int]] = {}
        self.blocks: list[Block | Lines] = []
        self.places = [row for row, inputs in enumerate(oplist.sources) for _ in inputs]  # the row of each input
        self.reads: dict[int, Read | Lines] = {}
        lines, last = oplist.form.lines, len(oplist.sources) + len(oplist.results) - 1
        for row, inputs in enumerate(oplist.sources):
            if len(inputs) > 1:
                is_lined = row == 0 and lines == "read"
                read = Lines(row, inputs, self, is_stored=False) if is_lined else Read(row, inputs.start, len(inputs), self)
                self.reads |= dict.fromkeys(inputs, read)
        for row, columns in enumerate(oplist.results, len(oplist.sources)):
            if len(columns) == 1:
                self.rows.setdefault(columns[0], []).append(row)
            elif row == last and lines == "written":
                self.blocks.insert(0, Lines(row, columns, self, is_stored=True))
            elif columns:
                self.blocks.append(Block(row, columns, self))
        self.entries: dict[int, Entry] = {entry.row: entry for entry in (*self.reads.values(), *self.blocks)}  # of several items
        is_long = given is None and len(oplist.nodes) >= LONG
        in_blocks = {k for block in self.blocks if isinstance(block, Block) for k in block.columns}
        self.spills = Spills(body, oplist.nodes, self.vector, in_blocks) if is_long else None

    def first_of(self, row: int, name: str) -> tuple[list[str], str]:
        """What gives the address of a vector's first item in an entry of the table, and that address; a name that is free."""
        if row in self.entries:
            return [], f"%e{row}"
        before, slot = [], f"%s{row}"
        if self.spills:
            before, slot = [f"  {name}.at = getelementptr ptr, ptr %table, i64 {row}"], f"{name}.row"
            before.append(f"  {slot} = load ptr, ptr {name}.at")
        return [*before, f"  {name} = getelementptr {self.scalar}, ptr {slot}, i64 %i"], name

    def slots(self) -> list[str]:
        """What is done once, before the loop: addresses of rows are loaded, or memory is taken."""
        if self.spills:  # rows are asked for where they are used, of blocks many times
            return [*self.spills.slots, *(SLOT.format(row=row) for row in sorted(self.entries))]
        return [SLOT.format(row=row) for row in range(len(self.oplist.sources) + len(self.oplist.results))]

    def value(self, k: int, node: Node) -> None:
        """One operation."""
        self._value(k, node)
        if self.spills:
            self.spills.finish(k)

    def _value(self, k: int, node: Node) -> None:
        if node.op in ("input", "const") or k in self.names:
            return
        self.names[k] = f"%v{self.prefix}{k}"
        if node.op == "loop":
            self._last_value(k, node)
            return
        operands = [self.operand(a) for a in node.args]
        if k in self.partners and (both := self.functions.of_both()):
            self._both(self.partners[k], *both, operands[0])
            return
        if node.op == "alarm":
            self.body.add(f"  %v{k} = or {self.mask} {self.rung or '%heard'}, {operands[0]}")
            self.rung = f"%v{k}"
            return
        if node.op in INSTRUCTIONS:
            right = INSTRUCTIONS[node.op].format(*operands, v=self.vector, m=self.mask, true=self.constant(True))
        else:
            right = self.functions.call(node.op, operands)
        self._define(k, right)

    def _define(self, k: int, right: str) -> None:
        self.body.add(f"  {self.names[k]} = {right}")
        if self.spills:
            self.spills.define(k)

    def _both(self, pair: tuple[int, int], function: str, kind: str, operand: str) -> None:
        """Sine and cosine of one operand."""
        name = f"%b{self.prefix}{pair[0]}"
        self.body.add(f"  {name} = call {kind} @{function}({self.vector} {operand})")
        for place, k in enumerate(pair):
            self.names[k] = f"%v{self.prefix}{k}"
            self._define(k, f"extractvalue {kind} {name}, {place}")

    def _last_value(self, k: int, node: Node) -> None:
        """What a node of a loop is, once that is printed."""
        loop, place = node.payload
        key = node.args, loop
        if key not in self.loops:
            operands = [self.operand(a) for a in node.args]
            self.loops[key] = self._loop(f"{self.prefix}{k}", loop, operands, self.width == 1 or is_in_step(self.oplist, node))
        found = self.loops[key][place]
        if place < loop.states:
            self.names[k] = found
        else:
            numbers = self.constant(1.0), self.constant(0.0)
            self.body.add(f"  {self.names[k]} = {INSTRUCTIONS['select'].format(found, *numbers, v=self.vector, m=self.mask)}")

    def _loop(self, name: str, loop: Loop, operands: list[str], in_step: bool) -> list[str]:
        """Print a loop: what decides whether it goes on, the rest of the step, and the way back."""
        assert isinstance(loop.step, OpList)
        body, before, states = self.body, self.body.block, [f"%z{name}.{s}" for s in range(loop.states)]
        step = type(self)(loop.step, self.functions, body, f"{name}.", [*states, *operands[loop.states + 1 :]])
        goes_on, *following = loop.step.outputs
        body.lines.append(f"  br label %pass{name}")
        body.open(f"pass{name}")
        body.lines.append("")  # the phis, which name the last block
        phis, first = len(body.lines) - 1, needed(loop.step, [goes_on])
        step.values(first)
        names = dict(name=name, mask=self.mask, width=self.width, max_passes=loop.max_passes)
        body.add(PASS.format(active=operands[0], goes_on=step.operand(goes_on), **names))
        body.open(f"again{name}")
        step.values(needed(loop.step, following, set(first)))
        ends = [step.operand(k) for k in following]
        for s, end in enumerate(() if in_step else ends):
            kept = INSTRUCTIONS["select"].format(f"%g{name}", end, states[s], v=self.vector, m=self.mask)
            body.add(f"  %n{name}.{s} = {kept}")
            ends[s] = f"%n{name}.{s}"
        body.add(AGAIN.format(name=name))
        pairs = [(f"%k{name}", "i64", "0", f"%j{name}")]
        pairs += [(z, self.vector, operands[s + 1], ends[s]) for s, z in enumerate(states)]
        body.lines[phis] = "\n".join(f"  {z} = phi {kind} [ {a}, %{before} ], [ {b}, %{body.block} ]" for z, kind, a, b in pairs)
        body.open(f"left{name}")
        return [*states, f"%g{name}"]

    def values(self, wanted: Iterable[int]) -> None:
        """Some operations."""
        for k in wanted:
            self.value(k, self.oplist.nodes[k])

    def results(self, k: int) -> None:
        """The stores of node `k`, and those for which it was the last that was missing."""
        if self.oplist.nodes[k].kind == "bool" and k in self.oplist.outputs:
            row = len(self.oplist.sources) + self.oplist.outputs.index(k)
            raise InternalError(f"output {row} of `{self.oplist.name}` is a bool")
        for row in self.rows.get(k, ()):
            operand = self.operand(k)
            if self.spills:
                self.body.add(SLOT.format(row=row))
            self.body.add(f"  %r{row} = getelementptr {self.scalar}, ptr %s{row}, i64 %i")
            if self.oplist.form.widths.count(1) > MANY and not self.oplist.form.streams:
                self.pace.uses(row, 1, 0, self.width, is_stored=True)
            place = f"align {LINE}, !nontemporal !0" if self.oplist.form.streams else f"align {ITEMSIZE[self.oplist.dtype]}"
            self.body.add(f"  store {self.vector} {operand}, ptr %r{row}, {place}")
        for block in self.blocks:
            block.know(k)

    def end(self) -> None:
        """The stores that waited for nothing: of inputs and constants alone."""
        for block in self.blocks:
            block.end()

    def operand(self, k: int) -> str:
        """How node `k` is written as an operand."""
        node = self.oplist.nodes[k]
        if node.op == "const":
            return self.constant(node.payload)
        if node.op == "alarm":
            return self.operand(node.args[1])
        if self.spills:
            return self._near(self.spills, k, node)
        if node.op == "input" and k not in self.names:
            if k in self.reads:
                self.names |= {column: name for column, name in self.reads[k].load(k).items() if column not in self.names}
            else:
                self.names[k] = self._loaded(k) if self.given is None else self.given[k]
        return self.names[k]

    def _near(self, spills: Spills, k: int, node: Node) -> str:
        """A value in the block at hand; comparisons of far ones are done again, for there are few registers for masks."""
        if (known := spills.here(k)) is not None:
            return known
        if node.op == "input":
            return self._fetched(spills, k)
        if node.op in COMPARISONS:
            operands = [self.operand(a) for a in node.args]
            return spills.fetched(k, INSTRUCTIONS[node.op].format(*operands, v=self.vector))
        return spills.near(k, self.names[k])

    def _fetched(self, spills: Spills, k: int) -> str:
        """An input, loaded once in each block that uses it."""
        if k in self.reads:
            return spills.known_here(self.reads[k].load(k))[k]
        tag = f"{k}.{len(self.body.lines)}"
        address = [
            f"  %a{tag} = getelementptr ptr, ptr %table, i64 {self.places[k]}",
            f"  %s{tag} = load ptr, ptr %a{tag}",
            f"  %r{tag} = getelementptr {self.scalar}, ptr %s{tag}, i64 %i",
        ]
        return spills.fetched(k, f"load {self.vector}, ptr %r{tag}, align {ITEMSIZE[self.oplist.dtype]}", *address)

    def _loaded(self, k: int) -> str:
        row = self.places[k]
        self.body.add(f"  %r{row} = getelementptr {self.scalar}, ptr %s{row}, i64 %i")
        self.body.add(f"  %v{k} = load {self.vector}, ptr %r{row}, align {ITEMSIZE[self.oplist.dtype]}")
        return f"%v{k}"

    def constant(self, value: Any) -> str:
        """A constant in LLVM's notation, which is that of a double for either dtype."""
        is_bool = isinstance(value, bool)
        number = str(value).lower() if is_bool else f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
        return number if self.width == 1 else f"splat ({'i1' if is_bool else self.scalar} {number})"


def _partners(oplist: OpList) -> dict[int, tuple[int, int]]:
    """The sines and cosines of one operand: for each of them, which both are."""
    found: dict[int, dict[str, int]] = {}
    for k, node in enumerate(oplist.nodes):
        if node.op in ("sin", "cos"):
            found.setdefault(node.args[0], {})[node.op] = k
    pairs = [(both["sin"], both["cos"]) for both in found.values() if len(both) == 2]
    return {k: pair for pair in pairs for k in pair}
