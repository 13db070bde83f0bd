"""Array libraries and their devices."""

from xpnn.arrays.backend import *  # noqa: F403
