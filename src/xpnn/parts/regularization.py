"""What is done to gradients and weights beside the optimizer: penalties, clipping, max-norm."""

from xpnn.arrays.numeric import at_least, sign
from xpnn.arrays.typing import Array, Namespace


def clip_by_global_norm(gradient: Array, max_norm: float, xp: Namespace) -> Array:
    """Return `gradient` scaled down to a Euclidean norm of `max_norm` where it is longer.

    Nothing is read back from the device, squares cannot overflow, and a gradient that is short
    enough comes back unchanged. A gradient with NaN or infinity comes back with NaN.

    Parameters
    ----------
    gradient : array of shape (..., n)
        Of at least one element; each row of several is clipped by itself.
    max_norm : float
        Above 0.
    xp : namespace

    Returns
    -------
    array like `gradient`

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio (2013), "On the difficulty of training recurrent neural
    networks".

    Examples
    --------
    >>> import numpy as np
    >>> clip_by_global_norm(np.asarray([3.0, 4.0]), 2.5, np)
    array([1.5, 2. ])
    """
    peak = at_least(xp.max(xp.abs(gradient), axis=-1, keepdims=True), max_norm, xp)
    unit = gradient / peak
    ratio = max_norm / peak
    norm = xp.sqrt(xp.sum(unit * unit, axis=-1, keepdims=True))
    return gradient * (ratio / xp.maximum(norm, ratio))


def max_norm(w: Array, limit: float, xp: Namespace) -> Array:
    """Return `w` with each column, one unit's incoming weights, scaled down to norm <= `limit`.

    Parameters
    ----------
    w : array of shape (..., fan_in, fan_out)
    limit : float
        Above 0.
    xp : namespace

    Returns
    -------
    array like `w`

    References
    ----------
    N. Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from
    overfitting", section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> max_norm(np.asarray([[3.0, 0.3], [4.0, 0.4]]), 2.5, np)
    array([[1.5, 0.3],
           [2. , 0.4]])
    """
    norm = xp.sqrt(xp.sum(w * w, axis=-2, keepdims=True))
    return w * (limit / at_least(norm, limit, xp))


def penalty(
    w: Array,
    l1: float,
    l2: float,
    xp: Namespace,
    factor: Array | None = None,
    axis: int | None = None,
) -> tuple[Array, Array]:
    """Return ``l1 * sum |w| + l2 / 2 * sum w**2``, and its gradient.

    Parameters
    ----------
    w : array
    l1, l2 : float
        Python floats at least 0; the gradient of ``|w|`` at 0 is 0.
    xp : namespace
    factor : array like `w`, or None
        Of each entry's share.
    axis : int, default=None
        Of the sum; None sums everything to a 0-d array.

    Returns
    -------
    value : array
    gradient : array like `w`

    Examples
    --------
    >>> import numpy as np
    >>> value, gradient = penalty(np.asarray([2.0, -1.0]), 0.5, 1.0, np)
    >>> float(value), gradient
    (4.0, array([ 2.5, -1.5]))
    """
    values, gradient = ((0.5 * l2) * w) * w, l2 * w
    if l1:
        values, gradient = values + l1 * xp.abs(w), gradient + l1 * sign(w, xp)
    if factor is not None:
        values, gradient = values * factor, gradient * factor
    return xp.sum(values, axis=axis), gradient
