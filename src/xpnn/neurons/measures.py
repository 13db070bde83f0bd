"""Measures of error, and a mask of dropout by hand."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import xlog1py, xlogy

from xpnn._text import number, short_array, table
from xpnn.arrays.backend import dtype_name, to_numpy
from xpnn.arrays.typing import Array
from xpnn.neurons.inputs import floating, place
from xpnn.parts.losses import get_loss


@dataclass(frozen=True)
class ErrorMeasures:
    """Ways to add up errors ``target - output``.

    `signed` is no loss: errors of opposite sign cancel, so it is 0 for outputs that are wrong
    everywhere, and it has no minimum; growing outputs push it below every bound.

    Attributes
    ----------
    signed, absolute, squared, half_squared : float
        Sums over all outputs.
    mean_absolute, mean_squared : float
    cross_entropy : float
        Sum of ``-t log o - (1 - t) log(1 - o)``; NaN unless targets and outputs are probabilities.

    Examples
    --------
    >>> error_measures([2, 3], [3, 2])  # doctest: +NORMALIZE_WHITESPACE
    ErrorMeasures(signed=0.0, absolute=2.0, squared=2.0, half_squared=1.0, mean_absolute=1.0,
                  mean_squared=1.0, cross_entropy=nan)
    """

    signed: float
    absolute: float
    squared: float
    half_squared: float
    mean_absolute: float
    mean_squared: float
    cross_entropy: float

    def __str__(self) -> str:
        rows = [("error", "")]
        for f in fields(self):
            value = getattr(self, f.name)
            rows.append((f.name.replace("_", " "), number(value) if value == value else "-"))
        return table(rows, ruled=True, right={1})


def error_measures(targets: Any, outputs: Any, *, device: Any = None) -> ErrorMeasures:
    """Sums and means of the differences: as they are, absolute, squared; and the cross-entropy.

    Parameters
    ----------
    targets, outputs : array-like of one shape
    device : str or Backend, default=None
        Where to compute; None is where they are, NumPy for lists.

    Returns
    -------
    ErrorMeasures

    Raises
    ------
    ValueError
        For different shapes, or no numbers.

    Examples
    --------
    >>> found = error_measures([2, 3, 5, 9], [1, 5, 3, 6])
    >>> found.signed, found.absolute, found.half_squared
    (4.0, 8.0, 9.0)
    """
    backend = place(device, targets, outputs)
    with backend.device_context():
        xp = backend.xp
        t, o = (floating(a, backend) for a in (targets, outputs))
        if t.shape != o.shape or 0 in t.shape:
            raise ValueError(
                f"targets have the shape {tuple(t.shape)} and outputs {tuple(o.shape)}: pass as "
                "many of one as of the other, and at least one"
            )
        real = xp.result_type(t, o)
        t, o = (xp.reshape(xp.astype(a, real), (1, -1)) for a in (t, o))
        names = ("absolute_error", "sum_squared_error", "half_squared_error", "squared_error")
        absolute, squared, half, mean = (float(get_loss(n)(o, t, None, xp)[0]) for n in names)
        signed = float(xp.sum(t - o))
    n = int(t.shape[1])
    entropy = _cross_entropy(to_numpy(t), to_numpy(o))
    return ErrorMeasures(signed, absolute, squared, half, absolute / n, mean, entropy)


def _cross_entropy(t: np.ndarray, o: np.ndarray) -> float:
    t, o = t.astype(np.float64), o.astype(np.float64)
    if min(t.min(), o.min()) < 0 or max(t.max(), o.max()) > 1:
        return float("nan")
    return float(-(xlogy(t, o) + xlog1py(1 - t, -o)).sum()) + 0.0


@dataclass(frozen=True, eq=False)
class Masked:
    """A layer under a dropout mask.

    Attributes
    ----------
    outputs : array of the layer's shape
        The kept values divided by the probability of being kept; the others 0.
    deltas : array of the layer's shape
        What of the gradient passes back: the same mask, the same factor.

    Examples
    --------
    >>> print(mask_layer([0.5, 2, 4], [1, 1, 0], 0.5))
    outputs
    1  4  0
    deltas
    2  2  0
    """

    outputs: Array
    deltas: Array

    def __str__(self) -> str:
        parts = [(f.name, to_numpy(getattr(self, f.name))) for f in fields(self)]
        return "\n".join(f"{name}\n{short_array(values, 10)}" for name, values in parts)


def mask_layer(
    layer: Any, mask: Any, keep_probability: float, deltas: Any = None, *, device: Any = None
) -> Masked:
    """Dropout with a mask of one's own.

    Parameters
    ----------
    layer : array-like of shape (n,) or (n, units)
    mask : array-like of 0 and 1, of the same shape
    keep_probability : float
        In (0, 1].
    deltas : array-like of the same shape, default=None
        The gradient with respect to the outputs; None is ones.
    device : str or Backend, default=None
        Where to compute; None is where they are, NumPy for lists.

    Returns
    -------
    Masked

    Raises
    ------
    ValueError
        For a probability out of range, a mask of other numbers, or other shapes.

    References
    ----------
    N. Srivastava et al. Dropout: a simple way to prevent neural networks from overfitting.
    Journal of Machine Learning Research 15, 2014.

    Examples
    --------
    >>> mask_layer([0.5, 2, 4], [1, 1, 0], 0.5).outputs
    array([1., 4., 0.])
    """
    if not 0.0 < keep_probability <= 1.0:
        raise ValueError(f"keep_probability must be in (0, 1], got {keep_probability!r}")
    backend = place(device, layer, mask, deltas)
    with backend.device_context():
        z = floating(layer, backend)
        kept = backend.asarray(mask, dtype=dtype_name(z.dtype))
        g = backend.xp.ones_like(z) if deltas is None else floating(deltas, backend)
        shapes = [tuple(a.shape) for a in (z, kept, g)]
        if len(set(shapes)) > 1 or not np.isin(to_numpy(kept), (0, 1)).all():
            raise ValueError(
                f"layer, mask and deltas have the shapes {shapes}, and the mask {mask!r}: pass one "
                "0 or 1 for each unit, and deltas like the layer"
            )
        kept = kept / keep_probability
        # + 0.0: what is dropped of a negative number is 0, not -0
        return Masked(z * kept + 0.0, g * kept + 0.0)
