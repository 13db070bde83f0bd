"""One training on a table, from rows to files."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from xpnn._version import __version__
from xpnn.command.scores import baseline, class_scores, confusion, number_scores
from xpnn.distributed.communicator import Communicator
from xpnn.files.atomic import write_atomic
from xpnn.files.model import IN_FOLDER, save
from xpnn.tables.problem import Problem
from xpnn.training.checkpoint import Checkpoint

MODEL, HISTORY, PICTURE = IN_FOLDER, "history.json", "learning_curve.png"
MAIN = {"classification": "accuracy", "regression": "R2"}
"""The score that stands first."""

_GIVEN_AWAY = 0.98
_FEW_COLUMNS = 30  # whose importances are repeated
_MOST_WORK = 1_000_000  # columns times inputs: their importances take some seconds


@dataclass(frozen=True)
class Report:
    """What came of a training. `seconds` are those of fit alone."""

    test: dict[str, float]
    validation: dict[str, float]
    baseline: dict[str, float]
    rows: dict[str, int]
    epochs: int
    seconds: float
    parameters: int
    confusion: list[list[int]] | None = None
    classes: list[Any] | None = None
    tested: list[int] = field(default_factory=list)
    """The test rows, counted from 1 below the names; of the test's own file if there is one."""
    notes: list[str] = field(default_factory=list)


def make_estimator(task: str, params: Mapping[str, Any]) -> Any:
    """An unfitted tabular estimator.

    Parameters
    ----------
    task : {"classification", "regression"}
    params : mapping of str to object
    """
    from xpnn.tabular.classifier import TabularClassifier
    from xpnn.tabular.regressor import TabularRegressor

    return (TabularClassifier if task == "classification" else TabularRegressor)(**params)


def train_on(
    problem: Problem,
    params: Mapping[str, Any],
    train: np.ndarray,
    test: np.ndarray,
    *,
    other: Problem | None = None,
    groups: np.ndarray | None = None,
    refit: bool = False,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    comm: Communicator | None = None,
) -> tuple[Any, Report]:
    """Fit a tabular estimator and score it.

    Parameters
    ----------
    params : mapping of str to object
        Of `TabularClassifier` or `TabularRegressor`.
    train, test : ndarray of int
        Rows.
    other : Problem, default=None
        Where the test rows are, if not in `problem`.
    groups : ndarray of shape (n,), default=None
        Of all rows: those of one group are in one fold.
    refit : bool, default=False
        Whether the estimator is fitted on all rows once more, after the test; not if Ctrl-C has
        ended the first fit.
    checkpoint : Checkpoint, default=None
        Where to leave checkpoints; those of the second fit lie in its folder ``refit``.
    resume : bool, default=False
        Whether to go on from there.
    comm : Communicator, default=None
        Processes that train together; each has all rows.

    Returns
    -------
    estimator : TabularClassifier or TabularRegressor
        With `target_name_` and importances; without a device, so that it runs anywhere.
    report : Report

    Raises
    ------
    TableError
        For a value that cannot be read.
    DivergedError
        When a weight becomes NaN or infinite.

    Examples
    --------
    >>> from xpnn.command.splits import split_evenly
    >>> from xpnn.tables.problem import make_problem
    >>> from xpnn.tables.read import read_table
    >>> problem = make_problem(read_table("iris"))
    >>> rows = split_evenly(problem.y, "classification", 0.2)
    >>> _, report = train_on(problem, {"random_state": 0, "epochs": 40}, *rows)
    >>> report.test["accuracy"] > 0.8
    True
    """
    task = problem.target.task
    estimator = make_estimator(task, params)
    how: dict[str, Any] = {"resume": resume, "comm": comm}
    own = None if groups is None else groups[train]
    estimator.fit(problem.frame(train), problem.y[train], None, own, checkpoint=checkpoint, **how)
    held = problem if other is None else other
    report = _report(estimator, problem, problem.y[train], held, test)
    if refit and estimator.outcome_ != "interrupted":
        if checkpoint is not None:
            checkpoint = replace(checkpoint, path=Path(checkpoint.path, "refit"))
        X = problem.frame(np.arange(len(problem.y)))
        estimator.fit(X, problem.y, None, groups, checkpoint=checkpoint, **how)
        _importance(estimator)
    estimator.target_name_ = list(problem.targets) or problem.target.name
    return estimator.set_params(callbacks=None, device=None, verbose=False), report


def _report(est: Any, problem: Problem, y: np.ndarray, held: Problem, test: np.ndarray) -> Report:
    truth, X, task = held.y[test], held.frame(test), problem.target.task
    found = np.asarray(est.predict(X) if task == "regression" else est.predict_proba(X))
    report = report_of(est, task, (y, est.oof_prediction_), (truth, found), problem.targets)
    about = _new_labels(truth, np.asarray(report.classes or ()))
    about += _given_away(report.validation[MAIN[task]], _importance(est))
    tested = (np.flatnonzero(held.present)[test] + 1).tolist()
    return replace(report, tested=tested, notes=about)


