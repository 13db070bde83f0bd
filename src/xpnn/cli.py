"""The `xpnn` command: train on a table, predict with a model file, list devices.

Nothing heavy is imported before a command needs it, so that `xpnn --help` is quick. Errors are
one line on standard error: exit status 2 for a wrong option, 1 for wrong data.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpnn._version import __version__
from xpnn.cli_reading import (
    Decimal,
    Encoding,
    Header,
    Na,
    Sep,
    Thousands,
    UsageError,
    read_as_asked,
)

if TYPE_CHECKING:
    from xpnn.run import Report
    from xpnn.tables.problem import Problem

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
    except (ValueError, ImportError, OSError) as error:
        text = str(error)
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
    source: Annotated[
        str,
        typer.Argument(
            help="digits, iris, wine, breast_cancer, diabetes; a file of text, Parquet or Excel; -."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            help="Column to predict; default: target, label, class or y, else the last one."
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; default: told by the target.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; may be given again.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="See `xpnn devices`; default: XPNN_DEVICE, else the best.")
    ] = None,
    hidden: Annotated[
        str, typer.Option(help="Neurons in each hidden layer; `none` for no hidden layer.")
    ] = "256,128",
    activation: Annotated[str, typer.Option(help="Of the hidden layers.")] = "relu",
    loss: Annotated[
        str, typer.Option(help="auto: log_loss for classes, squared_error for numbers.")
    ] = "auto",
    dropout: Annotated[
        float | None, typer.Option(help="Part of hidden units; default: 0.3, regression 0.1.")
    ] = None,
    input_dropout: Annotated[
        float | None, typer.Option(help="Part of the inputs; default: 0.1, regression 0.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="L2 penalty; default: 0.0001, regression 1.")
    ] = None,
    keep_best: Annotated[
        bool, typer.Option("--keep-best", help="Keep the best validation epoch, not the last.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Default: about 1600 steps, 40 to 200 epochs.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Default: a hundredth of the rows, 32 to 1024.")
    ] = None,
    learning_rate: Annotated[
        float, typer.Option(help="Adam's; it falls to 0 along a cosine.")
    ] = 0.001,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Of weights, shuffles and dropout; the split stays."
        ),
    ] = 0,
    test_size: Annotated[float, typer.Option(help="Part of the rows kept for the test.")] = 0.2,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; default: xpnn-out/SOURCE.")
    ] = None,
    sep: Sep = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    na: Na = None,
    header: Header = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Train a network on a table; leave a model file, its history and a learning curve."""
    with _one_line_errors():
        from xpnn import run
        from xpnn.arrays.backend import get_backend
        from xpnn.parts.activations import ACTIVATIONS
        from xpnn.parts.losses import REGRESSION_LOSSES
        from xpnn.tables.problem import make_problem
        from xpnn.training.callbacks import ProgressBar

        say: Callable[[str], None] = (lambda _: None) if quiet else typer.echo
        params = {
            "hidden_layer_sizes": _sizes(hidden),
            "activation": _known("activation", activation, ACTIVATIONS),
            "dropout": _within("--dropout", dropout, 0, 1),
            "input_dropout": _within("--input-dropout", input_dropout, 0, 1),
            "alpha": _within("--alpha", alpha, 0, math.inf),
            "learning_rate_init": _within("--learning-rate", learning_rate, 0, math.inf, True),
            "early_stopping": keep_best,
            "random_state": seed,
            "dtype": _one_of("--dtype", dtype, ("float32", "float64")),
        }
        _within("--test-size", test_size, 0, 0.9, True)
        if task is not None:
            _one_of("--task", task, ("classification", "regression"))
        params = {name: value for name, value in params.items() if value is not None}
        backend = get_backend(device)
        params["device"] = backend.name

        table = read_as_asked(source, (sep, encoding, decimal, thousands, na, header), quiet=quiet)
        problem = make_problem(table, target, task, drop or [])
        if loss != "auto":
            classes = ("log_loss", "hinge")
            known = classes if problem.target.task == "classification" else REGRESSION_LOSSES
            params["loss"] = _known("loss", loss, known)

        lines = [f"device  {backend.name}, {dtype}", *_about(source, table.n_rows, problem)]
        folder = out or Path("xpnn-out", table.name)
        folder.mkdir(parents=True, exist_ok=True)
        estimator, report = run.train_on(
            problem,
            params,
            epochs=epochs,
            batch_size=batch_size,
            test_size=test_size,
            callbacks=() if quiet else (_Header(lines), ProgressBar()),
        )
        about = {"source": source, "device": backend.name, "seed": seed}
        run.write_results(folder, estimator, report, **about)
        say(f"\n{_result_table(report, folder / run.MODEL)}\n")
        say(f"wrote   {folder / run.MODEL}\nwrote   {folder / run.HISTORY}")
        say(_draw(folder / run.PICTURE, estimator.history_, table.name, report.metric))


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model file, or the folder that has it.")],
    file: Annotated[str, typer.Argument(help="A table like the one trained on.")],
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; default: standard output.")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Each class's probability, too.")] = False,
    device: Annotated[
        str | None, typer.Option(help="See `xpnn devices`; default: XPNN_DEVICE, else the best.")
    ] = None,
    sep: Sep = None,
    encoding: Encoding = None,
    decimal: Decimal = None,
    thousands: Thousands = None,
    na: Na = None,
    header: Header = None,
) -> None:
    """Predict a table's target with a model file, as CSV.

    Missing numbers become the median of training; a category unseen in training counts as none.
    Where the table has the target too, a score goes to standard error.
    """
    with _one_line_errors():
        from xpnn.arrays.backend import get_backend
        from xpnn.estimators import load
        from xpnn.files.atomic import write_atomic
        from xpnn.run import MODEL, predict_csv

        backend = get_backend(device)
        estimator = load(model / MODEL if model.is_dir() else model)
        if not hasattr(estimator, "preprocessing_"):
            raise ValueError(
                f"{model} was saved without preprocessing, so nothing says how a table "
                f"becomes its input; save it with xpnn.save(..., preprocessing=...)."
            )
        if proba and not hasattr(estimator, "predict_proba"):
            raise UsageError("--proba is for classification; this model is a regression.")
        preprocessing = estimator.preprocessing_
        expected = [f.name for f in (*preprocessing.features, preprocessing.target)]
        table = read_as_asked(
            file, (sep, encoding, decimal, thousands, na, header), expected=expected
        )
        for note in table.notes:
            typer.echo(f"note    {note}", err=True)
        estimator.set_params(device=backend.name).to_device(backend)
        text, score = predict_csv(estimator, table, proba=proba)
        if out is None:
            typer.echo(text, nl=False)
        else:
            write_atomic(out, text.encode())
        if score:
            typer.echo(score, err=True)


