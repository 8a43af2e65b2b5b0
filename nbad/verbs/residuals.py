"""`Residuals`: what a pullback keeps, as a table."""

from dataclasses import dataclass

import numpy as np

from nbad.displays import html
from nbad.displays.text import amount, plural
from nbad.plans.plan import Residual


@dataclass(frozen=True)
class Residuals:
    """What a pullback keeps; prints as a table.

    Attributes
    ----------
    values : tuple of Residual
        Each with `name`, `source` and `reason`. `∂y0/∂x` is the derivative of output 0 by `x`, `d1` what that variable of the
        kernel held last, `%7` the value of that number in `nbad.show(f, "plan")`; an input goes by its name.
    dtype : numpy.dtype
    elements : int
        Elements of the broadcast shape.
    """

    values: tuple[Residual, ...]
    dtype: np.dtype
    elements: int

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each residual."""
        return tuple(value.name for value in self.values)

    @property
    def bytes_per_element(self) -> int:
        """Bytes that one element keeps."""
        return len(self.values) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes that all elements keep."""
        return self.bytes_per_element * self.elements

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        head = f"{len(self)} residuals, {self.dtype}, {self.bytes_per_element} bytes per element, {self.nbytes} in all"
        each = self.dtype.itemsize * self.elements
        lines = (f"  {k:>3}  {v.name:<20} {each:>12} bytes  {v.source or '':<24} {v.reason}" for k, v in enumerate(self.values))
        return "\n".join([head, *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks: the same as a table."""
        title = f"{plural(len(self), 'residual')} of {self.dtype}"
        size = f"{self.bytes_per_element} bytes per element, {amount(self.nbytes)} in all"
        return html.page("nbad.Residuals", title, html.note(size), self.as_table())

    def as_table(self) -> html.Html | None:
        """What is kept, a row each; None where there is nothing."""
        each = amount(self.dtype.itemsize * self.elements)
        rows = ((html.code(value.name), value.source or "", value.reason, each) for value in self.values)
        return html.table(["value", "line", "why", "bytes"], rows, [3]) if self.values else None
