"""The functions that an exported module brings: vector functions in LLVM IR, and the source of the user's own."""

import ast
import dis
import inspect
import textwrap
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from nbad.codegen.functions import INTRINSICS
from nbad.codegen.lower import OpList
from nbad.errors import ArgumentTypeError
from nbad.functions.library import FASTER, FUNCTIONS, symbol, text
from nbad.graphs.loops import each_once
from nbad.operations.row import Operation
from nbad.operations.table import row_of

INSTRUCTIONS = {op: name for op, name in INTRINSICS.items() if op != "abs"}  # which Python has
# functions of the C library that LLVM calls one by one for what it has in a vector
TAKEN_APART = {None, *"exp exp2 log log2 log10 pow sin cos tan asin acos atan sinh cosh tanh".split()}
ANY_WIDTH = 7919  # no other number in the text of a function
WIDTHS = '''\


def _vectors():
    """The bytes of a vector here, its letter in the names of vector functions, and whether one operation multiplies and adds."""
    if binding.get_process_triple().startswith(("aarch64", "arm64")):
        return 16, "n", True
    features = (get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES).split(",")
    sets = ("+avx512f", 64, "e"), ("+avx2", 32, "d"), ("+avx", 32, "c")
    size, letter = next(((size, letter) for name, size, letter in sets if name in features), (16, "b"))
    return size, letter, "+fma" in features


'''
VECTORS = '''\
# Functions for whole vectors of elements, which the vectorizer of Numba's compiler knows by an attribute of each call. The result
# for an element depends on its own operands only.


def _variant(name, arity, width):
    """The function `vector_OWN` for so many elements, as LLVM IR; None where there is none."""
    size, letter, fuses = _vectors()
    bits = 8 * DTYPE.itemsize
    known = f"_ZGV{letter}N{8 * size // bits}{'v' * arity}_{name}{'f' * (bits == 32)}"
    is_known = binding.address_of_symbol(known) is not None
    if name in TEXTS and fuses and (not is_known or letter in FASTER.get(name, "")):
        body = TEXTS[name]
        for word, kind in {"VECTOR": REAL, "WHOLES": f"i{bits}", "MASK": "i1"}.items():
            body = body.replace(word, f"<{width} x {kind}>")
        return body.replace("WIDTH", str(width)).replace("BITS", str(bits * width))
    return _in_parts(known, arity, 8 * size // bits, width) if is_known else None


def _in_parts(known, arity, lanes, width):
    """The same by a function for fewer elements."""
    part, whole, kinds = f"<{lanes} x {REAL}>", f"<{width} x {REAL}>", [f"v{n}f{8 * DTYPE.itemsize}" for n in (lanes, width)]
    take, put = f"{part} @llvm.vector.extract.{'.'.join(kinds)}", f"{whole} @llvm.vector.insert.{'.'.join(kinds[::-1])}"
    lines, last = [], "poison"
    for start in range(0, width, lanes):
        lines += [f"  %x{k}.{start} = call {take}({whole} %x{k}, i64 {start})" for k in range(arity)]
        lines.append(f"  %y.{start} = call {part} @{known}({', '.join(f'{part} %x{k}.{start}' for k in range(arity))})")
        lines.append(f"  %all.{start} = call {put}({whole} {last}, {part} %y.{start}, i64 {start})")
        last = f"%all.{start}"
    return f"""
declare {part} @{known}({', '.join([part] * arity)}) {PURE}
declare {take}({whole}, i64) {PURE}
declare {put}({whole}, {part}, i64) {PURE}
define linkonce_odr {whole} @vector_OWN({', '.join(f'{whole} %x{k}' for k in range(arity))}) nounwind alignstack(64) {{
{chr(10).join(lines)}
  ret {whole} {last}
}}"""


def _texts(name, arity):
    """LLVM IR of the function `each_OWN` that Numba's code calls for one element, and of its forms for vectors."""
    given, kinds = ", ".join(f"{REAL} %x{k}" for k in range(arity)), ", ".join([REAL] * arity)
    head = f"define {REAL} @each_OWN({given}) alwaysinline"
    widths = sorted({_vectors()[0] // DTYPE.itemsize, WIDE})
    forms = {} if name.startswith("llvm.") else {width: _variant(name, arity, width) for width in widths}
    if None in forms.values() or not forms:
        called = f"{name}.f{8 * DTYPE.itemsize}" if name.startswith("llvm.") else name + "f" * (REAL == "float")
        return [f"""
declare {REAL} @{called}({kinds}) {PURE}
{head} {{
  %y = call {REAL} @{called}({given})
  ret {REAL} %y
}}"""]
    vectors = {width: f"<{width} x {REAL}>" for width in forms}
    declared = [f"declare {kind} @vector{width}_OWN({', '.join([kind] * arity)}) {PURE}" for width, kind in vectors.items()]
    told = ",".join(f"_ZGV_LLVM_N{width}{'v' * arity}_lane_OWN(vector{width}_OWN)" for width in forms)
    used = ", ".join(f"ptr @vector{width}_OWN" for width in forms)
    first, wide = next(iter(vectors.items()))
    spread = [f"  %w{k} = insertelement {wide} splat ({REAL} 1.0), {REAL} %x{k}, i64 0" for k in range(arity)]
    each = f"""
{chr(10).join(declared)}
@llvm.compiler.used = appending global [{len(forms)} x ptr] [{used}], section "llvm.metadata"
define linkonce_odr {REAL} @lane_OWN({given}) noinline {PURE} {{
{chr(10).join(spread)}
  %all = call {wide} @vector{first}_OWN({', '.join(f'{wide} %w{k}' for k in range(arity))})
  %one = extractelement {wide} %all, i64 0
  ret {REAL} %one
}}
{head} {{
  %y = call {REAL} @lane_OWN({given}) nounwind memory(none) "vector-function-abi-variant"="{told}"
  ret {REAL} %y
}}"""
    return [each, *(text.replace("vector_OWN", f"vector{width}_OWN") for width, text in forms.items())]


def _function(name, arity):
    """A function of the C library, or an instruction ("llvm.sqrt"), of numbers."""
    if config.DISABLE_JIT:
        return _interpreted(name.removeprefix("llvm."))
    kind = numba.float64 if REAL == "double" else numba.float32

    def codegen(context, builder, signature, args):
        texts = _texts(name, arity)
        mark = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
        own = f"{name}_{mark}"  # all modules of a process share the names of symbols
        library = context.codegen().create_library(f"each_{own}")
        for text in texts:
            library.add_llvm_module(binding.parse_assembly(text.replace("OWN", own)))
        library.finalize()
        context.add_linking_libs([library])
        scalar = ir.DoubleType() if REAL == "double" else ir.FloatType()
        called = cgutils.get_or_insert_function(builder.module, ir.FunctionType(scalar, [scalar] * arity), f"each_{own}")
        return builder.call(called, args)

    if arity == 1:

        def each(context, x):
            return kind(kind), codegen
    else:

        def each(context, x, y):
            return kind(kind, kind), codegen

    return intrinsic(each)


def _interpreted(name):
    """The same in plain Python."""
    numpys = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "pow": "power"}
    numpys |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
    if hasattr(np, numpys.get(name, name)):
        return getattr(np, numpys.get(name, name))

    def function(*operands):
        try:
            return DTYPE.type(getattr(math, name.replace("tgamma", "gamma"))(*operands))
        except (ValueError, OverflowError):
            return DTYPE.type(np.nan)

    return function


with suppress(RuntimeError):
    binding.load_library_permanently("libmvec.so.1")  # before any code from the cache is loaded
REAL, PURE = "SCALAR", "nounwind willreturn memory(none)"
# where the C library has a vector function, too: the instruction sets on which the one below is faster
FASTER = LETTERS
TEXTS = {}
DEFINITIONS
CALLED
'''
DEFINITION = 'TEXTS["{name}"] = """\\\n{text}"""\n'
ADD_UP = '''\
@numba.njit(**OPTIONS)
def _add_up(rows):
    """The total of each row: float64 sums of 256 elements from left to right, then a fixed binary tree over these."""
    totals = np.zeros(rows.shape[0])
    for k in range(rows.shape[0]):
        row, count = rows[k], (rows.shape[1] + 255) // 256
        sums = np.zeros(max(count, 1))
        for block in range(count):
            for i in range(256 * block, min(256 * block + 256, row.size)):
                sums[block] += np.float64(row[i])
        while count > 1:
            for pair in range(count // 2):
                sums[pair] = sums[2 * pair] + sums[2 * pair + 1]
            if count % 2:
                sums[count // 2] = sums[count - 1]
            count = (count + 1) // 2
        totals[k] = sums[0]
    return totals
'''
CAUSES = '''\
# why elements have no value: the exception, and what raises it
CAUSES = CAUSE_LIST


def _fail(codes, shape):
    """Raise what the first element in C order that has no value asks for."""
    place = np.unravel_index(np.argmax(codes != 0), shape)
    error, text = CAUSES[int(codes[np.argmax(codes != 0)]) - 1]
    raise error(f"`NAME`: element {tuple(map(int, place))}, one of {np.count_nonzero(codes)}: {text}")
'''
RUN = """\
    with np.errstate(all="ignore"):
        forward(x, y, residuals)
"""
RUN_CODES = """\
    codes = np.zeros((1, x.shape[1]), DTYPE)
    with np.errstate(all="ignore"):
        forward(x, y, residuals, codes)
    if codes.any():
        _fail(codes[0], shape)
"""
LONG = """

    Elements without a value have the number of the cause in `codes` (1, n).
    """
