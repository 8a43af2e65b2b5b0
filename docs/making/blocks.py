"""The code of README and documentation, run as a reader would: `python docs/making/blocks.py PAGE...` renews what the pages show.

A block of Python may be followed by a block of text: what it prints. A block that imports nbad begins a program, and those below
it go on with that, up to the next that imports it.
"""

import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """Code, and what the page says that it prints."""

    code: str
    printed: str


def blocks_of(text):
    """The blocks of a page, in order."""
    return [Block(code, printed or "") for code, printed in BLOCK.findall(text)]


def programs_of(path):
    """The programs of a page, each a list of blocks."""
    programs = []
    for block in blocks_of(path.read_text(encoding="utf-8")):
        if not programs or re.search(r"^import nbad$", block.code, re.MULTILINE):
            programs.append([])
        programs[-1].append(block)
    return programs


def run(program, folder, name="example"):
    """What each block prints, run one after the other in one module, whose file is `folder/name.py`."""
    path, module = Path(folder) / f"{name}.py", ModuleType(name)
    path.write_text("".join(block.code for block in program), encoding="utf-8")
    module.__file__, sys.modules[name], line = str(path), module, 0
    try:
        for block in program:
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                exec(compile("\n" * line + block.code, path, "exec"), vars(module))
            yield shown.getvalue()
            line += block.code.count("\n")
    finally:
        del sys.modules[name]


def renewed(path):
    """A page with everything renewed that its blocks print; a block that prints nothing has no text behind it."""
    shown = []
    for program in programs_of(path):
        with tempfile.TemporaryDirectory() as folder:
            shown += run(program, folder)
    texts = iter(shown)

    def renew(block):
        printed = next(texts)
        return f"```python\n{block[1]}```" + (f"\n\n```text\n{printed}```" if printed else "")

    return BLOCK.sub(renew, path.read_text(encoding="utf-8"))


def main():
    """Renew the pages that are named."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main()
