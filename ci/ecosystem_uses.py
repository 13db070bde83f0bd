"""The uses of `ecosystem.py`: a function each, of scikit-learn's estimators or of ours."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Use(NamedTuple):
    """A tool and what is done with it."""

    packages: tuple[str, ...]
    what: str
    run: Callable[[Any], float]


USES: dict[str, Use] = {}


def use(what: str, *packages: str) -> Callable[[Callable[[Any], float]], Any]:
    """Register a use under its first package's name; it returns a number to compare."""

    def register(run: Callable[[Any], float]) -> Callable[[Any], float]:
        USES[packages[0]] = Use(packages, what, run)
        return run

    return register


def flowers() -> tuple[np.ndarray, np.ndarray]:
    """Iris, scaled."""
    from sklearn.datasets import load_iris
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def patients() -> tuple[np.ndarray, np.ndarray]:
    """Diabetes, scaled."""
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import scale

    x, y = load_diabetes(return_X_y=True)
    return scale(x), scale(y)


def classifier(lib: Any, **params: Any) -> Any:
    return lib.MLPClassifier(**{"max_iter": 150, "random_state": 0} | params)


def regressor(lib: Any, **params: Any) -> Any:
    return lib.MLPRegressor(**{"max_iter": 100, "random_state": 0} | params)


@use("SHAP values of 20 rows add up to the prediction", "shap")
def _(lib: Any) -> float:
    import shap

    x, y = patients()
    model = regressor(lib).fit(x, y)
    found = shap.KernelExplainer(model.predict, x[:20], seed=0).shap_values(x[:20], nsamples=60)
    return float(np.corrcoef(found.sum(axis=1), model.predict(x[:20]))[0, 1])


@use("a row's explanation: R2 of the local model", "lime")
def _(lib: Any) -> float:
    from lime.lime_tabular import LimeTabularExplainer

    x, y = flowers()
    model = classifier(lib).fit(x, y)
    explainer = LimeTabularExplainer(x, random_state=0)
    return float(explainer.explain_instance(x[0], model.predict_proba).score)


@use("the best of ten trials", "optuna")
def _(lib: Any) -> float:
    import optuna
    from sklearn.model_selection import cross_val_score

    x, y = flowers()
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def goal(trial: Any) -> float:
        alpha = trial.suggest_float("alpha", 1e-5, 1.0, log=True)
        return float(cross_val_score(classifier(lib, alpha=alpha), x, y, cv=3).mean())

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(goal, n_trials=10)
    return float(study.best_value)


@use("Bayesian search, eight points", "scikit-optimize")
def _(lib: Any) -> float:
    from skopt import BayesSearchCV

    space = {"alpha": (1e-5, 1.0, "log-uniform")}
    search = BayesSearchCV(classifier(lib), space, n_iter=8, cv=3, random_state=0)
    return float(search.fit(*flowers()).best_score_)


@use("SMOTE in a pipeline, balanced accuracy", "imbalanced-learn")
def _(lib: Any) -> float:
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline
    from sklearn.model_selection import cross_val_score

    x, y = flowers()
    keep = np.r_[0:20, 50:150]
    pipe = make_pipeline(SMOTE(random_state=0), classifier(lib))
    return float(cross_val_score(pipe, x[keep], y[keep], scoring="balanced_accuracy", cv=3).mean())


@use("features chosen forwards", "mlxtend")
def _(lib: Any) -> float:
    from mlxtend.feature_selection import SequentialFeatureSelector

    found = SequentialFeatureSelector(classifier(lib), k_features=2, cv=3).fit(*flowers())
    return float(found.k_score_)


@use("intervals of level 0.9: their coverage", "mapie")
def _(lib: Any) -> float:
    from mapie.regression import CrossConformalRegressor

    x, y = patients()
    model = CrossConformalRegressor(regressor(lib), confidence_level=0.9, cv=5)
    model.fit_conformalize(x[:300], y[:300])
    _, bounds = model.predict_interval(x[300:])
    return float(np.mean((bounds[:, 0, 0] <= y[300:]) & (y[300:] <= bounds[:, 1, 0])))


