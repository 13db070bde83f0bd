"""The adapter of PyTorch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np

from xpnn.arrays.libraries.base import TRACED, Library, gpu_driver
from xpnn.arrays.typing import Array, Device

_FLOATS = ("float16", "float32", "float64")
# Of tensors with operations of their own, the one sentence that helps.
_CURES = {
    "DTensor": "spread over processes: gather it with full_tensor().",
    "FakeTensor": f"{TRACED}.",
    "MaskedTensor": "has values that do not count: pass its to_tensor(value).",
}


class Torch(Library):
    """PyTorch: `cpu`, `cuda:0`, `mps`."""

    name = "torch"
    module = "array_api_compat.torch"
    distributions = ("torch",)
    cure = "pip install 'xpnn[torch]'"
    kinds = ("cpu", "cuda", "mps")
    aliases: ClassVar[dict[str, str]] = {"gpu": "cuda", "rocm": "cuda"}

    def devices(self) -> dict[str, Device]:
        import torch

        names = ["cpu"]
        if torch.cuda.is_available():
            names += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        if torch.backends.mps.is_available():
            names.append("mps")
        return {name: torch.device(name) for name in names}

    def default(self) -> str:
        devices = self.devices()
        return next(name for name in ("cuda:0", "mps", "cpu") if name in devices)

    def why_not(self, kind: str) -> str:
        # a build without CUDA is the usual reason
        import torch

        installed = f"torch {self.version()} installed"
        if kind == "mps":
            built = torch.backends.mps.is_built()
            return f"{installed}, " + ("no Apple GPU" if built else "built without MPS")
        if torch.version.cuda is None and getattr(torch.version, "hip", None) is None:
            cure = "; install a CUDA build of torch" if gpu_driver() else ""
            return f"{installed}, built without CUDA{cure}"
        return f"{installed}, " + ("no usable GPU" if gpu_driver() else "no CUDA driver")

    def describe(self, device: Device) -> str:
        import torch

        if device.type == "cuda":
            return str(torch.cuda.get_device_name(device))
        return "Apple GPU" if device.type == "mps" else "CPU"

    def accelerator(self, device: Device) -> bool:
        # `torch.cuda.is_available` does not say that kernels exist for this GPU
        return bool(device.type != "cpu")

    def suffix(self, device: Device) -> str:
        return self.canonical(str(device))

    def device_of(self, x: Array) -> Device:
        return x.device

    def to_numpy(self, x: Array) -> np.ndarray[Any, Any]:
        # NumPy has neither bfloat16 nor narrower floats
        x = x.detach().cpu().resolve_conj().resolve_neg()
        narrow = x.is_floating_point() and str(x.dtype).removeprefix("torch.") not in _FLOATS
        return np.asarray((x.float() if narrow else x).numpy())

    def unreadable(self, x: Array) -> str:
        import torch

        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            return f"is being traced by torch.func (grad, vmap or jvp) and {TRACED}."
        if x.is_nested:  # a class of its own where its layout is jagged
            return "is a nested tensor, whose rows differ in length: pass a dense one."
        if type(x).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
            kind = type(x).__name__
            return f"is a {kind} and {_CURES.get(kind, 'no plain tensor: pass one.')}"
        if torch.autograd.forward_ad.unpack_dual(x).tangent is not None:
            return f"is being traced by torch.autograd.forward_ad and {TRACED}."
        if x.device.type == "meta":
            return f"is on torch's device 'meta' and {TRACED}."
        if x.layout is not torch.strided:
            return f"has the layout {x.layout}, and xpnn takes dense tensors: pass its to_dense()."
        if x.is_quantized:
            return f"is quantized ({x.dtype}): pass its dequantize()."
        return ""

    def label_dtype(self, name: str) -> str:
        # torch can neither index nor compare the wide unsigned ones
        return "int64" if name in ("uint16", "uint32", "uint64") else name

    def from_numpy(self, x: np.ndarray[Any, Any], device: Device, copy: bool) -> Array:
        # Torch warns at read-only memory and refuses negative strides
        import torch

        on_host = device.type == "cpu"
        if (copy and on_host) or not x.flags.writeable or any(s < 0 for s in x.strides):
            x = x.copy()
        tensor = torch.from_numpy(x)
        return tensor if on_host else tensor.to(device)

    def detach(self, x: Array) -> Array:
        return x.detach() if x.requires_grad else x

    def move(self, x: Array, device: Device) -> Array:
        return x.to(device)

    def missing_dtypes(self, device: Device) -> frozenset[str]:
        # Apple's GPUs have no float64
        return frozenset({"float64"}) if device.type == "mps" else frozenset()

    def synchronize(self, device: Device) -> None:
        import torch

        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    def context(self, device: Device) -> AbstractContextManager[Any]:
        # all our calls name their device; what is left is not to record a graph
        import torch

        context: AbstractContextManager[Any] = torch.no_grad()
        return context

    def free_memory(self, device: Device) -> int | None:
        # what the driver has left, and what torch's pool holds unused
        import torch

        if device.type == "cuda":
            pool = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return int(torch.cuda.mem_get_info(device)[0] + pool)
        if device.type == "mps":
            return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
        return None
