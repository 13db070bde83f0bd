"""What `Blocks` is made from: files, folders, arrays of other libraries, frames and streams."""

import gzip
import warnings

import numpy as np
import pytest

from xpnn.blocks.arrays import Slices
from xpnn.data import Blocks

N = 300


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3)).astype(np.float32)
    return X, np.where(X[:, 0] > 0, "up", "down"), rng.uniform(size=N).astype(np.float32)


def check(blocks, table, weighted=False):
    """Every stretch of rows is that of the table."""
    X, y, weight = table
    assert (blocks.n_rows, blocks.n_features, blocks.dtype) == (N, 3, np.float32)
    for start, stop in ((0, N), (0, 1), (97, 204), (N - 1, N), (5, 5)):
        a, b, c = blocks.read(start, stop)
        np.testing.assert_array_equal(np.asarray(a, np.float32), X[start:stop])
        into = np.full((stop - start, 3), np.nan, np.float32)
        blocks.fill_features(start, stop, into)
        np.testing.assert_array_equal(into, X[start:stop])
        assert b.tolist() == y[start:stop].tolist()
        assert (c is not None) == weighted
        if weighted:
            np.testing.assert_array_equal(c, weight[start:stop])


def test_folders_and_files_of_numpy(table, tmp_path):
    X, y, weight = table
    for i, rows in enumerate((slice(0, 100), slice(100, 230), slice(230, N))):
        np.save(tmp_path / f"X-{i}.npy", X[rows])
        np.save(tmp_path / f"y-{i}.npy", y[rows])
        np.save(tmp_path / f"weight-{i}.npy", weight[rows])
    check(Blocks(tmp_path), table, weighted=True)
    for save in (np.savez, np.savez_compressed):
        folder = tmp_path / save.__name__
        folder.mkdir()
        save(folder / "a.npz", X=X[:200], y=y[:200], note=np.zeros(3))
        save(folder / "b.npz", X=np.asfortranarray(X[200:]), y=y[200:])
        check(Blocks(folder), table)
        check(Blocks([folder / "a.npz", folder / "b.npz"]), table)
    assert Blocks(tmp_path / "X-0.npy").n_rows == 100
    assert Blocks(tmp_path / "savez").direct
    assert not Blocks(tmp_path / "savez_compressed").direct


def test_parquet_files_and_data_sets(table, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    X, y, weight = table
    columns = {"a": X[:, 0], "b": X[:, 1], "label": y, "c": X[:, 2], "w": weight}
    whole = pa.table(columns)
    folder = tmp_path / "set"
    folder.mkdir()
    pq.write_table(whole.slice(0, 150), folder / "part-0.parquet", row_group_size=40)
    pq.write_table(whole.slice(150), folder / "part-1.parquet", row_group_size=64)
    options = {"target": "label", "weight": "w", "block_rows": 64}
    for source in (folder, sorted(folder.iterdir()), str(tmp_path / "s*" / "part-[0-9].parquet")):
        blocks = Blocks(source, **options)
        check(blocks, table, weighted=True)
        assert blocks.feature_names == ("a", "b", "c")
        assert blocks.target_name == "label"
    with pytest.raises(FileNotFoundError, match=r"no file that matches '.*\*\.orc'"):
        Blocks(str(folder / "*.orc"))
    large = Blocks(folder, **{**options, "block_rows": 16})  # its row groups are unpacked once
    assert large.direct
    assert not blocks.direct
    check(large, table, weighted=True)
    assert (
        Blocks(folder, target="label", columns=["c"]).read(0, 2)[0].tolist() == X[:2, 2:].tolist()
    )
    with pytest.raises(ValueError, match="the column 'label' holds string"):
        Blocks(folder).read(0, 1)
    with pytest.raises(ValueError, match="there is no column 'lable'; there are 'a', 'b', 'label'"):
        Blocks(folder, target="lable")
    parts = pa.table({"x": [1.0, 2.0], "y": [1, 0], "year": ["2024", "2025"]})
    pq.write_to_dataset(parts, tmp_path / "hive", partition_cols=["year"])
    assert Blocks(tmp_path / "hive", target="y").feature_names == ("x", "year")


def test_csv_is_written_once(table, tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    X, y, _ = table
    lines = ["a;b;label;c", *(f"{r[0]!s};{r[1]!s};{w};{r[2]!s}" for r, w in zip(X, y, strict=True))]
    text = "\n".join(lines) + "\n"
    (tmp_path / "t.csv").write_text(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode()))
    options = {"target": "label", "dtype": "float32"}
    check(Blocks(tmp_path / "t.csv.gz", **options), table)
    folder = tmp_path / "once"
    check(Blocks(tmp_path / "t.csv", folder=folder, **options), table)
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.csv.open_csv", None)
        check(Blocks(tmp_path / "t.csv", folder=folder, **options), table)
        check(Blocks(folder, **options), table)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["once", "t.csv", "t.csv.gz"]
    (tmp_path / "t.csv").write_text(text + "1;2;up;3\n")
    with pytest.raises(FileExistsError, match="holds something else"):
        Blocks(tmp_path / "t.csv", folder=folder, **options)
    (tmp_path / "bad.csv").write_text("a;b\n" + "1;2\n" * 300_000 + "1;word\n")
    with pytest.raises(ValueError, match=r"bad.csv.*word"):
        Blocks(tmp_path / "bad.csv", folder=tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_whole_numbers_in_the_first_rows_of_a_csv_are_no_surprise(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.csv").write_text("a,b\n" + "1,\n" * 300_000 + "2.5,7\n")
    x, _, _ = Blocks(tmp_path / "t.csv", columns=["a"]).read(299_999, 300_001)
    assert x.ravel().tolist() == [1.0, 2.5]
    x, _, _ = Blocks(tmp_path / "t.csv").read(299_999, 300_001)
    np.testing.assert_array_equal(x, [[1.0, np.nan], [2.5, 7.0]])


def test_frames_and_streams(table):
    pa = pytest.importorskip("pyarrow")
    X, y, weight = table
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "label": y, "w": weight}
    whole = pa.table(columns)
    options = {"target": "label", "weight": "w"}
    sources = [whole, whole.to_reader(70), whole.to_pandas()]
    dictionary = whole.set_column(3, "label", whole.column(3).dictionary_encode())
    sources += [dictionary, dictionary.to_reader(70)]
    try:
        import polars

        sources.append(polars.from_arrow(whole))
    except ImportError:
        pass
    for source in sources:
        blocks = Blocks(source, **options)
        check(blocks, table, weighted=True)
    with pytest.raises(ValueError, match="the stream has no batch"):
        Blocks(pa.RecordBatchReader.from_batches(whole.schema, []))
    gap = pa.table({"a": [1.0, 2.0], "label": ["u", None]})
    for source in (gap, gap.to_reader()):
        with pytest.raises(ValueError, match="1 labels are missing"):
            Blocks(source, target="label").read(0, 2)


def test_a_spilled_stream_goes_with_its_table(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    blocks = Blocks(pa.table({"a": [1.0], "b": ["w"]}).to_reader(), target="b")
    assert len(list(tmp_path.iterdir())) == 1
    del blocks
    assert list(tmp_path.iterdir()) == []

    def broken():
        yield pa.record_batch({"a": [1.0]})
        raise OSError(28, "No space left on device")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.float64()}), broken())
    for folder in (None, tmp_path / "new"):
        with pytest.raises(OSError, match="No space"):
            Blocks(reader, folder=folder)
        reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.float64()}), broken())
    assert list(tmp_path.iterdir()) == []


