"""What a training is given and what it ends with."""

from xpnn.training.state import *  # noqa: F403

__all__ = ["DivergedError", "TrainingConfig", "TrainingState"]  # noqa: F405
