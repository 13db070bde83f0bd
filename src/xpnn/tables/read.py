"""Tables from files, standard input and scikit-learn's bundled data."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.tables.arff import csv_of_arff
from xpnn.tables.columns import Columns, TableError, as_text, hint, objects
from xpnn.tables.delimited import read_delimited
from xpnn.tables.foot import MOST_LINES, lines_of_foot, told_foot
from xpnn.tables.progress import counted
from xpnn.tables.records import read_json
from xpnn.tables.separators import known_separator
from xpnn.tables.shape import find_shape
from xpnn.tables.sources import check_encoding, decode, read_bytes
from xpnn.tables.texts import ArrowColumn, Source, TextColumn
from xpnn.tables.typed import FEATHER, read_parquet
from xpnn.tables.values import Parsed, parse_column
from xpnn.tables.workbooks import read_workbook

BUNDLED = {
    "digits": "classification",
    "iris": "classification",
    "wine": "classification",
    "breast_cancer": "classification",
    "diabetes": "regression",
}
"""scikit-learn's bundled data sets that `read_table` knows, and their tasks."""

_PACKINGS = (".gz", ".zip", ".xz", ".bz2", ".tgz", ".tar")


@dataclass(frozen=True)
class ReadOptions:
    """How a table is written, where it is not to be told by the table.

    Raises
    ------
    TableError
        For marks that cannot be.

    Examples
    --------
    >>> ReadOptions(sep=";", decimal=",").decimal_mark
    ','
    """

    sep: str | None = None  # what stands between values: one character, ``tab`` or ``space``
    encoding: str | None = None  # such as ``cp1252``
    decimal: str | None = None  # the mark within numbers, as `thousands` is
    thousands: str | None = None
    na: tuple[str, ...] = ()  # more texts that stand for missing values
    header: bool | None = None  # whether the first line names the columns
    sheet: str | None = None  # of a workbook

    def __post_init__(self) -> None:
        if self.sep is not None:
            known_separator(self.sep)
        if self.encoding is not None:
            check_encoding(self.encoding)
        if self.decimal not in (None, ".", ","):
            raise TableError(f"--decimal takes . or , and not {self.decimal!r}.")
        if self.thousands not in (None, ".", ",", "'", " ", "space"):
            raise TableError(f"--thousands takes . , ' or space, and not {self.thousands!r}.")
        if self.decimal is not None and self.decimal == self.thousands:
            raise TableError(f"--decimal and --thousands are both {self.decimal!r}; change one.")

    @property
    def decimal_mark(self) -> str | None:
        """The decimal mark that was named, or that the mark of thousands leaves."""
        return self.decimal or {".": ",", ",": "."}.get(self.thousands or "")


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Examples
    --------
    >>> table = Table("t", {"size": np.array([1.0, 2.5])})
    >>> table.n_rows, table.text("size").tolist()
    (2, ['1', '2.5'])
    """

    name: str
    columns: Columns
    """Numbers and datetime64[us] where nothing is left to be told; else the text as written, None
    where it is empty, for `xpnn.tables.values.parse_column`."""
    target: str | None = None  # known for bundled data
    task: str | None = None  # likewise
    notes: tuple[str, ...] = ()  # what was decided in reading, to be shown
    decimal: str | None = None  # the decimal mark, where it was named
    texts: Mapping[str, Source] = field(default_factory=dict, repr=False, compare=False)
    """What gives the spelling of columns whose values do not tell it."""
    categories: frozenset[str] = frozenset()  # words because the file says so, whatever they hold

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def text(self, name: str) -> np.ndarray:
        """A column as the file has it: str without spaces around, or None."""
        return self.texts[name]() if name in self.texts else as_text(self.columns[name])

    def parsed(self, name: str) -> Parsed:
        """A column as it is read alone, with the decimal mark that was named, if any."""
        return parse_column(self.columns[name], decimal=self.decimal, name=name)

    def as_named(self, style: Mapping[str, Any]) -> dict[str, Any]:
        """A style of `xpnn.tables.values.parse_as` with the decimal mark that was named, if any."""
        # The other mark then is that of thousands, whatever training had.
        named = {} if self.decimal is None else {"decimal": self.decimal, "grouped": True}
        return {**style, **named}

    def lacking(self, name: str, what: str = "has no column {}") -> TableError:
        """The error for a column that is not there, with what was decided in reading."""
        near = hint(name, list(self.columns))
        read = f" In reading: {'; '.join(self.notes)}." if self.notes else ""
        return TableError(f"{self.name} {what.format(repr(name))}{near}.{read}")

    def with_text(self, names: Iterable[str]) -> Columns:
        """The columns, those named as text: for `xpnn.tables.values.parse_as` in prediction.

        Words need it, and numbers of a style: 1.234 is 1234 where training had decimal commas.

        Parameters
        ----------
        names : iterable of str
            Others than the table's are ignored.

        Returns
        -------
        dict of str to ndarray
        """
        return self.columns | {n: self.text(n) for n in names if n in self.columns}


def read_table(
    source: str | os.PathLike[str],
    options: ReadOptions | None = None,
    *,
    expected: Sequence[str] = (),
) -> Table:
    """Read a table of text, Parquet or a workbook, or one of scikit-learn's bundled data sets.

    What the file is, is told by its content; so are separator, encoding and names, as far as
    the options leave it open; text may be JSON. Large tables of text are read
    by pyarrow where it is installed.

    Parameters
    ----------
    source : path-like or str
        A file that exists, perhaps packed; ``-`` for standard input; or one of `BUNDLED`.
    options : ReadOptions, default=None
    expected : sequence of str
        Names known from training, the target's last: they tell whether names stand in the file.

    Raises
    ------
    ImportError
        For Parquet without pyarrow or workbooks without openpyxl; says how to install it.

    Examples
    --------
    >>> table = read_table("iris")
    >>> table.n_rows, table.target, list(table.columns)[0]
    (150, 'target', 'sepal length (cm)')
    """
    path, options = Path(source), options or ReadOptions()
    if str(source) in BUNDLED and not path.is_file():
        return _bundled(str(source))
    if path.is_dir():
        raise TableError(f"{source} is a folder; give a CSV or Parquet file in it.")
    if str(source) != "-" and not path.exists():
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(source)):
            raise TableError(f"{source} is an address, not a file: download it, and name the file.")
        near = "" if path.suffix else hint(str(source), BUNDLED)
        raise TableError(f"There is no file {source}{near}.")
    if path.suffix.lower() in _PACKINGS:
        path = path.with_suffix("")
    table = _read(read_bytes(source), str(source), path, options, expected)
    table = replace(table, decimal=options.decimal_mark)
    if table.n_rows == 0:
        raise TableError(f"{source} is empty: it has no rows.")
    return _without(table, options.na) if options.na else table


def _read(
    data: bytes, source: str, path: Path, options: ReadOptions, expected: Sequence[str]
) -> Table:
    name, suffix = "stdin" if source == "-" else path.stem, path.suffix.lower()
    named = re.match(rb'PAR1"?[\w,;|\t]', data)  # a column of that name
    if (data.startswith((b"PAR1", FEATHER)) and not named) or suffix in (".parquet", ".pq"):
        columns, texts, notes = read_parquet(data, source)
        return Table(name, columns, notes=tuple(notes), texts=texts)
    if data.startswith(b"PK\x03\x04") or suffix == ".xlsx":
        return _of_workbook(data, source, name, options, expected)
    if options.sheet is not None:
        raise TableError(f"--sheet is for a workbook, and {source} is none; leave it out.")
    text, notes = decode(data, source, options.encoding)
    if re.match(r"\s*+<(!doctype|!--|html|head|body|div|table|\?xml)", text, re.IGNORECASE):
        raise TableError(f"{source} is a web page, not a table; save it as CSV.")
    if (records := read_json(text, source, suffix)) is not None:
        given, told = records
        columns_of_text = list(map(_of_text, given.values()))
        return _named(name, list(given), columns_of_text, options, [*notes, *told], expected)
    sep, header, categories = options.sep, options.header, frozenset[str]()
    if (weka := csv_of_arff(text, source)) is not None:
        (text, categories), sep, header = weka, ",", True
        notes = [*notes, "an ARFF file: the names stand in its head"]
    split = read_delimited(text, source, suffix=suffix, sep=sep, header=header, expected=expected)
    all_notes = [*notes, *split.notes, *split.shape.notes]
    table = _named(name, split.shape.names, split.columns, options, all_notes, expected)
    return replace(table, categories=categories & set(table.columns))


def _of_workbook(
    data: bytes, source: str, name: str, options: ReadOptions, expected: Sequence[str]
) -> Table:
    rows, notes = read_workbook(data, source, options.sheet, expected)
    shape = find_shape(rows[:200], options.header, expected)
    if shape.first and len(shape.names) > 1:
        rows = [r for i, r in enumerate(rows) if i < shape.first or r != rows[shape.heading]]
    rows, below = _without_foot(rows[shape.first :])
    found = [_of_text(column) for column in zip(*rows, strict=True)]
    return _named(name, shape.names, found, options, [*notes, *below, *shape.notes], expected)


def _of_text(values: Sequence[str]) -> TextColumn:
    column = TextColumn()
    column.append(values)
    return column


def _without_foot(rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """A sheet's rows without the notes below, where a last one may not just lack its target."""
    width = len(rows[0]) if rows else 0
    tail = [row if any(row[1:]) else row[:1] for row in rows[-MOST_LINES:]]
    above = rows[:-MOST_LINES] or [row for row in tail if len(row) > 1]
    count = lines_of_foot(tail, width, above) if width > 2 else 0
    return rows[: len(rows) - count], told_foot(rows[len(rows) - count :])


