"""The adapter of a library that is not known by name: what the standard says, and no more."""

from __future__ import annotations

import re
import sys
from threading import Lock
from typing import Any

import numpy as np

from xpnn.arrays.libraries.base import TRACED, DeviceError, Library, first_line, widened
from xpnn.arrays.typing import Array, Device, Namespace

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class Foreign(Library):
    """A library whose arrays have `__array_namespace__`: it works where they are.

    Its devices are known by equality alone: they need not be hashable, nor print differently.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.name = self.module = namespace.__name__
        self._namespace, self._seen, self._lock = namespace, list[Device](), Lock()

    def version(self) -> str | None:
        version = getattr(self._namespace, "__version__", None)
        return None if version is None else str(version)

    def load(self) -> Namespace:
        return self._namespace

    def devices(self) -> dict[str, Device]:
        # those that the library lists, then those that were met: the order makes names stable
        about = getattr(self._namespace, "__array_namespace_info__", None)
        found: dict[str, Device] = {}
        for device in [*(about().devices() if about else ()), *self._seen]:
            if not any(device == known for known in found.values()):
                found[_unused(_ADDRESS.sub("", str(device)), found)] = device
        return found

    def canonical(self, rest: str) -> str:
        names = {name.lower(): name for name in self.devices()}
        return names.get(rest, rest)

    def suffix(self, device: Device) -> str:
        self._number(device)
        return next(name for name, known in self.devices().items() if known == device)

    def device_of(self, x: Array) -> Device:
        return x.device

    def key_of(self, x: Array) -> Any:
        return self._number(x.device)

    def _number(self, device: Device) -> int:
        """The place of a device among those that were met."""
        with self._lock:
            for i, known in enumerate(self._seen):
                if known is device or known == device:
                    return i
            self._seen.append(device)
            return len(self._seen) - 1

    def unreadable(self, x: Array) -> str:
        # a dimension that is not known is a tracer's
        return f"is a symbolic array of {self.name} and {TRACED}." if None in x.shape else ""

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        # implicitly, by DLPack, or by the ways that libraries have of their own
        refused = ""
        for road in (np.asarray, by_dlpack, self._by_own_way):
            try:
                host = road(x)
            except Exception as error:
                refused = refused or first_line(error)
                continue
            if isinstance(host, np.ndarray) and host.dtype != object:
                return widened(host)
        kind = f"{type(x).__module__}.{type(x).__qualname__}"
        raise DeviceError(
            f"the values of this {kind} cannot be read: np.asarray, DLPack to the CPU and a method "
            f"numpy() all fail{f' ({refused})' if refused else ''}. Lazy and symbolic arrays have "
            "none: compute them first."
        )

    def _by_own_way(self, x: Array) -> Any:
        as_numpy = getattr(self._namespace, "asnumpy", None)
        if as_numpy is not None:
            return as_numpy(x)
        return x.numpy() if hasattr(x, "numpy") else x.unwrap_numpy()  # the last is ndonnx's

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        xp = self._namespace
        try:
            return xp.asarray(x, device=device, copy=True if copy else None)
        except (TypeError, ValueError):
            own = np.array(x)  # DLPack may refuse memory that is constant, or of another order
        try:
            return xp.from_dlpack(own, device=device)
        except TypeError:  # before the standard of 2023
            return xp.from_dlpack(own).to_device(device)

    def move(self, x: Array, device: Device) -> Array:
        return x.to_device(device)


def named(name: str) -> Foreign | None:
    """The adapter of a module that was imported and is a namespace of the standard, or None."""
    module = sys.modules.get(name)
    return Foreign(module) if hasattr(module, "__array_namespace_info__") else None


def by_dlpack(x: Any) -> Any:
    """What speaks DLPack as NumPy's array, copied to the CPU where it lies elsewhere."""
    try:
        return np.from_dlpack(x, device="cpu")
    except TypeError:  # NumPy 2.0
        return np.from_dlpack(x)


def _unused(text: str, names: dict[str, Device]) -> str:
    """A name for a device that prints like another."""
    number, name = 1, text
    while name in names:
        number += 1
        name = f"{text}#{number}"
    return name
