"""`to_c`: a fitted estimator as one file of C99."""

import os
import re
from pathlib import Path
from typing import Any

from xpnn._version import __version__
from xpnn.exchange.c99.columns import ABOUT, TYPES, add_columns
from xpnn.exchange.c99.helpers import HELPERS
from xpnn.exchange.c99.outputs import add_outputs
from xpnn.exchange.c99.source import Source, comment, identifiers
from xpnn.exchange.description import Description, describe
from xpnn.files.atomic import write_atomic
from xpnn.tables.kinds import Numbers


def to_c(model: Any, path: str | os.PathLike[str] | None = None, *, name: str = "xpnn") -> str:
    """Write a fitted estimator as one file of C99: weights and loops in float32, math.h alone.

    The file defines, for ``name="xpnn"``:

    - ``void xpnn_predict(const float *x, float *out)``: of one row probabilities, scores where a
      classifier has no probabilities, or numbers. A table's row is a ``const xpnn_row *`` with a
      field for each column, or ``const double *`` of a matrix of numbers, and a table's numbers
      are ``double *out``.
    - ``int xpnn_class(const float *x)`` of a classifier: the place of the label in
      ``xpnn_classes``; ``void xpnn_labels(const float *x, int *out)`` of several labels a row.
    - ``XPNN_N_IN`` and ``XPNN_N_OUT``, the lengths of ``x`` and ``out``.

    It allocates nothing and keeps no state, so threads may share it.

    Parameters
    ----------
    model : fitted estimator of xpnn
    path : path-like, default=None
        File to write, such as "model.c".
    name : str, default="xpnn"
        What its names begin with.

    Returns
    -------
    str
        The source text.

    Raises
    ------
    TypeError
        For an object that is no estimator of xpnn.
    ValueError
        For an activation of the user's own, labels that are neither numbers nor text, or a name
        that C does not take.
    sklearn.exceptions.NotFittedError
        Before fit.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnn
    >>> model = xpnn.MLPRegressor(max_iter=3).partial_fit(np.eye(3), np.arange(3.0))
    >>> "void xpnn_predict(const float *x, float *out)" in xpnn.to_c(model)
    True
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name is {name!r}, expected one that C takes, such as 'xpnn'.")
    found, source = describe(model), Source(HELPERS)
    row = _row(source, found, name, hasattr(model, "feature_names_in_"))
    n_out = add_outputs(source, found, name, row)
    n_in = found.n_in if found.columns is None else len(found.columns)
    lines = [f"#define {name.upper()}_N_IN {n_in}", f"#define {name.upper()}_N_OUT {n_out}\n"]
    about = f"/* {type(model).__name__} of xpnn {__version__}; see xpnn.to_c. */\n"
    headers = ["math.h", "stddef.h", "stdint.h", "string.h"]
    text = source.text("\n".join([about, *(f"#include <{h}>" for h in headers), "", *lines]))
    if path is not None:
        write_atomic(Path(path), text.encode())
    return text


def _row(source: Source, found: Description, name: str, named: bool) -> str:
    """The parameter that a row is; of tables also `inputs`, which reads it."""
    if found.columns is None or found.encoding is None:
        return "const float *x"
    kinds = {c.name: c for c in found.encoding.columns}
    if not named and all(isinstance(c, Numbers) for c in kinds.values()):
        values = {column: f"row[{i}]" for i, column in enumerate(found.columns)}
        add_columns(source, found.encoding, values, "const double *row")
        return "const double *row"
    fields = identifiers(kinds)
    lines = []
    for column, c in kinds.items():
        kind = TYPES[c.kind]
        declared = f"{kind}{'' if kind.endswith('*') else ' '}{fields[column]};"
        lines.append(f"    {declared} /* {comment(column)}: {ABOUT[c.kind]} */")
    body = "\n".join(lines) or "    int nothing; /* no column says anything */"
    source.constants.append(f"typedef struct {{\n{body}\n}} {name}_row;\n")
    row = f"const {name}_row *row"
    values = {column: f"row->{fields[column]}" for column in kinds}
    add_columns(source, found.encoding, values, row)
    return row
