"""The value of a kernel, where the call is not the plain case."""

from nbad import config
from nbad.runtime import plain, sweeps
from nbad.runtime.nonfinite import check_value, warn_of_equalities
from nbad.runtime.operands import read
from nbad.runtime.out import check_out


def value(f, args, kwargs, out):
    """What a kernel returns for these arguments, in new arrays or in those of `out`."""
    program, values = f.bind(args, kwargs)
    operands = read(program, values)
    arrays, layout = operands
    sweep = sweeps.value(program, layout)
    if out is None:
        leaves = sweep(arrays)
    else:
        given = program.structure.leaves(out)
        leaves = check_out(program.call, given, program.leaf_names, layout.leaf_shapes, layout.dtype, arrays)
        sweep.into(arrays, leaves)
    if config.debug.get():
        check_value(program, operands)
        if f.by:
            slots = program.input_slots(tuple(map(program.names.index, f.by)))
            warn_of_equalities(f.origin.bind(args, kwargs)[0], operands, slots)
    elif layout.is_small and not kwargs and len(args) == len(program.names):
        keys = ("value", len(args)), ("out", len(args), program.structure.is_tuple, len(leaves))
        f.plain.keep(keys, layout.dtype, lambda: plain.value(program, layout.dtype))
    return sweeps.structured(program, leaves) if out is None else out
