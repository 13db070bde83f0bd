"""Perceptrons and multi-layer perceptrons on any array library."""

__version__ = "0.1.0"
