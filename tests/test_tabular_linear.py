"""A linear model of each member's rows is one more candidate of a tabular estimator's blend."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

import xpnn
from xpnn import TabularClassifier, TabularRegressor
from xpnn.network import Dense, Network, Scale
from xpnn.parts.losses import get_loss
from xpnn.tables.encoding import fit_encoding
from xpnn.tables.frames import read_frame
from xpnn.tabular import outoffold, training
from xpnn.tabular.linear import linear_parameters, lines_of, takes_lines


def network(n_in: int, n_out: int, hidden: int = 16) -> Network:
    layers = Dense(n_in, hidden, "relu"), Dense(hidden, hidden, "relu"), Dense(hidden, n_out)
    return Network((Scale(n_in), *layers), link="identity", members=2)


def line(n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A number that is linear in three others, of which one has a heavy tail."""
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.normal(size=(n, 2)), np.exp(rng.uniform(0.0, 3.0, n))])
    return X, X @ [3.0, -2.0, 5.0] + 7.0


@pytest.mark.parametrize("weighted", [False, True])
def test_a_network_is_the_ridge_regression_of_its_rows(weighted: bool):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = x @ rng.normal(size=(3, 2)) + rng.normal(size=(40, 2)) + 5.0
    weight = rng.uniform(0.1, 2.0, 40) if weighted else None
    folds = np.arange(40)[None] % 2
    net = network(3, 2)
    theta = linear_parameters(net, x, y, weight, folds, np.eye(3))
    members = net.layout.by_member(theta, np)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    found = []
    for penalty in (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0):
        each, left = [], np.zeros(40)
        for fold in (0, 1):
            rows = folds[0] != fold
            model = Ridge(alpha=penalty)
            model.fit(scaled[rows], y[rows], None if weight is None else weight[rows])
            each.append(model.predict(scaled))
            left[~rows] = ((each[-1] - y)[~rows] ** 2).mean(axis=1)
        found.append((np.average(left, weights=weight), np.stack(each)))
    out = [net.one_member.predict(m, np.zeros(0), x, np) for m in members]
    np.testing.assert_allclose(out, min(found, key=lambda f: f[0])[1], atol=1e-9)


def test_a_network_is_the_logistic_regression_of_its_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3))
    codes = (x @ rng.normal(size=(3, 3)) + rng.gumbel(size=(90, 3))).argmax(axis=1)
    folds = np.arange(90)[None] % 2
    net = network(3, 3)
    theta = linear_parameters(net, x, codes, None, folds, np.eye(3))
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    out = net.one_member.predict(net.layout.by_member(theta, np)[0], np.zeros(0), x, np)
    shares = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True)
    rows = folds[0] != 0
    apart = [
        abs(LogisticRegression(C=c).fit(scaled[rows], codes[rows]).predict_proba(scaled) - shares)
        for c in (0.01, 0.1, 1.0, 10.0)
    ]
    assert min(a.max() for a in apart) < 2e-3


def test_a_line_counts_where_it_is_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    X, y = line()

    def fitted() -> tuple[TabularRegressor, float]:
        model = TabularRegressor(random_state=0, epochs=12).fit(X[:80], y[:80])
        return model, float(np.mean((model.predict(X[80:]) - y[80:]) ** 2))

    model, error = fitted()
    assert 0.4 < model.valleys_[0][1] <= 0.5  # half of what is best out of fold
    assert "linear model: loss" in model.summary()
    file = tmp_path / "line.safetensors"
    xpnn.save(model, file)
    np.testing.assert_array_equal(xpnn.load(file).predict(X), model.predict(X))
    low, high = model.predict_interval(X[80:]).T
    assert np.mean((low <= y[80:]) & (y[80:] <= high)) > 0.8
    monkeypatch.setattr(training, "takes_lines", lambda *given: False)
    without, more = fitted()
    assert 0 not in without.valleys_
    assert error < 0.6 * more


