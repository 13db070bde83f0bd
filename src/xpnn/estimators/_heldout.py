"""Rows held out: split off or given, and what is measured on them after each epoch."""

import math
from collections.abc import Callable
from copy import copy
from typing import Any, Literal, NamedTuple

import numpy as np

from xpnn.arrays.backend import Backend, backend_of, to_numpy
from xpnn.arrays.typing import Array
from xpnn.blocks import Blocks
from xpnn.distributed.communicator import Communicator
from xpnn.estimators._blocks import TrainingBlocks
from xpnn.estimators._blockshares import SharedBlocks
from xpnn.estimators._inputs import (
    NUMPY,
    TOO_FEW_HELD,
    check_range,
    check_weight_range,
    is_foreign,
    on_host,
    read_features,
    read_weight,
)
from xpnn.estimators._processes import ALONE, Way, check_held_weight, own_rows_measure
from xpnn.estimators._readblocks import read_blocks
from xpnn.parts.losses import Loss
from xpnn.steps.scores import loss_value, together
from xpnn.training.data import Dataset, predict_in_chunks
from xpnn.training.ownblocks import OwnBlocks
from xpnn.training.ownrows import OwnRows
from xpnn.training.windows import Windows
from xpnn.training.work import Work

_BUILT_IN = ("loss", "val_loss", "val_score")


Role = Literal["first", "warm", "later", "held out"]
"""Whose target is read: a first fit's, which says what the outputs are; a warm start's, which needs
the same classes; another call's; or that of validation, where a column is as good as a vector."""


class Rows(NamedTuple):
    """Checked training or validation rows."""

    x: Any
    target: Any
    weight: Any


class OwnShare(Rows):
    """Rows of one process, and how many of them each of its shards has."""

    lengths: list[int]


def check_ranges(rows: Rows, dtype: str, *, classes: bool = False) -> None:
    """Raise a ValueError for numbers that `dtype`, the one that is computed in, cannot hold.

    `classes` says whether weights are those of samples and classes.
    """
    if isinstance(rows.x, TrainingBlocks):
        return  # they are checked when they are read
    check_range(rows.x, dtype)
    check_range(rows.target, dtype, "y")
    check_weight_range(rows.weight, dtype, "sample_weight" + " times class_weight" * classes)


class Monitor(NamedTuple):
    """What has to improve: a key of the history, and scikit-learn's scorer where it is one."""

    name: str
    scorer: Callable[..., Any] | None = None


def take_rows(a: Any, rows: np.ndarray) -> Any:
    """Rows of an array of any library, or of a CSR matrix; None stays None."""
    if a is None or not is_foreign(a):
        return None if a is None else a[rows]
    backend = backend_of(a)
    with backend.device_context():
        return backend.xp.take(a, backend.asarray(rows), axis=0)


