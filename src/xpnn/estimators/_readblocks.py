"""From `Blocks` and targets to the rows that a network learns from: checked, classes counted."""

from collections import Counter
from typing import Any

import numpy as np

from xpnn.blocks import Blocks
from xpnn.distributed.communicator import Communicator
from xpnn.estimators._blocks import TrainingBlocks, check_features
from xpnn.estimators._blockshares import SharedBlocks
from xpnn.estimators._inputs import NO_WEIGHT, check_weight_range, read_weight
from xpnn.estimators._labels import weigh_classes


def read_blocks(
    est: Any,
    blocks: Blocks,
    y: Any,
    sample_weight: Any,
    role: Any = "held out",
    classes: Any = None,
    comm: Communicator | None = None,
) -> TrainingBlocks:
    """Check some `Blocks`, and find their classes in one pass over the targets.

    Parameters
    ----------
    est : BaseMLP
        Whose attributes about features and outputs are set (in the first fit) or compared.
    y, sample_weight : array-like, default=None
        Beside the blocks.
    comm : Communicator, default=None
        The processes that train together; each reads the targets of its shards.
    """
    if y is not None or sample_weight is not None:
        blocks = blocks.with_targets(y, sample_weight)
    if not blocks.has_target:
        raise ValueError(
            f"This {type(est).__name__} estimator requires y to be passed, but the target y is "
            "None: name the column, Blocks(..., target='price'), or give y beside X."
        )
    check_features(est, blocks, reset=role == "first")
    rows = TrainingBlocks(est, blocks) if comm is None else SharedBlocks(est, blocks, comm)
    found, counts = _targets(rows, hasattr(est, "class_weight"))
    est._read_target(found, _rows_like(found), role, classes)
    rows.factors = _factors(est, found, counts)
    return rows


def _rows_like(y: np.ndarray) -> np.ndarray:
    return np.empty((len(y), 1))


def _targets(rows: TrainingBlocks, classes: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Each class twice, and how often it is there; of numbers or several labels, a few rows."""
    blocks, weight = rows.blocks, list[float]()
    counted = Counter[Any]()
    sample: Any = None
    for start, stop in rows.bounds:
        y, w = blocks.read_targets(start, stop)
        sample = y if sample is None else sample
        if w is not None:
            weight.append(check_weights(w, start))
        if classes and y is not None and (y.ndim == 1 or y.shape[1] == 1):
            counted.update(_counts(y, start, stop))
        elif w is None:
            break
    if blocks.has_weight and not sum(rows.of_each(sum(weight))) > 0:
        raise ValueError(NO_WEIGHT)
    counted = sum(map(Counter, rows.of_each(dict(counted))), Counter())
    if not counted:
        sample = blocks.read_targets(0, 1)[0] if sample is None else sample
        return sample, None
    found = np.asarray(sorted(counted))
    return np.repeat(found, 2), np.asarray([counted[v] for v in sorted(counted)])


def check_weights(weight: np.ndarray, first: int) -> float:
    """The sum of the weights from a row on, which must be finite and not negative."""
    if not weight.any():
        return 0.0
    try:
        read_weight(weight, weight)
        check_weight_range(weight, "float64")
    except ValueError as error:
        raise ValueError(f"{error} Row 0 of these is row {first} of X.") from error
    return float(weight.sum(dtype=np.float64))


def _counts(y: np.ndarray, start: int, stop: int) -> dict[Any, int]:
    """How often each class is among some rows."""
    try:
        if y.dtype == object and any(v is None or v != v for v in y.flat):
            raise TypeError
        classes, counts = np.unique(y, return_counts=True)
        return dict(zip(classes, counts.tolist(), strict=True))
    except TypeError as error:
        raise ValueError(
            f"Input y has missing labels, or words beside numbers, in the rows {start} to "
            f"{stop - 1}: leave out the rows without one, and make labels all words or numbers."
        ) from error


def _factors(est: Any, found: np.ndarray, counts: np.ndarray | None) -> np.ndarray | None:
    """What each class weighs, in the order of the network's classes."""
    spec = getattr(est, "class_weight", None)
    if spec is None:
        return None
    if counts is None:
        raise ValueError(
            f"class_weight={spec!r} goes with one column of classes where X is Blocks, and y has "
            "several labels a row: pass sample_weight instead."
        )
    names = found[::2]
    if spec == "balanced":
        of_class = counts.sum() / (len(counts) * counts)
    else:
        of_class = weigh_classes(spec, names, None)
    factors = np.ones(len(est._labels.classes))
    factors[est._labels.encode(names)] = of_class
    return factors
