"""Problems for perceptrons, and a fit that may not converge."""

import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((300, 12))
SCORES = NORMAL @ RNG.standard_normal((12, 4))
NOISY = (SCORES[:, 0] + 3 * RNG.standard_normal(300) > 0).astype(int)
WIDE = np.abs(SCORES[:, 0]) > 0.5
DATA = {
    "iris": load_iris(return_X_y=True),
    "digits": tuple(a[:600] for a in load_digits(return_X_y=True)),
    "breast_cancer": load_breast_cancer(return_X_y=True),
    "separable": (NORMAL[WIDE], (SCORES[WIDE, 0] > 0).astype(int)),
    "noisy": (NORMAL, NOISY),
    "four classes": (NORMAL, SCORES.argmax(axis=1)),
}


def fitted(estimator: Any, *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(*args, **kwargs)
