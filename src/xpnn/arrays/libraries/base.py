"""What is the same on most libraries, and what is told without importing one."""

from __future__ import annotations

import ctypes
import difflib
import functools
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xpnn.arrays.typing import Array, Device, Namespace

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
TRACED = (
    "has no values that an estimator could check. What can be traced, differentiated, compiled and "
    "exported is a network: model.network_.predict(*model.parameters_, X, xp) of an MLP"
)
_NOTHING: AbstractContextManager[Any] = nullcontext()
_NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32", "float16": "float32"}


class DeviceError(ValueError):
    """A device or library that is unknown, missing or unusable; the message names the cure."""


@dataclass(frozen=True)
class DeviceInfo:
    """One line of `xpnn.devices()`: a device, or a library that is not there.

    Attributes
    ----------
    spec : str
        What to give `get_backend`.
    library, version : str
        The version is empty if the library is not installed.
    device : str
        The device's name for people, for example `"NVIDIA H100"`.
    usable : bool
    reason : str
        Why it cannot be used; empty if it can.

    Examples
    --------
    >>> DeviceInfo("torch:mps", "torch", "2.13.0", "", False, "no Apple GPU").usable
    False
    """

    spec: str
    library: str
    version: str
    device: str
    usable: bool
    reason: str


@functools.cache
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


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of any library, `torch.float32` -> `"float32"`."""
    if isinstance(dtype, str):
        return dtype
    if isinstance(dtype, (np.dtype, type)) or hasattr(dtype, "dtype"):  # the last is JAX's
        return str(np.dtype(dtype).name)
    return str(dtype).rpartition(".")[2]


def first_line(error: BaseException) -> str:
    """Return an error's first line, or its class if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def widened(host: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A host array in a dtype of NumPy's own: bfloat16 and narrower become float32, int8, uint8."""
    if host.dtype.type.__module__ != "ml_dtypes":
        return host
    name = host.dtype.name
    whole = "uint8" if name.startswith("uint") else "int8" if name.startswith("int") else ""
    return host.astype(whole or np.float32)


def check_whole(x: Any, name: str) -> None:
    """Refuse what gives its rows one after the other or in batches, which is no array."""
    of_torch = any(c.__module__.startswith("torch.utils.data") for c in type(x).__mro__)
    if of_torch or hasattr(x, "__next__"):
        cure = ", such as the tensors of a TensorDataset" if of_torch else ""
        raise ValueError(
            f"{name} is a {type(x).__name__}, which gives rows or batches: pass an array of all "
            f"rows{cure}, or xpnn.data.Blocks of the files, where memory does not hold them."
        )


def check_some(shape: Sequence[int], by: str = "") -> None:
    """Refuse a matrix without columns or rows, in scikit-learn's words."""
    for count, kind in zip(reversed(shape), ("feature", "sample"), strict=True):
        if not count:
            raise ValueError(
                f"Found array with 0 {kind}(s) (shape={tuple(shape)}) while a minimum of 1 is "
                f"required{by and f' by {by}'}."
            )


