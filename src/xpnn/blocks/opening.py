"""From what a user has to what `Blocks` reads: told by the name, or by what the object can."""

import os
from collections.abc import Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

from xpnn.blocks.arrays import Slices
from xpnn.blocks.arrow import ArrowTable, ParquetTable, need_pyarrow
from xpnn.blocks.delimited import csv_batches
from xpnn.blocks.files import kind_of, numpy_files
from xpnn.blocks.spill import SpilledTable, spill
from xpnn.blocks.table import ArrayTable, Table
from xpnn.tables.progress import counted

_CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
_MOST_UNPACKED = 2  # blocks that a row group may hold


class Opened(NamedTuple):
    """A table, and targets and weights that lie beside it."""

    table: Table
    y: Any = None
    weight: Any = None


def open_table(source: Any, block_rows: int, folder: Any, dtype: Any) -> Opened:
    """Find out how to read something.

    Parameters
    ----------
    source : path, list of paths, array, data frame or Arrow stream
    folder, dtype
        Where and as what to write what cannot be read in pieces.

    Raises
    ------
    FileNotFoundError
    """
    if isinstance(source, str) and any(sign in source for sign in "*?["):
        source = _matching(source)
    if isinstance(source, str | os.PathLike):
        return _open_path(Path(source), block_rows, folder, dtype)
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | os.PathLike):
        return _open_paths([Path(p) for p in source], block_rows, folder, dtype)
    if hasattr(source, "to_delayed") and hasattr(source, "npartitions"):
        if not hasattr(source, "chunks"):  # a frame of Dask's; its arrays are read by slices
            return Opened(spill(_partitions(source), folder, None, dtype))
    elif hasattr(source, "get_fragments") and hasattr(source, "to_batches"):
        return Opened(_from_dataset(source, block_rows, folder, dtype))
    elif hasattr(source, "__arrow_c_stream__"):
        return _open_arrow(source, folder, dtype)
    elif hasattr(source, "tocsr"):
        raise ValueError("X is a sparse matrix, which fits in memory: pass it to fit as it is.")
    return Opened(ArrayTable(Slices(source, "X")))


def _open_arrow(source: Any, folder: Any, dtype: Any) -> Opened:
    """A data frame is in memory; any other stream is read once and written."""
    pa = need_pyarrow("Reading an Arrow stream")
    if isinstance(source, pa.Table) or hasattr(source, "columns"):
        frame = hasattr(source, "iloc")
        table = pa.Table.from_pandas(source, preserve_index=False) if frame else pa.table(source)
        return Opened(ArrowTable(table))
    return Opened(spill(pa.RecordBatchReader.from_stream(source), folder, None, dtype))


def _partitions(frame: Any) -> Iterator[Any]:
    import pyarrow as pa

    for part in frame.partitions:
        table = pa.Table.from_pandas(part.compute(), preserve_index=False)
        yield from table.to_batches()


def _open_path(path: Path, block_rows: int, folder: Any, dtype: Any) -> Opened:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}.")
    if path.is_dir() and (path / "columns.json").exists():
        return Opened(SpilledTable(path))
    if path.suffix == ".zarr" or (path.is_dir() and _is_zarr(path)):
        return _from_mapping(_need("zarr").open(str(path), mode="r"), path)
    if path.is_dir():
        files = files_below(path)
        if any(p.suffix in (".npy", ".npz") for p in files):
            return Opened(*numpy_files(files))
        if not files:
            raise ValueError(
                f"the folder {str(path)!r} is empty: name one that holds files such as Parquet or "
                "CSV."
            )
        return _open_paths([path], block_rows, folder, dtype, files)
    return _open_paths([path], block_rows, folder, dtype)


def _matching(pattern: str) -> str | list[str]:
    """The files of a pattern in the order of their names; a file that is so called itself."""
    if Path(pattern).exists():
        return pattern
    found = sorted(glob(pattern, recursive=True))
    if not found:
        raise FileNotFoundError(f"there is no file that matches {pattern!r}.")
    return found


