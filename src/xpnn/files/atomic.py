"""Writing a file in full or not at all."""

import contextlib
import os
import secrets
from pathlib import Path


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it is there in full or the old one still is.

    Parameters
    ----------
    path : path-like
        Its folder must exist. A symbolic link stays one; what it points to is replaced.
    data : bytes

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
    target = Path(path).resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None:  # it names `temporary`
            folder, why = Path(path).parent, error.strerror
            if isinstance(error, FileNotFoundError):
                why = f"the folder {str(folder)!r} does not exist: make it first"
            raise OSError(error.errno, why, os.fspath(path)) from None
        raise


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
