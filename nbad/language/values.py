"""The values that a kernel computes with while it is traced: real scalars and conditions, and the trace they grow."""

import functools
import numbers

import numpy as np

from nbad import lines
from nbad.errors import TraceError, message
from nbad.graphs.graph import GraphBuilder
from nbad.language import arrays, meanings, refusals
from nbad.operations.table import BOOL, REAL, TABLE

LARGEST_INTEGER_POWER = 65536


class TraceAttributeError(TraceError, AttributeError):
    """A traced value has no such attribute; `hasattr` says so too."""


class Trace:
    """One run of a kernel on traced values: a growing graph, and the errors that name the kernel."""

    def __init__(self, name, inputs, max_operations):
        self.name = name
        self.builder = GraphBuilder(name, inputs)
        self.max_operations = max_operations
        self.operations = 0
        self.applied = 0
        self.is_open = True
        self.line = lines.running_line

    def value(self, node):
        """The traced value of a node."""
        return (TracedCondition if self.builder.nodes[node].kind == BOOL else TracedReal)(self, node)

    def apply(self, op, operands, payload=None):
        """The value of operation `op`: traced values and plain numbers go in, a traced value comes out."""
        self.applied += 1
        nodes = [self.node(value, kind) for value, kind in zip(operands, TABLE[op].operands, strict=True)]
        before = len(self.builder.nodes)
        node = self.builder.add(op, *nodes, payload=payload, source=lines.place())
        self._count(before)
        return self.value(node)

    def power(self, base, exponent):
        """`base ** exponent`; an integer exponent is repeated multiplication."""
        if not isinstance(exponent, (int, np.integer)) or abs(exponent) > LARGEST_INTEGER_POWER:
            return self.apply("pow", (base, exponent))
        if exponent == 0:
            return self.value(self.builder.constant(1.0))
        return self.real(base) if exponent == 1 else self.apply("powi", (base,), int(exponent))

    def logic(self, op, *operands):
        """`&`, `|` or `~`, which take conditions only."""
        if not all(map(self.is_condition, operands)):
            fix = "(x > 0) & (y > 0)  # comparisons in parentheses; `a and b` of flags"
            raise self.refusal("uses `&`, `|`, `^` or `~` on a number", fix)
        return self.apply(op, operands)

    def exclusive(self, x, y):
        """`x ^ y` on conditions."""
        return self.logic("or", self.logic("and", x, self.logic("not", y)), self.logic("and", self.logic("not", x), y))

    def is_condition(self, value):
        """Whether the value is a condition, traced or plain."""
        return isinstance(value, (TracedCondition, bool, np.bool_))

    def real(self, value):
        """A traced real number; a condition counts 1 or 0."""
        return self.value(self.node(value, REAL))

    def condition(self, value):
        """A traced condition; a number holds where it is not zero."""
        return self.value(self.node(value, BOOL))

    def node(self, value, kind):
        """The node of an operand: a traced value of this trace, or a plain number."""
        if isinstance(value, Tracer):
            return self._own(value)._node if value.kind == kind else self._converted(value, kind)
        plain = self._plain(value)
        return self.builder.constant(bool(plain) if kind == BOOL else float(plain))

    def item(self, value):
        """An item of an array: a traced value, a float or a bool."""
        if isinstance(value, Tracer):
            return value
        plain = self._plain(value)
        return plain if isinstance(plain, bool) else np.float64(plain)

    def is_traced(self, value):
        """Whether this is a traced value itself."""
        return isinstance(value, Tracer)

    def holds_traced(self, value):
        """Whether a value, or a container or array, holds a traced value."""
        return first_traced((value,)) is not None

    def call(self, function, args, options, path=None):
        """A library function on plain values, or what it means on traced ones."""
        meaning, values = meanings.find(function), (args, options)
        is_known = meaning is not None and (meaning.always or (meaning.takes_plain_arrays and _holds(values, arrays.TracedArray)))
        if is_known or first_traced(values) is not None:
            return meanings.call(self, function, args, options, path)
        return arrays.call_plain(self, function, args, options)

    def splice(self, kernel, args, kwargs):
        """The results of another nbad kernel, whose graph is repeated in this one for every element of its arguments."""
        traced, operands, cores = kernel.bind_traced(args, kwargs)
        before = len(self.builder.nodes)
        self.applied += 1
        name = getattr(kernel, "__name__", "kernel")
        results = arrays.each_element(self, name, operands, cores, traced.outputs, functools.partial(self._repeat, traced.graph))
        self._count(before)
        return results if traced.is_tuple else results[0]

    def _repeat(self, graph, slots):
        """The outputs of a graph, for the values of its inputs."""
        places = self.builder.splice(graph, [self.node(value, REAL) for value in slots])
        return [self.value(places[node]) for node in graph.outputs]

    def refusal(self, what, fix=None, *, line=None, got=None, expected=None):
        """The error that says what this kernel does, where, and what to write instead."""
        where = line or self.line()
        return TraceError(message(f"kernel `{self.name}` {what}:", source=where, got=got, expected=expected, fix=fix))

    def _plain(self, value):
        plain = plain_number(value)
        if plain is None:
            what = f"uses {_described(value)} where a real number is needed"
            raise self.refusal(what, _advice(value), expected="a traced value, a Python or NumPy number")
        return plain

    def _own(self, value):
        if value._trace is self and self.is_open:
            return value
        what = f"uses a traced value of kernel `{value._trace.name}` after or outside its trace"
        raise self.refusal(what, "pass it as an argument, or return it")

    def _converted(self, value, kind):
        if kind == BOOL:
            return self.apply("ne", (value, 0.0))._node
        return self.apply("select", (value, 1.0, 0.0))._node

    def _count(self, before):
        self.operations += sum(node.op not in ("input", "const") for node in self.builder.nodes[before:])
        if self.operations > self.max_operations:
            what = f"has more than {self.max_operations} operations"
            raise self.refusal(what, "shorten its loops, or raise nbad.kernel(max_operations=...)")


