"""A table's columns as nodes of ONNX: what `Encoding.transform` does.

Numbers are computed in float64 and given on as float32, as there. A time is a whole number of
microseconds since 1970; its parts are computed by whole numbers alone.
"""

import math
from itertools import pairwise, product
from typing import Any

import numpy as np

from xpnn.exchange.onnx.graph import ML, Graph
from xpnn.tables.encoding import Encoding
from xpnn.tables.gaps import GAPS, NO_DATES
from xpnn.tables.kinds import Dates, Numbers, Spread, Words

DAY = 86_400_000_000  # microseconds
NO_TIME = np.iinfo(np.int64).min  # as NumPy's NaT
_LIMIT = 1e150  # as in `Spread`
_MISSING = -2  # code of a gap; -1 is an unknown word

ABOUT = {
    "numeric": "a number; NaN where it is missing",
    "words": "text without spaces around it; empty where it is missing",
    "datetime": f"microseconds since 1970; {NO_TIME} where it is missing",
}
"""What an input of each kind holds."""

DTYPES = {"numeric": "float64", "words": "str", "datetime": "int64"}
"""The types of inputs, where no sample of X says another."""


def gap_texts() -> list[str]:
    """All spellings of texts that count as missing."""
    found = set()
    for gap in GAPS:
        found |= {"".join(t) for t in product(*({c.lower(), c.upper()} for c in gap))}
    return sorted(found)


def add_columns(g: Graph, encoding: Encoding, inputs: dict[str, tuple[str, str]]) -> str:
    """Nodes from columns to a network's inputs (batch, n_inputs), float32.

    Parameters
    ----------
    inputs : dict of str to (str, str)
        A column's input and its dtype.
    """
    numbers: list[str] = []
    others: list[str] = []
    for column in encoding.columns:
        value, dtype = inputs[column.name]
        if isinstance(column, Numbers):
            more, rest = _numbers(g, column, value, dtype)
        elif isinstance(column, Dates):
            more, rest = _dates(g, column, value)
        else:
            more, rest = _words(g, column, value)
        numbers, others = numbers + more, others + rest
    pieces = [*numbers, *others]
    if not pieces:  # a table that says nothing is a constant: see `at_least_one`
        value, _ = next(iter(inputs.values()))
        return g.add("ConstantOfShape", g.add("Shape", value))
    return pieces[0] if len(pieces) == 1 else g.add("Concat", *pieces, axis=1)


def _spread(g: Graph, known: str, spread: Spread) -> str:
    """Of values without gaps; these are the center."""
    z = g.add("Mul", g.add("Sub", known, np.float64(spread.center)), np.float64(spread.factor))
    z = g.add("Max", g.add("Min", z, np.float64(_LIMIT)), np.float64(-_LIMIT))
    root = g.add("Sqrt", g.add("Add", g.add("Mul", z, z), np.float64(9.0)))
    return g.cast(g.add("Mul", g.add("Div", z, root), np.float64(3.0)), "float32")


def _numbers(g: Graph, c: Numbers, value: str, dtype: str) -> tuple[list[str], list[str]]:
    value = value if dtype == "float64" else g.cast(value, "float64")
    missing = g.add("Or", g.add("IsNaN", value), g.add("IsInf", value))
    for sentinel in c.style.get("sentinels", ()):
        missing = g.add("Or", missing, g.add("Equal", value, np.float64(sentinel)))
    known = g.add("Where", missing, np.float64(c.spread.center), value)
    others = []
    if c.edges:
        low, high = (np.array(side) for side in zip(*pairwise(c.edges), strict=True))
        clipped = g.add("Max", g.add("Min", known, high), low)
        others.append(g.cast(g.add("Div", g.add("Sub", clipped, low), high - low), "float32"))
    others += [g.cast(missing, "float32")] if c.flag else []
    return [_spread(g, known, c.spread)], others


# -- times ----------------------------------------------------------------------------------------


def _floor(g: Graph, value: str, by: int) -> tuple[str, str]:
    """Quotient and remainder of whole numbers, the remainder at least 0."""
    rest = g.add("Mod", value, by)
    return g.add("Div", g.add("Sub", value, rest), by), rest


