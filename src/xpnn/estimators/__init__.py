"""Estimators with scikit-learn's interface."""

import os
from typing import Any

from xpnn.estimators._device import to_device
from xpnn.estimators.classifier import MLPClassifier
from xpnn.estimators.regressor import MLPRegressor
from xpnn.files.model import load_as

__all__ = ["MLPClassifier", "MLPRegressor", "Perceptron", "load", "to_device"]


def __getattr__(name: str) -> Any:
    """Import the perceptron when it is asked for: it stands on this package's files."""
    if name == "Perceptron":
        from xpnn.perceptron.estimator import Perceptron

        return Perceptron
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator from a model file that `xpnn.save` wrote.

    Nothing in the file can run: it holds numbers, names and the settings of built-in parts.

    Parameters
    ----------
    path : path-like

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
    from xpnn.perceptron.estimator import Perceptron

    known = (MLPClassifier, MLPRegressor, Perceptron)
    return load_as(path, {cls.__name__: cls for cls in known})
