"""Op list to readable Python: one scalar function, one statement per operation, the user's source lines as comments.

Under `numba.njit(error_model="numpy")` its bits are those of the vector code with `math="libm"`: Numba takes the functions that
it calls from the same C library. Exceptions: its float32 `cbrt` is that of float64, rounded; `gamma` and `lgamma` are Python's.
"""

import keyword
import math
import re
from typing import Any

from nbad.codegen.lower import OpList
from nbad.operations.table import TABLE

OPERATORS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "abs": "abs({})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} and {}",
    "or": "{} or {}",
    "not": "not {}",
    "select": "{1} if {0} else {2}",
    "alarm": "{1}",
    "floor": "np.floor({})",
    "ceil": "np.ceil({})",
    "trunc": "np.trunc({})",  # those of `math` return integers
    "round": "np.rint({})",
    "cbrt": "np.cbrt({})",
    "fmod": "np.fmod({}, {})",  # Numba lacks those of `math`
}
MARGIN = 60


def print_python(oplist: OpList) -> str:
    """Source text of a module with one function, which takes and returns scalars.

    Parameters
    ----------
    oplist : OpList

    Returns
    -------
    str

    Examples
    --------
    >>> from nbad.graphs.graph import GraphBuilder
    >>> from nbad.codegen.lower import lower
    >>> builder = GraphBuilder("double", ["x"])
    >>> print(print_python(lower(builder.build([builder.add("add", 0, 0)]))))
    import math
    <BLANKLINE>
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def double(x):
        v1 = x + x
        return v1
    <BLANKLINE>
    """
    names = _names(oplist)
    lines, last = [], None
    for k, node in enumerate(oplist.nodes):
        if node.op in ("input", "const"):
            continue
        statement = f"{names[k]} = {_template(node.op).format(*(names[a] for a in node.args))}"
        lines.append(f"{statement:<{MARGIN}}  # {node.source}" if node.source not in (None, last) else statement)
        last = node.source
    lines.append(f"return {', '.join(names[k] for k in oplist.outputs)}")
    head = f"def {_identifier(oplist.name)}({', '.join(names[: len(oplist.inputs)])}):"
    scipy = ["from scipy import special"] if any(node.op in TABLE and TABLE[node.op].scipy for node in oplist.nodes) else []
    return "\n".join(["import math", "", "import numpy as np", *scipy, "", "", head, *(f"    {line}" for line in lines), ""])


def _template(op: str) -> str:
    if op in OPERATORS:
        return OPERATORS[op]
    row, arity = TABLE[op], len(TABLE[op].operands)
    spelling = next((s for s in row.spellings if s.startswith("math.")), f"math.{op}")
    if row.scipy or row.address:
        spelling = f"special.{op}" if row.scipy else op.partition(".")[0]  # SciPy's, or the user's own
    return f"{spelling}({', '.join(['{}'] * arity)})"


def _names(oplist: OpList) -> list[str]:
    """How each node is written where it is used."""
    taken, names = {"math", "np", "abs", "special"} | {op.partition(".")[0] for op in TABLE if TABLE[op].address}, []
    for k, node in enumerate(oplist.nodes):
        if node.op == "const":
            names.append(_constant(node.payload, oplist.dtype))
            continue
        name = _identifier(oplist.inputs[node.payload]) if node.op == "input" else f"v{k}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
    return names


def _identifier(name: str) -> str:
    """A Python name like `name`: `r[0]` becomes `r_0`."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "kernel"
    return f"{plain}_" if keyword.iskeyword(plain) or plain[0].isdigit() else plain


def _constant(value: Any, dtype: str) -> str:
    if isinstance(value, bool):
        return repr(value)
    text = repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}math.{abs(value)!r}"
    return f"np.float32({text})" if dtype == "float32" else text
