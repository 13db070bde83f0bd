"""`xpnn export`."""

from pathlib import Path
from typing import Annotated

import typer

from xpnn.cli.errors import one_line_errors


def export(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder that has it.")],
    out: Annotated[Path, typer.Argument(help="File to write: NAME.onnx or NAME.c.")],
    name: Annotated[str, typer.Option(help="What the names in NAME.c begin with.")] = "xpnn",
) -> None:
    """Write a model for other programs and languages: as ONNX, or as one file of C.

    A table's preprocessing is inside.
    """
    with one_line_errors():
        from xpnn.command.export import write

        for line in write(model, out, name):
            typer.echo(line)
