"""CSR features in compiled steps, sums and predictions: the numbers of dense ones."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from steps_alike import network
from test_compiled_outputs import parameters
from test_compiled_steps import LOSS, TABULAR, TOLERANCE, WEIGHT, taken

from xpnn import MLPClassifier, MLPRegressor
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import get_optimizer
from xpnn.steps.compiled import library, outputs, sums
from xpnn.steps.compiled.outputs import compiled_outputs
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.compiled.sums import CompiledSums
from xpnn.steps.inference import host_outputs
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Rules

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled steps are not there")


def numbers(rows=50, columns=7, seed=0):
    """Dense features, most of them zero; the first rows are empty."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.3)
    dense[:4] = 0.0
    return dense


def sparse_of(dense, kind=sp.csr_array):
    """The same as CSR whose columns lie in any order, and come twice."""
    n, columns = dense.shape
    half = sp.csr_array(dense / 2)
    both = sp.hstack([half, half[:, ::-1]], format="csr")
    both.indices = np.where(both.indices < columns, both.indices, 2 * columns - 1 - both.indices)
    return kind((both.data, both.indices, both.indptr), shape=(n, columns))


def check(rules, *, weight=None, order=None, kind=sp.csr_array, columns=7):
    """Compiled steps on CSR leave what the reference leaves on dense features."""
    dense, y = numbers(columns=columns), np.random.default_rng(1).integers(0, 5, 50)
    order = np.random.default_rng(2).permutation(50) if order is None else order
    for dtype in (np.float32, np.float64):
        tol, w = TOLERANCE[np.dtype(dtype).name], None if weight is None else weight.astype(dtype)
        whole = dense.astype(dtype)
        expected = taken("reference", rules, dtype, Batch(whole, y, w), order, 16, 4)
        for parts in (0, 3):
            data = Batch(sparse_of(whole, kind), y, w)
            found = taken(parts, rules, dtype, data, order, 16, 4)
            for a, e in zip(found, expected, strict=True):
                scale = max(np.abs(e).max(), 1e-30) if e.size else 1.0
                np.testing.assert_allclose(a, e, rtol=tol, atol=tol * scale)


def dense_layers(*sizes, **about):
    layers = [Dense(a, b, "tanh", 0.2, **about) for a, b in pairwise(sizes)]
    return (*layers, Dense(sizes[-1], 5))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("hidden", [(13,), (330, 150)])
@pytest.mark.parametrize("normalization", [None, "batch"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_features_as_if_they_were_dense(kind, weighted, normalization, hidden):
    net = Network(dense_layers(7, *hidden, normalization=normalization))
    rules = Rules(net, LOSS, get_optimizer("adam"), 0.0, 0.1, 0.5)
    check(rules, weight=WEIGHT if weighted else None, kind=kind)


@pytest.mark.parametrize("columns", [7, 900])  # rows of more numbers than are dropped at once
@pytest.mark.parametrize("hidden", [(13,), (330, 150)])
def test_dropout_of_features(hidden, columns):
    net = Network(dense_layers(columns, *hidden), 0.4)
    check(Rules(net, LOSS, get_optimizer("adam"), 0.0, 0.1), columns=columns)


@pytest.mark.parametrize("input_dropout", [0.0, 0.3])
@pytest.mark.parametrize("layers", [TABULAR, TABULAR[1:]], ids=len)
def test_a_first_layer_of_another_kind(layers, input_dropout):
    check(Rules(Network(layers, input_dropout), LOSS, get_optimizer("adamw")), weight=WEIGHT)


@pytest.mark.parametrize("own", [False, True])
def test_members(own):
    net = Network(dense_layers(7, 13), 0.1, members=3)
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(50) for _ in range(3)], axis=1) if own else None
    weight = rng.uniform(size=(50, 3)) if own else WEIGHT
    rules, y = Rules(net, LOSS, get_optimizer("adam")), rng.integers(0, 5, 50)
    order = rng.permutation(50) if order is None else order
    for dtype in (np.float32, np.float64):
        whole, w = numbers().astype(dtype), weight.astype(dtype)
        call = order, 16, 4
        expected = taken(0, rules, dtype, Batch(whole, y, w), *call)
        found = taken(0, rules, dtype, Batch(sparse_of(whole), y, w), *call)
        for a, e in zip(found, expected, strict=True):
            tol = TOLERANCE[np.dtype(dtype).name]
            np.testing.assert_allclose(a, e, rtol=tol, atol=tol)


