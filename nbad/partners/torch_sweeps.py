"""The sweeps of kernels as functions that PyTorch's autograd and transforms know: values, residuals, cotangents and tangents.

Tensors are read as NumPy arrays on the same memory. A forward sweep leaves its residuals in a tensor beside the outputs, so that
whoever saves, wraps or moves tensors does so with these. Both linear maps are kernels, too (`nbad.partners.derived` makes
them), and are differentiated as such. Where `vmap` runs over seeds or tangents only, a sweep takes all of them at once.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd.forward_ad import _set_fwd_grad_enabled

from nbad.api.kernel import Kernel
from nbad.errors import ArgumentTypeError
from nbad.partners.derived import forward_kernel, reverse_kernel
from nbad.plans.plan import are_lined
from nbad.runtime import memory
from nbad.runtime.operands import DOUBLE, SINGLE
from nbad.runtime.reverse import reverse_of
from nbad.runtime.strides import contiguous_strides, put_rows, whole_rows
from nbad.runtime.sweeps import row_length
from nbad.verbs.pullback import Pullback
from nbad.verbs.pushforward import jvp, linearize
from nbad.verbs.vjp import vjp

Tensors = tuple[torch.Tensor, ...]
DTYPES: dict[Any, np.dtype] = {torch.float64: DOUBLE, torch.float32: SINGLE}


def _view(tensor: torch.Tensor) -> np.ndarray:
    """A tensor as an array on the same memory."""
    try:
        return tensor.numpy(force=True)  # which copies where the sign of a lazy negation is not in the memory yet
    except RuntimeError as error:  # of tensors that have no memory of their own
        raise ArgumentTypeError(
            "a kernel is called where PyTorch runs its operations on stand-ins for tensors",
            got=f"torch.autograd.grad(..., is_grads_batched=True), torch.compile or the like: {error}",
            expected="tensors, or those of torch.func and torch.vmap",
            fix="torch.vmap(lambda ct: torch.autograd.grad(y, xs, ct, retain_graph=True))(cts)",
        ) from None


def _refuse_recording() -> None:
    """Refuse to run while PyTorch records operations of its own, for later: it would take results for constants."""
    recorder = sys.modules.get("torch.fx.experimental.proxy_tensor")
    if torch.jit.is_tracing() or (recorder and recorder.get_proxy_mode() is not None):
        raise ArgumentTypeError(
            "a kernel is called where PyTorch records operations, and its own are not among them",
            got="torch.func.linearize, torch.jit.trace, torch.export or make_fx",
            expected="a call that computes",
            fix="torch.func.jvp(f, primals, tangents)  # in place of torch.func.linearize",
        )


def _tensors(values: Any) -> Tensors:
    return tuple(torch.from_numpy(np.asarray(value)) for value in values)


class Station:
    """A kernel, and which of its arguments are differentiated: all that the sweeps ask for beside tensors."""

    def __init__(self, kernel: Kernel, arguments: tuple[int, ...]):
        self.kernel, self.arguments = kernel, arguments
        self.program = kernel.whole_program()
        self.names = tuple(self.program.names[a] for a in arguments)
        self.cores, self.leaves = self.program.cores, self.program.leaves

    @classmethod
    def of(cls, kernel: Kernel, arguments: Sequence[int]) -> "Station":
        """The one for these arguments, which the kernel keeps."""
        key = tuple(arguments)
        return kernel.remember(("torch", key), lambda: cls(kernel, key))

    @property
    def count(self) -> int:
        """How many arguments there are."""
        return len(self.cores)

    @property
    def reverse(self) -> Kernel:
        """The reverse sweep as a kernel of arguments and seeds."""
        return reverse_kernel(self.kernel, self.names)

    @property
    def forward(self) -> Kernel:
        """The pushforward as a kernel of arguments and tangents."""
        return forward_kernel(self.kernel, self.names)

    def shape(self, xs: Sequence[torch.Tensor]) -> tuple[int, ...]:
        """The element space of arguments."""
        shapes = [tuple(x.shape[: x.ndim - len(core)]) for x, core in zip(xs, self.cores, strict=True)]
        return tuple(torch.broadcast_shapes(*shapes))

    def pullback(self, rows: torch.Tensor, xs: Sequence[torch.Tensor]) -> Pullback:
        """The pullback of a forward sweep that left these residuals."""
        plan = self.program.plan(self.program.input_slots(self.arguments), "auto")
        reverse = reverse_of(self.program, plan, self.arguments, DTYPES[rows.dtype])
        shapes = tuple(tuple(xs[a].shape) for a in self.arguments)
        return Pullback(reverse, _padded(rows), tuple(rows.shape[1:]), shapes)


def _unpadded(rows: Any, shape: tuple[int, ...], order: tuple[int, ...] | None) -> torch.Tensor:
    """Residual rows as a tensor of all residuals over the elements, on the same memory where they do not lie in lines."""
    whole = torch.from_numpy(whole_rows(rows, math.prod(shape)))
    return whole.as_strided((len(whole), *shape), (whole.stride(0), *contiguous_strides(shape, 1, order)))


def _padded(rows: torch.Tensor) -> np.ndarray:
    """The rows of such a tensor; copied where a transform has moved it."""
    dtype, count, elements = DTYPES[rows.dtype], rows.shape[0], math.prod(rows.shape[1:])
    pitch = row_length(elements, dtype)
    room = rows.untyped_storage().nbytes() // dtype.itemsize - rows.storage_offset()
    if rows.numel() and not are_lined(count) and rows.stride(0) == pitch and rows[0].is_contiguous() and room >= count * pitch:
        return _view(rows.as_strided((count, pitch), (pitch, 1)))
    padded = memory.empty((count, pitch), dtype)
    put_rows(padded, _view(rows).reshape(count, elements))
    return padded


def leaves(kernel: Kernel, xs: Sequence[torch.Tensor]) -> Tensors:
    """The outputs of a kernel; with its residuals kept, where autograd will ask for them."""
    if torch.is_grad_enabled() and any(x.requires_grad for x in xs):
        return Forward.apply(Station.of(kernel, _tracked([x.requires_grad for x in xs])), *xs)[:-1]
    return Value.apply(Station.of(kernel, range(len(xs))), *xs)


def _tracked(needed: Sequence[bool]) -> list[int]:
    """Numbers of those that are to be differentiated by: all within transforms, for others around these may ask, too."""
    is_nested = torch._C._are_functorch_transforms_active()
    return [k for k, is_needed in enumerate(needed) if is_needed or is_nested]


# axes


def _is_batched(tensors: Sequence[Any], dims: Sequence[int | None]) -> bool:
    return any(d is not None for t, d in zip(tensors, dims, strict=True))


def _in_front(
    station: Station, xs: Sequence[torch.Tensor], dims: Sequence[int | None], size: int | None = None
) -> list[torch.Tensor]:
    """Arguments with the axis of `vmap` as the first of the element space, those too that have none where its size is given."""
    ranks = [x.ndim - len(core) - (d is not None) for x, d, core in zip(xs, dims, station.cores, strict=True)]
    found = []
    for x, d, rank in zip(xs, dims, ranks, strict=True):
        if d is not None:
            x = x.movedim(d, 0)
        elif size is not None:
            x = x.expand(size, *x.shape)
        else:
            found.append(x)
            continue
        found.append(x.reshape(x.shape[0], *(1,) * (max(ranks) - rank), *x.shape[1:]))
    return found


def _first(tensor: torch.Tensor, dim: int | None, size: int, place: int = 0) -> torch.Tensor:
    """A tensor with the axis of `vmap` at a place."""
    if dim is not None:
        return tensor.movedim(dim, place)
    return tensor.unsqueeze(place).expand(*tensor.shape[:place], size, *tensor.shape[place:])


def _aligned(tensor: torch.Tensor, like: torch.Tensor, core: tuple[int, ...], rank: int, is_many: bool) -> torch.Tensor:
    """One or many seeds in the shape of an argument, with the axes in which it lacks of an element space of so many."""
    missing = (1,) * (rank - (like.ndim - len(core)))
    return tensor.reshape((*tensor.shape[: int(is_many)], *missing, *tensor.shape[int(is_many) :]))


def _summed_to(tensor: torch.Tensor, shape: Sequence[int], lead: int) -> torch.Tensor:
    """The sum over the axes along which something of this shape was broadcast, but for so many leading ones."""
    kept, more = tensor.shape[:lead], tensor.ndim - lead - len(shape)
    tensor = tensor.sum(tuple(range(lead, lead + more))) if more else tensor
    return tensor.sum_to_size((*kept, *shape))


# sweeps


class Value(torch.autograd.Function):
    """The outputs of a kernel."""

    @staticmethod
    def forward(station, *xs):
        return _tensors(_outputs(station, station.kernel(*_views(xs))))

    @staticmethod
    def setup_context(ctx, inputs, output):
        _keep(ctx, inputs)

    @staticmethod
    def backward(ctx, *cts):
        station, xs = ctx.station, ctx.saved_tensors
        return None, *_pulled(station.kernel, xs, cts, ctx.needs_input_grad[1:])

    @staticmethod
    def jvp(ctx, _, *tangents):
        return _pushed(ctx.station.kernel, ctx.saved_tensors, tangents)

    @staticmethod
    def vmap(info, in_dims, station, *xs):
        return leaves(station.kernel, _in_front(station, xs, in_dims[1:])), (0,) * len(station.leaves)


class Forward(torch.autograd.Function):
    """The outputs of a kernel, and behind them the residuals, over the elements."""

    @staticmethod
    def forward(station, *xs):
        y, pullback = vjp(station.kernel, *_views(xs), argnums=station.names)
        found = _tensors(_outputs(station, y))
        return *found, _unpadded(pullback.rows, pullback.shape, pullback._order)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[-1])
        _keep(ctx, inputs, output[-1])

    @staticmethod
    def backward(ctx, *cts):
        *xs, rows = ctx.saved_tensors
        return None, *_cotangents(ctx.station, rows, xs, cts[:-1], ctx.needs_input_grad[1:])

    @staticmethod
    def jvp(ctx, _, *tangents):
        return *_pushed(ctx.station.kernel, ctx.saved_tensors[:-1], tangents), None

    @staticmethod
    def vmap(info, in_dims, station, *xs):
        found = Forward.apply(station, *_in_front(station, xs, in_dims[1:]))
        return found, (*(0,) * len(station.leaves), 1)


class Pull(torch.autograd.Function):
    """The cotangents of a kernel's arguments, from the residuals of its forward sweep, the arguments and a seed for each output.

    `many` seeds have a leading axis, and so have their cotangents.
    """

    @staticmethod
    def forward(station, many, rows, *operands):
        xs, cts = operands[: station.count], operands[station.count :]
        pullback = station.pullback(rows, xs)
        seeds = station.program.structure.build(_views(cts))
        return _tensors(pullback.batched(seeds) if many else pullback(seeds))

    @staticmethod
    def setup_context(ctx, inputs, output):
        station, ctx.many, _, *operands = inputs
        _keep(ctx, (station, *operands))

    @staticmethod
    def backward(ctx, *gs):
        station, operands = ctx.station, ctx.saved_tensors
        seeds = _spread(station, operands, gs, ctx.many)
        return None, None, None, *_pulled(station.reverse, operands, seeds, ctx.needs_input_grad[3:])

    @staticmethod
    def jvp(ctx, _, __, ___, *tangents):
        station, operands = ctx.station, ctx.saved_tensors
        dots, lead = _pushed(station.reverse, operands, tangents), int(ctx.many)
        with _set_fwd_grad_enabled(True):  # which is off here: sums would lose the tangents that an outer `jvp` has
            return tuple([_summed_to(dot, operands[a].shape, lead) for dot, a in zip(dots, station.arguments, strict=True)])

    @staticmethod
    def vmap(info, in_dims, station, many, rows, *operands):
        n, size, dims, by_seed = station.count, info.batch_size, in_dims[3:], in_dims[2]
        xs, cts = operands[:n], list(operands[n:])
        if by_seed is None and not _is_batched(xs, dims[:n]):
            cts = [_first(ct, d, size) for ct, d in zip(cts, dims[n:], strict=True)]
            if not many:
                return Pull.apply(station, True, rows, *xs, *cts), (0,) * len(station.arguments)
            found = Pull.apply(station, True, rows, *xs, *(ct.flatten(0, 1) for ct in cts))
            return tuple(ct.unflatten(0, cts[0].shape[:2]) for ct in found), (0,) * len(station.arguments)
        place = int(many)
        cts = [_first(ct, d, size, place) for ct, d in zip(cts, dims[n:], strict=True)]
        wide = _in_front(station, xs, dims[:n], size)
        found = Pull.apply(station, many, _first(rows, by_seed, size, 1), *wide, *cts)
        named = zip(found, station.arguments, strict=True)
        own = [ct.reshape(*ct.shape[: place + 1], *_unmapped(xs[a], dims[a])) for ct, a in named]
        return tuple(own), (place,) * len(station.arguments)


class Push(torch.autograd.Function):
    """The tangents of a kernel's outputs, from its arguments and a tangent for each of some; `many` have a leading axis."""

    @staticmethod
    def forward(station, many, *operands):
        xs, tangents = _views(operands[: station.count]), _views(operands[station.count :])
        if many:
            return _tensors(_outputs(station, linearize(station.kernel, *xs, argnums=station.names)[1].batched(tangents)))
        given = dict(zip(station.arguments, tangents, strict=True))
        return _tensors(_outputs(station, jvp(station.kernel, xs, tuple(given.get(k, 0.0) for k in range(station.count)))[1]))

    @staticmethod
    def setup_context(ctx, inputs, output):
        station, ctx.many, *operands = inputs
        _keep(ctx, (station, *operands))

    @staticmethod
    def backward(ctx, *gs):
        station, operands = ctx.station, ctx.saved_tensors
        wide, shapes = _widened(station, operands, ctx.many), [t.shape for t in operands]
        found = _pulled(station.forward, wide, gs, ctx.needs_input_grad[2:])
        return None, None, *(g if g is None else g.reshape(shape) for g, shape in zip(found, shapes, strict=True))

    @staticmethod
    def jvp(ctx, _, __, *tangents):
        station, operands = ctx.station, ctx.saved_tensors
        pairs = zip(tangents, operands, strict=True)
        dots = _widened(station, [t if dot is None else dot for dot, t in pairs], ctx.many)
        given = [None if dot is None else wide for dot, wide in zip(tangents, dots, strict=True)]
        return _pushed(station.forward, _widened(station, operands, ctx.many), given)

    @staticmethod
    def vmap(info, in_dims, station, many, *operands):
        n, size, dims = station.count, info.batch_size, in_dims[2:]
        xs, tangents = operands[:n], list(operands[n:])
        if not _is_batched(xs, dims[:n]):
            tangents = [_first(t, d, size) for t, d in zip(tangents, dims[n:], strict=True)]
            if not many:
                return Push.apply(station, True, *xs, *tangents), (0,) * len(station.leaves)
            found = Push.apply(station, True, *xs, *(t.flatten(0, 1) for t in tangents))
            return tuple(dot.unflatten(0, tangents[0].shape[:2]) for dot in found), (0,) * len(station.leaves)
        place, wide = int(many), _in_front(station, xs, dims[:n], size)
        moved = [_first(t, d, size, place) for t, d in zip(tangents, dims[n:], strict=True)]
        moved = [t.reshape(*t.shape[:place], *wide[a].shape) for t, a in zip(moved, station.arguments, strict=True)]
        return Push.apply(station, many, *wide, *moved), (place,) * len(station.leaves)