def drawn_split(
    n: int, fraction: float, stratify: np.ndarray | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the rows to train on and of those held out, of `n`."""
    from sklearn.model_selection import train_test_split  # many modules, of no use to most fits

    keep, hold = train_test_split(
        np.arange(n), random_state=seed & 0xFFFFFFFF, test_size=fraction, stratify=stratify
    )
    if len(hold) < 2:
        raise ValueError(TOO_FEW_HELD)
    return keep, hold


def split_rows(
    rows: Rows, fraction: float, stratify: np.ndarray | None, seed: int
) -> tuple[Rows, Rows]:
    """The rows to train on and those held out, as scikit-learn's networks split them."""
    if isinstance(rows.x, TrainingBlocks):
        return rows, _held_blocks(rows.x, lambda: rows.x.split(fraction, seed))
    keep, hold = drawn_split(rows.x.shape[0], fraction, stratify, seed)
    kept, held = (Rows(*(take_rows(a, i) for a in rows)) for i in (keep, hold))
    check_held_weight(held.weight)
    return kept, held


def _held_blocks(blocks: TrainingBlocks, collect: Callable[[], Any]) -> Rows:
    """Rows of blocks to validate on: all of them, or this process's."""
    before = blocks.sizes
    rows = collect()
    if not isinstance(blocks, SharedBlocks):
        return Rows(*rows)
    held = OwnShare(*rows)
    held.lengths = blocks.by_shard(before - blocks.sizes * (blocks.held is not None))
    return held


def training_data(
    rows: Rows, backend: Backend, dtype: str, comm: Communicator | None = None
) -> Dataset | Windows:
    """Rows as the training loop takes them."""
    if isinstance(rows.x, SharedBlocks):
        return OwnBlocks(rows.x, backend)
    if isinstance(rows.x, TrainingBlocks):
        return Windows(rows.x, backend)
    if comm is not None and comm.rows == "own":
        lengths = getattr(rows, "lengths", None)
        about: dict[str, Any] = {"checked": True, "lengths": lengths}
        return OwnRows(*rows, backend, backend.float_dtype(dtype), comm, **about)
    return Dataset(*rows, backend, backend.float_dtype(dtype), checked=True)


def read_validation(
    est: Any, validation_data: Any, source: Backend, comm: Communicator | None = None
) -> Rows:
    """Check ``(X, y)`` or ``(X, y, sample_weight)``; X has to be where the training X is."""
    if isinstance(validation_data, Blocks):
        validation_data = validation_data, None
    several = isinstance(validation_data, tuple | list)
    if not several or len(validation_data) not in (2, 3):
        of = f" of {len(validation_data)}" if several else ""
        raise ValueError(
            "validation_data must be a tuple (X, y) or (X, y, sample_weight), got "
            f"{type(validation_data).__name__}{of}."
        )
    try:
        return _read_rows(est, *validation_data, source=source, comm=comm)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise ValueError(f"validation_data: {error}") from error


def _read_rows(
    est: Any, X: Any, y: Any, sample_weight: Any = None, *, source: Backend, comm: Any
) -> Rows:
    if isinstance(X, Blocks):
        blocks = read_blocks(est, X, y, sample_weight, comm=comm)
        return _held_blocks(blocks, blocks.whole)
    x, place = read_features(est, X, reset=False)
    if place is not source:
        raise ValueError(
            f"X and validation_data must use the same namespace and device, got {source} and "
            f"{place}; move one of them, as with get_backend({source.name!r}).asarray(X)."
        )
    target = est._read_target(y, x, "held out")
    rows = Rows(x, target, read_weight(sample_weight, x))
    check_ranges(rows, est._dtype)
    return rows


def make_monitor(est: Any, *, n_held: int | None, stopping: bool) -> Monitor:
    """What the parameter `monitor` stands for, with so many rows held out (None: none at all)."""
    spec = est.monitor
    if spec == "auto":
        spec = "val_score" if stopping else "loss"
    if spec != "loss" and n_held is None:
        splits = "" if est.solver == "lbfgs" else ", or early_stopping=True to fit"
        raise ValueError(
            f"monitor={spec!r} is measured on rows held out, and there are none: pass "
            f"validation_data=(X, y){splits}."
        )
    if spec == "val_score" and n_held < est._fewest_scored:
        raise ValueError(
            f"R2 needs two validation rows or more, got {n_held}: pass more in validation_data, or "
            "take monitor='val_loss'."
        )
    if spec in _BUILT_IN:
        return Monitor(spec)
    if callable(spec):
        return Monitor("val_monitor", spec)
    from sklearn.metrics import get_scorer

    try:
        return Monitor(f"val_{spec}", get_scorer(spec))
    except ValueError as error:
        raise ValueError(
            f"monitor={spec!r} is neither 'auto', {', '.join(map(repr, _BUILT_IN))} nor a scorer "
            f"of scikit-learn: {error}"
        ) from error


def make_validation(
    est: Any, rows: Rows, loss: Loss, monitor: Monitor, way: Way = ALONE
) -> Callable[[Array, Array], dict[str, float]]:
    """The metrics of held-out rows, which are moved to the device once."""
    backend, network, xp = est._backend, est.network_, est._backend.xp
    weight = np.ones(rows.x.shape[0]) if rows.weight is None else rows.weight
    held = Dataset(rows.x, rows.target, weight, backend, backend.float_dtype(est._dtype))
    x = held.arrays[0]
    truth = held.move(est._scored(rows.target))
    target, weight = held.move(rows.target), held.move(weight)
    work = Work(backend)
    if way.apart(rows):
        return own_rows_measure(way, est, rows, loss, monitor, held, truth)
    score_with = _scorer_of(est, rows, monitor)

    def measure(theta: Array, buffers: Array) -> dict[str, float]:
        with work.inside():
            output = predict_in_chunks(network, theta, buffers, x, backend, "forward")
            value = loss_value(loss, output, target, weight, xp)
            score = est._device_score(est._combined(output, xp), truth, weight, xp)
            pair = backend.to_numpy(together(value, score, xp))
        return {
            "val_loss": float(pair[0]),
            "val_score": float(pair[1]),
            **score_with(theta, buffers),
        }

    return measure


def _scorer_of(
    est: Any, rows: Rows, monitor: Monitor
) -> Callable[[Array, Array], dict[str, float]]:
    """A scorer of scikit-learn sees host arrays; the network stays on its device."""
    if monitor.scorer is None:
        return lambda theta, buffers: {}
    x = on_host(rows.x)
    y = est._as_given(rows.target)
    weight = {} if rows.weight is None else {"sample_weight": to_numpy(rows.weight)}
    view = copy(est)
    view.device, view._source = est._backend, NUMPY
    view.__dict__.pop("feature_names_in_", None)
    if hasattr(est, "_labels"):
        view.classes_ = est._labels.classes

    known: list[float] = []

    def score(theta: Array, buffers: Array) -> dict[str, float]:
        view._state = view._state.with_weights((theta, buffers, ()))
        found = float(monitor.scorer(view, x, y, **weight))  # type: ignore[misc]
        if math.isnan(found) and not known:
            raise ValueError(
                f"monitor={est.monitor!r} is nan for the {x.shape[0]} rows held out, which cannot "
                "improve: take another one, such as 'val_loss', or pass more in validation_data."
            )
        known[:] = [found]
        return {monitor.name: found}

    return score
