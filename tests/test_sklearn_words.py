"""Warnings, errors and printed lines of scikit-learn's networks and ours: the same words."""

import contextlib
import io
import re
import warnings

import numpy as np
import pytest
from side_by_side import PAIRS, TABLES, of_both

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning"  # 20 epochs are too few, on purpose
)


def caught(call):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    return [(w.category, str(w.message)) for w in seen]


@pytest.mark.parametrize(
    "params",
    [
        {"max_iter": 3},
        {"max_iter": 2, "batch_size": 10_000},
        {"solver": "lbfgs", "max_iter": 3},
        {"solver": "lbfgs", "max_iter": 300, "max_fun": 5},
    ],
)
def test_warnings_say_the_same(params):
    x, y = TABLES["diabetes"]
    theirs, ours = (
        cls(hidden_layer_sizes=(4,), random_state=0, **params) for cls in PAIRS["regressor"]
    )
    expected = caught(lambda: theirs.fit(x, y))
    found = caught(lambda: ours.fit(x, y))
    assert expected
    # the same but for how many iterations max_fun allows from other initial weights
    digits = re.compile(r"after \d+ iter")
    assert [(c, digits.sub("", m)) for c, m in found] == [
        (c, digits.sub("", m)) for c, m in expected
    ]


@pytest.mark.parametrize(
    "params",
    [
        {"tol": 10.0, "n_iter_no_change": 2},
        {"tol": 10.0, "n_iter_no_change": 1, "solver": "sgd", "learning_rate": "adaptive"},
        {"tol": 10.0, "n_iter_no_change": 1, "early_stopping": True},
        {"max_iter": 2},
    ],
)
def test_verbose_prints_the_same(params):
    x, y = TABLES["diabetes"]
    words = []
    for cls in PAIRS["regressor"]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            cls(hidden_layer_sizes=(4,), random_state=0, verbose=True, **params).fit(x, y)
        words.append(re.sub(r"(loss =|score:) -?\d+\.\d+", r"\1", out.getvalue()))
    assert words[0] == words[1]
    assert "Iteration 1, loss =" in words[0]


@of_both
def test_patience_may_be_infinite(library):
    x, y = TABLES["diabetes"]
    est = library.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=60, tol=1e9, n_iter_no_change=np.inf
    )
    assert est.fit(x, y).n_iter_ == 60


BAD = [
    {"hidden_layer_sizes": -1},
    {"hidden_layer_sizes": (4, 0)},
    {"activation": "ghost"},
    {"solver": "ghost"},
    {"learning_rate": "ghost"},
    {"learning_rate_init": 0},
    {"alpha": -1},
    {"batch_size": 0},
    {"max_iter": 0},
    {"tol": -1},
    {"momentum": 1.5},
    {"validation_fraction": 1.0},
    {"beta_1": 1.0},
    {"epsilon": 0},
    {"n_iter_no_change": 0},
    {"n_iter_no_change": 1.5},
    {"max_fun": 0},
    {"power_t": -1},
    {"shuffle": "yes"},
]


@pytest.mark.parametrize("params", BAD, ids=str)
def test_parameters_are_checked_alike(params):
    x, y = TABLES["diabetes"]
    words = []
    for cls in PAIRS["regressor"]:
        with pytest.raises(ValueError, match="must be") as error:
            cls(**params).fit(x, y)
        words.append(str(error.value))
    theirs, ours = (w.partition(" must be ")[0] for w in words)
    assert ours == theirs  # which parameter, of which estimator


ERRORS = {
    "classes": lambda e, x, y: e.partial_fit(x, y),
    "other classes": lambda e, x, y: e.partial_fit(x, y, classes=[0, 1]).partial_fit(
        x, y, classes=[0, 1, 2]
    ),
    "unseen label": lambda e, x, y: e.partial_fit(x, y, classes=[0, 1]).partial_fit(x, y + 1),
    "early stopping": lambda e, x, y: e.set_params(early_stopping=True).partial_fit(
        x, y, classes=[0, 1]
    ),
    "warm start": lambda e, x, y: e.set_params(warm_start=True).fit(x, y).fit(x, y + 1),
    "not fitted": lambda e, x, y: e.predict(x),
    "features": lambda e, x, y: e.fit(x, y).predict(x[:, :2]),
    "small validation": lambda e, x, y: e.set_params(
        early_stopping=True, validation_fraction=0.001
    ).fit(x, y.astype(float)),
    "lbfgs": lambda e, x, y: e.set_params(solver="lbfgs").partial_fit(x, y),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_say_the_same(case):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), np.arange(30) % 2
    words = []
    for cls in PAIRS["classifier"]:
        with pytest.raises((ValueError, AttributeError)) as error:
            ERRORS[case](cls((3,), max_iter=2, random_state=0), x, y)
        words.append((type(error.value), str(error.value)))
    (theirs, expected), (ours, found) = words
    assert ours is theirs
    if case == "early stopping":  # ours can, with validation_data
        assert found.startswith(expected)
        found = expected
    assert found == expected


@of_both
def test_divergence_begins_with_the_same_sentence(library):
    x = np.full((20, 2), 1e200)
    x[::2] *= -1
    est = library.MLPRegressor(
        hidden_layer_sizes=(4,), solver="sgd", learning_rate_init=1e5, max_iter=5
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"Solver produced non-finite parameter weights\. The"):
            est.fit(x, np.arange(20.0))
