"""The in-place operations on NumPy: `out=` everywhere, in pieces that stay in the cache."""

from typing import Any

import numpy as np

from xpnn.arrays.numeric import sigmoid
from xpnn.arrays.random import keep_count, threefry_in_place
from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Drop
from xpnn.parts.activations import ACTIVATIONS
from xpnn.parts.losses import LOSSES
from xpnn.parts.optimizers import OPTIMIZERS
from xpnn.steps.compiled.plan import known_rules
from xpnn.steps.operations import Ops, Update
from xpnn.steps.rules import Batch, Costs, Rules

_IN_PLACE = ("identity", "relu", "tanh")
CROSS_ENTROPY = LOSSES["softmax_cross_entropy"]
_COSTS = Costs(layer=5e6, unit=700, parameter=200)  # float64, normalized, with dropout
_COUNTERS = 8192  # of one draw: its words stay in the second cache
_PIECE = 16384  # parameters of one piece of an update
_FEW_CLASSES = 32  # up to which rows of their scores are too short for a vector unit


def is_class_number(loss: Any, y: Array) -> bool:
    """Whether the loss is plain softmax cross-entropy of class numbers."""
    return loss == CROSS_ENTROPY and y.ndim == 1 and y.dtype.kind in "iu"


def is_builtin(optimizer: Any, *names: str) -> bool:
    """Whether an optimizer is the package's own, of one of these names."""
    return type(optimizer) in OPTIMIZERS.values() and optimizer.name in names


def builtin_name(activation: Any) -> str:
    """The name of a built-in activation; "" for a user's own, whatever its name."""
    name: str = activation.name
    return name if ACTIVATIONS.get(name) == activation else ""


def half_squares(z: Array, y: Array) -> tuple[Array, Array]:
    """`half_squared_error` without weights, and its gradient in place of `z`."""
    np.subtract(z, y, out=z)
    n, flat = max(len(z), 1), z.reshape(-1)
    return np.dot(flat, flat) / (2 * n), np.multiply(z, 1.0 / n, out=z)


def binary(z: Array, y: Array) -> tuple[Array, Array]:
    """`binary_cross_entropy` without weights, and its gradient in place of `z`."""
    n = max(len(z), 1)
    # row by row: the difference of two large sums is less exact
    value = np.add.reduce(np.logaddexp(0.0, z) - z * y, axis=None)
    np.subtract(sigmoid(z, np), y, out=z)
    return value / n, np.multiply(z, 1.0 / n, out=z)


_ELEMENTWISE = {"half_squared_error": half_squares, "binary_cross_entropy": binary}


def is_elementwise(loss: Any) -> bool:
    """Whether a loss is one of these, with its default parameters."""
    return loss.name in _ELEMENTWISE and loss == LOSSES[loss.name]


