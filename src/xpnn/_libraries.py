"""What each array library does in its own way: one small adapter per library.

Nothing here is imported before it is asked for: `Library.load` imports the library. A new library
is one class and one entry in `LIBRARIES`; everything else of the package goes through
`xpnn.backends`.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, ClassVar

import numpy as np

from ._typing import Array, Device, Namespace

REAL_DTYPES = (
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
X64 = frozenset({"float64", "int64", "uint64"})


class DeviceError(ValueError):
    """A device or library that is unknown, missing or unusable; the message names the cure."""


@cache
def gpu_driver() -> bool:
    """Whether a CUDA or ROCm driver is there, told without importing an array library."""
    names = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1",)
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return os.path.exists("/dev/kfd")


def apple_gpu() -> bool:
    """Whether this is an Apple machine with a GPU that torch calls `mps`."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


class Library:
    """The adapter of one library; the methods below hold for a library that lives on the host."""

    name = ""
    module = ""
    distributions: tuple[str, ...] = ()
    cure = ""
    kinds: tuple[str, ...] = ("",)
    aliases: ClassVar[dict[str, str]] = {}

    def version(self) -> str | None:
        """Return the installed version without importing the library; None: not installed."""
        for distribution in self.distributions:
            try:
                return importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    def load(self) -> Namespace:
        """Import the library and return its array API namespace."""
        try:
            return importlib.import_module(self.module)
        except Exception as error:
            version = self.version()
            if version is None:
                raise DeviceError(f"{self.name} is not installed: {self.cure}") from error
            line = _first_line(error)
            raise DeviceError(f"{self.name} {version} does not import: {line}") from error

    def devices(self) -> dict[str, Device]:
        """Return the devices there are, by the part of the spec after the library's name."""
        return {"": "cpu"}

    def default(self) -> str:
        """Return the device that the library's bare name stands for."""
        return next(iter(self.devices()))

    def why_not(self, kind: str) -> str:
        """Say why no device of this kind is there."""
        return f"{self.name} has no device {kind!r}"

    def describe(self, device: Device) -> str:
        """Return the device's name for people."""
        return "CPU"

    def accelerator(self, device: Device) -> bool:
        """Whether a device has to be tried before it is believed."""
        return False

    def real(self, device: Device) -> bool:
        """Whether `auto` may choose the device: False for simulated GPUs."""
        return True

    def canonical(self, rest: str) -> str:
        """Return the usual spelling of a device, `cuda` -> `cuda:0`."""
        rest = self.aliases.get(rest, rest)
        kind, _, index = rest.partition(":")
        kind = self.aliases.get(kind, kind)
        if kind in ("cuda", "rocm", "tpu", "xpu"):
            return f"{kind}:{index or 0}"
        return kind if index in ("", "0") else f"{kind}:{index}"

    def suffix(self, device: Device) -> str:
        """Return the part of the spec after the library's name."""
        return ""

    def device_of(self, x: Array) -> Device:
        """Return where an array is."""
        return "cpu"

    def key_of(self, x: Array) -> Any:
        """Return something hashable that tells the array's device."""
        return self.device_of(x)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """Return the array on the host; shares memory where it can."""
        return np.asarray(x)

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        """Move a host array to the device: one copy, or none if `copy` is False and none is due."""
        return np.array(x, copy=True) if copy else x

    def detach(self, x: Array) -> Array:
        """Return the array without its gradient history."""
        return x

    def move(self, x: Array, device: Device) -> Array:
        """Move an array to another device of the same library."""
        return x

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        """Return which of `REAL_DTYPES` the device lacks."""
        return frozenset()

    def synchronize(self, device: Device) -> None:
        """Wait until the device is idle."""

    def context(self, device: Device) -> AbstractContextManager[Any]:
        """Return a context in which work that names no device runs on this one."""
        return nullcontext()

    def free_memory(self, device: Device) -> int | None:
        """Return free bytes; None where the arrays are in host memory or nothing is known."""
        return None


