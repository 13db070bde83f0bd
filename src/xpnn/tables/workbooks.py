"""Which of a workbook's sheets is the table, and its rows as text, by openpyxl."""

import datetime as dt
import io
import re
from collections.abc import Sequence
from typing import Any

from xpnn._text import in_a_line
from xpnn.tables.columns import TableError, hint, objects
from xpnn.tables.shape import MOST_TITLES
from xpnn.tables.values import parse_column

_LOOKED_AT = 200  # rows of a sheet that tell whether it is a table
_SHOWN = 5  # names of other sheets
_ABOUT = re.compile(
    r"(?:read[ _-]?me|notes?|(?:table[ _]of[ _])?contents?|toc|about|cover|info(?:rmation)?|index|"
    r"legend|metadata|definitions?|glossary|(?:data[ _])?dictionary|codebook|description|sources?|"
    r"instructions?|inhalt|hinweise|deckblatt|legende|quellen?)",
    re.IGNORECASE,
)

_Rows = list[list[str]]


def read_workbook(
    data: bytes, source: str, sheet: str | None = None, expected: Sequence[str] = ()
) -> tuple[_Rows, list[str]]:
    """Rows of text of one of a workbook's sheets, by openpyxl.

    Parameters
    ----------
    sheet : str, default=None
        Its name; None takes the first that has the names known from training, else the first that
        is a table, hidden ones last.

    Returns
    -------
    rows : list of list of str
        Without empty ones; all of one width.
    notes : list of str
        What was decided.

    Examples
    --------
    See `xpnn.tables.read.read_table`.
    """
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise ImportError(
            'Reading a workbook needs openpyxl; get it with: python -m pip install "xpnn[data]"'
        ) from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises what its parsers raise
        raise TableError(f"{source} is no workbook, or is damaged; save it anew.") from error
    sheets = {s.title: s for s in book.worksheets}
    if sheet is not None and sheet not in sheets:
        raise TableError(f"{source} has no sheet {sheet!r}{hint(sheet, sheets)}.")
    wanted = sorted(sheets.values(), key=lambda s: s.sheet_state != "visible")
    first = {s.title: _rows(s, _LOOKED_AT) for s in wanted if sheet in (None, s.title)}
    title = the_sheet(first, expected)
    rows, others = _rows(sheets[title]), [name for name in first if name != title]
    notes = [_told(title, others)] if others and rows else []
    return _wide(rows), notes


def the_sheet(sheets: dict[str, _Rows], expected: Sequence[str] = ()) -> str:
    """The name of the sheet that is the table.

    It has the names known from training, else it is the first that has rows of several values;
    but a shorter one that has no numbers, or is called Note, Contents or the like, is passed over
    for a longer one that is neither.

    Parameters
    ----------
    sheets : dict of str to list of list of str
        Their first rows, in the order in which they are looked at.

    Examples
    --------
    >>> data = [["size", "price"], *([str(i), str(i * i % 7)] for i in range(9))]
    >>> the_sheet({"Note": [["Author", "A. Name"], ["Year", "2020"]], "data": data, "more": data})
    'data'
    """
    features = set(expected[:-1])
    for title, rows in sheets.items():
        if features and any(features <= set(row) for row in rows[: MOST_TITLES + 1]):
            return title
    long = {title: sum(sum(map(bool, row)) > 1 for row in rows) for title, rows in sheets.items()}
    tables = [title for title in sheets if long[title] > 1]
    if not tables:
        return next((title for title, rows in sheets.items() if rows), next(iter(sheets)))
    first = tables[0]
    if _ABOUT.fullmatch(first.strip()) or not _has_numbers(sheets[first]):
        for title in tables[1:]:
            named = _ABOUT.fullmatch(title.strip())
            if not named and long[title] > long[first] and _has_numbers(sheets[title]):
                return title
    return first


def _has_numbers(rows: _Rows) -> bool:
    """Whether a column below the first row is numbers or dates that do not only count the rows."""
    for column in zip(*_wide(rows[1:]), strict=True):
        texts = [v for v in column if v]
        start = int(texts[0]) if texts and texts[0].isdecimal() else 0
        counted = [str(start + i) for i in range(len(texts))]
        if len(texts) > 1 and texts != counted and parse_column(objects(texts)).kind != "words":
            return True
    return False


def _wide(rows: _Rows) -> _Rows:
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]


def _told(title: str, others: Sequence[str]) -> str:
    shown = ", ".join(repr(in_a_line(name)) for name in others[:_SHOWN])
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    there = "is" if len(others) == 1 else "are"
    return f"read the sheet {title!r}; there {there} {shown}{more} too: --sheet names another"


def _rows(sheet: Any, most: int | None = None) -> _Rows:
    """The rows that are not empty, of the first ones or of all."""
    rows = ([_cell(v) for v in row] for row in sheet.iter_rows(max_row=most, values_only=True))
    return [row for row in rows if any(row)]


def _cell(value: Any) -> str:
    if isinstance(value, dt.timedelta):
        return f"{value.days} days {dt.timedelta(seconds=value.seconds)}"
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()
