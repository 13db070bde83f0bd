"""Every override beside the reference: same signatures, same numbers, nothing else touched."""

import gc
import inspect
import threading
import weakref

import numpy as np
import pytest
from sklearn.datasets import load_iris

from xpnn import MLPClassifier, get_backend
from xpnn.activations import ACTIVATIONS, Activation
from xpnn.losses import get_loss
from xpnn.model.layer import Drop
from xpnn.network import Dense, Network, multilayer_perceptron
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.random import dropout_mask, step_keys
from xpnn.steps.choice import Fit, training_steps
from xpnn.steps.compiled import library
from xpnn.steps.compiled.plan import known_rules
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import NumpyOps
from xpnn.steps.operations import Ops
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Factors, Rows, Rules, Steps

KEY = (0x9E3779B9, 0x243F6A88)
CUBE = Activation("cube", lambda z, xp: 0.1 * z * z * z, lambda z, a, xp: 0.3 * z * z)
NAMES = [name for name, activation in sorted(ACTIVATIONS.items()) if activation.differentiable]
ON_HOST = ("numpy", "cupy:0", "torch:cpu", "torch:cuda")


def overrides(target):
    """The in-place operations there are for a target, the general ones first."""
    kinds = [Ops]
    if target.name == "numpy":
        kinds.append(NumpyOps)
    if target.name.startswith("cupy"):
        from xpnn.steps.cupy import CupyOps

        kinds.append(CupyOps)
    if target.name.startswith("torch"):
        from xpnn.steps.torch import TorchOps

        kinds.append(TorchOps)
    return kinds


def steps_of(target, rules):
    """Each override of a whole step."""
    steps = [
        InPlaceSteps(rules, kind(target.xp), target.backend, target.dtype)
        for kind in overrides(target)
    ]
    if target.name == "numpy" and library() is not None and known_rules(rules):
        steps.append(CompiledSteps(rules, lambda: steps[0]))
    if target.name.startswith("cupy"):
        from xpnn.steps.cuda.steps import CupySteps
        from xpnn.steps.cupy import CupyOps

        steps.append(CupySteps(rules, CupyOps(target.xp), target.backend, target.dtype))
    if target.name.startswith("torch"):
        from xpnn.steps.torch import TorchOps, TorchSteps

        steps.append(TorchSteps(rules, TorchOps(target.xp), target.backend, target.dtype))
    return steps


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


LOSS = get_loss("softmax_cross_entropy")


def network(activation="relu", dropout=0.0, input_dropout=0.0, sizes=(7, 13, 33, 5)):
    return multilayer_perceptron(sizes, activation, dropout=dropout, input_dropout=input_dropout)


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
    z, b, w = rng.normal(size=shape) * 30, rng.normal(size=shape[1]), rng.uniform(size=shape[0])
    y = rng.integers(0, shape[1], shape[0])
    results = []
    for kind in overrides(target):
        db = target.asarray(np.zeros(shape[1])) if bias else None
        value, dz = kind(target.xp).loss(
            target.asarray(z),
            target.asarray(b) if bias else None,
            target.asarray(y),
            target.asarray(w) if weighted else None,
            LOSS,
            db,
        )
        found = [target.to_numpy(a) for a in (target.xp.asarray(value), dz)]
        results.append([*found, target.to_numpy(db) if bias else np.zeros(1)])
    for found in results[1:]:
        for a, e in zip(found, results[0], strict=True):
            np.testing.assert_allclose(a, e, rtol=10 * target.tol, atol=10 * target.tol)


