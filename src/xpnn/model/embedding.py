"""A layer that gives each number several features, so that a network sees fine steps in it."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Parts, Pass, check_size
from xpnn.model.layout import Parameter, Role
from xpnn.parts.entries import check_number


class Saved(NamedTuple):
    """What the backward pass reads of the forward pass."""

    x: Array  # (..., n, n_in, 1)
    cosine: Array  # (..., n, n_in, frequencies)
    sine: Array


@dataclass(frozen=True)
class PeriodicEmbedding:
    """Each number and a few linear functions of its waves: [x, cos(2 pi f x + c) V + b].

    The last features may pass as they are.

    Parameters
    ----------
    n_in : int
        Number of features, at least 1.
    passed : int, default=0
        How many of them, the last ones, pass as they are: a table's words, say.
    frequencies : int, default=16
        Waves of each feature; they are learned.
    size : int, default=3
        Linear functions of them that join the number itself.
    deviation : float, default=0.1
        Standard deviation of the initial frequencies.
    group : str, default="embedding"
        See `xpnn.network.Group`.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko (2022), "On embeddings for numerical features in
    tabular deep learning"; with biases and the number itself as in D. Holzmüller,
    L. Grinsztajn and I. Steinwart (2024), "Better by default".

    Examples
    --------
    >>> PeriodicEmbedding(5).n_out, PeriodicEmbedding(5, passed=3).n_out
    (20, 11)
    """

    kind: ClassVar[str] = "periodic_embedding"
    dropout: ClassVar[float] = 0.0

    n_in: int
    frequencies: int = 16
    size: int = 3
    deviation: float = 0.1
    group: str = "embedding"
    passed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_in", "frequencies", "size"):
            object.__setattr__(self, name, check_size(getattr(self, name), name))
        number = check_number("deviation", self.deviation, 0.0, math.inf, closed="neither")
        object.__setattr__(self, "deviation", number)
        passed = self.passed
        if isinstance(passed, bool) or not isinstance(passed, int | np.integer):
            passed = -1
        if not 0 <= passed < self.n_in:
            raise ValueError(
                f"passed must be a whole number of at least 0 and below n_in={self.n_in}, got "
                f"{self.passed!r}."
            )
        object.__setattr__(self, "passed", int(passed))

    @property
    def n_out(self) -> int:
        """The number itself and `size` functions of each feature, and those that pass."""
        return self.embedded * (1 + self.size) + self.passed

    @property
    def embedded(self) -> int:
        """Number of features that are embedded."""
        return self.n_in - self.passed

    def parameters(self) -> tuple[Parameter, ...]:
        """Frequencies and phases of the waves, and the functions' weights and constants."""
        n, f, d = self.embedded, self.frequencies, self.size
        shapes = {"frequency": (n, f), "phase": (n, f), "weight": (n, f, d), "bias": (n, d)}
        roles: dict[str, Role] = {"frequency": "scale", "weight": "weight"}
        return tuple(
            Parameter(name, shape, roles.get(name, "bias"), self.group)
            for name, shape in shapes.items()
        )

    def statistics(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def initial(self, rng: np.random.Generator, draw: Any) -> dict[str, np.ndarray]:
        """Normal frequencies, phases around the circle, and small uniform functions."""
        shapes, bound = {p.part: p.shape for p in self.parameters()}, self.frequencies**-0.5
        return {
            "frequency": rng.normal(0.0, self.deviation, shapes["frequency"]),
            "phase": rng.uniform(-math.pi, math.pi, shapes["phase"]),
            "weight": rng.uniform(-bound, bound, shapes["weight"]),
            "bias": rng.uniform(-bound, bound, shapes["bias"]),
        }

    def forward(
        self, p: Parts, state: Parts, x: Array, how: Pass, xp: Namespace
    ) -> tuple[Array, Saved, dict[str, Array]]:
        """Outputs (..., n, n_out) of inputs (..., n, n_in)."""
        x = x.toarray() if hasattr(x, "tocsr") else x
        rest, x = x[..., self.embedded :], x[..., : self.embedded, None]
        f, c, v, b = (p[k] for k in ("frequency", "phase", "weight", "bias"))
        if f.ndim > 2:  # a member's own waves
            f, c, b = f[:, None, ...], c[:, None, ...], b[:, None, ...]
        turn = (2.0 * math.pi) * f * x + c
        cosine, sine = xp.cos(turn), xp.sin(turn)
        y = _contract(cosine, v, xp) + b
        x = xp.broadcast_to(x, (*y.shape[:-1], 1))
        y = xp.concat([x, y], axis=-1)
        y = xp.reshape(y, (*y.shape[:-2], self.n_out - self.passed))
        if self.passed:
            rest = xp.broadcast_to(rest, (*y.shape[:-1], self.passed))
            y = xp.concat([y, rest], axis=-1)
        return y, Saved(x, cosine, sine), {}

    def backward(
        self, p: Parts, saved: Saved, g: Array, xp: Namespace, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """Gradients with respect to the input and each parameter; `g` is that of the output."""
        x, cosine, sine = saved
        rest, g = g[..., self.n_out - self.passed :], g[..., : self.n_out - self.passed]
        g = xp.reshape(g, (*g.shape[:-1], self.embedded, 1 + self.size))
        dv = g[..., 1:]
        dturn = -sine * _contract(dv, xp.matrix_transpose(p["weight"]), xp)
        grads = {
            "frequency": xp.sum((2.0 * math.pi) * dturn * x, axis=-3),
            "phase": xp.sum(dturn, axis=-3),
            "weight": xp.matrix_transpose(_by_feature(cosine, xp)) @ _by_feature(dv, xp),
            "bias": xp.sum(dv, axis=-3),
        }
        if not need_dx:
            return None, grads
        f = p["frequency"]
        f = f[:, None, ...] if f.ndim > 2 else f
        dx = g[..., 0] + (2.0 * math.pi) * xp.sum(dturn * f, axis=-1)
        return (xp.concat([dx, rest], axis=-1) if self.passed else dx), grads

    def check(self, like: Array, xp: Namespace) -> None:
        """Nothing in it is the user's own."""

    def to_dict(self) -> dict[str, Any]:
        """The arguments that make it."""
        names = ("n_in", "frequencies", "size", "deviation", "group", "passed")
        return {name: getattr(self, name) for name in names}


def _by_feature(a: Array, xp: Namespace) -> Array:
    """(..., n, features, k) as (..., features, n, k)."""
    axes = (1, 0, 2) if a.ndim == 3 else (0, 2, 1, 3)
    return xp.permute_dims(a, axes)


def _contract(a: Array, v: Array, xp: Namespace) -> Array:
    """Each feature's own product: (..., n, features, k) by (..., features, k, d)."""
    return _by_feature(_by_feature(a, xp) @ v, xp)
