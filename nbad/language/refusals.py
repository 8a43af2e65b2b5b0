"""What is said about Python operations that a traced value cannot take part in, and the code to write instead."""

import re
from typing import Any

import numpy as np

from nbad import foreign

_MATRIX = ("uses `@` on {value}, a scalar", "x * y")
_AS_ARGUMENT = "def f(x, c): ...  # c as an argument; c = np.asarray(c) before the kernel, where nothing is differentiated by it"
_OF_JAX = ("computes with {value} and an array of JAX's, which is no argument of the kernel", _AS_ARGUMENT)
_WRITE = ("writes into {value}", "return the new value: a kernel changes nothing in place")

PROTOCOL = {
    "__float__": ("turns {value} into a Python float, in code that nbad cannot see into", "np.sin(x)  # NumPy's function"),
    "__int__": ("turns {value} into an int, in code that nbad cannot see into", "int(x)"),
    "__index__": ("uses {value} as an index or a count", "for _ in range(3):  # a number known when the kernel is traced"),
    "__complex__": ("turns {value} into a complex number", "keep the real and the imaginary part in two variables"),
    "__array__": (
        "turns {value} into an array, or an index of one",
        "write the kernel for one element: nbad applies it to whole arrays",
    ),
    "__hash__": ("uses {value} as the key of a dict, set or cache", "use a plain number or a string as the key"),
    "__reduce_ex__": ("pickles {value}, which has no value yet", "x  # itself: copies of it are it"),
    "__sizeof__": ("asks how much memory {value} takes", "sys.getsizeof(0.0)  # of a plain number"),
    "__jax_array__": _OF_JAX,
    "__matmul__": _MATRIX,
    "__rmatmul__": _MATRIX,
    "__setitem__": _WRITE,
    "__delitem__": _WRITE,
}

# a line that assigns an item, plainly or by `+=`: there Python asks for other protocols than in an expression
_ITEM_WRITE = re.compile(r"(.*;)?[^=]*(\]\s*([-+*/@]|\*\*|//)?=(?!=)|\.fill\()")
_PART_WRITE = re.compile(r"(.*;)?[^=]*\[[^]=]*(:|\.\.\.)[^]=]*\]\s*=(?!=)")  # the place is no number
_OF_NUMPY = re.compile(r".*\b(?:u?int(?:8|16|32|64|p|_)|(bool_?))\(")  # makes a whole number, or a bool
_OF_MATH = re.compile(r".*\bmath\.(\w+)\(")
_OF_FLOAT = re.compile(r".*\b(?:float16|float32|half|single|longdouble)\(")
_OUTSIDE = (
    "writes {value} into an array that was made outside the kernel, or is not of float64",
    "table = np.array(table, float)  # a copy, made in the kernel",
)
_CUT = (
    "writes {value} into a plain array of whole numbers, which cuts it",
    "table = np.array(table, float)  # a copy; np.trunc(x) is what whole numbers keep of x",
)
_AT = (
    "uses {value} as the place of an item that is written, or as a bound",
    "x = [new if k == i else old for k, old in enumerate(x)]  # all items",
)
_WRITES = {"__float__": _OUTSIDE, "__int__": _CUT, "__index__": _AT, "__array__": _AT}
# what arrays whose items are conditions, or whole numbers, do not keep
KEPT = {
    "b": ("writes a number among conditions", "mask[0] = x != 0"),
    "i": ("writes a real number into an array of whole numbers", "a[0] = int(x)  # or before: a = a * 1.0"),
}


def protocol(name: str, line: str) -> tuple[str, str]:
    """What a source line does that asks a traced value for a Python protocol, and the rewrite."""
    if name == "__array__" and _PART_WRITE.match(line):
        return _OUTSIDE
    if name == "__array__" and _OF_FLOAT.match(line):
        return "makes {value} a number of another precision", LIBRARY["numpy.float32"]
    if name == "__array__" and (made := _OF_NUMPY.match(line)):
        return "turns {value} into a whole number or bool of NumPy's", "{name} != 0" if made[1] else "int({name})"
    if name == "__float__" and "quad(" in line:
        return PROTOCOL[name][0], "scipy.integrate.fixed_quad(f, 0.0, 1.0, n=20)[0]  # f is given an array: np.exp, not math.exp"
    if name == "__float__" and (called := _OF_MATH.match(line)) and hasattr(np, called[1]):
        return PROTOCOL[name][0], f"np.{called[1]}(...)  # NumPy's function, which takes traced values there"
    return _WRITES[name] if name in _WRITES and _ITEM_WRITE.match(line) else PROTOCOL[name]