def _named(
    name: str,
    names: Sequence[str],
    found: Sequence[TextColumn | ArrowColumn],
    options: ReadOptions,
    notes: list[str],
    expected: Sequence[str] = (),
) -> Table:
    """A table of columns of text; those without name and nearly without values are left out."""
    columns: Columns = {}
    texts: dict[str, Source] = {}
    pairs = zip(names, found, strict=False)
    read = counted(pairs, len(found), "column", f"columns of {name}")
    for i, (given, column) in enumerate(read):
        values = column.values() if options.decimal_mark is None else column.text()
        known = 1 if given else sum(v is not None and v == v for v in values.tolist())
        few = not given and 20 * known <= len(values)  # a note beside the table
        if few and f"column_{i + 1}" not in expected:
            if known:
                notes.append(
                    f"left out column {i + 1}: no name, and {known:,} of {len(values):,} values"
                )
            continue
        called = given or f"column_{i + 1}"
        while not given and called in names:
            called += "_"
        if not given:
            notes.append(f"a column without a name is called {called!r}")
        columns[called], texts[called] = values, column.text
    return Table(name, columns, notes=tuple(notes), texts=texts)


def _without(table: Table, gaps: Sequence[str]) -> Table:
    """The same with more texts that stand for missing values."""
    known = {gap.strip().lower() for gap in gaps}
    numbers = [float(g) for g in known if re.fullmatch(r"[-+]?\d+\.?\d*(e[-+]?\d+)?", g)]

    def cleared(text: np.ndarray) -> np.ndarray:
        return objects([None if v is not None and v.lower() in known else v for v in text])

    columns = {
        name: cleared(c) if c.dtype == object else np.where(np.isin(c, numbers), np.nan, c)
        for name, c in table.columns.items()
        if c.dtype.kind != "M"
    }
    texts = {n: (lambda n=n: cleared(table.text(n))) for n in columns}
    return replace(table, columns={**table.columns, **columns}, texts=texts)


def _bundled(name: str) -> Table:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    task = BUNDLED[name]
    columns = {str(n): x for n, x in zip(bunch.feature_names, bunch.data.T, strict=True)}
    target = bunch.target.astype(np.float64)
    if task == "classification" and name != "digits":
        target = np.array([str(n) for n in bunch.target_names], dtype=object)[bunch.target]
    columns = {n: np.array(x, dtype=np.float64) for n, x in columns.items()}
    return Table(name, {**columns, "target": target}, "target", task)
