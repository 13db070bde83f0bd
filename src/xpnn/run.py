"""One run on a table, from rows to files: what `xpnn train` and `xpnn predict` do."""

import csv
import io
import json
import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xpnn._version import __version__
from xpnn.estimators import MLPClassifier, MLPRegressor
from xpnn.files.atomic import write_atomic
from xpnn.files.model import save
from xpnn.parts.losses import get_loss
from xpnn.steps.threads import one_blas_thread
from xpnn.tables.preprocessing import Categorical, Preprocessing, Target
from xpnn.tables.problem import Problem, split_rows
from xpnn.tables.read import Table
from xpnn.tables.values import GAPS, parse_column

MODEL, HISTORY, PICTURE = "model.safetensors", "history.json", "learning_curve.png"
_ESTIMATORS: dict[str, Any] = {"classification": MLPClassifier, "regression": MLPRegressor}
_SCORES = {"classification": "accuracy", "regression": "R2"}


# Numbers with noise want a penalty on the weights and little dropout, classes the contrary.
DEFAULTS: dict[str, dict[str, Any]] = {
    "classification": {"dropout": 0.3, "input_dropout": 0.1, "alpha": 0.0001},
    "regression": {"dropout": 0.1, "input_dropout": 0.0, "alpha": 1.0},
}
"""Estimator parameters by task; `HIDDEN` for both."""

HIDDEN = (256, 128)
_SMALL_PRODUCT = 100_000_000


@dataclass(frozen=True)
class Report:
    """What came of a run. Scores are accuracy or R2; `seconds` are those of fit alone."""

    metric: str
    test_score: float
    validation_score: float
    rows: dict[str, int]
    epochs: int
    epochs_asked: int
    batch_size: int
    seconds: float
    parameters: int


