"""The public names of `xpnn.backends`."""

from xpnn.arrays.backend import *  # noqa: F403
