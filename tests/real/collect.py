"""Functions that people have: taken mechanically from scientific packages, each with arguments that its docstring shows.

A function is taken if it is written in Python at the level of a module, is called in an example of its own docstring with numbers
(beside text, flags and None), and returns finite numbers there. Where no docstring of a package shows calls, the arguments are
numbers at which the function runs. Nothing here knows nbad.
"""

import ast
import contextlib
import doctest
import functools
import importlib
import inspect
import io
import itertools
import pkgutil
import re
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

PACKAGES = (
    "fluids chemicals ht thermo iapws pvlib colour astropy lmfit hapsira psychrolib seawater pymap3d pyXSteam pythermalcomfort "
    "pygasflow"
).split()
# not of the science: tests, plots, and the same functions once more in other clothes
LEFT_OUT = set(
    "tests test testing conftest examples plotting plots plot vectorized units numba jax docs data iotools _vendor extern".split()
)
NO_EXAMPLES = {"psychrolib", "lmfit", "hapsira", "pymap3d", "pyXSteam", "pythermalcomfort", "pvlib"}
GUESSES = (0.5, 1.5, 20.0, 300.0, 1e5)
LARGEST = 32  # numbers in a vector
SECONDS = 3.0  # of the processor, for one call of a plain function


class Example(NamedTuple):
    """A function, and one call of it."""

    path: str  # "fluids.friction.Clamond"
    function: Callable[..., Any]
    values: dict[str, Any]  # by the name of the parameter
    traced: tuple[str, ...]  # the parameters that are numbers to differentiate by
    is_guess: bool


class TooLong(Exception):
    """A call did not end in time."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooLong(f"no end after {seconds} s of the processor")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Neither prints nor warnings."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def call(function: Callable[..., Any], values: dict[str, Any]) -> Any:
    """The function's result; raises whatever it raises, and `TooLong`."""
    with quiet(), time_limit(SECONDS):
        return function(**{name: np.array(v) if isinstance(v, np.ndarray) else v for name, v in values.items()})


def examples(package: str, is_wanted: Callable[[str], bool] = lambda path: True) -> Iterator[Example]:
    """The functions of a package that are taken, in the order of their paths, among those whose paths are wanted."""
    socket.getaddrinfo = socket.socket.connect = _no_network  # type: ignore[assignment, method-assign]
    _prepare(package)
    wanted = [(path, function) for path, function in _functions(package) if is_wanted(path)]
    yield from filter(None, itertools.starmap(functools.partial(example_of, package), wanted))


def _no_network(*_: Any, **__: Any) -> None:
    raise OSError("functions are called without a network")


def _prepare(package: str) -> None:
    if package == "psychrolib":
        library = _imported_as_python(package)
        library.SetUnitSystem(library.SI)


def _imported_as_python(package: str) -> Any:
    """A package that compiles itself where it finds Numba, without: a ufunc that calls others loses what they raise."""
    numba = sys.modules.get("numba")
    sys.modules["numba"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(package)
    finally:
        del sys.modules["numba"]
        if numba is not None:
            sys.modules["numba"] = numba


def _functions(package: str) -> list[tuple[str, Callable[..., Any]]]:
    """Path and function, each function once."""
    found = {}
    for module in _modules(package):
        for name, value in list(vars(module).items()):
            function = python_function(value)
            if inspect.isfunction(function) and function.__module__ == module.__name__ and name == function.__name__:
                # what Numba made a ufunc of takes no keywords
                found[f"{module.__name__}.{name}"] = function if hasattr(value, "_dispatcher") else value
    return sorted(found.items())


def python_function(value: Any) -> Any:
    """The Python function in a decorated or compiled one."""
    if not callable(value) or inspect.isclass(value):
        return None
    compiled = getattr(value, "_dispatcher", value)
    return getattr(compiled, "py_func", None) or inspect.unwrap(value)


def _modules(package: str) -> Iterator[Any]:
    with quiet():
        root = importlib.import_module(package)
        yield root
        for _, name, _ in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{package}.", onerror=lambda name: None):
            if LEFT_OUT.isdisjoint(name.split(".")) and ".test" not in name:
                try:
                    yield importlib.import_module(name)
                except (Exception, SystemExit):  # noqa: BLE001, of extras that are not installed
                    continue


def example_of(package: str, path: str, function: Callable[..., Any]) -> Example | None:
    """The function with the first call that its docstring shows and that gives finite numbers; None if there is none."""
    signature = inspect.signature(python_function(function))
    if any(p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY) for p in signature.parameters.values()):
        return None
    for bound in _shown_calls(function, signature):
        traced = _traced(function, bound)
        if traced and _runs(function, bound):
            return Example(path, function, bound, traced, is_guess=False)
    if package in NO_EXAMPLES and ">>>" not in (function.__doc__ or ""):
        for bound in _guessed_calls(signature):
            try:
                is_found = numbers_in(call(function, bound)) is not None
            except (ArithmeticError, ValueError):
                continue
            except (Exception, SystemExit):  # noqa: BLE001, other numbers will not help
                break
            traced = _traced(function, bound) if is_found else ()
            if traced:
                return Example(path, function, bound, traced, is_guess=True)
    return None


