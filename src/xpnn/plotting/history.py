"""Learning curves."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from xpnn.plotting.canvas import BLUE, CYCLE, DASHES, INK, ORANGE, finished, new_axes, save

_SCORE = "validation score"


def plot_history(
    history: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    ax: Any | None = None,
    title: str | None = None,
) -> Any:
    """Learning curves: the losses, the validation score on a second axis, the best epoch.

    Parameters
    ----------
    history : fitted estimator, or mapping of str to sequence of float
        An estimator's `history_`: ``loss`` and, where there was validation, ``val_loss`` and
        ``val_score``, one number an epoch. NaN leaves a gap. Of a tabular estimator its losses
        out of fold (`valleys_`) are points.
    path : path-like, default=None
        Where to save the picture; the suffix tells the format (png, svg, pdf, ...).
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure: one of pyplot's, or with `path` one apart from them.
    title : str, default=None

    Returns
    -------
    matplotlib Axes
        The one with the losses; its `figure` can be saved or shown.

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For a history without a loss, and what is none.

    Examples
    --------
    >>> ax = plot_history({"loss": [0.9, 0.4], "val_score": [0.7, 0.8]})
    >>> ax.get_xlabel()
    'epoch'
    """
    valleys = getattr(history, "valleys_", {})
    held_out = {epoch: score for epoch, (score, _) in valleys.items()}
    if not isinstance(history, Mapping):
        history = _history_of(history)
    losses = {k: list(history[k]) for k in ("loss", "val_loss") if history.get(k)}
    if "loss" not in losses:
        raise ValueError(
            f"A history needs its 'loss' to be drawn, got {sorted(history)}; fit first."
        )
    ax = ax or new_axes((6.0, 3.8), path)
    _draw_losses(ax, losses, held_out)
    axes = [ax]
    best = _best_epoch(history)
    if history.get("val_score"):
        axes.append(_draw_score(ax, list(history["val_score"])))
    if best is not None:
        ax.axvline(best, color=INK, lw=0.9, ls=":", label=f"best epoch ({best})")
    for each in axes:
        each.spines["top"].set_visible(False)
    ax.spines["right"].set_visible(len(axes) > 1)
    handles = [handle for each in axes for handle in each.get_legend_handles_labels()[0]]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 4, "fontsize": 9}
    ax.legend(handles=handles, frameon=False, **below)
    if title:
        ax.set_title(title, loc="left", fontsize=11, color=INK)
    save(ax, path)
    return ax


def _draw_losses(ax: Any, losses: Mapping[str, list[float]], held_out: Any) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    epochs = range(1, len(losses["loss"]) + 1)
    ax.plot(epochs, losses["loss"], color=BLUE, lw=1.8, label="training loss", **_dot(epochs))
    if "val_loss" in losses:
        line = {"color": BLUE, "lw": 1.4, "ls": (0, (4, 2)), "alpha": 0.75}
        ax.plot(epochs, losses["val_loss"], label="validation loss", **line, **_dot(epochs))
    if held_out:
        points = {"color": ORANGE, "ms": 6, "zorder": 3, "label": "loss out of fold"}
        ax.plot(list(held_out), list(held_out.values()), "o", **points)
    finite = [v for values in losses.values() for v in values if math.isfinite(v)]
    if finite and min(finite) > 0 and max(finite) > 10 * min(finite):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss", color=BLUE)
    ax.tick_params(axis="y", colors=BLUE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(axis="y", color="#dddddd", lw=0.6)
    ax.set_axisbelow(True)


def _draw_score(ax: Any, scores: list[float]) -> Any:
    twin = ax.twinx()
    epochs = range(1, len(scores) + 1)
    twin.plot(epochs, scores, color=ORANGE, lw=1.8, label=_SCORE, **_dot(epochs))
    best = max((v for v in scores if math.isfinite(v)), default=None)
    if best is not None:
        at = scores.index(best) + 1
        twin.plot([at], [best], "o", color=ORANGE, ms=5, zorder=3)
        twin.annotate(
            f"{best:.3f}", (at, best), (0, 6), textcoords="offset points", ha="center",
            fontsize=9, color=ORANGE, bbox={"fc": "white", "ec": "none", "pad": 1.0},
        )  # fmt: skip
    twin.set_ylabel(_SCORE, color=ORANGE)
    twin.tick_params(axis="y", colors=ORANGE)
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


def learning_curve(
    learned: Any,
    *,
    ax: Any | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Any:
    """The error while something learned: of an estimator, a trace, a list, or several of them.

    Parameters
    ----------
    learned : estimator, history, Trace, sequence of float, or mapping of str to any of them
        A mapping without "loss" has a line for each entry, by its name. Of reports of the
        perceptron rule, the mistakes in each epoch.
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure: one of pyplot's, or with `path` one apart from them.
    path : path-like, default=None
        Where to save the picture; the suffix tells the format (png, svg, pdf, ...).
    title : str, default=None

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For an estimator that is not fitted, or nothing to draw.

    Examples
    --------
    >>> from xpnn.neurons import delta_rule
    >>> ax = learning_curve({"slow": delta_rule(0.4, 0.2, 0.7, learning_rate=0.1), "fast": [1, 0]})
    >>> [line.get_label() for line in ax.lines]
    ['slow', 'fast']
    """
    if hasattr(learned, "history_") or (isinstance(learned, Mapping) and "loss" in learned):
        return plot_history(learned, path, ax=ax, title=title)
    several = isinstance(learned, Mapping)
    curves = {name: _errors(one) for name, one in (learned if several else {"": learned}).items()}
    if not any(curves.values()):
        raise ValueError(f"There is no error to draw in {learned!r}: train for a step at least.")
    ax = ax or new_axes((5.6, 3.6), path)
    counts = all(hasattr(one, "mistakes") for one in (learned.values() if several else [learned]))
    for i, (name, errors) in enumerate(curves.items()):
        style = {"color": CYCLE[i % len(CYCLE)], "ls": DASHES[i % len(DASHES)], "lw": 1.8}
        places = range(counts, counts + len(errors))  # epochs are counted from 1
        ax.plot(places, errors, label=name or "error", **style)
    values = [v for errors in curves.values() for v in errors if math.isfinite(v)]
    if values and min(values) > 0 and max(values) > 50 * min(values):
        ax.set_yscale("log")
    from matplotlib.ticker import MaxNLocator

    for axis in (ax.xaxis, *([ax.yaxis] if counts else [])):
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch" if counts else "step", ylabel="mistakes" if counts else "error")
    ax.grid(axis="y", color="#dddddd", lw=0.6)
    if several:
        ax.legend(frameon=False, fontsize=10)
    if title:
        ax.set_title(title, loc="left", fontsize=11, color=INK)
    return finished(ax, path)


def _history_of(estimator: Any) -> Mapping[str, Sequence[float]]:
    if not hasattr(estimator, "history_"):
        raise ValueError(
            f"{type(estimator).__name__} has no history to be drawn: fit it first, or pass a "
            "mapping with its 'loss'."
        )
    found: Mapping[str, Sequence[float]] = estimator.history_
    return found


def _errors(one: Any) -> list[float]:
    """The errors of a trace, an estimator, a history, or a list of numbers."""
    named = ("errors", "mistakes", "loss_curve_")
    found = next((getattr(one, name) for name in named if hasattr(one, name)), one)
    if isinstance(found, Mapping):
        found = found["loss"]
    try:
        return [float(v) for v in found]
    except TypeError as error:
        raise ValueError(
            f"{type(one).__name__} has no learning curve: fit it first, or pass a list of errors"
        ) from error
