"""How a table is read: the options of every command that reads one, and the reading."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

import typer

from xpnn.cli import options as opt

if TYPE_CHECKING:
    from xpnn.tables.read import Table

_TOLD = 50_000_000  # bytes of a file whose reading takes seconds


class Reading(NamedTuple):
    """What a user has said of a table; in the order of `xpnn.tables.read.ReadOptions`."""

    sep: opt.Sep = None
    encoding: opt.Encoding = None
    decimal: opt.Decimal = None
    thousands: opt.Thousands = None
    na: opt.Na = None
    header: opt.Header = None
    sheet: opt.Sheet = None


UNSAID = Reading()
"""What the file itself says is right."""


def reads_tables(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Reading` in the place of its parameter ``how``."""
    hints = get_type_hints(Reading, include_extras=True)
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    options = [inspect.Parameter(k, keyword, default=None, annotation=h) for k, h in hints.items()]
    parameters = list[inspect.Parameter]()
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += options if parameter.name == "how" else [parameter]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        how = Reading(**{name: given.pop(name) for name in Reading._fields})
        command(**given, how=how)

    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def read_as_asked(
    source: str, how: Reading = UNSAID, *, quiet: bool = True, expected: Sequence[str] = ()
) -> "Table":
    """Read a table with options of the command line.

    Parameters
    ----------
    quiet : bool, default=True
        Whether to say nothing about a long reading.

    Examples
    --------
    >>> read_as_asked("iris").n_rows
    150
    """
    from xpnn.tables.columns import TableError
    from xpnn.tables.read import ReadOptions, read_table

    try:
        chosen = ReadOptions(**how._asdict() | {"na": tuple(how.na or ())})
    except TableError as error:
        raise opt.UsageError(str(error)) from error
    if not quiet and Path(source).is_file() and Path(source).stat().st_size > _TOLD:
        typer.echo(f"reading {source} ...", err=True)
    return read_table(source, chosen, expected=expected)
