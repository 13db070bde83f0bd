"""Optimizers, by name, and what holds weights and gradients small."""

from xpnn.parts.optimizers import *  # noqa: F403
from xpnn.parts.regularization import *  # noqa: F403
