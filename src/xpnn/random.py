"""The public names of `xpnn.random`."""

from xpnn.arrays.random import *  # noqa: F403
