"""Predictions for a table, as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np

from xpnn.blocks.opening import files_below
from xpnn.command.blocks import several_files
from xpnn.command.scores import class_scores, number_scores, shown
from xpnn.command.train import MAIN
from xpnn.tables.columns import TableError
from xpnn.tables.encoding import unknown_words
from xpnn.tables.frames import Frame
from xpnn.tables.gaps import GAPS
from xpnn.tables.kinds import Words
from xpnn.tables.read import Table
from xpnn.tables.strays import told_empty, told_strays
from xpnn.tables.values import parse_as

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class Model(NamedTuple):
    """An estimator and what is known of its table."""

    estimator: Any
    targets: list[str]
    features: list[str]

    @property
    def expected(self) -> list[str]:
        """Names of a table's columns, the targets' last."""
        return [*self.features, *self.targets]

    @property
    def task(self) -> str:
        """Classification or regression."""
        return "classification" if hasattr(self.estimator, "classes_") else "regression"

    def inputs(self, table: Table) -> Frame:
        """What the estimator's `predict` takes."""
        # as text, where its spelling counts: 1.234 may be a word, or 1234
        columns = self.estimator.encoding_.columns
        for name in (c.name for c in columns if c.name not in table.columns):
            raise table.lacking(name, "lacks the column {}, known in training")
        spelled = [c.name for c in columns if isinstance(c, Words) or c.style]
        found = table.with_text(spelled)
        for c in columns:
            if table.decimal is not None and c.kind == "numeric":
                style = table.as_named(c.style)
                found[c.name] = parse_as(found[c.name], c.kind, style, c.name)
        return Frame(found)


def files_to_predict(source: str) -> list[str]:
    """The files that a folder or a pattern names, in order; one file or bundled table is itself."""
    found = several_files(source)
    if not found:
        return [source]
    files = [f for path in found for f in (files_below(path) if path.is_dir() else [path])]
    if not files:
        raise TableError(f"The folder {source!r} is empty; name one with tables to predict.")
    return list(map(str, files))


def with_folders(table: Table, source: str) -> Table:
    """A table with the columns that its folders' names give, as in ``year=2024/part.parquet``."""
    pairs = (part.split("=", 1) for part in Path(source).parts[:-1] if "=" in part)
    values = {name: unquote(value) for name, value in pairs}
    more = {
        name: np.full(table.n_rows, None if value == _NO_VALUE else value, dtype=object)
        for name, value in values.items()
        if name not in table.columns
    }
    return replace(table, columns=table.columns | more)


def model_of(estimator: Any, where: str) -> Model:
    """An estimator from a file, if it knows how a table becomes its input.

    Parameters
    ----------
    estimator : fitted estimator
    """
    if not hasattr(estimator, "encoding_"):
        raise ValueError(
            f"{where} has a {type(estimator).__name__}, and nothing says how a table becomes its "
            "input; fit a TabularClassifier or a TabularRegressor."
        )
    names = [c.name for c in estimator.encoding_.columns]
    target = getattr(estimator, "target_name_", "prediction")
    return Model(estimator, [target] if isinstance(target, str) else target, names)


