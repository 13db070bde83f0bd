"""What a training step is: what it is given, what it hands on, and what it does with a gradient."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.numeric import positive_sum
from xpnn.arrays.typing import Array, DType, Namespace
from xpnn.model.layout import Groups, Segment, group_named
from xpnn.model.network import Network
from xpnn.parts.losses import Loss
from xpnn.parts.optimizers import OPTIMIZERS
from xpnn.parts.regularization import clip_by_global_norm, max_norm, penalty

_MULTIPLICATIONS_APART = 5e8  # between two looks at Ctrl-C: less than a twentieth of a second
_MOST_STEPS = 1024


class StepInterrupted(Exception):
    """Ctrl-C has ended a step before anything was learned: all is as it was before it."""


Coefficients = tuple[float, ...]
"""The optimizer's scalars of one step."""


class Carry(NamedTuple):
    """What a step may destroy and hands on: the caller takes its successor instead."""

    theta: Array
    buffers: Array
    moments: tuple[Array, ...]
    total: Array  # the epoch's sum of losses, 0-d


class Batch(NamedTuple):
    """Some rows; a step never writes into them."""

    x: Array  # (n, n_in), or (members, n, n_in)
    y: Array
    weight: Array | None  # (n,), or (n, members) for weights of each member's own


class Rows(NamedTuple):
    """Consecutive batches of resident data."""

    data: Batch
    order: Array | None  # row numbers, or (n, members) of them; None: as the rows lie
    start: int
    size: int  # of a batch; an epoch's last may be shorter
    epochs: int = 1  # whose orders lie one behind the other

    @property
    def of_epoch(self) -> int:
        """Rows of an epoch, of each member."""
        return int((self.data.x if self.order is None else self.order).shape[0]) // self.epochs


class Factors(NamedTuple):
    """Each parameter's factors on the device; None where nothing asks for them."""

    rate: Array | None  # of the learning rate
    decay: Array | None  # of the optimizer's weight decay
    penalty: Array | None  # of L1 and L2


class Costs(NamedTuple):
    """What of a step is no product, in multiplications that take as long; rather too much."""

    layer: float  # its calls
    unit: float  # of a row's features and of its layers' outputs, forward and back
    parameter: float  # to learn it


class Steps(Protocol):
    """The training steps of one call of fit."""

    def stride(self, batch: int) -> int:
        """How many steps one call of `on_rows` takes, so that Ctrl-C is seen soon."""

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys, uint32 of shape (steps, layers + 1, 2), as the methods below take them."""

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a streamed batch; `key` is one step's of `words`, or None."""

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """As many steps on consecutive batches as there are coefficients."""


