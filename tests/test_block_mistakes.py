"""What went wrong with `Blocks` of real sources: columns elsewhere, files that change, frames."""

import importlib.util
import os
import pickle

import numpy as np
import pytest

import xpnn
from xpnn.data import Blocks


def test_columns_in_another_order_are_told_by_their_names(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "1.csv").write_text("u,word,v\n1,01,2\n3,a,4\n")
    (tmp_path / "2.csv").write_text("v,u,word\n20,10,01\n")
    blocks = Blocks(tmp_path, columns=["u", "v"], target="word")
    assert blocks.read(0, 3)[0].tolist() == [[1, 2], [3, 4], [10, 20]]
    assert blocks.read(0, 3)[1].tolist() == ["01", "a", "01"]  # no number in the second file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u\n20\n", "'v'.*unlike '1.csv'"),
        ("u,v,w\n20,1,a\n", "has the column 'w'"),
        ("u,w\n20,1\n", "lacks the column 'v' and has the column 'w'"),
    ],
)
def test_files_of_other_columns_are_refused(text, message, tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "1.csv").write_text("u,v\n1,2\n3,4\n")
    (tmp_path / "2.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        Blocks(tmp_path)


def test_a_packed_file_that_is_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "rows.npz"
    np.savez_compressed(path, X=np.zeros((4, 2)))
    first = Blocks(path)
    assert first.read(0, 4)[0].sum() == 0
    np.savez_compressed(path, X=np.ones((4, 2)))
    os.utime(path, ns=(1, 1))  # clocks may be coarse
    assert Blocks(path).read(0, 4)[0].sum() == 8
    with pytest.raises(ValueError, match="has changed since it was opened"):
        first.read(0, 4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_targets_beside_blocks_may_be_of_a_data_frame(library):
    frames = pytest.importorskip(library)
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = np.where(X[:, 0] > 0, "up", "down")
    frame = frames.DataFrame({"y": y, "w": np.ones(40)})
    model = xpnn.MLPClassifier((4,), max_iter=2, tol=9, random_state=0)
    assert model.fit(Blocks(X), frame["y"]).classes_.tolist() == ["down", "up"]
    blocks = Blocks(X, frame["y"], frame["w"])
    assert blocks.read(0, 40)[1].tolist() == y.tolist()
    assert Blocks(X, frame[["w"]]).read(0, 2)[1].tolist() == [[1.0], [1.0]]
    if library == "pandas":
        assert Blocks(X, frame["y"].astype("category")).read(0, 40)[1].tolist() == y.tolist()


def test_a_dataset_of_pyarrow(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import csv, dataset, parquet

    table = pa.table({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
    parquet.write_table(table, tmp_path / "t.parquet")
    csv.write_csv(table, tmp_path / "t.csv")
    whole = np.stack([table["a"], table["b"]], axis=1)
    rows = dataset.dataset(tmp_path / "t.parquet")
    for source in (rows, dataset.dataset(tmp_path / "t.csv", format="csv")):
        np.testing.assert_array_equal(Blocks(source).read(0, 3)[0], whole)
    some = Blocks(rows.filter(dataset.field("a") > 1.5))
    np.testing.assert_array_equal(some.read(0, some.n_rows)[0], whole[1:])


def test_blocks_can_be_pickled(tmp_path):
    X = np.arange(24.0).reshape(8, 3)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "F.npy", np.asfortranarray(X))
    np.savez(tmp_path / "Z.npz", X=X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    sources = [X, tmp_path / "X.npy", tmp_path / "F.npy", tmp_path / "Z.npz", mapped, mapped[0:]]
    if importlib.util.find_spec("pyarrow"):
        (tmp_path / "t.csv").write_text("\n".join(["a,b,c", *(f"{a},{b},{c}" for a, b, c in X)]))
        sources.append(tmp_path / "t.csv")
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(dict(zip("abc", X.T, strict=True))), tmp_path / "t.parquet")
        sources += [tmp_path / "t.parquet", pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})]
    for source in sources:
        blocks = Blocks(source, target=2).map(np.negative).map(np.negative)
        again = pickle.loads(pickle.dumps(blocks))
        np.testing.assert_array_equal(again.read(1, 7)[0], X[1:7, :2])
        np.testing.assert_array_equal(again.read(1, 7)[1], X[1:7, 2])
    for part, wanted in ((mapped[3:], X[3:]), (mapped[::2], X[::2]), (mapped[:, 1:], X[:, 1:])):
        text = pickle.dumps(Blocks(part))
        np.testing.assert_array_equal(pickle.loads(text).read(0, len(part))[0], wanted)
    big = np.lib.format.open_memmap(tmp_path / "B.npy", "w+", np.float64, (100_000, 3))
    assert len(pickle.dumps(Blocks(big))) < 5000  # the file's name, not its rows


def test_what_has_no_rows_is_told():
    with pytest.raises(ValueError, match="X is of object, which has no rows"):
        Blocks(object())
    for memory in (-1, "1GB"):
        with pytest.raises(ValueError, match="memory must be a whole number of at least 0"):
            Blocks(np.eye(3), memory=memory)


def test_labels_that_are_missing_and_weights_are_told_with_their_rows():
    X = np.zeros((40, 2))
    labels = np.where(np.arange(40) == 35, None, "u").astype(object)
    for missing in (
        labels,
        np.where(labels == "u", labels, np.nan),
        np.where(np.arange(40) == 35, 1, labels),
    ):
        blocks = Blocks(X, missing.astype(object), block_rows=8)
        with pytest.raises(ValueError, match=r"missing labels, or words beside .* rows 32 to 39"):
            xpnn.MLPClassifier((4,)).fit(blocks)
    weight = np.where(np.arange(40) == 35, np.nan, 1.0)
    with pytest.raises(ValueError, match=r"got nan in row 3.* Row 0 of these is row 32 of X"):
        xpnn.MLPRegressor("squared_error", (4,)).fit(Blocks(X, X[:, 0], weight, block_rows=8))


def test_who_takes_no_blocks_says_so():
    model = xpnn.Perceptron(max_iter=1, tol=None).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(ValueError, match="y is Blocks, which estimators take as X, and nothing"):
        model.score(np.eye(4), Blocks(np.eye(4)))


def test_what_map_has_made_is_not_lost():
    X, y = np.arange(12.0).reshape(4, 3), np.arange(4)
    for blocks in (Blocks(X, y), Blocks(X, target=0, columns=[0, 1, 2][1:])):
        changed = blocks.map(lambda x: np.hstack([x, 2 * x]))
        alone = changed.without_targets()
        assert not alone.has_target
        np.testing.assert_array_equal(alone.read_features(0, 4), changed.read_features(0, 4))
        assert alone.with_targets(y).read(1, 2)[1].tolist() == [1]
        with pytest.raises(ValueError, match="before map"):
            changed.select([0])
