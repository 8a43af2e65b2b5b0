"""The command `report`: Markdown from JSON files, to stdout or between the markers of a file such as README.md."""

import json
import sys
from pathlib import Path

from benchmarks import compile_time, targets
from benchmarks.report import insert, summary
from benchmarks.results import Results


def add_options(parser):
    """Options of the command."""
    parser.add_argument("files", nargs="+", type=Path, help="results.json, compile.json or targets.json")
    parser.add_argument("--into", type=Path, help="file with markers `<!-- results: begin -->` and `<!-- results: end -->`")


def command(given):
    """Print or insert the report of every file."""
    for path in given.files:
        section, text = render(path)
        if given.into:
            insert(given.into, section, text)
        else:
            sys.stdout.write(text)
    return 0


def render(path):
    """Name of the section, and its text."""
    kind = json.loads(path.read_text(encoding="utf-8")).get("kind", "results")
    if kind == "compile":
        return kind, compile_time.markdown(path)
    return kind, targets.markdown(path) if kind == "targets" else summary(Results.load(path))
