"""Initial weights, drawn on the host: the same seed gives the same network on every device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from xpnn.parts.entries import Interval, Params, TableEntry

Weights: TypeAlias = npt.NDArray[np.float64]

_POSITIVE = (0.0, math.inf, "neither")
_SIGNATURE = "(rng, fan_in, fan_out) -> weights"
_RANGES = {"gain": _POSITIVE, "std": _POSITIVE, "bound": _POSITIVE}


@dataclass(frozen=True)
class Initializer(TableEntry):
    """A way to draw a weight matrix.

    Parameters
    ----------
    name : str
    function : callable ``(rng, fan_in, fan_out, *, parameters) -> array``
        Draws from a `numpy.random.Generator`; shape (fan_in, fan_out).
    params : tuple of (name, value)
        The parameters that differ from their defaults; the others are filled in.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> get_initializer("he_normal")(rng, 64, 32).shape
    (64, 32)
    """

    kind: ClassVar[str] = "initializer"
    signature: ClassVar[str] = _SIGNATURE
    ranges: ClassVar[Mapping[str, Interval]] = _RANGES

    params: Params = ()

    def __call__(self, rng: np.random.Generator, fan_in: int, fan_out: int) -> Weights:
        """Return float64 weights of shape (fan_in, fan_out).

        Raises
        ------
        ValueError
            For a fan that is not a positive integer, or a user's weights that are not finite or
            have another shape.
        """
        fan_in, fan_out = _fan("fan_in", fan_in), _fan("fan_out", fan_out)
        weights = np.asarray(self.function(rng, fan_in, fan_out, **dict(self.params)), np.float64)
        if weights.shape != (fan_in, fan_out) or not np.isfinite(weights).all():
            raise ValueError(
                f"initializer {self.name!r} returned shape {weights.shape}, expected finite "
                f"numbers of shape {(fan_in, fan_out)}: return (fan_in, fan_out) weights"
            )
        return weights


def _fan(name: str, value: Any) -> int:
    try:
        fan = index(value)
    except TypeError:
        fan = 0
    if fan < 1 or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, expected a positive integer: the size of a layer")
    return fan


def uniform(rng: np.random.Generator, fan_in: int, fan_out: int, *, bound: float = 0.05) -> Weights:
    """Uniform in [-bound, bound)."""
    return rng.uniform(-bound, bound, (fan_in, fan_out))


def normal(rng: np.random.Generator, fan_in: int, fan_out: int, *, std: float = 0.05) -> Weights:
    """Normal with mean 0, not truncated."""
    return rng.normal(0.0, std, (fan_in, fan_out))


def glorot_uniform(
    rng: np.random.Generator, fan_in: int, fan_out: int, *, gain: float = 1.0
) -> Weights:
    """Uniform of variance 2 gain**2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return uniform(rng, fan_in, fan_out, bound=gain * math.sqrt(6.0 / (fan_in + fan_out)))


def glorot_normal(
    rng: np.random.Generator, fan_in: int, fan_out: int, *, gain: float = 1.0
) -> Weights:
    """Normal of variance 2 gain**2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""
    return normal(rng, fan_in, fan_out, std=gain * math.sqrt(2.0 / (fan_in + fan_out)))


def he_uniform(rng: np.random.Generator, fan_in: int, fan_out: int) -> Weights:
    """Uniform of variance 2 / fan_in, for ReLU (He et al., 2015)."""
    return uniform(rng, fan_in, fan_out, bound=math.sqrt(6.0 / fan_in))


def he_normal(rng: np.random.Generator, fan_in: int, fan_out: int) -> Weights:
    """Normal of variance 2 / fan_in, for ReLU (He et al., 2015)."""
    return normal(rng, fan_in, fan_out, std=math.sqrt(2.0 / fan_in))


def lecun_uniform(rng: np.random.Generator, fan_in: int, fan_out: int) -> Weights:
    """Uniform of variance 1 / fan_in (LeCun et al., 1998)."""
    return uniform(rng, fan_in, fan_out, bound=math.sqrt(3.0 / fan_in))


def lecun_normal(rng: np.random.Generator, fan_in: int, fan_out: int) -> Weights:
    """Normal of variance 1 / fan_in, for SELU (LeCun et al., 1998)."""
    return normal(rng, fan_in, fan_out, std=math.sqrt(1.0 / fan_in))


def orthogonal(
    rng: np.random.Generator, fan_in: int, fan_out: int, *, gain: float = 1.0
) -> Weights:
    """Orthonormal rows or columns, whichever are fewer, times `gain` (Saxe et al., 2014)."""
    q, r = np.linalg.qr(rng.normal(size=(max(fan_in, fan_out), min(fan_in, fan_out))))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # uniform over the orthogonal group
    return gain * (q if fan_in >= fan_out else q.T)


def zeros(rng: np.random.Generator, fan_in: int, fan_out: int) -> Weights:
    """All zero: for a single layer; deeper networks cannot learn from it."""
    return np.zeros((fan_in, fan_out))


INITIALIZERS: dict[str, Initializer] = {
    function.__name__: Initializer(function.__name__, function)
    for function in (
        glorot_uniform,
        glorot_normal,
        he_uniform,
        he_normal,
        lecun_uniform,
        lecun_normal,
        orthogonal,
        normal,
        uniform,
        zeros,
    )
}


def get_initializer(spec: Any, **params: float) -> Initializer:
    """Return the initializer that `spec` stands for, with the parameters given.

    Parameters
    ----------
    spec : str, Initializer, or callable (rng, fan_in, fan_out) -> weights
    **params : float
        ``gain`` of glorot_uniform, glorot_normal and orthogonal, ``std`` of normal, ``bound`` of
        uniform, or the keyword-only arguments of a callable.

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        For an unknown name, with the known ones; an unknown parameter or one out of range.

    Examples
    --------
    >>> get_initializer("normal", std=1.0).params
    (('std', 1.0),)
    """
    return Initializer.resolve(INITIALIZERS, spec, params)
