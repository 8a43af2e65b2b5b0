"""The same loops in C: straight-line code over contiguous rows, so that the compiler takes vectors and glibc's vector functions.

The only function is `void run(long n, long threads, const real *const *given, real *out)`. `given` are the rows that are read, an
argument that all elements share as one number. Results lie one behind the other in `out`: rows of n elements, or blocks, in which
the entries of one element stand side by side.
"""

from benchmarks.by_hand.adjoint import FUNCTIONS, SIGNS, Symbol

ARITIES = {"atan2": 2, "pow": 2}
TESTS = ("gt", "ge")
BLOCK = 1024  # elements of a block, over which seeds are in the inner loop
CHUNK = 64  # elements by whose multiples threads divide the work: whole cache lines

TEXT = """\
#include <omp.h>
typedef {real} real;
{functions}
{before}
static void body(long low, long high, long n, const real *const *given, real *out) {{
{rows}
{loops}
}}
void run(long n, long threads, const real *const *given, real *out) {{
    if (threads == 1) {{ body(0, n, n, given, out); return; }}
    #pragma omp parallel num_threads(threads)
    {{
        long share = (n / threads / {chunk} + 1) * {chunk}, low = share * omp_get_thread_num();
        if (low < n) body(low, low + share < n ? low + share : n, n, given, out);
    }}
}}
"""


class Printer:
    """Prints C in one precision: `d` is float64, `f` is float32."""

    def __init__(self, code):
        self.real, self.suffix = {"d": ("double", ""), "f": ("float", "f")}[code]

    def pointwise(self, lines, sweep, in_blocks):
        """The sweeps without seeds.

        Parameters
        ----------
        lines : Loops
        sweep : str
        in_blocks : bool
            Whether the entries of a Jacobian or a Hessian stand side by side.

        Returns
        -------
        str
        """
        shared = [f"const real a{k} = x{k}[0];" for k in lines.scalars]
        loads = [f"const real a{k} = x{k}[i];" for k in range(len(lines.arguments)) if k not in lines.scalars]
        results = [result for _, result in getattr(lines, sweep)()]
        rest = 0 if sweep in ("jacobian", "hessian") else len(lines.outputs)
        outputs, entries = results[:rest], results[rest:]
        steps = [self._step(*step) for step in lines.derivation.steps(results)]
        stores = [f"out[{k} * n + i] = {self._operand(r)};" for k, r in enumerate(outputs)]
        if in_blocks:
            place = f"{rest} * n + {len(entries)} * i".removeprefix("0 * n + ")
            stores += [f"out[{place} + {k}] = {self._operand(r)};" for k, r in enumerate(entries)]
        else:
            stores += [f"out[{rest + k} * n + i] = {self._operand(r)};" for k, r in enumerate(entries)]
        return self.program(lines.arguments, [*shared, *loop("low", "high", [*loads, *steps, *stores])])

    def reverse(self, lines, seeds, at_once):
        """Products of all seeds with the residuals.

        Parameters
        ----------
        lines : Loops
        seeds : int
        at_once : bool
            Whether one loop serves all seeds, or seeds are a loop over blocks of elements.

        Returns
        -------
        str
        """
        columns = list(zip(*lines.factors(lambda name: f"{name}[i]", float), strict=True))

        def products(q):
            return [f"out[({k} * {seeds} + {q}) * n + i] = {self._product(column, q)};" for k, column in enumerate(columns)]

        if at_once:
            loops = loop("low", "high", [text for q in range(seeds) for text in products(q)])
        else:
            inner = loop("start", "end", products("q"))
            ends = f"const long end = start + {BLOCK} < high ? start + {BLOCK} : high;"
            loops = [f"for (long start = low; start < high; start += {BLOCK}) {{", ends]
            loops += [f"for (long q = 0; q < {seeds}; q++) {{", *inner, "}", "}"]
        return self.program([*lines.seeds, *lines.residuals], loops)

    def program(self, rows, loops, before=""):
        """All the text.

        Parameters
        ----------
        rows : sequence of str
            Names of the pointers to what is read.
        loops : list of str
            Lines that take the elements from `low` to below `high`.
        before : str
            Functions that they call.

        Returns
        -------
        str
        """
        prototypes = [
            f'__attribute__((const, nothrow, simd("notinbranch"))) real {name}{self.suffix}'
            f"({', '.join(['real'] * ARITIES.get(name, 1))});"
            for name in FUNCTIONS
            if name != "sqrt"
        ]
        prototypes.append(f"real sqrt{self.suffix}(real);")
        return TEXT.format(
            real=self.real,
            before=before,
            chunk=CHUNK,
            functions="\n".join(prototypes),
            rows="\n".join(f"    const real *restrict {row} = given[{k}];" for k, row in enumerate(rows)),
            loops="\n".join(f"    {text}" for text in loops),
        )

    def _product(self, column, q):
        terms = [self._term(f"w{m}[{q} * n + i]", factor) for m, factor in enumerate(column)]
        return " + ".join(filter(None, terms)) or "0"

    def _term(self, seed, factor):
        if isinstance(factor, str):
            return f"{seed} * {factor}"
        return "" if factor == 0 else seed if factor == 1 else f"{seed} * {self._operand(factor)}"

    def _step(self, symbol, op, operands):
        kind = "_Bool" if op in TESTS else "real"
        return f"const {kind} {symbol.name} = {self._expression(op, [self._operand(o) for o in operands])};"

    def _expression(self, op, operands):
        if op in SIGNS:
            return f" {SIGNS[op]} ".join(operands)
        if op == "where":
            return "{} ? {} : {}".format(*operands)
        if op == "abs":
            return "{0} < 0 ? -{0} : {0}".format(*operands)
        return f"-{operands[0]}" if op == "neg" else f"{op}{self.suffix}({', '.join(operands)})"

    def _operand(self, value):
        if isinstance(value, Symbol):
            return value.name
        text = f"{float(value)!r}{self.suffix}"
        return f"({text})" if value < 0 else text


def loop(low, high, body):
    """Lines of a loop over elements, none of which waits for another."""
    return ["#pragma omp simd", f"for (long i = {low}; i < {high}; i++) {{", *(f"    {text}" for text in body), "}"]
