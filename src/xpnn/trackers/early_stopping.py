"""Stop when a metric no longer improves."""

import math
from dataclasses import replace
from typing import Any

from xpnn.arrays.backend import backend_of, dtype_name
from xpnn.parts.entries import check_number
from xpnn.trackers.watch import Metric, Watch, Watcher
from xpnn.training.callbacks import EpochEnd


class EarlyStopping(Watcher):
    """Stops training when any metric has not improved for some epochs.

    The parameter `early_stopping` of the networks does this with rows that it splits off; this
    one takes any metric.

    Parameters
    ----------
    monitor : str or callable (estimator) -> float, default="val_loss"
        A metric of the history, or a function of the estimator as it is after an epoch, such as
        ``lambda model: f1_score(y_held, model.predict(X_held))``.
    patience : int, default=10
        Epochs in a row without improvement before it stops.
    min_delta : float, default=0.0
        An improvement smaller than this is none.
    mode : {"auto", "min", "max"}, default="auto"
        Whether the metric shall fall or rise; "auto" is "min" for names with ``loss`` or
        ``error``.
    restore_best : bool, default=True
        Whether a network gets the weights of the best epoch.

    Attributes
    ----------
    best_ : float
        The best value.
    best_epoch_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn import MLPRegressor
    >>> from xpnn.callbacks import EarlyStopping
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> stop = EarlyStopping("loss", patience=2, min_delta=0.01)
    >>> model = MLPRegressor(max_iter=500, callbacks=[stop], random_state=0).fit(X, X[:, 0])
    >>> model.n_iter_ == stop.best_epoch_ + 2
    True
    """

    def __init__(
        self,
        monitor: Metric = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.monitor, self.mode, self.restore_best = monitor, mode, restore_best
        self.patience = int(check_number("patience", patience, 1, float("inf"), closed="left"))
        self.min_delta = check_number("min_delta", min_delta, 0.0, float("inf"), closed="left")
        self._forget()
        self._resumed = False

    def _forget(self) -> None:
        self._watch = Watch(self.monitor, self.mode, self.min_delta)
        self._stale = 0
        self._best: tuple[Any, Any] | None = None

    def on_begin(self, epochs: int) -> None:
        """Forget an earlier training, but for one that goes on from a checkpoint."""
        if not self._resumed:
            self._forget()
        self._resumed = False

    def __call__(self, end: EpochEnd) -> bool:
        """Whether to stop."""
        value = self._watch.value(end, self)
        if self._watch.improved(value):
            self._stale, self.best_, self.best_epoch_ = 0, value, end.epoch
            if self.restore_best:
                state = end.state()
                self._best = state.theta, state.buffers
        else:
            self._stale += 1
        return self._stale >= self.patience

    def choose(self, state: Any) -> Any:
        """After training: the state that is its result."""
        best, self._best = self._best, None
        if best is None:
            return state
        backend = backend_of(state.theta)
        theta, buffers = (backend.asarray(a, dtype=dtype_name(state.theta.dtype)) for a in best)
        return replace(state, theta=theta, buffers=buffers)

    def save_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a checkpoint keeps."""
        plain: dict[str, Any] = {"best": None, "epoch": 0, "stale": self._stale}
        if math.isfinite(self._watch.best):
            plain |= {"best": self.best_, "epoch": self.best_epoch_}
        best = () if self._best is None else self._best
        return plain, dict(zip(("theta", "buffers"), best, strict=False))

    def load_state(self, plain: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._forget()
        self._stale, self._resumed = plain["stale"], True
        if plain["best"] is not None:
            self.best_, self.best_epoch_ = plain["best"], plain["epoch"]
            self._watch.improved(self.best_)
        if arrays:
            self._best = arrays["theta"], arrays["buffers"]
