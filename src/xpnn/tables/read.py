"""Tables from CSV and Parquet files and from scikit-learn's bundled data.

A column is a NumPy array: float64 with NaN where a value is missing, or objects that are
str, or None where missing. `xpnn.tables` turns columns into a network's input.
"""

import csv
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xpnn.tables.columns import Columns, TableError, hint, objects

BUNDLED = {
    "digits": "classification",
    "iris": "classification",
    "wine": "classification",
    "breast_cancer": "classification",
    "diabetes": "regression",
}
"""scikit-learn's bundled data sets that `read_table` knows, and their tasks."""

_MISSING = frozenset(("", "?", "na", "n/a", "#n/a", "nan", "null"))
_NOT_A_NUMBER = frozenset(("none", "-"))  # may be words: missing only in a column of numbers


@dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    name : str
    columns : dict of str to ndarray
        See the module's own page.
    target, task : str or None
        Known for bundled data.
    one_unit : bool
        Whether all features share a unit (the digits' pixels), and so a mean and a scale.
    """

    name: str
    columns: Columns
    target: str | None = None
    task: str | None = None
    one_unit: bool = False

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))


def read_table(source: str | os.PathLike[str]) -> Table:
    """Read a CSV or Parquet file, or one of scikit-learn's bundled data sets.

    Parameters
    ----------
    source : path-like or str
        A file that exists, or else one of `BUNDLED`.

    Returns
    -------
    Table

    Raises
    ------
    TableError
        When there is no such file, or it holds no rows or cannot be made out.
    ImportError
        For Parquet without pyarrow; says how to install it.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> table = read_table("iris")
    >>> table.n_rows, table.target, list(table.columns)[0]
    (150, 'target', 'sepal length (cm)')
    """
    path = Path(source)
    if str(source) in BUNDLED and not path.is_file():
        return _bundled(str(source))
    if path.is_dir():
        raise TableError(f"{source} is a folder; give a CSV or Parquet file in it.")
    if not path.exists():
        near = "" if path.suffix else hint(str(source), BUNDLED)
        raise TableError(f"There is no file {source}{near}.")
    readers = {".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_csv}
    readers |= {".parquet": _read_parquet, ".pq": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{source} is neither .csv (.tsv, .txt) nor .parquet (.pq).")
    table = Table(path.stem, reader(path))
    if table.n_rows == 0:
        raise TableError(f"{source} is empty: it has no rows.")
    return table


def _bundled(name: str) -> Table:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    task = BUNDLED[name]
    columns = {str(n): x for n, x in zip(bunch.feature_names, bunch.data.T, strict=True)}
    target = bunch.target.astype(np.float64)
    if task == "classification" and name != "digits":
        target = np.array([str(n) for n in bunch.target_names], dtype=object)[bunch.target]
    columns = {n: np.array(x, dtype=np.float64) for n, x in columns.items()}
    return Table(name, {**columns, "target": target}, "target", task, one_unit=name == "digits")


def _read_csv(path: Path) -> Columns:
    """Columns of text: which are numbers is told where they are used (`parse_numbers`)."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not text in UTF-8; save it as a CSV in UTF-8.") from error
    # Only \n, \r and \r\n end a line; str.splitlines ends one at \f, U+2028 and others too.
    lines = io.StringIO(text, newline="")
    delimiter = max(",;\t|", key=next(lines, "").count)
    lines.seek(0)
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        cells: list[list[str]] = []
        for row in rows:
            if len(row) not in (len(names), 0):
                raise TableError(
                    f"{path}, line {rows.line_num}: {len(row)} values under {len(names)} columns."
                )
            if row:
                cells.append(row)
    except csv.Error as error:
        raise TableError(f"{path}, line {rows.line_num}: {error}.") from error
    if not any(names):
        raise TableError(f"{path} is empty: its first line must name the columns.")
    twice = next((n for i, n in enumerate(names) if n in names[:i]), None)
    if twice is not None:
        raise TableError(f"{path} has two columns named {twice!r}; rename one.")
    columns = {}
    for i, name in enumerate(names):
        values = (row[i].strip() for row in cells)
        columns[name] = objects([None if v.lower() in _MISSING else v for v in values])
    return columns


def _read_parquet(path: Path) -> Columns:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ImportError(
            'Reading Parquet needs pyarrow; get it with: python -m pip install "xpnn[data]"'
        ) from error
    try:
        table = pq.ParquetFile(path).read()
    except pa.ArrowException as error:
        raise TableError(f"{path} is no Parquet file, or is damaged.") from error
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if pa.types.is_temporal(kind):
            columns[name] = objects([None if v is None else str(v) for v in column.to_pylist()])
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            values = ((v or "").strip() for v in column.to_pylist())
            columns[name] = objects([None if v.lower() in _MISSING else v for v in values])
        elif any(f(kind) for f in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal,
                                   pa.types.is_boolean, pa.types.is_null)):  # fmt: skip
            numbers = [math.nan if v is None else float(v) for v in column.to_pylist()]
            columns[name] = np.array(numbers, dtype=np.float64)
        else:
            raise TableError(f"{path}: column {name!r} holds {kind}, not numbers or text.")
    return columns


def parse_numbers(column: np.ndarray) -> np.ndarray:
    """Turn a column of text into numbers where every value is one, or true or false.

    Parameters
    ----------
    column : ndarray of shape (n,)
        Of float64, or of str and None.

    Returns
    -------
    ndarray of shape (n,)
        float64, or the column as it was.

    Examples
    --------
    >>> parse_numbers(np.array(["1.5", None, "-2"], dtype=object))
    array([ 1.5,  nan, -2. ])
    """
    if column.dtype != object:
        return column
    numbers = [_number(v) for v in column]
    known = [v for v in numbers if v is not None]
    if len(known) < len(numbers) or all(math.isnan(v) for v in known):
        return column
    return np.array(numbers, dtype=np.float64)


def _number(value: str | None) -> float | None:
    if value is None or value.lower() in _NOT_A_NUMBER:
        return math.nan
    try:
        return float(value) if "_" not in value else None  # Python takes 1_000 for a number
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(value.lower())


def words_in(column: np.ndarray) -> list[str]:
    """The values of a text column that are no numbers, or its first."""
    alone = (np.array([v], dtype=object) for v in column if v is not None)
    return [v[0] for v in alone if parse_numbers(v).dtype == object] or [str(column[0])]
