"""Batch and layer normalization of a layer's affine map, forward and backward."""

from typing import Literal, NamedTuple

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import BatchRows, Parts, rowwise

Kind = Literal["batch", "layer"]
KINDS: tuple[Kind, ...] = ("batch", "layer")
EPSILON = 1e-5  # added to each variance
MOMENTUM = 0.1  # what a batch contributes to the running statistics


class Normalized(NamedTuple):
    """What the backward pass reads of the forward pass."""

    unit: Array  # mean 0, variance 1
    inverse: Array  # 1 / standard deviation
    fixed: bool  # whether the statistics were running ones, which no gradient goes through
    rows: BatchRows | None = None


def normalize(
    u: Array,
    p: Parts,
    state: Parts,
    kind: Kind,
    train: bool,
    xp: Namespace,
    rows: BatchRows | None = None,
) -> tuple[Array, Normalized, dict[str, Array]]:
    """Mean 0 and variance 1, over the rows of a batch or the units of a row; then scale and shift.

    Parameters
    ----------
    u : array of shape (..., n, units)
    p : dict
        "scale" and, unless there is none, "bias", of shape (..., units).
    state : dict
        For "batch": running "mean" and "variance".
    kind : {"batch", "layer"}
    train : bool
        False takes the running statistics for "batch".
    rows : BatchRows, default=None
        The whole batch, where `u` is of some of its rows.

    Returns
    -------
    z : array like `u`
    saved : Normalized
    running : dict
        The new running statistics; empty for "layer", out of training, and for a batch of one
        row: it has no variance, and is normalized by the running statistics too.

    References
    ----------
    S. Ioffe and C. Szegedy (2015), "Batch normalization: Accelerating deep network training by
    reducing internal covariate shift".

    J. L. Ba, J. R. Kiros and G. E. Hinton (2016), "Layer normalization".
    """
    n, running = u.shape[-2] if rows is None else rows.n, dict[str, Array]()
    fixed = kind == "batch" and (not train or n == 1)
    if fixed:
        unit, variance = u - rowwise(state["mean"]), rowwise(state["variance"])
    else:
        mean = _mean(u, kind, xp, rows)
        unit = u - mean
        variance = _mean(unit * unit, kind, xp, rows)
        if kind == "batch":
            seen = {"mean": mean[..., 0, :], "variance": variance[..., 0, :] * (n / (n - 1))}
            running = {k: (1.0 - MOMENTUM) * state[k] + MOMENTUM * v for k, v in seen.items()}
    inverse = 1.0 / xp.sqrt(variance + EPSILON)
    unit = unit * inverse
    z = unit * rowwise(p["scale"])
    if "bias" in p:
        z = z + rowwise(p["bias"])
    return z, Normalized(unit, inverse, fixed, rows), running


def _mean(a: Array, kind: Kind, xp: Namespace, rows: BatchRows | None) -> Array:
    """Over a batch's rows, wherever they are, or over a row's units."""
    if kind == "batch" and rows is not None:
        return rows.mean(a)
    return xp.mean(a, axis=-2 if kind == "batch" else -1, keepdims=True)


def normalize_backward(
    dz: Array, p: Parts, saved: Normalized, kind: Kind, xp: Namespace
) -> tuple[Array, Array]:
    """The gradients with respect to `u` and to the scale, given the one with respect to `z`."""
    du = dz * rowwise(p["scale"])
    if not saved.fixed:
        mean = _mean(du, kind, xp, saved.rows)
        along = _mean(du * saved.unit, kind, xp, saved.rows)
        du = du - mean - saved.unit * along
    return du * saved.inverse, xp.sum(dz * saved.unit, axis=-2)
