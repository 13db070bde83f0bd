"""No hidden transfers: what each step, epoch and call moves between host and device, counted."""

import dataclasses
import warnings

import numpy as np
import pytest
from options import BATCH, CONFIG_FIELDS, LAYER_FIELDS, NETWORK_FIELDS, OPTIONS, N
from sklearn.base import BaseEstimator, is_classifier
from transfers import Traffic, growth, host_double, traffic, train_watched

import xpnn
from xpnn import estimators
from xpnn.layers import Dense
from xpnn.network import Network
from xpnn.state import TrainingConfig
from xpnn.training import lbfgs

# Where the counters are: the real runtime's under CuPy, the library's own refusals under strict.
pytestmark = [
    pytest.mark.own_context,
    pytest.mark.targets("strict:device1", "cupy:0", "cupy:1"),
    pytest.mark.dtypes("float32"),
]

ESTIMATORS = {
    name: cls
    for name, cls in vars(estimators).items()
    if isinstance(cls, type) and issubclass(cls, BaseEstimator) and name in estimators.__all__
}
PREDICTING = ("predict", "predict_proba", "predict_log_proba", "decision_function")
STEPS = -(-N // BATCH)


def test_every_option_has_a_case():
    for cls, fields in (
        (Dense, LAYER_FIELDS),
        (Network, NETWORK_FIELDS),
        (TrainingConfig, CONFIG_FIELDS),
    ):
        assert [f.name for f in dataclasses.fields(cls)] == list(fields), "see options.py"


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_an_epoch_moves_its_permutation_alone(target, option):
    network, config = option.make()
    _, epochs = train_watched(target, network, config, *option.rows(), stream=option.stream)
    batch_arrays = 2 + option.weighted
    expected = STEPS * batch_arrays if option.stream else int(config.shuffle)
    for epoch in epochs:  # `forbid_sync` refuses the other direction; the double counts it too
        assert (epoch.to_device, epoch.to_host, epoch.waits) == (expected, 0, 0)
        if host_double(target) and config.shuffle and not option.stream:
            orders = network.members if config.own_rows else 1
            assert epoch.bytes_to_device == N * 8 * orders


def make(name, **parameters):
    """An estimator with a dozen steps an epoch, and rows that it never converges on."""
    cls = ESTIMATORS[name]
    known = cls().get_params()
    wanted = {
        "hidden_layer_sizes": (8, 6),
        "batch_size": 10,
        "random_state": 0,
        "tol": None if name == "Perceptron" else 0.0,
        "n_iter_no_change": 1000,
        "max_iter": 3,
    }
    return cls(**{k: v for k, v in wanted.items() if k in known} | parameters)


def rows(name, n=120, n_in=9):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, n_in)).astype(np.float32)
    if is_classifier(ESTIMATORS[name]()):
        return x, rng.integers(0, 4, n)
    return x, rng.normal(size=(n, 2)).astype(np.float32)


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ConvergenceWarning: nothing here is meant to converge
        yield


def options_of(name):
    known = ESTIMATORS[name]().get_params()
    offered = (
        {},
        {"early_stopping": True},
        {"dropout": 0.5, "input_dropout": 0.1},
        {"class_weight": "balanced"},
        {"normalization": "batch"},
        {"embedding": "periodic", "members": 2, "early_stopping": True},
        {"penalty": "l2"},
        {"average": True},
        {"solver": "sgd", "learning_rate": "adaptive"},
    )
    return [o for o in offered if o.keys() <= known.keys()]


