"""The adapter of JAX."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np

from xpnn.arrays.libraries.base import TRACED, X64, Library, first_line, gpu_driver, widened
from xpnn.arrays.typing import Array, Device

_OF_THREAD = threading.local()


class Jax(Library):
    """JAX: `cpu`, `cuda:0`, `rocm:0`, `tpu:0`."""

    name = "jax"
    module = "jax.numpy"
    distributions = ("jax",)
    cure = "pip install 'xpnn[jax]' (on an NVIDIA GPU also 'jax[cuda12]' or 'jax[cuda13]')"
    kinds = ("cpu", "cuda", "rocm", "tpu")
    aliases: ClassVar[dict[str, str]] = {"gpu": "cuda"}
    deferred = True

    def devices(self) -> dict[str, Device]:
        # all platforms, not only the default one
        import jax

        found = {}
        for kind in self.kinds:
            try:
                devices = jax.devices(kind)
            except RuntimeError:
                continue
            found.update({self.suffix(device): device for device in devices})
        return found

    def default(self) -> str:
        import jax

        return self.suffix(jax.devices()[0])

    def why_not(self, kind: str) -> str:
        import jax

        try:
            jax.devices(kind)
        except RuntimeError as error:
            cure = "; pip install 'jax[cuda12]' or 'jax[cuda13]'" if gpu_driver() else ""
            return f"jax {self.version()} installed, {first_line(error)}{cure}"
        return super().why_not(kind)

    def describe(self, device: Device) -> str:
        return "CPU" if device.platform == "cpu" else str(device.device_kind)

    def accelerator(self, device: Device) -> bool:
        return bool(device.platform != "cpu")

    def suffix(self, device: Device) -> str:
        # tracers have no device, sharded arrays several
        if device is None:
            return "traced"
        if not hasattr(device, "platform"):
            return str(device)
        kind = device.platform
        if kind == "gpu":
            kind = "rocm" if "rocm" in device.client.platform_version else "cuda"
        return self.canonical(f"{kind}:{device.id}")

    def device_of(self, x: Array) -> Device:
        return getattr(x, "device", None)

    def unreadable(self, x: Array) -> str:
        import jax

        if isinstance(x, jax.core.Tracer):
            return f"is being traced by jax (jit, vmap or grad) and {TRACED}."
        places = len(x.devices())
        if places > 1:
            return (
                f"is spread over {places} devices, and xpnn computes on one: gather it with "
                "jax.device_put(array, jax.devices()[0])."
            )
        return ""

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        return widened(np.asarray(x))

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        # on the CPU, JAX may share aligned memory unless told to copy
        import jax

        if copy or device is None:
            return jax.numpy.array(x, copy=copy or None, device=device)
        return jax.device_put(x, device)

    def move(self, x: Array, device: Device) -> Array:
        import jax

        return jax.device_put(x, device)

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        # depends on a setting, which may change
        import jax

        return frozenset() if jax.config.jax_enable_x64 else X64

    def synchronize(self, device: Device) -> None:
        # JAX can only wait for arrays
        import jax

        jax.block_until_ready([x for x in jax.live_arrays() if device in x.devices()])

    def context(self, device: Device) -> AbstractContextManager[Any]:
        import jax

        if device is None or not hasattr(device, "platform"):
            return nullcontext()
        context: AbstractContextManager[Any] = jax.default_device(device)
        return context

    def settings(self) -> Callable[[], object]:
        # `with jax.enable_x64(True)` holds for its thread alone
        import jax

        if not hasattr(jax, "enable_x64"):  # before JAX 0.8
            from jax.experimental import enable_x64
        else:
            enable_x64 = jax.enable_x64
        wanted = bool(jax.config.jax_enable_x64)

        def enter() -> None:
            # kept by the thread: where another one frees it, JAX sets that thread's back
            _OF_THREAD.x64 = context = enable_x64(wanted)
            context.__enter__()

        return enter

    def free_memory(self, device: Device) -> int | None:
        statistics = device.memory_stats() if hasattr(device, "memory_stats") else None
        if not statistics or "bytes_limit" not in statistics:
            return None
        return int(statistics["bytes_limit"] - statistics["bytes_in_use"])