def _keep(ctx: Any, inputs: Sequence[Any], *more: torch.Tensor) -> None:
    ctx.station, tensors = inputs[0], (*inputs[1:], *more)
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)
    ctx.set_materialize_grads(False)


def _views(tensors: Sequence[torch.Tensor]) -> tuple[np.ndarray, ...]:
    _refuse_recording()
    return tuple([_view(t) for t in tensors])


def _outputs(station: Station, y: Any) -> Any:
    """The outputs in what a kernel returned."""
    return station.program.structure.leaves(y)


def _unmapped(x: torch.Tensor, dim: int | None) -> tuple[int, ...]:
    """The shape without the axis of `vmap`."""
    return tuple(size for k, size in enumerate(x.shape) if k != dim)


def _pulled(kernel: Kernel, xs: Sequence[torch.Tensor], cts: Sequence[Any], needed: Sequence[bool]) -> list[Any]:
    """The cotangents of those arguments that need one, by both sweeps of a kernel; None for all others."""
    station = Station.of(kernel, _tracked(needed))
    return _cotangents(station, Forward.apply(station, *xs)[-1], xs, cts, needed)


def _cotangents(
    station: Station, rows: torch.Tensor, xs: Sequence[torch.Tensor], cts: Sequence[Any], needed: Sequence[bool]
) -> list[Any]:
    """The same from the residuals of a forward sweep; where nothing flows, seeds are zeros, which take no memory."""
    zero = torch.zeros((), dtype=rows.dtype, device="cpu")
    pairs = zip(cts, station.leaves, strict=True)
    seeds = [zero.expand((*rows.shape[1:], *core)) if ct is None else ct for ct, core in pairs]
    found = dict(zip(station.arguments, Pull.apply(station, False, rows, *xs, *seeds), strict=True))
    return [found.get(k) if is_needed else None for k, is_needed in enumerate(needed)]


