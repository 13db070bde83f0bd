"""`to_onnx`: a fitted estimator as an ONNX model."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xpnn._optional import needed
from xpnn._version import __version__
from xpnn.exchange.description import ClassOutput, Description, describe
from xpnn.files.atomic import write_atomic
from xpnn.tables.frames import Frame, read_frame
from xpnn.tables.kinds import Numbers


def to_onnx(model: Any, path: str | os.PathLike[str] | None = None, X: Any = None) -> Any:
    """Write a fitted estimator as an ONNX model, which other programs and languages run.

    A network takes one input ``X`` of shape (batch, n_features), float32. A tabular model has
    its preprocessing inside and takes an input of shape (batch, 1) for each column that it uses, by
    the column's name: numbers as float64 with NaN where they are missing, words as text, empty
    where missing, times as int64 microseconds since 1970, as NumPy's ``datetime64[us]`` holds
    them. One that was fitted to a matrix of numbers takes ``X``, float64.

    Outputs of a classifier are ``label``, of shape (batch,), and ``probabilities`` of shape (batch,
    n_classes), or ``scores``, as `decision_function` has them, where there are no probabilities; of
    a regressor ``variable`` of shape (batch, n_outputs), and ``quantiles`` where it has learned
    some.

    Parameters
    ----------
    model : fitted estimator of xpnn
    path : path-like, default=None
        File to write, such as "model.onnx".
    X : array-like or table, default=None
        Some rows like those that will be predicted: numbers are then taken in the types that they
        have in it.

    Returns
    -------
    onnx.ModelProto
        Of opset 17, IR version 8 and ai.onnx.ml 3. It computes in float32.

    Raises
    ------
    ImportError
        Without the package onnx; says how to install it.
    TypeError
        For an object that is no estimator of xpnn.
    ValueError
        For an activation of the user's own, or labels that are neither numbers nor text.
    sklearn.exceptions.NotFittedError
        Before fit.

    Examples
    --------
    >>> import numpy as np
    >>> import xpnn
    >>> model = xpnn.MLPRegressor(max_iter=3).partial_fit(np.eye(3), np.arange(3.0))
    >>> [value.name for value in xpnn.to_onnx(model).graph.output]  # doctest: +SKIP
    ['variable']
    """
    proto = graph_of(model, X)
    if path is not None:
        write_atomic(Path(path), proto.SerializeToString())
    return proto


def graph_of(model: Any, X: Any = None, *, scores: bool = False) -> Any:
    """What `to_onnx` writes; with `scores`, those of `decision_function` for probabilities."""
    needed("onnx", "Writing ONNX", '"xpnn[onnx]"')
    from xpnn.exchange.onnx.graph import Graph
    from xpnn.exchange.onnx.layers import add_layers
    from xpnn.exchange.onnx.outputs import NAMES, add_output

    found, g = describe(model), Graph()
    g.reserve(*NAMES)
    x = _inputs(g, found, X, hasattr(model, "feature_names_in_"))
    raw, output = add_layers(g, x, found.layers), found.output
    if scores and isinstance(output, ClassOutput) and not output.margins:
        output = replace(output, margins=True, logits=True)
    add_output(g, raw, output, found.shares, found.n_out)
    return g.model(f"{type(model).__name__} of xpnn", version=__version__)


def _inputs(g: Any, found: Description, X: Any, named: bool) -> str:
    """The graph's inputs, and what the first layer takes."""
    from xpnn.exchange.onnx.columns import add_columns

    columns, encoding = found.columns, found.encoding
    if columns is None or encoding is None:
        dtype = _dtype_of(X, "float32")
        x: str = g.input("X", dtype, (None, found.n_in))
        return x if dtype == "float32" else g.cast(x, "float32")
    kinds = {c.name: c for c in encoding.columns}
    numbers = all(isinstance(c, Numbers) for c in kinds.values())
    if numbers and not named:
        dtype = _dtype_of(X, "float64")
        x = g.input("X", dtype, (None, len(columns)))
        used = [i for i, name in enumerate(columns) if name in kinds] or [0]
        names = [columns[i] for i in used]
        single = (g.add("Gather", x, np.array([i]), axis=1) for i in used)
        return add_columns(g, encoding, {n: (v, dtype) for n, v in zip(names, single, strict=True)})
    frame = None if X is None else read_frame(X)
    return add_columns(g, encoding, _columns(g, encoding, columns, frame))


def _columns(
    g: Any, encoding: Any, columns: list[str], frame: Frame | None
) -> dict[str, tuple[str, str]]:
    """An input for each column that is used; of a table that says nothing its first."""
    from xpnn.exchange.onnx.columns import ABOUT, DTYPES

    kinds = {c.name: c.kind for c in encoding.columns} or {columns[0]: "words"}
    given = {} if frame is None else frame.columns
    if frame is not None and not set(kinds) <= set(given) and len(given) == len(columns):
        given = frame.named(columns).columns
    inputs = {}
    for name, kind in kinds.items():
        dtype = DTYPES[kind]
        if kind == "numeric" and name in given:
            dtype = _dtype_of(given[name], dtype)
        inputs[name] = g.input(name, dtype, (None, 1), ABOUT[kind]), dtype
    return inputs


def _dtype_of(X: Any, default: str) -> str:
    """The dtype of numbers that are given; the default for others."""
    from xpnn.arrays.backend import to_numpy
    from xpnn.exchange.onnx.graph import TYPES

    if X is None:
        return default
    dtype = X.dtype if isinstance(X, np.ndarray) else np.asarray(to_numpy(X)).dtype
    return str(dtype) if dtype.kind in "biuf" and str(dtype) in TYPES else default
