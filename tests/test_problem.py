"""Features, target and task of a table: labels as written, row numbers, and judgement told."""

import numpy as np
import pytest
from texts import table, words

from xpnn.tables import TableError, read_table
from xpnn.tables.ids import is_row_name, numbers_the_rows
from xpnn.tables.problem import make_problem


def csv(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_table(path)


def with_target(tmp_path, labels, name="y"):
    lines = [f"{i / 7:.3f},{label}" for i, label in enumerate(labels)]
    return csv(tmp_path, f"x,{name}\n" + "\n".join(lines) + "\n")


# -- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (("01", "02", "03"), "U"),
        (("1.0", "2.0", "3.0"), "U"),
        (("1", "2", "-3"), "i"),
        (("+1", "2", "3"), "U"),
        (("True", "False", "True"), "U"),
        (("TRUE", "FALSE", "TRUE"), "U"),
        (("yes", "no", "No"), "U"),
        (("9007199254740993", "9007199254740992", "1"), "i"),
        (("123456789012345678901", "123456789012345678902", "3"), "U"),
        (("1,000", "2,000", "3,000"), "U"),
        (("None", "Minor", "Major"), "U"),
        (("NA", "FR", "DE"), "U"),
        (("a, b", 'c "d"', "e\nf"), "U"),
    ],
)
def test_labels_are_as_written(tmp_path, written, kind):
    quoted = ['"' + w.replace('"', '""') + '"' for w in written]
    problem = make_problem(with_target(tmp_path, quoted * 20), task="classification")
    assert problem.y.dtype.kind == kind
    assert list(map(str, problem.y)) == list(written) * 20


def test_spaces_around_labels_are_none_of_them(tmp_path):
    problem = make_problem(with_target(tmp_path, [" yes", "no ", "yes", "no"] * 5))
    assert set(problem.y) == {"yes", "no"}


def test_booleans_of_parquet_are_spelled(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    flags = pa.table({"x": np.arange(12) / 7, "flag": [True, False] * 6})
    pq.write_table(flags, tmp_path / "t.parquet")
    assert make_problem(read_table(tmp_path / "t.parquet")).y.tolist() == ["True", "False"] * 6
    numbers = pa.table({"x": np.arange(12) / 7, "y": pa.array([2**60 + 1, 2**60 + 2] * 6)})
    pq.write_table(numbers, tmp_path / "t.parquet")
    assert make_problem(read_table(tmp_path / "t.parquet")).y[0] == 2**60 + 1


def test_labels_that_differ_in_capitals_are_told(tmp_path):
    notices = make_problem(with_target(tmp_path, ["No", "no", "yes"] * 5)).notices
    assert "labels of 'y' differ in capitals alone: 'No', 'no'" in notices


def test_a_gaps_word_that_is_common_is_a_class(tmp_path):
    problem = make_problem(with_target(tmp_path, ["NA", "FR", "DE"] * 9, "country"))
    assert set(problem.y) == {"NA", "FR", "DE"}
    told = "'NA' counts as a class of 'country', in 9 rows; --na NA leaves them out"
    assert told in problem.notices
    rare = make_problem(with_target(tmp_path, ["FR", "DE"] * 20 + ["NA"] * 3))
    assert set(rare.y) == {"FR", "DE"}
    assert "left out 3 rows without 'y'" in rare.notices


def test_gaps_of_a_target_are_left_out_and_told(tmp_path):
    problem = make_problem(with_target(tmp_path, ["1.5", "-", "2.5", "unknown", "3.25"] * 3))
    assert problem.target.task == "regression"
    assert problem.y.tolist() == [1.5, 2.5, 3.25] * 3
    told = "'y': 6 of 15 values are no numbers ('-', 'unknown') and count as missing"
    assert told in problem.notices
    assert "left out 6 rows without 'y'" in problem.notices


@pytest.mark.parametrize(
    ("written", "y"),
    [
        (["$445", '"$1,359"', "$604"], [445, 1359, 604]),
        (['"444,728"', '"1,359,470"', '"603,798"'], [444728, 1359470, 603798]),
        (['"1,5"', '"2,25"', "3"], [1.5, 2.25, 3]),
        (["45%", "7.5%", "12%"], [45, 7.5, 12]),
    ],
)
def test_targets_as_people_write_them_are_numbers(tmp_path, written, y):
    problem = make_problem(with_target(tmp_path, written * 9))
    assert (problem.target.task, problem.y.tolist()) == ("regression", y * 9)
    assert any(n.startswith("'y': numbers written with") for n in problem.notices)


# -- judgement ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "task", "reason"),
    [
        ("visits", range(12), "regression", "by its name it is an amount"),
        ("n_sold", range(6), "regression", "by its name it is an amount"),
        ("when", range(2000, 2015), "regression", "look like years"),
        ("stars", range(1, 6), "classification", "taken as classes; --task regression"),
        ("digit", range(10), "classification", "taken as classes"),
        ("z", range(11), "regression", "more than 10"),
        ("Class", range(15), "classification", "taken as classes"),
        ("z", range(21), "regression", ""),
        ("z", range(2), "classification", ""),
    ],
)
def test_the_task_is_a_judgement_with_a_reason(name, values, task, reason):
    y = np.array([*values] * 20, dtype=np.float64)
    problem = make_problem(table(x=np.arange(len(y)) / 7, **{name: y}))
    assert problem.target.task == task
    told = [n for n in problem.notices if n.startswith(f"target {name!r} has")]
    assert len(told) == bool(reason)
    assert not told or reason in told[0]
    other = {"classification": "regression", "regression": "classification"}[task]
    assert not told or f"--task {other}" in told[0]


