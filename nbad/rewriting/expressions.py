"""Rewrite expressions: choices, comparisons, calls, subscripts and f-strings go through `__nbad__`, a `nbad.branching.flow.Flow`.

a if test else b    __nbad__.choose(__nbad__.test(test), a if __nbad__.first() else None, b if __nbad__.second() else None)
a and b             __nbad__.both(__nbad__.test(a), b if __nbad__.first() else None)
a < f(b) < c        a < (t := f(b)) and t < c
table[i]            __nbad__.item(table, i)
f(x)                __nbad__.reached(f)(x), unless f is a builtin
f(a.method)         __nbad__.reached(f)(__nbad__.given(a.method))
a.method()          __nbad__.checked(__nbad__.reached(a.method)())
locals()            __nbad__.named(locals())
e.__context__       __nbad__.of_error(e, "__context__")
a in b, a is b      __nbad__.contained(a, b), __nbad__.identical(a, b)
f"{a}", "%s" % a    __nbad__.text(__nbad__.trace.refused, f"{a}"), __nbad__.formatted("%s", a); "{}".format(a) as f"{a}"
"""

import ast
import builtins
import itertools
from typing import Any

from nbad.rewriting.scopes import all_nodes, bound_names, is_own, placed

_ASKED = {ast.In: "contained", ast.NotIn: "contained", ast.Is: "identical", ast.IsNot: "identical"}
_NAMING = ("locals", "vars", "dir")  # which tell the names that have values
ERRORS_WAY = ("__cause__", "__context__", "__traceback__")  # what Python notes of how an error came about
# reading these twice is harmless: no call, no item
_SIMPLE = (ast.Name, ast.Constant)  # attributes and operators may be the user's, and write


class At:
    """Makes nodes with the place where a given one begins: Python names the last line of a call that spans several."""

    def __init__(self, place: Any) -> None:
        self.place = placed(ast.Pass(), place)
        if place.end_lineno != place.lineno:
            self.place.end_lineno, self.place.end_col_offset = place.lineno, place.col_offset

    def lines(self, text: str, **parts: Any) -> list:
        """The statements of a text, in which names stand for parts: expressions, or lists of expressions or statements."""
        module = ast.parse(text)
        if parts:
            self._fill(module, parts)
        else:  # as most are, and this is faster
            for node in all_nodes(module):
                placed(node, self.place)
        return module.body

    def _fill(self, node: ast.AST, parts: dict[str, Any]) -> None:
        placed(node, self.place)
        for field, value in vars(node).items():
            if isinstance(value, ast.expr):
                (new,) = self._filled(value, parts)
                setattr(node, field, new)
            elif value and type(value) is list:
                value[:] = [new for part in value for new in self._filled(part, parts)]

    def _filled(self, node: Any, parts: dict[str, Any]) -> list:
        name = node.value if type(node) is ast.Expr else node
        if type(name) is ast.Name and name.id in parts:
            part = parts[name.id]
            return part if type(part) is list else [part]
        if isinstance(node, ast.AST):
            self._fill(node, parts)
        return [node]

    def statement(self, text: str, **parts: Any) -> Any:
        """The one statement of a text."""
        (statement,) = self.lines(text, **parts)
        return statement

    def put(self, node: Any) -> Any:
        """A node with this place."""
        return placed(node, self.place)

    def constant(self, value: Any) -> ast.Constant:
        """A constant."""
        return self.put(ast.Constant(value=value))

    def call(self, method: str, *args: Any) -> ast.Call:
        """A call of a method of `__nbad__` with expressions and plain values."""
        owner = self.put(ast.Name(id="__nbad__", ctx=ast.Load()))
        function = self.put(ast.Attribute(value=owner, attr=method, ctx=ast.Load()))
        values = [arg if isinstance(arg, ast.expr) else self.constant(arg) for arg in args]
        return self.put(ast.Call(func=function, args=values, keywords=[]))

    def operand(self, value: ast.expr, which: str) -> ast.IfExp:
        """`value`, evaluated where the innermost choice asks for it."""
        return self.put(ast.IfExp(test=self.call(which), body=value, orelse=self.constant(None)))


