"""One value of two: what a variable, an item or a result is after a branch, by a select; and which arrays may be one another."""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nbad.language import arrays, objects
from nbad.language.arrays import owner
from nbad.language.values import Perhaps, Tracer, plain_number
from nbad.rewriting.texts import TracedText

if TYPE_CHECKING:
    from nbad.language.trace import Trace

Side = Callable[[Any], list[Any] | None]
_COMPARABLE = (str, bytes, range, complex, slice)


def _as_it_is(container: Any) -> None:
    """What a container holds is what it holds now."""


class Different(Exception):
    """The text says why two values cannot become one."""


class Keys(list):
    """The keys of a dict, in order, of which 1, 1.0 and True are three."""

    def __eq__(self, other: Any) -> bool:
        if len(self) == len(other) and all(map(operator.is_, self, other)):
            return True
        return super().__eq__(other) and repr(self) == repr(other)

    def __ne__(self, other: Any) -> bool:  # a list has one of its own
        return not self == other


class Entangled(NamedTuple):
    """A merged list or array, and those that it may be, depending on the condition."""

    merged: Any
    sources: list[Any]


class Aliases:
    """Which numbers and arrays of a trace may be one array for NumPy, and which numbers must not be used any more.

    Attributes
    ----------
    stale : dict
        Numbers, and arrays that own their memory, which were written to under another name; by identity.
    """

    def __init__(self) -> None:
        self.stale: dict[int, Any] = {}
        self._groups: dict[int, list[Any]] = {}
        self._kept: set[int] = set()

    def link(self, first: Any, *others: Any) -> None:
        """Values that may be one array."""
        group = self._groups.setdefault(id(first), [first])
        for other in others:
            more = self._groups.setdefault(id(other), [other])
            if more is not group:
                group, more = (more, group) if len(more) > len(group) else (group, more)
                group += more
                self._groups |= {id(value): group for value in more}

    def keep(self, copy: Any, original: Any) -> None:
        """The copy is what a call has returned on a path of its own, on which nothing is written any more."""
        self.link(copy, original)
        self._kept.add(id(copy))

    def written(self, value: Any) -> None:
        """A number, or an array, was written to: only an array holds what was written."""
        others = [other for other in self._groups.get(id(value), [value]) if id(other) not in self._kept]
        self.stale |= {id(other): other for other in others if other is not value or isinstance(value, Tracer)}

    def is_stale(self, value: Any) -> bool:
        """Whether a number or an array must not be used any more."""
        return bool(self.stale) and id(owner(value)) in self.stale


class _Pair(NamedTuple):
    """Two containers and the one that they became; holding them keeps their identities theirs."""

    merged: Any
    first: Any
    second: Any


class Copy(NamedTuple):
    """A copy, and the original that it is known by."""

    copy: Any
    original: Any


