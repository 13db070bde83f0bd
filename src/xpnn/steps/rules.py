"""One training step: backpropagation, penalties, clipping, and the optimizer's update."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpnn.arrays.compiling import compiled, host_words, remembered
from xpnn.arrays.numeric import positive_sum
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.network import Network
from xpnn.model.reference import gather
from xpnn.parts.losses import Loss
from xpnn.parts.optimizers import OPTIMIZERS, clip_by_global_norm, max_norm, penalty
from xpnn.steps.choice import Fit, fused_step
from xpnn.steps.fused import OneByOne

Carry = tuple[Array, Array, tuple[Array, ...], Array]
"""theta, buffers, the optimizer's moments, and the epoch's sum of losses."""


@dataclass(frozen=True)
class Rules:
    """What a step does with the gradient of which loss.

    Parameters
    ----------
    network : Network
    loss : Loss
    optimizer : object of xpnn.optimizers
    l1, l2 : float
        Penalties on the weights, divided by the batch's rows (or sum of weights).
    clip_norm : float or None
        Largest norm of the whole gradient.
    limit : float or None
        Largest norm of a neuron's incoming weights.
    """

    network: Network
    loss: Loss
    optimizer: Any
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float | None = None
    limit: float | None = None

    @property
    def needs_mask(self) -> bool:
        """Whether anything asks which parameters are weights; it takes the memory of them all."""
        known = type(self.optimizer) in OPTIMIZERS.values()
        return bool(self.l1 or self.l2 or not known or self.optimizer.name == "adamw")

    def finish(
        self,
        theta: Array,
        moments: tuple[Array, ...],
        value: Array,
        gradient: Array,
        rows: int,
        weight: Array | None,
        coefficients: tuple[float, ...],
        decay: Array | None,
        xp: Namespace,
    ) -> tuple[Array, tuple[Array, ...], Array]:
        """The new parameters and moments, and the loss with its penalties."""
        if self.l1 or self.l2:
            over = rows if weight is None else positive_sum(weight, xp)
            penalty_value, penalty_gradient = penalty(theta * decay, self.l1, self.l2, xp)
            value = value + penalty_value / over
            gradient = gradient + penalty_gradient / over
        if self.clip_norm is not None:
            gradient = clip_by_global_norm(gradient, self.clip_norm, xp)
        theta, moments = self.optimizer.update(theta, gradient, moments, coefficients, decay, xp)
        if self.limit is not None:
            parts = self.network.layout.split(theta, xp)
            for e in self.network.layout.entries:
                if e.role == "weight":
                    parts[e.name] = max_norm(parts[e.name], self.limit, xp)
            theta = self.network.layout.join(parts, xp)
        return theta, moments, value


class ReferenceSteps(OneByOne):
    """Training steps by way of the array API, compiled where the library can.

    A kernel's override has the same methods. All take (theta, buffers, moments, total) first,
    may destroy them, and return their successors: the caller rebinds.
    """

    def __init__(self, rules: Rules, xp: Namespace) -> None:
        self.xp = xp
        self.on_batch, self.on_rows = _compiled_steps(rules, xp)

    def words(self, keys: Any) -> Any:
        """Dropout keys, a uint32 array (steps, layers, 2), as `on_steps` takes them."""
        return host_words(keys, self.xp)


def training_steps(rules: Rules, fit: Fit, xp: Namespace) -> Any:
    """The steps of one call of fit: a kernel's override where there is one."""
    return fused_step(rules, xp, fit) or ReferenceSteps(rules, xp)


@remembered
def _compiled_steps(
    rules: Rules, xp: Namespace
) -> tuple[Callable[..., Carry], Callable[..., Carry]]:
    """A training step on a batch, and one on rows of resident data."""

    def on_batch(
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        batch: tuple[Array, Array, Array | None],
        keys: Any,
        coefficients: tuple[float, ...],
        decay: Array | None,
    ) -> Carry:
        x, y, weight = batch
        value, gradient, buffers = rules.network.loss_and_gradient(
            theta, buffers, x, y, weight, rules.loss, xp, keys=keys
        )
        theta, moments, value = rules.finish(
            theta, moments, value, gradient, x.shape[0], weight, coefficients, decay, xp
        )
        return theta, buffers, moments, total + value * x.shape[0]

    def on_rows(
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        data: tuple[Array, Array, Array | None],
        order: Array | None,
        start: int,
        keys: Any,
        coefficients: tuple[float, ...],
        decay: Array | None,
        size: int,
    ) -> Carry:
        batch = gather(data, order, start, size, xp)
        return on_batch(theta, buffers, moments, total, batch, keys, coefficients, decay)

    return (
        compiled(on_batch, xp, donate=(0, 2, 3)),
        compiled(on_rows, xp, donate=(0, 2, 3), static=(10,)),
    )
