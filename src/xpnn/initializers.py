"""The public names of `xpnn.initializers`."""

from xpnn.parts.initializers import *  # noqa: F403

__all__ = ["INITIALIZERS", "Initializer", "get_initializer"]  # noqa: F405
