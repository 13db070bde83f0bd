"""Dates and times as people write them, told over a whole column.

All of it works on the different texts of a column, so that a long column costs little.
"""

import datetime as dt
import re
from collections.abc import Sequence

import numpy as np

ORDERS = ("ymd", "dmy", "mdy")
"""In which order year, month and day stand."""

_CLOCK = (
    r"(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?"
    r"\s*(?P<half>[aApP]\.?[mM]\.?)?"
)
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?(?:\d{2})?)?(?:\[[^\]]*\])?"
_TIME = rf"(?:(?:T|,?\s+)(?:at\s+)?{_CLOCK}{_ZONE})?"
_WEEKDAY = r"(?:[A-Za-z]{2,9}\.?,?\s+)?"
_YEAR, _ANY_YEAR = r"(?P<y>\d{4})", r"(?P<y>\d{4}|\d{2})"
_MONTH, _WORD = r"(?P<m>\d{1,2})", r"(?P<word>[^\W\d_]{3,10})\.?"
_DAY, _NTH = r"(?P<d>\d{1,2})", r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?"
_ONE, _TWO = r"(?P<one>\d{1,2})", r"(?P<two>\d{1,2})"
_SEP = r"[-\s/]"
_FORMS = {
    form: re.compile(pattern)
    for form, pattern in {
        "compact": r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
        "ymd": rf"{_YEAR}(?P<s>[-/.]){_MONTH}(?:(?P=s){_DAY})?{_TIME}",
        "number": rf"{_ONE}(?P<s>[-/.])\s?{_TWO}(?P=s)\s?{_ANY_YEAR}{_TIME}",
        "day first": rf"{_WEEKDAY}{_NTH}{_SEP}*{_WORD},?{_SEP}*{_ANY_YEAR}{_TIME}",
        "month first": rf"{_WEEKDAY}{_WORD}{_SEP}*{_NTH},?{_SEP}+{_YEAR}{_TIME}",
        "month": rf"{_WORD},?{_SEP}*{_YEAR}",
        "short month": r"(?P<word>[^\W\d_]{3})[-'](?P<y>\d{2})",
        "month number": rf"{_MONTH}[-/]{_YEAR}",
        "year first": rf"{_YEAR}{_SEP}+{_WORD}(?:{_SEP}+{_DAY})?{_TIME}",
        "week": r"(?P<y>\d{4})-?[Ww](?P<w>\d{2})(?:-?(?P<d>[1-7]))?",
        "quarter": rf"{_YEAR}{_SEP}?[Qq](?P<q>[1-4])|[Qq](?P<q2>[1-4]){_SEP}?(?P<y2>\d{{4}})",
    }.items()
}
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar janvier enero gennaio jan ene gen",
            "february februar février febrero febbraio feb fév fev",
            "march märz mars marzo mar mär mrz",
            "april avril abril aprile apr avr abr",
            "may mai mayo maggio mag",
            "june juni juin junio giugno jun giu",
            "july juli juillet julio luglio jul lug juil",
            "august août agosto aug aoû aou ago",
            "september septembre septiembre settembre sep sept set",
            "october oktober octobre octubre ottobre oct okt ott",
            "november novembre noviembre nov",
            "december dezember décembre diciembre dicembre dec dez déc dic",
        ),
        start=1,
    )
    for name in names.split()
}
_SPAN = re.compile(
    r"(?:(?P<days>-?\d+)\s+days?,?\s*\+?)?(?P<sign>-)?(?:(?P<H>\d{1,4}):(?P<M>[0-5]\d)"
    r"(?::(?P<S>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<half>[aApP]\.?[mM]\.?)?)?"
)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z?)?", re.ASCII)
_MISSING = np.datetime64("NaT", "us")


def find_order(texts: Sequence[str]) -> tuple[str, bool]:
    """Tell the order of day and month from all dates of a column.

    Parameters
    ----------
    texts : sequence of str
        In the order of the column; others than dates tell nothing.

    Returns
    -------
    order : {"ymd", "dmy", "mdy"}
    sure : bool
        False where each date could be read both ways.

    Examples
    --------
    >>> find_order(["01/02/2024", "01/31/2024"])
    ('mdy', True)
    >>> find_order(["01/02/2024"])
    ('mdy', False)
    """
    found = [m for m in map(_FORMS["number"].fullmatch, texts) if m]
    if not found:
        return "ymd", True
    day_first = sum(int(m["one"]) > 12 for m in found)
    month_first = sum(int(m["two"]) > 12 for m in found)
    if day_first != month_first:
        return ("dmy" if day_first > month_first else "mdy"), not (day_first and month_first)
    for order in ("dmy", "mdy"):  # a table in the order of time
        days = read_dates([m.string for m in found], order)
        if len(found) > 2 and (np.diff(days) >= np.timedelta64(0)).all():
            return order, True
    return ("mdy" if found[0]["s"] == "/" else "dmy"), False


