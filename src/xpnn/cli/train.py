"""`xpnn train`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from xpnn.cli import options as opt
from xpnn.cli.blocks import Job, block_job, refuse
from xpnn.cli.errors import one_line_errors
from xpnn.cli.options import UsageError
from xpnn.cli.reading import UNSAID, Reading, read_as_asked, reads_tables
from xpnn.cli.shared import about, parameters

if TYPE_CHECKING:
    from xpnn.distributed.communicator import Communicator
    from xpnn.tables.problem import Problem
    from xpnn.tables.read import Table
    from xpnn.training.checkpoint import Checkpoint


@reads_tables
def train(
    source: opt.Source,
    more: opt.More = None,
    target: opt.Targets = None,
    task: opt.Task = None,
    drop: opt.Drop = None,
    device: opt.Device = None,
    hidden: opt.Hidden = None,
    members: opt.Members = None,
    embedding: opt.Embedding = "auto",
    loss: opt.Loss = None,
    quantiles: opt.Quantiles = None,
    class_weight: opt.ClassWeight = "none",
    epochs: opt.Epochs = None,
    time_limit: opt.TimeLimit = None,
    seed: opt.Seed = 0,
    dtype: opt.DType = "float32",
    test_size: opt.TestSize = 0.2,
    test: opt.TestFile = None,
    group: opt.GroupColumn = None,
    time: opt.TimeColumn = None,
    refit: opt.Refit = False,
    checkpoint: opt.CheckpointDir = None,
    every: opt.Every = "5min",
    resume: opt.Resume = False,
    mpi: opt.Mpi = False,
    out: opt.Out = None,
    how: Reading = UNSAID,
    quiet: opt.Quiet = False,
) -> None:
    """Train networks on a table; leave a model file, its history and a learning curve."""
    with one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.command import show
        from xpnn.command import train as run
        from xpnn.command.blocks import several_files
        from xpnn.tables.problem import make_problem
        from xpnn.training.callbacks import ProgressBar

        given = {
            k: v
            for k, v in (locals() | how._asdict()).items()
            if isinstance(v, str | int | float | list)
        }
        comm, speaks = _processes() if mpi else (None, True)
        quiet = quiet or not speaks
        say: Callable[[str], None] = (lambda _: None) if quiet else typer.echo
        opt.within("--test-size", test_size, 0, 0.9, True)
        if task is not None:
            opt.one_of("--task", task, ("classification", "regression"))
        keep = _checkpoint(checkpoint, every, resume)
        params = parameters(hidden, members, embedding, epochs, time_limit, seed, dtype)
        backend = get_backend(device)
        params["device"] = backend.name
        paths = several_files(source, more or [])
        if paths:
            elsewhere: dict[str, Any] = {"test": test, "group": group, "time": time, "refit": refit}
            refuse(paths[0], elsewhere | how._asdict())
            job = block_job(paths, target, task, drop or [], test_size, seed, quiet=quiet)
        else:
            table = read_as_asked(source, how, quiet=quiet)
            problem = make_problem(table, target, task, drop or [])
            job = _table_job(source, table, problem, (test_size, test, group, time), how, refit)
        params |= _of_task(job.task, job.several, loss, quantiles, class_weight)
        folder = out or run.folder_for(job.name, source)
        if speaks:
            folder.mkdir(parents=True, exist_ok=True)
        if not quiet:
            lines = [f"device  {backend.name}, {dtype}", *job.lines]
            params["callbacks"] = [_Header(lines), ProgressBar()]
        together = {"comm": comm} if mpi else {}
        estimator, report = job.run(params, checkpoint=keep, resume=resume, **together)
        if speaks:
            say(f"\n{show.result(report)}\n")
            options = {**given, "device": backend.name, "path": run.place_of(source)}
            run.write_results(folder, estimator, report, job.notes, options)
            say(f"wrote   {folder / run.MODEL}\nwrote   {folder / run.HISTORY}")
            say(_draw(folder / run.PICTURE, estimator, job.name))
        if estimator.outcome_ == "interrupted":
            raise typer.Exit(130)  # a shell's exit status after Ctrl-C


def _processes() -> "tuple[Communicator, bool]":
    """The processes of mpiexec, and whether this is the one that speaks and writes."""
    from xpnn.distributed import mpi

    comm = mpi()
    return comm, comm.rank == 0


def _checkpoint(folder: Path | None, every: str, resume: bool) -> "Checkpoint | None":
    """What the options of checkpoints stand for."""
    from xpnn.training.checkpoint import Checkpoint

    if folder is None and resume:
        raise UsageError("--resume goes on from a checkpoint: give its folder, --checkpoint DIR.")
    try:
        return None if folder is None else Checkpoint(folder, every)
    except ValueError as error:
        raise UsageError(f"--every: {error}") from error


def _table_job(
    source: str,
    table: "Table",
    problem: "Problem",
    test: tuple[float, str | None, str | None, str | None],
    how: Reading,
    refit: bool,
) -> Job:
    """What is to be done with a table in memory."""
    from xpnn.command.train import train_on

    rows, other, groups = _split(table, problem, *test, how)
    return Job(
        task=problem.target.task,
        several=bool(problem.targets),
        name=table.name,
        lines=list(about(source, table.n_rows, problem)),
        notes=list(problem.notices),
        run=lambda params, **to: train_on(
            problem, params, *rows, other=other, groups=groups, refit=refit, **to
        ),
    )


def _of_task(
    task: str, several: bool, loss: str | None, quantiles: str | None, class_weight: str
) -> dict[str, Any]:
    """Those of one task; for the other they are told."""
    opt.one_of("--class-weight", class_weight, opt.CLASS_WEIGHTS)
    named = None if loss is None else opt.loss_of(loss, task)
    if task == "classification":
        if quantiles is not None:
            told = f"--quantiles {quantiles} is for a regression"
            raise UsageError(f"{told}; the target holds classes.")
        return {"class_weight": None if class_weight == "none" else class_weight}
    if class_weight != "none":
        raise UsageError("--class-weight is for classes; the target holds numbers.")
    if quantiles is None:
        return {} if named is None else {"loss": named}
    if loss is not None or several:
        raise UsageError("--quantiles have a loss of their own and are of one target.")
    return {"quantiles": opt.levels(quantiles)}


def _split(
    table: "Table",
    problem: "Problem",
    test_size: float,
    test: str | None,
    group: str | None,
    time: str | None,
    how: Reading,
) -> tuple[Any, "Problem | None", Any]:
    """Training and test rows; the problem of the latter if it is another table's; all's groups."""
    from xpnn.command import splits

    if sum(v is not None for v in (test, group, time)) > 1:
        raise UsageError("--test, --group and --time each say which rows are tested: give one.")
    if test is not None:
        expected = [*problem.columns]
        return (*splits.split_by_file(problem, read_as_asked(test, how, expected=expected)), None)
    if group is not None or time is not None:
        column = splits.column_of(table, problem, str(group or time))
        by = splits.split_by_groups if group is not None else splits.split_by_time
        rows = by(column, test_size)
        splits.check_training(problem, rows[0], str(group or time))
        return rows, None, None if group is None else splits.names_of(column, rows[0])
    return splits.split_evenly(problem.y, problem.target.task, test_size), None, None


class _Header:
    """Prints lines when training begins: an error of the data or the options comes alone."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = lines

    def on_begin(self, epochs: int) -> None:
        for line in self.lines:
            typer.echo(line)
        self.lines = ()

    def __call__(self, end: object) -> None:
        """Nothing after an epoch."""


def _draw(path: Path, estimator: Any, name: str) -> str:
    from xpnn.plotting import plot_history

    try:
        plot_history(estimator, path, title=name)
    except (ImportError, ValueError) as error:  # no epoch was finished
        return f"note    no {path.name}. {error}"
    return f"wrote   {path}"
