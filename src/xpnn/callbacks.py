"""The public names of `xpnn.callbacks`."""

from xpnn.training.callbacks import *  # noqa: F403