# in the words of Python, NumPy and the module json
_SEQUENCE = re.compile(r".*(itera|subscript|no len|reversible|container)")
_ANSWER = re.compile(r"(.*\.)?__\w+__\(?\)? (should return|must return|returned)")
_MEMORY = re.compile(r".*array of references|.*holds references|memoryview: format O")
_TEXT = re.compile(
    r"Object of type (float|int|bool) is not JSON serializable|could not convert string to float: .*<traced |.*TracedText"
)
# what compiled code says of arrays of traced values
_COMPILED = re.compile(
    r"Buffer dtype mismatch.*Python object|.*dtype\('O'\)|.*object arrays are not supported"
    r"|.*not support argument \d of type Traced"
    r"|required argument is not a float"
)


def misuse(error: BaseException) -> tuple[str, str | None] | None:
    """What an error has against a traced value: a case of `FLOW` and its words, of a float; None where it is about others."""
    if isinstance(error, TypeError | ValueError | RuntimeError):
        if _MEMORY.match(str(error)):
            return "memory", None
        if _TEXT.match(str(error)):
            return "text", None
    if _COMPILED.match(str(error)):
        return "compiled", str(error)
    if not isinstance(error, TypeError | ValueError | RuntimeError):
        return None
    words, is_answer = str(error), bool(_ANSWER.match(str(error)))
    for name, plain in (("TracedReal", "float"), ("TracedWhole", "int"), ("TracedCondition", "bool")):
        words = words.replace(name, f"traced {plain}" if is_answer else plain)
    if words == str(error):
        return None
    if is_answer:
        return "answer", words
    return ("sequence", None) if _SEQUENCE.match(words) else ("operand", words)


