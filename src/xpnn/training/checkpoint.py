"""Checkpoints: how often, what of a training, and what a training has to share with them.

Where they are written is no business of this file: a `Store` does it (`xpnn.files.checkpoints`).
A training asks its `Keeper` between two steps whether one is due, and gives it a record: a header
of plain data and named arrays, from which it can go on to the same bits.
"""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from numbers import Integral, Real
from os import PathLike, fspath, getpid
from typing import Any, NamedTuple, Protocol

import numpy as np

from xpnn._version import __version__
from xpnn._warnings import warn_user

_UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
_EVERY = re.compile(r"(\d+(?:\.\d+)?) *(s|sec|min|h|epoch|step)s?")
_SHOWN = 60  # characters of a parameter in an error
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class CheckpointError(ValueError):
    """A folder that cannot hold checkpoints, or a checkpoint of another training."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training leaves checkpoints, and how often.

    Parameters
    ----------
    path : path-like
        A folder for this training alone; it is made if the folder above it exists.
    every : str or int, default="5min"
        Time, epochs or steps between two: "30s", "5min", "2h", "1 epoch", "1000 steps"; a number
        is epochs. Steps and time also end in the middle of an epoch, between two calls of the
        compiled steps, which do many at once where networks are small.
    keep : int, default=2
        How many of the last are kept.

    Raises
    ------
    ValueError
        For values that say nothing of the kind.

    Examples
    --------
    >>> import numpy as np, tempfile, xpnn
    >>> X, y = np.eye(8), np.arange(8) % 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = xpnn.Checkpoint(f"{folder}/run", every="10 epochs")
    ...     model = xpnn.MLPClassifier(max_iter=99, tol=0.01, random_state=0)
    ...     _ = model.fit(X, y, checkpoint=checkpoint)
    ...     again = xpnn.MLPClassifier(max_iter=99, tol=0.01, random_state=0)
    ...     _ = again.fit(X, y, checkpoint=checkpoint, resume=True)  # it is finished already
    >>> bool((again.predict_proba(X) == model.predict_proba(X)).all())
    True
    """

    path: str | PathLike[str]
    every: str | int = "5min"
    keep: int = 2

    def __post_init__(self) -> None:
        """Check the values."""
        if not isinstance(self.path, str | PathLike) or not fspath(self.path):
            raise ValueError(f"checkpoint must be a path or an xpnn.Checkpoint, got {self.path!r}.")
        if not isinstance(self.keep, Integral) or isinstance(self.keep, bool) or self.keep < 1:
            raise ValueError(f"keep must be a whole number of at least 1, got {self.keep!r}.")
        self.interval()

    def interval(self) -> tuple[float, str]:
        """How much of what lies between two: of "s", "epoch" or "step"."""
        every = self.every
        if isinstance(every, Integral) and not isinstance(every, bool) and every > 0:
            return float(every), "epoch"
        match = _EVERY.fullmatch(every.strip()) if isinstance(every, str) else None
        if match is not None and float(match[1]) > 0:
            amount, unit = float(match[1]), match[2]
            return (amount * _UNITS[unit], "s") if unit in _UNITS else (amount, unit)
        raise ValueError(
            "every must be a time such as '30s', '5min' or '2h', '10 epochs', '1000 steps', or a "
            f"whole number of epochs, got {every!r}."
        )


