"""The short way of plain NumPy rows into a network: the same checks, answers and errors."""

import warnings

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor
from xpnn.estimators import _base, _inputs

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
ROW = np.array([[0.5, -1.0, 2.0]])


@pytest.fixture(scope="module", params=["float32", "float64"])
def models(request):
    made = MLPClassifier(max_iter=1, dtype=request.param), MLPRegressor(max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made[0].fit(X, X.argmax(axis=1)), made[1].fit(X.astype(request.param), X[:, 0])


def outcome(function, *given):
    """What a call gives or raises."""
    try:
        found = function(*given)
    except Exception as error:
        return type(error), str(error)
    return found.dtype, found.tolist()


CHANGES = [
    lambda x: x,
    lambda x: x[0],
    lambda x: x[:, :2],
    lambda x: x[:0],
    lambda x: x[:, :0],
    lambda x: x * 1j,
    lambda x: x * np.nan,
    lambda x: x * np.array([[1, np.inf, 1]], x.dtype),
    lambda x: x * np.array([[np.inf, np.inf, 1]], x.dtype),
    lambda x: x * x.dtype.type(1e30),
    lambda x: x * (np.finfo(x.dtype).max / 4),
    lambda x: np.repeat(x, 2000, axis=0) * (np.finfo(x.dtype).max / 4),
    lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    lambda x: x.astype(x.dtype.newbyteorder()),
    lambda x: x.astype("int32"),
]


def test_plain_rows_are_answered_and_refused_as_others_are(models, monkeypatch):
    rows = [change(ROW.astype(dtype)) for change in CHANGES for dtype in ("float32", "float64")]
    calls = [m.predict for m in models] + [models[0].predict_proba, models[0].decision_function]
    found = [outcome(call, x) for x in rows for call in calls]
    monkeypatch.setattr(_base, "is_ready", lambda *given: False)
    assert [outcome(call, x) for x in rows for call in calls] == found


def test_a_fit_takes_and_refuses_the_same(monkeypatch):
    def fit(x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MLPClassifier(max_iter=1, random_state=0).fit(x, np.arange(len(x)) % 2)
        return np.concatenate([w.ravel() for w in model.coefs_])

    given = []
    for value in (1.0, np.nan, np.inf, 1e200):
        for shape in ((40, 3), (40,), (0, 3), (40, 0)):
            given.append(np.full(shape, value))
            given[-1].flat[:1] = 2.0
    found = [outcome(fit, x) for x in given]
    monkeypatch.setattr(_inputs, "is_matrix", lambda x: False)
    assert [outcome(fit, x) for x in given] == found


def test_names_are_warned_of_and_forgotten():
    pd = pytest.importorskip("pandas")
    y = np.arange(40) % 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        model = MLPClassifier(max_iter=1).fit(pd.DataFrame(X, columns=list("abc")), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(ROW)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    model.predict(ROW)


def test_the_largest_of_a_row_with_nan_is_the_first():
    from xpnn.parts.metrics import first_largest

    rows = np.array([[1.0, 2.0], [1.0, np.nan], [np.inf, -np.inf], [-1e300, 1e300]])
    assert first_largest(rows, np.int64, np).tolist() == [1, 0, 0, 1]
