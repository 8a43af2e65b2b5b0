"""The command `report`: Markdown from JSON files, to stdout or between the markers of a file such as benchmarks/results.md."""

import json
import sys
from pathlib import Path

from benchmarks.commands import beside, busy, cluster, compiled, exported, memory, policies, rivals, targets, usual, wide
from benchmarks.commands import compile as compile_time
from benchmarks.report.pages import insert, summary
from benchmarks.report.results import Results

MARKDOWN = {  # by kind, which is the name of the section too
    "cluster": cluster.markdown,
    "compile": compile_time.markdown,
    "compiled": compiled.markdown,
    "exported": exported.markdown,
    "indexed": beside.markdown,
    "loops": beside.markdown,
    "memory": memory.markdown,
    "busy": busy.markdown,
    "partners": beside.markdown,
    "policies": policies.markdown,
    "rivals": rivals.markdown,
    "targets": targets.markdown,
    "usual": usual.markdown,
    "wide": wide.markdown,
}


def add_options(parser):
    """Options of the command."""
    parser.add_argument("files", nargs="+", type=Path, help="JSON files of the other commands")
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
    return kind, MARKDOWN[kind](path) if kind in MARKDOWN else summary(Results.load(path))
