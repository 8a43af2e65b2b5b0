"""The outputs and partials of a kernel as formulas in LaTeX."""

from typing import Any

from nbad.formulas.to_sympy import guarded
from nbad.formulas.written import Line, Output, Partial, is_long, lines_of

WORD = r"\mathit"


def latex(kernel: Any, program: Any = None, most: int | None = None) -> str:
    """The outputs of a kernel, and their partials that are not zero, as aligned lines of LaTeX.

    What variables of the kernel hold is written under their names, and longer parts that repeat once, as u_0, u_1 and so on.

    Parameters
    ----------
    kernel : Kernel
    program : Program, optional
        The specialization; by default that in which every number is passed.
    most : int, optional
        Lines beyond so many are left out, and long expressions, and the last line says so.

    Examples
    --------
    >>> import math, nbad
    >>> print(latex(nbad.kernel(lambda x, y: x * math.sqrt(y))))
    \\begin{aligned}
    f &= x \\sqrt{y} \\\\
    \\frac{\\partial f}{\\partial x} &= \\sqrt{y} \\\\
    \\frac{\\partial f}{\\partial y} &= \\frac{x}{2 \\sqrt{y}}
    \\end{aligned}
    """
    return guarded(kernel, lambda: _aligned(lines_of(kernel, "latex", program), most))


def _aligned(lines: list[Line], most: int | None) -> str:
    import sympy

    names = {symbol: _symbol(symbol) for line in lines for symbol in line.right.free_symbols}
    shown = lines if most is None or len(lines) <= most else lines[: most - 1]
    options: dict[str, Any] = {"symbol_names": names}
    if any(name.startswith(WORD) for name in names.values()):
        options["mul_symbol"] = r" \, "
    left_out = {line for line in shown if most is not None and is_long(line.right)}
    written = (r"\cdots" if line in left_out else sympy.latex(line.right, **options) for line in shown)
    rows = [f"{_left(line.left)} &= {right}" for line, right in zip(shown, written, strict=True)]
    if len(shown) < len(lines) or left_out:
        rows.append(rf"& \text{{and {len(lines) - len(shown)} more lines; all of it by the method latex()}}")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _left(what: Any) -> str:
    if isinstance(what, Partial):
        return rf"\frac{{\partial {_left(what.output)}}}{{\partial {_symbol(what.by)}}}"
    if not isinstance(what, Output):
        return _symbol(what)
    name = what.kernel if len(what.kernel) == 1 else r"\mathrm{" + what.kernel.replace("_", r"\_") + "}"
    return f"{name}_{{{','.join(map(str, what.numbers))}}}" if what.numbers else name


def _symbol(symbol: Any) -> str:
    """A symbol as SymPy writes it, but words as words: without this they look like products."""
    import sympy

    text, word = sympy.latex(symbol), symbol.name.partition("_")[0]
    is_word = len(word) > 1 and word.isalpha() and text.startswith(word)
    return rf"{WORD}{{{word}}}{text[len(word) :]}" if is_word else text
