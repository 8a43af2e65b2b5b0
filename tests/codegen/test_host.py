"""Width and vector functions of a host, and what these functions are worth."""

import re

import mpmath
import numba.core.config
import numpy as np
import pytest
from helpers.tiles_by_hand import compile_tile, edges, graph_of, pairs, run_tile, ulps
from llvmlite import binding

from nbad.codegen import compile as compile_module
from nbad.codegen import host as vector_math
from nbad.codegen.host import host, host_like
from nbad.codegen.lower import INSTRUCTIONS, lower
from nbad.codegen.vector_ir import print_ir
from nbad.graphs.interpreter import evaluate
from nbad.operations.table import TABLE

TRIPLE = binding.get_process_triple()
CALLS = [name for name, row in TABLE.items() if row.libm and name not in INSTRUCTIONS]
WIDTHS = {"+avx512f": "e", "+avx2": "d", "+avx": "c", "": "b"}
OURS = [features for features in WIDTHS if not features or features in host().features.split(",")]
BOUND = 4  # ulp, glibc's own for its vector functions


@pytest.fixture
def pretend(monkeypatch):
    """Compile for the vectors that these features give."""

    def use(features):
        # what a CPU of this name has and this machine hides (AVX-512 under some hypervisors) must stay off
        hidden = [f for f in host().features.split(",") if f.startswith("-")]
        pretended = host_like(TRIPLE, host().cpu, ",".join(filter(None, [features, *hidden])))
        monkeypatch.setattr(compile_module, "host", lambda: pretended)
        compile_module._machine.cache_clear()
        return pretended

    yield use
    compile_module._machine.cache_clear()


@pytest.mark.parametrize(
    ("triple", "features", "nbytes", "letter"),
    [
        ("x86_64-pc-linux-gnu", "-avx512f,+avx2,+avx", 32, "d"),
        ("x86_64-pc-linux-gnu", "+avx2,+avx512f", 64, "e"),
        ("x86_64-pc-linux-gnu", "+avx,-avx2", 32, "c"),
        ("x86_64-pc-linux-gnu", "", 16, "b"),
        ("aarch64-linux-gnu", "+neon", 16, "n"),
        ("arm64-apple-darwin", "", 16, "n"),
        ("powerpc64le-linux-gnu", "+vsx", 16, ""),
    ],
)
def test_width_follows_the_features(triple, features, nbytes, letter):
    other = host_like(triple, "any", features)
    assert (other.nbytes, other.letter) == (nbytes, letter)
    assert (other.width("float64"), other.width("float32")) == (nbytes // 8, nbytes // 4)


def test_foreign_letters_offer_nothing_here():
    assert not host_like("powerpc64le-linux-gnu", "any", "").offered


def test_numbas_own_settings_are_obeyed(monkeypatch):
    monkeypatch.setattr(numba.core.config, "CPU_NAME", "generic")
    monkeypatch.setattr(numba.core.config, "CPU_FEATURES", "")
    generic = host.__wrapped__()
    assert (generic.cpu, generic.features) == ("generic", "")
    assert generic.nbytes == 16


def test_description_names_width_and_library():
    assert str(host_like("x86_64-pc-linux-gnu", "any", "+avx2")).startswith("4 x float64 or 8 x float32 (AVX2), ")
    lacking = host_like("powerpc64le-linux-gnu", "any", "")
    assert str(lacking) == "2 x float64 or 4 x float32 (powerpc64le), libm lane by lane"
    own = lacking._replace(letter="n")
    assert str(own) == "2 x float64 or 4 x float32 (NEON), nbad's own functions"


def test_with_neither_the_library_nor_fused_products_all_is_called_lane_by_lane(monkeypatch, pretend):
    monkeypatch.setattr(vector_math, "LIBRARY", "libabsent.so.0")
    pretend(host().features.replace("+fma", "-fma"))
    graph, (x, y) = graph_of(*CALLS), pairs(edges(np.float64)[::3])
    kernel = compile_tile(lower(graph))
    assert "_ZGV" not in kernel.llvm
    for ours, libm in zip(run_tile(kernel, x, y), run_tile(compile_tile(lower(graph, math="libm")), x, y), strict=True):
        np.testing.assert_array_equal(ours, libm)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("features", OURS)
def test_vector_functions_at_the_edges(pretend, features, dtype):
    """At infinities, nan, zeros, denormals and bounds of the domain they are as good as the scalar ones, in every width."""
    width = pretend(features).nbytes // np.dtype(dtype).itemsize
    graph, (x, y) = graph_of(*CALLS), pairs(edges(dtype))
    kernel = compile_tile(lower(graph, np.dtype(dtype).name))
    assert kernel.width == 2 * width
    scalar = run_tile(compile_tile(lower(graph, np.dtype(dtype).name, "libm")), x, y)
    for name, ours, libm in zip(CALLS, run_tile(kernel, x, y), scalar, strict=True):
        assert ulps(ours, libm).max() <= BOUND, name
        assert np.array_equal(np.signbit(ours), np.signbit(libm) & ~np.isnan(libm) | np.signbit(ours) & np.isnan(ours)), name


@pytest.mark.parametrize("features", OURS)
def test_instructions_are_exact_in_every_width(pretend, features):
    pretend(features)
    names = [name for name in TABLE if name in INSTRUCTIONS]
    graph, (x, y) = graph_of(*names), pairs(edges(np.float64))
    for name, ours, expected in zip(names, run_tile(compile_tile(lower(graph)), x, y), evaluate(graph, x, y), strict=True):
        np.testing.assert_array_equal(ours, expected, err_msg=name)
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(ours)[number], np.signbit(expected)[number], err_msg=name)


@pytest.mark.parametrize("name", CALLS)
def test_accuracy_against_mpmath(name):
    points = [(*point, 0.0)[:2] for point in TABLE[name].samples]
    x, y = np.array(points).T
    exact = [float(reference(name)(*point[: len(TABLE[name].operands)])) for point in points]
    for math in ("simd", "libm"):
        (value,) = run_tile(compile_tile(lower(graph_of(name), math=math)), x, y)
        assert ulps(value, np.array(exact)).max() <= BOUND


def reference(name):
    """The function in mpmath, at 40 digits."""
    special = {
        "pow": mpmath.power,
        "exp2": lambda x: mpmath.power(2, x),
        "log2": lambda x: mpmath.log(x, 2),
        "cbrt": lambda x: mpmath.sign(x) * mpmath.root(abs(x), 3),
        "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
        "fmod": lambda x, y: mpmath.sign(x) * mpmath.fmod(abs(x), abs(y)),
    }

    def evaluated(*args):
        with mpmath.workdps(40):
            return special.get(name, getattr(mpmath, name, None))(*map(mpmath.mpf, args))

    return evaluated


def test_neon_code_is_vector_code():
    """Cross-compiled: nothing here can run it."""
    neon = vector_math.Host("aarch64-unknown-linux-gnu", "generic", "+neon", 16, "n", frozenset({"_ZGVnN2v_exp"}))
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(neon.triple).create_target_machine(cpu=neon.cpu, features=neon.features)
    asm = machine.emit_assembly(binding.parse_assembly(print_ir(lower(graph_of("exp", "mul", "select")), neon)))
    assert "_ZGVnN2v_exp" in asm
    assert re.search(r"fmul\tv\d+\.2d", asm)
    assert "fmla" not in asm
