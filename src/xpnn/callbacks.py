"""What is called while a network trains: progress, stopping, records, trackers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xpnn.training.callbacks import Callback, Callbacks, EpochEnd, ProgressBar

if TYPE_CHECKING:
    from xpnn.trackers.csv_logger import CSVLogger
    from xpnn.trackers.early_stopping import EarlyStopping
    from xpnn.trackers.learning_rate import LearningRateFinder
    from xpnn.trackers.mlflow import MLflow
    from xpnn.trackers.model_checkpoint import ModelCheckpoint
    from xpnn.trackers.notebook import NotebookPlot
    from xpnn.trackers.optuna import OptunaPruning
    from xpnn.trackers.tensorboard import TensorBoard
    from xpnn.trackers.wandb import WandB

_HOMES = {
    "CSVLogger": "csv_logger",
    "EarlyStopping": "early_stopping",
    "LearningRateFinder": "learning_rate",
    "MLflow": "mlflow",
    "ModelCheckpoint": "model_checkpoint",
    "NotebookPlot": "notebook",
    "OptunaPruning": "optuna",
    "TensorBoard": "tensorboard",
    "WandB": "wandb",
}

__all__ = [
    "CSVLogger",
    "Callback",
    "Callbacks",
    "EarlyStopping",
    "EpochEnd",
    "LearningRateFinder",
    "MLflow",
    "ModelCheckpoint",
    "NotebookPlot",
    "OptunaPruning",
    "ProgressBar",
    "TensorBoard",
    "WandB",
]


def __getattr__(name: str) -> Any:
    """Import a callback when it is asked for, and its package when it is used."""
    if name in _HOMES:
        return getattr(import_module(f"xpnn.trackers.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
