"""The options of the `xpnn` command that say how a table is read, the same for every command."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from xpnn.tables.read import Table

Sep = Annotated[str | None, typer.Option(help="Between values: a character, tab or space.")]
Encoding = Annotated[str | None, typer.Option(help="Of the text, such as cp1252.")]
Decimal = Annotated[str | None, typer.Option(help="Mark of decimals, . or ,")]
Thousands = Annotated[str | None, typer.Option(help="Mark of thousands: . , ' or space.")]
Na = Annotated[
    list[str] | None, typer.Option(help="A text that means missing; may be given again.")
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether line 1 names the columns.")
]
_TOLD = 50_000_000  # bytes of a file whose reading takes seconds


class UsageError(ValueError):
    """An option with a value that makes no sense, whatever the data."""


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
