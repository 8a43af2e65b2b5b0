"""The outputs of a kernel as formulas in MathML, which browsers show by themselves."""

from typing import Any

from nbad.formulas.to_sympy import guarded
from nbad.formulas.written import Output, is_long, lines_of, symbol_of

DIGITS = 6  # of decimals


def mathml(kernel: Any, program: Any, most: int) -> str:
    """The outputs of a kernel, and before them what its variables hold, as rows of a `<math>` element.

    Parameters
    ----------
    kernel : Kernel
    program : Program
        The specialization.
    most : int
        Lines beyond so many are left out, and the last line says so.

    Examples
    --------
    >>> import nbad
    >>> square = nbad.kernel(lambda x: x * x)
    >>> mathml(square, square.whole_program(), 9)  # doctest: +ELLIPSIS
    '<math displaystyle="true"><mtable ...><mtr><mtd><mi>f</mi></mtd><mtd><mo>=</mo></mtd><mtd><msup><mi>x</mi>...</math>'
    """
    return guarded(kernel, lambda: _rows(lines_of(kernel, "latex", program, has_partials=False), most))


def _rows(lines: list[Any], most: int) -> str:
    import sympy

    shown = lines if len(lines) <= most else lines[: most - 1]
    rows = []
    for left, right in shown:
        symbol = sympy.Symbol(symbol_of(left)) if isinstance(left, Output) else left
        written = "<mo>&#8230;</mo>" if is_long(right) else _written(right)
        rows.append("".join(f"<mtd>{cell}</mtd>" for cell in (_written(symbol), "<mo>=</mo>", written)))
    if len(shown) < len(lines):
        rows.append(f"<mtd></mtd><mtd></mtd><mtd><mtext>and {len(lines) - len(shown)} more lines</mtext></mtd>")
    inside = "".join(f"<mtr>{row}</mtr>" for row in rows)
    return f'<math displaystyle="true"><mtable columnalign="right center left" displaystyle="true">{inside}</mtable></math>'


def _written(e: Any) -> str:
    """One expression; SymPy leaves the sign "less than" as it is, which begins an element, and sets words side by side."""
    text = str(_printer().doprint(e)).replace("<mo><</mo>", "<mo>&lt;</mo>")
    return text.replace("<mo>&InvisibleTimes;</mo>", '<mo rspace="0.17em">&#8290;</mo>').replace("&ExponentialE;", "e")


def _printer() -> Any:
    from sympy import Float
    from sympy.printing.mathml import MathMLPresentationPrinter

    class Printer(MathMLPresentationPrinter):
        """With choices as a brace and rows, and decimals cut."""

        def _print_Float(self, e: Any) -> Any:
            return super()._print_Float(Float(e, DIGITS))

        def _print_Piecewise(self, e: Any) -> Any:
            table = self.dom.createElement("mtable")
            for value, condition in e.args:
                row = self.dom.createElement("mtr")
                for part in (self._print(value), self._said(condition)):
                    cell = self.dom.createElement("mtd")
                    cell.appendChild(part)
                    row.appendChild(cell)
                table.appendChild(row)
            brace, whole = self.dom.createElement("mo"), self.dom.createElement("mrow")
            brace.appendChild(self.dom.createTextNode("{"))
            whole.appendChild(brace)
            whole.appendChild(table)
            return whole

        def _said(self, condition: Any) -> Any:
            """What stands behind a value: for ..., or otherwise."""
            is_rest = condition == True  # noqa: E712  # SymPy's own
            text, row = self.dom.createElement("mtext"), self.dom.createElement("mrow")
            text.appendChild(self.dom.createTextNode("otherwise" if is_rest else "for\u00a0"))
            row.appendChild(text)
            if not is_rest:
                row.appendChild(self._print(condition))
            return row

    return Printer()
