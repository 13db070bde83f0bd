"""Pictures: of neurons and networks, of a training run, and of what came of it.

Every function draws on the axes that it is given (`ax=`) or on new ones, and returns them; with
`path=` it also saves the picture. Matplotlib is imported when something is drawn.
"""

from xpnn.plotting.curves import activation, loss_surface, tangent
from xpnn.plotting.diagrams import network, neuron
from xpnn.plotting.history import learning_curve, plot_history
from xpnn.plotting.images import confusion, dropout_mask, weights
from xpnn.plotting.planes import decision_boundary, gate, truth_table
from xpnn.plotting.regression import predictions
from xpnn.plotting.tabular import (
    plot_calibration,
    plot_embedding,
    plot_importance,
    plot_intervals,
)

__all__ = [
    "activation",
    "confusion",
    "decision_boundary",
    "dropout_mask",
    "gate",
    "learning_curve",
    "loss_surface",
    "network",
    "neuron",
    "plot_calibration",
    "plot_embedding",
    "plot_history",
    "plot_importance",
    "plot_intervals",
    "predictions",
    "tangent",
    "truth_table",
    "weights",
]