def test_few_rows_of_many_whole_numbers_are_amounts():
    problem = make_problem(table(x=np.arange(20) / 7, y=np.arange(20.0)))
    assert problem.target.task == "regression"
    assert "20 different whole numbers in 20 rows" in problem.notices[0]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("Y", "y", "x"), "y"), (("y", "Y", "x"), "y"), (("Y", "x", "z"), "Y"),
        (("label", "y", "x"), "label"), (("a", "b", "id"), "b"), (("a", "b", "c"), "c"),
    ],
)  # fmt: skip
def test_the_target_is_the_exact_name_or_the_last_column_of_use(names, chosen):
    columns = {n: np.arange(12) / 7 for n in names}
    assert make_problem(table(**columns)).target.name == chosen


# -- row numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Id",
            "ID",
            "id",
            "PassengerId",
            "RespondentID",
            "customer_id",
            "RowNumber",
            "row number",
        ),
        *("Unnamed: 0", "index", "", "Row", "S.No", "No", "Serial No.", "column_1", "userid", "#"),
    ],
)
def test_row_numbers_are_no_features(name):
    columns = {name: np.arange(20.0) + 7, "x": np.arange(20) / 7, "y": words(*"ab" * 10)}
    problem = make_problem(table(**columns))
    assert list(problem.columns) == ["x"]
    assert problem.notices == (f"left out {name!r}: it numbers the rows",)


@pytest.mark.parametrize("name", ["year", "age", "paid", "humid", "number_of_rooms", "x", "größe"])
def test_other_whole_numbers_are_features(name):
    assert not is_row_name(name)
    values = np.random.default_rng(0).permutation(50) * 3.0
    columns = {name: values, "y": words(*"ab" * 25)}
    assert list(make_problem(table(**columns)).columns) == [name]


def test_an_id_that_repeats_is_a_feature():
    assert not numbers_the_rows(np.repeat(np.arange(20.0), 2), "id")
    assert not numbers_the_rows(np.arange(20) / 2, "id")
    assert numbers_the_rows(np.array([5, 3, 9, *range(20, 30)], dtype=float), "id")


# -- errors that help ---------------------------------------------------------------------------


def test_advice_does_not_go_in_a_circle():
    names = words(*(f"n{i}" for i in range(40)))
    for task in (None, "classification", "regression"):
        with pytest.raises(TableError) as caught:
            make_problem(table(x=np.arange(40) / 7, y=names), task=task)
        assert "--task" not in str(caught.value)
        assert "Name another --target" in str(caught.value)
    numbers = np.arange(40) / 7
    with pytest.raises(TableError, match=r"too many for classes\. Try --task regression"):
        make_problem(table(x=numbers, y=numbers), task="classification")
    with pytest.raises(
        TableError, match=r"not numeric \('a' in row 1\).*Try --task classification"
    ):
        make_problem(table(x=numbers, y=words(*"ab" * 20)), task="regression")


def test_a_word_in_a_numeric_target_is_named_with_its_row():
    y = words(*(str(i / 7) for i in range(9)), "oops")
    with pytest.raises(TableError, match=r"'y' is not numeric \('oops' in row 10\); regression"):
        make_problem(table(x=np.arange(10) / 7, y=y), task="regression")


def test_no_columns_says_why():
    columns = {"id": np.arange(20.0), "void": words(*[None] * 20), "y": words(*"ab" * 10)}
    with pytest.raises(TableError) as caught:
        make_problem(table(**columns))
    assert str(caught.value) == (
        "t has no columns to predict 'y' from: left out 'id': it numbers the rows; "
        "left out 'void': it is empty."
    )


# -- columns ------------------------------------------------------------------------------------


def test_a_decimal_comma_tells_what_points_mean_in_the_other_columns(tmp_path):
    text = "a;b;y\n1,5;1.250;2,5\n2,75;12.500;3,5\n3,5;2.000;4,5\n"
    problem = make_problem(csv(tmp_path, text))
    assert problem.columns["b"].tolist() == [1250, 12500, 2000]
    assert problem.columns["a"].tolist() == [1.5, 2.75, 3.5]
    points = make_problem(csv(tmp_path, "a;b;y\n1,5;1.25;2,5\n2,75;12.5;3,5\n3,5;.2;4,5\n"))
    assert points.columns["b"].tolist() == [1.25, 12.5, 0.2]


def test_the_style_of_each_column_is_kept_for_prediction(tmp_path):
    problem = make_problem(csv(tmp_path, 'p,d,y\n"$1,500",1/31/2020,1.5\n$2,2/1/2020,2.5\n'))
    assert problem.parsed["p"].style == {"marks": ["$"], "grouped": True}
    assert problem.parsed["d"].style == {"order": "mdy"}
    assert problem.columns["d"].dtype == "datetime64[us]"


def test_notes_of_reading_are_notices(tmp_path):
    problem = make_problem(csv(tmp_path, "# made\nx,x,y\n1,2,1.5\n3,4,2.5\n"))
    assert problem.notices[:2] == (
        "left out 1 line of comments",
        "a second column 'x' is called 'x_2'",
    )


@pytest.mark.parametrize(
    ("texts", "task"),
    [
        (("36 months", "60 months"), "classification"),
        (("$5", "$10"), "classification"),
        (("1 year", "2 years", "3 years"), "regression"),
        (("5 kg", "10 kg", "20 kg"), "regression"),
    ],
)
def test_two_amounts_are_classes_and_more_are_told(texts, task):
    columns = {"x": np.arange(30.0) % 7, "y": words(*[*texts] * (30 // len(texts)))}
    problem = make_problem(table(**columns))
    assert problem.target.task == task
    if task == "classification":
        assert set(problem.y.tolist()) == set(texts)
    else:
        assert any("3 different amounts, as they are written; --task" in n for n in problem.notices)
