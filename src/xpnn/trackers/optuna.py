"""Trials of Optuna that are cut short."""

from typing import Any

from xpnn._optional import needed
from xpnn.trackers.watch import Metric, Watch, Watcher
from xpnn.training.callbacks import EpochEnd


class OptunaPruning(Watcher):
    """Tells an Optuna trial a metric after each epoch; a trial without prospects ends there.

    `fit` then raises `optuna.TrialPruned`, which the study understands.

    Parameters
    ----------
    trial : optuna.Trial
    monitor : str or callable (estimator) -> float, default="val_score"
        See `EarlyStopping`; the study's direction is to be that of the metric.

    Examples
    --------
    >>> from xpnn.callbacks import OptunaPruning
    >>> def objective(trial):  # doctest: +SKIP
    ...     model = xpnn.MLPClassifier(callbacks=[OptunaPruning(trial)])
    ...     return model.fit(X, y, validation_data=(X_held, y_held)).score(X_held, y_held)
    """

    def __init__(self, trial: Any, monitor: Metric = "val_score") -> None:
        self.trial, self.monitor = trial, monitor
        self._watch = Watch(monitor)

    def __call__(self, end: EpochEnd) -> None:
        """Report, and end the trial where the study's pruner says so."""
        self.trial.report(self._watch.value(end, self), end.epoch)
        if self.trial.should_prune():
            raise needed("optuna", "Pruning").TrialPruned(
                f"Pruned after epoch {end.epoch} of {end.epochs}."
            )
