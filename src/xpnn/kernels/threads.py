"""BLAS's threads, for kernels that share a step among threads of their own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_lock = threading.Lock()
_inside = 0
_before: list[int] = []


@cache
def _libraries() -> list[Any]:
    """The BLAS libraries in this process; finding them takes milliseconds."""
    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


def blas_threads() -> int:
    """How many threads a product may use now: the least of the BLAS libraries loaded."""
    return min((int(b.get_num_threads()) for b in _libraries()), default=1)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A product runs in the thread that asks for it.

    The setting is the process's: the first of several fits at a time makes it, the last undoes it.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _before[:] = [b.get_num_threads() for b in _libraries()]
            for b in _libraries():
                b.set_num_threads(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for b, n in zip(_libraries(), _before, strict=True):
                    b.set_num_threads(n)
