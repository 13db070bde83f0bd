"""A small network, its rows and its training."""

import numpy as np

from xpnn.backends import get_backend
from xpnn.data import Dataset
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import SGD
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.loop import train

N, N_IN, N_OUT = 23, 4, 3
NUMPY = get_backend("numpy")


def network(**options):
    return Network((Dense(N_IN, 6, "tanh", **options), Dense(6, N_OUT)), link="softmax")


def rows(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, N_IN)).astype(np.float32).astype(np.float64)
    return x, rng.integers(0, N_OUT, N), rng.integers(1, 4, N).astype(float)


def start(net, optimizer, backend=NUMPY, dtype="float64", seed=3):
    theta, buffers = net.init(seed)
    theta = theta.astype(np.float32)  # the same start in every dtype
    move = backend.asarray
    with backend.device_context():
        moved = move(theta, dtype=dtype)
        moments = optimizer.init(moved, backend.xp)
    return TrainingState(moved, move(buffers, dtype=dtype), moments, seed)


def config(**options):
    options = {"loss": get_loss("softmax_cross_entropy"), "batch_size": 5, "epochs": 2} | options
    options.setdefault("optimizer", SGD())
    options.setdefault("learning_rate", 0.1)
    return TrainingConfig(**options)


def dataset(target=None, weighted=False, stream=None):
    x, y, weight = rows()
    backend, dtype = (NUMPY, np.float64) if target is None else (target.backend, target.dtype)
    return Dataset(x, y, weight if weighted else None, backend, dtype, stream=stream)


def run(target=None, net=None, weighted=False, stream=None, validation=None, callbacks=(), **opts):
    net, options = net or network(), config(**opts)
    backend = NUMPY if target is None else target.backend
    state = start(net, options.optimizer, backend, target.dtype_name if target else "float64")
    data = dataset(target, weighted, stream)
    return train(net, state, data, options, validation=validation, callbacks=callbacks)


def weights_of(net, theta):
    p = net.layout.split(np.asarray(theta, dtype=np.float64), np)
    return [p["weight_0"], p["weight_1"]], [p["bias_0"], p["bias_1"]]