def default_batch_size(n_rows: int) -> int:
    """A hundredth of the training rows, from 32 to 1024."""
    return min(n_rows, 1024, max(32, n_rows // 100))


def default_epochs(n_rows: int, batch_size: int) -> int:
    """About 1600 steps, from 40 to 200 epochs."""
    return min(200, max(40, round(1600 * batch_size / n_rows)))


def train_on(
    problem: Problem,
    params: Mapping[str, Any],
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    test_size: float = 0.2,
    callbacks: Iterable[Any] = (),
) -> tuple[Any, Report]:
    """Split a problem's rows, preprocess them, fit an estimator and score it.

    Parameters
    ----------
    problem : Problem
    params : mapping of str to object
        Of `MLPClassifier` or `MLPRegressor`; `DEFAULTS` and `HIDDEN` stand in for the rest.
    epochs, batch_size : int, default=None
        None takes `default_epochs` and `default_batch_size`.
    test_size : float, default=0.2
        Part of the rows; another tenth is for validation.
    callbacks : iterable of callable

    Returns
    -------
    estimator : MLPClassifier or MLPRegressor
        With `preprocessing_`; without a device, so that it runs anywhere.
    report : Report

    Raises
    ------
    TableError
        When there are too few rows.
    DivergedError
        When a weight becomes NaN or infinite.

    Examples
    --------
    >>> from xpnn.tables.problem import make_problem
    >>> from xpnn.tables.read import read_table
    >>> params = {"hidden_layer_sizes": (32,), "random_state": 0}
    >>> estimator, report = train_on(make_problem(read_table("iris")), params)
    >>> report.test_score > 0.8
    True
    """
    task = problem.target.task
    params = {"hidden_layer_sizes": HIDDEN, "dtype": "float32", **DEFAULTS[task], **params}
    train, validation, test = split_rows(problem.y, task, test_size)
    # A rate or a probability (a loss with a link) keeps its unit.
    scaled = (
        task == "regression" and get_loss(params.get("loss", "squared_error")).link == "identity"
    )
    preprocessing = problem.fit_preprocessing(train, scale_target=scaled)
    x = preprocessing.transform(problem.columns).astype(params["dtype"])
    y = preprocessing.scaled_target(problem.y)
    batch_size = min(batch_size or default_batch_size(len(train)), len(train))
    epochs = epochs or default_epochs(len(train), batch_size)
    estimator = _ESTIMATORS[task](
        learning_rate="cosine",
        batch_size=batch_size,
        max_iter=epochs,
        n_iter_no_change=math.inf,
        callbacks=list(callbacks),
    ).set_params(**params)
    start = time.perf_counter()
    widths = (x.shape[1], *params["hidden_layer_sizes"])
    with warnings.catch_warnings(), _few_threads(batch_size, widths):
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iter")
        estimator.fit(x[train], y[train], validation_data=(x[validation], y[validation]))
    seconds = time.perf_counter() - start
    report = Report(
        metric=_SCORES[task],
        test_score=float(estimator.score(x[test], y[test])),
        validation_score=float(estimator.score(x[validation], y[validation])),
        rows={"train": len(train), "validation": len(validation), "test": len(test)},
        epochs=len(estimator.history_["loss"]),
        epochs_asked=epochs,
        batch_size=batch_size,
        seconds=seconds,
        parameters=sum(a.size for a in (*estimator.coefs_, *estimator.intercepts_)),
    )
    estimator.preprocessing_ = preprocessing
    return estimator.set_params(callbacks=None, device=None), report


def _few_threads(batch_size: int, widths: Sequence[int]) -> AbstractContextManager[Any]:
    """One BLAS thread for small products: more are no faster, and far slower on a busy machine.

    Compiled steps have threads of their own, and know that this limit is xpnn's.
    """
    operations = max(2 * batch_size * a * b for a, b in pairwise((*widths, 1)))
    return one_blas_thread() if operations < _SMALL_PRODUCT else nullcontext()


def write_results(folder: Path, estimator: Any, report: Report, **about: Any) -> None:
    """Write the model file and the history, each in full or not at all.

    Parameters
    ----------
    folder : Path
        It must exist.
    estimator : fitted estimator
    report : Report
    **about
        JSON-able things to note in the history file.

    Raises
    ------
    OSError
        When a file cannot be written.

    Examples
    --------
    See `xpnn train`.
    """
    save(estimator, folder / MODEL)
    history = {
        name: [float(v) if math.isfinite(v) else None for v in values]
        for name, values in estimator.history_.items()
    }
    content = {"xpnn": __version__, **about, "result": asdict(report), "history": history}
    write_atomic(folder / HISTORY, (json.dumps(content, indent=1) + "\n").encode())


def predict_csv(estimator: Any, table: Table, *, proba: bool = False) -> tuple[str, str]:
    """Predict a table's target.

    Parameters
    ----------
    estimator : fitted estimator with `preprocessing_`
    table : Table
    proba : bool, default=False
        Whether to add a column ``p(class)`` for each class.

    Returns
    -------
    csv : str
        A line for each row of the table, below a line of names.
    score : str
        Where the table has the target too, a line that says how well it was met; else empty.

    Raises
    ------
    TableError
        For columns that are missing, or text where numbers are expected.

    Examples
    --------
    See `xpnn predict`.
    """
    preprocessing: Preprocessing = estimator.preprocessing_
    # As text, where its spelling counts: 1.234 may be a word, or 1234 beside a decimal comma.
    spelled = [f.name for f in preprocessing.features if isinstance(f, Categorical) or f.style]
    x = preprocessing.transform(table.with_text(spelled)).astype(estimator.dtype or "float32")
    y = preprocessing.inverse_target(estimator.predict(x))
    header, body = [preprocessing.target.name], [y]
    if proba:
        header += [f"p({c})" for c in estimator.classes_]
        body += list(estimator.predict_proba(x).T)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*(_cells(column) for column in body), strict=True))
    return text.getvalue(), _score(table, preprocessing.target, y)


def _cells(column: np.ndarray) -> list[str]:
    """Seven digits, all that float32 has; other values as they are."""
    return [f"{v:.7g}" if isinstance(v, float) else str(v) for v in column.tolist()]


def _score(table: Table, target: Target, y: np.ndarray) -> str:
    if target.name not in table.columns:
        return ""
    if target.task == "classification":
        truth = table.text(target.name)
        labels = set(map(str, y.tolist()))
        known = np.array([t is not None and (t in labels or t.lower() not in GAPS) for t in truth])
        right = np.array([a == str(b) for a, b in zip(truth, y.tolist(), strict=True)])
        value = f"{100 * right[known].mean():.2f} %" if known.any() else ""
    else:
        parsed = parse_column(table.columns[target.name], decimal=table.decimal)
        if parsed.kind != "numeric":
            return ""
        known = ~np.isnan(parsed.values)
        truth, y = parsed.values[known], y[known]
        spread = float(((truth - truth.mean()) ** 2).sum()) if known.any() else 0.0
        value = f"{1 - float(((truth - y) ** 2).sum()) / spread:.4f}" if spread else ""
    if not value:
        return ""
    return f"{_SCORES[target.task]} {value} on {known.sum():,} rows with {target.name!r}"
