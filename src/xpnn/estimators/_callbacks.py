"""What is called between epochs: the user's functions, `verbose`, and scikit-learn's protocol."""

from collections.abc import Callable
from typing import Any

from xpnn.estimators._sklearn import begin_tasks, has_callbacks
from xpnn.parts.entries import check_arguments, name_of
from xpnn.training.callbacks import EpochEnd


def print_epoch(end: EpochEnd, say: Callable[[str], Any] = print) -> None:
    """What scikit-learn's `verbose` prints."""
    say(f"Iteration {end.epoch}, loss = {end.metrics['loss']:.8f}")
    if "val_score" in end.metrics:
        say(f"Validation score: {end.metrics['val_score']:f}")
    if end.message:
        say(end.message)


def listed(callbacks: Any) -> list[Any]:
    """The parameter `callbacks` as a list."""
    return [] if callbacks is None else [callbacks] if callable(callbacks) else list(callbacks)


def given_callbacks(est: Any) -> list[Callable[[EpochEnd], Any]]:
    """The functions of the parameter `callbacks`, which are told whom they watch."""
    chosen = listed(est.callbacks)
    for callback in chosen:
        if isinstance(callback, type):
            raise ValueError(
                f"callbacks holds the class {callback.__name__}: pass an object of it, as "
                f"{callback.__name__}(...)."
            )
        if callable(callback):
            check_arguments(callback, ("end",), f"callback {name_of(callback)!r}")
        if hasattr(callback, "on_fit_task_end"):
            raise ValueError(
                f"callbacks holds {callback!r}, a callback of sklearn.callback: attach it with "
                "estimator.set_callbacks(...) instead."
            )
    for callback in chosen:
        getattr(callback, "on_estimator", lambda _: None)(est)
    return chosen


def chosen_callbacks(
    est: Any, speaks: bool, shows: Callable[[EpochEnd], Any]
) -> list[Callable[[EpochEnd], Any]]:
    """The functions that the parameters ask for; with what shows epochs, if this process does."""
    given = given_callbacks(est)
    return [*given, shows] if est.verbose and speaks else given


def chosen_state(callbacks: list[Any], state: Any) -> Any:
    """What training ends with, which a callback with a method `choose` may replace."""
    for callback in callbacks:
        state = getattr(callback, "choose", lambda same: same)(state)
    return state


class FitTasks:
    """Calls the callbacks that `set_callbacks` attached, as `sklearn.callback` has it.

    The fit is a task and each epoch one of its subtasks.

    Parameters
    ----------
    est : estimator
        Whom the callbacks are attached to.
    X, y, metadata
        What `fit` was given.
    """

    def __init__(self, est: Any, X: Any, y: Any, metadata: dict[str, Any] | None) -> None:
        self._est = est
        self._given = {"estimator": est, "X": X, "y": y, "metadata": metadata}
        self._root = begin_tasks(est, int(est.max_iter))
        self._epoch: Any = None
        self.fitted: dict[str, Any] = {}  # attributes of the network in training

    @property
    def active(self) -> bool:
        """Whether there is anybody to call."""
        return has_callbacks(self._est)

    def begin(self) -> None:
        """Before the first epoch's data are read."""
        if self.active:
            self._root.call_on_fit_task_begin(**self._given)

    def on_begin(self, epochs: int) -> None:
        """Before the first epoch."""
        self._next()

    def __call__(self, end: EpochEnd) -> bool:
        """After an epoch; True when a callback asks to stop."""
        stop = self._epoch.call_on_fit_task_end(
            **self._given, reconstruction_attributes=lambda: self._attributes(end.state())
        )
        self._epoch = None
        if not stop and end.epoch < end.epochs and not end.message.endswith("Stopping."):
            self._next()
        return bool(stop)

    def on_end(self) -> None:
        """After the last epoch, also one that was begun and never run."""
        if self._epoch is not None:
            self._epoch.call_on_fit_task_end(estimator=self._est)
            self._epoch = None

    def end(self, fitted: dict[str, Any]) -> None:
        """After the fit."""
        if self.active:
            self.fitted = fitted
            self._root.call_on_fit_task_end(
                **self._given,
                reconstruction_attributes=lambda: self._attributes(fitted["_state"]),
            )

    def _next(self) -> None:
        self._epoch = self._root.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._given)

    def _attributes(self, state: Any) -> dict[str, Any]:
        return {**self.fitted, "_state": state}
