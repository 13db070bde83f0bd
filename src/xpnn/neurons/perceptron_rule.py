"""Rosenblatt's perceptron rule on a small problem, with a report of how it went."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xpnn._text import number, short_list
from xpnn.arrays.backend import backend_of, dtype_name, to_numpy
from xpnn.arrays.typing import Array
from xpnn.neurons.inputs import floating, host_values, place
from xpnn.neurons.units import ThresholdUnit
from xpnn.perceptron.choice import place as place_of_epochs
from xpnn.perceptron.choice import select_epoch
from xpnn.perceptron.reference import Data, Rule, initial_state


class Boundary(NamedTuple):
    """The line ``bias + weights @ x = 0`` between the two answers, for two inputs.

    Attributes
    ----------
    bias : float
    weights : (float, float)

    Examples
    --------
    >>> line = Boundary(-3.0, (2.0, 1.0))
    >>> print(line)
    x2 = -2 x1 + 3
    >>> line(1.0)
    1.0
    """

    bias: float
    weights: tuple[float, float]

    @property
    def slope(self) -> float:
        """Of x2 over x1; infinite for a vertical line, NaN where the weights are zero."""
        w1, w2 = self.weights
        return -w1 / w2 if w2 else math.inf if w1 else math.nan

    def __call__(self, x1: float) -> float:
        """x2 on the line above `x1`."""
        w1, w2 = self.weights
        if not w2:
            raise ValueError(f"{self}: it has no single x2 above x1 = {x1}")
        return -(self.bias + w1 * x1) / w2

    def __str__(self) -> str:
        w1, w2 = self.weights
        if w2:
            terms = [(-w1 / w2, " x1"), (-self.bias / w2, "")]
            text = " + ".join(number(size) + name for size, name in terms if size) or "0"
            return "x2 = " + re.sub(r"(?<![\d.])1 x1", "x1", text).replace("+ -", "- ")
        return f"x1 = {number(-self.bias / w1)}" if w1 else "no line: all weights are 0"


@dataclass(frozen=True, repr=False)
class ConvergenceReport:
    """How the perceptron rule went.

    Attributes
    ----------
    weights : tuple of float
        The bias first.
    history : tuple of tuples of float
        The weights after each epoch.
    mistakes : tuple of int
        In each epoch; the last is 0 if it converged.
    converged : bool
    separable : bool
        Whether any weights at all would do; only then it can converge.
    radius, margin : float
        Length of the longest input with its constant 1, and the largest distance that all of
        them can have from a separating plane through the origin (NaN if there is none).
    coding : tuple of float
        The two targets: (0, 1) or (-1, 1).

    Examples
    --------
    >>> report = perceptron_rule([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1])
    >>> report.epochs, report.weights, report.unit(0, 1)
    (4, (-1.0, 1.0, 1.0), 1.0)
    """

    weights: tuple[float, ...]
    mistakes: tuple[int, ...]
    converged: bool
    separable: bool
    radius: float
    margin: float
    history: tuple[tuple[float, ...], ...] = ()
    coding: tuple[float, float] = (0.0, 1.0)

    @property
    def epochs(self) -> int:
        """Passes over the samples, the last one without a mistake included."""
        return len(self.mistakes)

    @property
    def bound(self) -> float:
        """Novikoff's bound on the mistakes of learning, (radius / margin) ** 2."""
        return (self.radius / self.margin) ** 2 if self.separable else math.inf

    @property
    def unit(self) -> ThresholdUnit:
        """The neuron that was learned."""
        return ThresholdUnit(self.weights[1:], 0.0 - self.weights[0], self.coding)

    @property
    def boundary(self) -> Boundary:
        """The line between the two answers; for two inputs."""
        if len(self.weights) != 3:
            raise ValueError(f"a line needs two inputs, this neuron has {len(self.weights) - 1}")
        bias, w1, w2 = self.weights
        return Boundary(bias, (w1, w2))

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        total = sum(self.mistakes)
        shown = ", ".join(map(str, self.mistakes[:12])) + (", ..." if self.epochs > 12 else "")
        head = (
            f"Converged after {_of(self.epochs, 'epoch')} and {_of(total, 'mistake')}."
            if self.converged
            else f"Did not converge in {_of(self.epochs, 'epoch')} ({_of(total, 'mistake')})."
        )
        lines = [head, f"Mistakes per epoch: {shown}"]
        lines.append(f"Weights, bias first: {short_list(self.weights, 12)}")
        if len(self.weights) == 3:
            lines.append(f"Boundary: {self.boundary}")
        if self.separable:
            lines.append("The data is separable; the rule makes at most (R / margin)^2 mistakes:")
            lines.append(f"({self.radius:.4g} / {self.margin:.4g})^2 = {self.bound:.4g}")
        else:
            lines.append("No line separates the two classes: the rule never converges on them.")
        return "\n".join(lines)


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def perceptron_rule(
    x: Any, targets: Any, *, eta: float = 1.0, max_epochs: int = 100, device: Any = None
) -> ConvergenceReport:
    """Learn a threshold unit: ``w <- w + eta (target - output) x``, sample by sample, in order.

    The weights begin at zero, and a sum of exactly 0 fires. Targets of -1 and 1 give the same
    weights as those of 0 and 1: then a mistake adds ``eta target x``.

    Parameters
    ----------
    x : array-like of shape (n, d)
        An array of any library, a table, or a list of rows.
    targets : array-like of 0 and 1, or of -1 and 1, shape (n,)
    eta : float, default=1.0
    max_epochs : int, default=100
    device : str or Backend, default=None
        Where to compute; None is where `x` is, NumPy for lists.

    Returns
    -------
    ConvergenceReport

    Raises
    ------
    ValueError
        For targets other than these, or shapes that do not fit.

    References
    ----------
    F. Rosenblatt. The perceptron. Psychological Review 65, 1958. A. B. J. Novikoff. On
    convergence proofs on perceptrons. Symposium on the Mathematical Theory of Automata, 1962.

    Examples
    --------
    >>> print(perceptron_rule([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]))
    Converged after 6 epochs and 11 mistakes.
    Mistakes per epoch: 2, 3, 3, 2, 1, 0
    Weights, bias first: -3, 2, 1
    Boundary: x2 = -2 x1 + 3
    The data is separable; the rule makes at most (R / margin)^2 mistakes:
    (1.732 / 0.2425)^2 = 51
    """
    if isinstance(eta, str) or not eta > 0:
        raise ValueError(f"eta must be above 0, got {eta!r}")
    if max_epochs < 1:
        raise ValueError(f"max_epochs must be at least 1, got {max_epochs!r}")
    backend = place(device, x)
    with backend.device_context():
        x = floating(x, backend)
        x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x must have the shape (n, d), got {tuple(x.shape)}")
    if not np.isfinite(to_numpy(x)).all():
        raise ValueError("x has NaN or infinite values: leave these rows out or fill the gaps")
    fires, coding = _answers(targets, int(x.shape[0]))
    history, mistakes = _epochs(x, fires, Rule(eta=float(eta), zero_is_positive=True), max_epochs)
    host = to_numpy(x).astype(np.float64)
    signed = np.concatenate([np.ones((len(host), 1)), host], axis=1)
    margin = largest_margin(signed * (2.0 * fires - 1.0)[:, None])
    return ConvergenceReport(
        weights=history[-1],
        mistakes=mistakes,
        converged=mistakes[-1] == 0,
        separable=margin > 0,
        radius=float(np.sqrt((signed**2).sum(axis=1).max())),
        margin=margin if margin > 0 else math.nan,
        history=history,
        coding=coding,
    )


