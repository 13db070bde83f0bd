"""JAX compiles a whole training step, once a batch shape; torch never builds an autograd graph."""

import warnings

import numpy as np
import pytest
from options import BATCH, OPTIONS, N, Option
from targets import jax_x64
from transfers import train_watched

import xpnn
from xpnn.activations import Activation
from xpnn.arrays.compiling import compiled as compile_function
from xpnn.data import Dataset
from xpnn.network import Network
from xpnn.optimizers import SGD
from xpnn.state import TrainingState
from xpnn.training.loop import train

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(N, 5)).astype(np.float32), RNG.integers(0, 3, N)
SHAPES = 2  # a whole batch and the last one, which is short

jax_only = [
    pytest.mark.own_context,
    pytest.mark.targets("jax:cpu", "jax:cuda"),
    pytest.mark.dtypes("float32"),
]
torch_only = [
    pytest.mark.own_context,
    pytest.mark.targets("torch:cpu", "torch:cuda", "torch:mps"),
    pytest.mark.dtypes("float32"),
]


def marked(marks):
    def apply(test):
        for mark in marks:
            test = mark(test)
        return test

    return apply


@pytest.fixture
def compilations():
    """Names of the functions that JAX compiles meanwhile."""
    import jax

    seen: list[str] = []
    listening = [True]  # JAX has no public way to take a listener back

    def note(event, duration, **details):
        if listening and event == "/jax/core/compile/backend_compile_duration":
            seen.append(str(details.get("fun_name", event)))

    jax.monitoring.register_event_duration_secs_listener(note)
    yield seen
    listening.clear()


def counting_traces(monkeypatch):
    """Count how often Python runs through a step; a compiled one is run through once a shape."""
    traces = []
    original = Network.loss_and_gradient

    def loss_and_gradient(self, *arguments, **options):
        traces.append(self)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Network, "loss_and_gradient", loss_and_gradient)
    return traces


def dropping(**more):
    """A network unlike that of any other test, so that nothing is compiled already."""
    layer = {"dropout": 0.5, "activation": Activation("mine", *SQUARE)}
    return Option(layer, {"input_dropout": 0.25}, more)


SQUARE = (lambda z, xp: z * z, lambda z, a, xp: 2.0 * z)


@marked(jax_only)
def test_a_step_is_compiled_once_a_batch_shape(target, monkeypatch, compilations):
    """Nothing is run in Python, and nothing compiled again, after the first epoch."""
    traces = counting_traces(monkeypatch)
    later: list[int] = []

    def callback(end):
        later.append(len(compilations))

    option = dropping(epochs=6, schedule=xpnn.get_schedule("cosine"))
    network, config = option.make()
    state, data = start(target, network, config)
    train(network, state, data, config, callbacks=[callback])
    assert len(traces) == SHAPES
    assert later[0] >= SHAPES  # the events are those of this version of JAX
    assert later[1:] == later[1:2] * 5  # whatever the learning rate, the keys and the step are
    train(network, state, data, config)
    assert len(traces) == SHAPES  # nor in a later call
    assert len(compilations) == later[-1]


def start(target, network, config):
    backend = target.backend
    theta, buffers = (backend.asarray(a, dtype="float32") for a in network.init(1))
    with backend.device_context():
        moments = config.optimizer.init(theta, backend.xp)
    data = Dataset(X, Y, None, backend, target.dtype)
    return TrainingState(theta, buffers, moments, seed=1), data


