"""Losses: a 0-d value and its gradient in one call, weighted by sample, without leaving the device.

A loss is the weighted mean over rows, ``sum_i w_i l_i / sum_i w_i``, with l_i summed over a row's
outputs (`squared_error` takes their mean, `sum_squared_error` divides by nothing). A built-in is
one function of signature ``(output, target, weight, xp, *, parameters)`` and one entry of `LOSSES`.
Outputs of several members have one more axis, the first: the loss is then the members' mean, the
gradient that of each member's own loss.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from array_api_compat import device

from xpnn.arrays.numeric import at_least, at_most, largest_exponent, positive_sum, sign
from xpnn.arrays.typing import Array, Namespace
from xpnn.parts.entries import Interval, Params, TableEntry, lookup

Result: TypeAlias = tuple[Array, Array]

_SIGNATURE = "(output, target, weight, xp) -> (loss, gradient)"
_RANGES = {
    "delta": (0.0, math.inf, "neither"),
    "quantile": (0.0, 1.0, "neither"),
    "label_smoothing": (0.0, 1.0, "left"),
}


@dataclass(frozen=True)
class Loss(TableEntry):
    """A loss with its gradient, its parameters, and the link from raw outputs to predictions.

    Parameters
    ----------
    name : str
        How messages, summaries and files call it.
    function : callable ``(output, target, weight, xp, *, parameters) -> (loss, gradient)``
        `output` is (n_samples, n_outputs); `target` too, in the same dtype (or integer labels of
        shape (n_samples,) for `softmax_cross_entropy`); `weight` is (n_samples,) or None.
        The loss is 0-d, the gradient like `output`. Keyword-only arguments are parameters.
    link : str
        Name of the activation that makes a prediction out of a raw output.
    params : tuple of (name, value)
        The parameters that differ from their defaults; the others are filled in.

    Examples
    --------
    >>> import numpy as np
    >>> output, target = np.asarray([[3.0]]), np.asarray([[1.0]])
    >>> loss, gradient = get_loss("huber", delta=1.0)(output, target, None, np)
    >>> float(loss), float(gradient[0, 0])
    (1.5, 1.0)
    """

    kind: ClassVar[str] = "loss"
    signature: ClassVar[str] = _SIGNATURE
    ranges: ClassVar[Mapping[str, Interval]] = _RANGES

    link: str = "identity"
    params: Params = ()

    def __call__(self, output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
        """Return the 0-d loss and its gradient with respect to `output`.

        Raises
        ------
        ValueError
            For a target of the wrong shape, or a user's function that returns other shapes.
        """
        if output.ndim > 2 and built_in(self) is None:
            return self._by_member(output, target, weight, xp)
        result: Result = self.function(output, target, weight, xp, **dict(self.params))
        shapes = [getattr(x, "shape", None) for x in result] if isinstance(result, tuple) else []
        if shapes != [(), output.shape]:
            raise ValueError(
                f"loss {self.name!r} returned shapes {shapes}: it must return a tuple of a 0-d "
                f"array and a gradient of the output's shape, {tuple(output.shape)}"
            )
        return result

    def _by_member(
        self, output: Array, target: Array, weight: Array | None, xp: Namespace
    ) -> Result:
        """A user's own function, which knows of no members, called for each."""
        own = target.ndim > 1 and target.shape != output.shape[1:]
        results = []
        for m in range(output.shape[0]):
            w = weight[m, ...] if weight is not None and weight.ndim > 1 else weight
            results.append(self(output[m, ...], target[m, ...] if own else target, w, xp))
        values, gradients = zip(*results, strict=True)
        return xp.mean(xp.stack(values)), xp.stack(gradients)


def _check_shape(output: Array, target: Array) -> None:
    if target.shape not in (output.shape, output.shape[-2:]):
        raise ValueError(
            f"target has shape {tuple(target.shape)} and output {tuple(output.shape)}: they must "
            "be equal, so reshape the target to (n_samples, n_outputs)"
        )


def _weighted_mean(
    values: Array, gradient: Array, weight: Array | None, xp: Namespace, divisor: float = 1.0
) -> Result:
    """Reduce elementwise values and gradients to the weighted mean over rows, over `divisor`."""
    members = 1 if values.ndim < 3 else values.shape[0]
    if weight is None:
        scale = 1.0 / (max(values.shape[-2], 1) * divisor)
        return xp.sum(values) * (scale / members), gradient * scale
    row = weight / (positive_sum(weight, xp) * divisor)  # all zero: loss and gradient 0
    value = xp.sum(values * row[..., None])
    return (value if members == 1 else value / members), gradient * row[..., None]


