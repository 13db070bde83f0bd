"""Pictures: see `xpnn.plotting`."""

from xpnn.plotting import *  # noqa: F403
