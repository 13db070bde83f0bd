"""Seeds of NumPy's generators, those of many epochs at once.

NumPy hashes the words that a generator is seeded with (`numpy.random.SeedSequence`), which takes
ten times as long as to make the generator, and as long as the training step of a small network.
Here the same hash, which NumPy promises to keep, goes over arrays.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence

AHEAD = 128  # generators whose seeds are made together
_MASK = 0xFFFFFFFF
Words = np.ndarray[Any, np.dtype[np.uint32]]


class Seed(ISeedSequence):
    """The words that a `numpy.random.SeedSequence` would give a PCG64."""

    __slots__ = ("words",)

    def __init__(self, words: np.ndarray) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        """Return the words, uint64 of shape (4,)."""
        return self.words


def seed_of_epoch(seed: int, stream: int, epoch: int, member: int = 0) -> Seed:
    """What `numpy.random.SeedSequence` makes of ``[seed low, seed high, stream, epoch]``.

    Parameters
    ----------
    seed : int
        64 bits.
    stream, epoch : int
        32 bits each.
    member : int, default=0
        One more word, if it is not 0.

    Examples
    --------
    >>> given, known = seed_of_epoch(7, 1, 3), np.random.SeedSequence([7, 0, 1, 3])
    >>> all(given.generate_state(4) == known.generate_state(4, np.uint64))
    True
    """
    return Seed(_block(seed, stream, epoch // AHEAD, member)[epoch % AHEAD])


@lru_cache(maxsize=1024)  # members that take turns; each has 4 KiB
def _block(seed: int, stream: int, block: int, member: int) -> np.ndarray:
    epochs = np.arange(block * AHEAD, (block + 1) * AHEAD, dtype=np.int64).astype(np.uint32)
    known = [np.full_like(epochs, word) for word in (seed & _MASK, seed >> 32, stream, member)]
    return seed_words(np.stack([*known[:3], epochs, *known[3 : 3 + bool(member)]]))


def seed_words(entropy: Words) -> np.ndarray:
    """What PCG64 is seeded with, of four or five words of entropy, for many generators.

    Parameters
    ----------
    entropy : ndarray of uint32, shape (4, n) or (5, n)

    Returns
    -------
    ndarray of uint64, shape (n, 4)

    References
    ----------
    M. O'Neill: Developing a seed_seq alternative. 2015. numpy/random/bit_generator.pyx.
    """
    pool: Words = _hashed(entropy[:4], _ABSORB[:5])
    for source in range(4):
        others = [i for i in range(4) if i != source]
        hashed = _hashed(pool[source], _ABSORB[4 + 3 * source : 8 + 3 * source])
        pool[others] = _mixed(pool[others], hashed)
    for word in entropy[4:]:
        pool = _mixed(pool, _hashed(word, _ABSORB[16:]))
    halves = _hashed(np.concatenate([pool, pool]), _GIVE).astype(np.uint64)
    return np.ascontiguousarray((halves[::2] | halves[1::2] << np.uint64(32)).T)


def _hashed(words: Words, constants: Words) -> Words:
    """A row of hashes for each constant but the last, of that row of words."""
    words = (words ^ constants[:-1, None]) * constants[1:, None]
    return words ^ words >> np.uint32(16)


def _mixed(pool: Words, hashed: Words) -> Words:
    mixed: Words = pool * np.uint32(0xCA01F9DD) - hashed * np.uint32(0x4973F715)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def _powers(start: int, factor: int, count: int) -> Words:
    """The start times powers of a factor, modulo 2**32."""
    return np.array([start * factor**i & _MASK for i in range(count)], dtype=np.uint32)


_ABSORB, _GIVE = _powers(0x43B0D7E5, 0x931E8875, 21), _powers(0x8B51F9DD, 0x58F38DED, 9)
