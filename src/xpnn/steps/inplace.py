"""A training step that writes in place: where all layers are plain, it allocates nothing twice.

The products are laid out so that BLAS takes each operand as it lies, and those of the gradient go
straight into one flat vector. What lies between them is an `Ops`. A layer that has no version of
its own here goes by its `forward` and `backward`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from array_api_compat import device

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array, DType
from xpnn.model.dense import Dense
from xpnn.model.layer import Drop, Layer, Pass, swapped
from xpnn.parts.losses import built_in
from xpnn.steps.operations import Ops, Update
from xpnn.steps.reference import gather
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules

Views = Mapping[str, Array]


class InPlaceSteps:
    """Steps in place; an object serves one call of fit.

    Parameters
    ----------
    dtype : dtype of the backend's namespace
        Of the parameters.
    """

    def __init__(self, rules: Rules, ops: Ops, backend: Backend, dtype: DType) -> None:
        self.network, self.rules, self.ops = rules.network, rules, ops
        self.factors = rules.factors(backend, dtype)
        self.xp, self.batches = backend.xp, dict[int, Batch]()
        self.theta: Array = None
        self.layers = [self.layer(d, i) for i, d in enumerate(self.network.layers)]
        last = self.layers[-1]
        self.linear_end = last if isinstance(last, PlainLayer) and last.linear else None

    def layer(self, layer: Layer, i: int) -> Any:
        """The passes of a layer, of which `i` are before it."""
        members = self.network.members
        if is_plain(layer) and (members == 1 or self.ops.members):
            return PlainLayer(cast(Dense, layer), self.ops, members)
        return ReferenceLayer(layer, self.ops)

    def stride(self, batch: int) -> int:
        """How many steps one call of `on_rows` takes, so that Ctrl-C is seen soon."""
        return self.ops.stride(self.rules, batch)

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as Python ints."""
        return keys.tolist()

    def drop(self, key: Any, i: int) -> Drop | None:
        """The dropout of the input (0) or of a layer's outputs (its number from 1)."""
        rate = self.network.rates[i]
        return Drop(tuple(key[i]), 0, rate) if rate else None

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps on consecutive batches of resident data."""
        self._bind(carry.theta)
        data, order, first, most = rows[:4]
        end = rows.of_epoch
        for k, c in enumerate(coefficients):
            start = first + k * most
            here, size = Rows(data, order, start, most), min(most, end - start)
            carry = self._on_some(carry, here, size, None if keys is None else keys[k], c)
        return carry

    def _on_some(
        self, carry: Carry, rows: Rows, size: int, key: Any, coefficients: Coefficients
    ) -> Carry:
        """One step on the first `size` of the rows."""
        batch, owned = self._gathered(rows, size)
        return self._step(carry, batch, key, coefficients, owned)

    def on_batch(self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients) -> Carry:
        """One step on a batch, which is not written into."""
        self._bind(carry.theta)
        return self._step(carry, batch, key, coefficients, False)

    def _bind(self, theta: Array) -> None:
        """Make the views of the parameters and of their gradient, once."""
        if theta is self.theta:
            return
        layout, xp = self.network.layout, self.xp
        self.theta, self.gradient, self.batches = theta, xp.empty_like(theta), {}
        parts = (layout.by_layer(a, xp, len(self.layers)) for a in (theta, self.gradient))
        for layer, p, d in zip(self.layers, *parts, strict=True):
            layer.bind(p, d)

    def _gathered(self, rows: Rows, size: int) -> tuple[Batch, bool]:
        """A batch of resident data, and whether it may be overwritten."""
        if rows.order is None or rows.order.ndim > 1:
            return gather(rows, size, self.xp), False
        batch = self.batches.get(size)
        if batch is None:
            x, y, weight = rows.data
            like = {"dtype": self.theta.dtype, "device": device(self.theta)}
            room = self.xp.empty((size, x.shape[1]), **like)
            rest = [None if a is None else self.xp.empty_like(a[:size, ...]) for a in (y, weight)]
            batch = self.batches[size] = Batch(room, *rest)
        self.ops.gather(rows.data, rows.order[rows.start : rows.start + size], batch)
        return batch, True

    def _step(
        self, carry: Carry, batch: Batch, key: Any, coefficients: Coefficients, owned: bool
    ) -> Carry:
        """A step; `owned` says that the batch's features may be overwritten."""
        theta, buffers, moments, total = carry
        n, rules, weight = batch.x.shape[-2], self.rules, batch.weight
        value = self._backpropagate(batch, buffers, key, owned)
        if rules.plain and (self.network.members == 1 or not rules.l2):
            l2 = rules.l2 / rules.over(n, weight, self.xp) if rules.l2 else 0.0
            u = Update(theta, self.gradient, moments, coefficients, l2, self.factors)
            moments, penalty = self.ops.update(rules, u)
            total = self.ops.accumulate(total, value, penalty, n)
        else:
            given = (value, self.gradient, batch, coefficients, self.factors, self.xp)
            new = rules.finish(carry, *given)
            theta[...], moments, total = new.theta, new.moments, new.total
        return Carry(theta, buffers, moments, total)

    def _backpropagate(self, batch: Batch, buffers: Array, key: Any, owned: bool) -> Array:
        """The loss of a batch; its gradient goes into `self.gradient`."""
        (x, y, weight), layers = batch, self.layers
        state: Any = [{}] * len(layers)
        if self.network.buffer_layout.entries:
            state = self.network.buffer_layout.by_layer(buffers, self.xp, len(layers))
        drop = None if key is None else self.drop(key, 0)
        if drop is not None and self.network.members > 1:
            x = self.network.drop_inputs(x, drop, x, self.xp)
        elif drop is not None:
            x = self.ops.drop_inputs(x if owned else self.xp.asarray(x, copy=True), drop)
        end, loss = self.linear_end, self.rules.loss
        ends = len(layers) if end is None else len(layers) - 1
        for i in range(ends):
            x = layers[i].forward(x, None if key is None else self.drop(key, i + 1), state[i])
        if end is not None:
            value, g = end.loss(x, y, weight, loss)
            g = end.products(g, ends > 0)
        else:
            weight = weight if weight is None or weight.ndim == 1 else weight.T
            value, g = loss(x, y, weight, self.xp)
            if built_in(loss) is None:  # a user's own gradient may be the targets themselves
                g = self.xp.asarray(g, copy=True)
        for i in range(ends - 1, -1, -1):
            g = layers[i].backward(g, i > 0)
        return value


