"""`nbad.export`: a kernel and its derivatives as one module that needs Numba and NumPy only."""

import builtins
import inspect
import linecache
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nbad.api.calls import check_kernel
from nbad.api.kernel import Kernel
from nbad.api.options import Residuals, check_policy, check_seeds, working_dtype
from nbad.api.signatures import name_in_code
from nbad.codegen.length import MOST_RESULTS, by_calls, operations_in
from nbad.codegen.lower import OpList, lower
from nbad.codegen.python_source import written
from nbad.errors import fitting
from nbad.graphs.graph import Graph
from nbad.graphs.simplify import SimplifyingBuilder
from nbad.graphs.stages import Stages, staged
from nbad.pipeline import Program
from nbad.tools import export_functions as functions
from nbad.tools import export_texts as texts
from nbad.version import VERSION

OWN = {"SWEPT": "_run", "BLOCKED": "_blocks", "PULLBACK": "Pullback"}  # what functions with the kernel's parameters call
FEW = 8  # arguments of kernels that take several vectors at a time: with 10 both sweeps take 1.2 times as long by four
LARGE = 2048  # elements that a reverse sweep takes at once: 1.1 to 1.4 times faster than 512, but past the caches 0.9 times
ROWS = {"y": "ys", "residuals": "rs", "codes": "faults"}  # where a forward kernel has rows of what it writes
GLUE = "\0"  # for blanks where no line is broken
BESIDE = 50  # room for the name of a function beside what is in brackets
WIDTH = 110  # of lines of code
UNREADABLE = r"\x00\ud800-\udfff"  # what no source may have
SPECIAL = rf'{UNREADABLE}\x01-\x1f\\"{{}}'  # and what ends a text, a line or a field in it


@fitting("nbad.export({f})")
def export(f: Kernel, dtype: DTypeLike = np.float64, residuals: Residuals = "auto", seeds: int = 8) -> str:
    """The source of a module that computes a kernel, its pullback and its Jacobian with Numba and NumPy only.

    It holds the forward kernel, which writes the residual buffer once, the reverse kernel, which applies the transposed Jacobian
    to many seeds, both in parallel over tiles, and `value`, `vjp` and `jacobian`, which broadcast as nbad does. Values have
    nbad's own bits.

    Parameters
    ----------
    f : Kernel
        All arguments that are not static are differentiated, and have cotangents and columns of the Jacobian, even where a call
        leaves them at a default; `nbad.kernel(lambda x: f(x))` has constants there. Static ones have their defaults. They are
        numbers and vectors: a kernel of dicts or namedtuples is exported as `nbad.kernel(lambda a, b: f({"a": a, "b": b}))`.
    dtype : dtype
        What the module computes in, float64 or float32; it converts its arguments.
    residuals : str or tuple of str
        What the forward kernel keeps, as for `nbad.vjp`.
    seeds : int
        The expected number of seeds, a hint for "auto".

    Returns
    -------
    str

    Raises
    ------
    ArgumentTypeError
        For a kernel that takes no numbers, that calls functions of SciPy, or functions of the user's own that raise or whose
        source cannot stand alone.

    Examples
    --------
    >>> import nbad
    >>> text = nbad.export(nbad.kernel(lambda x: x * x))
    >>> "def forward(x, y, residuals):" in text
    True
    """
    check_kernel(f)
    name = name_in_code(f)
    call, code = f"`nbad.export({name})`", f"nbad.export({name}, {{0!r}})"
    module = Module(f, working_dtype(call, dtype, code), check_policy(call, residuals), check_seeds(call, seeds))
    if not module.inputs:
        raise functions.refusal(name, "takes no numbers", "an argument that is not static")
    return module.text()


