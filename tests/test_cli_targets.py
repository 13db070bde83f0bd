"""The command where a target has quantiles, several are learned, or several processes train."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import call, refused

import xpnn
from xpnn.tables import read_table
from xpnn.tables.columns import TableError
from xpnn.tables.problem import make_problem, read_alike


@pytest.fixture(autouse=True)
def _a_table(in_an_empty_folder):
    """Height and weight follow from age; a weight is missing in every twentieth row."""
    rng = np.random.default_rng(0)
    age = rng.uniform(0, 10, 100)
    lines = ["age,height,weight"]
    for i, a in enumerate(age):
        weight = "" if i % 20 == 0 else f"{a * a + rng.normal():.3f}"
        lines.append(f"{a:.3f},{60 + 8 * a + rng.normal():.3f},{weight}")
    Path("t.csv").write_text("\n".join(lines) + "\n")


def rows_of(result):
    lines = [line.split(",") for line in result.stdout.splitlines()]
    return lines[0], np.array(lines[1:], dtype=float)


def test_several_targets_are_learned_by_one_network():
    two = ("--target", "height", "--target", "weight")
    told = call("train", "t.csv", *two, "--out", "o", "--epochs", 60, "--hidden", 16).stdout
    assert "regression, targets 'height', 'weight'\n" in told
    assert "left out 5 rows without 'height' or 'weight'\n" in told
    scores = {line.split("  ")[0] for line in told.splitlines()}
    assert {"R2", "R2 height", "RMSE height", "MAE weight"} <= scores
    history = json.loads(Path("o/history.json").read_text())
    assert history["target"] == ["height", "weight"]
    test = history["result"]["test"]
    assert test["R2"] == pytest.approx((test["R2 height"] + test["R2 weight"]) / 2)
    assert test["R2"] > 0.8
    result = call("predict", "o", "t.csv", "--interval", 0.8)
    names, found = rows_of(result)
    bounds = ["height low", "height high", "weight low", "weight high"]
    assert names == ["height", "weight", *bounds]
    expected = xpnn.load("o/model.safetensors").predict(read_table("t.csv").columns)
    np.testing.assert_allclose(found[:, :2], expected, rtol=1e-6)
    assert (found[:, 2] < found[:, 3]).all()
    assert "on 100 rows with 'height'\n" in result.stderr
    assert "on 95 rows with 'weight'\n" in result.stderr
    shown = call("explain", "o", "t.csv").stdout
    assert shown.splitlines()[2].startswith("age ")


def test_targets_are_numbers_and_rows_have_all_of_them():
    table = read_table("t.csv")
    problem = make_problem(table, ["weight", "height"])
    assert problem.target_names == ("weight", "height")
    assert list(problem.columns) == ["age"]
    assert problem.y.shape == (95, 2)
    np.testing.assert_array_equal(read_alike(problem, table).y, problem.y)
    assert make_problem(table, ["weight"]).y.shape == (95,)
    with pytest.raises(TableError, match=r"Several targets are learned as numbers; name one"):
        make_problem(table, ["weight", "height"], "classification")
    with pytest.raises(TableError, match=r"has no column 'hight'; did you mean 'height'"):
        make_problem(table, ["weight", "hight"])
    with pytest.raises(TableError, match=r"'height' cannot be dropped"):
        make_problem(table, ["weight", "height"], drop=["height"])


def test_quantiles_are_learned_and_predicted():
    few = ("--target", "height", "--epochs", 40, "--hidden", 16, "--drop", "weight")
    call("train", "t.csv", *few, "--quantiles", "0.1,0.5,0.9", "--out", "o", "-q")
    assert xpnn.load("o/model.safetensors").quantiles_ == (0.1, 0.5, 0.9)
    names, found = rows_of(call("predict", "o", "t.csv"))
    assert names == ["height", "height q0.1", "height q0.5", "height q0.9"]
    np.testing.assert_array_equal(found[:, 0], found[:, 2])
    assert (np.diff(found[:, 1:], axis=1) >= 0).all()
    for wrong in ("0.9,0.5", "0,0.5", "half"):
        error = refused("train", "t.csv", "--target", "height", "--quantiles", wrong, code=2)
        assert error.startswith("--quantiles takes rising numbers between 0 and 1")
    both = ("--quantiles", "0.5", "--loss", "huber")
    assert "loss of their own" in refused("train", "t.csv", *few, *both, code=2)
    error = refused("train", "iris", "--quantiles", "0.5", code=2)
    assert error == "--quantiles 0.5 is for a regression; the target holds classes."


def test_what_was_decided_in_reading_is_told_in_prediction():
    call("train", "t.csv", "--target", "height", "--epochs", 4, "--out", "o", "-q")
    lines = Path("t.csv").read_text().splitlines()
    Path("titled.csv").write_text("\n".join(["People of 2020", *lines]) + "\n")
    told = call("predict", "o", "titled.csv").stderr
    assert told.startswith("note    left out 1 line above the table\n")


def test_of_several_processes_one_speaks_and_writes(monkeypatch):
    from xpnn.distributed import one

    few = ("train", "t.csv", "--target", "height", "--epochs", 4, "--mpi")
    monkeypatch.setattr("xpnn.distributed.mpi", one)
    assert "wrote" in call(*few, "--out", "first").stdout
    assert Path("first/model.safetensors").exists()
    monkeypatch.setattr("xpnn.cli.train._processes", lambda: (one(), False))
    result = call(*few, "--out", "second")
    assert (result.stdout, result.stderr) == ("", "")
    assert not Path("second").exists()
