"""Columns of text, held compactly until their numbers or their words are asked for."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnn.tables.columns import objects

_PLAIN = re.compile(r"[-+0-9.eE\n]*", re.ASCII)


def plain_numbers(texts: Sequence[str]) -> np.ndarray | None:
    """Numbers in a programming language's own form, NaN for empty texts.

    Parameters
    ----------
    texts : sequence of str
        Without spaces around them.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        None where one of them is something else.

    Examples
    --------
    >>> plain_numbers(["1", "", "-2.5e3"])
    array([ 1.0e+00,      nan, -2.5e+03])
    >>> plain_numbers(["1", "1_000"]), plain_numbers(["inf"])
    (None, None)
    """
    return _numbers(texts) if _PLAIN.fullmatch("".join(texts)) else None


def _numbers(texts: Sequence[str]) -> np.ndarray | None:
    try:
        try:
            numbers = np.array(list(map(float, texts)), dtype=np.float64)
        except ValueError:
            known = [float(t) if t else math.nan for t in texts]
            numbers = np.array(known, dtype=np.float64)
    except ValueError:
        return None
    return None if np.isinf(numbers).any() else numbers


def _read_joined(texts: Sequence[str]) -> tuple[str, np.ndarray | None]:
    """Texts as lines, which are as compact as a file; and their numbers where all are some."""
    joined = "\n".join(texts)
    plain = _PLAIN.fullmatch(joined) and joined.count("\n") == len(texts) - 1
    return joined, _numbers(texts) if plain else None


class TextColumn:
    """A column as a file has it.

    Numbers in a programming language's own form are held as such, with their spelling in few
    bytes beside them; everything else as text.

    Examples
    --------
    >>> column = TextColumn()
    >>> column.append(["01", " 2 ", ""])
    >>> column.values(), column.text()
    (array([ 1.,  2., nan]), array(['01', '2', None], dtype=object))
    """

    def __init__(self) -> None:
        self._numbers: list[np.ndarray] | None = []
        self._spelling: list[str | list[str]] = []

    def append(self, texts: Sequence[str]) -> None:
        """Add rows."""
        joined, numbers = _read_joined(texts)
        if numbers is None:
            texts = [t.strip() for t in texts]
            joined, numbers = _read_joined(texts)
        if numbers is None:
            self._numbers = None
        elif self._numbers is not None:
            self._numbers.append(numbers)
        self._spelling.append(list(texts) if numbers is None else joined)

    def values(self) -> np.ndarray:
        """float64 where all values are plain numbers, else as `text`."""
        if self._numbers:
            numbers = np.concatenate(self._numbers)
            if not np.isnan(numbers).all():
                return numbers
        return self.text()

    def text(self) -> np.ndarray:
        """The values as written, None where empty."""
        pieces = (p.split("\n") if isinstance(p, str) else p for p in self._spelling)
        return objects([text or None for piece in pieces for text in piece])


class ArrowColumn:
    """A column of text in memory of Arrow; as `TextColumn`, and equal to it.

    Parameters
    ----------
    chunked : pyarrow.ChunkedArray of string

    Examples
    --------
    See `xpnn.tables.delimited.read_delimited`.
    """

    def __init__(self, chunked: Any) -> None:
        self._chunked = chunked

    def values(self) -> np.ndarray:
        """float64 where all values are plain numbers, else as `text`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._chunked
        try:
            numbers = pc.cast(pc.if_else(pc.equal(column, ""), None, column), pa.float64())
        except pa.ArrowInvalid:
            return self._slowly()
        values: np.ndarray = numbers.to_numpy()  # nulls become NaN
        if np.isfinite(values).sum() != len(values) - numbers.null_count or np.isnan(values).all():
            return self._slowly()
        return values

    def _slowly(self) -> np.ndarray:
        """Numbers that Arrow does not read, such as +5 or those with spaces around them."""
        text = self.text()
        numbers = plain_numbers([t or "" for t in text.tolist()])
        return text if numbers is None or np.isnan(numbers).all() else numbers

    def text(self) -> np.ndarray:
        """The values as written, None where empty."""
        if len(self._chunked) == 0:
            return objects([])
        coded = self._chunked.dictionary_encode().combine_chunks()
        if len(coded.dictionary) * 2 < len(coded):  # equal texts share one object
            words = objects([t.strip() or None for t in coded.dictionary.to_pylist()])
            text: np.ndarray = words[coded.indices.to_numpy()]
            return text
        return objects([t.strip() or None for t in self._chunked.to_pylist()])


Source = Callable[[], np.ndarray]
"""Gives a column's text when it is asked for."""
