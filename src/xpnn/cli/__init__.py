"""The `xpnn` command: train on a table, predict, explain, compare, export, look at a file, devices.

Nothing heavy is imported before a command needs it. Errors are one line on standard error: exit
status 2 for a wrong option, 1 for wrong data, 130 for Ctrl-C, 143 for SIGTERM with a checkpoint.
"""

import warnings
from typing import Annotated

import typer

from xpnn._version import __version__
from xpnn.cli import compare, devices, explain, export, info, predict, train

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    *(train.train, predict.predict, explain.explain, compare.compare),
    *(info.info, export.export, devices.devices),
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line."""
    warnings.formatwarning = lambda message, *_, **__: f"xpnn: warning: {message}\n"
    app(prog_name="xpnn")


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
