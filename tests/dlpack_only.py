"""A library of the array API as strange as the standard allows, for tests.

Its arrays reach the host by DLPack alone, and only where a copy on the CPU is asked for: no
`__array__`, no buffer, and `asarray` takes no NumPy array. Its devices compare, but have no hash
and print alike. The mathematics is array-api-strict's.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

import array_api_strict as strict
import numpy as np

__array_api_version__ = strict.__array_api_version__
_HOST, _ELSEWHERE = (1, 0), 12  # DLPack's kDLCPU, kDLExtDev


class Device:
    """A device that is known by its number and does not print it."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.number == self.number

    def __repr__(self) -> str:
        return "accelerator"


DEVICES = [Device(0), Device(1)]


class Array:
    """An array on one of the devices."""

    __array_priority__ = 1000

    def __init__(self, strict_array: Any, device: Device) -> None:
        self._array, self._device = strict_array, device

    device = property(lambda self: self._device)
    dtype = property(lambda self: self._array.dtype)
    shape = property(lambda self: self._array.shape)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    T = property(lambda self: Array(self._array.T, self._device))
    mT = property(lambda self: Array(self._array.mT, self._device))

    def __repr__(self) -> str:
        return f"Array(shape={self.shape}, dtype={self.dtype}, device={self.device})"

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        import dlpack_only

        return dlpack_only

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("arrays of dlpack_only do not become NumPy's implicitly")

    def __dlpack_device__(self) -> tuple[int, int]:
        return _ELSEWHERE, self._device.number

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:
        if tuple(dl_device or ()) != _HOST:
            raise BufferError("this memory is an accelerator's: ask for dl_device=(1, 0)")
        if copy is False:
            raise BufferError("from an accelerator to the CPU is a copy")
        return np.array(self._array).__dlpack__(max_version=max_version)

    def to_device(self, device: Device, /, *, stream: Any = None) -> Array:
        return Array(strict.asarray(self._array, copy=True), _known(device))

    def __setitem__(self, key: Any, value: Any) -> None:
        _same_device((self, key, value))
        self._array[_inner(key)] = _inner(value)


def _known(device: Any) -> Device:
    if not isinstance(device, Device):
        raise ValueError(f"{device!r} is no device of dlpack_only")
    return device


def _inner(value: Any) -> Any:
    """The same value with array-api-strict's arrays in it."""
    if isinstance(value, Array):
        return value._array
    if isinstance(value, np.ndarray | np.generic):
        raise TypeError("dlpack_only takes no NumPy array, from_dlpack aside")
    if isinstance(value, tuple | list):
        return type(value)(_inner(v) for v in value)
    return value


def _outer(value: Any, device: Device) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_outer(v, device) for v in value))
    if isinstance(value, tuple | list):
        return type(value)(_outer(v, device) for v in value)
    return Array(value, device) if isinstance(value, type(strict.asarray(0))) else value


def _same_device(values: Any) -> Device:
    """The device of all arrays among some values."""
    found: list[Device] = []
    pending = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, tuple | list):
            pending.extend(value)
        elif isinstance(value, Array):
            found.append(value.device)
    if builtins.any(device != found[0] for device in found):
        raise ValueError(f"arrays of different devices: {[d.number for d in found]}")
    return found[0] if found else DEVICES[0]


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        of_arrays = _same_device((*args, *kwargs.values()))
        where = of_arrays if device is None else _known(device)
        return _outer(function(*_inner(args), **_inner_all(kwargs)), where)

    return call


def _inner_all(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: _inner(value) for name, value in kwargs.items()}


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """An array of any library's memory."""
    where = DEVICES[0] if device is None else _known(device)
    return Array(strict.asarray(np.array(np.from_dlpack(x, device="cpu"))), where)


class _Info:
    """Another library's inspection, with the devices of this one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(strict.__array_namespace_info__(), name)

    def default_device(self) -> Device:
        return DEVICES[0]

    def devices(self) -> list[Device]:
        return list(DEVICES)


def __array_namespace_info__() -> _Info:
    """What there is."""
    return _Info()


def _fill() -> None:
    """Take over each function and operator of array-api-strict."""
    here = globals()
    for name in strict.__all__:
        if name in here or name.startswith("__") or name.endswith("Flags"):
            continue
        value = getattr(strict, name)
        taken = callable(value) and not isinstance(value, type) and not _is_dtype(value)
        here[name] = _wrapped(value) if taken else value
    for name in dir(type(strict.asarray(0))):
        special = name.startswith("__") and name.endswith("__")
        if special and name not in dir(Array) and name not in ("__buffer__", "__array_ufunc__"):
            setattr(Array, name, _method(name))


def _is_dtype(value: Any) -> bool:
    return type(value).__module__.endswith("_dtypes")


def _method(name: str) -> Callable[..., Any]:
    def method(self: Array, *args: Any, **kwargs: Any) -> Any:
        device = _same_device((self, *args))
        try:
            inner = _inner(args)
        except TypeError:
            return NotImplemented
        result = getattr(self._array, name)(*inner, **_inner_all(kwargs))
        return _outer(result, device)

    method.__name__ = name
    return method


_COMPARED = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_fill()
for _name in _COMPARED:
    setattr(Array, _name, _method(_name))
Array.__hash__ = None  # type: ignore[assignment]
