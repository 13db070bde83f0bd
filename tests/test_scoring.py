"""What `score` and validation take for a target, beside scikit-learn; R2 of a single row."""

import warnings

import numpy as np
import pytest
import sklearn
import sklearn.linear_model as linear
import sklearn.neural_network as sk
from sklearn.exceptions import DataConversionWarning, UndefinedMetricWarning
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.utils.fixes import parse_version

import xpnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
CODES = np.arange(12) % 3
PAIRS = np.eye(3, dtype=int)[CODES]
TARGETS = {
    "classes": CODES,
    "two classes": CODES // 2,
    "classes as floats": CODES.astype(float),
    "a column": CODES[:, None],
    "words": np.array(["a", "b", "c"])[CODES],
    "truths": CODES > 0,
    "unseen": CODES + 7,
    "numbers": X[:, 0],
    "one-hot": PAIRS,
    "several classes": np.column_stack([CODES, CODES]),
    "several numbers": X[:, :2],
    "words of several labels": np.array(["a", "b"])[PAIRS],
    "one label": PAIRS[:, :1],
    "two labels": PAIRS[:, :2],
    "four labels": np.column_stack([PAIRS, CODES > 0]),
    "truths of labels": PAIRS.astype(bool),
    "labels as floats": PAIRS.astype(float),
}
OURS_ALONE = {("labels", "one label")}
"""scikit-learn's are about several labels of which there is one; ours are about their shape."""


def fitted(module, kind):
    """A classifier of classes, of two classes, of words or of several labels."""
    y = {"classes": CODES, "two": CODES > 0, "words": TARGETS["words"], "labels": PAIRS}[kind]
    return module.MLPClassifier((3,), max_iter=2, random_state=0).fit(X, y)


def outcome(call):
    """The score, or that there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call() * 0 + 1
        except (ValueError, TypeError):
            return "refused"


REFUSES = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="scikit-learn before 1.9 compares words with numbers",
)


@REFUSES
@pytest.mark.parametrize("kind", ["classes", "two", "words", "labels"])
def test_networks_score_the_targets_that_scikit_learns_score(kind):
    theirs, ours = fitted(sk, kind), fitted(xpnn, kind)
    for name, y in TARGETS.items():
        found, expected = (outcome(lambda e=e, y=y: e.score(X, y)) for e in (ours, theirs))
        assert found == expected, name


@REFUSES
def test_perceptrons_score_the_targets_that_scikit_learns_score():
    theirs, ours = linear.Perceptron().fit(X, CODES), xpnn.Perceptron().fit(X, CODES)
    for name, y in TARGETS.items():
        found, expected = (outcome(lambda e=e, y=y: e.score(X, y)) for e in (ours, theirs))
        assert found == expected, name


@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_validation_takes_what_training_takes(kind):
    for name, y in TARGETS.items():
        model = fitted(xpnn, kind)
        alone = outcome(lambda m=model, y=y: m.partial_fit(X, y).t_)
        model = fitted(xpnn, kind).set_params(monitor="accuracy")
        beside = outcome(
            lambda m=model, y=y: m.partial_fit(X, m.predict(X), validation_data=(X, y)).t_
        )
        assert beside == alone, name
    assert outcome(lambda: fitted(xpnn, "labels").partial_fit(X, 2 * PAIRS - 1).t_) == "refused"


def test_a_refusal_names_the_value_and_the_cure():
    classes, labels = fitted(xpnn, "classes"), fitted(xpnn, "labels")
    with pytest.raises(ValueError, match=r"mix of continuous and multiclass.*0\.125.*MLPRegressor"):
        classes.score(X, np.full(12, 0.125))
    with pytest.raises(ValueError, match=r"shape \(12, 3\).*argmax"):
        classes.score(X, PAIRS)
    with pytest.raises(ValueError, match=r"shape \(12, 2\).*3 labels"):
        labels.score(X, PAIRS[:, :2])
    with pytest.raises(ValueError, match=r"'b'.*MultiLabelBinarizer"):
        labels.score(X, TARGETS["words of several labels"])
    with pytest.raises(ValueError, match=r"holds -1.*0 and 1"):
        labels.partial_fit(X, 2 * PAIRS - 1)


def test_importances_of_a_table_check_the_number_of_outputs():
    model = xpnn.TabularRegressor(n_members=2, hidden=2, epochs=4, random_state=0)
    model.fit(X, np.column_stack([X[:, 0], X[:, 1]]))
    with pytest.raises(ValueError, match=r"y has 1 outputs, but this TabularRegressor .* with 2"):
        model.feature_importance(X, X[:, 0], n_repeats=1)


# -- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: xpnn.MLPClassifier((2,), max_iter=1),
        lambda: xpnn.MLPRegressor(hidden_layer_sizes=2, max_iter=1),
        lambda: xpnn.Perceptron(class_weight={0: 1.0, 1: 2.0, 2: 1.0}, max_iter=1),
        lambda: xpnn.TabularClassifier(n_members=2, hidden=2, epochs=4),
        lambda: xpnn.TabularRegressor(n_members=2, hidden=2, epochs=4),
    ],
)
def test_a_column_is_warned_of_once_in_fit_and_never_in_score(make):
    column, model = CODES[:, None], make()
    about = {} if "MLP" not in type(model).__name__ else {"validation_data": (X, column)}
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as seen:
        model.fit(X, column, **about)
    found = [w for w in seen if w.category is DataConversionWarning]
    assert len(found) == 1
    assert found[0].filename == __file__
    model.score(X, column)  # warnings are errors


# -- one row ---------------------------------------------------------------------------------


def regressor(**params):
    return xpnn.MLPRegressor(hidden_layer_sizes=3, max_iter=3, random_state=0, **params)


def test_r2_of_one_row_is_undefined(target_any):
    x, y = target_any.asarray(X), target_any.asarray(X[:, 0])
    model = regressor(dtype=target_any.dtype_name).fit(x, y)
    with pytest.warns(UndefinedMetricWarning, match="less than two samples") as seen:
        assert np.isnan(model.score(x[:1, :], y[:1]))
    assert seen[0].filename == __file__
    assert np.isfinite(model.score(x[:2, :], y[:2]))


def test_leave_one_out_says_so():
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(cross_val_score(regressor(), X, X[:, 0], cv=LeaveOneOut())).all()


@pytest.mark.parametrize("about", [{"early_stopping": True}, {"monitor": "val_score"}], ids=str)
def test_one_row_is_too_few_to_stop_by_r2(about):
    model = regressor(**about)
    with pytest.raises(ValueError, match=r"needs two validation rows or more.*val_loss"):
        model.fit(X, X[:, 0], validation_data=(X[:1], X[:1, 0]))
    assert not hasattr(model, "coefs_")
    model.set_params(monitor="val_loss").fit(X, X[:, 0], validation_data=(X[:1], X[:1, 0]))
    assert np.isnan(model.history_["val_score"]).all()
    assert np.isfinite(model.history_["val_loss"]).all()
    one = xpnn.MLPClassifier((3,), max_iter=3, **about)  # accuracy is there of one row
    assert one.fit(X, CODES, validation_data=(X[:1], CODES[:1])).history_["val_score"][0] in (0, 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_a_scorer_that_is_not_defined_stops_nothing():
    model = regressor(early_stopping=True, monitor="r2")
    with pytest.raises(ValueError, match=r"monitor='r2' is nan.*1 rows"):
        model.fit(X, X[:, 0], validation_data=(X[:1], X[:1, 0]))
    assert not hasattr(model, "coefs_")
