"""NumPy's files: ``.npy`` is mapped, and so is what lies unpacked in ``.npz``."""

import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.blocks.arrays import Parts, Slices
from xpnn.blocks.table import ArrayTable

_KEYS = {
    "X": ("X", "x", "data", "features"),
    "y": ("y", "Y", "target", "labels"),
    "weight": ("weight", "sample_weight", "w"),
}


def numpy_files(files: Sequence[Path]) -> tuple[ArrayTable, Parts | None, Parts | None]:
    """Features, targets and weights: files X*, y*, weight*, or all together in npz files.

    Parameters
    ----------
    files : sequence of Path
        In the order of their rows.
    """
    parts: dict[str, list[Any]] = {kind: [] for kind in _KEYS}
    for path in files:
        if path.suffix == ".npz":
            with np.load(path) as packed:
                names = list(packed)
            for name in names:
                kind = kind_of(name, len(names) == 1)
                if kind:
                    parts[kind].append(_packed(path, name))
        elif path.suffix == ".npy":
            kind = kind_of(path.stem, False) or "X"
            parts[kind].append(Slices(np.load(path, mmap_mode="r"), path.name))
    if not parts["X"]:
        raise ValueError(f"{str(files[0])!r} has no features: name an array X.")
    joined = {kind: Parts(found, kind) if found else None for kind, found in parts.items()}
    assert joined["X"] is not None
    return ArrayTable(joined["X"]), joined["y"], joined["weight"]


def kind_of(name: str, only: bool) -> str | None:
    """What an array's name says that it is; the only one of a file is X.

    Examples
    --------
    >>> kind_of("y_train", False), kind_of("sample_weight", False), kind_of("note", False)
    ('y', 'weight', None)
    """
    for kind, names in _KEYS.items():
        if any(name == n or (name.startswith(n) and not name[len(n)].isalpha()) for n in names):
            return kind
    return "X" if only else None


def _packed(path: Path, name: str) -> Slices:
    """An array of an npz file: mapped where it is not compressed."""
    title = f"{path.name}: {name}"
    with zipfile.ZipFile(path) as archive:
        about = archive.getinfo(f"{name}.npy")
    if about.compress_type != zipfile.ZIP_STORED:
        return _Compressed(path, name, title)
    with path.open("rb") as file:
        file.seek(about.header_offset + 26)  # the lengths of its name and of what is extra
        lengths = np.frombuffer(file.read(4), "<u2")
        file.seek(about.header_offset + 30 + int(lengths.sum()))
        major, _ = np.lib.format.read_magic(file)
        read = np.lib.format
        header = read.read_array_header_1_0 if major == 1 else read.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if dtype.hasobject or not all(shape):
            return _Compressed(path, name, title)
        order: Any = "F" if fortran else "C"
        return Slices(np.memmap(path, dtype, "r", file.tell(), shape, order), title)


class _Compressed(Slices):
    """An array that is unpacked whole; the last ones stay."""

    def __init__(self, path: Path, name: str, title: str) -> None:
        self.where = path, name, _state(path)
        super().__init__(_unpacked(*self.where), title)
        self.array, self.direct = None, False

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows on the host."""
        path, _, state = self.where
        if _state(path) != state:
            raise ValueError(f"{str(path)!r} has changed since it was opened: make Blocks anew.")
        return _unpacked(*self.where)[start:stop]

    def fill(self, start: int, stop: int, columns: Any, into: np.ndarray) -> None:
        """Write some columns of rows into an array."""
        into[...] = self.read(start, stop)[:, columns]


def _state(path: Path) -> tuple[int, int, int]:
    """What tells whether a file has changed."""
    about = path.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


@lru_cache(maxsize=4)
def _unpacked(path: Path, name: str, state: tuple[int, int, int]) -> np.ndarray:
    with np.load(path) as packed:
        found: np.ndarray = packed[name]
        return found
