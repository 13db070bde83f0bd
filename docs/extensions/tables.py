"""Marks the columns of tables that hold sentences: on a phone they keep a width to be read in."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SENTENCE = 24
"""Characters from which a cell is more than a number or a name."""


def mark(app: Sphinx, document: nodes.document) -> None:
    """Give each cell of such a column the class "sentence"."""
    for group in document.findall(nodes.tgroup):
        rows = [list(row.findall(nodes.entry)) for row in group.findall(nodes.row)]
        for column in zip(*rows, strict=False):
            if any(" " in cell.astext() and len(cell.astext()) > SENTENCE for cell in column[1:]):
                for cell in column:
                    cell["classes"].append("sentence")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
