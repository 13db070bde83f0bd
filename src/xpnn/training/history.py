"""Metrics of every epoch, in a form that thousands of calls of `partial_fit` can add to."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, overload

import numpy as np

_CHUNK = 256  # numbers that a copy copies at most


class Curve(Sequence[float]):
    """A metric of every epoch; a copy takes a time that does not depend on its length.

    Examples
    --------
    >>> curve = Curve([0.5])
    >>> longer = curve.copy()
    >>> longer.append(0.25)
    >>> list(curve), list(longer), longer[-1]
    ([0.5], [0.5, 0.25], 0.25)
    """

    __slots__ = ("_full", "_last")

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._full: tuple[tuple[float, ...], ...] = ()  # never changed, so that copies share it
        self._last: list[float] = []
        for value in values:
            self.append(value)

    def append(self, value: float) -> None:
        """Add the next epoch's."""
        if len(self._last) == _CHUNK:
            self._full, self._last = (*self._full, tuple(self._last)), []
        self._last.append(value)

    def amend(self, value: float) -> None:
        """Replace the last epoch's."""
        self._last[-1] = value

    def copy(self) -> "Curve":
        """A curve that goes on by itself."""
        new = Curve()
        new._full, new._last = self._full, self._last.copy()
        return new

    def __len__(self) -> int:
        return _CHUNK * len(self._full) + len(self._last)

    def __iter__(self) -> Iterator[float]:
        return chain(*self._full, self._last)

    @overload
    def __getitem__(self, index: int) -> float: ...

    @overload
    def __getitem__(self, index: slice) -> list[float]: ...

    def __getitem__(self, index: int | slice) -> float | list[float]:
        if isinstance(index, slice) or not -len(self._last) <= index < 0:
            return list(self)[index]
        return self._last[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve | list) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Curve({list(self)})"

    def __reduce__(self) -> Any:
        return Curve.unpacked, (len(self), self.packed())

    def packed(self) -> np.ndarray:
        """The numbers as an array: of a constant, such as a learning rate, a single one."""
        values = np.fromiter(self, np.float64, len(self))
        return values[:1] if (values == values[:1]).all() else values

    @classmethod
    def unpacked(cls, length: int, values: np.ndarray) -> "Curve":
        """The inverse of `packed`."""
        return cls(np.broadcast_to(values, length).tolist() if length else ())


History = dict[str, Curve]
"""Every metric of every epoch; NaN where it was not measured."""


def copied_history(history: History) -> History:
    """A history that goes on by itself."""
    return {name: curve.copy() for name, curve in history.items()}
