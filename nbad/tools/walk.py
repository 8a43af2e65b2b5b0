"""The walk through the house: `python -m nbad.tools.walk` renews what `nbad/README.md` shows of one kernel and of every wing.

Prose stands in that file alone. What is renewed: the text at each door, which is a fence with the door's name behind `text`; the
promise of a wing, below its heading; and the tables of rooms, each with the first line of its docstring and the names that others
import. Nothing in it depends on the machine: the code is that for a host with AVX-512, and addresses are not shown.
"""

import argparse
import ast
import linecache
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nbad.api.kernel import Kernel
from nbad.codegen.compile import Code, TileKernel
from nbad.codegen.host import Host
from nbad.codegen.length import width
from nbad.codegen.lower import OpList, lower
from nbad.codegen.python_source import print_python
from nbad.codegen.vector_ir import print_ir
from nbad.pipeline import Program
from nbad.plans.plan import Plan
from nbad.testing.check import check_kernel
from nbad.tools.show import show

PACKAGE = Path(__file__).parents[1]
README = PACKAGE / "README.md"
HOST = Host("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx512f", 64, "e", frozenset({"_ZGVeN8v_exp"}))
FILE = "decay.py"  # what the kernel's file is called
CHECKS = 4  # of the report of the harness, the lines that are shown
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOOR = re.compile(r"^(```\w+ )([\w ]+)\n.*?^```$", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"^(## `(\w+)/`\n\n)[^\n]*$", re.MULTILINE)
ROOMS = re.compile(r"^(\| (?:room|file) of `([\w/]+)/` \| [^\n]*\n(?:\| --- ){3}\|\n)(?:\|[^\n]*\n)*", re.MULTILINE)


class Walker(NamedTuple):
    """The kernel on its way: its names, and what the pipeline made of it."""

    names: dict[str, Any]

    @property
    def kernel(self) -> Kernel:
        """The kernel itself."""
        return self.names["decay"]

    @property
    def program(self) -> Program:
        """Its specialization for two arrays."""
        return self.kernel.whole_program()

    @property
    def plan(self) -> Plan:
        """What is kept between its sweeps."""
        return self.program.plan(self.program.input_slots((0, 1)), "auto")

    @property
    def oplist(self) -> OpList:
        """Its forward kernel, lowered."""
        return lower(self.plan.forward)

    @property
    def tile(self) -> TileKernel:
        """Its forward kernel, as if compiled."""
        return TileKernel(self.oplist, np.dtype(float), "simd", code=Code("", width(self.oplist, HOST), []))


def walk(text: str) -> str:
    """The README, with everything renewed that is not prose.

    Parameters
    ----------
    text : str
        The README as it stands; its first Python block is the kernel and its call.

    Returns
    -------
    str
    """
    found = CODE.search(text)
    walker = Walker(_run(found[1] if found else ""))
    text = DOOR.sub(lambda door: f"{door[1]}{door[2]}\n{DOORS[door[2]](walker).rstrip()}\n```", text)
    text = PROMISE.sub(lambda heading: f"{heading[1]}*{promise(heading[2])}*", text)
    return ROOMS.sub(lambda table: table[1] + "".join(_rooms(table[2])), text)


def promise(wing: str) -> str:
    """What a wing promises: the docstring of its `__init__`."""
    return _first_line(PACKAGE / wing / "__init__.py")


def wings() -> list[str]:
    """The wings' names."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def _run(code: str) -> dict[str, Any]:
    """The names that a file with this code defines; its lines can be looked up like those of a file on disk."""
    linecache.cache[FILE] = len(code), None, code.splitlines(keepends=True), FILE
    names: dict[str, Any] = {"__name__": "decay"}
    exec(compile(code, FILE, "exec"), names)
    return names


def _rooms(wing: str) -> Iterator[str]:
    """One row for each file of a wing, or of the package itself."""
    folder = PACKAGE if wing == PACKAGE.name else PACKAGE / wing
    for path in sorted(folder.glob("*.py")):
        if path.stem != "__init__" or folder == PACKAGE:
            yield f"| `{path.stem}` | {_first_line(path)} | {', '.join(f'`{name}`' for name in _names(path))} |\n"


def _names(path: Path) -> list[str]:
    """The classes and functions of a file that others may import, in its order; overloads are one."""
    kinds = ast.ClassDef, ast.FunctionDef
    found = [node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, kinds)]
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def _loop(walker: Walker) -> str:
    """The loop of the forward kernel, without what leads there."""
    lines = print_ir(walker.oplist, HOST).splitlines()
    return "\n".join(lines[lines.index("loop:") : lines.index("done:")])


def _report(walker: Walker) -> str:
    lines = str(check_kernel(walker.kernel, walker.names["a"], walker.names["t"])).splitlines()
    return "\n".join([*lines[: CHECKS + 1], "  ..."])


DOORS: dict[str, Callable[[Walker], str]] = {
    "kernel": lambda walker: repr(walker.kernel),
    "arguments": lambda walker: "\n".join(map(repr, walker.program.arguments)),
    "graph": lambda walker: show(walker.kernel, "graph"),
    "joint graph": lambda walker: show(walker.kernel, "partials"),
    "formula": lambda walker: str(walker.kernel.sympy()),
    "plan": lambda walker: str(walker.plan),
    "op list": lambda walker: str(walker.oplist),
    "readable python": lambda walker: print_python(walker.oplist),
    "vector ir": _loop,
    "tile kernel": lambda walker: str(walker.tile),
    "residuals": lambda walker: str(walker.names["pullback"].residuals),
    "results": lambda walker: "\n".join(map(str, (walker.names["y"], *walker.names["cotangents"]))),
    "report": _report,
}


def main() -> None:
    """Renew the README."""
    README.write_text(walk(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()  # `--help` tells what this writes, and writes nothing
    main()
