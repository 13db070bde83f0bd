"""Layers and activations as nodes of ONNX, of one network or of several at once."""

from collections.abc import Callable

import numpy as np

from xpnn.arrays.numeric import largest_exponent
from xpnn.exchange.description import Affine, Factors, Step, Waves
from xpnn.exchange.onnx.graph import Graph
from xpnn.parts.activations import (
    GELU_CUBIC,
    GELU_SLOPE,
    LEAKY_SLOPE,
    SELU_ALPHA,
    SELU_SCALE,
)


def _gelu(g: Graph, z: str) -> str:
    """Taken apart, as the operator is newer."""
    cubic = g.add("Add", g.add("Mul", g.add("Mul", z, z), GELU_CUBIC), 1.0)
    inner = g.add("Tanh", g.add("Mul", g.add("Mul", z, GELU_SLOPE), cubic))
    return g.add("Mul", g.add("Mul", z, 0.5), g.add("Add", inner, 1.0))


def _step(g: Graph, z: str) -> str:
    return g.cast(g.add("GreaterOrEqual", z, 0.0), "float32")


def _exp(g: Graph, z: str) -> str:
    """Held at the largest finite power, as ours is."""
    return g.add("Exp", g.add("Min", z, float(largest_exponent(np.dtype(np.float32), np))))


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda g, z: z,
    "step": _step,
    "sigmoid": lambda g, z: g.add("Sigmoid", z),
    "tanh": lambda g, z: g.add("Tanh", z),
    "relu": lambda g, z: g.add("Relu", z),
    "leaky_relu": lambda g, z: g.add("LeakyRelu", z, alpha=LEAKY_SLOPE),
    "elu": lambda g, z: g.add("Elu", z, alpha=1.0),
    "selu": lambda g, z: g.add("Selu", z, alpha=SELU_ALPHA, gamma=SELU_SCALE),
    "gelu": _gelu,
    "silu": lambda g, z: g.add("Mul", z, g.add("Sigmoid", z)),
    "mish": lambda g, z: g.add("Mul", z, g.add("Tanh", g.add("Softplus", z))),
    "softplus": lambda g, z: g.add("Softplus", z),
    "softsign": lambda g, z: g.add("Softsign", z),
    "hard_sigmoid": lambda g, z: g.add("HardSigmoid", z, alpha=1.0 / 6.0, beta=0.5),
    "exp": _exp,
    "softmax": lambda g, z: g.add("Softmax", z, axis=-1),
    "log_softmax": lambda g, z: g.add("LogSoftmax", z, axis=-1),
}
"""Nodes of each built-in activation."""


def add_layers(g: Graph, x: str, layers: tuple[Step, ...]) -> str:
    """Nodes of all layers.

    Parameters
    ----------
    x : str
        Inputs (batch, n_in), float32.
    layers : tuple of Affine, Factors or Waves

    Returns
    -------
    str
        Raw outputs: (batch, n_out), or (k, batch, n_out) of k networks.
    """
    for layer in layers:
        if isinstance(layer, Affine):
            x = _affine(g, x, layer)
        elif isinstance(layer, Factors):
            x = g.add("Mul", x, _rows(layer.factor))
        else:
            x = _waves(g, x, layer)
    return x


def _alone(a: np.ndarray) -> np.ndarray:
    """Float32; without the first axis where there is one network."""
    a = a.astype(np.float32)
    return a[0] if len(a) == 1 else a


def _rows(a: np.ndarray) -> np.ndarray:
    """A vector a network, so that it meets (batch, n) or (k, batch, n)."""
    return _alone(a[:, None, :])


def _affine(g: Graph, x: str, layer: Affine) -> str:
    z = g.add("MatMul", x, _alone(layer.weight))
    if layer.scale is not None:
        apart = g.add("Sub", z, _mean(g, z, layer))
        variance = _mean(g, g.add("Mul", apart, apart), layer)
        z = g.add("Div", apart, g.add("Sqrt", g.add("Add", variance, layer.epsilon)))
        z = g.add("Mul", z, _rows(layer.scale))
    z = g.add("Add", z, _rows(layer.bias))
    return ACTIVATIONS[layer.activation](g, z)


def _mean(g: Graph, values: str, layer: Affine) -> str:
    """Over the last axis; ReduceMean takes its axes otherwise before opset 18 than from it on."""
    total = g.add("ReduceSum", values, np.array([-1]), keepdims=1)
    return g.add("Mul", total, 1.0 / layer.weight.shape[2])


def _waves(g: Graph, x: str, layer: Waves) -> str:
    """Features first, so that each one's waves meet its weights in one product."""
    k, n, _, d = layer.weight.shape
    passing, axes = x, np.array([1])
    if layer.passed:
        x = g.add("Slice", x, np.array([0]), np.array([n]), axes)
        passing = g.add("Slice", passing, np.array([n]), np.array([n + layer.passed]), axes)
    column = g.add("Unsqueeze", g.add("Transpose", x, perm=[1, 0]), np.array([2]))
    turn = g.add("Mul", column, _alone(layer.frequency[:, :, None, :]))
    wave = g.add("Cos", g.add("Add", turn, _alone(layer.phase[:, :, None, :])))
    y = g.add("MatMul", wave, _alone(layer.weight))
    y = g.add("Add", y, _alone(layer.bias[:, :, None, :]))
    if k > 1:
        column = g.add("Mul", column, np.ones((k, 1, 1, 1), dtype=np.float32))
        passing = g.add("Mul", passing, np.ones((k, 1, 1), dtype=np.float32))
    y = g.add("Concat", column, y, axis=-1)
    y = g.add("Transpose", y, perm=[1, 0, 2] if k == 1 else [0, 2, 1, 3])
    first = [] if k == 1 else [k]
    y = g.add("Reshape", y, np.array([*first, -1, n * (1 + d)]))
    return g.add("Concat", y, passing, axis=-1) if layer.passed else y
