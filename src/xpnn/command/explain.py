"""What each column of a table is worth to a model."""

import numpy as np

from xpnn.command.predict import Model
from xpnn.tables.columns import TableError, hint, objects
from xpnn.tables.frames import Frame
from xpnn.tables.read import Table
from xpnn.tables.values import parse_column


def importance_of(model: Model, table: Table | None) -> dict[str, tuple[float, float]]:
    """A model's importances: those that its file has, or on another table.

    Parameters
    ----------
    model : Model
    table : Table, or None
        With the target.

    Raises
    ------
    TableError
        For a table without the target, or without rows that have a known one.
    """
    est = model.estimator
    if table is None:
        found: dict[str, tuple[float, float]] = est.feature_importance()
        return found
    if model.target not in table.columns:
        near = hint(model.target, table.columns)
        raise TableError(f"{table.name} has no column {model.target!r}{near}.")
    if model.task == "regression":
        y = parse_column(table.columns[model.target], decimal=table.decimal).values
        known = ~np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), dtype=bool)
    else:
        spelled = {str(c): c for c in est.classes_.tolist()}
        texts = table.text(model.target)
        known = np.array([t in spelled for t in texts], dtype=bool)
        y = np.asarray(objects([spelled.get(t) for t in texts])[known].tolist())
    if not known.any():
        raise TableError(f"{table.name} has no row whose {model.target!r} is known in training.")
    inputs = model.inputs(table)
    columns = {name: column[known] for name, column in inputs.columns.items()}
    y = y[known] if model.task == "regression" else y
    of_rows: dict[str, tuple[float, float]] = est.feature_importance(Frame(columns), y)
    return of_rows
