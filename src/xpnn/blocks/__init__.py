"""Data larger than memory: rows that are read a block at a time."""

from xpnn.blocks.blocks import Blocks

__all__ = ["Blocks"]
