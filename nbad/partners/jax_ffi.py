"""Kernels as targets of XLA's custom calls: which can be, under which names, and what keeps their code alive."""

import ctypes
import functools
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from nbad.codegen.compile import is_of_the_table
from nbad.errors import ArgumentTypeError
from nbad.graphs.failures import may_fail
from nbad.graphs.flags import has_alarm
from nbad.graphs.loops import digest_of
from nbad.memo import Memo
from nbad.native.launch_table import TILE
from nbad.native.worker import worker
from nbad.partners import xla_handler as h
from nbad.pipeline import Program
from nbad.runtime.launch import Launch, Routes
from nbad.runtime.operands import Layout
from nbad.runtime.strides import contiguous_strides
from nbad.runtime.sweeps import arrays_slots
from nbad.runtime.threads import SMALL
from nbad.version import VERSION

KNOWN = {(0, minor) for minor in range(1, 6)}  # versions whose structs `xla_handler` reads: a test compares them
DTYPES = {"float32": 11, "float64": 12}
TEXTS = {
    h.WRONG_COUNT: "another number of arguments or results",
    h.WRONG_DTYPE: "an argument or a result of another dtype",
    h.WRONG_SHAPE: "an argument or a result of another shape",
    h.NO_MEMORY: "too little memory for what threads need beside it",
}


class Target(NamedTuple):
    """What a handler needs for as long as the process lives, for XLA forgets none: its table, and what that names.

    At exit XLA's threads may still call it, when this module is gone: it is never freed.
    """

    name: str
    table: np.ndarray
    owned: tuple[Any, ...]


_targets = Memo(sys.maxsize)  # by name; none is ever dropped


@functools.cache
def version() -> tuple[int, int]:
    """The version of the interface, as the header says that jaxlib brings; (-1, -1) where there is none."""
    path = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    major, minor = (re.search(rf"#define XLA_FFI_API_{part} (\d+)", text) for part in ("MAJOR", "MINOR"))
    return (int(major[1]), int(minor[1])) if major and minor else (-1, -1)


@functools.lru_cache(1024)
def stand_in(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A contiguous array of this shape that takes no memory: nobody may look into it."""
    if not all(isinstance(length, int) for length in shape):
        raise ArgumentTypeError(
            "a kernel is called with a shape that is no numbers",
            got=f"{shape}, of jax.export.symbolic_shape",
            expected="lengths that are known when code is compiled",
            fix="jax.jit(f)(x)  # compiled anew for each shape",
        )
    strides = contiguous_strides(shape, dtype.itemsize)
    return np.lib.stride_tricks.as_strided(np.zeros((), dtype), shape, strides, writeable=False)


def target(program: Program, layout: Layout) -> str | None:
    """The name under which XLA finds a kernel of contiguous arrays; None where Python must be called.

    The name says what is computed, and no more: it is the same in every process, for JAX keeps compiled code on disk.
    """
    is_plain = not has_alarm(program.simple) and not may_fail(program.simple) and is_of_the_table(program.simple)
    if version() not in KNOWN or not is_plain or sys.maxsize < 1 << 32:
        return None
    digest = digest_of(program.simple, VERSION, program.math, layout.dtype.name, layout.shapes, layout.leaf_shapes)
    name = f"nbad_{program.name if program.name.isidentifier() else 'kernel'}_{digest}"
    return _targets(name, lambda: _registered(name, program, layout)).name


def _registered(name: str, program: Program, layout: Layout) -> Target:
    launch = _launch(program, layout)
    packed, scratch = launch.packed() if launch.elements else (np.zeros(1, np.int64), 0)
    buffers = [*layout.shapes, *layout.leaf_shapes]
    table = np.zeros(h.BUFFERS + sum(1 + len(shape) for shape in buffers), np.int64)
    texts = {place: f"nbad: {program.call} is called with {text}".encode() + b"\0" for place, text in TEXTS.items()}
    kept = {place: np.frombuffer(text, np.uint8) for place, text in texts.items()}
    major, minor = version()
    fields = {
        **h.system(), **{place: text.ctypes.data for place, text in kept.items()}, h.WORK: worker(), h.LAUNCH: packed.ctypes.data,
        h.SCRATCH_BYTES: scratch, h.TILES: -(-launch.elements // TILE), h.IS_LONG: launch.nanoseconds >= SMALL, h.MAJOR: major,
        h.MINOR: minor, h.DTYPE: DTYPES[layout.dtype.name], h.ARGS: len(layout.shapes), h.RETS: len(layout.leaf_shapes),
    }  # fmt: skip
    for place, value in fields.items():
        table[place] = value
    table[h.BUFFERS :] = [number for shape in buffers for number in (len(shape), *shape)]
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(h.bound(table)), platform="cpu")
    made = Target(name, table, (packed, kept, launch))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))
    return made


def _launch(program: Program, layout: Layout) -> Launch:
    """The launch of the value over contiguous arrays."""
    arrays, results = ([stand_in(shape, layout.dtype) for shape in shapes] for shapes in (layout.shapes, layout.leaf_shapes))
    reads = arrays_slots(arrays, program.cores, layout.shape)
    writes = arrays_slots(results, program.leaves, layout.shape, len(arrays))
    return Launch(program.value(layout.dtype), layout.shape, Routes.of(program.simple, reads, writes))
