"""What can be read only from its beginning, written once to memory maps: streams, CSV, packed data.

A folder holds ``numbers.npy``, ``words.npy`` (numbers of words) and ``columns.json``; it appears in
full or not at all.
"""

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.blocks.arrays import Slices
from xpnn.blocks.arrow import is_number, matrix, plain
from xpnn.blocks.table import index_of

_ABOUT, _NUMBERS, _WORDS = "columns.json", "numbers.npy", "words.npy"
_FORMAT = 1


class SpilledTable:
    """Columns that were written by `spill`."""

    direct = True

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        about = json.loads((self.folder / _ABOUT).read_text("utf-8"))
        self.names = tuple(about["names"]) if about["names"] else None
        self.n_rows, self.n_columns = about["rows"], len(about["words"])
        self.words = [None if w is None else np.asarray(w) for w in about["words"]]
        self.place = list[int]()  # of a column among its kind
        for i, w in enumerate(self.words):
            self.place.append(sum((v is None) == (w is None) for v in self.words[:i]))
        self.of_numbers = self._open(_NUMBERS)
        self.of_words = self._open(_WORDS)
        self.dtype = np.dtype(np.float64) if self.of_numbers is None else self.of_numbers.dtype

    def _open(self, name: str) -> Slices | None:
        path = self.folder / name
        return Slices(np.load(path, mmap_mode="r"), name) if path.exists() else None

    def numbers(self, start: int, stop: int, columns: Sequence[int]) -> np.ndarray:
        """Numbers, (stop - start, len(columns))."""
        index = self._numbers(columns)
        if self.of_numbers is None:
            return np.empty((stop - start, 0))
        return self.of_numbers.read(start, stop)[:, index]

    def fill(self, start: int, stop: int, columns: Sequence[int], into: np.ndarray) -> None:
        """Write what `numbers` gives into an array."""
        index = self._numbers(columns)
        if self.of_numbers is not None:
            self.of_numbers.fill(start, stop, index, into)

    def _numbers(self, columns: Sequence[int]) -> Any:
        """Where among the numbers some columns are; a ValueError for words."""
        for c in columns:
            if self.words[c] is not None:
                name = repr(self.names[c]) if self.names else str(c)
                raise ValueError(
                    f"the column {name} holds words, and a network takes numbers: leave it out "
                    "(columns=[...]), or encode it first."
                )
        return index_of([self.place[c] for c in columns])

    def columns(self, start: int, stop: int, columns: Sequence[int]) -> dict[str, np.ndarray]:
        """Columns of any kind; a missing word is None."""
        found, kinds = dict[str, np.ndarray](), (self.of_numbers, self.of_words)
        numbers, codes = (None if k is None else k.read(start, stop) for k in kinds)
        for c in columns:
            words, name = self.words[c], self.names[c] if self.names else f"x{c}"
            if words is None:
                assert numbers is not None
                found[name] = numbers[:, self.place[c]]
            else:
                assert codes is not None
                named = np.asarray([*words.tolist(), None], dtype=object)
                found[name] = named[codes[:, self.place[c]]]
        return found

    def values(self, start: int, stop: int, column: int) -> np.ndarray:
        """One column's values of any kind, (stop - start,)."""
        words = self.words[column]
        if words is None:
            assert self.of_numbers is not None
            return self.of_numbers.read(start, stop)[:, self.place[column]]
        assert self.of_words is not None
        codes = self.of_words.read(start, stop)[:, self.place[column]]
        if (codes < 0).any():
            raise ValueError(f"{(codes < 0).sum()} labels are missing: leave these rows out.")
        found: np.ndarray = words[codes]
        return found