def _pushed(kernel: Kernel, xs: Sequence[torch.Tensor], tangents: Sequence[Any]) -> Tensors:
    """The tangents of a kernel's outputs, where those of some arguments may be missing."""
    station = Station.of(kernel, [k for k, t in enumerate(tangents) if t is not None])
    return Push.apply(station, False, *xs, *(t for t in tangents if t is not None))


def _spread(station: Station, operands: Sequence[torch.Tensor], gs: Sequence[Any], many: bool) -> list[Any]:
    """Seeds of cotangents, which have the shapes of arguments, over all elements."""
    shape = station.shape(operands[: station.count])
    lead = operands[station.count].shape[:1] if many else ()
    found = []
    for g, a in zip(gs, station.arguments, strict=True):
        x, core = operands[a], station.cores[a]
        found.append(None if g is None else _aligned(g, x, core, len(shape), many).expand((*lead, *shape, *core)))
    return found


def _widened(station: Station, operands: Sequence[torch.Tensor], many: bool) -> list[torch.Tensor]:
    """Arguments and tangents, many of these perhaps, in shapes that broadcast with one another."""
    xs, rank = operands[: station.count], len(station.shape(operands[: station.count]))
    pairs = zip(operands[station.count :], station.arguments, strict=True)
    return [*xs, *(_aligned(t, xs[a], station.cores[a], rank, many) for t, a in pairs)]
