"""Runs of Weights & Biases."""

from typing import Any

from xpnn._optional import needed
from xpnn.trackers.tensorboard import plain_params
from xpnn.trackers.watch import Watcher
from xpnn.training.callbacks import EpochEnd


class WandB(Watcher):
    """Logs to Weights & Biases: the parameters and each epoch's metrics.

    Into the run that is active, or into one of its own.

    Parameters
    ----------
    project : str, default="xpnn"
    mode : {"offline", "online"}, default="offline"
        Offline writes to the folder ``wandb`` alone; ``wandb sync`` sends it later.
    **options
        Of `wandb.init`, such as ``name`` and ``dir``.

    Examples
    --------
    >>> from xpnn.callbacks import WandB
    >>> model = xpnn.MLPClassifier(callbacks=[WandB("houses")])  # doctest: +SKIP
    """

    def __init__(self, project: str = "xpnn", *, mode: str = "offline", **options: Any) -> None:
        self.project, self.mode, self.options = project, mode, options
        self._run: Any = None
        self._own = False

    def on_begin(self, epochs: int) -> None:
        """Begin a run, unless one is active."""
        wandb = needed("wandb", "Weights & Biases")
        self._own = wandb.run is None
        self._run = wandb.run or wandb.init(project=self.project, mode=self.mode, **self.options)
        if self._estimator is not None:
            params = plain_params(self._estimator)
            plain = str | int | float | None
            self._run.config.update(
                {k: v if isinstance(v, plain) else repr(v) for k, v in params.items()}
            )

    def __call__(self, end: EpochEnd) -> None:
        """Log the metrics."""
        self._run.log({"epoch": end.epoch, **end.metrics})

    def on_end(self) -> None:
        """End the run that was begun here."""
        super().on_end()
        if self._own and self._run is not None:
            self._run.finish()
        self._run = None
