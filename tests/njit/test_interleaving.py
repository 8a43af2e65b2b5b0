"""Loops of callers, told to compute several vectors side by side: which loops, how many vectors, and with what bits."""

import re

import numba
import numpy as np
import pytest
from helpers.compiled import assert_same
from llvmlite import binding

import nbad
from kernels import decay
from nbad.codegen.host import host
from nbad.njit.interleaving import Work, interleaved

EXP = "nbad_exp_f64_0123456789abcdef"
CALL, QUICK = f"  %y = call double @{EXP}(double %x)", "  %y = fmul double %x, %x"
HELPER = f"""
define double @helper(double %x) {{
{CALL}
  ret double %y
}}
"""
LOOP = """
declare double @{exp}(double)
define void @f(ptr %a, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %latch ]
  %p = getelementptr double, ptr %a, i64 %i
  %x = load double, ptr %p
{call}
  store double %y, ptr %p
  br label %latch
latch:
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done{said}
done:
  ret void
}}
"""
NESTED = """
declare double @{exp}(double)
define double @f(double %x, i64 %n) {{
  br label %outer
outer:
  %z = phi double [ %x, %0 ], [ %y, %latch ]
  br label %inner
inner:
  %i = phi i64 [ 0, %outer ], [ %next, %inner ]
{call}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %inner, label %latch
latch:
  %again = fcmp olt double %y, %x
  br i1 %again, label %outer, label %done
done:
  ret double %y
}}
"""


def hints(text):
    """The blocks whose branches say how many vectors to take, and the numbers."""
    found = interleaved(text)
    binding.parse_assembly(found).verify()
    numbers = dict(re.findall(r'!(\d+) = !\{!"llvm.loop.interleave.count", i32 (\d)\}', found))
    loops = dict(re.findall(r"!(\d+) = distinct !\{!\d+, !(\d+)\}", found))
    blocks = re.findall(r"^(\w+):\n(?:  .*\n)*?  br [^\n]*!llvm\.loop !(\d+)\n", found, re.MULTILINE)
    return {label: int(numbers[loops[number]]) for label, number in blocks if number in loops}


def test_a_loop_that_calls_what_kernels_call_takes_four_vectors():
    assert hints(LOOP.format(exp=EXP, call=CALL, said="")) == {"latch": 4}


def test_calls_of_functions_count_as_what_these_call():
    called = "  %y = call double @helper(double %x)"
    assert hints(LOOP.format(exp=EXP, call=called, said="") + HELPER) == {"latch": 4}


def test_other_loops_stay_as_they_are():
    text = LOOP.format(exp="exp", call=QUICK, said="")
    assert interleaved(text) == text
    text = LOOP.format(exp=EXP, call=CALL, said=", !llvm.loop !0") + "!0 = distinct !{!0}\n"
    assert interleaved(text) == text


def test_the_innermost_loop_is_told():
    assert hints(NESTED.format(exp=EXP, call=CALL)) == {"inner": 4}


@pytest.mark.parametrize("behind", ["", " !dbg !0", " personality ptr @personal", ' section "near"'])
def test_what_a_function_with_such_loops_puts_aside_lies_within_cache_lines(behind):
    def said(text):
        return re.findall(r"^define \w+ @(\w+)\([^\n]*\) alignstack\(64\)", interleaved(text), re.MULTILINE)

    text = LOOP.format(exp=EXP, call=CALL, said="").replace("%n) {", f"%n){behind} {{")
    assert said(text + HELPER) == ["f"]
    assert said(LOOP.format(exp="exp", call=QUICK, said="") + HELPER) == []
    if "!" not in behind and "@" not in behind:
        binding.parse_assembly(interleaved(text)).verify()


@pytest.mark.parametrize(("operations", "calls", "vectors"), [(0, 0, 1), (16, 1, 4), (17, 1, 2), (64, 1, 2), (65, 1, 1)])
def test_the_denser_calls_stand_the_more_vectors(operations, calls, vectors):
    assert Work(operations, calls).vectors == vectors


@numba.njit
def helper(x):
    return decay(x, 0.25)


@numba.njit
def in_a_loop(x, out):
    for i in range(x.size):
        out[i] = helper(x[i])
    return out


@numba.njit(parallel=True)
def in_parallel(x, out):
    for i in numba.prange(x.size):
        out[i] = decay(x[i], 0.25)
    return out


@pytest.mark.parametrize("n", [1, 3, 8, 15, 16, 31, 32, 33, 63, 65, 1000])
def test_bits_do_not_depend_on_the_place_in_a_loop(n):
    x = np.random.default_rng(n).normal(size=n)
    for loop in (in_a_loop, in_parallel):
        assert_same(loop(x, np.empty(n)), decay(x, 0.25))


def test_a_users_loop_computes_four_vectors_in_a_row():
    in_a_loop(np.ones(3), np.empty(3))
    (llvm,) = in_a_loop.inspect_llvm().values()
    width = host().width("float64")
    stores = [block.count(f"store <{width} x double>") for block in re.split(r"^\S+:", llvm, flags=re.MULTILINE)]
    assert max(stores) >= (4 if nbad.show(decay, "llvm").count(f"<{4 * width} x double> @") else 0)
    assert not re.search(r"call <\d+ x double> @nbad_", llvm)  # they are inlined
