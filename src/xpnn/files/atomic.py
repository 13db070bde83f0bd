"""Writing a file in full or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it is there in full or the old one still is.

    Parameters
    ----------
    path : path-like
        Its folder must exist. A symbolic link stays one; what it points to is replaced. Devices and
        pipes are written into.

    Raises
    ------
    OSError
        When it cannot be written, as a FileNotFoundError where there is no such folder; it names
        `path`. An older file is then as it was.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "note.txt")
    >>> write_atomic(path, b"all of it")
    >>> path.read_text()
    'all of it'
    >>> folder.cleanup()
    """
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write into piece by piece, which takes its name when the block ends well.

    Raises
    ------
    OSError
        As `write_atomic`. After it, and any exception in the block, an older file is as it was.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_file(f"{folder}/note.txt") as file:
    ...         _ = file.write(b"all "), file.write(b"of it")
    ...     Path(folder, "note.txt").read_text()
    'all of it'
    """
    if (given := Path(path)).exists() and not (given.is_file() or given.is_dir()):
        with _named(path), given.open("wb") as file:  # /dev/null is to stay what it is
            yield file
        return
    target = given.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        with _named(path, temporary):
            raise error


@contextlib.contextmanager
def _named(path: str | os.PathLike[str], temporary: Path | None = None) -> Iterator[None]:
    """Errors of the system name the file that was asked for."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        why = error.strerror
        if isinstance(error, FileNotFoundError):
            why = f"the folder {str(Path(path).parent)!r} does not exist: make it first"
        raise OSError(error.errno, why, os.fspath(path)) from None


def _flush_folder(folder: Path) -> None:
    """Bring the new name to the disk, where the system can: the file is whole without it too."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
