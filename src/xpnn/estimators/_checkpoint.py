"""`fit(..., checkpoint=, resume=)`: from what a user gives to the keeper of one training."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from xpnn.distributed.communicator import Communicator
from xpnn.estimators._checks import OF_A_RUN
from xpnn.estimators._record import plain
from xpnn.files.checkpoints import CheckpointFolder
from xpnn.files.record import CHECKPOINT, decode, encode, read_record, write_record
from xpnn.training.checkpoint import Checkpoint, CheckpointError, Keeper, Record
from xpnn.training.fingerprint import fingerprint

_FREE = (*OF_A_RUN, "warm_start")
"""Parameters that may be others when a training goes on."""


@contextmanager
def checkpoints(
    checkpoint: Any, resume: bool, comm: Communicator | None = None
) -> Iterator[Keeper | None]:
    """The keeper of a training, and its folder locked meanwhile; None where none is asked for.

    Parameters
    ----------
    checkpoint : path-like, Checkpoint, Keeper or None
    resume : bool
        Whether to go on from a checkpoint that is there.
    comm : Communicator, default=None
        Of several processes the first writes, and tells the others what to go on from.

    Raises
    ------
    ModelFileError
        Where none of its checkpoints is whole.
    """
    if checkpoint is None:
        if resume:
            raise ValueError(
                "resume=True goes on from a checkpoint: pass its folder too, as checkpoint='run'."
            )
        yield None
        return
    if isinstance(checkpoint, Keeper):  # of a process whose records another one writes
        yield checkpoint
        return
    spec = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    if comm is not None and comm.rank:
        yield Keeper(spec, _Nowhere(), _told_by_first(comm, None))
        return
    with CheckpointFolder(spec.path, spec.keep) as folder:
        if not resume and folder.files():
            raise CheckpointError(
                f"The folder {str(folder.path)!r} has checkpoints already: pass resume=True (xpnn "
                "train --resume) to go on from the last, or take another folder, or remove it."
            )
        yield Keeper(spec, folder, _told_by_first(comm, folder.newest()))


class _Nowhere:
    """The store of a process that does not write."""

    def newest(self) -> Record | None:
        """None."""

    def write(self, record: Record) -> None:
        """Nothing: the first process does it."""


def _told_by_first(comm: Communicator | None, found: Record | None) -> Record | None:
    """The first process's record, in every process."""
    if comm is None or not comm.broadcast(found is not None):
        return found
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.safetensors"
        if found is not None:
            write_record(path, *found, CHECKPOINT)
        text = comm.gather_bytes(path.read_bytes() if found is not None else b"")[0]
        if found is None:
            path.write_bytes(text)
        return Record(*read_record(path, CHECKPOINT))


def begin(keeper: Keeper, estimator: Any, rows: Any, given: Any) -> None:
    """Tell the keeper what a network's training is of: parameters, rows, and those to validate on.

    Raises
    ------
    CheckpointError
        When its checkpoint is of another one.
    """
    data = {"X": rows.x, "y": rows.target, "sample_weight": rows.weight}
    data |= {"classes": getattr(estimator, "classes_", None)}
    data |= {"validation_data": None if given is None else tuple(given)}
    keeper.begin(about(estimator, estimator._dtype, **data))


def about(estimator: Any, dtype: str, **data: Any) -> dict[str, Any]:
    """What a training is of, for `Keeper.begin`: parameters, and fingerprints of arrays.

    Parameters
    ----------
    dtype : str
        Of the work.
    **data : arrays, tuples of arrays, or None
    """
    params = {k: v for k, v in estimator.get_params(deep=False).items() if k not in _FREE}
    if not isinstance(params.get("random_state"), int):
        params.pop("random_state", None)  # what it drew is in the checkpoint
    prints = {
        name: [fingerprint(a) for a in value] if isinstance(value, tuple) else fingerprint(value)
        for name, value in data.items()
    }
    named = {name: _told(plain(value)) for name, value in params.items()}
    return {"estimator": type(estimator).__name__, **named, "dtype of the work": dtype, **prints}


def drawing(random_state: Any, keeper: Keeper | None) -> Any:
    """What to draw from: where a training goes on, from what it drew from at first.

    Parameters
    ----------
    random_state : int, RandomState or None
    """
    if keeper is None or isinstance(random_state, int):
        return random_state
    generator = check_random_state(random_state)
    drawn_from = keeper.note("random_state", generator.get_state(legacy=False))
    if keeper.found is not None:
        generator = np.random.RandomState()
        generator.set_state(drawn_from)
    return generator


def _told(value: Any) -> Any:
    """A parameter as data that can be compared: a user's code by its name."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_told(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _told(v) for k, v in value.items()}
    try:
        return decode(encode(value))
    except ValueError:
        where = value if hasattr(value, "__qualname__") else type(value)
        name = f"{where.__module__}.{where.__qualname__}"
        return f"{name} {value.name!r}" if isinstance(getattr(value, "name", None), str) else name
