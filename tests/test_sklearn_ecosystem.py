"""Our networks inside what scikit-learn builds around an estimator."""

import inspect
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SelectKBest
from sklearn.inspection import DecisionBoundaryDisplay, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.fixes import parse_version

from xpnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
D, T = load_diabetes(return_X_y=True)
T = (T - T.mean()) / T.std()
WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, len(X))


def classifier(**params):
    about = {"max_iter": 100, "learning_rate_init": 0.02, "random_state": 0}
    return MLPClassifier((8,), **about | params)


def regressor(**params):
    about = {"hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.02}
    return MLPRegressor(**about | {"random_state": 0} | params)


def test_what_they_are():
    assert is_classifier(classifier())
    assert is_regressor(regressor())


def test_pipeline_and_cross_validation():
    pipe = make_pipeline(StandardScaler(), classifier())
    assert cross_val_score(pipe, X, Y, cv=3).mean() > 0.9
    p = cross_val_predict(pipe, X, Y, cv=3, method="predict_proba")
    assert p.shape == (150, 3)
    sizes, train, test = learning_curve(pipe, X, Y, cv=2, train_sizes=[0.5, 1.0], shuffle=True)
    assert train.shape == test.shape == (len(sizes), 2)


@pytest.mark.slow
def test_grid_search_in_two_processes():
    pipe = make_pipeline(StandardScaler(), classifier(max_iter=10))
    name = "mlpclassifier"
    grid = {f"{name}__dropout": [0.0, 0.5], f"{name}__activation": ["relu", ["mish"]]}
    search = GridSearchCV(pipe, grid, cv=2, n_jobs=2, error_score="raise").fit(X, Y)
    alone = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, Y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("resource", ["n_samples", "max_iter"])
def test_halving_search_in_two_processes(resource):
    more = {} if resource == "n_samples" else {"resource": "max_iter", "max_resources": 20}
    search = HalvingGridSearchCV(
        classifier(max_iter=10),
        {"alpha": [1e-4, 1e-2, 1.0], "normalization": [None, "batch"]},
        cv=2,
        n_jobs=2,
        random_state=0,
        error_score="raise",
        **more,
    )
    assert 0 < search.fit(X, Y).best_score_ <= 1
    assert len(search.n_resources_) >= 2


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration(method):
    model = CalibratedClassifierCV(classifier(), method=method, cv=2).fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    margins = CalibratedClassifierCV(classifier(loss="hinge"), method=method, cv=2).fit(X, Y)
    assert margins.score(X, Y) > 0.8  # margins alone are enough


def test_ensembles():
    bagged = BaggingClassifier(classifier(), n_estimators=3, random_state=0).fit(X, Y)
    assert bagged.score(X, Y) > 0.8
    stacked = StackingClassifier([("a", classifier()), ("b", LogisticRegression())], cv=2)
    assert stacked.fit(X, Y).score(X, Y) > 0.8
    voting = VotingClassifier([("a", classifier()), ("b", LogisticRegression())], voting="soft")
    assert voting.fit(X, Y).score(X, Y) > 0.8
    boosted = AdaBoostRegressor(regressor(), n_estimators=3, random_state=0).fit(D, T)
    assert boosted.score(D, T) > 0.2


def test_boosting_passes_sample_weights():
    from sklearn.ensemble import AdaBoostClassifier

    assert AdaBoostClassifier(classifier(), n_estimators=3, random_state=0).fit(X, Y)


def test_inspection():
    model = classifier().fit(X[:, :2], Y)
    found = permutation_importance(model, X[:, :2], Y, n_repeats=2, random_state=0)
    assert found.importances_mean.max() > 0.1
    pytest.importorskip("matplotlib").use("Agg")
    for response in ("predict", "predict_proba", "decision_function"):
        display = DecisionBoundaryDisplay.from_estimator(
            model, X[:, :2], response_method=response, grid_resolution=10
        )
        assert display.response.shape[:2] == (10, 10)
    import matplotlib.pyplot as plt

    plt.close("all")


def test_transformed_target():
    model = TransformedTargetRegressor(regressor(), transformer=StandardScaler())
    assert model.fit(D, 100 * T + 1000).score(D, 100 * T + 1000) > 0.3


def test_multi_output_classifier():
    model = MultiOutputClassifier(classifier()).fit(X, np.column_stack([Y, Y > 0]))
    assert model.predict(X).shape == (150, 2)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_tables(container):
    library = pytest.importorskip(container)
    old = parse_version(sklearn.__version__) < parse_version("1.9")
    if old and container == "polars" and not hasattr(library.DataFrame, "__dataframe__"):
        pytest.skip("scikit-learn before 1.9 cannot read the names of polars 2")
    about = {"size": X[:, 0], "width": X[:, 1], "kind": np.array(["a", "b"] * 75)}
    table = library.DataFrame(about)
    columns = make_column_transformer(
        (StandardScaler(), ["size", "width"]), (OneHotEncoder(sparse_output=False), ["kind"])
    ).set_output(transform=container)
    pipe = make_pipeline(columns, classifier()).fit(table, library.Series(Y))
    assert pipe[-1].feature_names_in_[0] == "standardscaler__size"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pipe.score(table, library.Series(Y)) > 0.6
    alone = regressor().fit(table[["size", "width"]], library.Series(X[:, 2]))
    assert alone.feature_names_in_.tolist() == ["size", "width"]


def test_set_output_neighbours():
    pytest.importorskip("pandas")
    with sklearn.config_context(transform_output="pandas"):
        pipe = make_pipeline(StandardScaler(), SelectKBest(k=2), classifier()).fit(X, Y)
        assert list(pipe[-1].feature_names_in_) == ["x2", "x3"]
        assert pipe.predict(X).shape == (150,)


def test_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier(max_iter=3).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        pipe.fit(X, Y, sample_weight=WEIGHT)
        direct = clone(model).fit(StandardScaler().fit_transform(X), Y, sample_weight=WEIGHT)
        np.testing.assert_array_equal(pipe[-1].coefs_[0], direct.coefs_[0])
        grid = GridSearchCV(model, {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y, sample_weight=WEIGHT)
        assert grid.best_score_ > 0
        scores = cross_val_score(model, X, Y, cv=2, params={"sample_weight": WEIGHT})
        assert len(scores) == 2
        with pytest.raises(TypeError, match="Unexpected args"):
            classifier().set_fit_request(ghost=True)
    for cls in (MLPClassifier, MLPRegressor):
        for method in ("fit", "partial_fit", "score"):
            assert "sample_weight" in inspect.signature(getattr(cls, method)).parameters


def test_validation_data_is_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier(max_iter=3).set_fit_request(validation_data=True)
        bagged = make_pipeline(model).fit(X, Y, validation_data=(X, Y))
        assert len(bagged[-1].validation_loss_curve_) == 3


def test_joblib_and_set_params(tmp_path):
    model = classifier().fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    again.set_params(alpha=1.0, hidden_layer_sizes=[4]).fit(X, Y)
    assert again.coefs_[0].shape == (4, 4)
    again.partial_fit(X, Y)


def test_html_and_repr():
    assert "dropout=0.5" in repr(classifier(dropout=0.5))
    assert "MLPClassifier" in make_pipeline(classifier())._repr_html_()
