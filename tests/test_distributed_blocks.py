"""Blocks in several processes: each reads the rows of its shards, and the network is the same.

The processes are threads here; `ci/mpi.sh` does the same by MPI.
"""

import types
import weakref
from itertools import chain

import numpy as np
import pytest
from shares import own
from typer.testing import CliRunner

import xpnn
from xpnn.backends import get_backend
from xpnn.cli import app
from xpnn.data import Blocks
from xpnn.distributed import RemoteError, in_threads, one
from xpnn.distributed.tree import bounds
from xpnn.steps.cut import Cutter, Shares
from xpnn.steps.rules import Rows
from xpnn.training.ownblocks import OwnBlocks
from xpnn.training.portions import Draw

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
N = 403
X = RNG.normal(size=(N, 5))
NAMES = np.asarray(["a", "b", "c"])[(X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0.7)]
VALUES = np.sin(X[:, :2])
WEIGHT = RNG.uniform(size=N)


def blocks(comm, x, *beside, packed=False, **options):
    """Small blocks; packed ones have to be unpacked, and nothing of them may stay."""
    given = [own(comm, a) for a in (x, *beside)]
    found = Blocks(*given, **{"block_rows": 50, "window": 2, **options})
    return found.map(lambda rows: rows * 1.0) if packed else found


def classifier(**options):
    about = {"hidden_layer_sizes": (7,), "max_iter": 2, "batch_size": 32, "random_state": 0}
    return xpnn.MLPClassifier(**about | options)


def regressor(**options):
    about = {"hidden_layer_sizes": (7,), "max_iter": 2, "batch_size": 32, "random_state": 0}
    return xpnn.MLPRegressor(**about | options)


