"""Other hosts, by restricting this one in fresh processes: right results, and what `nbad doctor` says of each.

All share one cache folder, so that code for one host would be seen if another ran it.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from llvmlite import binding

import nbad
from nbad.codegen import host as vector_math
from nbad.codegen.lower import lower
from nbad.codegen.vector_ir import print_ir
from nbad.operations.table import TABLE
from nbad.tools import doctor

CODE = """
import json, sys
import numpy as np
sys.path.insert(0, {kernels!r})
from nbad.codegen import host as vector_math
vector_math.LIBRARY = {library!r}
import nbad
from nbad.tools import doctor
from black_scholes import price, sample_inputs
nbad.testing.check_kernel(price, *sample_inputs(np.random.default_rng(0), 64, np.float64))
xs = sample_inputs(np.random.default_rng(1), 40000, np.float64)
asm = price.whole_program().value(np.dtype(float)).asm
doctor.ENOUGH = 0.0
print(json.dumps(dict(
    asm=asm, bits=np.stack(price(*xs)).tobytes().hex(),
    findings={{finding.topic: [finding.found, finding.lack] for finding in doctor.examine().findings}},
    pulled=[ct[:500].tolist() for ct in nbad.vjp(price, *xs)[1]((1.0, 2.0))],
)))
"""
NARROWER = ",".join(re.sub(r"^\+(?=avx512|evex|avx10)", "-", f) for f in vector_math.host().features.split(","))
IS_X86 = vector_math.host().triple.startswith("x86")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("hosts") / "cache"


@pytest.fixture
def on_host(shared, run_python):
    """What the kernel and the doctor say in a fresh process."""

    def run(library=vector_math.LIBRARY, **variables):
        kernels = str(Path(__file__).parents[2] / "kernels")
        return json.loads(run_python(CODE.format(kernels=kernels, library=library), NBAD_CACHE_DIR=str(shared), **variables))

    return run


@pytest.fixture
def here(gallery):
    """The bits of the kernel in this process, and its cotangents."""
    source = gallery["black_scholes"]
    xs = source.sample_inputs(np.random.default_rng(1), 40000, np.float64)
    return np.stack(source.price(*xs)).tobytes().hex(), [ct[:500] for ct in nbad.vjp(source.price, *xs)[1]((1.0, 2.0))]


def assert_right(said, here):
    """The harness has passed there; cotangents agree with those of this process as far as vector functions do."""
    for ours, theirs in zip(here[1], said["pulled"], strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-10 * np.abs(ours).max())


@pytest.mark.slow
def test_this_host(on_host, here):
    said = on_host()
    assert said["bits"] == here[0]
    assert said["findings"]["CPU"][1] == ""


@pytest.mark.slow
def test_a_generic_cpu(on_host, here):
    said = on_host(NUMBA_CPU_NAME="generic")
    assert_right(said, here)
    found, lack = said["findings"]["CPU"]
    assert "code for generic with " in found
    assert re.fullmatch(r"128 bits in a vector, where this CPU has \d+: unset NUMBA_CPU_NAME", lack) or not IS_X86
    assert said["findings"]["vectors, float64"][0].startswith("2 at a time, ")
    assert said["findings"]["vectors, float32"][0].startswith("4 at a time, ")
    assert not re.search("[yz]mm", said["asm"])


@pytest.mark.slow
def test_vectors_of_256_bits(on_host, here):
    """On a CPU with AVX-512, one without it; on a lesser one, itself."""
    said = on_host(NUMBA_CPU_FEATURES=NARROWER)
    assert_right(said, here)
    width = min(32, vector_math.host().nbytes)
    assert said["findings"]["vectors, float64"][0].startswith(f"{width // 8} at a time, ")
    restricted = vector_math.host().nbytes > width
    assert said["findings"]["CPU"][1].endswith("unset NUMBA_CPU_FEATURES") == restricted
    assert "zmm" not in said["asm"]
    assert "ymm" in said["asm"] or width < 32


@pytest.mark.slow
def test_without_the_vector_library(on_host, here):
    said = on_host(library="libabsent.so.0")
    assert_right(said, here)
    assert "_ZGV" not in said["asm"]
    assert set(re.findall(r"\$nbad_(\w+)_x", said["asm"])) == {"exp", "log", "erf"} or not vector_math.host().fuses
    for dtype in ("float64", "float32"):
        found, lack = said["findings"][f"vectors, {dtype}"]
        assert re.match(r"\d+ at a time, of \d+ functions \d+ of nbad's own and 0 from libabsent.so.0; exp takes ", found)
        assert re.match(r"called lane by lane: tgamma, lgamma; exp would take ", lack) or not vector_math.host().fuses


@pytest.mark.slow
def test_with_neither_the_vector_library_nor_fused_products(on_host, here):
    features = vector_math.host().features.replace("+fma,", "-fma,").replace("+avx512", "-avx512")
    said = on_host(library="libabsent.so.0", NUMBA_CPU_FEATURES=features)
    assert_right(said, here)
    assert "nbad_" not in said["asm"]
    for dtype in ("float64", "float32"):
        found, lack = said["findings"][f"vectors, {dtype}"]
        none = r"of \d+ functions 0 of nbad's own and 0 from libabsent.so.0"
        assert re.fullmatch(rf"\d+ at a time, {none}; exp takes \d+\.\d+ ns for an element", found)
        assert lack == "libabsent.so.0 is not here, so functions are called lane by lane: all"


@pytest.mark.slow
def test_one_thread(on_host, here):
    said = on_host(NUMBA_NUM_THREADS="1")
    assert said["bits"] == here[0]
    found, lack = said["findings"]["threads"]
    assert found == f"1, of {doctor.cores()} cores"
    assert lack.startswith("big calls use 1 of ") or doctor.cores() == 1


@pytest.mark.slow
def test_all_restrictions_at_once(on_host, here):
    off = dict(NBAD_CACHE_BYTES="0", NBAD_POOL_BYTES="0", NUMBA_NUM_THREADS="1")
    said = on_host(library="libabsent.so.0", NUMBA_CPU_NAME="generic", **off)
    assert_right(said, here)
    lacking = {topic for topic, (_, lack) in said["findings"].items() if lack}
    assert {"disk cache", "vectors, float64", "vectors, float32", "memory pool"} <= lacking


# aarch64: cross-compiled, for nothing here can run it


@pytest.fixture
def neon():
    functions = {row.libm: len(row.operands) for row in TABLE.values() if row.libm}
    symbols = {f"_ZGVnN2{'v' * arity}_{name}" for name, arity in functions.items() if name not in ("erf", "lgamma")}
    return vector_math.Host("aarch64-unknown-linux-gnu", "generic", "+neon", 16, "n", frozenset(symbols))


def assembly(host, oplist):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(host.triple).create_target_machine(cpu=host.cpu, features=host.features, opt=2)
    return machine.emit_assembly(binding.parse_assembly(print_ir(oplist, host)))


def test_code_for_aarch64_is_vector_code(neon, gallery):
    program = gallery["black_scholes"].price.whole_program()
    asm = assembly(neon, lower(program.simple))
    called = set(re.findall(r"\tbl\t(\w+)", asm))
    assert {"_ZGVnN2v_exp", "_ZGVnN2v_log", "nbad_erf_x8f64"} <= called
    assert "_ZGVnN2v_erf" not in called
    assert re.search(r"fsqrt\tv\d+\.2d", asm)
    assert not re.search(r"\tf(mla|mls|madd|msub|nmadd|nmsub)\t", asm), "nothing is contracted"


def test_the_doctor_on_aarch64(neon, monkeypatch):
    monkeypatch.setattr(vector_math, "host", lambda: neon)
    monkeypatch.setattr(doctor, "_own_host", lambda: neon)
    monkeypatch.setattr(doctor, "ENOUGH", 0.0)
    assert doctor.cpu().found.endswith("; code for generic with NEON (neon)")
    finding = doctor.float64_vectors()
    assert finding.found.startswith("2 at a time, ")
    assert "1 of nbad's own" in finding.found
    assert re.fullmatch(r"called lane by lane: lgamma; exp would take \d+\.\d times as long", finding.lack)
