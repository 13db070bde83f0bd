"""Scores of predictions."""

from xpnn.parts.metrics import *  # noqa: F403