def test_a_line_of_classes(monkeypatch: pytest.MonkeyPatch):
    """Few rows whose classes a plane parts, with noise."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 6))
    y = rng.uniform(size=400) < 1 / (1 + np.exp(-2 * X.sum(axis=1)))

    def loss() -> float:
        model = TabularClassifier(random_state=0, epochs=12).fit(X[:150], y[:150])
        true = model.predict_proba(X[150:])[np.arange(250), y[150:].astype(int)]
        return -float(np.log(true).mean())

    found = loss()
    monkeypatch.setattr(training, "takes_lines", lambda *given: False)
    assert found < loss() - 0.01


def test_a_line_of_classes_counts_only_if_it_is_surely_better():
    """A hundredth of the log-loss is within chance of 40 rows, and is not of 4,000."""
    for n, surely in ((40, False), (4000, True)):
        rng = np.random.default_rng(0)
        codes = rng.integers(0, 2, n)
        true = np.clip(rng.normal(0.7, 0.1, n), 0.05, 0.95)
        valley, line = (
            np.where(np.eye(2)[codes] > 0, p[:, None], 1 - p[:, None])
            for p in (true, true + rng.normal(0.01, 0.1, n).clip(-0.04, 0.04))
        )
        task = outoffold.Task(
            np.zeros((n, 1)), codes, None, get_loss("softmax_cross_entropy"), True
        )
        assert training._surely_better(valley, (valley + line) / 2, task, 2.0) is surely


def test_lines_are_columns_without_their_bends():
    table = {"x": np.linspace(0.0, 100.0, 200), "word": list("abcd") * 50, "few": [0.0, 1.0] * 100}
    frame = read_frame(table)
    encoding = fit_encoding(frame, bins=8)
    inputs, lines = encoding.transform(frame), lines_of(encoding)
    assert lines.shape == (inputs.shape[1], 6)
    seen = inputs @ lines
    ranks = np.linspace(0.0, 1.0, 200)
    assert any(np.allclose(c / np.ptp(c), ranks, atol=1e-5) for c in seen.T if np.ptp(c) > 0)


def test_lines_of_a_wide_table_take_no_square_of_its_columns():
    """3,000 columns squared are 72 MB, and were filled once for each column."""
    encoding = fit_encoding(read_frame(np.random.default_rng(0).normal(size=(20, 3000))))
    tracemalloc.start()
    try:
        lines = lines_of(encoding)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert lines.shape == (3000, 3000)
    assert most < 10_000_000
    np.testing.assert_array_equal(lines @ np.arange(3000.0), np.arange(3000.0))


def test_who_cannot_be_a_line_is_none():
    lines = np.eye(3)
    assert takes_lines(network(3, 2), 5000, lines, classes=False)
    assert not takes_lines(network(3, 2), 5001, lines, classes=False)
    assert not takes_lines(network(3, 2), 1024, lines, classes=True)
    assert not takes_lines(network(3, 2, hidden=3), 100, lines, classes=False)
    assert not takes_lines(network(3, 2), 100, np.zeros((3, 0)), classes=False)
    X, y = line(60)
    for model in (
        TabularRegressor(random_state=0, hidden=1, epochs=2),
        TabularRegressor(random_state=0, loss="huber", epochs=2),
        TabularRegressor(random_state=0, quantiles=(0.1, 0.9), epochs=2),
        TabularRegressor(random_state=0, embedding="both", epochs=2),
    ):
        assert 0 not in model.fit(X, y).valleys_
    smooth = TabularClassifier(random_state=0, label_smoothing=0.1, epochs=2)
    assert 0 not in smooth.fit(X, y > y.mean()).valleys_  # a line of labels as they are


def test_a_class_that_a_member_has_not_seen():
    X, y = np.arange(24.0)[:, None], ["a"] * 12 + ["b"] * 11 + ["c"]
    model = TabularClassifier(random_state=0, epochs=4).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


def test_bits_do_not_depend_on_the_threads_of_blas():
    rng = np.random.default_rng(0)
    x, lines = rng.normal(size=(900, 300)), rng.random((300, 60))
    net = Network((Scale(300), Dense(300, 8, "relu"), Dense(8, 1)), link="identity", members=2)
    given = net, x, x[:, :1] + 0.1, None, np.arange(900)[None] % 2, lines
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(linear_parameters(*given))
    np.testing.assert_array_equal(*found)
