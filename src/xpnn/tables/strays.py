"""What prediction reads otherwise than training did: new texts for gaps, another decimal mark."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xpnn._text import in_a_line
from xpnn.tables.columns import is_missing, objects
from xpnn.tables.encoding import Encoding
from xpnn.tables.frames import Frame
from xpnn.tables.gaps import NUMBER_GAPS
from xpnn.tables.numerals import decimal_of
from xpnn.tables.values import different_texts, parse_as


def new_strays(
    column: np.ndarray, kind: str, style: Mapping[str, Any], name: str
) -> tuple[int, str]:
    """In how many rows `parse_as` takes a text for a gap that training had not; and one of them.

    Parameters
    ----------
    column, kind, style, name
        As `xpnn.tables.values.parse_as` takes them.

    Examples
    --------
    >>> style = {"gaps": ["a", "b", "c", "d", "e", "f"], "strays": True}
    >>> new_strays(objects(["1", "soon", "a", "2", "3"]), "numeric", style, "size")
    (1, 'soon')
    """
    if not style.get("strays") or column.dtype.kind in "biufmM":
        return 0, ""
    texts, codes = different_texts(column, name)
    gaps = NUMBER_GAPS | {gap.lower() for gap in style.get("gaps", ())}
    plain = {key: value for key, value in style.items() if key != "sentinels"}
    unread = np.isnan(parse_as(objects(texts), kind, plain, name))
    new = [i for i in np.flatnonzero(unread).tolist() if texts[i].lower() not in gaps]
    return int(np.isin(codes, new).sum()), texts[new[0]] if new else ""


def told_strays(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """What to say of each column that has such texts, or another decimal mark than in training."""
    for column in encoding.columns:
        given = frame.columns.get(column.name)
        if given is None or column.name in frame.parsed or given.dtype.kind in "biufmM":
            continue
        count, text = new_strays(given, column.kind, column.style, column.name)
        if count:
            rows = "row has a text that is" if count == 1 else "rows have texts that are"
            what = "date" if column.kind == "datetime" else "number"
            what = f"no {what}" + "s" * (count > 1)
            shown = repr(in_a_line(text))
            yield f"{column.name!r}: {count:,} {rows} {what} ({shown}), taken as missing"
        if column.kind == "numeric" and "form" not in column.style:
            trained = column.style.get("decimal", ".")
            texts, _ = different_texts(given, column.name)
            mark = decimal_of(texts, trained, column.style.get("grouped", False))
            if mark != trained:
                yield f"{column.name!r}: numbers have the decimal mark {mark!r}, not {trained!r}"


def told_empty(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """What to say of columns without any value in several rows, of which training had all."""
    for column in encoding.columns:
        given = frame.columns.get(column.name)
        if given is None or column.flag or len(given) < 2:
            continue
        if all(is_missing(value) or value == "" for value in given):
            yield f"{column.name!r}: all {len(given):,} values are missing, and training had all"
