"""Callbacks of `sklearn.callback` (#27676), which scikit-learn has from 1.9 on."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from xpnn import MLPClassifier

callback = pytest.importorskip("sklearn.callback", exc_type=ModuleNotFoundError)
ProgressBar, ScoringMonitor = callback.ProgressBar, callback.ScoringMonitor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X = X - X.mean(axis=0)
SMALL = {"hidden_layer_sizes": (12,), "max_iter": 40, "random_state": 0, "learning_rate_init": 0.01}


def classifier(**params):
    return MLPClassifier(**SMALL | params)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scoring_monitor_27676(solver):
    monitor = ScoringMonitor(scoring="accuracy")
    model = classifier(max_iter=7, solver=solver).set_callbacks(monitor).fit(X, Y)
    log = monitor.get_logs().data
    epochs = [row["accuracy"] for row in log if row["task_name"] == "epoch"]
    assert len(epochs) == 7
    assert epochs[-1] == model.score(X, Y)
    assert len(set(epochs)) > 1  # each epoch's own weights


def test_progress_bar_27676(capfd):
    pytest.importorskip("rich")
    model = classifier(max_iter=3).set_callbacks(ProgressBar()).fit(X, Y)
    assert "MLPClassifier" in capfd.readouterr().out
    assert model.n_iter_ == 3


def test_callbacks_of_scikit_learn_are_attached():
    with pytest.raises(ValueError, match=r"attach it with estimator\.set_callbacks"):
        classifier(callbacks=[Stopper()]).fit(X, Y)


class Stopper:
    """A callback of scikit-learn's protocol that ends training."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(f"end {context.task_name}")
        self.fitted = fitted_estimator
        return context.task_id == 2 and context.task_name == "epoch"


def test_scikit_learns_protocol_can_stop_training():
    stopper = Stopper()
    model = classifier().set_callbacks(stopper).fit(X, Y)
    assert model.n_iter_ == 3
    epoch = ["begin epoch", "end epoch"]
    assert stopper.calls == ["setup", "begin fit", *epoch * 3, "end fit", "teardown"]
    np.testing.assert_array_equal(stopper.fitted.predict(X), model.predict(X))
    stopper.calls.clear()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan, Y)
    assert stopper.calls[-1] == "teardown"
    assert not [k for k in vars(model) if "callback_fit" in k or "teardown" in k]


def test_callbacks_reach_networks_in_a_search():
    monitor = ScoringMonitor(scoring="accuracy")
    grid = GridSearchCV(classifier(max_iter=3).set_callbacks(monitor), {"alpha": [0.1, 1.0]}, cv=2)
    grid.fit(X, Y)
    rows = monitor.get_logs().data
    epochs = [row for row in rows if row["task_name"] == "epoch"]
    assert len(epochs) == 5 * 3  # of 2 x 2 fits and the last one
