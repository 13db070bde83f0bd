"""Fingerprints of data: whether a training goes on with the rows that it was begun with."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.arrays.backend import to_numpy
from xpnn.training.data import is_sparse

_WHOLE = 1 << 27  # bytes of an array that are looked at; of a larger one, as much in even blocks
_BLOCKS = 256


def fingerprint(a: Any) -> dict[str, Any] | None:
    """Shape, dtype and a hash of an array of any library, of a CSR matrix, or of None.

    Up to 128 MiB every byte counts; of larger arrays 256 blocks of rows at even distances, the
    first and the last rows among them, so that the time it takes is bounded.

    Parameters
    ----------
    a : array or CSR matrix, or None

    Returns
    -------
    dict or None
        Plain data; the same for the same values on any device.

    Examples
    --------
    >>> one, other = fingerprint(np.eye(3)), fingerprint(np.eye(3) * 2)
    >>> one["shape"], one["dtype"], one["sha256"] == other["sha256"]
    ([3, 3], 'float64', False)
    """
    if a is None:
        return None
    if hasattr(a, "fingerprint"):  # it knows a quicker way
        own: dict[str, Any] = a.fingerprint()
        return own
    if is_sparse(a):
        parts, digest = (a.data, a.indices, a.indptr), hashlib.sha256()
        for part in parts:
            _update(digest, part)
        return {"shape": list(a.shape), "dtype": str(a.dtype), "sha256": digest.hexdigest()}
    digest = hashlib.sha256()
    _update(digest, a)
    name = str(a.dtype).rpartition(".")[2]
    return {"shape": [int(n) for n in a.shape], "dtype": name, "sha256": digest.hexdigest()}


def pieces(n: int, per_row: int) -> Iterator[tuple[int, int]]:
    """First row and end of the pieces that count, of so many rows with so many bytes each.

    Examples
    --------
    >>> list(pieces(1000, 8))
    [(0, 1000)]
    >>> len(list(pieces(10**9, 8)))
    256
    """
    if n * per_row <= _WHOLE:
        yield 0, n
        return
    rows = max(1, _WHOLE // per_row // _BLOCKS)
    for start in np.unique(np.linspace(0, max(n - rows, 0), min(_BLOCKS, n), dtype=np.int64)):
        yield int(start), int(start) + rows


def _update(digest: Any, a: Any) -> None:
    """Add an array's bytes; those of a device come over piece by piece."""
    if a.ndim == 0:
        digest.update(_bytes(a))
        return
    per_row = max(1, int(np.prod(a.shape[1:], dtype=np.int64)) * 8)
    for start, stop in pieces(int(a.shape[0]), per_row):
        digest.update(_bytes(a[start:stop, ...]))


def _bytes(a: Any) -> Any:
    host = np.ascontiguousarray(to_numpy(a))
    if host.dtype.kind == "O":
        return repr(host.tolist()).encode()
    if not host.size:
        return b""
    # as bytes first: times and bfloat16 have no buffer of their own
    return host.astype(host.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8).data