def _shown_calls(function: Any, signature: inspect.Signature) -> Iterator[dict[str, Any]]:
    """The arguments of each call of the function in the examples of its docstring, by name."""
    name = python_function(function).__name__
    try:
        shown = doctest.DocTestParser().get_examples(function.__doc__ or "")
    except ValueError:
        return
    namespace = dict(python_function(function).__globals__)
    for example in shown:
        try:
            tree = ast.parse(example.source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) == name:
                bound = _bound(node, signature, namespace)
                if bound is not None:
                    yield bound
        if all(isinstance(statement, ast.Assign | ast.Import | ast.ImportFrom) for statement in tree.body):
            with contextlib.suppress(Exception, SystemExit), quiet(), time_limit(SECONDS):
                exec(compile(tree, "<example>", "exec"), namespace)


def _name(node: ast.expr) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _bound(node: ast.Call, signature: inspect.Signature, namespace: dict[str, Any]) -> dict[str, Any] | None:
    def value(part: ast.expr) -> Any:
        with quiet(), time_limit(SECONDS):
            return eval(compile(ast.Expression(part), "<example>", "eval"), namespace)

    try:
        args = [value(part) for part in node.args]
        kwargs = {part.arg: value(part.value) for part in node.keywords}
        arguments = dict(signature.bind(*args, **kwargs).arguments)
    except Exception:  # noqa: BLE001, whatever an example needs that is not there
        return None
    for p in signature.parameters.values():
        if p.kind is p.VAR_KEYWORD:
            arguments |= arguments.pop(p.name, {})
    if not all(map(_is_data, arguments.values())) or len(arguments) < len(node.args) + len(node.keywords):
        return None
    return {name: _settled(v) for name, v in arguments.items()}


def _is_data(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value) or _is_vector(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_vector(value: Any) -> bool:
    """Whether this is a short array of numbers, or a list of them."""
    if isinstance(value, list):
        return 0 < len(value) <= LARGEST and (all(map(_is_number, value)) or (all(map(_is_vector, value)) and _is_even(value)))
    return isinstance(value, np.ndarray) and 0 < value.size <= LARGEST and value.dtype.kind in "fi"


def _is_even(value: list[Any]) -> bool:
    return len({len(row) for row in value}) == 1 and sum(map(len, value)) <= LARGEST


def _settled(value: Any) -> Any:
    """NumPy's numbers as Python's; arrays of their own."""
    return value.item() if isinstance(value, np.generic) else np.array(value) if isinstance(value, np.ndarray) else value


def _guessed_calls(signature: inspect.Signature) -> Iterator[dict[str, Any]]:
    """Numbers for the parameters without defaults: the same for all, then others."""
    needed = [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    options = {p.name: p.default for p in signature.parameters.values() if _is_number(p.default)}
    if 0 < len(needed) <= 6:
        for first in GUESSES:
            yield {name: first * (1 + 0.17 * k) for k, name in enumerate(needed)} | options
        for row in itertools.islice(itertools.product(GUESSES, repeat=len(needed)), 200):
            yield dict(zip(needed, row, strict=True)) | options


def _runs(function: Callable[..., Any], values: dict[str, Any]) -> bool:
    """Whether the function gives finite numbers."""
    try:
        return numbers_in(call(function, values)) is not None
    except (Exception, SystemExit):  # noqa: BLE001, it is not ours
        return False


def numbers_in(result: Any) -> np.ndarray | None:
    """All numbers of a result in their order, as one row; None if there is anything else in it, or too much."""
    parts: list[float] = []
    pending = [result]
    while pending:
        value = pending.pop(0)
        if type(value) is np.ndarray:  # a quantity has units
            pending[:0] = value.tolist() if value.ndim else [value.item()]
        elif isinstance(value, dict):
            pending[:0] = value.values()
        elif isinstance(value, list | tuple):
            pending[:0] = value
        elif _is_number(value):
            parts.append(float(value))
        else:
            return None
    is_usable = 0 < len(parts) <= 2 * LARGEST and np.isfinite(parts).all()
    return np.array(parts) if is_usable else None


def _traced(function: Callable[..., Any], values: dict[str, Any]) -> tuple[str, ...]:
    """The parameters whose values are real numbers; a whole number that the function takes no part of is a count.

    What has no parameter of its own, but goes into `**options`, is static in a kernel.
    """
    known = inspect.signature(python_function(function)).parameters
    return tuple(name for name, value in values.items() if name in known and _is_real(function, values, name, value))


def _is_real(function: Callable[..., Any], values: dict[str, Any], name: str, value: Any) -> bool:
    if isinstance(value, float):
        return True
    if _is_vector(value):
        flat = np.ravel(value)
        return not all(float(v).is_integer() and 0 <= v <= LARGEST for v in flat) or flat.dtype.kind == "f"
    if not _is_number(value) or re.search(rf"^\s*{name} *: *(optional )?(int|bool)", function.__doc__ or "", re.MULTILINE):
        return False
    return all(_runs(function, values | {name: v}) for v in (float(value), value * 1.001, value * 0.9993))
