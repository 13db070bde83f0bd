"""The adapter of CuPy."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

import numpy as np

from xpnn.arrays.libraries.base import Library, first_line, gpu_driver, widened
from xpnn.arrays.typing import Array, Device

# The streams that work was begun in, by device; threads that share a work are in a copy of its
# context, and so in its stream.
_begun: ContextVar[Mapping[int, Any]] = ContextVar("xpnn_streams", default=MappingProxyType({}))
_own = threading.local()  # each thread's streams, by device


@contextmanager
def _in_stream(number: int) -> Iterator[None]:
    """A device, and a stream there: fits in several threads overlap.

    The main thread works in CUDA's default stream, another one in a stream of its own, which
    waits for what the default stream was given before, and that one for it. When the outermost
    context ends, so has its work, whatever stream goes on with it. A stream that the caller has
    chosen stays.
    """
    import cupy

    with cupy.cuda.Device(number):
        current, before = cupy.cuda.get_current_stream(), _begun.get()
        if current.ptr:
            yield
            return
        if number in before:  # begun here, or by the thread that has begun this one
            with before[number]:
                yield
            return
        stream = current
        if threading.current_thread() is not threading.main_thread():
            streams = _own.__dict__.setdefault("streams", {})
            stream = streams.get(number) or streams.setdefault(number, cupy.cuda.Stream())
        _begun.set(MappingProxyType({**before, number: stream}))
        try:
            with stream if stream is not current else nullcontext():
                yield
        finally:
            _begun.set(before)
            if stream is not current:
                stream.synchronize()


class CuPy(Library):
    """CuPy: NVIDIA GPUs (ROCm in its own builds), by number."""

    name = "cupy"
    module = "array_api_compat.cupy"
    distributions = ("cupy-cuda12x", "cupy-cuda13x", "cupy")
    cure = "pip install 'xpnn[cuda12]' or 'xpnn[cuda13]', as the driver's CUDA version is"
    hint = " (without NVRTC or cuBLAS: pip install 'cupy-cuda12x[ctk]' or 'cupy-cuda13x[ctk]')"
    kinds = ("0",)

    def canonical(self, rest: str) -> str:
        rest = rest.removeprefix("cuda").removeprefix(":") or "0"
        return str(int(rest)) if rest.isdecimal() else rest

    def devices(self) -> dict[str, Device]:
        # empty without a driver; the first call into CUDA may raise
        import cupy

        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except Exception:
            count = 0
        return {str(i): cupy.cuda.Device(i) for i in range(count)}

    def default(self) -> str:
        import cupy

        return str(cupy.cuda.Device().id) if self.devices() else "0"

    def why_not(self, kind: str) -> str:
        # the first question is whether there is a driver
        installed = f"cupy {self.version()} installed"
        if not gpu_driver():
            return f"{installed}, no CUDA driver"
        import cupy

        try:
            cupy.cuda.runtime.getDeviceCount()
        except Exception as error:
            return f"{installed}, CUDA says: {first_line(error)}"
        return f"{installed}, no GPU found (is CUDA_VISIBLE_DEVICES empty?)"

    def describe(self, device: Device) -> str:
        import cupy

        return str(cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode())

    def accelerator(self, device: Device) -> bool:
        # always: a wheel may lack NVRTC or cuBLAS
        return True

    def real(self, device: Device) -> bool:
        # CuPy's host double, used in tests, calls itself a CPU
        return not self.describe(device).startswith("CPU")

    def suffix(self, device: Device) -> str:
        return str(device.id)

    def device_of(self, x: Array) -> Device:
        return x.device

    def key_of(self, x: Array) -> Any:
        # device objects of CuPy have no hash
        return x.data.device_id

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        with self.context(x.device):
            return widened(np.asarray(x.get()))

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        import cupy

        with self.context(device):
            return cupy.asarray(x)

    def move(self, x: Array, device: Device) -> Array:
        import cupy

        with self.context(x.device):  # CuPy copies from GPU to GPU what lies in one piece
            x = cupy.ascontiguousarray(x).reshape(x.shape)
        with self.context(device):
            return cupy.asarray(x)

    def synchronize(self, device: Device) -> None:
        device.synchronize()

    def context(self, device: Device) -> AbstractContextManager[Any]:
        # `zeros` and its like ignore `device=`; fresh, as one cannot be nested
        return _in_stream(device.id)

    def free_memory(self, device: Device) -> int | None:
        # what the driver has left, and what CuPy's pool holds unused
        import cupy

        with self.context(device):
            return int(device.mem_info[0]) + int(cupy.get_default_memory_pool().free_bytes())
