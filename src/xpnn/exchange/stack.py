"""A stack of dense layers as other libraries have it, and our estimators of it, and back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpnn._warnings import warn_user
from xpnn.arrays.backend import Backend, to_numpy
from xpnn.estimators import MLPClassifier, MLPRegressor, Perceptron
from xpnn.exchange.scikit import sample_target
from xpnn.model.network import Dense
from xpnn.model.normalization import EPSILON
from xpnn.parts.activations import activation_name
from xpnn.training.data import dense

LINKS = ("identity", "softmax", "log_softmax", "sigmoid", "exp")
"""What a last activation may be: it makes predictions of outputs, and is no part of training."""

SCALES = ("relu", "leaky_relu", "identity")
"""Activations before and behind which a dropout is the same."""


class Normalization(NamedTuple):
    """Between an affine map and its activation; None is a scale of ones, or a shift of zeros."""

    kind: str
    epsilon: float
    scale: np.ndarray | None
    shift: np.ndarray | None
    mean: np.ndarray | None = None
    variance: np.ndarray | None = None


@dataclass(eq=False)
class Part:
    """A dense layer: x @ weight + bias, a normalization, an activation, dropout."""

    weight: np.ndarray  # (n_in, n_out)
    bias: np.ndarray  # (n_out,); behind a normalization
    activation: str = "identity"
    normalization: str | None = None
    scale: np.ndarray | None = None
    mean: np.ndarray | None = None
    variance: np.ndarray | None = None
    dropout: float = 0.0

    def normalize(self, found: Normalization) -> None:
        """Put a normalization behind the affine map."""
        kind, epsilon, scale, shift, mean, variance = found
        n = self.weight.shape[1]
        self.normalization, self.scale = kind, np.ones(n) if scale is None else scale
        before, self.bias = self.bias, np.zeros(n) if shift is None else shift
        if kind == "batch":  # the bias before it, and another epsilon, go into the statistics
            if mean is None or variance is None:
                raise ValueError("A batch normalization has no running statistics to predict by.")
            self.mean, self.variance = mean - before, variance + epsilon - EPSILON
        elif before.any():
            raise ValueError(
                "A layer normalization behind an affine map with a bias is not in xpnn: make the "
                "map without a bias; the normalization adds one behind it."
            )
        elif not np.isclose(epsilon, EPSILON):
            raise ValueError(
                f"A layer normalization has epsilon {epsilon:g}, and that of xpnn has {EPSILON:g}: "
                "make it with this one."
            )


@dataclass(eq=False)
class Stack:
    """Dense layers, and what is around them."""

    parts: list[Part]
    input_dropout: float = 0.0
    link: str = "identity"

    def drop(self, rate: float) -> None:
        """Dropout of what comes out of the last layer so far, or of the inputs."""
        before = self.parts[-1].dropout if self.parts else self.input_dropout
        both = 1.0 - (1.0 - before) * (1.0 - rate) if before else rate
        if self.parts:
            self.parts[-1].dropout = both
        else:
            self.input_dropout = both


Piece = Part | Normalization | float | str | None
"""What a layer of another library is: an affine map, perhaps with its activation; a normalization;
a dropout's rate; an activation's name; None for what our networks have not."""


def stack_from(layers: Iterable[tuple[Any, Piece]], kinds: str) -> Stack:
    """A stack of another library's layers.

    Parameters
    ----------
    layers : iterable of (layer, Piece)
        Each in the order of the model, as the other library has it and what it is here.
    kinds : str
        What layers may be, in the other library's words.
    """
    stack = Stack([])
    for layer, piece in layers:
        last = stack.parts[-1] if stack.parts else None
        if isinstance(piece, Part):
            stack.parts.append(piece)
        elif isinstance(piece, float):
            stack.drop(piece)
        elif last is None or piece is None or last.activation != "identity":
            behind = f"behind {last.activation!r}" if last else "at the beginning"
            raise _unknown(layer, behind, kinds)
        elif isinstance(piece, str):
            if last.dropout and piece not in SCALES:
                raise ValueError(
                    f"A Dropout before {piece} is not in xpnn: put it behind the activation."
                )
            last.activation = piece
        elif last.dropout or last.normalization:
            raise _unknown(layer, "behind a dropout or a normalization", kinds)
        else:
            last.normalize(piece)
    if not stack.parts:
        affine = kinds.partition(",")[0]
        raise ValueError(f"The model has no {affine}, so there is nothing to take over.")
    return stack


def _unknown(layer: Any, behind: str, kinds: str) -> ValueError:
    return ValueError(f"{layer!r} {behind} is not in xpnn: each layer is {kinds}.")


def estimator_of(stack: Stack, classes: Any, backend: Backend, dtype: str) -> Any:
    """Our estimator that computes what a stack does.

    Parameters
    ----------
    stack : Stack
        Whose last activation, if it can be one, becomes the link.
    classes : array-like, "multilabel" or None
        Labels; None goes by the link.
    backend : Backend
        Where it shall work.
    dtype : {"float32", "float64"}
    """
    _check_widths(stack)
    _take_link(stack)
    last = stack.parts[-1]
    if classes is None and stack.link in ("softmax", "log_softmax", "sigmoid"):
        several = stack.link == "sigmoid" and last.weight.shape[1] > 1
        classes = "multilabel" if several else np.arange(max(2, last.weight.shape[1]))
    if classes is not None:
        classes = _sorted(classes, stack)
    elif stack.link not in ("identity", "exp"):
        raise ValueError(f"Outputs by {stack.link!r} are of classes.")
    hidden, n_outputs = stack.parts[:-1], last.weight.shape[1]
    params: dict[str, Any] = {
        "hidden_layer_sizes": tuple(int(part.weight.shape[1]) for part in hidden),
        "activation": [part.activation for part in hidden],
        "normalization": _only([part.normalization for part in hidden]),
        "dropout": _dropout(hidden),
        "input_dropout": stack.input_dropout,
    }
    if classes is None:
        params |= {"loss": "poisson"} if stack.link == "exp" else {}
    model: Any = (MLPRegressor if classes is None else MLPClassifier)(**params)
    y = sample_target(classes, n_outputs)
    x = np.zeros((len(y), stack.parts[0].weight.shape[0]), dtype)
    model.initialize(backend.asarray(x), y)
    _fill(model, stack)
    return model


def _check_widths(stack: Stack) -> None:
    for i, (part, after) in enumerate(pairwise(stack.parts), start=1):
        n_out, n_in = part.weight.shape[1], after.weight.shape[0]
        if n_out != n_in:
            raise ValueError(
                f"Layer {i} gives {n_out} numbers and layer {i + 1} takes {n_in}: such a model "
                "cannot predict."
            )


def _take_link(stack: Stack) -> None:
    """The last layer's activation is the link, unless there is one."""
    last = stack.parts[-1]
    if last.activation != "identity" and stack.link == "identity":
        stack.link, last.activation = last.activation, "identity"
    if last.activation != "identity" or stack.link not in LINKS or last.normalization:
        raise ValueError(
            f"The last layer has activation {stack.link!r} and normalization "
            f"{last.normalization!r}, expected an affine map alone, and behind it at most one of "
            f"{', '.join(LINKS[1:])}."
        )
    if last.dropout:
        raise ValueError("There is a dropout of the outputs, which xpnn has not: leave it out.")


