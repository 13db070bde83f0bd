"""A bar on standard error while something long is read."""

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
