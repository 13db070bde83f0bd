"""The model file: what goes in comes out, and nothing else ever gets in."""

import json
import math
import os
import stat
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors
from sklearn.exceptions import ConvergenceWarning
from small_records import ARRAYS, NUMBERS, X, forge

import xpnn
from xpnn import MLPRegressor
from xpnn.files import record as files
from xpnn.files.atomic import write_atomic
from xpnn.files.record import ModelFileError, decode, encode, read_record, write_record

HEADER = {
    "class": "Thing",
    "params": {"sizes": (3, 2), "alpha": 0.1},
    "classes": np.array(["a", "b"]),
}

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(
            st.text(max_size=9) | st.integers() | st.just("__tuple__"), inner, max_size=3
        ),
    ),
    max_leaves=8,
)


@given(plain)
def test_plain_data_comes_back_as_it_was(value):
    again = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert again == value
    assert repr(again) == repr(value)  # also types, and the sign of zero


@pytest.mark.parametrize(
    "array",
    [
        np.array([3, 1, 2]),
        np.array([0.1, np.nan, -np.inf]),
        np.array(["ä", "bcd"]),
        np.array([True, False]),
        np.array(["2024-01-31", "NaT"], dtype="datetime64[D]"),
        np.array([1, -(2**62) - 1], dtype="datetime64[ns]"),
        np.array([1500, -3], dtype="timedelta64[us]"),
        np.array(["x", None, 3, 0.5], dtype=object),
        np.zeros((2, 0), dtype=np.uint8),
        np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    ],
)
def test_arrays_in_a_header_come_back_as_they_were(array):
    again = decode(json.loads(json.dumps(encode(array), allow_nan=False)))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_a_folder_of_the_command_is_a_model_too(tmp_path):
    x = np.eye(3)
    model = xpnn.MLPRegressor(max_iter=2).partial_fit(x, np.arange(3.0))
    xpnn.save(model, tmp_path / "model.safetensors")  # as `xpnn train` does
    assert (xpnn.load(tmp_path).predict(x) == model.predict(x)).all()
    (tmp_path / "model.safetensors").rename(tmp_path / "other")
    with pytest.raises(OSError, match=r"No such file.*model\.safetensors"):
        xpnn.load(tmp_path)


def test_labels_that_are_times_are_saved(tmp_path):
    days = np.array(["2024-02-29", "2025-01-01"], dtype="datetime64[D]")
    x = np.arange(8.0).reshape(4, 2)
    for y in (days[[0, 1, 0, 1]], (days - days[0])[[0, 1, 0, 1]]):
        for model in (xpnn.MLPClassifier((2,), max_iter=1), xpnn.Perceptron()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(x, y)
            xpnn.save(model, tmp_path / "m")
            found = xpnn.load(tmp_path / "m").predict(x)
            assert found.dtype == y.dtype
            np.testing.assert_array_equal(found, model.predict(x))


def test_times_are_whole_numbers():
    spec = {"dtype": "<M8[D]", "shape": [1], "values": [1.5]}
    with pytest.raises(ValueError, match="expected int, got float"):
        decode({"__array__": spec})


def test_scalars_lose_numpy_and_keep_their_value():
    assert encode({"a": np.float64(0.1), "b": np.int8(3), "c": np.bool_(True)}) == {
        "a": 0.1,
        "b": 3,
        "c": True,
    }
    assert math.isnan(decode(encode(math.nan)))


def test_code_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"Cannot save header\.params\.activation\[1\] = <function"
    ):
        encode({"params": {"activation": ("mine", lambda z, xp: z)}})
    with pytest.raises(ValueError, match="Path is no plain data"):
        encode(Path("x"))


# -- records ------------------------------------------------------------------------------------


def test_a_record_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "m.safetensors"
    write_record(path, HEADER, ARRAYS)
    header, arrays = read_record(path)
    assert header["params"] == HEADER["params"]
    assert header["classes"].tolist() == ["a", "b"]
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
        assert arrays[name].flags.writeable


