"""scikit-learn's models as ours and back: the same predictions, and training that goes on."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Perceptron as SklearnPerceptron
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import LabelBinarizer

import xpnn

X, CODES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[CODES]
CLASSES = {
    "multiclass": (X, CODES),
    "words": (X, NAMES),
    "binary": (X[:100], NAMES[:100]),
    "multilabel": make_multilabel_classification(60, random_state=0),
}
NUMBERS = {"one": X[:, 0], "two": X[:, :2], "poisson": CODES.astype(float)}
SOLVERS = {
    "adam": {"solver": "adam"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.3, "n_iter_no_change": 2},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
}


@pytest.fixture(autouse=True)
def _unconverged():
    """A few epochs are enough here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fitted(cls, x, y, **options):
    options = {"hidden_layer_sizes": (6,), "max_iter": 15, "random_state": 0} | options
    return cls(batch_size=len(x), **options).fit(x, y)


def go_on(model, x, y):
    """A few steps over all rows, which no shuffle can tell apart."""
    for _ in range(3):
        model.partial_fit(x, y)
    return model


def same(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("solver", [*SOLVERS, "lbfgs"])
def test_a_classifier_goes_there_and_back(solver, kind):
    x, y = CLASSES[kind]
    theirs = fitted(MLPClassifier, x, y, **SOLVERS.get(solver, {"solver": "lbfgs"}))
    ours = xpnn.from_sklearn(theirs)
    back = xpnn.to_sklearn(ours)
    assert type(ours) is xpnn.MLPClassifier
    assert type(back) is MLPClassifier
    for model in (ours, back):
        same(model.predict_proba(x), theirs.predict_proba(x))
        assert (model.predict(x) == theirs.predict(x)).all()
        assert model.n_iter_ == theirs.n_iter_
    if solver != "lbfgs":
        wanted = go_on(theirs, x, y).predict_proba(x)
        same(go_on(ours, x, y).predict_proba(x), wanted)
        same(go_on(back, x, y).predict_proba(x), wanted)
        assert ours.loss_curve_ == pytest.approx(theirs.loss_curve_)


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_regressor_goes_there_and_back(solver, kind):
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    y = NUMBERS[kind]
    theirs = fitted(MLPRegressor, X, y, **SOLVERS[solver], **loss)
    ours = xpnn.from_sklearn(theirs)
    back = xpnn.to_sklearn(ours)
    same(ours.predict(X), theirs.predict(X))
    same(back.predict(X), theirs.predict(X))
    wanted = go_on(theirs, X, y).predict(X)
    same(go_on(ours, X, y).predict(X), wanted)
    same(go_on(back, X, y).predict(X), wanted)


def test_names_early_stopping_and_float32_come_along():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.astype(np.float32), columns=list("abcd"))
    theirs = MLPClassifier((5,), early_stopping=True, max_iter=9, random_state=1)
    ours = xpnn.from_sklearn(theirs.fit(frame, CODES))
    assert ours.feature_names_in_.tolist() == list("abcd")
    assert ours.coefs_[0].dtype == np.float32
    assert ours.validation_scores_ == theirs.validation_scores_
    assert (ours.predict(frame) == theirs.predict(frame)).all()
    assert xpnn.to_sklearn(ours).feature_names_in_.tolist() == list("abcd")


def test_what_comes_over_is_a_model_like_any_other(tmp_path):
    theirs = fitted(MLPClassifier, X, NAMES)
    ours = xpnn.from_sklearn(theirs)
    xpnn.save(ours, tmp_path / "m.safetensors")
    again = xpnn.load(tmp_path / "m.safetensors")
    assert (again.predict(X) == theirs.predict(X)).all()
    assert clone(ours).fit(X, NAMES).score(X, NAMES) >= 0
    before = theirs.coefs_[0].copy()
    go_on(ours, X, NAMES)
    np.testing.assert_array_equal(theirs.coefs_[0], before)  # copies, not views


