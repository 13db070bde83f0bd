"""Training on blocks: the same bits for any source and any memory, on every library."""

import types
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor
from xpnn.backends import get_backend
from xpnn.blocks.hashing import chosen
from xpnn.data import Blocks
from xpnn.training.portions import Draw
from xpnn.training.windows import Windows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N, FEATURES = 700, 5


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, FEATURES)).astype(np.float32)
    return X, np.where(X[:, 0] + X[:, 1] ** 2 > 0.7, "yes", "no")


def classifier(**params):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 3, "random_state": 0, "tol": 0.0}
    return MLPClassifier(**{**defaults, "n_iter_no_change": 100, "batch_size": 48, **params})


def small(*args, **options):
    return Blocks(*args, **{"block_rows": 64, "window": 3, **options})


def weights(model):
    return [np.asarray(w).tobytes() for w in (*model.coefs_, *model.intercepts_)]


class Numbers:
    """A source of blocks whose rows are their own numbers."""

    def __init__(self, sizes, window):
        self.sizes, self.window = np.asarray(sizes), window
        self.kinds = [((1,), np.dtype("float64")), ((), np.dtype("int64")), None]
        self.starts, self.filled = np.cumsum([0, *sizes]), []

    def fill(self, number, into):
        self.filled.append(number)
        into.y[:] = np.arange(self.starts[number], self.starts[number + 1])
        into.x[:, 0] = into.y


def batches(windows, draw, size):
    """The rows of each batch of an epoch."""
    found, done = [], 0
    for portion in windows.portions(draw, size, whole=True):
        order = portion.order
        for k in range(max(0, draw.begun - done), portion.steps):
            start = portion.start + k * size
            at = np.arange(len(portion.batch.y)) if order is None else order
            at = at[start : start + size]
            assert (portion.batch.x[at, 0] == portion.batch.y[at]).all()
            found.append(portion.batch.y[at].tolist())
        done += portion.steps
    return found


