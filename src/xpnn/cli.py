"""The `xpnn` command: train on a table, predict, explain, compare, list devices.

Nothing heavy is imported before a command needs it. Errors are one line on standard error: exit
status 2 for a wrong option, 1 for wrong data, 130 for Ctrl-C.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpnn._version import __version__
from xpnn.command import options as opt
from xpnn.command.options import UsageError
from xpnn.command.reading import read_as_asked

if TYPE_CHECKING:
    from xpnn.tables.problem import Problem
    from xpnn.tables.read import Table

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line."""
    warnings.formatwarning = lambda message, *_, **__: f"xpnn: warning: {message}\n"
    app(prog_name="xpnn")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    from xpnn.arrays.backend import DeviceError

    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has gone; typer ends quietly
    except (ValueError, ImportError, OSError, MemoryError) as error:
        text = str(error) or "There is not enough memory; take smaller --hidden or fewer rows."
        if isinstance(error, OSError) and error.filename is not None:
            text = f"{error.filename}: {error.strerror}"
        typer.echo(f"xpnn: error: {' '.join(text.split())}", err=True)
        raise typer.Exit(2 if isinstance(error, UsageError | DeviceError) else 1) from error


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"xpnn {__version__}")
        raise typer.Exit


@app.callback()
def _xpnn(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Perceptrons and multi-layer perceptrons on any array library."""


@app.command()
def train(
    source: opt.Source,
    target: opt.Target = None,
    task: opt.Task = None,
    drop: opt.Drop = None,
    device: opt.Device = None,
    hidden: opt.Hidden = None,
    members: opt.Members = None,
    embedding: opt.Embedding = "auto",
    loss: opt.Loss = None,
    class_weight: opt.ClassWeight = "none",
    epochs: opt.Epochs = None,
    time_limit: opt.TimeLimit = None,
    seed: opt.Seed = 0,
    dtype: opt.DType = "float32",
    test_size: opt.TestSize = 0.2,
    test: opt.TestFile = None,
    group: opt.GroupColumn = None,
    time: opt.TimeColumn = None,
    refit: opt.Refit = False,
    out: opt.Out = None,
    sep: opt.Sep = None,
    encoding: opt.Encoding = None,
    decimal: opt.Decimal = None,
    thousands: opt.Thousands = None,
    na: opt.Na = None,
    header: opt.Header = None,
    quiet: opt.Quiet = False,
) -> None:
    """Train networks on a table; leave a model file, its history and a learning curve."""
    with _one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.command import show
        from xpnn.command import train as run
        from xpnn.tables.problem import make_problem
        from xpnn.training.callbacks import ProgressBar

        say: Callable[[str], None] = (lambda _: None) if quiet else typer.echo
        given = dict(locals())
        opt.within("--test-size", test_size, 0, 0.9, True)
        if task is not None:
            opt.one_of("--task", task, ("classification", "regression"))
        params = _parameters(hidden, members, embedding, epochs, time_limit, seed, dtype)
        backend = get_backend(device)
        params["device"] = backend.name
        how = (sep, encoding, decimal, thousands, na, header)
        table = read_as_asked(source, how, quiet=quiet)
        problem = make_problem(table, target, task, drop or [])
        params |= _of_task(problem.target.task, loss, class_weight)
        rows, other = _split(table, problem, test_size, test, group, time, how)
        lines = [f"device  {backend.name}, {dtype}", *_about(source, table.n_rows, problem)]
        folder = out or run.folder_for(table.name, source)
        folder.mkdir(parents=True, exist_ok=True)
        if not quiet:
            params["callbacks"] = [_Header(lines), ProgressBar()]
        estimator, report = run.train_on(problem, params, *rows, other=other, refit=refit)
        say(f"\n{show.result(report)}\n")
        known = {k: v for k, v in given.items() if isinstance(v, str | int | float | list)}
        about = {**known, "device": backend.name, "path": run.place_of(source)}
        run.write_results(folder, estimator, report, problem.notices, about)
        say(f"wrote   {folder / run.MODEL}\nwrote   {folder / run.HISTORY}")
        say(_draw(folder / run.PICTURE, estimator, table.name))
        if estimator.outcome_ == "interrupted":
            raise typer.Exit(130)  # a shell's exit status after Ctrl-C


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder that has it.")],
    file: Annotated[str, typer.Argument(help="A table like the one trained on.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; default: standard output.")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Each class's probability, too.")] = False,
    interval: Annotated[
        float | None, typer.Option(help="Bounds that hold with this probability, as 0.9.")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Column to write, too; may be given again.")
    ] = None,
    device: opt.Device = None,
    sep: opt.Sep = None,
    encoding: opt.Encoding = None,
    decimal: opt.Decimal = None,
    thousands: opt.Thousands = None,
    na: opt.Na = None,
    header: opt.Header = None,
) -> None:
    """Predict a table's target with a model file, as CSV.

    Where the table has the target too, scores go to standard error.
    """
    with _one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.command.predict import predict_csv
        from xpnn.files.atomic import write_atomic

        backend = get_backend(device)
        opt.within("--interval", interval, 0, 1, True)
        known = _load(model)
        if proba and known.task == "regression":
            raise UsageError("--proba is for classification; this model is a regression.")
        if proba and not hasattr(known.estimator, "predict_proba"):
            raise UsageError("--proba needs probabilities, and this model was trained on margins.")
        if interval is not None and not hasattr(known.estimator, "predict_interval"):
            what = "a classification" if known.task == "classification" else "of an older kind"
            raise UsageError(f"--interval is for a TabularRegressor; this model is {what}.")
        how = (sep, encoding, decimal, thousands, na, header)
        table = read_as_asked(file, how, expected=known.expected)
        known.estimator.set_params(device=backend.name).to_device(backend)
        text, told = predict_csv(known, table, proba=proba, interval=interval, keep=keep or [])
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_atomic(out, text.encode())
        for line in told:
            typer.echo(line, err=True)


@app.command()
def explain(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder that has it.")],
    file: Annotated[
        str | None, typer.Argument(help="A table with the target; default: the training rows.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Picture to draw, as importance.png.")] = None,
    sep: opt.Sep = None,
    encoding: opt.Encoding = None,
    decimal: opt.Decimal = None,
    thousands: opt.Thousands = None,
    na: opt.Na = None,
    header: opt.Header = None,
) -> None:
    """Say what a model does with each column, and what each is worth: how much worse without it."""
    with _one_line_errors():
        from xpnn.command import show
        from xpnn.command.explain import importance_of
        from xpnn.plotting import plot_importance

        known = _load(model)
        if not hasattr(known.estimator, "feature_importance"):
            raise ValueError(f"{model} is of a kind that has no importances; train it anew.")
        table = None
        if file is not None:
            how = (sep, encoding, decimal, thousands, na, header)
            table = read_as_asked(file, how, expected=known.expected)
        found = importance_of(known, table)
        if file is None:
            typer.echo(f"{known.estimator.summary()}\n")
        typer.echo(show.importances(found))
        if out is not None:
            plot_importance(found, out)
            typer.echo(f"wrote   {out}")


@app.command()
def compare(
    source: opt.Source,
    target: opt.Target = None,
    task: opt.Task = None,
    drop: opt.Drop = None,
    device: opt.Device = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the cross-validation.")] = 5,
    time_limit: opt.TimeLimit = None,
    seed: opt.Seed = 0,
    sep: opt.Sep = None,
    encoding: opt.Encoding = None,
    decimal: opt.Decimal = None,
    thousands: opt.Thousands = None,
    na: opt.Na = None,
    header: opt.Header = None,
) -> None:
    """Cross-validate ours beside scikit-learn's models, and boosting where it is installed."""
    with _one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.command import show
        from xpnn.command.compare import best_first
        from xpnn.command.compare import compare as compared
        from xpnn.tables.problem import make_problem

        if task is not None:
            opt.one_of("--task", task, ("classification", "regression"))
        params = _parameters(None, None, "auto", None, time_limit, seed, "float32")
        params["device"] = get_backend(device).name
        table = read_as_asked(source, (sep, encoding, decimal, thousands, na, header), quiet=False)
        problem = make_problem(table, target, task, drop or [])
        for line in _about(source, table.n_rows, problem):
            typer.echo(line)
        results = {}
        for name, scores, seconds in compared(problem, params, folds, seed):
            results[name] = scores, seconds
            typer.echo(f"done    {name}, {seconds:.1f} s", err=True)
        typer.echo(f"\n{show.comparison(best_first(problem.target.task, results))}")


@app.command()
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List array libraries and their devices; which are usable, and why not."""
    with _one_line_errors():
        from dataclasses import asdict

        from xpnn.arrays import backend as backends
        from xpnn.command import show
        from xpnn.steps import compiled

        found = backends.devices()
        if as_json:
            steps = {"numpy": {"steps": compiled.state()}}
            rows = [asdict(d) | steps.get(d.spec, {}) for d in found]
            typer.echo(json.dumps(rows, indent=2))
            return
        table = [("device", "library", "version", "usable", "what, or why not")]
        for d in found:
            version, usable = d.version or "-", "yes" if d.usable else "no"
            table.append((d.spec, d.library, version, usable, d.device if d.usable else d.reason))
        typer.echo(show.table(table, ruled=True))
        typer.echo(f"\nsteps on numpy: {compiled.state()}")


def _parameters(
    hidden: str | None,
    members: int | None,
    embedding: str,
    epochs: int | None,
    time_limit: float | None,
    seed: int,
    dtype: str,
) -> dict[str, Any]:
    """An estimator's parameters from options of both tasks."""
    kind = opt.known("embedding", embedding, opt.MODELS)
    return {
        "hidden": opt.sizes(hidden),
        "n_members": members,
        "embedding": None if kind == "none" else kind,
        "epochs": epochs,
        "time_limit": opt.within("--time-limit", time_limit, 0, math.inf, True),
        "random_state": seed,
        "dtype": opt.one_of("--dtype", dtype, ("float32", "float64")),
    }


def _of_task(task: str, loss: str | None, class_weight: str) -> dict[str, Any]:
    """Those of one task; for the other they are told."""
    from xpnn.tabular.regressor import LOSSES

    opt.one_of("--class-weight", class_weight, opt.CLASS_WEIGHTS)
    if task == "classification":
        if loss is not None:
            raise UsageError(f"--loss {loss} is for a regression; the target holds classes.")
        return {"class_weight": None if class_weight == "none" else class_weight}
    if class_weight != "none":
        raise UsageError("--class-weight is for classes; the target holds numbers.")
    return {} if loss is None else {"loss": opt.known("loss", loss, LOSSES)}


def _split(
    table: "Table",
    problem: "Problem",
    test_size: float,
    test: str | None,
    group: str | None,
    time: str | None,
    how: tuple[Any, ...],
) -> tuple[Any, "Problem | None"]:
    """Training and test rows, and the problem of the latter if it is another table's."""
    from xpnn.command import splits

    if sum(v is not None for v in (test, group, time)) > 1:
        raise UsageError("--test, --group and --time each say which rows are tested: give one.")
    if test is not None:
        return splits.split_by_file(problem, read_as_asked(test, how, expected=[*problem.columns]))
    if group is not None or time is not None:
        column = splits.column_of(table, problem, str(group or time))
        by = splits.split_by_groups if group is not None else splits.split_by_time
        return by(column, test_size), None
    return splits.split_evenly(problem.y, problem.target.task, test_size), None


def _load(model: Path) -> Any:
    from xpnn.command.predict import model_of
    from xpnn.command.train import MODEL
    from xpnn.estimators import load

    return model_of(load(model / MODEL if model.is_dir() else model), str(model))


def _about(source: str, n_rows: int, problem: "Problem") -> Iterator[str]:
    """Lines that say what is learnt."""
    what = problem.target.task
    if what == "classification":
        what += f" into {len(set(problem.y.tolist()))} classes"
    n = len(problem.parsed)
    columns = f"{n_rows:,} rows, {n} {'column' if n == 1 else 'columns'}"
    yield f"data    {source}: {columns}; {what}, target {problem.target.name!r}"
    yield from (f"note    {notice}" for notice in problem.notices)


class _Header:
    """Prints lines when training begins: an error of the data or the options comes alone."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = lines

    def on_begin(self, epochs: int) -> None:
        for line in self.lines:
            typer.echo(line)
        self.lines = ()

    def __call__(self, end: object) -> None:
        """Nothing after an epoch."""


def _draw(path: Path, estimator: Any, name: str) -> str:
    from xpnn.plotting import plot_history

    points = {epoch: score for epoch, (score, _) in estimator.valleys_.items()}
    try:
        plot_history(estimator.history_, path, title=name, held_out=points)
    except (ImportError, ValueError) as error:  # no epoch was finished
        return f"note    no {path.name}. {error}"
    return f"wrote   {path}"


if __name__ == "__main__":
    main()
