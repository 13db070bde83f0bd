"""Where the command writes its results, and what it says of them."""

import csv
import os
import threading

import pytest
from commands import call
from typer.testing import CliRunner

from xpnn import cli
from xpnn.cli import app
from xpnn.command import compare as comparison
from xpnn.tables import TableError
from xpnn.tables.problem import make_problem
from xpnn.tables.read import read_table

NEW = [["size", "colour"], ["3", "red"], ["4", "Red"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of sizes and colours, and a table to predict."""
    folder = tmp_path_factory.mktemp("model")
    rows = [[i * 7 % 13, ["red", "blue"][i % 2], ["lo", "hi"][i % 2]] for i in range(40)]
    write(folder / "t.csv", [["size", "colour", "grade"], *rows])
    write(folder / "new.csv", NEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli.train, "_draw", lambda path, *about: f"wrote   {path}")
        quick = ["--hidden", "4", "--epochs", "1", "--members", "2", "--out", str(folder / "m")]
        call("train", str(folder / "t.csv"), *quick)
    return folder


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def predict(model, *args, code=0):
    return call("predict", model / "m", model / "new.csv", *args, code=code)


def test_predictions_go_to_standard_output_for_a_dash(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict(model, "--out", "-").stdout == predict(model).stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_devices_and_pipes_are_written_into_and_stay_what_they_are(model, tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    predict(model, "--out", pipe)
    reader.join(10)
    assert found == [predict(model).stdout]
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_table_of_tabs_is_written_as_one(model, tmp_path):
    predict(model, "--proba", "--out", tmp_path / "p.tsv")
    text = (tmp_path / "p.tsv").read_text()
    assert text.replace("\t", ",") == predict(model, "--proba").stdout
    assert text.startswith("grade\tp(hi)\tp(lo)\n")


@pytest.mark.parametrize("name", ["p.parquet", "p.XLSX", "p.csv.gz", "p.json"])
def test_csv_is_not_written_under_the_name_of_another_kind(model, tmp_path, name):
    out = predict(model, "--out", tmp_path / name, code=2)
    assert "end it in .csv or .tsv" in out.stderr
    assert os.listdir(tmp_path) == []


def test_the_word_that_training_nearly_had_is_told_first(model):
    write(model / "more.csv", [*NEW[:1], ["1", "violet"], ["2", "Red"]])
    told = call("predict", model / "m", model / "more.csv").stderr
    assert "2 rows have words unknown in training ('Red'; training had 'red')" in told


def test_one_row_is_one_row(model):
    write(model / "one.csv", [["size", "colour", "grade"], ["1", "red", "lo"]])
    assert "on 1 row with 'grade'" in call("predict", model / "m", model / "one.csv").stderr


def test_characters_that_the_output_has_not_are_told(model):
    write(model / "east.csv", [*NEW[:1], ["1", "\u6771"]])
    args = ["predict", str(model / "m"), str(model / "east.csv"), "--keep", "colour"]
    result = CliRunner(charset="cp1252").invoke(app, args)
    assert result.exit_code == 1
    assert "cp1252, which has no '\u6771'" in result.stderr or "u6771" in result.stderr
    assert "--out" in result.stderr


def test_an_address_is_no_file():
    told = call("train", "https://example.org/t.csv", code=1).stderr
    assert "is an address, not a file: download it" in told


def test_columns_that_are_always_the_same_are_told(tmp_path):
    rows = [[7, "x", "2024-05-03", i % 5, "pq"[i % 2]] for i in range(12)]
    write(tmp_path / "t.csv", [["a", "b", "c", "d", "y"], *rows])
    problem = make_problem(read_table(tmp_path / "t.csv"))
    assert problem.notices[-1] == "left out 'a', 'b', 'c': always the same"


def test_advice_for_several_targets_does_not_go_in_a_circle(model):
    with pytest.raises(TableError, match="name another --target, or this alone") as caught:
        make_problem(read_table(model / "t.csv"), ["size", "grade"])
    assert "--task" not in str(caught.value)


def test_a_comparison_that_is_broken_off_shows_what_was_done(model, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    def two(*_):
        return {"first": lambda problem, train, test, classes: [[0.5, 0.5]] * len(test),
                "other": interrupted}  # fmt: skip

    monkeypatch.setattr(comparison, "contestants", two)
    out = call("compare", model / "t.csv", code=130).stdout
    assert "first" in out.partition("accuracy")[2]
    assert "other" not in out


def test_ctrl_c_in_one_of_our_fits_ends_a_comparison(model, monkeypatch):
    class Interrupted:
        outcome_ = "interrupted"

        def fit(self, X, y):
            return self

    monkeypatch.setattr(comparison, "make_estimator", lambda *_: Interrupted())
    call("compare", model / "t.csv", code=130)


def test_a_test_file_may_have_one_class_or_one_number(model, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.train, "_draw", lambda path, *about: f"wrote   {path}")
    quick = ["--hidden", "4", "--epochs", "1", "--members", "2", "--out", tmp_path / "o"]
    train, new = ["train", model / "t.csv", *quick, "--test"], tmp_path / "new.csv"
    names = ["size", "colour", "grade"]
    write(new, [names, *[["3", "red", "lo"]] * 4])
    assert "40 train, 4 test" in call(*train, new).stdout
    write(new, [names, ["3", "red", "lo"], *[["3", "red", "mid"]] * 2])
    out = call(*train, new).stdout
    assert "note    2 test rows have classes that training had not ('mid'): always wrong" in out
    write(new, [names, *[["3", "red", "mid"]] * 4])
    told = call(*train, new, code=1).stderr
    assert "No row of new has a class of 'grade' that training has: it has 'mid'" in told
    write(new, [names, *[["3", "red", "lo"]] * 4])
    assert "4 test" in call(*train, new, "--target", "size", "--task", "regression").stdout


def test_a_split_that_leaves_one_class_to_learn_is_refused(model):
    told = call("train", model / "t.csv", "--group", "grade", code=1).stderr
    assert "Split by 'grade', all 20 rows to learn from have 'grade'" in told
    assert "Warning" not in told
