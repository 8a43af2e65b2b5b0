"""The verb `bind`: a call with its arguments and the arrays for its results, to be repeated."""

import functools
from collections.abc import Callable
from typing import Any

from nbad import config
from nbad.api.calls import check_kernel
from nbad.api.kernel import Kernel
from nbad.api.options import ArrayArgument
from nbad.displays.names import Public
from nbad.errors import ArgumentTypeError, cut, fitting
from nbad.foreign import named
from nbad.runtime import plain
from nbad.verbs.gradients import Hessian, ValueAndGrad
from nbad.verbs.jacobians import Jacobian

ENTRY_BY = 2  # calls, see `nbad.api.entries`
MAKES = Jacobian, Hessian, ValueAndGrad  # what others than `nbad.kernel` make of a kernel


@fitting("nbad.bind({f}, {xs})")
def bind(f: Kernel | Callable[..., Any], *xs: ArrayArgument, out: Any = None, **kwargs: Any) -> Callable[[], Any]:
    """A call without arguments, for loops over arrays that stay where they are: it reads them anew each time.

    Parameters
    ----------
    f : Kernel, or what `nbad.jacobian` and its kin return
    *xs : array_like
        Its arguments.
    out : array or tuple of arrays, optional
        As `f` takes it: each call fills it and returns it. By default each call returns new arrays.
    **kwargs
        More arguments of `f`.

    Returns
    -------
    callable
        `bind(f, *xs, out=out)()` does what `f(*xs, out=out)` does, and raises what that raises. Most of what a call with small
        arrays costs is the way of its arguments, which is taken once.

    Raises
    ------
    ArgumentTypeError
        If `f` is neither.

    Examples
    --------
    >>> import nbad, numpy as np
    >>> area = nbad.kernel(lambda a, b: a * b)
    >>> a, y = np.array([2.0, 3.0]), np.empty(2)
    >>> update = nbad.bind(area, a, 5.0, out=y)
    >>> update()
    array([10., 15.])
    >>> a[:] = 7.0
    >>> update() is y, y
    (True, array([35., 35.]))
    """
    if not isinstance(f, MAKES):
        check_kernel(f)
    return Bound(functools.partial(f, *xs, out=out, **kwargs), out)


class Bound(Public, functools.partial[Any]):
    """What `bind` returns: a partial object, so that no line of Python runs in a call that an entry serves.

    By a method a call of one element took 70 ns more, of 370.

    Parameters
    ----------
    general : callable
        The call as it was written, without arguments.
    out : array, tuple of arrays, or None
    """

    internal = frozenset({"func", "args", "keywords"})

    def __new__(cls, general, out):
        way = Way(general, out)
        call, way.table = plain.repeated(config.debug, way)
        return super().__new__(cls, call)

    def __init__(self, general, out):
        self._made_of = general, out

    def __repr__(self):
        return f"<nbad.bind of {self._made_of[0].func!r}>"

    def __reduce__(self):
        return Bound, self._made_of  # an entry stays in its process


class Way:
    """The general way of a bound call, after which there may be an entry."""

    def __init__(self, general, out):
        self.general, self.out, self.table, self._kept = general, out, None, []
        self._left = ENTRY_BY * (general.keywords.keys() == {"out"})

    def __call__(self, *args, **kwargs):
        try:
            if args or kwargs:
                self._refuse([*map(named, args), *(f"{name}={named(value)}" for name, value in kwargs.items())])
            made = self.general()
            if self._left and self.table is not None and not config.debug.get():
                self._left -= 1
                self._settle()
            return made
        except Exception as error:
            cut(error)
            raise

    def _refuse(self, given):
        raise ArgumentTypeError(
            f"what `nbad.bind` returns takes no arguments: it has those of `{self.general.func.__name__}`",
            got=", ".join(given),
            expected="a call without arguments",
            fix="update = nbad.bind(f, *xs)  # anew, with others; or write to the arrays that it reads",
        )

    def _settle(self):
        run = self.general.func.bound(self.general.args, self.out)
        if run is not None:
            self._kept.append(run)  # threads may be in an earlier one
            plain.settle(self.table, run, self.out)