def predict_csv(
    model: Model,
    table: Table,
    *,
    proba: bool = False,
    interval: float | None = None,
    keep: Sequence[str] = (),
    mark: str = ",",
) -> tuple[str, list[str]]:
    """Predict a table's target.

    Parameters
    ----------
    proba : bool, default=False
        Whether to add a column ``p(class)`` for each class.
    interval : float, default=None
        Whether to add the bounds of an interval with this probability.
    keep : sequence of str
        Columns of the table to write before the predictions, which have another name where the
        target is among them.
    mark : str, default=","
        What stands between values.

    Returns
    -------
    csv : str
        A line for each row of the table, below a line of names.
    told : list of str
        What a user should know: words unknown in training; where the table has the target too,
        how well it was met.
    """
    for name in keep:
        if name not in table.columns:
            raise table.lacking(name)
    est, inputs = model.estimator, model.inputs(table)
    probability = None
    if model.task == "classification":
        probability = np.asarray(est.predict_proba(inputs))
        y = np.asarray(est.classes_[probability.argmax(axis=1)])
    else:
        y = np.asarray(est.predict(inputs))
    columns: list[tuple[str, Any]] = [(name, table.text(name)) for name in keep]
    names = [f"{name} predicted" if name in keep else name for name in model.targets]
    columns += zip(names, y.reshape(len(y), -1).T, strict=True)
    if proba and probability is not None:
        named = zip(est.classes_, probability.T, strict=True)
        columns += [(f"p({c})", column) for c, column in named]
    columns += _bounds(model, inputs, interval)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, lineterminator="\n")
    writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*(_cells(column) for _, column in columns), strict=True))
    told = [f"note    {note}" for note in table.notes]
    return text.getvalue(), [*told, *_unknown(est, inputs), *_score(model, table, y, probability)]


def _bounds(model: Model, inputs: Any, interval: float | None) -> Iterator[tuple[str, np.ndarray]]:
    """The quantiles that the model has learned, and the bounds of an interval."""
    levels = getattr(model.estimator, "quantiles_", None)
    if levels is not None:
        found = np.asarray(model.estimator.predict_quantiles(inputs))
        names = (f"{model.targets[0]} q{level:g}" for level in levels)
        yield from zip(names, found.T, strict=True)
    if interval is not None:
        bounds = np.asarray(model.estimator.predict_interval(inputs, interval))
        each = bounds.reshape(len(bounds), 2, -1).transpose(2, 1, 0)
        for name, (low, high) in zip(model.targets, each, strict=True):
            yield f"{name} low", low
            yield f"{name} high", high


def _cells(column: np.ndarray) -> list[str]:
    """Seven digits, all that float32 has; other values as they are."""
    values = column.tolist()
    return ["" if v is None else f"{v:.7g}" if isinstance(v, float) else str(v) for v in values]


def _unknown(estimator: Any, inputs: Frame) -> Iterator[str]:
    encoding = estimator.encoding_
    for told in (*told_strays(encoding, inputs), *told_empty(encoding, inputs)):
        yield f"note    {told}"
    for name, (count, word, near) in unknown_words(encoding, inputs).items():
        like = f"; training had {near!r}" if near else ""
        rows = "row has" if count == 1 else "rows have"
        yield f"note    {name!r}: {count:,} {rows} words unknown in training ({word!r}{like})"


def _score(
    model: Model, table: Table, y: np.ndarray, probability: np.ndarray | None
) -> Iterator[str]:
    """How well each target was met, of those that the table has."""
    for j, name in enumerate(model.targets):
        if name in table.columns:
            yield from _score_of(model, name, table, y if y.ndim == 1 else y[:, j], probability)


def _score_of(
    model: Model, name: str, table: Table, y: np.ndarray, probability: np.ndarray | None
) -> Iterator[str]:
    if probability is not None:
        truth = table.text(name)
        classes = np.array([str(c) for c in model.estimator.classes_.tolist()])
        labels = set(classes.tolist())
        known = np.array([t is not None and (t in labels or t.lower() not in GAPS) for t in truth])
        if not known.any():
            return
        order = np.argsort(classes)
        predicted = np.array([str(v) for v in y[known].tolist()])
        about = predicted, probability[known][:, order], classes[order]
        scores = class_scores(truth[known].astype(str), *about)
    else:
        parsed = table.parsed(name)
        if parsed.kind != "numeric":
            return
        known = ~np.isnan(parsed.values)
        if not known.any():
            return
        scores = number_scores(parsed.values[known], y[known])
        if np.isnan(scores[MAIN["regression"]]):
            return
    text = ", ".join(f"{k} {shown(k, v)}" for k, v in scores.items())
    count = int(known.sum())
    yield f"{text} on {count:,} {'row' if count == 1 else 'rows'} with {name!r}"