class Module:
    """A module as it is written: the parts of one kernel."""

    def __init__(self, f: Kernel, dtype: np.dtype, policy: str | tuple[str, ...] = "partials", seeds: int = 1):
        self.f, self.program, self.dtype = f, f.whole_program(), dtype
        program, self.file = self.program, _file(f)
        self.plan = program.plan(program.input_slots(tuple(range(len(program.names)))), policy, seeds)
        self.causes = program.flags.numbers if program.flags and program.errors == "raise" else []
        self.forward = self._lowered(_with_codes(self.plan.forward, program, self.causes))
        self.prologue = self._lowered(self.plan.prologue) if self.plan.prologue else None
        self.reverse = self._lowered(self.plan.reverse)
        self.rows = functions.rows_of([oplist for oplist in (self.forward, self.prologue, self.reverse) if oplist])
        self.calls = functions.calls_of(self.rows)
        self.functions = functions.vectors(self.rows, self.dtype.name, program.math)
        self.inputs, self.outputs = len(self.forward.inputs), self.plan.outputs
        self.residuals, self.partials = len(self.plan.residuals), self.plan.partials
        x, *results = self._forward_rows()
        self.stages = staged(self.forward, x, [row for rows in results for row in rows])

    def _lowered(self, graph: Graph) -> OpList:
        return lower(graph, self.dtype.name, self.program.math)

    def text(self) -> str:
        """The whole module."""
        words = self._words()
        parts = [self.kernels(), functions.ADD_UP, _fill(texts.ARRAYS, {**words, **self._structure()})]
        parts += [_fill(functions.CAUSES, {**words, "CAUSE_LIST": self._cause_list()})] * bool(self.causes)
        parts += [_fill(texts.LINES, words), self.functions]
        body = "\n\n".join(f"{part.strip()}\n" for part in parts if part)
        head = _fill(texts.HEAD, {**words, "IMPORTS": self._imports()})
        own = functions.sources(self.rows, name_in_code(self.f), f"{head}{self._result()}{body}")
        return f"{head}{self._result()}\n\n{own and f'{own.strip()}{chr(10) * 3}'}{body}"

    def kernels(self) -> str:
        """The kernels: the operations of one element, and the sweeps over all."""
        parts = [*self._forward_elements()]
        if self.prologue:
            parts.append(self._element(self.prologue, "element_partials", "The partial derivatives, from what is kept."))
        parts.append(self._element(self.reverse, "element_reverse", "The cotangents of one element, from partials and seeds."))
        return "\n\n".join([*parts, self._forward(), self._reverse()])

    def _forward_elements(self) -> Iterator[str]:
        """The functions of one element from which the forward kernel is made."""
        if self.stages is None:
            yield self._element(self.forward, "element", "The results of one element, and what is kept of it.")
            return
        count = 0
        for level, (part, passes) in enumerate(self.stages.parts):
            yield self._element(part.graph, f"element_{level}", f"What is known of one element after {level} loops.")
            for one in passes:
                yield self._element(one.test.graph, f"element_test_{count}", "Whether one element goes on.")
                yield self._element(one.step.graph, f"element_step_{count}", "One pass for one element that goes on.")
                count += 1

    def _element(self, graph: Graph, name: str, doc: str) -> str:
        oplist = OpList(graph.name, graph.inputs, graph.nodes, graph.outputs, self.dtype.name, self.program.math)
        parameters, statements, results = written(oplist, self.calls, self._told)
        returned, given = ", ".join(results), f"({', '.join(parameters)})"
        if len(returned) > WIDTH and len(results) > 1:
            returned = _in_brackets(results, "    ")
        if len(given) > WIDTH - 19:
            given = _in_brackets(parameters)
        head = ["@numba.njit(**OPTIONS, forceinline=True)", f"def {name}{given}:", f'    """{doc}"""']
        return "\n".join([*head, *statements, f"    return {returned}", ""])

    def _told(self, source: str) -> str:
        """The user's own line in place of its number, where that is found."""
        file, _, number = source.rpartition(":")
        is_found = self.file and file == Path(self.file).name and number.isdigit()
        return (is_found and linecache.getline(self.file or "", int(number)).strip()) or _spelled(source)

    def _forward(self) -> str:
        x, *results = self._forward_rows()
        arrays = {name: rows for name, rows in zip(("y", "residuals", "codes"), results, strict=True) if rows}
        more = "residuals, codes" if self.causes else "residuals"
        words = {**self._words(), "residualsMORE": more, "LONG": functions.LONG * bool(self.causes)}
        words["CODES_TOO"], words["CODES_SHAPE"] = functions.SHAPE if self.causes else ("", "")
        words["STORES"] = "".join(f"        _store({name}, k, {ROWS[name]}, False)\n" for name in arrays)
        wide = (f"    wide_{name} = np.empty(({len(rows)}, WIDE), np.{self.dtype})\n" for name, rows in arrays.items())
        words["WIDENED"] = "".join(wide)
        words["WIDE_ONES"] = ", ".join(f"wide_{name}" if name in arrays else name for name in ["y", *more.split(", ")])
        moved = (
            f"        for k in range({len(rows)}):\n            {name}[k, start + i] = wide_{name}[k, i]\n"
            for name, rows in arrays.items()
        )
        words["NARROWED"] = "".join(["    for i in range(count):\n", *moved])
        words["ROOM"] = "".join(f"    {ROWS[name]} = _rows_of({len(rows)})\n" for name, rows in arrays.items())
        has_loops = self.stages is None and any(node.op == "loop" for node in self.forward.nodes)
        asked = functions.together("x, x", [self.forward], self.program.math)
        words["TOGETHER"] = "" if has_loops else asked  # loops in loops make no vectors
        if self.stages is None:
            element = self._each([row for rows in results for row in rows], "element", x, 12)
            words |= {"PARTS": _fill(texts.PART, {"ELEMENT": element}), "timeLOOPS": "time"}
        else:
            words["ROOM"] += f"    {_in_brackets(self.stages.rows, '    ')} = _rows_of({len(self.stages.rows)})\n"
            words |= {
                "PARTS": self._staged(self.stages),
                "timeLOOPS": "time: loops run pass by pass, until all of these are done",
            }
        return _fill(f"{texts.FORWARD_TILE}\n\n{texts.FORWARD}", words)

    def _forward_rows(self) -> tuple[list[str], ...]:
        """How rows are called: of arguments, values, residuals, and causes."""
        x = [f"x[{k}, k + i]" for k in range(self.inputs)]
        return x, _rows("ys", self.outputs), _rows("rs", self.residuals), _rows("faults", bool(self.causes))

    def _staged(self, stages: Stages) -> str:
        """The statements of the parts and loops of a forward kernel."""
        lines, count = [], 0
        for level, (part, passes) in enumerate(stages.parts):
            lines.append(_fill(texts.PART, {"ELEMENT": self._each(part.writes, f"element_{level}", part.reads, 12)}))
            for one in passes:
                words = {"MAX": str(one.max_passes), "GOING": one.test.writes[0]}
                words["TEST"] = self._each(one.test.writes, f"element_test_{count}", one.test.reads, 16)
                words["STEP"] = self._each(one.step.writes, f"element_step_{count}", one.step.reads, 16)
                lines.append(_fill(texts.PASSES, words))
                count += 1
        return "".join(lines)

    def _reverse(self) -> str:
        words = {**self._words(), "ROOM": f"    cs = _rows_of({self.inputs})\n", "PARTIALS": ""}
        oplists = [oplist for oplist in (self.prologue, self.reverse) if oplist]
        words["TOGETHER"] = functions.together("residuals, seeds", oplists, self.program.math)
        operands = [f"residuals[{k}, k + i]" for k in range(self.residuals)]
        if self.prologue:
            element = self._each(_rows("ps", self.partials), "element_partials", operands, 12)
            more = {"COUNT": str(self.partials), "WORKING": self.dtype.name, "ELEMENT": element}
            words["PARTIALS"] = _fill(texts.PARTIALS, more)
            words["NEAR"] = "            j = k - first\n"
            operands = [f"p[{k}, j + i]" for k in range(self.partials)]
        seeds = [f"seed[{k}, k + i]" for k in range(self.outputs)]
        words["ELEMENT"] = self._each(_rows("cs", self.inputs), "element_reverse", operands + seeds, 16)
        return _fill(f"{texts.REVERSE_TILE}\n\n{texts.REVERSE}", {"NEAR": "", **words})

    def _each(self, targets: Sequence[str], function: str, operands: Sequence[str], indent: int) -> str:
        """The statement for element `i` of these rows; operands that are rows of their own are named alone."""
        right = [operand if operand.endswith("+ i]") else f"{operand}[i]" for operand in operands]
        return _statement([f"{row}[i]" for row in targets], function, right, " " * indent)

    @property
    def vectors(self) -> int:
        """How many vectors the kernels take at a time, as `nbad.codegen.length` has it: more where calls stand close.

        With four mish takes 0.6 of the time and danwood 0.6 (AVX-512); Black-Scholes, of 11 results, 0.7 with two, and with four,
        for which it puts 9 kB aside, 0.75 in most processes, and 1.8 in others.
        """
        results = self.outputs + self.residuals if self.stages is None else 0
        if self.program.math != "simd" or self.inputs > FEW or results > MOST_RESULTS:
            return 1
        operations = operations_in(self.forward)
        called = {op for op, row in self.rows.items() if row.libm and op not in functions.INSTRUCTIONS}
        found = by_calls(len(operations), sum(op in called for op in operations))
        return min(found, 2) if results > FEW else found if self.stages is None or found == 1 else 4

    def _structure(self) -> dict[str, str]:
        """How results are put together, and seeds taken apart."""
        structure, count = self.program.structure, len(self.program.leaves)
        if not structure.is_tuple:
            words = {"IS_OTHER": "isinstance(seed, tuple)", "DESCRIBED": '"one array"'}
            return {"BUILT": "leaves[0]", "KEYED": "", **words, "EACH": "(seed,)"}
        words = {"IS_OTHER": f"not isinstance(seed, tuple) or len(seed) != {count}", "EACH": "seed", "KEYED": ""}
        words |= {"BUILT": "tuple(leaves)" if structure.is_usual else "Result(*leaves)", "DESCRIBED": repr(structure.or_tuple())}
        if structure.is_dict:
            keys = f"({', '.join(map(repr, structure.keys))},)"
            if not all(type(key) in (str, int, bool) for key in structure.keys):
                raise functions.refusal(
                    name_in_code(self.f), f"returns a dict with the keys {keys}", "keys that are text or integers"
                )
            given = f"    if isinstance(seed, dict) and seed.keys() == set({keys}):\n"
            words["KEYED"] = f"{given}        seed = tuple(seed[key] for key in {keys})\n"
            words["BUILT"] = f"dict(zip({keys}, leaves, strict=True))"
        return words

    @property
    def _is_named(self) -> bool:
        """Whether results come in a namedtuple."""
        return hasattr(self.program.structure.kind, "_fields")

    def _result(self) -> str:
        kind = self.program.structure.kind
        if not self._is_named:
            return ""
        renamed = ", rename=True" if any(field.startswith("_") for field in kind._fields) else ""
        return f'Result = namedtuple("{kind.__name__}", "{" ".join(kind._fields)}"{renamed})\n'

    def _cause_list(self) -> str:
        causes = [self.program.flags.causes[k] for k in self.causes]
        each = [(_builtin(cause.error), textwrap.shorten(cause.line.text, 90), cause.line.place) for cause in causes]
        return "(\n" + "".join(f"    ({error}, {f'{text} ({place})'!r}),\n" for error, text, place in each) + ")"

    def _imports(self) -> str:
        has_functions = bool(self.functions)
        plain = [*["import hashlib"] * has_functions, "import math", "import sys"]
        plain += ["from collections import namedtuple"] * self._is_named + ["from contextlib import suppress"] * has_functions
        partners = ["import numba", "import numpy as np", *(functions.IMPORTS if has_functions else functions.OF_ROWS)]
        return "\n".join([*plain, "", *partners, "", ""])

    def _words(self) -> dict[str, str]:
        """What stands for the words of the texts."""
        f, program = self.f, self.program
        listed = ", ".join(program.names)
        kept = [(value.name, _spelled(value.source or "")) for value in self.plan.residuals]
        rows = [f"    {k:>3}  {name:<24} {source}".rstrip() for k, (name, source) in enumerate(kept)]
        doc = _spelled((inspect.getdoc(f) or "").replace("\\", "\\\\").replace('"""', "'''").strip(), UNREADABLE)
        return {
            "NAME": _spelled(f.__name__),
            "DOC": doc and f"{doc}\n\n",
            "NAMES": listed,
            "CALL": ", ".join(_parameters(f, program.names)),
            "ARGUMENTS": f"({listed}{',' * (len(program.names) == 1)})",
            "PARAMETERS": repr(program.names).replace("'", '"'),
            **{word: _apart(name, program.names) for word, name in OWN.items()},
            "RUN": functions.RUN_CODES if self.causes else functions.RUN,
            "ROW_NAMES": "\n".join([*rows, ""]) if rows else "    none\n",
            "ROWS": str(self.residuals),
            "OUTPUTS": str(self.outputs),
            "INPUTS": str(self.inputs),
            "WORKING": self.dtype.name,
            "ORIGIN": _spelled(Path(self.file).name) if self.file else "Python",
            "VERSION": VERSION,
            "CORE_SHAPES": repr(program.cores),
            "LEAF_SHAPES": repr(tuple(program.leaves)),
            "REVERSE_STEP": "TILE" if self.prologue else str(LARGE),
            "SIDE_BY_SIDE": "LINE" if self.vectors == 1 else f"max(LINE, {self.vectors} * LANES)",
            "BY_HOST": "_vectors()[0] // DTYPE.itemsize" if self.functions else "LINE",
            "VECTORS_HERE": functions.WIDTHS if self.functions else "",
        }


