"""Whether all numbers of an array are finite, compiled from C and shared by threads."""

import numpy as np

from xpnn.steps import threads
from xpnn.steps.compiled import library
from xpnn.steps.compiled.plan import SUFFIXES, address, function
from xpnn.steps.compiled.pool import Pool

_BYTES_APART = 1 << 27  # between two looks at Ctrl-C: less than a twentieth of a second
_FEWEST_BYTES = 1 << 23  # of a thread's share: starting one takes its time
_MOST_THREADS = 16  # READERS in finite.h


def all_finite(x: np.ndarray) -> bool | None:
    """Whether there is neither NaN nor an infinity; None for what is not in one piece or compiled.

    Examples
    --------
    >>> all_finite(np.asarray([1.0, np.nan])) in (False, None)
    True
    """
    whole = x.flags.c_contiguous or x.flags.f_contiguous
    if x.dtype not in SUFFIXES or not whole or not x.size or library() is None:
        return None
    parts = min(x.nbytes // _FEWEST_BYTES, _MOST_THREADS)
    parts = min(parts, threads.blas_threads()) if parts > 1 else 1
    pool = Pool(library(), parts)
    look, start, most = function("finite", x.dtype), address(x) or 0, _BYTES_APART // x.itemsize
    return all(
        look(pool.handle, start + i * x.itemsize, min(most, x.size - i), pool.parts)
        for i in range(0, x.size, most)
    )
