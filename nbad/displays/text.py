"""Tables and amounts as text."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: bool = False) -> list[str]:
    """Rows as lines; all but the first column to the right, unless `left`.

    Examples
    --------
    >>> aligned([["policy", "bytes"], ["partials", "8"]])
    ['  policy    bytes', '  partials      8']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = [f"{{:{'<' if left or k == 0 else '>'}{width}}}" for k, width in enumerate(widths)]
    return ["  " + "  ".join(formats).format(*row).rstrip() for row in rows]


def amount(nbytes: float) -> str:
    """Bytes in the unit that suits them.

    Examples
    --------
    >>> amount(512), amount(40_000), amount(3 << 30)
    ('512 bytes', '39.1 KiB', '3.0 GiB')
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if nbytes < 1024 or unit == "GiB":
            break
        nbytes /= 1024
    return f"{nbytes:.0f} bytes" if unit == "bytes" else f"{nbytes:.1f} {unit}"


def plural(count: int, thing: str) -> str:
    """A number of things.

    Examples
    --------
    >>> plural(1, "residual"), plural(2000, "residual")
    ('1 residual', '2,000 residuals')
    """
    return f"{count:,} {thing}{'s' * (count != 1)}"
