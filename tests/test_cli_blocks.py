"""`xpnn train` of a folder, of several files and of a pattern."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from xpnn import load
from xpnn.cli import app
from xpnn.data import Blocks

RUNNER = CliRunner()
FAST = ["--epochs", "3", "--members", "2", "--hidden", "6", "--device", "numpy"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    size, colour = rng.normal(size=400), rng.choice(["red", "blue", None], 400)
    label = np.where(size + (colour == "red") > 0.3, "yes", "no")
    table = pa.table({"size": size, "colour": colour, "note": rng.normal(size=400), "label": label})
    (tmp_path / "set").mkdir()
    for i in range(2):
        pq.write_table(table.slice(200 * i, 200), tmp_path / "set" / f"part-{i}.parquet")
    return tmp_path


def train(*arguments):
    return RUNNER.invoke(app, ["train", *arguments, *FAST])


def test_a_folder_of_parquet_trains_and_predicts(folder):
    result = train("set", "--drop", "note")
    assert result.exit_code == 0, result.output
    assert "400 rows, 2 columns in blocks; classification into 2 classes" in result.output
    report = json.loads((folder / "xpnn-out/set/history.json").read_text())["result"]
    assert report["rows"]["train"] + report["rows"]["test"] == 400
    assert 60 < report["rows"]["test"] < 100
    assert report["test"]["accuracy"] > 0.75 > report["baseline"]["accuracy"]
    model = load(folder / "xpnn-out/set/model.safetensors")
    blocks = Blocks(folder / "set", target="label", columns=["size", "colour"])
    assert (model.predict(blocks) == blocks.read_targets(0, 400)[0]).mean() > 0.75


def test_several_files_and_a_pattern_are_one_table(folder):
    files = sorted(str(p) for p in (folder / "set").iterdir())
    reports = []
    for given in (files, ["set/*.parquet"], ["set"]):
        result = train(*given, "--target", "size", "--out", "out", "--quiet")
        assert result.exit_code == 0, result.output
        found = json.loads((folder / "out/history.json").read_text())["result"]
        reports.append({k: v for k, v in found.items() if k != "seconds"})
    assert reports[0] == reports[1] == reports[2]
    assert "R2" in reports[0]["test"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "--sep", ";"], "--sep is for one file that fits in memory"),
        (["set", "--refit"], "--refit is for one file that fits in memory"),
        (["set", "--target", "label", "--target", "size"], "several --target are for one file"),
        (["set", "--target", "labels"], "There is no column 'labels'; did you mean 'label'?"),
        (["set/*.csv"], "There are no files set/*.csv"),
        (["empty"], "the folder 'empty' is empty"),
        (["set", "--test-size", "0.00001"], "leaves no rows"),
    ],
)
def test_what_cannot_be_is_one_line(folder, arguments, message):
    (folder / "empty").mkdir()
    result = train(*arguments, "--quiet")
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (folder / "xpnn-out").exists()


def test_a_folder_is_predicted_file_by_file(folder):
    assert train("set", "--drop", "note", "--target", "label").exit_code == 0
    whole = []
    for i in range(2):
        (folder / "years" / f"year={i}").mkdir(parents=True)
        part = folder / "set" / f"part-{i}.parquet"
        part.rename(folder / "years" / f"year={i}" / "rows.parquet")
        one = RUNNER.invoke(app, ["predict", "xpnn-out/set", f"years/year={i}/rows.parquet"])
        assert one.exit_code == 0, one.output
        whole += one.stdout.splitlines()[1:]
    for given in ("years", "years/*/*.parquet"):
        both = RUNNER.invoke(app, ["predict", "xpnn-out/set", given, "--keep", "year"])
        assert both.exit_code == 0, both.output
        assert both.stdout.splitlines()[0] == "year,label"
        assert [line.split(",") for line in both.stdout.splitlines()[1:]] == [
            [str(i // 200), label] for i, label in enumerate(whole)
        ]
        assert "years/year=1/rows.parquet: " in both.stderr
    written = ["predict", "xpnn-out/set", "years", "--keep", "year", "--out", "both.csv"]
    assert RUNNER.invoke(app, written).exit_code == 0
    assert (folder / "both.csv").read_text() == both.stdout
    (folder / "years" / "year=2").mkdir()
    (folder / "years" / "year=2" / "rows.parquet").write_bytes(b"no table")
    broken = RUNNER.invoke(app, written)  # the third file: what was there stays
    assert broken.exit_code != 0
    assert (folder / "both.csv").read_text() == both.stdout
    assert not list(folder.glob(".both*"))
    nowhere = RUNNER.invoke(app, [*written[:-1], "no/where.csv"])
    assert "the folder 'no' does not exist" in nowhere.output
    (folder / "none").mkdir()
    none = RUNNER.invoke(app, ["predict", "xpnn-out/set", "none"])
    assert none.exit_code != 0
    assert "The folder 'none' is empty" in none.output
