"""Numbers as people write them: currencies, percents, thousands, decimal commas, units.

All of it works on the different texts of a column, so that a long column costs little.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SIGNS = "$€£¥₹₽₩₺₪฿₫₴₦"
_CODES = (
    *("AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "INR", "JPY"),
    *("KRW", "MXN", "NOK", "NZD", "PLN", "RUB", "SEK", "SGD", "TRY", "USD", "ZAR", "Rs", "Rs."),
    *("R$", "US$", "A$", "C$", "kr", "kr.", "zł", "Fr.", "Kč", "Ft"),
)
_MONEY = "|".join(re.escape(c) for c in sorted((*_CODES, *_SIGNS), key=len, reverse=True))
_SPACES = " \u00a0\u202f\u2009"
_LETTERS = (
    "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff°µ²³/"
)
_NUMBER = re.compile(
    rf"(?P<open>\()?[{_SPACES}]*(?P<a>[-+\u2212\u2013])?[{_SPACES}]*"
    rf"(?P<pre>{_MONEY})?[{_SPACES}]*(?P<b>[-+\u2212\u2013])?[{_SPACES}]*"
    rf"(?P<core>[0-9](?:[0-9.,'\u2019{_SPACES}]*[0-9])?[.]?|[.,][0-9]+)(?P<exp>[eE][-+]?[0-9]+)?"
    rf"[{_SPACES}]*(?P<suf>%|‰|{_MONEY})?"
    rf"(?P<unit>(?<=[0-9{_SPACES}])[{_LETTERS}](?:[{_LETTERS}. ]{{0,18}}[{_LETTERS}.])?)?"
    rf"[{_SPACES}]*(?P<close>\))?",
    re.ASCII,
)
_PLAIN = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_THOUSANDS = {
    1e3: ("k", "kb", "thousand"),
    1e4: ("\u4e07", "\u842c"),
    1e5: ("lac", "lakh"),
    1e6: ("m", "mb", "mn", "mio", "million"),
    1e7: ("cr", "crore"),
    1e8: ("\u4ebf", "\u5104"),
    1e9: ("b", "gb", "bn", "g", "mrd", "billion"),
    1e12: ("t", "tb", "tn", "trillion"),
}
_MULTIPLES = {word: times for times, words in _THOUSANDS.items() for word in words}
_MARKS = str.maketrans("\u066b\u066c\uff0e\uff0c\uff05\u066a", ".,.,%%")
_TRUTH = {"true": 1.0, "false": 0.0}
_GROUPED = {  # digits in groups: 1,234,567 or India's 12,34,567; a group is never 0 alone
    mark: re.compile(
        rf"(?!0)[0-9]{{1,3}}(?:[{c}][0-9]{{3}})+"
        + (r"|(?!0)[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}" if mark == "," else "")
    )
    for mark, c in {",": ",", ".": ".", "'": "'\u2019", " ": _SPACES}.items()
}


@dataclass(frozen=True)
class NumberStyle:
    """How a column writes its numbers."""

    decimal: str = "."  # or ","
    marks: tuple[str, ...] = ()  # currencies and percent signs, and () around negative numbers
    unit: str = ""  # a word that stands behind every number, such as kg; empty for none
    grouped: bool = False  # whether a mark of thousands was seen
    multiples: bool = False  # whether K, M and their like mean thousands and millions


def find_style(texts: Sequence[str], decimal: str | None = None) -> NumberStyle:
    """Tell how numbers are written, from a column's different texts.

    Parameters
    ----------
    texts : sequence of str
        Words among them tell nothing.
    decimal : {".", ","}, default=None
        The decimal mark where it is known; None tells it by the texts.

    Examples
    --------
    >>> find_style(["€ 1.234,5", "€ 7"])
    NumberStyle(decimal=',', marks=('€',), unit='', grouped=True, multiples=False)
    """
    if decimal != "," and all_plain(texts):
        return NumberStyle()  # as below, in a fifth of the time
    parts = [m for m in map(_NUMBER.fullmatch, map(western, texts)) if m]
    marks = sorted({m[k] for m in parts for k in ("pre", "suf") if m[k]})
    money = any(mark not in ("%", "‰") for mark in marks)
    marks += ["()"] if any(m["open"] for m in parts) else []
    units = [m["unit"] or "" for m in parts]
    multiples = _are_multiples(set(units))
    unit = _bytes(units) if multiples else _common_unit(units)
    cores = [m["core"] for m in parts if not m["exp"]]
    cores += [m["core"] + "0" * 4 for m in parts if m["exp"]]  # 1,234e5 has no thousands
    decimal = decimal or _decimal_mark(cores, money)
    wholes = [c.partition(decimal)[0] for c in cores if _digits(c, decimal)]
    grouped = any(whole and not whole.isdigit() for whole in wholes)
    return NumberStyle(decimal, tuple(marks), unit, grouped, multiples)


def told_style(style: NumberStyle) -> list[str]:
    """A note on how numbers are written, where that is not a programming language's way.

    Examples
    --------
    >>> told_style(NumberStyle(marks=("$",), grouped=True))
    ["numbers written with '$' and thousands separators"]
    """
    marks = [repr(m) for m in (*style.marks, style.unit) if m]
    how = [f"{', '.join(marks)}"] if marks else []
    how += ["a decimal comma"] if style.decimal == "," else []
    how += ["thousands separators"] if style.grouped else []
    how += ["K, M or the like for thousands and millions"] if style.multiples else []
    return [f"numbers written with {' and '.join(how)}"] if how else []


def decimal_of(texts: Sequence[str], trained: str = ".", grouped: bool = False) -> str:
    """The decimal mark of a column in prediction: that of training, if no number says otherwise.

    Parameters
    ----------
    trained : {".", ","}
    grouped : bool
        Whether training had a mark of thousands, so that the other mark may be that.

    Examples
    --------
    >>> decimal_of(["2,041", "0,418"]), decimal_of(["2,041"]), decimal_of(["2,041", "0.4", "0,418"])
    (',', '.', '.')
    """
    other = "," if trained == "." else "."
    if grouped or not any(other in text for text in texts):
        return trained
    parts = [m for m in map(_NUMBER.fullmatch, map(western, texts)) if m]
    votes = {_vote(m["core"]) for m in parts if not m["exp"]}
    return other if other in votes and trained not in votes else trained


def western(text: str) -> str:
    """Digits of any script, and their marks, as those of ASCII; a half behind a number as .5.

    Examples
    --------
    >>> western("\u0661\u0662\u066b\u0665"), western("3\u00bd")
    ('12.5', '3.5')
    """
    if text.isascii():
        return text
    plain = "".join(str(unicodedata.decimal(c, c)) for c in text).translate(_MARKS)
    if plain[-1] in "¼½¾" and (plain[:-1].isdecimal() or len(plain) == 1):
        return plain[:-1] + f"{unicodedata.numeric(plain[-1])}".lstrip("0")
    return plain


def _bytes(units: Sequence[str]) -> str:
    """The unit beside KB, MB and GB, of which a B is one, and no billion."""
    return "B" if any(_singular(u).lower() in ("kb", "mb", "gb", "tb") for u in units) else ""


def _common_unit(units: Sequence[str]) -> str:
    """The unit of most numbers, as it is written first: 3 years, 1 year, and 2."""
    counts = Counter(map(_singular, units))
    bare = counts.pop("", 0)
    if not counts:
        return ""
    unit, count = counts.most_common(1)[0]
    first = next(u for u in units if _singular(u) == unit)
    known = 2 * count >= len(units) and (not bare or len(unit) > 1)  # 12A beside 13 is a house
    return first if known else ""


def _singular(unit: str) -> str:
    """A unit without its plural, its point and its capitals, where these say nothing more."""
    plain = unit.strip(" .")
    if len(plain) < 2 or (len(plain) == 2 and plain[0] in "mM"):  # mW and MW
        return plain
    plain = plain.lower()
    return plain[:-1] if plain.endswith("s") and len(plain) > 2 else plain


def _are_multiples(units: set[str]) -> bool:
    """Whether words behind numbers are thousands and millions: several of them, or some K.

    12 m beside 13 may be metres, and 12B beside 13 a building.
    """
    if len(units) < 2 or not {_singular(u).lower() for u in units - {""}} <= set(_MULTIPLES):
        return False
    return len(units - {""}) > 1 or bool(units & {"k", "K", "M", "bn", "Bn", "mn", "Mio", "Mrd"})


def _decimal_mark(cores: Sequence[str], money: bool) -> str:
    """Count what can only be a decimal comma or a decimal point; English where nothing tells.

    Amounts of money such as 1.234 and 15.300 have no three decimals: those points group.
    """
    votes: Counter[str] = Counter(filter(None, map(_vote, cores)))
    if not votes:
        if any("," in core for core in cores):
            # 12,345 beside 12345: who groups thousands groups all but by a slip, so that comma is a
            # decimal's.
            plain = sum(core.isdigit() and len(core) > 3 for core in cores)
            return "," if 20 * plain > sum("," in core for core in cores) else "."
        pointed = ["." in core for core in cores]
        return "," if money and len(cores) > 2 and sum(pointed) * 2 > len(cores) else "."
    return "," if votes[","] > votes["."] else "."


def _vote(core: str) -> str | None:
    """The decimal mark that a number must have, None where it may have either."""
    comma, point = core.count(","), core.count(".")
    if comma and point:
        return "," if core.rindex(",") > core.rindex(".") else "."
    if comma > 1 or point > 1:
        return "." if comma else ","
    if comma or point:
        mark = "," if comma else "."
        return None if _GROUPED[mark].fullmatch(core) else mark
    return None


def read_numbers(texts: Sequence[str], style: NumberStyle) -> np.ndarray:
    """Read numbers in a style; what is unmistakable in another style is read too.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for what is no number.

    Examples
    --------
    >>> read_numbers(["1.234,5", "(7)", "a"], NumberStyle(decimal=","))
    array([1234.5,   -7. ,    nan])
    """
    return np.array([_read(text, style) for text in texts], dtype=np.float64)


def _read(text: str, style: NumberStyle) -> float:
    if style.decimal == "." and _PLAIN.fullmatch(text):
        return _finite(text)
    match = _NUMBER.fullmatch(western(text))
    if match is None:
        return _TRUTH.get(text.lower(), math.nan)
    unit, times = match["unit"] or style.unit, 1.0
    if style.multiples and unit:
        word = _singular(unit).lower()
        unit, times = (
            style.unit,
            1.0 if word == style.unit.lower() else _MULTIPLES.get(word, math.nan),
        )
    if _singular(unit) != _singular(style.unit) or bool(match["open"]) != bool(match["close"]):
        return math.nan
    if (match["a"] and match["b"]) or (match["pre"] and match["suf"] not in (None, "%")):
        return math.nan
    core, comma = match["core"], bool(match["exp"]) and "," in match["core"]
    digits = _digits(core, "," if comma else style.decimal)
    if digits is None:
        digits = _digits(match["core"], "," if style.decimal == "." else ".")
    if digits is None:
        return math.nan
    value = times * _finite(digits + (match["exp"] or ""))
    sign = match["a"] or match["b"] or "+"
    return -value if bool(match["open"]) != (sign != "+") else value


def _digits(core: str, decimal: str) -> str | None:
    """The number with a decimal point alone, or None where its groups are not of three."""
    whole, mark, part = core.rpartition(decimal) if decimal in core else (core, "", "")
    if part and not part.isdigit():
        return None
    if whole and not whole.isdigit():
        grouped = (g for m, g in _GROUPED.items() if m != decimal)
        if not any(g.fullmatch(whole) for g in grouped):
            return None
        whole = re.sub(r"[^0-9]", "", whole)
    return f"{whole}.{part}" if mark else whole


def _finite(digits: str) -> float:
    value = float(digits)
    return value if math.isfinite(value) else math.nan


def all_plain(texts: Sequence[str]) -> bool:
    """Whether each text is a number in a programming language's own form, or empty.

    Examples
    --------
    >>> all_plain(["1", "-2.5e3", ""]), all_plain(["1_000"]), all_plain(["inf"])
    (True, False, False)
    """
    return all(not t or _PLAIN.fullmatch(t) for t in texts)
