"""What callbacks share: the estimator that is trained, and a metric that shall improve."""

import math
from collections.abc import Callable
from copy import copy
from typing import Any

from xpnn.training.callbacks import EpochEnd

Metric = str | Callable[[Any], float]
"""A metric of the history by name, or a function of the estimator as it is after an epoch."""


class Watcher:
    """A callback that knows the estimator; subclasses add `__call__`."""

    _estimator: Any = None

    def on_estimator(self, estimator: Any) -> None:
        """Before training: the estimator that is fitted."""
        self._estimator = estimator

    def on_end(self) -> None:
        """After the last epoch, whatever happened."""
        self._estimator = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the estimator, which may hold this callback."""
        return {k: v for k, v in self.__dict__.items() if k != "_estimator"}

    def model(self, end: EpochEnd) -> Any:
        """The estimator as it is after an epoch; later epochs do not change it.

        Raises
        ------
        ValueError
            For a tabular model, whose networks are blended after the last epoch.
        """
        if not hasattr(self._estimator, "_state"):
            raise ValueError(
                f"{type(self).__name__} needs the network of an epoch, which MLPClassifier and "
                "MLPRegressor have; a tabular model keeps its best networks by itself: name a "
                "metric of its history, such as 'loss'."
            )
        found = copy(self._estimator)
        for name, value in self._estimator.__dict__.items():
            if type(value).__module__.startswith("sklearn.callback"):  # of the fit that runs
                delattr(found, name)
        found.callbacks = None
        found._adopt(end.state(), 0)
        return found


class Watch:
    """Whether a metric has improved.

    Parameters
    ----------
    monitor : str or callable (estimator) -> float
    mode : {"auto", "min", "max"}
        "auto" is "min" for names with ``loss`` or ``error`` in them, else "max".
    min_delta : float
        An improvement smaller than this is none.

    Raises
    ------
    ValueError
        For another mode.
    """

    def __init__(self, monitor: Metric, mode: str = "auto", min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode is {mode!r}, expected 'auto', 'min' or 'max'.")
        name = monitor if isinstance(monitor, str) else ""
        falls = mode == "min" or (mode == "auto" and ("loss" in name or "error" in name))
        self.monitor, self.sign, self.min_delta = monitor, -1.0 if falls else 1.0, min_delta
        self.best = -math.inf

    def value(self, end: EpochEnd, watcher: Watcher) -> float:
        """The metric after an epoch."""
        if callable(self.monitor):
            return float(self.monitor(watcher.model(end)))
        if self.monitor not in end.metrics:
            raise ValueError(
                f"monitor={self.monitor!r} is not measured here: there are "
                f"{', '.join(end.metrics)}. Pass validation_data to fit for those of rows held "
                "out, or a function of the estimator."
            )
        return float(end.metrics[self.monitor])

    def improved(self, value: float) -> bool:
        """Whether it is the best so far, which it then is."""
        if not self.sign * value >= self.best + self.min_delta or self.sign * value == self.best:
            return False
        self.best = self.sign * value
        return True