def _sorted(classes: Any, stack: Stack) -> Any:
    """The classes as ours stand, and the last layer's columns with them: two classes have one."""
    last = stack.parts[-1]
    n_outputs = last.weight.shape[1]
    if stack.link in ("softmax", "log_softmax") and n_outputs == 1:
        raise ValueError(
            f"The model ends in {stack.link} of one output, which is the same number for all rows: "
            "give it an output for each class, or end it in a sigmoid."
        )
    if isinstance(classes, str) and classes == "multilabel":
        return classes
    if stack.link == "sigmoid" and n_outputs > 1:
        raise ValueError(
            f"The model ends in a sigmoid of {n_outputs} outputs, which may be true together: "
            "leave classes out for labels of 0 and 1, or end it in a softmax."
        )
    labels = np.asarray(to_numpy(classes) if hasattr(classes, "dtype") else list(classes))
    wanted = max(2, n_outputs)
    if labels.shape != (wanted,) or len(np.unique(labels)) != wanted:
        raise ValueError(
            f"classes is {labels.tolist()!r}, expected {wanted} different labels for "
            f"{n_outputs} outputs."
        )
    order = np.argsort(labels)
    if n_outputs > 2:
        last.weight, last.bias = last.weight[:, order], last.bias[order]
    else:
        pair = np.array([[-1.0, 1.0]]).T if n_outputs == 2 else np.array([[1.0]])
        sign = 1.0 if order[0] == 0 else -1.0
        last.weight, last.bias = last.weight @ pair * sign, last.bias @ pair * sign
    return labels[order]


