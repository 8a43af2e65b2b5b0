"""Arguments as arrays: what is accepted, the working dtype, the broadcast shape, strides over it."""

import itertools
import math
from typing import NamedTuple

import numpy as np

from nbad import foreign, labels
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.indexing.index import Index
from nbad.indexing.indexed import Indexed, Pick
from nbad.memo import Memo
from nbad.runtime.launch import STREAM_ABOVE
from nbad.runtime.strides import View, batch, memory_order, picking, strides_over

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
WEAK = (float, int, bool)
PLAIN = frozenset({float, *(np.dtype(code).type for code in "?bhilqBHILQefd")})  # numbers that become arrays as they are
NUMBERS = frozenset({*WEAK, *PLAIN})


class Layout(NamedTuple):
    """Shapes, strides and dtypes of the arguments of one call, analysed: all that a call depends on beside its numbers.

    Attributes
    ----------
    shapes : tuple of tuples
        Shape of each array, and of its tangents and cotangents.
    dtype : numpy.dtype
        The working dtype.
    shape : tuple of int
        The element space.
    leaf_shapes : tuple of tuples
        Shape of each output.
    order : tuple of int or None
        The axes of the element space as they lie in the memory of the arguments; None where that is C order.
    is_plain : bool
        Whether no argument is a number, which an array must be made of.
    is_small : bool
        Whether caches keep what each array has; then the plain case is worth an entry.
    remember : Memo
        What follows from the layout, by whoever found it.
    picks : tuple of Pick or None
        How each argument is picked from its array, where it is; empty where none is.
    """

    shapes: tuple[tuple[int, ...], ...]
    dtype: np.dtype
    shape: tuple[int, ...]
    leaf_shapes: tuple[tuple[int, ...], ...]
    order: tuple[int, ...] | None
    is_plain: bool
    is_small: bool
    remember: Memo
    picks: tuple[Pick | None, ...] = ()

    def pick(self, argument: int) -> Pick | None:
        """How an argument is picked; None where it is an array of its own."""
        return self.picks[argument] if self.picks else None

    @property
    def whole(self) -> tuple[tuple[int, ...], ...]:
        """Shape of what each argument stands for."""
        if not self.picks:
            return self.shapes
        return tuple([pick.shape if pick else shape for pick, shape in zip(self.picks, self.shapes, strict=True)])


class Operands(NamedTuple):
    """The arguments of one call as arrays, their layout, and the index of each by which it is picked; empty where none is."""

    arrays: tuple[np.ndarray, ...]
    layout: Layout
    indices: tuple[Index | None, ...] = ()

    @property
    def given(self) -> tuple[np.ndarray, ...]:
        """All that a sweep reads: the arrays, and behind them the indices."""
        return self.arrays + tuple([index.positions for index in self.indices if index]) if self.indices else self.arrays

    def dense(self) -> "Operands":
        """The same with arrays of their own for all arguments."""
        if not self.indices:
            return self
        each = zip(self.arrays, self.indices, strict=True)
        return Operands(tuple([array[index.positions] if index else array for array, index in each]), self.layout)

    @property
    def dtype(self):
        """The working dtype."""
        return self.layout.dtype

    @property
    def shape(self):
        """The element space."""
        return self.layout.shape


def as_array(call, name, value, code=None):
    """An array of a dtype that nbad computes with: the argument itself where it is one; nested lists of numbers become float64.

    Complex, longdouble, object, datetime, text and masked arrays are refused, and what means more than its numbers. `code` is
    what the fix calls it, where it is no argument of a kernel.
    """
    if type(value) in PLAIN:
        return np.asarray(value)
    array = value if type(value) is np.ndarray else _converted(call, name, value, code)
    if array.dtype.kind in "fiub" and array.dtype.itemsize <= 8:
        return array
    what, fix = foreign.dtype_fault(value, array, name, code)
    raise ArgumentTypeError(
        f"{call}: {name} {what}",
        got=f"dtype {array.dtype}" if isinstance(value, np.ndarray) else foreign.shown(value),
        expected="float64, float32, float16, an integer dtype or bool",
        fix=fix,
    )


def _converted(call, name, value, code):
    """The array of what is none."""
    if type(value) is Indexed:
        raise ArgumentTypeError(
            f"{call}: {name} is picked by an index, which arguments of kernels and verbs alone may be",
            got="nbad.indexed(a, i)",
            expected="an array",
            fix="a[i]",
        )
    _refuse_foreign(call, name, value, code)
    try:
        if isinstance(value, np.generic | np.ndarray) or hasattr(value, "__array__"):
            array = np.asanyarray(value)  # netCDF4 makes masked ones
        else:
            array = np.asarray(value, dtype=float) if type(value) in WEAK else np.asarray(value)
            array = array.astype(float) if array.dtype.kind in "iub" else array
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        partner = foreign.tensors_of(value)
        function = f"; `nbad.integrations.{partner}.function(f)` is a function of such arguments" if partner else ""
        raise ArgumentTypeError(
            f"{call}: {name} is not an array of numbers",
            got=f"{foreign.named(value)}: {str(error).partition(chr(10))[0]}",
            expected=f"a number, an array, or nested lists of equal lengths{function}",
            fix="nbad.integrations.jax.function(f)" if partner == "jax" else foreign.conversion(value, name, code),
        ) from None
    _refuse_foreign(call, name, array, f"np.asanyarray({code or name})")
    return np.asarray(array)