def spill(
    batches: Iterable[Any],
    folder: str | os.PathLike[str] | None,
    about: Any,
    dtype: Any = None,
) -> SpilledTable:
    """Write a stream of pyarrow record batches, or open what the same source has left there.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    folder : path-like or None
        Where to; None is a folder that goes with the table.
    about : JSON-able object
        What the stream comes from: equal ones are not written again. None is written always.
    dtype : dtype, default=None
        Of the numbers; None keeps what they are, whole ones as float64.

    Raises
    ------
    OSError
        When there is no room; what was written is removed.

    Examples
    --------
    >>> import pyarrow as pa
    >>> stream = pa.table({"size": [1.5, 2.5], "kind": ["a", "b"]}).to_batches()
    >>> table = spill(stream, None, None)
    >>> table.n_rows, table.values(1, 2, 1).tolist()
    (2, ['b'])
    """
    if folder is None:
        place = Path(tempfile.mkdtemp(prefix="xpnn-blocks-"))
        try:
            _write(batches, place, about, dtype)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        table = SpilledTable(place)
        weakref.finalize(table, shutil.rmtree, place, ignore_errors=True)
        return table
    place = Path(folder)
    if place.exists() and any(place.iterdir()):
        if about is None or _written(place) != [about, None if dtype is None else str(dtype)]:
            raise FileExistsError(
                f"the folder {str(place)!r} holds something else: name another, or remove it."
            )
        return SpilledTable(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        _write(batches, partial, about, dtype)
        if place.exists():
            place.rmdir()
        os.replace(partial, place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return SpilledTable(place)


def _written(place: Path) -> Any:
    try:
        content = json.loads((place / _ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return [content["of"], content["dtype"]] if content.get("format") == _FORMAT else None


def _write(batches: Iterable[Any], place: Path, about: Any, dtype: Any) -> None:
    import pyarrow as pa

    numbers, words = Growing(place / _NUMBERS), Growing(place / _WORDS)
    known: list[dict[str, int] | None] = []
    names, rows = list[str](), 0
    with numbers, words:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            if not names:
                names = table.schema.names
                known = [None if is_number(kind) else {} for kind in table.schema.types]
            rows += table.num_rows
            found = matrix(table.select([i for i, k in enumerate(known) if k is None]))
            if found.shape[1]:
                kind = dtype or (found.dtype if found.dtype.kind == "f" else np.float64)
                numbers.add(found.astype(numbers.dtype or kind))
            coded = [_coded(table.column(i), k) for i, k in enumerate(known) if k is not None]
            if coded:
                words.add(np.stack(coded, axis=1))
    if not names:
        raise ValueError("the stream has no batch: there is nothing to learn from.")
    content = {
        "format": _FORMAT,
        "of": about,
        "dtype": None if dtype is None else str(dtype),
        "names": names,
        "rows": rows,
        "words": [None if k is None else list(k) for k in known],
    }
    (place / _ABOUT).write_text(json.dumps(content), "utf-8")


def _coded(column: Any, known: dict[str, int]) -> np.ndarray:
    """The numbers of a column's words, in the order in which they were seen; -1 for none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.large_string())  # times, too
    coded = column.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if hasattr(coded, "combine_chunks") else coded
    found = [known.setdefault(w, len(known)) for w in plain(coded.dictionary).tolist()]
    numbers = pc.fill_null(coded.indices, len(found)).to_numpy(zero_copy_only=False)
    coded_words: np.ndarray = np.asarray([*found, -1], dtype=np.int32)[numbers]
    return coded_words


class Growing:
    """A ``.npy`` file whose number of rows is known when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows, self.columns = path, 0, 0
        self.dtype: Any = None
        self._file: Any = None

    def __enter__(self) -> "Growing":
        return self

    def add(self, rows: np.ndarray) -> None:
        """Write some rows."""
        if self._file is None:
            self._file = self.path.open("w+b")
            self.columns, self.dtype = rows.shape[1], rows.dtype
            self._header()
        self._file.write(np.ascontiguousarray(rows).data)
        self.rows += len(rows)

    def _header(self) -> None:
        """NumPy leaves room for more digits of the first length."""
        shape = (self.rows, self.columns)
        what = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        self._file.seek(0)
        np.lib.format.write_array_header_2_0(self._file, what)

    def __exit__(self, *error: Any) -> None:
        if self._file is not None:
            try:
                if error[0] is None:
                    self._header()
            finally:
                self._file.close()
