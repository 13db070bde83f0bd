"""Which steps a fit on CuPy gets: by its settings, and by what `XPNN_CUDA_STEPS` asks for."""

import os

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import DType
from xpnn.steps.cuda.graph import GraphOps, GraphSteps
from xpnn.steps.cuda.steps import CupySteps
from xpnn.steps.cuda.whole import WholeSteps
from xpnn.steps.cupy import CupyOps
from xpnn.steps.rules import Rules

KINDS: dict[str, type[CupySteps]] = {
    "launches": CupySteps,
    "graph": GraphSteps,
    "whole": WholeSteps,
}


def cuda_steps(rules: Rules, backend: Backend, dtype: DType) -> CupySteps:
    """Steps of several launches, or of the kind that the environment asks for where it suits."""
    asked = os.environ.get("XPNN_CUDA_STEPS") or "launches"
    if asked not in KINDS:
        raise ValueError(
            f"the environment variable XPNN_CUDA_STEPS is {asked!r}, expected one of "
            f"{', '.join(KINDS)}; unset it for the default, launches."
        )
    if asked != "launches":
        kind = WholeSteps if asked == "whole" else GraphSteps
        steps = kind(rules, GraphOps(backend.xp), backend, dtype)
        if steps.suits():
            return steps
    return CupySteps(rules, CupyOps(backend.xp), backend, dtype)