SHAPE = " or codes.shape != (1, n)", ", codes (1, n)"
OF_ROWS = [
    "from llvmlite import ir",
    "from numba.core import cgutils, config",
    "from numba.extending import intrinsic",
    "from numba.np.arrayobj import populate_array",
]
IMPORTS = ["from llvmlite import binding, ir", OF_ROWS[1], "from numba.core.codegen import get_host_cpu_features", *OF_ROWS[2:]]


def rows_of(oplists: Iterable[OpList]) -> dict[str, Operation]:
    """The rows of all operations, those in loops included."""
    found: dict[str, Operation] = {}
    for oplist in oplists:
        for node in each_once(oplist):
            if node.op == "loop":
                found |= rows_of([node.payload.loop.step])
            elif node.op not in ("input", "const"):
                found[node.op] = row_of(node.op, node.payload)
    return found


def calls_of(rows: dict[str, Operation]) -> dict[str, str]:
    """How the module's code spells each operation that is a call."""
    calls = {op: f"_{op}" for op, row in rows.items() if op in INSTRUCTIONS or row.libm}
    return calls | {op: op.partition(".")[0] for op, row in rows.items() if row.address}


def together(read: str, oplists: Iterable[OpList], math: str) -> str:
    """The line that asks for vectors of the loops above it, if they call no function that LLVM has none with."""
    rows = rows_of(oplists) if math == "libm" else {}
    called = {row.libm for op, row in rows.items() if op not in INSTRUCTIONS}
    return f"    _side_by_side({read})\n" if called <= TAKEN_APART else ""


