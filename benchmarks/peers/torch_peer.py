"""PyTorch, eager: every operation makes an array; a pullback walks the recorded operations."""

import torch

from benchmarks.cases.rebinding import accepting_numbers, rebound
from benchmarks.cases.task import Contestant, merged

PACKAGES = ("torch",)
NAMES = "sqrt exp log sin cos atan2 erf".split()
LIBRARY = accepting_numbers({name: getattr(torch, name) for name in NAMES}) | {"where": torch.where}


def contestants(task):
    """One `autograd.grad` for each seed, and all seeds at once with `is_grads_batched`."""
    function = function_of(task.workload)
    yield from sweeps(task, function)
    if task.sweep == "reverse":
        yield _batched(task, function)


def function_of(workload):
    """The kernel's function with PyTorch's functions; returns a list."""
    f = rebound(workload.function, LIBRARY)
    return (lambda *xs: list(f(*xs))) if workload.is_tuple else lambda *xs: [f(*xs)]


def sweeps(task, function):
    """The sweeps that an eager and a compiled function share."""
    torch.set_num_threads(task.case.threads)
    known = {"value": _value, "forward": _forward, "reverse": _reverse, "jacobian": _jacobian}
    known["value_and_jacobian"] = _value_and_jacobian
    return known[task.sweep](task, function) if task.sweep in known else ()


def _arguments(task, differentiate=True):
    active = [torch.from_numpy(x).requires_grad_(differentiate) for x in task.active]
    return active, merged(active, {k: torch.from_numpy(x) for k, x in task.passive.items()})


def _values(outputs):
    return [y.detach().numpy() for y in outputs]


def _value(task, function):
    _, xs = _arguments(task, differentiate=False)
    yield Contestant("value", lambda: function(*xs), _values)


def _forward(task, function):
    _, xs = _arguments(task)
    yield Contestant("forward", lambda: function(*xs), _values)


def _reverse(task, function):
    active, xs = _arguments(task)
    outputs, seeds = function(*xs), [torch.from_numpy(s) for s in task.seeds]

    def call():
        return [torch.autograd.grad(outputs, active, seed, retain_graph=True) for seed in zip(*seeds, strict=True)]

    yield Contestant("grad for each seed", call, lambda each: [torch.stack(column).numpy() for column in zip(*each, strict=True)])


def _batched(task, function):
    active, xs = _arguments(task)
    outputs, seeds = function(*xs), [torch.from_numpy(s) for s in task.seeds]

    def call():
        return torch.autograd.grad(outputs, active, seeds, retain_graph=True, is_grads_batched=True)

    return Contestant("is_grads_batched", call, lambda columns: [c.numpy() for c in columns])


def _jacobian(task, function):
    yield Contestant("grad for each output", _of_outputs(task, function), lambda result: _rows(result[1]))


def _value_and_jacobian(task, function):
    yield Contestant("grad for each output", _of_outputs(task, function), lambda result: [*_values(result[0]), *_rows(result[1])])


def _of_outputs(task, function):
    """Outputs and the rows of the Jacobian: a pullback of ones for each output."""
    active, xs = _arguments(task)

    def call():
        outputs = function(*xs)
        ones = [torch.ones_like(y) for y in outputs]
        pairs = zip(outputs, ones, strict=True)
        return outputs, [torch.autograd.grad(y, active, one, retain_graph=True, materialize_grads=True) for y, one in pairs]

    return call


def _rows(rows):
    return [[entry.numpy() for entry in row] for row in rows]