@use("equal selection by a threshold for each group", "fairlearn")
def _(lib: Any) -> float:
    from fairlearn.metrics import demographic_parity_difference
    from fairlearn.postprocessing import ThresholdOptimizer

    x, y = patients()
    group, y = x[:, 1] > 0, (y > 0).astype(int)
    model = ThresholdOptimizer(estimator=classifier(lib), predict_method="predict_proba")
    model.fit(x, y, sensitive_features=group)
    predicted = model.predict(x, sensitive_features=group, random_state=0)
    return float(demographic_parity_difference(y, predicted, sensitive_features=group))


@use("cross-validation on two workers", "dask", "distributed")
def _(lib: Any) -> float:
    import joblib
    from distributed import Client
    from sklearn.model_selection import cross_val_score

    about = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with Client(**about), joblib.parallel_config("dask"):
        return float(cross_val_score(classifier(lib), *flowers(), cv=4).mean())


def _forecasts(forecast: Callable[[Any, Any], Any], lib: Any) -> float:
    """Mean correlation of 20 steps of a wave, of ten seeds: a single one says nothing."""
    import pandas as pd

    y = pd.Series(np.sin(np.arange(220) / 5))
    found = [
        np.corrcoef(np.ravel(forecast(regressor(lib, random_state=seed), y[:200])), y[200:])[0, 1]
        for seed in range(10)
    ]
    return float(np.mean(found))


@use("forecasts of 20 steps by 12 lags: correlation, ten seeds", "skforecast")
def _(lib: Any) -> float:
    from skforecast.recursive import ForecasterRecursive

    def forecast(model: Any, y: Any) -> Any:
        found = ForecasterRecursive(model, lags=12)
        found.fit(y)
        return found.predict(20)

    return _forecasts(forecast, lib)


@use("forecasts by reduction: correlation, ten seeds", "sktime")
def _(lib: Any) -> float:
    from sktime.forecasting.compose import make_reduction

    def forecast(model: Any, y: Any) -> Any:
        found = make_reduction(model, window_length=12, strategy="recursive").fit(y)
        return found.predict(np.arange(1, 21))

    return _forecasts(forecast, lib)


def _treated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Covariates, a treatment that depends on them, and an outcome with the effect 0.5."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    d = np.tanh(x[:, 0]) + rng.normal(size=500)
    return x, d, 0.5 * d + x[:, 0] + 0.5 * rng.normal(size=500)


@use("a partially linear model's effect (0.5)", "doubleml")
def _(lib: Any) -> float:
    import doubleml

    x, d, y = _treated()
    data = doubleml.DoubleMLData.from_arrays(x, y, d)
    np.random.seed(0)  # noqa: NPY002  # the folds are drawn by it
    model = doubleml.DoubleMLPLR(data, regressor(lib), regressor(lib), n_folds=3)
    return float(model.fit().coef[0])


@use("double machine learning's effect (0.5)", "econml")
def _(lib: Any) -> float:
    from econml.dml import LinearDML

    x, d, y = _treated()
    model = LinearDML(model_y=regressor(lib), model_t=regressor(lib), random_state=0)
    return float(model.fit(y, d, X=None, W=x).const_marginal_effect()[0])


@use("words as targets' means in a pipeline", "category-encoders")
def _(lib: Any) -> float:
    import pandas as pd
    from category_encoders import TargetEncoder
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    x, y = patients()
    table = pd.DataFrame({"kind": np.array(list("abcd"))[np.digitize(x[:, 2], [-1, 0, 1])]})
    table["other"] = x[:, 8]
    pipe = make_pipeline(TargetEncoder(cols=["kind"]), regressor(lib))
    return float(cross_val_score(pipe, table, y, cv=3).mean())


@use("features left after shuffling", "feature-engine")
def _(lib: Any) -> float:
    import pandas as pd
    from feature_engine.selection import SelectByShuffling

    x, y = flowers()
    table = pd.DataFrame(x, columns=list("abcd"))
    model = SelectByShuffling(classifier(lib), cv=3, scoring="accuracy", random_state=0)
    return float(model.fit_transform(table, pd.Series(y)).shape[1])


@use("a classification report's figure: accuracy", "yellowbrick")
def _(lib: Any) -> float:
    import matplotlib as mpl

    mpl.use("Agg")
    from yellowbrick.classifier import ClassificationReport

    x, y = flowers()
    view = ClassificationReport(classifier(lib), force_model=True)
    view.fit(x[::2], y[::2])
    return float(view.score(x[1::2], y[1::2]))


