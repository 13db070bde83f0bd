"""The table of targets: every library and device that the tests run on, each with its dtypes."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import array_api_compat
import numpy as np

from xpnn.arrays.libraries.base import apple_gpu, gpu_driver
from xpnn.backends import Backend, DeviceError, get_backend

# Relative to the largest magnitude in the array compared. The only tolerances there are.
TOLERANCE = {"float64": 1e-11, "float32": 1e-5}  # values and gradients
LOSS_TOLERANCE = {"float64": 1e-11, "float32": 1e-4}  # losses of epochs
WEIGHT_TOLERANCE = {"float64": 1e-11, "float32": 1e-3}  # every weight after 5 epochs; 99.9 %: 1e-5

# An array of these classes may not be read on the host inside a training step.
SYNCING = ("__float__", "__int__", "__bool__", "__index__", "__complex__")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    spec: str
    module: str  # to be found by the import system before anything is imported
    dtypes: tuple[str, ...] = ("float64", "float32")
    gpu: Callable[[], bool] | None = None  # cheap, before a library is imported to look for GPUs


TABLE = {
    row.name: row
    for row in (
        Row("numpy", "numpy", "numpy"),
        Row("numpy:readonly", "numpy", "numpy"),
        Row("strict:device1", "array_api_strict:device1", "array_api_strict"),
        Row("strict:no_float64", "array_api_strict:no_float64", "array_api_strict", ("float32",)),
        Row("strict:no_x64", "array_api_strict:no_x64", "array_api_strict", ("float32",)),
        Row("foreign:dlpack", "dlpack_only:accelerator#2", "dlpack_only", ("float64",)),
        Row("torch:cpu", "torch:cpu", "torch"),
        Row("torch:cuda", "torch:cuda", "torch", gpu=gpu_driver),
        Row("torch:mps", "torch:mps", "torch", ("float32",), gpu=apple_gpu),
        Row("jax:cpu", "jax:cpu", "jax"),  # float64 with x64, float32 without
        Row("jax:cuda", "jax:cuda", "jax", gpu=gpu_driver),
        Row("cupy:0", "cupy:0", "cupy"),
        Row("cupy:1", "cupy:1", "cupy"),
    )
}


def why_not(row: Row) -> str:
    """Return why a target cannot run here, "" if it can; imports as little as possible."""
    if row.module == "numpy":
        return ""
    try:
        if importlib.util.find_spec(row.module) is None:
            return f"{row.module} is not installed"
    except ImportError as error:  # CuPy's host double when it is switched off
        return str(error)
    if row.gpu is not None and not row.gpu():
        return "no GPU driver" if row.gpu is gpu_driver else "no Apple GPU"
    if row.gpu is None and row.module != "cupy":
        return ""  # the library's CPU: found is enough
    try:
        get_backend(row.spec)
    except DeviceError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Target:
    """A library, a device and a dtype to run a test on, and how to compare its results."""

    name: str
    dtype_name: str
    backend: Backend = field(compare=False)

    @property
    def xp(self) -> Any:
        return self.backend.xp

    @property
    def device(self) -> Any:
        return self.backend.device

    @property
    def dtype(self) -> Any:
        return getattr(self.xp, self.dtype_name)

    @property
    def tol(self) -> float:
        return TOLERANCE[self.dtype_name]

    @property
    def loss_tol(self) -> float:
        return LOSS_TOLERANCE[self.dtype_name]

    @property
    def weight_tol(self) -> float:
        return WEIGHT_TOLERANCE[self.dtype_name]

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        """Move host data here. Floats become the target's dtype, whole numbers and truth values
        keep theirs (the widest there is), unless a dtype is given. Never shares memory with x.
        """
        x = np.asarray(x)
        if dtype is None and x.dtype.kind == "f":
            dtype = self.dtype_name
        result = self.backend.asarray(x, dtype, copy=True)
        if self.name == "numpy:readonly":
            result.flags.writeable = False
        return result

    def to_numpy(self, x: Any) -> np.ndarray:
        return self.backend.to_numpy(x)

    def assert_here(self, result: Any, dtype: Any = None) -> None:
        """Assert that an array is of the target's library, device and dtype (or the one named)."""
        assert array_api_compat.array_namespace(result) is self.xp
        assert array_api_compat.device(result) == self.device
        wanted = dtype or self.dtype_name
        wanted = getattr(self.xp, wanted) if isinstance(wanted, str) else wanted
        assert result.dtype == wanted, f"{result.dtype} instead of {wanted}"

    def assert_close(self, result: Any, expected: Any, rtol: Any = None, dtype: Any = None) -> None:
        """Assert library, device, dtype, shape and value.

        `rtol` (default `tol`) is relative to the largest finite magnitude expected; whole numbers
        and truth values must be equal, and then their dtype need not be named.
        """
        expected = np.asarray(expected)
        exact = expected.dtype.kind in "biu"
        self.assert_here(result, dtype or (result.dtype if exact else None))
        actual = self.to_numpy(result)
        assert actual.shape == expected.shape, f"shape {actual.shape}, not {expected.shape}"
        if exact:
            np.testing.assert_array_equal(actual, expected)
            return
        expected = expected.astype(np.float64)
        rtol = self.tol if rtol is None else rtol
        finite = np.abs(expected[np.isfinite(expected)])
        atol = rtol * float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=rtol, atol=atol)

    def forbid_sync(self) -> AbstractContextManager[Any]:
        """Return a context in which any read of a device value on the host raises.

        Complete for array-api-strict, CuPy on the host double and torch on CUDA; JAX guards
        transfers from GPUs only. Does nothing where the device is the host.
        """
        library = self.backend.library.name
        if library in ("array_api_strict", "dlpack_only"):
            return _forbid_sync_of(type(self.xp.asarray(0)))
        if library == "cupy" and importlib.util.find_spec("cupy_on_cpu") is not None:
            import cupy_on_cpu

            if cupy_on_cpu.library_path() and not self.backend.library.real(self.device):
                return cupy_on_cpu.forbid_host_sync()
        if self.name == "torch:cuda":
            return _forbid_torch_sync()
        if library == "jax":
            import jax

            return jax.transfer_guard_device_to_host("disallow")
        return nullcontext()