CASES = {
    "dropout": (lambda: classifier(dropout=0.2), (NAMES,), {}),
    "stopped early": (
        lambda: classifier(early_stopping=True, class_weight="balanced"),
        (NAMES, WEIGHT),
        {},
    ),
    "packed": (lambda: regressor(early_stopping=True), (VALUES,), {"packed": True, "memory": 0}),
    "batch norm": (lambda: regressor(normalization="batch", shuffle=False), (VALUES,), {}),
    "lbfgs": (lambda: regressor(solver="lbfgs", max_iter=5), (VALUES, WEIGHT), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_one_network_of_any_number_of_processes(case):
    make, beside, options = CASES[case]

    def fitted(comm):
        model = make().fit(blocks(comm, X, *beside, **options), comm=comm)
        return [a.tobytes() for a in model.parameters_], model.history_

    expected = fitted(one())
    for rows, sizes in (("all", (3,)), ("own", (2,))):
        for size in sizes:
            assert all(found == expected for found in in_threads(fitted, size, rows=rows))


@pytest.mark.slow
@pytest.mark.dtypes("float32")  # JAX's 64-bit types are switched on for the test's own thread
def test_one_network_on_any_library(target):
    def fitted(comm):
        how = {"device": target.backend, "dtype": target.dtype_name}
        model = regressor(max_iter=2, dropout=0.1, **how).fit(blocks(comm, X, VALUES), comm=comm)
        return [np.asarray(target.backend.to_numpy(a)).tobytes() for a in model.parameters_]

    expected = fitted(one())
    assert in_threads(fitted, 2) == [expected] * 2


class Recorded:
    """Rows that tell which of them are read."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype, self.read = rows, rows.shape, rows.dtype, []

    def __getitem__(self, at):
        rows = at[0] if isinstance(at, tuple) else at
        self.read += range(*rows.indices(len(self.rows)))
        return self.rows[at]


def test_an_epoch_reads_each_row_once_and_in_one_process():
    def work(comm):
        source, epochs = Recorded(X), []

        def note(end):
            epochs.append(sorted(source.read))
            source.read.clear()

        model = classifier(callbacks=note, early_stopping=True, validation_fraction=0.2)
        model.fit(blocks(comm, source, NAMES, memory=0, block_rows=10), comm=comm)
        return epochs[1:]  # before the first, all look whether they have the same data

    each = in_threads(work, 3)
    ends, cuts = bounds(N, 8), bounds(8, 3)
    for rank, epochs in enumerate(each):
        for rows in epochs:
            assert ends[cuts[rank]] <= rows[0]
            assert rows[-1] < ends[cuts[rank + 1]]
    for rows in (sorted(chain(*parts)) for parts in zip(*each, strict=True)):
        assert len(rows) == len(set(rows)) > 0.7 * N
        assert len(rows) <= N


class Numbers:
    """Blocks of 10 of this process's shards, whose rows are their own numbers."""

    def __init__(self, comm, lengths, window):
        self.comm, ends, cuts = comm, np.cumsum([0, *lengths]), bounds(comm.shards, comm.size)
        self.own = range(cuts[comm.rank], cuts[comm.rank + 1])
        self.shares = Shares(lengths, window)
        self.starts, self.shard, self.sizes, self.window = [], [], [], 1
        for s in self.own:
            for start in range(ends[s], ends[s + 1], 10):
                self.starts.append(start)
                self.shard.append(s)
                self.sizes.append(min(10, ends[s + 1] - start))
        self.shard = np.asarray(self.shard)
        self.kinds = [((1,), np.dtype("float64")), ((), np.dtype("int64")), None]

    def fill_some(self, number, start, stop, into):
        into.y[:] = self.starts[number] + np.arange(start, stop)
        into.x[:, 0] = into.y


def batches(comm, draw, lengths, window, size=16):
    """The rows of each of this process's shards of each batch of an epoch."""
    data = OwnBlocks(Numbers(comm, lengths, window), get_backend("numpy"))
    cutter, found = Cutter(comm, data.shares), []
    for portion in data.portions(draw, size, whole=True):
        if portion.batch.x is None:
            found += [None] * portion.steps
            continue
        assert (portion.batch.x[:, 0] == portion.batch.y).all()
        for k in range(portion.steps):
            rows = Rows(portion.batch, portion.order, portion.start + k * size, size)
            pieces = cutter.cut(rows).pieces
            at = [portion.order[p.start : p.start + p.size] for p in pieces]
            found.append([portion.batch.y[a].tolist() for a in at])
    return found


@pytest.mark.parametrize("window", [1, 40, 1000])
@pytest.mark.parametrize("lengths", [[30, 31, 0, 29], [3, 0, 1, 0]])
def test_batches_have_every_row_once_whoever_reads(window, lengths):
    n = sum(lengths)
    for shuffle in (False, True):
        draw = Draw(3, 1, shuffle=shuffle)
        whole = batches(one(shards=4), draw, lengths, window)
        rows = list(chain(*chain(*whole)))
        assert sorted(rows) == list(range(n))
        assert len(whole) == -(-n // 16)
        work = lambda comm: batches(comm, draw, lengths, window)  # noqa: E731,B023
        parts = in_threads(work, 3, shards=4)
        assert [list(chain(*shards)) for shards in zip(*parts, strict=True)] == whole
        late = batches(one(shards=4), draw._replace(begun=3), lengths, window)
        assert [b for b in late if b is not None] == whole[sum(b is None for b in late) :]
        assert sum(b is None for b in late) <= 3


def test_epochs_differ_and_no_more_than_a_window_is_in_memory():
    lengths = [100] * 4
    first, second = (batches(one(shards=4), Draw(3, e), lengths, 80) for e in (0, 1))
    assert first != second
    data = OwnBlocks(Numbers(one(shards=4), lengths, 80), get_backend("numpy"))
    list(data.portions(Draw(3, 0), 16, whole=True))
    assert data.capacity <= 80 + 4


def test_windows_that_are_done_are_given_back():
    """An epoch of JAX's or PyTorch's arrays would be in memory whole, and its order anywhere."""
    data = OwnBlocks(Numbers(one(shards=4), [100] * 4, 80), get_backend("numpy"))
    portions = data.portions(Draw(3, 0), 16, whole=True)
    gone = weakref.ref(next(portions).order)
    for _ in range(2):
        next(portions)
    assert gone() is None
    portions.close()


def test_a_wrong_row_ends_all_processes():
    wrong = X.copy()
    wrong[400] = np.nan  # a row of the last process
    errors = {}

    def work(comm):
        try:
            classifier().fit(blocks(comm, wrong, NAMES), comm=comm)
        except Exception as error:
            errors[comm.rank] = error
            raise

    with pytest.raises(ValueError, match="Input X contains NaN in the rows"):
        in_threads(work, 3)
    assert isinstance(errors[0], RemoteError)
    assert "rank 2 failed: ValueError: Input X contains NaN" in str(errors[0])


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"early_stopping": True, "validation_fraction": 1e-6}, "validation set is too small"),
        ({"weight": np.zeros(N)}, "is zero in all rows"),
    ],
)
def test_what_cannot_be_is_told_in_all_processes(about, words):
    weight = about.get("weight", WEIGHT)
    about = {k: v for k, v in about.items() if k != "weight"}

    def work(comm):
        with pytest.raises((ValueError, RemoteError), match=words):
            classifier(**about).fit(blocks(comm, X, NAMES, weight), comm=comm)

    in_threads(work, 2)


