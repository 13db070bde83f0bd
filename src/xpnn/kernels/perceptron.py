"""The perceptron epoch for a namespace: compiled where it can be, else the reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from array_api_compat import is_cupy_namespace, is_numpy_namespace

from xpnn._typing import Array, Namespace
from xpnn.kernels.perceptron_reference import Data, Rule, State, initial_state

__all__ = ["Data", "Epoch", "Rule", "State", "initial_state", "select_epoch"]

Epoch = Callable[[State, Data, Array, Rule, Namespace], tuple[State, Array]]


@cache
def select_epoch(xp: Namespace) -> Epoch:
    """The fastest `epoch` there is for the arrays of a namespace."""
    if is_numpy_namespace(xp):
        try:  # numba is optional
            kernels = import_module("xpnn.kernels.perceptron_numba")
        except ImportError:
            kernels = import_module("xpnn.kernels.perceptron_numpy")
    elif is_cupy_namespace(xp):
        kernels = import_module("xpnn.kernels.perceptron_cupy")
    else:
        kernels = import_module("xpnn.kernels.perceptron_reference")
    chosen: Epoch = kernels.epoch
    return chosen
