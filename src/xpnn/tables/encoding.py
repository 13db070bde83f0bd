"""How a table's columns become the inputs of a network, kept as plain data.

Numbers come first, as a network may embed them; behind them what is 0 or 1 (or -1 and 1).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from xpnn.tables.columns import TableError, hint
from xpnn.tables.frames import Frame
from xpnn.tables.values import Parsed, parse_as, parse_column

MOST_CATEGORIES = 64
"""A column of words with more keeps this many inputs, those of the most frequent."""

_DATE_PARTS = ("elapsed", "year", "month", "day", "weekday", "hour")


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


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: one input, how far it has come through each bin, and a flag for gaps.

    Between two edges an input of its own rises from 0 to 1, so that a network may bend there.

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

    @property
    def inputs(self) -> tuple[list[str], list[str]]:
        """Names of the inputs that are numbers, and of the others."""
        others = [f"{self.name} from {a:.6g} to {b:.6g}" for a, b in pairwise(self.edges)]
        return [self.name], [*others, *([f"{self.name} missing"] if self.flag else [])]

    def encode(self, column: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The inputs of a column as `parse_as` gives it."""
        missing = np.isnan(column)
        known = np.where(missing, self.spread.center, column)
        others = [(np.clip(known, a, b) - a) / (b - a) for a, b in pairwise(self.edges)]
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


Column = Numbers | Dates | Words
_KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in (Numbers, Dates, Words)}


