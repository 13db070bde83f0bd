"""Tables of which each process has its own rows: the model is the same for any number of them.

The processes are threads here; `ci/mpi.sh` does the same by MPI, `ci/dask.sh` on Dask's workers.
"""

from itertools import pairwise

import numpy as np
import pytest
from shares import own

import xpnn
from xpnn.data import Blocks
from xpnn.distributed import in_threads, one
from xpnn.distributed.tree import bounds
from xpnn.tabular import outoffold, run
from xpnn.tabular.folds import folds_of_shards

pytestmark = pytest.mark.own_context
RNG = np.random.default_rng(0)
N = 203
SIZE = np.sort(RNG.normal(size=N))
TABLE = {
    "size": SIZE,
    "count": np.where(np.arange(N) % 9 == 0, np.nan, RNG.integers(0, 50, N)),
    "word": RNG.choice(np.array(["p", "q", "r", None]), N),
    "day": np.datetime64("2024-01-01") + RNG.integers(0, 400, N).astype("timedelta64[D]"),
    "price": np.asarray([f"${v:,.2f}" for v in RNG.uniform(0, 5000, N)], dtype=object),
    "name": np.asarray([f"w{int(v)}" for v in RNG.exponential(40, N)], dtype=object),
    "same": np.ones(N, dtype=int),
}
NAMES = np.where(SIZE + (TABLE["word"] == "p") > 0.4, "big", "small")
NAMES[:3] = "rare"  # in the rows of the first process alone
PRICES = np.exp(SIZE)
WEIGHT = np.where(
    np.arange(N) < 70, 0.0, RNG.uniform(size=N)
)  # of a first of three, nothing counts
ABOUT = {"n_members": 2, "epochs": 2, "hidden": 6, "random_state": 0}


def fitted(comm, model, *given, **how):
    return model.fit(*(own(comm, a) for a in given), comm=comm, **how)


def learned(model):
    """What a fit has learned, as what can be compared."""
    arrays = [model.oof_prediction_, model._folds, *model._arrays.values(), model.predict(TABLE)]
    return [a.tobytes() for a in arrays], model.history_, model.encoding_


def classifier(**options):
    return xpnn.TabularClassifier(**ABOUT | options)


def regressor(**options):
    return xpnn.TabularRegressor(**ABOUT | options)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("make", "given"),
    [
        (classifier, (TABLE, NAMES)),
        (lambda: classifier(n_members=15, class_weight="balanced"), (TABLE, NAMES, WEIGHT)),
        (lambda: regressor(embedding="both"), (TABLE, PRICES, WEIGHT)),
    ],
    ids=["classes", "weights of zero, repeats", "numbers"],
)
def test_one_model_where_each_process_has_its_own_rows(make, given):
    expected = learned(fitted(one(rows="own"), make(), *given))
    alone = make().fit(*given)
    assert expected[2] == alone.encoding_
    assert list(alone.encoding_.left_out) == ["same"]
    for size in (2, 3):
        each = in_threads(lambda c: learned(fitted(c, make(), *given)), size, rows="own")
        assert all(found == expected for found in each)


@pytest.mark.slow
@pytest.mark.dtypes("float32")  # JAX's 64-bit types are switched on for the test's own thread
def test_one_model_on_any_library(target):
    def fit(comm):
        how = {"device": target.backend, "dtype": target.dtype_name}
        model = fitted(comm, classifier(**how), {"size": SIZE}, NAMES)
        return model.oof_prediction_.tobytes()

    assert in_threads(fit, 2, rows="own") == [fit(one(rows="own"))] * 2


def test_it_is_as_good_as_a_fit_of_all_rows():
    y = SIZE + (TABLE["word"] == "p")
    given = {"size": SIZE, "word": TABLE["word"]}, y
    whole = regressor(epochs=40, hidden=16).fit(*given)
    apart = regressor(epochs=40, hidden=16).fit(*given, comm=one(rows="own"))
    assert apart.validation_score_ > 0.98
    assert whole.validation_score_ > 0.98


