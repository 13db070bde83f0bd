"""Processes that are the workers of a Dask cluster: one pinned task on each, at the same time.

The client has each worker listen (`client.run`, which waits for no task), tells each task where
the others are, and looks after them: what ends one ends all. Tasks leave Dask's pool of threads
(`secede`), so that two trainings on the same workers never wait for one another.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from xpnn._optional import needed
from xpnn.distributed.communicator import RemoteError
from xpnn.distributed.door import Door, EndedError
from xpnn.distributed.sockets import SocketCommunicator

_EVERY = 0.5  # seconds between two looks at the workers
_GRACE = 5.0  # seconds in which those that end with another say so
_DOORS: dict[tuple[str, str], Door] = {}  # in a worker: by secret and the worker's address


class WorkerLostError(RuntimeError):
    """Workers of a Dask cluster have died, or cannot be reached.

    Attributes
    ----------
    workers : tuple of str
        Their addresses.
    """

    def __init__(self, workers: Sequence[str], text: str = "") -> None:
        names, are = ", ".join(workers), "worker is" if len(workers) == 1 else "workers are"
        super().__init__(f"The {are} gone: {names}. {text}".strip())
        self.workers, self.text = tuple(workers), text

    def __reduce__(self) -> Any:
        return type(self), (self.workers, self.text)


def distributed() -> Any:
    """The package `distributed`, or an ImportError that says how to get it."""
    return needed("distributed", "Work on Dask's workers", "'dask[distributed]'")


def chosen_client(client: Any) -> Any:
    """The client that was given, or the one that was made last."""
    module = distributed()
    if client is None:
        try:
            return module.get_client()
        except ValueError as error:
            raise ValueError(
                "There is no Dask client: make one, as by client = dask.distributed.Client(), or "
                "pass it as client=."
            ) from error
    if not isinstance(client, module.Client):
        raise TypeError(f"client must be a dask.distributed.Client or None, got {client!r}.")
    return client


def workers_of(client: Any) -> list[str]:
    """The addresses of a client's workers, in order; a ValueError where there are none."""
    return some(sorted(client.nthreads()))


def some(workers: Sequence[str]) -> list[str]:
    """These workers; a ValueError where there are none."""
    if not workers:
        raise ValueError("The Dask cluster has no workers: start some, and wait for them.")
    return list(workers)


def on_workers(
    work: Callable[..., Any],
    client: Any = None,
    *,
    workers: Sequence[str] | None = None,
    inputs: Sequence[tuple[Any, ...]] | None = None,
    **about: Any,
) -> list[Any]:
    """Call ``work(comm)`` on the workers of a Dask cluster, one task on each at the same time.

    Parameters
    ----------
    work : callable (Communicator, *inputs) -> object
    client : distributed.Client, default=None
        None is the one that was made last.
    workers : sequence of str, default=None
        Addresses, in the order of ranks; None is all workers that there are.
    inputs : sequence of tuples, default=None
        Further arguments for each rank; futures among them are moved to its worker.
    **about
        Of `Communicator`: rows, shards, deterministic.

    Returns
    -------
    list
        What each returned, by rank.

    Raises
    ------
    WorkerLostError
        When a worker dies, with its address; all others end within seconds.
    Exception
        The first failing rank's own.

    Examples
    --------
    >>> on_workers(lambda comm: comm.rank, client)  # doctest: +SKIP
    [0, 1]
    """
    client = chosen_client(client)
    run = Run(client, workers_of(client) if workers is None else workers)
    try:
        run.begin(work, inputs, about)
        return run.results()
    finally:
        run.end()