@app.command()
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List array libraries and their devices; which are usable, and why not."""
    with _one_line_errors():
        from dataclasses import asdict

        from xpnn.arrays import backend as backends
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
        typer.echo(_table(table, ruled=True))
        typer.echo(f"\nsteps on numpy: {compiled.state()}")


def _sizes(text: str) -> tuple[int, ...]:
    if text.strip().lower() == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(p.isascii() and p.isdigit() and 0 < int(p) <= 1_000_000 for p in parts):
        raise UsageError(f"--hidden takes sizes of layers such as 128,64, or none, got {text!r}.")
    return tuple(int(part) for part in parts)


def _known(option: str, name: str, known: Iterable[str]) -> str:
    from xpnn.parts.entries import lookup

    try:
        return lookup({k: k for k in known}, name, option)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError(f"{option} takes {' or '.join(known)}, got {value!r}.")
    return value


def _within(
    option: str, value: float | None, low: float, high: float, above: bool = False
) -> float | None:
    """The value, if it was given and is at least (or above) `low` and below `high`."""
    if value is None or ((low < value if above else low <= value) and value < high):
        return value
    least = f"above {low:g}" if above else f"at least {low:g}"
    raise UsageError(f"{option} must be {least} and below {high:g}, got {value:g}.")


def _about(source: str, n_rows: int, problem: "Problem") -> Iterator[str]:
    """Lines that say what is learnt."""
    what = problem.target.task
    if what == "classification":
        what += f" into {len(set(problem.y.tolist()))} classes"
    n = len(problem.parsed)
    columns = f"{n_rows:,} rows, {n:,} column{'' if n == 1 else 's'}"
    yield f"data    {source}: {columns}; {what}, target {problem.target.name!r}"
    yield from (f"note    {notice}" for notice in problem.notices)


class _Header:
    """Prints lines when training begins: an error of the data or the options comes alone."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = lines

    def on_begin(self, epochs: int) -> None:
        for line in self.lines:
            typer.echo(line)

    def __call__(self, end: object) -> None:
        """Nothing after an epoch."""


def _draw(path: Path, history: dict[str, list[float]], name: str, metric: str) -> str:
    from xpnn.plotting import plot_history

    try:
        plot_history(history, path, title=name, score_name=f"validation {metric}")
    except ImportError as error:
        return f"note    no {path.name}. {error}"
    return f"wrote   {path}"


def _result_table(report: "Report", model: Path) -> str:
    def score(value: float) -> str:
        return f"{100 * value:.2f} %" if report.metric == "accuracy" else f"{value:.4f}"

    size = f"{report.parameters:,} parameters, {model.stat().st_size / 1000:,.0f} kB"
    rows = [
        (f"test {report.metric}", score(report.test_score)),
        (f"validation {report.metric}", score(report.validation_score)),
        ("rows", ", ".join(f"{n:,} {part}" for part, n in report.rows.items())),
        ("epochs", f"{report.epochs} of {report.epochs_asked}, batches of {report.batch_size}"),
        ("time", f"{report.seconds:.1f} s"),
        ("model", size),
    ]
    return _table(rows)


def _table(rows: Sequence[Sequence[str]], *, ruled: bool = False) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if ruled:
        lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
