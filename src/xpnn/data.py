"""The public names of `xpnn.training.data`."""

from xpnn.training.data import *  # noqa: F403