def _refuse_foreign(call, name, value, code):
    """Refuse what means more than its numbers: to pair its elements by position would lose that in silence."""
    part = foreign.part_of(value)
    if part is None:
        return
    is_masked = isinstance(part, np.ma.MaskedArray)
    verb, what = "is" if part is value else "holds", "a masked array" if is_masked else f"a {foreign.named(part)}"
    raise ArgumentTypeError(
        f"{call}: {name} {verb} {what}",
        got=foreign.named(part),
        expected="an array without a mask" if is_masked else "a NumPy array: labels, units and the like would be lost",
        fix=foreign.line_for(value, part, code or name),
    )


def _refuse_labels(program, named):
    """Refuse several arguments with labels in one error: made arrays one by one, they would be paired by position."""
    found = labels.together(named)
    if found is None or any(program.cores):
        return
    (name, *others), line = found
    rest = f"{'is' if len(others) == 1 else 'are'} {', '.join(others)}"
    raise ArgumentTypeError(
        f"{program.call}: {name} is a {foreign.named(named[name])}, and so {rest}",
        got=foreign.named(named[name]),
        expected="NumPy arrays: labels would be lost",
        fix=line,
    ) from None


def read(program, values):
    """The operands of one call, converted and checked."""
    layout = program.layouts.known.get(_key(values))
    if layout is None:
        return _analysed(program, values)
    if layout.is_plain:
        return Operands(values, layout)
    indices: tuple[Index | None, ...] = ()
    if layout.picks:
        indices, values = _indices(values), _arrays(values)
    named = zip(program.names, values, strict=True)
    return Operands(
        tuple([v if type(v) is np.ndarray else as_array(program.call, name, v) for name, v in named]), layout, indices
    )


def _indices(values):
    return tuple([v.index if type(v) is Indexed else None for v in values])


def _arrays(values):
    """The values, with the arrays of those that are picked from them."""
    return tuple([v.array if type(v) is Indexed else v for v in values])


def _key(values):
    """What a layout depends on."""
    return tuple([(v.shape, v.strides, v.dtype) if type(v) is np.ndarray else _kind(v) for v in values])


def _kind(value):
    if type(value) is not Indexed:
        return type(value)
    return Indexed, value.array.shape, value.array.strides, value.array.dtype, value.index.positions.shape


def _analysed(program, values):
    """The operands of a call, whose layout is remembered for others of that kind."""
    named = dict(zip(program.names, _arrays(values), strict=True))
    try:
        arrays = tuple([as_array(program.call, name, v) for name, v in named.items()])
    except ArgumentTypeError:
        _refuse_labels(program, named)
        raise
    key = _key([v if type(v) in NUMBERS or type(v) is Indexed else a for v, a in zip(values, arrays, strict=True)])
    indices = _indices(values)
    return Operands(arrays, program.layouts(key, lambda: _layout(program, values, arrays)), indices if any(indices) else ())


def _layout(program, values, arrays):
    numbers = itertools.count(len(arrays))  # of indices, behind the arrays
    each = [(value.index if type(value) is Indexed else None, array) for value, array in zip(values, arrays, strict=True)]
    picks = [Pick(next(numbers), index.positions.shape, array.shape) if index else None for index, array in each]
    views = [_view(array, pick) for array, pick in zip(arrays, picks, strict=True)]
    strong = [a.dtype for a, v in zip(arrays, values, strict=True) if type(v) not in WEAK]
    dtype = SINGLE if strong and all(t.kind == "f" and t.itemsize == 4 for t in strong) else DOUBLE
    _check_cores(program, views, picks)
    _check_differentiated(program, arrays)
    batches = [batch(v.shape, len(core)) for v, core in zip(views, program.cores, strict=True)]
    shape = common_shape(program.call, program.names, batches, values)
    leaf_shapes = tuple((*shape, *core) for core in program.leaves)
    is_plain = not any(picks) and not any(type(v) in NUMBERS for v in values)
    is_small = not any(picks) and math.prod(shape) * dtype.itemsize <= STREAM_ABOVE
    shapes, order = tuple(a.shape for a in arrays), _order(program, views, shape)
    return Layout(shapes, dtype, shape, leaf_shapes, order, is_plain, is_small, Memo(), tuple(picks) if any(picks) else ())


def _view(array, pick):
    """What an argument stands for, as it is walked."""
    if pick is None:
        return array
    by_index, own = picking(pick.positions, array)
    return View(own.shape, tuple(map(max, by_index.strides, map(abs, own.strides))))


def _order(program, views, shape):
    """The order of the axes in memory; None where it is C order."""
    order = tuple(memory_order([strides_over(v, len(core), shape) for v, core in zip(views, program.cores, strict=True)]))
    return None if order == tuple(range(len(order))) else order


