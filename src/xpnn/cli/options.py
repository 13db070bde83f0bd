"""The options of the `xpnn` command: types with their help, and checks that tell what is wrong."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

MODELS = ("auto", "both", "periodic", "piecewise", "none")
CLASS_WEIGHTS = ("none", "balanced")
_OTHER_KINDS = frozenset((
    *(".parquet", ".pq", ".feather", ".arrow", ".orc", ".xlsx", ".xls", ".ods", ".json", ".jsonl"),
    *(".gz", ".zip", ".xz", ".bz2", ".zst", ".npy", ".npz", ".h5", ".hdf5", ".zarr", ".html"),
))  # fmt: skip

# How a table is read, the same for every command.
Sep = Annotated[
    str | None, typer.Option(metavar="MARK", help="Between values: a character, tab or space.")
]
Encoding = Annotated[str | None, typer.Option(metavar="NAME", help="Of the text, such as cp1252.")]
Decimal = Annotated[str | None, typer.Option(metavar="MARK", help="Mark of decimals, . or ,")]
Thousands = Annotated[
    str | None, typer.Option(metavar="MARK", help="Mark of thousands: . , ' or space.")
]
Na = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="A text that means missing; may be given again."),
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether line 1 names the columns.")
]
Sheet = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of a workbook; default: the first of use.")
]

# What is learned.
Source = Annotated[
    str,
    typer.Argument(
        help="digits, iris, wine, breast_cancer, diabetes; a file of text, Parquet or Excel; -; "
        "to train, also a folder or several files, which need not fit in memory."
    ),
]
OneTable = Annotated[
    str,
    typer.Argument(
        help="digits, iris, wine, breast_cancer, diabetes; a file of text, Parquet or Excel; -."
    ),
]
More = Annotated[list[str] | None, typer.Argument(help="More files of the same table.")]
_TARGET = "Column to predict; default: target, label, class or y, else the last one."
OneTarget = Annotated[list[str] | None, typer.Option("--target", metavar="COLUMN", help=_TARGET)]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help=f"{_TARGET} Numbers may be several: give it again.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(metavar="TASK", help="classification or regression; default: told by the target."),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Column to leave out; may be given again."),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="See `xpnn devices`; default: XPNN_DEVICE, else the best."),
]

# How it is learned.
Hidden = Annotated[
    str | None,
    typer.Option(
        metavar="SIZES", help="Neurons in each hidden layer, as 128,64; default: by the rows."
    ),
]
Members = Annotated[
    int | None,
    typer.Option(min=2, metavar="N", help="Networks that are trained as one; default: 5."),
]
Embedding = Annotated[str, typer.Option(metavar="KIND", help=f"Of numbers: {', '.join(MODELS)}.")]
Loss = Annotated[
    str | None,
    typer.Option(
        metavar="LOSS",
        help="squared_error, absolute_error, huber, log_cosh or poisson, of a regression; "
        "of classes it is log_loss.",
    ),
]
Quantiles = Annotated[
    str | None,
    typer.Option(metavar="LEVELS", help="Quantiles to learn, of a regression, as 0.05,0.5,0.95."),
]
ClassWeight = Annotated[
    str, typer.Option(metavar="KIND", help="none, or balanced: rare classes count more.")
]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Default: by the rows.")]
TimeLimit = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Seconds of training at most.")
]
Seed = Annotated[
    int,
    typer.Option(
        min=0, max=2**32 - 1, metavar="N", help="Of weights, folds and dropout; the split stays."
    ),
]
DType = Annotated[str, typer.Option("--dtype", metavar="DTYPE", help="float32 or float64.")]

# What it is tested on, and where it goes.
TestSize = Annotated[
    float, typer.Option(metavar="PART", help="Part of the rows kept for the test.")
]
TestFile = Annotated[
    str | None,
    typer.Option("--test", metavar="FILE", help="A table of its own for the test instead."),
]
GroupColumn = Annotated[
    str | None,
    typer.Option("--group", metavar="COLUMN", help="Column: rows of one value stay together."),
]
TimeColumn = Annotated[
    str | None,
    typer.Option("--time", metavar="COLUMN", help="Column: the test rows are the latest."),
]
Refit = Annotated[
    bool, typer.Option("--refit", help="After the test, train once more on all rows.")
]
CheckpointDir = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="DIR", help="Folder for checkpoints of this training."),
]
Every = Annotated[
    str,
    typer.Option(
        metavar="TIME", help="Between checkpoints, as 30s, 5min, '10 epochs', '1000 steps'."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the checkpoint there, if there is one.")
]
Mpi = Annotated[
    bool,
    typer.Option("--mpi", help="Under mpiexec: all processes train one network; one speaks."),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for the results; default: xpnn-out/SOURCE."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]


class UsageError(ValueError):
    """An option with a value that makes no sense, whatever the data."""


def mark_of(out: Path | None) -> str:
    r"""What stands between the values of a file to write; UsageError for what is no text.

    Examples
    --------
    >>> mark_of(Path("p.csv")), mark_of(Path("p.tsv"))
    (',', '\t')
    """
    suffix = "" if out is None else out.suffix.lower()
    if suffix in _OTHER_KINDS:
        raise UsageError(f"--out writes CSV, and {out} is no name for it; end it in .csv or .tsv.")
    return "\t" if suffix in (".tsv", ".tab") else ","


def sizes(text: str | None) -> tuple[int, ...] | None:
    """Sizes of hidden layers, such as 128,64."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(p.isascii() and p.isdigit() and 0 < int(p) <= 10_000 for p in parts):
        raise UsageError(
            f"--hidden takes sizes of layers up to 10000 such as 128,64, got {text!r}."
        )
    return tuple(int(part) for part in parts)