def vectors(rows: dict[str, Operation], dtype: str, math: str) -> str:
    """The part of the module that defines the functions of the C library."""
    called = [(op, f"llvm.{INSTRUCTIONS[op]}" if op in INSTRUCTIONS else row.libm, len(row.operands)) for op, row in rows.items()]
    wanted = [(op, name, arity) for op, name, arity in called if name]
    if not wanted:
        return ""
    names = sorted({name for _, name, _ in wanted if name in FUNCTIONS}) if math == "simd" else []
    letters = {name: "".join(letter for (letter, d), ours in FASTER.items() if d == dtype and name in ours) for name in names}
    definitions = "".join(DEFINITION.format(name=name, text=_any_width(name, dtype)) for name in names)
    forms = '{} if name.startswith("llvm.") else {width: _variant(name, arity, width) for width in widths}'
    body = VECTORS if math == "simd" else VECTORS.replace(forms, "{}")
    filled = {
        "SCALAR": "double" if dtype == "float64" else "float",
        "LETTERS": repr({name: where for name, where in letters.items() if where}).replace("'", '"'),
        "DEFINITIONS\n": definitions,
        "CALLED": "\n".join(f'_{op} = _function("{name}", {arity})' for op, name, arity in sorted(wanted)),
    }
    for word, filling in filled.items():
        body = body.replace(word, filling)
    return body


def _any_width(name: str, dtype: str) -> str:
    """The IR of a function for vectors of any width, without names of nbad's."""
    known = symbol(name, dtype, ANY_WIDTH)
    scalar, whole = ("double", "i64") if dtype == "float64" else ("float", "i32")
    words = {
        f"<{ANY_WIDTH} x {scalar}>": "VECTOR",
        f"<{ANY_WIDTH} x {whole}>": "WHOLES",
        f"<{ANY_WIDTH} x i1>": "MASK",
        str(ANY_WIDTH * int(whole[1:])): "BITS",
        known: "vector_OWN",
        str(ANY_WIDTH): "WIDTH",
        "define VECTOR @vector": "define linkonce_odr VECTOR @vector",
    }
    body = text(known)
    for word, filling in words.items():
        body = body.replace(word, filling)
    return "".join(textwrap.fill(line, 118, subsequent_indent=" " * 6) + "\n" for line in body.splitlines())


# the user's own


