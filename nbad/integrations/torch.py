"""Kernels as functions of PyTorch's tensors, which are differentiated in every way that PyTorch knows."""

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from nbad.api.calls import check_kernel
from nbad.api.kernel import Kernel
from nbad.errors import ArgumentTypeError, fitting
from nbad.partners.derived import of_arrays
from nbad.partners.torch_sweeps import DTYPES, leaves
from nbad.runtime.operands import WEAK, as_array
from nbad.verbs.jacobians import Made

LISTS = (list, tuple, torch.nn.ParameterList)


@fitting("nbad.integrations.torch.function({f})({xs})")
def function(f: Kernel) -> "Function":
    """The kernel as a function of tensors, which autograd and `torch.func` differentiate to any order.

    Parameters
    ----------
    f : Kernel

    Returns
    -------
    callable
        Takes what `f` takes, tensors among it, and returns tensors in the structure that `f` returns. Floating tensors have
        derivatives; numbers, NumPy arrays, integer and bool tensors have none. They broadcast, and the dtype is what PyTorch
        makes of them, float64 or float32: numbers, 0-d tensors and integers give way. Integers alone become float64.

    Raises
    ------
    ArgumentTypeError
        At a call with a tensor that is not dense, not in this machine's memory, complex, or of half precision.

    Notes
    -----
    No tensor is copied: neither arguments of the common dtype, be they contiguous or not, nor results. NumPy's arrays are, unless
    gradients are off, for autograd would not see that they change. What it keeps beside the arguments are the residuals of
    `nbad.vjp`. `torch.vmap` and `torch.func.jacrev` sweep once for all seeds, and
    `torch.func.jacfwd` for all tangents; `torch.autograd.grad(..., is_grads_batched=True)` does not know functions written in
    Python, and `torch.vmap` of it does the same. Code under `torch.compile` is cut in two at a kernel.

    Examples
    --------
    >>> import nbad, torch
    >>> area = nbad.integrations.torch.function(nbad.kernel(lambda a, b: a * b * b))
    >>> a, b = torch.tensor([2.0, 3.0], requires_grad=True), torch.tensor(5.0, requires_grad=True)
    >>> area(a, b).sum().backward()
    >>> a.grad, b.grad
    (tensor([25., 25.]), tensor(50.))
    >>> torch.func.hessian(area, argnums=1)(a.detach()[0], b.detach())
    tensor(4.)
    """
    check_kernel(f)
    return Function(f)


class Function(Made):
    """What `function` returns: a function with the kernel's name, docstring and signature."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():  # `torch.compile` would look into nbad itself
            return torch.compiler.disable(_call)(self.f, args, kwargs)
        return _call(self.f, args, kwargs)

    def __repr__(self) -> str:
        return f"<nbad.integrations.torch.function of {self.f!r}>"

    def __reduce__(self) -> Any:
        return function, (self.f,)


@functools.cache
def _hide() -> None:
    """Have `torch.compile` leave nbad's files alone: it would look into the sweeps that transforms around a kernel run."""
    sys.modules["torch._dynamo.trace_rules"].add("nbad")


