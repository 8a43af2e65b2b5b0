"""Numba made to vectorize: raw pointers that do not alias, and scalar functions that name their vector variants in libmvec.

With these two tricks LLVM's loop vectorizer turns a plain loop with `exp` or `erf` into vector code. That is the best that we
know how to write by hand in Numba, and the yardstick for the code that nbad generates.
"""

import functools
import platform

import numba
from llvmlite import binding, ir
from numba.core import compiler, types
from numba.extending import intrinsic

LIBRARY = "libmvec.so.1"
WIDTHS = {"d": ("avx2", 4), "e": ("avx512f", 8)}
ARITIES = {"exp": 1, "log": 1, "sin": 1, "cos": 1, "erf": 1, "atan2": 2, "pow": 2}
DOUBLE = ir.DoubleType()
ROW = types.CPointer(types.float64)
PLAIN = ("nounwind", "willreturn", "memory(none)", "nofree", "nosync")


@functools.cache
def is_offered():
    """Whether this host has the library and a CPU that can use it."""
    if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc" or not _variants():
        return False
    try:
        binding.load_library_permanently(LIBRARY)
    except RuntimeError:
        return False
    return all(binding.address_of_symbol(f"_ZGVdN4{'v' * arity}_{name}") for name, arity in ARITIES.items())


def _variants():
    features = binding.get_host_cpu_features()
    return [(letter, width) for letter, (feature, width) in WIDTHS.items() if features.get(feature)]


def functions():
    """The functions by name; `sqrt` is an instruction."""
    return {name: _function(name, arity) for name, arity in ARITIES.items()}


def tile(text_function, signature):
    """Compile a loop over pointers."""
    return numba.njit(types.void(*signature), error_model="numpy", pipeline_class=_NoAlias)(text_function)


@intrinsic
def pointer(typingctx, address):
    """A row of float64 at an address."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], DOUBLE.as_pointer())

    return ROW(types.intp), codegen


class _NoAlias(compiler.CompilerBase):
    def define_pipelines(self):
        self.state.flags.noalias = True
        return [compiler.DefaultPassBuilder.define_nopython_pipeline(self.state)]


def _function(name, arity):
    def codegen(context, builder, signature, args):
        _declare_all(builder.module)
        return builder.call(builder.module.globals[name], args)

    if arity == 1:

        @intrinsic
        def call(typingctx, x):
            return types.float64(types.float64), codegen
    else:

        @intrinsic
        def call(typingctx, y, x):
            return types.float64(types.float64, types.float64), codegen

    return call


def _declare_all(module):
    """Declare the functions with their variants, once in a module: what is used must be listed in one array, or LLVM drops it."""
    if "llvm.compiler.used" in module.globals:
        return
    used = [variant for name, arity in ARITIES.items() for variant in _declare(module, name, arity)]
    address = ir.IntType(8).as_pointer()
    keep = ir.GlobalVariable(module, ir.ArrayType(address, len(used)), "llvm.compiler.used")
    keep.linkage, keep.section = "appending", "llvm.metadata"
    keep.initializer = ir.Constant(keep.value_type, [function.bitcast(address) for function in used])


def _declare(module, name, arity):
    scalar = ir.Function(module, ir.FunctionType(DOUBLE, [DOUBLE] * arity), name)
    variants, mappings = [], []
    for letter, width in _variants():
        vector, shape = ir.VectorType(DOUBLE, width), "v" * arity
        symbol = f"_ZGV{letter}N{width}{shape}_{name}"
        variants.append(ir.Function(module, ir.FunctionType(vector, [vector] * arity), symbol))
        mappings.append(f"_ZGV_LLVM_N{width}{shape}_{name}({symbol})")
    for attribute in (*PLAIN, f'"vector-function-abi-variant"="{",".join(mappings)}"'):
        set.add(scalar.attributes, attribute)  # llvmlite refuses attributes that it does not list
    return variants