FLOW = {
    "sequence": ("treats a traced value, a scalar, as a sequence", "def kernel(x0, x1, x2):  # one argument per component"),
    "memory": (
        "asks for the memory of an array of traced values, where there are no numbers yet",
        "x[k], x.flat, x.copy(), x.ravel()  # its items",
    ),
    "answer": (
        "answers with a traced value where Python asks an object for a plain one",
        "def is_positive(self): return self.x > 0  # a method of another name, which the kernel calls",
    ),
    "operand": (
        "does with a traced value what a float cannot do",
        "n // 2, n * 2, n % 2  # integer arguments are floats when a kernel is traced",
    ),
    "compiled": (
        "passes traced values to compiled code, which takes plain numbers only",
        "an operation of your own, made by nbad.primitive('name', ...)",
    ),
    "tensor": (_OF_JAX[0].format(value="a traced array"), _AS_ARGUMENT),
    "endless": ("loops more than {count:,} times", "for _ in range(n):  # a fixed n"),
    "range": (
        "counts to a traced value, and not in a `for` statement",
        "for k in range(n): total = total + f(k)  # a statement, in a function that nbad can rewrite",
    ),
    "step": ("counts by a traced step", "for k in range(n): i = start + step * k"),
    "break": (
        "leaves the `finally` of a `try` by `break` or `continue` on a traced value",
        "done = True  # and leave the loop behind the `try`",
    ),
    "errors": (
        "catches several errors, depending on a traced value, and asks which",
        "except ValueError: ...  # a handler for each, and for each text",
    ),
    "handled": (
        "asks which error is handled, or how it came about, where a handler is for some elements, depending on a traced value",
        "except ValueError as error: ...  # by its name, in the handler itself: str(error), type(error)",
    ),
    "way": (
        "asks an error for its `{name}`, where a handler is for some elements, depending on a traced value",
        "str(error), type(error)  # what it says, and what it is",
    ),
    "iterator": ("asks whether a traced value is in an iterator", "x in list(items)  # made before"),
    "end": (
        "leaves a generator on a traced value where that runs its `finally`, or the end of its `with`",
        "for item in list(items): ...  # all items, before the loop",
    ),
    "let go": (
        "binds or loses `{name}`, where a `finally` or `__del__` runs where it is let go of, depending on a traced value",
        "{name}.close()  # of a generator, there; of an object, a method that the kernel calls instead of `__del__`",
    ),
    "loop variable": (
        "uses `{name}`, which has no number at the begin of each pass of a loop on a traced value",
        "{name} = 0.0  # before the loop: a number, a tuple, or a list or array of numbers of the same length",
    ),
    "loop try": (
        "catches errors of arithmetic in a loop on traced values that stands in the `try`",
        "put the `try` into the loop",
    ),
    "loop keeps": (
        "keeps a value of one pass of a loop on traced values, in a function or an object, for what follows the loop",
        "a variable of the kernel's instead",
    ),
    "loop bound": (
        "writes to a list or array that a loop on traced values binds anew",
        "v = list(v)  # a new one, before it is written to: v.copy() of an array",
    ),
    "loop number": ("writes to a number by a mask in a loop on traced values", "y = np.where(y > 0, 1.0, y)"),
    "loop grown": (
        "changes the length of the list `{name}` in a loop on a traced value",
        "{name} = [value if k == n else old for k, old in enumerate({name})]  # a list of a fixed length, made before the loop",
    ),
    "loop items": (
        "writes to `{name}` in a loop on a traced value what is no number",
        "{name}[k] = 1.0  # numbers in place of numbers",
    ),
    "loop test": (
        "changes the {noun} `{name}` in the test of a loop on a traced value",
        "while True:  # with the test in the body: if not test: break",
    ),
    "loop size": ("repeats a pass that is smaller where it is run for itself", "for k in range(10): ...  # fewer passes"),
    "finally": (
        "returns on a traced value, before a `finally` or `with` whose end returns, raises or changes what outlives the call",
        "one `return`, behind the `try` or `with`",
    ),
    "undone": (
        "returns before a `finally` that a `return`, `break` or `continue` may leave, which undoes the return",
        "one `return`, behind the `try`",
    ),
    "another": (
        "raises an error on a traced value, before a `finally` that may raise another, which a handler catches",
        "y = 1 / x if x != 0 else 0.0  # in the `finally` nothing that is caught",
    ),
    "raise": (
        "raises an error in an operand, or in the test of an `elif`, that depends on a traced value",
        "if x > 0: y = f(x)  # a statement of its own, and nested ones for `elif`",
    ),
    "perhaps": ("asks what a value is that is None for some elements, depending on a traced value", "if y is None: ...  # first"),
    "every path": ("raises an error on every path", "return y  # on one of them"),
    "filter": ("filters a comprehension by a traced condition", "sum(v if v > 0 else 0.0 for v in values)  # keep all items"),
    "case": ("matches a case on a traced condition", "if x > 0:  # if, elif and else may test traced values"),
    "try": (
        "catches errors of arithmetic on traced values, in a way that nbad cannot follow",
        "y = 1 / x if x != 0 else 0.0  # test before",
    ),
    "try writes": (
        "writes to a list or array before an error that it catches, on a traced value",
        "try: y = f(x)  # what may fail, and no more",
    ),
    "ends": (
        "catches an error of some elements that leaves a `finally` or `with` before, on a traced value",
        "try: ...  # in the `with`; or the handlers at the `try` of the `finally`",
    ),
    "caught": ("catches an error that left a branch on a traced value", "put the `try` into the branch"),
    "text": (
        "computes with the text of a traced value, which is not that of a number",
        "if x < 0: ...  # of the number itself; its text may only be shown, by raise, assert, warnings.warn or print",
    ),
    "hides": (
        "computes with traced values where `{name}` may catch errors, in code that nbad cannot see into",
        "y = 1 / x if x != 0 else 0.0  # test before; or `try` in a function that the kernel reaches by name",
    ),
    "compares": (
        "compares traced values in `{name}`, which asks by `is`, in code that nbad cannot see into",
        "if flag: ...  # instead of `flag is True`; or in a function that the kernel reaches by name",
    ),
    "type": (
        "asks by `type` for numbers in `{name}`, in code that nbad cannot see into",
        "isinstance(value, float)  # instead of type(value) is float; or in a function that the kernel reaches by name",
    ),
    "binds": (
        "assigns `{name}` in an operand that depends on a traced value",
        "if x > 0: {name} = ...  # a statement of its own",
    ),
    "one-sided": (
        "uses `{name}`, which has no value on one side of a branch on a traced value",
        "{name} = 0.0  # before the branch, or in both arms",
    ),
    "unlike": (
        "uses `{name}`, which has no single value after a branch on a traced value",
        "{name} = ...  # numbers, or lists and arrays of one shape, in both arms",
    ),
    "operands": ("chooses by a traced value between things that cannot be merged", "numbers, or lists and arrays of one shape"),
    "results": ("returns things that cannot be merged, depending on a traced value", "return a number on every path"),
    "table": ("picks by a traced value among things that cannot be merged", "numbers, or lists and arrays of one shape"),
    "items": (
        "writes to `{name}` in a branch on a traced value what cannot be merged",
        "numbers, or lists and arrays of one shape",
    ),
    "index": (
        "indexes an array by a traced value in this way",
        "table[i, :]  # whole numbers and slices, as many as there are axes",
    ),
    "after": ("returns on a traced value, and changes what outlives the call after it", "one `return`, at the end"),
    "shared": (
        "writes to a list or array that has several names, depending on a traced value",
        "v = v.copy()  # of each, before the branch; list(v) of a list",
    ),
    "identity": ("asks by `is` for what depends on a traced value", "a == b  # of numbers; or ask before the branch"),
    "outer": ("changes `{name}`, from outside the kernel, in {where} on a traced value", "own = copy.deepcopy({name})  # in it"),
    "outer call": (
        "changes `{name}`, from outside the kernel, in {where} on a traced value",
        "value = f(2.0)  # before it, what calls the function that changes this; @functools.cache, if that only remembers values",
    ),
    "unreadable": (
        "perhaps changes the {noun} `{name}`, which nobody can read, in a branch on a traced value",
        "value = ...  # what is needed of it, taken before the branch, and `del` of its names; or taken outside the kernel",
    ),
    "settings": (
        "changes settings of Python or NumPy in a branch on a traced value",
        "np.seterr(all='ignore')  # before the branch, or before the call",
    ),
    "outer variable": (
        "calls a function that sets an outer variable, in {where} on a traced value",
        "load()  # before the branch, the function that sets it",
    ),
    "changed": ("changes the {noun} `{name}` in {where} on a traced value", "local variables instead, or items of a list"),
    "unlike dict": (
        "changes which keys the dict `{name}` has in {where} on a traced value",
        "{name}[key] = 0.0  # before it: what is there may be written to",
    ),
    "unlike object": (
        "changes which attributes the object `{name}` has in {where} on a traced value",
        "{name}.attribute = 0.0  # before it: what is there may be written to",
    ),
    "changed list": (
        "changes the length of the list `{name}` in a branch on a traced value",
        "{name}[k] = value  # items may be written; or one list in each branch: {name} = [...]",
    ),
    "changed array": (
        "changes the array `{name}` in {where} on a traced value",
        "{name} = np.zeros(3)  # an array of floats made in the kernel, whose items may be written",
    ),
}