class Record(NamedTuple):
    """What a checkpoint holds."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]


class Store(Protocol):
    """Where records go; of several processes, all but one may have one that writes nothing."""

    def newest(self) -> Record | None:
        """The last one that is whole."""

    def write(self, record: Record) -> None:
        """Add one; an OSError or CheckpointError when it cannot be written."""


@dataclass
class Keeper:
    """One training's side of its checkpoints."""

    spec: Checkpoint
    store: Store
    found: Record | None = None  # what to go on from
    clock: Callable[[], float] = time.monotonic
    about: dict[str, Any] = field(default_factory=dict)  # what the training is of, see `begin`
    terminated: bool = False  # whether SIGTERM has come: the training is to stop at the next step
    notes: dict[str, Any] = field(default_factory=dict)
    _last: tuple[float, int, int] = (0.0, 0, 0)  # seconds, step, epoch

    def note(self, name: str, value: Any) -> Any:
        """Keep a value that a later call has to have; the kept one where training goes on.

        Raises
        ------
        CheckpointError
            Where the kept one has another type, or there is none.
        """
        if self.found is not None:
            with self.reading():
                kept = self.found.header["notes"][name]
                if type(kept) is not type(value):
                    raise ValueError(f"its {name} is {kept!r}")
                value = kept
        self.notes[name] = value
        return value

    def kept(self, name: str, value: Any) -> Any:
        """What `note` is going to return, before it is known whether it can go on at all."""
        notes = None if self.found is None else self.found.header.get("notes")
        found = notes.get(name) if isinstance(notes, dict) else None
        return found if type(found) is type(value) else value

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what malformed data raise into a CheckpointError."""
        try:
            yield
        except CheckpointError:
            raise
        except _MALFORMED as error:
            text = f"{error} is missing" if isinstance(error, LookupError) else str(error)
            raise CheckpointError(
                f"The checkpoint in {fspath(self.spec.path)!r} is damaged: {text[:200]}."
            ) from error

    def begin(self, about: Mapping[str, Any]) -> None:
        """Say what the training is of; refuse a checkpoint of another one."""
        self.about = {"xpnn": __version__, **about}
        if self.found is None:
            return
        with self.reading():
            changes = list(differences(self.found.header["about"], self.about))
        if changes:
            raise CheckpointError(
                f"The checkpoint in {fspath(self.spec.path)!r} is of another training: "
                f"{'; '.join(changes)}. Go on with what it was begun with, or take another folder."
            )

    def start(self, step: int, epoch: int, make: Callable[[], Record]) -> None:
        """Write the first one: what cannot be written is told before training."""
        self._last = self.clock(), step, epoch
        self.store.write(self._complete(make()))

    def due(self, step: int, epoch: int) -> bool:
        """Whether it is time for one, at so many steps and whole epochs."""
        amount, unit = self.spec.interval()
        seconds, last_step, last_epoch = self._last
        if unit == "s":
            return self.clock() - seconds >= amount
        return (step - last_step if unit == "step" else epoch - last_epoch) >= amount

    def save(self, step: int, epoch: int, make: Callable[[], Record]) -> None:
        """Write one; where that fails, warn and go on: the one before it is whole."""
        try:
            self.store.write(self._complete(make()))
        except (OSError, CheckpointError, MemoryError) as error:
            why = str(error).rstrip(".") or type(error).__name__
            warn_user(
                f"No checkpoint was written after step {step}: {why}. "
                "Training goes on, and the checkpoint before it is as it was."
            )
        self._last = self.clock(), step, epoch

    def _complete(self, record: Record) -> Record:
        return record._replace(
            header={
                "xpnn": __version__,
                "about": self.about,
                "notes": self.notes,
                **record.header,
            }
        )

    def stop_if_terminated(self) -> None:
        """After SIGTERM and its checkpoint: end the process, or let the user's handler decide."""
        if self.terminated:
            warn_user(f"Training ended by SIGTERM. {self.advice}")
            raise SystemExit(128 + signal.SIGTERM)

    @property
    def advice(self) -> str:
        """How to go on."""
        where = repr(fspath(self.spec.path))
        return f"A checkpoint is in {where}: resume=True (xpnn train --resume) goes on from there."

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turn the first SIGTERM into a flag; a second one, and a user's handler, act at once."""
        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            yield
            return
        process = getpid()

        def note(signum: int, frame: Any) -> None:
            if self.terminated or getpid() != process:
                signal.signal(signum, signal.SIG_DFL)
                signal.raise_signal(signum)
            self.terminated = True

        signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            if signal.getsignal(signal.SIGTERM) is note:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self.stop_if_terminated()  # it came after the last look


def listening(keeper: Keeper | None) -> AbstractContextManager[None]:
    """`Keeper.listening`, where there is a keeper."""
    return nullcontext() if keeper is None else keeper.listening()


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two dictionaries of plain data, a line each.

    Examples
    --------
    >>> list(differences({"X": {"rows": 3}, "alpha": 0.1}, {"X": {"rows": 4}, "alpha": 0.1}))
    ['X: rows was 3 and is 4']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            where = f"{name}: {key}" if name else str(key)
            yield from differences(before.get(key), now.get(key), where)
    elif _apart(before, now):
        yield f"{name} was {_short(before)} and is {_short(now)}"


def _apart(before: Any, now: Any) -> bool:
    numbers = isinstance(before, Real) and isinstance(now, Real)
    return not (before == now and (numbers or type(before) is type(now)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
