"""Damaged files are told by one type of error, whatever the damage (by `ci/fuzz.py`)."""

import json
import struct
import warnings

import numpy as np
import pytest
from safetensors.numpy import load as read_tensors
from safetensors.numpy import save as to_bytes
from scripts import load_script

import xpnn
from xpnn import MLPClassifier, MLPRegressor, ModelFileError
from xpnn.files import record

X = np.random.default_rng(0).normal(size=(20, 3))
COSINE = {"entry": "schedule", "name": "cosine", "params": {}}
WORDS = np.where(X[:, 0] > 0, "yes", "no")


def changed(path, change):
    """Write a file anew, with a right checksum, after `change(header, arrays)`."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    header, arrays = json.loads(metadata["header"]), read_tensors(data)
    metadata["header"] = json.dumps(change(header, arrays) or header)
    metadata["sha256"] = record._digest(metadata["header"], arrays)
    path.write_bytes(to_bytes(arrays, metadata=metadata))


@pytest.fixture
def saved(tmp_path):
    model = MLPClassifier((4,), normalization="batch", random_state=0, clip_norm=1.0)
    xpnn.save(model.partial_fit(X, WORDS, classes=["no", "yes"]), tmp_path / "m")
    return tmp_path / "m"


def test_damaged_files_of_each_kind():
    """More of them in CI, and 10,000 by hand."""
    fuzz = load_script("ci/fuzz.py")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert fuzz.main_found(120) == {}


def _drop(name):
    return lambda header, arrays: arrays.pop(name) is None or header


def _rename(name, other):
    def change(header, arrays):
        arrays[other] = arrays.pop(name)

    return change


def _put(name, value):
    def change(header, arrays):
        arrays[name] = np.full_like(arrays[name], value)

    return change


def _set(value, *place):
    def change(header, arrays):
        at = header["estimator"]
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda header, arrays: {"__float__": "1"}, "expected dict"),
        (_drop("moment_1"), "its arrays are"),
        (_rename("moment_1", "moment_2"), "its arrays are"),
        (_put("theta", 1e200), "theta has a value out of range"),
        (_put("moment_1", -1.0), "moment_1 has a square below zero"),
        (_put("buffers", -1.0), "buffers has a variance below zero"),
        (_set(10**400, "params", "clip_norm"), "too large"),
        (_set(10**40, "params", "max_iter"), "max_iter"),
        (_set(10**400, "params", "n_iter_no_change"), "too large"),
        (_set(10**400, "params", "learning_rate_init"), "too large"),
        (_set([5], "params", "hidden_layer_sizes"), "hidden_layer_sizes"),
        (_set("layer", "params", "normalization"), "hidden_layer_sizes, normalization"),
        (
            _set({"entry": "schedule", "name": "cosine", "params": {}}, "params", "activation"),
            "its activation is",
        ),
        (_set(10**20, "state", "step"), "its step is"),
        (_set("x", "state", "outcome"), "its outcome is"),
        (_set({"loss": [0.5], "x": []}, "state", "history"), "different lengths"),
        (_set(["yes", "no"], "labels", "classes", "__array__", "values"), "not in order"),
    ],
)
def test_what_contradicts_itself_is_told_at_load(change, told, saved):
    changed(saved, change)
    with pytest.raises(ModelFileError, match=f"is damaged.*{told}"):
        xpnn.load(saved)


def test_a_dtype_that_is_none_is_no_missing_device(tmp_path):
    model = xpnn.TabularRegressor(2, 4, epochs=1, random_state=0).fit({"a": X[:, 0]}, X[:, 1])
    xpnn.save(model, tmp_path / "m")
    changed(tmp_path / "m", _set([3], "dtype"))
    with pytest.raises(ModelFileError, match="is damaged: its dtype is"):
        xpnn.load(tmp_path / "m")


def test_what_would_not_open_is_not_saved(tmp_path):
    model = MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X, X[:, 0])
    xpnn.save(model, tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    with pytest.raises(ValueError, match="Cannot save this MLPRegressor: hidden_layer_sizes"):
        xpnn.save(model.set_params(hidden_layer_sizes=(5,)), tmp_path / "m")
    model.set_params(hidden_layer_sizes=(4,)).coefs_[0] = np.full((3, 4), 1e200)
    with pytest.raises(ValueError, match="Cannot save this MLPRegressor: theta has a value out of"):
        xpnn.save(model, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before


def test_a_newer_format_says_who_wrote_it(saved):
    data = saved.read_bytes()
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    head["__metadata__"]["version"] = "77"
    for header, told in (
        (head["__metadata__"]["header"], f" of xpnn {xpnn.__version__}"),
        ("?", ""),
    ):
        head["__metadata__"]["header"] = header
        text = json.dumps(head).encode()
        saved.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        with pytest.raises(ModelFileError, match=f"format version 77{told}, this xpnn reads up to"):
            xpnn.load(saved)
