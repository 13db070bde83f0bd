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

        from xpnn._text import table
        from xpnn.arrays import backend as backends
        from xpnn.steps import compiled

        found = backends.devices()
        if as_json:
            steps = {"numpy": {"steps": compiled.state()}}
            rows = [asdict(d) | steps.get(d.spec, {}) for d in found]
            typer.echo(json.dumps(rows, indent=2))
            return
        lines = [("device", "library", "version", "usable", "what, or why not")]
        for d in found:
            version, usable = d.version or "-", "yes" if d.usable else "no"
            lines.append((d.spec, d.library, version, usable, d.device if d.usable else d.reason))
        typer.echo(table(lines, ruled=True))
        typer.echo(f"\nsteps on numpy: {compiled.state()}")
