"""A bar on standard error while something long is read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

DELAY = 1.0
"""Seconds before there is anything to see."""


def reading_bar(total: int, unit: str, what: str) -> Any:
    """A bar of tqdm: on a terminal alone, and only of what takes more than a second.

    Parameters
    ----------
    unit : str
        What is counted, such as ``row``.
    what : str
        What is done, such as ``reading t.csv``.

    Returns
    -------
    tqdm.tqdm
        To be used in a `with` statement, and told of progress by `update`.

    Examples
    --------
    >>> with reading_bar(100, "row", "reading t.csv") as bar:
    ...     _ = bar.update(100)
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        unit=unit,
        unit_scale=True,
        desc=what,
        disable=None,  # unless it is a terminal
        delay=DELAY,
        leave=False,
    )


def counted(
    items: Iterable[Any], total: int, unit: str, what: str, size: Callable[[Any], int] = lambda _: 1
) -> Iterator[Any]:
    """The same items, with a `reading_bar` on which each is as much as `size` says.

    Examples
    --------
    >>> list(counted("ab", 2, "letter", "reading"))
    ['a', 'b']
    """
    with reading_bar(total, unit, what) as bar:
        for item in items:
            yield item
            bar.update(size(item))
