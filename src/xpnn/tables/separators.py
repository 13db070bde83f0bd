"""What stands between the values of a text table: a mark, spaces, or the columns' places."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from xpnn.tables.columns import TableError
from xpnn.tables.numerals import all_plain

MARKS = ("\t", ";", "|", ",")
"""In the order of preference where several fit: 1,5;2,5 has decimal commas."""

_RARE = ("\x01", "^", "~")
"""Looked for where none of the others fits: Hive's, and what people take instead of commas."""

FIXED = "\x1f"
"""Stands between the values of a table that had columns of fixed width."""

_WORDS = {"tab": "\t", "\\t": "\t", "space": " ", "spaces": " ", "whitespace": " ", "\\s+": " "}
_WORDS |= {"comma": ",", "semicolon": ";", "pipe": "|"}
_SAMPLE = 200


@dataclass(frozen=True)
class Separator:
    """How values stand in a line."""

    mark: str  # of one character; " " stands for any number of spaces and tabs
    quote: str = '"'  # what may stand around a value
    places: tuple[int, ...] = ()  # where the columns of fixed width begin; empty for others


def known_separator(text: str) -> str:
    r"""What the option ``--sep`` means.

    Returns
    -------
    str
        One character.

    Examples
    --------
    >>> known_separator("tab"), known_separator(";")
    ('\t', ';')
    """
    mark = _WORDS.get(text.lower(), text)
    if len(mark) != 1 or mark in "\r\n\"'":
        raise TableError(f"--sep takes one character, or tab or space, got {text!r}.")
    return mark


def find_separator(lines: Sequence[str], suffix: str = "") -> Separator:
    r"""Tell the separator from a table's first lines.

    The mark is taken that gives most lines the same number of values.

    Parameters
    ----------
    lines : sequence of str
        With their ends; comments are left out already.
    suffix : str
        The file's, such as ``.tsv``.

    Examples
    --------
    >>> find_separator(["a;b\n", "1,5;2\n", "2,5;3\n"]).mark
    ';'
    >>> find_separator(["name  size\n", "new york 12\n", "ulm       3\n"]).mark
    ','
    """
    lines = [line for line in lines[:_SAMPLE] if line.strip()]
    if not lines:
        return Separator(",")
    fits = {mark: _fit(lines, mark) for mark in MARKS}
    first = "\t" if suffix == ".tsv" else ""
    best = max(MARKS, key=lambda m: (round(fits[m], 1), m == first, -MARKS.index(m)))
    if fits[best] > 0.5:
        return Separator(best, _quote(lines, best))
    for mark in _RARE:
        if _fit(lines, mark) > 0.9:
            return Separator(mark, _quote(lines, mark))
    stripped = [re.sub(r"[ \t]+", " ", line.strip()) + "\n" for line in lines]
    body = stripped[1:] if len(stripped) > 3 else stripped  # R has one name less than values
    if _fit(body, " ") > 0.9 and (suffix not in (".csv", ".tsv") or _has_numbers(stripped)):
        return Separator(" ", _quote(stripped, " "))
    places = _places(lines)
    if len(places) > 1:
        return Separator(FIXED, places=places)
    return Separator(max(",;\t|", key=lines[0].count))


def best_fit(lines: Sequence[str]) -> float:
    """The part of the lines that have the same number of values, with the best of the marks.

    Parameters
    ----------
    lines : sequence of str
        With their ends.

    Examples
    --------
    >>> best_fit(["a;b", "c;d", "e"])
    0.6666666666666666
    """
    return max(_fit(lines, mark) for mark in MARKS)


def one_mark(text: str) -> str:
    r"""A text whose values stand between pairs of colons, with one character in their place.

    Others are left as they are: those where each line has not the same number of pairs, two at
    least, and where another mark fits.

    Examples
    --------
    >>> one_mark("1::a|b::5\n2::c::4\n").splitlines()
    ['1\x01a|b\x015', '2\x01c\x014']
    """
    lines = [line + "\n" for line in text[: 1 << 16].splitlines()[:_SAMPLE] if line.strip()]
    pairs = {line.count("::") for line in lines[: -1 if len(text) > 1 << 16 else None]}
    if len(pairs) != 1 or min(pairs) < 2 or _RARE[0] in text or best_fit(lines) > 0.5:
        return text
    return text.replace("::", _RARE[0])


def _fit(lines: Sequence[str], mark: str) -> float:
    """The part of the rows that have the same number of values, two at least."""
    counts = Counter(len(row) for row in _rows(lines, mark) if row)
    number, times = max(counts.items(), key=lambda item: item[1], default=(0, 0))
    return times / counts.total() if number > 1 else 0.0


def _rows(lines: Sequence[str], mark: str, quote: str = '"') -> list[list[str]]:
    try:
        return list(csv.reader(lines, delimiter=mark, quotechar=quote, skipinitialspace=True))
    except csv.Error:
        return []


def _has_numbers(lines: Sequence[str]) -> bool:
    rows = _rows(lines, " ")
    return any(all_plain(column) for column in zip(*rows[1:], strict=False))


def _quote(lines: Sequence[str], mark: str) -> str:
    """A single quote where a whole column stands in them and no double quote is used."""
    if any('"' in line for line in lines):
        return '"'
    for column in zip(*_rows(lines, mark)[1:], strict=False):
        values = [v for v in column if v]
        if values and all(len(v) > 1 and v[0] == v[-1] == "'" for v in values):
            return "'"
    return '"'


def _places(lines: Sequence[str]) -> tuple[int, ...]:
    """Where columns of fixed width begin: after places that are blank in every line."""
    lines = [line.rstrip("\r\n").expandtabs(8) for line in lines]
    width = max(map(len, lines), default=0)
    filled = [any(line[i : i + 1].strip() for line in lines) for i in range(width)]
    starts = [i for i in range(width) if filled[i] and (i == 0 or not filled[i - 1])]
    columns = [[v.strip() for v in column] for column in zip(*cut(lines, starts), strict=True)]
    full = all(sum(map(bool, column)) > 0.6 * len(lines) for column in columns)
    numbers = any(all_plain(column[1:]) for column in columns)
    return tuple(starts) if len(lines) > 3 and full and numbers else ()


def cut(lines: Sequence[str], places: Sequence[int]) -> list[list[str]]:
    """Cut lines where the columns of fixed width begin.

    Parameters
    ----------
    lines : sequence of str
        Without tabs.

    Examples
    --------
    >>> cut(["ulm      3", "new york 12"], [0, 9])
    [['ulm', '3'], ['new york', '12']]
    """
    ends = [*places[1:], None]
    spans = [slice(a, b) for a, b in zip(places, ends, strict=True)]
    return [[line[span].strip() for span in spans] for line in lines]
