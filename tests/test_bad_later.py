"""What predict, validation and partial_fit refuse leaves a fitted estimator as it was."""

import numpy as np
import pytest
from mistakes import (
    N_IN,
    OPTIONS,
    assert_as_before,
    classifier,
    features,
    labels,
    regressor,
    spoiled,
    values,
)
from sklearn.exceptions import NotFittedError

from xpnn import MLPClassifier, get_backend

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# -- predict -----------------------------------------------------------------------------------


def test_scores_of_strings_beside_numbers():
    model = classifier().fit(features(), labels())
    with pytest.raises(ValueError, match="Mix of label input types"):
        model.score(features(), labels().astype(str))


def test_predict_before_fit():
    model = classifier()
    for method in ("predict", "predict_proba", "predict_log_proba"):
        assert_as_before(
            model, lambda f=method: getattr(model, f)(features()), NotFittedError, "not fitted yet"
        )
    assert_as_before(model, lambda: model.score(features(), labels()), NotFittedError)


def test_predict_with_another_number_of_features(target_any):
    t = target_any
    model = regressor().fit(t.asarray(features()), t.asarray(values()))
    wide = np.ones((2, N_IN + 2))
    match = "X has 5 features, but MLPRegressor is expecting 3 features as input"
    assert_as_before(model, lambda: model.predict(t.asarray(wide)), match=match)
    assert_as_before(model, lambda: model.partial_fit(t.asarray(wide), values()[:2]), match=match)
    for bad, what in ((spoiled(np.nan), "contains NaN"), (features()[:0], "0 sample")):
        assert_as_before(model, lambda b=bad: model.predict(t.asarray(b)), match=what)


def test_arrays_of_another_library_than_fits(target_any):
    t = target_any
    other = get_backend("numpy" if t.backend.name != "numpy" else "array_api_strict:device2")
    x, y = t.asarray(features()), t.asarray(labels())
    model = classifier().fit(x, y)
    elsewhere = other.asarray(features().astype(np.float32))
    actions = {
        "predict": lambda: model.predict(elsewhere),
        "predict_proba": lambda: model.predict_proba(elsewhere),
        "predict_log_proba": lambda: model.predict_log_proba(elsewhere),
        "score": lambda: model.score(elsewhere, labels()),
        "partial_fit": lambda: model.partial_fit(elsewhere, labels()),
    }
    for name, action in actions.items():
        text = assert_as_before(model, action, match="must use the same namespace")
        assert f"MLPClassifier.{name}()" in text  # scikit-learn's check looks for it
        assert str(other) in text
        assert str(t.backend) in text
        assert f"get_backend('{t.backend.name}').asarray(X)" in text  # how to move
    moved = t.backend.asarray(elsewhere)
    model.predict(moved)
    assert_as_before(
        model,
        lambda: model.fit(x, y, validation_data=(elsewhere, labels())),
        match="must use the same namespace",
    )


def test_bad_validation_data():
    model, x, y = regressor(), features(), values()
    for given, match in (
        (3, "must be a tuple .X, y. or .X, y, sample_weight., got int"),
        ((x,), "must be a tuple"),
        ((x[:, :2], y), "X has 2 features"),
        ((spoiled(np.nan), y), "contains NaN"),
        ((x, y[:-1]), "inconsistent"),
        ((x, np.stack([y, y], axis=1)), "2 outputs"),
    ):
        assert_as_before(model, lambda g=given: model.fit(x, y, validation_data=g), match=match)


# -- partial_fit -------------------------------------------------------------------------------


def test_labels_unseen_in_partial_fit(target_any):
    t, model = target_any, classifier()
    x, y = t.asarray(features()), t.asarray(labels())
    assert_as_before(
        model, lambda: model.partial_fit(x, y), match="classes must be passed on the first call"
    )
    model.partial_fit(x, y, classes=[0, 1, 2])
    unseen = t.asarray(labels() + 1)
    assert_as_before(model, lambda: model.partial_fit(x, unseen), match="classes not in")
    assert_as_before(
        model, lambda: model.partial_fit(x, y, classes=[0, 1]), match="not the same as on last call"
    )
    fresh = classifier()
    assert_as_before(fresh, lambda: fresh.partial_fit(x, y, classes=[0, 1]), match="classes not in")


def test_outputs_that_change_in_partial_fit():
    model = regressor().fit(features(), values())
    two = np.stack([values()] * 2, axis=1)
    assert_as_before(model, lambda: model.partial_fit(features(), two), match="has 2 outputs")
    many = MLPClassifier(**OPTIONS).fit(features(), (features() > 0).astype(int))
    for y in ((features()[:, :2] > 0).astype(int), labels()):
        assert_as_before(many, lambda y=y: many.partial_fit(features(), y))
