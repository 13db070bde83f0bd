"""Tables, the problem in them, and the split."""

import math
import sys
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import table, words, write

from xpnn.command.splits import split_evenly
from xpnn.tables import BUNDLED, TableError, read_table
from xpnn.tables.problem import make_problem

MIXED = """\
age,town,member,target
20,Ulm,true,a
,Bonn,false,b
40,,true,a
60,Ulm,false,b
50,Ulm,,a
"""


# -- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_is_scikit_learns(name):
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    problem = make_problem(read_table(name))
    assert problem.target.task == BUNDLED[name]
    np.testing.assert_array_equal(np.stack(list(problem.columns.values()), axis=1), X)
    if name == "iris":
        assert set(problem.y[y == 0]) == {"setosa"}
    elif BUNDLED[name] == "regression" or name == "digits":
        np.testing.assert_array_equal(problem.y, y)
    if name == "digits":
        assert problem.y.dtype == np.int64


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_with_any_delimiter_and_a_byte_order_mark(tmp_path, delimiter, end):
    text = "\ufeff" + MIXED.replace(",", delimiter).replace("\n", end)
    read = read_table(write(tmp_path, text))
    assert list(read.columns) == ["age", "town", "member", "target"]
    assert read.n_rows == 5
    assert read.columns["town"].tolist() == ["Ulm", "Bonn", None, "Ulm", "Ulm"]


def test_csv_quotes_and_lines_inside_quotes(tmp_path):
    read = read_table(write(tmp_path, 'a,"b, c"\n1,"x\ny"\n2,"say ""z"""\n'))
    assert read.columns["b, c"].tolist() == ["x\ny", 'say "z"']


@pytest.mark.parametrize("mark", "\v\f\x1c\x1d\x1e\x85\u2028\u2029")
def test_only_newlines_end_a_line_of_csv(tmp_path, mark):
    read = read_table(write(tmp_path, f"a{mark}b,y\ntwo{mark}parts,1\r\nx,2\ry{mark}z,3"))
    assert read.columns[f"a{mark}b"].tolist() == [f"two{mark}parts", "x", f"y{mark}z"]
    assert read.columns["y"].tolist() == [1, 2, 3]
    with pytest.raises(TableError, match="line 3: 3 values"):
        read_table(write(tmp_path, f"a,b\n1{mark},2\n1,2,3\n"))


def test_the_first_line_tells_the_delimiter_whatever_ends_it(tmp_path):
    read = read_table(write(tmp_path, "a;b\r1,2,3;4,5,6\r"))  # lines of an old Mac
    assert {n: c.tolist() for n, c in read.columns.items()} == {"a": ["1,2,3"], "b": ["4,5,6"]}


