"""Rewrite statements: `if`, `with`, `try`, `match`, `return`, assignments go through `__nbad__`, a `nbad.branching.flow.Flow`.

`if` becomes two arms that can both run, on the same variables:

    _nbad1 = __nbad__.branch(test, ('y',), 12)
    if _nbad1.then:
        try:
            ...
        except __nbad__.error:
            if not _nbad1.dies(): raise
    if _nbad1.turn():
        <set y to what it was, where the test is traced>
        <the same for the other arm>
    if _nbad1.join():
        <set y to what it is now>

A `return` from within a branch records its value; what follows runs only where the call is still alive. An error that an arm
raises ends its path. A loop asks what runs its passes, a `nbad.branching.loops.Loop`; `break` and `continue` set variables:

    _nbad2 = False
    _nbad1 = __nbad__.loop(('y',), 20)
    while _nbad1.next(_nbad2):
        <set y to what it says, where a pass is run for all passes>
        with _nbad1:
            if _nbad1.goes_on(test, _nbad2):
                ...
    while _nbad1.ends():
        <set y to what it is now>

Every node keeps the place of the one that it stems from, so that errors and graphs name the user's lines.
"""

import ast
import functools
from collections.abc import Iterable, Sequence
from types import CodeType
from typing import Any, NamedTuple

from nbad.rewriting import syntax
from nbad.rewriting.expressions import At
from nbad.rewriting.jumps import jumps
from nbad.rewriting.loops import Loops, Place, settings
from nbad.rewriting.matches import without_guards
from nbad.rewriting.scopes import CLOSED, all_nodes, asked_names, bound_names, changed, is_plain_function, placed, returns
from nbad.rewriting.writes import with_writes

_HANDLING = (ast.Subscript, ast.Attribute, ast.Call, ast.IfExp, ast.BoolOp)


# the file name is for the key: equal functions of two files are equal code objects, and their lines are not
@functools.lru_cache(maxsize=1024)
def rewritten(code: CodeType, filename: str) -> CodeType:
    """The code of the rewritten function; raises `NoSource` where there is nothing to rewrite."""
    found = syntax.find(code)
    return syntax.compiled(Rewriter().function(found.node), found, code)


class _Fork(NamedTuple):
    """An `if` or `elif`, the variable of its branch, its place, and what an `elif` says of the branch that it belongs to."""

    node: ast.If
    variable: str
    place: Place
    around: str


