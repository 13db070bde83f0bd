"""What users bring may keep or hand out the arrays it is given; rows and groups on every path."""

import numpy as np
import pytest
import scipy.sparse

import xpnn
from xpnn import get_loss
from xpnn.data import Dataset
from xpnn.network import Dense, Group, Network
from xpnn.optimizers import SGD
from xpnn.state import TrainingConfig, TrainingState
from xpnn.training.lbfgs import train_lbfgs
from xpnn.training.loop import train

RNG = np.random.default_rng(0)
X, Y, W = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 2)), RNG.uniform(size=40)
NET = Network((Dense(5, 8, "tanh"), Dense(8, 2)))
SQUARES = get_loss("half_squared_error")

pytestmark = [pytest.mark.own_context, pytest.mark.dtypes("float64")]


def config(loss=SQUARES, optimizer=None, **options):
    options = {"learning_rate": 0.1, "epochs": 3, "batch_size": 16} | options
    return TrainingConfig(loss, optimizer or SGD(), **options)


def start(t, net, optimizer):
    with t.backend.device_context():
        theta, buffers = (t.backend.asarray(a, t.dtype_name, copy=True) for a in net.init(0))
        return TrainingState(theta, buffers, optimizer.init(theta, t.xp), seed=1)


def fit(t, net=NET, x=X, y=Y, weight=None, stream=None, consume=False, **options):
    about = config(**options)
    data = Dataset(x, y, weight, t.backend, t.dtype, stream=stream)
    state = train(net, start(t, net, about.optimizer), data, about, consume=consume)
    return t.to_numpy(state.theta)


class KeepsGradient:
    """Optimistic gradient descent: the last gradient is its state."""

    def init(self, theta, xp):
        return (xp.zeros_like(theta),)

    def coefficients(self, lr, t):
        return (lr,)

    def update(self, theta, gradient, state, coefficients, decay, xp):
        return theta - coefficients[0] * (2.0 * gradient - state[0]), (gradient,)


class KeepsTheta(KeepsGradient):
    """The heavy ball: the last parameters are its state, and it begins with the first."""

    def init(self, theta, xp):
        return (theta,)

    def update(self, theta, gradient, state, coefficients, decay, xp):
        return theta - coefficients[0] * gradient + 0.5 * (theta - state[0]), (theta,)


def plainly(rule, l1):
    """The same training written out: full gradients of the same batches, nothing in place."""
    from xpnn.random import SHUFFLE, host_generator

    theta = NET.init(0)[0]
    state = rule.init(theta, np)
    weights = NET.layout.mask("weight")
    for epoch in range(3):
        order = host_generator(1, SHUFFLE, epoch).permutation(40)
        for i in range(0, 40, 16):
            rows = order[i : i + 16]
            given = (theta, np.zeros(0), X[rows], Y[rows], None, SQUARES, np)
            gradient = NET.loss_and_gradient(*given)[1]
            gradient = gradient + l1 * np.sign(theta) * weights / len(rows)
            theta, state = rule.update(theta, gradient, state, (0.1,), None, np)
    return theta


@pytest.mark.parametrize("l1", [0.0, 0.01])
@pytest.mark.parametrize("rule", [KeepsGradient, KeepsTheta])
def test_an_optimizer_may_keep_what_it_is_given(target, rule, l1):
    found = fit(target, optimizer=rule(), l1=l1)
    np.testing.assert_allclose(found, plainly(rule(), l1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("consume", [False, True])
def test_an_optimizer_may_begin_with_theta(target, consume):
    found = fit(target, optimizer=KeepsTheta(), consume=consume)
    np.testing.assert_allclose(found, plainly(KeepsTheta(), 0.0), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_takes_such_an_optimizer(target):
    model = xpnn.MLPRegressor(max_iter=3, solver=KeepsTheta(), hidden_layer_sizes=(4,))
    model.fit(target.asarray(X), target.asarray(Y))
    assert np.isfinite(target.to_numpy(model.predict(target.asarray(X)))).all()


def linear(output, target, weight, xp):
    """Its gradient is the target itself."""
    return xp.sum(output * target), target


def test_targets_stay_where_a_gradient_is_the_targets(target):
    net, y = Network((Dense(5, 8, "tanh"), Dense(8, 2, "tanh"))), target.asarray(Y)
    fit(target, net, x=target.asarray(X), y=y, loss=get_loss(linear), shuffle=False)
    np.testing.assert_array_equal(target.to_numpy(y), Y)


@pytest.mark.parametrize("weighted", ["none", "shared", "own"])
@pytest.mark.parametrize("where", ["streamed", "sparse"])
def test_rows_of_their_own_are_the_same_wherever_they_lie(target, where, weighted):
    net = Network(NET.layers, members=3)
    weight = {"none": None, "shared": W, "own": RNG.uniform(size=(40, 3))}[weighted]
    about = {"weight": weight, "own_rows": True, "epochs": 2}
    x = scipy.sparse.csr_matrix(X) if where == "sparse" else X
    found = fit(target, net, x=x, stream=True, **about)
    np.testing.assert_allclose(found, fit(target, net, **about), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", [SGD(), KeepsGradient()])
def test_whole_numbers_are_computed_as_real_ones(target, optimizer):
    whole, weight = RNG.integers(0, 3, (40, 5)), RNG.integers(1, 4, 40)
    found = fit(target, x=whole, weight=weight, optimizer=optimizer)
    about = {"x": whole.astype(float), "weight": weight.astype(float), "optimizer": optimizer}
    np.testing.assert_array_equal(found, fit(target, **about))


def lbfgs(net=NET, **options):
    about = config(epochs=50, tol=1e-6, **options)
    data = Dataset(X, Y, None, xpnn.get_backend("numpy"), np.float64)
    theta, buffers = net.init(0)
    state = TrainingState(theta, buffers, (), seed=1)
    return train_lbfgs(net, state, data, about, max_fun=1000)[0].theta


def test_lbfgs_penalizes_by_group():
    free = lbfgs(l2=5.0, groups={"weight": Group()})
    np.testing.assert_array_equal(free, lbfgs())
    assert np.abs(free - lbfgs(l2=5.0)).max() > 0.01


def test_lbfgs_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"groups\['weight'\] has a learning rate of its own"):
        lbfgs(groups={"weight": Group(rate=0.5)})
    with pytest.raises(ValueError, match="groups names 'wieght'"):
        lbfgs(groups={"wieght": Group()})
    with pytest.raises(ValueError, match="3 members, which one line search cannot serve"):
        lbfgs(Network(NET.layers, members=3))
