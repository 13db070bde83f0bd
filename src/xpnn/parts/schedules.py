"""Learning-rate schedules: pure functions of the base rate and the progress, in Python floats."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from xpnn.parts.entries import Interval, Params, TableEntry

_FRACTION = (0.0, 1.0, "both")
_SIGNATURE = "(base_lr, progress) -> learning rate"
_RANGES = {
    "power_t": (-math.inf, math.inf, "both"),  # scikit-learn takes any
    "step_size": (0.0, math.inf, "neither"),
    "gamma": (0.0, 1.0, "right"),
    "final": _FRACTION,
    "warm_up": _FRACTION,
    "initial": (0.0, 1.0, "right"),
    "factor": (0.0, 1.0, "neither"),
    "minimum": (0.0, math.inf, "left"),
    "cycles": (0.0, math.inf, "neither"),
}


class Progress(NamedTuple):
    """How far training has come, before a step.

    Attributes
    ----------
    step, epoch : int
        Done so far.
    samples : int
        Rows seen up to the end of the last epoch.
    total_steps, total_epochs : int
        Asked for.
    plateaus : int
        How often the monitored value has stopped improving.
    fraction : float
        Of the steps, from 0 to 1.

    Examples
    --------
    >>> get_schedule("step", step_size=2, gamma=0.5)(0.1, Progress(40, 4, 0, 100, 10, 0))
    0.025
    >>> linear = get_schedule(lambda base, progress: base * (1 - progress.fraction))
    >>> linear(0.1, Progress(50, 5, 0, 100, 10, 0))
    0.05
    """

    step: int
    epoch: int
    samples: int
    total_steps: int
    total_epochs: int
    plateaus: int

    @property
    def fraction(self) -> float:
        """How much of the steps is done."""
        return min(self.step / max(self.total_steps, 1), 1.0)


@dataclass(frozen=True)
class Schedule(TableEntry):
    """A rule for the learning rate.

    Parameters
    ----------
    name : str
    function : callable ``(base_lr, progress, *, parameters) -> float``
    params : tuple of (name, value)
        The parameters that differ from their defaults; the others are filled in.
    per : {"step", "epoch"}
        How often the rate is asked for.

    Examples
    --------
    >>> progress = Progress(50, 5, 0, 100, 10, 0)
    >>> round(get_schedule("cosine")(0.1, progress), 12)
    0.05
    """

    kind: ClassVar[str] = "schedule"
    signature: ClassVar[str] = _SIGNATURE
    ranges: ClassVar[Mapping[str, Interval]] = _RANGES

    params: Params = ()
    per: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        """Fill in and check the parameters."""
        super().__post_init__()
        if self.per not in ("step", "epoch"):
            raise ValueError(f"per is {self.per!r}, expected 'step' or 'epoch': pass one of them")

    def __call__(self, base_lr: float, progress: Progress) -> float:
        """Return the learning rate at `progress`.

        Raises
        ------
        ValueError
            If the rule returns no number, or a negative or non-finite one.
        TypeError
            If it takes the progress for a number.
        """
        try:
            given = self.function(float(base_lr), progress, **dict(self.params))
        except TypeError as error:
            if Progress.__name__ in str(error):  # an epoch in PyTorch's, a fraction in others'
                error.add_note(
                    "progress is no number: it has progress.fraction, from 0 to 1, progress.epoch "
                    "and progress.step"
                )
            raise
        try:
            rate = float(given)
        except (TypeError, ValueError):
            fits = False
        else:
            fits = 0.0 <= rate < math.inf
        if not fits:
            raise ValueError(
                f"schedule {self.name!r} returned the learning rate {given!r} at {progress}, "
                "expected a finite number >= 0: correct its rule or its parameters"
            )
        return rate


def _cosine(start: float, end: float, fraction: float) -> float:
    """Go from `start` to `end` along half a cosine; `fraction` is held within [0, 1]."""
    fraction = min(max(fraction, 0.0), 1.0)
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * fraction))


def constant(base_lr: float, progress: Progress) -> float:
    """Return the base rate."""
    return base_lr


def invscaling(base_lr: float, progress: Progress, *, power_t: float = 0.5) -> float:
    """Base / (samples + 1)**power_t, once an epoch, as in scikit-learn."""
    return float(base_lr / (progress.samples + 1) ** power_t)


def step(
    base_lr: float, progress: Progress, *, step_size: float = 30.0, gamma: float = 0.1
) -> float:
    """Multiply by `gamma` every `step_size` epochs."""
    return float(base_lr * gamma ** (progress.epoch // step_size))


def cosine(base_lr: float, progress: Progress, *, final: float = 0.0) -> float:
    """Fall from the base rate to `final` times it along half a cosine.

    References
    ----------
    I. Loshchilov and F. Hutter (2017), "SGDR: Stochastic gradient descent with warm restarts".
    """
    return _cosine(base_lr, final * base_lr, progress.fraction)


def one_cycle(
    base_lr: float,
    progress: Progress,
    *,
    warm_up: float = 0.3,
    initial: float = 0.04,
    final: float = 4e-6,
) -> float:
    """Rise to the base rate over the fraction `warm_up` of the steps, then fall below the start.

    It starts at `initial` times the base rate and ends at `final` times it, along half cosines.

    References
    ----------
    L. Smith and N. Topin (2019), "Super-convergence: Very fast training of neural networks using
    large learning rates".
    """
    last = max(progress.total_steps - 1, 1)
    top = max(warm_up * progress.total_steps - 1.0, 0.0)
    if progress.step <= top and top > 0:
        return _cosine(initial * base_lr, base_lr, progress.step / top)
    return _cosine(base_lr, final * base_lr, (progress.step - top) / max(last - top, 1e-9))


def warmup(
    base_lr: float, progress: Progress, *, warm_up: float = 0.1, final: float = 0.0
) -> float:
    """Rise in a straight line over the fraction `warm_up` of the steps, then fall as `cosine`.

    References
    ----------
    P. Goyal et al. (2017), "Accurate, large minibatch SGD: Training ImageNet in 1 hour".
    """
    total = max(progress.total_steps, 1)
    rising = math.ceil(warm_up * total)
    if progress.step < rising:
        return base_lr * ((progress.step + 1) / rising)
    return _cosine(base_lr, final * base_lr, (progress.step - rising) / max(total - rising, 1))


def coslog(base_lr: float, progress: Progress, *, cycles: float = 4.0) -> float:
    """Rise to the base rate and fall to 0 so many times, each cycle twice as long as the last.

    With t from 0 to 1, it is base (1 - cos(2 pi log2(1 + (2**cycles - 1) t))) / 2.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart (2024), "Better by default: Strong pre-tuned
    MLPs and boosted trees on tabular data".
    """
    t = min((progress.step + 0.5) / max(progress.total_steps, 1), 1.0)
    return (
        base_lr * 0.5 * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + (2.0**cycles - 1.0) * t)))
    )


def adaptive(
    base_lr: float, progress: Progress, *, factor: float = 0.2, minimum: float = 1e-6
) -> float:
    """Multiply by `factor` on each plateau while the rate is above `minimum`, as scikit-learn."""
    rate = base_lr
    for _ in range(progress.plateaus):
        if rate <= minimum:
            break
        rate /= 1.0 / factor  # the division by 5 that scikit-learn makes, to the last bit
    return rate


SCHEDULES: dict[str, Schedule] = {
    schedule.name: schedule
    for schedule in (
        Schedule("constant", constant, per="epoch"),
        Schedule("invscaling", invscaling, per="epoch"),
        Schedule("step", step, per="epoch"),
        Schedule("cosine", cosine),
        Schedule("one_cycle", one_cycle),
        Schedule("warmup", warmup),
        Schedule("coslog", coslog),
        Schedule("adaptive", adaptive, per="epoch"),
    )
}


def get_schedule(spec: Any, **params: float) -> Schedule:
    """Return the schedule that `spec` stands for, with the parameters given.

    Parameters
    ----------
    spec : str, Schedule, or callable (base_lr, progress) -> learning rate
        A callable is asked before every step.
    **params : float
        The parameters of a named schedule, or the keyword-only arguments of a callable.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        For an unknown name, with the known ones; an unknown parameter or one out of range.

    Examples
    --------
    >>> get_schedule("step", step_size=10, gamma=0.5).params
    (('step_size', 10.0), ('gamma', 0.5))
    """
    return Schedule.resolve(SCHEDULES, spec, params)
