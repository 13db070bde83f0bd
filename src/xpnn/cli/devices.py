"""`xpnn devices`."""

import json
from typing import Annotated

import typer

from xpnn.cli.errors import one_line_errors


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List array libraries and their devices; which are usable, and why not."""
    with one_line_errors():
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