class Merger:
    """Merges pairs of values: the first where `condition` holds, else the second.

    Numbers and conditions are selected, lists, tuples, dicts of the same keys and arrays of one shape item by item; a pair is
    merged once, so that two names of one list stay two names of one list.

    Parameters
    ----------
    trace : Trace
    condition : TracedCondition
    is_old : callable
        Whether other names may lead to a container.
    sides : pair of callables
        What a list or array of either side held there, as a list of items; None for what it holds now.

    Attributes
    ----------
    entangled : list of Entangled
        Lists and arrays that may be one another: a write to one could not be traced.
    stale : pair of dicts
        What either side must not use any more, by identity: neither must what it becomes.
    """

    def __init__(
        self,
        trace: "Trace",
        condition: Any,
        is_old: Callable[[Any], bool] = lambda value: False,
        sides: tuple[Side, Side] = (_as_it_is, _as_it_is),
    ) -> None:
        self.trace, self.condition, self._is_old, self._sides = trace, condition, is_old, sides
        self.entangled: list[Entangled] = []
        self.stale: tuple[dict[int, Any], dict[int, Any]] = {}, {}
        self._pairs: dict[tuple[int, int], _Pair] = {}
        self._of_memory: defaultdict[int, list[_Pair]] = defaultdict(list)  # by the identity of what owns it, on either side

    def merge(self, a: Any, b: Any) -> Any:
        """The one value; raises `Different` where there is none."""
        if a is b:
            return a
        result = self._merged(a, b)
        if any(id(owner(value)) in stale for value, stale in zip((a, b), self.stale, strict=True)):
            self.trace.aliases.stale[id(owner(result))] = owner(result)
        return result

    def _merged(self, a: Any, b: Any) -> Any:
        if is_number(a) and is_number(b):
            return self._number(a, b)
        if _may_be_number(a) and _may_be_number(b):
            return self._perhaps(a, b)
        given, a, b = (a, b), self._as_alike(a, b), self._as_alike(b, a)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            result = self._container(a, b, self._array)
            for number in given:
                if isinstance(number, Tracer):  # which for NumPy may be an array that has more names
                    self.trace.aliases.link(owner(result), number)
            return result
        if type(a) is not type(b):
            raise Different(f"{described(a)} in one branch and {described(b)} in the other")
        if isinstance(a, _COMPARABLE) and type(a) is not TracedText and a == b:
            return a
        if type(a) is tuple:
            return tuple(self._items(a, a, b))
        if isinstance(a, tuple) and hasattr(a, "_make"):
            return a._make(self._items(a, a, b))
        if type(a) is list:
            return self._container(a, b, self._list)
        if type(a) is dict:
            return self._container(a, b, self._dict)
        raise Different(f"{described(a)} in one branch and another one in the other")

    def _as_alike(self, value: Any, other: Any) -> Any:
        """A number as an array without dimensions, where the other side has one."""
        is_cell = isinstance(other, arrays.TracedArray) and other.ndim == 0 and is_number(value)
        return arrays.kept(self.trace, objects.filled([self.trace.item(value)], ())) if is_cell else value

    def _number(self, a: Any, b: Any) -> Any:
        result = self._chosen(a, b)
        sides = [value for value in (a, b) if isinstance(value, Tracer)]
        if sides and isinstance(result, Tracer):  # which for NumPy may be the array of either
            result = self.trace.clone(result)
            self.trace.aliases.link(result, *sides)
        return result

    def _chosen(self, a: Any, b: Any) -> Any:
        if isinstance(a, Tracer) or isinstance(b, Tracer):
            # equal operations are one node
            if isinstance(a, Tracer) and isinstance(b, Tracer) and (a._trace, a._node) == (b._trace, b._node):
                return a
        # the text tells -0.0 from 0.0, and nan is equal to itself
        elif repr(float(a)) == repr(float(b)):
            return a if type(a) is type(b) else float(a)
        return chosen(self.trace, self.condition, a, b)

    def _perhaps(self, a: Any, b: Any) -> Any:
        """A number, or None."""
        none = chosen(self.trace, self.condition, *(x.none if type(x) is Perhaps else x is None for x in (a, b)))
        numbers = [x.number if type(x) is Perhaps else x for x in (a, b) if x is not None]
        return Perhaps(self.trace, none, numbers[0] if len(numbers) == 1 else self.merge(*numbers))

    def _container(self, a: Any, b: Any, merge: Callable[[Any, Any], Any]) -> Any:
        key = id(a), id(b)
        if key in self._pairs:
            return self._pairs[key].merged
        pair = self._pairs[key] = _Pair(merge(a, b), a, b)
        relatives = [known for side in (a, b) for known in self._of_memory[id(owner(side))] if _overlap(known, pair)]
        for side in (a, b):
            self._of_memory[id(owner(side))].append(pair)
        # one list on one side is two on the other, or two arrays are views of one
        if relatives:
            self.entangled += [Entangled(known.merged, [known.first, known.second]) for known in self._pairs.values()]
        elif self._is_old(a) or self._is_old(b):
            self.entangled.append(Entangled(pair.merged, [a, b]))
        return pair.merged

    def _list(self, a: Any, b: Any) -> list[Any]:
        return self._items(a, *self._held(a, b))

    def _dict(self, a: Any, b: Any) -> Any:
        if Keys(a) != Keys(b):
            raise Different(f"a dict with the keys {list(a)} in one branch and {list(b)} in the other")
        return dict(zip(a, map(self.merge, *self._held(a, b)), strict=True))

    def _items(self, whole: Any, a: Any, b: Any) -> list[Any]:
        if len(a) != len(b):
            raise Different(f"{described(whole)} of {len(a)} items in one branch and of {len(b)} in the other")
        return [self.merge(x, y) for x, y in zip(a, b, strict=True)]

    def _held(self, *containers: Any) -> Iterator[list[Any]]:
        """The items of two lists or arrays, or the values of two dicts, each as its side has it."""
        for container, side in zip(containers, self._sides, strict=True):
            # of an array of plain numbers no side can have written a part
            is_plain = isinstance(container, np.ndarray) and not arrays.holds_objects(container)
            items = None if is_plain else side(container)
            if items is None and isinstance(container, np.ndarray):
                items = list(arrays.items(self.trace, container).flat)
            elif items is None:
                items = list(container.values()) if isinstance(container, dict) else container
            yield items

    def _array(self, a: Any, b: Any) -> Any:
        if a.shape != b.shape:
            raise Different(f"an array of shape {a.shape} in one branch and of shape {b.shape} in the other")
        if not arrays.holds_objects(a) and a.dtype == b.dtype != float:
            if np.array_equal(a, b):
                return a.copy()
            raise Different(f"two different arrays of dtype {a.dtype}")
        pairs = zip(*self._held(a, b), strict=True)
        return arrays.kept(self.trace, objects.filled([self.merge(x, y) for x, y in pairs], a.shape))


