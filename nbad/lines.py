"""Where in the user's own files an operation or an error comes from."""

import dis
import inspect
import linecache
import os
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

PACKAGE = os.path.dirname((lambda: 0).__code__.co_filename) + os.sep  # byte code names the files that it was compiled from
LIBRARIES = frozenset(sys.stdlib_module_names - {"__main__"} | {"numpy", "scipy", "numba"})
PARTNERS = frozenset({"torch", "jax", "jaxlib", "pandas", "xarray", "dask", "distributed"})  # which call nbad back
# the verbs that return objects, by the classes of these
MADE_BY = {
    "Jacobian": "jacobian",
    "ValueAndJacobian": "value_and_jacobian",
    "Hessian": "hessian",
    "ValueAndGrad": "value_and_grad",
    "SparseJacobian": "sparse_jacobian",
    "SparseHessian": "sparse_hessian",
    "NormalEquations": "normal_equations",
}
COMMAND = f"{PACKAGE}tools{os.sep}cli.py"
CELL = "Cell In["
_LOOKAHEAD = 50
_WIDTH = 120


class Line(NamedTuple):
    """A line of source: its text, and the file and number that messages name."""

    text: str
    file: str
    number: int

    @property
    def place(self) -> str:
        """As `place` says it."""
        return _spelled(self.file, self.number)

    def __str__(self) -> str:
        return f"{self.text} ({self.place})"


def file_name(path: str) -> str:
    """What messages call a file: its name, or "Cell In[3]" for a cell of a notebook, as IPython's own messages do."""
    cell = _cell(sys.modules["IPython"], path) if "IPython" in sys.modules else None
    return cell or _last_part(path)


def _cell(ipython, path):
    """What IPython calls the file of a cell; None for other files, and in programs that only import it."""
    shell = getattr(ipython, "get_ipython", lambda: None)()
    name = getattr(getattr(shell, "compile", None), "format_code_name", lambda path: None)(path)
    return name and " ".join(name)


@lru_cache(maxsize=4096)
def _last_part(path):
    return Path(path).name


@lru_cache(maxsize=4096)
def _spelled(file, number):
    return f"{file}, line {number}" if file.startswith(CELL) else f"{file}:{number}"


def parts_of(place: str) -> tuple[str, int]:
    """File and number of a place.

    Examples
    --------
    >>> parts_of("f.py:12"), parts_of("Cell In[3], line 4")
    (('f.py', 12), ('Cell In[3]', 4))
    """
    file, _, number = place.rpartition(", line " if place.startswith(CELL) else ":")
    return file, int(number)


def user_frame() -> FrameType | None:
    """The innermost running frame that belongs neither to nbad nor to a library."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_foreign(frame):
        frame = frame.f_back
    return frame


def is_foreign(frame: FrameType) -> bool:
    """Whether the code of a frame belongs to nbad or to a library."""
    return frame.f_code.co_filename.startswith(PACKAGE) or is_library(frame) or top_module(frame) in PARTNERS


def is_library(frame: FrameType) -> bool:
    """Whether the code of a frame belongs to Python or to NumPy, SciPy or Numba."""
    return top_module(frame) in LIBRARIES


@lru_cache(maxsize=4096)
def is_installed(module: str) -> bool:
    """Whether a module belongs to Python, to a library that is known here, or to what was installed."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return top in LIBRARIES or top in PARTNERS or "site-packages" in file or "dist-packages" in file


def top_module(frame: FrameType) -> str:
    """The first part of the name of the module whose code runs in a frame."""
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def place(frame: FrameType | None = None) -> str | None:
    """Text "file.py:12", or "Cell In[3], line 4", of the user's line that is running, in this frame where it is known."""
    frame = frame or user_frame()
    if frame is None:
        return None
    path = frame.f_code.co_filename
    return _place(path, frame.f_lineno) if "IPython" not in sys.modules else _spelled(file_name(path), frame.f_lineno)


@lru_cache(maxsize=4096)
def _place(path, line):
    return f"{Path(path).name}:{line}"


