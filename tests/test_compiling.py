"""What has been compiled is used again only while what it was compiled from is as it was."""

import dataclasses
import functools

import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor
from xpnn.arrays.compiling import remembered
from xpnn.optimizers import SGD

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
T = (X @ np.asarray([[1.0], [2.0], [-1.0]], np.float32))[:, 0]

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.dtypes("float32"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


class Scaled:
    """A stateful optimizer of the user's: gradient descent at a rate that is an attribute."""

    def __init__(self, factor):
        self.factor = factor

    def init(self, theta, xp):
        return ()

    def coefficients(self, lr, t):
        return (lr,)

    def update(self, theta, gradient, state, coefficients, decay, xp):
        return theta - self.factor * coefficients[0] * gradient, ()


def fitted(target, model, x=X):
    model.fit(target.asarray(x), target.asarray(T))
    return target.to_numpy(model.coefs_[0])


def regressor(**parameters):
    about = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, "batch_size": 20}
    return MLPRegressor(**about, **parameters)


def test_a_changed_attribute_of_an_optimizer_counts(target):
    rule = Scaled(1.0)
    first = fitted(target, regressor(solver=rule))
    rule.factor = 0.0
    still = fitted(target, regressor(solver=rule))
    assert np.abs(first - still).max() > 1e-4
    target.assert_close(target.asarray(still), fitted(target, regressor(solver=Scaled(0.0))))


def test_a_changed_attribute_of_a_loss_counts(target):
    class Weighted:
        __name__ = "weighted"

        def __init__(self):
            self.factor = 1.0

        def __call__(self, output, target, weight, xp):
            r = output - target
            return self.factor * xp.mean(r * r), self.factor * r / r.shape[0]

    loss = Weighted()
    first = fitted(target, regressor(loss=loss, solver="sgd"))
    loss.factor = 0.0
    assert np.abs(first - fitted(target, regressor(loss=loss, solver="sgd"))).max() > 1e-4


def test_a_changed_closure_of_an_activation_counts(target):
    slope = 1.0

    def make():
        return (lambda z, xp: slope * z, lambda z, a, xp: slope * xp.ones_like(z))

    activation = make()
    model = regressor(activation=activation)
    first = fitted(target, model)
    seen = target.to_numpy(model.predict(target.asarray(X)))
    slope = 0.0
    assert np.abs(target.to_numpy(model.predict(target.asarray(X))) - seen).max() > 1e-4
    assert np.abs(first - fitted(target, regressor(activation=activation))).max() > 1e-4


def test_equal_parts_are_compiled_once():
    calls = []

    @remembered
    def work(*args):
        calls.append(args)
        return len(calls)

    def plain(z):
        return z

    for part in (SGD(), plain, functools.partial(plain, 3), "text", (SGD(), 1.0)):
        calls.clear()
        assert work(part) == work(part) == 1, part
    assert work(SGD(), 1) == work(SGD(), 1)


def test_what_cannot_be_compared_is_worked_on_again():
    calls = []

    @remembered
    def work(*args):
        calls.append(args)

    array = np.zeros(3)

    @dataclasses.dataclass
    class Unhashable:
        factor: float = 1.0

    for part in (lambda: array, Unhashable()):
        calls.clear()
        work(part)
        work(part)
        assert len(calls) == 2


def test_an_estimator_of_built_in_parts_compiles_once(target):
    if target.backend.library.name != "jax":
        pytest.skip("only JAX compiles")
    from xpnn.steps import reference

    step = reference._compiled_steps
    seen = []
    for _ in range(2):
        model = MLPClassifier((5,), max_iter=2, random_state=0, batch_size=20)
        model.fit(target.asarray(X), (T > 0).astype(int))
        network = model.network_
        from xpnn.network import make_groups
        from xpnn.optimizers import Adam
        from xpnn.steps.rules import Rules

        groups = make_groups((), network.layout)
        loss = model._resolve_loss()
        rules = Rules(network, loss, Adam(), 0.0, 0.0001, groups=groups)
        seen.append(step(rules, target.xp)[1])
    assert seen[0] is seen[1]
    assert seen[0]._cache_size() >= 1
