"""From a file, or standard input, to its bytes and its text: unpacked and decoded."""

import bz2
import codecs
import gzip
import io
import os
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from xpnn.tables.archives import is_tar, refuse_other_kinds, untar, unzip
from xpnn.tables.columns import TableError
from xpnn.tables.progress import reading_bar

try:
    import lzma
except ImportError:  # a Python without it, such as the one in a browser
    lzma = None  # type: ignore[assignment]


def _open_xz(file: io.BytesIO) -> Any:
    if lzma is None:
        raise OSError("this Python has no lzma, which reads xz")
    return lzma.open(file)


_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": _open_xz}
_DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError),
    *(() if lzma is None else (lzma.LZMAError,)),
)
_PIECE = 1 << 24  # bytes unpacked at once
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1c\x1d\x1e\x1f")) + b"\x7f"


def read_bytes(source: str | os.PathLike[str]) -> bytes:
    """Read a file, or standard input for ``-``, unpacked from gzip, bzip2, xz, zip or tar.

    What is packed is told by the content, not by the name.

    Parameters
    ----------
    source : path-like or str

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "t.csv.gz")
    ...     _ = path.write_bytes(gzip.compress(b"a,b"))
    ...     read_bytes(path)
    b'a,b'
    """
    data = sys.stdin.buffer.read() if str(source) == "-" else Path(source).read_bytes()
    try:
        return _unpacked(source, data)
    except _DAMAGED as error:
        raise TableError(f"{source} is a damaged archive ({error}); get it anew.") from error


def _unpacked(source: str | os.PathLike[str], data: bytes, depth: int = 0) -> bytes:
    """A table out of an archive in an archive, such as a .tar.gz."""
    found = data
    for magic, opener in _PACKED.items():
        if data.startswith(magic):
            found = _unpack(source, data, opener)
    if data.startswith(b"PK\x03\x04"):
        found = unzip(source, data)
    elif is_tar(data):
        found = untar(source, data)
    return found if found is data or depth > 2 else _unpacked(source, found, depth + 1)


def _unpack(source: str | os.PathLike[str], data: bytes, opener: Any) -> bytes:
    raw, parts = io.BytesIO(data), list[bytes]()
    name = Path(source).name
    with reading_bar(len(data), "B", f"unpacking {name}") as bar, opener(raw) as file:
        while piece := file.read(_PIECE):
            parts.append(piece)
            bar.update(raw.tell() - bar.n)
    return b"".join(parts)


def check_encoding(encoding: str) -> None:
    """Refuse the name of an encoding that Python does not know.

    Examples
    --------
    >>> check_encoding("latin-1")
    """
    try:
        "".encode(encoding)
    except LookupError as error:
        raise TableError(
            f"--encoding {encoding!r} is unknown; try utf-8, cp1252, latin-1, utf-16, cp1251, "
            f"shift_jis or gb18030."
        ) from error


def decode(data: bytes, source: str, encoding: str | None = None) -> tuple[str, list[str]]:
    """Turn bytes into text, telling the encoding where it is not given.

    Parameters
    ----------
    encoding : str, default=None
        None tells it: by a byte order mark, else UTF-8 where that fits, else cp1252.

    Returns
    -------
    text : str
        Without NULs.
    notes : list of str
        What was decided.

    Examples
    --------
    >>> decode("Orléans".encode("latin-1"), "t.csv")
    ('Orléans', ['not UTF-8: read as cp1252; --encoding names another'])
    """
    notes: list[str] = []
    refuse_other_kinds(data, source)
    try:
        named, encoding = encoding, encoding or _marked_encoding(data)
        if encoding is not None:
            text = data.decode(encoding).removeprefix("\ufeff")
        else:
            text, encoding = _guess(data, source)
        if named is None and encoding in (
            "utf-16",
            "utf-32",
            "utf-16-le",
            "utf-16-be",
            "utf-32-le",
            "utf-32-be",
            "cp1252",
            "latin-1",
        ):
            notes.append(f"not UTF-8: read as {encoding}; --encoding names another")
    except UnicodeError as error:
        raise TableError(f"{source} is no text in {encoding}; try another --encoding.") from error
    if "\0" in text:
        notes.append(f"left out NUL characters, {text.count(chr(0)):,} of them")
        text = text.replace("\0", "")
    # Of files that were joined, and of DOS.
    return text.replace("\ufeff", "").rstrip("\x1a"), notes


def _marked_encoding(data: bytes) -> str | None:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding
    head = data[:65536]
    nuls = head.count(0)
    if nuls > 0.3 * len(head):  # Latin text in UTF-16: every other byte is 0
        even = head[::2].count(0)
        if even in (0, nuls):
            return "utf-16-be" if even else "utf-16-le"
    return next((e for e in _WIDE if nuls and _is_text(head, e)), None)


def _is_text(head: bytes, encoding: str) -> bool:
    """Whether bytes are lines of letters in an encoding of two or four bytes each."""
    try:
        text = head[: len(head) // 4 * 4].decode(encoding)
    except UnicodeDecodeError:
        return False
    marks = sum(text.count(mark) for mark in "\n\r,;\t")
    return marks > 0 and all(c.isprintable() or c.isspace() for c in text)


def _guess(data: bytes, source: str) -> tuple[str, str]:
    head = data[:65536]
    try:
        if head.count(0) <= 0.05 * len(head):
            return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    if len(head) - len(head.translate(None, _CONTROL)) > max(1, 0.01 * len(head)):
        raise TableError(
            f"{source} is no table: neither text nor Parquet nor a workbook; save it as CSV."
        )
    try:
        return data.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"