def test_validation_on_blocks_is_shared():
    def fitted(comm):
        held = Blocks(X[:90], NAMES[:90], block_rows=20)
        model = classifier(early_stopping=True)
        model.fit(blocks(comm, X, NAMES), comm=comm, validation_data=held)
        return model.history_

    expected = fitted(one())
    assert all(found == expected for found in in_threads(fitted, 3))
    assert len(expected["val_score"]) == len(expected["loss"])


def test_any_number_of_processes_goes_on_from_the_middle_of_an_epoch(tmp_path):
    def fit(comm, folder, steps=None):
        due = None if folder is None else xpnn.Checkpoint(folder, every="5 steps")
        model, left = classifier(dropout=0.2), iter(range(10**6 if steps is None else steps))
        source = blocks(comm, X, NAMES, memory=0).map(lambda rows: fails(rows, left))
        model.fit(source, comm=comm, checkpoint=due, resume=folder is not None)
        return model.parameters_[0].tobytes()

    def fails(rows, left):
        if len(rows) > 2 and next(left, None) is None:
            raise RuntimeError("no disk")
        return rows

    with pytest.raises(RuntimeError, match="no disk"):
        in_threads(lambda comm: fit(comm, tmp_path / "run", 9), 2)
    found = in_threads(lambda comm: fit(comm, tmp_path / "run"), 3)
    assert found == [fit(one(), None)] * 3


def test_a_table_in_blocks_is_read_by_all_together():
    words = {"size": X[:, 0], "kind": NAMES.astype(object)}
    pa = pytest.importorskip("pyarrow")
    table = pa.table(words | {"value": VALUES[:, 0]})
    read = Blocks.table

    def work(comm):
        seen = []

        def noted(self, start, stop):
            seen.append((start, stop))
            return read(self, start, stop)

        given = Blocks(table, target="value", block_rows=50)
        given.table = types.MethodType(noted, given)
        model = xpnn.TabularRegressor(n_members=2, epochs=2, random_state=0).fit(given, comm=comm)
        return model.oof_prediction_.tobytes(), model.predict(words).tobytes(), seen

    expected = work(one())
    found = in_threads(work, 3)
    assert all(f[:2] == expected[:2] for f in found)
    for rank, (*_, seen) in enumerate(found):  # the first block tells the columns' kinds
        cuts = bounds(9, 3)
        assert {start // 50 for start, _ in seen[1:]} == set(range(cuts[rank], cuts[rank + 1]))


@pytest.mark.slow
def test_the_command_trains_on_a_folder_in_several_processes(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(xpnn.distributed, "mpi", one)
    (tmp_path / "set").mkdir()
    lines = [f"{a:.3f},{b}" for a, b in zip(X[:, 0], X[:, 1] > 0, strict=True)]
    (tmp_path / "set/part.csv").write_text("\n".join(["a,b", *lines]))
    about = ["--epochs", "2", "--members", "2", "--hidden", "4", "--device", "numpy", "--mpi"]
    result = CliRunner().invoke(app, ["train", "set", *about])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "xpnn-out/set/model.safetensors").exists()