class Library:
    """The adapter of one library; the methods below hold for a library that lives on the host."""

    name = ""
    module = ""
    distributions: tuple[str, ...] = ()
    cure = ""
    hint = ""  # added when a GPU is there and does not compute
    kinds: tuple[str, ...] = ("",)
    aliases: ClassVar[dict[str, str]] = {}
    deferred = False  # whether host memory may be read after a call has returned

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
            line = first_line(error)
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

    def unreadable(self, x: Array) -> str:
        """Say what an array is that has no values to look at, and the cure; "" if it has."""
        return ""

    def label_dtype(self, name: str) -> str:
        """Return the dtype to take for class labels of a dtype, so that they can be indexed."""
        return name

    def detach(self, x: Array) -> Array:
        """Return the array without its gradient history."""
        return x

    def move(self, x: Array, device: Device) -> Array:
        """Move an array to another device of the same library."""
        return x

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        """Return which of `REAL_DTYPES` the device lacks."""
        return frozenset()

    def dtypes(self, device: Device) -> tuple[str, ...]:
        """Return which of `REAL_DTYPES` the device has."""
        missing = self.missing_dtypes(device)
        return tuple(name for name in REAL_DTYPES if name not in missing)

    def check_dtype(self, name: str, device: Device) -> None:
        """Raise a DeviceError where arrays on the device cannot have a dtype."""
        if name in self.missing_dtypes(device):
            hint = f"use {_NARROWER[name]!r}"
            if self.name == "jax":
                hint += " or jax.config.update('jax_enable_x64', True)"
            raise DeviceError(f"{self.spec(self.suffix(device))} has no {name}: {hint}")
        if self.name != "numpy" and not hasattr(self.load(), name):
            known = f"no dtype {name!r}, but {', '.join(self.dtypes(device))}"
            raise DeviceError(f"{self.spec(self.suffix(device))} has {known}")

    def nearest_dtype(self, x: Any, device: Device) -> str | None:
        """Return the dtype to take for an array when none is asked for; None: its own."""
        name = dtype_name(x.dtype)
        if name not in _NARROWER:
            return None
        if name == "float16":
            return None if hasattr(self.load(), name) else "float32"
        if name not in self.missing_dtypes(device):
            return None
        narrow = _NARROWER[name]
        if not name.startswith("float") and isinstance(x, np.ndarray) and x.size:
            limits = np.iinfo(narrow)
            if x.min() < limits.min or x.max() > limits.max:
                place = self.spec(self.suffix(device))
                raise DeviceError(f"{place} has no {name}, and the values exceed {narrow}")
        return narrow

    def synchronize(self, device: Device) -> None:
        """Wait until the device is idle."""

    def context(self, device: Device) -> AbstractContextManager[Any]:
        """Return a context in which work that names no device runs on this one."""
        return _NOTHING

    def settings(self) -> Callable[[], object]:
        """Return what makes another thread compute as this one does; called there, once."""
        return nullcontext

    def free_memory(self, device: Device) -> int | None:
        """Return free bytes; None where the arrays are in host memory or nothing is known."""
        return None

    def spec(self, suffix: str) -> str:
        """Return the spec of a device."""
        return f"{self.name}:{suffix}" if suffix else self.name

    @functools.cache  # noqa: B019  # there are five adapters, and they live as long as the process
    def _fault(self, suffix: str) -> str:
        device = self.devices()[suffix]
        try:
            xp = self.load()
            with self.context(device):
                a = self.from_numpy(np.array([[1, 2], [3, 4]], np.float32), device, False)
                total = float(xp.sum(xp.matmul(a, a) + 1))
        except Exception as error:
            installed = f"{self.name} {self.version()} installed"
            return f"{installed}, but a small product fails: {first_line(error)}{self.hint}"
        return "" if total == 58 else f"computes {total} where 58 is right"

    def fault(self, device: Device) -> str:
        """Return why a GPU does not compute, "" if it does; tried once."""
        return self._fault(self.suffix(device)) if self.accelerator(device) else ""

    def no_such_device(self, suffix: str, found: Iterable[str]) -> str:
        """Say what there is instead of a device that there is not."""
        there = ", ".join(self.spec(name) for name in found)
        kind = suffix.partition(":")[0]
        if not there or (kind in self.kinds and not any(s.startswith(kind) for s in found)):
            return f"{self.why_not(kind)}; usable here: {there or 'numpy'}"
        near = difflib.get_close_matches(kind, self.kinds, 1)
        if near and near[0] != kind:
            there += f"; did you mean {self.spec(near[0])!r}?"
        return f"no such device; there are: {there}"

    def report(self) -> list[DeviceInfo]:
        """Return a line for each device, and for each kind of GPU that is not there."""

        def line(suffix: str, device: str, reason: str) -> DeviceInfo:
            version = self.version() or ""
            return DeviceInfo(self.spec(suffix), self.name, version, device, not reason, reason)

        try:
            self.load()
            found = self.devices()
        except DeviceError as error:
            return [line("", "", str(error).removeprefix(f"{self.name} is "))]
        lines = [line(s, self.describe(device), self.fault(device)) for s, device in found.items()]
        for kind in ("cuda", "mps"):
            if kind in self.kinds and not any(suffix.startswith(kind) for suffix in found):
                lines.append(line(kind, "", self.why_not(kind)))
        return lines or [line("", "", self.why_not(""))]