def _with_codes(graph: Graph, program: Program, causes: Sequence[int]) -> Graph:
    """The forward graph without its alarm; behind its outputs 0, or the number of what leaves an element without a value."""
    first = graph.nodes[graph.outputs[0]]
    if first.op == "alarm":
        graph = replace(graph, outputs=(first.args[1], *graph.outputs[1:]))
    if not causes:
        return graph
    builder = SimplifyingBuilder.extending(graph)
    conditions, code = program.flags.conditions(builder), builder.constant(0.0)
    for place, number in reversed(list(enumerate(causes, 1))):
        code = builder.add("select", conditions[number], builder.constant(float(place)), code)
    return builder.build([*graph.outputs, code])


def _spelled(text: str, special: str = SPECIAL) -> str:
    """A text as it may stand in one of the module's."""
    return re.sub(f"[{special}]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _apart(name: str, parameters: Sequence[str]) -> str:
    """A name of the module's own that no parameter has."""
    return _apart(f"{name}_", parameters) if name in parameters else name


def _rows(name: str, count: int) -> list[str]:
    return [f"{name}[{k}]" for k in range(count)]


def _statement(targets: Sequence[str], function: str, operands: Sequence[str], margin: str) -> str:
    """The line that sets some places to what a function returns, or the lines."""
    line = f"{', '.join(targets)} = {function}({', '.join(operands)})"
    if len(margin) + len(line) > WIDTH:
        given = _in_brackets(targets, margin) if len(targets) > 1 else targets[0]
        line = f"{given} = {function}{_in_brackets(operands, margin)}"
    return f"{margin}{line}\n"


def _in_brackets(items: Sequence[str], margin: str = "") -> str:
    """Names or places in brackets, in several lines where they are many."""
    if len(margin) + sum(len(item) + 2 for item in items) <= WIDTH - BESIDE:
        return f"({', '.join(items)})"
    whole = " ".join(f"{item.replace(' ', GLUE)}," for item in items)
    lines = textwrap.wrap(whole, WIDTH - len(margin) - 4, break_long_words=False)
    return "(\n" + "".join(f"{margin}    {line}\n" for line in lines).replace(GLUE, " ") + f"{margin})"


def _parameters(f: Kernel, names: Sequence[str]) -> Iterator[str]:
    """The parameters of a function of these arguments of a kernel, as code has them."""
    known, is_by_place = f._parameters_signature.parameters, True
    for name in names:
        if is_by_place and known[name].kind is inspect.Parameter.KEYWORD_ONLY:
            is_by_place = False
            yield "*"
        default: Any = f.default(name)
        is_needed = default is inspect.Parameter.empty
        yield name if is_needed else f"{name}={functions.literal(np.asarray(default, float).tolist())}"


def _file(f: Kernel) -> str | None:
    """The file that a kernel is written in."""
    try:
        return inspect.getsourcefile(inspect.unwrap(f.__wrapped__))
    except TypeError:
        return None


def _builtin(error: Exception) -> str:
    """The name of Python's own exception that an error is."""
    return next(kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)


def _fill(text: str, words: dict[str, str]) -> str:
    """A text with words filled in; a line that is one word is the lines of what that stands for."""
    known = "|".join(map(re.escape, words))
    return re.sub(rf"^({known})\n|\b({known})\b", lambda found: words[found[1] or found[2]], text, flags=re.MULTILINE)
