"""Functions as curves: an activation with its derivative, a tangent, a loss over weights."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnn._text import number
from xpnn.arrays.backend import to_numpy
from xpnn.model.network import Network
from xpnn.neurons.task import Task
from xpnn.parts.activations import get_activation
from xpnn.plotting.canvas import BLUE, GREY, INK, ORANGE, finished, new_axes

Path = str | os.PathLike[str] | None


def activation(
    spec: Any,
    *,
    span: tuple[float, float] = (-4.0, 4.0),
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """An activation function and its derivative.

    Parameters
    ----------
    spec : str, Activation, callable or (value, derivative)
        See `xpnn.activations.get_activation`. One without a derivative is drawn alone.
    span : (float, float), default=(-4, 4)
        Of the weighted sum.
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
        For one whose units depend on each other, such as softmax.

    Examples
    --------
    >>> ax = activation("tanh")
    >>> [line.get_label() for line in ax.lines if not line.get_label().startswith("_")]
    ['tanh(z)', "tanh'(z)"]
    """
    f = get_activation(spec)
    if f.derivative is None and f.pullback is not None:
        raise ValueError(
            f"{f.name} is no curve: each of its outputs depends on all units. Draw another one."
        )
    z = np.linspace(*span, 801)[:, None]
    a = f(z, np)
    ax = ax or new_axes((4.8, 3.2), path)
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.axvline(0.0, color=GREY, lw=0.8)
    ax.plot(z[:, 0], _with_gaps(a[:, 0]), color=BLUE, lw=2.2, label=f"{f.name}(z)")
    if f.derivative is not None:
        slope = np.broadcast_to(f.derivative(z, a, np), z.shape)[:, 0]
        line = {"color": ORANGE, "lw": 1.8, "ls": (0, (4, 2)), "label": f"{f.name}'(z)"}
        ax.plot(z[:, 0], _with_gaps(slope), **line)
    ax.set(xlabel="z", xlim=span)
    ax.legend(frameon=False, fontsize=10)
    return finished(ax, path)


def _with_gaps(values: np.ndarray) -> np.ndarray:
    """NaN where a function jumps: a step has no line there."""
    values = values.astype(np.float64).copy()
    rise = np.abs(np.diff(values))
    beside = np.maximum(np.append(rise[1:], 0.0), np.insert(rise[:-1], 0, 0.0))
    values[1:][(rise > 0.03) & (rise > 10.0 * beside)] = np.nan
    return values


def tangent(
    function: Callable[[Any], Any],
    at: float | Sequence[float],
    *,
    derivative: Callable[[Any], Any] | None = None,
    span: tuple[float, float] | None = None,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """A function's curve, its tangents at some points, and arrows to where it falls.

    Parameters
    ----------
    function : callable
        Of a NumPy array.
    at : float or sequence of float
    derivative : callable, default=None
        None takes central differences.
    span : (float, float), default=None
        Of x; None is around the points.
    ax, path
        As in `activation`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For no point at all.

    Examples
    --------
    >>> ax = tangent(lambda x: x * x, [4.0, -4.0])
    >>> [line.get_label() for line in ax.lines[1:]]
    ['slope 8 at 4: go left', 'slope -8 at -4: go right']
    """
    points = [float(p) for p in np.atleast_1d(at)]
    if not points:
        raise ValueError("no point to draw a tangent at: pass at=4.0, or several numbers")
    widest = max(abs(p) for p in points) or 1.0
    low, high = span or (min(points) - widest / 2, max(points) + widest / 2)
    x = np.linspace(low, high, 401)
    ax = ax or new_axes((5.6, 3.8), path)
    ax.plot(x, function(x), color=BLUE, lw=2.2, label="y")
    reach, step = (high - low) / 8, 1e-6 * max(high - low, 1.0)
    for p, dashes in zip(points, ["--", "-.", ":"] * len(points), strict=False):
        if derivative is None:
            slope = float((function(p + step) - function(p - step)) / (2 * step))
        else:
            slope = float(derivative(p))
        slope = round(slope, 6) + 0.0
        y, way = float(function(p)), "left" if slope > 0 else "right" if slope < 0 else ""
        label = f"slope {number(slope, 4)} at {number(p, 4)}" + (f": go {way}" if way else "")
        ends = np.asarray([p - reach, p + reach])
        ax.plot(ends, y + slope * (ends - p), color=ORANGE, lw=2, ls=dashes, label=label)
        ax.scatter([p], [y], color=INK, s=36, zorder=3)
        if way:
            arrow = {"arrowstyle": "-|>", "color": INK, "lw": 1.8, "shrinkA": 6}
            ax.annotate("", (p - np.sign(slope) * reach, y), (p, y), arrowprops=arrow)
    ax.set(xlabel="x", ylabel="y", xlim=(low, high))
    ax.legend(frameon=False, fontsize=10)
    return finished(ax, path)


def loss_surface(
    network: Network,
    weights: Any,
    x: Any,
    y: Any,
    *,
    loss: Any = "half_squared_error",
    vary: int | tuple[int, int] | None = None,
    span: float = 2.0,
    visited: Any = None,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """The loss over one parameter as a curve, or over two as contour lines.

    Parameters
    ----------
    network, weights, x, y, loss
        As in `xpnn.neurons.gradient_descent`; the picture is around `weights`.
    vary : int or (int, int), default=None
        Which places of the parameter vector; None is the only one, or the first two.
    span : float, default=2.0
        How far to go to each side.
    visited : array-like of shape (n,) or (n, 2), default=None
        Values of the parameters that learning went through.
    ax, path
        As in `activation`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For a place that there is no parameter at.

    Examples
    --------
    >>> from xpnn import Dense
    >>> net = Network((Dense(1, 1, bias=False),))
    >>> ax = loss_surface(net, [1.75], [0.4], [0.7], visited=[0.2, 0.448])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('weight', 'loss')
    """
    task = Task(network, weights, to_numpy(x), to_numpy(y), loss, "numpy")
    size = len(task.theta)
    if vary is None:
        vary = 0 if size == 1 else (0, 1)
    places = [int(i) for i in np.atleast_1d(vary)]
    if len(places) > 2 or not all(-size <= i < size for i in places):
        raise ValueError(f"vary is {vary!r}, expected one or two places in 0 ... {size - 1}")

    def error(values: Sequence[float]) -> float:
        theta = task.theta.copy()
        theta[places] = values
        return float(task.error(theta))

    names = [_name(network, i % size) for i in places]
    route = None if visited is None else np.asarray(to_numpy(visited), dtype=np.float64)
    grids = []
    for k, i in enumerate(places):
        seen: Any = () if route is None else route.reshape(len(route), -1)[:, k]
        reach = max([span, *(1.1 * abs(v - task.theta[i]) for v in seen)])
        grids.append(np.linspace(-reach, reach, 61 if len(places) > 1 else 201) + task.theta[i])
    ax = ax or new_axes((5.2, 3.8), path)
    if len(places) == 1:
        ax.plot(grids[0], [error([v]) for v in grids[0]], color=BLUE, lw=2.2, label="loss")
        if route is not None:
            heights = [error([v]) for v in route.ravel()]
            about = {"color": ORANGE, "ms": 5, "lw": 1.0, "ls": "--", "label": "steps"}
            ax.plot(route.ravel(), heights, "o", **about)
        ax.set(xlabel=names[0], ylabel="loss")
        return finished(ax, path)
    z = np.asarray([[error([a, b]) for a in grids[0]] for b in grids[1]])
    levels = z.min() + (np.ptp(z) or 1.0) * np.linspace(0.0, 1.0, 16) ** 2  # finer in the valley
    drawn = ax.contourf(*grids, z, levels=levels, cmap="cividis")
    ax.figure.colorbar(drawn, ax=ax, label="loss", format="%.3g")
    if route is not None:
        ax.plot(*route.T, "o-", color="white", mec=INK, ms=5, lw=1.4, label="steps")
    ax.set(xlabel=names[0], ylabel=names[1])
    return finished(ax, path)


def _name(network: Network, i: int) -> str:
    """What a place of the parameter vector is called: layer, from, to."""
    if network.layout.size == 1:
        return "weight"
    entry = next(e for e in network.layout.entries if e.offset <= i < e.offset + e.size)
    at = np.unravel_index(i - entry.offset, entry.shape)
    return f"{entry.name.replace('_', ' ')} [{', '.join(map(str, at))}]"
