"""Tables whose values have types: Parquet and Arrow files, by pyarrow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.tables.columns import Columns, TableError, as_text, distinct_names, objects
from xpnn.tables.texts import ArrowColumn, Source

FEATHER = b"ARROW1\0"
"""How an Arrow file begins."""


def read_parquet(data: bytes, source: str) -> tuple[Columns, dict[str, Source], list[str]]:
    """Columns of a Parquet file, or of an Arrow file such as Feather, by pyarrow.

    The index that pandas stores stands first, or is left out where it has no name.

    Returns
    -------
    columns : dict of str to ndarray
    texts : dict of str to callable
        What gives a column's spelling, where its values do not tell it.
    notes : list of str
        What was decided.

    Examples
    --------
    >>> import io, pyarrow as pa, pyarrow.parquet as pq
    >>> file = io.BytesIO()
    >>> pq.write_table(pa.table({"size": [1, None], "ok": [True, False]}), file)
    >>> columns, texts, _ = read_parquet(file.getvalue(), "t.parquet")
    >>> columns["size"], texts["ok"]()
    (array([ 1., nan]), array(['True', 'False'], dtype=object))
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ImportError(
            'Reading Parquet needs pyarrow; get it with: python -m pip install "xpnn[data]"'
        ) from error
    try:
        if data.startswith(FEATHER):
            table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        else:
            table = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowException, OSError) as error:
        kind = "Arrow" if data.startswith(FEATHER) else "Parquet"
        raise TableError(f"{source} is no {kind} file, or is damaged; write it anew.") from error
    stored = (table.schema.pandas_metadata or {}).get("index_columns", [])
    index = [n for n in stored if isinstance(n, str) and n in table.column_names]
    columns: Columns = {}
    texts: dict[str, Source] = {}
    order = sorted(range(table.num_columns), key=lambda i: table.column_names[i] not in index)
    names, notes = distinct_names([table.column_names[i] for i in order])
    for i, name in zip(order, names, strict=True):
        if name.startswith("__index_level_"):
            notes.append(f"left out {name!r}: pandas' index")
            continue
        found = _column(table.column(i))
        if found is None:
            notes.append(f"left out {name!r}: it holds {table.column(i).type}")
        else:
            columns[name], texts[name] = found
    return columns, texts, notes


def _column(column: Any) -> tuple[np.ndarray, Source] | None:
    """A column's values, and what gives their text; None for lists and the like."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, is_a = column.type, pa.types
    if is_a.is_binary(kind) or is_a.is_large_binary(kind):
        try:
            column = column.cast(pa.large_string())
        except pa.ArrowInvalid:
            return None  # a picture, say
        kind = column.type
    if is_a.is_string(kind) or is_a.is_large_string(kind) or kind == pa.string_view():
        text = ArrowColumn(pc.fill_null(column.cast(pa.large_string()), ""))
        return text.values(), text.text
    seconds = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
    if is_a.is_timestamp(kind) or is_a.is_date(kind):
        values = column.cast(pa.timestamp("us"), safe=False).to_numpy()
    elif is_a.is_duration(kind) or is_a.is_time(kind):
        whole = column.cast(pa.int32()) if is_a.is_time32(kind) else column
        numbers = whole.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy()
        values = numbers / seconds[kind.unit]
    elif is_a.is_boolean(kind):
        values = column.cast(pa.int8()).cast(pa.float64()).to_numpy()
        return values, _later(column, {True: "True", False: "False"}.get)
    elif is_a.is_integer(kind) or is_a.is_decimal(kind):
        return column.cast(pa.float64(), safe=False).to_numpy(), _later(column, _number_text)
    elif is_a.is_floating(kind) or is_a.is_null(kind):
        values = column.cast(pa.float64()).to_numpy()
    else:
        return None
    return values, lambda: as_text(values)


def _later(column: Any, text: Callable[[Any], str | None]) -> Source:
    return lambda: objects([text(v) for v in column.to_pylist()])


def _number_text(value: Any) -> str | None:
    return None if value is None else str(value)
