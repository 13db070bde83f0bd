"""Columns of a table by name and by place, and those that differ between fit and predict."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from tabular_table import FRAME, SMALL, Y, fitted

from xpnn import TabularRegressor

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
