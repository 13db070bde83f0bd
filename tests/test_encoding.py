"""How tables of any library become columns, and columns a network's inputs."""

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xpnn.tables.columns import TableError
from xpnn.tables.encoding import (
    MOST_CATEGORIES,
    Encoding,
    fit_encoding,
    unknown_words,
)
from xpnn.tables.frames import read_frame
from xpnn.tables.kinds import Spread, date_parts
from xpnn.tables.thresholds import Classes

COLUMNS = {
    "size": [1.0, 2.0, None, 4.0, 7.0, 11.0],
    "kind": ["a", "b", "a", None, "c", "c"],
    "pair": ["no", "yes", "no", "yes", "no", "yes"],
    "day": ["2024-01-31", "2024-02-29", None, "2023-12-01", "2024-01-01", "2024-05-05"],
    "same": [3, 3, 3, 3, 3, 3],
}


def encoded(columns, new=None, **options):
    encoding = fit_encoding(read_frame(columns), **options)
    return encoding, encoding.transform(read_frame(columns if new is None else new))


def test_each_kind_of_column_becomes_inputs():
    encoding, x = encoded(COLUMNS)
    kinds = {c.name: c.kind for c in encoding.columns}
    assert kinds == {"size": "numeric", "kind": "words", "pair": "words", "day": "datetime"}
    assert encoding.left_out == {"same": "it is always the same"}
    at = {name: x[:, i] for i, name in enumerate(encoding.names)}
    assert encoding.names[: encoding.n_numbers] == [
        "size",
        *(f"day {part}" for part in ("elapsed", "year", "month", "day", "weekday")),
    ]
    assert at["kind 'a'"].tolist() == [1, 0, 1, 0, 0, 0]
    assert at["kind missing"].tolist() == [0, 0, 0, 1, 0, 0]
    assert at["pair"].tolist() == [-1, 1, -1, 1, -1, 1]
    assert at["size missing"].tolist() == [0, 0, 1, 0, 0, 0]
    assert at["size"][2] == 0  # the median
    assert [len(v) for v in encoding.places.values()] == [2, 4, 1, 6]
    assert sorted(i for at in encoding.places.values() for i in at) == list(range(x.shape[1]))


def test_inputs_are_written_some_rows_at_a_time(monkeypatch):
    columns = {"size": np.arange(50.0), "kind": ["a", "b", "c", "d", "e"] * 10}
    encoding, x = encoded(columns, bins=4)
    monkeypatch.setattr("xpnn.tables.encoding._AT_ONCE", 7 * x.shape[1])
    again = encoding.transform(read_frame(columns))
    assert np.array_equal(again, x)
    assert again.flags.c_contiguous


