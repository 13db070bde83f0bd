"""Each epoch's metrics as a line of a file."""

import csv
import os
from pathlib import Path

from xpnn.training.callbacks import EpochEnd


class CSVLogger:
    """Writes a line with each epoch's metrics, which is in the file at once.

    A training that goes on from a checkpoint goes on in its file.

    Parameters
    ----------
    path : path-like
        A file that is there is written anew.
    append : bool, default=False
        Whether to add to a file that is there.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from xpnn.callbacks import CSVLogger, EpochEnd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLogger(f"{folder}/log.csv")
    ...     log.on_begin(2)
    ...     for epoch in (1, 2):
    ...         log(EpochEnd(epoch, 2, {"loss": 0.5 / epoch}))
    ...     print(pathlib.Path(log.path).read_text())
    epoch,loss
    1,0.5
    2,0.25
    <BLANKLINE>
    """

    def __init__(self, path: str | os.PathLike[str], *, append: bool = False) -> None:
        self.path, self.append = os.fspath(path), append
        self._names: list[str] = []

    def on_begin(self, epochs: int) -> None:
        """The first epoch tells which columns there are."""
        self._names = []

    def __call__(self, end: EpochEnd) -> None:
        """Write a line."""
        path, names = Path(self.path), ["epoch", *end.metrics]
        if not self._names:
            self._begin(path, names, more=self.append or end.epoch > 1)
        with path.open("a", encoding="utf-8", newline="") as file:
            values = {"epoch": end.epoch, **end.metrics}
            row = [values.get(name, "") for name in self._names]
            csv.writer(file, lineterminator="\n").writerow(row)

    def _begin(self, path: Path, names: list[str], *, more: bool) -> None:
        """Write the names; or find them in a file that goes on."""
        if more and path.is_file() and path.stat().st_size:
            with path.open(encoding="utf-8", newline="") as file:
                self._names = next(csv.reader(file))
            missing = [name for name in names if name not in self._names]
            if missing:
                self._names = []
                raise ValueError(
                    f"{path} has no columns {', '.join(missing)}: write another file, or this one "
                    "anew with append=False."
                )
            return
        self._names = names
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(names)
