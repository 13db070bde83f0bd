"""The public names of `xpnn.state`."""

from xpnn.training.state import *  # noqa: F403

__all__ = ["DivergedError", "TrainingConfig", "TrainingState"]  # noqa: F405
