"""A run of the training loop as a checkpoint's record, and back to the same bits."""

from collections.abc import Iterable
from typing import Any, get_args

import numpy as np

from xpnn.arrays.backend import Backend, dtype_name, to_numpy
from xpnn.arrays.typing import Array
from xpnn.training.checkpoint import CheckpointError, Record
from xpnn.training.sound import check_count, check_history, check_state
from xpnn.training.state import Outcome, TrainingState, Weights

_PLAIN = ("first", "at", "rate", "message", "validated", "settled")
_SETS = ("good", "best", "kept")  # weights beside those in training


def run_record(run: Any, callbacks: Iterable[Any]) -> Record:
    """All that a run needs to go on.

    Parameters
    ----------
    run : the run of `xpnn.training.loop`
        Between two steps.
    callbacks : iterable
        Of these, what those that have `save_state` say of themselves.
    """
    s = run.state
    arrays = {"theta": s.theta, "buffers": s.buffers, "total": run.total}
    arrays |= {f"moment_{i}": m for i, m in enumerate(s.moments)}
    names: dict[str, str | None] = {}
    seen: dict[int, str] = {}
    for name, weights in zip(_SETS, (run.good, run.best, s.best_weights), strict=True):
        names[name] = None if weights is None else seen.setdefault(id(weights), name)
        if weights is not None and names[name] == name:
            arrays |= {f"{name}_theta": weights[0], f"{name}_buffers": weights[1]}
    states = []
    for i, callback in enumerate(c for c in callbacks if hasattr(c, "save_state")):
        plain, own = callback.save_state()
        states.append(plain)
        arrays |= {f"callback_{i}_{name}": a for name, a in own.items()}
    header = {
        "state": s.scalars(),
        "moments": len(s.moments),
        "run": {name: getattr(run, name) for name in _PLAIN},
        "sets": names,
        "callbacks": states,
    }
    return Record(header, {k: to_numpy(a) for k, a in arrays.items() if a is not None})


def restore_run(run: Any, record: Record, callbacks: Iterable[Any]) -> None:
    """Put a run where `run_record` found one.

    Parameters
    ----------
    run : the run of `xpnn.training.loop`
        Of the same network, data and configuration; not begun.
    callbacks : iterable
        Those that have `load_state` are told what they said.
    """
    header, arrays, backend = record.header, record.arrays, run.data.backend
    _check(run, record)

    def weights(name: str) -> Weights:
        return (
            moved(backend, arrays[f"{name}_theta"]),
            moved(backend, arrays[f"{name}_buffers"]),
            (),
        )

    made = {name: weights(name) for name in _SETS if header["sets"][name] == name}
    sets = {k: None if name is None else made[name] for k, name in header["sets"].items()}
    run.good, run.best = sets["good"], sets["best"]
    moments = tuple(moved(backend, arrays[f"moment_{i}"]) for i in range(header["moments"]))
    theta, buffers = (moved(backend, arrays[name]) for name in ("theta", "buffers"))
    run.state = TrainingState(theta, buffers, moments, best_weights=sets["kept"], **header["state"])
    for name in _PLAIN:
        setattr(run, name, header["run"][name])
    run.outcome = run.settled
    run.total = moved(backend, arrays["total"]) if "total" in arrays else None
    able = [c for c in callbacks if hasattr(c, "load_state")]
    if len(able) != len(header["callbacks"]):
        raise CheckpointError(
            f"The checkpoint is of {len(header['callbacks'])} callbacks that keep a state, and now "
            f"there are {len(able)}: pass the same callbacks."
        )
    for i, (callback, plain) in enumerate(zip(able, header["callbacks"], strict=True)):
        start = f"callback_{i}_"
        own = {k[len(start) :]: a for k, a in arrays.items() if k.startswith(start)}
        callback.load_state(plain, own)


def moved(backend: Backend, a: np.ndarray) -> Array:
    """An array of a record on the device, which training may write into."""
    return backend.asarray(a, dtype=a.dtype.name, copy=True)


def _check(run: Any, record: Record) -> None:
    """Raise a ValueError where arrays or numbers are not those of this training."""
    header, s = record.header, run.state
    check_state(header["state"])
    wanted = {"theta": s.theta, "buffers": s.buffers}
    wanted |= {f"moment_{i}": m for i, m in enumerate(s.moments)}
    for name in (v for k, v in header["sets"].items() if k == v):
        wanted |= {f"{name}_theta": s.theta, f"{name}_buffers": s.buffers}
    if header["moments"] != len(s.moments) or set(header["sets"]) != set(_SETS):
        raise ValueError(f"it has {header['moments']} moments and the weights {header['sets']}")
    for name, array in wanted.items():
        found, dtype = record.arrays[name], dtype_name(array.dtype)
        if tuple(array.shape) != found.shape or dtype != found.dtype.name:
            raise ValueError(
                f"{name} is {found.dtype} of shape {found.shape}, and this training has {dtype} of "
                f"{tuple(array.shape)}"
            )
    told = header["run"]
    step, epoch = (check_count("start", n) for n in told["first"])
    steps = -(-run.data.n // run.config.batch_size)
    check_count("step of the epoch", told["at"], high=steps)
    check_count("epoch", header["state"]["epoch"], epoch, epoch + run.config.epochs)
    check_count("step", header["state"]["step"], step)
    check_history({"rate": [told["rate"]]})
    if told["settled"] not in get_args(Outcome) or type(told["message"]) is not str:
        raise ValueError(f"its outcome is {told['settled']!r}")
    if not all(type(name) is str for name in told["validated"]):
        raise ValueError(f"its metrics are {told['validated']!r}")
    if told["at"] and record.arrays["total"].shape != ():
        raise ValueError("its loss is no number")
