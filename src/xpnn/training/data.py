"""Rows on their way to the device: moved once where they fit, streamed by batches where not."""

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend, to_numpy
from xpnn.arrays.typing import Array, DType
from xpnn.parts.losses import built_in
from xpnn.steps.cut import Shares
from xpnn.steps.inference import host_outputs, outputs_of
from xpnn.steps.rules import Batch
from xpnn.training.portions import Draw, Portion

# Training needs room beside the data; data above this part of the free memory is streamed.
_RESIDENT_FRACTION = 0.5
# Rows of a prediction go in chunks of about this many elements of the widest layer.
CHUNK_ELEMENTS = 1 << 24


class Dataset:
    """Features, targets and weights of some rows, ready to be cut into batches.

    Parameters
    ----------
    x : array of shape (n, n_in), or SciPy CSR matrix
        On the backend's device or on the host. CSR stays CSR on NumPy; elsewhere each batch is
        made dense, never the whole.
    y : array of shape (n, ...), or None
    weight : array of shape (n,), or None
    backend : Backend
        Where the work is done.
    dtype : dtype of the backend's namespace
        Of features, weights and floating targets; integer targets keep theirs.
    stream : bool, default=None
        Whether batches are moved one by one; None decides by the device's free memory.
    checked : bool, default=False
        Whether class numbers are known to be right, so that nobody has to look at them.
    rows : ndarray of int, shape (n, members), default=None
        The rows that each member of a network learns from; None is all of them, for each.

    Attributes
    ----------
    n : int
        Rows of an epoch, of each member.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        weight: Any,
        backend: Backend,
        dtype: DType,
        *,
        stream: bool | None = None,
        checked: bool = False,
        rows: np.ndarray | None = None,
    ) -> None:
        self.shares: Shares | None = None  # where processes have their own rows
        self.backend, self.dtype, self.checked, self.rows = backend, dtype, checked, rows
        self.n = int((x if rows is None else rows).shape[0])
        self.sparse = is_sparse(x)
        self.resident = not (self.sparse or (_too_big(x, backend) if stream is None else stream))
        self.arrays: tuple[Any, ...] = (x, y, weight)
        if self.resident:
            self.arrays = self._moved(*self.arrays)
        else:  # batches are gathered on the host
            if self.sparse and backend.name == "numpy":
                x = x.astype(dtype, copy=False)
            host = (a if a is None or is_sparse(a) else to_numpy(a) for a in (x, y, weight))
            self.arrays = tuple(host)

    def _moved(self, x: Any, y: Any, weight: Any) -> tuple[Array | None, ...]:
        return self.move(x, real=True), self.move(y), self.move(weight, real=True)

    def move(self, a: Any, real: bool = False) -> Array | None:
        """An array on the device, in the dtype of the work if it is floating or is to be `real`."""
        if a is None:
            return None
        if is_sparse(a):
            if self.backend.name == "numpy":
                return a.astype(self.dtype, copy=False)
            a = a.toarray()
        return self.backend.asarray(a, dtype=self.dtype if real or _is_floating(a) else None)

    def portions(self, draw: Draw, size: int, *, whole: bool) -> Generator[Portion]:
        """An epoch, as steps take it: all rows at once, or a batch at a time.

        Parameters
        ----------
        size : int
            Rows of a batch.
        whole : bool
            Whether the steps gather the batches themselves.
        """
        order, steps = draw.order(self.n, self.rows), -(-self.n // size)
        if whole:  # the order is the one transfer of an epoch
            order = placed(order, self.backend) if self.resident else order
            yield Portion(Batch(*self.arrays), order, 0, steps)
            return
        for i, start in enumerate(range(0, self.n, size)):
            batch: Any = (None, None, None)
            if i >= draw.begun:
                batch = self.fetch(order, start, min(size, self.n - start))
            yield Portion(Batch(*batch), None, 0, 1)

    def check_labels(self, loss: Any, n_classes: int) -> None:
        """Refuse class numbers that a network with so many outputs does not have."""
        y, xp = self.arrays[1], self.backend.xp
        numbers = built_in(loss) == "softmax_cross_entropy" and y is not None and y.ndim == 1
        if self.checked or not numbers or not self.n:
            return
        library = xp if self.resident else np
        if float(library.min(y)) < 0 or float(library.max(y)) >= n_classes:
            y = to_numpy(y)
            wrong = (y < 0) | (y >= n_classes)
            row = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                f"y has the class number {y[row].item()!r} in row {row}, but the network has "
                f"{n_classes} outputs: number the classes from 0 to {n_classes - 1}, or give the "
                "last layer more outputs."
            )

    def some(self, start: int, size: int) -> tuple[Array | None, ...]:
        """Consecutive rows on the device, as they lie."""
        if self.resident:
            end = start + size
            if size == self.n:
                return self.arrays
            return tuple(None if a is None else a[start:end, ...] for a in self.arrays)
        return self.fetch(None, start, size)

    def fetch(self, order: np.ndarray | None, start: int, size: int) -> tuple[Array | None, ...]:
        """One streamed batch, gathered on the host and moved."""
        if order is None or order.ndim < 2:
            rows = slice(start, start + size) if order is None else order[start : start + size]
            return self._moved(*(None if a is None else a[rows] for a in self.arrays))
        x, y, weight = self.arrays  # rows of each member's own
        at = order[start : start + size]
        own = [dense(x[at[:, m]]) for m in range(at.shape[1])]
        if weight is not None:
            weight = weight[at] if weight.ndim < 2 else np.take_along_axis(weight, at, 0)
        targets = np.stack([y[at[:, m]] for m in range(at.shape[1])])
        return self._moved(np.stack(own), targets, weight)


def placed(order: np.ndarray | None, backend: Backend) -> Array | None:
    """Row numbers where batches are gathered."""
    if order is None or backend.name == "numpy":
        return order
    return backend.asarray(order, dtype="int64" if "int64" in backend.dtypes else "int32")


def is_sparse(x: Any) -> bool:
    """Whether `x` is a SciPy sparse matrix or array; imports no SciPy."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def dense(x: Any) -> Any:
    """A SciPy sparse matrix as an array; anything else as it is."""
    return x.toarray() if is_sparse(x) else x


