"""Seeds and tangents, what linear maps are given: read and checked."""

import math
from typing import NamedTuple

import numpy as np

from nbad.errors import ArgumentValueError
from nbad.foreign import shown
from nbad.graphs.structures import in_tuple
from nbad.memo import MISSING
from nbad.runtime.operands import WEAK, as_array, broadcast


class Given(NamedTuple):
    """How a linear map is called: the call as text, the dtype that needs no conversion, and whether many are given at once."""

    call: str
    dtype: np.dtype
    batched: bool


def as_given(given, name, value, shape, spelling):
    """A seed or a tangent of this shape as an array, behind a leading axis where many are given; a number stands for all values.

    `spelling` is what the fix calls it.
    """
    lead = int(given.batched)
    is_usual = type(value) is np.ndarray and value.dtype is given.dtype
    array = value if is_usual else as_array(given.call, name, value, spelling)
    if type(value) in WEAK or isinstance(value, np.generic):
        return array
    if array.ndim < lead or array.shape[lead:] != shape:
        wanted = "(" + ", ".join(["S", *map(str, shape)]) + ("," if not shape else "") + ")" if lead else str(shape)
        raise ArgumentValueError(
            f"{given.call}: {name} has a wrong shape",
            got=f"shape {array.shape}",
            expected=f"shape {wanted}",
            fix=_fitted(spelling, array.shape, shape, lead),
        )
    return array


def leaves_of(given, program, ct, shapes):
    """The leaves of a seed, refused where it has another structure than a value with leaves of these shapes."""
    leaves, found = program.structure.leaves(ct), ct
    if type(leaves) is tuple and len(leaves) == len(shapes):
        for found in leaves:
            if isinstance(found, tuple) or found is MISSING:
                break
        else:
            return leaves
    is_one_of = isinstance(found, tuple) and found and not program.structure.is_tuple
    one = f"one array of shape {shapes[0]}, as `{program.name}` returns" if shapes else ""
    raise ArgumentValueError(
        f"{given.call}: the seed does not have the structure of the value",
        got=f"a tuple of {len(found)}" if isinstance(found, tuple) else shown(found),
        expected=program.structure.or_tuple() if program.structure.is_tuple else one,
        fix=pulled(given, program, ["cts[0]" if given.batched else "ct[0]"]) if is_one_of else example(given, program, shapes),
    )


def example(given, program, shapes):
    """A call of a pullback that fits."""
    return pulled(given, program, many(shapes) if given.batched else ["1.0"] * len(shapes))


def pulled(given, program, leaves):
    """How a call of a pullback is written, with this code for the leaves of the seeds."""
    is_batched = given.batched and len(leaves) > 0  # of no leaves there are as many as one likes
    return f"pullback{'.batched' * is_batched}({in_tuple(leaves) if program.structure.is_tuple else leaves[0]})"


def _fitted(spelling, got, shape, lead):
    """The line that gives an array this shape, behind a leading axis or not."""
    if lead and got == shape:
        return f"{spelling}[None]"
    wanted = (*got[: 1 if len(got) > len(shape) else 0], *shape) if lead else shape
    wanted = wanted if len(wanted) == len(shape) + lead else (1, *shape)
    if broadcast([got, wanted]) == wanted:
        return f"np.broadcast_to({spelling}, {wanted})"
    if math.prod(got) == math.prod(wanted):
        return f"{spelling}.reshape({wanted})"
    return f"np.ones({wanted})"


def many(shapes):
    """Code for eight seeds or tangents; all but the first are numbers, which stand for all eight.

    Examples
    --------
    >>> many([(3,), ()])
    ['np.ones((8, 3))', '1.0']
    """
    return [f"np.ones({(8, *shape)})" if k == 0 else "1.0" for k, shape in enumerate(shapes)]


def made_of(program, names=None):
    """Code of what a linear map is made of: the kernel and its arguments."""
    return ", ".join([program.name if program.name.isidentifier() else "f", *(names or program.names)])


def count_of(given, arrays, what, example):
    """How many seeds or tangents are given: the leading axis of every array among them; `example()` is a call that fits."""
    counts = {a.shape[0] for a in arrays if a.ndim}
    if len(counts) != 1:
        raise ArgumentValueError(
            f"{given.call}: the number of {what}s is not known",
            got=f"leading axes {sorted(counts)}" if counts else "Python scalars only" if arrays else f"no {what}",
            expected=f"at least one {what} array, all with the same leading axis",
            fix=example(),
        )
    return counts.pop()
