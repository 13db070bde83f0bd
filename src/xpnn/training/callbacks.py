"""What is called between epochs: plain functions, or objects with hooks.

Hooks are methods that an object may have: `on_estimator(estimator)` before training, `on_begin`
with the number of epochs, `on_end()` whatever happens, and for networks `choose(state)`, which
returns the state that training ends with; `save_state` and `load_state` are for checkpoints.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TextIO, TypeAlias

import numpy as np

from xpnn.training.interrupt import never


@dataclass(frozen=True)
class EpochEnd:
    """What a callback is told at the end of an epoch.

    Attributes
    ----------
    epoch : int
        Epochs done in this call, from 1.
    epochs : int
        Epochs asked for; where a training may become shorter or longer, what it is by now.
    metrics : dict of str to float
        ``loss``, ``learning_rate``, and ``val_loss`` and ``val_score`` where there is validation.
    message : str
        Why training stops here or lowers its rate; empty where it just goes on.
    state : callable
        Returns the `TrainingState` after the epoch.
    interrupted : callable
        Returns whether Ctrl-C is waiting to end training: for a callback that takes its time.

    Examples
    --------
    >>> def stop_when_good(end):
    ...     return end.metrics["loss"] < 0.1
    >>> stop_when_good(EpochEnd(7, 200, {"loss": 0.05}))
    True
    """

    epoch: int
    epochs: int
    metrics: dict[str, float]
    message: str = ""
    state: Callable[[], Any] = field(default=lambda: None, compare=False, repr=False)
    interrupted: Callable[[], bool] = field(default=never, compare=False, repr=False)


Callback: TypeAlias = Callable[[EpochEnd], Any]
"""Called with each `EpochEnd`; training stops after an epoch for which one returns True."""


class Callbacks:
    """Calls each of some callbacks, with the hooks that it has, outside of the training's context.

    Parameters
    ----------
    callbacks : iterable of callables
    outside : callable, default=nullcontext
        Makes a context in which the caller's functions run; see `Work.outside`.

    Examples
    --------
    >>> calls = Callbacks([lambda end: end.epoch == 2])
    >>> [calls.epoch(EpochEnd(epoch, 3, {})) for epoch in (1, 2)]
    [False, True]
    """

    def __init__(
        self,
        callbacks: Iterable[Callback],
        outside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._callbacks, self._outside = tuple(callbacks), outside
        for callback in self._callbacks:
            if not callable(callback):
                raise ValueError(f"A callback must be callable with an EpochEnd, got {callback!r}.")

    @contextmanager
    def during(self, epochs: int) -> Iterator[None]:
        """Training, between the hooks: who was told of it hears of its end, whatever happens."""
        begun = []
        try:
            with self._outside():
                for callback in self._callbacks:
                    getattr(callback, "on_begin", lambda _: None)(epochs)
                    begun.append(callback)
            yield
        finally:
            with self._outside():
                for callback in begun:
                    getattr(callback, "on_end", lambda: None)()

    def epoch(self, end: EpochEnd) -> bool:
        """After an epoch; whether any callback asks to stop (all are called)."""
        if not self._callbacks:
            return False
        with self._outside():
            answers = [callback(end) for callback in self._callbacks]
        return any(isinstance(a, bool | np.bool_) and bool(a) for a in answers)


class ProgressBar:
    """A live bar with the epoch's metrics; lines at each tenth where nobody can watch a bar.

    Parameters
    ----------
    file : text stream, default=None
        Where to write; None is standard error.

    Examples
    --------
    >>> from xpnn.training.callbacks import EpochEnd, ProgressBar
    >>> bar = ProgressBar(sys.stdout)
    >>> bar.on_begin(2)
    >>> for epoch in (1, 2):
    ...     _ = bar(EpochEnd(epoch, 2, {"loss": 0.5 / epoch, "val_score": 0.75}))
    epoch 1/2: loss 0.5000, val_score 0.7500
    epoch 2/2: loss 0.2500, val_score 0.7500
    >>> bar.on_end()
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file
        self._bar: Any = None

    def on_begin(self, epochs: int) -> None:
        """Open the bar."""
        file = self.file or sys.stderr
        options = {"total": epochs, "unit": "epoch", "file": file, "dynamic_ncols": True}
        if self.file is None and _in_notebook():
            from tqdm.notebook import IProgress, tqdm

            if IProgress is not None:  # without ipywidgets: lines
                self._bar = tqdm(**options)
        elif file.isatty():
            from tqdm import tqdm

            self._bar = tqdm(**options)

    def __call__(self, end: EpochEnd) -> None:
        """Show an epoch."""
        shown = {k: v for k, v in end.metrics.items() if k != "learning_rate"}
        if self._bar is not None:
            self._bar.total = end.epochs
            self._bar.set_postfix({k: f"{v:.4f}" for k, v in shown.items()}, refresh=False)
            self._bar.update(end.epoch - self._bar.n)  # the first may come from a checkpoint
        elif end.epoch in (1, end.epochs) or end.epoch % max(1, end.epochs // 10) == 0:
            text = ", ".join(f"{k} {v:.4f}" for k, v in shown.items())
            print(f"epoch {end.epoch}/{end.epochs}: {text}", file=self.file or sys.stderr)

    def on_end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"
