"""LLVM IR with the user's lines: as comments that people read, and as debug locations, which assembly then shows."""

import re

from nbad.codegen.lower import OpList
from nbad.lines import parts_of

VALUE = re.compile(r"^  %[vb](\d+) = ", re.MULTILINE)  # of a node; what loops repeat is named by more than a number
DEFINED = re.compile(r"^(define void @\S+\(ptr %table, i64 %n\) #0)", re.MULTILINE)
DEBUG = """\
!llvm.dbg.cu = !{{!1}}
!llvm.module.flags = !{{!2}}
!1 = distinct !DICompileUnit(language: DW_LANG_C99, file: !3, producer: "nbad", isOptimized: true, emissionKind: LineTablesOnly)
!2 = !{{i32 2, !"Debug Info Version", i32 3}}
!3 = !DIFile(filename: "{name}", directory: "")
!4 = distinct !DISubprogram(name: "{name}", scope: !3, file: !3, line: 1, type: !5, unit: !1, spFlags: DISPFlagDefinition)
!5 = !DISubroutineType(types: !6)
!6 = !{{}}"""
FIRST = 7  # metadata that is free
LOCATION = """\
!{file} = !DIFile(filename: "{path}", directory: "")
!{scope} = !DILexicalBlockFile(scope: !4, file: !{file}, discriminator: 0)
!{number} = !DILocation(line: {line}, column: 1, scope: !{scope})"""


def commented(ir: str, oplist: OpList) -> str:
    """The module with the line of each operation above it, where it is another than before.

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> builder = GraphBuilder("f", ["x"])
    >>> oplist = lower(builder.build([builder.add("neg", 0, source="f.py:3")]))
    >>> print(commented("  %v1 = fneg double %v0", oplist))
      ; f.py:3
      %v1 = fneg double %v0
    """
    last: str | None = None

    def above(found: re.Match[str]) -> str:
        nonlocal last
        source, before = _source(oplist, found), last
        last = source or last
        return f"  ; {source}\n{found[0]}" if source and source != before else found[0]

    return VALUE.sub(above, ir)


def located(ir: str, oplist: OpList) -> str:
    """The module with a debug location at each operation."""
    numbers: dict[str, int] = {}
    lines = ir.splitlines()
    for k, line in enumerate(lines):
        found = VALUE.match(line)
        source = _source(oplist, found) if found else None
        if source:
            number = numbers.setdefault(source, FIRST + 3 * len(numbers))
            lines[k] = f"{line}, !dbg !{number}"
    places = [_location(source, number) for source, number in numbers.items()]
    return "\n".join([DEFINED.sub(r"\1 !dbg !4", "\n".join(lines)), DEBUG.format(name=oplist.name), *places])


def without_tables(asm: str) -> str:
    """Assembly without the sections of debug information, which the lines are in already."""
    return asm.partition("\t.section\t.debug_")[0]


def _source(oplist: OpList, found: re.Match[str]) -> str | None:
    return oplist.nodes[int(found[1])].source


def _location(source: str, number: int) -> str:
    path, line = parts_of(source)
    return LOCATION.format(file=number + 1, scope=number + 2, number=number, path=path, line=line)
