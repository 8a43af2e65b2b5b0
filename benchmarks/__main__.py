"""The command line: `python -m benchmarks [COMMAND] ...`; each command is a module of `commands/`."""

import argparse
import importlib
import sys

COMMANDS = {
    "run": "workloads x sizes x seeds x dtypes x threads, every peer (default)",
    "compile": "compile times, start of a second process, calls of one element",
    "targets": "the figures that nbad promises, each with its contestant in one run",
    "rivals": "the strongest peers, task by task, on one thread and on all: minutes",
    "policies": 'residual policies for 1, 8 and 64 seeds, and what "auto" takes',
    "loops": "loops on data beside the same loop by hand, long loops beside JAX's scan",
    "compiled": "a kernel in a loop of a user's own that Numba compiles, beside plain Numba and nbad's array calls",
    "exported": "the sweeps of exported modules beside nbad's own, for every kernel of the gallery",
    "indexed": "picked arguments and sparse results, beside np.add.at, SciPy's COO format and loops by hand",
    "partners": "kernels as functions of PyTorch's and JAX's, beside their own code: forwards and backwards",
    "wide": "kernels of many outputs and inputs beside JAX, by their width",
    "memory": "what sweeps hold at most, beside what `explain` and `max_bytes=` say",
    "usual": "what an element takes by how many there are: arrays, numbers, columns, broadcast axes, points",
    "busy": "calls with pauses between them, on one thread and on all, beside other processes that compute",
    "cluster": "sweeps on dask arrays over processes of this machine: what grows with data, workers, seeds and blocks",
    "report": "Markdown from the JSON files of the other commands",
}


def main(arguments):
    """Run one command; without a name it is `run`.

    Parameters
    ----------
    arguments : list of str

    Returns
    -------
    int
    """
    words = arguments if arguments and arguments[0] in (*COMMANDS, "-h", "--help") else ["run", *arguments]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What kernels cost, beside other tools.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in COMMANDS.items():
        add_options = _module(name).add_options if name == words[0] else lambda parser: None
        add_options(commands.add_parser(name, help=about, description=about))
    options = parser.parse_args(words)
    return _module(options.command).command(options)


def _module(name):
    return importlib.import_module(f"benchmarks.commands.{name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
