"""A fit on the workers of a Dask cluster, as the client steers it."""

import time
from collections.abc import Sequence
from typing import Any

from xpnn._warnings import warn_user
from xpnn.dask.parts import Given, Rows, shards_for
from xpnn.dask.task import Fitted, Order, fit_rows
from xpnn.distributed.door import Door
from xpnn.distributed.workers import Run, WorkerLostError, workers_of
from xpnn.estimators._callbacks import listed
from xpnn.estimators._checkpoint import checkpoints
from xpnn.training.checkpoint import Checkpoint, Keeper, Record

_MEMORY = Checkpoint("the workers' memory", every="5s")  # of a fit without checkpoints of its own
_LOOK = 1.0  # seconds between two looks whether there is a record to be written


class Fit:
    """One call of `fit`.

    Parameters
    ----------
    client : distributed.Client
    estimator : an ordinary estimator of xpnn
    """

    def __init__(self, client: Any, estimator: Any) -> None:
        self.client, self.estimator = client, estimator
        self.workers = workers_of(client)
        self.record: Record | None = None  # the last one that is known here
        self.stateful = any(hasattr(c, "save_state") for c in listed(estimator.callbacks))
        self.held: Rows | None = None

    def __call__(
        self, given: Given, held: Given | None, checkpoint: Any = None, resume: bool = False
    ) -> Any:
        """The fitted estimator, the same bits whatever the number of workers.

        Raises
        ------
        WorkerLostError
            When no worker is left.
        Exception
            What the fit raises, in the worker that fails.
        """
        self.rows = Rows(self.client, given, self.workers)
        if given.lie:
            self.workers = [w for w in self.workers if w in self.rows.holders()] or self.workers
        if held is not None:
            self.held = Rows(self.client, held, self.workers, "validation_data")
        self.shards = shards_for(len(self.workers))  # also of those that are left
        for rows in (self.rows, self.held):
            if rows is not None:
                rows.check(self.shards)
        with checkpoints(checkpoint, resume) as keeper:
            self.record = None if keeper is None else keeper.found
            while True:
                try:
                    return self._once(keeper)
                except WorkerLostError as error:
                    self._without(error)

    def _once(self, keeper: Keeper | None) -> Any:
        """Train on the workers that there are; a WorkerLostError when one dies."""
        workers = self.rows.order(self.workers, self.shards)
        every = _MEMORY if keeper is None else keeper.spec
        order = Order(self.estimator, every, self.record)
        run = Run(self.client, workers)
        writer = None if keeper is None else _Writer(self, run, keeper)
        about = {"rows": "own", "shards": self.shards}
        try:
            run.begin(fit_rows, self._inputs(order, len(workers)), about)
            results = run.results(lambda: None if writer is None else writer.look())
            if writer is not None:
                writer.write()
            return _agreed(results)
        except BaseException as error:
            self._save(run, writer, error)
            raise
        finally:
            run.end()

    def _inputs(self, order: Order, size: int) -> list[tuple[Any, ...]]:
        """What each rank's task is given: the order, its rows, and those to validate on."""

        def shares(rows: Rows | None) -> list[Any]:
            if rows is None:
                return [None] * size
            return rows.of_ranks(size, self.shards)

        mine = zip(shares(self.rows), shares(self.held), strict=True)
        return [(order, own, held) for own, held in mine]

    def _save(self, run: Run, writer: "_Writer | None", error: BaseException) -> None:
        """What is left of a run that has failed, to go on from."""
        alive = run.living()
        if isinstance(error, WorkerLostError):
            alive = [w for w in alive if w not in error.workers]
        if self.stateful:  # what the callbacks keep is the first one's alone
            alive = [w for w in alive if w == run.workers[0]]
        for record in run.ask(_record_of, alive).values() if alive else ():
            if record is not None and _progress(record) > _progress(self.record):
                self.record = record
        if writer is not None:
            writer.add(self.record)

    def _without(self, error: WorkerLostError) -> None:
        """Go on without the workers that are gone, or raise the error."""
        known = self.client.nthreads()
        self.workers = [w for w in self.workers if w in known and w not in error.workers]
        if not self.workers:
            raise error
        where = "from the start" if self.record is None else "from the last checkpoint"
        warn_user(f"{error} Training goes on {where}, with {len(self.workers)} of the workers.")
        for rows in (self.rows, self.held):
            try:
                if rows is not None:
                    rows.locate()
            except RuntimeError as lost:
                raise WorkerLostError(error.workers, str(lost)) from lost


class _Writer:
    """Writes the first rank's records into the user's folder, which the workers need not see."""

    def __init__(self, fit: Fit, run: Run, keeper: Keeper) -> None:
        self.fit, self.run, self.keeper = fit, run, keeper
        self.looked = time.monotonic()

    def look(self) -> None:
        """Write what is new, if it is time for a look."""
        if time.monotonic() - self.looked >= _LOOK:
            self.write()
            self.looked = time.monotonic()

    def write(self) -> None:
        """Write what is new."""
        first = self.run.workers[:1]
        known = _progress(self.fit.record)
        for record in self.run.ask(_Newer(known), first).values():
            self.add(record)

    def add(self, record: Record | None) -> None:
        """Write a record that is newer than the last."""
        if record is None or self.keeper.found is record:
            return
        self.fit.record = self.keeper.found = record
        self.keeper.save(0, 0, lambda: record)


class _Newer:
    """Asks a worker for its record, if that is further than what is known."""

    def __init__(self, known: tuple[int, int]) -> None:
        self.known = known

    def __call__(self, door: Door) -> Record | None:
        """The record, or None."""
        record = _record_of(door)
        return record if _progress(record) > self.known else None


def _record_of(door: Door) -> Record | None:
    found: Record | None = door.kept
    return found


def _progress(record: Record | None) -> tuple[int, int]:
    """How far a record's training is: steps, or evaluations of L-BFGS; and whether it is over."""
    if record is None:
        return -1, 0
    if "points" in record.arrays:
        return len(record.arrays["points"]), int(record.header["stopped"])
    return int(record.header["state"]["step"]), int(record.header["run"]["settled"] != "finished")


def _agreed(results: Sequence[Fitted]) -> Any:
    """The first rank's estimator; all have to have the same parameters."""
    if len({r.marks for r in results}) > 1:
        raise RuntimeError(
            "The workers have different networks: do all have the same processor, NumPy and xpnn?"
        )
    for message, category in results[0].warned:
        warn_user(message, category)
    return results[0].estimator