class Rewriter(Loops):
    """Rewrites one function and those nested in it; statements here, expressions in the base class."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = set[str]()

    def function(self, node: syntax.Function) -> Any:
        """The rewritten function, with decorators and defaults."""
        # it holds an expression only
        if isinstance(node, ast.Lambda):
            return self.copy(node)
        if not is_plain_function(node):
            return node
        plain: ast.FunctionDef = changed(node, body=without_guards(node.body, self.temporary))
        self.asked |= asked_names(plain)
        has_call = any(map(returns, plain.body)) and not _returns_last_only(plain.body)
        body = self.block(with_writes(plain), Place(True, has_call))
        if has_call:
            docstring = body[:1] if ast.get_docstring(node, clean=False) is not None else []
            begin = At(node.body[0]).lines("_nbad_call = __nbad__.call()")
            end = At(node.body[-1]).lines("return _nbad_call.end()")
            body = docstring + begin + self._mortal(node.body[0], "_nbad_call", body[len(docstring) :]) + end
        outside = {name: self.visit_field(getattr(node, name)) for name in ("args", "decorator_list")}
        return changed(node, **outside, body=body)

    def _mortal(self, place: ast.stmt, variable: str, body: list[ast.stmt]) -> list[ast.stmt]:
        """Statements whose errors may end a path only, of the branch or call with the given variable."""
        return At(place).lines(f"try: body\nexcept __nbad__.error:\n    if not {variable}.dies(): raise", body=body)

    def block(self, statements: Iterable[ast.stmt], place: Place) -> list[ast.stmt]:
        """The rewritten statements of a block; what follows a possible return is run only if there was none."""
        done: list[ast.stmt] = []
        into: list[ast.stmt] | None = done
        for statement in statements:
            if into is None:
                guard = At(statement).statement("if _nbad_call.alive:\n    pass")
                done.append(guard)
                into = guard.body = []
            into += self.statement(statement, place)
            if not (place.has_call and returns(statement)):
                continue
            if place.is_outermost:
                into += At(statement).lines("if not _nbad_call.alive: return _nbad_call.result()")
            else:
                into = None
        return done

    def statement(self, node: ast.stmt, place: Place) -> list[ast.stmt]:
        """What one statement becomes."""
        rewrite = getattr(self, f"rewrite_{type(node).__name__.lower()}", None)
        return [self.copy(node)] if rewrite is None else rewrite(node, place)

    def rewrite_functiondef(self, node: syntax.Function, place: Place) -> list[ast.stmt]:
        return [self.function(node)]

    def rewrite_classdef(self, node: ast.ClassDef, place: Place) -> list[ast.stmt]:
        """Only its methods are rewritten."""
        body = [self.function(part) if isinstance(part, ast.FunctionDef) else part for part in node.body]
        return [changed(node, body=body)]

    def rewrite_if(self, node: ast.If, place: Place) -> list[ast.stmt]:
        """A chain of `elif` from its end, so that a long one needs no deep recursion."""
        chain = [node]
        while len(chain[-1].orelse) == 1 and isinstance(chain[-1].orelse[0], ast.If):
            chain.append(chain[-1].orelse[0])
        forks: list[_Fork] = []
        inside = place
        for link in chain:
            forks.append(_Fork(link, self.temporary(), inside, f", {forks[-1].variable}" if forks else ""))
            inside = inside.arm(forks[-1].variable)
        rest = self._rest(chain[-1].orelse, inside)
        if rest:  # not around each `elif`: Python nests 20 blocks at most
            rest = self._mortal(chain[-1].orelse[0], forks[-1].variable, rest)
        names, has_return = bound_names(chain[-1].orelse), any(map(returns, chain[-1].orelse))
        for fork in reversed(forks):
            names |= bound_names(fork.node.body)
            has_return = has_return or any(map(returns, fork.node.body))
            rest = self._branch(fork, sorted(names), has_return, rest)
            names |= bound_names([fork.node.test])  # an arm of the branch around it
        return rest

    def _branch(self, fork: _Fork, names: Sequence[str], has_return: bool, rest: list[ast.stmt]) -> list[ast.stmt]:
        node, variable, at = fork.node, fork.variable, At(fork.node)
        call = "_nbad_call" if has_return else None
        asks = ", asks=True" * self.asks(names)
        arms = at.lines(
            f"{variable} = __nbad__.branch(test, {tuple(names)!r}, {node.end_lineno}, {call}{fork.around}{asks})\n"
            f"if {variable}.then: then\n" + f"if {variable}.turn(): turn" * bool(rest),
            test=self.visit(node.test),
            then=self._mortal(node.body[0], variable, self.block(node.body, fork.place.arm(variable))),
            turn=[*settings(at, f"if {variable}.is_traced:", variable, names), *rest],
        )
        return [*arms, *self._join(at, variable, names)]

    def _join(self, at: At, variable: str, names: Sequence[str]) -> list[ast.stmt]:
        """The end of a branch, which may set variables."""
        return settings(at, f"if {variable}.join():", variable, names) or at.lines(f"{variable}.join()")

    def rewrite_with(self, node: ast.With, place: Place) -> list[ast.stmt]:
        """A manager may hide errors like a handler, and what its end does after a return is watched like a `finally`."""
        variable, at = self.temporary(), At(node)
        has_return = place.has_call and any(map(returns, node.body))
        begin, inner = at.lines(
            f"{variable} = __nbad__.guard({'_nbad_call' if has_return else None})\n"
            f"try: body\nfinally:\n    {variable}.left()\n" + f"    {variable}.finish(False)" * has_return,
            body=self.block(node.body, place.inside),
        )
        items = self.visit_field(node.items)
        for item in items:
            item.context_expr = at.statement(f"{variable}.manager(value)", value=item.context_expr).value
        new = [placed(ast.With(items=items, body=[inner]), node)]
        return [begin, *(at.lines(f"try: new\nfinally: {variable}.finished()", new=new) if has_return else new)]

    def rewrite_try(self, node: Any, place: Place) -> list[ast.stmt]:
        """A `finally` is guarded; within it the handlers are, too, arms of elements that fail in the body."""
        variable, at = self.temporary(), At(node)
        is_left = any(returns(part) or jumps(part) for part in node.finalbody)
        block = place.inside
        inner = self._tried(node, block) if node.handlers else self.block(node.body, block)
        if not node.finalbody:
            return inner
        return at.lines(
            f"{variable} = __nbad__.guard({'_nbad_call' if place.has_call else None}, {is_left})\n"
            f"try: body\nfinally:\n    {variable}.passed()\n    {variable}.finish({is_left})\n"
            + f"    {variable}.ran()\n" * is_left
            + f"    end\n    {variable}.finished()",
            body=inner,
            end=self._rest(node.finalbody, place),
        )

    def _tried(self, node: Any, place: Place) -> list[ast.stmt]:
        """The body, the handlers as Python runs them, and the handlers once more as arms."""
        variable, at = self.temporary(), At(node)
        inside = place.arm(variable)
        body = self._mortal(node, variable, self.block(node.body, inside))
        guarded = at.lines(f"try: body\nfinally: {variable}.passed()", body=body)
        orelse = self._rest(node.orelse, inside)
        if orelse and any(map(returns, node.body)):
            orelse = at.lines("if _nbad_call.alive: orelse", orelse=orelse)
        handlers = [self._handler(handler, variable, place) for handler in node.handlers]
        names = sorted(bound_names([*node.body, *node.orelse, *(part for handler in node.handlers for part in handler.body)]))
        call = "_nbad_call" if returns(node) else None
        rest = self._mortal(node, variable, self.block(self._chosen(node.handlers, variable), inside))
        tried = at.lines(
            f"{variable} = __nbad__.trial({tuple(names)!r}, {node.end_lineno}, {call}, lambda: (kinds,), {self.asks(names)})\n"
            f"tried\nif {variable}.turn(): turn",
            kinds=[self.visit(handler.type or at.constant(None)) for handler in node.handlers],
            tried=[placed(type(node)(body=guarded, handlers=handlers, orelse=orelse, finalbody=[]), node)],
            turn=[*settings(at, "if True:", variable, names), *rest],
        )
        return [*tried, *self._join(at, variable, names)]

    def _chosen(self, handlers: list[ast.ExceptHandler], variable: str) -> list[ast.stmt]:
        """The handlers as a chain of `if`, to be rewritten itself."""
        rest: list[ast.stmt] = []
        for number, handler in reversed(list(enumerate(handlers))):
            at = At(handler)
            method = "error" if _asks(handler) else "some_error"
            named = at.lines(f"{handler.name} = {variable}.{method}({number})") if handler.name else []
            body = [*named, *_reraising(handler.body, f"{variable}.error({number}, True)")]
            if number == len(handlers) - 1:
                rest = body
            else:
                test = at.statement(f"{variable}.chosen({number})").value
                rest = [placed(ast.If(test=test, body=body, orelse=rest), handler)]
        return rest

    rewrite_trystar = rewrite_try

    def _handler(self, node: ast.ExceptHandler, variable: str, place: Place) -> ast.ExceptHandler:
        body = At(node).lines(f"{variable}.caught()") + self.block(node.body, place)
        new = ast.ExceptHandler(type=self.visit_field(node.type), name=node.name, body=body)
        return placed(new, node)

    def rewrite_match(self, node: ast.Match, place: Place) -> list[ast.stmt]:
        begin: list[ast.stmt] = []
        cases = []
        for case in node.cases:
            guard = None if case.guard is None else At(case.guard).call("known", self.visit(case.guard), "case")
            body = self.block(case.body, place.inside)
            cases.append(ast.match_case(pattern=self._pattern(case.pattern, begin), guard=guard, body=body))
        return [*begin, placed(ast.Match(subject=self.visit(node.subject), cases=cases), node)]

    def _pattern(self, node: Any, begin: list[ast.stmt]) -> Any:
        """A pattern with variables for its classes, set before: Python takes no stand-ins. True, False, None become such."""
        if isinstance(node, list):
            return [self._pattern(part, begin) for part in node]
        if not isinstance(node, ast.pattern):
            return node
        fields = {name: self._pattern(value, begin) for name, value in ast.iter_fields(node)}
        if isinstance(node, ast.MatchSingleton):
            return placed(ast.MatchClass(self._class("only", At(node).constant(node.value), begin), [], [], []), node)
        if isinstance(node, ast.MatchClass):
            fields["cls"] = self._class("original", node.cls, begin)
        return placed(type(node)(**fields), node)

    def _class(self, function: str, operand: ast.expr, begin: list[ast.stmt]) -> ast.expr:
        at, variable = At(operand), self.temporary()
        begin += at.lines(f"{variable} = __nbad__.{function}(cls)", cls=operand)
        return at.put(ast.Name(id=variable, ctx=ast.Load()))

    def rewrite_return(self, node: ast.Return, place: Place) -> list[ast.stmt]:
        value = self.visit(node.value) if node.value else At(node).constant(None)
        if not place.has_call:
            return [placed(ast.Return(value=value), node)]
        return At(node).lines("if _nbad_call.give(value): return _nbad_call.result()", value=value)

    def rewrite_break(self, node: ast.stmt, place: Place) -> list[ast.stmt]:
        """Those that are left stand at the end of a `finally`."""
        leave = At(node).lines(f"__nbad__.leave({', '.join(place.in_loop)})") if place.in_loop else []
        return [*leave, node]

    rewrite_continue = rewrite_break

    def rewrite_assert(self, node: Any, place: Place) -> list[ast.stmt]:
        """An `if` with a `raise`, if Python was not told to leave it out."""
        if not __debug__:
            return At(node).lines("pass")
        message = [node.msg] if node.msg else []
        new = At(node).statement("if not test: raise __nbad__.failing(message)", test=node.test, message=message)
        return self.rewrite_if(placed(new, node), place)

    def rewrite_assign(self, node: ast.stmt, place: Place) -> list[ast.stmt]:
        """What stores items may write to a list, and what it chooses has its name now."""
        return [self.copy(node), *(At(node).lines("__nbad__.settled()") if _handles_containers(node) else [])]

    rewrite_augassign = rewrite_annassign = rewrite_delete = rewrite_expr = rewrite_assign


def _handles_containers(node: ast.stmt) -> bool:
    """Whether a statement may write to containers or choose among them; `a += [x]` does so without an index."""
    return isinstance(node, ast.AugAssign) or any(isinstance(part, _HANDLING) for part in all_nodes(node))


def _asks(handler: ast.ExceptHandler) -> bool:
    """Whether a handler reads the error by its name, but for `raise ... from` it."""
    nodes = [node for statement in handler.body for node in all_nodes(statement)]
    causes = {id(node.cause) for node in nodes if isinstance(node, ast.Raise)}
    return any(isinstance(node, ast.Name) and node.id == handler.name and id(node) not in causes for node in nodes)


def _reraising(statements: list[Any], error: str) -> list[Any]:
    """Statements of a handler, whose plain `raise` raises the error that the text gives."""
    return [_with_error(statement, error) for statement in statements]


def _with_error(node: Any, error: str) -> Any:
    if isinstance(node, ast.Raise) and node.exc is None:
        return At(node).statement(f"raise {error}")
    if not isinstance(node, ast.AST) or isinstance(node, (*CLOSED, ast.ExceptHandler)):  # these have errors of their own
        return node
    return changed(node, **{name: _reraising(value, error) for name, value in ast.iter_fields(node) if isinstance(value, list)})


def _returns_last_only(body: list[ast.stmt]) -> bool:
    """Whether the last statement is the only one that returns."""
    return isinstance(body[-1], ast.Return) and not any(map(returns, body[:-1]))
