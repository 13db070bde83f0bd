"""A layer with batch or layer normalization between its affine map and its activation."""

from typing import Any, Literal, NamedTuple

from array_api_compat import device

from xpnn.arrays.random import dropout_mask
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.reference import Drop

Kind = Literal["batch", "layer"]
KINDS: tuple[Kind, ...] = ("batch", "layer")
EPSILON = 1e-5  # added to each variance
MOMENTUM = 0.1  # what a batch contributes to the running statistics


class NormalizedCache(NamedTuple):
    """What the backward pass reads of the forward pass."""

    x: Array
    unit: Array  # mean 0, variance 1
    inverse: Array  # 1 / standard deviation
    z: Array
    a: Array
    mask: Array | None


class Statistics(NamedTuple):
    """Mean and variance of each neuron, shape (n_out,)."""

    mean: Array
    variance: Array


def normalized_forward(
    x: Array,
    w: Array,
    scale: Array,
    shift: Array | None,
    kind: Kind,
    running: Statistics | None,
    activation: Any,
    drop: Drop | None,
    xp: Namespace,
) -> tuple[Array, NormalizedCache, Statistics | None]:
    """One layer: linear map, normalization, scale and shift, activation, inverted dropout.

    Parameters
    ----------
    x : array of shape (n, n_in), or a SciPy CSR matrix where `xp` is NumPy
    w : array of shape (n_in, n_out)
    scale : array of shape (n_out,)
    shift : array of shape (n_out,), or None
    kind : {"batch", "layer"}
        Over the rows of the batch, or over the neurons of a row.
    running : Statistics or None
        To normalize with instead of the batch's own, for "batch".
    activation : xpnn.activations.Activation
    drop : Drop or None
    xp : namespace

    Returns
    -------
    y : array of shape (n, n_out)
    cache : NormalizedCache
    statistics : Statistics or None
        Of the batch, its variance divided by n - 1, as it goes into running statistics. None for
        "layer", with `running`, and for a batch of one row, which has no variance.

    References
    ----------
    S. Ioffe and C. Szegedy (2015), "Batch normalization: Accelerating deep network training by
    reducing internal covariate shift".

    J. L. Ba, J. R. Kiros and G. E. Hinton (2016), "Layer normalization".
    """
    u, axis, batch = x @ w, 0 if kind == "batch" else 1, None
    if kind == "batch" and running is not None:
        unit, variance = u - running.mean, running.variance
    else:
        mean = xp.mean(u, axis=axis, keepdims=True)
        unit = u - mean
        variance = xp.mean(unit * unit, axis=axis, keepdims=True)
        n = u.shape[0]
        if kind == "batch" and n > 1:
            batch = Statistics(mean[0, ...], variance[0, ...] * (n / (n - 1)))
    inverse = 1.0 / xp.sqrt(variance + EPSILON)
    unit = unit * inverse
    z = unit * scale
    if shift is not None:
        z = z + shift
    a = activation.value(z, xp)
    if drop is None:
        return a, NormalizedCache(x, unit, inverse, z, a, None), batch
    mask = dropout_mask(drop.key, drop.first_row, z.shape, drop.rate, z.dtype, xp, device(z))
    return a * mask, NormalizedCache(x, unit, inverse, z, a, mask), batch


def normalized_backward(
    cache: NormalizedCache,
    w: Array,
    scale: Array,
    kind: Kind,
    fixed: bool,
    activation: Any,
    g: Array,
    xp: Namespace,
    need_dx: bool,
) -> tuple[Array | None, Array, Array, Array]:
    """Gradients of one layer: of its input (or None), weights, scale and shift.

    Parameters
    ----------
    cache, w, scale, kind, activation
        As in the forward pass.
    fixed : bool
        Whether the statistics were running ones, which no gradient goes through.
    g : array of shape (n, n_out)
        Gradient with respect to the layer's output.
    xp : namespace
    need_dx : bool
    """
    if cache.mask is not None:
        g = g * cache.mask
    dz = activation.backward(cache.z, cache.a, g, xp)
    dunit = dz * scale
    if not fixed:
        axis = 0 if kind == "batch" else 1
        mean = xp.mean(dunit, axis=axis, keepdims=True)
        along = xp.mean(dunit * cache.unit, axis=axis, keepdims=True)
        dunit = dunit - mean - cache.unit * along
    du = dunit * cache.inverse
    dx = du @ w.T if need_dx else None
    return dx, cache.x.T @ du, xp.sum(dz * cache.unit, axis=0), xp.sum(dz, axis=0)


def running_update(old: Array, new: Array) -> Array:
    """The running statistic after a batch: 0.9 of the old one and 0.1 of the batch's."""
    return (1.0 - MOMENTUM) * old + MOMENTUM * new
