"""`xpnn predict`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from xpnn.cli import options as opt
from xpnn.cli.errors import one_line_errors
from xpnn.cli.options import UsageError
from xpnn.cli.reading import UNSAID, Reading, read_as_asked, reads_tables
from xpnn.cli.shared import load_model


@reads_tables
def predict(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder that has it.")],
    file: Annotated[
        str, typer.Argument(help="A table like the one trained on, or a folder of such.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV or TSV file to write; default: standard output."),
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Each class's probability, too.")] = False,
    interval: Annotated[
        float | None,
        typer.Option(metavar="LEVEL", help="Bounds that hold with this probability, as 0.9."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column to write, too; may be given again."),
    ] = None,
    device: opt.Device = None,
    how: Reading = UNSAID,
) -> None:
    """Predict a table's target with a model file, as CSV.

    Where the table has the target too, scores go to standard error. The files of a folder, or of a
    pattern such as 'year=*/*.parquet', are predicted and written one after the other, in order of
    their names; the file of --out appears when all are in it.
    """
    with one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.command.predict import files_to_predict, predict_csv, with_folders
        from xpnn.files.atomic import atomic_file

        out = None if out == Path("-") else out
        mark = opt.mark_of(out)
        backend = get_backend(device)
        opt.within("--interval", interval, 0, 1, True)
        known = load_model(model)
        if proba and known.task == "regression":
            raise UsageError("--proba is for classification; this model is a regression.")
        if interval is not None and known.task == "classification":
            raise UsageError("--interval is for a TabularRegressor; this is a classification.")
        files = files_to_predict(file)
        known.estimator.set_params(device=backend.name).to_device(backend)
        told = list[str]()
        with nullcontext() if out is None else atomic_file(out) as writing:
            for i, path in enumerate(files):
                table = with_folders(read_as_asked(path, how, expected=known.expected), path)
                wanted: dict[str, Any] = {"interval": interval, "keep": keep or [], "mark": mark}
                text, lines = predict_csv(known, table, proba=proba, **wanted)
                text = text.partition("\n")[2] if i else text
                if writing is None:
                    typer.echo(text, nl=False)
                else:
                    writing.write(text.encode())
                told += lines if len(files) == 1 else [f"{path}: {line}" for line in lines]
        for line in told:
            typer.echo(line, err=True)
