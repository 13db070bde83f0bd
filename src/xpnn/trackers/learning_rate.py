"""Find a learning rate by one pass in which it grows."""

import math
import os
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from xpnn.estimators import MLPClassifier, MLPRegressor
from xpnn.estimators._heldout import take_rows
from xpnn.parts.entries import check_number
from xpnn.plotting.canvas import BLUE, INK, finished, new_axes

_SMOOTHING = 0.9  # of the loss that was before
_FAR = 4.0  # times the best loss, where it ends


class LearningRateFinder:
    """Finds a learning rate: batches at rates that grow, until the loss explodes.

    Parameters
    ----------
    low, high : float, default=1e-6, 1.0
        The first and the last rate.
    steps : int, default=100
        Batches.

    Attributes
    ----------
    rates_, losses_ : ndarray of shape (n_steps,)
        The loss of each batch before its step, smoothed.
    suggestion_ : float
        A tenth of the rate at which the loss was least.

    References
    ----------
    L. N. Smith (2017), "Cyclical learning rates for training neural networks", section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import MLPRegressor
    >>> from xpnn.callbacks import LearningRateFinder
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> found = LearningRateFinder().find(MLPRegressor(random_state=0), X, X[:, 0])
    >>> 1e-5 < found.suggestion_ < 1.0
    True
    """

    def __init__(self, low: float = 1e-6, high: float = 1.0, steps: int = 100) -> None:
        self.low = check_number("low", low, 0.0, math.inf, closed="neither")
        self.high = check_number("high", high, self.low, math.inf, closed="neither")
        self.steps = int(check_number("steps", steps, 10, math.inf, closed="left"))

    def find(self, estimator: Any, X: Any, y: Any) -> "LearningRateFinder":
        """Try rates on a copy of an estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            With a stochastic solver; it is not changed.
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For any other estimator; a tabular model chooses its rate itself.
        ValueError
            For a solver that has no learning rate, bad input, or rates that all diverge.
        """
        if not isinstance(estimator, MLPClassifier | MLPRegressor):
            raise TypeError(
                "A learning rate is found for an MLPClassifier or an MLPRegressor, got "
                f"{estimator!r}."
            )
        if estimator.solver == "lbfgs":
            raise ValueError("solver='lbfgs' has no learning rate: take 'adam', say, to find one.")
        model = clone(estimator).set_params(callbacks=None, early_stopping=False, verbose=False)
        X, y = (a.to_numpy() if hasattr(a, "iloc") else a for a in (X, y))
        X, y = (np.asarray(a) if isinstance(a, list) else a for a in (X, y))
        n, losses = int(X.shape[0]), list[float]()
        size = min(200 if model.batch_size == "auto" else int(model.batch_size), n)
        model.initialize(X, y)  # names bad rows before a rate can be blamed
        rates = np.geomspace(self.low, self.high, self.steps)
        rng, order = np.random.default_rng(0), np.empty(0, dtype=np.int64)
        for rate in rates.tolist():
            if len(order) < size:
                order = np.concatenate([order, rng.permutation(n)])
            rows, order = order[:size], order[size:]
            model.set_params(learning_rate="constant", learning_rate_init=rate, batch_size=size)
            try:
                model.partial_fit(take_rows(X, rows), take_rows(y, rows))
            except ValueError:  # it has diverged
                break
            losses.append(float(model.loss_))
            if not math.isfinite(losses[-1]) or losses[-1] > _FAR * abs(min(losses)) + 1e-12:
                break
        if not losses:
            raise ValueError(
                f"The first rate, low={self.low:g}, diverges already: take a lower one, or scale X."
            )
        self.rates_, self.losses_ = rates[: len(losses)], _smoothed(losses)
        self.suggestion_ = float(self.rates_[int(np.argmin(self.losses_))]) / 10.0
        return self

    def plot(self, path: str | os.PathLike[str] | None = None, *, ax: Any = None) -> Any:
        """Draw the loss over the rates, and the suggestion.

        Parameters
        ----------
        path : path-like, default=None
            Where to save the picture.
        ax : matplotlib Axes, default=None

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            Without matplotlib; says how to install it.
        sklearn.exceptions.NotFittedError
            Before find.
        """
        if not hasattr(self, "rates_"):
            raise NotFittedError("There are no losses to draw yet: call find(estimator, X, y).")
        ax = ax or new_axes((6.4, 4.0), path)
        ax.plot(self.rates_, self.losses_, color=BLUE)
        ax.axvline(self.suggestion_, color=INK, linestyle="--", linewidth=1.0)
        ax.annotate(
            f"{self.suggestion_:.2g}", (self.suggestion_, 0.97), xycoords=("data", "axes fraction"),
            xytext=(4, 0), textcoords="offset points", va="top", color=INK,
        )  # fmt: skip
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
        return finished(ax, path)


def _smoothed(losses: list[float]) -> np.ndarray:
    """An exponential mean, without the bias of its beginning."""
    mean, found = 0.0, np.empty(len(losses))
    for i, loss in enumerate(losses):
        mean = _SMOOTHING * mean + (1.0 - _SMOOTHING) * loss
        found[i] = mean / (1.0 - _SMOOTHING ** (i + 1))
    return found
