"""Learning rates over a training, by name."""

from xpnn.parts.schedules import *  # noqa: F403

__all__ = ["SCHEDULES", "Progress", "Schedule", "get_schedule"]  # noqa: F405