def half_squared_error(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """(o - t)**2 / 2."""
    _check_shape(output, target)
    r = output - target
    return _weighted_mean(0.5 * r * r, r, weight, xp)


def squared_error(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """(o - t)**2, the mean over outputs too."""
    _check_shape(output, target)
    r = output - target
    return _weighted_mean(r * r, 2.0 * r, weight, xp, divisor=max(output.shape[-1], 1))


def sum_squared_error(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """(o - t)**2 summed over everything; weights multiply, nothing divides."""
    _check_shape(output, target)
    r = output - target
    g = 2.0 * r if weight is None else 2.0 * r * weight[..., None]
    members = 1 if output.ndim < 3 else output.shape[0]
    return (0.5 / members) * xp.sum(r * g), g


def absolute_error(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """``|o - t|``; the gradient at 0 is 0."""
    _check_shape(output, target)
    r = output - target
    return _weighted_mean(xp.abs(r), sign(r, xp), weight, xp)


def huber(
    output: Array, target: Array, weight: Array | None, xp: Namespace, *, delta: float = 1.0
) -> Result:
    """(o - t)**2 / 2 up to a distance of `delta`, then straight on (Huber, 1964)."""
    _check_shape(output, target)
    r = output - target
    g = at_most(at_least(r, -delta, xp), delta, xp)
    return _weighted_mean(g * (r - 0.5 * g), g, weight, xp)


def log_cosh(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """log(cosh(o - t)): smooth, straight far out."""
    _check_shape(output, target)
    r = output - target
    a = xp.abs(r)
    values = a + xp.log1p(xp.exp(-2.0 * a)) - math.log(2.0)
    return _weighted_mean(values, xp.tanh(r), weight, xp)


def pinball(
    output: Array, target: Array, weight: Array | None, xp: Namespace, *, quantile: float = 0.5
) -> Result:
    """Quantile loss: quantile * (t - o) where o <= t, (1 - quantile) * (o - t) elsewhere."""
    _check_shape(output, target)
    r = output - target
    g = xp.astype(r > 0, r.dtype) - quantile
    return _weighted_mean(g * r, g, weight, xp)


def poisson(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """Half the Poisson deviance of the rate exp(o): exp(o) - t o + t log t - t."""
    _check_shape(output, target)
    # held well below the largest float, so that the sum over a billion rows is finite too
    rate = xp.exp(at_most(output, largest_exponent(output.dtype, xp) - 20.0, xp))
    # 1e-37 is a normal number of float32: t log t is 0 at t = 0
    values = rate + target * (xp.log(at_least(target, 1e-37, xp)) - output - 1.0)
    return _weighted_mean(values, rate - target, weight, xp)


def binary_cross_entropy(
    output: Array,
    target: Array,
    weight: Array | None,
    xp: Namespace,
    *,
    label_smoothing: float = 0.0,
) -> Result:
    """-t log p - (1 - t) log(1 - p) of p = sigmoid(o), for t in [0, 1]."""
    _check_shape(output, target)
    if label_smoothing > 0:
        target = target * (1.0 - label_smoothing) + 0.5 * label_smoothing
    e = xp.exp(-xp.abs(output))
    values = at_least(output, 0.0, xp) - output * target + xp.log1p(e)
    p = xp.where(output >= 0, xp.ones_like(e), e) / (1.0 + e)
    return _weighted_mean(values, p - target, weight, xp)


def softmax_cross_entropy(
    output: Array,
    target: Array,
    weight: Array | None,
    xp: Namespace,
    *,
    label_smoothing: float = 0.0,
) -> Result:
    """-sum_c t_c log p_c of p = softmax(o).

    A 1-d `target` holds labels in [0, n_outputs), a 2-d one rows of probabilities that sum to 1;
    with members, a 2-d one of whole numbers holds labels of each member's own rows.
    """
    c = output.shape[-1]
    own = target.ndim == 2 and output.ndim == 3 and xp.isdtype(target.dtype, "integral")
    if (target.ndim == 1 or own) and target.shape[-1] == output.shape[-2]:
        classes = xp.arange(c, dtype=target.dtype, device=device(target))
        target = target[..., None] == classes
    _check_shape(output, target)
    if target.dtype != output.dtype:
        target = xp.astype(target, output.dtype)
    if label_smoothing > 0:
        target = target * (1.0 - label_smoothing) + label_smoothing / c
    z = output - xp.max(output, axis=-1, keepdims=True)
    e = xp.exp(z)
    total = xp.sum(e, axis=-1, keepdims=True)
    values = target * (xp.log(total) - z)
    return _weighted_mean(values, e / total - target, weight, xp)


def _margin_loss(
    output: Array, target: Array, weight: Array | None, xp: Namespace, threshold: float
) -> Result:
    """max(0, threshold - t o); a row on the threshold still learns, as in scikit-learn."""
    _check_shape(output, target)
    margin = threshold - target * output
    g = -target * xp.astype(margin >= 0, output.dtype)
    return _weighted_mean(at_least(margin, 0.0, xp), g, weight, xp)


def hinge(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """max(0, 1 - t o), for t in {-1, 1}."""
    return _margin_loss(output, target, weight, xp, 1.0)


def perceptron(output: Array, target: Array, weight: Array | None, xp: Namespace) -> Result:
    """max(0, -t o), for t in {-1, 1}; learns from o = 0 too (Rosenblatt, 1958)."""
    return _margin_loss(output, target, weight, xp, 0.0)


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("half_squared_error", half_squared_error),
        Loss("squared_error", squared_error),
        Loss("sum_squared_error", sum_squared_error),
        Loss("absolute_error", absolute_error),
        Loss("huber", huber),
        Loss("log_cosh", log_cosh),
        Loss("pinball", pinball),
        Loss("poisson", poisson, link="exp"),
        Loss("binary_cross_entropy", binary_cross_entropy, link="sigmoid"),
        Loss("softmax_cross_entropy", softmax_cross_entropy, link="softmax"),
        Loss("hinge", hinge),
        Loss("perceptron", perceptron),
    )
}


SUMS = ("sum_squared_error",)
"""Those that are sums over the rows, where others are means."""

ALIASES = {
    "mse": "squared_error",
    "mean_squared_error": "squared_error",
    "mae": "absolute_error",
    "mean_absolute_error": "absolute_error",
    "bce": "binary_cross_entropy",
    "cross_entropy": "softmax_cross_entropy",
}
"""Other names that people know; "cross_entropy" is of classes, as PyTorch's."""

_OF_CLASSES = ("binary_cross_entropy", "softmax_cross_entropy", "hinge", "perceptron")
REGRESSION_LOSSES = tuple(name for name in LOSSES if name not in _OF_CLASSES)
"""Those whose targets do not stand for classes."""


def with_aliases(names: Iterable[str]) -> tuple[str, ...]:
    """Names of losses, and the other names of these."""
    names = tuple(names)
    return (*names, *(other for other, name in ALIASES.items() if name in names))


def built_in(spec: Any) -> str | None:
    """Return which of `LOSSES` a name, a Loss or a function stands for; None: one of its own."""
    if isinstance(spec, str):
        spec = ALIASES.get(spec, spec)
        return spec if spec in LOSSES else None
    function = spec.function if isinstance(spec, Loss) else spec
    return next((name for name, loss in LOSSES.items() if loss.function is function), None)


def get_loss(spec: Any, **params: float) -> Loss:
    """Return the loss that `spec` stands for, with the parameters given.

    Parameters
    ----------
    spec : str, Loss, or callable (output, target, weight, xp) -> (loss, gradient)
        Also "mse" and "mean_squared_error" (`squared_error`), "mae" and "mean_absolute_error"
        (`absolute_error`, which is summed over a row's outputs), "bce" (`binary_cross_entropy`)
        and "cross_entropy" (`softmax_cross_entropy`).
    **params : float
        ``delta`` of huber, ``quantile`` of pinball, ``label_smoothing`` of the cross-entropies,
        or the keyword-only arguments of a callable.

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        For an unknown name, with the known ones; an unknown parameter or one out of range.

    Examples
    --------
    >>> get_loss("pinball", quantile=0.9).params
    (('quantile', 0.9),)
    """
    if isinstance(spec, str) and spec not in LOSSES:
        if spec == "log_loss":
            raise ValueError(
                "'log_loss' is an estimator's choice by its labels: take 'softmax_cross_entropy' "
                "for one class a row, 'binary_cross_entropy' for two classes or several labels"
            )
        spec = lookup({**dict.fromkeys(LOSSES), **ALIASES}, spec, "loss")
    return Loss.resolve(LOSSES, spec, params)
