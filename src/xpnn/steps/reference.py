"""The training step written once against the array API: what all faster ones are tested against."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import device, is_jax_namespace

from xpnn.arrays.backend import Backend
from xpnn.arrays.compiling import compiled, host_words, remembered
from xpnn.arrays.typing import Array, DType, Namespace
from xpnn.steps.rules import Batch, Carry, Coefficients, Factors, Rows, Rules


class ReferenceSteps:
    """Steps by way of the array API, compiled where the library can."""

    def __init__(self, rules: Rules, backend: Backend, dtype: DType) -> None:
        self.xp, self.factors = backend.xp, rules.factors(backend, dtype)
        self._on_batch, self._on_rows = _compiled_steps(rules, backend.xp)

    def stride(self, batch: int) -> int:
        """One: Ctrl-C is looked for between two steps."""
        return 1

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as Python ints, or as words that a compiler can trace."""
        return host_words(keys, self.xp)

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a streamed batch."""
        return Carry(*self._on_batch(*carry, batch, key, coefficients, self.factors))

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps on consecutive batches of resident data."""
        for k, c in enumerate(coefficients):
            start = rows.start + k * rows.size
            size, key = min(rows.size, rows.of_epoch - start), None if keys is None else keys[k]
            given = (rows.data, rows.order, start, key, c, self.factors, size)
            carry = Carry(*self._on_rows(*carry, *given))
        return carry


def gather(rows: Rows, size: int, xp: Namespace) -> Batch:
    """The first batch of some rows; `rows.start` may be traced by a compiler, `size` never."""
    start, order = rows.start, rows.order
    if is_jax_namespace(xp):  # a traced start cannot bound a slice
        at = start + xp.arange(size)
        at = at if order is None else xp.take(order, at, axis=0)
    elif order is None:
        return Batch(*(None if a is None else a[start : start + size, ...] for a in rows.data))
    else:
        at = order[start : start + size, ...]
    if at.ndim == 1:
        return Batch(*(None if a is None else xp.take(a, at, axis=0) for a in rows.data))
    return _own_rows(rows.data, at, xp)


def _own_rows(data: Batch, at: Array, xp: Namespace) -> Batch:
    """Rows of each member's own, `at` (size, members): x and y are (members, size, ...)."""
    by_member = xp.permute_dims(at, (1, 0))
    flat = xp.reshape(by_member, (-1,))
    x, y = (
        xp.reshape(xp.take(a, flat, axis=0), (*by_member.shape, *a.shape[1:])) for a in data[:2]
    )
    weight = data.weight
    if weight is not None:
        column = xp.arange(at.shape[1], dtype=at.dtype, device=device(at))
        at = at if weight.ndim == 1 else at * weight.shape[1] + column
        weight = xp.take(xp.reshape(weight, (-1,)), xp.reshape(at, (-1,)), axis=0)
        weight = xp.reshape(weight, at.shape)
    return Batch(x, y, weight)


@remembered
def _compiled_steps(
    rules: Rules, xp: Namespace
) -> tuple[Callable[..., tuple[Any, ...]], Callable[..., tuple[Any, ...]]]:
    """A training step on a batch, and one on rows of resident data."""

    def on_batch(
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        batch: Batch,
        key: Any,
        coefficients: Coefficients,
        factors: Factors,
    ) -> Carry:
        value, gradient, buffers = rules.network.loss_and_gradient(
            theta, buffers, *batch, rules.loss, xp, keys=key
        )
        carry = Carry(theta, buffers, moments, total)
        return rules.finish(carry, value, gradient, batch, coefficients, factors, xp)

    def on_rows(
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        data: Batch,
        order: Array | None,
        start: int,
        key: Any,
        coefficients: Coefficients,
        factors: Factors,
        size: int,
    ) -> Carry:
        batch = gather(Rows(data, order, start, size), size, xp)
        return on_batch(theta, buffers, moments, total, batch, key, coefficients, factors)

    return (
        compiled(on_batch, xp, donate=(0, 2, 3)),
        compiled(on_rows, xp, donate=(0, 2, 3), static=(10,)),
    )
