"""Steps of every override from one start, beside the reference's."""

import numpy as np

from xpnn.activations import Activation
from xpnn.losses import get_loss
from xpnn.network import multilayer_perceptron
from xpnn.random import step_keys
from xpnn.steps.compiled import library
from xpnn.steps.compiled.plan import known_rules
from xpnn.steps.compiled.steps import CompiledSteps
from xpnn.steps.inplace import InPlaceSteps
from xpnn.steps.numpy import NumpyOps
from xpnn.steps.operations import Ops
from xpnn.steps.reference import ReferenceSteps
from xpnn.steps.rules import Batch, Carry, Rows

CUBE = Activation("cube", lambda z, xp: 0.1 * z * z * z, lambda z, a, xp: 0.3 * z * z)


def overrides(target):
    """The in-place operations there are for a target, the general ones first."""
    kinds = [Ops]
    if target.name == "numpy":
        kinds.append(NumpyOps)
    if target.name.startswith("cupy"):
        from xpnn.steps.cupy import CupyOps

        kinds.append(CupyOps)
    if target.name.startswith("torch"):
        from xpnn.steps.torch import TorchOps

        kinds.append(TorchOps)
    return kinds


def steps_of(target, rules):
    """Each override of a whole step."""
    steps = [
        InPlaceSteps(rules, kind(target.xp), target.backend, target.dtype)
        for kind in overrides(target)
    ]
    if target.name == "numpy" and library() is not None and known_rules(rules):
        steps.append(CompiledSteps(rules, lambda: steps[0]))
    if target.name.startswith("cupy"):
        from xpnn.steps.cuda.steps import CupySteps
        from xpnn.steps.cupy import CupyOps

        steps.append(CupySteps(rules, CupyOps(target.xp), target.backend, target.dtype))
    if target.name.startswith("torch"):
        from xpnn.steps.torch import TorchOps, TorchSteps

        steps.append(TorchSteps(rules, TorchOps(target.xp), target.backend, target.dtype))
    return steps


LOSS = get_loss("softmax_cross_entropy")


def network(activation="relu", dropout=0.0, input_dropout=0.0, sizes=(7, 13, 33, 5)):
    return multilayer_perceptron(sizes, activation, dropout=dropout, input_dropout=input_dropout)


def train_steps(target, steps, rules, rows=50, batch=16, count=4, layout="C", weight=None):
    """A few steps from the same start; theta, the total and the moments on the host."""
    rng = np.random.default_rng(4)  # no unit at its kink
    net, t = rules.network, target
    x = rng.normal(size=(rows, net.layers[0].n_in))
    y = rng.integers(0, net.layers[-1].n_out, rows)
    if rules.loss.name not in ("softmax_cross_entropy", own_loss.__name__):
        y = rng.uniform(size=(rows, net.layers[-1].n_out))
    data = [t.asarray(x), t.asarray(y), None if weight is None else t.asarray(weight)]
    if layout == "F":
        data[0] = t.asarray(np.ascontiguousarray(x.T)).T
    elif layout == "strided":
        data[0] = t.asarray(np.repeat(x, 2, axis=0))[::2, ...]
    if layout == "readonly":
        for a in data[:2]:
            a.flags.writeable = False
    before = [t.to_numpy(a).copy() for a in data[:2]]
    theta, order = t.asarray(net.init(1)[0]), t.asarray(rng.permutation(rows))
    moments = rules.optimizer.init(theta, t.xp)
    total = t.xp.zeros((), dtype=t.dtype, device=t.device)
    keys = steps.words(step_keys(5, 0, count, len(net.layers) + 1)) if net.draws else None
    rates = [rules.optimizer.coefficients(0.01, k + 1) for k in range(count)]
    carry = Carry(theta, t.asarray(net.init(1)[1]), moments, total)
    carry = steps.on_rows(carry, Rows(Batch(*data), order, 0, batch), keys, rates)
    for a, b in zip(data[:2], before, strict=True):
        np.testing.assert_array_equal(t.to_numpy(a), b)
    return [t.to_numpy(t.xp.asarray(a)) for a in (carry[0], carry[3], *carry[2])]


def assert_alike(target, rules, **options):
    expected = train_steps(
        target, ReferenceSteps(rules, target.backend, target.dtype), rules, **options
    )
    for steps in steps_of(target, rules):
        found = train_steps(target, steps, rules, **options)
        for a, e in zip(found, expected, strict=True):
            # Adam amplifies rounding, so float32 has the tolerance of weights after a few steps
            tol = max(target.tol, 1e-4 if target.dtype_name == "float32" else 0.0)
            np.testing.assert_allclose(a, e, rtol=tol, atol=tol * max(np.abs(e).max(), 1e-30))


def own_loss(output, target, weight, xp):
    """A user's own loss, which no kernel knows."""
    return 0.5 * xp.sum(output * output), output
