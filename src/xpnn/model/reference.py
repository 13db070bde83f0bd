"""The hot operations, written once against the array API.

An override in a sibling file has the same name and signature; the same tests run on both.
"""

from typing import Any, NamedTuple

from array_api_compat import device, is_jax_namespace

from xpnn.arrays.random import dropout_mask
from xpnn.arrays.typing import Array, Namespace


class Drop(NamedTuple):
    """What one draw of a dropout mask needs."""

    key: Any
    first_row: int
    rate: float


class DenseCache(NamedTuple):
    """What a layer's backward pass reads of its forward pass."""

    x: Array
    z: Array
    a: Array
    mask: Array | None


def input_dropout(x: Array, drop: Drop, xp: Namespace) -> Array:
    """Inverted dropout of a batch's features.

    Parameters
    ----------
    x : array of shape (n, n_in), or a SciPy CSR matrix where `xp` is NumPy
    drop : Drop
    xp : namespace
    """
    if hasattr(x, "tocsr"):
        mask = dropout_mask(drop.key, drop.first_row, x.shape, drop.rate, x.dtype, xp, None)
        return x.multiply(mask).tocsr()
    return x * dropout_mask(drop.key, drop.first_row, x.shape, drop.rate, x.dtype, xp, device(x))


def dense_forward(
    x: Array, w: Array, b: Array | None, activation: Any, drop: Drop | None, xp: Namespace
) -> tuple[Array, DenseCache]:
    """One layer: affine map, activation, inverted dropout.

    Parameters
    ----------
    x : array of shape (n, n_in), or a SciPy CSR matrix where `xp` is NumPy
    w : array of shape (n_in, n_out)
    b : array of shape (n_out,), or None
    activation : xpnn.activations.Activation
    drop : Drop or None
    xp : namespace

    Returns
    -------
    y : array of shape (n, n_out)
    cache : DenseCache
    """
    z = x @ w
    if b is not None:
        z = z + b
    a = activation.value(z, xp)
    if drop is None:
        return a, DenseCache(x, z, a, None)
    mask = dropout_mask(drop.key, drop.first_row, z.shape, drop.rate, z.dtype, xp, device(z))
    return a * mask, DenseCache(x, z, a, mask)


def dense_backward(
    cache: DenseCache, w: Array, activation: Any, g: Array, xp: Namespace, need_dx: bool
) -> tuple[Array | None, Array, Array]:
    """Gradients of one layer.

    Parameters
    ----------
    cache : DenseCache
        Of the forward pass.
    w : array of shape (n_in, n_out)
    activation : xpnn.activations.Activation
    g : array of shape (n, n_out)
        Gradient of the loss with respect to the layer's output.
    xp : namespace
    need_dx : bool
        False for the first layer, whose input needs no gradient.

    Returns
    -------
    dx : array of shape (n, n_in), or None
    dw : array of shape (n_in, n_out)
    db : array of shape (n_out,)
    """
    if cache.mask is not None:
        g = g * cache.mask
    dz = activation.backward(cache.z, cache.a, g, xp)
    dx = dz @ w.T if need_dx else None
    return dx, cache.x.T @ dz, xp.sum(dz, axis=0)


def gather(data: Any, order: Array | None, start: int, size: int, xp: Namespace) -> Any:
    """Rows ``order[start:start + size]`` of each array of `data` (None stays None).

    Parameters
    ----------
    data : tuple of arrays of shape (n, ...) or None
    order : int array of shape (n,), or None for the rows as they lie
    start, size : int
        `start` may be traced by a compiler, `size` never.
    xp : namespace
    """
    if is_jax_namespace(xp):  # a traced start cannot bound a slice
        rows = start + xp.arange(size)
        if order is not None:
            rows = xp.take(order, rows)
        return tuple(None if a is None else xp.take(a, rows, axis=0) for a in data)
    if order is None:
        return tuple(None if a is None else a[start : start + size, ...] for a in data)
    rows = order[start : start + size]
    return tuple(None if a is None else xp.take(a, rows, axis=0) for a in data)
