"""The threads that share a fit's steps, as Python sees them."""

import ctypes
import os
import weakref
from typing import Any

_forks = 0  # a forked child has none of its parent's threads


def _after_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Pool:
    """`parts` threads, the caller's among them, or as many as the system gives.

    They end with this object, sleep when they have nothing to do, and keep no process from ending.
    """

    def __init__(self, lib: Any, parts: int) -> None:
        lib.xpnn_pool_begin.restype = ctypes.c_void_p
        lib.xpnn_pool_parts.restype = ctypes.c_int64
        self.handle: int | None = lib.xpnn_pool_begin(ctypes.c_int64(parts)) if parts > 1 else None
        self.parts = int(lib.xpnn_pool_parts(ctypes.c_void_p(self.handle))) if self.handle else 1
        self._born = _forks
        if self.handle:
            weakref.finalize(self, _end, lib, self.handle, _forks).atexit = False

    @property
    def alive(self) -> bool:
        """Whether its threads are in this process."""
        return self._born == _forks


def _end(lib: Any, handle: int, born: int) -> None:
    if born == _forks:
        lib.xpnn_pool_end(ctypes.c_void_p(handle))
