"""Where a table begins in its rows, and how its columns are named."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xpnn.tables.columns import TableError, distinct_names, objects
from xpnn.tables.gaps import GAPS, NUMBER_GAPS
from xpnn.tables.values import Parsed, parse_as, parse_column

MOST_TITLES = 30
"""At most so many lines above the names are taken for titles."""

_NAME, _WORD, _NUMBER, _YEAR = 1, -1, -2, 2
_YEARS = 1800, 2100
_ANSWERS = frozenset(("response", "open-ended response"))
_NUMBERED = re.compile(r"column_(\d+)")


@dataclass(frozen=True)
class Shape:
    """The place and the names of a table."""

    first: int  # which row is the first one of data
    names: tuple[str, ...]  # distinct; an empty one where the file names no column
    notes: tuple[str, ...]  # what was decided
    heading: int = field(default=0, repr=False)  # which row has the names, if one has


def find_shape(
    rows: Sequence[Sequence[str]],
    header: bool | None = None,
    expected: Sequence[str] = (),
    above: Sequence[str] = (),
) -> Shape:
    """Tell titles, names and data in a table's first rows.

    Parameters
    ----------
    rows : sequence of sequence of str
        The first rows, none of them empty.
    header : bool, default=None
        Whether a row of names stands above the data; None tells it by the values.
    above : sequence of str
        Values of a comment right above, which may be the names.

    Examples
    --------
    >>> find_shape([["Sales of 2020"], ["size", "price"], ["1", "2"], ["3", "4"]])
    Shape(first=2, names=('size', 'price'), notes=('left out 1 line above the table',))
    >>> find_shape([["5.1", "Ulm"], ["4.9", "Bonn"], ["5.0", "Ulm"]]).names
    ('column_1', 'column_2')
    """
    if not any(value.strip() for row in rows for value in row):
        return Shape(0, (), ())
    width = _width(rows)
    titles = _titles(rows, width)
    notes = []
    if titles:
        lines = "line" if titles == 1 else "lines"
        notes.append(f"left out {titles} {lines} above the table")
    rows = rows[titles:]
    named = has_names(rows, width, expected) if header is None else header
    if named:
        heading, second = rows[0], is_second_heading(rows[1:])
        if second:
            heading, told = _of_two_lines(rows[0], rows[1])
            notes.append(told)
        return Shape(titles + 1 + second, *_names(heading, rows[1:], width, notes), titles)
    if header is None and len(above) == width and not any(map(_is_number, above)):
        return Shape(titles, *_names(above, rows, width, [*notes, "the names stand in a comment"]))
    names = _numbered(width, expected)
    known = expected and all(map(_NUMBERED.fullmatch, expected))
    if header is None and not known:
        notes.append(
            f"no names in the first line ({_shown(rows[0])}): the columns are {names[0]} to "
            f"{names[-1]}; --header takes it for the names"
        )
    return Shape(titles, names, tuple(notes))


def _width(rows: Sequence[Sequence[str]]) -> int:
    count = Counter(map(len, rows))
    return max(count, key=lambda n: (count[n], n))


def _titles(rows: Sequence[Sequence[str]], width: int) -> int:
    """Count the rows above the table: of one value, or far too few, where all others have more."""
    most = 2 * sum(len(row) == width for row in rows) > max(5, len(rows))
    filled = [sum(bool(v.strip()) for v in row) for row in rows[: MOST_TITLES + 1]]
    used = min(width, _width([_without_blank_end(row) for row in rows]))  # 1,2,3,,, has three
    for i, (row, count) in enumerate(zip(rows, filled[:-1], strict=False)):
        unsure = count == 1 and width == 2 and len(row) == 2 and filled[i + 1] > 0
        too_short = most and len(row) < used - 1
        if width < 2 or (count > 1 and not too_short) or unsure:
            return i
    return 0


def _without_blank_end(row: Sequence[str]) -> Sequence[str]:
    filled = [i for i, value in enumerate(row) if value.strip()]
    return row[: filled[-1] + 1] if filled else ()


def has_names(rows: Sequence[Sequence[str]], width: int, expected: Sequence[str] = ()) -> bool:
    """Whether the first row names the columns: by names that are known, else by the values.

    A word above numbers speaks for names; a value like those below it speaks against.

    Parameters
    ----------
    width : int
        How many values a row has.

    Examples
    --------
    >>> has_names([["1990", "2000"], ["0.5", "7"], ["0.1", "8"]], 2)
    True
    >>> has_names([["b", "x"], ["a", "x"], ["b", "y"]], 2)
    False
    """
    first = [v.strip() for v in rows[0]]
    known = {name.casefold() for name in expected}
    if known and any(v.casefold() in known for v in first if v):
        return True
    if known and all(map(_NUMBERED.fullmatch, expected)):
        return False
    if len(rows) == 1:
        return not (first and all(_is_number(v) or v.lower() in GAPS for v in first))
    if _counts_up(first) and not _counts_up(rows[1]):
        return True
    again = [row for row in rows[1:] if row != rows[0]]
    if len(again) < len(rows) - 1:
        votes = _votes(first[:width], again)
        if votes.count(_NAME) > votes.count(_NUMBER) + votes.count(_WORD):
            return True  # names that stand there again, as where files were joined
    votes = _votes(first[:width], rows[1:])
    against = votes.count(_NUMBER) + votes.count(_WORD)
    if _NAME in votes:
        return votes.count(_NAME) >= against
    if _YEAR in votes:  # country, 2008
        return not against
    # A name may be one of the words below it by chance; not in half of the columns.
    return _NUMBER not in votes and 2 * against < max(1, len(votes))


def _votes(first: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    each = ((v, [row[i].strip() for row in rows if i < len(row)]) for i, v in enumerate(first))
    return [_vote(value, below) for value, below in each if value]


def is_second_heading(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the line below the names has units, more names or dashes, and no values.

    It has no number in any of the columns that are numbers below it, which are two at least, and
    a word in half of them; or dashes alone; or says of several columns that they are a survey's
    responses.

    Parameters
    ----------
    rows : sequence of sequence of str
        Those below the names.

    Examples
    --------
    >>> is_second_heading([["[m]", "[kg]"], ["1", "2"], ["3", "4"], ["5", "6"]])
    True
    """
    if len(rows) < 4:
        return False
    first, *rest = rows
    if _is_ruled(first) or len(_answers(first)) > 1:
        return True
    words = numbers = 0
    for i, value in enumerate(v.strip() for v in first):
        below = [v for row in rest if i < len(row) and (v := row[i].strip())]
        if below and parse_column(objects(below)).kind != "words":
            numbers += 1
            gap = value.lower() in NUMBER_GAPS
            if value and not gap and parse_column(objects([value])).kind != "words":
                return False
            words += bool(value) and not gap and value not in below
    return numbers > 1 and 2 * words >= numbers


