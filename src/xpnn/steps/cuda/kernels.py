"""The kernels: compiled once a file and floating type, kept by CuPy on disk, and launched."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from xpnn.arrays.numeric import largest_exponent
from xpnn.arrays.random import keep_count
from xpnn.arrays.typing import Array
from xpnn.model.layer import Drop
from xpnn.model.normalization import EPSILON, MOMENTUM
from xpnn.parts import activations as parts
from xpnn.parts.activations import ACTIVATIONS
from xpnn.parts.losses import LOSSES
from xpnn.parts.optimizers import OPTIMIZERS

KEEP_ALL = 65536
COLUMNS, LANES = 32, 16  # threads of a block that sums columns
THREADS = 256  # of other blocks
WHOLE, EACH = 512, 4  # of the block of whole steps; rows of a unit that one of them computes
TILE = 16  # rows and columns that a block of a product computes
MOST_BLOCKS = 1024  # of an elementwise launch; its threads go on from there
SPREAD = 256  # blocks that columns' rows are shared among, about two for each processor

ACTIVATION = {name: i for i, name in enumerate([*ACTIVATIONS, "one"])}
LOSS = {name: i for i, name in enumerate(LOSSES)}
OPTIMIZER = {name: i for i, name in enumerate(OPTIMIZERS)} | {
    "adamw": list(OPTIMIZERS).index("adam")
}
ROWWISE = ("softmax", "log_softmax")
# What a file needs beside common.cuh. Small files: the first fit compiles what it uses.
_BEFORE: dict[str, tuple[str, ...]] = {"dense": ("columns",), "scale": ("columns",)}
_BEFORE |= {"batch_norm": ("statistics",), "batch_chunks": ("columns", "statistics")}
_BEFORE |= {"losses": ("terms",), "whole": ("terms", "penalties", "rule")}
_BEFORE |= {"measure": ("penalties",), "update": ("penalties", "rule")}
KEEP_Z = ("gelu", "silu", "mish", "softsign", *ROWWISE)  # whose way back needs more than outputs


def _defines(dtype: str) -> str:
    numbers = {
        "REAL": {"float32": "float", "float64": "double"}[dtype],
        "LOWEST": "(T)__int_as_float(0xff800000)",  # minus infinity, which NVRTC does not name
        "LARGEST_EXPONENT": largest_exponent(getattr(cupy, dtype), cupy),
        "LEAKY_SLOPE": parts.LEAKY_SLOPE,
        "SELU_SCALE": parts.SELU_SCALE,
        "SELU_ALPHA": parts.SELU_ALPHA,
        "GELU_SLOPE": parts.GELU_SLOPE,
        "GELU_CUBIC": parts.GELU_CUBIC,
        "MISH_LIMIT": parts.MISH_LIMIT,
        "EPSILON": EPSILON,
        "MOMENTUM": MOMENTUM,
        "TWO_PI": 2.0 * math.pi,
        "COLUMNS": COLUMNS,
        "LANES": LANES,
        "THREADS": THREADS,
        "TILE": TILE,
        "WHOLE": WHOLE,
        "EACH": EACH,
        **{name.upper(): i for name, i in (ACTIVATION | LOSS).items()},
        **{name.upper(): i for name, i in OPTIMIZER.items() if name not in ("momentum", "adamw")},
        "MOMENTUM_RULE": OPTIMIZER["momentum"],
    }
    return "".join(f"#define {name} {value!r}\n" for name, value in numbers.items()).replace(
        "'", ""
    )


@cache
def _module(file: str, dtype: str) -> Any:
    folder = Path(__file__).parent
    names = ("common", *_BEFORE.get(file, ()), file)
    sources = [(folder / f"{name}.cuh").read_text("utf-8") for name in names]
    return cupy.RawModule(code=_defines(dtype) + "".join(sources))


@cache
def kernel(file: str, name: str, dtype: Any) -> Any:
    """A kernel of one of the files beside this one, in float32 or float64."""
    return _module(file, np.dtype(dtype).name).get_function(name)


def blocks(count: int) -> tuple[int]:
    """The grid of an elementwise launch."""
    return (min(MOST_BLOCKS, max(1, -(-count // THREADS))),)


def chunks(rows: int, others: int, least: int) -> tuple[int, int]:
    """Into how many chunks rows are cut, beside so many other blocks, and the rows of one.

    By shapes alone, so that a run repeats to the bit.
    """
    count = max(1, min(-(-rows // least), SPREAD // max(1, others)))
    size = -(-rows // count)
    return -(-rows // size), size


def drop_arguments(drop: Drop | None) -> tuple[int, float, Array | None, int, int, int]:
    """Kept draws, their scale, the key and the first row, as the kernels take them.

    A key is an array on the device, or two words.
    """
    if drop is None:
        return KEEP_ALL, 1.0, None, 0, 0, 0
    kept, key = keep_count(drop.rate), drop.key
    if isinstance(key, cupy.ndarray):
        return kept, KEEP_ALL / kept, key, 0, 0, drop.first_row
    high, low = key
    return kept, KEEP_ALL / kept, None, int(high), int(low), drop.first_row


class Rooms:
    """Workspaces of kernels, one for all launches of a stream: each is done before the next.

    Counters of blocks are zero between launches.
    """

    def __init__(self) -> None:
        self._partials: dict[Any, Array] = {}
        self._arrived: Array = None
        self._kept: dict[Any, Array] | None = None
        self._asked = 0

    def keep(self) -> None:
        """From now on, each step's arrays are those of the step before."""
        self._kept = {}

    def begin(self) -> None:
        """A step begins."""
        self._asked = 0

    def empty(self, shape: Any, dtype: Any) -> Array:
        """An array for the rest of a step."""
        if self._kept is None:
            return cupy.empty(shape, dtype=dtype)
        self._asked += 1
        name = self._asked, shape, np.dtype(dtype)
        if name not in self._kept:
            self._kept[name] = cupy.empty(shape, dtype=dtype)
        return self._kept[name]

    def partial(self, size: int, dtype: Any) -> Array:
        """Room for blocks' sums."""
        room = self._partials.get(dtype)
        if room is None or room.size < size:
            room = self._partials[dtype] = cupy.empty(max(size, 4096), dtype=dtype)
        return room

    def arrived(self, size: int) -> Array:
        """Counters of blocks that are done."""
        if self._arrived is None or self._arrived.size < size:
            self._arrived = cupy.zeros(max(size, 1024), dtype=np.uint32)
        return self._arrived
