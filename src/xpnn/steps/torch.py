"""The in-place operations on torch: nothing is kept for autograd, and the host never waits.

A call costs microseconds whatever it does, so dropout masks are drawn for many steps at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.optim.adam import adam as fused_adam

from xpnn.arrays.numeric import positive_sum
from xpnn.arrays.random import ROTATIONS, dropout_mask, keep_count, key_schedule
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Drop
from xpnn.parts.activations import LEAKY_SLOPE
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import CROSS_ENTROPY, builtin_name, is_builtin
from xpnn.steps.operations import Ops, Update
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules

_IN_PLACE: dict[str, Callable[[Array], Array]] = {
    "identity": lambda z: z,
    "relu": lambda z: z.clamp_min_(0.0),
    "leaky_relu": lambda z: torch.nn.functional.leaky_relu_(z, LEAKY_SLOPE),
    "tanh": lambda z: z.tanh_(),
    "sigmoid": lambda z: z.sigmoid_(),
}
_FUSED = 16384  # parameters from which Adam's one slow call beats seven quick ones
_COUNTERS = {"cpu": 1 << 16, "cuda": 1 << 20}  # of one draw: what the cache holds, what fills a GPU
_MOST_STEPS = 256
_SIGN_BITS = 0x80008000 - (1 << 32)  # flipped, they make the order of uint16 that of int16

# Numbers as tensors: torch makes one of a Python number at every call, which takes as long again.
_DOWN = {r: torch.tensor(32 - r, dtype=torch.int32, device="cpu") for r in ROTATIONS}
_LOW = {r: torch.tensor((1 << r) - 1, dtype=torch.int32, device="cpu") for r in ROTATIONS}


class Drawn(NamedTuple):
    """A dropout mask that has been drawn ahead, in the place of a `Drop`."""

    values: Array

    def mask(self, shape: tuple[int, ...], like: Array, xp: Namespace) -> Array:
        """The multipliers, for a last batch that may be shorter."""
        return self.values[: shape[-2]]


class TorchOps(Ops):
    """The operations with torch's own in-place methods, and workspaces for what they need."""

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self._spaces: dict[str, Array] = {}
        self._steps: Array = None

    def space(self, name: str, size: int, dtype: torch.dtype, device: torch.device) -> Array:
        """A workspace of at least `size` elements, cut to it."""
        room = self._spaces.get(name)
        if room is None or room.numel() < size:
            room = self._spaces[name] = torch.empty(size, dtype=dtype, device=device)
        return room[:size]

    def like(self, name: str, a: Array) -> Array:
        """A workspace of the shape of `a`."""
        return self.space(name, a.numel(), a.dtype, a.device).view(a.shape)

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write the matrix product of two arrays, either of them transposed, into `out`."""
        if a.dtype == b.dtype == out.dtype:
            torch.mm(a, b, out=out)
        else:
            super().product(a, b, out)

    def gather(self, data: Batch, rows: Array, into: Batch) -> None:
        """Copy some rows of features, targets and weights (or None)."""
        for a, out in zip(data, into, strict=True):
            if a is None:
                continue
            if a.dtype == out.dtype:
                torch.index_select(a, 0, rows, out=out)
            else:
                out.copy_(torch.index_select(a, 0, rows))

    def drop_inputs(self, x: Array, drop: Drop) -> Array:
        """Inverted dropout of a batch, in place."""
        return x.mul_(self._mask(x, drop))

    def draw(
        self,
        keys: np.ndarray,
        first_row: int,
        shape: tuple[int, int],
        rate: float,
        out: Array,
    ) -> Array:
        """`dropout_mask` for each of some keys, a uint32 array (k, 2), into `out` (k, *shape)."""
        (rows, units), count, device = shape, len(keys), out.device
        if device.type not in _COUNTERS:  # where int32 is not known to wrap
            for key, mask in zip(keys.tolist(), out, strict=True):
                mask.copy_(dropout_mask(key, first_row, shape, rate, out.dtype, self.xp, device))
            return out
        words = torch.from_numpy(np.stack(key_schedule(keys.T, np)).view(np.int32)[..., None, None])
        if device.type == "cuda":  # from pinned memory, or the host would wait for the copy
            words = words.pin_memory()
        words = words.to(device, non_blocking=True)
        groups = -(-units // 4)
        step = max(1, _COUNTERS[device.type] // (count * groups))
        for i in range(0, rows, step):
            n = min(step, rows - i)
            size = count * n * groups
            x0, x1, t = self.space("words", 3 * size, torch.int32, device).view(3, count, n, groups)
            x0.copy_(_count(first_row + i, n, device)[:, None])
            x1.copy_(_count(0, groups, device))
            _threefry(words, x0, x1, t)
            pairs = self.space("pairs", 2 * size, torch.int32, device).view(count, n, groups, 2)
            torch.stack((x0.bitwise_xor_(_SIGN_BITS), x1.bitwise_xor_(_SIGN_BITS)), -1, out=pairs)
            draws = pairs.view(torch.int16).view(count, n, 4 * groups)[..., :units]
            torch.le(draws, keep_count(rate) - 32769, out=out[:, i : i + n])
        return out.mul_(65536 / keep_count(rate))

    def _mask(self, a: Array, drop: Drop | Drawn) -> Array:
        if isinstance(drop, Drawn):
            return drop.mask(a.shape, a, self.xp)
        keys = np.asarray(drop.key, dtype=np.uint32)[None, :]
        out = torch.empty((1, *a.shape), dtype=a.dtype, device=a.device)
        return self.draw(keys, drop.first_row, tuple(a.shape), drop.rate, out)[0]

    def activate(
        self, z: Array, b: Array | None, activation: Any, drop: Drop | None
    ) -> tuple[Array, Any]:
        """Bias, activation and dropout, in place for the commonest activations."""
        if b is not None:
            z.add_(b)
        name = builtin_name(activation)
        a = _IN_PLACE[name](z) if name in _IN_PLACE else activation.value(z, self.xp)
        if drop is None:
            return a, (z, a, None)
        mask = self._mask(z, drop)
        return a.mul_(mask) if name in ("identity", "relu") else a * mask, (z, a, mask)

    def pull_back(
        self, g: Array, y: Array, saved: Any, activation: Any, drop: Drop | None, db: Array | None
    ) -> Array:
        """The gradient with respect to z, in place on `g` for the commonest activations."""
        z, a, mask = saved
        if mask is not None:
            g.mul_(mask)
        name = builtin_name(activation)
        if name == "relu":
            g.mul_(torch.sign(a, out=self.like("slope", a)))
        elif name == "leaky_relu":
            g.mul_(torch.sign(a, out=self.like("slope", a)).clamp_min_(LEAKY_SLOPE))
        elif name == "tanh":
            g.addcmul_(g, torch.mul(a, a, out=self.like("slope", a)), value=-1.0)
        elif name == "sigmoid":
            slope = torch.mul(a, a, out=self.like("slope", a))
            g.mul_(torch.sub(a, slope, out=slope))
        elif name != "identity":
            g = activation.backward(z, a, g, self.xp)
        if db is not None:
            torch.sum(g, 0, dtype=db.dtype, out=db)
        return g

    def loss(
        self, z: Array, b: Array | None, y: Array, weight: Array | None, loss: Any, db: Array | None
    ) -> tuple[Array, Array]:
        """Softmax cross-entropy of class numbers in place; any other loss by itself."""
        if b is not None:
            z.add_(b)
        if loss != CROSS_ENTROPY or y.ndim != 1 or y.is_floating_point():
            value, dz = loss(z, y, weight, self.xp)
        else:
            right = y.long()[:, None]
            dz = torch.log_softmax(z, 1)
            at = dz.gather(1, right)
            dz.exp_().scatter_(1, right, at.expm1())
            if weight is None:
                scale = 1.0 / z.shape[0]
                value = at.sum().mul_(-scale)
                dz.mul_(scale)
            else:
                row = (weight / positive_sum(weight, self.xp))[:, None]
                value = at.mul_(row).sum().neg_()
                dz.mul_(row)
        if db is not None:
            torch.sum(dz, 0, dtype=db.dtype, out=db)
        return value, dz

    def update(self, rules: Rules, u: Update) -> tuple[tuple[Array, ...], Any]:
        """Penalty and optimizer in place."""
        n, l2, o, penalty = rules.n_weights, u.l2, rules.optimizer, None
        if n is None or not is_builtin(o, *_RULES):
            return super().update(rules, u)
        w, gradient = u.theta[:n], u.gradient
        if u.factors.penalty is not None:
            penalty = torch.dot(w, w).mul_(0.5 * l2)
            if isinstance(l2, float):
                gradient[:n].add_(w, alpha=l2)
            else:  # over the rows' weights: it is not looked at
                gradient[:n].addcmul_(w, l2)
        step, *decay = u.coefficients
        for share in decay:
            w.mul_(1.0 - share)
        _RULES[o.name](self, o, step, u.theta, gradient, *u.moments)
        return u.moments, penalty

    def accumulate(self, total: Array, value: Array, penalty: Any, n: int) -> Array:
        """Add the losses of a batch of `n` rows and its penalty to `total`, in place."""
        total.add_(value, alpha=n)
        return total if penalty is None else total.add_(penalty, alpha=n)

    def _sgd(self, o: Any, rate: float, theta: Array, g: Array) -> None:
        theta.sub_(g.mul_(rate))  # rounded as in `SGD.update`, so that subclasses agree to the bit

    def _momentum(self, o: Any, rate: float, theta: Array, g: Array, velocity: Array) -> None:
        theta.add_(velocity.mul_(o.momentum).sub_(g.mul_(rate)))

    def _nesterov(self, o: Any, rate: float, theta: Array, g: Array, velocity: Array) -> None:
        velocity.mul_(o.momentum).sub_(g.mul_(rate))
        theta.add_(torch.mul(velocity, o.momentum, out=self.like("ahead", g)).sub_(g))

    def _adagrad(self, o: Any, rate: float, theta: Array, g: Array, v: Array) -> None:
        theta.addcdiv_(g, self._root(v.addcmul_(g, g), o.epsilon), value=-rate)

    def _rmsprop(self, o: Any, rate: float, theta: Array, g: Array, v: Array) -> None:
        v.mul_(o.rho).addcmul_(g, g, value=1.0 - o.rho)
        theta.addcdiv_(g, self._root(v, o.epsilon), value=-rate)

    def _adam(self, o: Any, rate: float, theta: Array, g: Array, m: Array, v: Array) -> None:
        if theta.numel() >= _FUSED and theta.device.type in ("cpu", "cuda"):
            if self._steps is None:  # after infinitely many, no bias is left: the rate has it
                self._steps = torch.full((), torch.inf, dtype=torch.float32, device=theta.device)
            fused_adam(
                [theta], [g], [m], [v], [], [self._steps],
                fused=True, amsgrad=False, maximize=False, weight_decay=0.0,
                lr=rate, beta1=o.beta_1, beta2=o.beta_2, eps=o.epsilon,
            )  # fmt: skip
            return
        m.lerp_(g, 1.0 - o.beta_1)
        v.mul_(o.beta_2).addcmul_(g, g, value=1.0 - o.beta_2)
        theta.addcdiv_(m, self._root(v, o.epsilon), value=-rate)

    def _root(self, v: Array, epsilon: float) -> Array:
        return torch.sqrt(v, out=self.like("root", v)).add_(epsilon)


_RULES: dict[str, Callable[..., None]] = {
    "sgd": TorchOps._sgd,
    "momentum": TorchOps._momentum,
    "nesterov": TorchOps._nesterov,
    "adagrad": TorchOps._adagrad,
    "rmsprop": TorchOps._rmsprop,
    "adam": TorchOps._adam,
    "adamw": TorchOps._adam,
}


def _count(first: int, n: int, device: Any) -> Array:
    return torch.arange(first, first + n, dtype=torch.int32, device=device)


def _threefry(words: Array, x0: Array, x1: Array, t: Array) -> None:
    """`xpnn.random.threefry_in_place` on int32, which wraps as uint32 does, for several keys."""
    x0.add_(words[0, 0])
    x1.add_(words[0, 1])
    for i in range(20):
        r = ROTATIONS[i % 8]
        x0.add_(x1)
        torch.bitwise_right_shift(x1, _DOWN[r], out=t).bitwise_and_(_LOW[r])  # it drags the sign
        torch.add(t, x1, alpha=1 << r, out=x1).bitwise_xor_(x0)
        if i % 4 == 3:
            x0.add_(words[i // 4 + 1, 0])
            x1.add_(words[i // 4 + 1, 1])


class TorchSteps(InPlaceSteps):
    """Steps in place that draw the dropout masks of several steps at once."""

    ops: TorchOps

    def stride(self, batch: int) -> int:
        """How many steps one call of `on_rows` takes: as many as one draw has room for."""
        if self.network.members > 1:
            return 1
        widths = [units for units, rate in self._drops() if rate]
        most = min(_COUNTERS.values()) // (batch * -(-max(widths, default=0) // 4) or 1)
        return max(1, min(most, _MOST_STEPS)) if widths else 1

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys as they are, a uint32 array of shape (steps, layers + 1, 2)."""
        return keys

    def drop(self, key: Any, i: int) -> Any:
        """The dropout of the input (0) or of a layer's outputs (its number from 1)."""
        if isinstance(key, list):  # masks that are drawn
            return None if key[i] is None else Drawn(key[i])
        return super().drop(key.tolist(), i)

    def on_rows(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps on consecutive batches of resident data."""
        drawn = keys
        if keys is not None and self.network.members == 1:
            size = min(rows.size, rows.of_epoch - rows.start)
            masks = [
                self._masks(f"mask_{i}", keys[:, i], (size, units), rate, carry.theta)
                if rate
                else None
                for i, (units, rate) in enumerate(self._drops())
            ]
            drawn = [[None if m is None else m[k] for m in masks] for k in range(len(keys))]
        return super().on_rows(carry, rows, drawn, coefficients)

    def _drops(self) -> list[tuple[int, float]]:
        """Units and rate of the input's dropout and of each layer's."""
        widths = [self.network.n_in, *(layer.n_out for layer in self.network.layers)]
        return list(zip(widths, self.network.rates, strict=True))

    def _masks(
        self, name: str, keys: np.ndarray, shape: tuple[int, int], rate: float, like: Array
    ) -> Array:
        size = len(keys) * shape[0] * shape[1]
        room = self.ops.space(name, size, like.dtype, like.device).view(len(keys), *shape)
        return self.ops.draw(keys, 0, shape, rate, room)