class PlainLayer:
    """A `Dense` layer without normalization, of one network or of members."""

    def __init__(self, layer: Dense, ops: Ops, members: int = 1) -> None:
        self.layer, self.ops, self.activation = layer, ops, layer.activation
        self.first = () if members == 1 else (members,)
        self.linear = layer.activation.name == "identity" and layer.dropout == 0
        self.spaces: dict[int, Array] = {}
        self.most: Array = None

    def bind(self, p: Views, d: Views) -> None:
        """Take the views of the parameters and of their gradient."""
        self.w, self.b, self.dw, self.db = p["weight"], p.get("bias"), d["weight"], d.get("bias")
        self.wt, self.spaces, self.most = swapped(self.w, self.ops.xp), {}, None

    def room(self, n: int) -> tuple[Array, Array]:
        """Workspaces of `n` rows: of outputs, and of the gradient of the inputs."""
        found = self.spaces.get(n)
        if found is None:
            if self.most is None or self.first or self.most[0].shape[0] < n:
                like, xp = {"dtype": self.w.dtype, "device": device(self.w)}, self.ops.xp
                widths = self.layer.n_out, self.layer.n_in
                self.most = [xp.empty((*self.first, n, k), **like) for k in widths]
                self.spaces = self.spaces if self.first else {}
            rows = ... if self.first else slice(n)
            found = self.spaces[n] = tuple(a[rows] for a in self.most)
        return found

    def forward(self, x: Array, drop: Drop | None, state: Views) -> Array:
        """Outputs of some inputs."""
        self.x, (z, _) = x, self.room(x.shape[-2])
        self.ops.product(x, self.w, z)
        self.drop, b = drop, self.b
        self.y, self.saved = self.ops.activate(z, b, self.activation, drop)
        return self.y

    def backward(self, g: Array, need_dx: bool) -> Array | None:
        """The gradient with respect to the inputs; that of the parameters goes to its place."""
        activation, db = self.activation, self.db
        dz = self.ops.pull_back(g, self.y, self.saved, activation, self.drop, db)
        return self.products(dz, need_dx)

    def loss(self, x: Array, y: Array, weight: Array | None, loss: Any) -> tuple[Array, Array]:
        """The loss of a linear last layer, and its gradient with respect to the products."""
        self.x, (z, _) = x, self.room(x.shape[-2])
        self.ops.product(x, self.w, z)
        return self.ops.loss(z, self.b, y, weight, loss, self.db)

    def products(self, dz: Array, need_dx: bool) -> Array | None:
        """The weights' gradient, and the inputs' if it is needed."""
        self.ops.product(swapped(self.x, self.ops.xp), dz, self.dw)
        if not need_dx:
            return None
        dx = self.room(self.x.shape[-2])[1]
        self.ops.product(dz, self.wt, dx)
        return dx


class ReferenceLayer:
    """Any layer, by its own passes; only its gradients are written in place."""

    def __init__(self, layer: Layer, ops: Ops) -> None:
        self.layer, self.ops = layer, ops

    def bind(self, p: Views, d: Views) -> None:
        """Take the views of the parameters and of their gradient."""
        self.p, self.d = p, d

    def forward(self, x: Array, drop: Drop | None, state: Views) -> Array:
        """Outputs of some inputs; running statistics move."""
        how, xp = Pass(True, drop), self.ops.xp
        y, self.saved, changed = self.layer.forward(self.p, state, x, how, xp)
        for name, new in changed.items():
            state[name][...] = new
        return y

    def backward(self, g: Array, need_dx: bool) -> Array | None:
        """The gradient with respect to the inputs; that of the parameters goes to its place."""
        dx, grads = self.layer.backward(self.p, self.saved, g, self.ops.xp, need_dx)
        for name, d in self.d.items():
            d[...] = grads[name]
        return dx


def is_plain(layer: Any) -> bool:
    """Whether a layer is `Dense` without normalization."""
    return type(layer) is Dense and layer.normalization is None
