"""Dates and times as people write them, told over a whole column.

All of it works on the different texts of a column, so that a long column costs little.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence

import numpy as np

from xpnn.tables.moments import MONTHS, SPANS, ZONES
from xpnn.tables.numerals import NumberStyle, all_plain, read_numbers, western

ORDERS = ("ymd", "dmy", "mdy")
"""In which order year, month and day stand."""

_CLOCK = (
    r"(?P<H>\d{1,2})(?:[:.](?P<M>\d{2})(?:[:.](?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?"
    r"\s*(?P<half>[aApP]\.?[mM]\.?)?(?:\s*(?:Uhr|h|hrs))?"
)
_ZONE = (
    r"\s*(?P<zone>(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?|"
    rf"{'|'.join(sorted(ZONES, reverse=True))})?"
    r"(?:\s?[\[(][^\])]*[\])])?"
)
_TIME = rf"(?:(?:T|:|,?\s+)(?:(?:at|um|à)\s+)?{_CLOCK}{_ZONE})?"
_WEEKDAY = r"(?:[A-Za-z]{2,9}\.?,?\s+)?"
_YEAR, _ANY_YEAR = r"(?P<y>\d{4})", r"(?P<y>\d{4}|\d{2})"
_MONTH, _WORD = r"(?P<m>\d{1,2})", r"(?P<word>[^\W\d_]{3,12})\.?"
_DAY, _NTH = r"(?P<d>\d{1,2})", r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?"
_ONE, _TWO = r"(?P<one>\d{1,2})", r"(?P<two>\d{1,2})"
_SEP, _OF = r"[-\s/]", r"(?:[-\s/]|del?\s|of\s)*"
_FORMS = {
    form: re.compile(pattern)
    for form, pattern in {
        "compact": r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})"
        r"(?:T?(?P<H>\d{2})(?P<M>\d{2})(?P<S>\d{2})?Z?)?",
        "ymd": rf"{_YEAR}(?P<s>[-/.])\s?{_MONTH}(?:(?P=s)\s?{_DAY})?\.?{_TIME}",
        "number": rf"{_ONE}(?P<s>[-/.])\s?{_TWO}(?P=s)\s?{_ANY_YEAR}\.?{_TIME}",
        "day first": rf"{_WEEKDAY}{_NTH}{_OF}{_WORD},?{_OF}{_ANY_YEAR}{_TIME}",
        "month first": rf"{_WEEKDAY}{_WORD}{_SEP}*{_NTH},?{_SEP}+{_YEAR}{_TIME}",
        "year last": rf"{_WEEKDAY}{_WORD}\s+{_DAY}\s+{_CLOCK}{_ZONE}\s+{_YEAR}",
        "east": rf"{_YEAR}\s?[年년]\s?{_MONTH}\s?[月월](?:\s?{_DAY}\s?[日일]?)?{_TIME}",
        "month": rf"{_WORD},?{_SEP}*{_YEAR}",
        "short month": r"(?P<word>[^\W\d_]{3})[-'](?P<y>\d{2})",
        "month number": rf"{_MONTH}[-/]{_YEAR}",
        "year first": rf"{_YEAR}{_SEP}+{_WORD}(?:{_SEP}+{_DAY})?{_TIME}",
        "week": r"(?P<y>\d{4})-?[Ww](?P<w>\d{2})(?:-?(?P<d>[1-7]))?",
        "quarter": rf"{_YEAR}{_SEP}?[Qq](?P<q>[1-4])"
        rf"|[Qq](?P<q2>[1-4]){_SEP}?(?P<y2>\d{{4}}|(?<=[-/ ])\d{{2}}|'\d{{2}})",
    }.items()
}
_SPAN = re.compile(
    r"(?:(?P<days>-?\d+)\s+days?,?\s*\+?)?(?P<sign>-)?(?:(?P<H>\d{1,4}):(?P<M>[0-5]\d)"
    r"(?::(?P<S>[0-5]\d)(?:[.,](?P<f>\d{1,9}))?)?\s*(?P<half>[aApP]\.?[mM]\.?)?)?"
)
_LAP = re.compile(r"(?P<M>\d{1,3}):(?P<S>[0-5]\d\.\d{1,9})")
_SHORT_LAP = re.compile(r"\d{1,3}:[0-5]\d")
_SECONDS = re.compile(r"[0-5]?\d(?:\.\d{1,9})?", re.ASCII)
_HOUR = re.compile(r"(?P<H>1[0-2]|0?[1-9])\s*(?P<half>[aApP])\.?[mM]\.?")
_WORDS = re.compile(r"(\d+(?:[.,]\d+)?)\s*([^\W\d_]+)\.?,?\s*(?:(?:and|und|et|y)\s)?\s*")
_ISO_SPAN = re.compile(
    r"P(?=.)(?:(?P<Y>\d+)Y)?(?:(?P<mo>\d+)M)?(?:(?P<W>\d+)W)?(?:(?P<D>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<h>\d+)H)?(?:(?P<min>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z?)?", re.ASCII)
_SEASON = re.compile(r"\d{4}-\d{2}")
_VERSION = re.compile(r"([1-9]\.\d)\.(\d{2})")
_DASHED = re.compile(r"([1-9]\d?)-([1-9]\d?)-(\d{2})", re.ASCII)
_FEWEST_IN_ORDER = 5  # one in sixty rises or falls by chance
_FEWEST_VERSIONS = 6  # of dates, one in ten thousand sixes has no day and no month above 9
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
    found = [m for m in map(_FORMS["number"].fullmatch, map(western, texts)) if m]
    if not found:
        return "ymd", True
    day_first = sum(int(m["one"]) > 12 for m in found)
    month_first = sum(int(m["two"]) > 12 for m in found)
    if day_first != month_first:
        return ("dmy" if day_first > month_first else "mdy"), not (day_first and month_first)
    rising = {order: _unevenness(found, order) for order in ("dmy", "mdy")}
    if min(rising.values()) < np.inf:  # a table in the order of time
        return ("mdy" if rising["dmy"] > 10 * rising["mdy"] else "dmy"), True
    return ("mdy" if found[0]["s"] == "/" else "dmy"), False


def _unevenness(found: Sequence[re.Match[str]], order: str) -> float:
    """The longest step beside the usual one; infinite where dates fall, or for fewer than three."""
    steps = np.diff(read_dates([m.string for m in found], order)) / np.timedelta64(1, "s")
    if len(steps) < 2 or not (steps >= 0).all():
        return np.inf
    taken = steps[steps > 0]
    return float(taken.max() / np.median(taken)) if len(taken) else 1.0


def read_dates(texts: Sequence[str], order: str) -> np.ndarray:
    """Read dates and times; those with a zone become UTC.

    Parameters
    ----------
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
    days = [_date(western(text), order) for text in texts]
    return np.array([_MISSING if d is None else d for d in days], dtype="datetime64[us]")


