"""The public names of `xpnn.schedules`."""

from xpnn.parts.schedules import *  # noqa: F403

__all__ = ["SCHEDULES", "Progress", "Schedule", "get_schedule"]  # noqa: F405