def _check_cores(program, views, picks):
    for name, core, array, pick in zip(program.names, program.cores, views, picks, strict=True):
        if core and array.shape[-len(core) :] != core:
            if pick is not None:
                raise ArgumentValueError(
                    f"{program.call}: {name}, which is `nbad.indexed(a, i)`, does not end in its core shape",
                    got=f"`a[i]` of shape {array.shape}, from a {pick.own} and i {pick.positions}",
                    expected=f"`a[i]` of shape {_dots(core)}",
                    fix=f"nbad.indexed(np.zeros({(9, *core)}), np.arange(9))  # or with last axes of i as core axes",
                )
            raise ArgumentValueError(
                f"{program.call}: {name} does not end in its core shape",
                got=f"shape {array.shape}",
                expected=f"shape {_dots(core)}",
                fix=_to_core(name, array.shape, core) or _for_size(program, name, array.shape, core),
            )


def _to_core(name, shape, core):
    """The line that brings the axes of a core shape to the end, where they stand elsewhere; None where they do not."""
    depth = len(core)
    if len(shape) < depth:
        return f"np.broadcast_to({name}, {core})" if broadcast([shape, core]) == core else None
    if shape[-2:] == core[::-1]:
        return f"np.swapaxes({name}, -1, -2)"
    found = next((k for k in range(len(shape) - depth) if shape[k : k + depth] == core), None)
    if found is None:
        return None
    if len(shape) == 2:
        return f"{name}.T"
    if depth == 1:
        return f"np.moveaxis({name}, {found}, -1)"
    return f"np.moveaxis({name}, {tuple(range(found, found + depth))}, {tuple(range(-depth, 0))})"


def _for_size(program, name, shape, core):
    """The kernel that takes such an array."""
    depth = len(core)
    size = shape[-depth:] if len(shape) >= depth else core
    cores = [size if n == name else c for n, c in zip(program.names, program.cores, strict=True)]
    sides = [",".join("(" + ",".join(map(str, c)) + ")" for c in side) for side in (cores, program.leaves)]
    return f'@nbad.kernel(signature="{"->".join(sides)}")  # for arrays of this size; or {name} of shape {core}'


def _check_differentiated(program, arrays):
    """The program of a derivative refuses integers for what it differentiates by."""
    for name, array in zip(program.names, arrays, strict=True):
        if name in program.by and is_discrete(array):
            raise without_derivative(f"{program.call} differentiates by {name}", name, array)


def is_discrete(array):
    """Whether an array, of integers or bools, has no derivative."""
    return array.dtype.kind in "iub"


def without_derivative(what, name, array):
    """The error for an array of integers or bools by which one is to differentiate."""
    return ArgumentTypeError(
        f"{what}, which has no derivative", got=f"dtype {array.dtype}", expected="a floating dtype", fix=f"{name}.astype(float)"
    )


def _dots(core):
    return "(..., " + ", ".join(map(str, core)) + ")"


def common_shape(call, names, shapes, values=()):
    """The shape that arrays of these names, or of this code, broadcast to; `values` tell how code spells these as arrays."""
    first = shapes[0] if shapes else ()
    if all(shape == first for shape in shapes):
        return first
    common = broadcast(shapes)
    if common is None:
        listing = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
        raise ArgumentValueError(
            f"{call}: the arguments do not broadcast",
            got=listing,
            expected="shapes that NumPy broadcasts to one",
            fix=_fix(call, [foreign.indexable(*each) for each in zip(values, names, strict=True)] if values else names, shapes),
        )
    return common


def broadcast(shapes):
    """The shape that all broadcast to, or None; NumPy's own function knows 32 axes, where its arrays have up to 64."""
    depth = max(map(len, shapes))
    sizes = [set(axis) - {1} for axis in zip(*((1,) * (depth - len(shape)) + shape for shape in shapes), strict=True)]
    return tuple([*found, 1][0] for found in sizes) if all(len(found) <= 1 for found in sizes) else None


def _fix(call, names, shapes):
    """The line for one argument, after which all broadcast: mostly a new axis, for the usual wish is an outer product."""
    outer = {
        name: (1,) * max(map(len, (s for n, s in zip(names, shapes, strict=True) if n != name)), default=0) for name in names
    }
    ways = [
        ("{0}[:, None]  # for all combinations", lambda name, shape: (*shape, 1) if len(shape) == 1 else None),
        ("{0}.T", lambda name, shape: shape[::-1] if len(shape) == 2 else None),
        ("{0}[..., {1}]  # for all combinations", lambda name, shape: (*shape, *outer[name])),
    ]
    for line, way in ways:
        for k, name in enumerate(names):
            new = way(name, shapes[k])
            if new is not None and broadcast([*shapes[:k], new, *shapes[k + 1 :]]) is not None:
                return line.format(name, ", ".join(["None"] * len(outer[name])))
    return f"{call.strip('`').partition('(')[0]}(*np.ix_({', '.join(names)}))  # for all combinations, of vectors"
