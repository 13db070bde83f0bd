"""Several epochs in one call of the steps, where nobody looks at the weights between them.

A step of a small network on few rows takes as long as what a loop does around an epoch. Of an
epoch in which training cannot end, a history wants the loss alone; so the steps of several are one
call, and their losses are judged after it.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from xpnn.parts.schedules import constant
from xpnn.steps.rules import Batch, Carry, Rows
from xpnn.training.data import Dataset, placed
from xpnn.training.portions import Draw
from xpnn.training.state import copied


def is_unobserved(run: Any, observers: Iterable[Any]) -> bool:
    """Whether nobody looks at weights between epochs, and one epoch's steps are like another's.

    Parameters
    ----------
    run : the run of `xpnn.training.loop`
    observers : iterable
        Whoever else may look; all are false where there is none.
    """
    c, data = run.config, run.data
    alike = c.shuffle and c.schedule.function is constant and c.decay is None is c.dropout
    whole = (
        run.resident
        and isinstance(data, Dataset)
        and data.rows is None
        and not run.batch_statistics
    )
    seen = c.restore_best or run.validation or run.comm or any(observers)
    return bool(hasattr(run.steps, "on_epochs") and alike and whole and not seen)


def take_epochs(run: Any) -> bool:
    """Take as many epochs as cannot end training before the last, and judge all but that one.

    Returns
    -------
    bool
        Whether it is done. Where a loss or a weight is not finite the run is as it was, so that
        the epochs are taken one by one, and the last good one is known.
    """
    s, c, data = run.state, run.config, run.data
    n_steps = -(-data.n // c.batch_size)
    count = int(min(c.epochs - run.done, run.stride // n_steps, c.patience - s.stale + 1))
    if count < 2:
        return False
    before = copied(s.weights, run.xp), s.step, s.t
    draws = [Draw(s.seed, s.epoch + i) for i in range(count)]
    orders: list[Any] = [placed(draw.order(data.n), data.backend) for draw in draws]
    rows = Rows(Batch(*data.arrays), np.concatenate(orders), 0, c.batch_size, count)
    keys = run.keys(count * n_steps)
    carry = Carry(s.theta, s.buffers, s.moments, None)
    totals = run.steps.on_epochs(carry, rows, keys, run.coefficients(0, count * n_steps))
    losses = [float(total / data.n) for total in totals or ()]
    if not (totals and math.isfinite(sum(losses)) and np.isfinite(s.theta).all()):
        (s.theta, s.buffers, s.moments), s.step, s.t = before
        run.unobserved = False
        return False
    for loss in losses[:-1]:
        s.record({"loss": loss, "learning_rate": run.rate})
        run.judge(loss)
    run.total, s.epoch, s.samples = totals[-1], s.epoch + count, s.samples + count * data.n
    return True
