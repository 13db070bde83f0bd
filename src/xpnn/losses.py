"""Losses with their gradients, by name."""

from xpnn.parts.losses import *  # noqa: F403

__all__ = ["LOSSES", "REGRESSION_LOSSES", "Loss", "get_loss"]  # noqa: F405