@marked(jax_only)
def test_nothing_of_a_step_is_outside_the_compiled_function(target, monkeypatch):
    """The only JAX computation inside an epoch, beside placing the order, is the step."""
    from xpnn.steps import reference

    option = dropping(epochs=3, l2=0.01, clip_norm=1.0, max_norm=0.7)
    network, config = option.make()
    state, data = start(target, network, config)
    calls, arrays = [], []
    original = compile_function

    def compiled(function, xp, **options):
        jitted = original(function, xp, **options)

        def step(*arguments):
            calls.append(function.__name__)
            result = jitted(*arguments)
            arrays.append(arguments[0])
            return result

        return step

    monkeypatch.setattr(reference, "compiled", compiled)
    train(network, state, data, config)
    assert len(calls) == 3 * -(-N // BATCH)  # one call a step: gather, loss, gradient, update
    assert all(theta.is_deleted() for theta in arrays)  # donated: its memory is the successor's


@marked(jax_only)
def test_predicting_is_compiled_too(target, monkeypatch, compilations):
    x, y = (target.backend.asarray(a) for a in (X, Y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = xpnn.MLPClassifier((7,), max_iter=2, batch_size=5, random_state=0).fit(x, y)
    model.predict_proba(x)
    before = len(compilations)
    model.predict_proba(x)
    assert len(compilations) == before


@marked(jax_only)
@pytest.mark.parametrize("x64", [False, True])
def test_both_precisions_have_their_own_program(target, x64):
    with jax_x64(x64), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dtype = "float64" if x64 else "float32"
        x = target.backend.asarray(X.astype(dtype))
        model = xpnn.MLPClassifier((7,), max_iter=2, batch_size=5, random_state=0)
        assert model.fit(x, Y).predict_proba(x).dtype == dtype


# -- torch ---------------------------------------------------------------------------------------


@pytest.fixture
def no_graph():
    """Any tensor kept for a backward pass is an error."""
    import torch

    def refuse(tensor):
        raise AssertionError("autograd keeps a tensor: a graph is being built")

    with torch.autograd.graph.saved_tensors_hooks(refuse, lambda x: x):
        leaf = torch.ones(2, requires_grad=True)
        with pytest.raises(AssertionError, match="graph"):
            (leaf * leaf).sum()  # the hook works
        yield


@marked(torch_only)
@pytest.mark.usefixtures("no_graph")
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor", "Perceptron"])
def test_no_graph_is_built_for_inputs_that_require_gradients(target, name):
    import torch

    if not hasattr(xpnn, name):
        pytest.skip(f"no {name}")
    x = target.asarray(X).requires_grad_(True)
    y = target.asarray(RNG.normal(size=N)) if "Reg" in name else target.asarray(Y)
    weight = target.asarray(np.ones(N)).requires_grad_(True)
    model = getattr(xpnn, name)(max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y, sample_weight=weight)
        model.partial_fit(x, y)
    results = [model.predict(x), *vars(model).values(), *getattr(model, "coefs_", [])]
    results += [
        f(x) for m in ("predict_proba", "decision_function") if (f := getattr(model, m, None))
    ]
    state = getattr(model, "_state", None)
    results += [] if state is None else [state.theta, state.buffers, *state.moments]
    tensors = [a for a in results if isinstance(a, torch.Tensor)]
    assert len(tensors) >= 2
    assert not any(a.requires_grad or a.grad_fn is not None for a in tensors)
    assert x.requires_grad
    assert x.grad is None
    assert isinstance(model.score(x, y), float)


@marked(torch_only)
@pytest.mark.usefixtures("no_graph")
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_no_option_builds_a_graph(target, option):
    import torch

    grads = []

    class Watching(SGD):
        def update(self, theta, gradient, *rest):
            grads.append(torch.is_grad_enabled() or theta.requires_grad or gradient.requires_grad)
            return super().update(theta, gradient, *rest)

    network, config = option.make()
    if type(config.optimizer) is SGD:
        config = type(config)(**{**vars(config), "optimizer": Watching()})
    train_watched(target, network, config, *option.rows(), stream=option.stream)
    assert not any(grads)


@pytest.mark.targets("torch:cpu")
@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_a_whole_step_reads_no_value_on_torch_meta(target, option):
    """Tensors of the `meta` device have no values: a step that looks at one raises."""
    import torch

    def meta(a):
        return torch.empty(a.shape, dtype=a.dtype, device="meta")

    network, config = option.make()
    x, y, weight = (None if a is None else meta(target.asarray(a)) for a in option.rows())
    theta, buffers = (meta(target.asarray(a)) for a in network.init(1))
    keys = [(1, 2)] * 3
    with torch.no_grad():
        value, gradient, _ = network.loss_and_gradient(
            theta, buffers, x, y, weight, config.loss, target.xp, keys=keys
        )
        moments = config.optimizer.init(theta, target.xp)
        new, _ = config.optimizer.update(
            theta, gradient, moments, config.optimizer.coefficients(0.1, 1), None, target.xp
        )
    assert new.device.type == value.device.type == "meta"
    assert new.shape == theta.shape
