"""What lies where in a network's flat parameter vector."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from xpnn.arrays.typing import Array, Namespace

Role = Literal["weight", "bias", "scale", "statistic"]


class Entry(NamedTuple):
    """One parameter's place in the flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int
    role: Role
    layer: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """What lies where in a flat vector; for parameters: weights first, then biases, then scales.

    Examples
    --------
    >>> from xpnn.model.network import Dense, Network
    >>> layout = Network((Dense(2, 3), Dense(3, 1))).layout
    >>> [(e.name, e.shape, e.offset) for e in layout.entries]
    [('weight_0', (2, 3), 0), ('weight_1', (3, 1), 6), ('bias_0', (3,), 9), ('bias_1', (1,), 12)]
    >>> layout.size
    13
    """

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, parts: Iterable[tuple[str, tuple[int, ...], Role, int]]) -> "Layout":
        """The layout of (name, shape, role, layer), one after the other."""
        entries: list[Entry] = []
        offset = 0
        for name, shape, role, layer in parts:
            entries.append(Entry(name, shape, offset, role, layer))
            offset += entries[-1].size
        return cls(tuple(entries))

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(e.size for e in self.entries)

    def split(self, theta: Array, xp: Namespace) -> dict[str, Array]:
        """Reshaped parts of the flat vector by name; views where the library has views."""
        return {
            e.name: xp.reshape(theta[e.offset : e.offset + e.size], e.shape) for e in self.entries
        }

    def join(self, parts: dict[str, Array], xp: Namespace) -> Array:
        """The flat vector of named parts; the inverse of `split`."""
        return xp.concat([xp.reshape(parts[e.name], (-1,)) for e in self.entries])

    def mask(self, role: Role) -> np.ndarray:
        """Host vector of 0.0 and 1.0: which elements have that role."""
        return np.concatenate([np.full(e.size, float(e.role == role)) for e in self.entries])