@pytest.mark.parametrize("y", [CODES, NAMES, NAMES == "setosa"], ids=["codes", "words", "binary"])
def test_a_perceptron_goes_there_and_back(y):
    theirs = SklearnPerceptron(shuffle=False).fit(X, y)
    ours = xpnn.from_sklearn(theirs)
    back = xpnn.to_sklearn(ours)
    for model in (ours, back):
        assert (model.predict(X) == theirs.predict(X)).all()
        assert model.classes_.tolist() == theirs.classes_.tolist()
    for model in (theirs, ours, back):
        model.partial_fit(X, y)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    np.testing.assert_array_equal(back.coef_, theirs.coef_)
    np.testing.assert_array_equal(back.intercept_, theirs.intercept_)
    sparse = xpnn.from_sklearn(theirs.sparsify())
    np.testing.assert_array_equal(sparse.coef_, ours.coef_)


def test_a_network_of_another_library_becomes_theirs(torch):
    x, y = torch.asarray(X), torch.asarray(CODES)
    ours = xpnn.MLPClassifier((5,), max_iter=3, random_state=0).fit(x, y)
    same(xpnn.to_sklearn(ours).predict_proba(X), ours.predict_proba(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "gelu"}, "activation='gelu' is not in scikit-learn"),
        ({"activation": ["relu", "tanh"], "hidden_layer_sizes": (4, 4)}, "not in scikit-learn"),
        ({"normalization": "batch"}, "normalization='batch' is not in scikit-learn"),
        ({"embedding": "periodic"}, "embedding='periodic' is not in scikit-learn"),
        ({"members": 2}, "members=2 is not in scikit-learn"),
        ({"loss": "hinge"}, "loss='hinge' is not in scikit-learn"),
    ],
)
def test_what_scikit_learn_cannot_compute_is_refused(options, message):
    ours = fitted(xpnn.MLPClassifier, X, CODES, **{"max_iter": 2} | options)
    with pytest.raises(ValueError, match=message):
        xpnn.to_sklearn(ours)


def test_what_scikit_learn_cannot_train_is_told():
    ours = fitted(xpnn.MLPClassifier, X, CODES, dropout=0.1, solver="adamw")
    with pytest.warns(UserWarning, match=r"without dropout, solver='adamw'"):
        theirs = xpnn.to_sklearn(ours)
    same(theirs.predict_proba(X), ours.predict_proba(X))
    with pytest.warns(UserWarning, match="no pocket"):
        theirs = xpnn.to_sklearn(xpnn.Perceptron(average=True).fit(X, CODES))
    assert theirs.score(X, CODES) > 0.5


def test_others_are_refused_by_name():
    with pytest.raises(TypeError, match=r"MLPClassifier, MLPRegressor, Perceptron of scikit-learn"):
        xpnn.from_sklearn(LogisticRegression())
    with pytest.raises(TypeError, match=r"of xpnn, got LogisticRegression"):
        xpnn.to_sklearn(LogisticRegression())
    with pytest.raises(NotFittedError):
        xpnn.from_sklearn(MLPClassifier())
    with pytest.raises(NotFittedError):
        xpnn.to_sklearn(xpnn.MLPRegressor())


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_network_that_was_only_given_weights(kind):
    """As out of a file: neither fitted nor, for ours, of known features."""
    rng = np.random.default_rng(0)
    theirs, n = kind(hidden_layer_sizes=(4,)), 3 if kind is MLPClassifier else 1
    theirs.coefs_ = [rng.normal(size=(2, 4)), rng.normal(size=(4, n))]
    theirs.intercepts_ = [rng.normal(size=4), rng.normal(size=n)]
    theirs.n_layers_, theirs.n_outputs_ = 3, n
    theirs.out_activation_ = "softmax" if n > 1 else "identity"
    if n > 1:
        theirs.classes_ = np.array(["a", "b", "c"])
        theirs._label_binarizer = LabelBinarizer().fit(theirs.classes_)
    x = rng.normal(size=(20, 2))
    ours = xpnn.from_sklearn(theirs)
    if n > 1:
        np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    else:
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x))
    ours.partial_fit(x, ours.predict(x))
    assert (ours.t_, len(ours.loss_curve_)) == (20, 1)