def predict_in_chunks(
    network: Any, theta: Array, buffers: Array, x: Any, backend: Backend, method: str = "predict"
) -> Array:
    """Outputs for any number of rows, a bounded number of them at a time.

    Parameters
    ----------
    network : xpnn.network.Network
    theta, buffers : arrays on the backend's device
    x : array of shape (n, n_in) on the device or the host, or SciPy CSR matrix
    method : {"predict", "forward"}
        With or without the network's link.

    Returns
    -------
    array of shape (n, n_out) on the backend's device
    """
    if isinstance(theta, np.ndarray) and (isinstance(x, np.ndarray) or is_sparse(x)):
        outputs = host_outputs(network, theta, buffers, x, method)
        if outputs is not None:
            return outputs
    function = outputs_of(network, method, backend.xp)
    size = max(1, CHUNK_ELEMENTS // network.widest)
    data = Dataset(x, None, None, backend, theta.dtype)
    parts = [function(theta, buffers, batch, backend.xp) for batch in _chunks(data, size)]
    rows = -2 if method == "forward" else 0  # the axis behind the members'
    return parts[0] if len(parts) == 1 else backend.xp.concat(parts, axis=rows)


def _chunks(data: Dataset, size: int) -> Iterator[Array]:
    if data.resident and data.n <= size:
        yield data.arrays[0]
        return
    for start in range(0, data.n, size):
        rows = min(size, data.n - start)
        yield data.some(start, rows)[0]


def _is_floating(a: Any) -> bool:
    return "float" in str(a.dtype)


def _too_big(x: Any, backend: Backend) -> bool:
    if not isinstance(x, np.ndarray) or backend.name == "numpy":
        return False
    free = backend.free_memory()
    return free is not None and x.nbytes > _RESIDENT_FRACTION * free
