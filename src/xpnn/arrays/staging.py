"""Two buffers on the host, and how what is in one of them gets to the device.

While the device works on one, a thread fills the other and uploads it.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array

Shape = tuple[tuple[int, ...], np.dtype]


class Staging:
    """Buffers of the same shapes, and their contents on the device.

    Parameters
    ----------
    shapes : list of (shape, dtype), or None for what is not there
    """

    def __init__(self, backend: Backend, shapes: list[Shape | None]) -> None:
        self.backend = backend
        self.host: list[list[Any]] = [
            [None if s is None else self.room(*s) for s in shapes] for _ in range(2)
        ]

    def room(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A host buffer of zeros: what no row has filled is a class number, too."""
        return np.zeros(shape, dtype)

    def upload(self, slot: int, start: int) -> tuple[Array | None, ...]:
        """One buffer's rows from `start` on, on the device; called in the reading thread.

        The arrays have the buffer's length; what stands in them before `start` is not told.
        """
        # JAX computes later, when the buffer may hold other rows
        copy = True if self.backend.library.deferred else None
        found = (None if a is None else self.backend.asarray(a, copy=copy) for a in self.host[slot])
        return tuple(found)

    def used(self, slot: int) -> None:
        """All work on one buffer's contents was given to the device; it may be still at work."""


class CupyStaging(Staging):
    """Page-locked buffers and a stream of their own, so that copies and kernels overlap."""

    def __init__(self, backend: Backend, shapes: list[Shape | None]) -> None:
        import cupy

        super().__init__(backend, shapes)
        with backend.device_context():
            self.stream = cupy.cuda.Stream(non_blocking=True)
            self.device: list[list[Any]] = [
                [None if a is None else cupy.zeros(a.shape, a.dtype) for a in buffers]
                for buffers in self.host
            ]
            self.done = [cupy.cuda.Event() for _ in range(2)]
            for slot in range(2):  # the zeros are there before the other stream writes
                self.used(slot)

    def room(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """A page-locked buffer, which the device reads without the host's help."""
        import cupyx

        with self.backend.device_context():
            buffer: np.ndarray = cupyx.zeros_pinned(shape, dtype)
            return buffer

    def upload(self, slot: int, start: int) -> tuple[Array | None, ...]:
        """The same, when the device has done with what the buffer held before."""
        with self.backend.device_context():
            self.done[slot].synchronize()
            for host, device in zip(self.host[slot], self.device[slot], strict=True):
                if host is not None:
                    device[start:].set(host[start:], stream=self.stream)
            self.stream.synchronize()
        return tuple(self.device[slot])

    def used(self, slot: int) -> None:
        """Note where the device's work on the buffer ends."""
        with self.backend.device_context():
            self.done[slot].record()


def make_staging(backend: Backend, shapes: list[Any]) -> Staging:
    """The buffers that suit a device.

    Examples
    --------
    >>> from xpnn.arrays.backend import get_backend
    >>> staging = make_staging(get_backend("numpy"), [((2, 3), np.dtype("float32")), None])
    >>> staging.host[0][0][...] = 1.0
    >>> staging.upload(0, 0)[0].sum()
    np.float32(6.0)
    """
    kind = CupyStaging if backend.name.startswith("cupy") else Staging
    return kind(backend, shapes)


def reading_thread(backend: Backend) -> ThreadPoolExecutor:
    """The thread that fills and uploads; arrays that it makes are as those of this thread.

    Examples
    --------
    >>> from xpnn.arrays.backend import get_backend
    >>> with reading_thread(get_backend("numpy")) as reader:
    ...     reader.submit(sum, (1, 2)).result()
    3
    """
    return ThreadPoolExecutor(1, "xpnn-blocks", initializer=backend.library.settings())
