"""How a table's columns become the inputs of a network, kept as plain data.

Numbers come first, as a network may embed them; behind them what is 0 or 1 (or -1 and 1).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from xpnn.tables.columns import TableError, hint
from xpnn.tables.frames import Frame
from xpnn.tables.kinds import Dates, Numbers, Spread, Step, Words, date_parts
from xpnn.tables.sound import check_column
from xpnn.tables.thresholds import Classes, member_steps
from xpnn.tables.values import Parsed, parse_as, parse_column

MOST_CATEGORIES = 64
"""A column of words with more keeps this many inputs, those of the most frequent."""

_SMALLEST_SHARE, _FEWEST_ROWS = 1 / 64, 32  # of a bin at either end
_AT_ONCE = 1 << 21  # inputs that are written at a time, which the processor keeps near

Column = Numbers | Dates | Words
_KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in (Numbers, Dates, Words)}


@dataclass(frozen=True)
class Encoding:
    """Turns a table into a network's inputs.

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

    columns: tuple[Column, ...]  # those that are used
    left_out: dict[str, str] = field(default_factory=dict)  # the others, and why
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # what was decided, for people

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

    def unseen(self, members: int) -> np.ndarray:
        """Which inputs are steps that a member has not found in its own rows.

        Returns
        -------
        ndarray of bool, shape (members, n_inputs)
        """
        found = np.zeros((members, len(self.names)), dtype=bool)
        places = self.places
        for c in self.columns:
            if isinstance(c, Numbers) and c.steps:
                first = places[c.name][max(len(c.edges), 1)]  # behind the number and its bins
                for i, step in enumerate(c.steps):
                    found[:, first + i] = True
                    found[list(step.members), first + i] = False
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
        rows = _AT_ONCE // max(1, found.shape[1]) + 1
        for start in range(0, frame.n_rows, rows):
            some = found[start : start + rows]
            for i, values in enumerate((*numbers, *others)):
                some[:, i] = values[start : start + rows]
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
            for key in {"edges", "categories"} & set(values):
                values[key] = tuple(values[key])
            if "steps" in values:
                values["steps"] = tuple(Step(a, b, tuple(m)) for a, b, m in values["steps"])
            if "spread" in values:
                values["spread"] = _spread(values["spread"])
            if kind == Dates.kind:
                values["parts"] = {str(k): _spread(v) for k, v in values["parts"].items()}
            check_column(values)
            columns.append(_KINDS[kind](**values))
        if len({c.name for c in columns}) < len(columns):
            raise ValueError("two columns have the same name")
        notes = {str(k): tuple(v) for k, v in data["notes"].items()}
        return cls(tuple(columns), dict(data["left_out"]), notes)


def _spread(values: Mapping[str, Any]) -> Spread:
    center, factor = float(values["center"]), float(values["factor"])
    if not (np.isfinite([center, factor]).all() and factor >= 0):
        raise ValueError("expected finite numbers")
    return Spread(center, factor)


def fit_encoding(
    frame: Frame,
    bins: int = 0,
    most_numbers: int | None = None,
    classes: Classes | None = None,
) -> Encoding:
    """Learn how the columns of a table become inputs.

    Parameters
    ----------
    frame : Frame
        The training rows.
    bins : int, default=0
        Most bins of a column of numbers, between quantiles; 0 is none.
    most_numbers : int, default=None
        Columns of numbers up to which there are bins; None is any number.
    classes : Classes, default=None
        Of the rows. The outermost bins are then halved as long as they keep enough rows, and
        where the classes of a member's rows change at once, it has a step.
    """
    read = {name: read_column(frame, name) for name in frame.columns}
    if most_numbers is not None:
        numeric = sum(p.kind == "numeric" for p in read.values())
        bins = bins if numeric <= most_numbers else 0
    return encoding_of(read, bins, classes)


def read_column(frame: Frame, name: str) -> Parsed:
    """What a column of the training rows holds."""
    given = frame.columns[name]
    if name in frame.categories:
        return Parsed(parse_as(given, "words", {}, name), "words")
    found = frame.parsed.get(name) or parse_column(given, name=name)
    return replace(found, style={**found.style, "zone": True}) if name in frame.zoned else found


def encoding_of(read: Mapping[str, Parsed], bins: int, classes: Classes | None) -> Encoding:
    """How columns that have been read become inputs; `bins` and `classes` are of `fit_encoding`."""
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for name, parsed in read.items():
        column = _column_of(name, parsed.kind, parsed.style, parsed.values, bins, classes)
        if isinstance(column, str):
            left_out[name] = column
        else:
            columns.append(column)
    notes = {name: parsed.notes for name, parsed in read.items() if parsed.notes}
    return Encoding(tuple(columns), left_out, notes)


