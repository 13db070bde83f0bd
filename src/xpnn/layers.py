"""The public names of `xpnn.model.dense`."""

from xpnn.model.dense import *  # noqa: F403
