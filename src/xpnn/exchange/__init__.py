"""Models to and from others: scikit-learn, PyTorch, Keras, ONNX and C."""

from importlib import import_module
from typing import Any

_HOMES = {
    "from_keras": "keras",
    "from_sklearn": "scikit",
    "from_torch": "pytorch",
    "register_converters": "converters",
    "to_c": "c99.export",
    "to_keras": "keras",
    "to_onnx": "onnx.export",
    "to_sklearn": "scikit",
    "to_torch": "pytorch",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for, and with it the library that it exchanges with."""
    if name in _HOMES:
        return getattr(import_module(f"xpnn.exchange.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