def train_steps(target, steps, rules, rows=50, batch=16, count=4, layout="C", weight=None):
    """A few steps from the same start; theta, the total and the moments on the host."""
    rng = np.random.default_rng(4)  # no unit at its kink
    net, t = rules.network, target
    x = rng.normal(size=(rows, net.layers[0].n_in))
    y = rng.integers(0, net.layers[-1].n_out, rows)
    if rules.loss.name not in ("softmax_cross_entropy", own_loss.__name__):
        y = rng.uniform(size=(rows, net.layers[-1].n_out))
    data = [t.asarray(x), t.asarray(y), None if weight is None else t.asarray(weight)]
    if layout == "F":
        data[0] = t.asarray(np.ascontiguousarray(x.T)).T
    elif layout == "strided":
        data[0] = t.asarray(np.repeat(x, 2, axis=0))[::2, ...]
    if layout == "readonly":
        for a in data[:2]:
            a.flags.writeable = False
    before = [t.to_numpy(a).copy() for a in data[:2]]
    theta, order = t.asarray(net.init(1)[0]), t.asarray(rng.permutation(rows))
    moments = rules.optimizer.init(theta, t.xp)
    total = t.xp.zeros((), dtype=t.dtype, device=t.device)
    keys = steps.words(step_keys(5, 0, count, len(net.layers) + 1)) if net.draws else None
    rates = [rules.optimizer.coefficients(0.01, k + 1) for k in range(count)]
    carry = Carry(theta, t.asarray(net.init(1)[1]), moments, total)
    carry = steps.on_rows(carry, Rows(Batch(*data), order, 0, batch), keys, rates)
    for a, b in zip(data[:2], before, strict=True):
        np.testing.assert_array_equal(t.to_numpy(a), b)
    return [t.to_numpy(t.xp.asarray(a)) for a in (carry[0], carry[3], *carry[2])]


def assert_alike(target, rules, **options):
    expected = train_steps(
        target, ReferenceSteps(rules, target.backend, target.dtype), rules, **options
    )
    for steps in steps_of(target, rules):
        found = train_steps(target, steps, rules, **options)
        for a, e in zip(found, expected, strict=True):
            # Adam amplifies rounding, so float32 has the tolerance of weights after a few steps
            tol = max(target.tol, 1e-4 if target.dtype_name == "float32" else 0.0)
            np.testing.assert_allclose(a, e, rtol=tol, atol=tol * max(np.abs(e).max(), 1e-30))


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


def own_loss(output, target, weight, xp):
    """A user's own loss, which no kernel knows."""
    return 0.5 * xp.sum(output * output), output


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


@pytest.mark.targets("torch:cpu", "torch:cuda")
@pytest.mark.parametrize("most", [1 << 16, 40, 0])
@pytest.mark.parametrize(("shape", "rate"), [((9, 13), 0.5), ((1, 1), 0.1), ((5, 64), 1e-6)])
def test_torch_draws_masks_of_many_keys_to_the_bit(target, monkeypatch, shape, rate, most):
    """In one piece, in several, and on a device whose int32 is not known to wrap."""
    from xpnn.steps import torch as torch_ops

    kind = target.device.type
    monkeypatch.setattr(torch_ops, "_COUNTERS", {kind: most} if most else {})
    keys = step_keys(3, 0, 6, 1)[:, 0]
    out = target.xp.empty((6, *shape), dtype=target.dtype, device=target.device)
    found = torch_ops.TorchOps(target.xp).draw(keys, 7, shape, rate, out)
    dtype = np.dtype(target.dtype_name)
    host = [dropout_mask(key, 7, shape, rate, dtype, np, None) for key in keys.tolist()]
    np.testing.assert_array_equal(target.to_numpy(found), np.stack(host))


@pytest.mark.targets("torch:cpu", "torch:cuda")
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_fused_adam_of_torch_is_the_rule(target, monkeypatch, optimizer, l2):
    """Many parameters take torch's fused kernel, few take single operations; the same numbers."""
    from xpnn.steps import torch as torch_ops

    rules = Rules(network(), LOSS, get_optimizer(optimizer, beta_1=0.8, epsilon=1e-3), 0.0, l2)
    for least in (0, 1 << 30):
        calls, fused = [], torch_ops.fused_adam
        monkeypatch.setattr(torch_ops, "_FUSED", least)
        monkeypatch.setattr(
            torch_ops, "fused_adam", lambda *a, f=fused, c=calls, **k: c.append(f(*a, **k))
        )
        assert_alike(target, rules)
        assert bool(calls) == (least == 0)


