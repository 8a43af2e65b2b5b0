"""Equations inside kernels: `nbad.solve` and SciPy's root finders; arguments checked, the function traced, its root a value."""

import functools
import sys
from collections.abc import Callable, Sequence, Sized
from numbers import Integral, Real
from types import MethodType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from nbad.branching import no_value
from nbad.derivatives.implicit import Equations, begin_within, implicit, newton, newton_within
from nbad.displays.text import plural
from nbad.errors import NotConvergedError, misfit
from nbad.foreign import shown
from nbad.graphs.flags import Cause, Flag
from nbad.graphs.interpreter import evaluate
from nbad.graphs.steps import extract
from nbad.language import arrays, objects
from nbad.language.merging import both
from nbad.language.trace import Trace
from nbad.language.values import first_traced
from nbad.operations.row import BOOL, REAL
from nbad.tracing.arguments import signature_of

TOL, MAX_PASSES = 1e-12, 100


class Problem(NamedTuple):
    """What `nbad.solve` is called with."""

    residual: Callable[..., Any]
    start: Any
    params: tuple[Any, ...] = ()
    tol: float = TOL
    max_passes: int = MAX_PASSES
    bracket: tuple[Any, Any] | None = None
    finish: Callable[[Any], Any] = lambda root: root  # what is made of the root
    refused: tuple[str, str] | None = None  # what is asked for beside the root, and what to write instead
    same_signs: Exception | None = None  # what is raised where both ends have the same sign, if not our own error


def solve(
    residual: Callable[..., Any],
    start: Any,
    *params: Any,
    tol: float = TOL,
    max_passes: int = MAX_PASSES,
    bracket: tuple[Any, Any] | None = None,
) -> Any:
    """The root of `residual(unknown, *params)` near `start`, inside a kernel.

    By Newton's steps, as many as each element asks for. A step is the last where it is at most `tol * max(1, abs(unknown))` or
    four times what separates the unknown from the next number, whichever is larger. Derivatives are those of the root, by the
    implicit function theorem, to any order: they are as exact as the root is, and 0 by `start` and by `bracket`.

    Parameters
    ----------
    residual : callable
        Plain Python, as a kernel: of the unknown and the parameters, and of whatever else it sees in the kernel around it.
    start : number, or a short vector
        Where to begin; the unknown has its shape, and `residual` returns as many numbers.
    *params : numbers or arrays
    tol : float
    max_passes : int
        An element that is not done then has no value: `nbad.NotConvergedError`, or nan in a kernel with `errors="nan"`.
    bracket : pair of numbers, optional
        Of one unknown: where the residual has opposite signs. Where a step would leave the bracket, or converges slowly, it is
        halved, so that a root is found wherever there is one. An end where the residual is 0 is a root, too, and so is one where
        rounding alone keeps it from that: by Newton's step from there, the root is at most 32 times as far outside as numbers of
        this size are apart. Other elements whose ends have the same sign have no value.

    Returns
    -------
    The root. It is nan where a parameter is.

    Examples
    --------
    >>> import math
    >>> import nbad
    >>> @nbad.kernel
    ... def omega(y):
    ...     return nbad.solve(lambda w: w * math.exp(w) - y, 0.5)
    >>> print(round(float(omega(1.0)), 12), round(float(nbad.grad(omega)(1.0)), 12))
    0.56714329041 0.361896256635
    """
    problem = Problem(residual, start, params, tol, max_passes, bracket)
    traced = first_traced((start, params, bracket))
    return _plainly(problem) if traced is None else solved(traced._trace, problem)


def solved(trace: Trace, problem: Problem) -> Any:
    """The root as traced values."""
    _check(trace, problem)
    start = arrays.items(trace, problem.start)
    equations, captured, flags = _equations(trace, problem, start)
    if problem.bracket is not None and start.shape:
        raise trace.refusal("solves for several unknowns within a bracket", "nbad.solve(residual, start)  # without `bracket`")
    find = _from_start if problem.bracket is None else _within
    unknowns, failures = find(trace, problem, equations, captured)
    for fails, error in failures:
        trace.no_value(fails, Cause.here(error))
    roots = trace.grown(implicit, equations, unknowns, captured)
    for condition, cause in flags(roots):
        trace.no_value(condition, cause)
    return problem.finish(arrays.wrap(trace, objects.filled(map(trace.value, roots), start.shape)))


