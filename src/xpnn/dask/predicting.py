"""Predictions of Dask's arrays and frames, made partition by partition when somebody asks."""

from typing import Any

import numpy as np

from xpnn.dask.parts import Given, partitions
from xpnn.distributed.workers import distributed


def lazily(model: Any, method: str, X: Any, /, **options: Any) -> Any:
    """What a method of a fitted estimator says of each partition.

    Parameters
    ----------
    model : an ordinary estimator of xpnn
    X : Dask array or frame, or list of delayed objects or futures
    **options
        Of the method.

    Returns
    -------
    Dask array, or for a list a list of the same kind
        Nothing is computed, but for futures, whose predictions are futures.
    """
    from dask import delayed

    if isinstance(X, list | tuple):
        return [_of_part(model, method, part, options) for part in X]
    shared = delayed(model, traverse=False, pure=False)
    sample = _sample(X)
    if sample is None:
        return _of_part(model, method, X, options)
    meta = predicted(sample, model, method, options)[:0]
    if hasattr(X, "chunks"):
        more = [(n,) for n in meta.shape[1:]]
        return X.rechunk({1: -1}).map_blocks(
            predicted,
            shared,
            method,
            options,
            dtype=meta.dtype,
            chunks=(X.chunks[0], *more),
            drop_axis=[] if more else [1],
            new_axis=[2] if len(more) > 1 else None,
            meta=meta,
        )
    return _of_frame(X, shared, method, options, meta)


def outcomes(model: Any, given: Given) -> tuple[Any, Any, Any]:
    """Predictions, and what they are compared with, of all partitions, on the client.

    Parameters
    ----------
    model : an ordinary estimator of xpnn

    Returns
    -------
    predictions, y, weights : arrays; no weights are None
    """
    from dask import compute, delayed

    shared = delayed(model, traverse=False, pure=False)
    parts = zip(given.x, given.y, given.weight, strict=True)
    found = compute(*(delayed(_outcome)(shared, *part) for part in parts))
    columns = zip(*found, strict=True)
    return tuple(None if c[0] is None else np.concatenate(c) for c in columns)  # type: ignore[return-value]


def _outcome(model: Any, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    found = predicted(x, model, "predict", {})
    return tuple(None if a is None else np.asarray(a) for a in (found, y, weight))  # type: ignore[return-value]


def _of_frame(X: Any, shared: Any, method: str, options: dict[str, Any], meta: Any) -> Any:
    from dask import array, delayed

    parts = [
        array.from_delayed(
            delayed(predicted)(part, shared, method, options),
            shape=(np.nan, *meta.shape[1:]),
            meta=meta,
        )
        for part in partitions(X)
    ]
    return array.concatenate(parts, allow_unknown_chunksizes=True)


def _of_part(model: Any, method: str, part: Any, options: dict[str, Any]) -> Any:
    from dask import delayed

    if hasattr(part, "dask"):
        return delayed(predicted)(part, model, method, options)
    client = distributed().get_client()
    return client.submit(predicted, part, model, method, options)


def _sample(X: Any) -> Any:
    """A row such as X has, to see what is predicted; None of a delayed object."""
    if hasattr(X, "chunks"):
        return np.zeros_like(X._meta, shape=(1, X.shape[1]))
    frame = getattr(X, "_meta_nonempty", None)
    return None if frame is None else frame.iloc[:1]


def predicted(x: Any, model: Any, method: str, options: dict[str, Any]) -> Any:
    """What a method says of some rows, of which there may be none.

    Parameters
    ----------
    x : array or frame
    model : an ordinary estimator of xpnn
    options : dict of str to object
    """
    if not len(x):
        one = np.zeros_like(x, shape=(1, x.shape[1])) if not hasattr(x, "iloc") else None
        if one is None:
            import pandas

            row = {name: pandas.Series([None], dtype=x[name].dtype) for name in x.columns}
            one = pandas.DataFrame(row)
        return predicted(one, model, method, options)[:0]
    return getattr(model, method)(x, **options)
