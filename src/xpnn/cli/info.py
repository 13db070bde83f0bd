"""`xpnn info`."""

from pathlib import Path
from typing import Annotated

import typer

from xpnn.cli.errors import one_line_errors


def info(
    model: Annotated[Path, typer.Argument(help="A model file or checkpoint, or its folder.")],
) -> None:
    """Print what a model file or a checkpoint holds, by its header alone."""
    with one_line_errors():
        from xpnn.command.info import describe
        from xpnn.files.checkpoints import files_of
        from xpnn.files.model import IN_FOLDER

        if model.is_dir():
            checkpoints = files_of(model)
            inside = model / IN_FOLDER
            model = inside if inside.exists() or not checkpoints else checkpoints[-1]
        typer.echo(describe(model))
