"""One training case for each optimizer, loss, activation, schedule and option that there is.

The registries and the fields of the dataclasses are read, so a new entry is a new case; a new
field has to be switched on here, or `test_transfers.py` fails.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn.activations import ACTIVATIONS
from xpnn.layers import Dense
from xpnn.losses import LOSSES, get_loss
from xpnn.model.normalization import KINDS
from xpnn.network import Group, Network
from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.schedules import SCHEDULES, get_schedule
from xpnn.state import TrainingConfig

N, N_IN, N_OUT, BATCH = 14, 5, 3, 4  # four steps an epoch, the last one short
X = np.random.default_rng(7).normal(size=(N, N_IN))


@dataclass(frozen=True)
class Option:
    """What differs from a plain network of one hidden layer."""

    layer: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    loss: str = "softmax_cross_entropy"
    weighted: bool = False
    stream: bool = False

    def make(self, loss: Any = None) -> tuple[Network, TrainingConfig]:
        layer = {"activation": "relu", **self.layer}
        network = Network((Dense(N_IN, 6, **layer), Dense(6, N_OUT)), **self.network)
        config = {"learning_rate": 0.01, "epochs": 2, "batch_size": BATCH, **self.config}
        return network, TrainingConfig(loss=loss or get_loss(self.loss), **config)

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Features, targets that the loss takes, and weights, on the host."""
        rng = np.random.default_rng(8)
        y = {
            "softmax_cross_entropy": rng.integers(0, N_OUT, N),
            "binary_cross_entropy": rng.integers(0, 2, (N, N_OUT)).astype(float),
            "hinge": np.sign(rng.normal(size=(N, N_OUT))),
            "perceptron": np.sign(rng.normal(size=(N, N_OUT))),
            "poisson": rng.poisson(2.0, (N, N_OUT)).astype(float),
        }.get(self.loss, rng.normal(size=(N, N_OUT)))
        return X, y, rng.uniform(0.5, 2.0, N) if self.weighted else None


# Fields that switch something on, with a value that does; None: no option of a training step.
LAYER_FIELDS: dict[str, Any] = {
    "n_in": None,
    "n_out": None,
    "activation": None,  # all of them, from the registry
    "dropout": 0.5,
    "bias": False,
    "normalization": KINDS,
    "group": None,
}
NETWORK_FIELDS: dict[str, Any] = {
    "layers": None,
    "input_dropout": 0.25,
    "link": None,
    "members": 3,
}
CONFIG_FIELDS: dict[str, Any] = {
    "loss": None,
    "optimizer": None,
    "learning_rate": None,
    "schedule": None,
    "decay": None,  # below
    "dropout": None,  # the loop takes other steps, tests/test_training_dropout.py
    "epochs": None,
    "batch_size": None,
    "shuffle": False,
    "l1": 0.01,
    "l2": 0.01,
    "clip_norm": 0.1,
    "max_norm": 0.5,
    "groups": None,  # below
    "own_rows": None,
    "monitor": None,
    "restore_best": True,
    "incremental": None,
    "tol": None,
    "patience": None,
}


GROUPS = {"weight": Group(0.5, 0.5, 2.0, 0.5, by_fan_in=True), "bias": Group(2.0)}


def _switched(fields: dict[str, Any], part: str) -> dict[str, Option]:
    found = {}
    for name, value in fields.items():
        for one in value if isinstance(value, tuple | list | set) else (value,):
            if one is not None:
                found[f"{part} {name}={one}"] = Option(**{part: {name: one}})
    return found


OPTIONS: dict[str, Option] = {
    "plain": Option(),
    **{f"optimizer {n}": Option(config={"optimizer": get_optimizer(n)}) for n in OPTIMIZERS},
    **{f"loss {n}": Option(loss=n) for n in LOSSES},
    **{f"loss {n}, weights": Option(loss=n, weighted=True) for n in LOSSES},
    **{
        f"activation {n}": Option({"activation": n})
        for n, a in ACTIVATIONS.items()
        if a.differentiable
    },
    **{f"schedule {n}": Option(config={"schedule": get_schedule(n)}) for n in SCHEDULES},
    **_switched(LAYER_FIELDS, "layer"),
    **_switched(NETWORK_FIELDS, "network"),
    **_switched(CONFIG_FIELDS, "config"),
    "dropout in every place, batch norm": Option(
        {"dropout": 0.5, "normalization": "batch"}, {"input_dropout": 0.25}, weighted=True
    ),
    **{
        f"config {k}={v}, weights": Option(config={k: v}, weighted=True)
        for k, v in CONFIG_FIELDS.items()
        if v is not None
    },
    "groups": Option(config={"groups": GROUPS, "l2": 0.1, "max_norm": 0.5}),
    "groups, adamw": Option(config={"groups": GROUPS, "optimizer": get_optimizer("adamw")}),
    "members of everything": Option(
        {"dropout": 0.5, "normalization": "batch"},
        {"input_dropout": 0.25, "members": 2},
        {"l1": 0.1, "l2": 0.1, "clip_norm": 0.1, "max_norm": 0.5},
        weighted=True,
    ),
    "members, rows of their own": Option(
        network={"members": 2}, config={"own_rows": True}, weighted=True
    ),
    "decay": Option(config={"decay": get_schedule("cosine"), "optimizer": get_optimizer("adamw")}),
    "streamed": Option(stream=True),
    "streamed, weights": Option(stream=True, weighted=True),
}
