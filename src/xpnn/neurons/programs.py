"""Steps of learning as pure functions, which JAX compiles once for all calls that are alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpnn.arrays.compiling import compiled, remembered
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.network import Network
from xpnn.parts.losses import Loss


def error_of(
    network: Network, loss: Loss, theta: Array, buffers: Array, x: Array, y: Array, xp: Namespace
) -> Array:
    """The loss of rows, without dropout."""
    return loss(network.forward(theta, buffers, x, xp), y, None, xp)[0]


@remembered
def descent(network: Network, loss: Loss, rule: Any, xp: Namespace) -> Callable[..., Any]:
    """(theta, buffers, state, x, y, keys, rate) -> (theta, buffers, state, error before)."""

    def step(
        theta: Array, buffers: Array, state: Any, x: Array, y: Array, keys: Any, rate: Any
    ) -> tuple[Array, Array, Any, Array]:
        error, gradient, buffers = network.loss_and_gradient(
            theta, buffers, x, y, None, loss, xp, keys=keys
        )
        theta, state = rule.update(theta, gradient, state, rate, None, xp)
        return theta, buffers, state, error

    return compiled(step, xp)


@remembered
def climb(network: Network, loss: Loss, xp: Namespace) -> Callable[..., Any]:
    """(theta, its error, noise, buffers, x, y) -> the best of theta and two tries, its error."""

    def step(
        theta: Array, error: Array, noise: Array, buffers: Array, x: Array, y: Array
    ) -> tuple[Array, Array]:
        at, best = theta, error
        for tried in (theta - noise, theta + noise):  # the last that is better stays
            found = error_of(network, loss, tried, buffers, x, y, xp)
            better = found < error  # 0-d and on the device: nothing waits for it
            at, best = xp.where(better, tried, at), xp.where(better, found, best)
        return at, best

    return compiled(step, xp)
