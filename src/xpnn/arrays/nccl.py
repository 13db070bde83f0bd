"""Messages between GPUs by NVIDIA's NCCL: CuPy arrays, from where they lie to where they go.

All of it is given to CuPy's current stream; `wait` is where the host waits.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from xpnn.arrays.typing import Array

_KINDS = {
    "float32": "NCCL_FLOAT32",
    "float64": "NCCL_FLOAT64",
    "int32": "NCCL_INT32",
    "int64": "NCCL_INT64",
    "uint8": "NCCL_UINT8",
}
_LOOKS = 64  # at an event between two looks for a failure


def nccl_library() -> Any:
    """CuPy's module of NCCL."""
    try:
        from cupy.cuda import nccl
    except ImportError as error:
        raise ImportError(
            "NCCL is used by way of CuPy, which does not import here: pip install 'xpnn[cuda12]' "
            f"or 'xpnn[cuda13]'. ({error})"
        ) from error
    if not nccl.available:
        raise ImportError(
            "CuPy finds no NCCL here: pip install nvidia-nccl-cu12 or nvidia-nccl-cu13, as the "
            "driver's CUDA version is (Linux alone)."
        )
    return nccl


def unique_id() -> list[int]:
    """What the processes of one NCCL communicator have to know of each other."""
    return list(nccl_library().get_unique_id())


def device_count() -> int:
    """GPUs that CuPy sees here; raises an ImportError as `nccl_library` does."""
    nccl_library()
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


class Nccl:
    """One of `size` processes, with a GPU of its own.

    Parameters
    ----------
    uid : list of int
        One process's `unique_id`.
    device : int
        The number of the GPU here.
    """

    def __init__(self, size: int, uid: Sequence[int], rank: int, device: int) -> None:
        import cupy

        self._cupy, self._nccl = cupy, nccl_library()
        self.size, self.rank, self.device = size, rank, device
        self._broken = False
        with cupy.cuda.Device(device):
            self._comm = self._nccl.NcclCommunicator(size, tuple(uid), rank)

    def takes(self, a: Any) -> bool:
        """Whether an array lies on this process's GPU."""
        return isinstance(a, self._cupy.ndarray) and a.device.id == self.device

    def all_reduce(self, flat: Array, look: Callable[[], None]) -> Array:
        """The sum of all processes' vectors, in NCCL's own order."""
        with self._cupy.cuda.Device(self.device):
            send = self._cupy.ascontiguousarray(flat)
            into, stream = self._cupy.empty_like(send), self._stream()
            about = send.size, self._kind(send), self._nccl.NCCL_SUM, stream
            self._comm.allReduce(send.data.ptr, into.data.ptr, *about)
            self._wait(look)
            return into

    def exchange(
        self, parts: Sequence[Array], counts: Sequence[int], look: Callable[[], None]
    ) -> list[Array]:
        """Send each process its part, and get `counts[r]` numbers from process r.

        Parameters
        ----------
        parts : sequence of arrays of shape (k,)
            The part for process r at r; of one dtype.
        look : callable () -> None
            Called while the host waits; what it raises ends that.
        """
        with self._cupy.cuda.Device(self.device):
            kind, stream = self._kind(parts[0]), self._stream()
            sent = [self._cupy.ascontiguousarray(p) for p in parts]
            found = [self._cupy.empty(n, parts[0].dtype) for n in counts]
            found[self.rank] = sent[self.rank]
            self._nccl.groupStart()
            for peer, (part, into) in enumerate(zip(sent, found, strict=True)):
                if peer != self.rank and part.size:
                    self._comm.send(part.data.ptr, part.size, kind, peer, stream)
                if peer != self.rank and into.size:
                    self._comm.recv(into.data.ptr, into.size, kind, peer, stream)
            self._nccl.groupEnd()
            self._wait(look)
            return found

    def _kind(self, a: Array) -> int:
        name = _KINDS.get(str(a.dtype))
        if name is None:
            raise TypeError(f"NCCL messages here are of {', '.join(_KINDS)}, not {a.dtype}.")
        return int(getattr(self._nccl, name))

    def _stream(self) -> int:
        return int(self._cupy.cuda.get_current_stream().ptr)

    def _wait(self, look: Callable[[], None]) -> None:
        """Until the messages are through; a kernel that waits for a dead process never ends."""
        event, looks = self._cupy.cuda.Event(disable_timing=True), 0
        event.record()
        while not event.done:
            looks += 1
            if looks % _LOOKS:
                continue
            try:
                look()
            except BaseException:
                self.abort()
                raise
            time.sleep(0)  # another thread may need the processor

    def abort(self) -> None:
        """End what waits for others on the GPU; nothing goes after that."""
        if not self._broken:
            self._broken = True
            self._comm.abort()