def levels(text: str) -> tuple[float, ...]:
    """Rising quantiles, such as 0.05,0.5,0.95."""
    from xpnn.tabular.quantiles import check_levels

    try:
        found = check_levels(text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--quantiles takes rising numbers between 0 and 1 such as 0.05,0.5,0.95, got {text!r}."
        ) from error
    return found or ()


def known(option: str, name: str, names: Iterable[str]) -> str:
    """A name that is known, however it is written; else the nearest ones are told."""
    from xpnn.parts.entries import lookup

    try:
        return lookup({k: k for k in names}, name, option)
    except ValueError as error:
        raise UsageError(str(error)) from error


def loss_of(name: str, task: str) -> str | None:
    """The loss of a name, which may be an other one that people know; None: the task's own."""
    from xpnn.parts.losses import LOSSES, with_aliases
    from xpnn.tabular.classifier import LOSSES as OF_CLASSES
    from xpnn.tabular.regressor import LOSSES as OF_NUMBERS

    of_classes = (*OF_CLASSES, *with_aliases(("binary_cross_entropy",)))
    if task == "classification":
        name = known("loss", name, ("log_loss", *with_aliases(LOSSES)))
        if name not in of_classes:
            raise UsageError(
                f"--loss {name} is for a regression; the target holds classes, whose loss is "
                "log_loss."
            )
        return None
    if name in of_classes:
        raise UsageError(
            f"--loss {name} is for classes; the target holds numbers: take one of "
            f"{', '.join(OF_NUMBERS)}, or --task classification."
        )
    return known("loss", name, with_aliases(OF_NUMBERS))


def one_of(option: str, value: str, values: Sequence[str]) -> str:
    """One of a few values."""
    if value not in values:
        raise UsageError(f"{option} takes {' or '.join(values)}, got {value!r}.")
    return value


def within(
    option: str, value: float | None, low: float, high: float, above: bool = False
) -> float | None:
    """The value, if it was given and is at least (or above) `low` and below `high`."""
    if value is None or ((low < value if above else low <= value) and value < high):
        return value
    least = f"above {low:g}" if above else f"at least {low:g}"
    raise UsageError(f"{option} must be {least} and below {high:g}, got {value:g}.")
