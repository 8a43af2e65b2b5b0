"""Scalar code for the loops of others: what is printed for one element."""

import math
import re

import pytest
from llvmlite import binding

import nbad
from kernels import decay, sine
from nbad.codegen.host import host, host_like
from nbad.codegen.lower import lower
from nbad.functions.library import FUNCTIONS
from nbad.njit.scalar_functions import widenable
from nbad.njit.scalar_ir import print_scalar


def code(f, dtype="float64", math="simd"):
    return print_scalar(lower(f.whole_program().simple, dtype, math), host())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_gallery_kernel_is_a_valid_module(gallery, dtype):
    for module in gallery.values():
        for f in [f for f in vars(module).values() if isinstance(f, nbad.Kernel)]:
            found = code(f, dtype)
            for text in [found.text, *(text for texts in found.modules.values() for text in texts)]:
                binding.parse_assembly(text).verify()
            assert f"@{found.symbol}(" in found.text


def test_calls_tell_of_their_vector_variants():
    found = code(decay)
    (name,) = found.modules
    width = host().width("float64")
    assert re.search(
        rf'call double @{name}\(double %\w+\) .*"vector-function-abi-variant"="_ZGV_LLVM_N{width}v_{name}\(', found.text
    )
    assert "fast" not in found.text


def test_libm_is_called_as_it_is():
    """Without leave to make another function of it where a caller's argument is a constant."""
    found = code(sine, math="libm")
    assert not found.modules
    assert "call double @sin(double %x0) nounwind willreturn memory(none) nobuiltin" in found.text


def test_a_host_of_long_vectors_offers_half_ones_too():
    """LLVM prefers these for some CPUs."""
    features = "+fma,+avx,+avx2,+avx512f"
    long = host_like("x86_64-unknown-linux-gnu", "skylake-avx512", features)
    for function in ("exp", "erf"):  # nbad's own, and perhaps the library's
        found = widenable(function, 1, "float64", long)
        widths = re.findall(r"_ZGV_LLVM_N(\d+)v_", found.variants)
        assert widths == ["8", "4"]
        whole = "\n".join(found.modules)
        for variant in re.findall(r"\((\w+)\)", found.variants):
            assert f"@{variant}(" in whole
        for text in found.modules:
            binding.parse_assembly(text).verify()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_with_vector_variants_is_valid_code(name, dtype):
    """Also where lanes that are far out go through the C library, as those of a remainder do."""
    for offered in (host().offered, frozenset()):
        found = widenable(name, FUNCTIONS[name].arity, dtype, host()._replace(offered=offered))
        texts = found.modules if found else ()
        assert all(binding.parse_assembly(text).verify() is None for text in texts), offered


def test_symbols_hold_the_hash_of_the_code():
    assert code(decay).symbol != code(sine).symbol != code(nbad.kernel(lambda x: math.sin(2 * x))).symbol
    assert code(sine).symbol == code(nbad.kernel(lambda y: math.sin(y))).symbol


def test_calls_that_wait_for_nothing_come_first():
    """In LLVM's loops calls stay in the order of the text, and the processor runs near ones side by side."""
    f = nbad.kernel(lambda x, y: math.log(1.0 + math.exp(x)) * math.sin(y))
    called = re.findall(r"call double @nbad_(\w+?)_f64", code(f).text)
    assert called == ["exp", "sin", "log"] if host().letter else called == []
