"""A column of words in C."""

import math

import numpy as np

from xpnn.exchange.c99.source import Source
from xpnn.tables.kinds import Words
from xpnn.tables.values import GAPS


def add_words(source: Source, i: int, c: Words, value: str, at: int, other: int) -> list[str]:
    """Lines that read one: an input each, those that are left, how often, and gaps."""
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
