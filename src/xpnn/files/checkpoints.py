"""A folder of checkpoints: one training at a time, whole files only, the last few of them."""

import contextlib
import os
from pathlib import Path
from typing import Any

from xpnn._warnings import warn_user
from xpnn.files.record import CHECKPOINT, ModelFileError, read_record, write_record
from xpnn.training.checkpoint import CheckpointError, Record

_LOCK = "lock"
_PREFIX, _SUFFIX = "checkpoint-", ".safetensors"


class CheckpointFolder:
    """Where the checkpoints of one training lie.

    A lock keeps others out; the system gives it back when the process ends, however it ends.

    Parameters
    ----------
    path : path-like
        Made, if the folder above it exists.
    keep : int
        How many files are kept.

    Raises
    ------
    CheckpointError
        When it cannot be made or written into, or another training is using it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as above, CheckpointFolder(f"{above}/run", 2) as folder:
    ...     for step in range(3):
    ...         folder.write(Record({"step": step}, {"theta": np.zeros(2)}))
    ...     folder.newest().header["step"], len(folder.files())
    (2, 2)
    """

    def __init__(self, path: str | os.PathLike[str], keep: int) -> None:
        self.path, self.keep = Path(path), keep
        try:
            self.path.mkdir(exist_ok=True)
            self._lock: Any = (self.path / _LOCK).open("ab")
        except FileNotFoundError as error:
            raise CheckpointError(
                f"Cannot make the folder {str(path)!r} for checkpoints: "
                f"{str(self.path.parent)!r} does not exist. Make it first."
            ) from error
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            _take(self._lock, self.path)
            for left in self.path.glob(f".{_PREFIX}*.tmp"):  # of a process that was killed
                left.unlink()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    def __enter__(self) -> "CheckpointFolder":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def close(self) -> None:
        """Let others in."""
        self._lock.close()

    def files(self) -> list[Path]:
        """The checkpoints, oldest first."""
        return files_of(self.path)

    def newest(self) -> Record | None:
        """The last one that is whole, or None where there is none at all.

        Raises
        ------
        ModelFileError
            When none is whole; it says what is wrong with the last.
        """
        errors: list[ModelFileError | OSError] = []
        for path in reversed(self.files()):
            try:
                record = Record(*read_record(path, CHECKPOINT))
            except (ModelFileError, OSError) as error:
                errors.append(error)
                continue
            if errors:
                warn_user(f"{errors[0]} Going on from the one before it, {path.name}.")
            return record
        if errors:
            raise errors[0]
        return None

    def write(self, record: Record) -> None:
        """Add a checkpoint, and remove the oldest above `keep`.

        Raises
        ------
        CheckpointError
            When it cannot be written; those before it are then as they were.
        """
        files = self.files()
        number = _number(files[-1]) + 1 if files else 1
        path = self.path / f"{_PREFIX}{number:08d}{_SUFFIX}"
        try:
            write_record(path, record.header, record.arrays, CHECKPOINT)
        except OSError as error:
            raise _unusable(self.path, error) from error
        for old in [*files, path][: -self.keep]:
            with contextlib.suppress(OSError):
                old.unlink()


def files_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"), key=lambda p: (_number(p), p.name))


def _number(path: Path) -> int:
    text = path.name[len(_PREFIX) : -len(_SUFFIX)]
    return int(text) if text.isascii() and text.isdigit() else 0


def _unusable(path: Any, error: OSError) -> CheckpointError:
    why = error.strerror or str(error)
    return CheckpointError(f"Cannot write checkpoints into {os.fspath(path)!r}: {why}.")


def _take(file: Any, path: Path) -> None:
    """Lock a file for as long as it is open; on a file system without locks, warn."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise CheckpointError(
            f"The folder {str(path)!r} is in use: another training is writing its checkpoints "
            "there. Wait for its end, or take another folder."
        ) from error
    except OSError as error:
        warn_user(f"{str(path)!r} cannot be locked ({error.strerror}): let one training use it.")
