"""Perceptrons that learn piece by piece: rows larger than memory, checkpoints within an epoch."""

import functools

import numpy as np
import pytest
from checkpoints import CutOff, cut_off_after, in_pieces, refused

import xpnn
from xpnn import Checkpoint, Perceptron
from xpnn.data import Blocks
from xpnn.perceptron import samples
from xpnn.training.portions import Draw
from xpnn.training.windows import Windows

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N, FEATURES = 230, 4


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, FEATURES))
    scores = X @ rng.normal(size=(FEATURES, 3)) + rng.normal(size=(N, 3))
    return X, np.asarray(["a", "b", "c"])[scores.argmax(axis=1)], rng.uniform(0.5, 2, N)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(samples, "PIECE", 32)


def small(*args, **options):
    return Blocks(*args, **{"block_rows": 32, "window": 2, **options})


def perceptron(**params):
    return Perceptron(**{"max_iter": 4, "tol": None, "random_state": 1, **params})


def learned(model):
    arrays = [model.coef_, model.intercept_, *getattr(model, "_last", {}).values()]
    host = [xpnn.to_numpy(a).tobytes() for a in arrays]
    return host, repr(model.history_), model.n_iter_, model.t_


RULES = {
    "plain": {},
    "penalty": {"penalty": "elasticnet", "alpha": 0.01},
    "average": {"average": True, "penalty": "l2", "alpha": 0.01},
    "pocket": {"pocket": True},
    "batches": {"batch_size": 8, "average": True},
    "class weights": {"class_weight": "balanced"},
    "margins": {"eta0": 0.3, "tol": 0.1, "max_iter": 40, "n_iter_no_change": 2},
}


@pytest.mark.long_to_compile
@pytest.mark.parametrize("rule", RULES)
def test_unshuffled_blocks_are_the_array(rule, rows, target):
    X, y, weight = rows
    where = {"dtype": target.dtype_name, "device": target.backend.name}
    make = functools.partial(perceptron, shuffle=False, **RULES[rule], **where)
    for labels in (y, y == "a"):
        expected = make().fit(X, labels, sample_weight=weight)
        model = make().fit(small(X, labels, weight))
        assert learned(model) == learned(expected)
        assert model.predict(small(X)).tolist() == expected.predict(X).tolist()


def test_a_perceptron_of_blocks_is_that_of_any_source(rows, tmp_path):
    X, y, _ = rows
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    expected = perceptron().fit(small(X, y))
    assert learned(perceptron().fit(small(tmp_path))) == learned(expected)
    assert learned(perceptron().fit(small(tmp_path / "X.npy"), list(y))) == learned(expected)
    assert learned(perceptron().fit(small(X, y, window=3))) != learned(expected)
    assert expected.score(small(X, y)) == expected.score(X, y)
    scores = expected.decision_function(X)
    np.testing.assert_allclose(expected.decision_function(small(X)), scores, rtol=1e-12)


def test_an_epoch_of_blocks_visits_each_row_once(rows):
    X, y, _ = rows
    blocks = small(X, y)
    model = perceptron(max_iter=1).fit(blocks)
    seed = int(np.random.RandomState(1).randint(np.iinfo(np.int32).max))

    class Numbers:
        sizes, window = np.diff([*range(0, N, 32), N]), 2
        kinds = (((1,), np.dtype("float64")), ((), np.dtype("int64")), None)

        def fill(self, number, into):
            into.y[:] = np.arange(32 * number, 32 * number + len(into.y))

    order = []
    windows = Windows(Numbers(), xpnn.backends.get_backend("numpy"))
    for p in windows.portions(Draw(seed, 0), 1, whole=True):
        order += p.batch.y[p.order[p.start : p.start + p.steps]].tolist()
    assert sorted(order) == [*range(N)] != order
    expected = perceptron(max_iter=1, shuffle=False).fit(X[order], y[order])
    assert learned(model) == learned(expected)


def test_partial_fit_and_rows_held_out(rows):
    X, y, weight = rows
    model = perceptron().partial_fit(small(X, y), classes=["a", "b", "c"])
    assert learned(model) == learned(perceptron(max_iter=1).fit(small(X, y)))
    again = model.partial_fit(small(X, y))
    assert again.t_ == 1 + 2 * N
    stopped = perceptron(early_stopping=True, validation_fraction=0.3, max_iter=50, tol=1e-3)
    stopped.fit(small(X, y, weight))
    assert stopped.n_iter_ < 50
    unsplit = perceptron(max_iter=stopped.n_iter_).fit(small(X, y, weight))
    assert learned(stopped) != learned(unsplit)


def test_what_is_wrong_is_told_and_changes_nothing(rows):
    X, y, _ = rows
    model = perceptron().fit(small(X, y))
    before = learned(model)
    spoiled = np.where(np.arange(N)[:, None] == 70, np.nan, X)
    cases = [
        (lambda: model.fit(small(spoiled, y)), "NaN in the rows 64"),
        (lambda: model.fit(small(X)), "requires y to be passed"),
        (lambda: model.fit(small(X, np.zeros(N))), "number of classes has to be greater than one"),
        (lambda: model.partial_fit(small(X[:, 1:], y)), "has 3 features"),
        (lambda: model.partial_fit(small(X, np.where(y == "a", "z", y))), "z"),
        (lambda: model.predict(small(X[:, 1:])), "has 3 features"),
        (lambda: perceptron(class_weight={"z": 2}).fit(small(X, y)), "class_weight"),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            wrong()
    assert learned(model) == before


# -- checkpoints within an epoch ---------------------------------------------------------------


@pytest.mark.parametrize("rule", ["average", "batches"])
@pytest.mark.parametrize("kind", ["array", "blocks"])
def test_the_bits_of_a_perceptron_cut_within_epochs(rule, kind, rows, tmp_path, monkeypatch):
    X, y, _ = rows
    given = (X, y) if kind == "array" else (small(X, y), None)
    make = functools.partial(perceptron, **RULES[rule], max_iter=2)
    whole = make().fit(*given)
    steps = 64 // RULES[rule].get("batch_size", 1)
    again = in_pieces(make, tmp_path / "run", monkeypatch, *given, every=f"{steps} steps", writes=1)
    assert learned(again) == learned(whole)
    changed = (X + 1, y) if kind == "array" else (small(X, y, window=3), None)
    message = "X: sha256" if kind == "array" else "X: window was 2 and is 3"
    refused(tmp_path / "run", message, *changed, make=make, resume=True)


def test_a_checkpoint_within_an_epoch_on_each_device(target_any, rows, tmp_path, monkeypatch):
    X, y, _ = rows
    options = {"dtype": target_any.dtype_name, "batch_size": 16, "average": True, "max_iter": 3}
    X = target_any.asarray(X)
    make = functools.partial(perceptron, **options)
    whole = make().fit(X, y)
    again = in_pieces(make, tmp_path / "run", monkeypatch, X, y, every="5 steps", writes=1)
    assert learned(again) == learned(whole)


def test_a_perceptron_goes_on_where_it_stood_in_an_epoch(rows, tmp_path, monkeypatch):
    X, y, _ = rows
    visited = []
    pieces = samples.Samples.pieces

    def watched(self, epoch, begun):
        visited.append((epoch, begun))
        return pieces(self, epoch, begun)

    monkeypatch.setattr(samples.Samples, "pieces", watched)
    for _ in range(3):
        with cut_off_after(1, monkeypatch), pytest.raises(CutOff):
            perceptron().fit(X, y, checkpoint=Checkpoint(tmp_path / "run", "96 steps"), resume=True)
    assert visited == [(0, 0), (0, 96), (0, 192), (1, 0)]
