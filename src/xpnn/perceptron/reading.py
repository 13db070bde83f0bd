"""From what a user gives a perceptron to the samples of its epochs, and those held out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import check_random_state, compute_class_weight

from xpnn.arrays.backend import Backend, to_numpy
from xpnn.blocks import Blocks
from xpnn.estimators._blocks import TrainingBlocks
from xpnn.estimators._heldout import take_rows
from xpnn.estimators._inputs import NUMPY, is_matrix, read_features, read_target, read_weight
from xpnn.estimators._labels import weights_of_all
from xpnn.estimators._processes import Way, check_held_weight
from xpnn.estimators._readblocks import read_blocks
from xpnn.perceptron.answers import Held
from xpnn.perceptron.ownrows import SharedHeld, SharedSamples
from xpnn.perceptron.reference import Rule
from xpnn.perceptron.samples import BlockSamples, Samples
from xpnn.steps.compiled import library
from xpnn.training.data import is_sparse
from xpnn.training.ownblocks import OwnBlocks
from xpnn.training.ownrows import OwnRows, even
from xpnn.training.windows import Windows

_MAX_INT = np.iinfo(np.int32).max


class Rows(NamedTuple):
    """Checked training samples; `Blocks` have codes and weights inside."""

    n: int
    x: Any
    codes: np.ndarray | None
    weight: Any
    class_weight: np.ndarray

    @property
    def in_blocks(self) -> bool:
        """Whether they are read a block at a time."""
        return isinstance(self.x, TrainingBlocks)


@contextmanager
def look_late(est: Any, X: Any, way: Way, *, again: bool) -> Iterator[bool]:
    """Leave it to the epochs whether X is finite, where they find out as they visit all rows.

    That saves a pass over X. An error of X still comes before any other, with no random number
    drawn.

    Yields
    ------
    bool
        Whether X has to be looked at before.
    """
    as_it_is = is_matrix(X) and est.device is None and est.dtype in (None, X.dtype)
    whole = not (again or est.early_stopping) and way.keeper is None
    if not (as_it_is and whole and est.batch_size == 1 and library() is not None):
        yield True
        return
    random = check_random_state(est.random_state)  # None is NumPy's own
    before = random.get_state()
    try:
        yield False
    except BaseException:
        try:
            read_features(est, X, reset=True)
        except ValueError as error:
            random.set_state(before)
            raise error from None
        raise


def read_rows(
    est: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    classes: Any,
    *,
    again: bool,
    look: bool = True,
    comm: Any = None,
) -> tuple[Rows, Backend]:
    """Check the samples, but for what `look_late` has put off; where they are."""
    if isinstance(X, Blocks):
        if again:
            est._check_place(NUMPY, "partial_fit")
        role = "later" if again else "first"
        blocks = read_blocks(est, X, y, sample_weight, role, classes, comm)
        of_class, blocks.factors = blocks.factors, None  # each problem weighs them otherwise
        return Rows(X.n_rows, blocks, None, None, _class_weights(est, of_class)), NUMPY
    x, source = read_features(est, X, reset=not again, look=look)
    host = read_target(est, y, x, numeric=False)
    if again:
        est._check_place(source, "partial_fit")
    codes = est._read_labels(host, y, classes, again=again)
    weight = read_weight(sample_weight, x)
    of_class = None
    if est.class_weight is not None:
        known = est._labels.classes
        spec = weights_of_all(est.class_weight)
        of_class = compute_class_weight(spec, classes=known, y=host)
    return Rows(len(codes), x, codes, weight, _class_weights(est, of_class)), source


def _class_weights(est: Any, of_class: np.ndarray | None) -> np.ndarray:
    """Weights of negative and positive samples in each problem, (2, K), by the classes'."""
    weights = np.ones(len(est._labels.classes)) if of_class is None else of_class
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise ValueError(f"class_weight must be finite and at least 0, got {est.class_weight!r}.")
    if len(weights) == 2:
        return np.asarray(weights, dtype=np.float64)[:, None]
    return np.stack([np.ones(len(weights)), weights])


def make_samples(
    est: Any, rows: Rows, rule: Rule, backend: Backend, dtype: str, random_state: Any, way: Way
) -> tuple[Samples | BlockSamples | SharedSamples, Any, int, dict[str, Any]]:
    """Samples to learn and those held out, the seed of their order, and what they are."""
    move, real = backend.asarray, backend.float_dtype(dtype)
    if rows.in_blocks:
        return _block_samples(est, rows, rule, backend, random_state, way)
    assert rows.codes is not None
    if way.own_rows:
        return _own_samples(est, rows, rule, backend, random_state, way)
    learned, seed = _order(est, rows, random_state)
    known = {"X": rows.x, "y": rows.codes, "sample_weight": rows.weight}
    known["random order"] = np.asarray([seed, *np.flatnonzero(~learned)])
    x = rows.x.astype(dtype, copy=False) if rule.sparse else move(rows.x, dtype=dtype)
    x = np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x
    weight = backend.xp.ones(rows.n, dtype=real, device=backend.device)
    if rows.weight is not None:
        weight = move(rows.weight, dtype=dtype)
    every, held = (x, move(rows.codes, dtype="int32"), weight), None
    if not learned.all():
        at = np.flatnonzero(~learned)
        held = Held(
            x[at] if rule.sparse else take_rows(x, at), *(take_rows(a, at) for a in every[1:])
        )
    order = seed if est.shuffle else None
    return Samples(*every, learned, order, rule, backend), held, seed, known


