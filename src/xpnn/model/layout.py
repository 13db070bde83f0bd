"""What lies where in a network's flat parameter vector, and how each group of it learns."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from xpnn.arrays.numeric import concat
from xpnn.arrays.typing import Array, Namespace
from xpnn.parts.entries import check_number

Role = Literal["weight", "bias", "scale", "statistic"]
_ORDER: tuple[Role, ...] = ("weight", "bias", "scale", "statistic")


class Parameter(NamedTuple):
    """One array of a layer, as the layer describes it.

    Attributes
    ----------
    part : str
        Its name there.
    shape : tuple of int
    role : {"weight", "bias", "scale", "statistic"}
        Decides its place in the flat vector.
    group : str
        With which it learns, see `xpnn.network.Group`.

    Examples
    --------
    >>> Parameter("shift", (3,), "bias", "bias").shape
    (3,)
    """

    part: str
    shape: tuple[int, ...]
    role: Role
    group: str


class Entry(NamedTuple):
    """One array's place in the flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int
    role: Role
    layer: int
    part: str = ""
    group: str = ""

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def fan_in(self) -> int:
        """Inputs of a weight matrix's neurons; 1 of anything else."""
        return self.shape[-2] if self.role == "weight" and len(self.shape) > 1 else 1


@dataclass(frozen=True)
class Group:
    """How a group of parameters learns: factors of what holds for the whole training.

    Parameters
    ----------
    rate : float, default=1.0
        Of the learning rate; 0 keeps the parameters as they are.
    decay : float, default=0.0
        Of the optimizer's own weight decay.
    penalty : float, default=0.0
        Of the L1 and L2 penalties.
    max_norm : float, default=0.0
        Of the largest norm of a neuron's incoming weights; 0 is no limit.
    by_fan_in : bool, default=False
        Whether the rate is also divided by the root of a weight matrix's number of inputs, as a
        network does whose products are divided by it.

    Examples
    --------
    >>> Group(rate=0.1)
    Group(rate=0.1, decay=0.0, penalty=0.0, max_norm=0.0, by_fan_in=False)
    """

    rate: float = 1.0
    decay: float = 0.0
    penalty: float = 0.0
    max_norm: float = 0.0
    by_fan_in: bool = False

    def __post_init__(self) -> None:
        for f in fields(self):
            if f.type is float:
                number = check_number(f"{f.name} of a group", getattr(self, f.name), low=0.0)
                object.__setattr__(self, f.name, number)


GROUPS = {"weight": Group(1.0, 1.0, 1.0, 1.0), "bias": Group(), "scale": Group()}
"""The groups of built-in layers, and how they learn if nothing else is said."""

Groups = tuple[tuple[str, Group], ...]


def group_named(name: str, given: Mapping[str, Group]) -> Group:
    """A group as it was given, else as `GROUPS` has it, else one that only learns."""
    return given.get(name) or GROUPS.get(name) or Group()


def make_groups(given: Mapping[str, Group] | Groups | None, layout: "Layout") -> Groups:
    """Groups by name, those of `GROUPS` where none is given, as a hashable tuple.

    Raises
    ------
    ValueError
        For a name that no parameter of the layout has, and for what is no `Group`.
    """
    named = dict(given or ())
    used = dict.fromkeys(e.group for e in layout.entries)
    for name, group in named.items():
        if name not in used:
            raise ValueError(
                f"groups names {name!r}, but the network's parameters are in the groups "
                f"{', '.join(used)}: name one of these"
            )
        if not isinstance(group, Group):
            raise ValueError(f"groups[{name!r}] is {group!r}, expected a Group: pass Group(...)")
    return tuple((name, group_named(name, named)) for name in used)


class Segment(NamedTuple):
    """Consecutive parameters that learn alike: their place, and their group's factors."""

    start: int
    stop: int
    rate: float
    decay: float
    penalty: float


