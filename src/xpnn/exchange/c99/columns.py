"""A table's columns in C: what `Encoding.transform` does."""

import math

import numpy as np

from xpnn.exchange.c99.source import Source, number
from xpnn.tables.encoding import Column, Encoding
from xpnn.tables.gaps import GAPS, NO_DATES
from xpnn.tables.kinds import Dates, Numbers, Spread, Words

NO_TIME = "INT64_MIN"  # as NumPy's NaT
_DAY = "INT64_C(86400000000)"  # microseconds

TYPES = {"numeric": "double", "words": "const char *", "datetime": "int64_t"}
"""What a column of each kind is in C."""

ABOUT = {
    "numeric": "a number; NAN where it is missing",
    "words": "UTF-8; NULL or empty where it is missing",
    "datetime": "microseconds since 1970; INT64_MIN where it is missing",
}

_PARTS = {
    "elapsed": "(double)known / 86400000000.0",
    "year": "calendar(day, 0)",
    "month": "calendar(day, 1)",
    "day": "calendar(day, 2)",
    "weekday": "(double)(day + 3 - 7 * floored(day + 3, 7))",
    "hour": f"(double)(known - day * {_DAY}) / 3600000000.0",
}


def add_columns(source: Source, encoding: Encoding, values: dict[str, str], row: str) -> None:
    """`inputs(row, x)`: a network's inputs.

    Parameters
    ----------
    values : dict of str to str
        How C names each column's value.
    row : str
        The parameter that has them.
    """
    lines: list[str] = []
    number_at, other_at = 0, encoding.n_numbers
    for i, c in enumerate(encoding.columns):
        made = _column(source, i, c, values[c.name], number_at, other_at)
        lines += ["{", *(f"    {line}" for line in made), "}"]
        number_at += len(c.inputs[0])
        other_at += len(c.inputs[1])
    if not encoding.columns:  # a table that says nothing is a constant: see `at_least_one`
        lines = ["(void)row;", "x[0] = 0.0f;"]
    body = "\n    ".join(lines)
    source.functions.append(f"static void inputs({row}, float *x)\n{{\n    {body}\n}}\n")


def _column(source: Source, i: int, c: Column, value: str, at: int, other: int) -> list[str]:
    """Lines that read one, into x from `at` on what is a number, and from `other` on the rest."""
    if isinstance(c, Numbers):
        return _numbers(source, i, c, value, at, other)
    if isinstance(c, Dates):
        return _dates(source, c, value, at, other)
    return _words(source, i, c, value, at, other)


def scaled(source: Source, value: str, spread: Spread) -> str:
    """A value of which the center and the width are known."""
    center, factor = number(spread.center, "double"), number(spread.factor, "double")
    return f"{source.use('spread')}({value}, {center}, {factor})"


def _numbers(source: Source, i: int, c: Numbers, value: str, at: int, other: int) -> list[str]:
    gaps = [f"{value} == {number(v, 'double')}" for v in c.style.get("sentinels", ())]
    center = number(c.spread.center, "double")
    lines = [
        f"const int missing = {' || '.join([f'!isfinite({value})', *gaps])};",
        f"const double known = missing ? {center} : {value};",
        f"x[{at}] = {scaled(source, 'known', c.spread)};",
    ]
    bins = max(0, len(c.edges) - 1)
    if bins:
        edges = source.array(f"edges_{i}", c.edges, "double")
        call = f"{source.use('between')}(known, {edges}[i], {edges}[i + 1])"
        lines += ["int i;", f"for (i = 0; i < {bins}; i++) x[{other} + i] = {call};"]
    return lines + ([f"x[{other + bins}] = (float)missing;"] if c.flag else [])


def _dates(source: Source, c: Dates, value: str, at: int, other: int) -> list[str]:
    firsts = [f"INT64_C({day.astype('M8[us]').astype(np.int64)})" for day in NO_DATES]
    gaps = [f"({value} >= {first} && {value} - {first} < {_DAY})" for first in firsts]
    lines = [
        f"const int missing = {' || '.join((f'{value} == {NO_TIME}', *gaps))};",
        f"const int64_t known = missing ? 0 : {value};",
        f"const int64_t day = {source.use('floored')}(known, {_DAY});",
    ]
    if not {"year", "month", "day", "weekday", "hour"} & set(c.parts):
        lines.append("(void)day;")
    for j, (part, spread) in enumerate(c.parts.items()):
        if "calendar" in _PARTS[part]:
            source.use("calendar")
        known = f"missing ? {number(spread.center, 'double')} : {_PARTS[part]}"
        lines.append(f"x[{at + j}] = {scaled(source, known, spread)};")
    return lines + ([f"x[{other}] = (float)missing;"] if c.flag else [])


def _words(source: Source, i: int, c: Words, value: str, at: int, other: int) -> list[str]:
    """An input for each word, for those that are left, for how often it was seen, and for gaps."""
    n, lines = len(c.categories), list[str]()
    if c.flag or c.counts:
        gaps = sorted(GAPS)
        if not any("gap_texts[" in text for text in source.constants):
            source.texts("gap_texts", gaps)
        call = f"{source.use('is_gap')}({value}, gap_texts, {len(gaps)})"
        lines.append(f"const int missing = {call};")
    if n:
        words = source.texts(f"words_{i}", c.categories)
        lines.append(f"const int code = {source.use('place')}({value}, {words}, {n});")
    if c.paired:
        lines.append(f"x[{other}] = code < 0 ? 0.0f : code == 0 ? -1.0f : 1.0f;")
        n = 1
    elif n:
        lines += ["int i;", f"for (i = 0; i < {n}; i++) x[{other} + i] = (float)(code == i);"]
    if c.counts:
        lines.append(f"x[{other + n}] = (float)(code < 0 && !missing);")
        lines += _frequency(source, i, c, value, at)
    flag = other + n + bool(c.counts)
    return lines + ([f"x[{flag}] = (float)missing;"] if c.flag else [])


def _frequency(source: Source, i: int, c: Words, value: str, at: int) -> list[str]:
    """How often a word was seen, as a number."""
    unseen = source.array(f"unseen_{i}", c.spread(np.array([0.0])))
    known = sorted(c.counts)
    logs = np.array([math.log1p(c.counts[word]) for word in known])
    names, seen = source.texts(f"known_{i}", known), source.array(f"seen_{i}", c.spread(logs))
    call = f"{source.use('place')}({value}, {names}, {len(known)})"
    return [
        f"const int found = {call};",
        f"x[{at}] = found < 0 ? {unseen}[0] : {seen}[found];",
    ]
