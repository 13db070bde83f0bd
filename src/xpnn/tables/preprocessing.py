"""How a table's columns become a network's input and target in model files of older kinds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from xpnn.tables.columns import Columns, TableError, hint
from xpnn.tables.sound import check_style
from xpnn.tables.values import KINDS, parse_as

TASKS = ("classification", "regression")


@dataclass(frozen=True)
class Numeric:
    """A column of numbers: missing ones become the median, then (x - mean) / scale.

    Dates count as days since 1970. `read_as` and `style` are kind and style of
    `xpnn.tables.values.parse_as`.
    """

    name: str
    median: float
    mean: float
    scale: float
    read_as: str = "numeric"
    style: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(isinstance(self.name, str), "a column's name")
        for value in (self.median, self.mean, self.scale):
            _check(isinstance(value, float) and math.isfinite(value), "a finite float")
        _check(self.scale > 0, "a positive scale")
        _check(self.read_as in KINDS[:2], "how values are read")
        check_style(self.style)

    @property
    def n_features(self) -> int:
        """Number of network inputs."""
        return 1

    def transform(self, column: np.ndarray) -> np.ndarray:
        """The column as network inputs, shape (n, 1)."""
        numbers = _days(parse_as(column, self.read_as, self.style, self.name))
        filled = np.where(np.isnan(numbers), self.median, numbers)
        return ((filled - self.mean) / self.scale)[:, None]


@dataclass(frozen=True)
class Categorical:
    """A column of words: one input each, all zeros for a word not seen in training.

    `categories` has None where missing values were seen: missing is then a category.
    """

    name: str
    categories: tuple[str | None, ...]

    def __post_init__(self) -> None:
        _check(isinstance(self.name, str), "a column's name")
        _check(all(c is None or isinstance(c, str) for c in self.categories), "text")
        _check(0 < len(self.categories) == len(set(self.categories)), "distinct categories")

    @property
    def n_features(self) -> int:
        """Number of network inputs."""
        return len(self.categories)

    def transform(self, column: np.ndarray) -> np.ndarray:
        """The column as network inputs, shape (n, number of categories)."""
        place = {c: i for i, c in enumerate(self.categories)}
        known = np.array(
            [place.get(v, -1) for v in parse_as(column, "words", {}, self.name)], dtype=np.int64
        )
        return np.equal(known[:, None], np.arange(len(place))).astype(np.float64)


@dataclass(frozen=True)
class Target:
    """What is predicted. A regression's target is trained as (y - mean) / scale."""

    name: str
    task: str
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check(isinstance(self.name, str), "a column's name")
        _check(self.task in TASKS, f"a task of {', '.join(TASKS)}")
        for value in (self.mean, self.scale):
            _check(isinstance(value, float) and math.isfinite(value), "a finite float")
        _check(self.scale > 0, "a positive scale")


@dataclass(frozen=True)
class Preprocessing:
    """Turns columns into a network's input, and its output into the target's unit.

    Attributes
    ----------
    features : tuple of Numeric or Categorical
    target : Target

    Examples
    --------
    >>> words = Categorical("colour", ("blue", "red"))
    >>> p = Preprocessing((words,), Target("price", "regression", mean=10.0, scale=2.0))
    >>> p.transform({"colour": np.array(["red", "green"], dtype=object)})
    array([[0., 1.],
           [0., 0.]])
    >>> p.inverse_target(np.array([0.0, 1.0]))
    array([10., 12.])
    """

    features: tuple[Numeric | Categorical, ...]
    target: Target

    @property
    def n_features(self) -> int:
        """Number of network inputs."""
        return sum(f.n_features for f in self.features)

    def transform(self, columns: Columns) -> np.ndarray:
        """A network's input.

        Parameters
        ----------
        columns : dict of str to ndarray of shape (n,)
            Others than the features are ignored.

        Returns
        -------
        ndarray of float64, shape (n, n_features)

        Raises
        ------
        TableError
            For columns that are missing, or text where numbers are expected.
        """
        missing = [f.name for f in self.features if f.name not in columns]
        if missing:
            near = hint(missing[0], columns)
            raise TableError(f"The table lacks {_listed(missing)}, known in training{near}.")
        return np.concatenate([f.transform(columns[f.name]) for f in self.features], axis=1)

    def inverse_target(self, y: np.ndarray) -> np.ndarray:
        """A regressor's predictions in the target's unit; classes as they are. Shape (n,)."""
        return (
            y if self.target.task == "classification" else y * self.target.scale + self.target.mean
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        features = [{"kind": type(f).__name__.lower(), **asdict(f)} for f in self.features]
        return {"features": features, "target": asdict(self.target)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preprocessing":
        """What `to_dict` came from; a ValueError, TypeError or KeyError for anything else."""
        features: list[Numeric | Categorical] = []
        for entry in data["features"]:
            values = {k: v for k, v in entry.items() if k != "kind"}
            if entry["kind"] == "numeric":
                features.append(Numeric(**values))
            else:
                _check(entry["kind"] == "categorical", "a kind of column")
                features.append(Categorical(values.pop("name"), tuple(values.pop("categories"))))
        _check(len(features) > 0, "features")
        return cls(tuple(features), Target(**data["target"]))


def _days(values: np.ndarray) -> np.ndarray:
    """Dates as days since 1970; numbers as they are."""
    if values.dtype.kind != "M":
        return values
    days = (values - np.datetime64(0, "s")) / np.timedelta64(1, "D")
    return np.where(np.isnat(values), np.nan, days)


def _check(valid: bool, expected: str) -> None:
    if not valid:
        raise ValueError(f"expected {expected}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'column' if len(names) == 1 else 'columns'} {shown}{more}"
