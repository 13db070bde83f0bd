"""When the learning rate rises and falls, and what was found in its valleys."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnn.arrays.typing import Array
from xpnn.parts.schedules import Progress, coslog
from xpnn.training.callbacks import EpochEnd
from xpnn.training.interrupt import never
from xpnn.training.state import TrainingState

_CYCLES = 4
ENOUGH = 1e-4
"""Log-loss out of fold below which nothing is left to learn of classes."""

LITTLE = 0.25
"""Of the log-loss of who knows nothing but shares: below it, classes have little noise."""

CALM = 0.1
"""Of the variance of numbers, the squared error out of fold below which they have little noise."""

FALLING = 0.9
"""Times the best score before: a last valley of numbers below it is still far from the end."""

_WORSE = 1.1  # times the best score: a valley that ends training, as a later one would be no better
_LONGER = 2  # cycles more, where there is more to learn
_BETTER = 0.8  # times the best score: a valley of these that counts, and lets the next one come
_JUDGED = 2  # valleys after which a training may be given up
_STRONG = 50.0  # times the weight decay, in these, of classes


class _LookEndedError(Exception):
    """Ctrl-C has ended a look."""


class Valley(NamedTuple):
    """What was found where the learning rate is zero."""

    epoch: int
    score: float  # out of fold; the lower the better
    state: Any  # of training
    held: np.ndarray  # predictions out of fold, (repeats, n, n_out)


def longer_cycles(epochs: int) -> list[int]:
    """Epochs of cycles beyond all others, where there is more to learn.

    Parameters
    ----------
    epochs : int
        Of the others.

    Returns
    -------
    list of int
        Each twice as long as the one before, as `valley_epochs` has it.

    Examples
    --------
    >>> longer_cycles(60)
    [64, 128]
    """
    whole = 2**_CYCLES - 1
    return [round(epochs * 2 ** (_CYCLES + i) / whole) for i in range(_LONGER)]


def valley_epochs(epochs: int) -> list[int]:
    """Ends of cycles, each twice as long as the one before.

    Parameters
    ----------
    epochs : int
        Of all cycles.

    Returns
    -------
    list of int
        In rising order; the last is `epochs`.

    Examples
    --------
    >>> valley_epochs(60), valley_epochs(3)
    ([4, 12, 28, 60], [1, 3])
    """
    whole = 2**_CYCLES - 1
    ends = (round(epochs * (2 ** (i + 1) - 1) / whole) for i in range(_CYCLES))
    return sorted({max(1, end) for end in ends})


class Plan:
    """The schedule of one training, and the callback that looks at its valleys.

    Parameters
    ----------
    look : callable (state) -> (score, held)
        Scores the rows out of fold.
    limit : float, default=None
        Seconds from now on. Where all epochs would take longer, the cycles still to come are
        shortened.
    clock : callable, default=time.monotonic
    move : callable, default=numpy.asarray
        Brings an array of a checkpoint to the device.
    enough : float, default=0.0
        A valley with a score below it ends training.
    little : float, default=0.0
        Where the best score is below it, longer cycles with a strong weight decay follow: a
        network that has little noise to learn finds simpler rules when it has to be small.
    calm : float, default=0.0
        Once the best score is below it, training goes on without dropout.
    falling : float, default=0.0
        Where the last score is below this times the best one before it, a longer cycle follows.
    than : float, default=inf
        Two valleys that are no better end training.
    agreed : callable, default=identity
        Of the seconds spent here those that all processes go by.
    """

    def __init__(
        self,
        epochs: int,
        look: Callable[[Any], tuple[float, np.ndarray]],
        limit: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        move: Callable[[np.ndarray], Array] = np.asarray,
        enough: float = 0.0,
        little: float = 0.0,
        calm: float = 0.0,
        falling: float = 0.0,
        than: float = math.inf,
        agreed: Callable[[float], float] = lambda spent: spent,
    ) -> None:
        self.pressed: Callable[[], bool] = never  # Ctrl-C, in a look at a valley
        self.look, self.limit, self.clock, self.move = look, limit, clock, move
        self.enough, self.little, self.calm, self.falling = enough, little, calm, falling
        self.than, self.agreed = than, agreed
        self.began = clock()
        self.ends = valley_epochs(epochs)
        self.longer = longer_cycles(epochs) if little > 0 or falling > 0 else []  # may come
        self.most = epochs + sum(self.longer)
        self.beyond = False  # whether such a cycle has begun
        self.shortened = False  # by the limit
        self.done = 0  # epochs
        self.from_epoch = 0  # of the cycle
        self.valleys: list[Valley] = []

    def rate(self, base: float, progress: Progress) -> float:
        """One cycle of `xpnn.schedules` "coslog" at a time, which ends where an epoch does."""
        per_epoch = progress.total_steps // max(progress.total_epochs, 1)
        epochs = self.ends[0] - self.from_epoch if self.ends else 1
        step = progress.step - self.from_epoch * per_epoch
        of_cycle = progress._replace(step=step, total_steps=epochs * per_epoch)
        return coslog(base, of_cycle, cycles=1.0)

    @property
    def strong(self) -> bool:
        """Whether the weight decay is strong: in the longer cycles of classes."""
        return self.beyond and self.little > 0

    def decay(self, base: float, progress: Progress) -> float:
        """The weight decay."""
        return _STRONG * base if self.strong else base

    def dropout(self, base: float, progress: Progress) -> float:
        """Whether there is dropout: the base, or 0 once there is little noise."""
        return 0.0 if min((v.score for v in self.valleys), default=math.inf) < self.calm else base

    @property
    def halfway(self) -> float:
        """The best score of the valleys after which another training may be given up."""
        return min((v.score for v in self.valleys[:_JUDGED]), default=math.inf)

    @property
    def is_over(self) -> bool:
        """Whether nothing more was to come, of a plan that no limit has shortened."""
        return not self.ends and not self.shortened

    def expected(self) -> int:
        """At which epoch training ends, as far as it is known."""
        return self.ends[-1] if self.ends else self.done

    def __call__(self, end: EpochEnd) -> bool:
        """After an epoch; True when nothing more is to come."""
        self.done = end.epoch
        if self.limit is not None:
            self._shorten(self.limit)
        if self.ends and end.epoch >= self.ends[0]:
            if not self._keep(end):
                return False  # training ends here: its state is no valley yet
            self.from_epoch = self.ends.pop(0)
            scores = [v.score for v in self.valleys]
            if scores and not self.enough <= scores[-1] <= _WORSE * min(scores):
                self.ends = []
            if len(scores) == _JUDGED and min(scores) >= self.than:
                self.ends, self.longer = [], []
            if scores and not self.ends and self._goes_on(min(scores)):
                self.beyond = True
                self.ends = [self.done + self.longer.pop(0)]
        return not self.ends

    def between(self) -> None:
        """Between two pieces of a look: after Ctrl-C nobody waits for the others."""
        if self.pressed():
            raise _LookEndedError

    def _keep(self, end: EpochEnd) -> bool:
        """Look at a valley, and whether the look came to its end."""
        state, self.pressed = end.state(), end.interrupted
        try:
            score, held = self.look(state)
        except _LookEndedError:
            return False
        finally:
            self.pressed = never
        if self._counts(score):
            self.valleys.append(Valley(end.epoch, score, state, held))
        return True

    def _counts(self, score: float) -> bool:
        best = min((v.score for v in self.valleys), default=math.inf)
        return math.isfinite(score) and (not self.strong or score < _BETTER * best)

    def _goes_on(self, best: float) -> bool:
        """Whether a longer cycle is to come, after all others or one that was worth it."""
        scores, counts = [v.score for v in self.valleys], self.valleys[-1].epoch == self.done
        falls = counts and scores[-1] < self.falling * min(scores[:-1], default=0.0)
        if not self.longer or not (falls or self.enough <= best < self.little):
            return False
        if self.beyond and not counts:
            return False
        fits = self.limit is None or self._left(self.limit) >= self.longer[0]
        self.shortened = self.shortened or not fits
        return fits

    def leaves_as_long(self) -> bool:
        """Whether there is more to learn, and time to do all this once more."""
        best = min((v.score for v in self.valleys), default=0.0)
        return best > self.enough and (self.limit is None or 2 * self.spent <= self.limit)

    @property
    def spent(self) -> float:
        """Seconds since the fit began, those that all processes go by."""
        return self.agreed(self.clock() - self.began)

    def _left(self, limit: float) -> int:
        """Epochs for which there is time."""
        spent = self.spent
        return int((limit - spent) / (spent / self.done)) if spent > 0 else self.most

    def _shorten(self, limit: float) -> None:
        """Fewer epochs, if those that are left would take longer than the time that is left."""
        last = max(self.done + self._left(limit), self.done)
        if self.ends and last < self.ends[-1]:
            self.shortened = True
            ends = [last] if self.beyond else valley_epochs(last)
            self.ends = [end for end in ends if end > self.done] or [self.done]

    def finish(self, state: Any) -> list[Valley]:
        """All valleys, and what training ended with where that is later.

        Parameters
        ----------
        state : TrainingState
            With which training ended.
        """
        last = self.valleys[-1] if self.valleys else None
        if last is None or state.step > last.state.step:
            score, held = self.look(state)
            if self._counts(score) or last is None:
                middle = last is not None and self.done == last.epoch  # of the next epoch
                self.valleys.append(Valley(self.done + int(middle), score, state, held))
        return self.valleys

    def save_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a checkpoint keeps, see `xpnn.training.restart`."""
        plain = {
            "spent": self.clock() - self.began,
            "ends": self.ends,
            "done": self.done,
            "from_epoch": self.from_epoch,
            "longer": self.longer,
            "beyond": self.beyond,
            "shortened": self.shortened,
            "valleys": [(v.epoch, v.score, v.state.step) for v in self.valleys],
        }
        arrays: dict[str, Any] = {}
        for i, v in enumerate(self.valleys):
            state = v.state
            arrays |= {
                f"held_{i}": v.held,
                f"theta_{i}": state.theta,
                f"buffers_{i}": state.buffers,
            }
        return plain, arrays

    def load_state(self, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Go on as the plan that said this."""
        self.began = self.clock() - plain["spent"]
        self.ends, self.done, self.from_epoch = plain["ends"], plain["done"], plain["from_epoch"]
        self.longer, self.beyond = plain["longer"], plain["beyond"]
        self.shortened = plain["shortened"]
        for i, (epoch, score, step) in enumerate(plain["valleys"]):
            theta, buffers = (self.move(arrays[f"{name}_{i}"]) for name in ("theta", "buffers"))
            state = TrainingState(theta, buffers, (), 0, step=step)
            self.valleys.append(Valley(epoch, score, state, arrays[f"held_{i}"]))

    def late(self) -> bool:
        """Whether the time is up; asked between steps."""
        return self.limit is not None and self.clock() - self.began > self.limit
