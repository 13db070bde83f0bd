"""What the command tells: names, units, rows, and what it made of a column."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import call

from xpnn import load
from xpnn.command.scores import shown
from xpnn.command.show import importances
from xpnn.tables.columns import TableError, objects
from xpnn.tables.problem import make_problem
from xpnn.tables.read import Table, read_table
from xpnn.tables.values import parse_as, parse_column

QUICK = ("--hidden", "8", "--epochs", "2", "--out", "o")

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def write(name, header, rows):
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def test_labels_with_line_breaks_stay_in_their_row():
    write("t.csv", ["x", "what"], [[i, ["a\nb", "c" * 99][i % 2]] for i in range(20)])
    out = call("train", "t.csv", *QUICK).stdout
    rows = out.partition("true / predicted")[2].splitlines()
    assert [row.split("  ")[0] for row in rows[2:4]] == [r"a\nb", "c" * 29 + "…"]


def test_a_negative_zero_is_a_zero():
    assert shown("log-loss", -0.0) == "0"


def test_the_history_says_which_rows_were_tested():
    write("t.csv", ["x", "y"], [[i, "" if i == 0 else i % 7 + 0.5] for i in range(30)])
    call("train", "t.csv", *QUICK)
    result = json.loads(Path("o/history.json").read_text("utf-8"))["result"]
    assert len(result["tested"]) == result["rows"]["test"] == 6
    write("rest.csv", ["x", "y"], [[i - 1, (i - 1) % 7 + 0.5] for i in result["tested"]])
    scores = call("predict", "o", "rest.csv").stderr
    assert f"RMSE {shown('RMSE', result['test']['RMSE'])}," in scores
    call("train", "t.csv", "--test", "rest.csv", *QUICK)
    history = json.loads(Path("o/history.json").read_text("utf-8"))
    assert history["result"]["tested"] == [1, 2, 3, 4, 5, 6]


def test_a_target_that_is_kept_and_its_prediction_have_two_names():
    write("t.csv", ["x", "y"], [[i, i + 0.5] for i in range(30)])
    call("train", "t.csv", *QUICK)
    out = call("predict", "o", "t.csv", "--keep", "y").stdout.splitlines()
    assert out[0] == "y,y predicted"
    assert [line.split(",")[0] for line in out[1:3]] == ["0.5", "1.5"]


def test_what_an_importance_is_stands_below():
    write("t.csv", ["x", "y"], [[i, i + 0.5] for i in range(30)])
    call("train", "t.csv", *QUICK)
    for args in ((), ("t.csv",)):
        told = call("explain", "o", *args).stdout.splitlines()[-1]
        assert told.startswith("importance: how much the loss rises when a column's values")


def test_importances_are_written_as_a_table_of_all_columns():
    names = [f"x{i}" for i in range(70)]
    write(
        "t.csv", [*names, "y"], [[*((i * i * j + i) % 97 for j in range(70)), i] for i in range(30)]
    )
    call("train", "t.csv", *QUICK)
    assert "and 10 more" in call("explain", "o", "t.csv", "--out", "worth.csv").stdout
    with open("worth.csv", newline="", encoding="utf-8") as file:
        first, *rows = csv.reader(file)
    assert first == ["column", "importance", "spread"]
    worth = [float(row[1]) for row in rows]
    assert worth == sorted(worth, reverse=True)
    assert sorted(row[0] for row in rows) == sorted(names)


def test_compare_takes_one_target():
    write("t.csv", ["x", "y", "z"], [[i, i + 0.5, i + 1.5] for i in range(30)])
    error = call("compare", "t.csv", "--target", "y", "--target", "z", code=2).stderr
    assert error == "xpnn: error: compare takes one --target: ask for each in turn.\n"


def test_numbers_among_texts_are_no_ids():
    columns = {
        "lab": objects(["<0.5" if i % 5 == 0 else f"{i / 7:.3f}" for i in range(50)]),
        "name": objects([f"n{i}" for i in range(50)]),
        "x": np.arange(50.0) % 7,
        "y": np.arange(50.0) % 5 + 0.5,
    }
    columns["lab"][:10] = [f"<{i / 9:.3f}" for i in range(10)]
    notices = make_problem(Table("t", columns)).notices
    assert any(
        n.startswith("left out 'lab': it holds numbers, and texts such as '<0") for n in notices
    )
    assert "left out 'name': 50 different texts, such as 'n0' (an id?)" in notices


def test_a_target_of_one_number_is_told():
    table = Table("t", {"x": np.arange(9.0), "y": np.full(9, 3.5)})
    with pytest.raises(TableError, match=r"The target 'y' is always 3\.5; there is nothing to"):
        make_problem(table)


@pytest.mark.parametrize(
    ("texts", "values", "style"),
    [
        (["34.6K", "1.2M", "900"], [34600, 1.2e6, 900], {"multiples": True}),
        (["$1.2 bn", "$300 mn"], [1.2e9, 3e8], {"marks": ["$"], "multiples": True}),
        (["12B", "13B"], [12, 13], {"unit": "B"}),
        (["1,234e2", "3,456e-01"], [123.4, 0.3456], {"decimal": ","}),
        (["1,234e2", "1234.5"], [123.4, 1234.5], {}),
    ],
    ids=["K and M", "money", "one unit", "exponents", "one exponent"],
)
def test_thousands_as_words_and_exponents_with_a_comma(texts, values, style):
    found = parse_column(objects(texts))
    assert found.kind == "numeric"
    assert found.values.tolist() == pytest.approx(values)
    assert found.style == style
    assert parse_as(objects(texts), "numeric", style, "x").tolist() == pytest.approx(values)


def test_metres_and_kilograms_are_no_multiples():
    for texts in (["12 m", "13"], ["12 kg", "13 g"], ["12B", "13"]):
        assert parse_column(objects(texts)).kind == "words"


def test_weeks_are_dates():
    found = parse_column(objects(["2020-W53", "2021W011", "2021-W02-7", None]))
    expected = ["2020-12-28", "2021-01-04", "2021-01-17", "NaT"]
    assert np.array_equal(found.values, np.array(expected, "M8[us]"), equal_nan=True)
    assert parse_column(objects(["2021-W53", "2021-W99"])).kind == "words"  # 2021 has 52


def test_beside_a_decimal_comma_a_comma_is_one():
    rows = [[f"1,{i:03d}", f"{i},5", f"1,{i:03d},000", "ab"[i % 2]] for i in range(100, 120)]
    Path("t.csv").write_text("a;b;c;y\n" + "\n".join(";".join(row) for row in rows))
    columns = make_problem(read_table("t.csv")).columns
    assert columns["a"][:2].tolist() == [1.1, 1.101]
    assert columns["b"][0] == 100.5
    assert columns["c"][0] == 1_100_000


def test_importances_of_a_refit_are_in_the_file_and_many_columns_have_none(monkeypatch):
    write("t.csv", ["x", "y"], [[i, i + 0.5] for i in range(30)])
    call("train", "t.csv", "--refit", *QUICK)
    assert "x       " in call("explain", "o").stdout
    monkeypatch.setattr("xpnn.command.train._MOST_WORK", 0)
    assert "take minutes: xpnn explain MODEL FILE" in call("train", "t.csv", *QUICK).stdout
    told = call("explain", "o", code=1)
    assert "x  numbers" in told.stdout
    assert "as in xpnn explain o FILE." in told.stderr
    assert "x       " in call("explain", "o", "t.csv").stdout


def test_a_long_list_of_importances_is_cut():
    text = importances({f"c{i}": (1.0, -0.00001) for i in range(70)})
    assert "c59     1.0000      0.0000\nand 10 more" in text


def test_words_that_differ_in_capitals_alone_are_told():
    columns = {
        "sex": objects(["male", "Male", "female"] * 9),
        "x": np.arange(27.0) % 7,
        "y": np.arange(27.0) % 2,
    }
    told = "'sex': words that differ in capitals alone: 'Male', 'male'"
    assert told in make_problem(Table("t", columns)).notices


def test_new_texts_among_numbers_are_told_in_prediction():
    """Of a column whose training had more than 5 different ones, so that others are gaps too."""
    odd = ["cal", "off", "low", "n/s", "rain", "ice"]
    size = [odd[i // 50 % 6] if i % 50 == 0 else str(i * 8 % 301) for i in range(600)]
    rows = [[s, "xy"[i % 2], i % 5 + 0.5] for i, s in enumerate(size)]
    write("t.csv", ["size", "kind", "y"], rows)
    call("train", "t.csv", *QUICK)
    new = ["3", "snow", "cal", "fog", "5", "", "9"]
    write("new.csv", ["size", "kind"], [[s, "x"] for s in new])
    told = "'size': 2 rows have texts that are no numbers ('snow'), taken as missing"
    assert f"note    {told}" in call("predict", "o", "new.csv").stderr.splitlines()
    X = {"size": objects(new), "kind": objects(["x"] * 7)}
    with pytest.warns(UserWarning, match=re.escape(f"Column {told}.")):
        load("o").predict(X)


COMMAS = ["2,041", "-0,418", "1,5", "-2,556"]


def train_with_points():
    rows = [[f"{(i * 37 % 100) / 25 - 2:.3f}", "xy"[i % 2], i % 5 + 0.5] for i in range(100)]
    write("t.csv", ["size", "kind", "y"], rows)
    call("train", "t.csv", *QUICK)


@pytest.mark.parametrize(
    ("texts", "options", "told"),
    [
        (COMMAS, (), True),
        (COMMAS, ("--decimal", ","), False),
        (["2,041"], ("--decimal", ","), False),
    ],
)
def test_decimal_commas_in_prediction_are_no_thousands(texts, options, told):
    """Where training had decimal points: 2,041 was 2041, --decimal or not."""
    train_with_points()
    write("new.csv", ["size", "kind"], [[s, "x"] for s in texts])
    write("same.csv", ["size", "kind"], [[s.replace(",", "."), "x"] for s in texts])
    found = call("predict", "o", "new.csv", *options)
    assert found.stdout == call("predict", "o", "same.csv").stdout
    note = "note    'size': numbers have the decimal mark ',', not '.'"
    assert (note in found.stderr.splitlines()) == told


def test_a_column_without_values_in_prediction_is_told():
    train_with_points()
    write("new.csv", ["size", "kind"], [["", "x"], ["", "y"]])
    note = "note    'size': all 2 values are missing, and training had all"
    assert call("predict", "o", "new.csv").stderr.splitlines() == [note]


def test_points_that_can_only_be_decimal_stay_beside_decimal_commas():
    """1.234 beside 0.5 is no 1234, whatever another column has."""
    rows = "".join(f"{i}.{100 + i};{i},5;{i % 5}\n" for i in range(12))
    Path("t.csv").write_text("a;b;y\n" + rows + "0.5;1,5;1\n")
    parsed = make_problem(read_table("t.csv"), "y").parsed
    assert parsed["a"].values[3] == 3.103
    assert parsed["b"].values[3] == 3.5