@contextmanager
def running(name: str, dtype_name: str, own_context: bool = False) -> Iterator[Target]:
    """Make a target, with the settings of its library that the test needs, and undo them.

    CuPy needs the device to be current. `own_context`: what is tested sees to that itself.
    """
    row = TABLE[name]
    with ExitStack() as stack:
        if row.module in ("array_api_strict", "dlpack_only"):
            import array_api_strict

            flags = array_api_strict.ArrayAPIStrictFlags
            stack.enter_context(flags(boolean_indexing=False, data_dependent_shapes=False))
        if row.module == "dlpack_only":
            importlib.import_module(row.module)  # a library that xpnn does not know by name
        if row.module == "jax":
            stack.enter_context(jax_x64(dtype_name == "float64"))
        backend = get_backend(row.spec)
        if row.module == "cupy" and not own_context:
            stack.enter_context(backend.device_context())
        yield Target(name, dtype_name, backend)


def jax_x64(enabled: bool) -> AbstractContextManager[Any]:
    """Return JAX's context of 64-bit types, for this thread only."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enabled)
    from jax.experimental import enable_x64  # before JAX 0.8

    return enable_x64(enabled)


class HostSyncError(AssertionError):
    """A value of a device array was read on the host."""


@contextmanager
def _forbid_sync_of(cls: type) -> Iterator[None]:
    kept = {name: getattr(cls, name) for name in SYNCING}

    def refuse(name: str) -> Callable[..., Any]:
        def method(self: Any) -> Any:
            raise HostSyncError(f"{name} reads a device array on the host")

        return method

    for name in SYNCING:
        setattr(cls, name, refuse(name))
    try:
        yield
    finally:
        for name, method in kept.items():
            setattr(cls, name, method)


@contextmanager
def _forbid_torch_sync() -> Iterator[None]:
    import torch

    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
