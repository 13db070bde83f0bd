"""`fit(..., comm=)`: what the processes that train one network agree on before they begin."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.backend import to_numpy
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.estimators._checks import OF_A_RUN
from xpnn.estimators._inputs import A_PART, OfAll
from xpnn.steps import scores
from xpnn.training.checkpoint import Keeper
from xpnn.training.data import is_sparse, predict_in_chunks
from xpnn.training.fingerprint import fingerprint
from xpnn.training.ownrows import even
from xpnn.training.work import Work


class Way(NamedTuple):
    """How a call of fit goes, but for its data."""

    tasks: Any = None  # callbacks of scikit-learn
    keeper: Keeper | None = None
    comm: Communicator | None = None

    @property
    def own_rows(self) -> bool:
        """Whether each process has rows of its own."""
        return self.comm is not None and self.comm.rows == "own"

    def apart(self, rows: Any) -> bool:
        """Whether each process has others of these rows: its own, or of blocks its shards'."""
        return self.own_rows or any(hasattr(a, "lengths") for a in (rows, rows.x))

    def total(self, rows: Any) -> int:
        """How many rows there are in all processes."""
        n = int(rows.x.shape[0])
        return sum(self.comm.gather(n)) if self.comm is not None and self.apart(rows) else n

    def sum_of_own(self, n: int) -> int:
        """The sum of all processes' counts, where each counts rows of its own."""
        return sum(self.comm.gather(n)) if self.comm is not None and self.own_rows else n

    @property
    def speaks(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self.comm is None or self.comm.rank == 0


ALONE = Way()


def together(comm: Communicator | None) -> AbstractContextManager[Any]:
    """Work that fails in all processes when it fails in one."""
    return nullcontext() if comm is None else comm.together()


def check_comm(comm: Any) -> None:
    """Refuse what is no communicator."""
    if comm is not None and not isinstance(comm, Communicator):
        raise TypeError(
            f"comm must be a communicator, such as xpnn.distributed.mpi(), got {comm!r}."
        )


def agreed_seed(comm: Communicator | None, seed: int, keeper: Keeper | None = None) -> int:
    """The first process's seed: without a random_state each draws one of its own.

    Of a training that goes on the one that it began with.
    """
    seed = seed if comm is None else int(comm.broadcast(seed))
    return seed if keeper is None else keeper.kept("seed", seed)


@contextmanager
def as_a_part(way: Way, est: Any, y: Any, classes: Any) -> Iterator[Any]:
    """While the rows of one process are read: what is only true of all processes' rows.

    Weights may be zero in all rows here, and classes are weighted by how often they occur in all.

    Yields
    ------
    array
        The classes of all processes' rows, where each has its own; else what was given.
    """
    if not way.own_rows:
        yield classes
        return
    assert way.comm is not None
    if None not in (size := way.comm.gather(_length(y))) and 0 in size:
        raise ValueError(
            f"Found array with 0 sample(s): rank {size.index(0)} has no rows. Give each process "
            "some, or start fewer processes."
        )
    total = None
    if y is not None and classes is None and hasattr(est, "class_weight"):
        total = _counts_of_all(way, y)
        classes = None if total is None else np.unique(np.asarray(list(total)))
    token = A_PART.set(OfAll(total))
    try:
        yield classes
    finally:
        A_PART.reset(token)


def _length(y: Any) -> int | None:
    """How many rows a target has; None where that is told elsewhere."""
    if isinstance(y, list | tuple):
        return len(y)
    return int(y.shape[0]) if getattr(y, "shape", ()) else None


def _counts_of_all(way: Way, y: Any) -> dict[Any, int] | None:
    """How often each label occurs in all processes; None for several labels a row."""
    host = np.asarray(y) if not hasattr(y, "__dlpack__") else to_numpy(y)
    host = host[:, 0] if host.ndim == 2 and host.shape[1] == 1 else host
    if host.ndim != 1:  # columns of 0 and 1 say themselves what they are
        return None
    assert way.comm is not None
    total = Counter[Any]()
    told = way.comm.gather([a.tolist() for a in np.unique_counts(host)])
    kinds = [isinstance(labels[0], str) for labels, _ in told]
    if True in kinds and False in kinds:
        names = {True: "words", False: "numbers"}
        rank = kinds.index(not kinds[0])
        raise ValueError(
            f"the labels of rank {rank} are {names[kinds[rank]]}, and those of rank 0 are "
            f"{names[kinds[0]]}: make them one kind, as by y.astype(str), in each process."
        )
    for labels, counts in told:
        total.update(dict(zip(labels, counts, strict=True)))
    return total


def check_alike(way: Way, est: Any, rows: Any) -> None:
    """Refuse processes whose data, parameters or networks do not go together.

    Raises
    ------
    ValueError
        With what differs from rank 0's, and the cure; in every process.
    """
    comm = way.comm
    if comm is None:
        return
    own: dict[str, Any] = {
        "network": repr(est.network_.layout.entries),
        "outputs": [est.n_outputs_, getattr(est, "_labels", None) is None],
        "initial weights": fingerprint(est._state.theta),
    }
    if not way.own_rows:
        own |= {"parameters": _parameters(est), "dtype": est._dtype}
        own |= {"X": fingerprint(rows.x), "y": fingerprint(rows.target)}
        own["sample_weight"] = fingerprint(rows.weight)
    check_own_rows(way, est, rows)
    _compare(comm, own)


def check_own_rows(way: Way, est: Any, rows: Any) -> None:
    """Refuse rows of several processes that do not go together, where each has its own."""
    if way.comm is None or not way.own_rows:
        return
    names = getattr(est, "feature_names_in_", None)
    _compare(
        way.comm,
        {
            "parameters": _parameters(est),
            "number of features": int(rows.x.shape[1]),
            "feature names": None if names is None else [str(name) for name in names],
            "dtype": est._dtype,
            "kind of X": is_sparse(rows.x),
            "weights": rows.weight is None,
        },
    )
    if not any(way.comm.gather(rows.weight is None or bool(to_numpy(rows.weight).any()))):
        raise ValueError("The weights of all processes' rows are zero: give some one above 0.")


def check_held_weight(weight: Any, way: Way = ALONE) -> None:
    """Refuse rows to validate on of which none counts, in any process."""
    some = weight is None or bool(to_numpy(weight).any())
    if not (any(way.comm.gather(some)) if way.comm is not None else some):
        raise ValueError(
            "The sample weights for validation set are all zero, consider using a different "
            "random state."
        )


def check_same(comm: Communicator | None, est: Any, data: dict[str, Any]) -> None:
    """Refuse processes with other parameters, or other data where all have the same.

    Parameters
    ----------
    data : dict of str to array or str
    """
    if comm is None:
        return
    own = {"parameters": _parameters(est)} | {
        k: a if isinstance(a, str) else fingerprint(a) for k, a in data.items()
    }
    _compare(comm, own)


def _compare(comm: Communicator, own: dict[str, Any]) -> None:
    told = comm.gather(own)
    for rank, other in enumerate(told):
        wrong = [name for name in own if other[name] != told[0][name]]
        if not wrong:
            continue
        cure = (
            'pass the same to each, or mpi(rows="own") if each process has rows of its own'
            if {"X", "y"} & set(wrong)
            else "pass the same to each process"
        )
        raise ValueError(f"rank {rank} has other {', '.join(wrong)} than rank 0: {cure}.")


def _parameters(est: Any) -> str:
    shared = {k: v for k, v in est.get_params(deep=False).items() if k not in OF_A_RUN}
    return repr(sorted((k, _plain(v)) for k, v in shared.items()))


def _plain(value: Any) -> str:
    """A parameter as text without an address."""
    if isinstance(value, str | int | float | tuple | list | dict | type(None)):
        return repr(value)
    return type(value).__name__


def own_rows_measure(
    way: Way, est: Any, rows: Any, loss: Any, monitor: Any, held: Any, truth: Any
) -> Callable[[Array, Array], dict[str, float]]:
    """The metrics of held-out rows of which each process has its own.

    Each computes outputs shard by shard; loss and score are then of all rows, in every process.
    """
    if monitor.scorer is not None:
        raise ValueError(
            f"monitor={est.monitor!r} is a scorer that needs all rows held out, and each process "
            "has its own: take 'val_loss' or 'val_score', or pass all rows to each process "
            "(rows='all')."
        )
    comm, backend, network, xp = way.comm, est._backend, est.network_, est._backend.xp
    assert comm is not None
    ends = np.cumsum([0, *(getattr(rows, "lengths", None) or even(int(rows.x.shape[0]), comm))])
    x, target, weight = held.arrays
    dtype = backend.float_dtype(est._dtype)
    with backend.device_context():
        all_of = [comm.gather_rows(backend.to_numpy(held.move(a))) for a in (target, truth, weight)]
        target, truth, weight = (backend.asarray(a) for a in all_of)

    def measure(theta: Array, buffers: Array) -> dict[str, float]:
        with Work(backend).inside():
            given = network, theta, buffers
            parts = [
                backend.to_numpy(predict_in_chunks(*given, x[a:b], backend, "forward"))
                for a, b in pairwise(ends)
                if b > a
            ]
            rows_at = 0 if network.members == 1 else 1
            own = np.concatenate(parts, axis=rows_at) if parts else _no_outputs(network, dtype)
            gathered = comm.gather_rows(np.moveaxis(own, rows_at, 0))
            output = backend.asarray(np.ascontiguousarray(np.moveaxis(gathered, 0, rows_at)))
            value = scores.loss_value(loss, output, target, weight, xp)
            score = est._device_score(est._combined(output, xp), truth, weight, xp)
            pair = backend.to_numpy(scores.together(value, score, xp))
        return {"val_loss": float(pair[0]), "val_score": float(pair[1])}

    return measure


def _no_outputs(network: Any, dtype: Any) -> np.ndarray:
    shape = (0, network.n_out) if network.members == 1 else (network.members, 0, network.n_out)
    return np.empty(shape, dtype=str(dtype).rpartition(".")[2])
