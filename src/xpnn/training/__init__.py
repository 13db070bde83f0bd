"""The training loop and what it goes by: state, data, callbacks, L-BFGS."""

from xpnn.training.loop import Validation, train
from xpnn.training.state import DivergedError, TrainingConfig, TrainingState

__all__ = ["DivergedError", "TrainingConfig", "TrainingState", "Validation", "train"]
