"""Pages for notebooks, with tables and bars: HTML that stands by itself, without scripts, in light and in dark notebooks.

Colors are those of the page around: lines and bars are drawn in the color of its text, more or less of it.
"""

import html
from collections.abc import Iterable, Mapping, Sequence

STYLE = (
    ".nbad{font:13px/1.5 system-ui,sans-serif;color:inherit;overflow-x:auto;padding:2px 0}"
    ".nbad code,.nbad pre{font:12px/1.5 ui-monospace,Menlo,Consolas,monospace;color:inherit;background:none;padding:0;margin:0}"
    ".nbad .head{font-size:14px;margin:0 0 4px}.nbad .kind{opacity:.65;margin-right:.5em}"
    ".nbad .head code{font-size:13px;font-weight:600}"
    ".nbad p{margin:4px 0;max-width:56em}.nbad .note{opacity:.65}"
    ".nbad table{border-collapse:collapse;margin:6px 0;border:0;color:inherit;font-size:inherit;table-layout:auto}"
    ".nbad caption{caption-side:top;text-align:left;white-space:nowrap;font-weight:600;padding:0 0 2px;color:inherit}"
    ".nbad tr,.nbad tbody tr:nth-child(n){background:none!important;border:0}"
    ".nbad td,.nbad th{padding:2px 14px 2px 0;text-align:left;vertical-align:baseline;border:0;"
    "border-bottom:1px solid rgba(128,128,128,.3);font-variant-numeric:tabular-nums;white-space:nowrap;max-width:44em}"
    ".nbad td:last-child{white-space:normal}"
    ".nbad th{font-weight:600;opacity:.65}.nbad .n{text-align:right}.nbad .chosen td{font-weight:600}"
    ".nbad .stack{display:inline-flex;height:.9em;border-radius:2px;overflow:hidden;vertical-align:baseline}"
    ".nbad .swatch{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin-right:.4em}"
    ".nbad .bar{display:inline-block;height:.7em;min-width:1px;background:currentColor;opacity:.45;border-radius:2px}"
    ".nbad math{font-size:15px;margin:6px 0;text-align:left}.nbad mtd{text-align:inherit;padding:3px}"
    ".nbad mtd:first-child{text-align:right}.nbad mtd:last-child{text-align:left}"
)
WIDEST = 120  # pixels of a bar
COLORS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d9d9d")  # between light and dark
SET_RIGHT, CHOSEN = ' class="n"', ' class="chosen"'


class Html(str):
    """Text that is HTML already; all other text is escaped."""

    __slots__ = ()


Text = object  # its `str` is shown


def escaped(value: Text) -> Html:
    """What shows a value.

    Examples
    --------
    >>> escaped("a < b"), escaped(Html("<b>a</b>"))
    ('a &lt; b', '<b>a</b>')
    """
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def page(kind: str, title: str, *parts: Html | None) -> str:
    """One object: what kind of thing it is, its name as code, and what there is to say; parts that are None are left out.

    Examples
    --------
    >>> page("kernel", "f(x)", note("one")).partition("</style>")[2]
    '<div class="head"><span class="kind">kernel</span><code>f(x)</code></div><p class="note">one</p></div>'
    """
    head = f'<div class="head"><span class="kind">{escaped(kind)}</span>{code(title)}</div>'
    return f'<div class="nbad"><style>{STYLE}</style>{head}{"".join(part for part in parts if part)}</div>'


def code(value: Text) -> Html:
    """Text as code."""
    return Html(f"<code>{escaped(value)}</code>")


def paragraph(value: Text) -> Html:
    """A paragraph."""
    return Html(f"<p>{escaped(value)}</p>")


def note(value: Text) -> Html:
    """A remark."""
    return Html(f'<p class="note">{escaped(value)}</p>')


def table(
    headings: Sequence[Text],
    rows: Iterable[Sequence[Text]],
    numbers: Iterable[int] = (),
    title: str = "",
    chosen: int | None = None,
) -> Html:
    """Rows under headings.

    Parameters
    ----------
    headings : sequence
        Empty where there are none.
    rows : iterable of sequences
    numbers : iterable of int
        The columns that are set to the right.
    title : str
    chosen : int, optional
        The row that stands out.

    Examples
    --------
    >>> table(["a", "b"], [["x", 1]], numbers=[1])
    '<table><thead><tr><th>a</th><th class="n">b</th></tr></thead><tbody><tr><td>x</td><td class="n">1</td></tr></tbody></table>'
    """
    right = {*numbers}

    def row(cells: Sequence[Text], tag: str, attribute: str = "") -> str:
        opened = (f"<{tag}{SET_RIGHT * (k in right)}>{escaped(cell)}</{tag}>" for k, cell in enumerate(cells))
        return f"<tr{attribute}>{''.join(opened)}</tr>"

    head = f"<thead>{row(headings, 'th')}</thead>" if headings else ""
    body = "".join(row(cells, "td", CHOSEN * (k == chosen)) for k, cells in enumerate(rows))
    caption = f"<caption>{escaped(title)}</caption>" * bool(title)
    return Html(f"<table>{caption}{head}<tbody>{body}</tbody></table>")


def facts(pairs: Iterable[tuple[str, Text]]) -> Html:
    """What there is to say, a line each; those without a value are left out."""
    shown = ((Html(f'<span class="note">{escaped(name)}</span>'), value) for name, value in pairs if value not in ("", None))
    return table((), shown)


def bar(share: float) -> Html:
    """A bar of so much of the widest."""
    return Html(f'<span class="bar" style="width:{max(0.0, min(1.0, share)) * WIDEST:.0f}px"></span>')


def stack(fractions: Mapping[str, float], share: float) -> Html:
    """A bar of so much of the widest, of parts in colors."""
    width = max(1.0, share * WIDEST * 1.5)
    parts = (
        f'<span title="{escaped(name)} {fraction:.0%}" style="width:{fraction * width:.1f}px;background:{color}"></span>'
        for (name, fraction), color in zip(fractions.items(), COLORS, strict=False)
    )
    return Html(f'<span class="stack">{"".join(parts)}</span>')


def swatch(k: int, name: str) -> Html:
    """The color of a part, and its name."""
    return Html(f'<span class="swatch" style="background:{COLORS[k]}"></span>{escaped(name)}')
