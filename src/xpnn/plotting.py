"""Pictures of a training run, and of what came of it."""

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xpnn.files.atomic import write_atomic

_TRAIN, _VALID, _INK = "#1f5fa8", "#d2691e", "#333333"


def plot_history(
    history: Mapping[str, Sequence[float]],
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Any | None = None,
    title: str | None = None,
    score_name: str = "validation score",
    held_out: Mapping[int, float] | None = None,
) -> Any:
    """Learning curves: the losses, the validation score on a second axis, the best epoch.

    Parameters
    ----------
    history : mapping of str to sequence of float
        An estimator's `history_`: ``loss`` and, where there was validation, ``val_loss`` and
        ``val_score``, one number an epoch. NaN leaves a gap.
    path : path-like, default=None
        Where to save the picture; the suffix tells the format (png, svg, pdf, ...).
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure of its own, apart from pyplot's.
    title : str, default=None
    score_name : str, default="validation score"
        Label of the second axis.
    held_out : mapping of int to float, default=None
        Losses out of fold after some epochs, drawn as points; see a tabular estimator's `valleys_`.

    Returns
    -------
    matplotlib Axes
        The one with the losses; its `figure` can be saved or shown.

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For a history without a loss.

    Examples
    --------
    >>> ax = plot_history({"loss": [0.9, 0.4], "val_score": [0.7, 0.8]})
    >>> ax.get_xlabel()
    'epoch'
    """
    losses = {k: list(history[k]) for k in ("loss", "val_loss") if history.get(k)}
    if "loss" not in losses:
        raise ValueError(
            f"A history needs its 'loss' to be drawn, got {sorted(history)}; fit first."
        )
    ax = ax or _axes((7.2, 4.2))
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    epochs = range(1, len(losses["loss"]) + 1)
    ax.plot(epochs, losses["loss"], color=_TRAIN, lw=1.8, label="training loss", **_dot(epochs))
    if "val_loss" in losses:
        line = {"color": _TRAIN, "lw": 1.4, "ls": (0, (4, 2)), "alpha": 0.75}
        ax.plot(epochs, losses["val_loss"], label="validation loss", **line, **_dot(epochs))
    if held_out:
        points = {"color": _VALID, "ms": 6, "zorder": 3, "label": "loss out of fold"}
        ax.plot(list(held_out), list(held_out.values()), "o", **points)
    finite = [v for values in losses.values() for v in values if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) > 10 * min(finite):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss", color=_TRAIN)
    ax.tick_params(axis="y", colors=_TRAIN)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(axis="y", color="#dddddd", lw=0.6)
    ax.set_axisbelow(True)
    axes = [ax]
    best = _best_epoch(history)
    if history.get("val_score"):
        axes.append(_draw_score(ax, list(history["val_score"]), score_name))
    if best is not None:
        ax.axvline(best, color=_INK, lw=0.9, ls=":", label=f"best epoch ({best})")
    for each in axes:
        each.spines["top"].set_visible(False)
    ax.spines["right"].set_visible(len(axes) > 1)
    handles = [handle for each in axes for handle in each.get_legend_handles_labels()[0]]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 4, "fontsize": 9}
    ax.legend(handles=handles, frameon=False, **below)
    if title:
        ax.set_title(title, loc="left", fontsize=11, color=_INK)
    _save(ax, path)
    return ax


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
        Where to draw; None makes a figure of its own, apart from pyplot's.
    most : int, default=20
        How many columns are drawn.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.

    Examples
    --------
    >>> ax = plot_importance({"size": (0.5, 0.1), "colour": (0.2, 0.1)})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['size', 'colour']
    """
    names = list(importance)[:most]
    ax = ax or _axes((6.4, 1.2 + 0.28 * len(names)))
    means, spreads = zip(*(importance[name] for name in names), strict=True)
    ax.barh(range(len(names)), means, xerr=spreads, color=_TRAIN, ecolor=_INK, height=0.65)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.axvline(0.0, color=_INK, lw=0.8)
    ax.set_xlabel("rise of the loss when the column is permuted")
    return _finished(ax, path)


def plot_calibration(
    truth: Any,
    probability: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Any | None = None,
    bins: int = 10,
) -> Any:
    """How often the predicted class is right, beside how probable it was said to be.

    Parameters
    ----------
    truth : array-like of int, shape (n_samples,)
        Places of the true classes in the columns of `probability`.
    probability : array-like of shape (n_samples, n_classes)
        Such as a tabular classifier's `oof_prediction_`.
    path : path-like, default=None
    ax : matplotlib Axes, default=None
    bins : int, default=10
        Parts of equally many rows.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.

    Examples
    --------
    >>> ax = plot_calibration([0, 1], [[0.8, 0.2], [0.4, 0.6]], bins=1)
    >>> ax.get_xlabel()
    'probability of the predicted class'
    """
    truth, probability = np.asarray(truth), np.asarray(probability)
    said, right = probability.max(axis=1), probability.argmax(axis=1) == truth
    parts = np.array_split(np.argsort(said, kind="stable"), bins)
    points = [(said[p].mean(), right[p].mean()) for p in parts if len(p)]
    ax = ax or _axes((4.6, 4.4))
    ax.plot([0, 1], [0, 1], color=_INK, lw=0.9, ls=":", label="as good as its word")
    ax.plot(*zip(*points, strict=True), "o-", color=_TRAIN, lw=1.6, ms=4, label="out of fold")
    low = min(0.95, *(min(point) for point in points)) - 0.03
    ax.set(xlim=(low, 1.01), ylim=(low, 1.01))
    ax.set_xlabel("probability of the predicted class")
    ax.set_ylabel("how often it is right")
    ax.legend(frameon=False, fontsize=9)
    return _finished(ax, path)


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

    Examples
    --------
    >>> ax = plot_intervals([1.0, 5.0], [[0.0, 2.0], [1.0, 3.0]])
    >>> ax.get_title(loc="left")
    '50 % of 2 rows inside'
    """
    truth, intervals = np.asarray(truth), np.asarray(intervals)
    order = np.argsort(intervals.mean(axis=1), kind="stable")
    truth, (low, high) = truth[order], intervals[order].T
    inside, at = (low <= truth) & (truth <= high), np.arange(len(truth))
    ax = ax or _axes((7.2, 4.0))
    ax.fill_between(at, low, high, color=_TRAIN, alpha=0.2, lw=0, label="interval")
    ax.plot(at[inside], truth[inside], ".", color=_TRAIN, ms=4, label="inside")
    ax.plot(at[~inside], truth[~inside], ".", color=_VALID, ms=5, label="outside")
    ax.set_xlabel("rows, by the middle of their interval")
    ax.set_ylabel("target")
    share = 100.0 * inside.mean()
    ax.set_title(f"{share:.0f} % of {len(truth):,} rows inside", loc="left", fontsize=11)
    ax.legend(frameon=False, fontsize=9, ncols=3)
    return _finished(ax, path)