def files_below(folder: Path) -> list[Path]:
    """The files of a folder in the order of their names, but for those that begin with . or _."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p, folder))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _is_zarr(path: Path) -> bool:
    return any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def _open_paths(
    paths: list[Path], block_rows: int, folder: Any, dtype: Any, files: Any = None
) -> Opened:
    """Files of one kind, told by their names."""
    files = files or paths
    for path in files:
        if not path.exists():
            raise FileNotFoundError(f"there is no file {str(path)!r}.")
    names = [p.name.lower() for p in files]

    def all_end(*suffixes: str) -> bool:
        return all(name.endswith(suffixes) for name in names)

    if all_end(".npy", ".npz"):
        return Opened(*numpy_files(files))
    if all_end(".h5", ".hdf5") and len(files) == 1:
        return _from_mapping(_need("h5py").File(files[0], "r"), files[0])
    if all_end(*_CSV):
        return Opened(spill(csv_batches(files), folder, _fingerprint(files), dtype))
    if all_end(".parquet", ".pq"):
        return Opened(_open_parquet(paths, files, block_rows, folder, dtype))
    if all_end(".arrow", ".feather", ".ipc"):
        batches = need_pyarrow("Reading Arrow files").dataset.dataset(
            [str(p) for p in files], format="ipc"
        )
        return Opened(spill(batches.to_batches(), folder, _fingerprint(files), dtype))
    raise ValueError(
        f"{str(paths[0])!r} is nothing that can be read in blocks: Parquet, CSV, .npy, .npz, "
        ".h5, .zarr, .arrow, or a folder of one of these kinds."
    )


def _open_parquet(
    paths: list[Path], files: list[Path], block_rows: int, folder: Any, dtype: Any
) -> Table:
    dataset = need_pyarrow("Reading Parquet").dataset.dataset(
        str(paths[0]) if paths[0].is_dir() else [str(p) for p in paths],
        format="parquet",
        partitioning="hive",
    )
    return _from_dataset(dataset, block_rows, folder, dtype, _fingerprint(files))


def _from_dataset(
    dataset: Any, block_rows: int, folder: Any, dtype: Any, about: Any = None
) -> Table:
    """Parquet by row groups, unless each holds so many rows that blocks would unpack them often.

    Other formats, and rows that pass a filter, are read once and written.
    """
    pq = need_pyarrow("Reading a dataset").dataset.ParquetFileFormat
    rows = dataset.count_rows()
    if isinstance(getattr(dataset, "format", None), pq):
        with suppress(ValueError):  # a filtered one gives no row groups
            table = ParquetTable(dataset)
            if table.largest <= _MOST_UNPACKED * block_rows or rows <= block_rows:
                return table
    batches = counted(dataset.to_batches(), rows, "row", "unpacking", lambda b: b.num_rows)
    return spill(batches, folder, about, dtype)


def _fingerprint(files: list[Path]) -> Any:
    """What tells whether files have changed."""
    return [[str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns] for p in files]


def _from_mapping(found: Any, path: Path) -> Opened:
    """An array, or a group of arrays, of HDF5 or zarr."""
    if hasattr(found, "shape"):
        return Opened(ArrayTable(Slices(found, path.name)))
    names = list(found)
    chosen: dict[str, Any] = {}
    for name in names:
        kind = kind_of(name, len(names) == 1)
        if kind and hasattr(found[name], "shape"):
            chosen[kind] = Slices(found[name], f"{path.name}: {name}")
    if "X" not in chosen:
        raise ValueError(f"{str(path)!r} has no array X; it has {', '.join(names)}.")
    return Opened(ArrayTable(chosen["X"]), chosen.get("y"), chosen.get("weight"))


def _need(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"reading this needs {module}; get it with: python -m pip install {module}"
        ) from error
