"""PyTorch's `nn.Sequential` of dense layers as our estimators, and back."""

from typing import Any

import numpy as np

from xpnn._optional import needed
from xpnn.arrays.backend import dtype_name, get_backend, to_numpy
from xpnn.exchange.stack import Normalization, Part, Piece, estimator_of, stack_from, stack_of
from xpnn.model.normalization import EPSILON

# Modules by activation: the arguments that make each ours, and those that have to be so.
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("ReLU", {}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.01}),
    "elu": ("ELU", {"alpha": 1.0}),
    "selu": ("SELU", {}),
    "gelu": ("GELU", {"approximate": "tanh"}),
    "silu": ("SiLU", {}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {"beta": 1.0}),
    "softsign": ("Softsign", {}),
    "hard_sigmoid": ("Hardsigmoid", {}),
    "softmax": ("Softmax", {"dim": -1}),
    "log_softmax": ("LogSoftmax", {"dim": -1}),
}
_AS_CALLED = (
    f"{module}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})".removesuffix("()")
    for module, arguments in _ACTIVATIONS.values()
)
_KINDS = f"Linear, BatchNorm1d or LayerNorm, an activation ({', '.join(_AS_CALLED)}), Dropout"


def from_torch(model: Any, classes: Any = None) -> Any:
    """Make an estimator of PyTorch's dense layers.

    Parameters
    ----------
    model : torch.nn.Sequential
        Of Linear, activations, Dropout, BatchNorm1d and LayerNorm, the normalization between
        the map and its activation.
    classes : array-like of shape (n_classes,), default=None
        The labels of the outputs. Without them a model that ends in Softmax, LogSoftmax or
        Sigmoid is a classifier of 0, 1, ..., and any other one a regressor.

    Returns
    -------
    MLPClassifier or MLPRegressor
        With copies of the weights, on the model's device: it takes tensors there, and after
        `to_device` others. `partial_fit` goes on from the weights, with moments of its own.

    Raises
    ------
    TypeError
        For a model that is no Sequential.
    ValueError
        For a module, or an order of them, that our networks have not.

    Examples
    --------
    >>> from torch import nn  # doctest: +SKIP
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))  # doctest: +SKIP
    >>> model = xpnn.from_torch(net, classes=["a", "b", "c"])  # doctest: +SKIP
    """
    torch = needed("torch", "Reading and writing PyTorch models")
    if not isinstance(model, torch.nn.Sequential):
        raise TypeError(
            f"from_torch takes a torch.nn.Sequential, got {type(model).__name__}: pass one of its "
            "layers in their order."
        )
    layers = ((module, _piece(module, torch)) for module in _modules(model, torch))
    stack = stack_from(layers, _KINDS)
    like = next(model.parameters())
    dtype = "float64" if dtype_name(like.dtype) == "float64" else "float32"
    return estimator_of(stack, classes, get_backend(f"torch:{like.device}"), dtype)


def _modules(model: Any, torch: Any) -> Any:
    """The modules in their order; those of a Sequential inside in its place."""
    for module in model.children():
        if isinstance(module, torch.nn.Sequential):
            yield from _modules(module, torch)
        elif not isinstance(module, torch.nn.Identity | torch.nn.Flatten):
            yield module


def _array(tensor: Any) -> np.ndarray | None:
    return None if tensor is None else to_numpy(tensor.detach()).astype(np.float64)


def _piece(module: Any, torch: Any) -> Piece:
    """What a module is."""
    nn = torch.nn
    if isinstance(module, nn.Linear):
        weight, bias = _array(module.weight), _array(module.bias)
        assert weight is not None
        return Part(weight.T, np.zeros(len(weight)) if bias is None else bias)
    if isinstance(module, nn.Dropout):
        return float(module.p)
    if isinstance(module, nn.BatchNorm1d | nn.LayerNorm):
        batch = isinstance(module, nn.BatchNorm1d)
        arrays = [module.weight, module.bias]
        arrays += [module.running_mean, module.running_var] if batch else []
        return Normalization("batch" if batch else "layer", float(module.eps), *map(_array, arrays))
    return _activation(module)


def _activation(module: Any) -> str | None:
    """Our name of an activation; None for one of other arguments, and for other modules."""
    for name, (theirs, wanted) in _ACTIVATIONS.items():
        if type(module).__name__ == theirs:
            values = {k: getattr(module, k) for k in wanted}
            same = all(v == wanted[k] or (k == "dim" and v == 1) for k, v in values.items())
            return name if same else None
    return None


def to_torch(model: Any, *, link: bool = True) -> Any:
    """Make PyTorch's dense layers of an estimator.

    Parameters
    ----------
    model : fitted MLPClassifier, MLPRegressor or Perceptron of xpnn
    link : bool, default=True
        Whether the last module makes predictions of outputs: Softmax or Sigmoid for
        probabilities. Without it outputs are logits, as PyTorch's losses take them.

    Returns
    -------
    torch.nn.Sequential
        With copies of the weights, in `eval` mode, on the estimator's device where that is
        PyTorch's, else on the CPU. Of two classes it gives the second one's probability.

    Raises
    ------
    TypeError
        For other estimators.
    ValueError
        For members, an embedding, and activations that PyTorch has no module for.
    sklearn.exceptions.NotFittedError
        Before fit.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnn
    >>> model = xpnn.MLPRegressor(max_iter=3).partial_fit(np.eye(3), np.arange(3.0))
    >>> xpnn.to_torch(model)  # doctest: +SKIP
    Sequential(...)
    """
    torch = needed("torch", "Reading and writing PyTorch models")
    stack, modules = stack_of(model), list[Any]()
    dtype = torch.float64 if stack.parts[0].weight.dtype == np.float64 else torch.float32
    if stack.input_dropout:
        modules.append(torch.nn.Dropout(stack.input_dropout))
    for part in stack.parts:
        modules += _written(part, torch)
    if link and stack.link != "identity":
        modules.append(_module(stack.link, torch))
    name = model._backend.name
    device = name.removeprefix("torch:") if name.startswith("torch:") else "cpu"
    return torch.nn.Sequential(*modules).to(device=device, dtype=dtype).eval()


def _written(part: Part, torch: Any) -> list[Any]:
    n_in, n_out = part.weight.shape
    linear = torch.nn.Linear(n_in, n_out, bias=part.normalization is None, dtype=torch.float64)
    arrays = {linear.weight: part.weight.T}
    made = [linear]
    if part.normalization is None:
        arrays[linear.bias] = part.bias
    else:
        kind = torch.nn.BatchNorm1d if part.normalization == "batch" else torch.nn.LayerNorm
        made.append(kind(n_out, eps=EPSILON, dtype=torch.float64))
        arrays |= {made[1].weight: part.scale, made[1].bias: part.bias}
        if part.normalization == "batch":
            arrays |= {made[1].running_mean: part.mean, made[1].running_var: part.variance}
    with torch.no_grad():
        for tensor, values in arrays.items():
            tensor.copy_(torch.asarray(np.array(values, dtype=np.float64)))
    if part.activation != "identity":
        made.append(_module(part.activation, torch))
    return [*made, torch.nn.Dropout(part.dropout)] if part.dropout else made


def _module(activation: str, torch: Any) -> Any:
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"PyTorch has no module for the activation {activation!r}; to_torch(link=False) leaves "
            "out the last one, and xpnn.to_onnx has all."
        )
    name, arguments = _ACTIVATIONS[activation]
    return getattr(torch.nn, name)(**arguments)
