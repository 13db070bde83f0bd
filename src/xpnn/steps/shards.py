"""The sums of a process's shards of a batch, by way of the array API."""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import device

from xpnn.arrays.backend import Backend
from xpnn.arrays.compiling import compiled, host_words, remembered
from xpnn.arrays.random import member_key
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import BatchRows
from xpnn.model.network import Network
from xpnn.steps.cut import Cut, Piece, Shapes, Summed
from xpnn.steps.meeting import Meeting
from xpnn.steps.reference import gather
from xpnn.steps.rules import Batch, Carry, Rows, Rules

ShardFunction = Callable[..., tuple[Array, Array]]


class ReferenceShards:
    """The vectors of shards by way of the array API.

    Attributes
    ----------
    buffers : array
        The running statistics after the last call with a meeting.
    """

    by_member = False

    def __init__(self, rules: Rules, shapes: Shapes, backend: Backend) -> None:
        self.shapes, self.backend, self.xp = shapes, backend, backend.xp
        self.alone, self.together = _functions(rules, backend.xp)
        self.buffers: Array = None

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as Python ints, or as words that a compiler can trace."""
        return host_words(keys, self.xp)

    def __call__(
        self, carry: Carry, rows: Rows, cut: Cut, key: Any, meeting: Meeting | None
    ) -> list[Array]:
        """Each shard's vector; with a meeting, of all shards at a time."""
        if meeting is None:
            return [self._alone(carry, rows, piece, key) for piece in cut.pieces]

        def work(i: int) -> tuple[Array, Array]:
            piece, xp = cut.pieces[i], self.xp
            with self.backend.device_context():
                whole = BatchRows(cut.n, lambda a: meeting.mean(i, a, cut.n, xp))
                batch = _gathered(rows, piece, xp)
                given = carry.theta, carry.buffers, batch, key, piece.first_row
                done: tuple[Array, Array] = self.together(*given, whole)
                return done

        found = meeting.run(work)
        self.buffers = found[0][1]
        return [vector for vector, _ in found]

    def _alone(self, carry: Carry, rows: Rows, piece: Piece, key: Any) -> Array:
        theta = carry.theta
        if not piece.size:
            return self.xp.zeros(self.shapes.size, dtype=theta.dtype, device=device(theta))
        batch = _gathered(rows, piece, self.xp)
        return self.alone(theta, carry.buffers, batch, key, piece.first_row)[0]


def _gathered(rows: Rows, piece: Piece, xp: Namespace) -> Batch:
    """A shard's rows; of CSR data, as CSR."""
    at: Any = slice(piece.start, piece.start + piece.size)
    x, y, weight = rows.data
    if hasattr(x, "tocsr"):
        at = at if rows.order is None else rows.order[at]
        return Batch(*(None if a is None else a[at] for a in rows.data))
    if rows.order is None and x.ndim == 3:  # a streamed batch of members' own rows
        return Batch(x[:, at, ...], y[:, at, ...], None if weight is None else weight[at, ...])
    return gather(Rows(rows.data, rows.order, piece.start, piece.size), piece.size, xp)


@remembered
def _functions(rules: Rules, xp: Namespace) -> tuple[ShardFunction, ShardFunction]:
    """From (theta, buffers, batch, key, first row) to a shard's vector and the statistics.

    The second takes the whole batch's `BatchRows` too, and meets other shards on the way.
    """
    network, loss = rules.network, Summed(rules.loss)

    def together(
        theta: Array, buffers: Array, batch: Batch, key: Any, first_row: Any, whole: Any
    ) -> tuple[Array, Array]:
        x, y, weight = batch
        how = {"keys": key, "first_row": first_row, "rows": whole}
        if weight is not None and weight.ndim > 1:
            return _by_member(network, loss, (theta, buffers, batch), how, xp)
        value, gradient, new = network.loss_and_gradient(
            theta, buffers, x, y, weight, loss, xp, **how
        )
        n = xp.ones_like(value) * x.shape[-2]
        share = n if weight is None else xp.sum(weight)
        sums = [*[value] * network.members, *[share] * network.members]
        return xp.concat([xp.stack([n * 0.0, n, *sums]), gradient]), new

    def alone(*given: Any) -> tuple[Array, Array]:
        theta, buffers, batch, key, first_row = given
        return together(theta, buffers, batch, key, first_row, None)

    return compiled(alone, xp), together


def _by_member(
    network: Network, loss: Summed, given: Any, how: dict[str, Any], xp: Namespace
) -> tuple[Array, Array]:
    """The vector of members with weights of their own: each member's loss by itself."""
    theta, buffers, (x, y, weight) = given
    layout, statistics = network.layout, network.buffer_layout
    thetas, states, found = layout.by_member(theta, xp), statistics.by_member(buffers, xp), []
    for m in range(network.members):
        keys = None if how["keys"] is None else [member_key(k, m) for k in how["keys"]]
        own = (x[m, ...], y[m, ...]) if x.ndim > 2 else (x, y)
        about = (thetas[m, ...], states[m, ...], *own, weight[:, m], loss, xp)
        new = network.one_member.loss_and_gradient(*about, **{**how, "keys": keys})
        found.append((*new, xp.sum(weight[:, m])))
    values, gradients, new_states, shares = zip(*found, strict=True)
    zero = values[0] * 0.0
    head = xp.stack([zero, zero + x.shape[-2], *values, *shares])
    gradient = layout.from_members(xp.stack(gradients), xp)
    if statistics.size:
        buffers = statistics.from_members(xp.stack(new_states), xp)
    return xp.concat([head, gradient]), buffers
