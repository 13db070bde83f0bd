"""PyTorch's and Keras' dense layers as estimators and back: the same predictions."""

import copy
import importlib
import warnings

import numpy as np
import pytest
from exchanged import CODES, X, network
from sklearn.exceptions import NotFittedError

import xpnn

ROWS = X[:100]
SHARED = ("sigmoid", "tanh", "relu", "elu", "selu", "silu", "mish", "softplus", "softsign")
SHARED += ("hard_sigmoid", "leaky_relu", "softmax", "log_softmax")
SHAPES = {
    "plain": {},
    "batch": {"normalization": "batch", "dropout": 0.25, "input_dropout": 0.125},
    "layer": {"normalization": "layer"},
}


def close(found, wanted):
    np.testing.assert_allclose(xpnn.to_numpy(found), wanted, rtol=1e-5, atol=1e-5)


@pytest.fixture
def keras(torch, monkeypatch):
    """Keras on PyTorch, which is here."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    with warnings.catch_warnings():  # Keras' own, of its arrays
        warnings.filterwarnings("ignore", "__array__ implementation doesn't", DeprecationWarning)
        yield importlib.import_module("keras")


def nets(torch):
    """Modules, the labels of their outputs, and what predictions of probabilities are."""
    nn = torch.nn
    torch.manual_seed(0)
    deep = nn.Sequential(
        nn.Dropout(0.1),
        nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, eps=1e-3), nn.ReLU(), nn.Dropout(0.2)),
        *(nn.Linear(8, 5, bias=False), nn.BatchNorm1d(5, affine=False), nn.Tanh()),
        *(nn.Dropout(0.2), nn.Linear(5, 3)),
    )
    for _ in range(3):
        deep(torch.asarray(ROWS))
    softmax = lambda z: torch.softmax(z, -1)  # noqa: E731
    one = lambda z: torch.concat([1 - z, z], -1)  # noqa: E731
    return {
        "labels in another order": (deep.eval(), ["b", "c", "a"], softmax),
        "softmax of two": (nn.Sequential(nn.Linear(4, 2), nn.Softmax(1)), None, lambda z: z),
        "two logits": (nn.Sequential(nn.Linear(4, 2)), ["yes", "no"], softmax),
        "sigmoid": (nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()), ["yes", "no"], one),
        "several labels": (nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()), None, lambda z: z),
        "log-softmax": (nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(-1)), None, torch.exp),
    }


def test_classes_from_torch(torch):
    for name, (net, classes, probabilities) in nets(torch).items():
        x = torch.asarray(ROWS)
        wanted = probabilities(net(x)).detach().numpy()
        model = xpnn.from_torch(net, classes)
        order = np.argsort(classes) if classes else slice(None)
        close(model.predict_proba(x), wanted[:, order]), name
        if classes:
            assert model.classes_.tolist() == sorted(classes)
            labels = np.asarray(classes)[wanted.argmax(axis=1)]
            assert (model.predict(x) == labels).all()
            model.partial_fit(x, labels)
        host = model.to_device("numpy")
        assert isinstance(host.predict(ROWS), np.ndarray)


def test_numbers_from_torch(torch):
    nn = torch.nn
    net = nn.Sequential(
        *(nn.Flatten(), nn.Linear(4, 6, bias=False), nn.LayerNorm(6), nn.GELU("tanh")),
        *(nn.Identity(), nn.Linear(6, 2)),
    )
    x = torch.asarray(ROWS)
    model = xpnn.from_torch(net)
    close(model.predict(x), net(x).detach().numpy())
    before = copy.deepcopy(net.state_dict())
    model.partial_fit(x, x[:, :2])
    assert all(bool((before[k] == v).all()) for k, v in net.state_dict().items())  # copies
    wide = xpnn.from_torch(nn.Sequential(nn.Linear(4, 1)).double())
    assert wide.coefs_[0].dtype == torch.float64


@pytest.mark.parametrize("shape", SHAPES)
def test_to_torch_and_back(torch, shape):
    labels = np.array(["x", "y", "z"])[CODES]
    for model, give in [
        (network(xpnn.MLPClassifier, labels, **SHAPES[shape]), "predict_proba"),
        (network(xpnn.MLPRegressor, X[:, :2], **SHAPES[shape]), "predict"),
    ]:
        wanted = getattr(model, give)(ROWS)
        net = xpnn.to_torch(model)
        close(net(torch.asarray(ROWS)).detach(), wanted)
        again = xpnn.from_torch(net, getattr(model, "classes_", None))
        close(getattr(again, give)(torch.asarray(ROWS)), wanted)
        assert (again.dropout, again.input_dropout) == (model.dropout, model.input_dropout)
    logits = xpnn.to_torch(network(xpnn.MLPClassifier, CODES), link=False)
    assert type(logits[-1]) is torch.nn.Linear


def test_a_perceptron_and_two_classes_to_torch(torch):
    perceptron = xpnn.Perceptron().fit(X, CODES)
    found = xpnn.to_torch(perceptron)(torch.asarray(ROWS)).detach()
    close(found, perceptron.decision_function(ROWS))
    model = network(xpnn.MLPClassifier, CODES > 0, dtype="float64")
    found = xpnn.to_torch(model)(torch.asarray(ROWS).double())[:, 0].detach()
    close(found, model.predict_proba(ROWS)[:, 1])


def test_activations_to_torch_and_back(torch):
    for name in SHARED:
        model = xpnn.MLPRegressor("squared_error", (5,), name, random_state=0)
        net = xpnn.to_torch(model.initialize(X, X[:, 0]))
        close(net(torch.asarray(ROWS))[:, 0].detach(), model.predict(ROWS))
        close(xpnn.from_torch(net).predict(torch.asarray(ROWS)), model.predict(ROWS))


def test_activations_to_keras_and_back(keras):
    for name in SHARED:
        model = xpnn.MLPRegressor("squared_error", (5,), name, random_state=0)
        net = xpnn.to_keras(model.initialize(X, X[:, 0]))
        close(net.predict(ROWS, verbose=0)[:, 0], model.predict(ROWS))
        close(xpnn.from_keras(net).predict(ROWS), model.predict(ROWS))


@pytest.mark.parametrize("shape", SHAPES)
def test_to_keras_and_back(keras, shape):
    model = network(xpnn.MLPClassifier, CODES, **SHAPES[shape])
    net = xpnn.to_keras(model)
    close(net.predict(ROWS, verbose=0), model.predict_proba(ROWS))
    again = xpnn.from_keras(net, classes=["c", "b", "a"])
    close(again.predict_proba(ROWS), model.predict_proba(ROWS)[:, ::-1])
    assert again.dropout == model.dropout


def test_layers_of_keras(keras):
    layers = keras.layers
    net = keras.Sequential(
        [
            *(keras.Input((4,)), layers.Dense(6), layers.BatchNormalization(scale=False)),
            *(layers.ReLU(), layers.Dense(5, "tanh"), layers.Dense(2, "exponential")),
        ]
    )
    with pytest.raises(ValueError, match=r"normalizations \['batch', None\]"):
        xpnn.from_keras(net)
    net = keras.Sequential([keras.Input((4,)), layers.Dense(6), layers.ReLU(), layers.Dense(1)])
    close(xpnn.from_keras(net).predict(ROWS), net.predict(ROWS, verbose=0)[:, 0])
    for layer in (layers.Dense(3, "gelu"), layers.LeakyReLU(), layers.Reshape((2, 2))):
        with pytest.raises(ValueError, match="is not in xpnn: each layer is Dense"):
            xpnn.from_keras(keras.Sequential([keras.Input((4,)), layer, layers.Dense(1)]))
    with pytest.raises(TypeError, match=r"keras\.Sequential, got int"):
        xpnn.from_keras(1)
    with pytest.raises(ValueError, match="no weights yet"):
        xpnn.from_keras(keras.Sequential([layers.Dense(1)]))


def test_what_our_networks_have_not_is_refused(torch):
    nn = torch.nn
    for modules, message in [
        (
            [nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1)],
            r"'none'\) behind.* GELU\(approximate='tanh'\)",
        ),
        ([nn.Conv1d(4, 3, 1), nn.Linear(3, 1)], "at the beginning is not in xpnn"),
        ([nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 1)], "map without a bias"),
        ([nn.Linear(4, 3), nn.Dropout(0.1), nn.Tanh(), nn.Linear(3, 1)], "behind the activation"),
        ([nn.Linear(4, 3), nn.ReLU()], "activation 'relu' and normalization None"),
        ([nn.Linear(4, 3), nn.Dropout(0.1)], "a dropout of the outputs"),
        ([nn.ReLU()], "at the beginning"),
        ([], "no Linear"),
        ([nn.Linear(4, 3), nn.Linear(5, 1)], "Layer 1 gives 3 numbers and layer 2 takes 5"),
        ([nn.Linear(4, 1), nn.Softmax(dim=1)], "softmax of one output, which is the same number"),
        (
            [nn.Linear(4, 3, bias=False), nn.LayerNorm(3, eps=1e-3), nn.ReLU(), nn.Linear(3, 1)],
            "has epsilon 0.001, and that of xpnn has 1e-05",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            xpnn.from_torch(nn.Sequential(*modules))
    with pytest.raises(TypeError, match=r"takes a torch.nn.Sequential, got Linear"):
        xpnn.from_torch(nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"\['a', 'b'\], expected 3 different labels for 3"):
        xpnn.from_torch(nn.Sequential(nn.Linear(4, 3)), classes=["a", "b"])
    several = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())
    with pytest.raises(ValueError, match="sigmoid of 3 outputs, which may be true together"):
        xpnn.from_torch(several, classes=["a", "b", "c"])
    broken = nn.Sequential(nn.Linear(4, 1))
    with torch.no_grad():
        broken[0].bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="not all finite"):
        xpnn.from_torch(broken)
    uneven = [nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3, 3), nn.ReLU()]
    with pytest.warns(UserWarning, match=r"drop \[0.1, 0.0\], which are not alike"):
        xpnn.from_torch(nn.Sequential(*uneven, nn.Linear(3, 1)))


def test_what_torch_has_not_is_refused(torch):
    for options, message in [
        ({"members": 2}, "members and embedding have no counterpart"),
        ({"embedding": "periodic"}, "members and embedding have no counterpart"),
        ({"activation": "exp"}, "no module for the activation 'exp'"),
    ]:
        model = xpnn.MLPClassifier((3,), **options).initialize(X, CODES)
        with pytest.raises(ValueError, match=message):
            xpnn.to_torch(model)
    with pytest.raises(TypeError, match=r"xpnn.to_onnx has all estimators"):
        xpnn.to_torch(xpnn.TabularClassifier())
    with pytest.raises(NotFittedError):
        xpnn.to_torch(xpnn.MLPClassifier())