class NumPy(Library):
    """NumPy: the host."""

    name = "numpy"
    module = "array_api_compat.numpy"
    distributions = ("numpy",)
    aliases: ClassVar[dict[str, str]] = {"cpu": "", "cpu:0": ""}


class CuPy(Library):
    """CuPy: NVIDIA GPUs (ROCm in its own builds), by number."""

    name = "cupy"
    module = "array_api_compat.cupy"
    distributions = ("cupy-cuda12x", "cupy-cuda13x", "cupy")
    cure = "pip install 'xpnn[cuda12]' or 'xpnn[cuda13]', as the driver's CUDA version is"
    kinds = ("0",)

    def canonical(self, rest: str) -> str:
        """`cuda:1` is a familiar way to write `1`."""
        rest = rest.removeprefix("cuda").removeprefix(":") or "0"
        return str(int(rest)) if rest.isdecimal() else rest

    def devices(self) -> dict[str, Device]:
        """Empty without a driver; the first call into CUDA may raise."""
        import cupy

        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except Exception:
            count = 0
        return {str(i): cupy.cuda.Device(i) for i in range(count)}

    def default(self) -> str:
        """Return the current device, 0 unless the caller chose another."""
        import cupy

        return str(cupy.cuda.Device().id) if self.devices() else "0"

    def why_not(self, kind: str) -> str:
        """The first question is whether there is a driver."""
        installed = f"cupy {self.version()} installed"
        if not gpu_driver():
            return f"{installed}, no CUDA driver"
        import cupy

        try:
            cupy.cuda.runtime.getDeviceCount()
        except Exception as error:
            return f"{installed}, CUDA says: {_first_line(error)}"
        return f"{installed}, no GPU found (is CUDA_VISIBLE_DEVICES empty?)"

    def describe(self, device: Device) -> str:
        """Return the name in the driver's properties."""
        import cupy

        return str(cupy.cuda.runtime.getDeviceProperties(device.id)["name"].decode())

    def accelerator(self, device: Device) -> bool:
        """Always: a wheel may lack NVRTC or cuBLAS."""
        return True

    def real(self, device: Device) -> bool:
        """CuPy's host double, used in tests, calls itself a CPU."""
        return not self.describe(device).startswith("CPU")

    def suffix(self, device: Device) -> str:
        """Return the number."""
        return str(device.id)

    def device_of(self, x: Array) -> Device:
        """Return the `cupy.cuda.Device`."""
        return x.device

    def key_of(self, x: Array) -> Any:
        """Device objects of CuPy have no hash."""
        return x.data.device_id

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """One copy to the host, in the context of the array's device."""
        with x.device:
            return np.asarray(x.get())

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        """`asarray` copies to the current device."""
        import cupy

        with device:
            return cupy.asarray(x)

    def move(self, x: Array, device: Device) -> Array:
        """From GPU to GPU."""
        import cupy

        with device:
            return cupy.asarray(x)

    def synchronize(self, device: Device) -> None:
        """Wait for all streams."""
        device.synchronize()

    def context(self, device: Device) -> AbstractContextManager[Any]:
        """`zeros` and its like ignore `device=`; a fresh object, as one cannot be nested."""
        import cupy

        context: AbstractContextManager[Any] = cupy.cuda.Device(device.id)
        return context

    def free_memory(self, device: Device) -> int | None:
        """What the driver has left, and what CuPy's pool holds unused."""
        import cupy

        with self.context(device):
            return int(device.mem_info[0]) + int(cupy.get_default_memory_pool().free_bytes())