def test_predictions(monkeypatch):
    """Of any first layer, in pieces and threads, with and without the link."""
    nets = [network("relu", sizes=(7, 9, 5)), Network(TABULAR), network(sizes=(7, 1))]
    nets.append(Network((Dense(7, 9, "tanh", normalization="batch"), Dense(9, 5)), link="softmax"))
    for net in nets:
        for dtype, tol in ((np.float32, 1e-4), (np.float64, 1e-11)):
            (theta, buffers), dense = parameters(net, dtype), numbers(60).astype(dtype)
            expected = net.predict(theta, buffers, dense, np)
            for few, products in ((1e9, 20_000_000), (1000.0, 1)):
                monkeypatch.setattr(outputs, "_APART", few)
                monkeypatch.setattr(outputs, "_FEWEST_PRODUCTS", products)
                found = compiled_outputs(net, theta, buffers, sparse_of(dense), True)
                scale = tol * np.abs(expected).max()
                np.testing.assert_allclose(found, expected, rtol=tol, atol=scale)
    empty = compiled_outputs(net, theta, buffers, sp.csr_array((0, 7)), True)
    assert empty.shape == (0, 5)


def test_predictions_of_members():
    net = Network(dense_layers(7, 9), members=3)
    theta, buffers = parameters(net, np.float64)
    found = host_outputs(net, theta, buffers, sparse_of(numbers()), "forward")
    np.testing.assert_allclose(found, net.forward(theta, buffers, numbers(), np), rtol=1e-11)


def test_matrices_that_are_no_sound_csr_are_left_to_others():
    net = network("relu")
    theta, buffers = parameters(net, np.float64)
    far, back = sp.csr_array(numbers()), sp.csr_array(numbers())
    far.indices[3] = 7
    back.indptr[5] = back.nnz
    for wrong in (far, back, sp.csc_array(numbers()), sp.csr_array(numbers(columns=6))):
        assert compiled_outputs(net, theta, buffers, wrong, True) is None
        rules = Rules(net, get_loss("half_squared_error"), get_optimizer("sgd"))
        steps = CompiledSteps(rules, None, sparse=True)
        assert not steps.suitable(theta, wrong, np.zeros((50, 5)), None)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_sums_of_losses_and_gradients(normalization, weighted, monkeypatch):
    monkeypatch.setattr(sums, "_BLOCK", 30)
    net = Network((Dense(7, 33, "tanh", normalization=normalization), Dense(33, 5)))
    for dtype, tol in ((np.float32, 1e-4), (np.float64, 1e-11)):
        (theta, buffers), dense = parameters(net, dtype), numbers().astype(dtype)
        weight = WEIGHT.astype(dtype) if weighted else None
        y = np.random.default_rng(0).integers(0, 5, 50)
        compiled = CompiledSums(net, LOSS, None)
        call = theta, buffers
        expected, *_ = compiled(*call, (dense, y, weight))
        found, *_ = compiled(*call, (sparse_of(dense), y, weight))
        np.testing.assert_allclose(found, expected, rtol=tol, atol=tol * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "option",
    [
        {},
        {"solver": "lbfgs"},
        {"input_dropout": 0.2},
        {"members": 2},
        {"embedding": "periodic"},
        {"early_stopping": True},
        {"solver": "lbfgs", "normalization": "batch"},
    ],
    ids=str,
)
def test_all_of_a_fit_and_its_predictions_run_compiled(option, dtype, monkeypatch):
    """Neither the network's own methods nor the reference's steps are called."""

    def other(*given, **more):
        raise AssertionError("not compiled")

    for name in ("forward", "loss_and_gradient"):
        monkeypatch.setattr(Network, name, other)
    for name in ("on_batch", "on_rows"):
        monkeypatch.setattr(ReferenceSteps, name, other)
    dense = numbers(60).astype(dtype)
    about = {"max_iter": 3, "random_state": 0, "batch_size": 25, "dtype": dtype, **option}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model, y in ((MLPClassifier, np.arange(60) % 3), (MLPRegressor, dense[:, 0])):
            made = [model(hidden_layer_sizes=(8,), **about) for _ in range(2)]
            found, expected = made[0].fit(sp.csr_array(dense), y), made[1].fit(dense, y)
            tol = 1e-3 if dtype == "float32" else 1e-9
            np.testing.assert_allclose(found.coefs_[0], expected.coefs_[0], rtol=tol, atol=tol)
            a, b = found.predict(sp.csc_array(dense)), expected.predict(dense)
            np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
