"""Every override beside the reference: same signatures, same numbers, nothing else touched."""

import gc
import inspect
import threading
import weakref

import numpy as np
import pytest
from sklearn.datasets import load_iris
from steps_alike import CUBE, LOSS, assert_alike, network, overrides, own_loss, train_steps

from xpnn import MLPClassifier, get_backend
from xpnn.activations import ACTIVATIONS
from xpnn.losses import get_loss
from xpnn.model.layer import Drop
from xpnn.network import Dense, Network
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.random import dropout_mask, step_keys
from xpnn.steps.choice import Fit, training_steps
from xpnn.steps.compiled import library
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import NumpyOps
from xpnn.steps.operations import Ops
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows, Rules, Steps

KEY = (0x9E3779B9, 0x243F6A88)

NAMES = [name for name, activation in sorted(ACTIVATIONS.items()) if activation.differentiable]

ON_HOST = ("numpy", "cupy:0", "torch:cpu", "torch:cuda")


@pytest.mark.libraries
def test_signatures_are_those_of_the_reference(chosen):
    kinds = [NumpyOps]
    if any(name.startswith("torch") for name in chosen):
        from xpnn.steps.torch import TorchOps

        kinds.append(TorchOps)
    if any(name.startswith("cupy") for name in chosen):
        from xpnn.steps.cupy import CupyOps

        kinds.append(CupyOps)
    names = [n for n, f in inspect.getmembers(Ops, inspect.isfunction) if n[0] != "_"]
    assert len(names) >= 7
    for kind in kinds:
        for name in names:
            wanted = inspect.signature(getattr(Ops, name)).parameters
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(wanted), name
    for name in ("on_batch", "on_rows", "stride", "words"):
        wanted = list(inspect.signature(getattr(Steps, name)).parameters)
        for kind in (InPlaceSteps, ReferenceSteps, CompiledSteps):
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted, name


@pytest.mark.sampled(3)
@pytest.mark.targets(*ON_HOST)
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("name", [*NAMES, "cube"])
def test_layer_operations(target, name, rate):
    """Forward and backward of bias, activation and dropout."""
    activation = ACTIVATIONS.get(name, CUBE)
    drop = Drop(KEY, 3, rate) if rate else None
    for shape in [(1, 1), (5, 3), (33, 50), (7, 64), (2, 129)]:
        rng = np.random.default_rng(0)
        z, g, b = (rng.normal(size=s) for s in (shape, shape, shape[1:]))
        results = []
        for kind in overrides(target):
            ops, db = kind(target.xp), target.asarray(np.full(shape[1], np.nan))
            y, saved = ops.activate(target.asarray(z), target.asarray(b), activation, drop)
            seen = target.to_numpy(y).copy()
            dz = ops.pull_back(target.asarray(g), y, saved, activation, drop, db)
            results.append([seen, target.to_numpy(dz), target.to_numpy(db)])
            if rate:  # the draw to the bit
                host = dropout_mask(KEY, 3, shape, rate, np.float64, np, None)
                assert (seen[host == 0] == 0).all(), shape
        for found in results[1:]:
            for a, e in zip(found, results[0], strict=True):
                scale = max(np.abs(e).max(), 1e-30)
                np.testing.assert_allclose(a, e, rtol=target.tol, atol=target.tol * scale)


@pytest.mark.targets(*ON_HOST)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 2), (6, 10), (40, 3), (5, 300)])
def test_cross_entropy(target, shape, bias, weighted):
    rng = np.random.default_rng(1)
    y = rng.integers(0, shape[1], shape[0])
    assert_losses_alike(target, LOSS, rng.normal(size=shape) * 30, y, bias, weighted)


@pytest.mark.targets(*ON_HOST)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (40, 1), (7, 3)])
@pytest.mark.parametrize(
    "loss",
    [
        get_loss("half_squared_error"),
        get_loss("binary_cross_entropy"),
        get_loss("binary_cross_entropy", label_smoothing=0.1),
    ],
    ids=str,
)
def test_losses_of_each_output(target, loss, shape, bias):
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=shape) * 30, rng.uniform(size=shape)
    z[0], y[0] = -800.0, 1.0  # exp(800) is infinite
    assert_losses_alike(target, loss, z, y, bias, weighted=False)
    assert_losses_alike(target, loss, z, y, bias, weighted=True)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint64])
