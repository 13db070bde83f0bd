"""Numbers and tables as text for a screen."""

from collections.abc import Collection, Sequence
from typing import Any


def number(value: Any, digits: int = 6) -> str:
    """A number in a few digits; a negative zero is a zero.

    Examples
    --------
    >>> number(-0.0), number(0.2712326399999999), number(2006.0)
    ('0', '0.271233', '2006')
    """
    text = f"{float(value):.{digits}g}"
    return "0" if text == "-0" else text


def table(
    rows: Sequence[Sequence[str]],
    *,
    ruled: bool = False,
    right: Collection[int] = (),
    gap: str = "  ",
) -> str:
    """Rows in columns of equal width.

    Parameters
    ----------
    rows : sequence of sequences of str
    ruled : bool, default=False
        Whether a line is drawn below the first.
    right : collection of int, default=()
        Which columns are aligned at their right end.
    gap : str, default="  "
        Between columns.

    Examples
    --------
    >>> print(table([("x", "y"), ("a", "10"), ("b", "9")], ruled=True, right={1}))
    x   y
    -  --
    a  10
    b   9
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, range(len(widths)), strict=True)
        padded = [c.rjust(w) if i in right else c.ljust(w) for c, w, i in cells]
        lines.append(gap.join(padded).rstrip())
    if ruled:
        lines.insert(1, gap.join("-" * width for width in widths))
    return "\n".join(lines)


def in_a_line(text: str, most: int = 30) -> str:
    """A label without line breaks and their like, and cut where it is long.

    Examples
    --------
    >>> in_a_line("first" + chr(9) + "second") == "first" + chr(92) + "tsecond"
    True
    >>> in_a_line("a" * 99, 8)
    'aaaaaaa…'
    """
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def short_list(values: Sequence[Any], most: int = 8) -> str:
    """Numbers in a line, the middle ones of a long list left out.

    Examples
    --------
    >>> short_list(range(20), 4)
    '0, 1, ..., 18, 19'
    """
    shown = [number(v) for v in values] if len(values) <= most else None
    if shown is None:
        half = most // 2
        first, last = values[:half], values[len(values) - half :]
        shown = [*map(number, first), "...", *map(number, last)]
    return ", ".join(shown)


def short_array(values: Any, most: int = 6) -> str:
    """A host array of one or two dimensions as rows of numbers, large ones shortened.

    Examples
    --------
    >>> import numpy as np
    >>> print(short_array(np.asarray([[1.0, -0.0], [0.25, 10.0]])))
       1   0
    0.25  10
    """
    rows = [values] if values.ndim == 1 else values
    cells = [_shortened([number(v, 5) for v in row[:most]], len(row), most) for row in rows[:most]]
    text = table(cells, right=range(most + 1))
    return text + (f"\n... {len(rows):,} rows" if len(rows) > most else "")


def _shortened(cells: list[str], length: int, most: int) -> list[str]:
    return [*cells, "..."] if length > most else cells