class Expressions:
    """Makes rewritten copies of expressions; what needs no change is taken over as it is."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._is_in_iterable = False

    def temporary(self) -> str:
        """A new variable."""
        return f"_nbad{next(self._numbers)}"

    def visit(self, node: Any) -> Any:
        """The rewritten expression."""
        rewrite = getattr(self, f"visit_{type(node).__name__.lower()}", None)
        return self.copy(node) if rewrite is None else rewrite(node)

    def copy(self, node: Any) -> Any:
        """The same node with rewritten parts."""
        if not isinstance(node, ast.AST) or not node._fields:
            return node
        fields = {name: self.visit_field(value) for name, value in ast.iter_fields(node)}
        return placed(type(node)(**fields), node)

    def visit_field(self, value: Any) -> Any:
        """The rewritten value of a field: a node, a list of nodes, or anything else as it is."""
        if isinstance(value, list):
            return [self.visit_field(part) for part in value]
        return self.visit(value) if isinstance(value, ast.AST) else value

    def visit_ifexp(self, node: ast.IfExp) -> Any:
        at = At(node)
        test = at.call("test", self.visit(node.test), self._binds(node.body, node.orelse))
        first, second = at.operand(self.visit(node.body), "first"), at.operand(self.visit(node.orelse), "second")
        return at.call("choose", test, first, second)

    def visit_boolop(self, node: ast.BoolOp) -> Any:
        at = At(node)
        method, which = ("both", "first") if isinstance(node.op, ast.And) else ("either", "second")
        result = self.visit(node.values[0])
        for operand in node.values[1:]:
            test = at.call("test", result, self._binds(operand))
            result = at.call(method, test, at.operand(self.visit(operand), which))
        return result

    def _binds(self, *operands: ast.AST) -> str:
        """A variable of the user's that operands assign."""
        return min((name for name in bound_names(operands) if not is_own(name)), default="")

    def visit_unaryop(self, node: ast.UnaryOp) -> Any:
        return At(node).call("negated", self.visit(node.operand)) if isinstance(node.op, ast.Not) else self.copy(node)

    def visit_compare(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            is_allowed = not self._is_in_iterable or all(isinstance(part, _SIMPLE) for part in node.comparators[:-1])
            return self._chain(node) if is_allowed else self.copy(node)
        method = _ASKED.get(type(node.ops[0]))
        if method is None:
            return self.copy(node)
        at = At(node)
        answer = at.call(method, self.visit(node.left), self.visit(node.comparators[0]))
        return answer if isinstance(node.ops[0], (ast.In, ast.Is)) else at.call("negated", answer)

    def _chain(self, node: ast.Compare) -> ast.expr:
        """Comparisons joined by `and`; an operand between two of them is evaluated once."""
        at, left, links = At(node), node.left, []
        for op, right in zip(node.ops, node.comparators, strict=True):
            is_last = right is node.comparators[-1]
            here, there = (right, right) if is_last else self._twice(right)
            links.append(at.put(ast.Compare(left=left, ops=[op], comparators=[here])))
            left = there
        return self.visit(at.put(ast.BoolOp(op=ast.And(), values=links)))

    def _twice(self, node: ast.expr) -> tuple[ast.expr, ast.expr]:
        """Two expressions for one value."""
        if isinstance(node, _SIMPLE):
            return node, node
        at, name = At(node), self.temporary()
        target = at.put(ast.Name(id=name, ctx=ast.Store()))
        return at.put(ast.NamedExpr(target=target, value=node)), at.put(ast.Name(id=name, ctx=ast.Load()))

    def visit_call(self, node: ast.Call) -> Any:
        """A method may write to a list; what is no method is rewritten itself, or leaves lists alone."""
        new = self.copy(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format" and _is_text(node.func.value):
            return self._text(new)
        if isinstance(node.func, ast.Name) and node.func.id in _NAMING and not node.args:
            return At(node).call("named", new)
        if not (isinstance(node.func, ast.Name) and hasattr(builtins, node.func.id)):
            new.func = At(node.func).call("reached", new.func)
        new.args = list(map(_given, new.args))
        for keyword in new.keywords:
            keyword.value = _given(keyword.value)
        return At(node).call("checked", new) if isinstance(node.func, ast.Attribute) else new

    def visit_attribute(self, node: ast.Attribute) -> Any:
        if not isinstance(node.ctx, ast.Load) or node.attr not in ERRORS_WAY:
            return self.copy(node)
        return At(node).call("of_error", self.visit(node.value), node.attr)

    def visit_subscript(self, node: ast.Subscript) -> Any:
        if not isinstance(node.ctx, ast.Load) or not (_may_be_traced(node.slice) or _adds_axes(node.slice)):
            return self.copy(node)
        return At(node).call("item", self.visit(node.value), self._index(node.slice))

    def _index(self, node: Any) -> Any:
        if isinstance(node, ast.Tuple):
            return At(node).put(ast.Tuple(elts=[self._index(part) for part in node.elts], ctx=ast.Load()))
        if isinstance(node, ast.Slice):
            parts = (None if part is None else self.visit(part) for part in (node.lower, node.upper, node.step))
            return At(node).call("slice", *parts)
        return self.visit(node)

    def visit_joinedstr(self, node: ast.JoinedStr) -> Any:
        """How its parts are shown is left as it is."""
        values: list[ast.expr] = [
            placed(ast.FormattedValue(self.visit(part.value), part.conversion, part.format_spec), part)
            if isinstance(part, ast.FormattedValue)
            else part
            for part in node.values
        ]
        return self._text(placed(ast.JoinedStr(values), node))

    def _text(self, node: ast.expr) -> ast.Call:
        before = At(node).statement("__nbad__.trace.refused").value
        return At(node).call("text", before, node)

    def visit_binop(self, node: ast.BinOp) -> Any:
        """A text with places for values; what else `%` may be of is told when it runs."""
        if not isinstance(node.op, ast.Mod) or not _is_text(node.left):
            return self.copy(node)
        return At(node).call("formatted", self.visit(node.left), self.visit(node.right))

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        """One `for` of a comprehension; its iterable may not assign variables."""
        before, self._is_in_iterable = self._is_in_iterable, True
        iterable = self.visit(node.iter)
        self._is_in_iterable = before
        conditions: list[ast.expr] = [At(test).call("known", self.visit(test), "filter") for test in node.ifs]
        return ast.comprehension(target=self.visit(node.target), iter=iterable, ifs=conditions, is_async=node.is_async)


def _given(argument: ast.expr) -> ast.expr:
    """What a call is given: an attribute may be a method, which the callee calls."""
    return At(argument).call("given", argument) if isinstance(argument, ast.Attribute) else argument


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _adds_axes(index: ast.AST) -> bool:
    """Whether an index of a number is one that NumPy's numbers take."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(_is_whole(part) or (isinstance(part, ast.Constant) and part.value in (None, ...)) for part in parts)


def _is_whole(index: ast.AST) -> bool:
    return isinstance(index, ast.Slice) and index.lower is index.upper is index.step is None


def may_be_mask(index: ast.AST) -> bool:
    """Whether an index may be a condition, or is one of those that stand for a whole number: `...`, `:` and `()`."""
    if isinstance(index, ast.Slice):
        return _is_whole(index)
    if isinstance(index, ast.Tuple):
        return not index.elts
    return index.value is Ellipsis if isinstance(index, ast.Constant) else _may_be_traced(index)


def _may_be_traced(index: ast.AST) -> bool:
    """Whether an index may be a traced value, or a tuple with one."""
    if isinstance(index, ast.Tuple):
        return any(map(_may_be_traced, index.elts)) and not any(isinstance(part, ast.Starred) for part in index.elts)
    if isinstance(index, ast.UnaryOp):
        return _may_be_traced(index.operand)
    return not isinstance(index, (ast.Constant, ast.Slice))
