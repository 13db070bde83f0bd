"""What a Dask worker does of a fit: its rows, its records, and what it has to tell the client."""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xpnn.dask.parts import Part, joined
from xpnn.distributed.door import Door
from xpnn.distributed.sockets import SocketCommunicator
from xpnn.distributed.workers import distributed
from xpnn.estimators._callbacks import listed, print_epoch
from xpnn.training.callbacks import EpochEnd, ProgressBar
from xpnn.training.checkpoint import Checkpoint, Keeper, Record

Warned = tuple[str, type[Warning]]


class Order(NamedTuple):
    """What all ranks are told alike."""

    estimator: Any  # an ordinary one
    every: Checkpoint  # how often a record is kept
    found: Record | None  # what to go on from


class Fitted(NamedTuple):
    """What a rank returns."""

    estimator: Any  # the first rank's
    warned: list[Warned]
    marks: tuple[float, ...]  # the same for all ranks, or something is wrong


class _Kept:
    """The store of a worker: the last record stays in its memory."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def newest(self) -> Record | None:
        """The last one."""
        found: Record | None = self.door.kept
        return found

    def write(self, record: Record) -> None:
        """Keep it in place of the one before."""
        arrays = {
            name: np.array(a) for name, a in record.arrays.items()
        }  # training goes on in them
        self.door.kept = record._replace(arrays=arrays)


class _StandIn:
    """In other ranks than the first, in the place of a callback that keeps a state."""

    def __call__(self, end: EpochEnd) -> None:
        """Nothing."""

    def save_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Nothing."""
        return {}, {}

    def load_state(self, plain: Any, arrays: Any) -> None:
        """Nothing."""


def fit_rows(
    comm: SocketCommunicator, order: Order, given: Sequence[Part], held: Sequence[Part] | None
) -> Fitted:
    """Train on some parts, together with the other ranks.

    Parameters
    ----------
    given : sequence of Part
        This rank's rows.
    held : sequence of Part, or None
        Those to validate on.
    """
    est, x = copy(order.estimator), joined(given)  # which others in this process may have too
    est.random_state, est.verbose = deepcopy(est.random_state), False
    est.callbacks = _callbacks(order.estimator, comm)
    keeper = Keeper(order.every, _Kept(comm.door), order.found)
    how: dict[str, Any] = {"comm": comm, "checkpoint": keeper}
    if held is not None:
        rows = joined(held)
        how["validation_data"] = rows if rows.weight is not None else rows[:2]
    with _heard() as warned:
        est.fit(*x, **how)
    est.callbacks = None  # one is of this process alone
    marks = tuple(float(np.sum(a)) for a in _arrays(est))
    first = comm.rank == 0
    return Fitted(est if first else None, warned if first else [], marks)


def _arrays(est: Any) -> list[Any]:
    """The parameters of a fitted estimator, on the host."""
    arrays = list(est._arrays.values()) if hasattr(est, "_arrays") else list(est.parameters_)
    return [est._backend.to_numpy(a) for a in arrays]


def _callbacks(est: Any, comm: SocketCommunicator) -> list[Any]:
    """The user's, in the first rank alone; and one that ends training when the client does."""

    def watch(end: EpochEnd) -> None:
        comm.door.check()

    given = listed(est.callbacks)
    if comm.rank:
        return [watch, *(_StandIn() for c in given if hasattr(c, "save_state"))]
    shown: list[Any] = []
    if est.verbose:
        bar = not hasattr(est, "solver")  # of a tabular estimator
        shown = [ProgressBar(_Client())] if bar else [partial(print_epoch, say=_say)]  # type: ignore[arg-type]
    return [watch, *given, *shown]


def _say(text: str, end: str = "\n") -> None:
    """Print on the client."""
    message = {"args": (text,), "sep": None, "end": end, "flush": True}
    distributed().get_worker().log_event("print", message)


class _Client:
    """The client's standard output, as a file."""

    def isatty(self) -> bool:
        """False: nothing there can be written over."""
        return False

    def write(self, text: str) -> None:
        """Send it."""
        _say(text, end="")

    def flush(self) -> None:
        """Nothing is held back."""


@contextmanager
def _heard() -> Iterator[list[Warned]]:
    """The warnings of this thread, for the client; where that is this process, it hears them."""
    found: list[Warned] = []
    if distributed().get_worker().address.startswith("inproc"):
        yield found
        return
    mine = threading.get_ident()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
            if threading.get_ident() == mine:
                found.append((str(message), category))
            else:
                before(message, category, *where, **more)

        warnings.showwarning = show
        yield found
