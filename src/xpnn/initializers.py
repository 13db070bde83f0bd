"""The public names of `xpnn.initializers`."""

from xpnn.parts.initializers import *  # noqa: F403
