"""Perceptrons and multi-layer perceptrons, written once, on any array library.

The arrays decide where it runs: NumPy on a laptop, CuPy on a CUDA GPU, PyTorch, JAX, or any
library that array-api-compat knows.
"""

from typing import TYPE_CHECKING, Any

from xpnn._imports import import_many
from xpnn._version import __version__
from xpnn.arrays.backend import (
    Backend,
    DeviceError,
    DeviceInfo,
    backend_of,
    devices,
    get_backend,
    to_numpy,
    use_device,
)
from xpnn.files.model import save
from xpnn.files.record import ModelFileError
from xpnn.model.dense import Dense
from xpnn.model.network import Network
from xpnn.parts.activations import Activation, get_activation
from xpnn.parts.initializers import Initializer, get_initializer
from xpnn.parts.losses import Loss, get_loss
from xpnn.parts.optimizers import get_optimizer
from xpnn.parts.schedules import Schedule, get_schedule
from xpnn.training.callbacks import EpochEnd, ProgressBar
from xpnn.training.checkpoint import Checkpoint, CheckpointError
from xpnn.training.state import DivergedError

if TYPE_CHECKING:
    from xpnn.estimators import (
        MLPClassifier,
        MLPRegressor,
        Perceptron,
        TabularClassifier,
        TabularRegressor,
        load,
        to_device,
    )
    from xpnn.exchange import (
        from_keras,
        from_sklearn,
        from_torch,
        register_converters,
        to_c,
        to_keras,
        to_onnx,
        to_sklearn,
        to_torch,
    )

MODULES = (
    "activations",
    "backends",
    "callbacks",
    "data",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "network",
    "neurons",
    "optimizers",
    "plot",
    "random",
    "schedules",
    "state",
)
"""Those that are imported when they are asked for, as in ``xpnn.neurons.perceptron_rule``."""

__all__ = [
    "Activation",
    "Backend",
    "Checkpoint",
    "CheckpointError",
    "Dense",
    "DeviceError",
    "DeviceInfo",
    "DivergedError",
    "EpochEnd",
    "Initializer",
    "Loss",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFileError",
    "Network",
    "Perceptron",
    "ProgressBar",
    "Schedule",
    "TabularClassifier",
    "TabularRegressor",
    "__version__",
    "backend_of",
    "devices",
    "from_keras",
    "from_sklearn",
    "from_torch",
    "get_activation",
    "get_backend",
    "get_initializer",
    "get_loss",
    "get_optimizer",
    "get_schedule",
    "load",
    "register_converters",
    "save",
    "to_c",
    "to_device",
    "to_keras",
    "to_numpy",
    "to_onnx",
    "to_sklearn",
    "to_torch",
    "use_device",
]

_EXCHANGE = frozenset((
    *("from_keras", "from_sklearn", "from_torch", "register_converters"),
    *("to_c", "to_keras", "to_onnx", "to_sklearn", "to_torch"),
))  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import an estimator when it is asked for: scikit-learn brings pandas along; and modules."""
    if name in MODULES:
        return import_many(f"xpnn.{name}")
    if name in __all__:
        where = "exchange" if name in _EXCHANGE else "estimators"
        value = globals()[name] = getattr(import_many(f"xpnn.{where}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *MODULES})
