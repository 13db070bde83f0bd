"""The best model of a training, as a file."""

import math
import os
from pathlib import Path
from typing import Any

from xpnn.files.model import save
from xpnn.parts.entries import check_number
from xpnn.trackers.watch import Metric, Watch, Watcher
from xpnn.training.callbacks import EpochEnd


class ModelCheckpoint(Watcher):
    """Writes the network to a model file after each epoch that is the best so far.

    The file is whole at any moment, and `xpnn.load` reads it; a training that goes on from a
    checkpoint replaces it by what is better alone. To go on with a training that was
    cut off, `fit(..., checkpoint=...)` has all that it takes.

    Parameters
    ----------
    path : path-like
        May hold ``{epoch}`` and names of metrics, as in ``"{epoch:03d}-{val_loss:.3f}.xpnn"``:
        then each is a file of its own.
    monitor : str or callable (estimator) -> float, default="val_loss"
        See `EarlyStopping`.
    mode : {"auto", "min", "max"}, default="auto"
    every : int, default=1
        Epochs from one look to the next.
    best_only : bool, default=True
        Whether to write only what is better than all before.

    Attributes
    ----------
    path_ : Path
        The file that was written last.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import xpnn
    >>> from xpnn.callbacks import ModelCheckpoint
    >>> X = np.linspace(-1, 1, 60).reshape(-1, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = ModelCheckpoint(f"{folder}/best.xpnn", "loss")
    ...     model = xpnn.MLPRegressor(max_iter=2, callbacks=[keep], n_iter_no_change=9, tol=9.0)
    ...     _ = model.partial_fit(X, X[:, 0])
    ...     xpnn.load(keep.path_).n_iter_
    1
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: Metric = "val_loss",
        *,
        mode: str = "auto",
        every: int = 1,
        best_only: bool = True,
    ) -> None:
        self.path, self.monitor, self.mode = os.fspath(path), monitor, mode
        self.every = int(check_number("every", every, 1, float("inf"), closed="left"))
        self.best_only = best_only
        self._watch, self._resumed = Watch(monitor, mode), False

    def on_begin(self, epochs: int) -> None:
        """Forget an earlier training, but for one that goes on from a checkpoint."""
        if not self._resumed:
            self._watch = Watch(self.monitor, self.mode)
        self._resumed = False

    def __call__(self, end: EpochEnd) -> None:
        """Write the network, if it is the best."""
        if end.epoch % self.every:
            return
        better = not self.best_only or self._watch.improved(self._watch.value(end, self))
        if better:
            try:
                path = Path(self.path.format(epoch=end.epoch, **end.metrics))
            except (KeyError, IndexError) as error:
                raise ValueError(
                    f"path={self.path!r} names {error}, and there are epoch, "
                    f"{', '.join(end.metrics)}."
                ) from error
            save(self.model(end), path)
            self.path_ = path

    def save_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a checkpoint keeps: the best value, which the file has."""
        best = self._watch.sign * self._watch.best
        return {"best": best if math.isfinite(best) else None}, {}

    def load_state(self, plain: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._watch, self._resumed = Watch(self.monitor, self.mode), True
        if plain["best"] is not None:
            self._watch.improved(plain["best"])
