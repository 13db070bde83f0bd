"""What prediction reads otherwise than training did: gaps, decimal marks, units and zones."""

from collections.abc import Iterator

import numpy as np

from xpnn._text import in_a_line
from xpnn.tables.columns import is_missing
from xpnn.tables.dates import have_zone, read_dates
from xpnn.tables.encoding import Column, Encoding
from xpnn.tables.frames import Frame
from xpnn.tables.numerals import all_plain, decimal_of
from xpnn.tables.values import different_texts, read_texts


def told_strays(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """What to say of texts that count as missing and training had not, and of how others are read.

    Examples
    --------
    >>> from xpnn.tables.encoding import fit_encoding
    >>> from xpnn.tables.frames import read_frame
    >>> encoding = fit_encoding(read_frame({"wait": ["1:30", "0:45", "2:10"]}))
    >>> list(told_strays(encoding, read_frame({"wait": [90.0]})))
    ["'wait': numbers are taken as seconds, and training had times or durations"]
    """
    for column in encoding.columns:
        given = frame.columns.get(column.name)
        if given is None or column.name in frame.parsed or column.kind == "words":
            continue
        typed = given.dtype.kind in "biufmM"
        texts, codes = ([], given) if typed else different_texts(given, column.name)
        if column.style.get("form") == "time" and _has_numbers(given, texts):
            had = "training had times or durations"
            yield f"{column.name!r}: numbers are taken as seconds, and {had}"
        if column.kind == "datetime" and (told := _of_zones(column, given, texts, frame)):
            yield told
        if typed:
            continue
        if column.style.get("strays"):
            new = np.flatnonzero(read_texts(texts, column.kind, column.style)[1])
            count = int(np.isin(codes, new).sum())
            if count:
                rows = "row has a text that is" if count == 1 else "rows have texts that are"
                what = "date" if column.kind == "datetime" else "number"
                what = f"no {what}" + "s" * (count > 1)
                shown = repr(in_a_line(texts[new[0]]))
                yield f"{column.name!r}: {count:,} {rows} {what} ({shown}), taken as missing"
        if column.kind == "numeric" and "form" not in column.style:
            trained = column.style.get("decimal", ".")
            mark = decimal_of(texts, trained, column.style.get("grouped", False))
            if mark != trained:
                yield f"{column.name!r}: numbers have the decimal mark {mark!r}, not {trained!r}"


def _has_numbers(given: np.ndarray, texts: list[str]) -> bool:
    """Whether a column for times has numbers, of which nobody has said the unit."""
    if given.dtype.kind in "biuf":
        return not np.isnan(given.astype(np.float64)).all()
    return any(all_plain([text]) for text in texts)


def _of_zones(column: Column, given: np.ndarray, texts: list[str], frame: Frame) -> str:
    """What to say where training had times with a zone and these have none, or the reverse."""
    trained, typed = column.style.get("zone"), given.dtype.kind == "M"
    here = (column.name in frame.zoned or None) if typed else have_zone(texts)
    if trained is False or here is trained:  # training had both, or it is alike
        return ""
    times = given if typed else read_dates(texts, column.style.get("order", "ymd"))
    if np.isnat(times).all():
        return ""
    which, had = ("without", "one") if trained else ("with", "none")
    return f"{column.name!r}: times {which} a zone are taken as UTC, and training's had {had}"


def told_empty(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """What to say of columns without any value in several rows, of which training had all."""
    for column in encoding.columns:
        given = frame.columns.get(column.name)
        if given is None or column.flag or len(given) < 2:
            continue
        if all(is_missing(value) or value == "" for value in given):
            yield f"{column.name!r}: all {len(given):,} values are missing, and training had all"
