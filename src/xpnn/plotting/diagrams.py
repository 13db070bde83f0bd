"""Neurons and networks as drawings: circles, and lines whose width and colour are weights."""

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from xpnn._text import number
from xpnn.arrays.backend import get_backend, to_numpy
from xpnn.model.network import Network
from xpnn.neurons.gates import McCullochPitts
from xpnn.neurons.parameters import by_layer, flat_parameters
from xpnn.neurons.units import Neuron, ThresholdUnit
from xpnn.plotting.canvas import BLUE, GREY, INK, ORANGE, PALE, bare, new_axes

Path = str | os.PathLike[str] | None
_BOX = {"fc": "white", "ec": "none", "pad": 0.8, "alpha": 0.9}


def neuron(
    unit: Any,
    x: Sequence[float] | None = None,
    *,
    names: Sequence[str] | None = None,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """A neuron: inputs, weights, sum, and what is made of it.

    Parameters
    ----------
    unit : Neuron, ThresholdUnit, McCullochPitts, or a report of the perceptron rule
    x : sequence of float, default=None
        Inputs whose numbers are written in.
    names : sequence of str, default=None
        Of the inputs; None is x1, x2, ...
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
        For something that is no single neuron, for more than 12 inputs, and for names or inputs
        of another number.

    Examples
    --------
    >>> ax = neuron(ThresholdUnit((2, 1, 0.5), 1000), [1000, 5, 2])
    >>> [text.get_text() for text in ax.texts][:4]
    ['x1 = 1000', 'x2 = 5', 'x3 = 2', '2']
    """
    unit = getattr(unit, "unit", unit)
    if isinstance(unit, McCullochPitts):
        unit = unit.neuron(unit.n_inputs)
    if not isinstance(unit, Neuron | ThresholdUnit):
        raise ValueError(f"{unit!r} is no single neuron; draw it with xpnn.plot.network")
    w, n = unit.weights, len(unit.weights)
    if not 1 <= n <= 12:
        raise ValueError(f"this neuron has {n} inputs, of which up to 12 can be told apart")
    names = [f"x{i + 1}" for i in range(n)] if names is None else list(names)
    for what, entries in (("names", names), ("x", names if x is None else x)):
        if len(entries) != n:
            raise ValueError(f"{what} has {len(entries)} entries for {n} inputs: pass one for each")
    ax = ax or new_axes((6.4, max(2.2, 0.55 * n + 1.0)), path)
    ys = np.linspace(n - 1, 0, n) - (n - 1) / 2
    for name, y, weight, i in zip(names, ys, w, range(n), strict=True):
        given = "" if x is None else f" = {number(x[i], 4)}"
        _line(ax, (0.15, y), (1.7, 0.0), weight, max(map(abs, w)) or 1.0)
        ax.text(0.1, y, name + given, ha="right", va="center", fontsize=11, color=INK)
    for y, weight in zip(ys, w, strict=True):
        at = (0.15 + 0.42 * 1.55, y * 0.58)
        ax.text(*at, number(weight, 4), ha="center", va="center", fontsize=10, bbox=_BOX)
    total, inside, out = _parts_of(unit, x)
    _circle(ax, (2.0, 0.0), total, 0.36)
    _arrow(ax, (2.36, 0.0), (2.9, 0.0))
    _box(ax, (2.9, 3.95), inside)
    _arrow(ax, (3.95, 0.0), (4.45, 0.0))
    ax.text(4.5, 0.0, out, ha="left", va="center", fontsize=11, color=INK)
    reach = max(0.7, (n - 1) / 2 + 0.4)
    ax.set(xlim=(-1.0, 5.3), ylim=(-reach, reach))
    return bare(ax, path)


def _parts_of(unit: Any, x: Any) -> tuple[str, str, str]:
    """What is written into the sum, into the box behind it, and at the output."""
    threshold = isinstance(unit, ThresholdUnit)
    if x is None:
        total, out = "sum", "y"
    else:
        total, out = number(unit.sums(*x), 5), f"y = {number(unit(*x), 4)}"
    if threshold:
        return total, f">= {number(unit.threshold)} ?", out
    bias = f"\n{'+' if unit.bias > 0 else '-'} {number(abs(unit.bias), 4)}" if unit.bias else ""
    return total + (bias if x is None else ""), str(unit.activation.name).replace("_", "\n"), out


class _Column(NamedTuple):
    """A layer as it is drawn: places of its units, None for those left out, and their values."""

    x: float
    units: list[int | None]
    ys: np.ndarray
    labels: list[str]


def network(
    model: Any,
    weights: Any = None,
    *,
    row: int = 0,
    most: int = 8,
    values: bool = True,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """A network: units as circles, weights as lines, blue where positive, orange dashes where not.

    Parameters
    ----------
    model : Network, Trace, Backpropagation, or fitted estimator
        With a `Backpropagation`, the values and deltas of one row stand in the units.
    weights : default=None
        Of a `Network`: as in `xpnn.neurons.gradient_descent`; None draws thin lines.
    row : int, default=0
        Of a `Backpropagation`.
    most : int, default=8
        Units of a layer that are drawn; of a larger one the middle is left out.
    values : bool, default=True
        Whether weights are written on the lines of a network with up to 12 of them.
    ax, path
        As in `neuron`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For something that holds no network of layers, or a row that there is not.

    Examples
    --------
    >>> from xpnn import Dense
    >>> ax = network(Network((Dense(3, 3, "sigmoid"), Dense(3, 1))))
    >>> len(ax.patches), [text.get_text().replace(chr(10), " ") for text in ax.texts]
    (7, ['input (3)', 'sigmoid (3)', 'identity (1)'])
    """
    net, theta = network_of(model, weights)
    net = net.one_member
    matrices: list[np.ndarray | None] = [None] * len(net.layers)
    if theta is not None:
        parts = by_layer(net, theta, np)
        matrices = [_matrix(d, p) for d, p in zip(net.layers, parts, strict=True)]
    columns = _columns(net, model, row, most)
    height = max(len(c.units) for c in columns)
    shown = values and sum(13 if m is None else m.size for m in matrices) <= 12
    told = hasattr(model, "deltas")
    scale = 0.95 if told or shown else 0.62
    ax = ax or new_axes((1.0 + 2.3 * scale * len(columns), scale * (height + 1.8)), path)
    for i, (a, b) in enumerate(pairwise(columns)):
        _edges(ax, a, b, matrices[i], shown)
    for column in columns:
        for unit, y, label in zip(column.units, column.ys, column.labels, strict=True):
            if unit is None:
                ax.text(column.x, y, "\u22ee", ha="center", va="center", fontsize=16, color=INK)
            else:
                _circle(ax, (column.x, y), label, 0.4 if told else 0.3)
    low, high = -(height - 1) / 2 - 0.55, (height - 1) / 2 + 1.15
    kinds = [
        "input",
        *(getattr(getattr(d, "activation", None), "name", d.kind) for d in net.layers),
    ]
    if kinds[-1] == "identity" and not told:  # a Backpropagation's values are before the link
        kinds[-1] = net.link.name  # what makes predictions of the sums
    sizes = [net.n_in, *(int(d.n_out) for d in net.layers)]
    for column, kind, size in zip(columns, kinds, sizes, strict=True):
        text = f"{kind.replace('_', ' ')}\n({size:,})"
        ax.text(column.x, high - 0.05, text, ha="center", va="top", fontsize=10, color=INK)
    ax.set(xlim=(-0.7, columns[-1].x + 0.7), ylim=(low, high), aspect="equal")
    return bare(ax, path)


def network_of(model: Any, weights: Any) -> tuple[Network, np.ndarray | None]:
    """The network and its parameters on the host; None if there are none."""
    net = model if isinstance(model, Network) else getattr(model, "network", None)
    net = getattr(model, "network_", net)
    if not isinstance(net, Network):
        raise ValueError(
            f"{type(model).__name__} holds no network: pass a Network, a Trace, a "
            "Backpropagation, or an estimator after fit"
        )
    state = getattr(model, "_state", None)
    kept = getattr(model, "_arrays", {}).get("theta_0")  # of a tabular estimator, its first state
    theta = getattr(model, "theta", getattr(state, "theta", kept))
    if net is model:
        theta = None
        if weights is not None:
            theta = flat_parameters(net, weights, get_backend("numpy"), "float64")
    if theta is None:
        return net, None
    host = to_numpy(theta).astype(np.float64)
    return net, net.layout.by_member(host, np)[0] if net.members > 1 else host


def _matrix(layer: Any, parts: tuple[np.ndarray, ...]) -> np.ndarray | None:
    """The weights of a layer, NaN where there is no line; None of one that has other parameters."""
    shape = (int(layer.n_in), int(layer.n_out))
    if parts and parts[0].shape == shape:
        return parts[0]
    if parts and layer.kind == "scale" and parts[0].shape == shape[:1]:
        return np.where(np.eye(shape[0]) > 0, parts[0][:, None], np.nan)
    return None


def _columns(net: Network, model: Any, row: int, most: int) -> list[_Column]:
    sizes = [net.n_in, *(int(d.n_out) for d in net.layers)]
    passed = [None] * len(sizes)
    if hasattr(model, "deltas"):
        rows = to_numpy(model.factors[0].inputs)
        if not -len(rows) <= row < len(rows):
            raise ValueError(f"row={row}, and there are {len(rows)} rows, numbered from 0")
        first = rows[row]
        later = [
            (to_numpy(a)[row], to_numpy(d)[row])
            for a, d in zip(model.outputs, model.deltas, strict=True)
        ]
        passed = [(first, None), *later]  # type: ignore[list-item]
    found = []
    for i, (size, numbers) in enumerate(zip(sizes, passed, strict=True)):
        units: list[int | None] = list(range(size))
        if size > most:
            first_part = (most + 1) // 2
            units = [*range(first_part), None, *range(size - most // 2, size)]
        n = len(units)
        ys = np.linspace(n - 1, 0, n) - (n - 1) / 2
        found.append(_Column(2.4 * i, units, ys, [_label(numbers, unit) for unit in units]))
    return found


def _label(numbers: Any, unit: int | None) -> str:
    if numbers is None or unit is None:
        return ""
    value, delta = numbers
    text = number(round(float(value[unit]), 4), 3)
    return text if delta is None else f"{text}\n\u03b4 {number(round(float(delta[unit]), 5), 2)}"


def _edges(ax: Any, a: _Column, b: _Column, matrix: np.ndarray | None, written: bool) -> None:
    """Lines between two layers, all in one collection, the strongest on top."""
    from matplotlib.collections import LineCollection

    lines, weights = [], []
    for i, ya in zip(a.units, a.ys, strict=True):
        for j, yb in zip(b.units, b.ys, strict=True):
            if i is None or j is None:
                continue
            weight = 0.0 if matrix is None else float(matrix[i, j])
            if np.isnan(weight):
                continue
            lines.append([(a.x, ya), (b.x, yb)])
            weights.append(weight)
            if written:
                at = 1.0 / (len(b.units) + 1.0)  # so that numbers are equally far apart
                x, y = a.x + at * (b.x - a.x), ya + at * (yb - ya)
                ax.text(x, y, number(weight, 3), ha="center", va="center", fontsize=9,
                        bbox=_BOX, zorder=2)  # fmt: skip
    largest = max(map(abs, weights), default=0.0) or 1.0
    widths = [0.9 if matrix is None else 0.3 + 3.0 * abs(w) / largest for w in weights]
    colours = [GREY if matrix is None else BLUE if w >= 0 else ORANGE for w in weights]
    styles = ["-" if w >= 0 else (0, (3, 1.5)) for w in weights]
    ax.add_collection(
        LineCollection(lines, linewidths=widths, colors=colours, linestyles=styles, zorder=1)
    )


def _line(ax: Any, start: Any, end: Any, weight: float, largest: float) -> None:
    style = {"color": BLUE, "ls": "-"} if weight >= 0 else {"color": ORANGE, "ls": "--"}
    ax.plot(*zip(start, end, strict=True), lw=0.6 + 2.4 * abs(weight) / largest, zorder=1, **style)


def _circle(ax: Any, at: tuple[float, float], text: str, radius: float) -> None:
    from matplotlib.patches import Ellipse

    ax.add_patch(Ellipse(at, 2 * radius, 2 * radius, fc="white", ec=INK, lw=1.3, zorder=3))
    if text:
        size = 10 if len(text) < 5 else 8.5
        ax.text(*at, text, ha="center", va="center", fontsize=size, color=INK, zorder=4)


def _box(ax: Any, span: tuple[float, float], text: str) -> None:
    from matplotlib.patches import Rectangle

    left, right = span
    ax.add_patch(Rectangle((left, -0.32), right - left, 0.64, fc=PALE[0], ec=BLUE, lw=1.3))
    ax.text((left + right) / 2, 0.0, text, ha="center", va="center", fontsize=10, color=INK)


def _arrow(ax: Any, start: Any, end: Any) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.4})