@pytest.mark.parametrize("window", [1, 2, 9])
@pytest.mark.parametrize("size", [1, 3, 5, 11, 40])
def test_an_epoch_has_every_row_once_in_whole_batches(window, size):
    windows = Windows(Numbers([5, 5, 0, 5, 2], window), get_backend("numpy"))
    for shuffle in (False, True):
        for epoch in range(3):  # the buffers serve all epochs
            found = batches(windows, Draw(3, epoch, shuffle=shuffle), size)
            rows = list(chain(*found))
            assert sorted(rows) == list(range(17))
            assert all(len(b) == size for b in found[:-1])
            assert len(found) == -(-17 // size)
            assert shuffle or rows == list(range(17))


@pytest.mark.parametrize("size", [1, 2, 4, 7, 11])
def test_an_epoch_that_goes_on_reads_no_window_before(size):
    source = Numbers([5, 5, 0, 5, 2, 6], 1)
    windows = Windows(source, get_backend("numpy"))
    for shuffle in (False, True):
        whole = Draw(3, 1, shuffle=shuffle)
        expected, order = batches(windows, whole, size), windows.windows(whole)
        ends = np.cumsum([source.sizes[w].sum() for w in order])
        for begun in range(len(expected)):
            source.filled.clear()
            assert batches(windows, whole._replace(begun=begun), size) == expected[begun:]
            first = np.searchsorted(ends, begun * size, side="right")
            assert source.filled == [int(w[0]) for w in order[first:]]


def test_blocks_of_a_window_are_mixed_and_epochs_differ():
    windows = Windows(Numbers([10] * 6, 2), get_backend("numpy"))
    first, second = (list(chain(*batches(windows, Draw(1, e), 60))) for e in (0, 1))
    assert first != second
    for k in range(3):  # two blocks each, and not one after the other
        part = np.asarray(first[20 * k : 20 * (k + 1)])
        assert len(set(part // 10)) == 2
        assert len(set(part[:10] // 10)) == 2
    whole = Windows(Numbers([10] * 6, 1), get_backend("numpy"))
    order = np.asarray(list(chain(*batches(whole, Draw(1, 0), 60)))).reshape(6, 10)
    assert len({tuple(block % 10) for block in order}) == 6  # each in an order of its own
    others = np.asarray(list(chain(*batches(whole, Draw(1, 1), 60)))).reshape(6, 10)
    assert (order[:, 0] // 10).tolist() != (others[:, 0] // 10).tolist()


def test_an_array_in_memory_gives_the_same_bits_for_any_memory_and_source(table, tmp_path):
    X, y = table
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    expected = classifier().fit(small(X, y))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    counted = types.SimpleNamespace(shape=X.shape, dtype=X.dtype)
    for given in (small(mapped, y), small(tmp_path), small(tmp_path / "X.npy", list(y))):
        assert weights(classifier().fit(given)) == weights(expected)
    reads = []
    for memory in (0, 4000, 1 << 30):  # nothing, some blocks, and all of them are kept
        source = Slow(counted, X)
        model = classifier().fit(small(source, y, memory=memory))
        assert weights(model) == weights(expected)
        assert model.loss_curve_ == expected.loss_curve_
        reads.append(source.reads)
    assert reads[0] == 3 * 11 > reads[1] > reads[2] == 11  # of three epochs of eleven blocks
    assert weights(classifier().fit(small(X, y, window=4))) != weights(expected)


class Slow:
    """Something with a shape, and slices that count how often they are taken."""

    def __init__(self, about, X):
        self.shape, self.dtype, self.X, self.reads = about.shape, about.dtype, X, 0

    def __getitem__(self, rows):
        self.reads += len(self.X[rows]) > 1  # one row tells the kind of what there is
        return self.X[rows]


def test_a_window_of_all_rows_is_a_shuffle_of_all_rows(table):
    X, y = table
    order = Windows(Numbers([64] * 10 + [60], 11), get_backend("numpy"))
    state = classifier(max_iter=1).fit(small(X, y, window=11))._state
    rows = list(chain(*batches(order, Draw(state.seed, 0), N)))
    expected = classifier(max_iter=1, shuffle=False).fit(X[rows], y[rows])
    for a, b in zip(
        classifier(max_iter=1).fit(small(X, y, window=11)).coefs_, expected.coefs_, strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long_to_compile
def test_every_library_trains_on_the_same_rows(table, target):
    X, y = table
    about = {"dropout": 0.1, "clip_norm": 1.0}
    expected = classifier(dtype=target.dtype_name, **about).fit(small(X, y))
    model = classifier(device=target.backend, dtype=target.dtype_name, **about).fit(small(X, y))
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=target.loss_tol)
    for a, b in zip(model.coefs_, expected.coefs_, strict=True):
        scale = float(np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=target.weight_tol * scale)
    assert model.predict(small(X)).tolist() == expected.predict(X).tolist()


def test_unshuffled_blocks_are_the_array(table):
    X, y = table
    for solver in ("adam", "lbfgs"):
        model = classifier(shuffle=False, solver=solver).fit(small(X, y))
        expected = classifier(shuffle=False, solver=solver).fit(X, y)
        assert weights(model) == weights(expected)


def test_targets_and_weights_inside_are_those_beside(table):
    X, y = table
    rng = np.random.default_rng(1)
    weight, value = rng.uniform(size=N).astype(np.float32), X[:, :1] * 2
    inside = np.concatenate([X, value, weight[:, None]], axis=1)
    model = MLPRegressor(max_iter=2, random_state=0)
    expected = model.fit(small(X, value[:, 0], weight)).loss_curve_
    assert model.fit(small(inside, target=-2, weight=-1)).loss_curve_ == expected
    assert model.fit(small(X), value[:, 0], weight).loss_curve_ == expected
    score = model.score(X, value[:, 0], weight)
    assert model.score(small(inside, target=-2, weight=-1)) == pytest.approx(score, rel=1e-6)
    balanced = classifier(class_weight="balanced").fit(small(X, y)).loss_curve_
    counts = {c: N / (2 * (y == c).sum()) for c in ("no", "yes")}
    assert classifier(class_weight=counts).fit(small(X, y)).loss_curve_ == balanced


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "several outputs"])
def test_targets_of_every_kind(table, kind):
    X, _ = table
    model = (MLPRegressor if kind == "several outputs" else MLPClassifier)(
        hidden_layer_sizes=(8,), max_iter=2, random_state=0, shuffle=False
    )
    if kind == "multiclass":
        y = np.digitize(X[:, 0], [-1, 0, 1]) * 10
    else:
        y = X[:, :3] * 2 if kind == "several outputs" else (X[:, :3] > 0).astype(int)
    expected = model.fit(X, y)
    loss, score = expected.loss_curve_, expected.score(X, y)
    blocks = small(X, y)
    assert model.fit(blocks).loss_curve_ == loss
    assert model.score(blocks) == pytest.approx(score)
    np.testing.assert_array_equal(model.predict(blocks), model.predict(X))
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(model.predict_proba(blocks), model.predict_proba(X), rtol=1e-5)


def test_rows_held_out_depend_on_their_numbers_alone(table):
    X, y = table
    counts = [chosen(a, a + 100_000, 0.2, 5).mean() for a in (0, 2**32 - 50_000)]
    np.testing.assert_allclose(counts, 0.2, atol=0.005)
    about = {"early_stopping": True, "validation_fraction": 0.2, "shuffle": False}
    model = classifier(**about).fit(small(X, y))
    hold = chosen(0, N, 0.2, model._state.seed)
    held = {"validation_data": (X[hold], y[hold])}
    expected = classifier(**about).fit(X[~hold], y[~hold], **held)
    assert weights(model) == weights(expected)
    assert model.history_["val_loss"] == expected.history_["val_loss"]


def test_validation_data_may_be_blocks(table):
    X, y = table
    expected = classifier().fit(X, y, validation_data=(X[:99], y[:99])).history_["val_loss"]
    for held in (small(X[:99], y[:99]), (small(X[:99]), y[:99])):
        assert classifier().fit(X, y, validation_data=held).history_["val_loss"] == expected


def test_partial_fit_goes_on(table):
    X, y = table
    model = classifier()
    model.partial_fit(small(X, y), classes=["no", "yes"]).partial_fit(small(X, y))
    assert weights(model) == weights(classifier(max_iter=2).fit(small(X, y)))
    warm = classifier(warm_start=True).fit(small(X, y)).fit(small(X, y))
    assert warm._state.epoch == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda X, y: (np.where(np.arange(N)[:, None] == 300, np.nan, X), y),
            "NaN in the rows 256",
        ),
        (lambda X, y: (np.where(np.arange(N)[:, None] == 1, np.inf, X), y), "infinity"),
        (lambda X, y: (X, None), "requires y to be passed"),
        (lambda X, y: (X[:, :4], y), "has 4 features, but MLPClassifier is expecting 5"),
        (lambda X, y: (X, np.where(np.arange(N) == 650, "maybe", y)), "classes not in"),
    ],
)
def test_bad_rows_are_told_and_change_nothing(table, change, message):
    X, y = table
    model = classifier(warm_start=True).fit(small(X, y))
    before, state = weights(model), model._state
    with pytest.raises(ValueError, match=message):
        model.partial_fit(small(*change(X, y)))
    assert weights(model) == before
    assert model._state is state


def test_each_piece_of_a_block_is_looked_at(table, monkeypatch):
    X, y = table
    monkeypatch.setattr("xpnn.estimators._blocks._PIECE", 10 * X[:1].nbytes)
    assert weights(classifier().fit(small(X, y))) == weights(classifier().fit(small(X, y)))
    spoiled = np.where(np.arange(N)[:, None] == 300, np.nan, X)
    with pytest.raises(ValueError, match="NaN in the rows 296 to 305"):
        classifier().fit(small(spoiled, y))


def test_mistakes_are_told_with_the_cure(table):
    X, y = table
    cases = [
        (lambda: Blocks(X, y[:10]), "inconsistent numbers of samples"),
        (lambda: Blocks(X, target="price"), "no column 'price': the columns have no names"),
        (lambda: Blocks(X, target=7), "there is no column 7: there are 5"),
        (lambda: Blocks(X, target=X[:, 0]), r"got an array of shape \(.*go in as y"),
        (lambda: Blocks(X, target=1.5), r"a name or a whole number, got 1\.5"),
        (lambda: Blocks(X, y, target=0), "y is given twice"),
        (lambda: Blocks(X, y).with_targets(y), "y is given twice"),
        (lambda: Blocks(X, target=0, columns=[0, 1]), "the target or the weight: name features"),
        (lambda: Blocks(X[:, 0]), "Expected 2D array"),
        (lambda: Blocks(y[:, None]), "holds <U3, not numbers"),
        (lambda: Blocks(X, block_rows=0), "block_rows must be a whole number of at least 1"),
        (lambda: Blocks(X, dtype="int8"), "dtype must be 'float32' or 'float64'"),
        (lambda: Blocks(X).read(0, N + 1), "there are the rows 0 to 700"),
        (lambda: classifier().fit(Blocks(X[:0], y[:0])), "0 sample"),
        (lambda: classifier().fit(small(X, y), sample_weight=-np.ones(N)), "must be finite"),
        (lambda: classifier().fit(small(X, y), sample_weight=np.zeros(N)), "a weight above 0"),
    ]
    for wrong, message in cases:
        with pytest.raises((TypeError, ValueError), match=message):
            wrong()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Blocks("nowhere.parquet")


def test_statistics_are_those_of_all_rows_in_one_pass(table):
    X = table[0].astype(np.float64) * [1, 1e3, 1e-3, 1, 1] + [0, 1e6, 0, 5, 0]
    X[::7, 2], X[:, 4] = np.nan, np.nan
    about = small(X).statistics(sample=N)
    assert about.n_rows == N
    assert about.missing.tolist() == np.isnan(X).sum(axis=0).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the column that has nothing
        expected = np.nanmean(X, 0), np.nanstd(X, 0), np.nanmin(X, 0), np.nanmax(X, 0)
        median = np.nanquantile(X, [0.1, 0.5], axis=0)
        for a, b in zip((about.mean, about.std, about.least, about.most), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        np.testing.assert_array_equal(about.quantile([0.1, 0.5]), median)
    some = small(X, block_rows=50).statistics(sample=200).sample
    assert 140 < len(some) < 260
    np.testing.assert_array_equal(some, small(X).statistics(sample=200).sample)


def test_features_are_changed_as_they_are_read(table):
    X, y = table
    about = small(X).statistics()
    scaled = ((X - about.mean) / about.std).astype(np.float32)
    blocks = small(X, y).map(lambda x: ((x - about.mean) / about.std).astype(np.float32))
    assert weights(classifier().fit(blocks)) == weights(classifier().fit(small(scaled, y)))
    both = blocks.map(lambda x: np.concatenate([x, x], axis=1))
    assert both.n_features == 2 * FEATURES
    np.testing.assert_array_equal(both.read(3, 9)[0][:, FEATURES:], scaled[3:9])
    for wrong in (
        lambda x: x[:1],
        lambda x: x[:, :, None],
        lambda x: x if len(x) == 2 else x[:, 1:],
    ):
        with pytest.raises(ValueError, match=r"the function of map\(\) made"):
            blocks.map(wrong).read(0, 5)


def anonymous():
    """Mebibytes of memory that belong to no file."""
    try:
        text = Path("/proc/self/status").read_text("ascii")
    except OSError:
        pytest.skip("only where /proc is")
    return int(text.partition("RssAnon:")[2].split()[0]) / 1024


def test_a_fit_of_a_memory_map_makes_no_copy(tmp_path):
    X = np.ones((120_000, 64), np.float32)  # 29 MiB
    X[::2, 0] = 0
    np.save(tmp_path / "X.npy", X)
    y, mapped = (X[:, 0] > 0).astype(int), np.load(tmp_path / "X.npy", mmap_mode="r")
    del X
    most = []
    model = classifier(max_iter=1, callbacks=lambda end: most.append(anonymous()))
    model.fit(mapped[:100], y[:100]).set_params(batch_size=20_000)
    before = anonymous()
    model.fit(mapped, y)
    assert most[-1] - before < 20  # batches, the order, and what y became
    spoiled = np.load(tmp_path / "X.npy", mmap_mode="r+")
    spoiled[110_000, 3] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(spoiled, y)
