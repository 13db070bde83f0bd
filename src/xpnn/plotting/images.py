"""Numbers as shades: weights as images, dropout masks, confusion."""

import os
from typing import Any

import numpy as np

from xpnn.arrays.backend import to_numpy
from xpnn.neurons.parameters import by_layer
from xpnn.plotting.canvas import GREY, INK, bare, finished, new_axes
from xpnn.plotting.diagrams import network_of

Path = str | os.PathLike[str] | None


def weights(
    model: Any,
    shape: tuple[int, int] | None = None,
    *,
    most: int = 16,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """What each unit of the first layer looks for: its weights as an image, side by side.

    Parameters
    ----------
    model : Trace, Backpropagation, fitted estimator, or array of shape (n_in, units)
    shape : (int, int), default=None
        Of the input's image; None is a square.
    most : int, default=16
        Units that are drawn.
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
        For inputs that are no image of that shape.

    Examples
    --------
    >>> ax = weights(np.eye(4))
    >>> ax.get_title(loc="left")
    '4 of 4 units'
    """
    if hasattr(model, "shape") or isinstance(model, list | tuple):
        matrix = np.asarray(to_numpy(model), dtype=np.float64)
        if matrix.ndim != 2:
            raise ValueError(f"weights have the shape {matrix.shape}, expected (inputs, units)")
    else:
        net, theta = network_of(model, None)
        if theta is None:
            raise ValueError("this network has no weights yet: pass a Trace or a fitted estimator")
        matrix = by_layer(net.one_member, theta, np)[0][0]
        if matrix.ndim != 2:
            raise ValueError(
                f"the first layer is {net.layers[0].kind!r}, whose weights are no image: pass the "
                "weights of another layer, of shape (inputs, units)"
            )
    n_in, units = matrix.shape
    side = round(n_in**0.5)
    h, w = shape or (side, side)
    if h * w != n_in:
        raise ValueError(f"{n_in} inputs are no image of {h} x {w}: pass shape=(height, width)")
    shown = min(units, most)
    columns = int(np.ceil(shown**0.5))
    rows = -(-shown // columns)
    tiles = np.full((rows * (h + 1) - 1, columns * (w + 1) - 1), np.nan)
    for k in range(shown):
        i, j = (k // columns) * (h + 1), (k % columns) * (w + 1)
        tiles[i : i + h, j : j + w] = matrix[:, k].reshape(h, w)
    ax = ax or new_axes((1.0 + 0.95 * columns, 0.6 + 0.95 * rows), path)
    reach = float(np.abs(matrix[:, :shown]).max()) or 1.0
    drawn = ax.imshow(tiles, cmap="cividis", vmin=-reach, vmax=reach, interpolation="nearest")
    ax.figure.colorbar(drawn, ax=ax, label="weight", fraction=0.046, pad=0.03)
    ax.set_title(f"{shown} of {units:,} units", loc="left", fontsize=11, color=INK)
    return bare(ax, path)


def dropout_mask(mask: Any, *, ax: Any | None = None, path: Path = None) -> Any:
    """A dropout mask: rows of a batch, units that are kept in white, those dropped in dark.

    Parameters
    ----------
    mask : array-like of shape (units,) or (rows, units)
        Such as one of a `Backpropagation`'s `masks`; 0 is dropped.
    ax, path
        As in `weights`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For a mask of another shape.

    Examples
    --------
    >>> dropout_mask([[0, 2], [2, 2]]).get_title(loc="left")
    '25 % dropped (dark), the others times 2'
    """
    found = np.atleast_2d(np.asarray(to_numpy(mask), dtype=np.float64))
    if found.ndim != 2 or not found.size:
        raise ValueError(f"a mask has the shape {found.shape}, expected (units,) or (rows, units)")
    kept = found != 0
    ax = ax or new_axes((5.6, min(5.0, max(1.8, 0.9 + 5.0 * len(found) / found.shape[1]))), path)
    ax.imshow(kept, cmap="gray", vmin=-0.35, vmax=1, interpolation="nearest", aspect="auto")
    factor = f", the others times {found.max():.4g}" if found.max() > 1 else ""
    title = f"{100 * (1 - kept.mean()):.0f} % dropped (dark){factor}"
    ax.set_title(title, loc="left", fontsize=11, color=INK)
    ax.set(xlabel="unit", ylabel="row")
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)
    if found.shape[1] <= 64:  # units side by side are told apart
        edges = np.arange(found.shape[1] - 1) + 0.5, np.arange(len(found) - 1) + 0.5
        ax.vlines(edges[0], -0.5, len(found) - 0.5, color=GREY, lw=0.5)
        ax.hlines(edges[1], -0.5, found.shape[1] - 0.5, color=GREY, lw=0.5)
    if len(found) == 1:
        ax.set(yticks=[], ylabel="")
    return finished(ax, path)


def confusion(
    truth: Any,
    predicted: Any,
    *,
    labels: Any = None,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """How often each class was taken for which.

    Parameters
    ----------
    truth, predicted : array-like of shape (n,)
        Classes, in an array of any library.
    labels : sequence, default=None
        The classes in their order; None is all that occur, sorted.
    ax, path
        As in `weights`.

    Returns
    -------
    matplotlib Axes
        Shades are shares of the true class; the numbers are counts.

    Examples
    --------
    >>> ax = confusion(["cat", "dog", "dog"], ["cat", "cat", "dog"])
    >>> ax.get_title(loc="left")
    '1 of 3 wrong'
    """
    from sklearn.metrics import confusion_matrix

    truth, predicted = (np.asarray(to_numpy(v)).ravel() for v in (truth, predicted))
    names = np.unique(np.concatenate([truth, predicted])) if labels is None else list(labels)
    counts = confusion_matrix(truth, predicted, labels=names)
    n = len(names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = ax or new_axes((1.6 + 0.42 * max(n, 4), 1.2 + 0.42 * max(n, 4)), path)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                ink = "white" if share[i, j] > 0.5 else "black"
                ax.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=9, color=ink)
    words = max(len(str(name)) for name in names) > 3
    ax.set_xticks(range(n), names, rotation=45 if words else 0, ha="right" if words else "center")
    ax.set_yticks(range(n), names)
    ax.set(xlabel="predicted", ylabel="true")
    wrong = int((truth != predicted).sum())
    ax.set_title(f"{wrong:,} of {len(truth):,} wrong", loc="left", fontsize=11, color=INK)
    return finished(ax, path)
