"""The public names of `xpnn.losses`."""

from xpnn.parts.losses import *  # noqa: F403