def plain_number(value) -> bool | float | None:
    """A real Python or NumPy number as bool or float; None for anything else."""
    if isinstance(value, Tracer):
        return None
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return float(value) if isinstance(value, numbers.Real) else None


def _described(value):
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    if isinstance(value, (complex, np.complexfloating)):
        return f"the complex number {value!r}"
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _advice(value):
    if isinstance(value, (complex, np.complexfloating)):
        return "keep the real and the imaginary part in two variables"
    if isinstance(value, (np.ndarray, list, tuple)):
        return "table[0] * x  # one number at a time"
    return None


def first_traced(values):
    """The first traced value among `values` and the lists, tuples, dicts and object arrays in them, or None."""
    return next((found for found in map(_traced_in, values) if found is not None), None)


def _traced_in(value):
    if isinstance(value, Tracer):
        return value
    if isinstance(value, (list, tuple)):
        return first_traced(value)
    if isinstance(value, dict):
        return first_traced(value.values())
    if isinstance(value, np.ndarray) and value.dtype == object:
        return first_traced(value.flat)
    return None


def _holds(value, kind):
    """Whether a value is of a kind, or a list, tuple or dict that holds one."""
    if isinstance(value, dict):
        value = list(value.values())
    return isinstance(value, kind) or (isinstance(value, list | tuple) and any(_holds(part, kind) for part in value))


_NUMERIC = (float, int, np.generic, numbers.Number)
_BUILTIN = (*_NUMERIC, str, bytes, list, tuple, dict, type(None))


def _operator(op, reflected=False, operable=_BUILTIN):
    """A binary operator method. Types that nbad does not know may answer for themselves."""
    def method(self, other):
        if isinstance(other, Tracer) or isinstance(other, operable):  # noqa: SIM101, ready-made tuple: this is the hot path
            return self._trace.apply(op, (other, self) if reflected else (self, other))
        return NotImplemented

    return method


def _refused(name):
    def method(self, *args, **kwargs):
        line = lines.running_line()
        what, fix = refusals.protocol(name, line[0] if line else "")
        raise self._trace.refusal(what.format(value=self._described()), fix)

    return method


