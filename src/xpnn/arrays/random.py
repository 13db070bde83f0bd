"""Randomness that does not depend on the device.

Initial weights and shuffles are drawn on the host by NumPy and moved once. Dropout masks are
drawn where they are used, from a counter: the same bits on every array library, and the same
bits however the rows of a batch are split.
"""

from typing import Any

import numpy as np
from array_api_compat import is_jax_namespace, is_torch_namespace

from xpnn.arrays.seeds import seed_of_epoch
from xpnn.arrays.typing import Array, Device, DType, Namespace

_MASK = 0xFFFFFFFF
_PARITY = 0x1BD11BDA
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)

# Streams of `host_generator`: draws of one kind never move those of another.
WEIGHTS, SHUFFLE, SPLIT, PERTURB, BLOCKS = range(5)


def threefry_2x32(key: Any, x0: Any, x1: Any, xp: Namespace = np) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds: two random words for each pair of counters.

    Parameters
    ----------
    key : pair of int or of 0-d uint32 arrays
        The 64-bit key as two words, high word first (as ``jax.random.key_data`` has it).
    x0, x1 : int or arrays that broadcast together
        The two 32-bit counters: uint32 arrays, or int64 on torch, which lacks uint32 arithmetic.
    xp : namespace
        The counters' namespace.

    Returns
    -------
    tuple of two arrays
        Words in [0, 2**32), in the counters' dtype; Python ints where key and counters are ints.

    References
    ----------
    Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.

    Examples
    --------
    >>> [hex(word) for word in threefry_2x32((0, 0), 0, 0)]
    ['0x6b200159', '0x99ba4efe']
    """
    if isinstance(x0, np.ndarray) and isinstance(key[0], int):
        x0, x1 = (np.array(x, dtype=np.uint32) for x in np.broadcast_arrays(x0, x1))
        threefry_in_place(key, x0, x1, np.empty_like(x0))
        return x0, x1
    # Python ints and torch's int64 have room above bit 31 and are masked; uint32 arrays wrap.
    masked = isinstance(x0, int) or is_torch_namespace(xp)
    k = key_schedule(key, xp)

    x0, x1 = x0 + k[0][0], x1 + k[0][1]
    if masked:
        x0, x1 = x0 & _MASK, x1 & _MASK
    for i in range(20):
        rotation = ROTATIONS[i % 8]
        x0 = x0 + x1
        high, low = x1 << rotation, x1 >> (32 - rotation)
        if masked:
            x0, high = x0 & _MASK, high & _MASK
        x1 = (high | low) ^ x0
        if i % 4 == 3:
            x0, x1 = x0 + k[i // 4 + 1][0], x1 + k[i // 4 + 1][1]
            if masked:
                x0, x1 = x0 & _MASK, x1 & _MASK
    return x0, x1


def threefry_in_place(key: tuple[int, int], x0: np.ndarray, x1: np.ndarray, t: np.ndarray) -> None:
    """`threefry_2x32` on the host, its words in place of the counters; `t` is room like them."""
    words = [(np.uint32(a), np.uint32(b)) for a, b in key_schedule(key, np)]
    x0 += words[0][0]
    x1 += words[0][1]
    for i in range(20):
        rotation = ROTATIONS[i % 8]
        x0 += x1
        np.right_shift(x1, 32 - rotation, out=t)
        np.left_shift(x1, rotation, out=x1)
        np.bitwise_or(x1, t, out=x1)
        np.bitwise_xor(x1, x0, out=x1)
        if i % 4 == 3:
            x0 += words[i // 4 + 1][0]
            x1 += words[i // 4 + 1][1]


def key_schedule(key: Any, xp: Namespace) -> list[tuple[Any, Any]]:
    """The two words added before round 0 and after every fourth round."""
    k0, k1 = key
    if isinstance(k0, int):
        k = (k0, k1, k0 ^ k1 ^ _PARITY)
        words = [(k[s % 3], (k[(s + 1) % 3] + s) & _MASK) for s in range(6)]
        if is_jax_namespace(xp):  # a Python int above 2**31 overflows JAX's default integer
            return [(np.uint32(a), np.uint32(b)) for a, b in words]
        return words
    k = (k0, k1, k0 ^ k1 ^ _PARITY)
    return [(k[s % 3], k[(s + 1) % 3] + s) for s in range(6)]


def step_keys(seed: int, first_step: int, n_steps: int, n_layers: int) -> np.ndarray:
    """The dropout keys of some training steps, drawn on the host in one go.

    Parameters
    ----------
    seed : int
        64 bits.
    first_step, n_steps : int
        The steps ``first_step, ..., first_step + n_steps - 1``, counted from 0 over the whole run.
    n_layers : int
        The layers 0 (the input), 1, ..., ``n_layers - 1``.

    Returns
    -------
    ndarray of uint32, shape (n_steps, n_layers, 2)
        ``threefry(seed, (step, layer))``.

    Examples
    --------
    >>> step_keys(0, 0, 2, 1).shape
    (2, 1, 2)
    """
    steps = np.arange(first_step, first_step + n_steps, dtype=np.int64).astype(np.uint32)
    layers = np.arange(n_layers, dtype=np.uint32)
    words = threefry_2x32((seed >> 32 & _MASK, seed & _MASK), steps[:, None], layers[None, :])
    return np.stack(words, axis=-1)


def member_key(key: Any, member: int) -> Any:
    """The key of a member of an ensemble: its number is added to the low word."""
    high, low = key
    if not member:
        return key
    if isinstance(low, int):
        return high, (low + member) & _MASK
    return high, low + low.dtype.type(member)  # uint32 words wrap


def keep_count(rate: float) -> int:
    """How many of the 65,536 values of a 16-bit draw keep a unit; at least one.

    Parameters
    ----------
    rate : float
        Of units that are dropped, in [0, 1].

    Returns
    -------
    int

    Examples
    --------
    >>> keep_count(0.5)
    32768
    """
    return max(1, round((1.0 - rate) * 65536))


def dropout_mask(
    key: Any,
    first_row: int,
    shape: tuple[int, int],
    rate: float,
    dtype: DType,
    xp: Namespace,
    device: Device,
) -> Array:
    """Multipliers of inverted dropout: 0 for a dropped unit, 1 / (kept fraction) for the others.

    A function of the key, the row's position in the step's global batch and the unit alone, so
    shards of a batch draw what the whole batch would have drawn.

    Parameters
    ----------
    key : pair of int or of 0-d uint32 arrays
        See `step_keys`.
    first_row : int
        Position of the first row in the step's global batch.
    shape : (int, int)
        Rows and units.
    rate : float
        Probability of dropping a unit, in [0, 1).
    dtype, xp, device
        Of the mask.

    Returns
    -------
    array of shape (rows, units)

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: a simple way to prevent
    neural networks from overfitting. JMLR 15, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> dropout_mask((0, 1), 0, (2, 5), 0.5, np.float32, np, None).shape
    (2, 5)
    """
    rows, units = shape
    groups = -(-units // 4)  # four 16-bit draws a counter
    word = xp.int64 if is_torch_namespace(xp) else xp.uint32
    if isinstance(first_row, int):
        row = xp.arange(first_row, first_row + rows, dtype=word, device=device)
    else:  # of a traced step
        row = xp.arange(rows, dtype=word, device=device) + first_row
    group = xp.arange(groups, dtype=word, device=device)
    a, b = threefry_2x32(key, row[:, None], group[None, :], xp)
    draws = xp.stack([a & 0xFFFF, a >> 16, b & 0xFFFF, b >> 16], axis=2)
    draws = xp.reshape(draws, (rows, 4 * groups))[:, :units]
    kept = keep_count(rate)
    return xp.astype(draws < kept, dtype) * (65536 / kept)


def host_generator(seed: int, stream: int, index: int = 0, member: int = 0) -> np.random.Generator:
    """A NumPy generator for one purpose, a pure function of its arguments.

    Parameters
    ----------
    seed : int
        64 bits, the seed of the whole run.
    stream : int
        `WEIGHTS`, `SHUFFLE`, `SPLIT`, `PERTURB` or `BLOCKS`.
    index : int
        The epoch, for shuffles: an epoch's order can be drawn again without its predecessors.
    member : int
        Of an ensemble; the first draws what a single network does.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> host_generator(7, SHUFFLE, 3).permutation(4).tolist() == host_generator(
    ...     7, SHUFFLE, 3
    ... ).permutation(4).tolist()
    True
    """
    if index:  # one of many
        given: Any = seed_of_epoch(seed, stream, index, member)
    else:
        given = [seed & _MASK, seed >> 32, stream, index, *([member] if member else [])]
    return np.random.Generator(np.random.PCG64(given))
