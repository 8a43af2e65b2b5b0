"""What is said about Python operations that a traced value cannot take part in, and the code to write instead."""

import re

_SEQUENCE = ("treats {value}, a scalar, as a sequence", "def kernel(x0, x1, x2):  # one argument per component")
_MATRIX = ("uses `@` on {value}, a scalar", "x * y")
_WRITE = ("writes into {value}", "return the new value: a kernel changes nothing in place")

PROTOCOL = {
    "__float__": (
        "turns {value} into a Python float, in code that nbad cannot see into",
        "np.sin(x)  # NumPy's function, or one that the kernel reaches by name",
    ),
    "__int__": ("turns {value} into an int", "np.trunc(x)"),
    "__index__": ("uses {value} as an index or a count", "for _ in range(3):  # a number known when the kernel is traced"),
    "__complex__": ("turns {value} into a complex number", "keep the real and the imaginary part in two variables"),
    "__array__": (
        "turns {value} into an array, or an index of one",
        "write the kernel for one element: nbad applies it to whole arrays",
    ),
    "__hash__": ("uses {value} as the key of a dict, set or cache", "use a plain number or a string as the key"),
    "__len__": _SEQUENCE,
    "__iter__": _SEQUENCE,
    "__reversed__": _SEQUENCE,
    "__getitem__": _SEQUENCE,
    "__matmul__": _MATRIX,
    "__rmatmul__": _MATRIX,
    "__setitem__": _WRITE,
    "__delitem__": _WRITE,
}

_ITEM_WRITE = re.compile(r"[^=]*\]\s*([-+*/@]|\*\*|//)?=(?!=)")
_OUTSIDE = (
    "writes {value} into an array that was made outside the kernel",
    "table = np.array(table)  # a copy, made in the kernel",
)


def protocol(name: str, line: str) -> tuple[str, str]:
    """What a source line does that asks a traced value for a Python protocol, and the rewrite."""
    return _OUTSIDE if name == "__float__" and _ITEM_WRITE.match(line) else PROTOCOL[name]


OPERATORS = {
    "floordiv": ("uses `//` on a traced value", "np.floor(x / y)"),
    "mod": ("uses `%` on a traced value", "x - np.floor(x / y) * y"),
    "round": ("rounds a traced value", "np.floor(x + 0.5)"),
}

_TRUTH = (
    (r"while\b", "loops while a traced condition holds", "for _ in range(n):  # a fixed n: a kernel is traced once"),
    (r"assert\b", "asserts a traced condition", "check the arrays before the call: a kernel is traced once"),
    (r"(el)?if\b|.*\bif\b", "branches on a traced value", "np.where(condition, value_if_true, value_if_false)"),
    (r".*\b(and|or)\b", "uses `and` or `or` on traced conditions", "(x > 0) & (y > 0), or (x > 0) | (y > 0)"),
    (r".*\bnot\b", "uses `not` on a traced condition", "~(x > 0)"),
    (r".*[<>]=?[^<>]*[<>]", "chains comparisons of traced values", "(0 < x) & (x < 1)"),
    (r"", "uses a traced value as True or False", "np.where(condition, value_if_true, value_if_false)"),
)


def truth(line: str) -> tuple[str, str]:
    """What a source line does that asks a traced value for its truth, and the rewrite."""
    return next((what, fix) for pattern, what, fix in _TRUTH if re.match(pattern, line))
