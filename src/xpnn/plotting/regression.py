"""Predicted numbers beside true ones."""

import os
from typing import Any

import numpy as np

from xpnn.arrays.backend import to_numpy
from xpnn.plotting.canvas import BLUE, INK, ORANGE, finished, new_axes


def predictions(
    truth: Any,
    predicted: Any,
    intervals: Any = None,
    *,
    ax: Any | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Predictions over true values, with their intervals; the closer to the line the better.

    Parameters
    ----------
    truth, predicted : array-like of shape (n,)
    intervals : array-like of shape (n, 2), default=None
        Such as a tabular regressor's `predict_interval`. Those that miss the truth are orange.
    ax : matplotlib Axes, default=None
        Where to draw; None makes a figure: one of pyplot's, or with `path` one apart from them.
    path : path-like, default=None
        Where to save the picture; the suffix tells the format (png, svg, pdf, ...).

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib; says how to install it.
    ValueError
        For different lengths.

    Examples
    --------
    >>> ax = predictions([1.0, 2.0], [1.5, 2.0], [[1.2, 2.0], [1.0, 3.0]])
    >>> ax.get_title(loc="left")
    'R2 0.5000, 50 % of 2 intervals hold the truth'
    """
    t, p = (np.asarray(to_numpy(v), dtype=np.float64).ravel() for v in (truth, predicted))
    if t.shape != p.shape or not len(t):
        raise ValueError(f"truth has {len(t)} values and predicted {len(p)}: pass as many of each")
    ax = ax or new_axes((5.0, 4.4), path)
    spread = float(((t - t.mean()) ** 2).sum())
    title = f"R2 {1.0 - float(((t - p) ** 2).sum()) / spread:.4f}" if spread else ""
    held = np.ones(len(t), dtype=bool)
    if intervals is not None:
        bounds = np.asarray(to_numpy(intervals), dtype=np.float64)
        if bounds.shape != (len(t), 2):
            raise ValueError(f"intervals have the shape {bounds.shape}, expected ({len(t)}, 2)")
        low, high = bounds.T
        held = (low <= t) & (t <= high)
        title += f", {100 * held.mean():.0f} % of {len(t):,} intervals hold the truth"
        for chosen, colour in ((held, BLUE), (~held, ORANGE)):
            ax.vlines(t[chosen], low[chosen], high[chosen], color=colour, lw=1.0, alpha=0.55)
    for chosen, colour, mark, name in (
        (held, BLUE, "o", "inside"),
        (~held, ORANGE, "D", "outside"),
    ):
        if chosen.any():
            label = name if intervals is not None else "rows"
            ax.plot(
                t[chosen], p[chosen], mark, color=colour, ms=4, mec="white", mew=0.4, label=label
            )
    ends = [min(t.min(), p.min()), max(t.max(), p.max())]
    ax.plot(ends, ends, color=INK, lw=1.0, ls=":", label="as predicted")
    ax.set(xlabel="true value", ylabel="prediction")
    ax.set_title(title.removeprefix(", "), loc="left", fontsize=11, color=INK)
    ax.legend(frameon=False, fontsize=9)
    return finished(ax, path)
