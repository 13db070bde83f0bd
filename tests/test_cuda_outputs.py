"""Predictions and looks at the end of an epoch on CuPy's kernels, beside the array API's."""

import numpy as np
import pytest

from xpnn.activations import ACTIVATIONS
from xpnn.layers import Dense
from xpnn.losses import LOSSES, get_loss
from xpnn.network import Network, PeriodicEmbedding, Scale, multilayer_perceptron
from xpnn.parts import metrics
from xpnn.training.data import predict_in_chunks

pytestmark = pytest.mark.targets("cupy:0")
N, N_IN, N_OUT = 70, 5, 3
X = np.random.default_rng(0).normal(size=(N, N_IN))


def assert_outputs(target, network):
    """Both methods, beside those of the network itself on NumPy."""
    rng, (theta, buffers) = np.random.default_rng(1), network.init(1)
    theta = theta + 0.1 * rng.normal(size=theta.size)
    buffers = buffers + rng.uniform(size=buffers.size)
    given = [target.asarray(a) for a in (theta, buffers, X)]
    for method in ("forward", "predict"):
        expected = getattr(network, method)(theta, buffers, X, np)
        found = predict_in_chunks(network, *given, target.backend, method)
        target.assert_here(found)
        target.assert_close(found, expected, rtol=20 * target.tol)
    target.assert_close(given[2], X)  # not written into


@pytest.mark.dtypes("float64")  # rows of three units, normalized, amplify rounding
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("members", [1, 3])
def test_every_activation_and_normalization(target, name, members):
    layers = (
        Dense(N_IN, 41, name),
        Dense(41, 6, name, bias=False, normalization="layer"),
        Dense(6, 33, name, normalization="batch"),
        Dense(33, N_OUT, name, normalization="layer"),
    )
    assert_outputs(target, Network(layers, link=name, members=members))


@pytest.mark.parametrize("members", [1, 2])
def test_layers_that_are_not_dense(target, members):
    waves = PeriodicEmbedding(N_IN, passed=2, frequencies=4, size=3)
    layers = (waves, Scale(waves.n_out), PeriodicEmbedding(waves.n_out, frequencies=2, size=1))
    assert_outputs(target, Network((*layers, Dense(2 * waves.n_out, N_OUT)), members=members))
    assert_outputs(target, Network((Scale(N_IN),), link="relu", members=members))


def test_what_is_the_users_own_and_rows_that_lie_apart(target):
    def cube(z, xp):
        return z * z * z

    assert_outputs(target, Network((Dense(N_IN, 4, cube), Dense(4, N_OUT)), link=cube))
    network = multilayer_perceptron((N_IN, 4, N_OUT), link="softmax")
    theta, buffers = network.init(0)
    wide = target.asarray(np.repeat(X[:, ::-1], 2, axis=1))[:, ::-2]
    for x, rows in ((wide, X), (wide[:0, :], X[:0])):
        found = predict_in_chunks(
            network, target.asarray(theta), target.asarray(buffers), x, target.backend
        )
        target.assert_close(found, network.predict(theta, buffers, rows, np))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_without_its_gradient(target, loss, weighted):
    from xpnn.steps.scores import loss_value

    rng, made = np.random.default_rng(0), get_loss(loss)
    output, y = rng.normal(size=(N, N_OUT)), rng.integers(0, 2, (N, N_OUT)).astype(float)
    y = y.argmax(axis=1) if loss == "softmax_cross_entropy" else y
    weight = rng.uniform(0.0, 2.0, N) if weighted else None
    given = [None if a is None else target.asarray(a) for a in (output, y, weight)]
    found = loss_value(made, *given, target.xp)
    target.assert_close(found, made(output, y, weight, np)[0], rtol=10 * target.tol)
    target.assert_close(given[0], output)  # not written into


class Labels:
    """As a classifier's labels, with the rule of class numbers written out."""

    def __init__(self, kind, classes):
        self.kind, self.classes = kind, range(classes)

    def codes(self, output, xp):
        if self.kind == "multiclass":
            return metrics.first_largest(output, np.int64, xp)
        positive = output > 0 if self.kind == "multilabel" else output[:, 0] > 0
        return (positive & (len(self.classes) > 1)).astype(np.int64)


