"""One training on a folder of files, or several files, which need not fit in memory."""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xpnn.blocks import Blocks
from xpnn.blocks.hashing import chosen
from xpnn.command.train import Report, make_estimator, report_of
from xpnn.tables.columns import TableError, hint
from xpnn.tables.problem import default_target
from xpnn.tables.read import Table
from xpnn.tables.targets import read_target


class BlockProblem(NamedTuple):
    """Rows in blocks, and their target."""

    blocks: Blocks
    y: np.ndarray
    present: np.ndarray  # which rows have a target
    name: str  # of the target
    task: str
    notes: list[str]


def several_files(source: str, more: Sequence[str] = ()) -> list[Path]:
    """The folder or files that a command was given; empty for one file or anything else.

    Parameters
    ----------
    source : str
        A folder, a file, or a pattern such as ``year=*/*.parquet``.
    more : sequence of str
        More files, as a shell makes of a pattern.

    Examples
    --------
    >>> several_files("iris")
    []
    """
    if more:
        return [Path(source), *map(Path, more)]
    if Path(source).is_dir():
        return [Path(source)]
    if Path(source).exists() or not glob.has_magic(source):
        return []
    found = sorted(map(Path, glob.glob(source, recursive=True)))
    if not found:
        raise TableError(f"There are no files {source}.")
    return found


def open_problem(
    paths: Sequence[Path], target: str | None, task: str | None, drop: Sequence[str]
) -> BlockProblem:
    """Open files as blocks, and read their target.

    Parameters
    ----------
    target, task : str, default=None
        None tells it by names and values, as for a table in memory.
    drop : sequence of str
        Columns that are not used.
    """
    given: Any = str(paths[0]) if len(paths) == 1 else list(paths)
    try:
        blocks = Blocks(given)
    except (ValueError, OSError) as error:
        raise TableError(str(error)) from error
    names = list(blocks.feature_names or ())
    if not names:
        raise TableError(f"{paths[0]} has no names of columns: use xpnn.data.Blocks in Python.")
    for name in [*drop, *([] if target is None else [target])]:
        if name not in names:
            raise TableError(f"There is no column {name!r}{hint(name, names)}.")
    if target is None:
        empty = {name: np.empty(0) for name in names}
        target = default_target(Table("blocks", empty), drop)
    features = [name for name in names if name != target and name not in drop]
    blocks = blocks.select(features, target)
    found = [blocks.read_targets(*rows)[0] for rows in blocks.bounds()]
    column = np.concatenate([a for a in found if a is not None])
    column = column.astype(float if column.dtype.kind in "biuf" else object)
    y, present, task, notes = read_target(Table("blocks", {target: column}), target, task)
    return BlockProblem(blocks, y, present, target, task, notes)


def test_rows(problem: BlockProblem, test_size: float, seed: int) -> np.ndarray:
    """The rows with a target that a hash of their numbers chooses, as a mask."""
    test: np.ndarray = chosen(0, problem.blocks.n_rows, test_size, seed) & problem.present
    if not test.any() or (test == problem.present).all():
        raise TableError(f"--test-size {test_size} leaves no rows to train on, or none to test.")
    return test


def train_on_blocks(
    problem: BlockProblem, params: Mapping[str, Any], test: np.ndarray, **how: Any
) -> tuple[Any, Report]:
    """Fit a tabular estimator and score it on some of the rows.

    Parameters
    ----------
    params : mapping of str to object
    test : ndarray of bool, shape (n_rows,)
    **how
        For `fit`: checkpoint, resume.

    Returns
    -------
    estimator : TabularClassifier or TabularRegressor
    report : Report
    """
    blocks, y, present = problem.blocks, problem.y, problem.present
    train = present & ~test
    estimator = make_estimator(problem.task, params)
    filled = np.where(present, y, y[np.flatnonzero(present)[0]])
    rows = blocks.without_targets()
    estimator.fit(rows, filled, sample_weight=train.astype(np.float32), **how)
    # out of fold: no member has seen a test row, and of the others some have not
    found = estimator.oof_prediction_
    report = report_of(estimator, problem.task, (y[train], found[train]), (y[test], found[test]))
    estimator.target_name_ = problem.name
    return estimator.set_params(callbacks=None, device=None, verbose=False), report
