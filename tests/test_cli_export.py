"""`xpnn export`: model files as ONNX and C, and what it says of others."""

import numpy as np
import pytest
from typer.testing import CliRunner

import xpnn
from xpnn.cli import app


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def model(tmp_path):
    table = {"size": np.linspace(0.0, 1.0, 30), "kind": list("abc") * 10}
    made = xpnn.TabularRegressor(2, (4,), epochs=2, random_state=0).fit(table, np.arange(30.0))
    (tmp_path / "run").mkdir()
    xpnn.save(made, tmp_path / "run" / "model.safetensors")
    return tmp_path / "run"


def test_a_model_becomes_c(model, tmp_path):
    done = run("export", model, tmp_path / "house.c", "--name", "house")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "house.c").read_text()
    assert "void house_predict(const house_row *row, double *out)" in text
    assert text == xpnn.to_c(xpnn.load(model / "model.safetensors"), name="house")
    assert done.output == f"wrote   {tmp_path / 'house.c'}\n"


def test_a_model_becomes_onnx(model, tmp_path):
    onnx = pytest.importorskip("onnx")
    done = run("export", model / "model.safetensors", tmp_path / "house.onnx")
    assert done.exit_code == 0, done.output
    assert onnx.load(tmp_path / "house.onnx").graph.output[0].name == "variable"
    assert done.output.splitlines()[:3] == [
        "input   size: a number; NaN where it is missing",
        "input   kind: text without spaces around it; empty where it is missing",
        "output  variable",
    ]


def test_errors_are_one_line(model, tmp_path):
    for out, message in {"house.txt": "expected NAME.onnx or NAME.c", "no/house.c": "no"}.items():
        done = run("export", model, tmp_path / out)
        assert done.exit_code == 1
        assert message in done.output
        assert done.output.count("\n") == 1
    assert run("export", tmp_path / "none", tmp_path / "house.c").exit_code == 1
