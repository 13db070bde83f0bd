"""Which array library and which device: the selector, and moving arrays between them.

A device is named by a spec: `numpy`, `cupy`, `cupy:1`, `torch:cpu`, `torch:cuda:0`, `torch:mps`,
`jax`, `jax:cuda:0`, `array_api_strict:device1`, or `auto` for the best that is usable here: CuPy
on a real GPU, torch on CUDA, torch on an Apple GPU, else NumPy. A library's bare name stands for
its best or current device.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn.arrays.libraries import (
    NUMPY,
    device_name,
    devices,
    library_named,
    library_of,
    nearest_spec,
    no_such_device,
)
from xpnn.arrays.libraries.base import (
    DeviceError,
    DeviceInfo,
    Library,
    apple_gpu,
    dtype_name,
    gpu_driver,
)
from xpnn.arrays.typing import Array, Device, DType, Namespace

__all__ = [
    "Backend",
    "DeviceError",
    "DeviceInfo",
    "backend_of",
    "devices",
    "dtype_name",
    "get_backend",
    "to_numpy",
    "use_device",
]


@dataclass(frozen=True)
class Backend:
    """One array library on one device; equal, hashed and pickled by its name.

    Attributes
    ----------
    name : str
        The canonical spec, for example `"cupy:0"`.
    xp : namespace
        The array API namespace, wrapped by array-api-compat where needed.
    device : object
        What functions of `xp` take as `device=`.
    library : Library
        The adapter that knows the library's own functions.

    Examples
    --------
    >>> backend = get_backend("numpy")
    >>> backend.asarray([1, 2], dtype="float32")
    array([1., 2.], dtype=float32)
    """

    name: str
    xp: Namespace = field(compare=False, repr=False)
    device: Device = field(compare=False, repr=False)
    library: Library = field(compare=False, repr=False)

    def __reduce__(self) -> tuple[Callable[[str], Backend], tuple[str]]:
        return reopened, (self.name,)

    def __str__(self) -> str:
        return self.name

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Names of the real dtypes that arrays here can have and that xpnn computes with.

        They may change: those of JAX depend on its setting `jax_enable_x64`. torch has little
        arithmetic on unsigned integers other than uint8.
        """
        return self.library.dtypes(self.device)

    def float_dtype(self, name: str = "float64") -> DType:
        """Return the dtype object of `"float32"` or `"float64"`.

        Raises
        ------
        DeviceError
            If the device has no such floating-point dtype.
        """
        if name not in ("float32", "float64"):
            raise DeviceError(f"{name!r} is not computed in: use 'float32' or 'float64'")
        self.library.check_dtype(name, self.device)
        return getattr(self.xp, name)

    def asarray(self, x: Any, dtype: Any = None, *, copy: bool | None = None) -> Array:
        """Return `x` as an array of this library on this device.

        Parameters
        ----------
        x : array-like
            An array of any known library on any device, or anything that `numpy.asarray` takes.
        dtype : str or dtype, optional
            For example `"float32"`. None keeps that of `x`, or takes the next narrower one that
            exists here (float64 becomes float32 on Apple GPUs and on JAX without x64).
        copy : bool, optional
            None copies only if needed: the result may share memory with `x`, also between NumPy,
            torch and JAX on the host. True never shares. False raises where a copy is needed.

        Returns
        -------
        array
            Of the same shape as `x`. From one library to another, data pass through the host.

        Raises
        ------
        DeviceError
            If the device lacks the dtype, or integers do not fit into the ones it has.
        ValueError
            If `copy` is False and a copy is needed.
        """
        if dtype is None and not copy and type(x) is np.ndarray and self.library is NUMPY:
            return x
        name = None if dtype is None else dtype_name(dtype)
        if name is not None:
            self.library.check_dtype(name, self.device)
        source = backend_of(x)
        if source.library is self.library and self.library is not NUMPY:
            return self._from_own_library(x, source, name, copy)
        host = np.asarray(x) if source.library is NUMPY else source.library.to_numpy(x)
        if self.library is NUMPY:
            if copy is None and source.library is not NUMPY and not host.flags.writeable:
                copy = True  # JAX's arrays are constant, NumPy's users write into theirs
            return np.asarray(host, dtype=name, copy=copy)
        if copy is False:
            raise ValueError(f"copy=False: moving from {source} to {self} needs a copy")
        if name is None and host.dtype.kind not in "biufc":
            raise DeviceError(f"{self} takes numbers, not {host.dtype}: encode them first")
        target = name or self.library.nearest_dtype(host, self.device) or dtype_name(host.dtype)
        cast = np.asarray(host, dtype=target)  # on the host: one copy to the device, in one go
        own = not np.may_share_memory(cast, host)
        return self.library.from_numpy(cast, self.device, bool(copy) and not own)

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        """Return an array of this backend on the host; it may share memory, so only read it."""
        return self.library.to_numpy(x)

    def synchronize(self) -> None:
        """Wait until all work given to the device is done."""
        self.library.synchronize(self.device)

    def device_context(self) -> AbstractContextManager[Any]:
        """Return a new context for work on this device: makes it current, records no gradients."""
        return self.library.context(self.device)

    def free_memory(self) -> int | None:
        """Return the bytes free for new arrays; None for host memory or where it is not known."""
        return self.library.free_memory(self.device)

    def _from_own_library(
        self, x: Array, source: Backend, name: str | None, copy: bool | None
    ) -> Array:
        y = self.library.detach(x)
        name = name or self.library.nearest_dtype(y, self.device)
        moved = source.name != self.name and source.device is not None
        if moved:
            if name is not None and name not in source.library.missing_dtypes(source.device):
                y = source._astype(y, name)  # the other device may lack the dtype it has now
            y = self.library.move(y, self.device)
        same = y
        if name is not None:
            y = self._astype(y, name)
        if copy is False and (moved or y is not same):
            raise ValueError(f"copy=False: {source} to {self} in this dtype needs a copy")
        if copy and y is same and not moved:
            with self.device_context():
                y = self.xp.asarray(y, copy=True)
        return y

    def _astype(self, x: Array, name: str) -> Array:
        dtype = getattr(self.xp, name)
        if x.dtype == dtype:
            return x
        with self.device_context():
            return self.xp.astype(x, dtype)


