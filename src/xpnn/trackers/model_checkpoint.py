"""The best model of a training, as a file."""

import os
from pathlib import Path

from xpnn.files.model import save
from xpnn.trackers.watch import Metric, Watch, Watcher
from xpnn.training.callbacks import EpochEnd


class ModelCheckpoint(Watcher):
    """Writes the network to a model file after each epoch that is the best so far.

    The file is whole at any moment, and `xpnn.load` reads it. To go on with a training that was
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
        if every < 1:
            raise ValueError(f"every is {every!r}, expected a number of epochs of at least 1.")
        self.every, self.best_only = every, best_only
        self._watch = Watch(monitor, mode)

    def on_begin(self, epochs: int) -> None:
        """Forget an earlier training."""
        self._watch = Watch(self.monitor, self.mode)

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
