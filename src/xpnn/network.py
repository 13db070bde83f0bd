"""Networks as functions of one parameter vector."""

from xpnn.model.network import *  # noqa: F403
