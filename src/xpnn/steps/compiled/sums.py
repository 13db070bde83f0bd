"""The loss and the gradient alone, compiled from C: what L-BFGS asks for."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.parts.optimizers import SGD
from xpnn.steps.compiled import library
from xpnn.steps.compiled.plan import SUFFIXES, known_rules
from xpnn.steps.compiled.steps import CompiledSteps, are_same, no_others
from xpnn.steps.rules import Batch, Carry, Rows, Rules, StepInterrupted

_BLOCK = 2048  # rows whose layers stay in the cache

Sums = Callable[[Array, Array, Any], tuple[Array, Array, Array]]


class CompiledSums:
    """Sums over the rows of a batch of losses and gradients.

    Parameters
    ----------
    network : Network
    loss : Loss
    otherwise : callable
        The same for what is not built in or does not fit: (theta, buffers, (x, y, weight)) ->
        (loss and gradient in one vector, sum of weights, buffers).
    interrupted : callable () -> bool, default=None
        Asked now and then within a batch; True ends it with a `StepInterrupted`.
    """

    def __init__(
        self,
        network: Any,
        loss: Any,
        otherwise: Sums,
        interrupted: Callable[[], bool] | None = None,
    ) -> None:
        self.rules, self.otherwise = Rules(network, loss, SGD()), otherwise
        self.interrupted = interrupted
        self.steps = CompiledSteps(self.rules, no_others, interrupted=interrupted)
        self.given: tuple[Any, ...] = ()  # the batch that was looked at
        self.suits = False
        single = network.members == 1
        self.known = single and known_rules(self.rules) and library() is not None
        self.whole = bool(network.buffer_layout.entries)  # statistics are of all rows

    def __call__(self, theta: Array, buffers: Array, batch: Any) -> tuple[Array, Array, Array]:
        """The sums of a batch, as `otherwise` gives them."""
        data = Batch(*batch)
        if not self._suitable(theta, data):
            return self.otherwise(theta, buffers, batch)
        steps = self.steps
        if steps.gradient is None:
            self.theta, self.buffers = np.empty_like(theta), np.empty_like(buffers)
            self.vector = np.empty(1 + theta.size, dtype=theta.dtype)
            steps.gradient = self.vector[1:]
        self.theta[...], self.buffers[...], self.vector[...] = theta, buffers, 0.0
        n = data.x.shape[0]
        size = n if self.whole else min(n, _BLOCK)
        carry = Carry(self.theta, self.buffers, (), np.zeros((), dtype=theta.dtype))
        blocks, most, total = -(-n // max(size, 1)), steps.stride(size), 0.0
        for i in range(0, blocks, most):
            here = Rows(data, None, i * size, size)
            steps.on_rows(carry, here, None, [(0.0,)] * min(most, blocks - i))
            total += steps.plan.total
            if self.interrupted is not None and self.interrupted():
                raise StepInterrupted
        self.vector[0] = total
        share = theta.dtype.type(n) if data.weight is None else data.weight.sum()
        return self.vector.copy(), share, self.buffers.copy()

    def _suitable(self, theta: Array, data: Batch) -> bool:
        """Whether compiled steps can work on these arrays; they are looked at once."""
        if are_same(data, self.given):
            return self.suits
        self.given, sparse = tuple(data), not isinstance(data.x, np.ndarray)
        if self.steps.takes_sparse != sparse:
            most = self.steps.most_threads
            self.steps = CompiledSteps(self.rules, no_others, sparse, self.interrupted)
            self.steps.most_threads = most
        known = self.known and theta.dtype in SUFFIXES
        self.suits = known and self.steps.suitable(theta, *data)
        return self.suits
