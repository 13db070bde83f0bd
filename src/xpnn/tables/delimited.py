"""Tables of text into columns: by pyarrow where it is installed and the text is regular."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from xpnn.tables.columns import TableError
from xpnn.tables.foot import MOST_LINES, lines_of_foot, told_foot
from xpnn.tables.progress import reading_bar
from xpnn.tables.separators import (
    FIXED,
    Separator,
    best_fit,
    cut,
    find_separator,
    known_separator,
    one_mark,
)
from xpnn.tables.shape import MOST_TITLES, Shape, find_shape
from xpnn.tables.texts import ArrowColumn, TextColumn

_HEAD = 200
_PIECE = 20_000
_END = "\0end"
_COMMENT = re.compile(r"[ \t]*(#|%|//)")
_NUMBERED = re.compile(r"#([,;|\t])")  # names, of which the first is #


@dataclass(frozen=True)
class Split:
    """What a table of text holds: a column for each name of the shape."""

    shape: Shape
    columns: tuple[TextColumn | ArrowColumn, ...]
    notes: tuple[str, ...] = ()


def read_delimited(
    text: str,
    source: str,
    *,
    suffix: str = "",
    sep: str | None = None,
    header: bool | None = None,
    expected: Sequence[str] = (),
    arrow: bool = True,
) -> Split:
    r"""Tell a text's separator, names and data, and split it.

    Parameters
    ----------
    suffix : str
        The file's, such as ``.tsv``.
    sep : str, default=None
    header : bool, default=None
        None tells both.
    arrow : bool, default=True
        Whether pyarrow may be used.

    Raises
    ------
    TableError
        For a row of too many values, or a quote that is never closed.

    Examples
    --------
    >>> read = read_delimited("size,town\n1,Ulm\n2,Bonn\n", "t.csv")
    >>> read.shape.names, read.columns[1].text().tolist()
    (('size', 'town'), ['Ulm', 'Bonn'])
    """
    text, unquoted = _unquoted(text if sep else one_mark(text))
    start, above, notes, told = _before(text)
    notes += unquoted
    separator = _separator(text, start, suffix, sep or told)
    comment = [] if above is None else _split(above, separator)
    line = _count_lines(text[:start])
    if separator.mark in (" ", FIXED):
        text, start = _regular(text[start:], separator), 0
    head = list(islice(_rows_with_ends(text, start, separator), _HEAD))
    shape = find_shape([row for row, _ in head], header, expected, comment)
    if not shape.names:
        return Split(shape, (), tuple(notes))
    if shape.first:
        end = head[shape.first - 1][1]
        heading = text[head[shape.heading - 1][1] if shape.heading else start : end]
        line, start = line + _count_lines(text[start:end]), end
        text, again = _without_repeats(text, start, heading, len(shape.names))
        notes += again
    if separator.mark not in (" ", FIXED):
        rows = [row for row, _ in head[shape.first :]]
        text, below = _without_foot(text, start, separator, len(shape.names), rows)
        notes += below
    found = _by_arrow(text[start:], shape, separator) if arrow else None
    if found is not None:
        return Split(shape, found, tuple(notes))
    columns, more = _by_rows(_Body(text, start, line, separator, source), len(shape.names))
    return Split(shape, columns, (*notes, *more))


def _without_repeats(text: str, start: int, heading: str, width: int) -> tuple[str, list[str]]:
    """Lines that repeat the names, as where files were joined, are made empty."""
    names = heading.strip("\r\n")
    if width < 2 or not names or "\n" in names or text.find(names, start) < 0:
        return text, []
    lines = re.compile(rf"(?:(?<=\n)|(?<=\r)){re.escape(names)}[ \t]*(?=[\r\n]|\Z)")
    body, count = lines.subn("", text[start - 1 :])
    repeat = "line that repeats" if count == 1 else "lines that repeat"
    return (
        text[: start - 1] + body,
        [f"left out {count:,} {repeat} the names"] if count else [],
    )


def _without_foot(
    text: str, start: int, separator: Separator, width: int, rows: Sequence[Sequence[str]]
) -> tuple[str, list[str]]:
    """Without the notes below a table."""
    last = list(_lines(text, max(start, len(text) - (1 << 16))))[-MOST_LINES:]
    odd = [i for i, line in enumerate(last) if line.count(separator.quote) % 2]
    last = last[odd[-1] + 1 :] if odd else last  # a value of several lines ends there
    tail: list[list[str]] = [next(_reader([line], separator), []) for line in last]
    above = rows[: max(0, len(rows) - len(tail))] or [row for row in rows if len(row) == width]
    count = lines_of_foot(tail, width, above)
    cut = len(text) - sum(map(len, last[len(last) - count :]))
    return text[:cut], told_foot(tail[len(tail) - count :])


def _count_lines(text: str) -> int:
    return sum(1 for _ in _lines(text))


def _lines(text: str, start: int = 0) -> Iterator[str]:
    """Lines with their ends, which str.splitlines would find at form feeds and others too."""
    while start < len(text):
        end = text.find("\n", start + (1 << 20)) + 1 or len(text)
        # A piece at a time: io.StringIO takes four bytes a character.
        yield from io.StringIO(text[start:end], newline="")
        start = end


def _before(text: str) -> tuple[int, str | None, list[str], str | None]:
    """Where the lines after blank ones and comments begin, the last comment, and sep=."""
    place, comments, last, told, above = 0, 0, None, None, ""
    for line in _lines(text):
        bare = line.strip()
        if told is None and re.fullmatch(r"sep=.", bare):
            told = bare[-1]
        elif bare and not _COMMENT.match(line):
            named = _NUMBERED.match(above)
            if named and above.count(named[1]) == line.count(named[1]):
                place, comments, last = place - len(above), comments - 1, None
            break
        elif bare:
            comments, last = comments + 1, bare.lstrip("#%/ \t")
        place, above = place + len(line), line
    if place >= len(text):  # nothing else, as in a table of one column of #
        return 0, None, [], told
    lines = "line" if comments == 1 else "lines"
    notes = [f"left out {comments} {lines} of comments"] if comments else []
    return place, last, notes, told


def _unquoted(text: str) -> tuple[str, list[str]]:
    """Without the quotes around whole lines, which then read as one column."""
    head = [line.strip() for line in islice(_lines(text), _HEAD) if line.strip()]
    whole = re.compile(r'"([^"]|"")+"')
    if len(head) < 2 or not all(map(whole.fullmatch, head[1:])):
        return text, []
    with _long_fields():
        rows = [row for row in csv.reader(_lines(text)) if row]
    lines = [row[0] for row in rows]
    if {*map(len, rows)} != {1} or best_fit([line + "\n" for line in lines[1:_HEAD]]) < 0.9:
        return text, []
    return "\n".join(lines), ["each line stands in quotes, which were left out"]


def _separator(text: str, start: int, suffix: str, sep: str | None) -> Separator:
    lines = list(islice(_lines(text, start), _HEAD + MOST_TITLES))
    with _long_fields():
        found = find_separator(lines, suffix)
    if sep is None:
        return found
    mark = known_separator(sep)
    return found if mark == found.mark else Separator(mark)


def _split(line: str, separator: Separator) -> list[str]:
    if separator.mark == FIXED:
        return line.split()
    return next(csv.reader([_regular(line, separator)], delimiter=separator.mark), [])


def _regular(text: str, separator: Separator) -> str:
    """Spaces as one mark between values, columns of fixed width with a mark between them."""
    lines = [line.rstrip("\r\n") for line in _lines(text)]
    if separator.mark == FIXED:
        rows = cut([line.expandtabs(8) for line in lines if line.strip()], separator.places)
        return "\n".join(FIXED.join(row) for row in rows)
    if separator.mark == " ":
        return "\n".join(re.sub(r"[ \t]+", " ", line.strip()) for line in lines)
    return text


@contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module refuses a value of more than 131,072 characters."""
    before = csv.field_size_limit(sys.maxsize if sys.maxsize < 2**31 else 2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _reader(lines: Iterable[str], separator: Separator) -> Any:
    return csv.reader(
        lines,
        delimiter=separator.mark,
        quotechar=separator.quote,
        quoting=csv.QUOTE_NONE if separator.mark == FIXED else csv.QUOTE_MINIMAL,
        skipinitialspace=separator.mark != FIXED,
    )


def _rows_with_ends(text: str, start: int, separator: Separator) -> Iterator[tuple[list[str], int]]:
    r"""Rows, and where in the text each ends. Only \n, \r and \r\n end a line."""
    end = start

    def counted() -> Iterator[str]:
        nonlocal end
        for line in _lines(text, start):
            end += len(line)
            yield line

    with _long_fields():
        for row in _reader(counted(), separator):
            if row:
                yield row, end


def _by_arrow(body: str, shape: Shape, separator: Separator) -> tuple[ArrowColumn, ...] | None:
    """By pyarrow, which reads 600,000 rows in the time that the csv module has for 30,000.

    None where it is not installed, or where it might read something else than the csv module.
    """
    if separator.mark == FIXED or separator.quote != '"' or not separator.mark.isascii():
        return None
    quoted = '"' in body
    if quoted and _has_odd_quotes(body, separator.mark):
        return None
    try:
        import pyarrow as pa
        from pyarrow import csv as reader
    except ImportError:
        return None
    names = [str(i) for i in range(len(shape.names))]
    try:
        table = reader.read_csv(
            pa.BufferReader(body.encode()),
            reader.ReadOptions(column_names=names, block_size=1 << 22),
            reader.ParseOptions(delimiter=separator.mark, newlines_in_values=quoted),
            reader.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, UnicodeEncodeError):
        return None  # the csv module will say what is wrong, and where
    if quoted and table.num_rows and _open_at_end(body, table.column(len(names) - 1)[-1].as_py()):
        return None
    return tuple(ArrowColumn(column) for column in table.columns)


def _has_odd_quotes(body: str, mark: str) -> bool:
    """Whether quotes stand within values, or after a space that the csv module skips."""
    inside = rf'"(?<=[^{re.escape(mark)}\n\r"]")(?=[^{re.escape(mark)}\n\r"])'
    spaced = (f'{mark} "', '\n "', '\r "', '  "')
    return (
        body.count('"') % 2 == 1
        or body.startswith(' "')
        or any(quote in body for quote in spaced)
        or re.search(inside, body) is not None
    )


def _open_at_end(body: str, last: str) -> bool:
    """Whether a quote begins the last value and none ends it."""
    return body.endswith('"' + last.replace('"', '""')) and (last != "" or body[-2:] != '""')


@dataclass(frozen=True)
class _Body:
    """A table's rows below the names, from a place in a text."""

    text: str
    start: int
    line: int
    separator: Separator
    source: str

    def rows(self) -> Any:
        """Rows, and at last `_END` alone, unless a quote is open."""
        return _reader(chain(_lines(self.text, self.start), [_END]), self.separator)

    def error(self, index: int, message: str) -> TableError:
        """An error in the row of this number, counted without empty ones."""
        rows, before, found = self.rows(), 0, -1
        for row in rows:
            found += bool(row)
            if found == index:
                break
            before = rows.line_num
        return TableError(f"{self.source}, line {self.line + before + 1}: {message}")


def _by_rows(body: _Body, width: int) -> tuple[tuple[TextColumn, ...], list[str]]:
    """By the standard library, a piece at a time."""
    columns = tuple(TextColumn() for _ in range(width))
    done, short, closed = 0, 0, False
    lines = body.text.count("\n", body.start)
    with _long_fields(), reading_bar(lines, "row", f"reading {Path(body.source).name}") as bar:
        rows = body.rows()
        while piece := list(islice(rows, _PIECE)):
            bar.update(len(piece))
            piece = [row for row in piece if row]
            closed = bool(piece) and piece[-1] == [_END]
            if closed:
                piece.pop()
            straight = piece
            if set(map(len, piece)) - {width}:
                straight, filled = _straighten(piece, width, body, done)
                short += filled
            done += len(piece)
            for column, texts in zip(columns, zip(*straight, strict=True), strict=False):
                column.append(texts)
        if not closed:
            raise body.error(
                done - 1, "a quote is opened that is never closed; close or remove it."
            )
    rows_are = "row has" if short == 1 else "rows have"
    notes = [f"{short:,} {rows_are} too few values; the others count as missing"] if short else []
    return columns, notes


def _straighten(
    rows: Sequence[list[str]], width: int, body: _Body, done: int
) -> tuple[list[list[str]], int]:
    """Rows of the same width: short ones filled, empty ends cut, comments left out."""
    straight, short = [], 0
    for i, row in enumerate(rows):
        if len(row) < width:
            if row[0].lstrip().startswith("#") or not any(map(str.strip, row)):
                continue
            row = row + [""] * (width - len(row))
            short += 1
        elif len(row) > width:
            if any(map(str.strip, row[width:])):
                if row[-1].endswith(_END):
                    continue
                raise body.error(
                    done + i,
                    f"{len(row)} values under {width} columns. Put quotes around a value that "
                    f"holds {body.separator.mark!r}, or name the separator with --sep.",
                )
            row = row[:width]
        straight.append(row)
    return straight, short