@dataclass(frozen=True)
class Layout:
    """What lies where in a flat vector; for parameters: weights first, then biases, then scales.

    With members, each entry's first axis is theirs.

    Examples
    --------
    >>> from xpnn.network import Dense, Network
    >>> layout = Network((Dense(2, 3), Dense(3, 1))).layout
    >>> [(e.name, e.shape, e.offset) for e in layout.entries]
    [('weight_0', (2, 3), 0), ('weight_1', (3, 1), 6), ('bias_0', (3,), 9), ('bias_1', (1,), 12)]
    >>> layout.size
    13
    """

    entries: tuple[Entry, ...]
    members: int = 1

    @classmethod
    def of(cls, layers: Iterable[Iterable[Parameter]], members: int = 1) -> "Layout":
        """The layout of each layer's parameters."""
        found = [(i, p) for i, parameters in enumerate(layers) for p in parameters]
        entries: list[Entry] = []
        offset, first = 0, () if members == 1 else (members,)
        for i, p in sorted(found, key=lambda pair: _ORDER.index(pair[1].role)):
            shape = (*first, *p.shape)
            entries.append(Entry(f"{p.part}_{i}", shape, offset, p.role, i, p.part, p.group))
            offset += entries[-1].size
        return cls(tuple(entries), members)

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(e.size for e in self.entries)

    def _check(self, theta: Array) -> None:
        """Refuse the vector of another network, of which a part would be taken."""
        if theta.shape != (self.size,):
            raise ValueError(
                f"theta or buffers has shape {tuple(theta.shape)}, and this network's has "
                f"({self.size},): pass what its init has drawn or its training has made."
            )

    def split(self, theta: Array, xp: Namespace) -> dict[str, Array]:
        """Reshaped parts of the flat vector by name; views where the library has views."""
        self._check(theta)
        return {
            e.name: xp.reshape(theta[e.offset : e.offset + e.size], e.shape) for e in self.entries
        }

    def by_layer(self, theta: Array, xp: Namespace, n_layers: int) -> list[dict[str, Array]]:
        """The same for each layer, by the names that the layer gave."""
        self._check(theta)
        parts: list[dict[str, Array]] = [{} for _ in range(n_layers)]
        for e in self.entries:
            parts[e.layer][e.part] = xp.reshape(theta[e.offset : e.offset + e.size], e.shape)
        return parts

    def join(self, parts: dict[str, Array], xp: Namespace) -> Array:
        """The flat vector of named parts; the inverse of `split`."""
        return concat([xp.reshape(parts[e.name], (-1,)) for e in self.entries], xp)

    def joined(self, parts: list[dict[str, Array]], xp: Namespace) -> Array:
        """The flat vector of each layer's parts; the inverse of `by_layer`."""
        return concat([xp.reshape(parts[e.layer][e.part], (-1,)) for e in self.entries], xp)

    def by_member(self, theta: Array, xp: Namespace) -> Array:
        """The flat vector as rows, one a member, shape (members, size / members)."""
        if self.members == 1:
            return xp.reshape(theta, (1, -1))
        rows = (self.members, -1)
        parts = [xp.reshape(theta[e.offset : e.offset + e.size], rows) for e in self.entries]
        return concat(parts, xp, axis=1) if parts else xp.reshape(theta, (self.members, 0))

    def from_members(self, rows: Array, xp: Namespace) -> Array:
        """The flat vector of such rows; the inverse of `by_member`."""
        if self.members == 1:
            return xp.reshape(rows, (-1,))
        parts, at = [], 0
        for e in self.entries:
            width = e.size // self.members
            parts.append(xp.reshape(rows[:, at : at + width], (-1,)))
            at += width
        return concat(parts, xp)

    def mask(self, role: Role) -> np.ndarray:
        """Host vector of 0.0 and 1.0: which elements have that role."""
        return np.concatenate([np.full(e.size, float(e.role == role)) for e in self.entries])

    def segments(self, groups: Groups) -> tuple[Segment, ...]:
        """The factors of each stretch of the flat vector: the one place that says them."""
        known, found = dict(groups), list[Segment]()
        for e in self.entries:
            group = group_named(e.group, known)
            rate = group.rate / math.sqrt(e.fan_in) if group.by_fan_in else group.rate
            new = Segment(e.offset, e.offset + e.size, rate, group.decay, group.penalty)
            if found and found[-1][2:] == new[2:]:
                found[-1] = found[-1]._replace(stop=new.stop)
            else:
                found.append(new)
        return tuple(found)
