"""What a training step does between its matrix products, on arrays that it may overwrite.

`Ops` says it for any library whose arrays can be written. A library's own subclass has the same
methods with the same signatures; the same tests run on both. An object belongs to one call of
fit, so that a subclass may keep workspaces.
"""

from typing import Any, NamedTuple

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Drop, rowwise
from xpnn.steps.rules import Batch, Coefficients, Factors, Rules


class Update(NamedTuple):
    """What one step of an optimizer works on; `theta`, `gradient` and `moments` it may destroy."""

    theta: Array
    gradient: Array
    moments: tuple[Array, ...]
    coefficients: Coefficients
    l2: Any  # the penalty over the batch's rows: a float, or 0-d where rows have weights
    factors: Factors


class Ops:
    """The operations by way of the array API: right for everything, fast for nothing."""

    members = False  # whether arrays may have one more axis, the first

    def __init__(self, xp: Namespace) -> None:
        self.xp = xp

    def stride(self, rules: Rules, rows: int) -> int:
        """How many steps of so many rows pass between two looks at Ctrl-C."""
        return 1

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write the matrix product of two arrays, either of them transposed, into `out`."""
        self.xp.matmul(a, b, out=out)

    def gather(self, data: Batch, rows: Array, into: Batch) -> None:
        """Copy some rows of features, targets and weights (or None)."""
        for a, out in zip(data, into, strict=True):
            if a is not None:
                out[...] = self.xp.take(a, rows, axis=0)

    def drop_inputs(self, x: Array, drop: Drop) -> Array:
        """Inverted dropout of a batch; may overwrite it."""
        return x * drop.mask(x.shape, x, self.xp)

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
        z = z if b is None else z + rowwise(b)
        a = activation.value(z, xp)
        if drop is None:
            return a, (z, a, None)
        mask = drop.mask(z.shape, z, xp)
        return a * mask, (z, a, mask)

    def pull_back(
        self, g: Array, y: Array, saved: Any, activation: Any, drop: Drop | None, db: Array | None
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
            db[...] = self.xp.sum(dz, axis=-2)
        return dz

    def loss(
        self, z: Array, b: Array | None, y: Array, weight: Array | None, loss: Any, db: Array | None
    ) -> tuple[Array, Array]:
        """The loss of a linear last layer's products `z`, and its gradient with respect to them.

        `z` may be overwritten; `db` takes the bias's gradient.
        """
        value, dz = loss(z if b is None else z + b, y, weight, self.xp)
        if db is not None:
            db[...] = self.xp.sum(dz, axis=0)
        return value, dz

    def update(self, rules: Rules, u: Update) -> tuple[tuple[Array, ...], Any]:
        """One step of the optimizer on the gradient and its L2 penalty; `theta` is overwritten.

        Returns
        -------
        moments : tuple of arrays
        penalty : object
            ``l2 / 2 * sum(factor * theta**2)`` before the step, as `accumulate` takes it; or None.
        """
        xp, penalty, gradient = self.xp, None, u.gradient
        if u.factors.penalty is not None:
            w = u.theta * u.factors.penalty
            penalty, gradient = (0.5 * u.l2) * xp.sum(w * u.theta), gradient + u.l2 * w
        new, moments = rules.update(u.theta, gradient, u.moments, u.coefficients, u.factors, xp)
        u.theta[...] = new
        return moments, penalty

    def accumulate(self, total: Array, value: Array, penalty: Any, n: int) -> Array:
        """Add the losses of a batch of `n` rows and its penalty to `total`, which is lost."""
        return total + (value if penalty is None else value + penalty) * n
