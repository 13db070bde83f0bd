"""Initial weights, by name."""

from xpnn.parts.initializers import *  # noqa: F403

__all__ = ["INITIALIZERS", "Initializer", "get_initializer"]  # noqa: F405