@dataclass(frozen=True)
class Encoding:
    """Turns a table into a network's inputs.

    Attributes
    ----------
    columns : tuple of Numbers, Dates or Words
        Those that are used.
    left_out : dict of str to str
        The others, and why.
    notes : dict of str to tuple of str
        What was decided of each column, for people.

    Examples
    --------
    >>> from xpnn.tables.frames import read_frame
    >>> frame = read_frame({"colour": ["red", "blue", None], "size": [1.0, 2.0, 4.0]})
    >>> encoding = fit_encoding(frame)
    >>> encoding.n_numbers, encoding.names
    (1, ['size', 'colour', 'colour missing'])
    >>> encoding.transform(frame).shape
    (3, 3)
    """

    columns: tuple[Column, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def n_numbers(self) -> int:
        """How many inputs, the first ones, are numbers."""
        return sum(len(c.inputs[0]) for c in self.columns)

    @property
    def names(self) -> list[str]:
        """Names of all inputs, in their order."""
        pairs = [c.inputs for c in self.columns]
        return [name for side in zip(*pairs, strict=True) for names in side for name in names]

    @property
    def places(self) -> dict[str, list[int]]:
        """Which inputs each column has become."""
        found: dict[str, list[int]] = {c.name: [] for c in self.columns}
        at = 0
        for side in (0, 1):
            for c in self.columns:
                width = len(c.inputs[side])
                found[c.name] += range(at, at + width)
                at += width
        return found

    def transform(self, frame: Frame) -> np.ndarray:
        """A network's inputs.

        Parameters
        ----------
        frame : Frame
            Columns that are not used may be there or not.

        Returns
        -------
        ndarray of float32, shape (n_samples, n_inputs)

        Raises
        ------
        TableError
            For a column that is missing, or a word where numbers are expected.
        """
        numbers: list[np.ndarray] = []
        others: list[np.ndarray] = []
        for column in self.columns:
            if column.name not in frame.columns:
                near = hint(column.name, frame.columns)
                raise TableError(f"X lacks the column {column.name!r}, known in fit{near}.")
            given = frame.columns[column.name]
            read = parse_as(given, column.kind, column.style, column.name)
            more, rest = column.encode(read)
            numbers, others = numbers + more, others + rest
        found = np.empty((frame.n_rows, len(numbers) + len(others)), dtype=np.float32)
        for i, values in enumerate((*numbers, *others)):
            found[:, i] = values
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        columns = [{"kind": c.kind, **asdict(c)} for c in self.columns]
        return {"columns": columns, "left_out": self.left_out, "notes": self.notes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Encoding":
        """What `to_dict` came from; a ValueError, TypeError or KeyError for anything else."""
        columns = []
        for given in data["columns"]:
            values = dict(given)
            kind = values.pop("kind")
            if "edges" in values:
                values["edges"] = tuple(values["edges"])
            if "spread" in values:
                values["spread"] = _spread(values["spread"])
            if kind == Dates.kind:
                values["parts"] = {str(k): _spread(v) for k, v in values["parts"].items()}
            columns.append(_KINDS[kind](**values))
        notes = {str(k): tuple(v) for k, v in data["notes"].items()}
        return cls(tuple(columns), dict(data["left_out"]), notes)


def _spread(values: Mapping[str, Any]) -> Spread:
    center, factor = float(values["center"]), float(values["factor"])
    if not (np.isfinite([center, factor]).all() and factor >= 0):
        raise ValueError("expected finite numbers")
    return Spread(center, factor)


def fit_encoding(frame: Frame, bins: int = 0, most_numbers: int | None = None) -> Encoding:
    """Learn how the columns of a table become inputs.

    Parameters
    ----------
    frame : Frame
        The training rows.
    bins : int, default=0
        Most bins of a column of numbers, between quantiles; 0 is none.
    most_numbers : int, default=None
        Columns of numbers up to which there are bins; None is any number.

    Returns
    -------
    Encoding
    """
    read = {name: _parsed(frame, name) for name in frame.columns}
    if most_numbers is not None:
        numeric = sum(p.kind == "numeric" for p in read.values())
        bins = bins if numeric <= most_numbers else 0
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for name, parsed in read.items():
        column = _column_of(name, parsed.kind, parsed.style, parsed.values, bins)
        if isinstance(column, str):
            left_out[name] = column
        else:
            columns.append(column)
    notes = {name: parsed.notes for name, parsed in read.items() if parsed.notes}
    return Encoding(tuple(columns), left_out, notes)


def _parsed(frame: Frame, name: str) -> Parsed:
    given = frame.columns[name]
    if name in frame.categories:
        return Parsed(parse_as(given, "words", {}, name), "words")
    return frame.parsed.get(name) or parse_column(given)


def _column_of(
    name: str, kind: str, style: dict[str, Any], values: np.ndarray, bins: int
) -> Column | str:
    """A column, or why it says nothing."""
    if kind == "words":
        return _words(name, style, values)
    missing = np.isnan(values)
    if missing.all():
        return "it is empty"
    if not missing.any() and (values == values[0]).all():
        return "it is always the same"
    if kind == "numeric":
        known = values[~missing]
        return Numbers(name, style, Spread.of(values), bool(missing.any()), _edges(known, bins))
    parts = {part: v for part, v in date_parts(values).items() if len(np.unique(v[~missing])) > 1}
    return Dates(name, style, {p: Spread.of(v) for p, v in parts.items()}, bool(missing.any()))


def _edges(known: np.ndarray, bins: int) -> tuple[float, ...]:
    """Quantiles of numbers, at least two bins, or nothing; all values where they are few."""
    different = np.unique(known)
    if len(different) < 3 or not bins:
        return ()
    if len(different) > bins + 1:
        different = np.unique(np.quantile(known, np.linspace(0.0, 1.0, bins + 1)))
    with np.errstate(over="ignore"):
        widths = np.diff(different)
    usable = len(different) > 2 and bool((widths > 0).all() and np.isfinite(1.0 / widths).all())
    return tuple(different.tolist()) if usable and np.isfinite(widths).all() else ()


def _words(name: str, style: dict[str, Any], values: np.ndarray) -> Words | str:
    counts = Counter(values.tolist())
    missing = counts.pop(None, 0)
    if not counts:
        return "it is empty"
    if len(counts) == 1 and not missing:
        return "it is always the same"
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_CATEGORIES]
    categories = tuple(sorted(frequent)) if len(counts) > 1 else ()
    if len(counts) <= MOST_CATEGORIES:
        return Words(name, style, categories, bool(missing))
    spread = Spread.of(np.log1p([counts[v] for v in values.tolist() if v is not None]))
    kept = {word: n for word, n in counts.items() if n > 1}
    return Words(name, style, categories, bool(missing), kept, spread)


def unknown_words(encoding: Encoding, frame: Frame) -> dict[str, tuple[int, str, str]]:
    """Columns with words that training had not.

    Parameters
    ----------
    encoding : Encoding
    frame : Frame

    Returns
    -------
    dict of str to (count, word, near)
        In how many rows, the first of them, and the word of training that differs from it in
        capitals or spaces alone, or an empty text.

    Examples
    --------
    >>> from xpnn.tables.frames import read_frame
    >>> encoding = fit_encoding(read_frame({"sex": ["male", "female", "male"]}))
    >>> unknown_words(encoding, read_frame({"sex": ["Male", "male"]}))
    {'sex': (1, 'Male', 'male')}
    """
    found = {}
    for column in encoding.columns:
        if not isinstance(column, Words) or column.name not in frame.columns:
            continue
        known = set(column.categories) | set(column.counts)
        plain = {word.casefold().strip(): word for word in known}
        read = parse_as(frame.columns[column.name], "words", column.style, column.name)
        other = [v for v in read.tolist() if v is not None and v not in known]
        if other and not (column.counts and len(other) < len(read)):
            near = plain.get(other[0].casefold().strip(), "")
            found[column.name] = len(other), other[0], near
    return found


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
        for part, v in zip(_DATE_PARTS, values, strict=True)
    }