def _call(f: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if "torch._dynamo.trace_rules" in sys.modules:
        _hide()
    kernel, values = of_arrays(f, args, kwargs)
    return kernel.whole_program().structure.build(leaves(kernel, _read(kernel, kernel.parameters, values)))


def _read(kernel: Kernel, names: Sequence[str], values: Sequence[Any]) -> list[torch.Tensor]:
    """Arguments, or the parts of one, as tensors of one dtype, checked."""
    tensors = [v if type(v) in WEAK else _tensor(kernel, name, v) for name, v in zip(names, values, strict=True)]
    dtype = _common_dtype([t for t in tensors if isinstance(t, torch.Tensor)])
    if dtype not in DTYPES:
        name = next(name for name, t in zip(names, tensors, strict=True) if getattr(t, "dtype", None) is dtype)
        raise _unfit(kernel, name, f"is of half precision: {dtype}", "float64 or float32", f"{name}.float()")
    return [t.to(dtype) if isinstance(t, torch.Tensor) else torch.tensor(t, dtype=dtype, device="cpu") for t in tensors]


def _tensor(kernel: Kernel, name: str, value: Any) -> torch.Tensor | float:
    """An argument that is no plain number as a tensor, checked; NumPy's float64 numbers are plain ones."""
    if isinstance(value, float):
        return float(value)
    if not isinstance(value, torch.Tensor):
        if _holds_tensors(value):
            return _stacked(kernel, name, value)
        array = as_array(kernel.whole_program().call, name, value, None if name in kernel.parameters else name)
        # autograd sees when a tensor that it keeps is changed, but not when an array is
        make = torch.tensor if torch.is_grad_enabled() else torch.as_tensor
        return make(_ordinary(array), device="cpu")
    if value.device.type != "cpu":
        raise _unfit(kernel, name, f"is on the device {value.device}: kernels run on the CPU", "cpu", f"{name}.cpu()")
    if value.layout is not torch.strided:
        raise _unfit(kernel, name, f"has the layout {value.layout}", "torch.strided", f"{name}.to_dense()")
    if value.is_complex():
        raise _unfit(kernel, name, "is complex", "a real dtype", f"{name}.real  # and {name}.imag as an argument of its own")
    return value


def _holds_tensors(value: Any) -> bool:
    """Whether tensors stand in a list, or in lists within it: NumPy would read these without their derivatives."""
    return isinstance(value, LISTS) and any(isinstance(part, torch.Tensor) or _holds_tensors(part) for part in value)


def _stacked(kernel: Kernel, name: str, value: Any) -> torch.Tensor:
    """A list of tensors and numbers as a tensor that has their derivatives; numbers give way, wherever they stand."""
    parts = dict(_parts(name, value))
    tensors = _read(kernel, list(parts), list(parts.values()))
    try:
        return _put_together(value, iter(tensors))
    except RuntimeError as error:
        each = (n if isinstance(v, torch.Tensor) else f"torch.tensor({n})" for n, v in parts.items())
        raise ArgumentTypeError(
            f"{kernel.whole_program().call}: the parts of {name} have unlike shapes",
            got=str(error),
            expected="nested lists of equal lengths",
            fix=f"torch.hstack([{', '.join(each)}])  # all of its numbers, one after the other",
        ) from None


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What stands in nested lists, and how code spells it."""
    if isinstance(value, LISTS):
        yield from (found for k, part in enumerate(value) for found in _parts(f"{name}[{k}]", part))
    else:
        yield name, value


def _put_together(value: Any, tensors: Iterator[torch.Tensor]) -> torch.Tensor:
    """Tensors as one, in place of what stands in nested lists."""
    return torch.stack([_put_together(part, tensors) for part in value]) if isinstance(value, LISTS) else next(tensors)


def _ordinary(array: np.ndarray) -> np.ndarray:
    """An array that PyTorch takes as it is, or a copy that it does."""
    is_ordinary = array.flags.writeable and array.dtype.isnative and min(array.strides, default=0) >= 0
    return array if is_ordinary else array.astype(array.dtype.newbyteorder("="), order="C")


def _unfit(kernel: Kernel, name: str, what: str, expected: str, fix: str) -> ArgumentTypeError:
    return ArgumentTypeError(f"{kernel.whole_program().call}: {name} {what}", expected=expected, fix=fix)


def _common_dtype(tensors: Sequence[torch.Tensor]) -> torch.dtype:
    """The widest of the floating tensors; those without axes count only where no other is floating."""
    floating = [t for t in tensors if t.is_floating_point()]
    counted = [t.dtype for t in floating if t.ndim] or [t.dtype for t in floating] or [torch.float64]
    dtype = counted[0]
    for other in counted[1:]:
        dtype = torch.promote_types(dtype, other)
    return dtype
