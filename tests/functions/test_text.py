"""The texts of nbad's own vector functions, and the coefficients in them."""

import re
from pathlib import Path

import pytest
from llvmlite import binding

from nbad.codegen.host import host
from nbad.functions import coefficients, fits
from nbad.functions.library import FUNCTIONS, PAIRS, symbol, text

every_text = pytest.mark.parametrize(
    "printed",
    [text(symbol(name, dtype, width)) for name in FUNCTIONS | PAIRS for dtype, width in (("float64", 2), ("float32", 64))],
)


@every_text
def test_texts_are_modules_without_fast_math(printed):
    binding.parse_assembly(printed).verify()
    assert not re.search(r"\b(fast|nnan|ninf|nsz|arcp|contract|afn|reassoc)\b", printed)


@pytest.mark.parametrize("name", FUNCTIONS | PAIRS)
def test_texts_may_be_inlined_always(name):
    """As they are in Numba's code, their calls for lanes far out excepted."""
    printed = text(symbol(name, "float64", 1), attributes="alwaysinline")
    binding.parse_assembly(printed).verify()
    assert "alwaysinline" in printed


@every_text
def test_texts_have_one_way_through_but_for_lanes_far_out(printed):
    labels = re.findall(r"^(\w+):", printed[printed.index("@nbad_") :], re.MULTILINE)
    assert labels in (["entry"], ["entry", "far", "done"])


@pytest.mark.parametrize(
    ("triple", "cpu", "width", "fused"),
    [
        ("aarch64-unknown-linux-gnu", "generic", 8, r"fmla\tv\d+\.2d"),
        ("x86_64-unknown-linux-gnu", "haswell", 16, r"vfmadd\d+pd\t.*ymm"),
        ("x86_64-unknown-linux-gnu", "skylake-avx512", 32, r"vfmadd\d+pd\t.*zmm"),
    ],
)
@pytest.mark.parametrize("name", ["exp", "log", "sincos"])
def test_every_cpu_has_vector_code(triple, cpu, width, fused, name):
    """Cross-compiled: not all of it can run here."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=2)
    asm = machine.emit_assembly(binding.parse_assembly(text(symbol(name, "float64", width))))
    assert re.search(fused, asm)
    assert not re.search(r"\tv?(add|sub|mul|div)sd\t|\tfmadd\t", asm)
    assert set(re.findall(r"\t(?:bl|callq?)\t(\w+)", asm)) <= {"far_sin", "far_cos", "sin", "cos"}


def test_no_function_of_the_c_library_is_called_but_far_out():
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_triple(host().triple).create_target_machine(cpu=host().cpu, features=host().features)
    for name, function in (FUNCTIONS | PAIRS).items():
        called = re.findall(r"call[q]?\t(\w+)", machine.emit_assembly(binding.parse_assembly(text(symbol(name, "float64", 16)))))
        computed = function.results or (name,)
        assert set(called) <= {*computed, *(f"far_{each}" for each in computed)}


def test_a_polynomial_is_what_its_fit_says():
    assert fits.fitted("log", "float32") == coefficients.COEFFICIENTS["log"]["float32"]


@pytest.mark.slow
def test_all_coefficients_are_what_the_script_writes():
    assert Path(coefficients.__file__).read_text() == fits.coefficients_source()