def read_dates(texts: Sequence[str], order: str) -> np.ndarray:
    """Read dates and times; those with a zone become UTC.

    Parameters
    ----------
    texts : sequence of str
    order : {"ymd", "dmy", "mdy"}
        Of 1/2/2024; other dates tell it by themselves.

    Returns
    -------
    ndarray of datetime64[us], shape (n,)
        NaT for what is no date.

    Examples
    --------
    >>> read_dates(["3 May 2024", "5/3/2024 4:30 PM", "soon"], "mdy").astype("M8[m]")
    array(['2024-05-03T00:00', '2024-05-03T16:30',              'NaT'],
          dtype='datetime64[m]')
    """
    if texts and all(map(_ISO.fullmatch, texts)):
        try:
            return np.array([text.rstrip("Z") for text in texts], dtype="datetime64[us]")
        except ValueError:
            pass  # the 30th of February
    days = [_date(text, order) for text in texts]
    return np.array([_MISSING if d is None else d for d in days], dtype="datetime64[us]")


def compact_dates(values: np.ndarray) -> np.ndarray | None:
    """Whole numbers such as 20240131 as dates, where all are some.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        NaN for missing values.

    Returns
    -------
    ndarray of datetime64[us], shape (n,), or None
        None where one of them is no date, or fewer than three differ.

    Examples
    --------
    >>> compact_dates(np.array([20240131.0, 20240201.0, 19991231.0])).astype("M8[D]")
    array(['2024-01-31', '2024-02-01', '1999-12-31'], dtype='datetime64[D]')
    """
    known = values[~np.isnan(values)]
    if len(known) < 3 or known.min() < 19000101 or known.max() > 21001231:
        return None
    whole = np.unique(known)
    if len(whole) < 3 or (whole != np.floor(whole)).any():
        return None
    texts = [str(int(v)) for v in whole]
    try:
        days = np.array([f"{t[:4]}-{t[4:6]}-{t[6:]}" for t in texts], dtype="datetime64[us]")
    except ValueError:
        return None  # there is no such month or day
    return np.append(days, _MISSING)[
        np.searchsorted(whole, np.where(values == values, values, np.inf))
    ]


def _date(text: str, order: str) -> dt.datetime | None:
    for form, pattern in _FORMS.items():
        match = pattern.fullmatch(text)
        if match:
            try:
                return _moment(match.groupdict(), form, order)
            except (KeyError, ValueError, OverflowError):
                return None  # no such month or day
    return None


def _moment(part: dict[str, str | None], form: str, order: str) -> dt.datetime:
    year = part["y"] or part.get("y2") or ""
    month, day = part.get("m"), part.get("d")
    if form == "number":
        month, day = part["one"], part["two"]
        if order != "mdy":
            month, day = day, month
    elif form == "quarter":
        month = str(3 * int(part["q"] or part["q2"] or "1") - 2)
    elif form == "week":
        return dt.datetime.fromisocalendar(int(year), int(part["w"] or 1), int(day or 1))
    elif "word" in part:
        month = str(_MONTHS[(part["word"] or "").lower()])
    full = int(year) if len(year) == 4 else 1900 + int(year) + 100 * (int(year) < 70)
    moment = dt.datetime(full, int(month or 1), int(day or 1))
    seconds = 0 if part.get("H") is None else _seconds(part, hours=24)
    moment += dt.timedelta(seconds=seconds)
    zone = part.get("zone") or "Z"
    if zone[0] in "+-":
        away = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].strip(":") or 0))
        moment -= -away if zone[0] == "-" else away
    return moment


def _seconds(part: dict[str, str | None], hours: int) -> float:
    hour, half = int(part["H"] or 0), (part.get("half") or "").lower()[:1]
    if hour >= (13 if half else hours) or int(part["M"] or 0) > 59 or int(part["S"] or 0) > 60:
        raise ValueError
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    fraction = float(f"0.{part.get('f') or 0}")
    return 3600.0 * hour + 60 * int(part["M"] or 0) + int(part["S"] or 0) + fraction


def read_spans(texts: Sequence[str]) -> np.ndarray:
    """Read times of day and durations as seconds.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for what is neither.

    Examples
    --------
    >>> read_spans(["12:34", "1 days 00:00:02.5", "1:00 PM", "noon"])
    array([45240. , 86402.5, 46800. ,     nan])
    """
    return np.array([_span(text) for text in texts], dtype=np.float64)


def _span(text: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None or not (match["days"] or match["H"]):
        return np.nan
    try:
        seconds = _seconds(match.groupdict(), hours=10_000) if match["H"] else 0.0
    except ValueError:
        return np.nan
    return 86400.0 * int(match["days"] or 0) + (-seconds if match["sign"] else seconds)
