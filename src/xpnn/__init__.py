"""Perceptrons and multi-layer perceptrons, written once, on any array library.

The arrays decide where it runs: NumPy on a laptop, CuPy on a CUDA GPU, PyTorch, JAX, or any
library that array-api-compat knows.
"""

from typing import TYPE_CHECKING, Any

from xpnn.activations import Activation, get_activation
from xpnn.backends import (
    Backend,
    DeviceError,
    DeviceInfo,
    backend_of,
    devices,
    get_backend,
    to_numpy,
    use_device,
)
from xpnn.callbacks import EpochEnd, ProgressBar
from xpnn.files import ModelFileError, save
from xpnn.initializers import Initializer, get_initializer
from xpnn.layers import Dense
from xpnn.losses import Loss, get_loss
from xpnn.network import Network
from xpnn.optimizers import get_optimizer
from xpnn.schedules import Schedule, get_schedule
from xpnn.state import DivergedError

if TYPE_CHECKING:
    from xpnn.estimators import MLPClassifier, MLPRegressor, Perceptron, load, to_device

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Backend",
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
    "backend_of",
    "devices",
    "get_activation",
    "get_backend",
    "get_initializer",
    "get_loss",
    "get_optimizer",
    "get_schedule",
    "load",
    "save",
    "to_device",
    "to_numpy",
    "use_device",
]


def __getattr__(name: str) -> Any:
    """Import an estimator when it is asked for: scikit-learn brings pandas along."""
    if name in __all__:
        from xpnn import estimators

        value = globals()[name] = getattr(estimators, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
