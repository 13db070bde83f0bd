"""BLAS's threads, for kernels that share a step among threads of their own.

Such a kernel asks `blas_threads` how many threads it may use, and makes each call inside
`blas_turn`; where that says False it works in one thread. What is held does not outlive the call.

BLAS's number of threads is the process's. threadpoolctl (from 3.8 on) lets one thread at a time
change it, and others' limits do nothing, silently. So there is one limit of ours at a time, which
the last one that wants it takes back and gives up control of; and who needs it looks whether it
is there. A child process begins without any.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Guards the five below and each use of threadpoolctl: a process that is forked while another
# thread looks for libraries, or calls one by ctypes, may not get as far as that itself.
_state = threading.RLock()
_limit: Any = None  # ours, where one is in force
_owner = 0  # the thread that has set it
_before = 0  # how many threads there were
_inside = 0  # threads that want it
_of_all = True  # whether it holds in all threads, so that any may take it back
_queue, _turn = threading.RLock(), threading.RLock()


class _Wanted(threading.local):
    """How many blocks of `one_blas_thread` this thread is in."""

    depth = 0


_wanted = _Wanted()


@cache
def _blas() -> Any:
    """The BLAS libraries in this process; finding them takes milliseconds."""
    import scipy.linalg.cython_blas  # noqa: F401  # the one whose products we use is loaded by now
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController().select(user_api="blas")


def _numbers() -> list[int]:
    """How many threads each library uses now."""
    return [int(library.num_threads or 1) for library in _blas().lib_controllers]


def _of_the_process(library: dict[str, Any]) -> bool:
    """Whether a limit holds in all threads: MKL's and OpenMP's are of the thread that sets them."""
    name, layer = library["internal_api"], library.get("threading_layer")
    return name in ("openblas", "blis") and layer != "openmp"


def blas_threads() -> int:
    """How many threads may share a step, each with products of its own.

    Returns
    -------
    int
        The least of the BLAS libraries' threads, and of the processors; in one of joblib's threads
        a share of these. A limit of xpnn does not count. 1 where there is no BLAS whose products
        can be kept to the thread that asks.

    Examples
    --------
    >>> blas_threads() >= 1
    True
    """
    from joblib import cpu_count  # type: ignore[import-untyped]  # it knows a container's share

    with _state:
        libraries = _blas().info()
        if not libraries or not all(map(_of_the_process, libraries)):
            return 1
        most = most_blas_threads()
        if beside_others():
            most = max(1, min(int(cpu_count()), most) // max(2, _inside))
    return 1 if most == 1 else min(int(cpu_count()), most)


def beside_others() -> bool:
    """Whether this is one of several threads that joblib has put to work, each on a call."""
    if threading.current_thread() is threading.main_thread():
        return False
    from joblib.parallel import get_active_backend  # type: ignore[import-untyped]

    return bool(get_active_backend()[0].nesting_level)


def most_blas_threads() -> int:
    """How many threads a product may take where there is no limit of xpnn; 1 without a BLAS.

    Examples
    --------
    >>> most_blas_threads() >= blas_threads()
    True
    """
    with _state:
        return _before if _limit is not None else min(_numbers(), default=1)


@contextmanager
def one_blas_thread() -> Iterator[bool]:
    """Have products run in the thread that asks for them.

    Yields
    ------
    bool
        Whether it is so. It is not where another thread has a limit of its own in force, or where
        a BLAS has a limit for each thread and this thread's is not ours.

    Notes
    -----
    Of several at a time the first sets the limit, and the last takes it back.

    Examples
    --------
    >>> before = blas_threads()
    >>> with one_blas_thread():
    ...     blas_threads() == before
    True
    """
    alone = _enter()
    try:
        yield alone
    finally:
        _leave()


@contextmanager
def blas_turn() -> Iterator[bool]:
    """`one_blas_thread` for a short call that uses all processors: one such call at a time.

    A limit that another fit takes back would end in the middle of this one's call.

    Yields
    ------
    bool
        As `one_blas_thread`.

    Examples
    --------
    >>> with blas_turn() as alone:
    ...     threads = blas_threads() if alone else 1
    """
    turn = _turn  # after a fork there is another
    with _queue:  # who waits comes before who has just been
        turn.acquire()
    try:
        with one_blas_thread() as alone:
            yield alone
    finally:
        turn.release()


def _enter() -> bool:
    """Set a limit, unless there is one or no need of one; whether one is in force."""
    global _inside
    with _state:
        alone = max(_numbers(), default=1) == 1 or (_limit is None and _set())
        _inside += not _wanted.depth
        _wanted.depth += 1
        return alone


def _set() -> bool:
    """Set a limit; whether it is in force."""
    global _limit, _owner, _before, _of_all
    numbers = _numbers()
    limit = _blas().limit(limits=1, user_api="blas")
    if max(_numbers()) != 1:  # another thread's limit is in force
        _restore(limit, force=False)
        return False
    _limit, _owner, _before = limit, threading.get_ident(), min(numbers)
    _of_all = all(map(_of_the_process, _blas().info()))
    return True


def _leave() -> None:
    """Take the limit back, where nobody else wants it."""
    global _inside
    with _state:
        _wanted.depth -= 1
        if _wanted.depth:
            return
        _inside -= 1
        if not _inside if _of_all else _owner == threading.get_ident():
            _take_back()


def _take_back() -> None:
    global _limit, _owner
    limit, _limit, _owner = _limit, None, 0
    if limit is not None:
        _restore(limit, force=True)


def _restore(limit: Any, *, force: bool) -> None:
    """Undo a limit in whichever thread, and let others have theirs."""
    libraries = _blas().lib_controllers
    clear = [c for c in (getattr(a, "clear_controlling_thread", None) for a in libraries) if c]
    for give_up in clear if force else ():
        give_up(force=True)
    limit.restore_original_limits()
    for give_up in clear:
        give_up()


def _after_fork() -> None:
    """In the child there are no other fits, whatever was going on in the parent."""
    global _state, _queue, _turn, _inside
    _state, _queue, _turn = threading.RLock(), threading.RLock(), threading.RLock()
    _inside = int(_wanted.depth > 0)
    if not _inside:
        _take_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _state.acquire(),
        after_in_parent=lambda: _state.release(),
        after_in_child=_after_fork,
    )
