"""Pictures of a tabular model: importance, calibration, intervals, embeddings."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from xpnn.arrays.backend import to_numpy
from xpnn.plotting.canvas import BLUE, INK, ORANGE, finished, new_axes


def plot_importance(
    importance: Mapping[str, tuple[float, float]],
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Any | None = None,
    most: int = 20,
) -> Any:
    """Bars of what each column is worth, the most important first, with their spread.

    Parameters
    ----------
    importance : mapping of str to (mean, standard deviation)
        What a tabular estimator's `feature_importance` gives.
    path : path-like, default=None
        Where to save the picture; the suffix tells the format (png, svg, pdf, ...).
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure: one of pyplot's, or with `path` one apart from them.
    most : int, default=20
        How many columns are drawn.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For anything else, such as the estimator.

    Examples
    --------
    >>> ax = plot_importance({"size": (0.5, 0.1), "colour": (0.2, 0.1)})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['size', 'colour']
    """
    if not isinstance(importance, Mapping) or any(np.shape(v) != (2,) for v in importance.values()):
        raise ValueError(
            "importance must be a mapping of columns to (mean, standard deviation), got "
            f"{type(importance).__name__}: pass what estimator.feature_importance() gives."
        )
    names = list(importance)[:most]
    ax = ax or new_axes((6.4, 1.2 + 0.28 * len(names)), path)
    means, spreads = zip(*(importance[name] for name in names), strict=True)
    ax.barh(range(len(names)), means, xerr=spreads, color=BLUE, ecolor=INK, height=0.65)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.axvline(0.0, color=INK, lw=0.8)
    ax.set_xlabel("rise of the loss when the column is permuted")
    return finished(ax, path)


def plot_calibration(
    truth: Any,
    probability: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Any | None = None,
    bins: int = 10,
    classes: Any = None,
) -> Any:
    """How often the predicted class is right, beside how probable it was said to be.

    Parameters
    ----------
    truth : array-like of shape (n_samples,)
        The true classes.
    probability : array-like of shape (n_samples, n_classes)
        What `predict_proba` gives of other rows, or a tabular classifier's `oof_prediction_`.
    path : path-like, default=None
    ax : matplotlib Axes, default=None
    bins : int, default=10
        Parts of equally many rows.
    classes : array-like of shape (n_classes,), default=None
        The class of each column of `probability`, an estimator's `classes_`; None is 0, 1, ...

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For other shapes, and a true class that is none of `classes`.

    Examples
    --------
    >>> ax = plot_calibration([0, 1], [[0.8, 0.2], [0.4, 0.6]], bins=1)
    >>> ax.get_xlabel()
    'probability of the predicted class'
    """
    truth, probability = to_numpy(truth), to_numpy(probability)
    if probability.ndim != 2 or truth.shape != probability.shape[:1]:
        raise ValueError(
            f"truth has the shape {truth.shape} and probability {probability.shape}, expected (n,) "
            "and (n, n_classes), as of predict_proba"
        )
    classes = np.arange(probability.shape[1]) if classes is None else np.asarray(classes)
    strange = truth[~np.isin(truth, classes)]
    if len(classes) != probability.shape[1] or len(strange):
        told = (
            f"truth holds {strange.tolist()[0]!r}" if len(strange) else f"there are {len(classes)}"
        )
        raise ValueError(
            f"the {probability.shape[1]} columns of probability are classes {classes.tolist()}, "
            f"and {told}: pass classes=estimator.classes_"
        )
    said, right = probability.max(axis=1), classes[probability.argmax(axis=1)] == truth
    parts = np.array_split(np.argsort(said, kind="stable"), bins)
    points = [(said[p].mean(), right[p].mean()) for p in parts if len(p)]
    ax = ax or new_axes((4.6, 4.4), path)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.9, ls=":", label="as good as its word")
    ax.plot(*zip(*points, strict=True), "o-", color=BLUE, lw=1.6, ms=4, label="rows")
    low = min(0.95, *(min(point) for point in points)) - 0.03
    ax.set(xlim=(low, 1.01), ylim=(low, 1.01))
    ax.set_xlabel("probability of the predicted class")
    ax.set_ylabel("how often it is right")
    ax.legend(frameon=False, fontsize=9)
    return finished(ax, path)


def plot_intervals(
    truth: Any,
    intervals: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Any | None = None,
) -> Any:
    """Intervals in the order of their middles, and the true values in and out of them.

    Parameters
    ----------
    truth : array-like of shape (n_samples,)
    intervals : array-like of shape (n_samples, 2)
        What a tabular regressor's `predict_interval` gives.
    path : path-like, default=None
    ax : matplotlib Axes, default=None

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For other shapes.

    Examples
    --------
    >>> ax = plot_intervals([1.0, 5.0], [[0.0, 2.0], [1.0, 3.0]])
    >>> ax.get_title(loc="left")
    '50 % of 2 rows inside'
    """
    truth, intervals = to_numpy(truth), to_numpy(intervals)
    if truth.ndim != 1 or intervals.shape != (len(truth), 2):
        raise ValueError(
            f"truth has the shape {truth.shape} and intervals {intervals.shape}, expected (n,) and "
            "(n, 2), as of predict_interval"
        )
    order = np.argsort(intervals.mean(axis=1), kind="stable")
    truth, (low, high) = truth[order], intervals[order].T
    inside, at = (low <= truth) & (truth <= high), np.arange(len(truth))
    ax = ax or new_axes((7.2, 4.0), path)
    ax.fill_between(at, low, high, color=BLUE, alpha=0.2, lw=0, label="interval")
    ax.plot(at[inside], truth[inside], ".", color=BLUE, ms=4, label="inside")
    ax.plot(at[~inside], truth[~inside], ".", color=ORANGE, ms=5, label="outside")
    ax.set_xlabel("rows, by the middle of their interval")
    ax.set_ylabel("target")
    share = 100.0 * inside.mean()
    ax.set_title(f"{share:.0f} % of {len(truth):,} rows inside", loc="left", fontsize=11)
    ax.legend(frameon=False, fontsize=9, ncols=3)
    return finished(ax, path)


def plot_embedding(
    estimator: Any,
    column: str,
    path: str | os.PathLike[str] | None = None,
    *,
    member: int = 0,
    ax: Any | None = None,
) -> Any:
    """The functions that a member has learned of a column of numbers, and where it has steps.

    What they are, the estimator's `embedded` says. A step, where the classes of the member's rows
    change at once, is a broken line.

    Parameters
    ----------
    estimator : fitted TabularClassifier or TabularRegressor
    column : str
        Its name.
    path : path-like, default=None
    member : int, default=0
    ax : matplotlib Axes, default=None

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For a column that is not embedded.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import TabularRegressor
    >>> x = np.linspace(0, 1, 50)
    >>> model = TabularRegressor(epochs=2, random_state=0).fit({"size": x}, x)
    >>> plot_embedding(model, "size").get_xlabel()
    'size'
    """
    grid, functions = estimator.embedded(column, member)
    ax = ax or new_axes((6.4, 3.6), path)
    for i, values in enumerate(functions.T):
        ax.plot(grid, values, lw=1.6, label=f"function {i + 1}")
    steps = next(c.steps for c in estimator.encoding_.columns if c.name == column)
    told = [(low + high) / 2 for low, high, members in steps if member in members]
    for i, place in enumerate(told):
        label = f"step{'s' if len(told) > 1 else ''}" if i == 0 else None
        ax.axvline(place, color=INK, lw=0.9, ls="--", label=label)
    ax.set_xlabel(column)
    ax.set_ylabel("embedding")
    ax.legend(frameon=False, fontsize=9, ncols=3)
    return finished(ax, path)
