"""A layer that multiplies each feature by a number of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xpnn.arrays.typing import Array, Namespace
from xpnn.model.layer import Parts, Pass, check_rate, check_size, rowwise
from xpnn.model.layout import Parameter


@dataclass(frozen=True)
class Scale:
    """Each feature times a learned number, which begins at one: y = x * s.

    Parameters
    ----------
    n_in : int
        Number of features, at least 1.
    dropout : float, default=0.0
        Probability of dropping an output in training, in [0, 1).
    group : str, default="scale"
        See `xpnn.network.Group`.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart (2024), "Better by default: Strong pre-tuned
    MLPs and boosted trees on tabular data", section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from xpnn.network import Network
    >>> net = Network((Scale(2),))
    >>> net.predict(np.asarray([2.0, 3.0]), np.zeros(0), np.asarray([[1.0, 10.0]]), np)
    array([[ 2., 30.]])
    """

    kind: ClassVar[str] = "scale"

    n_in: int
    dropout: float = 0.0
    group: str = "scale"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_in", check_size(self.n_in, "n_in"))
        object.__setattr__(self, "dropout", check_rate(self.dropout, "dropout"))

    @property
    def n_out(self) -> int:
        """As many outputs as inputs."""
        return self.n_in

    def parameters(self) -> tuple[Parameter, ...]:
        """One number a feature."""
        return (Parameter("scale", (self.n_in,), "scale", self.group),)

    def statistics(self) -> tuple[Parameter, ...]:
        """None."""
        return ()

    def initial(self, rng: np.random.Generator, draw: Any) -> dict[str, np.ndarray]:
        """Ones."""
        return {"scale": np.ones(self.n_in)}

    def forward(
        self, p: Parts, state: Parts, x: Array, how: Pass, xp: Namespace
    ) -> tuple[Array, Any, dict[str, Array]]:
        """Outputs of inputs (..., n, n_in)."""
        x = x.toarray() if hasattr(x, "tocsr") else x
        y = x * rowwise(p["scale"])
        mask = None if how.drop is None else how.drop.mask(y.shape, y, xp)
        return (y if mask is None else y * mask), (x, mask), {}

    def backward(
        self, p: Parts, saved: Any, g: Array, xp: Namespace, need_dx: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        """Gradients with respect to the input and the scales; `g` is that of the output."""
        x, mask = saved
        g = g if mask is None else g * mask
        dx = g * rowwise(p["scale"]) if need_dx else None
        return dx, {"scale": xp.sum(g * x, axis=-2)}

    def check(self, like: Array, xp: Namespace) -> None:
        """Nothing in it is the user's own."""

    def to_dict(self) -> dict[str, Any]:
        """The arguments that make it."""
        return {"n_in": self.n_in, "dropout": self.dropout, "group": self.group}
