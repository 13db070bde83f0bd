"""Steps of classes along a column of numbers, and what a classifier makes of them."""

import numpy as np

from xpnn import TabularClassifier, TabularRegressor
from xpnn.blocks import Blocks
from xpnn.distributed import in_threads
from xpnn.tables.encoding import fit_encoding
from xpnn.tables.frames import read_frame
from xpnn.tables.ownrows import fit_encoding_together
from xpnn.tables.thresholds import FEWEST_ROWS, class_steps

RNG = np.random.default_rng(5)
N = 1500
X = RNG.normal(size=(N, 3))
STEP = np.partition(X[:, 0], (N - 101, N - 100))[[N - 101, N - 100]]  # 100 rows lie above
FLIPPED = (RNG.uniform(size=N) < 0.01) & (np.abs(X[:, 0] - STEP[0]) > 0.3)
CODES = ((X[:, 0] > STEP[0]) ^ FLIPPED).astype(int)


def test_a_step_is_found_and_a_slope_is_none():
    assert class_steps(X[:, 0], CODES) == [tuple(STEP)]
    assert class_steps(X[:, 1], CODES) == []
    slope = RNG.uniform(size=N) < 1.0 / (1.0 + np.exp(-3.0 * X[:, 0]))
    assert class_steps(X[:, 0], slope.astype(int)) == []


def test_two_steps_in_any_order_of_rows_and_with_equal_values():
    whole = np.repeat(np.arange(60.0), 40)
    between = ((whole > 20) & (whole <= 40)).astype(int)
    mixed = RNG.permutation(len(whole))
    for order in (np.arange(len(whole)), mixed):
        assert class_steps(whole[order], between[order]) == [(20.0, 21.0), (40.0, 41.0)]
    trend = RNG.uniform(size=len(whole)) < whole / 60.0
    sorted_within = np.sort(trend.reshape(60, 40), axis=1).ravel()  # as a file may be
    assert class_steps(whole, sorted_within.astype(int)) == []


def test_few_rows_and_many_classes_tell_of_no_step():
    few = FEWEST_ROWS - 1
    assert class_steps(np.arange(few, dtype=float), (np.arange(few) > 300).astype(int)) == []
    assert class_steps(np.arange(9000.0), np.arange(9000) // 100) == []
    assert class_steps(np.zeros(N), CODES) == []


def test_of_many_rows_some_are_looked_at():
    values = np.arange(50_000.0)
    (pair,) = class_steps(values, (values >= 7_000).astype(int))
    assert pair[0] < 7_000 <= pair[1]
    assert pair[1] - pair[0] < 5


def test_a_classifier_knows_steps_and_a_regression_has_none():
    """Next to nothing is wrong but the flipped rows, where one bin in eight is wide."""
    model = TabularClassifier(epochs=12, hidden=16, random_state=0).fit(X, CODES)
    edges = [c.edges for c in model.encoding_.columns]
    assert set(STEP) <= set(edges[0])
    assert [len(e) for e in edges[1:]] == [13, 13]
    right = (X[:, 0] > STEP[0]) == (model.oof_prediction_[:, 1] > 0.5)
    assert right.mean() > 0.995
    other = TabularRegressor(epochs=1, hidden=8, random_state=0).fit(X, CODES.astype(float))
    assert not set(STEP) & set(other.encoding_.columns[0].edges)


def test_blocks_and_processes_know_the_same_steps():
    weight = np.ones(N)
    weight[:7] = 0.0
    quick = {"epochs": 1, "hidden": 4, "random_state": 0}
    model = TabularClassifier(**quick).fit(X, CODES, weight)
    blocks = TabularClassifier(**quick).fit(Blocks(X, CODES, weight, block_rows=400))
    assert blocks.encoding_ == model.encoding_
    names = {"a": X[:, 0], "b": X[:, 1]}
    alone = fit_encoding(read_frame(names), 8, None, CODES)

    def own(comm):
        here = slice(comm.rank * 500, (comm.rank + 1) * 500)
        frame = read_frame({name: column[here] for name, column in names.items()})
        return fit_encoding_together(frame, comm, 8, None, CODES[here])

    assert set(STEP) <= set(alone.columns[0].edges)
    assert in_threads(own, 3) == [alone] * 3
