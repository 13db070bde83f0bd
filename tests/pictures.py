"""What a picture says, and networks to draw."""

import numpy as np

from xpnn import Dense, Network

PAIRS = [[0, 0], [0, 1], [1, 0], [1, 1]]
NET = Network((Dense(3, 3, "sigmoid", bias=False), Dense(3, 1, "sigmoid", bias=False)))
WEIGHTS = [np.asarray([[0.9, 0.8, 0.1], [0.3, 0.5, 0.6], [0.2, 0.3, 0.7]]).T, [[0.3], [0.5], [0.9]]]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]