def sources(rows: dict[str, Operation], kernel: str, module: str) -> str:
    """The functions of the user's own that are called, and what they call and read; none has a name of the module's own."""
    found = _Found(kernel, _names(module))
    for op, row in rows.items():
        if row.scipy:
            raise refusal(
                kernel, f"needs `scipy.special.{row.scipy}`, for its value or a derivative", "what Numba compiles without SciPy"
            )
        if row.address and row.plain is None:
            raise refusal(kernel, f"asks where `{op.partition('.')[0]}` raises", 'errors="raise"')
        if row.address:
            found.add(row.plain, op.partition(".")[0])
    return "\n\n".join(found.texts.values())


def _names(module: str) -> set[str]:
    """The names that a module gives to what it holds and imports."""
    return {step.argval for step in dis.get_instructions(compile(module, "module", "exec")) if step.opname == "STORE_NAME"}


def refusal(kernel: str, what: str, expected: str, fix: str | None = None) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"`nbad.export({kernel})`: the kernel {what}",
        got=what,
        expected=expected,
        fix=fix or f'nbad.show({kernel}, "source")  # the operations, to be edited',
    )


class _Found:
    """What the user's functions need of their modules, by its name: the texts, each behind those of what it uses."""

    def __init__(self, kernel: str, taken: set[str]):
        self.texts: dict[str, str] = {}
        self._kernel, self._taken, self._values = kernel, taken, dict[str, Any]()

    def _is_new(self, name: str, value: Any) -> bool:
        """Whether nothing is known by a name, which must be another thing's neither here nor in the module."""
        if name in self._taken or not _is_same(self._values.setdefault(name, value), value):
            what = "whose name the module has for itself" if name in self._taken else "and another thing of that name"
            raise refusal(self._kernel, f"uses `{name}`, {what}", "names that are one thing each", f"{name}_ = {name}")
        return name not in self.texts

    def add(self, function: Any, name: str) -> None:
        """Add the source of a function under a name, behind that of what it uses."""
        function = getattr(function, "py_func", function)
        if not self._is_new(name, function):
            return
        kernel, tree = self._kernel, _definition(function, name, self._kernel)
        if any(isinstance(node, ast.Raise | ast.Assert | ast.Try) for node in ast.walk(tree)):
            raise refusal(kernel, f"calls `{name}`, which raises", "a function that returns for all numbers")
        self.texts[name] = ""  # it may call itself
        for used, value in _outside(function).items():
            if isinstance(value, ModuleType) and value.__name__ in ("math", "numpy"):
                if used not in ("math", "np"):
                    raise refusal(kernel, f"calls `{name}`, which knows {value.__name__} as `{used}`", "math and np")
            elif isinstance(value, bool | int | float):
                if self._is_new(used, value):
                    self.texts[used] = f"{used} = {literal(value)}"
            elif isinstance(getattr(value, "py_func", value), FunctionType):
                self.add(value, used)
            else:
                raise refusal(kernel, f"calls `{name}`, which uses `{used}`", "functions, numbers, math and np")
        self.texts[name] = self.texts.pop(name) or f"@numba.njit(**OPTIONS)\n{ast.unparse(tree)}\n"


def _is_same(one: Any, other: Any) -> bool:
    """Whether two functions are one, or two numbers alike, those that are not equal to themselves included."""
    return one is other or (isinstance(one, bool | int | float) and repr(one) == repr(other))


def literal(value: Any) -> str:
    """A number as code writes it, or nested lists of numbers as tuples.

    Examples
    --------
    >>> literal(2.5), literal([0.0, float("-inf")])
    ('2.5', '(0.0, -math.inf,)')
    """
    if isinstance(value, list):
        return f"({', '.join(map(literal, value))},)"
    return repr(value).replace("inf", "math.inf").replace("nan", "math.nan")


def _outside(function: Any) -> dict[str, Any]:
    """What a function reads of its module and of functions around it."""
    found = inspect.getclosurevars(function)
    return {**found.globals, **found.nonlocals}


def _definition(function: Any, name: str, kernel: str) -> ast.FunctionDef:
    """A function's definition, under this name and without decorators; of a lambda as of others."""
    try:
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(function)).strip().rstrip(","))
    except (OSError, TypeError, SyntaxError):
        raise refusal(kernel, f"calls `{name}`, whose source is not found", "a function that is defined with `def`") from None
    kind = ast.Lambda if function.__name__ == "<lambda>" else ast.FunctionDef
    found = [node for node in ast.walk(tree) if isinstance(node, kind)]
    if not found or (kind is ast.Lambda and len(found) > 1):
        raise refusal(kernel, f"calls `{name}`, whose source is not found", "a function that is defined with `def`")
    node: Any = found[0]
    body = node.body if kind is ast.FunctionDef else [ast.Return(node.body)]
    made = ast.FunctionDef(name, node.args, body, [], None, None)
    return ast.fix_missing_locations(made)
