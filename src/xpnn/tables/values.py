"""Which values a column of text holds: numbers, times or words, and which of them are gaps.

These are the only rules for that: of features and targets, in training and in prediction.
"""

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from xpnn._text import in_a_line
from xpnn.arrays.numeric import places
from xpnn.tables import dates
from xpnn.tables.columns import TableError, as_text, is_missing, objects
from xpnn.tables.gaps import FEW, GAPS, NO_DATES, NUMBER_GAPS, few_strays, sentinels
from xpnn.tables.numerals import NumberStyle, decimal_of, find_style, read_numbers, told_style

KINDS = ("numeric", "datetime", "words")

_SAMPLE = 1000
_EMPTY = {"numeric": math.nan, "datetime": np.datetime64("NaT", "us")}
_NO_DAYS = "no day above 12 and no order tells that they are dates; if so, write 2015-03-10"
_HALF = re.compile(r"[ap]\.?m\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Parsed:
    """A column as it was read."""

    values: np.ndarray  # float64, datetime64[us], or objects that are str or None
    kind: str  # "numeric", "datetime" or "words"
    style: dict[str, Any] = field(default_factory=dict)  # how it was read, for `parse_as`; JSON
    notes: tuple[str, ...] = ()  # what was decided, each with its count, for people


def parse_column(
    column: np.ndarray, *, decimal: str | None = None, name: str | None = None
) -> Parsed:
    """Tell what a column holds, and read it.

    Numbers with a few strays are numbers, and the strays are missing: 5 % at most, or up to half
    where more than 50 numbers differ and the strays are one word.

    Parameters
    ----------
    column : ndarray of shape (n,)
        Of numbers, times, or objects: text, None, and what frames hold beside them.
    decimal : {".", ","}, default=None
        The decimal mark where it is known; None tells it by the column.

    Raises
    ------
    TableError
        For values such as lists.

    Examples
    --------
    >>> price = parse_column(np.array(["$1,172", "$950", "unknown"], dtype=object))
    >>> price.values, price.kind
    (array([1172.,  950.,   nan]), 'numeric')
    >>> for note in price.notes:
    ...     print(note)
    1 of 3 values are no numbers ('unknown') and count as missing
    numbers written with '$' and thousands separators
    """
    if column.dtype.kind in "biufmM":
        return _typed(column)
    texts, codes = different_texts(column, name)
    counts = np.bincount(places(codes + 1), minlength=len(texts) + 1)[1:]
    known = [i for i, t in enumerate(texts) if t.lower() not in NUMBER_GAPS]
    for reader in (_as_numbers, _as_spans, _as_dates):
        found = reader([texts[i] for i in known], counts[known], decimal)
        if found is not None:
            break
    else:
        gaps = [i for i, t in enumerate(texts) if t.lower() in GAPS]
        shown = sorted(texts[i] for i in gaps)
        told = (
            [_missing_note(int(counts[gaps].sum()), len(codes), "are gaps", shown)] if gaps else []
        )
        if alike := differ_in_capitals(texts):
            told.append(f"words that differ in capitals alone: {alike}")
        if dates.may_be_results(texts):
            told.append(f"{counts.sum():,} values such as {texts[0]!r} stay words: {_NO_DAYS}")
        return Parsed(_words(texts, codes), "words", {}, tuple(told))
    read, kind, style, notes = found
    values = np.full(len(texts) + 1, _EMPTY[kind], dtype=read.dtype)
    values[known] = read
    unread = np.flatnonzero(np.isnan(values[:-1])).tolist()
    if unread:
        style["gaps"] = sorted(texts[i] for i in unread)
        style |= {"strays": True} if len(unread) > FEW else {}  # others will come
        what = "are no dates" if kind == "datetime" else "are no numbers"
        notes = [_missing_note(counts[unread].sum(), len(codes), what, style["gaps"]), *notes]
    return _settled(Parsed(values[codes], kind, style, tuple(notes)))


def parse_as(column: np.ndarray, kind: str, style: Mapping[str, Any], name: str) -> np.ndarray:
    """Read a column in the way that was found in training.

    Parameters
    ----------
    column : ndarray of shape (n,)
        As `parse_column` takes it.
    kind : {"numeric", "datetime", "words"}

    Returns
    -------
    ndarray of shape (n,)
        float64, datetime64[us], or objects that are str or None.

    Raises
    ------
    TableError
        For a word among numbers or times that was no gap in training, with its row; unless
        training had more than 5 different ones.

    Examples
    --------
    >>> parse_as(np.array(["€ 1.234", "-"], dtype=object), "numeric", {"decimal": ","}, "price")
    array([1234.,   nan])
    """
    if kind == "words":
        if column.dtype.kind in "biufmM":
            return as_text(column)
        texts, codes = different_texts(column, name)
        return _words(texts, codes)
    if column.dtype.kind in "biufmM":
        if kind == "datetime" and column.dtype.kind in "iuf":
            column = as_text(column)
            return parse_as(column, kind, style, name)
        parsed = _typed(column, fresh=False)
        if column.dtype.kind == "m" and "form" not in style and not np.isnat(column).all():
            shown = objects([str(v) for v in column.astype("timedelta64[s]")])
            raise _unlike(name, kind, shown, ~np.isnat(column))  # of which unit?
        if parsed.kind != kind and not np.isnan(parsed.values).all():
            raise _unlike(name, kind, as_text(column), ~np.isnan(parsed.values))
        values = parsed.values if parsed.kind == kind else np.full(len(column), _EMPTY[kind])
        return _known(values, style)
    texts, codes = different_texts(column, name)
    values, stray = read_texts(texts, kind, style)
    known = style.get("strays") and 2 * int(stray.sum()) <= max(2, len(texts))
    if stray.any() and not known:
        raise _unlike(name, kind, column, np.append(stray, False)[codes])
    values = np.append(values, np.array([np.nan]).astype(values.dtype))[codes]
    return _known(values, style)


def read_texts(
    texts: Sequence[str], kind: str, style: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """What different texts say in a style, and which say nothing and were no gap in training.

    Examples
    --------
    >>> read_texts(["1", "soon", "?"], "numeric", {"gaps": ["?"]})
    (array([ 1., nan, nan]), array([False,  True, False]))
    """
    gaps = NUMBER_GAPS | {gap.lower() for gap in style.get("gaps", ())}
    values = _read_styled(texts, kind, style)
    return values, np.isnan(values) & np.array([t.lower() not in gaps for t in texts], dtype=bool)


def different_texts(column: np.ndarray, name: str | None = None) -> tuple[list[str], np.ndarray]:
    """A column's different texts without the spaces around them, and which each row has.

    Parameters
    ----------
    column : ndarray of shape (n,)
        Of objects or text.

    Returns
    -------
    texts : list of str
        In the order of the column; never an empty one.
    codes : ndarray of int64, shape (n,)
        Places in `texts`, -1 for a missing value or an empty text.

    Examples
    --------
    >>> different_texts(np.array(["b", None, "a ", "b"], dtype=object))
    (['b', 'a'], array([ 0, -1,  1,  0]))
    """
    rows = column.tolist()
    try:
        raw = {value: place for place, value in enumerate(dict.fromkeys(rows))}
        codes = np.fromiter(map(raw.__getitem__, rows), np.int64, len(rows))
    except TypeError as error:
        kind = next(type(v).__name__ for v in column if getattr(v, "__hash__", 1) is None)
        which = "A column" if name is None else f"Column {name!r}"
        raise TableError(
            f"{which} holds values of type {kind}, not numbers or text: leave it out, or take its "
            "values apart into columns."
        ) from error
    places: dict[str, int] = {}
    again = [-1 if not t else places.setdefault(t, len(places)) for t in map(_text, raw)]
    return list(places), np.array(again or [-1], dtype=np.int64)[codes]


def differ_in_capitals(texts: Sequence[str]) -> str:
    """Some of the words of a column that are the same but for capitals, for people.

    Examples
    --------
    >>> differ_in_capitals(["no", "yes", "No"])
    "'No', 'no'"
    """
    folded = Counter(map(str.casefold, texts))
    if len(folded) == len(texts):
        return ""
    return ", ".join(map(repr, sorted(t for t in texts if folded[t.casefold()] > 1)[:4]))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if is_missing(value):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _typed(column: np.ndarray, fresh: bool = True) -> Parsed:
    """Numbers and times that need no reading."""
    if column.dtype.kind == "M":
        return _settled(Parsed(column.astype("datetime64[us]"), "datetime"))
    if column.dtype.kind == "m":
        seconds = column.astype("timedelta64[us]").astype(np.float64) / 1e6
        return Parsed(np.where(np.isnat(column), np.nan, seconds), "numeric", {"form": "time"})
    values = column.astype(np.float64)
    infinite = np.isinf(values)
    notes: tuple[str, ...] = ()
    if infinite.any():
        values = np.where(infinite, np.nan, values)
        notes = (f"{infinite.sum():,} of {len(values):,} values are infinite and count as missing",)
    parsed = Parsed(values, "numeric", {}, notes)
    return _settled(parsed) if fresh else parsed


def _settled(parsed: Parsed) -> Parsed:
    """What only the whole column tells: numbers that are dates, and numbers that are gaps."""
    if parsed.kind == "numeric" and not set(parsed.style) - {"gaps", "strays"}:
        days = dates.compact_dates(parsed.values)
        if days is not None:
            first = int(parsed.values[~np.isnan(parsed.values)][0])
            notes = (*parsed.notes, f"dates, such as {first}, read as year, month and day")
            return Parsed(days, "datetime", {**parsed.style, "order": "ymd"}, notes)
    if parsed.kind == "datetime":
        return _without_no_dates(parsed)
    return _without_sentinels(parsed)


_Found = tuple[np.ndarray, str, dict[str, Any], list[str]]


def _as_numbers(texts: Sequence[str], counts: np.ndarray, decimal: str | None) -> _Found | None:
    sample = _sample(texts)
    if not texts or np.isnan(read_numbers(sample, find_style(sample, decimal))).mean() > 0.5:
        return None
    style = find_style(texts, decimal)
    values = read_numbers(texts, style)
    if not few_strays(values, texts, counts):
        return None
    if np.isnan(values).any() and dates.are_laps(texts):
        return None
    if _HALF.fullmatch(style.unit) and not np.isnan(dates.read_spans(texts)).any():
        return None  # 6pm is a time
    default = asdict(NumberStyle())
    plain = {k: v for k, v in asdict(style).items() if v != default[k]}
    if "marks" in plain:
        plain["marks"] = list(plain["marks"])
    return values, "numeric", plain, told_style(style)


def _as_spans(texts: Sequence[str], counts: np.ndarray, decimal: str | None) -> _Found | None:
    if dates.are_laps(texts):
        return _as_laps(texts, counts)
    if not texts or np.isnan(dates.read_spans(_sample(texts))).mean() > 0.5:
        return None
    months = dates.month_letters(texts)
    values = dates.read_spans(texts, months)
    if not few_strays(values, texts, counts):
        return None
    style = {"form": "time"} | ({} if months == "M" else {"months": months})
    return values, "numeric", style, [f"times, such as {texts[0]!r}, in seconds"]


def _as_laps(texts: Sequence[str], counts: np.ndarray) -> _Found | None:
    values = dates.read_laps(texts)
    if not few_strays(values, texts, counts):
        return None
    lap = next(text for text in texts if ":" in text)
    seconds = [i for i, text in enumerate(texts) if ":" not in text and values[i] == values[i]]
    alone = f"; {counts[seconds].sum():,} values are seconds alone" if seconds else ""
    return values, "numeric", {"form": "lap"}, [f"times, such as {lap!r}, in seconds{alone}"]


def _as_dates(texts: Sequence[str], counts: np.ndarray, decimal: str | None) -> _Found | None:
    sample = _sample(texts)
    if not texts or np.isnat(dates.read_dates(sample, dates.find_order(sample)[0])).mean() > 0.5:
        return None
    order, sure = dates.find_order(texts)
    values = dates.read_dates(texts, order)
    if not few_strays(values, texts, counts) or dates.are_codes(texts):
        return None
    how = {"dmy": " read as day/month/year", "mdy": " read as month/day/year"}.get(order, "")
    doubt = "" if sure else ", which nothing in them tells; if it is wrong, write 2024-05-31"
    notes = [f"dates, such as {texts[0]!r}{how}{doubt}"]
    zone = dates.have_zone(texts)
    return values, "datetime", {"order": order} | ({} if zone is None else {"zone": zone}), notes


def _sample(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, len(texts) // _SAMPLE)]


def _missing_note(count: int, rows: int, what: str, gaps: Sequence[str]) -> str:
    shown = ", ".join(repr(in_a_line(gap)) for gap in gaps[:3]) + (
        " and others" if len(gaps) > 3 else ""
    )
    return f"{count:,} of {rows:,} values {what} ({shown}) and count as missing"


def _words(texts: Sequence[str], codes: np.ndarray) -> np.ndarray:
    different = objects([*(None if t.lower() in GAPS else t for t in texts), None])
    words: np.ndarray = different[codes]
    return words


def _read_styled(texts: Sequence[str], kind: str, style: Mapping[str, Any]) -> np.ndarray:
    if kind == "datetime":
        return dates.read_dates(texts, style.get("order", "ymd"))
    if style.get("form") == "lap":
        return dates.read_laps(texts)
    if style.get("form") == "time":
        spans = dates.read_spans(texts, style.get("months", "M"))
        return np.where(np.isnan(spans), read_numbers(texts, NumberStyle()), spans)
    how = {name: style[name] for name in ("unit", "multiples") if name in style}
    mark = decimal_of(texts, style.get("decimal", "."), style.get("grouped", False))
    return read_numbers(texts, NumberStyle(mark, **how))


def _unlike(name: str, kind: str, column: Iterable[Any], stray: np.ndarray) -> TableError:
    row = int(np.flatnonzero(stray)[0])
    value = list(column)[row]
    what = "dates" if kind == "datetime" else "numbers"
    return TableError(
        f"Column {name!r} should be {what}, got {value!r} in row {row + 1:,}; correct it, or leave "
        f"it empty; the command takes it for a gap with --na."
    )


def _known(values: np.ndarray, style: Mapping[str, Any]) -> np.ndarray:
    """A column as training had it: without what stood for a gap there."""
    if values.dtype.kind == "M":
        none = np.isin(values.astype("datetime64[D]"), NO_DATES)
        return np.where(none, np.datetime64("NaT", "us"), values)
    return _drop(values, style.get("sentinels", ()))


def _without_no_dates(parsed: Parsed) -> Parsed:
    """Take 9999-12-31 and 0001-01-01 for gaps, also with a time or where dates have a type."""
    values = _known(parsed.values, {})
    count = int((np.isnat(values) & ~np.isnat(parsed.values)).sum())
    days = " or ".join(map(str, NO_DATES))
    note = f"{count:,} of {len(values):,} values are {days} and count as missing"
    notes = (*parsed.notes, note) if count else parsed.notes
    return Parsed(values, parsed.kind, parsed.style, notes)


def _drop(values: np.ndarray, sentinels: Sequence[float]) -> np.ndarray:
    return np.where(np.isin(values, sentinels), np.nan, values) if len(sentinels) else values


def _without_sentinels(parsed: Parsed) -> Parsed:
    """Take -9999 and its like for gaps where it is repeated and far from all other numbers."""
    values = parsed.values
    notes, gaps = list(parsed.notes), []
    for value in sentinels(values):
        count = int((values == value).sum())
        what = f"{value:.10g} stands in {count:,} of {len(values):,} values, far from the others"
        if count > 1:
            gaps.append(value)
            notes.append(f"{what}, and counts as missing")
        else:
            notes.append(f"{what}; if it is a gap, say --na {value:.10g}")
    style = {**parsed.style, "sentinels": gaps} if gaps else parsed.style
    return Parsed(_drop(values, gaps), parsed.kind, style, tuple(notes))