def test_a_column_may_have_another_type_in_each_process():
    """As parts of a file have: whole numbers here, gaps there, and text in a third."""
    parts = [
        {"n": np.arange(70), "t": np.arange(70) * 0.5},
        {
            "n": np.where(np.arange(70) % 7, np.arange(70), np.nan),
            "t": ["a", None, "b", None, None] * 14,
        },
        {"n": np.arange(63, dtype=np.float32), "t": np.arange(63)},
    ]
    y = NAMES[: 70 + 70 + 63]
    targets = [y[:70], y[70:140], y[140:].astype(object)]
    texts = [[*map(str, range(70))], parts[1]["t"], [*map(str, range(63))]]
    texts[0] = [str(v / 2) if v % 2 else str(v // 2) for v in range(70)]
    whole = {"n": np.concatenate([p["n"] for p in parts]), "t": [*texts[0], *texts[1], *texts[2]]}
    expected = classifier().fit(whole, y).encoding_

    def work(comm):
        model = classifier().fit(parts[comm.rank], targets[comm.rank], comm=comm)
        return model.encoding_, model.classes_.tolist()

    found = in_threads(work, 3, rows="own")
    assert all(f == (expected, ["big", "rare", "small"]) for f in found)
    assert [c.kind for c in expected.columns] == ["numeric", "words"]


def test_more_columns_of_numbers_than_are_embedded():
    x = np.random.default_rng(1).normal(size=(N, 41))

    def work(comm):
        return fitted(comm, classifier(), x, NAMES).encoding_

    expected = classifier().fit(x, NAMES).encoding_
    assert in_threads(work, 2, rows="own") == [expected] * 2


@pytest.mark.parametrize("rows", ["all", "own"])
def test_each_row_is_predicted_out_of_fold_by_one_process_that_has_it(rows, monkeypatch):
    predicted, looked = outoffold.held_predictions, {}

    def noted(network, theta, buffers, x, folds, backend):
        looked.setdefault(id(network), []).append(np.asarray(x)[:, 0])
        return predicted(network, theta, buffers, x, folds, backend)

    monkeypatch.setattr(outoffold, "held_predictions", noted)

    def work(comm):
        model = fitted(comm, classifier(), {"size": SIZE}, NAMES)
        seen = np.unique(np.concatenate(looked[id(model.network_)]))
        return model, seen

    parts = [seen for _, seen in in_threads(work, 3, rows=rows)]
    together = np.concatenate(parts)
    assert len(together) == len(np.unique(together)) == N
    cuts = np.asarray(bounds(N, 8))[bounds(8, 3)]
    assert [len(p) for p in parts] == np.diff(cuts).tolist()


def test_each_member_learns_from_all_rows_but_those_of_its_fold(monkeypatch):
    made = []

    class Noted(run.OwnRows):
        def portions(self, draw, size, *, whole):
            for portion in super().portions(draw, size, whole=whole):
                made.append((portion.order, self.first))
                yield portion

    monkeypatch.setattr(run, "OwnRows", Noted)
    ends = np.asarray(bounds(N, 8))[bounds(8, 2)]  # where a process's rows begin

    def work(comm):
        return fitted(comm, classifier(n_members=3, epochs=1), {"size": SIZE}, NAMES)._folds[0]

    folds, _ = in_threads(work, 2, rows="own")
    orders = [order + ends[first // 4] for order, first in made]
    assert len(orders) == 2
    for member, rows in enumerate(np.concatenate(orders).T):
        np.testing.assert_array_equal(np.unique(rows), np.flatnonzero(folds != member))
        assert len(rows) <= (folds != member).sum() + 8  # a row of a shard may be there twice


def test_blocks_of_own_rows(monkeypatch):
    pa = pytest.importorskip("pyarrow")
    monkeypatch.setattr("xpnn.tabular.blocks.SAMPLE", 100)
    whole = pa.table({k: TABLE[k] for k in ("size", "word", "day")} | {"kind": NAMES})
    weight = np.where(np.arange(N) % 5 == 0, 0.0, 1.0)

    def work(comm):
        rows = own(comm, np.arange(N))
        blocks = Blocks(whole.take(rows), target="kind", block_rows=20)
        model = classifier().fit(blocks, None, own(comm, weight), comm=comm)
        return learned(model)

    expected = work(one(rows="own"))
    assert in_threads(work, 3, rows="own") == [expected] * 3


def test_any_number_goes_on_from_the_first_one_s_checkpoint(tmp_path):
    def fit(comm, folder, breaks):
        def callback(end):
            if end.epoch == breaks:
                raise RuntimeError("broken off")

        due = None if folder is None else xpnn.Checkpoint(folder, every="1 epoch")
        model = classifier(epochs=3, callbacks=callback)
        how = {"checkpoint": due, "resume": folder is not None}
        return learned(fitted(comm, model, TABLE, NAMES, **how))[:2]

    with pytest.raises(RuntimeError, match="broken off"):
        in_threads(lambda comm: fit(comm, tmp_path / "run", 2), 2, rows="own")
    found = in_threads(lambda comm: fit(comm, tmp_path / "run", 9), 3, rows="own")
    assert found == [fit(one(rows="own"), None, 9)] * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, y, w: (t | {"more": t["size"]}, y, w), "rank 1 has the columns .*'more'"),
        (lambda t, y, w: (t, y, None), "rank 1 has no sample_weight, and others have"),
        (lambda t, y, w: (t, y[1:], w), "y has 99 rows, and X has 100 in this process"),
        (lambda t, y, w: (t, np.stack([y, y], axis=1), w), "y has rows of the shape"),
        (lambda t, y, w: (t, [1j] * len(y), w), "tell one another numbers and text alone"),
        (lambda t, y, w: (t, np.arange(len(y)) % 2, w), "y holds text and other labels"),
    ],
    ids=["columns", "weights", "length", "shape", "labels", "numbers"],
)
def test_rows_that_do_not_go_together_are_refused(change, words):
    def work(comm):
        given = [own(comm, a) for a in (TABLE, NAMES, np.ones(N))]
        classifier().fit(*(change(*given) if comm.rank else given), comm=comm)

    with pytest.raises(ValueError, match=words):
        in_threads(work, 2, rows="own")


def test_what_cannot_be_is_told():
    few = {"size": SIZE[:12]}
    with pytest.raises(ValueError, match="single row with a weight above 0"):
        classifier().fit(few, NAMES[-12:], comm=one(rows="own"))
    with pytest.raises(ValueError, match="sample_weight is zero in all rows"):
        classifier().fit(TABLE, NAMES, np.zeros(N), comm=one(rows="own"))
    model = classifier().fit(TABLE, NAMES).fit(TABLE, NAMES, comm=one(rows="own"))
    with pytest.raises(ValueError, match="nor has a fit of processes with rows of their own"):
        model.feature_importance()
    assert set(model.feature_importance(TABLE, NAMES)) == {*TABLE} - {"same"}


@pytest.mark.parametrize("classes", [True, False])
def test_folds_of_shards_are_even(classes):
    """In each shard sizes differ by 1 at most; of each class, over all shards, nearly so."""
    ends, rng = [0, 2, 2, 40, 81, 203], np.random.default_rng(0)
    for seed in range(9):
        codes = rng.choice(6, N, p=[0.02, 0.08, 0.1, 0.15, 0.25, 0.4])
        strata = codes if classes else rng.normal(size=N)
        found = folds_of_shards(strata, ends, 5, 2, seed, classes)
        for folds in found:
            for a, b in pairwise(ends):
                counts = np.bincount(folds[a:b], minlength=5)
                assert counts.max() - counts.min() <= 1
            for c in range(6 * classes):
                counts = np.bincount(folds[codes == c], minlength=5)
                assert counts.max() - counts.min() <= (1 if c == 0 else 3)
        assert not np.array_equal(*found)