class NumpyOps(Ops):
    """The operations with workspaces that grow to the largest batch."""

    def __init__(self, xp: Namespace) -> None:
        super().__init__(xp)
        self._spaces: dict[Any, np.ndarray] = {}

    def space(self, name: str, size: int, dtype: Any) -> np.ndarray:
        """A workspace of at least `size` elements, cut to it."""
        room = self._spaces.get((name, dtype))
        if room is None or room.size < size:
            room = self._spaces[name, dtype] = np.empty(size, dtype=dtype)
        return room[:size]

    def constant(self, make: Any, size: int, dtype: Any) -> np.ndarray:
        """`size` numbers as `make` makes them, once for all steps; nobody may write into them."""
        room = self._spaces.get((make, dtype))
        if room is None or room.size < size:
            room = self._spaces[make, dtype] = make(size, dtype=dtype)
        return room[:size]

    def add_rows(self, a: np.ndarray, out: np.ndarray) -> None:
        """Write the sum over rows into `out`: as a product it takes a third of the time."""
        np.dot(self.constant(np.ones, len(a), a.dtype), a, out=out)

    def stride(self, rules: Rules, rows: int) -> int:
        """As many as take no time to speak of, where no function of the user's own may."""
        return rules.stride(rows * rules.network.members, _COSTS) if known_rules(rules) else 1

    def product(self, a: Array, b: Array, out: Array) -> None:
        """Write the matrix product of two arrays, either of them transposed, into `out`."""
        np.dot(a, b, out=out)  # array-api-compat's `matmul` takes twice as long on small ones

    def gather(self, data: Batch, rows: Array, into: Batch) -> None:
        """Copy some rows of features, targets and weights (or None)."""
        for a, out in zip(data, into, strict=True):
            if a is not None:
                np.take(a, rows, axis=0, out=out, mode="clip")  # "raise" would use a buffer

    def drop_inputs(self, x: Array, drop: Drop) -> Array:
        """Inverted dropout of a batch, in place."""
        self._drop(x, drop, self.space("inputs", x.size, np.bool_).reshape(x.shape))
        return x

    def _drop(self, a: Array, drop: Drop, kept: np.ndarray) -> None:
        """Drop units of `a`, and say in `kept` which are kept."""
        rows, units = a.shape
        groups, count = -(-units // 4), keep_count(drop.rate)
        step = max(1, _COUNTERS // groups)
        columns = np.arange(groups, dtype=np.uint32)
        for i in range(0, rows, step):
            n = min(step, rows - i)
            x0, x1, spare = self.space("words", 3 * n * groups, np.uint32).reshape(3, n, groups)
            x0[:] = np.arange(drop.first_row + i, drop.first_row + i + n, dtype=np.uint32)[:, None]
            x1[:] = columns
            threefry_in_place(drop.key, x0, x1, spare)
            pairs = self.space("pairs", 2 * n * groups, np.uint32).reshape(n, groups, 2)
            pairs[..., 0], pairs[..., 1] = x0, x1
            draws = pairs.astype("<u4", copy=False).view(np.uint16).reshape(n, -1)[:, :units]
            np.less(draws, count, out=kept[i : i + n])
        np.multiply(a, kept, out=a)
        np.multiply(a, a.dtype.type(65536 / count), out=a)

    def activate(
        self, z: Array, b: Array | None, activation: Any, drop: Drop | None
    ) -> tuple[Array, Any]:
        """Bias, activation and dropout, in place for the commonest activations."""
        name = builtin_name(activation)
        if name not in _IN_PLACE or (drop and name == "tanh"):
            return super().activate(z, b, activation, drop)
        if b is not None:
            np.add(z, b, out=z)
        if name == "relu":
            # with a scalar NumPy takes one number at a time
            np.maximum(z, self.constant(np.zeros, z.size, z.dtype).reshape(z.shape), out=z)
        elif name == "tanh":
            np.tanh(z, out=z)
        if drop is None:
            return z, None
        kept = np.empty(z.shape, dtype=np.bool_) if name == "identity" else self._mask(z)
        self._drop(z, drop, kept)
        return z, kept

    def _mask(self, z: Array) -> np.ndarray:
        return self.space("mask", z.size, np.bool_).reshape(z.shape)

    def pull_back(
        self, g: Array, y: Array, saved: Any, activation: Any, drop: Drop | None, db: Array | None
    ) -> Array:
        """The gradient with respect to z, in place on `g`."""
        if isinstance(saved, tuple):
            return super().pull_back(g, y, saved, activation, drop, db)
        name = builtin_name(activation)
        if name == "relu":  # a dropped unit is a zero output, so no mask is needed
            np.multiply(g, np.greater(y, 0.0, out=self._mask(y)), out=g)
        elif name == "tanh":
            slope = self.space("slope", y.size, y.dtype).reshape(y.shape)
            np.multiply(y, y, out=slope)
            np.subtract(1.0, slope, out=slope)
            np.multiply(g, slope, out=g)
        elif drop is not None:
            np.multiply(g, saved, out=g)
        if drop is not None:
            np.multiply(g, g.dtype.type(65536 / keep_count(drop.rate)), out=g)
        if db is not None:
            self.add_rows(g, db)
        return g

    def loss(
        self, z: Array, b: Array | None, y: Array, weight: Array | None, loss: Any, db: Array | None
    ) -> tuple[Array, Array]:
        """Scikit-learn's losses in place; any other by itself."""
        if weight is None and is_class_number(loss, y):
            value, g = self._cross_entropy(z, b, y)
        elif weight is None and is_elementwise(loss) and y.shape == z.shape:
            value, g = _ELEMENTWISE[loss.name](z if b is None else np.add(z, b, out=z), y)
        else:
            return super().loss(z, b, y, weight, loss, db)
        if db is not None:
            self.add_rows(g, db)
        return value, g

    def _cross_entropy(self, z: Array, b: Array | None, y: Array) -> tuple[Array, Array]:
        """Of class numbers."""
        n, c = z.shape
        if c <= _FEW_CLASSES:  # class by class: a reduction then takes all rows at a time
            by_class = self.space("scores", z.size, z.dtype).reshape(c, n).T
            z = np.add(z, 0.0 if b is None else b, out=by_class)
        elif b is not None:
            np.add(z, b, out=z)
        row = self.space("row", n, z.dtype).reshape(n, 1)
        right, (of_row, of_class) = self.space("right", n, np.intp), z.strides
        np.multiply(y, of_class // z.itemsize, out=right, dtype=np.intp, casting="unsafe")
        np.add(right, self.constant(np.arange, n, np.intp) * (of_row // z.itemsize), out=right)
        np.maximum.reduce(z, axis=1, out=row, keepdims=True)
        np.subtract(z, row, out=z)
        flat = z.ravel(order="K")
        value = -np.add.reduce(flat.take(right))
        np.exp(z, out=z)
        np.add.reduce(z, axis=1, out=row, keepdims=True)
        value += np.add.reduce(np.log(row[:, 0]))
        np.multiply(row, n, out=row)
        np.divide(z, row, out=z)
        flat[right] -= 1.0 / max(n, 1)
        return value / max(n, 1), z

    def update(self, rules: Rules, u: Update) -> tuple[tuple[Array, ...], Any]:
        """Adam in pieces that stay in the cache; any other optimizer by itself."""
        n_weights, l2, penalty = rules.n_weights, u.l2, None
        theta, gradient = u.theta, u.gradient
        if n_weights is None or not is_builtin(rules.optimizer, "adam"):
            return super().update(rules, u)
        if u.factors.penalty is not None:
            w, scaled = theta[:n_weights], self.space("penalty", n_weights, theta.dtype)
            penalty = (0.5 * l2) * np.dot(w, w)
            np.multiply(w, theta.dtype.type(l2), out=scaled)
            gradient[:n_weights] += scaled
        m, v = u.moments
        room = self.space("piece", min(_PIECE, theta.size), theta.dtype)
        for i in range(0, theta.size, _PIECE):
            piece = slice(i, i + _PIECE)
            parts = [a[piece] for a in (theta, gradient, m, v)]
            self._adam(rules.optimizer, parts, u.coefficients[0], room)
        return u.moments, penalty

    def _adam(self, rule: Any, parts: list[Array], rate: float, room: Array) -> None:
        theta, g, m, v = parts
        t = room[: theta.size]
        np.multiply(g, 1.0 - rule.beta_1, out=t)
        np.multiply(m, rule.beta_1, out=m)
        np.add(m, t, out=m)
        np.multiply(g, g, out=t)
        np.multiply(t, 1.0 - rule.beta_2, out=t)
        np.multiply(v, rule.beta_2, out=v)
        np.add(v, t, out=v)
        np.sqrt(v, out=t)
        np.add(t, rule.epsilon, out=t)
        np.divide(m, t, out=t)
        np.multiply(t, rate, out=t)
        np.subtract(theta, t, out=theta)
