"""Tables and targets of every kind that people pass to the tabular estimators."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest

from xpnn import MLPRegressor, TabularClassifier, TabularRegressor
from xpnn.tables.frames import as_table, read_frame
from xpnn.tabular.calibration import tempered

X = np.arange(24.0).reshape(12, 2)
NAMES = ["a", "b", "c"] * 4


def fitted(y, kind=TabularClassifier, table=X):
    return kind(epochs=1, random_state=0).fit(table, y)


def test_structured_and_masked_arrays_are_tables():
    rows = np.array([(1.0, "u"), (2.0, "v")], dtype=[("size", "f8"), ("word", "U1")])
    frame = read_frame(rows)
    assert {k: v.tolist() for k, v in frame.columns.items()} == {
        "size": [1.0, 2.0],
        "word": ["u", "v"],
    }
    mask = [[False, True], [False, False]]
    for dtype, gap in (("i8", np.nan), ("f4", np.nan), ("bool", np.nan), ("M8[D]", "NaT")):
        masked = np.ma.masked_array(np.ones((2, 2), dtype=int).astype(dtype), mask=mask)
        found = read_frame(masked).columns["x1"]
        assert str(found[0]) == str(gap)
        assert found[1] == masked[1, 1]
    words = np.ma.masked_array(np.array([["u", "v"], ["w", "z"]]), mask=mask)
    assert read_frame(words).columns["x1"].tolist() == [None, "z"]
    assert read_frame({"n": np.ma.masked_array([1, 2], mask=[True, False])}).columns["n"][1] == 2
    model = fitted(rows["word"][[0, 1] * 6], table=rows[[0, 1] * 6])
    assert model.feature_names_in_.tolist() == ["size", "word"]
    assert model.predict(rows).shape == (2,)


def test_records_are_rows_of_a_table():
    rows = [{"size": float(i), "word": "uv"[i % 2]} for i in range(12)]
    columns = {name: [row[name] for row in rows] for name in ("size", "word")}
    model = fitted(NAMES, table=rows)
    assert model.feature_names_in_.tolist() == ["size", "word"]
    expected = fitted(NAMES, table=columns).predict_proba(columns)
    assert np.array_equal(model.predict_proba(rows), expected)
    assert np.array_equal(model.predict_proba([dict(reversed(rows[0].items()))]), expected[:1])
    with pytest.raises(ValueError, match=r"lacks the column 'size', known in fit\. There are"):
        model.predict([{"word": "u"}])  # no question after a name that is unlike
    gap = [*rows[:1], {"size": 1.0}]  # what a row does not say is missing
    assert read_frame(gap).columns["word"].tolist() == ["u", None]
    with pytest.raises(ValueError, match=r"Column 'size' is 0\.0, .* single row goes into a list"):
        model.predict(rows[0])


def test_lazy_frames_and_record_batches_are_tables():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    columns = {"n": [float(i) for i in range(12)], "w": NAMES}
    expected = fitted(NAMES, table=pl.DataFrame(columns)).predict_proba(pl.DataFrame(columns))
    for table in (pl.LazyFrame(columns), pa.record_batch(columns)):
        model = fitted(NAMES, table=table)
        assert np.array_equal(model.predict_proba(table), expected)
        assert model.feature_names_in_.tolist() == ["n", "w"]


def test_integers_of_128_bits_are_numbers():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"n": pl.Series([1, 2**70], dtype=pl.Int128)})
    assert read_frame(frame).columns["n"].tolist() == [1, 2**70]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"n": [1.0], "c": np.ones(1) * 1j}, "complex128 in column 'c'"),
        ({"n": [1.0], "c": 3}, "Column 'c' is 3, and a column is a list"),
        ({"n": [1.0], "c": "x"}, "Column 'c' is 'x', and a column is a list"),
        ({"n": [1.0], "c": np.ones((1, 2))}, "Column 'c' is"),
        ("table.csv", "got 'table.csv' instead: read the file first"),
    ],
    ids=["complex", "number", "text", "two-dimensional", "a file's name"],
)
def test_what_is_no_table_is_told(table, told):
    with pytest.raises(ValueError, match=told):
        read_frame(table)


def test_arrays_and_structs_of_polars_are_told_even_if_all_are_the_same():
    pl = pytest.importorskip("polars")
    for column in ([{"a": 1}] * 2, pl.Series([[1, 2]] * 2, dtype=pl.Array(pl.Int64, 2))):
        with pytest.raises(ValueError, match="Column 'c' holds values of type"):
            TabularRegressor().fit(pl.DataFrame({"n": [1.0, 2.0], "c": column}), [1.0, 2.0])


def test_labels_are_columns_of_any_library():
    pd, pl, pa = map(pytest.importorskip, ("pandas", "polars", "pyarrow"))
    expected = fitted(NAMES).predict_proba(X)
    kinds = (
        *(pd.Series(NAMES), pd.Categorical(NAMES), pl.Series(NAMES), pa.array(NAMES)),
        *(pa.chunked_array([NAMES]), pa.chunked_array([NAMES]).dictionary_encode()),
        np.array(NAMES, dtype=np.dtypes.StringDType()),
    )
    for labels in kinds:
        model = fitted(labels)
        assert model.classes_.tolist() == ["a", "b", "c"], type(labels)
        assert np.array_equal(model.predict_proba(X), expected), type(labels)
        assert 0.0 <= model.score(X, labels) <= 1.0
    for table in (pd.DataFrame({"y": NAMES}), pl.DataFrame({"y": NAMES}), pa.table({"y": NAMES})):
        with pytest.warns(match="A column-vector y was passed"):
            assert np.array_equal(fitted(table).predict_proba(X), expected)


def test_labels_of_objects_are_scored_as_they_were_given():
    whole = np.array([0, 1, 2] * 4, dtype=object)
    assert fitted(whole).score(X, whole) == fitted(whole.astype(int)).score(X, whole.astype(int))


def test_labels_may_be_dates():
    pd = pytest.importorskip("pandas")
    days = [dt.date(2020, 1, 1 + i % 3) for i in range(12)]
    assert fitted(np.array(days, dtype=object)).classes_.dtype == "M8[D]"
    times = pd.Series(pd.to_datetime(days))
    model = fitted(times)
    assert model.classes_.dtype.kind == "M"
    assert model.score(X, times) >= 0.0
    with pytest.raises(ValueError, match=r"of the zone UTC.*tz_localize\(None\)"):
        fitted(times.dt.tz_localize("UTC"))
    times[3] = None
    with pytest.raises(ValueError, match="y has no label in row 3"):
        fitted(times)


def test_labels_of_two_kinds_and_of_two_columns_are_told():
    with pytest.raises(ValueError, match=r"y holds text and other labels, such as 'a' and 1:"):
        fitted(np.array([1, "a"] * 6, dtype=object))
    with pytest.raises(ValueError, match=r"y has 2 labels a row.*MultiOutputClassifier"):
        fitted(np.stack([NAMES, NAMES], axis=1))


@pytest.mark.parametrize("kind", [TabularRegressor, MLPRegressor])
def test_gaps_in_targets_of_numbers_are_told_before_training(kind):
    y = np.arange(12.0)
    gaps = [y.astype(object), np.ma.masked_array(y, mask=y > 9)]
    gaps[0][4] = None
    for target, told in zip(gaps, ("Input y contains NaN", "y has masked values"), strict=True):
        with pytest.raises(ValueError, match=told):
            kind().fit(X, target)


def test_other_tables_stay_as_they_are():
    table = {"a": [1.0]}
    assert as_table(table) is table
    assert as_table(X) is X


def test_the_mean_of_all_members_is_tempered_less_than_each(monkeypatch):
    given = []
    monkeypatch.setattr(
        "xpnn.tabular.classifier.fit_temperature", lambda p, *about: given.append(p) or 4.0
    )
    model = fitted(NAMES)
    assert model.temperature_ == 4.0**0.75
    assert np.allclose(model.oof_prediction_, tempered(given[0], 4.0))
    plain, _ = model._mean_prediction(X)
    assert np.allclose(model.predict_proba(X), tempered(plain, 4.0**0.75))


def test_words_of_which_none_was_known_in_fit_are_warned_of(recwarn):
    table = {"sex": ["male", "female"] * 6, "name": [f"n{i % 70}" for i in range(12)]}
    model = fitted(NAMES, table=table)
    told = "'sex': no row has a word known in fit, such as 'male'; it has 'Male'"
    with pytest.warns(UserWarning, match=told) as caught:
        model.predict({"sex": ["Male", None], "name": ["n1", "n2"]})
    assert caught[0].filename == __file__
    told = "'sex': no row has a word known in fit, such as 'female'; it has 'True'"
    with pytest.warns(UserWarning, match=told):  # another type than in fit
        model.predict({"sex": [True, False], "name": ["n1", "n2"]})
    for sex in (["Male", "male"], [None, None], ["diverse"], ["x"] * 30 + ["male"]):
        model.predict({"sex": sex, "name": ["n1"] * len(sex)})  # no warning, which is an error
    many = fitted(
        ["a", "b"] * 75, table={"id": [f"n{i}" for i in range(150)], "x": list(range(150))}
    )
    many.predict({"id": ["new", "newer"], "x": [1, 2]})


def test_a_matrix_is_refused_in_a_line():
    with pytest.raises(TypeError, match=r"np.matrix is not supported: pass np.asarray\(X\)"):
        fitted(NAMES, table=X.view(np.matrix))


def test_labels_that_are_none_in_numpy_are_told_with_one_of_them():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="y has no label in row 1"):
        fitted(["a", None, "b"] * 4)
    with pytest.raises(ValueError, match=r"y holds text and other labels, such as 'a' and 1:"):
        fitted([1, "a"] * 6)
    kinds = (pd.cut(pd.Series(X[:, 0]), 3), pd.Series(pd.period_range("2020-01", periods=12)))
    for labels in (*kinds, [10**30, 10**31] * 6, [Decimal(i % 2) for i in range(12)]):
        with pytest.raises(ValueError, match=r"y holds labels such as .* by y\.astype\(str\)"):
            fitted(labels)
        assert len(fitted(np.array(list(map(str, labels)))).classes_) > 1


def test_durations_are_no_numbers_of_which_the_unit_is_unknown():
    spans = np.arange(12) * np.timedelta64(1, "h")
    model = fitted(NAMES, table={"spent": np.arange(12.0)})
    with pytest.raises(ValueError, match=r"'spent' should be numbers, got '0 seconds' in row 1"):
        model.predict({"spent": spans})
    assert len(model.predict({"spent": np.full(2, "NaT", dtype="m8[s]")})) == 2
    learned = fitted(NAMES, table={"spent": spans})
    milliseconds = learned.predict_proba({"spent": spans.astype("m8[ms]")})
    assert np.array_equal(milliseconds, learned.predict_proba({"spent": spans}))


def test_sizes_of_layers_are_told_by_the_name_that_they_have_here():
    for sizes, told in (((-1,), "hidden must be > 0"), ((2.5,), "hidden must be whole numbers")):
        with pytest.raises(ValueError, match=f"^{told}, got"):
            TabularClassifier(hidden=sizes).fit(X, NAMES)
