"""`xpnn train` of a folder or several files: what is to be done, and what cannot be asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from xpnn.cli.options import UsageError


class Job(NamedTuple):
    """A training that is prepared."""

    task: str
    several: bool  # targets
    name: str
    lines: list[str]  # what is said of the data
    notes: list[str]
    run: Callable[..., Any]  # (params, checkpoint=, resume=) -> estimator, report


def refuse(path: Path, given: Mapping[str, Any]) -> None:
    """Say which options go with one table in memory alone."""
    for name, value in given.items():
        if value not in (None, False, []):
            raise UsageError(
                f"--{name} is for one file that fits in memory; {path} is read block by block, and "
                "its test rows are chosen by a hash of their numbers."
            )


def block_job(
    paths: Sequence[Path],
    targets: Sequence[str] | None,
    task: str | None,
    drop: Sequence[str],
    test_size: float,
    seed: int,
    *,
    quiet: bool,
) -> Job:
    """What is to be done with files that need not fit in memory.

    Raises
    ------
    TableError
        For files that cannot be read so.
    """
    from xpnn.command.blocks import open_problem, test_rows, train_on_blocks

    if targets and len(targets) > 1:
        raise UsageError("several --target are for one file that fits in memory; give one.")
    if not quiet:
        typer.echo(f"opening {paths[0]} ...", err=True)
    problem = open_problem(paths, targets[0] if targets else None, task, drop)
    test = test_rows(problem, test_size, seed)
    n, k = problem.blocks.n_rows, problem.blocks.n_features
    what = problem.task
    if what == "classification":
        what += f" into {len(set(problem.y[problem.present].tolist()))} classes"
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    head = f"data    {paths[0]}{more}: {n:,} rows, {k} columns in blocks; {what}, target "
    return Job(
        task=problem.task,
        several=False,
        name=paths[0].stem,
        lines=[f"{head}{problem.name!r}", *(f"note    {note}" for note in problem.notes)],
        notes=problem.notes,
        run=lambda params, **how: train_on_blocks(problem, params, test, **how),
    )
