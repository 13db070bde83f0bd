"""Whether numbers of a file can be those of a training: told when it is read, not later."""

import math
from typing import Any, get_args

import numpy as np

from xpnn.training.state import Outcome

MOST = 2**53
"""Of anything that is counted."""


def check_count(name: str, value: Any, low: int = 0, high: int = MOST) -> int:
    """A whole number within bounds, or a ValueError."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"its {name} is {value!r}")
    return value


def check_range(name: str, array: np.ndarray, least: float = -np.inf) -> None:
    """Raise a ValueError unless the squares of all values can be summed up."""
    limit = float(np.finfo(array.dtype).max) ** 0.5
    if array.size and not (array.min() >= max(least, -limit) and array.max() <= limit):
        raise ValueError(f"{name} has a value out of range")


def check_state(state: dict[str, Any]) -> None:
    """Raise a ValueError unless these are the numbers and words of a training state."""
    check_count("seed", state["seed"], high=2**64 - 1)
    for name in ("step", "t", "samples", "epoch", "plateaus", "stale"):
        check_count(name, state[name])
    if not isinstance(state["monitor"], str):
        raise ValueError(f"its monitor is {state['monitor']!r}")
    if not isinstance(state["best"], float) or math.isnan(state["best"]):
        raise ValueError(f"its best is {state['best']!r}")
    if state["outcome"] not in get_args(Outcome):
        raise ValueError(f"its outcome is {state['outcome']!r}")
    check_history(state["history"])


def check_history(history: Any) -> None:
    """Raise a ValueError unless this is what `history_` can be."""
    if not isinstance(history, dict):
        raise ValueError("its history is no table")
    for curve in history.values():
        if not isinstance(curve, list) or not all(isinstance(v, float) for v in curve):
            raise ValueError("its history is no table of numbers")
    if len({len(curve) for curve in history.values()}) > 1:
        raise ValueError("the curves of its history have different lengths")
