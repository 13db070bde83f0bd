"""A table of which each process has its own rows: how its columns become inputs.

A column is read by one process, which gets it whole: of n columns and p processes each reads n / p,
one at a time, and tells the others what it has found.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn.distributed.communicator import Communicator
from xpnn.tables.columns import as_text, objects
from xpnn.tables.encoding import Encoding, encoding_of, read_column
from xpnn.tables.frames import Frame
from xpnn.tables.kinds import Numbers
from xpnn.tables.thresholds import Classes
from xpnn.tables.values import different_texts

_TYPED = "biufmM"


def fit_encoding_together(
    frame: Frame,
    comm: Communicator,
    bins: int = 0,
    most_numbers: int | None = None,
    classes: Classes | None = None,
) -> Encoding:
    """What `fit_encoding` learns from the rows of all processes, one behind the other.

    Parameters
    ----------
    frame : Frame
        The rows of this process.
    bins, most_numbers, classes
        Of `fit_encoding`; the classes are those of the rows here.

    Returns
    -------
    Encoding
        The same in each process, and for any number of them.

    Raises
    ------
    ValueError
        Where the processes have other columns.

    Examples
    --------
    >>> from xpnn.distributed import in_threads
    >>> from xpnn.tables.frames import read_frame
    >>> def own(comm):
    ...     return fit_encoding_together(read_frame({"colour": ["red", "blue"][comm.rank :]}), comm)
    >>> [encoding.columns[0].categories for encoding in in_threads(own, 2)]
    [('blue', 'red'), ('blue', 'red')]
    """
    dtypes, categories, zoned = _columns_of_all(frame, comm)
    classes = None if classes is None else classes.of_all(comm)
    names, told = list(dtypes), list[dict[str, Any]]()
    for start in range(0, len(names), comm.size):
        some = names[start : start + comm.size]
        column = _whole(comm, frame, {name: dtypes[name] for name in some})
        own = None
        if comm.rank < len(some):
            name = some[comm.rank]
            one = Frame({name: column}, categories & {name}, zoned=zoned & {name})
            own = _learned(one, name, bins, classes)
        told += comm.gather(own)[: len(some)]
    parts = [Encoding.from_dict(t) for t in told]
    columns = [c for part in parts for c in part.columns]
    if most_numbers is not None and sum(t["numeric"] for t in told) > most_numbers:
        columns = [replace(c, edges=(), steps=()) if isinstance(c, Numbers) else c for c in columns]
    left_out = {name: why for part in parts for name, why in part.left_out.items()}
    notes = {name: note for part in parts for name, note in part.notes.items()}
    return Encoding(tuple(columns), left_out, notes)


def _learned(one: Frame, name: str, bins: int, classes: Classes | None) -> dict[str, Any]:
    """How a column becomes inputs, and whether it holds numbers, as plain data."""
    read = read_column(one, name)
    found = encoding_of({name: read}, bins, classes)
    return {"numeric": read.kind == "numeric", **found.to_dict()}


def _columns_of_all(
    frame: Frame, comm: Communicator
) -> tuple[dict[str, np.dtype | None], frozenset[str], frozenset[str]]:
    """The dtype of each whole column, None for objects; words and times with a zone by type."""
    own = {name: column.dtype.str for name, column in frame.columns.items()}
    by_type = [sorted(frame.categories), sorted(frame.zoned)]
    told = comm.gather([list(own), list(own.values()), by_type])
    for rank, (names, *_) in enumerate(told):
        if names != told[0][0]:
            raise ValueError(
                f"rank {rank} has the columns {names}, and rank 0 has {told[0][0]}: pass the same "
                "columns in the same order to each process."
            )
    columns = ([np.dtype(kinds[i]) for _, kinds, _ in told] for i in range(len(own)))
    dtypes = {name: common_dtype(kinds) for name, kinds in zip(own, columns, strict=True)}
    categories, zoned = (frozenset(n for *_, by in told for n in by[i]) for i in (0, 1))
    return dtypes, categories, zoned


def common_dtype(dtypes: Sequence[np.dtype]) -> np.dtype | None:
    """The dtype of some arrays of numbers or of times, one behind the other; else None.

    Examples
    --------
    >>> common_dtype([np.dtype("int64"), np.dtype("float32")])
    dtype('float64')
    """
    kinds = {dtype.kind for dtype in dtypes}
    if kinds <= set("biuf") or kinds in ({"m"}, {"M"}):
        return np.result_type(*dtypes)
    return None


def _whole(comm: Communicator, frame: Frame, dtypes: dict[str, np.dtype | None]) -> Any:
    """The r-th of some columns, of all processes' rows, in rank r; None where there is none."""
    parts = [_packed(frame.columns[name], dtype) for name, dtype in dtypes.items()]
    found = comm.swap_bytes([*parts, *[b""] * (comm.size - len(parts))])
    if comm.rank >= len(dtypes):
        return None
    dtype = list(dtypes.values())[comm.rank]
    return np.concatenate([_unpacked(part, dtype) for part in found])


def _packed(column: np.ndarray, dtype: np.dtype | None) -> bytes:
    """A column's values; of objects their texts, by which they are read."""
    if dtype is not None:
        return column.astype(dtype, copy=False).tobytes()
    texts, codes = different_texts(as_text(column) if column.dtype.kind in _TYPED else column)
    return json.dumps([texts, codes.tolist()]).encode()


def _unpacked(part: bytes, dtype: np.dtype | None) -> np.ndarray:
    if dtype is not None:
        return np.frombuffer(part, dtype)
    texts, codes = json.loads(part)
    return objects([*texts, None])[np.asarray(codes, dtype=np.int64)]
