"""The value of a kernel in the general case: arguments read, the sweep run, `where=`, or element by element in plain NumPy."""

import math

import numpy as np

from nbad import config, foreign
from nbad.api.entries import VALUE
from nbad.api.signatures import dressed
from nbad.api.trees import flattened
from nbad.api.ufunc import asked
from nbad.errors import ArgumentTypeError, ArgumentValueError
from nbad.graphs.interpreter import evaluate
from nbad.runtime import plain, sweeps
from nbad.runtime.failures import noting
from nbad.runtime.nonfinite import check_value, warn_of_equalities
from nbad.runtime.operands import NUMBERS, WEAK, as_array, broadcast, read
from nbad.runtime.out import check_out
from nbad.tracing.arguments import signature_of

NOTE = "elements are counted among those that where= chooses"
USUAL = NUMBERS | {np.ndarray}


def value(f, args, kwargs, out):
    """What a kernel returns for these arguments, in new arrays or in those of `out`."""
    flat = flattened(f, args, kwargs)
    if flat is not None:
        return flat.kernel(*flat.args, out=out, **flat.kwargs)
    where = kwargs.pop("where", True) if f.takes_where else True
    program, values = f.bind(args, kwargs)
    if not USUAL.issuperset(map(type, values)) and out is None and where is True:
        is_vectors = any(program.cores) or any(program.leaves)
        if any(foreign.answers(v, is_vectors) for v in values):
            return asked(f, program, values, f.statics_of(args, kwargs))
    operands = read(program, values)
    if type(out) is tuple and len(out) == 1 and not program.structure.is_tuple:
        (out,) = out  # as ufuncs take it
    if where is not True:
        return _chosen(f, program, values, f.statics_of(args, kwargs), operands, out, where)
    arrays, layout = operands.given, operands.layout
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
        f.plain.keep(VALUE, (len(args), layout.dtype, program.cores), lambda: plain.value(program, layout.dtype))
    return sweeps.structured(program, leaves) if out is None else out


def _chosen(f, program, values, statics, operands, out, where):
    """The same of the elements that a mask chooses, the only ones that are computed; others keep what `out` holds, or are nan."""
    arrays, layout, _ = operands.dense()
    mask = _mask(program, where)
    shape = broadcast([layout.shape, mask.shape])
    if shape is None:
        raise ArgumentValueError(
            f"{program.call}: where= does not broadcast with the arguments",
            got=f"shape {mask.shape}",
            expected=f"a shape that NumPy broadcasts with {layout.shape}",
            fix=f"where=np.ones({layout.shape}, bool)",
        )
    if out is None:
        leaves = [np.full((*shape, *core), np.nan, layout.dtype) for core in program.leaves]
    else:
        shapes = [(*shape, *core) for core in program.leaves]
        leaves = check_out(program.call, program.structure.leaves(out), program.leaf_names, shapes, layout.dtype, (*arrays, mask))
    mask = np.broadcast_to(mask, shape)
    if mask.any():
        parts = zip(values, arrays, program.cores, strict=True)
        picked = [
            v if type(v) in WEAK or a.ndim == len(core) else np.broadcast_to(a, (*shape, *core))[mask] for v, a, core in parts
        ]
        with noting(NOTE):
            made = f.of(program.names, picked, statics)
        for leaf, part in zip(leaves, program.structure.leaves(made), strict=True):
            leaf[mask] = part
    return sweeps.structured(program, leaves) if out is None else out


def _mask(program, where):
    """The mask as an array."""
    mask = np.asarray(where) if type(where) is bool else as_array(program.call, "where", where, "where")
    if not isinstance(where, np.ndarray | np.generic):
        mask = np.asarray(where)  # of lists, numbers are made
    if mask.dtype != bool:
        raise ArgumentTypeError(
            f"{program.call}: where= is no mask", got=f"dtype {mask.dtype}", expected="bool", fix="where=np.asarray(where, bool)"
        )
    return mask


def interpreted(kernel, name, tracer):
    """A plain function that computes a derived kernel's values for one element, with the NumPy interpreter."""

    def function(*args, **kwargs):
        names, statics, given = kernel._parts(args, kwargs)
        sized = kernel.sized_for(args, kwargs)
        traced = tracer(sized._arguments(names), {**sized._defaults(names), **statics})
        slots = [slot for value in given for slot in np.ravel(value)]
        values, leaves = iter(evaluate(traced.graph, *slots)), []
        for core in traced.outputs:
            leaf = np.array([next(values) for _ in range(math.prod(core))]).reshape(core)
            leaves.append(leaf if core else leaf[()])
        return traced.structure.build(leaves)

    return dressed(function, name, f"Derived from `{kernel.__name__}`.", signature_of(kernel.__wrapped__))
