"""Run the comparison over packages, each in a process of its own, and print what came of it.

From the folder `tests`: `python -m real.table [PACKAGE ...] [--keep FILE] [--again OUTCOME ...] [--only PATH ...]`. With `--keep`
the outcomes are kept in a file; a function that has one there is run again only if it, or its outcome, is named.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from real.collect import PACKAGES
from real.compare import Outcome

OUTCOMES = ("right", "refused", "wrong value", "wrong derivative", "crash")
PATIENCE = 600  # seconds by the clock for one function, until its process is ended
FOLDER = Path(__file__).parents[1]
# what the words of refusals have in common
CAUSES = (
    (r"raises an error|asserts a|None in one|and None in|None where", "paths without a value"),
    (r"which has no value on one side", "variables of one side"),
    (r"catches errors of arithmetic", "errors of arithmetic that are caught"),
    (r"loops while|counts to|by `break`|by `continue`|`while True`|loops more|more than \d+ operations", "loops on data"),
    (r"returns a (list|dict|value of type)", "results other than numbers and arrays"),
    (r"not hashable|needs a name|static", "static arguments"),
    (r"assigns the outer variable", "globals that are set at the first call"),
    (r"which nbad does not know", "functions"),
    (r"picks items of an array by traced|writes .* into an array|a traced condition picks|type Places", "masks"),
    (r"complex", "complex numbers"),
    (r"cannot see into|compiled code|run as it is|an index of one", "code that nbad cannot see into"),
    (r"on one element", "functions of the whole array"),
    (r"under another name|several names", "writes under several names"),
    (r"cannot be merged|no single value|changes the (length|dict|object)", "things that a branch cannot choose between"),
)


def cause(reason: str) -> str:
    return next((name for pattern, name in CAUSES if re.search(pattern, reason)), "other")


def headline(reason: str) -> str:
    """What reasons of one kind have in common: without names of kernels and values."""
    return re.sub(r"kernel `\w+`", "kernel", re.sub(r"(reads the attribute `\w+`) of .*", r"\1", reason))[:160]


def run(package: str, known: Iterable[Outcome] = (), only: Iterable[str] = ()) -> list[Outcome]:
    """The outcome of each function that is taken from a package; a function that ends or stops its process is a crash.

    Parameters
    ----------
    package : str
    known : iterable of Outcome
        Of functions that are not to be run again.
    only : iterable of str
        The paths of those to run; all by default.
    """
    done = {outcome.path: outcome for outcome in known}
    begun: str | None = ""
    while begun is not None:
        begun = _go_on(package, done, sorted(only))
        if begun:
            done[begun] = Outcome(begun, "crash", "the process ended, or did not go on")
    return [done[path] for path in sorted(done)]


def _go_on(package: str, done: dict[str, Outcome], only: list[str]) -> str | None:
    """Run a worker and note what it says; the function that it was at when it ended early, else None."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "real.worker", package], cwd=FOLDER, text=True, **pipes) as child:
        child.stdin.write(json.dumps({"done": sorted(done), "only": only}))
        child.stdin.close()
        begun, heard, is_over = "", [time.monotonic()], False
        threading.Thread(target=_watch, args=(child, heard), daemon=True).start()
        for line in map(str.strip, child.stdout):
            word, _, text = line.partition(" ")
            heard[0] = time.monotonic()
            if word == "DONE":
                outcome = Outcome(**json.loads(text))
                done[outcome.path] = outcome
            begun, is_over = text if word == "BEGIN" else "", word == "END"
    return None if is_over else begun or f"{package}, before or between its functions"


def _watch(child: subprocess.Popen, heard: list[float]) -> None:
    """End a worker that is not heard of."""
    while child.poll() is None:
        if time.monotonic() - heard[0] > PATIENCE:
            child.kill()
        time.sleep(0.5)


def table(outcomes: Mapping[str, list[Outcome]]) -> str:
    """Per package: taken, right, refused, wrong, crash, and the share that is right."""
    lines = [
        "| package | taken | of these guessed | right | refused | wrong value | wrong derivative | crash | right, % |",
        "|" + " --- |" * 9,
    ]
    lines += [_row(package, rows) for package, rows in outcomes.items()]
    return "\n".join([*lines, _row("all", [row for rows in outcomes.values() for row in rows])])


def _row(name: str, rows: list[Outcome]) -> str:
    counts = Counter(row.outcome for row in rows)
    share = f"{100 * counts['right'] / len(rows):.1f}" if rows else ""
    guessed = sum(row.is_guess for row in rows)
    return "| " + " | ".join([name, *map(str, (len(rows), guessed, *(counts[each] for each in OUTCOMES))), share]) + " |"


def reasons(outcomes: Mapping[str, list[Outcome]]) -> str:
    """What was refused, and what is amiss: the most frequent first, each with one function."""
    rows = [row for rows in outcomes.values() for row in rows if row.outcome != "right"]
    words = Counter((row.outcome, cause(row.reason), headline(row.reason)) for row in rows)
    samples = {(row.outcome, cause(row.reason), headline(row.reason)): row.path for row in rows}
    lines = ["| count | outcome | cause | in words | for example |", "|" + " --- |" * 5]
    lines += [f"| {count} | {' | '.join(key)} | `{samples[key]}` |" for key, count in words.most_common()]
    return "\n".join(line.replace("\n", " ") for line in lines)


def causes(outcomes: Mapping[str, list[Outcome]]) -> str:
    """How many functions each cause keeps back."""
    counts = Counter(cause(row.reason) for rows in outcomes.values() for row in rows if row.outcome != "right")
    return "\n".join(["| cause | functions |", "| --- | --- |", *(f"| {name} | {n} |" for name, n in counts.most_common())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=PACKAGES)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--again", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    is_kept = options.keep is not None and options.keep.exists()
    stored = json.loads(options.keep.read_text()) if is_kept else {}
    kept = {package: [Outcome(**row) for row in rows] for package, rows in stored.items()}
    for package in options.packages:
        known = [row for row in kept.get(package, []) if row.outcome not in options.again and row.path not in options.only]
        kept[package] = run(package, known, options.only)
        print(package, dict(Counter(row.outcome for row in kept[package])), file=sys.stderr, flush=True)
        if options.keep is not None:
            rows = {name: [row._asdict() for row in rows] for name, rows in kept.items()}
            options.keep.write_text(json.dumps(rows, indent=0))
    shown = {package: kept[package] for package in options.packages}
    print(table(shown), causes(shown), reasons(shown), sep="\n\n")


if __name__ == "__main__":
    main()