def report_of(
    est: Any,
    task: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    names: Sequence[str] = (),
) -> Report:
    """Scores of rows out of fold and of the test: of each the truth, and numbers or probabilities.

    `names` are those of several targets.
    """
    classes, table = np.asarray(getattr(est, "classes_", ())), None
    if task == "regression":
        validation, scores = (number_scores(*rows, names) for rows in (train, test))
    else:
        labels = [classes[found.argmax(axis=1)] for _, found in (train, test)]
        validation, scores = (
            class_scores(truth, own, found, classes)
            for (truth, found), own in zip((train, test), labels, strict=True)
        )
        table = confusion(test[0], labels[1], classes)
    return Report(
        test=scores,
        validation=validation,
        baseline=baseline(task, train[0], test[0], classes, names),
        rows={"train": len(train[0]), "test": len(test[0])},
        epochs=len(est.history_.get("loss", ())),
        seconds=est.fit_time_,
        parameters=est.network_.layout.size,
        confusion=table,
        classes=classes.tolist() or None,
    )


def _new_labels(truth: np.ndarray, classes: np.ndarray) -> list[str]:
    """A note on test rows of classes that training had not, which no model can tell."""
    new = truth[~np.isin(truth, classes)] if len(classes) else truth[:0]
    if not len(new):
        return []
    rows = "test row has" if len(new) == 1 else "test rows have"
    shown = ", ".join(map(repr, np.unique(new)[:3].tolist()))
    return [f"{len(new):,} {rows} classes that training had not ({shown}): always wrong"]


def _importance(est: Any) -> dict[str, tuple[float, float]] | None:
    """What each column is worth; None where that takes minutes."""
    n = len(est.encoding_.columns)
    if n * est.network_.n_in > _MOST_WORK:
        return None
    found: dict[str, tuple[float, float]] = est.feature_importance(
        n_repeats=3 if n <= _FEW_COLUMNS else 1
    )
    return found


def _given_away(score: float, importance: Mapping[str, tuple[float, float]] | None) -> list[str]:
    """A note where one column tells nearly all: it may be known only after the target."""
    if importance is None:
        return ["importances of so many columns take minutes: xpnn explain MODEL FILE has them"]
    if not importance:
        return ["no column says anything of the target: all were left out"]
    (name, (first, _)), *rest = importance.items()
    others = sum(max(mean, 0.0) for _, (mean, _) in rest)
    if not (rest and score > _GIVEN_AWAY and first > 10.0 * others):
        return []
    return [f"{name!r} alone gives the answer away: is it known before the target is? Else --drop"]


def folder_for(name: str, source: str) -> Path:
    """Where results go if nobody says: apart from those of another table of the same name.

    Parameters
    ----------
    name : str
        The table's.
    source : str
        What was given to the command.
    """
    where = place_of(source)
    for i in range(1, 1000):
        folder = Path("xpnn-out", name if i == 1 else f"{name}-{i}")
        try:
            known = json.loads((folder / HISTORY).read_text("utf-8"))["options"]["path"]
        except (OSError, ValueError, LookupError, TypeError):
            return folder
        if known == where:
            return folder
    return folder


def place_of(source: str) -> str:
    """A file's whole path; other sources as they are."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def write_results(
    folder: Path, estimator: Any, report: Report, notes: Iterable[str], options: Mapping[str, Any]
) -> None:
    """Write the model file and the history, each in full or not at all.

    Parameters
    ----------
    folder : Path
        It must exist.
    estimator : fitted estimator
    notes : iterable of str
        What was decided of the table.
    options : mapping of str to JSON-able objects
        Those of the command.
    """
    save(estimator, folder / MODEL)
    curves = {
        name: [float(v) if math.isfinite(v) else None for v in values]
        for name, values in estimator.history_.items()
    }
    content = {
        "xpnn": __version__,
        "target": estimator.target_name_,
        "columns": [c.name for c in estimator.encoding_.columns],
        "left out": estimator.encoding_.left_out,
        "notes": list(notes),
        "options": dict(options),
        "result": asdict(report),
        "importance": estimator.importance_ if hasattr(estimator, "importance_") else {},
        "valleys": {str(k): v for k, v in estimator.valleys_.items()},
        "history": curves,
    }
    text = json.dumps(_finite(content), indent=1) + "\n"
    write_atomic(folder / HISTORY, text.encode())


def _finite(value: Any) -> Any:
    """JSON has no NaN: None stands for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value