def _check(trace: Trace, problem: Problem) -> None:
    """Refuse options that mean nothing."""
    if problem.refused is not None:
        raise trace.refusal(*problem.refused)
    fault = _misfit(problem)
    if fault is not None:
        fix, takes = "nbad.solve(lambda v, a: v * v - a, 1.0, a)", f"the unknown and {plural(len(problem.params), 'parameter')}"
        raise trace.refusal("solves what is no residual", fix, got=fault, expected=f"a function of {takes}")
    wrong = {
        "max_passes": not isinstance(problem.max_passes, Integral) or problem.max_passes < 1,
        "tol": not isinstance(problem.tol, Real) or not 0.0 <= problem.tol < float("inf"),
        "bracket": problem.bracket is not None and (not isinstance(problem.bracket, Sized) or len(problem.bracket) != 2),
    }
    for name in filter(wrong.__getitem__, wrong):
        fix = {"max_passes": "max_passes=100", "tol": "tol=1e-12  # a plain number", "bracket": "bracket=(low, high)"}[name]
        raise trace.refusal(f"solves an equation with a wrong `{name}`", fix, got=repr(getattr(problem, name)))


def _misfit(problem: Problem) -> str | None:
    """Why the residual cannot be called with the unknown and the parameters; None where it can, or where nobody knows."""
    if not callable(problem.residual):
        return shown(problem.residual)
    try:
        residual = problem.residual
        function, before = (residual.__func__, [None]) if isinstance(residual, MethodType) else (residual, [])
        written = getattr(function, "_original", function)  # what a stand-in is asked for, the trace watches
        signature_of(written).bind(*before, problem.start, *problem.params)
    except TypeError as fault:
        return str(fault)
    except ValueError:
        return None
    return None


class _Within:
    """Catches for an outer `try` what a residual raises: the condition is one of the unknown, and is asked of the root."""

    has_handlers = False

    def __init__(self, trace: Trace) -> None:
        self._trace, self._outer = trace, list(trace.guards)
        self.faults: list[Flag] = []

    def catches(self, error: Exception) -> bool:
        """Whether a `try` around the equation does."""
        return any(guard.catches(error) for guard in self._outer)

    def acts(self, error: Exception) -> bool:
        """Nothing is done by the way."""
        return False

    def fault(self, condition: Any, error: Exception) -> None:
        """Elements leave the residual where a condition holds."""
        self.faults.append(Flag(both(self._trace, self._trace.path(), condition), Cause.here(error)))


def _equations(trace: Trace, problem: Problem, start: np.ndarray) -> Any:
    """The equations, the nodes that they see, and what tells the flags of a root."""
    builder, first, known = trace.builder, len(trace.builder.nodes), len(trace.flags)
    holes = {builder.state(): f"v{k}" for k in range(start.size)}
    unknown = arrays.wrap(trace, objects.filled(map(trace.value, holes), start.shape))
    within = _Within(trace)
    trace.guards += [within] if trace.guards else []
    found = arrays.items(trace, problem.residual(unknown, *problem.params))
    if within in trace.guards:
        del trace.guards[trace.guards.index(within) :]
    if found.size != start.size:
        what = f"solves {found.size} equations for {start.size} unknowns"
        raise trace.refusal(what, "nbad.solve(residual, start)  # as many numbers as `start` has")
    inside, trace.flags[known:] = [*trace.flags[known:], *within.faults], []
    residual, captured = extract(builder, first, holes, {}, [trace.node(value, REAL) for value in found.flat])

    def flags(roots: Sequence[int]) -> list[Flag]:
        wanted = [trace.node(condition, BOOL) for condition, _ in inside]
        wanted += [trace.node(value, REAL) for _, cause in inside for _, value in cause.states]
        graph, seen = extract(builder, first, holes, {}, wanted)
        nodes = iter(builder.splice(graph, [*roots, *seen]))
        conditions = [trace.value(node) for node in [next(nodes) for _ in inside]]
        causes = [
            cause._replace(states=tuple((name, trace.value(next(nodes))) for name, _ in cause.states)) for _, cause in inside
        ]
        return list(map(Flag, conditions, causes))

    return Equations(residual), captured, flags


