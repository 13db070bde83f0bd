"""Layers of a network, and what one of your own is."""

from xpnn.model.dense import *  # noqa: F403
from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.layer import Layer
from xpnn.model.layout import Parameter
from xpnn.model.scale import Scale

__all__ = ["Dense", "Layer", "Parameter", "PeriodicEmbedding", "Scale"]  # noqa: F405
