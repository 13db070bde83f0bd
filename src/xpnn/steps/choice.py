"""Which training step a fit gets: by its shapes and settings alone.

Never by a clock or by what is already imported, so the same call always runs the same code. Which
it was is a line of the logger "xpnn" at level DEBUG.
"""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import is_cupy_namespace, is_numpy_namespace, is_torch_namespace

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Namespace
from xpnn.distributed.communicator import Communicator
from xpnn.steps.compiled import library
from xpnn.steps.compiled.members import CompiledMembers
from xpnn.steps.compiled.plan import SUFFIXES, known_rules
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.cut import Shares
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import NumpyOps
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Rules, Steps

_log = logging.getLogger("xpnn")


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


def training_steps(
    rules: Rules,
    fit: Fit,
    backend: Backend,
    comm: Communicator | None = None,
    shares: Shares | None = None,
    interrupted: Callable[[], bool] | None = None,
) -> Steps:
    """The steps of one call of fit: the fastest there are for its arrays.

    With a communicator, those that all of its processes take together. Without, a step may end
    with a `StepInterrupted` where `interrupted` says so.
    """
    if comm is None:
        steps = _steps(rules, fit, backend, interrupted)
    else:
        from xpnn.steps.sharded import ShardedSteps

        quick = not rules.network.buffer_layout.size and runs_compiled(rules, fit, backend.xp)
        steps = ShardedSteps(rules, fit, backend, comm, shares, quick=quick)
    _log.debug("training steps: %s on %s", type(steps).__name__, backend.name)
    return steps


def _steps(
    rules: Rules, fit: Fit, backend: Backend, interrupted: Callable[[], bool] | None
) -> Steps:
    xp, place = backend.xp, (backend, fit.dtype)
    if is_numpy_namespace(xp):

        def others() -> Steps:
            if fit.sparse:
                return ReferenceSteps(rules, *place)
            return InPlaceSteps(rules, NumpyOps(xp), *place)

        if runs_compiled(rules, fit, xp):
            kind = CompiledSteps if rules.network.members == 1 else CompiledMembers
            return kind(rules, others, fit.sparse, interrupted)
        return others()
    if fit.sparse:
        return ReferenceSteps(rules, *place)
    if is_cupy_namespace(xp):
        from xpnn.steps.cuda.choice import cuda_steps

        return cuda_steps(rules, *place)
    if is_torch_namespace(xp):
        from xpnn.steps.torch import TorchOps, TorchSteps

        return TorchSteps(rules, TorchOps(xp), *place)
    return ReferenceSteps(rules, *place)


def runs_compiled(rules: Rules, fit: Fit, xp: Namespace) -> bool:
    """Whether there are compiled steps for a fit."""
    if not is_numpy_namespace(xp) or fit.dtype not in SUFFIXES or library() is None:
        return False
    return known_rules(rules)