Found = tuple[list[int], list[tuple[Any, Exception]]]


def _from_start(trace: Trace, problem: Problem, equations: Equations, captured: list[int]) -> Found:
    """Unknowns, and for which elements none were found, by which error."""
    loop = newton(equations, problem.tol, problem.max_passes)
    start = [trace.node(value, REAL) for value in arrays.items(trace, problem.start).flat]
    infinite = trace.builder.constant(float("inf"))
    unknowns, fails = _run(trace, loop, [*start, *[infinite] * (len(start) + 1)], captured, len(start))
    return unknowns, [(fails, _none_found(problem))]


def _within(trace: Trace, problem: Problem, equations: Equations, captured: list[int]) -> Found:
    """The same in a bracket."""
    assert problem.bracket is not None
    low, high = (trace.apply(end, tuple(map(trace.real, problem.bracket))) for end in ("minimum", "maximum"))
    begin = trace.grown(begin_within, equations, trace.node(problem.start, REAL), (low._node, high._node), captured)
    loop = newton_within(equations, problem.tol, problem.max_passes)
    initial = [begin.unknown, begin.step, trace.builder.constant(float("inf")), low._node, high._node]
    unknowns, fails = _run(trace, loop, initial, [begin.sign, *captured], 1)
    same_signs = NotConvergedError("`nbad.solve` found no root: both ends of the bracket have the same sign")
    return unknowns, [(trace.value(begin.has_none), problem.same_signs or same_signs), (fails, _none_found(problem))]


def _none_found(problem: Problem) -> Exception:
    return NotConvergedError(f"`nbad.solve` found no root in {problem.max_passes} steps")


def _run(trace: Trace, loop: Any, initial: list[int], captured: list[int], unknowns: int) -> tuple[list[int], Any]:
    active = trace.node(trace.path(), BOOL)
    *states, unfinished = trace.grown(lambda builder: builder.loop(active, initial, captured, loop))
    found = states[:unknowns]
    given = [trace.value(k) for k in (*initial[:unknowns], *captured)]
    found_none = functools.reduce(lambda p, q: trace.logic("or", p, q), (~_is_finite(trace.value(k)) for k in found))
    known = functools.reduce(lambda p, q: trace.logic("and", p, q), (value == value for value in given))
    if any(node.op == "const" and node.payload != node.payload for node in loop.step.nodes):  # a parameter that is a plain number
        known = trace.value(trace.builder.constant(False))
    return found, trace.logic("or", trace.value(unfinished) != 0.0, trace.logic("and", found_none, known))


def _is_finite(value: Any) -> Any:
    return abs(value) < float("inf")


def _plainly(problem: Problem) -> Any:
    """The root for plain numbers: by the same steps, of a trace that is all constants."""
    from nbad.tracing.stand_ins import Rebinder  # which knows this room

    trace = Trace("solve", [], sys.maxsize)
    trace.unseen.root = _plainly.__code__
    rebinder = Rebinder(trace)
    with rebinder.flow:
        root = arrays.items(trace, solved(trace, problem._replace(residual=rebinder.rebind(problem.residual))))
    values, flags = no_value.frozen(trace, [trace.node(value, REAL) for value in root.flat])
    if flags is not None:
        failed = evaluate(flags.graph)[: len(flags.causes)]
        for has_failed, cause in zip(failed, flags.causes, strict=True):
            if has_failed:
                raise cause.error
    return np.reshape(evaluate(values), root.shape)[()]


# SciPy's root finders, by what of their arguments matters here: slopes are those of the residual, whatever `fprime` says, and the
# tolerance is our own, which is smaller


