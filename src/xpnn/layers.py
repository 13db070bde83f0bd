"""Layers of a network."""

from xpnn.model.dense import *  # noqa: F403

__all__ = ["Dense"]  # noqa: F405
