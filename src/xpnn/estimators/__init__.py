"""Estimators with scikit-learn's interface."""

import os
from importlib import import_module
from typing import Any

from xpnn.estimators._device import to_device
from xpnn.estimators.classifier import MLPClassifier
from xpnn.estimators.regressor import MLPRegressor
from xpnn.files.model import load_as

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "Perceptron",
    "TabularClassifier",
    "TabularRegressor",
    "load",
    "to_device",
]

_ELSEWHERE = {
    "Perceptron": "xpnn.perceptron.estimator",
    "TabularClassifier": "xpnn.tabular.classifier",
    "TabularRegressor": "xpnn.tabular.regressor",
}


def __getattr__(name: str) -> Any:
    """Import what stands on this package's files when it is asked for."""
    if name in _ELSEWHERE:
        return getattr(import_module(_ELSEWHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator from a model file that `xpnn.save` wrote.

    Nothing in the file can run: it holds numbers, names and the settings of built-in parts.

    Parameters
    ----------
    path : path-like
        A model file, or a folder that `xpnn train` has written.

    Returns
    -------
    estimator
        Fitted, with NumPy arrays; it works on its `device` where that is there, and else on
        NumPy, with a warning.

    Raises
    ------
    ModelFileError
        When it is no model file, is damaged, or comes from a newer xpnn.
    OSError
        When it cannot be read.

    Examples
    --------
    >>> import numpy as np, tempfile, xpnn
    >>> model = xpnn.MLPRegressor(max_iter=9).partial_fit(np.eye(3), np.arange(3.0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xpnn.save(model, f"{folder}/model.safetensors")
    ...     again = xpnn.load(f"{folder}/model.safetensors")
    >>> bool((again.predict(np.eye(3)) == model.predict(np.eye(3))).all())
    True
    """
    known: dict[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
    known |= {name: getattr(import_module(where), name) for name, where in _ELSEWHERE.items()}
    return load_as(path, known)
