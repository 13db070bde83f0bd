"""A network as a table that fits a screen."""

from collections.abc import Sequence
from typing import Any

from xpnn._text import table


def summary(network: Any) -> str:
    """A row a layer: its shape, activation, dropout rate and number of parameters."""
    rows = [("layer", "shape", "activation", "dropout", "parameters")]
    rows.append(("input", f"{network.n_in}", "", _rate(network.input_dropout), "0"))
    for i, d in enumerate(network.layers):
        size = sum(e.size for e in network.layout.entries if e.layer == i)
        kind = d.kind.replace("_", " ")
        kind += f", {d.normalization} norm" if getattr(d, "normalization", None) else ""
        activation = d.activation.name if hasattr(d, "activation") else ""
        rows.append((kind, f"{d.n_in} x {d.n_out}", activation, _rate(d.dropout), f"{size:,}"))
    total = "total" if network.members == 1 else f"total of {network.members} members"
    rows.append((total, "", "", "", f"{network.layout.size:,}"))
    return _table(rows)


def _rate(rate: float) -> str:
    return f"{rate:g}" if rate else ""


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = table(rows, right=range(3, len(rows[0])), gap="    ").split("\n")
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
