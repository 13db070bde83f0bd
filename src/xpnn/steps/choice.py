"""Which training step a fit gets: by its shapes and its number of steps alone.

Never by a clock or by what is already imported, so the same call always runs the same code.
"""

import importlib.util
import os
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_cupy_namespace, is_numpy_namespace, is_torch_namespace

from xpnn.arrays.typing import Namespace
from xpnn.steps.fused import FusedStep, is_plain
from xpnn.steps.numpy import NumpyOps

# Importing numba costs about 0.4 s. NumPy takes about a nanosecond an element between the
# products, 2 for each number drawn, and 50 us a step whatever the shapes.
_WORTH_COMPILING = 5e8


class Fit(NamedTuple):
    """What is known of a call of fit before its first step."""

    rows: int
    batch: int
    epochs: int
    resident: bool
    sparse: bool
    dtype: Any

    @property
    def steps(self) -> int:
        """Training steps, if nothing stops it early."""
        return -(-self.rows // self.batch) * self.epochs


def fused_step(rules: Any, xp: Namespace, fit: Fit) -> FusedStep | None:
    """A step in place for one call of fit, or None where the reference has to do."""
    if fit.sparse or not is_plain(rules.network):
        return None
    if is_numpy_namespace(xp):
        if not uses_numba(rules.network, fit):
            return FusedStep(rules, NumpyOps(xp))
        from xpnn.steps.numba import NumbaOps
        from xpnn.steps.numba_epoch import FusedEpoch

        kind = FusedEpoch if fit.resident else FusedStep
        return kind(rules, NumbaOps(xp))
    if is_cupy_namespace(xp):
        from xpnn.steps.cupy import CupyOps

        return FusedStep(rules, CupyOps(xp))
    if is_torch_namespace(xp):
        from xpnn.steps.torch import TorchOps, TorchStep

        return TorchStep(rules, TorchOps(xp))
    return None


def uses_numba(network: Any, fit: Fit) -> bool:
    """Whether a fit on NumPy is long enough for compiled loops; XPNN_NUMBA=0 or 1 overrules."""
    wanted = numba_wanted()
    if wanted is False or np.dtype(fit.dtype).kind != "f":
        return False
    if wanted is None:
        drawn = network.layers[0].n_in if network.input_dropout else 0
        drawn += sum(d.n_out for d in network.layers if d.dropout)
        units = sum(d.n_out for d in network.layers)
        work = fit.batch * (units + 2 * drawn) + 3 * network.layout.size + 50_000
        if work * fit.steps < _WORTH_COMPILING:
            return False
    return importlib.util.find_spec("numba") is not None


def numba_wanted() -> bool | None:
    """What the environment says of compiled loops: XPNN_NUMBA=0 or 1, or nothing (None)."""
    said = os.environ.get("XPNN_NUMBA", "auto")
    off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return False if off or said == "0" else True if said == "1" else None