@pytest.mark.parametrize("shape", [(300, 3), (300, 40)])
def test_class_numbers_of_any_whole_dtype(dtype, shape):
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=shape), rng.integers(0, shape[1], shape[0])
    ops, db = NumpyOps(np), np.zeros(shape[1])
    expected = [np.array(a) for a in ops.loss(z.copy(), None, y, None, LOSS, db)]
    found = ops.loss(z.copy(), None, y.astype(dtype), None, LOSS, db)
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_the_loss_of_large_right_scores_is_zero():
    """Each row's own difference of two large numbers is, and so is their sum."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (200, 1)).astype(np.float32)
    z = ((2 * y - 1) * rng.uniform(5e3, 2e4, y.shape)).astype(np.float32)
    for kind in (NumpyOps, Ops):
        value, _ = kind(np).loss(z.copy(), None, y, None, get_loss("binary_cross_entropy"), None)
        assert value == 0.0


def assert_losses_alike(target, loss, z, y, bias, weighted):
    """Values, gradients and those of biases by every override."""
    rng, results = np.random.default_rng(2), []
    b, w = rng.normal(size=z.shape[1]), rng.uniform(size=z.shape[0])
    for kind in overrides(target):
        db = target.asarray(np.zeros(z.shape[1])) if bias else None
        value, dz = kind(target.xp).loss(
            target.asarray(z.copy()),
            target.asarray(b) if bias else None,
            target.asarray(y),
            target.asarray(w) if weighted else None,
            loss,
            db,
        )
        found = [target.to_numpy(a) for a in (target.xp.asarray(value), dz)]
        results.append([*found, target.to_numpy(db) if bias else np.zeros(1)])
    for found in results[1:]:
        for a, e in zip(found, results[0], strict=True):
            np.testing.assert_allclose(a, e, rtol=10 * target.tol, atol=10 * target.tol)


@pytest.mark.sampled(3)
@pytest.mark.targets(*ON_HOST)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_steps_of_every_optimizer(target, optimizer, l2, dropout):
    net = network(dropout=dropout, input_dropout=dropout / 2)
    assert_alike(target, Rules(net, LOSS, get_optimizer(optimizer), 0.0, l2))


@pytest.mark.targets(*ON_HOST)
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("weighted", [False, True])
def test_steps_on_any_memory_layout(target, layout, weighted):
    weight = np.random.default_rng(3).uniform(size=50) if weighted else None
    rules = Rules(network(dropout=0.2), LOSS, get_optimizer("adam"), 0.0, 0.01)
    assert_alike(target, rules, layout=layout, weight=weight)


@pytest.mark.targets("numpy")
def test_steps_on_read_only_data(target):
    rules = Rules(network(dropout=0.2), LOSS, get_optimizer("adam"), 0.0, 0.01)
    assert_alike(target, rules, layout="readonly")


@pytest.mark.targets(*ON_HOST)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "leaky_relu", "gelu", "cube"])
def test_steps_of_other_activations(target, activation):
    net = network(CUBE if activation == "cube" else activation, dropout=0.5)
    assert_alike(target, Rules(net, LOSS, get_optimizer("momentum"), 0.0, 0.0))


@pytest.mark.targets(*ON_HOST)
def test_steps_with_every_rule_and_without_biases(target):
    net = Network((Dense(7, 9, "relu", bias=False), Dense(9, 5, bias=False)))
    adam = get_optimizer("adam")
    assert_alike(target, Rules(net, LOSS, adam, 0.0, 0.1))
    assert_alike(target, Rules(network(), LOSS, adam, 0.1, 0.1, 1.0, 2.0))
    assert_alike(target, Rules(network(), get_loss(own_loss), adam), count=1)


@pytest.mark.targets("cupy:0")
@pytest.mark.dtypes("float32")
@pytest.mark.parametrize(("l2", "most"), [(0.0, 7), (0.1, 8)])
def test_launches_on_cupy(target, l2, most):
    """Two hidden layers with dropout, cross-entropy, Adam: seven launches beside 8 products."""
    cupy_on_cpu = pytest.importorskip("cupy_on_cpu")
    rules = Rules(network(dropout=0.5), LOSS, get_optimizer("adam"), 0.0, l2)
    steps = training_steps(rules, Fit(50, 16, 1, True, False, target.dtype), target.backend)
    train_steps(target, steps, rules, count=1)
    carry = []
    original = steps.on_rows

    def counted(*args):
        with cupy_on_cpu.count() as seen:
            result = original(*args)
        carry.append(seen)
        return result

    steps.on_rows = counted
    train_steps(target, steps, rules, count=3)
    last = carry[-1]  # of three steps
    assert (last["gemms"], last["launches"]) == (3 * 8, 3 * most), last["kernels"]
    assert last["synchronisations"] == last["d2h"] == last["h2d"] == 0


def test_kernel_follows_from_shapes_and_settings_alone(monkeypatch, caplog):
    monkeypatch.delenv("XPNN_COMPILED", raising=False)
    numpy, there = get_backend("numpy"), library() is not None
    rules = Rules(network(), LOSS, get_optimizer("adam"))
    kinds = {True: CompiledSteps, False: InPlaceSteps}
    for rows, epochs in ((150, 1), (60_000, 10)):
        fit = Fit(rows, 128, epochs, True, False, np.dtype(np.float32))
        with caplog.at_level("DEBUG", logger="xpnn"):
            assert type(training_steps(rules, fit, numpy)) is kinds[there]
        assert caplog.messages.pop().startswith(f"training steps: {kinds[there].__name__}")
    sparse = fit._replace(sparse=True, resident=False)
    assert type(training_steps(rules, sparse, numpy)) is (
        CompiledSteps if there else ReferenceSteps
    )
    own = Rules(network(CUBE), LOSS, get_optimizer("adam"))
    assert type(training_steps(own, fit, numpy)) is InPlaceSteps
    monkeypatch.setenv("XPNN_COMPILED", "0")
    assert type(training_steps(rules, fit, numpy)) is InPlaceSteps
    assert type(training_steps(rules, sparse, numpy)) is ReferenceSteps


def strides(net, batch):
    """How many steps pass between two looks at Ctrl-C: on NumPy alone, and compiled."""
    rules, numpy = Rules(net, LOSS, get_optimizer("adam")), get_backend("numpy")
    compiled = CompiledSteps(rules, lambda: None).stride(batch)
    return InPlaceSteps(rules, NumpyOps(np), numpy, np.float64).stride(batch), compiled


def test_calls_of_many_numpy_steps_are_of_built_in_functions_alone():
    assert strides(network(sizes=(4, 16, 3)), 32) > (40, 1000)
    assert strides(network(CUBE), 200)[0] == 1
    assert strides(network(sizes=(4, 2000, 2000, 3)), 200) == (1, 1)


@pytest.mark.parametrize(
    ("sizes", "batch", "most"),
    [
        ((1, 1000, 1), 200, (4, 30)),  # elements
        ((784, 1024, 10), 1, (4, 15)),  # parameters
        ((5000, 2), 200, (4, 6)),  # features
        ((1, *[3] * 12, 1), 8, (10, 1024)),  # calls
    ],
)
def test_what_takes_time_beside_products_counts_where_ctrl_c_is_looked_for(sizes, batch, most):
    """Each of these took 0.2 to 3 seconds for a call's steps, its products next to none."""
    found = strides(network("mish", sizes=sizes), batch)
    assert all(1 <= f <= m for f, m in zip(found, most, strict=True))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_estimators_learn_alike_with_and_without_compiled_steps(monkeypatch, dropout, shuffle):
    X, y = load_iris(return_X_y=True)
    models = []
    for said in ("0", "1"):
        monkeypatch.setenv("XPNN_COMPILED", said)
        options = {"dropout": dropout, "shuffle": shuffle, "batch_size": 40, "random_state": 0}
        models.append(MLPClassifier((9, 8), max_iter=5, **options).fit(X, y))
    for a, b in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(models[0].loss_curve_, models[1].loss_curve_, rtol=1e-11)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_concurrent_predictions_do_not_meet():
    X, y = load_iris(return_X_y=True)
    model = MLPClassifier((50,), max_iter=3, random_state=0).fit(X, y)
    blocks = [np.tile(X, (k, 1)) for k in (1, 3, 7, 11)]
    expected = [model.predict_proba(b) for b in blocks]
    wrong = []

    def work(k):
        for _ in range(40):
            if not np.array_equal(model.predict_proba(blocks[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_predicting_keeps_no_weights_alive():
    X, y = load_iris(return_X_y=True)
    held = []
    for _ in range(3):
        model = MLPClassifier((50,), max_iter=2).fit(X, y)
        model.predict(X)
        held.append(weakref.ref(model._state.theta))
    del model
    gc.collect()
    assert all(theta() is None for theta in held)


def test_nothing_is_allocated_inside_a_step_after_the_first():
    import tracemalloc

    net = network(dropout=0.5, sizes=(64, 256, 256, 10))
    rules, rng = Rules(net, LOSS, get_optimizer("adam"), 0.0, 0.1), np.random.default_rng(0)
    steps, rule = (
        InPlaceSteps(rules, NumpyOps(np), get_backend("numpy"), np.float32),
        rules.optimizer,
    )
    theta = net.init(0)[0].astype(np.float32)
    carry = Carry(theta, np.zeros(0), rule.init(theta, np), np.float32(0))
    data = Batch(rng.normal(size=(400, 64)).astype(np.float32), rng.integers(0, 10, 400), None)
    rows, keys = Rows(data, rng.permutation(400), 0, 200), step_keys(0, 0, 2, 4).tolist()
    carry = steps.on_rows(carry, rows, keys[:1], [rule.coefficients(0.1, 1)])
    tracemalloc.start()
    steps.on_rows(carry, rows._replace(start=200), keys[1:], [rule.coefficients(0.1, 2)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000  # bytes: row numbers and the like; one layer's output is 204,800


@pytest.mark.parametrize("said", ["0", "1"])
def test_divergence_goes_through_the_kernels(monkeypatch, said):
    monkeypatch.setenv("XPNN_COMPILED", said)
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="non-finite"):
        MLPClassifier((20,), solver="sgd", learning_rate_init=1e30).fit(X, y)
