"""A second training of classes, whose numbers have neither pieces nor steps.

Pieces help nearly everywhere, but where classes are told by small differences between columns
that rise and fall together, as lengths of one animal do, they are in the way.
"""

import numpy as np

from xpnn.model.network import Network
from xpnn.tables.encoding import Encoding
from xpnn.tables.kinds import Numbers

MOST_ROWS = 6_000
"""Rows up to which there is one: it was tried on no more, and tables of more rows take long."""


def plain_inputs(encoding: Encoding) -> np.ndarray | None:
    """The inputs that are neither a piece nor a step of a number; None where all are so.

    Returns
    -------
    ndarray of int, or None
        In rising order.

    Examples
    --------
    >>> from xpnn.tables.encoding import fit_encoding
    >>> from xpnn.tables.frames import read_frame
    >>> frame = read_frame({"x": [0.0, 1.0, 3.0, None], "y": ["a", "b", "a", "c"]})
    >>> encoding = fit_encoding(frame, bins=8)
    >>> [encoding.names[i] for i in plain_inputs(encoding)]
    ['x', 'x missing', "y 'a'", "y 'b'", "y 'c'"]
    >>> plain_inputs(fit_encoding(frame)) is None
    True
    """
    bent = set[int]()
    for column, places in zip(encoding.columns, encoding.places.values(), strict=True):
        if isinstance(column, Numbers):  # the number, its pieces, its steps, whether it is missing
            last = max(len(column.edges), 1) + len(column.steps)
            bent |= set(places[1:last])
    plain = [i for i in range(len(encoding.names)) if i not in bent]
    return np.asarray(plain) if bent and plain else None


def widened(theta: np.ndarray, plain: Network, whole: Network, inputs: np.ndarray) -> np.ndarray:
    """Parameters with which the whole network answers as the plain one does: zeros for the rest.

    Parameters
    ----------
    theta : ndarray of shape (plain.layout.size,)
    plain, whole : Network
        A scale and dense layers, alike but for the number of inputs.
    inputs : ndarray of int
        Those of `whole` that `plain` has.

    Examples
    --------
    >>> from xpnn.model.network import Dense, Scale
    >>> plain, whole = (Network((Scale(n), Dense(n, 1)), link="identity") for n in (1, 2))
    >>> widened(np.array([3.0, 1.0, 5.0]), plain, whole, np.array([1])).tolist()
    [0.0, 3.0, 1.0, 0.0, 5.0]
    """
    found = np.zeros(whole.layout.size, dtype=theta.dtype)
    for of_plain, of_whole in zip(plain.layout.entries, whole.layout.entries, strict=True):
        given, here = (
            array[e.offset : e.offset + e.size].reshape(e.shape)
            for array, e in ((theta, of_plain), (found, of_whole))
        )
        if given.shape == here.shape:
            here[...] = given
        elif of_whole.role == "scale":
            here[..., inputs] = given
        else:
            here[..., inputs, :] = given
    return found


def is_widened(theta: np.ndarray, whole: Network, inputs: np.ndarray) -> bool:
    """Whether parameters are of `widened`: the scales of all other inputs are zero.

    Parameters
    ----------
    theta : ndarray of shape (whole.layout.size,)
    inputs : ndarray of int

    Examples
    --------
    >>> from xpnn.model.network import Dense, Scale
    >>> whole = Network((Scale(2), Dense(2, 1)), link="identity")
    >>> is_widened(np.array([3.0, 1.0, 5.0, 0.0, 2.0]), whole, np.array([1]))
    True
    >>> is_widened(np.array([3.0, 1.0, 5.0, 0.5, 2.0]), whole, np.array([1]))
    False
    """
    scale = next(e for e in whole.layout.entries if e.role == "scale")
    found = theta[scale.offset : scale.offset + scale.size].reshape(scale.shape)
    return not np.delete(found, inputs, axis=-1).any()