def plot_embedding(
    estimator: Any,
    column: str,
    path: str | os.PathLike[str] | None = None,
    *,
    member: int = 0,
    ax: Any | None = None,
) -> Any:
    """The functions that a member's periodic embedding has learned of a column of numbers.

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
    ax = ax or _axes((6.4, 3.6))
    for i, values in enumerate(functions.T):
        ax.plot(grid, values, lw=1.6, label=f"function {i + 1}")
    ax.set_xlabel(column)
    ax.set_ylabel("embedding")
    ax.legend(frameon=False, fontsize=9, ncols=3)
    return _finished(ax, path)


def _axes(size: tuple[float, float]) -> Any:
    """A figure of its own."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ImportError(
            'Drawing needs matplotlib; get it with: python -m pip install "xpnn[plot]"'
        ) from error
    return Figure(figsize=size, dpi=150, layout="constrained").subplots()


def _finished(ax: Any, path: str | os.PathLike[str] | None) -> Any:
    """Axes in the house's style, saved where a path is given."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_axisbelow(True)
    _save(ax, path)
    return ax


def _save(ax: Any, path: str | os.PathLike[str] | None) -> None:
    if path is not None:
        data = io.BytesIO()
        ax.figure.savefig(data, format=os.path.splitext(path)[1].lstrip(".") or "png")
        write_atomic(path, data.getvalue())


def _draw_score(ax: Any, scores: list[float], name: str) -> Any:
    twin = ax.twinx()
    epochs = range(1, len(scores) + 1)
    twin.plot(epochs, scores, color=_VALID, lw=1.8, label=name, **_dot(epochs))
    best = max((v for v in scores if math.isfinite(v)), default=None)
    if best is not None:
        at = scores.index(best) + 1
        twin.plot([at], [best], "o", color=_VALID, ms=5, zorder=3)
        twin.annotate(
            f"{best:.3f}", (at, best), (0, 6), textcoords="offset points", ha="center",
            fontsize=9, color=_VALID, bbox={"fc": "white", "ec": "none", "pad": 1.0},
        )  # fmt: skip
    twin.set_ylabel(name, color=_VALID)
    twin.tick_params(axis="y", colors=_VALID)
    twin.margins(y=0.12)
    return twin


def _best_epoch(history: Mapping[str, Sequence[float]]) -> int | None:
    """The first epoch, from 1, of the highest validation score, else of the lowest loss."""
    for name, sign in (("val_score", 1), ("val_loss", -1)):
        values = [sign * v if math.isfinite(v) else -math.inf for v in history.get(name) or ()]
        if values and max(values) > -math.inf:
            return values.index(max(values)) + 1
    return None


def _dot(epochs: range) -> dict[str, Any]:
    """A line of one epoch is seen only by its marker."""
    return {"marker": "o"} if len(epochs) == 1 else {}
