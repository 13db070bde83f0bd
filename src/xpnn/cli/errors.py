"""Errors of the command: one line, and an exit status."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from xpnn.cli.options import UsageError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Exit with 2 for a wrong option, with 1 for wrong data; the message is one line."""
    from xpnn.arrays.backend import DeviceError
    from xpnn.distributed.communicator import RemoteError
    from xpnn.distributed.mpi import leave

    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has gone; typer ends quietly
    except (ValueError, ImportError, OSError, MemoryError, RemoteError) as error:
        text = str(error) or "There is not enough memory; take smaller --hidden or fewer rows."
        if isinstance(error, UnicodeEncodeError):
            text = (
                f"standard output is in {sys.stdout.encoding}, which has no "
                f"{error.object[error.start : error.end][:5]!r}; set PYTHONIOENCODING=utf-8, or "
                "write a file with --out."
            )
        if isinstance(error, OSError) and error.filename is not None:
            text = f"{error.filename}: {error.strerror}"
        typer.echo(f"xpnn: error: {' '.join(text.split())}", err=True)
        leave(error)
        raise typer.Exit(2 if isinstance(error, UsageError | DeviceError) else 1) from error