def _dates(g: Graph, c: Dates, value: str) -> tuple[list[str], list[str]]:
    missing = g.add("Equal", value, NO_TIME)
    known = g.add("Where", missing, 0, value)
    day, since = _floor(g, known, DAY)
    for none in NO_DATES:
        missing = g.add("Or", missing, g.add("Equal", day, none.astype(np.int64)))
    parts = {
        "elapsed": lambda: g.add("Div", g.cast(known, "float64"), np.float64(DAY)),
        "weekday": lambda: _floor(g, g.add("Add", day, 3), 7)[1],
        "hour": lambda: g.add("Div", g.cast(since, "float64"), np.float64(DAY // 24)),
    }
    calendar = dict(zip(("year", "month", "day"), _calendar(g, day), strict=True))
    numbers = []
    for part, spread in c.parts.items():
        found = calendar[part] if part in calendar else parts[part]()
        wide = found if part in ("elapsed", "hour") else g.cast(found, "float64")
        filled = g.add("Where", missing, np.float64(spread.center), wide)
        numbers.append(_spread(g, filled, spread))
    return numbers, [g.cast(missing, "float32")] if c.flag else []


def _calendar(g: Graph, day: str) -> tuple[str, str, str]:
    """Year, month and day of the month of days since 1970.

    References
    ----------
    H. Hinnant (2013), "chrono-compatible low-level date algorithms", `civil_from_days`.
    """

    def by(value: str, divisor: int) -> str:
        return g.add("Div", value, divisor)

    def times(value: str, factor: int) -> str:
        return g.add("Mul", value, factor)

    era, rest = _floor(g, g.add("Add", day, 719_468), 146_097)
    less = g.add("Sub", g.add("Add", rest, by(rest, 36_524)), by(rest, 1_460))
    of_era = by(g.add("Sub", less, by(rest, 146_096)), 365)
    year = g.add("Add", of_era, times(era, 400))
    before = g.add("Sub", g.add("Add", times(of_era, 365), by(of_era, 4)), by(of_era, 100))
    of_year = g.add("Sub", rest, before)  # from the first of March
    shifted = by(g.add("Add", times(of_year, 5), 2), 153)
    until = by(g.add("Add", times(shifted, 153), 2), 5)
    of_month = g.add("Add", g.add("Sub", of_year, until), 1)
    late = g.cast(g.add("Greater", shifted, 9), "int64")
    month = g.add("Sub", g.add("Add", shifted, 3), times(late, 12))
    return g.add("Add", year, late), month, of_month


# -- words ----------------------------------------------------------------------------------------


def _encoder(g: Graph, value: str, of: dict[str, Any], default: Any) -> str:
    kind = "int64s" if isinstance(default, int) else "floats"
    about: dict[str, Any] = {"keys_strings": list(of), f"values_{kind}": list(of.values())}
    about[f"default_{kind[:-1]}"] = default
    return g.add("LabelEncoder", value, domain=ML, **about)


def _words(g: Graph, c: Words, value: str) -> tuple[list[str], list[str]]:
    gaps = gap_texts() if c.flag or c.counts else []
    codes = {word: i for i, word in enumerate(c.categories)} | dict.fromkeys(gaps, _MISSING)
    numbers: list[str] = []
    others: list[str] = []
    code = _encoder(g, value, codes, -1) if codes else ""
    if c.paired:
        others.append(_encoder(g, value, dict(zip(c.categories, (-1.0, 1.0), strict=True)), 0.0))
    elif c.categories:
        places = np.arange(len(c.categories), dtype=np.int64)
        others.append(g.cast(g.add("Equal", code, places), "float32"))
    if c.counts:
        others.append(g.cast(g.add("Equal", code, -1), "float32"))
        seen = {word: _frequency(c.spread, n) for word, n in c.counts.items()}
        unseen = _frequency(c.spread, 0)
        numbers.append(_encoder(g, value, seen, unseen) if seen else _same(g, code, unseen))
    if c.flag:
        others.append(g.cast(g.add("Equal", code, _MISSING), "float32"))
    return numbers, others


def _frequency(spread: Spread, count: int) -> float:
    return float(spread(np.array([math.log1p(count)]))[0])


def _same(g: Graph, like: str, value: float) -> str:
    """A column of one number."""
    return g.add("Add", g.add("Mul", g.cast(like, "float32"), 0.0), value)