FITS = [(name, options) for name in ESTIMATORS for options in options_of(name)]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("name", "options"), FITS, ids=[f"{n} {o}" for n, o in FITS])
def test_each_epoch_of_fit_costs_a_handful(target, name, options):
    x, y = (target.backend.asarray(a) for a in rows(name))
    each = growth(target, lambda epochs: make(name, max_iter=epochs, **options).fit(x, y))
    validated = 1 + (name == "Perceptron") if "early_stopping" in options else 0
    assert each.to_device <= 1  # the permutation, however many steps
    assert each.to_host <= 1 + validated  # the epoch's metrics
    assert each.waits <= 1 + validated
    if host_double(target):
        assert each.bytes_to_device <= 120 * 8
        assert each.bytes_to_host <= 128


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_partial_fit_moves_what_does_not_grow_with_x(target, name):
    if not hasattr(make(name), "partial_fit"):
        pytest.skip(f"{name} has no partial_fit")
    x, y = rows(name)
    classes = {"classes": np.unique(y)} if is_classifier(make(name)) else {}
    model = make(name)
    model.partial_fit(*(target.backend.asarray(a) for a in (x, y)), **classes)
    placed = [target.backend.asarray(a) for a in (x, y)]
    with traffic(target) as moved:
        model.partial_fit(*placed)
    # y's labels to the host and their codes back, the permutation, the decay mask
    assert moved.to_device <= 4
    assert moved.to_host <= 4
    if host_double(target):
        assert moved.bytes_to_host <= y.nbytes + 64  # never X


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("options", [{}, {"normalization": "batch"}], ids=str)
def test_an_evaluation_of_lbfgs_moves_a_vector_up_and_one_down(target, name, options, monkeypatch):
    x, y = (target.backend.asarray(a) for a in rows(name))
    evaluations = []
    original = lbfgs._Run.evaluate

    def evaluate(self, theta):
        with traffic(target) as moved:
            result = original(self, theta)
        evaluations.append((moved, theta.size))
        return result

    monkeypatch.setattr(lbfgs._Run, "evaluate", evaluate)
    totals = []
    for iterations in (4, 12):
        evaluations.clear()
        with traffic(target) as total:
            make(name, solver="lbfgs", max_iter=iterations, **options).fit(x, y)
        totals.append((total.to_device - len(evaluations), total.to_host - len(evaluations)))
    assert len(evaluations) >= 12
    for moved, size in evaluations:
        assert (moved.to_device, moved.to_host, moved.waits) == (1, 1, 1)
        if host_double(target):  # theta in the dtype of the work, the gradient and the loss
            assert (moved.bytes_to_device, moved.bytes_to_host) == (4 * size, 4 * (size + 1))
    assert totals[0] == totals[1]  # and nothing between evaluations


METHODS = [
    (name, method)
    for name, cls in ESTIMATORS.items()
    for method in (*PREDICTING, "score")
    if hasattr(cls, method)
]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("name", "method"), METHODS, ids=[".".join(m) for m in METHODS])
def test_predictions_never_bring_rows_to_the_host(target, name, method):
    x, y = rows(name)
    model = make(name).fit(*(target.backend.asarray(a) for a in (x, y)))
    costs = []
    for n in (10, 120):
        placed = [target.backend.asarray(a[:n]) for a in (x, y)]
        call = getattr(model, method)
        arguments = placed if method == "score" else placed[:1]
        call(*arguments)
        with traffic(target) as moved:
            result = call(*arguments)
        if method == "score":
            assert type(result) is float
            labels = y[:n].nbytes if is_classifier(model) else 0
            allowed = Traffic(3, 4, 4)
        else:
            assert xpnn.backend_of(result) is target.backend
            labels = 0
            allowed = Traffic(1, 1, 1)  # the classes' table; whether X is finite
        for direction in ("to_device", "to_host", "waits"):
            assert getattr(moved, direction) <= getattr(allowed, direction)
        if host_double(target):
            assert moved.bytes_to_host <= labels + 64
            if method != "score":
                assert moved.bytes_to_device <= 64
        costs.append((moved.to_device, moved.to_host, moved.waits))
    assert costs[0] == costs[1]  # however many rows


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", [n for n in ESTIMATORS if n != "Perceptron"])
def test_host_rows_are_moved_once(target, name):
    x, y = rows(name)
    with traffic(target) as moved:
        make(name, device=target.backend.name, max_iter=2).fit(x, y)
    if host_double(target):
        weights = sum(a * b + b for a, b in ((9, 8), (8, 6), (6, 4))) * 4
        orders = 2 * len(x) * 8
        assert moved.bytes_to_device <= x.nbytes + len(y) * 8 + orders + 2 * weights + 64
    assert moved.to_device <= 8
