"""What a training step does between its matrix products, on arrays that it may overwrite.

`Ops` says it for any library whose arrays can be written. A library's own subclass has the same
methods with the same signatures; the same tests run on both. An object belongs to one call of
fit, so that a subclass may keep workspaces.
"""

from typing import Any

from array_api_compat import device

from xpnn.arrays.random import dropout_mask
from xpnn.arrays.typing import Array, Namespace
from xpnn.model import reference
from xpnn.model.reference import Drop


class Ops:
    """The operations by way of the array API: right for everything, fast for nothing.

    Parameters
    ----------
    xp : namespace
    """

    def __init__(self, xp: Namespace) -> None:
        self.xp = xp

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write the matrix product of two arrays, either of them transposed, into `out`."""
        self.xp.matmul(a, b, out=out)

    def gather(self, arrays: Any, rows: Array, outs: Any) -> None:
        """Copy some rows of features, targets and weights (or None) into `outs`."""
        for a, out in zip(arrays, outs, strict=True):
            if a is not None:
                out[...] = self.xp.take(a, rows, axis=0)

    def drop_inputs(self, x: Array, drop: Drop) -> Array:
        """Inverted dropout of a batch; may overwrite it."""
        return reference.input_dropout(x, drop, self.xp)

    def activate(
        self, z: Array, b: Array | None, activation: Any, drop: Drop | None
    ) -> tuple[Array, Any]:
        """Bias, activation and dropout of products `z`, which may be overwritten.

        Returns
        -------
        y : array like `z`
        saved : object
            For `pull_back`.
        """
        xp = self.xp
        z = z if b is None else z + b
        a = activation.value(z, xp)
        if drop is None:
            return a, (z, a, None)
        mask = dropout_mask(drop.key, drop.first_row, z.shape, drop.rate, z.dtype, xp, device(z))
        return a * mask, (z, a, mask)

    def pull_back(
        self,
        g: Array,
        y: Array,
        saved: Any,
        activation: Any,
        drop: Drop | None,
        db: Array | None,
    ) -> Array:
        """The gradient with respect to z, given `g`, the one with respect to y.

        Parameters
        ----------
        g : array like `y`
            May be overwritten.
        y, saved
            What `activate` returned.
        activation, drop
            What it was given.
        db : array of shape (n_units,), or None
            Takes the bias's gradient.
        """
        z, a, mask = saved
        dz = activation.backward(z, a, g if mask is None else g * mask, self.xp)
        if db is not None:
            db[...] = self.xp.sum(dz, axis=0)
        return dz

    def loss(
        self,
        z: Array,
        b: Array | None,
        y: Array,
        weight: Array | None,
        loss: Any,
        db: Array | None,
    ) -> tuple[Array, Array]:
        """The loss of a linear last layer's products `z`, and its gradient with respect to them.

        `z` may be overwritten; `db` takes the bias's gradient.
        """
        value, dz = loss(z if b is None else z + b, y, weight, self.xp)
        if db is not None:
            db[...] = self.xp.sum(dz, axis=0)
        return value, dz

    def update(
        self,
        optimizer: Any,
        theta: Array,
        gradient: Array,
        moments: tuple[Array, ...],
        coefficients: tuple[float, ...],
        decay: Array | None,
        l2: float,
        n_weights: int,
    ) -> tuple[tuple[Array, ...], Any]:
        """One step of the optimizer on ``gradient + l2 * weights``; `theta` is overwritten.

        Parameters
        ----------
        decay : array like `theta`, or None
            1 on the weights, which are its first `n_weights` entries; None if no rule needs it.
        l2 : float
            The penalty over the batch's rows.

        Returns
        -------
        moments : tuple of arrays
        penalty : object
            ``l2 / 2 * sum(weights**2)`` before the step, as `accumulate` takes it; or None.
        """
        xp, penalty = self.xp, None
        if not isinstance(l2, float) or l2:  # over weights it is an array, which is not looked at
            w = theta * decay
            penalty, gradient = (0.5 * l2) * xp.sum(w * w), gradient + l2 * w
        new, moments = optimizer.update(theta, gradient, moments, coefficients, decay, xp)
        theta[...] = new
        return moments, penalty

    def accumulate(self, total: Array, value: Array, penalty: Any, n: int) -> Array:
        """Add the losses of a batch of `n` rows and its penalty to `total`, which is lost."""
        return total + (value if penalty is None else value + penalty) * n