def running_line() -> Line | None:
    """The user's line that is running; no line of libraries that an argument asks, nor of what is around the command."""
    frame: FrameType | None = None
    outer: FrameType | None = sys._getframe(1)
    while outer is not None and outer.f_code.co_filename != COMMAND:
        if outer.f_code.co_qualname == "asked" and outer.f_code.co_filename.startswith(PACKAGE):
            frame = None
        elif frame is None and not is_foreign(outer):
            frame = outer
        outer = outer.f_back
    return None if frame is None else _line_in(frame, frame.f_lineno)


def verb() -> str | None:
    """The function of nbad that the user's line called: "vjp"; "jacobian" also for what that returned."""
    return _called()[0]


def argnums() -> Any:
    """What the object that the user's line called was made to differentiate by, as the user said it; None where nothing was."""
    return _called()[2]


def partner() -> str | None:
    """The partner whose function the user's line called: "pandas" within `nbad.integrations.pandas`; None without."""
    package, _, name = _called()[1].rpartition(".")
    return name if package == "nbad.integrations" else None


def _called():
    """The name of the outermost function of nbad that is running, its module, and the `argnums` of the object that it is of."""
    frame: FrameType | None = sys._getframe(1)
    found, module, argnums = None, "", None
    while frame is not None and is_foreign(frame):
        code = frame.f_code
        name = code.co_qualname.partition(".")[0]
        if code.co_filename.startswith(PACKAGE) and code.co_name != "call" and name != "Way":  # which hand the call on
            own = frame.f_locals.get("self") if name in MADE_BY or name.endswith("OfPartner") else None
            path = getattr(own, "made_by", f"{frame.f_globals.get('__name__')}.{name}")
            module, _, found = path.rpartition(".")
            chosen: Any = getattr(own, "argnums", None)
            argnums = chosen if getattr(own, "is_many", True) else chosen[0]
        frame = frame.f_back
    return found, module, argnums


def raising_line(error: BaseException) -> Line | None:
    """The same for the user's innermost line that an error came through."""
    frames = [(frame, number) for frame, number in traceback.walk_tb(error.__traceback__) if not is_foreign(frame)]
    return _line_in(*frames[-1]) if frames else None


def _line_in(frame, number):
    learn(frame.f_code, frame.f_globals)
    return line_of(frame.f_code, number)


def learn(code: CodeType, namespace: dict[str, Any]) -> None:
    """Let the source of `code` be found where it is no file, as in an archive: the loader of the module is in its namespace."""
    linecache.lazycache(code.co_filename, namespace)


def obstacle(frame: FrameType | None) -> str | None:
    """Why the function that runs in a frame could not be rewritten, so that it cannot branch on traced values."""
    if frame is None:
        return None
    code = frame.f_code
    if code.co_flags & inspect.CO_GENERATOR and code.co_name != "<genexpr>":
        return f"`{code.co_name}` is a generator: its branches are not traced"
    if "__nbad__" not in frame.f_globals:
        return f"`{code.co_name}` is run as it is: nbad sees into functions and methods that the kernel reaches by name only"
    reason = frame.f_globals.get("__nbad_obstacle__")
    return reason and f"`{code.co_name}` cannot branch, for {reason}"


def line_of(code: CodeType, number: int) -> Line:
    """Text, file and number of line `number` of the file that holds `code`."""
    text = linecache.getline(code.co_filename, number).strip() or f"in `{code.co_name}`"
    return Line(text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ...", file_name(code.co_filename), number)


def definition_line(code: CodeType) -> Line:
    """The line of the `def` or `lambda`, below any decorators."""
    first = code.co_firstlineno
    for number in range(first, first + _LOOKAHEAD):
        text = linecache.getline(code.co_filename, number)
        if "def " in text or "lambda" in text:
            return line_of(code, number)
    return line_of(code, first)


def return_line(code: CodeType) -> Line:
    """The line of the only `return`, else of the `def`."""
    lines = {line_number(i) for i in dis.get_instructions(code) if i.opname in ("RETURN_VALUE", "RETURN_CONST")} - {0}
    return line_of(code, lines.pop()) if len(lines) == 1 else definition_line(code)


def line_number(instruction: dis.Instruction) -> int:
    """The line that an instruction was compiled from; 0 if it has none."""
    positions = instruction.positions
    return (positions.lineno or 0) if positions else 0
