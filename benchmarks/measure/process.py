"""Fresh processes, and how this one speaks with them: a line of JSON asks for a function by name, a line of JSON answers.

A child is a module of this folder that ends with `serve`. Whatever goes wrong there ends it, and `ask` raises what it last wrote.
"""

import contextlib
import json
import os
import select
import sys
from importlib.util import find_spec
from pathlib import Path

PATIENCE = 600  # seconds that an answer may take; compilers need some
PATHS = [str(Path(find_spec(name).origin).parents[1]) for name in ("nbad", "benchmarks")]  # the same nbad as here, then these


class ChildError(RuntimeError):
    """A child ended or does not answer; the text says why."""


class Child:
    """A fresh process, and a context that ends it.

    Parameters
    ----------
    module : str
        Of this folder.
    *arguments
        Of its command line.
    paths : sequence of str
        Where it looks for packages first.
    **variables : str
        Of its environment.
    """

    def __init__(self, module, *arguments, paths=PATHS, **variables):
        import subprocess  # here: a child that times imports has not met these
        import tempfile

        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the process writes to it
        path = os.pathsep.join(filter(None, [*map(str, paths), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"{__package__}.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | variables | {"PYTHONPATH": path},
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def ask(self, do, **arguments):
        """The answer to one request."""
        try:
            print(json.dumps({"do": do, **arguments}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failure() from None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            raise ChildError(f"no answer after {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def close(self):
        """Let the process end: no further request comes."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def _failure(self):
        code = self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().strip()
        error = ChildError(text.splitlines()[-1].strip() if text else f"the process ended with code {code}")
        error.add_note(text)
        return error


def serve(owner):
    """Answer requests for the functions of a module or an object until there are no more.

    Parameters
    ----------
    owner : module or object
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not meet the answers
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(owner, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)
