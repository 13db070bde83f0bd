"""Pictures of neurons, networks, training and predictions, by matplotlib."""

from xpnn.plotting import *  # noqa: F403