_backends: dict[Any, Backend] = {}  # by name, and by (library, device key)
_chosen: ContextVar[Backend | None] = ContextVar("xpnn_device", default=None)


def get_backend(spec: str | Backend | None = None) -> Backend:
    """Return the backend that a spec names, the same object each time.

    Parameters
    ----------
    spec : str, Backend, device of an array library, or None
        See the module. None: what `use_device` says, else the environment variable
        `XPNN_DEVICE`, else `"auto"`.

    Returns
    -------
    Backend

    Raises
    ------
    DeviceError
        If the library is not installed, the device does not exist or does not work, or the spec
        is unknown. The message says what to do.

    Examples
    --------
    >>> get_backend("numpy").name
    'numpy'
    """
    if isinstance(spec, Backend):
        return spec
    if spec is None:
        chosen = _chosen.get()
        if chosen is not None:
            return chosen
        spec = os.environ.get("XPNN_DEVICE", "").strip() or "auto"
        try:
            return get_backend(spec)
        except DeviceError as error:
            raise DeviceError(f"XPNN_DEVICE={spec}: {error}") from error
    text = device_name(spec).strip()
    if text in _backends:
        return _backends[text]
    if text.lower() == "auto":
        return _auto()
    library_name, _, rest = text.partition(":")
    library = library_named(library_name)
    if library is None:
        raise DeviceError(f"unknown device {spec!r}: {nearest_spec(text.lower())}")
    return _resolve(library, rest)


def reopened(name: str) -> Backend:
    """The backend that a pickle names; a library that is not known by name is imported for it."""
    library = name.partition(":")[0]
    if library_named(library) is None:
        with suppress(ImportError):
            importlib.import_module(library)
    return get_backend(name)


