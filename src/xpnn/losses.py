"""The public names of `xpnn.losses`."""

from xpnn.parts.losses import *  # noqa: F403

__all__ = ["LOSSES", "REGRESSION_LOSSES", "Loss", "get_loss"]  # noqa: F405
