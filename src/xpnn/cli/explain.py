"""`xpnn explain`."""

from pathlib import Path
from typing import Annotated

import typer

from xpnn.cli.errors import one_line_errors
from xpnn.cli.reading import UNSAID, Reading, read_as_asked, reads_tables
from xpnn.cli.shared import load_model


@reads_tables
def explain(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder that has it.")],
    file: Annotated[
        str | None, typer.Argument(help="A table with the target; default: the training rows.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Picture or table to write, as importance.png or importance.csv."
        ),
    ] = None,
    how: Reading = UNSAID,
) -> None:
    """Say what a model does with each column, and what each is worth: how much worse without it."""
    with one_line_errors():
        from xpnn.command import show
        from xpnn.command.explain import importance_of
        from xpnn.files.atomic import atomic_file
        from xpnn.plotting import plot_importance

        known = load_model(model)
        table = None
        if file is not None:
            table = read_as_asked(file, how, expected=known.expected)
        if file is None:
            typer.echo(f"{known.estimator.summary()}\n")
            if not hasattr(known.estimator, "importance_"):
                raise ValueError(
                    f"{model} has no importances: name a table with the target to compute them, as "
                    f"in xpnn explain {model} FILE."
                )
        known.estimator.verbose = True
        found = importance_of(known, table)
        typer.echo(show.importances(found))
        if out is not None:
            if out.suffix.lower() == ".csv":
                with atomic_file(out) as writing:
                    writing.write(show.importances_csv(found).encode())
            else:
                plot_importance(found, out)
            typer.echo(f"wrote   {out}")
