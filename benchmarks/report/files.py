"""JSON files of the commands: what was measured, on which machine."""

import json
from pathlib import Path

from benchmarks.report.pages import grid, head


def write(folder, kind, machine, **parts):
    """Write KIND.json into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    body = {"kind": kind, "machine": machine, **parts}
    (folder / f"{kind}.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def read(path):
    """What a file holds."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def page(path, titles, row):
    """Markdown of a file that has nothing but rows, each of this class."""
    body = read(path)
    return "\n\n".join([head(body["machine"]), grid(titles, [row(**fields).cells for fields in body["rows"]])]) + "\n"
