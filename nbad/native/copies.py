"""Copies of bytes, some items of 4: past the caches or not."""

from llvmlite import ir

from nbad.codegen.host import LINE
from nbad.native.builder import I64, Code


def stream_function(module):
    """`stream(target, source, size)`: past the caches, a line at a time; what does not fill a line goes the usual way."""
    code = Code(module, "stream", 3)
    target, source, size = code.parameters
    lines = ir.VectorType(I64, LINE // 8)
    to_line = code.select((target & 3).equals(0), (code.int(0) - target) & (LINE - 1), size)  # odd addresses never meet a line
    head = code.smaller(to_line, size)
    body = (size - head) // LINE

    _plainly(code, code.int(0), head)
    with code.loop(0, body) as k:
        place = head + k * LINE
        code.store_line(target + place, code.load(source + place, lines))
    _plainly(code, head + body * LINE, size)
    return code.finish()


def copy_function(module):
    """`copy(target, source, size)`."""
    code = Code(module, "copy", 3)
    _plainly(code, code.int(0), code.parameters[2])
    return code.finish()


def _plainly(code, start, stop):
    target, source, _ = code.parameters
    half = ir.IntType(32)
    with code.loop(start // 4, stop // 4) as i:
        code.store(target + i * 4, code.load(source + i * 4, half), half)
