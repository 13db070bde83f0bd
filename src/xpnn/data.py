"""The public names of `xpnn.training.data` and `xpnn.blocks`."""

from xpnn.blocks import Blocks as Blocks
from xpnn.training.data import *  # noqa: F403

__all__ = ["Blocks"]
