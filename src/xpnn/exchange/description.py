"""A fitted estimator as what its predictions need: layers of host arrays, and their meaning.

ONNX and C are written from this, so that both compute the same.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpnn.arrays.backend import to_numpy
from xpnn.estimators import (
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    TabularClassifier,
    TabularRegressor,
)
from xpnn.model.network import Dense, Network, PeriodicEmbedding, Scale
from xpnn.model.normalization import EPSILON
from xpnn.parts.activations import activation_name
from xpnn.tables.encoding import Encoding
from xpnn.training.data import dense


@dataclass(frozen=True, eq=False)
class Affine:
    """Dense neurons: x @ weight + bias, perhaps layer normalization, then the activation.

    The first axis of all arrays is that of the networks; batch normalization is in the weights.
    """

    weight: np.ndarray  # (k, n_in, n_out)
    bias: np.ndarray  # (k, n_out)
    activation: str
    scale: np.ndarray | None = None  # (k, n_out): there is layer normalization, and then `bias`
    epsilon: float = EPSILON


@dataclass(frozen=True, eq=False)
class Factors:
    """Each feature times a number."""

    factor: np.ndarray  # (k, n)


@dataclass(frozen=True, eq=False)
class Waves:
    """`PeriodicEmbedding`: each feature x as [x, cos(2 pi f x + c) V + b]; the last ones pass."""

    frequency: np.ndarray  # (k, n, f), 2 pi is in it
    phase: np.ndarray  # (k, n, f)
    weight: np.ndarray  # (k, n, f, d)
    bias: np.ndarray  # (k, n, d)
    passed: int


@dataclass(frozen=True, eq=False)
class ClassOutput:
    """Outputs that are classes.

    `kind` as in `Labels`; a binary problem has one output unless it is a table's. `margins`:
    outputs are scores. `logits`: those scores are logits of the mean probability of the networks,
    else their mean. `temperature`: probabilities are calibrated by it.
    """

    kind: Literal["binary", "multiclass", "multilabel"]
    classes: np.ndarray
    margins: bool = False
    logits: bool = False
    temperature: float | None = None


@dataclass(frozen=True, eq=False)
class NumberOutput:
    """Outputs that are numbers: link(output) x spread + center, within low and high.

    `middle`: outputs are quantiles, and this one is predicted. `log_share`: the second output is
    the logarithm of the first, and its exponential counts so much in the one prediction.
    """

    link: str
    spread: np.ndarray | None = None
    center: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    middle: int | None = None
    log_share: float | None = None


Step = Affine | Factors | Waves


@dataclass(frozen=True, eq=False)
class Description:
    """All that a prediction needs."""

    n_in: int  # inputs of the networks
    n_out: int
    layers: tuple[Step, ...]
    shares: np.ndarray  # what each of k networks counts in the mean, with the sum 1
    output: ClassOutput | NumberOutput
    columns: list[str] | None = None  # names of a table's columns; None where X is a matrix
    encoding: Encoding | None = None  # how a table becomes the networks' inputs


def describe(model: Any) -> Description:
    """What the predictions of a fitted estimator need.

    Parameters
    ----------
    model : fitted estimator of xpnn

    Raises
    ------
    ValueError
        For an activation or a layer of the user's own, whose code no file can hold.
    sklearn.exceptions.NotFittedError
        Before fit.
    """
    known: tuple[tuple[Any, Any], ...] = (
        ((TabularClassifier, TabularRegressor), _of_table),
        ((MLPClassifier, MLPRegressor), _of_network),
        (Perceptron, _of_perceptron),
    )
    for classes, read in known:
        if isinstance(model, classes):
            check_is_fitted(model)
            found: Description = read(model)
            return found
    if not hasattr(model, "get_params"):
        raise TypeError(f"Only fitted estimators of xpnn can be exported, got {model!r}.")
    raise TypeError(
        f"Only fitted estimators of xpnn can be exported, got {type(model).__name__}: skl2onnx "
        "takes pipelines, searches and the like to ONNX after xpnn.register_converters(); or take "
        "the estimator in it, as search.best_estimator_ or pipeline[-1], without what comes before."
    )


# -- estimators -----------------------------------------------------------------------------------


def _of_network(model: Any) -> Description:
    network, state = model.network_, model._state
    layers = steps(network, [(to_numpy(state.theta), to_numpy(state.buffers))])
    shares = np.full(network.members, 1.0 / network.members)
    output: ClassOutput | NumberOutput
    if isinstance(model, MLPClassifier):
        labels = model._labels
        output = ClassOutput(labels.kind, labels.classes, model._has_margins())
    else:
        output = NumberOutput(activation_name(network.link))
    return Description(network.n_in, network.n_out, layers, shares, output)


def _of_perceptron(model: Any) -> Description:
    weight = to_numpy(dense(model.coef_)).astype(np.float64).T
    bias = to_numpy(model.intercept_).astype(np.float64)
    layers = (Affine(weight[None], bias[None], "identity"),)
    output = ClassOutput(model._labels.kind, model._labels.classes, margins=True)
    n_in, n_out = weight.shape
    return Description(n_in, n_out, layers, np.ones(1), output)


def _of_table(model: Any) -> Description:
    network, kept = model.network_, list(model._kept())
    layers = steps(network, [(to_numpy(k.theta), to_numpy(k.buffers)) for k in kept])
    shares = np.repeat([k.weight for k in kept], network.members) / network.members
    output: ClassOutput | NumberOutput
    if isinstance(model, TabularClassifier):
        labels, temperature = model._labels, float(model.temperature_)
        output = ClassOutput("multiclass", labels.classes, temperature=temperature)
    else:
        middle = None if model.quantiles_ is None else model._middle
        about = (model._spread, model._center, model._low, model._high)
        output = NumberOutput(activation_name(network.link), *about, middle, model.log_share_)
    columns, encoding = model._columns, model.encoding_
    return Description(network.n_in, network.n_out, layers, shares, output, columns, encoding)


# -- layers ---------------------------------------------------------------------------------------


def steps(network: Network, weights: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Step, ...]:
    """The layers of a network, with the arrays of one or several of its states.

    Parameters
    ----------
    weights : list of (theta, buffers)
        Host arrays; their members stand behind each other on the first axis.
    """
    n, each = len(network.layers), []
    for theta, buffers in weights:
        pair = (network.layout, theta), (network.buffer_layout, buffers)
        each.append([layout.by_layer(v.astype(np.float64), np, n) for layout, v in pair])
    single, found = network.members == 1, list[Step]()
    for i, layer in enumerate(network.layers):
        parts = {}
        for name in {**each[0][0][i], **each[0][1][i]}:
            arrays = [{**p[i], **s[i]}[name] for p, s in each]
            parts[name] = np.stack(arrays) if single else np.concatenate(arrays)
        found.append(_step(layer, parts))
    return tuple(found)


def _step(layer: Any, parts: dict[str, np.ndarray]) -> Step:
    if type(layer) is Dense:
        return _affine(layer, parts)
    if type(layer) is Scale:
        return Factors(parts["scale"])
    if type(layer) is PeriodicEmbedding:
        frequency = 2.0 * np.pi * parts["frequency"]
        return Waves(frequency, parts["phase"], parts["weight"], parts["bias"], layer.passed)
    raise ValueError(
        f"The layer {layer!r} is of your own kind, which no file can hold without code; use a "
        "built-in one, or pickle the estimator."
    )


def _affine(layer: Dense, parts: dict[str, np.ndarray]) -> Affine:
    name, weight = activation_name(layer.activation), parts["weight"]
    bias = parts.get("bias", np.zeros((len(weight), layer.n_out)))
    if layer.normalization == "layer":
        return Affine(weight, bias, name, parts["scale"])
    if layer.normalization == "batch":
        factor = parts["scale"] / np.sqrt(parts["variance"] + EPSILON)
        weight, bias = weight * factor[:, None, :], bias - parts["mean"] * factor
    return Affine(weight, bias, name)
