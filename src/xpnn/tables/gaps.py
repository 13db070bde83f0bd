"""What stands for a missing value: words of every column, of numbers and times, and numbers."""

import re
from collections.abc import Sequence

import numpy as np

GAPS = frozenset((
    *("", "?", "na", "n/a", "n.a.", "n.a", "#n/a", "#n/a n/a", "#na", "nan", "-nan", "null"),
    *("(null)", "<null>", "<na>", "nat", "\\n", "#value!", "#div/0!", "#ref!", "#name?", "#num!"),
    *("#null!", "1.#qnan", "-1.#ind", "1.#ind"),
))  # fmt: skip
"""Lower case texts that count as missing in every column."""

NUMBER_GAPS = GAPS.union((
    *("none", "-", "--", "---", ".", "..", "...", "*", "**", "\u2013", "\u2014"),
    *("missing", "unknown", "unk", "undefined", "unspecified", "not available", "not known"),
    *("not applicable", "no data", "nodata", "nil", "void", "empty", "blank"),
    *("n/d", "n.d.", "k.a.", "k. a.", "keine angabe", "unbekannt", "inconnu", "desconocido", "tbd"),
    *("not reported", "not recorded", "no answer", "refused", "0000-00-00", "0000-00-00 00:00:00"),
    *("00/00/0000", "00.00.0000", "9999-12-31", "9999-12-31 00:00:00", "31.12.9999", "12/31/9999"),
    *("31/12/9999", "0001-01-01", "0001-01-01 00:00:00"),
    *("inf", "-inf", "+inf", "infinity", "-infinity", "+infinity", "\u221e", "-\u221e"),
))  # fmt: skip
"""Lower case texts that may be words, and count as missing among numbers and times."""

_SENTINEL = re.compile(r"-?9{2,}(\.9+|\.25)?|-?[78]{3,}|-?1e\+?3\d|-32768|-2147483648")
NO_DATES = (np.datetime64("0001-01-01"), np.datetime64("9999-12-31"))
"""Days that stand for none."""

FEW = 5
"""So many different strays among numbers at most are a column's own words, as Undisclosed."""

_MOST_STRAYS, _MANY_NUMBERS = 0.05, 50
_RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|\u2013|to)\s*(\d+(?:\.\d+)?)", re.ASCII)
_FILL = 1e20  # from here on: what rasters and climate models write where they have nothing


def sentinels(values: np.ndarray) -> list[float]:
    """Numbers such as -9999 and 888 that lie at an end of a column, far from all others.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        NaN for missing values.

    Returns
    -------
    list of float
        In rising order.

    Examples
    --------
    >>> sentinels(np.array([3.0, -888.0, 5.0, -999.0, 4.0]))
    [-999.0, -888.0]
    """
    different = np.unique(values[~np.isnan(values)])
    huge = int((np.abs(different) >= _FILL).sum()) == 1  # several are a quantity's own
    low, high = 0, len(different)
    while low < high and _looks_like_one(different[low], huge):
        low += 1
    while low < high and _looks_like_one(different[high - 1], huge):
        high -= 1
    rest, ends = different[low:high], (*different[:low], *different[high:])
    far = [float(value) for value in ends if len(rest) and _is_far(rest, value)]
    return [value for value in far if value < 0 or not _end_in_nines(rest)]


def _looks_like_one(value: float, huge: bool) -> bool:
    return (huge and abs(value) >= _FILL) or _SENTINEL.fullmatch(f"{value:.10g}") is not None


def _end_in_nines(rest: np.ndarray) -> bool:
    """Whether most numbers end in 9, as prices such as 19.99 and 249 do."""
    some = rest[:: max(1, len(rest) // 1000)]
    return 2 * sum(f"{value:.10g}".endswith("9") for value in some) > len(some)


def _is_far(rest: np.ndarray, value: float) -> bool:
    """Whether a number lies beyond twice the range of the others, or is the only negative one."""
    low, high = float(rest[0]), float(rest[-1])
    if abs(value) >= _FILL and abs(value) < 1e6 * max(-low, high):
        return False  # the greatest of many magnitudes
    alone = value <= -99 and low >= 0
    return alone or max(low - value, value - high) > 2 * (high - low) > 0


def few_strays(values: np.ndarray, texts: Sequence[str], counts: np.ndarray) -> bool:
    """Whether all but a few values were read. A stray with a digit, such as 12A, may be a class.

    Where more than 50 numbers differ, 1200 - 1500 within them is none, and one word may stand in
    up to half of the rows: that it is missing says the same. Several words there may have meanings.

    Parameters
    ----------
    values : ndarray of shape (n,)
        As read; NaN or NaT for strays.
    texts : sequence of str
        What was read, each once.
    counts : ndarray of int, shape (n,)
        In how many rows each stands.

    Examples
    --------
    >>> few_strays(np.array([1.0, np.nan]), ["1", "soon"], np.array([99, 1]))
    True
    >>> few_strays(np.array([1.0, np.nan]), ["1", "3+"], np.array([99, 1]))
    False
    """
    stray = np.isnan(values)
    known, rows = values[~stray], counts[stray]
    part = rows.sum() / max(1, counts.sum())
    if part < 0.005:
        return True
    many = len(known) > _MANY_NUMBERS
    odd = [texts[i] for i in np.flatnonzero(stray).tolist()]
    coded = np.array([re.search(r"\d", text) is not None for text in odd])
    if coded.any():
        coded &= np.array([not _is_range(text, known) for text in odd])
        return bool(many and part <= _MOST_STRAYS and rows[coded].sum() < 0.005 * counts.sum())
    one = many and rows.max() >= 0.9 * rows.sum()
    return bool(part <= (0.5 if one else _MOST_STRAYS) and (many or len(rows) <= FEW))


def _is_range(text: str, known: np.ndarray) -> bool:
    """Whether a text is two of a column's numbers in order: 2010-11 among years is none."""
    ends = _RANGE.fullmatch(text.replace(",", ""))
    if ends is None or known.dtype.kind != "f":
        return False
    return bool(known.min() <= float(ends[1]) < float(ends[2]) <= known.max())
