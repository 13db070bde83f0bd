"""The steps of a run: those of its network, and others from where its dropout ends."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from xpnn._warnings import warn_user
from xpnn.arrays.typing import Array
from xpnn.distributed.communicator import Communicator
from xpnn.model.network import Network, make_groups
from xpnn.steps.choice import Fit, training_steps
from xpnn.steps.rules import Rules, Steps
from xpnn.training.data import Dataset
from xpnn.training.state import TrainingConfig, TrainingState
from xpnn.training.windows import Windows


def steps_of(
    network: Network,
    theta: Array,
    data: Dataset | Windows,
    config: TrainingConfig,
    comm: Communicator | None,
    interrupted: Callable[[], bool] | None,
) -> Steps:
    """The steps of a network on some rows, by a configuration.

    Parameters
    ----------
    comm : Communicator or None
        The processes that take these steps together.
    interrupted : callable () -> bool or None
        Whether a step that takes long is to end.
    """
    c, groups = config, make_groups(config.groups, network.layout)
    rules = Rules(network, c.loss, c.optimizer, c.l1, c.l2, c.clip_norm, c.max_norm, groups)
    fit = Fit(data.n, c.batch_size, c.epochs, data.resident, data.sparse, theta.dtype)
    return training_steps(rules, fit, data.backend, comm, data.shares, interrupted)


def without_dropout(network: Network) -> Network:
    """The same network, none of whose steps draws a mask.

    Examples
    --------
    >>> from xpnn.network import Dense
    >>> without_dropout(Network((Dense(2, 3, dropout=0.5), Dense(3, 1)))).draws
    False
    """
    layers = (replace(a, dropout=0.0) if a.dropout else a for a in network.layers)
    return replace(network, layers=tuple(layers), input_dropout=0.0)


def calls_of(n_steps: int, stride: int, last_apart: bool) -> Iterator[tuple[int, int]]:
    """First step and number of steps of each call; the last step alone where that is asked for.

    Examples
    --------
    >>> list(calls_of(5, 2, last_apart=False)), list(calls_of(5, 4, last_apart=True))
    ([(0, 2), (2, 2), (4, 1)], [(0, 4), (4, 1)])
    """
    together = n_steps - last_apart
    for i in range(0, together, stride):
        yield i, min(stride, together - i)
    if last_apart:
        yield together, 1


def check_single_rows(state: TrainingState) -> None:
    """Batches of one row move no running statistics: warn, or refuse where nothing has yet."""
    what = "A batch of one row has no variance for normalization='batch'"
    cure = "take batch_size=2 or more (and more rows a call), or normalization='layer'"
    if state.step == 0:
        raise ValueError(f"{what}: {cure}.")
    warn_user(f"{what}, and goes by the running statistics, which stay as they are: {cure}.")
