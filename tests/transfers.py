"""What crosses between the host and a device, counted.

On CuPy's host double the counters are the runtime's own: every copy, every wait. Elsewhere they
count what goes through the selector, and on array-api-strict also each read of a value.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
from targets import SYNCING, Target

from xpnn.data import Dataset
from xpnn.network import Network
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training import loop as training


@dataclass
class Traffic:
    """Numbers of copies and waits; bytes where the double counts them."""

    to_device: int = 0
    to_host: int = 0
    waits: int = 0
    bytes_to_device: int = 0
    bytes_to_host: int = 0
    kernels: tuple[str, ...] = field(default=(), compare=False)  # names, on the double

    def __sub__(self, other: "Traffic") -> "Traffic":
        return Traffic(*(vars(self)[k] - vars(other)[k] for k in COUNTS))


COUNTS = ("to_device", "to_host", "waits", "bytes_to_device", "bytes_to_host")


def host_double(target: Target) -> Any:
    """The module that counts, where the target is CuPy on the host double; else None."""
    if target.backend.library.name != "cupy" or not importlib.util.find_spec("cupy_on_cpu"):
        return None
    import cupy_on_cpu

    real = target.backend.library.real(target.device)
    return None if real else cupy_on_cpu


@contextmanager
def traffic(target: Target) -> Iterator[Traffic]:
    """Count what happens inside; filled in on leaving."""
    counted, double = Traffic(), host_double(target)
    if double is not None:
        with double.count() as counts:
            yield counted
        counted.to_device, counted.to_host = counts["h2d"], counts["d2h"]
        counted.waits = counts["synchronisations"]
        counted.bytes_to_device, counted.bytes_to_host = counts["h2d_bytes"], counts["d2h_bytes"]
        counted.kernels = tuple(counts["kernels"])
        return
    library = target.backend.library
    with ExitStack() as stack:

        def watch(owner: Any, name: str, *fields: str) -> None:
            original = getattr(owner, name)

            def counting(*args: Any, **kwargs: Any) -> Any:
                for field in fields:
                    setattr(counted, field, getattr(counted, field) + 1)
                return original(*args, **kwargs)

            stack.enter_context(mock.patch.object(owner, name, counting))

        watch(library, "from_numpy", "to_device")
        watch(library, "to_numpy", "to_host", "waits")
        if library.name in ("array_api_strict", "dlpack_only"):
            cls = type(target.xp.asarray(0))
            for name in SYNCING:
                watch(cls, name, "to_host", "waits")
        yield counted


@contextmanager
def watched_epochs(target: Target) -> Iterator[list[Traffic]]:
    """Forbid every look at the device inside an epoch, and list what each epoch moved."""
    epochs: list[Traffic] = []
    original = training._Run.epoch

    def epoch(self: Any, *args: Any) -> Any:
        with target.forbid_sync(), traffic(target) as counted:
            result = original(self, *args)
        epochs.append(counted)
        return result

    with mock.patch.object(training._Run, "epoch", epoch):
        yield epochs
    assert epochs, "no epoch was trained"


def train_watched(
    target: Target,
    network: Network,
    config: TrainingConfig,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    stream: bool = False,
) -> tuple[TrainingState, list[Traffic]]:
    """Train on a target under watch; the results must be of its library, device and dtype."""
    backend, move = target.backend, target.backend.asarray
    theta, buffers = (move(a, dtype=target.dtype_name) for a in network.init(seed=1))
    with backend.device_context():
        moments = config.optimizer.init(theta, backend.xp)
    data = Dataset(x, y, weight, backend, target.dtype, stream=stream)
    state = TrainingState(theta, buffers, moments, seed=1)
    with watched_epochs(target) as epochs:
        state = training.train(network, state, data, config)
    for a in (state.theta, state.buffers, *state.moments):
        target.assert_here(a)
    if target.dtype_name == "float32":
        wide = {name for epoch in epochs for name in epoch.kernels if "float64" in name}
        assert not wide, f"computed in double precision: {', '.join(sorted(wide))}"
    return state, epochs


def growth(target: Target, run: Callable[[int], Any], few: int = 2, many: int = 6) -> Traffic:
    """What each further epoch of ``run(epochs)`` costs, in and between epochs."""
    run(1)  # what happens once a process is no cost of an epoch
    with traffic(target) as short:
        run(few)
    with traffic(target) as long:
        run(many)
    more = long - short
    return Traffic(*(-(-count // (many - few)) for count in (vars(more)[k] for k in COUNTS)))
