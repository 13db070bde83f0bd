"""A table, read with the options of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from xpnn.cli.options import UsageError

if TYPE_CHECKING:
    from xpnn.tables.read import Table

_TOLD = 50_000_000  # bytes of a file whose reading takes seconds


def read_as_asked(
    source: str, options: tuple[Any, ...], *, quiet: bool = True, expected: Sequence[str] = ()
) -> "Table":
    """Read a table with options of the command line.

    Parameters
    ----------
    source : str
    options : tuple
        In the order of `xpnn.tables.read.ReadOptions`.
    quiet : bool, default=True
        Whether to say nothing about a long reading.
    expected : sequence of str
        Names known from training, the target's last.

    Returns
    -------
    Table

    Raises
    ------
    UsageError
        For options that cannot be.

    Examples
    --------
    >>> read_as_asked("iris", (None, None, None, None, None, None)).n_rows
    150
    """
    from xpnn.tables.columns import TableError
    from xpnn.tables.read import ReadOptions, read_table

    sep, encoding, decimal, thousands, na, header = options
    try:
        chosen = ReadOptions(sep, encoding, decimal, thousands, tuple(na or ()), header)
    except TableError as error:
        raise UsageError(str(error)) from error
    if not quiet and Path(source).is_file() and Path(source).stat().st_size > _TOLD:
        typer.echo(f"reading {source} ...", err=True)
    return read_table(source, chosen, expected=expected)
