"""A linear model of each member's rows, written as that member's network.

Of few rows it may know more than any valley. It is one more candidate of the blend, with
parameters of the same network, so that whatever predicts, keeps or explains a valley does it too.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from xpnn.model.network import Dense, Network, Scale
from xpnn.steps.threads import one_blas_thread
from xpnn.tables.encoding import Encoding

MOST_ROWS = 5_000
"""Rows of numbers up to which a linear model is tried; of classes `MOST_ROWS_OF_CLASSES`."""

MOST_ROWS_OF_CLASSES = 1_024

_MOST_LINES = 300
_MOST_WORK = 1_000_000  # rows times lines times classes
_PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)  # of squared coefficients, for numbers
_INVERSE = (10.0, 1.0, 0.1, 0.01)  # of that penalty, for classes
_STEPS = 100  # of L-BFGS


def lines_of(encoding: Encoding) -> csr_array:
    """What a linear model sees of a network's inputs: each column once, without its bends.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n_inputs, n_lines)
        The pieces of a number added up to the number, and every input that is no piece.

    Examples
    --------
    >>> from xpnn.tables.encoding import fit_encoding
    >>> from xpnn.tables.frames import read_frame
    >>> lines_of(fit_encoding(read_frame({"x": [0.0, 1.0, 3.0]}), bins=8)).toarray().T.tolist()
    [[0.0, 0.5, 1.0]]
    """
    inputs, lines, shares, n = list[int](), list[int](), list[float](), 0  # of what is not 0
    for column, at in zip(encoding.columns, encoding.places.values(), strict=True):
        widths, rest = np.diff(getattr(column, "edges", ())), at
        if len(widths):
            pieces, rest = at[1 : 1 + len(widths)], at[1 + len(widths) :]
            inputs += pieces
            lines += [n] * len(pieces)
            shares += (widths / widths.max()).tolist()
            n += 1
        inputs += rest
        lines += range(n, n + len(rest))
        shares += [1.0] * len(rest)
        n += len(rest)
    places = np.asarray(inputs, dtype=np.intp), np.asarray(lines, dtype=np.intp)
    return csr_array((np.asarray(shares), places), shape=(len(encoding.names), n))


def takes_lines(network: Network, n: int, lines: np.ndarray, classes: bool) -> bool:
    """Whether a linear model is tried, and the network can be one.

    Parameters
    ----------
    n : int
        Rows.
    lines : ndarray of shape (n_inputs, n_lines)
    """
    first, *rest = network.layers
    hidden = rest[:-1]
    possible = isinstance(first, Scale) and all(
        isinstance(h, Dense) and h.activation.name == "relu" and h.n_out >= 2 * network.n_out
        for h in hidden
    )
    if not possible or not 0 < lines.shape[1] <= _MOST_LINES or lines.shape[0] != network.n_in:
        return False
    if not classes:
        return n <= MOST_ROWS
    return n < MOST_ROWS_OF_CLASSES and n * lines.shape[1] * network.n_out <= _MOST_WORK


def linear_parameters(
    network: Network,
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    folds: np.ndarray,
    lines: np.ndarray,
) -> np.ndarray | None:
    """Parameters with which each member is a linear model of all rows but its fold's.

    Parameters
    ----------
    x : ndarray of shape (n, n_in)
    target : ndarray
        Class numbers (n,), or numbers (n, n_out).
    weight : ndarray of shape (n,), or None
    folds : ndarray of int, shape (repeats, n)
    lines : ndarray of shape (n_in, n_lines)

    Returns
    -------
    ndarray of float64, or None
        As `network.layout` has it, with the penalty that is best out of fold; None where no
        loss is finite.

    Examples
    --------
    >>> net = Network((Scale(1), Dense(1, 4, "relu"), Dense(4, 1)), link="identity", members=2)
    >>> x = np.arange(6.0)[:, None]
    >>> theta = linear_parameters(net, x, 2 * x + 1, None, np.array([[0, 1] * 3]), np.eye(1))
    >>> net.predict(theta, np.zeros(0), np.array([[10.0]]), np).round(2).tolist()
    [[21.0]]
    """
    with one_blas_thread():  # all products: several threads would round otherwise
        seen = x.astype(np.float64) @ lines
        center, spread = seen.mean(axis=0), seen.std(axis=0)
        spread[spread <= 1e-9 * np.maximum(np.abs(center), 1e-9)] = 1.0
        scaled = (seen - center) / spread
        given = scaled, target, np.ones(len(x)) if weight is None else weight, folds
        models = _of_classes(*given, network.n_out) if target.ndim == 1 else _of_numbers(*given)
        best, least = None, np.inf
        for coefficients, constants in models:
            loss = _loss(coefficients, constants, *given)
            if loss < least:
                best, least = (coefficients, constants), loss
            elif target.ndim == 1:
                break
        if best is None:
            return None
        coefficients = best[0] / spread[:, None]
        return _as_network(network, lines @ coefficients, best[1] - center @ coefficients)


def _members(folds: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows that each member learns from, and those that it has not seen."""
    for repeat in folds:
        for fold in range(int(repeat.max()) + 1):
            yield np.flatnonzero(repeat != fold), np.flatnonzero(repeat == fold)


