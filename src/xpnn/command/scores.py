"""How good predictions are, beside those of somebody who knows nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

PERCENT = frozenset(("accuracy", "balanced accuracy"))
"""Scores that are shown in percent."""


def class_scores(
    y: np.ndarray, labels: np.ndarray, probability: np.ndarray, classes: np.ndarray
) -> dict[str, float]:
    """Scores of predicted classes; AUC where there are two classes.

    Parameters
    ----------
    y, labels : ndarray of shape (n,)
        True classes and predicted ones.
    probability : ndarray of shape (n, n_classes)
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    dict of str to float
        ``accuracy``, ``balanced accuracy``, ``F1`` (the mean over classes), ``AUC`` and
        ``log-loss``.

    Examples
    --------
    >>> y, classes = np.array(["a", "b"]), np.array(["a", "b"])
    >>> class_scores(y, y, np.eye(2), classes)["AUC"]
    1.0
    """
    from sklearn import metrics

    present = np.isin(classes, y)
    recalls = [float((labels[y == c] == c).mean()) for c in classes[present]]
    found = {
        "accuracy": float((labels == y).mean()),
        "balanced accuracy": float(np.mean(recalls)),
        "F1": float(metrics.f1_score(y, labels, average="macro", zero_division=0.0)),
    }
    if len(classes) == 2 and present.all():
        found["AUC"] = float(metrics.roc_auc_score(y == classes[1], probability[:, 1]))
    known = np.isin(y, classes)
    place = np.searchsorted(classes, y[known])
    true = probability[known][np.arange(int(known.sum())), place]
    logs = np.log(np.maximum(true, 1e-15))
    found["log-loss"] = -float(logs.mean()) if known.any() else float("nan")
    return found


def number_scores(
    y: np.ndarray, prediction: np.ndarray, names: Sequence[str] = ()
) -> dict[str, float]:
    """Scores of predicted numbers.

    Parameters
    ----------
    y, prediction : ndarray of shape (n,) or (n, n_targets)
    names : sequence of str
        Of several targets.

    Returns
    -------
    dict of str to float
        ``R2`` (NaN where all of y is the same), ``RMSE`` and ``MAE`` in the unit of y. Of
        several targets the mean R2, and each one's scores under its name.

    Examples
    --------
    >>> number_scores(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    {'R2': 0.0, 'RMSE': 1.0, 'MAE': 1.0}
    """
    if y.ndim == 2:
        each = [number_scores(a, b) for a, b in zip(y.T, prediction.T, strict=True)]
        scores = {f"{k} {n}": v for n, s in zip(names, each, strict=True) for k, v in s.items()}
        return {"R2": float(np.mean([s["R2"] for s in each])), **scores}
    error = y - prediction
    spread = float(((y - y.mean()) ** 2).mean())
    square = float((error**2).mean())
    r2 = 1.0 - square / spread if spread > 0 else float("nan")
    return {"R2": r2, "RMSE": square**0.5, "MAE": float(np.abs(error).mean())}


def baseline(
    task: str, train: np.ndarray, test: np.ndarray, classes: Any, names: Sequence[str] = ()
) -> dict[str, float]:
    """Scores of the commonest class with the classes' shares, or of the mean.

    Parameters
    ----------
    task : {"classification", "regression"}
    train, test : ndarray of shape (n,) or (n, n_targets)
        Targets.
    classes : ndarray of shape (n_classes,), or None
    names : sequence of str
        Of several targets.
    """
    if task == "regression":
        return number_scores(test, np.broadcast_to(train.mean(axis=0), test.shape), names)
    shares = np.array([(train == c).mean() for c in classes])
    labels = np.full(len(test), classes[shares.argmax()])
    return class_scores(test, labels, np.tile(shares, (len(test), 1)), classes)


def confusion(y: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> list[list[int]]:
    """How often each true class (rows) was predicted as each (columns).

    Parameters
    ----------
    y, labels : ndarray of shape (n,)
    classes : ndarray of shape (n_classes,)

    Examples
    --------
    >>> confusion(np.array(["a", "b"]), np.array(["a", "a"]), np.array(["a", "b"]))
    [[1, 0], [1, 0]]
    """
    return [[int(((y == a) & (labels == b)).sum()) for b in classes] for a in classes]


def shown(name: str, value: float) -> str:
    """A score as people read it; a negative zero is a zero."""
    return f"{100 * value:.2f} %" if name in PERCENT else f"{value + 0.0:.4g}"