@dataclass(frozen=True)
class Rules:
    """What a step does with the gradient of which loss."""

    network: Network
    loss: Loss
    optimizer: Any
    l1: float = 0.0  # a penalty on the weights, divided by the batch's rows (or sum of weights)
    l2: float = 0.0  # likewise
    clip_norm: float | None = None  # largest norm of the whole gradient, each member's own
    limit: float | None = None  # largest norm of a neuron's incoming weights
    groups: Groups = ()  # how each group of parameters learns, see `make_groups`

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Stretches of the flat vector and their groups' factors."""
        return self.network.layout.segments(self.groups)

    @cached_property
    def per_row(self) -> int:
        """Multiplications of a row in the products of a step."""
        return int(3 * sum(d.n_in * d.n_out for d in self.network.layers) + 1)

    def stride(self, rows: int, costs: Costs) -> int:
        """How many steps of so many rows pass between two looks at Ctrl-C."""
        return int(max(1, min(_MOST_STEPS, _MULTIPLICATIONS_APART / self._work(rows, costs))))

    def is_long(self, rows: int, costs: Costs, members: int = 1) -> bool:
        """Whether a single step of so many rows, of each of some members, takes longer."""
        return members * self._work(rows, costs) > _MULTIPLICATIONS_APART

    def _work(self, rows: int, costs: Costs) -> float:
        """What a step takes, in multiplications."""
        net = self.network
        units = net.n_in + sum(d.n_out for d in net.layers)
        work = rows * (self.per_row + costs.unit * units)
        return float(work + costs.layer * len(net.layers) + costs.parameter * net.layout.size)

    @cached_property
    def n_weights(self) -> int | None:
        """How many parameters, the first ones, decay and are penalized in full, no others being.

        None where groups say otherwise, or learn at rates of their own.
        """
        found = [s.stop for s in self.segments if s.decay == s.penalty == 1.0]
        plain = all(s.rate == 1.0 and s.decay == s.penalty in (0.0, 1.0) for s in self.segments)
        n = found[-1] if found else 0
        first = all((s.decay == 1.0) == (s.start < n) for s in self.segments)
        return n if plain and first else None

    @cached_property
    def plain(self) -> bool:
        """Whether the optimizer and an L2 penalty are all there is, for all members alike."""
        return not (self.l1 or self.clip_norm is not None or self.limit is not None)

    @cached_property
    def limits(self) -> dict[str, float]:
        """The largest norm of a neuron's incoming weights, by the matrix's name."""
        if self.limit is None:
            return {}
        known, found = dict(self.groups), {}
        for e in self.network.layout.entries:
            factor = group_named(e.group, known).max_norm
            if e.role == "weight" and factor:
                found[e.name] = factor * self.limit
        return found

    def factors(self, backend: Backend, dtype: DType) -> Factors:
        """The vectors that this step asks for, on the device."""

        def vector(name: str) -> Array:
            parts = [np.full(s.stop - s.start, getattr(s, name)) for s in self.segments]
            return backend.asarray(np.concatenate(parts), dtype=dtype)

        known = type(self.optimizer) in OPTIMIZERS.values()
        decays = not known or bool(getattr(self.optimizer, "weight_decay", 0.0))
        return Factors(
            vector("rate") if any(s.rate != 1.0 for s in self.segments) else None,
            vector("decay") if decays else None,
            vector("penalty") if self.l1 or self.l2 else None,
        )

    def over(self, rows: int, weight: Array | None, xp: Namespace) -> Any:
        """What penalties are divided by: a batch's rows or the sum of their weights."""
        if weight is None:
            return rows
        return positive_sum(weight if weight.ndim == 1 else xp.permute_dims(weight, (1, 0)), xp)

    def finish(
        self,
        carry: Carry,
        value: Array,
        gradient: Array,
        batch: Batch,
        coefficients: Coefficients,
        factors: Factors,
        xp: Namespace,
    ) -> Carry:
        """`learn` from the gradient of a batch."""
        rows = batch.x.shape[-2]
        over = self.over(rows, batch.weight, xp) if self.l1 or self.l2 else rows
        return self.learn(carry, value, gradient, rows, over, coefficients, factors, xp)

    def learn(
        self,
        carry: Carry,
        value: Array,
        gradient: Array,
        rows: Any,
        over: Any,
        coefficients: Coefficients,
        factors: Factors,
        xp: Namespace,
    ) -> Carry:
        """Penalties, clipping, the optimizer's update, max-norm; `carry` has the old parameters.

        `rows` are those of the batch, and `over` is what its penalties are divided by.
        """
        theta, layout = carry.theta, self.network.layout
        if self.l1 or self.l2:
            cost, push = self._penalty(theta, over, factors, xp)
            value, gradient = value + cost, gradient + push
        if self.clip_norm is not None:
            each = layout.by_member(gradient, xp)
            clipped = clip_by_global_norm(each, self.clip_norm, xp)
            gradient = layout.from_members(clipped, xp)
        theta, moments = self.update(theta, gradient, carry.moments, coefficients, factors, xp)
        if self.limits:
            parts = layout.split(theta, xp)
            parts |= {n: max_norm(parts[n], limit, xp) for n, limit in self.limits.items()}
            theta = layout.join(parts, xp)
        return Carry(theta, carry.buffers, moments, carry.total + value * rows)

    def _penalty(
        self, theta: Array, over: Any, factors: Factors, xp: Namespace
    ) -> tuple[Array, Array]:
        """The penalties and their gradient; of several members, the mean and each one's own."""
        if self.network.members == 1:
            cost, push = penalty(theta, self.l1, self.l2, xp, factors.penalty)
            return cost / over, push / over
        layout = self.network.layout
        each, factor = (layout.by_member(a, xp) for a in (theta, factors.penalty))
        cost, push = penalty(each, self.l1, self.l2, xp, factor, axis=-1)
        cost = cost / (over[:, 0] if getattr(over, "ndim", 0) > 1 else over)
        return xp.mean(cost), layout.from_members(push / over, xp)

    def update(
        self,
        theta: Array,
        gradient: Array,
        moments: tuple[Array, ...],
        coefficients: Coefficients,
        factors: Factors,
        xp: Namespace,
    ) -> tuple[Array, tuple[Array, ...]]:
        """The optimizer's step, with each group's rate."""
        rest = (moments, coefficients, factors.decay, xp)
        if type(self.optimizer) in OPTIMIZERS.values():
            rate = {} if factors.rate is None else {"rate": factors.rate}
            new, moments = self.optimizer.update(theta, gradient, *rest, **rate)
            return new, moments
        # a user's own rule may keep what it is given, and knows of no groups
        given = (xp.asarray(a, copy=True) for a in (theta, gradient))
        new, moments = self.optimizer.update(*given, *rest)
        return (new if factors.rate is None else theta + factors.rate * (new - theta)), moments
