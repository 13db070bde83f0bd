"""What stands below a table's rows: notes, and a row that sums the others up."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xpnn._text import in_a_line
from xpnn.tables.columns import Columns, TableError, objects
from xpnn.tables.values import Parsed, parse_as, parse_column

MOST_LINES = 40
"""At most so many lines below a table are taken for notes."""

_NOTE = re.compile(
    r"\s*(?:(?:sources?|notes?|footnotes?|last updated|quellen?|anmerkung(?:en)?|stand|fuente|nota|"
    r"remarques?)\b\s*[:(]|data (?:from|source|extracted)\b|[*\u00a9\u2020]|\(c\)\s)",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"(?:(?:grand|sub)?[- ]?totals?|total g[eé]n[eé]ral|sum|summe|gesamt|insgesamt|totaal|totale)"
    r"(?:\s*[:(].*)?",
    re.IGNORECASE,
)


def lines_of_foot(tail: Sequence[Sequence[str]], width: int, above: Sequence[Sequence[str]]) -> int:
    """How many of a table's last rows are notes below it, with blank ones above them.

    A note begins as notes do, or is a text of several words alone in its row: below a blank row,
    or where the first column has numbers or times.

    Parameters
    ----------
    tail : sequence of sequence of str
        The last rows, also blank ones.
    width : int
        How many values a row has.
    above : sequence of sequence of str
        Other rows: where one of them has one value too, nothing is a note.

    Examples
    --------
    >>> rows = [["2024-01", "3"], ["2024-02", "4"], ["2024-03", "5"]]
    >>> lines_of_foot([*rows, [], ["Source: our own counts"]], 2, rows)
    2
    """
    if width < 2 or not above or any(len(_filled(row)) == 1 for row in above):
        return 0
    first = [row[0].strip() for row in above if row and row[0].strip()]
    parsed = parse_column(objects(first))
    usual = not any(map(_NOTE.match, first))  # rows do not begin as notes do
    found = 0
    for count, row in enumerate(reversed(tail), 1):
        if not _filled(row):
            found = count if found or count > 1 else 0
            continue
        noted = usual and _is_note(row)
        if not noted and not _is_sentence(row, first, parsed):
            break
        if found == count - 1 and len(row) != width and (noted or parsed.kind != "words"):
            found = count
    return found


def _filled(row: Sequence[str]) -> list[str]:
    return [value for value in row if value.strip()]


def _is_note(row: Sequence[str]) -> bool:
    """Whether a row begins as notes do, and is one text or was cut at commas within it."""
    rest = _filled(row[1:])
    return _NOTE.match(row[0]) is not None and all(value.startswith(" ") for value in rest)


def _is_sentence(row: Sequence[str], column: Sequence[str], parsed: Parsed) -> bool:
    """Whether a row has one text, of several words, that is no value of the first column."""
    text = row[0].strip()
    if _filled(row[1:]) or " " not in text:
        return False
    if parsed.kind == "words":
        return text not in column
    try:
        return bool(np.isnan(parse_as(objects([text]), parsed.kind, parsed.style, ""))[0])
    except TableError:
        return True


def told_foot(rows: Sequence[Sequence[str]]) -> list[str]:
    """A note on the rows that were left out below a table.

    Examples
    --------
    >>> told_foot([["Source: own counts"], []])
    ['left out 1 line below the table (Source: own counts)']
    """
    filled = [row for row in rows if _filled(row)]
    lines = "line" if len(filled) == 1 else "lines"
    shown = in_a_line(_filled(filled[0])[0].strip(), 60) if filled else ""
    return [f"left out {len(filled)} {lines} below the table ({shown})"] if filled else []


def total_below(columns: Columns, parsed: Mapping[str, Parsed]) -> tuple[bool, list[str]]:
    """Whether the last row sums the others up, and a note.

    It has the word in a column, once, and sums in half of the columns of numbers at least.

    Parameters
    ----------
    columns : dict of str to ndarray
        Of the table.
    parsed : mapping of str to Parsed
        Those of its columns that were read.

    Examples
    --------
    >>> columns = {"town": objects(["Ulm", "Bonn", "Total"]), "size": objects(["3", "4", "7"])}
    >>> total_below(columns, {n: parse_column(c) for n, c in columns.items()})
    (True, ["left out the last row, 'Total': it is the sum of the others"])
    """
    words = [c for c in columns.values() if c.dtype == object and len(c) > 2]
    named = [c for c in words if isinstance(c[-1], str) and _TOTAL.fullmatch(c[-1].strip())]
    named = [c for c in named if sum(v == c[-1] for v in c.tolist()) == 1]
    if not named:
        return False, []
    shown = repr(in_a_line(named[0][-1]))
    sums = [_is_sum(p.values) for p in parsed.values() if p.kind == "numeric"]
    known = [found for found in sums if found is not None]
    if known and 2 * sum(known) >= len(known):
        return True, [f"left out the last row, {shown}: it is the sum of the others"]
    return False, [f"the last row has {shown}; if it sums others up, take it out of the file"]


def _is_sum(values: np.ndarray) -> bool | None:
    """Whether the last number is the sum of the others; None where nothing tells."""
    *others, last = values.tolist()
    if last != last or last == 0.0:
        return None
    return bool(abs(np.nansum(others) - last) <= 5e-3 * abs(last))
