"""Tests of the tests: mistakes planted in a training step, each caught by the checks of transfers.

Every mutant is a loss, an activation or an optimizer of a user's own with one mistake that passes
unseen on NumPy, and goes through the very check that the built-in ones go through.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from options import OPTIONS
from targets import HostSyncError
from transfers import train_watched

from xpnn.activations import Activation
from xpnn.losses import Loss, get_loss
from xpnn.network import Dense
from xpnn.optimizers import SGD

CROSS_ENTROPY = get_loss("softmax_cross_entropy").function


def loss(change: Callable[[Any, Any, Any], Any]) -> dict[str, Any]:
    """The loss, with something done to its value and gradient."""

    def function(output, target, weight, xp):
        return change(*CROSS_ENTROPY(output, target, weight, xp), xp)

    return {"loss": Loss("planted", function)}


def activation(value: Callable[[Any, Any], Any]) -> dict[str, Any]:
    """An activation for the hidden layer, with the derivative of the identity."""
    return {"activation": Activation("planted", value, lambda z, a, xp: xp.ones_like(a))}


@dataclass(frozen=True)
class NumPyScalar(SGD):
    """Its rate is a NumPy scalar, which promotes float32: the update is done in float64."""

    def update(self, theta, gradient, state, coefficients, decay, xp):
        return theta - np.float64(coefficients[0]) * gradient, ()


@dataclass(frozen=True)
class HostSteps(SGD):
    """It looks at the gradient before it steps."""

    def update(self, theta, gradient, state, coefficients, decay, xp):
        if xp.max(xp.abs(gradient)) > 1e9:
            return theta, ()
        return super().update(theta, gradient, state, coefficients, decay, xp)


def negative_to_zero(z, xp):
    z = z + 0.0
    z[z < 0] = 0.0
    return z


def select_positive(z, xp):
    return z + xp.sum(z[z > 0])


STRICT, CUPY, JAX = "strict:device1", "cupy:0", "jax:cpu"
EVERYWHERE = (STRICT, CUPY, JAX)

# What was planted, and the targets on which a run finds it.
MUTANTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "float() in the loss": (loss(lambda v, g, xp: (v * 0.0 + float(v), g)), EVERYWHERE),
    "int() in the loss": (loss(lambda v, g, xp: (v + 0.0 * int(v), g)), EVERYWHERE),
    "if on a device value": (loss(lambda v, g, xp: (v, g if v > 0 else -g)), EVERYWHERE),
    "a look before each step": ({"optimizer": HostSteps()}, EVERYWHERE),
    "a boolean mask read": (activation(select_positive), EVERYWHERE),
    "a boolean mask written": (activation(negative_to_zero), EVERYWHERE),
    "np.asarray": (activation(lambda z, xp: z + 0.0 * np.asarray(z).mean()), EVERYWHERE),
    "ones on the default device": (
        activation(lambda z, xp: z + xp.ones(z.shape, dtype=z.dtype)),
        (STRICT,),  # CuPy and JAX have the device made current, so there it does no harm
    ),
    "a NumPy array as operand": (
        activation(lambda z, xp: z + np.zeros((1, 6), dtype=np.float32)),
        (STRICT, CUPY),
    ),
    "a NumPy scalar in an update": ({"optimizer": NumPyScalar()}, EVERYWHERE),
}

pytestmark = [pytest.mark.own_context, pytest.mark.dtypes("float32")]


def run(target, planted):
    layer = {"activation": planted["activation"]} if "activation" in planted else {}
    config = {"optimizer": planted["optimizer"]} if "optimizer" in planted else {}
    option = OPTIONS["plain"]
    option = type(option)(layer=layer, config=config)
    network, config = option.make(planted.get("loss"))
    return train_watched(target, network, config, *option.rows())


@pytest.mark.targets("numpy", "strict:device1", "cupy:0", "jax:cpu")
@pytest.mark.parametrize(("planted", "finders"), MUTANTS.values(), ids=MUTANTS)
def test_a_planted_mistake_is_caught(target, planted, finders):
    if target.name not in finders:
        run(target, planted)  # it is not seen here, and that is why there are several targets
        return
    if target.name == "cupy:0" and not importlib.util.find_spec("cupy_on_cpu"):
        pytest.skip("a GPU does not say when it is waited for; the host double does")
    with pytest.raises(
        (AssertionError, HostSyncError, RuntimeError, TypeError, ValueError, IndexError)
    ):
        run(target, planted)


@pytest.mark.targets("numpy", "strict:device1", "cupy:0", "jax:cpu")
def test_without_a_mistake_nothing_is_caught(target):
    run(target, {})


def test_each_mutant_has_a_finder_without_a_gpu():
    assert all(finders for _, finders in MUTANTS.values())


@pytest.mark.targets("cupy:0", "strict:device1")
def test_the_mistake_is_named(target):
    if target.name == "cupy:0" and not importlib.util.find_spec("cupy_on_cpu"):
        pytest.skip("a GPU does not say when it is waited for; the host double does")
    planted, _ = MUTANTS["float() in the loss"]
    with pytest.raises(Exception, match=r"__float__|device-to-host|forbid_host_sync") as caught:
        run(target, planted)
    assert "Sync" in type(caught.value).__name__


@pytest.mark.targets("strict:device1", "cupy:0")
def test_a_mutant_of_a_kernel_is_caught(target, monkeypatch):
    """The same for the library's own code: a wait inside a hot operation."""
    if target.name == "cupy:0":
        if not importlib.util.find_spec("cupy_on_cpu"):
            pytest.skip("a GPU does not say when it is waited for; the host double does")
        from xpnn.steps.cupy import CupyOps as Ops

        name, looked_at = "product", 1
    else:
        Ops, name, looked_at = Dense, "backward", 3
    original = getattr(Ops, name)

    def looking(*arguments):
        assert np.isfinite(float(target.xp.sum(arguments[looked_at])))
        return original(*arguments)

    monkeypatch.setattr(Ops, name, looking)
    with pytest.raises(Exception, match=r"Sync|host"):
        run(target, {})