def _of_numbers(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, folds: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Coefficients (members, n_lines, n_out) and constants, for each penalty."""
    solved = []
    for rows, _ in _members(folds):
        w = weight[rows] / weight[rows].sum()
        at, of = w @ x[rows], w @ y[rows]
        apart = x[rows] - at
        weighted = apart * weight[rows][:, None]
        values, vectors = np.linalg.eigh(weighted.T @ apart)
        turned = vectors.T @ (weighted.T @ (y[rows] - of))
        solved.append((at, of, np.maximum(values, 0.0), vectors, turned))
    for penalty in _PENALTIES:
        each = [v @ (t / (values + penalty)[:, None]) for _, _, values, v, t in solved]
        constants = [of - at @ c for (at, of, *_), c in zip(solved, each, strict=True)]
        yield np.stack(each), np.stack(constants)


def _of_classes(
    x: np.ndarray, codes: np.ndarray, weight: np.ndarray, folds: np.ndarray, n_out: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same of classes, the weaker penalties last: all members' losses are one sum."""
    from scipy.optimize import minimize

    n, p = x.shape
    seen = np.stack([np.bincount(rows, minlength=n) for rows, _ in _members(folds)], axis=1)
    counts = (seen * weight[:, None])[:, :, None]  # (n, members, 1)
    shape = p + 1, seen.shape[1], n_out
    inputs, truth = np.column_stack([x, np.ones(n)]), np.eye(n_out)[codes][:, None, :]
    flat = np.zeros(np.prod(shape))

    def loss(flat: np.ndarray, inverse: float) -> tuple[float, np.ndarray]:
        both = flat.reshape(shape)
        out = (inputs @ both.reshape(p + 1, -1)).reshape(n, *shape[1:])
        out -= out.max(axis=2, keepdims=True)
        total = np.log(np.exp(out).sum(axis=2, keepdims=True))
        value = float((counts * (total - (out * truth).sum(axis=2, keepdims=True))).sum())
        slope = inputs.T @ (counts * (np.exp(out - total) - truth)).reshape(n, -1)
        slope = slope.reshape(shape)
        slope[:-1] += both[:-1] / inverse
        return (value + float((both[:-1] ** 2).sum()) / (2 * inverse)) / n, slope.ravel() / n

    for inverse in sorted(_INVERSE):
        settings = {"jac": True, "method": "L-BFGS-B", "options": {"maxiter": _STEPS}}
        flat = minimize(loss, flat, (inverse,), **settings).x
        both = np.moveaxis(flat.reshape(shape), 0, 1)
        yield both[:, :-1], both[:, -1]


def _loss(
    coefficients: np.ndarray,
    constants: np.ndarray,
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    folds: np.ndarray,
) -> float:
    """The mean loss of rows that a member has not seen."""
    total = np.zeros(len(x))
    for m, (_, rows) in enumerate(_members(folds)):
        out = x[rows] @ coefficients[m] + constants[m]
        if target.ndim == 1:
            largest = out.max(axis=1, keepdims=True)
            whole = largest[:, 0] + np.log(np.exp(out - largest).sum(axis=1))
            total[rows] += whole - out[np.arange(len(rows)), target[rows]]
        else:
            total[rows] += ((out - target[rows]) ** 2).mean(axis=1)
    return float(np.average(total, weights=weight))


def _as_network(network: Network, coefficients: np.ndarray, constants: np.ndarray) -> np.ndarray:
    """Two neurons of each hidden layer for an output: what is above 0, and what is below."""
    theta, last = np.zeros(network.layout.size), len(network.layers) - 1
    signs = np.kron(np.eye(network.n_out), [[1.0, -1.0]])  # (n_out, 2 n_out)
    k = signs.shape[1]
    for e in network.layout.entries:
        here = theta[e.offset : e.offset + e.size].reshape(e.shape)
        if e.layer == 0:  # the scale
            here[:] = 1.0
        elif e.layer == last:
            if last > 1 and e.role == "weight":
                here[:, :k] = signs.T
            elif last == 1:
                here[:] = coefficients if e.role == "weight" else constants
        elif e.layer == 1:
            here[..., :k] = (coefficients if e.role == "weight" else constants) @ signs
        elif e.role == "weight":
            here[:, :k, :k] = np.eye(k)
    return theta