def test_parquet_gives_what_csv_gives(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.read_csv(write(tmp_path, MIXED))
    frame["town"] = frame["town"].astype("category")
    frame.to_parquet(tmp_path / "t.parquet")
    a = make_problem(read_table(tmp_path / "t.csv"))
    b = make_problem(read_table(tmp_path / "t.parquet"))
    assert a.columns.keys() == b.columns.keys()
    for name, column in a.columns.items():
        np.testing.assert_array_equal(column, b.columns[name])
    np.testing.assert_array_equal(a.y, b.y)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n", "is empty: it has no rows"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 values under 2 columns"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote is opened that is never closed"),
        (bytes(range(256)) * 8, "neither text nor Parquet"),
    ],
)
def test_a_bad_csv_says_what_is_wrong(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        read_table(write(tmp_path, text))


def test_a_bad_source_says_what_is_wrong(tmp_path):
    with pytest.raises(TableError, match=r"no file digit; did you mean 'digits'\?"):
        read_table("digit")
    with pytest.raises(TableError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(TableError, match="is a damaged archive"):
        read_table(write(tmp_path, b"\x1f\x8bnot gzip", "t.csv"))
    pytest.importorskip("pyarrow")
    with pytest.raises(TableError, match="no Parquet file"):
        read_table(write(tmp_path, b"PAR1 not really PAR1", "t.parquet"))


def test_parquet_without_pyarrow_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "xpnn\[data\]"'):
        read_table(write(tmp_path, b"", "t.parquet"))


# -- the problem --------------------------------------------------------------------------------


def test_the_target_is_told_by_name_or_place():
    columns = {"Label": words("a", "b"), "x": np.array([1.0, 2.0])}
    assert make_problem(table(**columns)).target.name == "Label"
    assert make_problem(table(z=columns["x"], x=columns["x"])).target.name == "x"
    assert make_problem(table(**columns), target="x").target.name == "x"


@pytest.mark.parametrize(
    ("y", "task", "dtype"),
    [
        (words(*"ab" * 10), "classification", "U"),
        (words("True", "False", "True"), "classification", "U"),
        (np.array([0.0, 1.0] * 3), "classification", "i"),
        (np.repeat(np.arange(10.0), 5), "classification", "i"),
        (np.repeat(np.arange(11.0), 5), "regression", "f"),
        (np.repeat(np.arange(10.0), 4), "regression", "f"),
        (np.array([0.5, 1.5] * 30), "regression", "f"),
        (words(*"12" * 10), "classification", "i"),
        (words(*["1.5", "2", "3"] * 10), "regression", "f"),
    ],
)
def test_the_task_is_told_by_the_target(y, task, dtype):
    problem = make_problem(table(x=np.arange(len(y)) * 0.5, y=y))
    assert (problem.target.task, problem.y.dtype.kind) == (task, dtype)


def test_the_task_can_be_overridden():
    y = np.array([0.0, 1.0] * 5)
    assert make_problem(table(x=y, y=y), task="regression").y.dtype == np.float64
    halves = make_problem(table(x=y, y=y / 2), task="classification")
    assert set(halves.y) == {"0", "0.5"}


def test_rows_without_a_target_are_left_out():
    problem = make_problem(table(x=np.arange(4.0), y=words("a", None, "b", "a")))
    assert problem.columns["x"].tolist() == [0, 2, 3]
    assert problem.notices == ("left out 1 row without 'y'",)


def test_useless_columns_are_left_out_and_said():
    n = 30
    problem = make_problem(
        table(
            customer_id=np.arange(n) + 1000.0,
            code=words(*(f"u{i}" for i in range(n))),
            height=words(*("1.80" if i else "tall" for i in range(n - 1)), "1.70"),
            many=words(*(str(i) if i else "unknown" for i in range(n))),
            empty=np.full(n, np.nan),
            void=words(*[None] * n),
            year=np.arange(n) + 1990.0,
            y=np.arange(n) * 0.5,
        )
    )
    assert list(problem.columns) == ["height", "many", "year"]
    assert problem.notices == (
        "left out 'customer_id': it numbers the rows",
        "left out 'code': 30 different texts, such as 'u0' (an id?)",
        "'height': 1 of 30 values are no numbers ('tall') and count as missing",
        "'many': 1 of 30 values are no numbers ('unknown') and count as missing",
        "left out 'empty': it is empty",
        "left out 'void': it is empty",
    )


@pytest.mark.parametrize("date", ["2024-05-01", "2024-05-01 10:00:00", "1.5.2024", "05/01/2024"])
def test_dates_train(date):
    problem = make_problem(table(when=words(date, date, None), y=np.array([1.0, 2, 3])))
    moments = problem.columns["when"]
    assert moments.dtype == "datetime64[us]"
    assert moments.astype("M8[D]").astype(str).tolist() == ["2024-05-01"] * 2 + ["NaT"]


def test_parquet_dates_train(tmp_path):
    pd = pytest.importorskip("pandas")
    pd.DataFrame({"day": pd.to_datetime(["2024-05-01"] * 2), "y": [1.5, 2]}).to_parquet(
        tmp_path / "t.parquet"
    )
    problem = make_problem(read_table(tmp_path / "t.parquet"))
    assert problem.columns["day"].tolist() == [datetime(2024, 5, 1)] * 2


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (words("a", "b"), {"task": "regression"}, "not numeric .*'a'.*regression needs numbers"),
        (words("a", "b"), {"target": "Z"}, "no column 'Z'; did you mean 'z'"),
        (words("a", "b"), {"drop": ["zz"]}, "no column 'zz'; did you mean 'z'"),
        (words("a", "b"), {"drop": ["z"], "target": "z"}, "cannot be dropped"),
        (words("a", "b"), {"drop": ["x"]}, "no columns to predict"),
        (words("a", "a"), {}, "always a; there is nothing to learn"),
        (words(None, None), {}, "'z' has no values"),
        (np.array([math.inf, math.inf]), {}, "'z' has no values"),
        (words("2024-05-01", "2024-05-02"), {}, "'z' holds dates; write it as a number"),
    ],
)
def test_a_bad_problem_says_what_is_wrong(y, options, message):
    with pytest.raises(TableError, match=message):
        make_problem(table(x=np.array([1.0, 2.0]), z=y), **options)


def test_too_many_classes_are_refused():
    with pytest.raises(TableError, match="30 different values in 30 rows"):
        make_problem(table(x=np.ones(30) / 2, z=words(*(f"n{i}" for i in range(30)))))


# -- the split ----------------------------------------------------------------------------------


@given(st.integers(5, 200), st.integers(1, 8), st.floats(0.05, 0.8), st.integers(0, 9))
def test_the_split_is_a_stratified_partition(n, n_classes, test_size, seed):
    y = np.random.default_rng(seed).integers(0, n_classes, n)
    try:
        train, test = split_evenly(y, "classification", test_size)
    except TableError as error:
        assert "too few" in str(error)  # noqa: PT017
        return
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(n))
    assert len(test)
    assert set(y[train]) == set(y)
    sizes = np.bincount(y)
    if sizes[sizes > 0].min() > 10:
        shares = np.bincount(y[test], minlength=len(sizes))
        assert np.abs(shares - sizes * len(test) / n).max() < 2


def test_the_split_is_always_the_same():
    y = np.arange(100) % 7
    first, second = split_evenly(y, "classification"), split_evenly(y, "classification")
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_regressions_test_rows_span_its_range():
    y = np.random.default_rng(0).exponential(size=500)
    _, test = split_evenly(y, "regression")
    assert abs(np.median(y[test]) - np.median(y)) < 0.02
    assert len(test) == 100


def test_too_few_rows_are_refused():
    with pytest.raises(TableError, match="4 rows is too small"):
        split_evenly(np.arange(4), "regression")
