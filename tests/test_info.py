"""`xpnn info`: what a file holds, by its header alone."""

import numpy as np
import pytest
from typer.testing import CliRunner

import xpnn
from xpnn.cli import app
from xpnn.files.record import read_contents

X = np.random.default_rng(0).normal(size=(20, 2))
WORDS = np.where(X[:, 0] > 0, "yes", "no")


def info(path, code=0):
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == code, result.output
    return result


def without_arrays(path):
    """Nothing behind the header: who looks there finds nothing."""
    data = path.read_bytes()
    path.write_bytes(data[: 8 + int.from_bytes(data[:8], "little")])


def test_each_kind_of_model(tmp_path):
    path = tmp_path / "model.safetensors"
    model = xpnn.MLPClassifier((4,), max_iter=3, random_state=0)
    xpnn.save(model.partial_fit(X, WORDS, classes=["no", "yes"]), path)
    without_arrays(path)
    told = info(path).stdout
    assert f"model, version 2, written by xpnn {xpnn.__version__}" in told
    assert "MLPClassifier, float64" in told
    assert "2: no, yes" in told
    assert "1 epochs, loss " in told
    assert "dense    2 x 4    relu" in told
    assert info(tmp_path).stdout == told  # the folder of `xpnn train`
    xpnn.save(xpnn.Perceptron(max_iter=9, tol=None).fit(X, WORDS), path)
    assert "Perceptron, of its weights" in info(path).stdout
    table = xpnn.TabularClassifier(2, 4, epochs=2, random_state=0)
    xpnn.save(table.fit({"a": X[:, 0], "b": WORDS}, WORDS), path)
    without_arrays(path)
    told = info(path).stdout
    assert "2: a, b" in told
    assert "out of fold" in told
    assert "total of 2 members" in told


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_checkpoints(tmp_path):
    model = xpnn.MLPClassifier((4,), max_iter=3, random_state=0)
    model.fit(X, WORDS, checkpoint=tmp_path / "run")
    told = info(tmp_path / "run").stdout
    assert "checkpoint-00000002.safetensors" in told
    assert "the training of a MLPClassifier" in told
    assert "3 whole epochs and 0 steps of the next" in told


def test_what_is_no_such_file_is_told_in_one_line(tmp_path):
    path = tmp_path / "m"
    for data in (b"", b"\xff" * 20, b"\x02" + bytes(7) + b"{}", b"\x01" + bytes(7)):
        path.write_bytes(data)
        told = info(path, code=1).stderr
        assert told.startswith("xpnn: error: ")
        assert told.count("\n") == 1
    assert "No such file" in info(tmp_path / "none", code=1).stderr
    xpnn.save(xpnn.Perceptron().fit(X, WORDS), path)
    assert set(read_contents(path).arrays) == {"coef", "intercept"}
