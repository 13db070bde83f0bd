"""Kinds of columns: what numbers, times and words become, kept as plain data."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

DATE_PARTS = ("elapsed", "year", "month", "day", "weekday", "hour")


@dataclass(frozen=True)
class Spread:
    """Robust scaling of numbers: (x - center) / width, softly held within -3 and 3.

    The width is that between the quartiles, else half of the range, so that a heavy tail does
    not press all others together.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart (2024), "Better by default: Strong pre-tuned
    MLPs and boosted trees on tabular data", section 3.
    """

    center: float = 0.0
    factor: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Spread":
        """Learn from values, of which some may be NaN."""
        known = values[~np.isnan(values)]
        if not len(known):
            return cls()
        low, first, center, third, high = np.quantile(known, [0.0, 0.25, 0.5, 0.75, 1.0])
        with np.errstate(over="ignore", divide="ignore"):
            factor = 1.0 / (third - first) if third > first else 0.0
            if not 0.0 < factor < np.inf:
                factor = 2.0 / (high - low) if high > low else 0.0
        return cls(float(center), float(factor) if factor < np.inf else 0.0)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The scaled values; the center for NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            z = (np.where(np.isnan(values), self.center, values) - self.center) * self.factor
            z = np.clip(z, -1e150, 1e150)
            return 3.0 * (z / np.hypot(3.0, z))  # z / sqrt(1 + (z/3)^2), without overflow


class Step(NamedTuple):
    """Two values between which an input rises from 0 to 1, and the members that are given it."""

    low: float
    high: float
    members: tuple[int, ...]


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: one input, how far it has come through each bin, and a flag for gaps.

    Between two edges an input of its own rises from 0 to 1, so that a network may bend there, and
    so it does in each of the steps, where classes change at once.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko (2022), "On embeddings for numerical features in
    tabular deep learning", section 3.2.
    """

    kind: ClassVar[str] = "numeric"

    name: str
    style: dict[str, Any]
    spread: Spread
    flag: bool
    edges: tuple[float, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def inputs(self) -> tuple[list[str], list[str]]:
        """Names of the inputs that are numbers, and of the others."""
        others = [f"{self.name} from {a:.6g} to {b:.6g}" for a, b in pairwise(self.edges)]
        others += [f"{self.name} step from {a:.6g} to {b:.6g}" for a, b, _ in self.steps]
        return [self.name], [*others, *([f"{self.name} missing"] if self.flag else [])]

    def encode(self, column: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The inputs of a column as `parse_as` gives it."""
        missing = np.isnan(column)
        known = np.where(missing, self.spread.center, column)
        pairs = [*pairwise(self.edges), *(step[:2] for step in self.steps)]
        others = [(np.clip(known, a, b) - a) / (b - a) for a, b in pairs]
        return [self.spread(column)], [*others, *([missing.astype(float)] if self.flag else [])]


@dataclass(frozen=True)
class Dates:
    """A column of times, taken apart: those parts that vary, and a flag where some are missing."""

    kind: ClassVar[str] = "datetime"

    name: str
    style: dict[str, Any]
    parts: dict[str, Spread]
    flag: bool

    @property
    def inputs(self) -> tuple[list[str], list[str]]:
        """Names of the inputs that are numbers, and of the others."""
        numbers = [f"{self.name} {part}" for part in self.parts]
        return numbers, [f"{self.name} missing"] if self.flag else []

    def encode(self, column: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The inputs of a column as `parse_as` gives it."""
        found = date_parts(column)
        flags = [np.isnat(column).astype(np.float64)] if self.flag else []
        return [spread(found[part]) for part, spread in self.parts.items()], flags


@dataclass(frozen=True)
class Words:
    """A column of words: an input each, one alone for two words; all 0 for what is unknown.

    Where there are more words than `categories`, the rest share an input, and how often a word
    was seen is a number.
    """

    kind: ClassVar[str] = "words"

    name: str
    style: dict[str, Any]
    categories: tuple[str, ...]
    flag: bool
    counts: dict[str, int] = field(default_factory=dict)
    spread: Spread = field(default_factory=Spread)

    @property
    def inputs(self) -> tuple[list[str], list[str]]:
        """Names of the inputs that are numbers, and of the others."""
        others = [f"{self.name} {word!r}" for word in self.categories]
        others = [f"{self.name}"] if self.paired else others
        others += [f"{self.name} other"] if self.counts else []
        others += [f"{self.name} missing"] if self.flag else []
        return [f"{self.name} frequency"] if self.counts else [], others

    @property
    def paired(self) -> bool:
        """Whether two words share an input."""
        return len(self.categories) == 2 and not self.counts

    def encode(self, column: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The inputs of a column as `parse_as` gives it."""
        place = {word: i for i, word in enumerate(self.categories)}
        codes = np.array([place.get(v, -1) for v in column.tolist()], dtype=np.int64)
        missing = np.array([v is None for v in column.tolist()], dtype=bool)
        if self.paired:
            others = [np.select([codes == 0, codes == 1], [-1.0, 1.0], 0.0)]
        else:
            others = [(codes == i).astype(np.float64) for i in range(len(place))]
        numbers = []
        if self.counts:
            others.append(((codes < 0) & ~missing).astype(np.float64))
            seen = [self.counts.get(v, 0) for v in column.tolist()]
            numbers.append(self.spread(np.log1p(np.asarray(seen, dtype=np.float64))))
        return numbers, [*others, *([missing.astype(np.float64)] if self.flag else [])]


def date_parts(times: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers that a time is made of.

    Parameters
    ----------
    times : ndarray of datetime64, shape (n,)

    Returns
    -------
    dict of str to ndarray of float64
        Days since 1970, year, month, day of the month, weekday (Monday is 0), hour; NaN for NaT.

    Examples
    --------
    >>> parts = date_parts(np.array(["2024-02-29T12:00"], dtype="datetime64[us]"))
    >>> {name: float(values[0]) for name, values in parts.items()}
    {'elapsed': 19782.5, 'year': 2024.0, 'month': 2.0, 'day': 29.0, 'weekday': 3.0, 'hour': 12.0}
    """
    missing = np.isnat(times)
    known = np.where(missing, np.datetime64(0, "us"), times.astype("datetime64[us]"))
    day, month = known.astype("datetime64[D]"), known.astype("datetime64[M]")
    since = (known - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    number = day.astype(np.int64)
    values = (
        since,
        known.astype("datetime64[Y]").astype(np.int64) + 1970,
        month.astype(np.int64) % 12 + 1,
        (day - month.astype("datetime64[D]")).astype(np.int64) + 1,
        (number + 3) % 7,
        (known - day) / np.timedelta64(1, "h"),
    )
    return {
        part: np.where(missing, np.nan, np.asarray(v, dtype=np.float64))
        for part, v in zip(DATE_PARTS, values, strict=True)
    }
