"""The public names of `xpnn.schedules`."""

from xpnn.parts.schedules import *  # noqa: F403
