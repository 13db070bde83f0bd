"""The public names of `xpnn.state`."""

from xpnn.training.state import *  # noqa: F403