class _Result(SimpleNamespace):
    """What `root_scalar` and `root` return: how they got there is not known."""

    def __getattr__(self, name: str) -> Any:
        if name in _HOW and (root := first_traced(tuple(vars(self).values()))) is not None:
            raise root._trace.refusal(f"asks how a root was found, by `{name}`", f"result.{next(iter(vars(self)))}")
        raise AttributeError(name)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


_HOW = ("iterations", "function_calls", "method", "fun", "nfev", "njev", "nit", "fjac", "r", "qtf", "status", "message")


def _newton(func: Any, x0: Any, *others: Any, args: Any = (), maxiter: int = MAX_PASSES, **options: Any) -> Problem:
    return Problem(func, x0, _tuple(others[1] if len(others) > 1 else args), max_passes=max(maxiter, MAX_PASSES))


def _fsolve(func: Any, x0: Any, args: Any = (), *others: Any, **options: Any) -> Problem:
    """Its result is an array, also for one unknown."""
    return Problem(func, x0, _tuple(args), finish=lambda root: root if np.ndim(root) else arrays.with_axes(root._trace, root, 1))


def _bracketed(f: Any, a: Any, b: Any, args: Any = (), *others: Any, maxiter: int = MAX_PASSES, **options: Any) -> Problem:
    problem = Problem(f, 0.5 * (a + b), _tuple(args), max_passes=max(maxiter, MAX_PASSES), bracket=(a, b))
    return problem._replace(same_signs=ValueError("f(a) and f(b) must have different signs"))


def _root_scalar(f: Any, args: Any = (), method: Any = None, bracket: Any = None, **options: Any) -> Problem:
    x0, maxiter = options.get("x0"), options.get("maxiter") or MAX_PASSES
    problem = _newton(f, x0, args=args, maxiter=maxiter) if bracket is None else _bracketed(f, *bracket, args, maxiter=maxiter)
    start = problem.start if x0 is None else x0
    return problem._replace(start=start, finish=lambda root: _Result(root=root, converged=True, flag="converged"))


def _root(
    fun: Any,
    x0: Any,
    args: Any = (),
    method: Any = "hybr",
    jac: Any = None,
    tol: Any = None,
    callback: Any = None,
    **options: Any,
) -> Problem:
    """Its unknowns are an array, also if there is one."""
    refused = None
    if not isinstance(method, str) or method.lower() != "hybr":
        refused = f"finds a root by the method {method!r}", 'method="hybr"  # nbad takes Newton\'s steps'
    elif callback is not None:
        refused = "asks how a root is found, by `callback`", "callback=None"
    residual = (lambda *values: fun(*values)[0]) if jac is True else fun
    start = x0 if np.ndim(x0) else [x0]
    return Problem(residual, start, _tuple(args), refused=refused, finish=lambda root: _Result(x=root, success=True))


def _tuple(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


_OF_SCIPY: dict[str, Callable[..., Problem]] = dict.fromkeys(("bisect", "brenth", "brentq", "ridder", "toms748"), _bracketed) | {
    "newton": _newton,
    "fsolve": _fsolve,
    "root_scalar": _root_scalar,
    "root": _root,
}


def solved_by(trace: Trace, function: Any, path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of a function that `problem_of` knows, in a kernel that names it by `path`."""
    read: Any = problem_of(function)
    try:
        problem = read(*args, **kwargs)
    except TypeError as fault:
        raise misfit(function, args, kwargs, fault, f"{path}(residual, start)") from None
    return solved(trace, problem)


def problem_of(function: Any) -> Callable[..., Problem] | None:
    """How the arguments of `nbad.solve`, or of a root finder of SciPy's, are read; None for other functions."""
    if function is solve:
        return lambda residual, start, *params, **options: Problem(residual, start, params, **options)
    module, name = sys.modules.get("scipy.optimize"), str(getattr(function, "__name__", ""))
    read = _OF_SCIPY.get(name) if module is not None and getattr(module, name, None) is function else None
    if read is None:
        return None
    how = "asks how a root was found, by `full_output`", "full_output=False"

    def problem(*args: Any, full_output: Any = False, **options: Any) -> Problem:
        found = read(*args, **options)
        return found._replace(refused=how) if full_output else found

    return problem