def test_odd_layouts_are_stored_as_their_values(tmp_path):
    base = np.arange(12.0).reshape(3, 4)
    odd = {"t": base.T, "step": base[:, ::2], "swapped": base.astype(">f8"), "scalar": base[0, 0:1]}
    write_record(tmp_path / "m", {}, odd)
    _, arrays = read_record(tmp_path / "m")
    for name, array in odd.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_other_programs_can_read_the_tensors(tmp_path):
    from safetensors import safe_open

    write_record(tmp_path / "m", HEADER, ARRAYS)
    with safe_open(tmp_path / "m", framework="np") as file:
        assert set(file.keys()) == set(ARRAYS)
        assert file.metadata()["format"] == "xpnn-model"
        assert json.loads(file.metadata()["header"])["class"] == "Thing"


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        ({"f": print}, ARRAYS, "Cannot save header.f"),
        (HEADER, {"theta": np.array([1.0, np.nan])}, "theta: it holds NaN"),
        (HEADER, {"theta": np.array(["x"])}, "theta: expected a NumPy array of numbers"),
        (HEADER, {"theta": [1.0]}, "theta: expected a NumPy array of numbers"),
    ],
)
def test_a_failed_save_leaves_the_old_file(tmp_path, header, arrays, message):
    path = tmp_path / "m"
    write_record(path, HEADER, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        write_record(path, header, arrays)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m"]


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m"
    write_atomic(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(files.os, name, fail)
            with pytest.raises(OSError, match="disk full"):
                write_atomic(path, b"new")
        assert path.read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["m"]


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path, error, why in (
        ("none/m", FileNotFoundError, "the folder 'none' does not exist: make it first"),
        ("folder", OSError, "folder"),
        ("file/m", OSError, "file"),
    ):
        with pytest.raises(error, match=why) as caught:
            write_atomic(path, b"new")
        assert caught.value.filename == path
        assert ".tmp" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert os.listdir(tmp_path / "folder") == []


def test_saving_into_a_missing_folder_changes_nothing(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1).partial_fit(X, NUMBERS)
    before = model.predict(X)
    with pytest.raises(FileNotFoundError, match=r"does not exist: make it first: '.*none.m'"):
        xpnn.save(model, tmp_path / "none" / "m")
    np.testing.assert_array_equal(model.predict(X), before)


def test_a_link_stays_a_link_and_rights_are_the_usual(tmp_path):
    (tmp_path / "there").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_bytes() == b"new"
    (tmp_path / "usual").touch()
    mode = stat.S_IMODE((tmp_path / "usual").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "there").stat().st_mode) == mode


# -- bad files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "pytorch"}, "but no xpnn model"),
        ({"version": "3"}, "format version 3, this xpnn reads up to 2; upgrade with"),
        ({"version": "one"}, "format version is 'one'"),
        ({"version": "-1"}, "format version is '-1'"),
        ({"version": "0"}, "format version is '0'"),
        ({"sha256": "0" * 64}, "checksum is wrong"),
        ({"header": "[]"}, "expected dict, got list"),
        ({"header": "{"}, "damaged"),
        ({"header": '{"a": {"__array__": {}}}'}, "'dtype' is missing"),
        (
            {"header": '{"a": {"__array__": {"dtype": "V8", "shape": [], "values": []}}}'},
            "an array",
        ),
        (
            {"header": '{"a": {"__array__": {"dtype": "f8", "shape": [9], "values": [1]}}}'},
            "reshape",
        ),
        ({"header": '{"a": {"__tuple__": 3}}'}, "expected list, got int"),
        ({"header": '{"__pairs__": [[[1], 2]]}'}, "unhashable"),
        ({"header": "[" * 100_000}, "damaged"),
        ({"arrays": {"theta": np.array([1.0, np.inf])}}, "theta is not all finite"),
        ({"arrays": {"theta": np.array([np.nan], dtype=np.float32)}}, "theta is not all finite"),
    ],
)
def test_a_forged_file_is_refused(tmp_path, change, message):
    with pytest.raises(ModelFileError, match=message):
        read_record(forge(tmp_path, **change))


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "m"
    foreign = [b"", b"PK\x03\x04 a zip", b"\x80\x04 a pickle.", b"{" * 99, b"\xff" * 99]
    foreign += [struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 2) + b"[]", b"\0" * 64]
    foreign += [to_safetensors({"weight": np.zeros(3)})]
    for data in foreign:
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=r"is no model|no xpnn model"):
            read_record(path)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "m"
    write_record(path, HEADER, ARRAYS)
    return path, path.read_bytes()


@given(st.data())
def test_a_damaged_file_is_refused(good, data):
    path, whole = good
    broken = bytearray(whole)
    if data.draw(st.booleans(), label="cut short"):
        del broken[data.draw(st.integers(0, len(whole) - 1), label="length") :]
    else:
        flips = data.draw(st.lists(st.integers(0, len(whole) * 8 - 1), min_size=1, unique=True))
        for bit in flips:
            broken[bit // 8] ^= 1 << bit % 8
    path.with_name("broken").write_bytes(broken)
    try:
        _, arrays = read_record(path.with_name("broken"))
    except ModelFileError:
        return
    # Few bits do not matter, such as those of a padding space; then nothing changed.
    assert {n: a.tobytes() for n, a in arrays.items()} == {
        n: a.tobytes() for n, a in ARRAYS.items()
    }