def _is_ruled(row: Sequence[str]) -> bool:
    """Whether a row has dashes alone, as below the names of Markdown."""
    filled = [v.strip() for v in row if v.strip()]
    return bool(filled) and all(re.fullmatch("[-:=+]{2,}", v) for v in filled)


def _of_two_lines(first: Sequence[str], second: Sequence[str]) -> tuple[list[str], str]:
    """The names: those of the first line, but of the second where the first has gaps."""
    shown = _shown(second)
    numbered = _counts_up(first) and first[0].strip() in ("", "0", "1")  # by a program
    full = all(v.strip() for v in first[: len(second)]) and not numbered
    if _is_ruled(second) or full:
        return list(first), f"left out the line below the names ({shown}): it has no numbers"
    answers = _answers(second)
    found = [
        a if a.strip() and (i in answers or not b.strip()) else b
        for i, (a, b) in enumerate(zip(first, second, strict=False))
    ]
    return found, f"the names stand in the second of two lines ({shown})"


def _answers(row: Sequence[str]) -> list[int]:
    """Where a survey's second line says that the first one has the question."""
    return [i for i, value in enumerate(row) if value.strip().lower() in _ANSWERS]


def _vote(value: str, below: Sequence[str]) -> int:
    """Whether the value is a name, or one of the numbers or words below it, or nothing tells."""
    below = [v for v in below if v]
    if not below or value.lower() in GAPS:
        return 0
    parsed = parse_column(objects(below))
    if parsed.kind == "words":
        return _WORD if value in below else 0
    if parse_column(objects([value])).kind != parsed.kind or not _is_read_as(value, parsed):
        return _NAME
    return _YEAR if _is_year_apart(value, parsed.values) else _NUMBER


def _is_read_as(value: str, parsed: Parsed) -> bool:
    """Whether a value is written as a column's: 2022 Population is above 41128771, 5 kg not."""
    try:
        read = parse_as(objects([value]), parsed.kind, parsed.style, "")
    except TableError:
        return False
    return not np.isnan(read[0])


def _is_year_apart(value: str, below: np.ndarray) -> bool:
    """Whether a year stands above numbers that are none, ten or more."""
    low, high = _YEARS
    if below.dtype.kind == "M" or len(below) < 10 or not re.fullmatch(r"\d{4}", value):
        return False
    years = (below >= low) & (below <= high)
    return low <= int(value) <= high and not years.any()


def _is_number(value: str) -> bool:
    return parse_column(objects([value])).kind == "numeric"


def _counts_up(row: Sequence[str]) -> bool:
    """Whether a row has three numbers or more that rise evenly, as 0, 1, 2, or years in order."""
    numbers = [int(v) for v in row if v.strip().isdecimal()]
    steps = np.diff(numbers)
    even = len(numbers) > 2 and steps[0] > 0 and bool((steps == steps[0]).all())
    years = len(numbers) > 1 and all(_YEARS[0] <= n <= _YEARS[1] for n in numbers)
    return even or (years and bool((steps > 0).all() or (steps < 0).all()))


def _names(
    first: Sequence[str], below: Sequence[Sequence[str]], width: int, notes: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Distinct names for all columns, and the notes on what was changed."""
    names = [" ".join(v.split()) if v.isspace() else v.strip() for v in first]
    extra = any(value.strip() for row in below for value in row[len(names) :])
    if extra and len(names) == width - 1 and _rows_are_named(below, width):
        names = ["", *names]  # R writes its names of rows so
        notes = [*notes, "the first column has no name, the others have theirs one further on"]
    elif not extra:
        names += [""] * (width - len(names))
    named, renamed = distinct_names([name for name in names if name])
    new = iter(named)
    return tuple(name and next(new) for name in names), (*notes, *renamed)


def _rows_are_named(below: Sequence[Sequence[str]], width: int) -> bool:
    different = {row[0] for row in below}
    return len(below) > 2 and len(different) == len(below) and {*map(len, below)} == {width}


def _numbered(width: int, expected: Sequence[str]) -> tuple[str, ...]:
    """column_1 and so on; without the target's number where that column alone is lacking."""
    known = [int(m[1]) for m in map(_NUMBERED.fullmatch, expected) if m]
    numbers = list(range(1, width + 1))
    if known and len(known) == len(expected) and max(known) == width + 1 and known[-1] <= width:
        numbers = [n for n in range(1, width + 2) if n != known[-1]]
    return tuple(f"column_{n}" for n in numbers)


def _shown(row: Sequence[str]) -> str:
    shown = ", ".join(v.strip() for v in row[:3]) + (", ..." if len(row) > 3 else "")
    return shown if len(shown) < 60 else shown[:57] + "..."
