"""Columns of a table by name and by place, and those that differ between fit and predict."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from tabular_table import FRAME, SMALL, Y, fitted

from xpnn import TabularRegressor
from xpnn.distributed import in_threads
from xpnn.tables.encoding import Encoding, fit_encoding
from xpnn.tables.frames import read_frame
from xpnn.tables.ownrows import fit_encoding_together
from xpnn.tables.strays import told_strays

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(99)


@pytest.fixture(scope="module")
def regressor():
    return fitted(TabularRegressor)


def test_columns_that_differ_between_fit_and_predict(regressor):
    """Types may differ, as long as values can be read in the same way."""
    text = FRAME.assign(
        size=FRAME["size"].map(lambda v: "" if np.isnan(v) else repr(v)),
        sold=FRAME["sold"].map({True: "true", False: "false"}),
        day=FRAME["day"].dt.strftime("%Y-%m-%d"),
        colour=pd.Categorical(FRAME["colour"]),
    )
    assert np.allclose(regressor.predict(text), regressor.predict(FRAME))
    with pytest.raises(ValueError, match="'size' should be numbers, got 'large' in row 1"):
        regressor.predict(FRAME.astype({"size": object}).assign(size="large"))


@pytest.mark.parametrize("library", ["polars", "pyarrow", "dict"])
def test_any_library_of_tables(regressor, library):
    if library == "dict":
        X = {name: FRAME[name].to_numpy() for name in FRAME}
    elif library == "polars":
        X = pytest.importorskip("polars").from_pandas(FRAME)
    else:
        X = pytest.importorskip("pyarrow").Table.from_pandas(FRAME)
    again = clone(regressor).fit(X, Y)
    assert np.allclose(again.predict(X), regressor.predict(FRAME))


def test_columns_go_by_place_where_there_are_no_names():
    X = RNG.normal(size=(60, 3))
    options = {**SMALL, "epochs": 3}
    plain = TabularRegressor(**options).fit(X, X[:, 0])
    numbered = TabularRegressor(**options).fit(pd.DataFrame(X), X[:, 0])
    assert np.array_equal(numbered.predict(X), plain.predict(X))
    assert np.array_equal(plain.predict(pd.DataFrame(X)), plain.predict(X))
    assert np.array_equal(pickle.loads(pickle.dumps(numbered)).predict(X), plain.predict(X))
    twice = pd.DataFrame(X, columns=["a", "a", "b"])
    model = TabularRegressor(**options).fit(twice, X[:, 0])
    assert model.feature_names_in_.tolist() == ["a", "a_2", "b"]
    assert np.array_equal(model.predict(twice), plain.predict(X))
    with pytest.raises(ValueError, match="Names of columns are the same"):
        model.fit({1: X[:, 0], "1": X[:, 1]}, X[:, 0])


def test_names_are_checked(regressor):
    assert regressor.feature_names_in_.tolist() == list(FRAME.columns)
    assert regressor.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        regressor.predict(FRAME[["colour", "size", "sold", "day"]])
    with pytest.raises(ValueError, match="lacks the column 'colour'"):
        regressor.predict({name: FRAME[name] for name in ("size", "sold", "day")})


HOURS = pd.date_range("2024-01-01", periods=60, freq="5h", tz="Europe/Berlin")
WAITS = pd.to_timedelta(np.arange(60) % 7 + 1, unit="h")
NUMBERS = "numbers are taken as seconds, and training had times or durations"
NO_ZONE = "times without a zone are taken as UTC, and training's had one"
A_ZONE = "times with a zone are taken as UTC, and training's had none"
TIMES = {  # at fit, in prediction, and what is told
    "durations, numbers": (WAITS, WAITS.total_seconds(), NUMBERS),
    "times as text, numbers in JSON": (["1:30", "0:45"] * 30, [90.0] * 60, NUMBERS),
    "durations, texts": (WAITS, ["1:30:00", None] * 30, None),
    "durations, gaps": (WAITS, [np.nan] * 60, None),
    "a zone, none": (HOURS, HOURS.tz_localize(None), NO_ZONE),
    "a zone, text without": (HOURS, HOURS.tz_localize(None).astype(str), NO_ZONE),
    "text with, none": (HOURS.astype(str), HOURS.tz_localize(None), NO_ZONE),
    "a zone, text with": (HOURS, HOURS.astype(str), None),
    "a zone, another": (HOURS, HOURS.tz_convert("UTC"), None),
    "a zone, gaps": (HOURS, [pd.NaT] * 60, None),
    "none, a zone": (HOURS.tz_localize(None), HOURS, A_ZONE),
    "text without, with": (HOURS.tz_localize(None).astype(str), HOURS.astype(str), A_ZONE),
    "some with": (["2024-01-02T10:00Z", "2024-03-04 10:00"] * 30, HOURS, None),
}


@pytest.mark.parametrize("case", TIMES)
def test_times_that_are_read_otherwise_than_in_fit_are_told(case):
    first, later, told = TIMES[case]
    encoding = fit_encoding(read_frame(pd.DataFrame({"when": first})))
    expected = [] if told is None else [f"'when': {told}"]
    for table in (pd.DataFrame({"when": later}), {"when": list(later)}):
        assert list(told_strays(encoding, read_frame(table))) == expected


@pytest.mark.parametrize("own", [False, True])
def test_a_zone_is_known_of_tables_in_processes_and_files(own):
    frame = read_frame(pd.DataFrame({"when": HOURS})).named(["a"]).of_rows(np.arange(60) > 30)
    each = in_threads(lambda comm: fit_encoding_together(frame, comm), 2)
    for encoding in each if own else [fit_encoding(frame)]:
        again = Encoding.from_dict(encoding.to_dict())
        assert again.columns[0].style["zone"] is True


def test_times_are_told_once_in_a_prediction():
    table = pd.DataFrame({"when": HOURS, "wait": WAITS})
    model = TabularRegressor(random_state=0, time_limit=0.1).fit(table, np.arange(60.0))
    later = table.assign(when=HOURS.tz_localize(None), wait=WAITS.total_seconds())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.predict(later)
    assert [str(w.message) for w in seen] == [
        f"Column 'when': {NO_ZONE}.",
        f"Column 'wait': {NUMBERS}.",
    ]


def test_the_summary_counts_a_word_beside_gaps():
    table = pd.DataFrame({"one": ["x", None] * 30, "two": ["a", "b"] * 30})
    lines = TabularRegressor(random_state=0, time_limit=0.1).fit(table, np.arange(60.0)).summary()
    assert "one  1 word, gaps" in lines
    assert "two  2 words\n" in lines
