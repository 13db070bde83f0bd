"""Ctrl-C acts between steps, not in the middle of one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C in a fit by L-BFGS or of a `Perceptron`; the estimator keeps the weights so far.

    scikit-learn's raise a KeyboardInterrupt there, which ends a cross-validation too.
    """

    def __init__(self, advice: str = "") -> None:
        text = f"Training interrupted by user; the estimator keeps the weights so far. {advice}"
        super().__init__(text.strip())


def never() -> bool:
    """Where nothing is to end training."""
    return False


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that is looked at between two steps.

    A second one acts as it would have outside, and so does the first in a child process that a
    callback forks. Only the main thread gets signals, and a signal that is ignored stays ignored.
    """
    seen: list[int] = []
    process = os.getpid()
    main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT) if main else None
    if not callable(previous):
        yield never
        return

    def note(signum: int, frame: Any) -> None:
        if seen or os.getpid() != process:
            previous(signum, frame)
        seen.append(signum)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # else a callback has set its own, which stays
            signal.signal(signal.SIGINT, previous)


def any_of(*asked: Callable[[], bool]) -> Callable[[], bool]:
    """Whether any of them says yes, asked in turn."""
    return lambda: any(ask() for ask in asked)