class Tracer:
    """A value that is known only when the compiled kernel runs."""

    __slots__ = ("_node", "_trace")
    kind = REAL

    def __init__(self, trace, node):
        object.__setattr__(self, "_trace", trace)
        object.__setattr__(self, "_node", node)

    def __repr__(self):
        node = self._trace.builder.nodes[self._node]
        if node.op == "const":
            return repr(node.payload)
        return f"<traced {self._trace.builder.inputs[node.payload] if node.op == 'input' else f'%{self._node}'}>"

    def __format__(self, spec):
        return repr(self)

    def _described(self):
        node = self._trace.builder.nodes[self._node]
        return f"`{self._trace.builder.inputs[node.payload]}`" if node.op == "input" else "a traced value"

    __add__, __radd__ = _operator("add"), _operator("add", reflected=True)
    __sub__, __rsub__ = _operator("sub"), _operator("sub", reflected=True)
    __mul__, __rmul__ = _operator("mul"), _operator("mul", reflected=True)
    __truediv__, __rtruediv__ = _operator("div"), _operator("div", reflected=True)
    __floordiv__, __rfloordiv__ = _operator("floordiv"), _operator("floordiv", reflected=True)
    __mod__, __rmod__ = _operator("mod"), _operator("mod", reflected=True)
    __lt__, __le__, __gt__, __ge__ = map(_operator, ("lt", "le", "gt", "ge"))
    __eq__, __ne__ = _operator("eq", operable=_NUMERIC), _operator("ne", operable=_NUMERIC)

    def __pow__(self, exponent, modulus=None):
        if modulus is not None:
            raise self._trace.refusal("calls pow() with a modulus", "pow(x, y)")
        return self._trace.power(self, exponent)

    def __rpow__(self, base):
        return self._trace.apply("pow", (base, self))

    def __divmod__(self, other):
        return self // other, self % other

    def __rdivmod__(self, other):
        return other // self, other % self

    def __neg__(self):
        return self._trace.apply("neg", (self,))

    def __pos__(self):
        return self._trace.real(self)

    def __abs__(self):
        return self._trace.apply("abs", (self,))

    def __floor__(self):
        return self._trace.apply("floor", (self,))

    def __ceil__(self):
        return self._trace.apply("ceil", (self,))

    def __trunc__(self):
        return self._trace.apply("trunc", (self,))

    def __round__(self, digits=None):
        return self._trace.call(round, (self, digits), {})

    def __and__(self, other):
        return self._trace.logic("and", self, other)

    def __or__(self, other):
        return self._trace.logic("or", self, other)

    def __xor__(self, other):
        return self._trace.exclusive(self, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __invert__(self):
        return self._trace.logic("not", self)

    def __bool__(self):
        frame, line = lines.user_frame(), lines.running_line()
        obstacle = lines.obstacle(frame)
        text = line[0] if line and not line[0].startswith("in `") else ""
        what, fix = refusals.truth(text, is_rewritten=obstacle is None)
        raise self._trace.refusal(what, fix, line=line, got=obstacle)

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"traced values have no attribute `{name}`")
        error = self._trace.refusal(f"reads the attribute `{name}` of {self._described()}", "use x itself: it is one number")
        raise TraceAttributeError(str(error))

    def __setattr__(self, name, value):
        raise self._trace.refusal(f"writes the attribute `{name}` of {self._described()}", refusals.PROTOCOL["__setitem__"][1])

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return arrays.apply_ufunc(self._trace, ufunc, method, inputs, options)

    def __array_function__(self, function, types, args, kwargs):
        return self._trace.call(function, args, kwargs)


for _name in refusals.PROTOCOL:
    setattr(Tracer, _name, _refused(_name))


class TracedReal(Tracer):
    """A real number; code that asks for its class is told what it would be told of a float."""

    __slots__ = ()
    __class__ = float  # type: ignore[assignment]


class TracedCondition(Tracer):
    """The outcome of a comparison; in arithmetic it counts 1 or 0."""

    __slots__ = ()
    __class__ = bool  # type: ignore[assignment]
    kind = BOOL

    def __neg__(self):
        return 0.0 - self