def backend_of(*arrays: Any) -> Backend:
    """Return the library and device that all the arrays share.

    Parameters
    ----------
    *arrays : array-like
        None and Python numbers are skipped; lists, data frames and whatever else is not an array
        of a known library are on the host and count as NumPy.

    Returns
    -------
    Backend
        NumPy if there is no array.

    Raises
    ------
    ValueError
        If they are not all of one library on one device.

    Examples
    --------
    >>> backend_of(np.zeros(3)).name
    'numpy'
    """
    found: Backend | None = None
    for x in arrays:
        cls = type(x)
        if cls is np.ndarray:
            backend = _numpy()
        elif x is None or cls in (bool, int, float, complex):
            continue
        else:
            library = library_of(x)
            key = (library.name, library.key_of(x))
            backend = _backends.get(key) or _register(library, library.device_of(x), key)
        if found is None or found is backend:
            found = backend
        elif found.library is not backend.library or None not in (found.device, backend.device):
            raise ValueError(_disagreement(arrays))
        elif backend.device is None:
            found = backend  # inside a function that JAX traces, constants have a device
    return found or _numpy()


def to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """Return any array or array-like as a NumPy array on the host.

    A NumPy array comes back as it is. Others may share memory with `x`: only read the result.

    Parameters
    ----------
    x : array-like
        Of any library, on any device.

    Returns
    -------
    ndarray

    Examples
    --------
    >>> to_numpy([1, 2])
    array([1, 2])
    """
    return x if isinstance(x, np.ndarray) else backend_of(x).library.to_numpy(x)


@contextmanager
def use_device(spec: str | Backend | None) -> Iterator[Backend]:
    """Set the device for calls that name none and are given no arrays, inside a `with` block.

    Blocks nest; each thread and each asyncio task has its own.

    Parameters
    ----------
    spec : str, Backend or None
        See `get_backend`. None keeps what is set.

    Examples
    --------
    >>> with use_device("numpy") as backend:
    ...     get_backend() is backend
    True
    """
    backend = get_backend(spec)
    token = _chosen.set(backend)
    try:
        yield backend
    finally:
        _chosen.reset(token)


@functools.cache
def _numpy() -> Backend:
    return _register(NUMPY, "cpu", ("numpy", "cpu"))


@functools.cache
def _auto() -> Backend:
    """Return the best usable; torch, slow to import, is looked at only where there is a GPU."""
    candidates = ["cupy", "torch:cuda"] if gpu_driver() else []
    for spec in candidates + (["torch:mps"] if apple_gpu() else []):
        try:
            backend = get_backend(spec)
        except DeviceError:
            continue
        if backend.library.real(backend.device):
            return backend
    return _numpy()


def _resolve(library: Library, rest: str) -> Backend:
    try:
        library.load()
        found = library.devices()
        suffix = library.canonical(rest.strip().lower()) if rest else library.default()
    except DeviceError as error:
        raise DeviceError(f"{library.spec(rest)!r}: {error}") from error
    if suffix not in found:
        raise DeviceError(f"{library.spec(rest)!r}: {no_such_device(library, suffix, found)}")
    name, device = library.spec(suffix), found[suffix]
    if name in _backends:
        return _backends[name]
    if fault := library.fault(device):
        raise DeviceError(f"{name!r}: {fault}")
    return _register(library, device, name)


def _register(library: Library, device: Device, key: Any) -> Backend:
    name = library.spec(library.suffix(device))
    if name not in _backends:  # another thread may come between: the first is everybody's
        _backends.setdefault(name, Backend(name, library.load(), device, library))
    return _backends.setdefault(key, _backends[name])


def _disagreement(arrays: tuple[Any, ...]) -> str:
    names = [backend_of(x).name for x in arrays if x is not None]
    return (
        f"arrays must use the same namespace and device, got {', '.join(names)}: move them first, "
        f"with get_backend({names[0]!r}).asarray(x) or estimator.to_device({names[-1]!r})"
    )