class Run:
    """One task on each of some workers, as the client sees them.

    Parameters
    ----------
    client : distributed.Client
    workers : sequence of str
        Addresses, in the order of ranks.
    """

    def __init__(self, client: Any, workers: Sequence[str]) -> None:
        workers = some(workers)
        if client.asynchronous:
            raise ValueError("The Dask client is asynchronous: pass one that is not.")
        self.client, self.workers = client, workers
        self.secret, self.futures = secrets.token_hex(16), list[Any]()
        self.gone: set[str] = set()

    def begin(
        self,
        work: Callable[..., Any],
        inputs: Sequence[tuple[Any, ...]] | None,
        about: dict[str, Any],
    ) -> None:
        """Have the workers listen, and submit their tasks."""
        doors = self.client.run(_listen, self.secret, workers=self.workers)
        addresses = [doors[w] for w in self.workers]
        for rank, worker in enumerate(self.workers):
            future = self.client.submit(
                _take_part,
                work,
                self.secret,
                (rank, addresses, self.workers),
                about,
                *(() if inputs is None else inputs[rank]),
                workers=[worker],
                allow_other_workers=False,
                pure=False,
                key=f"xpnn-{self.secret[:8]}-{rank}",
            )
            self.futures.append(future)

    def living(self) -> list[str]:
        """Those of the workers that the scheduler knows, and that nobody has missed."""
        known = self.client.nthreads()
        return [w for w in self.workers if w in known and w not in self.gone]

    def results(self, look: Callable[[], None] = lambda: None) -> list[Any]:
        """Wait for all; `look` is called now and then.

        Raises
        ------
        WorkerLostError, Exception
            See `on_workers`.
        """
        until = float("inf")
        while not all(f.done() for f in self.futures):
            alive = self.living()
            failed = any(f.status in ("error", "cancelled", "lost") for f in self.futures)
            if failed or len(alive) < len(self.workers):
                until = min(until, time.monotonic() + _GRACE)
                both = zip(self.futures, self.workers, strict=True)
                if time.monotonic() > until or all(f.done() or w not in alive for f, w in both):
                    break
            else:  # who asks a worker that has just died waits for half a minute
                look()
            self._wait()
        self._raise()
        return list(self.client.gather(self.futures))

    def _wait(self) -> None:
        module, waiting = distributed(), [f for f in self.futures if not f.done()]
        try:
            module.wait(waiting, timeout=_EVERY, return_when="FIRST_COMPLETED")
        except (TimeoutError, module.TimeoutError):
            return
        except module.client.CancelledError:
            time.sleep(0.05)  # told by the futures themselves

    def _raise(self) -> None:
        """The error that ended all, if any."""
        errors = {r: f.exception() for r, f in enumerate(self.futures) if f.status == "error"}
        alive = self.living()
        gone = self.gone = {w for w in self.workers if w not in alive}
        for rank, error in errors.items():
            if isinstance(error, RemoteError) and not _tells(errors.get(error.rank)):
                gone.add(self.workers[error.rank])
            elif isinstance(error, WorkerLostError):
                gone.update(error.workers)
            elif _tells(error):
                error.add_note(f"On the Dask worker {self.workers[rank]}, rank {rank}.")
                raise error
        if gone:
            raise WorkerLostError([w for w in self.workers if w in gone])
        for future in self.futures:
            if future.status in ("cancelled", "lost"):
                raise RuntimeError(
                    "Dask has lost what the training needs: data that lay on a worker that is "
                    "gone, and that no task can compute again; or the client has restarted."
                )

    def ask(self, question: Callable[..., Any], workers: Sequence[str]) -> dict[str, Any]:
        """What each of some workers says of its door, without waiting for its task."""
        found: dict[str, Any] = self.client.run(
            _asked, self.secret, question, workers=list(workers), on_error="ignore"
        )
        return found

    def end(self, why: str = "it is over") -> None:
        """Take back all tasks, and end those that are still at work."""
        with suppress(OSError):  # the scheduler is gone too
            alive = self.living()
            if alive:
                self.client.run(_end, self.secret, why, workers=alive, on_error="ignore")
            self.client.cancel(self.futures, force=True)


def _tells(error: Any) -> bool:
    """Whether an error says itself what is wrong."""
    return error is not None and not isinstance(error, RemoteError | EndedError | WorkerLostError)


# -- in a worker ----------------------------------------------------------------------------------


def _listen(secret: str, dask_worker: Any) -> tuple[str, int]:
    from distributed.comm.addressing import get_address_host

    door = Door(get_address_host(dask_worker.address), secret.encode())
    _DOORS[secret, dask_worker.address] = door
    return door.address


def _asked(secret: str, question: Callable[..., Any], dask_worker: Any) -> Any:
    door = _DOORS.get((secret, dask_worker.address))
    return None if door is None else question(door)


def _end(secret: str, why: str, dask_worker: Any) -> None:
    door = _DOORS.pop((secret, dask_worker.address), None)
    if door is not None:
        door.end(why)


def _take_part(
    work: Callable[..., Any],
    secret: str,
    place: tuple[int, list[Any], list[str]],
    about: dict[str, Any],
    *inputs: Any,
) -> Any:
    module, (rank, addresses, names) = distributed(), place
    door = _DOORS.get((secret, module.get_worker().address))
    if door is None:  # another process, started at the same address after that one died
        raise WorkerLostError([names[rank]], "Another process has taken its place.")
    module.secede()
    names = [f"the Dask worker {name}" for name in names]
    comm = SocketCommunicator(rank, addresses, door, names, **about)
    try:
        with comm.together():
            return work(comm, *inputs)
    finally:
        comm.close()
