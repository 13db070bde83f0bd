"""Which rows are held out: given, split off, or chosen among the rows of all processes."""

from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend, to_numpy
from xpnn.estimators._heldout import (
    OwnShare,
    Rows,
    drawn_split,
    read_validation,
    split_rows,
    take_rows,
)
from xpnn.estimators._processes import Way, check_held_weight
from xpnn.training.ownrows import even

NO_ROWS = Rows(None, None, None)


def hold_out(
    est: Any, rows: Rows, validation_data: Any, source: Backend, incremental: bool, way: Way
) -> tuple[Rows, Rows | None]:
    """The rows to train on and those to validate on."""
    if validation_data is not None:
        return rows, read_validation(est, validation_data, source, way.comm)
    if not est.early_stopping or est.solver == "lbfgs":
        return rows, None
    if incremental:  # they would be others in each call
        raise ValueError(
            "partial_fit does not support early_stopping=True without validation_data=(X, y)."
        )
    if way.own_rows and rows.target is not None:
        return split_own_rows(way, est, rows)
    stratify = None if rows.target is None else est._stratify(rows.target)
    return split_rows(rows, est.validation_fraction, stratify, est._state.seed)


def split_own_rows(way: Way, est: Any, rows: Rows) -> tuple[Rows, Rows]:
    """The rows here to train on and those held out.

    The split is drawn over the rows of all processes, so that it is the same however they are
    handed out. Both parts keep their shards.
    """
    comm, n = way.comm, int(rows.x.shape[0])
    assert comm is not None
    counts, fraction, seed = comm.gather(n), est.validation_fraction, est._state.seed
    first = sum(counts[: comm.rank])
    stratify = est._stratify(comm.gather_rows(to_numpy(rows.target)))
    keep, hold = drawn_split(sum(counts), fraction, stratify, seed)
    ends, parts = np.cumsum([0, *even(n, comm)]), []
    for chosen in (keep, hold):
        own = np.sort(chosen[(chosen >= first) & (chosen < first + n)]) - first
        part = OwnShare(*(take_rows(a, own) for a in rows))
        part.lengths = np.diff(np.searchsorted(own, ends)).tolist()
        parts.append(part)
    check_held_weight(parts[1].weight, way)
    return parts[0], parts[1]
