"""What each column of a table is worth to a model."""

import numpy as np

from xpnn.command.predict import Model
from xpnn.tables.columns import TableError, objects
from xpnn.tables.frames import Frame
from xpnn.tables.read import Table


def importance_of(model: Model, table: Table | None) -> dict[str, tuple[float, float]]:
    """A model's importances: those that its file has, or on another table.

    Parameters
    ----------
    table : Table, or None
        With the target.
    """
    est = model.estimator
    if table is None:
        found: dict[str, tuple[float, float]] = est.feature_importance()
        return found
    names = model.targets
    for name in names:
        if name not in table.columns:
            raise table.lacking(name)
    if model.task == "regression":
        each = [table.parsed(name).values for name in names]
        each = [y if y.dtype.kind == "f" else np.full(len(y), np.nan) for y in each]
        y = each[0] if len(each) == 1 else np.stack(each, axis=1)
        known = np.logical_and.reduce([~np.isnan(column) for column in each])
    else:
        spelled = {str(c): c for c in est.classes_.tolist()}
        texts = table.text(names[0])
        known = np.array([t in spelled for t in texts], dtype=bool)
        y = np.asarray(objects([spelled.get(t) for t in texts])[known].tolist())
    if not known.any():
        listed = " and ".join(map(repr, names))
        raise TableError(f"{table.name} has no row whose {listed} is known in training.")
    inputs = model.inputs(table)
    columns = {name: column[known] for name, column in inputs.columns.items()}
    y = y[known] if model.task == "regression" else y
    of_rows: dict[str, tuple[float, float]] = est.feature_importance(Frame(columns), y)
    return of_rows
