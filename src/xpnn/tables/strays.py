"""What prediction reads otherwise than training did: new texts for gaps, another decimal mark."""

from collections.abc import Iterator

import numpy as np

from xpnn._text import in_a_line
from xpnn.tables.columns import is_missing
from xpnn.tables.encoding import Encoding
from xpnn.tables.frames import Frame
from xpnn.tables.numerals import decimal_of
from xpnn.tables.values import different_texts, read_texts


def told_strays(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """What to say of texts that count as missing and training had not, and of decimal marks."""
    for column in encoding.columns:
        given = frame.columns.get(column.name)
        if given is None or column.name in frame.parsed or given.dtype.kind in "biufmM":
            continue
        if column.kind == "words":
            continue
        texts, codes = different_texts(given, column.name)
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


def told_empty(encoding: Encoding, frame: Frame) -> Iterator[str]:
    """What to say of columns without any value in several rows, of which training had all."""
    for column in encoding.columns:
        given = frame.columns.get(column.name)
        if given is None or column.flag or len(given) < 2:
            continue
        if all(is_missing(value) or value == "" for value in given):
            yield f"{column.name!r}: all {len(given):,} values are missing, and training had all"
