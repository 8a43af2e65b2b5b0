"""The vector width of this host, the vector functions that its C library offers, and where nbad's own serve.

Functions are called by name and resolved when code is loaded, so that no address is ever baked into cached code. libmvec is
opened before the first name is looked up, and so before any cached code that needs it. Where the CPU multiplies and adds in one,
nbad's own functions stand in for those that libmvec lacks, and for those that it has slower; any other function without a vector
variant is called lane by lane from the scalar C library. Functions of SciPy and the user's own have no name that a linker knows:
they are given one with their address in this process.
"""

import ctypes
import functools
from typing import NamedTuple

import llvmlite.binding as llvm
from numba.core import codegen, config

from nbad.functions.library import serves
from nbad.operations import scipy_link
from nbad.operations.table import TABLE

LIBRARY = "libmvec.so.1"
X86 = (("avx512f", 64, "e"), ("avx2", 32, "d"), ("avx", 32, "c"))  # feature, bytes of a vector, letter in the vector ABI
INSTRUCTION_SETS = {"e": "AVX-512", "d": "AVX2", "c": "AVX", "b": "SSE2", "n": "NEON"}
ITEMSIZE = {"float64": 8, "float32": 4}
COUNT, FOREIGN = "nbad_count", "nbad."  # names that the linker knows; the second is followed by that of an operation
LINE = 64  # bytes of a cache line
COUNTING = """\
define void @count() {{
  %before = atomicrmw add ptr inttoptr (i64 {address} to ptr), i64 1 monotonic
  ret void
}}"""

noted = ctypes.c_int64()  # compiled code adds to it where elements fail


class Host(NamedTuple):
    """What code is compiled for: CPU, width and vector functions.

    Attributes
    ----------
    triple, cpu, features : str
        As Numba compiles for them, `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` included.
    nbytes : int
        Size of a vector.
    letter : str
        The instruction set in the names of vector functions; "" where they have no such names.
    offered : frozenset of str
        Symbols of the vector functions that can be called.
    """

    triple: str
    cpu: str
    features: str
    nbytes: int
    letter: str
    offered: frozenset[str]

    def width(self, dtype: str) -> int:
        """Number of elements in a vector."""
        return self.nbytes // ITEMSIZE[dtype]

    def vector_function(self, function: str, arity: int, dtype: str) -> str | None:
        """Symbol of the vector variant of a C function; None where there is none."""
        symbol = _symbol(self.letter, self.width(dtype), function, arity, dtype)
        return symbol if symbol in self.offered else None

    def has_own(self, function: str, arity: int, dtype: str) -> bool:
        """Whether a C function is replaced by one of `nbad.functions`."""
        variant = self.vector_function(function, arity, dtype)
        return self.fuses and serves(function, dtype, "" if variant is None else self.letter)

    @property
    def fuses(self) -> bool:
        """Whether there are instructions that multiply and add in one."""
        return self.letter == "n" or "+fma" in self.features.split(",")

    @property
    def spelled(self) -> str:
        """All that tells this host from others."""
        return f"{self.triple} {self.cpu} {self.features} {self.nbytes} {self.letter} {' '.join(sorted(self.offered))}"

    @property
    def instructions(self) -> str:
        """What the instruction set is called."""
        return INSTRUCTION_SETS.get(self.letter, self.triple.split("-")[0])

    def __str__(self) -> str:
        widths = " or ".join(f"{self.width(dtype)} x {dtype}" for dtype in ITEMSIZE)
        library = [f"{len(self.offered)} vector functions of {LIBRARY}"] if self.offered else []
        functions = ["nbad's own functions"] * self.fuses + library
        return f"{widths} ({self.instructions}), {' and '.join(functions) or 'libm lane by lane'}"


@functools.cache
def host() -> Host:
    """This machine, as Numba compiles for it; opens the vector library."""
    features = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return host_like(llvm.get_process_triple(), config.CPU_NAME or llvm.get_host_cpu_name(), features)


def host_like(triple: str, cpu: str, features: str) -> Host:
    """A host with these features and the vector functions of this machine's C library."""
    nbytes, letter = _vectors(triple, features)
    return Host(triple, cpu, features, nbytes, letter, _offered(nbytes, letter))


def scalar_function(function: str, dtype: str) -> str:
    """Name of a C function in one dtype."""
    return function if dtype == "float64" else f"{function}f"


@functools.cache
def foreign_function(op: str) -> str:
    """Name of a function of doubles that is in no C library, made known to the linker with its address in this process.

    Raises
    ------
    MissingExtraError
        If SciPy has the function, and is not installed.

    Examples
    --------
    >>> foreign_function("erfinv")
    'nbad.erfinv'
    """
    row, name = TABLE[op], f"{FOREIGN}{op}"
    llvm.add_symbol(name, row.address() if row.address else scipy_link.address(str(row.scipy), len(row.operands)))
    return name


def _vectors(triple: str, features: str) -> tuple[int, str]:
    """Bytes of a vector and the letter of its ABI."""
    architecture = triple.split("-")[0]
    if architecture in ("aarch64", "arm64"):
        return 16, "n"
    if architecture not in ("x86_64", "amd64"):
        return 16, ""
    enabled = features.split(",")
    return next(((nbytes, letter) for name, nbytes, letter in X86 if f"+{name}" in enabled), (16, "b"))


def _symbol(letter: str, width: int, function: str, arity: int, dtype: str) -> str:
    return f"_ZGV{letter}N{width}{'v' * arity}_{scalar_function(function, dtype)}"


def _offered(nbytes: int, letter: str) -> frozenset[str]:
    """The symbols of the vector library for every function of the table; nothing where there is no library."""
    try:
        llvm.load_library_permanently(LIBRARY)
    except RuntimeError:
        return frozenset()
    symbols = (
        _symbol(letter, nbytes // itemsize, row.libm, len(row.operands), dtype)
        for row in TABLE.values()
        if row.libm
        for dtype, itemsize in ITEMSIZE.items()
    )
    return frozenset(symbol for symbol in symbols if llvm.address_of_symbol(symbol))
