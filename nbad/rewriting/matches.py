"""`match` that asks for more than structure, as a chain of `if`: its guards, and its numbers, may be of traced values.

match f(x):             _nbad1 = f(x)
    case 0: ...         if _nbad1 == 0: ...
    case Point(u, v)    else:
      if u > v: ...         match _nbad1:
    case y: ...                 case Point(u, v): _nbad2 = True
                                case _: _nbad2 = False
                            if _nbad2 and u > v: ...
                            else:
                                y = _nbad1
                                ...
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any

from nbad.rewriting.expressions import At
from nbad.rewriting.scopes import CLOSED, changed, placed

_HOLDING = (ast.stmt, ast.ExceptHandler, ast.match_case)  # what stands in the lists that hold statements
LONGEST = 12  # cases of a chain: Python nests 20 blocks at most


def without_guards(statements: Iterable[Any], temporary: Callable[[], str]) -> list[Any]:
    """Statements, or handlers, without such `match` among and in them; `temporary` makes new variables."""
    done: list[Any] = []
    for node in statements:
        if isinstance(node, CLOSED):
            done.append(node)
            continue
        lists = ((name, value) for name, value in ast.iter_fields(node) if isinstance(value, list))
        blocks = {name: value for name, value in lists if value and isinstance(value[0], _HOLDING)}
        inner = {name: without_guards(value, temporary) for name, value in blocks.items()}
        new = changed(node, **inner) if inner else node
        is_asking = isinstance(new, ast.Match) and any(map(_asks, new.cases)) and len(new.cases) <= LONGEST
        done += _chain(new, temporary) if is_asking else [new]
    return done


def _asks(case: ast.match_case) -> bool:
    return case.guard is not None or _is_number(case.pattern)


def _is_number(pattern: ast.pattern) -> bool:
    """Whether a pattern is a number, or one of several."""
    if isinstance(pattern, ast.MatchOr):
        return all(map(_is_number, pattern.patterns))
    return isinstance(pattern, ast.MatchValue) and not (
        isinstance(pattern.value, ast.Attribute) or (isinstance(pattern.value, ast.Constant) and type(pattern.value.value) is str)
    )


def _chain(node: ast.Match, temporary: Callable[[], str]) -> list[ast.stmt]:
    at, subject = At(node), temporary()
    begin = at.put(ast.Assign(targets=[at.put(ast.Name(id=subject, ctx=ast.Store()))], value=node.subject))
    rest: list[ast.stmt] = []
    for case in reversed(node.cases):
        rest = _case(case, subject, temporary, rest, node)
    return [begin, *rest]


def _case(
    case: ast.match_case, subject: str, temporary: Callable[[], str], rest: list[ast.stmt], node: ast.Match
) -> list[ast.stmt]:
    at = At(case.pattern)
    before, tests = _pattern(case.pattern, at, subject, temporary)
    tests += [case.guard] if case.guard else []
    if not tests:
        return [*before, *case.body]
    test = tests[0] if len(tests) == 1 else at.put(ast.BoolOp(op=ast.And(), values=tests))
    fork = placed(ast.If(test=test, body=case.body, orelse=rest), case.pattern)
    fork.end_lineno, fork.end_col_offset = node.end_lineno, node.end_col_offset
    return [*before, fork]


def _pattern(pattern: Any, at: At, subject: str, temporary: Callable[[], str]) -> tuple[list[ast.stmt], list[ast.expr]]:
    """What is to be done before a case is asked for, and what its pattern asks."""
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is None:
        return at.lines(f"{pattern.name} = {subject}") if pattern.name else [], []
    if _is_number(pattern):
        values: list[Any] = pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
        name = at.put(ast.Name(id=subject, ctx=ast.Load()))
        tests = [at.put(ast.Compare(left=name, ops=[ast.Eq()], comparators=[value.value])) for value in values]
        return [], tests if len(tests) == 1 else [at.put(ast.BoolOp(op=ast.Or(), values=tests))]
    hit = temporary()
    match = at.statement(f"match {subject}:\n    case _:\n        {hit} = True\n    case _:\n        {hit} = False")
    match.cases[0].pattern = pattern
    return [match], [at.put(ast.Name(id=hit, ctx=ast.Load()))]