def _only(kinds: Sequence[str | None]) -> str | None:
    if len(set(kinds)) > 1:
        raise ValueError(
            f"The hidden layers have the normalizations {list(kinds)}, expected one kind for all "
            "of them, or none."
        )
    return kinds[0] if kinds else None


def _dropout(hidden: Sequence[Part]) -> float:
    rates = [part.dropout for part in hidden] or [0.0]
    if len(set(rates)) > 1:
        warn_user(
            f"The hidden layers drop {rates}, which are not alike: predictions are the same, and a "
            f"training that goes on drops {max(rates)} of each."
        )
    return max(rates)


def _fill(model: Any, stack: Stack) -> None:
    """Put a stack's arrays into an estimator's flat vectors."""
    network, backend, state = model.network_, model._backend, model._state
    vectors = []
    for layout in (network.layout, network.buffer_layout):
        vector = np.zeros(layout.size)
        for e in layout.entries:
            values = getattr(stack.parts[e.layer], e.part)
            vector[e.offset : e.offset + e.size] = np.ravel(values)
        if not np.isfinite(vector).all():
            raise ValueError("The model's weights are not all finite.")
        vectors.append(backend.asarray(vector, dtype=model._dtype))
    model._state = replace(state, theta=vectors[0], buffers=vectors[1])


def stack_of(model: Any) -> Stack:
    """The dense layers of a fitted network or perceptron of ours.

    Parameters
    ----------
    model : fitted MLPClassifier, MLPRegressor or Perceptron
    """
    if not isinstance(model, MLPClassifier | MLPRegressor | Perceptron):
        raise TypeError(
            f"Expected a fitted MLPClassifier, MLPRegressor or Perceptron of xpnn, got {model!r}; "
            "xpnn.to_onnx has all estimators."
        )
    check_is_fitted(model)
    if isinstance(model, Perceptron):
        return Stack([Part(to_numpy(dense(model.coef_)).T, to_numpy(model.intercept_))])
    network, state = model.network_, model._state
    if network.members > 1 or any(type(layer) is not Dense for layer in network.layers):
        raise ValueError(
            "members and embedding have no counterpart in a stack of dense layers; xpnn.to_onnx "
            "has them."
        )
    n, parts = len(network.layers), []
    pairs = (network.layout, state.theta), (network.buffer_layout, state.buffers)
    weights, statistics = (layout.by_layer(to_numpy(v), np, n) for layout, v in pairs)
    for layer, w, s in zip(network.layers, weights, statistics, strict=True):
        bias = w.get("bias", np.zeros(layer.n_out, w["weight"].dtype))
        part = Part(w["weight"], bias, activation_name(layer.activation), layer.normalization)
        part.scale, part.mean, part.variance = w.get("scale"), s.get("mean"), s.get("variance")
        part.dropout = layer.dropout
        parts.append(part)
    link = "identity" if getattr(model, "loss", "") == "hinge" else activation_name(network.link)
    return Stack(parts, network.input_dropout, link)
