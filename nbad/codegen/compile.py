"""Op list to machine code: a tile kernel `entry(table, n)` that is called through its address.

The module is printed as vector IR and compiled by llvmlite, for the CPU that Numba compiles for, without the front end and the
optimization passes that Numba's own functions need: the graph was simplified before, and vectors need no vectorizer. The object
code is kept on disk under the hash of the IR itself, so that nothing that shapes the code can be forgotten in the key.

Numba's own functions, the drivers, are kept in the same folder by `cached_njit`.
"""

import functools
import hashlib
import pickle
import sys
from pathlib import Path
from typing import NamedTuple

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.serialize import dumps

from nbad.codegen import disk
from nbad.codegen.host import host
from nbad.codegen.lower import OpList
from nbad.codegen.vector_ir import ENTRY, print_ir

MACHINE = dict(opt=2, codemodel="jitdefault", jit=True)
VERSIONS = f"numba {numba.__version__} llvmlite {llvmlite.__version__}"
PLAIN = (bool, int, float, str, tuple)  # kinds of globals that Numba compiles in as constants
_addresses: dict[str, int] = {}


class TileKernel(NamedTuple):
    """Compiled code, which stays loaded until the process ends, and what a driver must know of it.

    Attributes
    ----------
    address : int
        Of `entry(table: intp, n: intp) -> void`: `table` holds the address of one row per input, then per output.
    oplist : OpList
    width : int
        Elements in a vector; `n` is a positive multiple of it.
    """

    address: int
    oplist: OpList
    width: int

    @property
    def rows(self) -> int:
        """Entries of the table."""
        return len(self.oplist.inputs) + self.results

    @property
    def results(self) -> int:
        """Rows that the kernel writes, the last ones of the table."""
        return len(self.oplist.outputs)

    @property
    def dtype(self) -> np.dtype:
        """Of every row."""
        return np.dtype(self.oplist.dtype)

    @property
    def llvm(self) -> str:
        """The kernel as LLVM IR."""
        return print_ir(self.oplist, host())

    @property
    def asm(self) -> str:
        """The kernel as assembly, compiled anew."""
        with global_compiler_lock:
            return _machine().emit_assembly(_parse(self.llvm))


def compile_tile(oplist: OpList) -> TileKernel:
    """The tile kernel of an op list: loaded already, loaded from disk, or compiled.

    Parameters
    ----------
    oplist : OpList

    Returns
    -------
    TileKernel

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> builder = GraphBuilder("double", ["x"])
    >>> kernel = compile_tile(lower(builder.build([builder.add("add", 0, 0)])))
    >>> kernel.rows
    2
    """
    return TileKernel(compile_module(print_ir(oplist, host()), ENTRY), oplist, host().width(oplist.dtype))


def compile_module(ir: str, name: str) -> int:
    """Address of the function `name` of an LLVM module: loaded already, loaded from disk, or compiled."""
    symbol = f"{name}_{hashlib.sha256(ir.encode()).hexdigest()[:32]}"
    with global_compiler_lock:
        if symbol not in _addresses:
            renamed = ir.replace(f"@{name}(", f"@{symbol}(").replace(f'@"{name}"(', f"@{symbol}(")
            _addresses[symbol] = _load(_object_code(renamed), symbol)
    return _addresses[symbol]


def _object_code(ir):
    """Machine code of a module, from the disk where it is there."""
    target = host()
    key = "\n".join(["kernel", VERSIONS, target.triple, target.cpu, target.features, repr(MACHINE), ir])
    code = disk.load(key)
    if code is None:
        code = _machine().emit_object(_parse(ir))
        disk.store(key, code)
    return code


def _load(code, symbol):
    """Load machine code; return the address of a symbol in it."""
    engine = _engine()
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol)


def _parse(ir):
    module = binding.parse_assembly(ir)
    module.verify()
    return module


def _new_machine():
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = host()
    relocation = "static" if target.triple.startswith("x86") else "default"  # as Numba does
    family = binding.Target.from_triple(target.triple)
    return family.create_target_machine(cpu=target.cpu, features=target.features, reloc=relocation, **MACHINE)


@functools.cache
def _machine():
    """Compiles for this host."""
    return _new_machine()


@functools.cache
def _engine():
    """Holds the loaded code of all kernels, and owns a machine of its own."""
    return binding.create_mcjit_compiler(binding.parse_assembly(""), _new_machine())


def cached_njit(**options):
    """`numba.njit(**options)` for nbad's own functions, compiled code kept in nbad's private cache folder.

    The key holds the source of the function's module, those of nbad's compiled functions that it imports, and the constants among
    its globals.

    Examples
    --------
    >>> @cached_njit(error_model="numpy")
    ... def twice(x):
    ...     return 2 * x
    >>> twice(4.0)
    8.0
    """
    def decorate(function):
        compiled = numba.njit(**options)(function)
        if hasattr(compiled, "enable_caching") and function.__closure__ is None:
            compiled._cache = _FunctionCache(function, repr(sorted(options.items())))
        return compiled

    return decorate


class _FunctionCache(NullCache):
    """What Numba asks for a function's compiled code; backed by `nbad.codegen.disk`."""

    def __init__(self, function, options):
        self.function, self.options = function, options

    @property
    def cache_path(self):
        """Where the code is kept; None where it is not."""
        folder = disk.info().folder
        return None if folder is None else str(folder)

    def load_overload(self, signature, target_context):
        """The compiled function for a signature; None where the disk does not have it."""
        target_context.refresh()
        data = disk.load(self._key(signature, target_context.codegen()))
        return None if data is None else CompileResult._rebuild(target_context, *pickle.loads(data))

    def save_overload(self, signature, result):
        """Keep a compiled function."""
        if not result.library.has_dynamic_globals:
            disk.store(self._key(signature, result.codegen), dumps(result._reduce()))

    def _key(self, signature, codegen):
        parts = "function", VERSIONS, sys.version, codegen.magic_tuple(), self.function.__qualname__, self.options, signature
        return "\n".join([*map(str, parts), *_sources(self.function.__module__, set())])


def _sources(name, seen):
    """Text of a module and its plain globals, and the same for the modules of nbad whose compiled functions it uses."""
    seen.add(name)
    module = sys.modules[name]
    file = getattr(module, "__file__", None)
    texts = [Path(file).read_text(encoding="utf-8") if file else ""]
    for key, value in sorted(vars(module).items()):
        if isinstance(value, PLAIN) and not key.startswith("__"):
            texts.append(f"{key} = {value!r}")
        owner = getattr(value, "__module__", None)
        if type(value).__module__.startswith("numba.") and str(owner).startswith("nbad.") and owner not in seen:
            texts += _sources(owner, seen)
    return texts