def _overlap(a: _Pair, b: _Pair) -> bool:
    """Whether a write to one of two merged ones may be a write to the other."""
    if isinstance(a.first, np.ndarray):
        sides = ((a.first, b.first), (a.second, b.second))
        return any(np.may_share_memory(one.view(np.ndarray), other.view(np.ndarray)) for one, other in sides)
    return a.first is b.first or a.second is b.second


def chosen(trace: "Trace", condition: Any, a: Any, b: Any) -> Any:
    """`a` where a condition, traced or plain, holds, else `b`; of conditions it is one."""
    if not isinstance(condition, Tracer):
        return a if condition else b
    if not (trace.is_condition(a) and trace.is_condition(b)):
        return trace.apply("select", (condition, a, b))
    if _plain(a) is not None and _plain(b) is not None:
        return a if _plain(a) == _plain(b) else condition if _plain(a) else trace.logic("not", condition)
    if _plain(a) is not None:
        return either(trace, condition, b) if a else both(trace, trace.logic("not", condition), b)
    if _plain(b) is not None:
        return either(trace, trace.logic("not", condition), a) if b else both(trace, condition, a)
    return trace.logic("or", trace.logic("and", condition, a), trace.logic("and", trace.logic("not", condition), b))


def as_condition(trace: "Trace", value: Any) -> Any:
    """Whether a value holds: a traced condition, or a plain one."""
    return trace.condition(value) if trace.is_traced(value) else bool(value)


def both(trace: "Trace", a: Any, b: Any) -> Any:
    """`a and b` of conditions, either of which may be plain."""
    for x, y in ((a, b), (b, a)):
        if _plain(x) is not None:
            return y if _plain(x) else False
    return trace.logic("and", a, b)


def either(trace: "Trace", a: Any, b: Any) -> Any:
    """`a or b` of conditions, either of which may be plain."""
    for x, y in ((a, b), (b, a)):
        if _plain(x) is not None:
            return True if _plain(x) else y
    return trace.logic("or", a, b)


def opposite(trace: "Trace", condition: Any) -> Any:
    """`not condition`, which may be plain."""
    return trace.logic("not", condition) if isinstance(condition, Tracer) else not condition


def is_number(value: Any) -> bool:
    """Whether this is a number or a condition, traced or plain."""
    if isinstance(value, arrays.TracedArray):
        return False
    return isinstance(value, Tracer) or plain_number(value) is not None


def like(value: Any, make: Callable[[Any], Any]) -> Any:
    """What `make` makes of the numbers in a value, in the same structure; raises `Different` where there are other things."""
    if is_number(value):
        return make(value)
    if isinstance(value, np.ndarray) and value.dtype in (object, float):
        return objects.filled(map(make, value.flat), value.shape)
    if type(value) in (list, tuple):
        return type(value)(like(item, make) for item in value)
    raise Different(described(value))


def _may_be_number(value: Any) -> bool:
    return value is None or type(value) is Perhaps or is_number(value)


def described(value: Any) -> str:
    """A value as messages name it."""
    if value is None:
        return "None"
    if is_number(value):
        return "a number"
    if callable(value):
        return "a function"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def kept(value: Any, known: dict[int, Copy] | None = None) -> Any:
    """A copy of what may be written to later: lists and arrays, and those in them and in tuples; `known` has copies."""
    known = {} if known is None else known
    if id(value) in known:
        return known[id(value)].copy
    if isinstance(value, np.ndarray) and (value.ndim or isinstance(value, arrays.TracedArray)):
        copy: Any = value.copy()
    elif type(value) is list:
        copy = [kept(item, known) for item in value]
    elif isinstance(value, tuple) and (type(value) is tuple or hasattr(value, "_make")):
        items = [kept(item, known) for item in value]
        if all(map(operator.is_, items, value)):
            return value
        copy = value._make(items) if hasattr(value, "_make") else tuple(items)
    else:
        return value
    # two names of one list stay two names of one copy
    known[id(value)] = Copy(copy, value)
    return copy


def containers(value: Any) -> Iterator[Any]:
    """The lists, dicts and arrays in a value."""
    if isinstance(value, (list, dict, np.ndarray)):
        yield value
    if isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


def uncopied(values: Iterable[Any]) -> Iterator[Any]:
    """What `kept` does not copy among values and in the lists and tuples among them."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from uncopied(value)
        elif not isinstance(value, np.ndarray) and not is_number(value):
            yield value


def _plain(condition: Any) -> bool | None:
    return None if isinstance(condition, Tracer) else bool(condition)