@pytest.mark.targets("torch:cpu", "torch:cuda")
@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_torch_draws_ahead_for_as_many_steps_as_there_is_room(target, dropout):
    from xpnn.steps.torch import TorchSteps

    fit = Fit(5000, 16, 1, True, False, target.dtype)
    for width, most in ((8, 256), (256, 64), (1 << 20, 1)):
        net = network(dropout=dropout, sizes=(7, width, 5))
        steps = training_steps(Rules(net, LOSS, get_optimizer("adam")), fit, target.backend)
        assert isinstance(steps, TorchSteps)
        assert steps.stride(16) == (most if dropout else 1)


@pytest.mark.targets("torch:cpu")
@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_step_in_place_reads_no_value_on_torch_meta(
    target, monkeypatch, optimizer, weighted, ordered
):
    """Tensors of the `meta` device have no values: a step that looks at one raises."""
    import torch

    from xpnn.steps import torch as torch_ops

    monkeypatch.setitem(torch_ops._COUNTERS, "meta", 1 << 16)
    rule = get_optimizer(optimizer)
    for activation in ("relu", "leaky_relu", "tanh", "sigmoid", "identity"):
        net = network(activation, dropout=0.5, input_dropout=0.2)
        rules = Rules(net, LOSS, rule, 0.0, 0.1)
        steps = torch_ops.TorchSteps(
            rules, torch_ops.TorchOps(target.xp), target.backend, target.dtype
        )
        theta, x, total = (
            torch.empty(shape, device="meta") for shape in (net.layout.size, (50, 7), ())
        )
        ones = torch.empty(net.layout.size, device="meta")
        known = Factors(None, ones, ones)
        monkeypatch.setattr(Rules, "factors", lambda *given, known=known: known)
        y, order = (torch.empty(50, dtype=torch.int64, device="meta") for _ in range(2))
        data = x, y, torch.empty(50, device="meta") if weighted else None
        carry = Carry(theta, torch.empty(0), rule.init(theta, target.xp), total)
        keys, rates = steps.words(step_keys(5, 0, 4, 4)), [rule.coefficients(0.1, 1)] * 4
        rows = Rows(Batch(*data), order if ordered else None, 0, 16)
        assert steps.on_rows(carry, rows, keys, rates).theta is theta


@pytest.mark.targets("torch:cpu")
@pytest.mark.dtypes("float32")
def test_a_step_on_torch_allocates_no_layer(target):
    """No temporary is as large as a layer's output, a mask or the parameters."""
    import torch

    sizes, batch, shapes = (64, 96, 80, 3), 200, []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen = {a.data_ptr() for a in args if isinstance(a, torch.Tensor)}
            result = function(*args, **(kwargs or {}))
            into = (kwargs or {}).get("out")
            if isinstance(result, torch.Tensor) and result is not into:
                known = result._base is not None or result.data_ptr() in seen
                if not known:
                    shapes.append((function.__name__, result.numel()))
            return result

    net = network(dropout=0.5, sizes=sizes)
    rules = Rules(net, LOSS, get_optimizer("adam"), 0.0, 0.1)
    steps = training_steps(rules, Fit(1000, batch, 1, True, False, target.dtype), target.backend)
    original = steps.on_rows

    def watched(*args):
        original(*args)
        with Watch():
            return original(*args)

    steps.on_rows = watched
    train_steps(target, steps, rules, rows=1000, batch=batch, count=5)
    assert shapes
    large = [(name, size) for name, size in shapes if size > batch * sizes[-1]]
    assert not large


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
