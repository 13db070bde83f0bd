"""`xpnn compare`."""

from typing import Annotated

import typer

from xpnn.cli import options as opt
from xpnn.cli.errors import one_line_errors
from xpnn.cli.reading import UNSAID, Reading, read_as_asked, reads_tables
from xpnn.cli.shared import about, parameters


@reads_tables
def compare(
    source: opt.OneTable,
    target: opt.OneTarget = None,
    task: opt.Task = None,
    drop: opt.Drop = None,
    device: opt.Device = None,
    folds: Annotated[
        int, typer.Option(min=2, metavar="N", help="Parts of the cross-validation.")
    ] = 5,
    time_limit: opt.TimeLimit = None,
    seed: opt.Seed = 0,
    how: Reading = UNSAID,
) -> None:
    """Cross-validate ours beside scikit-learn's models, and boosting where it is installed."""
    with one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.command import show
        from xpnn.command.compare import Results, best_first
        from xpnn.command.compare import compare as compared
        from xpnn.tables.problem import make_problem

        if target is not None and len(target) > 1:
            raise opt.UsageError("compare takes one --target: ask for each in turn.")
        if task is not None:
            opt.one_of("--task", task, ("classification", "regression"))
        params = parameters(None, None, "auto", None, time_limit, seed, "float32")
        params["device"] = get_backend(device).name
        table = read_as_asked(source, how, quiet=False)
        problem = make_problem(table, target, task, drop or [])
        for line in about(source, table.n_rows, problem):
            typer.echo(line)
        results: Results = {}
        try:
            for name, scores, seconds in compared(problem, params, folds, seed):
                results[name] = scores, seconds
                typer.echo(f"done    {name}, {seconds:.1f} s", err=True)
        finally:  # after Ctrl-C, those that were done
            if results:
                typer.echo(f"\n{show.comparison(best_first(problem.target.task, results))}")
