"""The public names of `xpnn.activations`."""

from xpnn.parts.activations import *  # noqa: F403