class Torch(Library):
    """PyTorch: `cpu`, `cuda:0`, `mps`."""

    name = "torch"
    module = "array_api_compat.torch"
    distributions = ("torch",)
    cure = "pip install 'xpnn[torch]'"
    kinds = ("cpu", "cuda", "mps")
    aliases: ClassVar[dict[str, str]] = {"gpu": "cuda", "rocm": "cuda"}

    def devices(self) -> dict[str, Device]:
        """Return the CPU first."""
        import torch

        names = ["cpu"]
        if torch.cuda.is_available():
            names += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            names.append("mps")
        return {name: torch.device(name) for name in names}

    def default(self) -> str:
        """Return the best one."""
        devices = self.devices()
        return next(name for name in ("cuda:0", "mps", "cpu") if name in devices)

    def why_not(self, kind: str) -> str:
        """A build without CUDA is the usual reason."""
        import torch

        installed = f"torch {self.version()} installed"
        if kind == "mps":
            built = torch.backends.mps.is_built()
            return f"{installed}, " + ("no Apple GPU" if built else "built without MPS")
        if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
            return f"{installed}, built without CUDA"
        return f"{installed}, " + ("no usable GPU" if gpu_driver() else "no CUDA driver")

    def describe(self, device: Device) -> str:
        """Return the name that the driver gives."""
        import torch

        if device.type == "cuda":
            return str(torch.cuda.get_device_name(device))
        return "Apple GPU" if device.type == "mps" else "CPU"

    def accelerator(self, device: Device) -> bool:
        """`torch.cuda.is_available` does not say that kernels exist for this GPU."""
        return bool(device.type != "cpu")

    def suffix(self, device: Device) -> str:
        """Return torch's own name, without the number of a single device."""
        return self.canonical(str(device))

    def device_of(self, x: Array) -> Device:
        """Return the `torch.device`."""
        return x.device

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """NumPy has no bfloat16."""
        x = x.detach().cpu().resolve_conj().resolve_neg()
        return np.asarray((x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy())

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        """Torch warns at read-only memory and refuses negative strides."""
        import torch

        on_host = device.type == "cpu"
        if (copy and on_host) or not x.flags.writeable or any(s < 0 for s in x.strides):
            x = x.copy()
        tensor = torch.from_numpy(x)
        return tensor if on_host else tensor.to(device)

    def detach(self, x: Array) -> Array:
        """Without history; the same object where there is none."""
        return x.detach() if x.requires_grad else x

    def move(self, x: Array, device: Device) -> Array:
        """From device to device."""
        return x.to(device)

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        """Apple's GPUs have no float64."""
        return frozenset({"float64"}) if device.type == "mps" else frozenset()

    def synchronize(self, device: Device) -> None:
        """Wait for all streams."""
        import torch

        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    def context(self, device: Device) -> AbstractContextManager[Any]:
        """All our calls name their device; what is left is not to record a graph."""
        import torch

        context: AbstractContextManager[Any] = torch.no_grad()
        return context

    def free_memory(self, device: Device) -> int | None:
        """What the driver has left, and what torch's pool holds unused."""
        import torch

        if device.type == "cuda":
            pool = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return int(torch.cuda.mem_get_info(device)[0] + pool)
        if device.type == "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
        return None


class Jax(Library):
    """JAX: `cpu`, `cuda:0`, `rocm:0`, `tpu:0`."""

    name = "jax"
    module = "jax.numpy"
    distributions = ("jax",)
    cure = "pip install 'xpnn[jax]' (on an NVIDIA GPU also 'jax[cuda12]' or 'jax[cuda13]')"
    kinds = ("cpu", "cuda", "rocm", "tpu")
    aliases: ClassVar[dict[str, str]] = {"gpu": "cuda"}

    def devices(self) -> dict[str, Device]:
        """All platforms, not only the default one."""
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
        """JAX's own default device."""
        import jax

        return self.suffix(jax.devices()[0])

    def why_not(self, kind: str) -> str:
        """Say what JAX says."""
        import jax

        try:
            jax.devices(kind)
        except RuntimeError as error:
            return f"jax {self.version()} installed, {_first_line(error)}"
        return super().why_not(kind)

    def describe(self, device: Device) -> str:
        """Return the kind of device."""
        return "CPU" if device.platform == "cpu" else str(device.device_kind)

    def accelerator(self, device: Device) -> bool:
        """A GPU may be too old for the build."""
        return bool(device.platform != "cpu")

    def suffix(self, device: Device) -> str:
        """Tracers have no device, sharded arrays several."""
        if device is None:
            return ""
        if not hasattr(device, "platform"):
            return str(device)
        kind = device.platform
        if kind == "gpu":
            kind = "rocm" if "rocm" in device.client.platform_version else "cuda"
        return self.canonical(f"{kind}:{device.id}")

    def device_of(self, x: Array) -> Device:
        """Return the device, a sharding, or None inside a traced function."""
        return getattr(x, "device", None)

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        """On the CPU, JAX may share aligned memory unless told to copy."""
        import jax

        if copy or device is None:
            return jax.numpy.array(x, copy=copy or None, device=device)
        return jax.device_put(x, device)

    def move(self, x: Array, device: Device) -> Array:
        """From device to device."""
        import jax

        return jax.device_put(x, device)

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        """Depends on a setting, which may change."""
        import jax

        return frozenset() if jax.config.jax_enable_x64 else X64

    def synchronize(self, device: Device) -> None:
        """JAX can only wait for arrays."""
        import jax

        jax.block_until_ready([x for x in jax.live_arrays() if device in x.devices()])

    def context(self, device: Device) -> AbstractContextManager[Any]:
        """Return JAX's own context; none for sharded and traced arrays."""
        import jax

        if device is None or not hasattr(device, "platform"):
            return nullcontext()
        context: AbstractContextManager[Any] = jax.default_device(device)
        return context

    def free_memory(self, device: Device) -> int | None:
        """None on the CPU."""
        statistics = device.memory_stats() if hasattr(device, "memory_stats") else None
        if not statistics or "bytes_limit" not in statistics:
            return None
        return int(statistics["bytes_limit"] - statistics["bytes_in_use"])


class Strict(Library):
    """array-api-strict: nothing but the standard, on pretended devices, for tests."""

    name = "array_api_strict"
    module = "array_api_strict"
    distributions = ("array-api-strict",)
    cure = "pip install 'xpnn[test]'"
    kinds = ("CPU_DEVICE", "device1", "device2", "no_float64", "no_x64")
    aliases: ClassVar[dict[str, str]] = {"cpu": "CPU_DEVICE", "cpu_device": "CPU_DEVICE"}

    def devices(self) -> dict[str, Device]:
        """Return those that the installed version has."""
        import array_api_strict

        devices = array_api_strict.__array_namespace_info__().devices()
        return {self.suffix(device): device for device in devices}

    def describe(self, device: Device) -> str:
        """Nothing but a name."""
        return "CPU, simulated device for tests"

    def suffix(self, device: Device) -> str:
        """Return the name inside the quotes of its repr, the only public place."""
        return repr(device).split("'")[1]

    def device_of(self, x: Array) -> Device:
        """Return the simulated device."""
        return x.device

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """Only arrays on CPU_DEVICE convert."""
        return np.asarray(x.to_device(self.devices()["CPU_DEVICE"]))

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        """Never shares: on a simulated device, that would hide mistakes."""
        return self.load().asarray(x, device=device, copy=True)

    def move(self, x: Array, device: Device) -> Array:
        """From device to device."""
        return x.to_device(device)

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        """`no_float64` is like Apple's GPUs, `no_x64` like JAX's default."""
        missing = {"no_float64": frozenset({"float64"}), "no_x64": X64}
        return missing.get(self.suffix(device), frozenset())


class Foreign(Library):
    """Any other library whose arrays have `__array_namespace__`: it works where they are."""

    def __init__(self, namespace: Namespace) -> None:
        self.name = namespace.__name__
        self.module = namespace.__name__

    def suffix(self, device: Device) -> str:
        """Whatever it is called."""
        return str(device)

    def device_of(self, x: Array) -> Device:
        """Return the standard's attribute."""
        return x.device

    def key_of(self, x: Array) -> Any:
        """Devices need not be hashable."""
        return str(x.device)

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        """Through the buffer protocol."""
        return self.load().asarray(x, device=device)

    def move(self, x: Array, device: Device) -> Array:
        """From device to device."""
        return x.to_device(device)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


NUMPY = NumPy()
LIBRARIES: dict[str, Library] = {
    library.name: library for library in (NUMPY, CuPy(), Torch(), Jax(), Strict())
}
