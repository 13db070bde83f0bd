"""A training step that writes in place: nothing is allocated after the first one.

The products are laid out so that BLAS takes each operand as it lies, and those of the gradient go
straight into one flat vector. What lies between them is an `Ops`.
"""

from collections.abc import Callable
from typing import Any

from array_api_compat import device

from xpnn.arrays.numeric import positive_sum
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.reference import Drop
from xpnn.steps.inplace import Ops

Carry = tuple[Array, Array, tuple[Array, ...], Array]


def is_plain(network: Any) -> bool:
    """Whether all layers are affine maps with an activation and dropout, and the last is linear."""
    layers = network.layers
    return (
        all(not getattr(layer, "normalization", None) for layer in layers)
        and layers[-1].activation.name == "identity"
        and layers[-1].dropout == 0
    )


class OneByOne:
    """Steps that are calls of `on_rows`, one after the other."""

    on_rows: Callable[..., Carry]

    def stride(self, batch: int) -> int:
        """How many steps one call of `on_steps` takes, so that Ctrl-C is seen soon."""
        return 1

    def on_steps(
        self,
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        data: tuple[Array, Array, Array | None],
        order: Array | None,
        start: int,
        keys: Any,
        coefficients: list[tuple[float, ...]],
        decay: Array | None,
        batch: int,
    ) -> Carry:
        """As many steps as there are coefficients, on consecutive batches of resident data."""
        carry: Carry = theta, buffers, moments, total
        for k, c in enumerate(coefficients):
            at = start + k * batch
            size = min(batch, data[0].shape[0] - at)
            words = None if keys is None else keys[k]
            carry = self.on_rows(*carry, data, order, at, words, c, decay, size)
        return carry


class FusedStep(OneByOne):
    """`on_batch` and `on_rows` of the training loop, in place; for one call of fit.

    Parameters
    ----------
    rules : xpnn.step.Rules
        Of a plain network.
    ops : Ops
    """

    def __init__(self, rules: Any, ops: Ops) -> None:
        self.network, self.rules, self.ops = rules.network, rules, ops
        self.xp: Namespace = ops.xp
        network = rules.network
        self.n_weights = sum(e.size for e in network.layout.entries if e.role == "weight")
        self.plain_rules = not (rules.l1 or rules.clip_norm is not None or rules.limit is not None)
        self.theta: Array = None
        self.room = 0
        self.spaces: dict[int, Any] = {}

    def bind(self, theta: Array) -> None:
        """Make the views of the parameters and of their gradient, once."""
        layout, xp = self.network.layout, self.xp
        self.theta, self.gradient = theta, xp.empty_like(theta)
        self.spaces, self.room = {}, 0
        p, d = layout.split(theta, xp), layout.split(self.gradient, xp)
        count = range(len(self.network.layers))
        self.w, self.dw = ([v[f"weight_{i}"] for i in count] for v in (p, d))
        self.b, self.db = ([v.get(f"bias_{i}") for i in count] for v in (p, d))
        self.wt = [w.T for w in self.w]

    def space(self, n: int) -> Any:
        """Arrays of `n` rows: the gathered batch, each layer's output, each one's gradient."""
        if n > self.room:
            widths = [self.network.layers[0].n_in, *(d.n_out for d in self.network.layers)]
            like = {"dtype": self.theta.dtype, "device": device(self.theta)}
            self.most = [self.xp.empty((n, k), **like) for k in widths + widths[1:-1]]
            self.room, self.spaces = n, {}
        views = [a[:n, ...] for a in self.most]
        layers = len(self.network.layers)
        self.spaces[n] = views[0], views[1 : layers + 1], views[layers + 1 :]
        return self.spaces[n]

    def words(self, keys: Any) -> Any:
        """Dropout keys, a uint32 array (steps, layers, 2), as `on_steps` takes them."""
        return keys.tolist()

    def on_rows(
        self,
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
        """A step on rows of resident data."""
        if theta is not self.theta:
            self.bind(theta)
        stop = start + size
        if order is None:
            batch: Any = tuple(None if a is None else a[start:stop, ...] for a in data)
            return self.on_batch(theta, buffers, moments, total, batch, keys, coefficients, decay)
        space = self.spaces.get(size) or self.space(size)
        if len(space) == 3:  # the targets' room is known with the first targets
            extra = [None if a is None else self.xp.empty_like(a[:size, ...]) for a in data[1:]]
            space = self.spaces[size] = (*space, *extra)
        batch = space[0], space[3], space[4]
        self.ops.gather(data, order[start:stop], batch)
        return self.step(theta, buffers, moments, total, batch, keys, coefficients, decay, True)

    def on_batch(
        self,
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        batch: tuple[Array, Array, Array | None],
        keys: Any,
        coefficients: tuple[float, ...],
        decay: Array | None,
    ) -> Carry:
        """A step on a batch, which is not written into."""
        if theta is not self.theta:
            self.bind(theta)
        return self.step(theta, buffers, moments, total, batch, keys, coefficients, decay, False)

    def step(
        self,
        theta: Array,
        buffers: Array,
        moments: tuple[Array, ...],
        total: Array,
        batch: Any,
        keys: Any,
        coefficients: tuple[float, ...],
        decay: Array | None,
        owned: bool,
    ) -> Carry:
        """A step; `owned` says that the batch's features may be overwritten."""
        x, y, weight = batch
        n, rules = x.shape[0], self.rules
        value = self.backpropagate(x, y, weight, keys, owned)
        if self.plain_rules:
            l2 = 0.0
            if rules.l2:
                l2 = rules.l2 / (n if weight is None else positive_sum(weight, self.xp))
            moments, penalty = self.ops.update(
                rules.optimizer,
                theta,
                self.gradient,
                moments,
                coefficients,
                decay,
                l2,
                self.n_weights,
            )
            total = self.ops.accumulate(total, value, penalty, n)
        else:
            new, moments, value = rules.finish(
                theta, moments, value, self.gradient, n, weight, coefficients, decay, self.xp
            )
            theta[...] = new
            total = self.ops.accumulate(total, value, None, n)
        return theta, buffers, moments, total

    def backpropagate(self, x: Array, y: Array, weight: Any, keys: Any, owned: bool) -> Array:
        """The loss of a batch; its gradient goes into `self.gradient`."""
        ops, layers, last = self.ops, self.network.layers, len(self.network.layers) - 1
        n = x.shape[0]
        space = self.spaces.get(n) or self.space(n)
        zs, gs = space[1], space[2]
        if self.network.input_dropout:
            if not owned:
                space[0][...] = x
                x = space[0]
            x = ops.drop_inputs(x, Drop(tuple(keys[0]), 0, self.network.input_dropout))
        inputs, kept = [x], []
        product = ops.product
        for i in range(last):
            layer = layers[i]
            drop = Drop(tuple(keys[i + 1]), 0, layer.dropout) if layer.dropout else None
            product(inputs[i], self.w[i], zs[i])
            out, saved = ops.activate(zs[i], self.b[i], layer.activation, drop)
            inputs.append(out)
            kept.append((saved, drop))
        product(inputs[last], self.w[last], zs[last])
        value, dz = ops.loss(zs[last], self.b[last], y, weight, self.rules.loss, self.db[last])
        for i in range(last, -1, -1):
            product(inputs[i].T, dz, self.dw[i])
            if i:
                product(dz, self.wt[i], gs[i - 1])
                saved, drop = kept[i - 1]
                activation = layers[i - 1].activation
                dz = ops.pull_back(gs[i - 1], inputs[i], saved, activation, drop, self.db[i - 1])
        return value
