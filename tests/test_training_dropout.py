"""A dropout that a schedule switches off: steps are then those of a network without."""

import numpy as np
import pytest

from xpnn.data import Dataset
from xpnn.distributed import in_threads
from xpnn.losses import get_loss
from xpnn.network import Dense, Network
from xpnn.optimizers import SGD
from xpnn.schedules import Schedule
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.loop import train

pytestmark = pytest.mark.own_context

N, FIRST_ONLY = 23, Schedule("first", lambda base, p: base * (p.epoch < 1), per="epoch")


def network(rate, members=1):
    layers = Dense(4, 6, "tanh", dropout=rate), Dense(6, 3)
    return Network(layers, link="softmax", members=members)


def config(**options):
    about = {"learning_rate": 0.1, "batch_size": 5}
    return TrainingConfig(get_loss("softmax_cross_entropy"), SGD(), **about, **options)


def start(net, backend, dtype):
    theta, buffers = net.init(3)
    with backend.device_context():
        theta, buffers = (
            backend.asarray(a.astype(np.float32), dtype=dtype) for a in (theta, buffers)
        )
        return TrainingState(theta, buffers, SGD().init(theta, backend.xp), 3)


def rows(backend, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4)).astype(np.float32)
    return Dataset(x, rng.integers(0, 3, N), None, backend, dtype)


@pytest.mark.long_to_compile
@pytest.mark.parametrize("members", [1, 2])
def test_dropout_ends_where_its_schedule_says(members, target):
    given = target.backend, target.dtype_name
    data, net = rows(target.backend, target.dtype), network(0.5, members)
    found = train(net, start(net, *given), data, config(epochs=3, dropout=FIRST_ONLY))
    first = train(net, start(net, *given), data, config(epochs=1))
    wanted = train(network(0.0, members), first, data, config(epochs=2))
    target.assert_close(found.theta, target.to_numpy(wanted.theta))
    whole = train(net, start(net, *given), data, config(epochs=3))
    assert np.abs(target.to_numpy(whole.theta) - target.to_numpy(found.theta)).max() > 1e-3


def test_processes_switch_it_off_together():
    from xpnn.backends import get_backend

    backend, net = get_backend("numpy"), network(0.5)

    def learned(comm):
        state = start(net, backend, "float64")
        data = rows(backend, np.float64)
        return train(net, state, data, config(epochs=3, dropout=FIRST_ONLY), comm=comm).theta

    one, two = (in_threads(learned, k) for k in (1, 2))
    assert {a.tobytes() for a in two} == {one[0].tobytes()}
    plain = train(net, start(net, backend, "float64"), rows(backend, np.float64),
                  config(epochs=3, dropout=FIRST_ONLY))  # fmt: skip
    np.testing.assert_allclose(plain.theta, one[0], rtol=1e-9, atol=1e-12)
