"""PyTorch with `torch.compile`: forward and backward compiled for each shape by a C++ compiler, one backward for each seed."""

import functools

import torch
from torch._dynamo import config as tracing
from torch._functorch import config

from benchmarks.cases.workloads import workloads
from benchmarks.peers.torch_peer import function_of, sweeps

PACKAGES = ("torch",)

config.donated_buffer = False  # a pullback that is called again needs its buffers
tracing.recompile_limit = 1000  # each case is a shape of its own


def contestants(task):
    """The same as eager, with the compiled function."""
    return sweeps(task, _compiled(task.workload.name))


@functools.cache
def _compiled(name):
    return torch.compile(function_of(workloads()[name]), dynamic=False, fullgraph=True)