@pytest.mark.parametrize(
    ("kind", "classes"), [("multiclass", 3), ("binary", 2), ("binary", 1), ("multilabel", 3)]
)
@pytest.mark.parametrize(("n", "integer"), [(1, np.int64), (70, np.int32), (3000, np.uint8)])
def test_accuracy(target, kind, classes, n, integer):
    from xpnn.steps.scores import accuracy

    rng, labels = np.random.default_rng(n), Labels(kind, classes)
    output = rng.integers(-2, 3, (n, 1 if kind == "binary" else classes)).astype(float)
    output[n // 2, 0] = np.nan
    truth = rng.integers(0, max(2, classes), n if kind != "multilabel" else (n, classes))
    truth = truth.astype(integer) if kind != "multilabel" else (truth > 0).astype(integer)
    weight = rng.uniform(0.5, 2.0, n)
    given = [target.asarray(a) for a in (output, truth, weight)]
    found = accuracy(*given, labels, lambda *_: pytest.fail("no kernel"), target.xp)
    expected = metrics.accuracy(labels.codes(output, np), truth, weight, np)
    target.assert_close(found, expected, rtol=10 * target.tol)


@pytest.mark.parametrize("n", [2, 70, 3000])
def test_r2(target, n):
    from xpnn.steps.scores import r2

    rng = np.random.default_rng(0)
    y = rng.normal(size=(n, 3)) + np.asarray([0.0, 100.0, 0.0])
    y[:, 2] = 5.0  # a constant, met and missed
    for last in (5.0, 4.0):
        output, weight = y + rng.normal(size=(n, 3)) * 0.1, rng.uniform(0.5, 2.0, n)
        output[:, 2] = last
        given = [target.asarray(a) for a in (output, y, weight)]
        found = r2(*given, target.xp)
        target.assert_close(found, metrics.r2(output, y, weight, np), rtol=1e3 * target.tol)


def test_class_numbers_and_what_training_looks_at(target):
    from xpnn.steps.scores import first_largest, loss_and_finite, together

    t, rng = target, np.random.default_rng(0)
    output = rng.integers(0, 3, (3000, 4)).astype(float)
    output[7, 2], output[8] = np.nan, -np.inf
    for integer in (t.xp.int64, t.xp.int32):
        found = first_largest(t.asarray(output), integer, t.xp)
        assert found.dtype == integer
        t.assert_close(found, metrics.first_largest(output, np.int64, np))
    for bad in (None, np.nan, np.inf, -np.inf):
        theta = rng.normal(size=2**19)
        theta[-3] = theta[-3] if bad is None else bad
        seen = loss_and_finite(t.asarray(np.asarray(6.0)), 4, t.asarray(theta), t.xp)
        t.assert_close(seen, [1.5, float(bad is None)])
    both = (t.asarray(np.asarray(a)) for a in (1.0, 2.0))
    t.assert_close(together(*both, t.xp), [1.0, 2.0])


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["coef", "intercept"])
def test_what_a_perceptron_looks_at_after_an_epoch(target, place, bad):
    from xpnn.perceptron.choice import finite_and_sums
    from xpnn.perceptron.reference import initial_state

    t, rng = target, np.random.default_rng(0)
    arrays = {"coef": rng.normal(size=(3, 700)), "intercept": rng.normal(size=3)}
    if bad is not None:
        arrays[place][-1] = bad
    coef, intercept = t.asarray(arrays["coef"]), t.xp.asarray(arrays["intercept"])  # float64
    sums, state = rng.normal(size=(3, 3)), initial_state(coef, coef[:, 0], t.xp, False)
    found = finite_and_sums(state._replace(intercept=intercept), t.xp.asarray(sums), t.xp)
    np.testing.assert_array_equal(t.to_numpy(found), [float(bad is None), *sums.ravel()])
