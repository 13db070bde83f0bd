"""Checkpoints of a minimization that SciPy steers: all its evaluations, to be repeated.

SciPy's L-BFGS-B keeps its state to itself. It is a function of the losses and gradients that it
was given, though: a minimization that goes on gets those of its first part again, which costs no
look at the data, and so comes to the same bits. They are kept in memory meanwhile: one vector of
the parameters' size for each evaluation.
"""

import zlib

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.training.checkpoint import CheckpointError, Keeper, Record
from xpnn.training.sound import check_history, check_state
from xpnn.training.state import TrainingState

Evaluation = tuple[float, np.ndarray]


class Tape:
    """Evaluations and iterations of one minimization.

    Parameters
    ----------
    state : TrainingState
        Where it starts.

    Attributes
    ----------
    state : TrainingState
        Where it starts; that of the checkpoint, if there is one.
    stopped : bool
        Whether a callback has ended it.
    """

    def __init__(self, keeper: Keeper, state: TrainingState, backend: Backend) -> None:
        self.keeper, self.backend, self.state = keeper, backend, state
        self.points: list[int] = []
        self.losses: list[float] = []
        self.gradients: list[np.ndarray] = []
        self.metrics: list[dict[str, float]] = []
        self.stopped = False
        self.repeated = self.iterations = 0  # of those known
        if keeper.found is not None:
            with keeper.reading():
                self._restore(keeper.found)
        self.known = len(self.points)
        self.known_metrics = list(self.metrics)
        self.start = self.state.copy(backend.xp)
        keeper.start(self.known, len(self.metrics), self._record)

    def again(self, x: np.ndarray) -> Evaluation | None:
        """What is known of the next point; None where nothing is."""
        at = self.repeated
        if at >= self.known:
            return None
        if self.points[at] != _mark(x):  # another SciPy, or another processor: from here on anew
            self._forget(at)
            return None
        self.repeated += 1
        return self.losses[at], self.gradients[at].astype(np.float64)

    def add(self, x: np.ndarray, loss: float, gradient: np.ndarray) -> None:
        """After an evaluation."""
        self.points.append(_mark(x))
        self.losses.append(loss)
        self.gradients.append(gradient)
        steps, epochs = len(self.points), len(self.metrics)
        if self.keeper.due(steps, epochs):
            self.keeper.save(steps, epochs, self._record)

    def iteration(self, number: int) -> dict[str, float] | None:
        """What was measured after an iteration, from 1, that callbacks have heard of already."""
        known = self.known_metrics
        self.iterations = number
        return known[number - 1] if number <= len(known) else None

    def stops_after(self, number: int) -> bool:
        """Whether a callback has asked to stop after that iteration."""
        return self.stopped and number == len(self.known_metrics)

    def end(self) -> None:
        """After the last evaluation, or where it was cut off."""
        if len(self.points) > self.known or len(self.metrics) > len(self.known_metrics):
            self.keeper.save(len(self.points), len(self.metrics), self._record)
        self.keeper.stop_if_terminated()

    def _forget(self, at: int) -> None:
        del self.points[at:], self.losses[at:], self.gradients[at:]
        del self.metrics[self.iterations :], self.known_metrics[self.iterations :]
        self.known, self.stopped = at, False

    def _record(self) -> Record:
        to_numpy, s = self.backend.to_numpy, self.start
        theta = to_numpy(s.theta)
        arrays = {
            "theta": theta,
            "buffers": to_numpy(s.buffers),
            "points": np.array(self.points, dtype=np.int64),
            "losses": np.array(self.losses, dtype=np.float64),
            "gradients": np.array(self.gradients, dtype=theta.dtype).reshape(-1, len(theta)),
        }
        header = {
            "state": s.scalars(),
            "metrics": list(self.metrics),
            "stopped": self.stopped,
        }
        return Record(header, arrays)

    def _restore(self, record: Record) -> None:
        header, arrays = record.header, record.arrays
        if arrays["theta"].shape != tuple(self.state.theta.shape):
            raise CheckpointError(
                f"The checkpoint is of {len(arrays['theta'])} parameters, and this network has "
                f"{int(self.state.theta.shape[0])}."
            )
        move = self.backend.asarray
        theta, buffers = (move(arrays[k], dtype=arrays[k].dtype.name) for k in ("theta", "buffers"))
        self.state = TrainingState(theta, buffers, (), **header["state"])
        self.points, self.losses = arrays["points"].tolist(), arrays["losses"].tolist()
        self.gradients, self.metrics = list(arrays["gradients"]), list(header["metrics"])
        self.stopped = header["stopped"]
        check_state(header["state"])
        lengths = {len(self.points), len(self.losses), len(self.gradients)}
        if len(lengths) > 1 or arrays["gradients"].shape[1:] != arrays["theta"].shape:
            raise ValueError("its evaluations do not fit together")
        for metrics in self.metrics:
            check_history({name: [value] for name, value in metrics.items()})


def _mark(x: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(x).data)