def test_hdf5(table, tmp_path):
    h5py = pytest.importorskip("h5py")
    X, y, weight = table
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"], file["weight"] = X, weight
        file["y"] = (y == "up").astype(int)
    opened = Blocks(tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        for blocks in (opened, Blocks(file["X"], file["y"], file["weight"])):
            a, b, c = blocks.read(97, 204)
            np.testing.assert_array_equal(a, X[97:204])
            assert b.tolist() == (y == "up")[97:204].tolist()
            assert c.tolist() == weight[97:204].tolist()


def test_zarr(table, tmp_path):
    zarr = pytest.importorskip("zarr")
    X, y, _ = table
    group = zarr.open_group(str(tmp_path / "t.zarr"), mode="w")
    for name, a in (("X", X), ("y", (y == "up").astype(int))):
        group.create_array(name, data=a, chunks=(100, *a.shape[1:]))
    for blocks in (Blocks(tmp_path / "t.zarr"), Blocks(group["X"], group["y"])):
        a, b, _ = blocks.read(97, 204)
        np.testing.assert_array_equal(a, X[97:204])
        assert b.tolist() == (y == "up")[97:204].tolist()


def test_dask(table):
    da = pytest.importorskip("dask.array")
    dd = pytest.importorskip("dask.dataframe")
    pd = pytest.importorskip("pandas")
    X, y, _ = table
    check(Blocks(da.from_array(X, chunks=(70, 3)), y), table)
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "label": y})
    check(Blocks(dd.from_pandas(frame, npartitions=3), target="label"), table)
    unknown = da.from_array(X, chunks=(70, 3))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        Blocks(unknown[unknown[:, 0] > 0])


def test_arrays_of_other_libraries(table, target_any):
    X, y, _ = table
    check(Blocks(target_any.backend.asarray(X), y), table)


def test_pages_of_a_memory_map_do_not_stay(tmp_path):
    rows = 1 << 14
    np.save(tmp_path / "X.npy", np.ones((rows, 256), np.float32))  # 16 MiB
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    blocks = Blocks(mapped[100:], block_rows=1 << 10)  # a view of it, too
    assert Slices(mapped, "X")._map is not None
    before = resident()
    into = np.zeros((1 << 10, 256), np.float32)
    for start, stop in blocks.bounds():
        assert blocks.read(start, stop)[0].sum() == 256 * (stop - start)
        blocks.fill_features(start, stop, into[: stop - start])
    assert resident() - before < 4 + 1
    changed = np.load(tmp_path / "X.npy", mmap_mode="c")
    changed[:] = 2.0  # would be lost with its pages
    for _ in range(2):
        assert Blocks(changed).read(0, rows)[0].sum() == 2.0 * 256 * rows


def resident():
    """Mebibytes in memory."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) / 256
    except OSError:
        pytest.skip("only where /proc is")


def test_nothing_that_can_be_read_is_told(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    (tmp_path / "a.docx").write_text("x")
    (tmp_path / "empty").mkdir()
    cases = [
        (lambda: Blocks(tmp_path / "a.docx"), "nothing that can be read in blocks"),
        (lambda: Blocks(tmp_path / "empty"), "is empty"),
        (lambda: Blocks(sparse.csr_matrix((2, 2))), "sparse"),
        (lambda: Blocks(np.zeros((2, 2, 2))), "must have rows, or rows and columns"),
    ]
    for wrong, message in cases:
        with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
            wrong()
