"""BLAS's threads, for kernels that share a step among threads of their own."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_lock = threading.Lock()
_inside = 0
_before: list[int] = []


@cache
def _libraries() -> list[Any]:
    """The BLAS libraries in this process; finding them takes milliseconds."""
    import scipy.linalg.cython_blas  # noqa: F401  # the one whose products we use is loaded by now
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    found: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
    return found


def blas_threads() -> int:
    """How many threads a product may use: the least of the BLAS libraries, and of the processors.

    What `one_blas_thread` has set meanwhile does not count.
    """
    from joblib import cpu_count  # type: ignore[import-untyped]  # it knows a container's share

    with _lock:
        now = list(_before) if _inside else [int(b.get_num_threads()) for b in _libraries()]
    return min([*now, int(cpu_count())]) if now else 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """A product runs in the thread that asks for it.

    The setting is the process's: the first of several fits at a time makes it, the last undoes it,
    but for libraries that somebody else has set to another number in between.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside
    with _lock:
        if _inside == 0:
            _before[:] = [int(b.get_num_threads()) for b in _libraries()]
        _inside += 1
        for b in _libraries():
            b.set_num_threads(1)


def _leave() -> None:
    global _inside
    with _lock:
        _inside = max(0, _inside - 1)
        if _inside == 0:
            for b, n in zip(_libraries(), _before, strict=True):
                if b.get_num_threads() == 1:
                    b.set_num_threads(n)


def _after_fork() -> None:
    """In the child there are no other fits, whatever was going on in the parent."""
    global _lock, _inside
    _lock = threading.Lock()
    if _inside:
        _inside = 1
        _leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