_CASE = (r"case\b", *FLOW["case"])
_INTO = (
    _ITEM_WRITE.pattern,
    "writes a traced condition into a plain array of bools",
    "mask = np.array([x > 0, y > 0])  # of all conditions at once; or of floats, which keep 1 and 0",
)
_UNSEEN = (
    r"",
    "uses a traced value as True or False, in code that nbad cannot see into",
    "np.where(condition, value_if_true, value_if_false)",
)
_TRUTH = (
    _CASE,
    (r"while\b", "loops while a traced condition holds", "for _ in range(n):  # a fixed n: a kernel is traced once"),
    (r"assert\b", "asserts a traced condition", "check the arrays before the call: a kernel is traced once"),
    (r"(el)?if\b|.*\bif\b", "branches on a traced value", "np.where(condition, value_if_true, value_if_false)"),
    (r".*\b(and|or)\b", "uses `and` or `or` on traced conditions", "(x > 0) & (y > 0), or (x > 0) | (y > 0)"),
    (r".*\bnot\b", "uses `not` on a traced condition", "~(x > 0)"),
    (r".*[<>]=?[^<>]*[<>]", "chains comparisons of traced values", "(0 < x) & (x < 1)"),
    _UNSEEN,
)


def truth(line: str, is_rewritten: bool) -> tuple[str, str]:
    """What a source line does that asks a traced value for its truth, and the rewrite."""
    rows = (_CASE, _INTO, _UNSEEN) if is_rewritten else _TRUTH
    return next((what, fix) for pattern, what, fix in rows if re.match(pattern, line))