def test_the_spread_is_the_robust_one():
    """Against quantiles, and 1 / sqrt(1 + (z/3)^2), computed anew."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    z = (values - 3.0) / 2.0
    assert np.allclose(Spread.of(values)(values), z / np.sqrt(1 + (z / 3) ** 2))
    few = np.array([0.0, 0.0, 0.0, 0.0, 5.0])  # quartiles are the same: half of the range
    assert np.allclose(Spread.of(few)(few)[-1], 2.0 / np.sqrt(1 + (2 / 3) ** 2))
    assert Spread.of(np.array([np.nan]))(np.array([np.nan, 5.0])).tolist() == [0.0, 0.0]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=30))
@example([0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 1.1125369292536007e-308])
@example([0.0, 8.98846567431158e307, 0.5])
@example([0.0, 5e-324, 1.0, 1.0, 1e-310, 3e-320])
def test_inputs_are_finite_and_small_whatever_the_numbers(values):
    encoding, x = encoded({"v": np.asarray(values)}, bins=4)
    assert np.isfinite(x).all()
    assert np.abs(x).max(initial=0.0) <= 3.0
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert np.array_equal(again.transform(read_frame({"v": np.asarray(values)})), x)


def test_bins_rise_from_0_to_1_between_quantiles():
    values = np.arange(100.0)
    encoding, x = encoded({"v": values}, bins=4)
    (column,) = encoding.columns
    assert np.allclose(column.edges, np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    expected = [np.clip((values - a) / (b - a), 0, 1) for a, b in
                zip(column.edges[:-1], column.edges[1:], strict=True)]  # fmt: skip
    assert np.allclose(x[:, 1:], np.stack(expected, axis=1), atol=1e-6)
    few, _ = encoded({"v": [1.0, 2.0, 5.0, 5.0]}, bins=8)
    assert few.columns[0].edges == (1.0, 2.0, 5.0)
    assert encoded({"v": [0.0, 1.0, 1.0]}, bins=8)[0].columns[0].edges == ()
    many = {f"v{i}": values + i for i in range(3)}
    assert all(not c.edges for c in encoded(many, bins=8, most_numbers=2)[0].columns)


def test_outer_bins_are_halved_while_they_keep_rows():
    """Down to a 64th of the rows, and to 32 of them; beside the quantiles that are there anyway."""
    for n, outer in ((400, ()), (600, (1 / 16,)), (3000, (1 / 16, 1 / 32, 1 / 64)), (9000, None)):
        values = np.random.default_rng(n).lognormal(size=n)
        zeros = np.zeros(n, dtype=int)
        found, _ = encoded({"v": values}, bins=8, classes=Classes(zeros, zeros[None], 2))
        shares = (1 / 16, 1 / 32, 1 / 64) if outer is None else outer
        levels = sorted({*np.linspace(0, 1, 9), *shares, *(1 - s for s in shares)})
        assert np.allclose(found.columns[0].edges, np.quantile(values, levels))
        plain, _ = encoded({"v": values}, bins=8)
        assert len(plain.columns[0].edges) == 9


def test_words_of_many_values_do_not_explode():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in rng.zipf(1.3, 3000) % 1000]
    encoding, x = encoded({"w": words})
    assert x.shape[1] == MOST_CATEGORIES + 2
    assert encoding.n_numbers == 1  # how often a word was seen
    other = encoding.transform(read_frame({"w": ["never", words[0], None]}))
    names = encoding.names
    assert other[0, names.index("w other")] == 1
    assert other[1, names.index("w other")] in (0, 1)
    assert other[2, names.index("w other")] == 0
    assert other[0, 0] < other[1, 0]


def test_words_unknown_in_training_are_found():
    encoding, _ = encoded(COLUMNS)
    new = {**COLUMNS, "kind": ["A", "zz", "a", None, "c ", "b"]}
    assert unknown_words(encoding, read_frame(new)) == {"kind": (2, "A", "a")}
    x = encoding.transform(read_frame(new))
    of_kind = [i for i in encoding.places["kind"] if "missing" not in encoding.names[i]]
    assert (x[:2][:, of_kind] == 0).all()


def test_dates_are_taken_apart():
    moment = dt.datetime(2024, 2, 29, 6, 30)
    parts = date_parts(np.array([moment, "NaT"], dtype="datetime64[us]"))
    assert {k: v[0] for k, v in parts.items()} == {
        "elapsed": (moment - dt.datetime(1970, 1, 1)).total_seconds() / 86400,
        "year": 2024, "month": 2, "day": 29, "weekday": moment.weekday(), "hour": 6.5,
    }  # fmt: skip
    assert all(np.isnan(v[1]) for v in parts.values())


@given(st.dates(dt.date(1700, 1, 1), dt.date(2200, 1, 1)))
def test_date_parts_are_those_of_the_calendar(day):
    parts = date_parts(np.array([day], dtype="datetime64[us]"))
    found = [int(parts[k][0]) for k in ("year", "month", "day", "weekday", "hour")]
    assert found == [day.year, day.month, day.day, day.weekday(), 0]


def test_objects_of_any_kind_are_read():
    columns = {
        "decimal": [Decimal("1.5"), None, Decimal(3)],
        "truth": [True, None, False],
        "mixed": [1, "x", 2.0],
        "date": [dt.date(2024, 1, 1), None, dt.date(2024, 3, 1)],
        "bytes": [b"u", b"v", b"u"],
    }
    encoding, x = encoded(columns)
    kinds = {c.name: c.kind for c in encoding.columns}
    assert kinds["decimal"] == kinds["truth"] == "numeric"
    assert kinds["mixed"] == kinds["bytes"] == "words"
    assert kinds["date"] == "datetime"
    assert np.isfinite(x).all()
    with pytest.raises(TableError, match="type list"):
        encoded({"v": [[1], [2]]})


def test_columns_of_pandas_polars_and_pyarrow_are_the_same():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "int": pd.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "word": pd.Categorical(["u", None, "v"]),
            "code": pd.Categorical([3, 1, 3]),
            "time": pd.to_datetime(["2024-01-01", None, "2024-01-03"]).tz_localize("Europe/Paris"),
            "span": pd.to_timedelta([1, None, 3], unit="h"),
        }
    )
    encoding = fit_encoding(read_frame(frame))
    kinds = {c.name: c.kind for c in encoding.columns}
    assert kinds["code"] == kinds["word"] == "words"  # categories, though written as numbers
    assert kinds["span"] == kinds["int"] == kinds["flag"] == "numeric"
    x = encoding.transform(read_frame(frame))
    for other in (pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        assert np.allclose(encoding.transform(read_frame(other)), x)


def test_names_of_pandas_may_be_numbers_or_stand_twice():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([[1, 2, 3], [4, 5, 6]], columns=[0, "a", "a"])
    assert list(read_frame(frame).columns) == ["0", "a", "a_2"]


def test_a_file_of_wrong_kinds_is_refused():
    encoding, _ = encoded(COLUMNS)
    data = encoding.to_dict()
    data["columns"][0]["spread"]["factor"] = float("inf")
    with pytest.raises(ValueError, match="finite"):
        Encoding.from_dict(data)
    with pytest.raises(KeyError):
        Encoding.from_dict({"columns": [{"kind": "colours"}], "left_out": {}, "notes": {}})


def test_a_column_of_lists_is_named():
    import xpnn

    pl = pytest.importorskip("polars")
    table = {"b": list(range(20)), "a": [[1, 2], [3]] * 10}
    for X in (table, pl.DataFrame(table)):
        with pytest.raises(ValueError, match=r"Column 'a' holds values of type \w+, not numbers"):
            xpnn.TabularClassifier(epochs=1).fit(X, [0, 1] * 10)
