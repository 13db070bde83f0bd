"""Out of an archive the one table in it; what cannot be read is called by its name."""

import io
import os
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath

from xpnn.tables.columns import TableError

_TABLES = (
    *(".csv", ".tsv", ".tab", ".data", ".dat", ".parquet", ".pq", ".xlsx", ".arff", ".feather"),
    *(".json", ".jsonl", ".ndjson"),
)
_OTHERS = {
    b"\x28\xb5\x2f\xfd": "packed by zstd, which is not read here: unpack it first",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"Rar!": "a RAR archive: unpack it first",
    b"\xd0\xcf\x11\xe0": "a workbook or a document of an old kind: save it as .xlsx or CSV",
    b"SQLite format 3": "a database of SQLite: write the table that you mean to CSV",
    b"\x89HDF": "HDF5: write the table in it to CSV or Parquet",
    b"\x93NUMPY": "an array of NumPy: write it to CSV, or give it to TabularClassifier or "
    "TabularRegressor in Python",
    b"ORC": "ORC: write it as Parquet or CSV",
    b"Obj\x01": "Avro: write it as Parquet or CSV",
    b"%PDF": "a PDF: save the table in it as CSV",
}


def is_tar(data: bytes) -> bool:
    """Whether bytes are a tar archive."""
    return data[257:262] == b"ustar"


def refuse_other_kinds(data: bytes, source: str | os.PathLike[str]) -> None:
    """Say what a file is that is no table, and the cure.

    Examples
    --------
    >>> refuse_other_kinds(b"a,b", "t.csv")
    """
    for magic, what in _OTHERS.items():
        if data.startswith(magic):
            if magic.isalpha() and min(data[:64]) >= 9:
                continue  # text, with a name such as ORCID
            raise TableError(f"{source} is {what}.")


def untar(source: str | os.PathLike[str], data: bytes) -> bytes:
    """The one table of a tar archive.

    Raises
    ------
    TableError
        For several tables, or none.
    tarfile.TarError
        For a damaged archive.
    """
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {m.name: m for m in archive.getmembers() if m.isfile()}
        member = archive.extractfile(files[the_table(list(files), source)])
        return b"" if member is None else member.read()


def unzip(source: str | os.PathLike[str], data: bytes) -> bytes:
    """The one table of a zip archive; a workbook as it is.

    Raises
    ------
    zipfile.BadZipFile
        For a damaged archive.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/")]
        if "[Content_Types].xml" in names:
            return data
        if {"mimetype", "content.xml"} <= set(names):
            raise TableError(f"{source} is a sheet of OpenDocument; save it as .xlsx or CSV.")
        try:
            return archive.read(the_table(names, source))
        except RuntimeError as error:
            raise TableError(f"{source} has a password; unpack it first.") from error


def the_table(names: Sequence[str], source: str | os.PathLike[str]) -> str:
    """The one file of an archive, or the only one that a table's name has.

    Examples
    --------
    >>> the_table(["iris.names", "iris.data", "Index"], "iris.zip")
    'iris.data'
    """
    seen = [n for n in names if not n.startswith("__MACOSX/") and not _base(n).startswith("._")]
    tables = [n for n in seen if PurePosixPath(n).suffix.lower() in _TABLES]
    for found in (seen, tables):
        if len(found) == 1:
            return found[0]
    shown = ", ".join(seen[:5])
    raise TableError(f"{source} holds {len(seen)} files ({shown}); unpack it and give one of them.")


def _base(name: str) -> str:
    return PurePosixPath(name).name