def have_zone(texts: Sequence[str]) -> bool | None:
    """Whether the dates among texts have a zone: all of them, or False for some, None for none.

    Examples
    --------
    >>> have_zone(["2024-05-03T10:00Z", "2024-05-03 10:00 CET"]), have_zone(["2024-05-03", "soon"])
    (True, None)
    """
    some = map(western, texts[:: max(1, len(texts) // 1000)])
    found = [m for t in some for m in [next(filter(None, _matches(t)), None)] if m]
    zoned = [bool(m.groupdict().get("zone")) or m.string.endswith("Z") for m in found]
    return all(zoned) if any(zoned) else None


def _matches(text: str) -> Iterator[re.Match[str] | None]:
    return (pattern.fullmatch(text) for pattern in _FORMS.values())


def compact_dates(values: np.ndarray) -> np.ndarray | None:
    """Whole numbers such as 20240131 as dates, also with a time behind, where all are some.

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
    if len(known) < 3 or (known != np.floor(known)).any():
        return None
    whole = np.unique(known)
    digits = len(str(int(known[0])))
    low, high = (float(f"{day:<014}"[:digits]) for day in (19000101, 21001231))
    if digits not in (8, 12, 14) or len(whole) < 3 or whole[0] < low or whole[-1] > high:
        return None
    pairs = [re.findall("..", str(int(v))) for v in whole]
    parts = [("".join(p[:2]), *p[2:]) for p in pairs]
    texts = ["-".join(p[:3]) + (f"T{':'.join(p[3:])}" if p[3:] else "") for p in parts]
    try:
        days = np.array(texts, dtype="datetime64[us]")
    except ValueError:
        return None  # there is no such month or day
    return np.append(days, _MISSING)[
        np.searchsorted(whole, np.where(values == values, values, np.inf))
    ]


def are_codes(texts: Sequence[str]) -> bool:
    """Whether texts may be dates and are none: SET-01 and SET-02, the seasons 2008-09 and 2009-10.

    And versions such as 1.2.10, if neither of the first numbers ever has two digits; results such
    as 10-3-15, if nothing tells that they are days.

    Examples
    --------
    >>> are_codes(["SET-01", "SET-02"]), are_codes(["2008-09", "2009-10"]), are_codes(["2008-09"])
    (True, True, False)
    """
    if len(texts) > 1 and all(_SEASON.fullmatch(t) for t in texts):
        return all((int(t[2:4]) + 1) % 100 == int(t[5:]) for t in texts)
    versions = [m for m in map(_VERSION.fullmatch, texts) if m]
    if len(versions) == len(texts) >= _FEWEST_VERSIONS:
        return all(len({m[i] for m in versions}) > 2 for i in (1, 2))
    if may_be_results(texts):
        return True
    found = [m for m in map(_FORMS["short month"].fullmatch, texts) if m]
    return len(found) == len(texts) > 1 and len({m["word"].lower() for m in found}) == 1


def may_be_results(texts: Sequence[str]) -> bool:
    """Whether texts such as 10-3-15 are as well won, drawn and lost as days of short years.

    Days are those of which one is above 12, or that rise or fall with the rows; all with one sum
    are none.

    Examples
    --------
    >>> may_be_results(["10-3-15", "8-5-12"]), may_be_results(["10-3-15", "8-25-12"])
    (True, False)
    """
    found = [m for m in map(_DASHED.fullmatch, texts) if m]
    if not texts or len(found) < len(texts):
        return False
    numbers = [[int(m[i]) for i in (1, 2, 3)] for m in found]
    if len(numbers) > 2 and len({*map(sum, numbers)}) == 1:
        return True
    steps = (_unevenness(f, o) for f in (found, found[::-1]) for o in ("dmy", "mdy"))
    ordered = len(found) >= _FEWEST_IN_ORDER and min(steps) < np.inf
    return max(max(n[:2]) for n in numbers) <= 12 and not ordered


def _date(text: str, order: str) -> dt.datetime | None:
    for form, pattern in _FORMS.items():
        match = pattern.fullmatch(text)
        if match:
            try:
                return _moment(match.groupdict(), form, order)
            except (KeyError, ValueError, OverflowError):
                continue  # no such month or day
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
    elif form == "week" and 1500 <= int(year) <= 2200:
        return dt.datetime.fromisocalendar(int(year), int(part["w"] or 1), int(day or 1))
    elif "word" in part:
        month = str(MONTHS[(part["word"] or "").lower()])
    year = year.strip("'")
    full = int(year) if len(year) == 4 else 1900 + int(year) + 100 * (int(year) < 70)
    if day is None and not 1500 <= full <= 2200:
        raise ValueError  # 1001-01 is a code
    moment = dt.datetime(full, int(month or 1), int(day or 1))
    seconds = 0 if part.get("H") is None else _seconds(part, hours=24)
    moment += dt.timedelta(seconds=seconds)
    return moment - dt.timedelta(hours=_hours_of(part.get("zone") or "Z"))


def _hours_of(zone: str) -> float:
    """How far a zone is before Greenwich: of +02:00, UTC-5 or CET."""
    if zone in ZONES:
        return ZONES[zone]
    sign, digits = zone.removeprefix("UTC").removeprefix("GMT")[0], re.sub(r"\D", "", zone)
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    away = int(hours) + int(minutes) / 60
    return -away if sign == "-" else away


def _seconds(part: dict[str, str | None], hours: int) -> float:
    hour, half = int(part["H"] or 0), (part.get("half") or "").lower()[:1]
    if hour >= (13 if half else hours) or int(part["M"] or 0) > 59 or int(part["S"] or 0) > 60:
        raise ValueError
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    fraction = float(f"0.{part.get('f') or 0}")
    return 3600.0 * hour + 60 * int(part["M"] or 0) + int(part["S"] or 0) + fraction


def month_letters(texts: Sequence[str]) -> str:
    """Which of m and M are months behind numbers, by what else stands in a column.

    Examples
    --------
    >>> month_letters(["1y 6m", "2y"]), month_letters(["2H 50M"]), month_letters(["5m", "1h", "1M"])
    ('mM', '', 'M')
    """
    plain = (text for text in map(western, texts) if text[:1] != "P")
    each = [{match[2] for match in _WORDS.finditer(text)} for text in plain]
    units = set[str]().union(*each)
    short = {u for u in units if SPANS.get(u.lower()) in (1.0, SPANS["h"])}
    long = any(SPANS.get(u.lower()) in (SPANS["w"], SPANS["y"]) for u in units)
    if "M" not in units:
        return "mM" if "m" in units and long and not short else "M"
    minutes = any("M" in found and found & short for found in each) or (short and not long)
    return "" if minutes and "m" not in units else "M"


def are_laps(texts: Sequence[str]) -> bool:
    """Whether times are of minutes and seconds, as 1:02.45 is; beside them 58.21 is seconds alone.

    Most have a fraction, and no number without minutes is a minute or more.

    Examples
    --------
    >>> are_laps(["16:38.3", "58.21", "2:05"]), are_laps(["16:38.3", "75.3"]), are_laps(["16:38"])
    (True, False, False)
    """
    laps = sum(_LAP.fullmatch(text) is not None for text in texts)
    if not laps:
        return False
    numbers = [text for text in texts if all_plain([text])]
    laps += sum("." in text for text in numbers)
    return 2 * laps >= len(texts) and all(map(_SECONDS.fullmatch, numbers))


def read_laps(texts: Sequence[str]) -> np.ndarray:
    """Read times of a column where `are_laps` holds as seconds.

    Examples
    --------
    >>> read_laps(["16:38.3", "58.21", "2:05", "DNF"])
    array([998.3 ,  58.21, 125.  ,    nan])
    """
    spans = read_spans([f"{t}.0" if _SHORT_LAP.fullmatch(t) else t for t in texts])
    return np.where(np.isnan(spans), read_numbers(texts, NumberStyle()), spans)


def read_spans(texts: Sequence[str], months: str = "M") -> np.ndarray:
    """Read times of day and durations as seconds.

    Parameters
    ----------
    months : str, default="M"
        What `month_letters` tells of the column.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for what is neither.

    Examples
    --------
    >>> read_spans(["12:34", "1 days 00:00:02.5", "1:00 PM", "2h 50m", "noon"])
    array([45240. , 86402.5, 46800. , 10200. ,     nan])
    """
    return np.array([_span(western(text), months) for text in texts], dtype=np.float64)


def _span(text: str, months: str) -> float:
    match = _SPAN.fullmatch(text)
    if match is None or not (match["days"] or match["H"]):
        return _other_span(text, months)
    try:
        seconds = _seconds(match.groupdict(), hours=10_000) if match["H"] else 0.0
    except ValueError:
        return np.nan
    return 86400.0 * int(match["days"] or 0) + (-seconds if match["sign"] else seconds)


def _other_span(text: str, months: str) -> float:
    """Seconds of 1:23.456, 6pm, PT2H50M, 2h 50m, 14h30, or 3 weeks and 2 days."""
    if lap := _LAP.fullmatch(text):
        return 60.0 * int(lap["M"]) + float(lap["S"])
    if hour := _HOUR.fullmatch(text):
        return 3600.0 * (int(hour["H"]) % 12 + 12 * (hour["half"] in "pP"))
    if iso := _ISO_SPAN.fullmatch(text):
        return sum(float(n or 0) * SPANS[name.lower()] for name, n in iso.groupdict().items())
    total, place, last = 0.0, 0, np.nan
    while match := _WORDS.match(text, place):
        last = SPANS.get("mo" if match[2] in tuple(months) else match[2].lower(), np.nan)
        total, place = total + float(match[1].replace(",", ".")) * last, match.end()
    if last == SPANS["h"] and re.fullmatch(r"[0-5]\d", text[place:]):
        return total + 60.0 * int(text[place:])
    return total if place == len(text) and place else np.nan
