"""Metrics for TensorBoard."""

import os
from typing import Any

from xpnn._optional import needed
from xpnn.trackers.watch import Watcher
from xpnn.training.callbacks import EpochEnd


class TensorBoard(Watcher):
    """Writes event files for TensorBoard: each epoch's metrics, and the parameters as text.

    By PyTorch's writer where PyTorch and tensorboard are installed, else by tensorboardX.

    Parameters
    ----------
    folder : path-like, default="runs/xpnn"
        Of this run; `tensorboard --logdir runs` shows all in it.

    Examples
    --------
    >>> from xpnn.callbacks import TensorBoard
    >>> model = xpnn.MLPClassifier(callbacks=[TensorBoard("runs/1")])  # doctest: +SKIP
    """

    def __init__(self, folder: str | os.PathLike[str] = "runs/xpnn") -> None:
        self.folder = os.fspath(folder)
        self._writer: Any = None

    def on_begin(self, epochs: int) -> None:
        """Open a file."""
        self._writer = _writer(self.folder)
        if self._estimator is not None:
            rows = [f"| {k} | {v!r} |" for k, v in plain_params(self._estimator).items()]
            table = "\n".join(["| parameter | value |", "| --- | --- |", *rows])
            self._writer.add_text("parameters", table)

    def __call__(self, end: EpochEnd) -> None:
        """Write the metrics."""
        for name, value in end.metrics.items():
            self._writer.add_scalar(name, value, end.epoch)

    def on_end(self) -> None:
        """Close the file."""
        super().on_end()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer(folder: str) -> Any:
    """PyTorch's, which needs tensorboard, or tensorboardX's."""
    try:
        return needed("torch.utils.tensorboard", "TensorBoard").SummaryWriter(folder)
    except ImportError:
        return needed("tensorboardX", "TensorBoard").SummaryWriter(folder)


def plain_params(estimator: Any) -> dict[str, Any]:
    """An estimator's parameters but for its callbacks."""
    params = estimator.get_params(deep=False)
    return {k: v for k, v in params.items() if k != "callbacks"}
