"""Training steps that several processes take together: each computes its shards of a batch.

One message a step: the sums of the shards, added in one fixed tree. Every process then finishes
the step by itself, with the same bits. Batch normalization takes four short messages a layer more.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from array_api_compat import is_numpy_namespace

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.tree import tree_sum
from xpnn.parts.losses import SUMS
from xpnn.steps.compiled.shards import CompiledShards
from xpnn.steps.cut import Cutter, Shapes, Shares
from xpnn.steps.meeting import Meeting
from xpnn.steps.numpy import NumpyOps
from xpnn.steps.operations import Update
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules
from xpnn.steps.shards import ReferenceShards


class ShardedSteps:
    """`Steps` of one call of fit in one of several processes.

    Parameters
    ----------
    fit : Fit
    quick : bool, default=False
        Whether compiled code can do it.
    """

    def __init__(
        self,
        rules: Rules,
        fit: Any,
        backend: Backend,
        comm: Communicator,
        shares: Shares | None = None,
        *,
        quick: bool = False,
    ) -> None:
        network = rules.network
        self.rules, self.backend, self.xp, self.comm = rules, backend, backend.xp, comm
        self.takes_sparse = fit.sparse and backend.name == "numpy"
        self.shapes = Shapes(network.members, network.layout.size // network.members)
        self.cutter = Cutter(comm, shares)
        count = len(self.cutter.own)
        self.reference = ReferenceShards(rules, self.shapes, backend)
        self.compiled: CompiledShards | None = None
        self.batch_statistics = bool(network.buffer_layout.size)
        if quick:
            self.compiled = CompiledShards(rules, self.shapes, count, fit.sparse)
        self.meeting = Meeting(comm, count, self._total) if self.batch_statistics else None
        self.ops = NumpyOps(backend.xp) if is_numpy_namespace(backend.xp) else None
        self.factors = rules.factors(backend, fit.dtype)
        self.checked: Any = None
        self.asks: Callable[[], bool] = lambda: False
        self.told = False  # whether some process has asked to stop

    def stride(self, batch: int) -> int:
        """One: a request to stop is looked for between two steps."""
        return 1

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as they are: a step makes of them what it needs."""
        return keys

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a streamed batch."""
        rows = Rows(batch, None, 0, batch.x.shape[-2])
        return self._step(carry, rows, key, coefficients)

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps on consecutive batches of resident data."""
        for k, c in enumerate(coefficients):
            here = rows._replace(start=rows.start + k * rows.size)
            carry = self._step(carry, here, None if keys is None else keys[k], c)
        return carry

    def _shards(self, carry: Carry, data: Batch) -> Any:
        """What computes the vectors of shards of these data."""
        if self.compiled is None:
            return self.reference
        if self.checked is None or any(a is not b for a, b in zip(self.checked, data, strict=True)):
            self.checked, self.suits = data, self.compiled.suitable(carry.theta, data)
        return self.compiled if self.suits else self.reference

    def _total(self, vectors: list[Array]) -> Array:
        """The sum over all shards of all processes."""
        if self.comm.takes(vectors[0]):
            return tree_sum(self.comm, vectors)
        host = [np.array(self.backend.to_numpy(v)) for v in vectors]
        return self.backend.asarray(tree_sum(self.comm, host))

    def _step(self, carry: Carry, rows: Rows, key: Any, coefficients: Coefficients) -> Carry:
        shards = self._shards(carry, rows.data)
        cut = self.cutter.cut(rows)
        words = None if key is None else shards.words(key[None])[0]
        vectors = shards(carry, rows, cut, words, self.meeting)
        stop = self.asks()
        if isinstance(vectors[0], np.ndarray):
            vectors[0][0] = stop
        elif stop:
            one = self.xp.zeros_like(vectors[0])
            vectors[0] = vectors[0] + self.backend.xp.concat([one[:1] + 1.0, one[1:]])
        total = self._total(vectors)
        self.told = self.told or bool(total[0] > 0)
        if self.batch_statistics:
            carry = carry._replace(buffers=self.reference.buffers)
        return self._learn(carry, total, cut.n, shards.by_member, rows.data.weight, coefficients)

    def _learn(
        self,
        carry: Carry,
        total: Array,
        n: int,
        by_member: bool,
        weight: Any,
        coefficients: Coefficients,
    ) -> Carry:
        """Finish the step by the sums over all shards."""
        xp, rules, (m, _), head = self.xp, self.rules, self.shapes, self.shapes.head
        layout = rules.network.layout
        loss, share, gradient = total[2 : 2 + m], total[2 + m : head], total[head:]
        share = share + xp.astype(share == 0, share.dtype)
        mean = share * 0.0 + 1.0 if rules.loss.name in SUMS else share
        value = xp.mean(loss / mean) if m > 1 else (loss / mean)[0]
        if m == 1:
            gradient = gradient / mean[0]
        else:
            rows = xp.reshape(gradient, (m, -1)) if by_member else layout.by_member(gradient, xp)
            gradient = layout.from_members(rows / mean[:, None], xp)
        over: Any = n
        if weight is not None:
            over = share[0] if m == 1 else share[:, None]
        if self.ops is None or not (rules.plain and (m == 1 or not rules.l2)):
            return self._finish(carry, value, gradient, n, over, coefficients)
        theta, buffers, moments, sums = carry
        l2 = rules.l2 / over if rules.l2 else 0.0
        update = Update(theta, gradient, moments, coefficients, l2, self.factors)
        moments, penalty = self.ops.update(rules, update)
        return Carry(theta, buffers, moments, self.ops.accumulate(sums, value, penalty, n))

    def _finish(
        self, carry: Carry, value: Array, gradient: Array, n: int, over: Any, c: Coefficients
    ) -> Carry:
        new = self.rules.learn(carry, value, gradient, n, over, c, self.factors, self.xp)
        if self.ops is None:
            return new
        carry.theta[...] = new.theta  # compiled code knows where it lies
        return new._replace(theta=carry.theta)
