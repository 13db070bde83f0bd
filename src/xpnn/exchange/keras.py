"""Keras' `Sequential` of dense layers as our estimators, and back."""

from typing import Any

import numpy as np

from xpnn._optional import needed
from xpnn.arrays.backend import get_backend
from xpnn.exchange.stack import Normalization, Part, Piece, estimator_of, stack_from, stack_of
from xpnn.model.normalization import EPSILON, MOMENTUM

_ACTIVATIONS = {
    "identity": "linear",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "elu": "elu",
    "selu": "selu",
    "silu": "silu",
    "mish": "mish",
    "softplus": "softplus",
    "softsign": "softsign",
    "hard_sigmoid": "hard_sigmoid",
    "exp": "exponential",
    "softmax": "softmax",
    "log_softmax": "log_softmax",
}
"""Keras' functions by our names: those that are the same."""

_KINDS = (
    "Dense, BatchNormalization or LayerNormalization, an activation "
    f"({', '.join(_ACTIVATIONS.values())}), Dropout"
)


def from_keras(model: Any, classes: Any = None) -> Any:
    """Make an estimator of Keras' dense layers.

    Parameters
    ----------
    model : keras.Sequential
        Built; of Dense, Activation and activation layers, Dropout, BatchNormalization and
        LayerNormalization, the normalization between the map and its activation.
    classes : array-like of shape (n_classes,), default=None
        The labels of the outputs. Without them a model that ends in softmax, log_softmax or
        sigmoid is a classifier of 0, 1, ..., and any other one a regressor.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With copies of the weights, on NumPy; `partial_fit` goes on from them, with moments of
        its own.

    Raises
    ------
    TypeError
        For a model that is no Sequential.
    ValueError
        For a layer, or an order of them, that our networks have not.

    Examples
    --------
    >>> import keras  # doctest: +SKIP
    >>> layers = [keras.Input((4,)), keras.layers.Dense(3, "softmax")]  # doctest: +SKIP
    >>> net = keras.Sequential(layers)  # doctest: +SKIP
    >>> xpnn.from_keras(net, classes=["a", "b", "c"])  # doctest: +SKIP
    """
    keras = needed("keras", "Reading and writing Keras models")
    if not isinstance(model, keras.Sequential):
        raise TypeError(f"from_keras takes a keras.Sequential, got {type(model).__name__}.")
    if not model.built:
        raise ValueError("The model has no weights yet: give it an Input, or call build.")
    stack = stack_from(((layer, _piece(layer, keras)) for layer in model.layers), _KINDS)
    dtype = "float64" if model.weights[0].dtype == "float64" else "float32"
    return estimator_of(stack, classes, get_backend("numpy"), dtype)


def _piece(layer: Any, keras: Any) -> Piece:
    """What a layer is."""
    layers = keras.layers
    arrays = [np.asarray(a, dtype=np.float64) for a in layer.get_weights()]
    if isinstance(layer, layers.Dense):
        bias = arrays[1] if layer.use_bias else np.zeros(arrays[0].shape[1])
        name = _name(layer.activation, layer, keras)
        return None if name is None else Part(arrays[0], bias, name)
    if isinstance(layer, layers.Dropout):
        return float(layer.rate)
    if isinstance(layer, layers.BatchNormalization | layers.LayerNormalization):
        kind = "batch" if isinstance(layer, layers.BatchNormalization) else "layer"
        scale = arrays.pop(0) if layer.scale else None
        shift = arrays.pop(0) if layer.center else None
        return Normalization(kind, float(layer.epsilon), scale, shift, *arrays)
    return _name(getattr(layer, "activation", None), layer, keras)


def _name(function: Any, layer: Any, keras: Any) -> str | None:
    """Our name of an activation, or of a layer that is one; None for others."""
    if type(layer) is keras.layers.LeakyReLU and np.isclose(layer.negative_slope, 0.01):
        return "leaky_relu"
    plain = {"ReLU": "relu", "Softmax": "softmax", "ELU": "elu"}.get(type(layer).__name__)
    if plain is not None:
        same: dict[str, tuple[Any, ...]]
        same = {"max_value": (None,), "threshold": (0.0,), "axis": (-1,), "alpha": (1.0,)}
        same |= {"negative_slope": (0.0, None)}
        config = layer.get_config()
        if all(config.get(k, values[0]) in values for k, values in same.items()):
            return plain
    for ours, theirs in _ACTIVATIONS.items():
        if function is not None and function is getattr(keras.activations, theirs):
            return ours
    return None


def to_keras(model: Any, *, link: bool = True) -> Any:
    """Make Keras' dense layers of an estimator.

    Parameters
    ----------
    model : fitted MLPClassifier, MLPRegressor or Perceptron of xpnn
    link : bool, default=True
        Whether the last activation makes predictions of outputs, such as probabilities.

    Returns
    -------
    keras.Sequential
        Built, with copies of the weights. Of two classes it gives the second one's probability.

    Raises
    ------
    TypeError
        For other estimators.
    ValueError
        For members, an embedding, and activations that Keras has not.
    sklearn.exceptions.NotFittedError
        Before fit.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnn
    >>> model = xpnn.MLPRegressor(max_iter=3).partial_fit(np.eye(3), np.arange(3.0))
    >>> xpnn.to_keras(model).output_shape  # doctest: +SKIP
    (None, 1)
    """
    keras = needed("keras", "Reading and writing Keras models")
    stack, made, weights = stack_of(model), list[Any](), list[np.ndarray]()
    dtype = str(stack.parts[0].weight.dtype)
    if link and stack.link != "identity":
        stack.parts[-1].activation = stack.link
    made.append(keras.Input((stack.parts[0].weight.shape[0],), dtype=dtype))
    if stack.input_dropout:
        made.append(keras.layers.Dropout(stack.input_dropout, dtype=dtype))
    for part in stack.parts:
        layers, arrays = _written(part, keras, dtype)
        made, weights = made + layers, weights + arrays
    found = keras.Sequential(made)
    found.set_weights(weights)
    return found


def _written(part: Part, keras: Any, dtype: str) -> tuple[list[Any], list[np.ndarray]]:
    layers, n_out = keras.layers, part.weight.shape[1]
    plain = part.normalization is None
    made = [layers.Dense(n_out, use_bias=plain, dtype=dtype)]
    arrays = [part.weight, part.bias] if plain else [part.weight, part.scale, part.bias]
    if part.normalization == "batch":
        about = {"epsilon": EPSILON, "momentum": 1.0 - MOMENTUM, "dtype": dtype}
        made.append(layers.BatchNormalization(**about))
        arrays += [part.mean, part.variance]
    elif not plain:
        made.append(layers.LayerNormalization(epsilon=EPSILON, dtype=dtype))
    if part.activation == "leaky_relu":
        made.append(layers.LeakyReLU(negative_slope=0.01, dtype=dtype))
    elif part.activation not in _ACTIVATIONS:
        raise ValueError(
            f"Keras has no {part.activation!r} that is ours; xpnn.to_onnx has all activations."
        )
    elif part.activation != "identity":
        made.append(layers.Activation(_ACTIVATIONS[part.activation], dtype=dtype))
    if part.dropout:
        made.append(layers.Dropout(part.dropout, dtype=dtype))
    return made, [np.asarray(a) for a in arrays]