_REDUCTIONS = {"add": "sum", "logical_and": "all", "logical_or": "any", "maximum": "max", "minimum": "min", "multiply": "prod"}
_WITHOUT = {"sum": "0.0", "prod": "1.0", "max": "-np.inf", "min": "np.inf"}
# for library functions, or calls of them, that nbad does not know
LIBRARY = {
    **dict.fromkeys(("math.frexp", "numpy.frexp"), "e = math.floor(math.log2(abs(x))) + 1; m = x / 2.0**e  # of x other than 0"),
    "math.isqrt": "math.floor(math.sqrt(n))",
    "math.factorial": "math.gamma(n + 1)",
    "numpy.arange": "x + np.arange(3)",
    "numpy.argsort": "np.sort(x)  # the places of items are not known when a kernel is traced",
    "numpy.count_nonzero": "np.sum(np.where(x > 0, 1.0, 0.0))",
    "numpy.float32": "call the kernel with float32 arrays",
    "numpy.isin": "x in (1.0, 2.0)",
    **dict.fromkeys(("numpy.linalg.eig", "numpy.linalg.eigh"), "np.linalg.eigvalsh(a)  # of vectors not even the sign is unique"),
    "numpy.logspace": "10.0 ** np.linspace(0.0, x, 3)",
    **{f"numpy.{ufunc}.reduce": f"np.{name}(x)" for ufunc, name in _REDUCTIONS.items()},
    "numpy.mean(where=)": "np.sum(np.where(mask, x, 0.0)) / np.sum(np.where(mask, 1.0, 0.0))",
    **{f"numpy.{name}(where=)": f"np.{name}(np.where(mask, x, {other}))" for name, other in _WITHOUT.items()},
    "scipy.special.logsumexp(b=)": "scipy.special.logsumexp(a + np.log(b))  # of positive b",
    **dict.fromkeys(("statistics.mean", "statistics.fmean"), "sum(values) / len(values)"),
}

# the same for methods of NumPy's ufuncs
METHODS = {
    "accumulate": "list(itertools.accumulate(x, np.{ufunc}))  # of one axis",
    "at": "for k, value in zip(places, y): a[k] = np.{ufunc}(a[k], value)",
    "outer": "np.{ufunc}(x[:, None], y)  # of one axis each",
    "reduce": "functools.reduce(np.{ufunc}, x)  # of one axis",
}

# reductions and the like: of one number they are that number, and whoever writes them means the array that it comes from
WHOLE = frozenset(
    f"numpy.{name}"
    for name in (
        "all amax amin any argmax argmin argsort average count_nonzero cumprod cumsum diff flip gradient max mean "
        "median min nanmax nanmean nanmin nanprod nansum percentile prod ptp quantile roll sort std sum trapezoid unique var "
        "linalg.norm"
    ).split()
) | {"scipy.special.logsumexp", "scipy.special.softmax", "scipy.special.log_softmax"}


def whole(path: str, operands: list[str]) -> tuple[str, str, str]:
    """What is said of a function of a whole array that is called on one number: what it is, the rewrite, what is expected."""
    result = f"{operands[0] if operands[0].isidentifier() else 'x'}_{path.rpartition('.')[2]}"
    return (
        f"calls `{path}` on one element: a kernel sees one at a time of the arrays that it is called with",
        f"{result} = {path.replace('numpy', 'np')}({', '.join(operands)})  # before the call, as one more argument",
        'an array, as of an argument with a core shape: @nbad.kernel(signature="(3)->()")',
    )


def described(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    if isinstance(value, (complex, np.complexfloating)):
        return f"the complex number {value!r}"
    kind = foreign.named(value) if foreign.tensors_of(value) else type(value).__name__
    return "None" if value is None else f"a value of type {kind}"


def advice(value: Any) -> str | None:
    if foreign.tensors_of(value):
        return _AS_ARGUMENT
    if isinstance(value, (complex, np.complexfloating)):
        return "keep the real and the imaginary part in two variables"
    if isinstance(value, (np.ndarray, list, tuple)):
        return "table[0] * x  # one number at a time"
    return "1.0  # a number" if isinstance(value, str | bytes) else None
