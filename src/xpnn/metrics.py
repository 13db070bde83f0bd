"""The public names of `xpnn.metrics`."""

from xpnn.parts.metrics import *  # noqa: F403
