"""Tables larger than memory: what is learned is what the same table in memory teaches."""

import numpy as np
import pytest

from xpnn import TabularClassifier, TabularRegressor
from xpnn.data import Blocks
from xpnn.tables.thresholds import Classes
from xpnn.tabular import blocks as module

N = 240
ABOUT = {"epochs": 3, "n_members": 2, "hidden": (8,), "random_state": 0}


@pytest.fixture(scope="module")
def table():
    pa = pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    size = rng.normal(size=N)
    colour = rng.choice(["red", "green", "blue"], N).astype(object)
    colour[::11] = None
    day = np.datetime64("2024-01-01") + rng.integers(0, 400, N).astype("timedelta64[D]")
    gaps = np.where(np.arange(N) % 9 == 0, None, rng.integers(0, 50, N)).tolist()
    kind = np.where(size + (colour == "red") > 0.4, "big", "small")
    columns = {"size": size, "colour": colour, "kind": kind, "day": day, "count": gaps}
    return pa.table(columns | {"price": size * 3 + 1})


def same(model, other, X):
    assert model.history_ == other.history_
    np.testing.assert_array_equal(model.oof_prediction_, other.oof_prediction_)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


@pytest.mark.parametrize("source", ["parquet", "stream", "frame"])
def test_a_table_in_blocks_teaches_what_it_does_in_memory(table, source, tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "t.parquet", row_group_size=60)
    X = table.drop_columns(["kind", "price"])
    expected = TabularClassifier(**ABOUT).fit(X, table["kind"].to_pylist())
    columns = ["size", "colour", "day", "count"]
    given = {
        "parquet": tmp_path / "t.parquet",
        "stream": table.to_reader(50),
        "frame": table,
    }
    about = {"columns": columns, "block_rows": 50}
    blocks = Blocks(given[source], target="kind", **about)
    model = TabularClassifier(**ABOUT).fit(blocks)
    same(model, expected, X)
    assert model.feature_names_in_.tolist() == columns
    np.testing.assert_array_equal(model.predict_proba(blocks), expected.predict_proba(X))


def test_numbers_weights_and_rows_without_weight(table):
    size, count = np.asarray(table["size"]), np.arange(N) % 7
    X, y = np.stack([size, count], axis=1), np.asarray(table["price"])
    weight = (np.arange(N) % 5 > 0).astype(float)
    expected = TabularRegressor(**ABOUT).fit(X, y, weight)
    model = TabularRegressor(**ABOUT).fit(Blocks(X, y, weight, block_rows=50))
    same(model, expected, X)
    np.testing.assert_array_equal(model.predict(Blocks(X, block_rows=90)), expected.predict(X))


def test_columns_are_learned_from_a_sample(table, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("xpnn.estimators._blocks._IN_MEMORY", 0)
    frame = module.BlockFrame(TabularClassifier(), Blocks(table, block_rows=50), first=True)
    rows = np.arange(N)
    some, (codes, folds, _) = frame.sample(100, classes=Classes(rows, np.stack([rows, rows]), N))
    assert 60 < some.n_rows < 140
    assert (folds == codes).all()
    assert folds.shape == (2, some.n_rows)
    assert (np.asarray(table["size"])[codes] == some.columns["size"]).all()
    assert frame.sample(N)[0].n_rows == N
    encoding = module.learned(frame, 0, None)
    assert isinstance(module.inputs_of(encoding, frame), np.memmap)
    assert list(tmp_path.iterdir()) == []  # its file has no name


def test_a_bad_block_changes_nothing(table):
    blocks = Blocks(table, target="kind", columns=["size"], block_rows=50)
    with pytest.raises(ValueError, match="y is given twice"):
        TabularClassifier(**ABOUT).fit(blocks, table["kind"].to_pylist())
    with pytest.raises(ValueError, match="y to be passed"):
        TabularClassifier(**ABOUT).fit(Blocks(table, columns=["size"]))


def test_a_score_takes_the_targets_of_blocks(table):
    features = ["size", "colour"]
    for kind, target in ((TabularClassifier, "kind"), (TabularRegressor, "price")):
        blocks = Blocks(table, columns=features, target=target, block_rows=50)
        model = kind(**ABOUT).fit(blocks)
        X, y = table.select(features), table[target].to_pylist()
        assert model.score(blocks) == model.score(X, y) == model.score(Blocks(X), y)
        with pytest.raises(ValueError, match="requires y to be passed"):
            model.score(X)