def _answers(targets: Any, n: int) -> tuple[np.ndarray, tuple[float, float]]:
    """Which samples are to fire, as 0 and 1, and how that was written."""
    host = np.asarray(to_numpy(host_values(targets)))
    if host.shape == (n, 1):
        host = host[:, 0]
    for coding in ((0.0, 1.0), (-1.0, 1.0)):
        if host.shape == (n,) and np.isin(host, coding).all():
            return (host == 1).astype(np.int32), coding
    raise ValueError(
        f"targets must be {n} numbers 0 or 1, or -1 or 1, one a row of x, got {host!r}"
    )


def _epochs(
    x: Array, fires: np.ndarray, rule: Rule, most: int
) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...]]:
    """Weights after each epoch, the bias first, and the mistakes in each."""
    real, work = dtype_name(x.dtype), place_of_epochs(backend_of(x), rule)
    n, d = (int(s) for s in x.shape)
    with work.device_context():
        move, xp = work.asarray, work.xp
        data = Data(
            move(x),
            move(fires),
            move(np.ones(n), dtype=real),
            move(np.asarray([1], dtype=np.int32)),
            move(np.ones((2, 1)), dtype=real),
        )
        zeros = (move(np.zeros((1, d)), dtype=real), move(np.zeros(1), dtype=real))
        state, order, epoch = initial_state(*zeros, xp), move(np.arange(n)), select_epoch(xp, rule)
        history: list[tuple[float, ...]] = []
        mistakes: list[int] = []
        while len(mistakes) < most and (not mistakes or mistakes[-1]):
            state, sums = epoch(state, data, order, rule, xp)
            mistakes.append(int(work.to_numpy(sums)[2, 0]))
            bias = float(work.to_numpy(state.intercept)[0])
            history.append((bias, *work.to_numpy(state.weights(xp))[0].tolist()))
    return tuple(history), tuple(mistakes)


def largest_margin(rows: np.ndarray) -> float:
    """The largest distance from a plane through the origin that all rows can be in front of.

    The least-distance problem of Lawson and Hanson: the shortest w with ``rows @ w >= 1``.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, d)
        Inputs times their sign.

    Returns
    -------
    float
        0 if there is no such plane.
    """
    from scipy.optimize import nnls

    system = np.concatenate([rows.T, np.ones((1, rows.shape[0]))])
    goal = np.zeros(rows.shape[1] + 1)
    goal[-1] = 1.0
    solution, distance = nnls(system, goal, maxiter=30 * max(rows.shape))
    if distance < 1e-9:
        return 0.0
    residual = system @ solution - goal
    w = -residual[:-1] / residual[-1]
    return float(1.0 / np.linalg.norm(w))
