"""Two inputs as a plane: gates with their line, and the regions of a model."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn._text import number
from xpnn.arrays.backend import get_backend, to_numpy
from xpnn.neurons.circuits import Circuit
from xpnn.neurons.gates import McCullochPitts, TruthTable
from xpnn.neurons.gates import truth_table as table_of
from xpnn.neurons.inputs import host_values
from xpnn.neurons.units import Neuron, ThresholdUnit
from xpnn.plotting.canvas import BLUE, CYCLE, INK, MARKERS, PALE, bare, finished, new_axes

Path = str | os.PathLike[str] | None
Line = tuple[float, float, float]  # bias, and the weights of both inputs


def truth_table(
    neuron: Any,
    n_inputs: int | None = None,
    *,
    names: Sequence[str] | None = None,
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """A truth table as a picture, with the rows that fire filled.

    Parameters
    ----------
    neuron : neuron, circuit, callable, estimator, or TruthTable
    n_inputs : int, default=None
        None asks the neuron; up to 5.
    names : sequence of str, default=None
        Of the columns; None is x1, x2, ..., y.
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
        For more than 5 inputs.

    Examples
    --------
    >>> from xpnn.neurons import and_gate
    >>> [text.get_text() for text in truth_table(and_gate()).texts][-5:]
    ['y', '0', '0', '0', '1']
    """
    table = neuron if isinstance(neuron, TruthTable) else table_of(neuron, n_inputs)
    x, y = to_numpy(table.inputs), to_numpy(table.outputs)
    y = y.reshape(len(x), -1)
    if x.shape[1] > 5:
        raise ValueError(f"a table of {x.shape[1]} inputs has {len(x)} rows; 5 inputs fit")
    outs = ["y"] if y.shape[1] == 1 else [f"y{i + 1}" for i in range(y.shape[1])]
    heads = list(names) if names else [f"x{i + 1}" for i in range(x.shape[1])] + outs
    cells, n = np.concatenate([x, y], axis=1), len(x)
    ax = ax or new_axes((0.7 * len(heads) + 0.6, 0.32 * n + 0.8), path)
    for j, head in enumerate(heads):
        ax.text(j, -1, head, ha="center", va="center", fontsize=11, weight="bold", color=INK)
        for i in range(n):
            ax.text(j, i, number(cells[i, j], 4), ha="center", va="center", fontsize=11, color=INK)
    for i in range(n):
        if (y[i] > 0).any():
            ax.axhspan(i - 0.5, i + 0.5, color=PALE[0], lw=0, zorder=0)
    ax.axhline(-0.5, color=INK, lw=1.2)
    ax.axvline(x.shape[1] - 0.5, color=INK, lw=1.2)
    ax.set(xlim=(-0.6, len(heads) - 0.4), ylim=(n - 0.4, -1.6))
    return bare(ax, path)


def gate(
    neuron: Any,
    *,
    epochs: bool = False,
    names: Sequence[str] = ("x1", "x2"),
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """The four points of two binary inputs, filled where the neuron fires, and its line.

    Parameters
    ----------
    neuron : neuron, report of the perceptron rule, circuit, or callable of two inputs
        Of a circuit the lines of the first layer are drawn, and where it fires is filled. A
        gate's line is halfway between the points that fire and the others.
    epochs : bool, default=False
        Of a report: also the lines after each epoch, the later the darker.
    names : sequence of str, default=("x1", "x2")
    ax, path
        As in `truth_table`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For a neuron of another number of inputs.

    Examples
    --------
    >>> ax = gate(ThresholdUnit((1, 1), 1.5))
    >>> [line.get_label() for line in ax.lines]
    ['x1 + x2 = 1.5']
    """
    _check_names(names)
    points, outputs = table_of(getattr(neuron, "unit", neuron), 2)
    fires = np.asarray(to_numpy(outputs)).reshape(len(points), -1)[:, 0] > 0
    ax = ax or new_axes((5.2, 3.4), path)
    low, high = -0.5, 1.5
    lines = _lines_of(neuron)
    _shade(ax, neuron, lines, (low, high))
    if epochs:
        earlier = [(w[0], w[1], w[2]) for w in getattr(neuron, "history", ())[:-1]]
        for k, line in enumerate(earlier):
            shade = 0.2 + 0.5 * (k + 1) / len(earlier)
            _draw_line(ax, line, (low, high), color=str(1.0 - shade), lw=1.2, ls="-",
                       label=f"after epoch {k + 1}")  # fmt: skip
    for line, dashes in zip(lines, ["-", "--", ":", "-."] * len(lines), strict=False):
        _draw_line(ax, line, (low, high), color=INK, lw=2.0, ls=dashes, label=_equation(line))
    for on, label, fill in ((True, "1", BLUE), (False, "0", "white")):
        chosen = points[fires == on]
        if len(chosen):
            ax.scatter(
                *chosen.T, s=190, c=fill, edgecolors=BLUE, linewidths=2, zorder=3, label=label
            )
    ax.set(xlim=(low, high), ylim=(low, high), xlabel=names[0], ylabel=names[1], aspect="equal")
    ax.set(xticks=(0, 1), yticks=(0, 1))
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5),
              labelspacing=0.9, scatteryoffsets=[0.5])  # fmt: skip
    return finished(ax, path)


def _check_names(names: Sequence[str]) -> None:
    if len(names) != 2:
        raise ValueError(f"names={names!r}, expected two: one for each input")


def _lines_of(neuron: Any) -> list[Line]:
    """The lines of linear neurons of two inputs; none of anything else."""
    neuron = getattr(neuron, "unit", neuron)
    if isinstance(neuron, Circuit):
        return [line for unit in neuron.layers[0] for line in _lines_of(unit)]
    if isinstance(neuron, McCullochPitts):
        return [_halfway(neuron.neuron(2))]
    if isinstance(neuron, ThresholdUnit):
        return [(-neuron.threshold, *neuron.weights)]  # type: ignore[list-item]
    if isinstance(neuron, Neuron):
        return [(neuron.bias, *neuron.weights)]  # type: ignore[list-item]
    if hasattr(neuron, "coef_"):
        bias, (w,) = float(to_numpy(neuron.intercept_)[0]), to_numpy(neuron.coef_).tolist()
        return [(bias, *w)]
    return []


def _halfway(neuron: Neuron) -> Line:
    """The line of a gate, as far from the points that fire as from the others.

    Binary inputs leave it that freedom: its own threshold goes through the points that reach it.
    """
    w1, w2 = neuron.weights
    sums = np.asarray([0.0, w2, w1, w1 + w2]) + neuron.bias
    off, on = sums[sums < 0], sums[sums >= 0]
    shift = -(off.max() + on.min()) / 2 if len(off) and len(on) else 0.0
    return (neuron.bias + shift, w1, w2)


def _equation(line: Line) -> str:
    bias, *weights = line
    terms: list[str] = []
    for w, name in zip(weights, ("x1", "x2"), strict=True):
        if w:
            size = "" if abs(w) == 1 else f"{number(abs(w), 3)} "
            sign = ("- " if w < 0 else "+ ") if terms else ("-" if w < 0 else "")
            terms.append(f"{sign}{size}{name}")
    return f"{' '.join(terms) or '0'} = {number(-bias, 4)}"


def _draw_line(ax: Any, line: Line, span: tuple[float, float], **style: Any) -> None:
    bias, w1, w2 = line
    x = np.asarray(span)
    if w2:
        ax.plot(x, -(bias + w1 * x) / w2, **style)
    elif w1:
        ax.plot([-bias / w1] * 2, x, **style)


def _shade(ax: Any, neuron: Any, lines: Sequence[Line], span: tuple[float, float]) -> None:
    """Fill where it fires: one side of a line, or what a circuit makes of the sides of several."""
    grid = np.linspace(*span, 401)
    sums = [bias + w1 * grid[None, :] + w2 * grid[:, None] for bias, w1, w2 in lines]
    if len(sums) == 1:
        z, threshold = sums[0], 0.0
    elif isinstance(neuron, Circuit) and 0 < len(sums) == len(neuron.layers[0]):
        sides, threshold = np.stack([z.ravel() >= 0 for z in sums], axis=1).astype(float), 0.5
        rest = neuron.layers[1:]
        found = np.asarray(Circuit(len(sums), rest)(sides)) if rest else sides
        z = found.reshape(grid.size, grid.size, -1)[:, :, 0]
    else:
        return
    if z.min() < threshold < z.max():
        ax.contourf(grid, grid, z, levels=[threshold, z.max() + 1.0], colors=[PALE[0]], zorder=0)


def decision_boundary(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    level: float = 0.5,
    names: Sequence[str] = ("x1", "x2"),
    ax: Any | None = None,
    path: Path = None,
) -> Any:
    """The regions of a model of two features, and the points that it learned from.

    Parameters
    ----------
    model : fitted classifier, or Trace, neuron or other callable
        Of one with classes, their regions; of numbers, shades and the line at `level`.
    X : array-like of shape (n, 2)
        Points, which the picture is as large as.
    y : array-like of shape (n,), default=None
        Their classes.
    level : float, default=0.5
    names : sequence of str, default=("x1", "x2")
    ax, path
        As in `truth_table`.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For another number of features, of labels, or of names.

    Examples
    --------
    >>> ax = decision_boundary(Neuron((1, 1)), [[0, 0], [1, 1]], [0, 1])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0', '1']
    """
    points = np.asarray(to_numpy(host_values(X)), dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"a plane has two features, X has the shape {points.shape}")
    labels = None if y is None else np.asarray(to_numpy(y))
    if labels is not None and labels.size != len(points):
        raise ValueError(
            f"y has the shape {labels.shape} for {len(points)} points: pass one label for each"
        )
    _check_names(names)
    low, high = points.min(axis=0), points.max(axis=0)
    pad = 0.15 * np.where(high > low, high - low, 1.0)
    a, b = (np.linspace(low[k] - pad[k], high[k] + pad[k], 161) for k in (0, 1))
    grid = np.stack([v.ravel() for v in np.meshgrid(a, b)], axis=1)
    ax = ax or new_axes((4.8, 4.0), path)
    found = _outputs(model, grid)
    classes = _regions(ax, a, b, found, model, level)
    if labels is not None:
        labels = labels.ravel()
        for k, label in enumerate(np.unique(labels) if classes is None else classes):
            chosen = points[labels == label]
            style = {"marker": MARKERS[k % len(MARKERS)], "edgecolors": "white", "linewidths": 0.8}
            ax.scatter(
                *chosen.T,
                s=42 if len(points) > 20 else 130,
                c=CYCLE[k % len(CYCLE)],
                label=str(label),
                zorder=3,
                **style,
            )
        ax.legend(frameon=True, framealpha=0.9, fontsize=9)
    ax.set(xlim=(a[0], a[-1]), ylim=(b[0], b[-1]), xlabel=names[0], ylabel=names[1])
    return finished(ax, path)


def _outputs(model: Any, grid: np.ndarray) -> np.ndarray:
    """What a model makes of points, on the host, asked where it lives."""
    source = getattr(model, "_source", None) or get_backend("numpy")
    compute = model if callable(model) else model.predict
    found = np.asarray(to_numpy(compute(source.asarray(grid))))
    return found.reshape(len(grid), -1)[:, 0]


def _regions(
    ax: Any, a: np.ndarray, b: np.ndarray, found: np.ndarray, model: Any, level: float
) -> np.ndarray | None:
    """Fill the regions of classes, or shade numbers; the classes if there are any."""
    if hasattr(model, "classes_"):
        from matplotlib.colors import ListedColormap, to_rgb

        classes = np.asarray(to_numpy(model.classes_))
        z = np.searchsorted(classes, found).reshape(len(b), len(a))
        colours = [_pale(to_rgb(CYCLE[k % len(CYCLE)])) for k in range(len(classes))]
        ax.pcolormesh(a, b, z, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(classes) - 0.5,
                      shading="nearest", rasterized=True, zorder=0)  # fmt: skip
        if len(classes) > 1:
            levels = np.arange(len(classes) - 1) + 0.5
            ax.contour(a, b, z, levels=levels, colors=INK, linewidths=1.0)
        return classes
    z = found.reshape(len(b), len(a)).astype(np.float64)
    drawn = ax.contourf(a, b, z, levels=12, cmap="cividis", alpha=0.75, zorder=0)
    ax.figure.colorbar(drawn, ax=ax, label="output")
    if z.min() < level < z.max():
        ax.contour(a, b, z, levels=[level], colors="black", linewidths=1.8)
    return None


def _pale(rgb: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(1.0 - 0.28 * (1.0 - v) for v in rgb)
