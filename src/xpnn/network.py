"""The public names of `xpnn.model.network`."""

from xpnn.model.network import *  # noqa: F403
