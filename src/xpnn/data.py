"""Rows that memory does not hold."""

from xpnn.blocks import Blocks as Blocks
from xpnn.training.data import *  # noqa: F403

__all__ = ["Blocks"]
