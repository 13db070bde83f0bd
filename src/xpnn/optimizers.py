"""The public names of `xpnn.optimizers`."""

from xpnn.parts.optimizers import *  # noqa: F403
