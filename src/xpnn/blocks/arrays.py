"""Arrays that are read a slice at a time: memory maps, HDF5, zarr, Dask, files in a folder."""

import mmap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import dtype_name, to_numpy


class Slices:
    """Rows of anything that has a shape and whose slices are arrays.

    Parameters
    ----------
    array : array-like with `shape`, `dtype` and slices
        Of one or two dimensions. A memory map's pages leave the memory after they are read.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    direct : bool
        Whether a slice costs no more than a copy of it.

    Examples
    --------
    >>> Slices(np.arange(6).reshape(3, 2), "X").read(1, 3).tolist()
    [[2, 3], [4, 5]]
    """

    def __init__(self, array: Any, name: str) -> None:
        frame = hasattr(array, "iloc") or hasattr(array, "__arrow_c_stream__")
        if frame or not hasattr(array, "shape") or not hasattr(array, "__getitem__"):
            kind = type(array).__name__
            array = np.asarray(array)  # targets in a data frame's column, too
            if array.shape == () and array.dtype == object:
                raise ValueError(
                    f"{name} is of {kind}, which has no rows that could be read: collect or "
                    "compute it first, or give the path of its files."
                )
        if len(array.shape) not in (1, 2):
            raise ValueError(
                f"{name} must have rows, or rows and columns, got shape {tuple(array.shape)}."
            )
        self.array, self.name = array, name
        try:
            self.shape = tuple(int(n) for n in array.shape)
        except ValueError as error:  # Dask does not know it
            raise ValueError(
                f"{name} does not know how many rows it has ({array.shape}): call "
                "compute_chunk_sizes() on it first."
            ) from error
        try:
            self.dtype = np.dtype(array.dtype)
        except TypeError:
            self.dtype = np.dtype(dtype_name(array.dtype))
        self.direct = isinstance(array, np.ndarray)
        self._map = _mapped(array)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows on the host; only to be read."""
        found = to_numpy(self.array[start:stop, ...])
        if self._map is None:
            return found
        copied = np.array(found)
        _release(self._map, found)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """Of a memory map where its file has it: the file is opened again, and nothing copied."""
        state = dict(self.__dict__)
        if self._map is not None:
            state |= {"array": _place_in_file(self.array, self._map), "_map": None}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again."""
        self.__dict__.update(state)
        if isinstance(self.array, _InFile):
            self.array = self.array.open()
            self._map = _mapped(self.array)

    def fill(self, start: int, stop: int, columns: Any, into: np.ndarray) -> None:
        """Write some columns (a slice or numbers) of rows into an array, copied once."""
        found = to_numpy(self.array[start:stop, ...])
        into[...] = found[:, columns]
        if self._map is not None:
            _release(self._map, found)


class Parts:
    """Several `Slices` of equal columns, one below another; what `Slices` is to one array.

    Parameters
    ----------
    parts : sequence of Slices

    Examples
    --------
    >>> parts = Parts([Slices(np.zeros((2, 1)), "a"), Slices(np.ones((2, 1)), "b")], "X")
    >>> parts.shape, parts.read(1, 3).ravel().tolist()
    ((4, 1), [0.0, 1.0])
    """

    def __init__(self, parts: Sequence[Any], name: str) -> None:
        first = parts[0]
        for part in parts:
            if part.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"{name}: {first.name} has the shape {first.shape} and {part.name} "
                    f"{part.shape}, which cannot stand one below the other."
                )
        self.parts, self.name = parts, name
        self.ends = np.cumsum([part.shape[0] for part in parts])
        self.shape = (int(self.ends[-1]), *first.shape[1:])
        self.dtype = np.result_type(*(part.dtype for part in parts))
        self.direct = all(part.direct for part in parts)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows on the host; only to be read."""
        found = [self.parts[p].read(a, b) for p, a, b in overlapping(self.ends, start, stop)]
        if not found:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def fill(self, start: int, stop: int, columns: Any, into: np.ndarray) -> None:
        """Write some columns of rows into an array, copied once."""
        at = 0
        for p, a, b in overlapping(self.ends, start, stop):
            self.parts[p].fill(a, b, columns, into[at : at + b - a])
            at += b - a


def overlapping(ends: np.ndarray, start: int, stop: int) -> list[tuple[int, int, int]]:
    """Which parts hold some rows, and from where to where in each.

    Parameters
    ----------
    ends : ndarray of int
        How many rows there are up to each part's end.

    Examples
    --------
    >>> overlapping(np.array([4, 8]), 2, 6)
    [(0, 2, 4), (1, 0, 2)]
    """
    found = []
    for p in range(int(np.searchsorted(ends, start, side="right")), len(ends)):
        first = int(ends[p - 1]) if p else 0
        if first >= stop:
            break
        a, b = max(start - first, 0), min(stop, int(ends[p])) - first
        if b > a:
            found.append((p, a, b))
    return found


def _mapped(array: Any) -> Any:
    """The memory map that an array's memory belongs to, unless it may have changes of its own."""
    base = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(base, "madvise") else None


class _InFile(NamedTuple):
    """Where a file has an array."""

    path: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    order: Any

    def open(self) -> np.ndarray:
        """Map it, to be read."""
        path, dtype, offset, shape, order = self
        return np.memmap(path, dtype, "r", offset, shape, order)


def _place_in_file(array: Any, mapped: Any) -> Any:
    """Where the file of a memory map has an array; its values where it is no whole stretch."""
    base, memory = array, np.frombuffer(mapped, np.uint8)
    while not (isinstance(base, np.memmap) and base.base is mapped):
        base = base.base
    flags = array.flags
    if base.filename is None or not (flags.c_contiguous or flags.f_contiguous):
        return np.array(array)
    begin = base.offset - base.offset % mmap.ALLOCATIONGRANULARITY  # as NumPy maps it
    offset = begin + array.ctypes.data - memory.ctypes.data
    order = "C" if flags.c_contiguous else "F"
    return _InFile(str(base.filename), array.dtype, offset, array.shape, order)


def _release(mapped: Any, rows: np.ndarray) -> None:
    """Let pages go that were read: they stay in the system's cache, not in this process."""
    if not rows.size:
        return
    origin = np.frombuffer(mapped, np.uint8).ctypes.data
    low, high = np.lib.array_utils.byte_bounds(rows)
    start = (low - origin) // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_DONTNEED, start, high - origin - start)
