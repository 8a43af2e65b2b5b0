"""The subject of a run: a kernel of a Python file, and the file's own function that makes inputs for it."""

import math
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from nbad import foreign, lines
from nbad.api.kernel import Kernel
from nbad.api.trees import names_in, tree_of
from nbad.displays.text import plural
from nbad.errors import ArgumentValueError, NbadError
from nbad.graphs.structures import ALONE
from nbad.profiles.shares import of_numbers
from nbad.runtime.operands import read
from nbad.tracing.arguments import signature_of


@dataclass(frozen=True)
class Subject:
    """A kernel of a file, and the function that makes inputs for it."""

    kernel: Kernel
    sample_inputs: Callable
    path: Path
    target: str  # as the user wrote it

    @property
    def name(self) -> str:
        return self.kernel.__name__

    def call(self, n: int, dtype: str) -> tuple[Kernel, tuple[Any, ...]]:
        """The kernel of numbers and arrays, and these of `n` elements."""
        made = self.inputs(n, dtype)
        kernel, xs = of_numbers(self.kernel, made)
        program, values = kernel.bind(xs, {})
        layout = read(program, values).layout
        counts = (math.prod(layout.shape), layout.dtype), (n, dtype)
        got, asked = (f"{plural(count, 'element')} of {kind}" for count, kind in counts)
        if program.names and got != asked:
            fix = f"return {self._resized(made, dict(zip(program.names, program.cores, strict=True)))}"
            what = "`sample_inputs` does not make what it is asked for"
            raise _error(f"profile {self.target}", what, got=got, expected=asked, fix=fix)
        return kernel, xs

    def _resized(self, made: tuple[Any, ...], cores: dict[str, tuple[int, ...]]) -> str:
        """How code returns as many elements as are asked for of these arguments; static ones as they are."""
        texts = []
        for name, value in zip(self.kernel.parameters, made, strict=False):
            found = tree_of(self.kernel.__name__, name, value, True)
            tree, leaves = (found[0], names_in([name], [(name, found[0])])[name]) if found else (ALONE, (name,))
            shapes = [f"({', '.join(['n', *map(str, cores[leaf])])})" if cores[leaf] else "n" for leaf in leaves if leaf in cores]
            each = [f"np.resize({code}, {shape}).astype(dtype)" for code, shape in zip(tree.spelled(name), shapes, strict=False)]
            texts.append(tree.written_of(iter(each)) if found and each else "".join(each) or name)
        return f"{', '.join(texts)}{',' * (len(texts) == 1)}"

    def inputs(self, n: int, dtype: str) -> tuple:
        """The arguments of `n` elements; in a file of several kernels a parameter `name` tells which is meant."""
        more = {"name": self.name} if "name" in signature_of(self.sample_inputs).parameters else {}
        command = f"profile {self.target}"
        with Running(f"`sample_inputs` of {self.path}", self.path, command):
            made = self.sample_inputs(np.random.default_rng(0), n, np.dtype(dtype), **more)
        arguments = ", ".join(self.kernel.parameters)
        fix = f"return {arguments}{',' * (len(self.kernel.parameters) == 1)}"
        expected = f"the arguments of `{self.name}`"
        if not isinstance(made, Iterable) or isinstance(made, np.ndarray | str | Mapping):
            raise _error(command, "`sample_inputs` returns no tuple", got=foreign.named(made), expected=expected, fix=fix)
        made = tuple(made)
        try:
            signature_of(self.kernel).bind(*made)
        except TypeError as fault:
            got = plural(len(made), "argument")
            raise _error(command, f"`sample_inputs`: {fault}", got=got, expected=expected, fix=fix) from None
        return made


def find(target: str, command: str = "profile") -> tuple[Kernel, ModuleType, Path]:
    """The kernel that `FILE` or `FILE:NAME` names, its module and its file.

    Examples
    --------
    >>> find("missing.py", "export")
    Traceback (most recent call last):
    nbad.errors.ArgumentValueError: `nbad export missing.py`: no file missing.py
      expected: FILE.py or FILE.py:NAME
    """
    path, name = _split(target)
    module = _import(path, f"{command} {target}")
    kernels = {key: value for key, value in vars(module).items() if isinstance(value, Kernel)}
    return _choose(kernels, name, f"{command} {target}", path), module, path


def load(target: str) -> Subject:
    """The kernel that `FILE` or `FILE:NAME` names, with the function that makes inputs.

    Parameters
    ----------
    target : str
        A Python file, and the name of the kernel in it where the file has several.

    Returns
    -------
    Subject

    Examples
    --------
    >>> load("missing.py")
    Traceback (most recent call last):
    nbad.errors.ArgumentValueError: `nbad profile missing.py`: no file missing.py
      expected: FILE.py or FILE.py:NAME
    """
    kernel, module, path = find(target)
    if not callable(getattr(module, "sample_inputs", None)):
        fix = "def sample_inputs(rng, n, dtype): return rng.uniform(0, 1, n).astype(dtype), ..."
        raise _error(f"profile {target}", f"no function `sample_inputs` in {path}", fix=fix)
    return Subject(kernel, module.sample_inputs, path, target)


def _split(target: str) -> tuple[Path, str | None]:
    file, colon, name = target.rpartition(":")
    return (Path(file), name) if colon and name.isidentifier() else (Path(target), None)


def _error(command: str, what: str, **more: Any) -> ArgumentValueError:
    return ArgumentValueError(f"`nbad {command}`: {what}", source=None, **more)


def _import(path: Path, command: str) -> ModuleType:
    """Import a file as `python FILE` would: its own folder comes first among the places to import from."""
    if not path.is_file():
        raise _error(command, f"no file {path}", expected="FILE.py or FILE.py:NAME")
    spec = util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _error(command, f"{path} is not a Python file", expected="FILE.py or FILE.py:NAME")
    module = util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules.setdefault(path.stem, module)
    with Running(str(path), path, command):
        spec.loader.exec_module(module)
    return module


class Running:
    """Code of the file runs within it: what that raises is told in a few lines.

    Parameters
    ----------
    what : str
    path : Path
    command : str
    is_all : bool
        Whether nothing but the file's own code runs; else what came through no line of the user's is a fault of nbad's.
    """

    def __init__(self, what: str, path: Path, command: str, is_all: bool = True):
        self._what, self._path, self._command, self._is_all = what, path, command, is_all

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, NbadError):
            return
        line = None if isinstance(error, SyntaxError) else lines.raising_line(error)
        if line is None and not self._is_all:
            return
        raise _error(
            self._command,
            f"{self._what} raises {type(error).__name__}",
            got=f"{error}" + (f", by {line.text} ({line.file}:{line.number})" if line else ""),
            fix=f"NBAD_FRAMES=1 nbad {shlex.join(self._command.split(' ', 1))}  # shows how it came to that",
        ) from error


def _choose(kernels: dict[str, Kernel], name: str | None, command: str, path: Path) -> Kernel:
    if not kernels:
        raise _error(command, f"no kernel in {path}", fix="decorate the function with @nbad.kernel")
    first, *others = kernels
    if name in kernels or not (name or others):
        return kernels[name or first]
    what = f"no kernel `{name}`" if name else "the file has several kernels"
    raise _error(
        command,
        what,
        expected=f"one of {', '.join(kernels)}",
        fix=f"nbad {command.partition(' ')[0]} {shlex.quote(f'{path}:{first}')}",
    )
