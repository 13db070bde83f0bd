"""The adapters of NumPy and of array-api-strict."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from xpnn.arrays.libraries.base import X64, Library
from xpnn.arrays.typing import Array, Device


class NumPy(Library):
    """NumPy: the host."""

    name = "numpy"
    module = "array_api_compat.numpy"
    distributions = ("numpy",)
    aliases: ClassVar[dict[str, str]] = {"cpu": "", "cpu:0": ""}

    def unreadable(self, x: Array) -> str:
        if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
            return "has masked values, which are no numbers: leave their rows out, or fill them."
        return ""


class Strict(Library):
    """array-api-strict: nothing but the standard, on pretended devices, for tests."""

    name = "array_api_strict"
    module = "array_api_strict"
    distributions = ("array-api-strict",)
    cure = "pip install 'xpnn[test]'"
    kinds = ("CPU_DEVICE", "device1", "device2", "no_float64", "no_x64")

    def canonical(self, rest: str) -> str:
        spellings = {"cpu": "CPU_DEVICE"} | {name.lower(): name for name in self.kinds}
        return spellings.get(rest, rest)

    def devices(self) -> dict[str, Device]:
        import array_api_strict

        devices = array_api_strict.__array_namespace_info__().devices()
        return {self.suffix(device): device for device in devices}

    def describe(self, device: Device) -> str:
        return "CPU, simulated device for tests"

    def suffix(self, device: Device) -> str:
        # the name inside the quotes of its repr, the only public place
        return repr(device).split("'")[1]

    def device_of(self, x: Array) -> Device:
        return x.device

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        # only arrays on CPU_DEVICE convert
        return np.asarray(x.to_device(self.devices()["CPU_DEVICE"]))

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        # never shares: on a simulated device, that would hide mistakes
        return self.load().asarray(x, device=device, copy=True)

    def move(self, x: Array, device: Device) -> Array:
        return x.to_device(device)

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        # `no_float64` is like Apple's GPUs, `no_x64` like JAX's default
        missing = {"no_float64": frozenset({"float64"}), "no_x64": X64}
        return missing.get(self.suffix(device), frozenset())