@use("labels in doubt among twenty that are wrong", "cleanlab")
def _(lib: Any) -> float:
    from cleanlab.classification import CleanLearning

    x, y = flowers()
    y = np.where(np.arange(150) % 15 < 2, (y + 1) % 3, y)
    found = CleanLearning(classifier(lib), seed=0).find_label_issues(x, y)
    return float(found["is_label_issue"].sum())


@use("a network for each half of a column: correlation", "scikit-lego")
def _(lib: Any) -> float:
    import pandas as pd
    from sklego.meta import GroupedPredictor

    x, y = patients()
    table = pd.DataFrame(x, columns=[f"x{i}" for i in range(10)]).assign(half=x[:, 1] > 0)
    model = GroupedPredictor(regressor(lib), groups="half").fit(table, y)
    return float(np.corrcoef(model.predict(table), y)[0, 1])


@use("a table's pipeline", "skrub")
def _(lib: Any) -> float:
    import pandas as pd
    from sklearn.model_selection import cross_val_score
    from skrub import tabular_pipeline

    x, y = patients()
    table = pd.DataFrame(x[:, :5], columns=list("abcde"))
    table["kind"] = np.array(["low", "high"])[(x[:, 8] > 0).astype(int)]
    return float(cross_val_score(tabular_pipeline(regressor(lib)), table, y, cv=3).mean())


@use("intervals of level 0.9: their coverage", "crepes")
def _(lib: Any) -> float:
    from crepes import WrapRegressor

    x, y = patients()
    model = WrapRegressor(regressor(lib))
    model.fit(x[:200], y[:200])
    model.calibrate(x[200:320], y[200:320])
    low, high = model.predict_int(x[320:], confidence=0.9).T
    return float(np.mean((low <= y[320:]) & (y[320:] <= high)))


@use("importance of the most important column", "eli5")
def _(lib: Any) -> float:
    from eli5.sklearn import PermutationImportance

    x, y = flowers()
    model = classifier(lib).fit(x, y)
    return float(PermutationImportance(model, random_state=0).fit(x, y).feature_importances_.max())


@use("the best of ten evaluations", "hyperopt")
def _(lib: Any) -> float:
    import hyperopt
    from sklearn.model_selection import cross_val_score

    x, y = flowers()

    def loss(alpha: float) -> float:
        return -float(cross_val_score(classifier(lib, alpha=alpha), x, y, cv=3).mean())

    trials = hyperopt.Trials()
    space, rng = hyperopt.hp.loguniform("alpha", -9, 0), np.random.default_rng(0)
    about = {"algo": hyperopt.tpe.suggest, "max_evals": 10, "trials": trials}
    hyperopt.fmin(loss, space, rstate=rng, show_progressbar=False, **about)
    return -float(min(trials.losses()))


@use("calibrated probabilities: log-loss", "venn-abers")
def _(lib: Any) -> float:
    from sklearn.metrics import log_loss
    from venn_abers import VennAbersCalibrator

    x, y = patients()
    y = (y > 0).astype(int)
    model = VennAbersCalibrator(classifier(lib), inductive=True, cal_size=0.3, random_state=0)
    model.fit(x[:300], y[:300])
    return float(log_loss(y[300:], model.predict_proba(x[300:])))


@use("a model that learns row by row: accuracy", "river")
def _(lib: Any) -> float:
    from river import compat

    x, y = flowers()
    order = np.random.default_rng(0).permutation(150)
    model = compat.convert_sklearn_to_river(lib.Perceptron(), classes=[0, 1, 2])
    for i in order:
        model.learn_one(dict(enumerate(x[i])), int(y[i]))
    predicted = [model.predict_one(dict(enumerate(row))) for row in x]
    return float(np.mean(np.array(predicted) == y))


@use("a search of four trials", "ray[tune]")
def _(lib: Any) -> float:
    import ray
    from ray import tune
    from sklearn.model_selection import cross_val_score

    x, y = flowers()

    def trial(config: dict[str, float]) -> dict[str, float]:
        return {"score": float(cross_val_score(classifier(lib, **config), x, y, cv=3).mean())}

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    try:
        space = {"alpha": tune.grid_search([1e-4, 1e-2, 1e-1, 1.0])}
        found = tune.Tuner(trial, param_space=space).fit()
        return float(found.get_best_result("score", "max").metrics["score"])
    finally:
        ray.shutdown()