def _column_of(
    name: str,
    kind: str,
    style: dict[str, Any],
    values: np.ndarray,
    bins: int,
    classes: Classes | None,
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
        known, here = values[~missing], None if classes is None else classes.of_rows(~missing)
        spread, flag = Spread.of(values), bool(missing.any())
        return Numbers(name, style, spread, flag, *_edges_and_steps(known, bins, here))
    parts = {part: v for part, v in date_parts(values).items() if len(np.unique(v[~missing])) > 1}
    return Dates(name, style, {p: Spread.of(v) for p, v in parts.items()}, bool(missing.any()))


def _edges_and_steps(
    known: np.ndarray, bins: int, classes: Classes | None
) -> tuple[tuple[float, ...], tuple[Step, ...]]:
    """Quantiles of numbers, at least two bins, or nothing; all values where they are few."""
    different, steps = np.unique(known), tuple[Step, ...]()
    if len(different) < 3 or not bins:
        return (), ()
    if len(different) > bins + 1:
        levels = np.linspace(0.0, 1.0, bins + 1)
        outer = [] if classes is None else _outer_levels(len(known), bins)
        different = np.unique(np.quantile(known, [*levels, *outer]))
        found = () if classes is None else member_steps(known, classes)
        steps = tuple(step for step in found if _usable(np.array(step[:2])))
    usable = _usable(different) and len(different) > 2
    return tuple(different.tolist()) if usable else (), steps


def _usable(edges: np.ndarray) -> bool:
    """Whether no width, and no factor of one, is out of range."""
    with np.errstate(over="ignore", divide="ignore"):
        widths = np.diff(edges)
        return bool((np.isfinite(widths) & np.isfinite(1.0 / widths)).all())


def _outer_levels(n: int, bins: int) -> list[float]:
    """More quantiles at both ends: what is rare, as a class may be, is told by extreme values."""
    found: list[float] = []
    share = 0.5 / bins
    while share >= _SMALLEST_SHARE and share * n >= _FEWEST_ROWS:
        found += [share, 1.0 - share]
        share /= 2
    return found


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


def at_least_one(x: np.ndarray) -> np.ndarray:
    """Inputs of rows; of a table that says nothing a constant, as a network needs one.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_inputs)

    Examples
    --------
    >>> at_least_one(np.empty((2, 0))).shape
    (2, 1)
    """
    return x if x.shape[1] else np.zeros((len(x), 1), dtype=np.float32)


def unknown_words(encoding: Encoding, frame: Frame) -> dict[str, tuple[int, str, str]]:
    """Columns with words that training had not.

    Returns
    -------
    dict of str to (count, word, near)
        In how many rows, one of them, and the word of training that differs from it in capitals
        or spaces alone, or an empty text.

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
            nearest = ((v, plain.get(v.casefold().strip(), "")) for v in dict.fromkeys(other))
            word, near = next((pair for pair in nearest if pair[1]), (other[0], ""))
            found[column.name] = len(other), word, near
    return found


def only_unknown_words(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """Tell columns of words in which no row has one that training had: most often a mistake.

    One row may be of something new, and is told only where training had the same word in other
    capitals.

    Examples
    --------
    >>> from xpnn.tables.frames import read_frame
    >>> encoding = fit_encoding(read_frame({"sex": ["male", "female", "male"]}))
    >>> list(only_unknown_words(encoding, read_frame({"sex": ["Male", "Female"]})))
    ["Column 'sex': no row has a word known in fit, such as 'male'; it has 'Male'."]
    """
    # Of columns of very many words, which may be names, new rows may well have others.
    columns = [c for c in encoding.columns if isinstance(c, Words) and c.categories]
    columns = [c for c in columns if not c.counts]
    for c in columns:
        given, known = frame.columns[c.name], set(c.categories)
        for rows in (given[:20], given):  # the first ones tell, nearly always
            read = parse_as(rows, "words", c.style, c.name).tolist()
            words = [word for word in read if word is not None]
            if not words or not known.isdisjoint(words):
                break
        else:
            plain = {word.casefold(): word for word in sorted(c.categories, reverse=True)}
            near = plain.get(words[0].casefold())
            if len(words) > 1 or near is not None:
                like = repr(c.categories[0] if near is None else near)
                yield (
                    f"Column {c.name!r}: no row has a word known in fit, such as {like}; "
                    f"it has {words[0]!r}."
                )
