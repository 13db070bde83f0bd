"""What several processes decide together: when to stop, and what has been asked of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from xpnn.arrays.backend import Backend
from xpnn.distributed.communicator import Communicator
from xpnn.steps.threads import beside_others, one_blas_thread

Measure = Callable[..., dict[str, float]]


def agree(comm: Communicator | None, flag: bool) -> bool:
    """Whether it is so in any process; without others, whether it is so here.

    Examples
    --------
    >>> from xpnn.distributed import in_threads
    >>> in_threads(lambda comm: agree(comm, comm.rank == 1), 2)
    [True, True]
    """
    return flag if comm is None or comm.size == 1 else any(comm.gather(bool(flag)))


def first_says(comm: Communicator | None, measure: Measure) -> Measure:
    """The first process's metrics, by which all go on or stop."""
    if comm is None or comm.size == 1:
        return measure
    return lambda *weights: comm.broadcast(measure(*weights))


def asked_by_any(run: Any, ended: Callable[[], bool], comm: Any) -> Callable[[], bool]:
    """`ended` of every process, as a run's steps tell it: each message of theirs carries it."""
    if comm is None:
        return ended
    run.steps.asks = ended
    return lambda: bool(run.steps.told)


def one_thread_a_product(
    comm: Communicator | None, backend: Backend
) -> AbstractContextManager[Any]:
    """Products in the thread that asks for them, where several processes or threads work.

    Of processes because the bits would follow from how many threads each has, of joblib's threads
    because BLAS lets one product at a time have its own.
    """
    if backend.name != "numpy" or not (comm is not None or beside_others()):
        return nullcontext()
    return one_blas_thread()
