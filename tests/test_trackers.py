"""Callbacks that stop, keep, log and draw: each against the package that it is for."""

import copy
import csv
import pickle
import sys
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import xpnn
from xpnn.callbacks import (
    CSVLogger,
    EarlyStopping,
    EpochEnd,
    LearningRateFinder,
    MLflow,
    ModelCheckpoint,
    NotebookPlot,
    OptunaPruning,
    TensorBoard,
    WandB,
)

X, Y = load_iris(return_X_y=True)
X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
HELD = X[::3], Y[::3]
TRAIN = np.delete(X, slice(None, None, 3), axis=0), np.delete(Y, slice(None, None, 3))


@pytest.fixture(autouse=True)
def _unconverged():
    """A few epochs are enough here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit(callbacks, epochs=6, **options):
    options = {"hidden_layer_sizes": (8,), "random_state": 0, "learning_rate_init": 0.02} | options
    model = xpnn.MLPClassifier(
        max_iter=epochs, n_iter_no_change=np.inf, callbacks=callbacks, **options
    )
    return model.fit(*TRAIN, validation_data=HELD)


def accuracy(model):
    return float((model.predict(HELD[0]) == HELD[1]).mean())


# -- stopping and keeping -------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_early_stopping_by_a_metric_of_the_history(solver):
    stop = EarlyStopping("val_loss", patience=4)
    options = {} if solver == "lbfgs" else {"learning_rate_init": 0.1}
    model = fit([stop], epochs=300, solver=solver, **options)
    losses = model.history_["val_loss"]
    assert model.n_iter_ == len(losses) == stop.best_epoch_ + 4
    assert stop.best_ == min(losses) == losses[stop.best_epoch_ - 1]
    probability = model.predict_proba(HELD[0])[np.arange(len(HELD[1])), HELD[1]]
    assert -np.log(probability).mean() == pytest.approx(stop.best_, rel=1e-5)


def test_early_stopping_by_a_function_of_the_model():
    seen = []

    def metric(model):
        assert model.callbacks is None
        seen.append(accuracy(model))
        return seen[-1]

    stop = EarlyStopping(metric, patience=3)
    model = fit(stop, epochs=100)
    assert len(seen) == model.n_iter_ == stop.best_epoch_ + 3
    assert accuracy(model) == stop.best_ == max(seen)
    rounds = EarlyStopping(lambda m: -accuracy(m), mode="min", patience=3, restore_best=False)
    again = fit(rounds, epochs=100)
    assert (again.n_iter_, rounds.best_) == (model.n_iter_, -stop.best_)


def test_early_stopping_can_be_used_again_and_copied():
    stop = EarlyStopping("loss", patience=2, min_delta=0.5)
    first = fit(stop, epochs=50)
    second = fit(stop, epochs=50)
    assert pickle.loads(pickle.dumps(stop)).best_ == stop.best_
    third = fit(copy.deepcopy(stop), epochs=50)
    assert first.n_iter_ == second.n_iter_ == third.n_iter_ < 50
    table = xpnn.TabularClassifier(2, (8,), epochs=30, random_state=0, callbacks=stop).fit(*TRAIN)
    assert len(table.history_["loss"]) < 30


def test_early_stopping_goes_on_from_a_checkpoint(tmp_path):
    def stop_at(epoch):
        def stop(end):
            if end.epoch == epoch:
                raise RuntimeError("killed")

        return stop

    whole = EarlyStopping("val_loss", patience=6)
    wanted = fit([whole], epochs=80, learning_rate_init=0.1)
    epoch = whole.best_epoch_ + 3
    cut, options = EarlyStopping("val_loss", patience=6), {"learning_rate_init": 0.1}
    model = xpnn.MLPClassifier(
        (8,), random_state=0, max_iter=80, n_iter_no_change=np.inf, callbacks=[cut], **options
    )
    folder = tmp_path / "run"
    often = xpnn.Checkpoint(folder, every="1 epochs")
    model.callbacks = [cut, stop_at(epoch)]
    with pytest.raises(RuntimeError, match="killed"):
        model.fit(*TRAIN, validation_data=HELD, checkpoint=often)
    fresh = EarlyStopping("val_loss", patience=6)
    model.callbacks = [fresh]
    model.fit(*TRAIN, validation_data=HELD, checkpoint=often, resume=True)
    assert (fresh.best_epoch_, fresh.best_) == (whole.best_epoch_, whole.best_)
    np.testing.assert_array_equal(model.predict_proba(X), wanted.predict_proba(X))


def test_model_checkpoint_keeps_the_best(tmp_path):
    keep = ModelCheckpoint(tmp_path / "best.xpnn")
    model = fit([keep], epochs=60, learning_rate_init=0.1)
    best = int(np.argmin(model.history_["val_loss"])) + 1
    found = xpnn.load(tmp_path / "best.xpnn")
    assert found.n_iter_ == best < 60
    wanted = fit(None, epochs=best, learning_rate_init=0.1)
    np.testing.assert_array_equal(found.predict_proba(X), wanted.predict_proba(X))
    found.partial_fit(*TRAIN)


def test_model_checkpoint_goes_on_from_a_checkpoint(tmp_path):
    """What is worse than the best before does not replace it."""
    best = ModelCheckpoint(tmp_path / "best.xpnn", lambda model: -model.n_iter_, mode="max")
    options = {"hidden_layer_sizes": (8,), "random_state": 0, "n_iter_no_change": np.inf}
    often = xpnn.Checkpoint(tmp_path / "run", every="1 epochs")
    killed = [best, lambda end: end.epoch == 2]
    model = xpnn.MLPClassifier(max_iter=6, callbacks=killed, **options)
    model.fit(*TRAIN, checkpoint=often)
    first = ModelCheckpoint(best.path, best.monitor, mode="max")
    model = xpnn.MLPClassifier(max_iter=6, callbacks=first, **options)
    model.fit(*TRAIN, checkpoint=often, resume=True)
    assert xpnn.load(tmp_path / "best.xpnn").n_iter_ == 1
    with pytest.raises(ValueError, match="every is 'x', expected a finite number"):
        ModelCheckpoint("x", every="x")


def test_model_checkpoint_names_files(tmp_path):
    keep = ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.1f}.xpnn", every=2, best_only=False)
    fit([keep])
    names = sorted(p.name[:2] for p in tmp_path.iterdir())
    assert names == ["02", "04", "06"]
    assert keep.path_.name.startswith("06-")
    with pytest.raises(ValueError, match=r"names 'f1', and there are epoch, loss"):
        fit([ModelCheckpoint(tmp_path / "{f1}.xpnn")])
    with pytest.raises(FileNotFoundError):
        fit([ModelCheckpoint(tmp_path / "no" / "best.xpnn")])


def test_what_is_not_measured_is_told():
    with pytest.raises(ValueError, match=r"monitor='f1' is not measured here: there are loss"):
        fit([EarlyStopping("f1")])
    with pytest.raises(ValueError, match="mode is 'low', expected"):
        EarlyStopping("loss", mode="low")
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping("loss", patience=0)
    with pytest.raises(ValueError, match="every is 0"):
        ModelCheckpoint("m.xpnn", every=0)
    table = xpnn.TabularClassifier(2, (4,), epochs=2, callbacks=EarlyStopping(accuracy))
    with pytest.raises(ValueError, match="a tabular model keeps its best networks by itself"):
        table.fit(*TRAIN)


def test_csv_logger_writes_each_epoch_at_once(tmp_path):
    path, lines = tmp_path / "log.csv", []
    log = CSVLogger(path)
    model = fit([log, lambda end: lines.append(len(path.read_text().splitlines()))])
    assert lines == [2, 3, 4, 5, 6, 7]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, curve in model.history_.items():
        assert [float(row[name]) for row in rows] == curve
    assert [row["epoch"] for row in rows] == list("123456")
    fit([CSVLogger(path, append=True)])
    assert len(path.read_text().splitlines()) == 13
    fit([CSVLogger(path)])
    assert len(path.read_text().splitlines()) == 7
    resumed = CSVLogger(path)
    resumed.on_begin(8)
    resumed(EpochEnd(7, 8, {"loss": 0.5}))
    assert path.read_text().splitlines()[-1] == "7,0.5,,,"
    with pytest.raises(ValueError, match="has no columns f1: write another file"):
        CSVLogger(path, append=True)(EpochEnd(1, 2, {"f1": 0.5}))


# -- learning rate and pictures -------------------------------------------------------------------


@pytest.mark.slow
def test_learning_rate_finder(tmp_path):
    model = xpnn.MLPClassifier((16,), random_state=0, learning_rate="adaptive", callbacks=print)
    found = LearningRateFinder(steps=50).find(model, X, Y)
    assert not hasattr(model, "network_")
    assert (np.diff(found.rates_) > 0).all()
    assert len(found.rates_) == len(found.losses_) > 20
    rate = found.suggestion_
    assert 1e-3 < rate < 0.5

    def loss(rate):
        tried = xpnn.MLPClassifier((16,), random_state=0, max_iter=10, learning_rate_init=rate)
        return tried.fit(X, Y).loss_

    assert loss(rate) < min(loss(rate / 100), loss(1e-6))
    pytest.importorskip("matplotlib")
    ax = found.plot(tmp_path / "rate.png")
    assert ax.get_xscale() == "log"
    assert (tmp_path / "rate.png").stat().st_size > 1000
    numbers = LearningRateFinder(steps=10).find(xpnn.MLPRegressor(), X.tolist(), X[:, 0].tolist())
    assert np.isfinite(numbers.losses_).all()
    with pytest.raises(ValueError, match="'lbfgs' has no learning rate"):
        LearningRateFinder().find(xpnn.MLPRegressor(solver="lbfgs"), X, X[:, 0])


def test_a_learning_rate_is_not_blamed_for_anything_else():
    bad = X.copy()
    bad[-1, 0] = np.nan
    for model, y in ((xpnn.MLPRegressor(batch_size=5), X[:, 0]), (xpnn.MLPClassifier(), Y)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            LearningRateFinder().find(model, bad, y)
    for other in (xpnn.TabularClassifier(), xpnn.Perceptron()):
        with pytest.raises(TypeError, match="for an MLPClassifier or an MLPRegressor, got"):
            LearningRateFinder().find(other, X, Y)
    with pytest.raises(NotFittedError, match="call find"):
        LearningRateFinder().plot()


def test_notebook_plot_draws_in_one_place(monkeypatch):
    pytest.importorskip("matplotlib")
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(("again", figure))

    def show(figure, display_id):
        assert display_id
        shown.append(("first", figure))
        return Handle()

    monkeypatch.setattr(display, "display", show)
    fit([NotebookPlot(every=0.0)])
    assert [what for what, _ in shown] == ["first"] + ["again"] * 5
    lines = shown[-1][1].axes[0].get_lines()
    assert len(lines[0].get_xdata()) == 6
    shown.clear()
    fit([NotebookPlot(every=1000.0)])
    assert [what for what, _ in shown] == ["first", "again"]  # the first epoch and the last


# -- other people's trackers ----------------------------------------------------------------------


@pytest.mark.slow
def test_tensorboard_has_the_history(tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("tensorboardX")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fit([TensorBoard(tmp_path / "run")])
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "run"))
        events.Reload()
    assert {"loss", "val_loss", "val_score", "learning_rate"} <= set(events.Tags()["scalars"])
    found = events.Scalars("val_loss")
    assert [e.step for e in found] == [1, 2, 3, 4, 5, 6]
    assert [e.value for e in found] == pytest.approx(model.history_["val_loss"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_the_run_and_the_model(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    try:
        onnx = "onnx" in sys.modules or __import__("importlib").util.find_spec("onnx")
        model = fit([MLflow("a run", log_onnx=bool(onnx))])
        run = mlflow.search_runs(output_format="list")[0]
        assert run.info.run_name == "a run"
        assert run.info.status == "FINISHED"
        assert run.data.params["hidden_layer_sizes"] == "(8,)"
        curve = mlflow.MlflowClient().get_metric_history(run.info.run_id, "val_loss")
        assert [m.value for m in curve] == pytest.approx(model.history_["val_loss"])
        again = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        with mlflow.start_run() as mine:
            xpnn.TabularClassifier(2, (4,), epochs=2, callbacks=MLflow()).fit(*TRAIN)
            assert mlflow.active_run().info.run_id == mine.info.run_id  # stays the user's
            fit([MLflow("another", log_model=False)], epochs=2)  # its parameters are others
            assert mlflow.active_run().info.run_id == mine.info.run_id
        nested = mlflow.search_runs(output_format="list", filter_string="run_name = 'another'")[0]
        assert nested.data.tags["mlflow.parentRunId"] == mine.info.run_id
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_has_a_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    watch = WandB("houses", dir=str(tmp_path))
    seen = []
    fit([watch, lambda end: seen.append(dict(watch._run.summary))])
    assert seen[-1]["epoch"] == 6
    assert list(tmp_path.rglob("*.wandb"))
    assert watch._run is None


def test_optuna_prunes_what_has_no_prospects():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        rate = trial.suggest_categorical("rate", [0.02, 1e-6])
        model = fit([OptunaPruning(trial)], epochs=20, learning_rate_init=rate)
        return accuracy(model)

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.GridSampler({"rate": [0.02, 1e-6]}, seed=0),
        pruner=optuna.pruners.PercentilePruner(25.0, n_startup_trials=1, n_warmup_steps=3),
    )
    study.enqueue_trial({"rate": 0.02})
    study.optimize(objective, n_trials=3)
    states = {t.params["rate"]: t.state.name for t in study.trials}
    assert states[1e-6] == "PRUNED"
    assert study.trials[0].state.name == "COMPLETE"
    assert len(study.trials[0].intermediate_values) == 20


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"needs the package wandb; get it with: python -m pip"):
        fit([WandB()])


def test_callbacks_leave_nothing_behind(tmp_path):
    model = fit([EarlyStopping(), ModelCheckpoint(tmp_path / "m.xpnn"), CSVLogger(tmp_path / "l")])
    assert all(getattr(c, "_estimator", None) is None for c in model.callbacks)
    size = len(pickle.dumps(fit(None)))
    assert len(pickle.dumps(model)) < size + 2000
