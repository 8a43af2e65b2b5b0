"""What is made once and kept."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nbad.forks import Lock

MANY = 1000  # values in one place that are remembered
FEW = 128  # those that own compiled code
MISSING = object()

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property:
        """As `functools.cached_property` is from Python 3.12 on: before, one lock serves all instances of a class.

        A child that is forked while another thread of its parent holds that would wait for ever.

        Examples
        --------
        >>> class Circle:
        ...     @cached_property
        ...     def area(self):
        ...         return object()
        >>> circle = Circle()
        >>> circle.area is circle.area
        True
        """

        def __init__(self, make):
            self.make, self.__doc__ = make, make.__doc__

        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner=None):
            if instance is None:
                return self
            return instance.__dict__.setdefault(self.name, self.make(instance))


class Memo:
    """Values under keys, each made at the first asking by one thread at a time; one of too many starts anew.

    To drop the least recently used one instead would cost every look-up a note of its use; what is found here is made in
    microseconds to milliseconds.

    Examples
    --------
    >>> memo = Memo()
    >>> memo("key", lambda: 3), memo("key", lambda: 4)
    (3, 3)
    """

    __slots__ = ("_lock", "_most", "known")

    def __init__(self, most: int = MANY):
        self.known: dict[Hashable, Any] = {}
        self._lock, self._most = Lock(), most

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._most,)  # empty: what is remembered stays in its process

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value under `key`."""
        found = self.known.get(key, MISSING)
        if found is not MISSING:
            return found
        with self._lock.current:
            found = self.known.get(key, MISSING)
            if found is MISSING:
                found = make()
                if len(self.known) >= self._most:
                    self._make_room()
                self.known[key] = found
        return found

    def _make_room(self) -> None:
        self.known.clear()


class Recent(Memo):
    """A memo that forgets the value whose last use is longest ago.

    Examples
    --------
    >>> recent = Recent(2)
    >>> [recent(key, lambda: key) for key in "abac"], list(recent.known)
    (['a', 'b', 'a', 'c'], ['a', 'c'])
    """

    __slots__ = ()

    def __init__(self, most: int = FEW):
        super().__init__(most)
        self.known: OrderedDict[Hashable, Any] = OrderedDict()

    def __call__(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value under `key`."""
        found = super().__call__(key, make)
        with suppress(KeyError):  # another thread made room
            self.known.move_to_end(key)
        return found

    def _make_room(self) -> None:
        self.known.popitem(last=False)
