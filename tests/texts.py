"""Small tables as text and as columns, and what is read of them."""

import numpy as np

from xpnn.tables import Table, read_table
from xpnn.tables.read import ReadOptions

PLAIN = "size,town\n1.5,Ulm\n2,Bonn\n2.5,Ulm\n"


def words(*values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def table(**columns):
    return Table("t", columns)


def write(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def columns(table):
    return {name: column.tolist() for name, column in table.columns.items()}


def read(tmp_path, content, name="t.csv", **options):
    return read_table(write(tmp_path, content, name), ReadOptions(**options))


EXPECTED = {"size": [1.5, 2, 2.5], "town": ["Ulm", "Bonn", "Ulm"]}
