"""CSV as a stream of record batches: each value is looked at once."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xpnn.blocks.arrow import need_pyarrow
from xpnn.tables.progress import reading_bar
from xpnn.tables.separators import find_separator

_HEAD = 1 << 16  # bytes that tell the separator


def csv_batches(files: Sequence[Path]) -> Iterator[Any]:
    r"""Record batches of text files with a line of names; ``.gz`` is unpacked on the way.

    Whole numbers are read as floating ones, which a later row may hold. The first rows of the
    first file decide what a column holds; other files may have the columns in another order.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "t.csv")
    ...     _ = path.write_text("size;kind\n1;a\n2.5;b\n")
    ...     [batch.to_pylist() for batch in csv_batches([path])]
    [[{'size': 1.0, 'kind': 'a'}, {'size': 2.5, 'kind': 'b'}]]
    """
    pa = need_pyarrow("Reading CSV in blocks")
    from pyarrow import csv

    total = sum(path.stat().st_size for path in files)
    types: dict[str, Any] | None = None
    names: list[str] = []
    with reading_bar(total, "B", "reading CSV") as bar:
        for path in files:
            parse = csv.ParseOptions(delimiter=_separator(path, pa))
            if types is None:
                types = _types(path, parse, pa)
            convert = csv.ConvertOptions(column_types=types, strings_can_be_null=True)
            try:
                with _Watched(path, bar) as file, _unpacked(file, path, pa) as stream:
                    reader = csv.open_csv(stream, parse_options=parse, convert_options=convert)
                    names = names or reader.schema.names
                    _check_names(path, reader.schema.names, files[0], names)
                    for batch in reader:  # in the order of the first file
                        yield batch if batch.schema.names == names else batch.select(names)
            except pa.ArrowInvalid as error:
                raise ValueError(
                    f"{str(path)!r}: {error}. The first rows of {files[0].name!r} were of another "
                    "kind, or had fewer columns; mend the file, or read it with your own program "
                    "and give its batches."
                ) from error


def _types(path: Path, parse: Any, pa: Any) -> dict[str, Any]:
    """The columns' types by the first rows; how times are written may change from file to file."""
    from pyarrow import csv

    with path.open("rb") as file, _unpacked(file, path, pa) as stream:
        schema = csv.open_csv(stream, parse_options=parse).schema
    is_a = pa.types
    wide = {f.name for f in schema if is_a.is_integer(f.type) or is_a.is_null(f.type)}
    kept = {f.name: f.type for f in schema if not is_a.is_temporal(f.type)}
    return kept | dict.fromkeys(wide, pa.float64())


def _check_names(path: Path, names: list[str], first: Path, wanted: list[str]) -> None:
    """Refuse a file that has other columns than the first one."""
    lacks, more = ([n for n in a if n not in b] for a, b in ((wanted, names), (names, wanted)))
    if lacks or more:
        what = [f"lacks the column {lacks[0]!r}"] if lacks else []
        what += [f"has the column {more[0]!r}"] if more else []
        raise ValueError(
            f"{str(path)!r} {' and '.join(what)}, unlike {first.name!r}: files that are read "
            "together have the same columns."
        )


def _separator(path: Path, pa: Any) -> str:
    with path.open("rb") as file, _unpacked(file, path, pa) as stream:
        head = stream.read(_HEAD).decode("utf-8", "replace")
    lines = head.splitlines()[:-1] or head.splitlines()
    return find_separator(lines[:200], path.suffix).mark


def _unpacked(file: Any, path: Path, pa: Any) -> Any:
    """A stream of the text, from a file that was opened."""
    packed = "gzip" if path.suffix == ".gz" else None
    native = pa.PythonFile(file, mode="r")
    return pa.CompressedInputStream(native, packed) if packed else native


class _Watched(io.FileIO):
    """A file that tells a progress bar what was read."""

    def __init__(self, path: Path, bar: Any) -> None:
        super().__init__(path)
        self.bar = bar

    def read(self, size: int | None = -1, /) -> Any:
        """Bytes, as the file's."""
        found = super().read(-1 if size is None else size)
        self.bar.update(len(found or b""))
        return found