def _block_samples(
    est: Any, rows: Rows, rule: Rule, backend: Backend, random_state: Any, way: Way
) -> tuple[BlockSamples | SharedSamples, Any, int, dict[str, Any]]:
    blocks, real = rows.x, backend.float_dtype(est._dtype)
    seed = int(check_random_state(random_state).randint(_MAX_INT))
    held: Any = None
    before = blocks.sizes
    if est.early_stopping:
        x, codes, weight = blocks.split(est.validation_fraction, seed)
        held = _held(est, x, codes, weight, backend, way)
    order = seed if est.shuffle else None
    known: dict[str, Any] = {"random order": np.asarray([seed])}
    if not way.own_rows:
        known["X"] = blocks
    if way.comm is None:
        return BlockSamples(Windows(blocks, backend), order, rule, real), held, seed, known
    if held is not None:
        held = SharedHeld(held, blocks.by_shard(before - blocks.sizes), way.comm, backend)
    data = OwnBlocks(blocks, backend)
    return SharedSamples(data, order, rule, way.comm, real), held, seed, known


def _own_samples(
    est: Any, rows: Rows, rule: Rule, backend: Backend, random_state: Any, way: Way
) -> tuple[SharedSamples, Any, int, dict[str, Any]]:
    """Of rows that other processes don't have: the split is drawn over the rows of all."""
    comm, real = way.comm, backend.float_dtype(est._dtype)
    assert comm is not None
    assert rows.codes is not None
    counts = comm.gather(rows.n)
    first, n = sum(counts[: comm.rank]), sum(counts)
    all_codes = comm.gather_rows(rows.codes) if est.early_stopping else None
    every = rows._replace(n=n, codes=all_codes, weight=None)
    all_learned, seed = _order(est, every, random_state)
    learned = all_learned[first : first + rows.n]
    x = rows.x.astype(est._dtype, copy=False) if rule.sparse else rows.x
    codes = rows.codes.astype(np.int32, copy=False)
    ends, parts = np.cumsum([0, *even(rows.n, comm)]), []
    for chosen in (learned, ~learned):
        at = np.flatnonzero(chosen)
        some = (x, codes, rows.weight)
        some = some if chosen.all() else tuple(take_rows(a, at) for a in some)
        parts.append((some, np.diff(np.searchsorted(at, ends)).tolist()))
    (kept, lengths), (out, out_lengths) = parts
    held = None
    if est.early_stopping:
        held = SharedHeld(_held(est, *out, backend, way), out_lengths, comm, backend)
    data = OwnRows(*kept, backend, real, comm, checked=True, lengths=lengths)
    order = seed if est.shuffle else None
    known = {"random order": np.asarray([seed])}
    return SharedSamples(data, order, rule, comm, real), held, seed, known


def _held(est: Any, x: Any, codes: Any, weight: Any, backend: Backend, way: Way) -> Held:
    """Rows that are held out, on the device of the work; CSR stays where it is."""
    check_held_weight(weight, way)
    move, ones = backend.asarray, np.ones(len(codes))
    return Held(
        x if is_sparse(x) else move(x, dtype=est._dtype),
        move(codes, dtype="int32"),
        move(ones if weight is None else weight, dtype=est._dtype),
    )


def _order(est: Any, rows: Rows, random_state: Any) -> tuple[np.ndarray, int]:
    """Which samples to learn, and the seed of their order, drawn as scikit-learn draws them."""
    n_classes = len(est._labels.classes)
    rng = check_random_state(random_state)
    if n_classes > 2:
        learned = _split(est, rows, random_state)
        rng = np.random.RandomState(rng.randint(_MAX_INT, size=n_classes)[0])
        rng.randint(1, _MAX_INT)  # scikit-learn draws one number that it does not use
    else:
        rng.randint(1, _MAX_INT)
        learned = _split(est, rows, random_state)
    return learned, int(rng.randint(_MAX_INT))


def _split(est: Any, rows: Rows, random_state: Any) -> np.ndarray:
    """True for the samples to learn, False for those held out."""
    n = rows.n
    learned = np.ones(n, dtype=bool)
    if est.early_stopping:
        splitter = StratifiedShuffleSplit(
            test_size=est.validation_fraction, random_state=random_state
        )
        _, held = next(splitter.split(np.zeros((n, 1)), rows.codes))
        if rows.weight is not None:
            check_held_weight(to_numpy(rows.weight)[held])
        learned[held] = False
    return learned
