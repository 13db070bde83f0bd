"""How threads of compiled code wait for each other: by looking, not by sleeping.

A step of a small network takes less time than the system needs to wake a thread. So a thread looks
for a while, then offers its processor between two looks, and in the end goes home.
"""

import ctypes
import sys
from functools import cache
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from xpnn.steps.numba_loops import inner, jit

IDLE, POSTED, GONE = range(3)
"""What a thread's box says: it waits for work, it has work, it waits no longer."""
BOX = 8  # numbers apart, so that each is in a cache line of its own
COUNTER, ABANDONED = 0, 1  # boxes that are no thread's: arrivals at meetings; an end to all waiting
FIRST = 2  # the first thread's box
_LOOKS = 2000  # before the processor is offered to others: some microseconds
_PATIENCE = 4000  # looks at an empty box: about a millisecond, as offering it takes longer


@cache
def yield_address() -> int:
    """Where the system's call is that lets another thread run; 0 if there is none."""
    try:
        if sys.platform == "win32":
            call: Any = ctypes.WinDLL("kernel32").SwitchToThread
        else:
            call = ctypes.CDLL(None).sched_yield
    except (OSError, AttributeError):
        return 0
    return int(ctypes.cast(call, ctypes.c_void_p).value or 0)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@intrinsic
def _add(typing, array, index, value):  # type: ignore[no-untyped-def]
    """Add to an element that other threads see."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], values[0], values[1])
        return builder.atomic_rmw("add", place, values[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), generate


@intrinsic
def _look(typing, array, index):  # type: ignore[no-untyped-def]
    """An element as other threads left it."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], values[0], values[1])
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array, types.int64), generate


@intrinsic
def _swap(typing, array, index, old, new):  # type: ignore[no-untyped-def]
    """Replace an element if it is `old`; whether it was."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], values[0], values[1])
        done = builder.cmpxchg(place, values[2], values[3], "seq_cst")
        return builder.extract_value(done, 1)

    return types.boolean(array, types.int64, types.int64, types.int64), generate


@intrinsic
def _call(typing, address):  # type: ignore[no-untyped-def]
    """Call a C function without arguments."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@inner
def meet(boxes, goal, let_others):  # type: ignore[no-untyped-def]
    """Wait until all threads have come, so that `goal` have in all; False if one gave up."""
    _add(boxes, COUNTER * BOX, 1)
    looks = 0
    while _look(boxes, COUNTER * BOX) < goal:
        if _look(boxes, ABANDONED * BOX) != 0:
            return False
        looks += 1
        if looks > _LOOKS and let_others != 0:
            _call(let_others)
    return True


@jit
def post(boxes, thread):  # type: ignore[no-untyped-def]
    """Give a thread work, once it has finished its last; False if it has gone: start it anew."""
    at = (FIRST + thread) * BOX
    while not _swap(boxes, at, IDLE, POSTED):
        if _swap(boxes, at, GONE, POSTED):
            return False
    return True


@inner
def wait_for_work(boxes, thread, let_others):  # type: ignore[no-untyped-def]
    """Wait for work in a thread's box; False when it has waited long enough, or was sent home."""
    at, looks = (FIRST + thread) * BOX, 0
    while True:
        said = _look(boxes, at)
        if said != IDLE:
            return said == POSTED
        looks += 1
        if looks > _PATIENCE and _swap(boxes, at, IDLE, GONE):
            return False
        if looks > _LOOKS and let_others != 0:
            _call(let_others)


@inner
def finished(boxes, thread):  # type: ignore[no-untyped-def]
    """Say that a thread's work is done."""
    _swap(boxes, (FIRST + thread) * BOX, POSTED, IDLE)


@jit
def send_home(boxes, threads):  # type: ignore[no-untyped-def]
    """Let threads without work end now."""
    for thread in range(threads):
        _swap(boxes, (FIRST + thread) * BOX, IDLE, GONE)
