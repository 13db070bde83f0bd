"""Steps on torch: masks to the bit, Adam fused, and nothing read or allocated on the way."""

import numpy as np
import pytest
from steps_alike import LOSS, assert_alike, network, train_steps

from xpnn.optimizers import OPTIMIZERS, get_optimizer
from xpnn.random import dropout_mask, step_keys
from xpnn.steps.choice import Fit, training_steps
from xpnn.steps.rules import Batch, Carry, Factors, Rows, Rules


@pytest.mark.targets("torch:cpu", "torch:cuda")
@pytest.mark.parametrize("most", [1 << 16, 40, 0])
@pytest.mark.parametrize(("shape", "rate"), [((9, 13), 0.5), ((1, 1), 0.1), ((5, 64), 1e-6)])
def test_torch_draws_masks_of_many_keys_to_the_bit(target, monkeypatch, shape, rate, most):
    """In one piece, in several, and on a device whose int32 is not known to wrap."""
    from xpnn.steps import torch as torch_ops

    kind = target.device.type
    monkeypatch.setattr(torch_ops, "_COUNTERS", {kind: most} if most else {})
    keys = step_keys(3, 0, 6, 1)[:, 0]
    out = target.xp.empty((6, *shape), dtype=target.dtype, device=target.device)
    found = torch_ops.TorchOps(target.xp).draw(keys, 7, shape, rate, out)
    dtype = np.dtype(target.dtype_name)
    host = [dropout_mask(key, 7, shape, rate, dtype, np, None) for key in keys.tolist()]
    np.testing.assert_array_equal(target.to_numpy(found), np.stack(host))


@pytest.mark.targets("torch:cpu", "torch:cuda")
@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_fused_adam_of_torch_is_the_rule(target, monkeypatch, optimizer, l2):
    """Many parameters take torch's fused kernel, few take single operations; the same numbers."""
    from xpnn.steps import torch as torch_ops

    rules = Rules(network(), LOSS, get_optimizer(optimizer, beta_1=0.8, epsilon=1e-3), 0.0, l2)
    for least in (0, 1 << 30):
        calls, fused = [], torch_ops.fused_adam
        monkeypatch.setattr(torch_ops, "_FUSED", least)
        monkeypatch.setattr(
            torch_ops, "fused_adam", lambda *a, f=fused, c=calls, **k: c.append(f(*a, **k))
        )
        assert_alike(target, rules)
        assert bool(calls) == (least == 0)


@pytest.mark.targets("torch:cpu", "torch:cuda")
@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_torch_draws_ahead_for_as_many_steps_as_there_is_room(target, dropout):
    from xpnn.steps.torch import TorchSteps

    fit = Fit(5000, 16, 1, True, False, target.dtype)
    for width, most in ((8, 256), (256, 64), (1 << 20, 1)):
        net = network(dropout=dropout, sizes=(7, width, 5))
        steps = training_steps(Rules(net, LOSS, get_optimizer("adam")), fit, target.backend)
        assert isinstance(steps, TorchSteps)
        assert steps.stride(16) == (most if dropout else 1)


@pytest.mark.targets("torch:cpu")
@pytest.mark.dtypes("float32")
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
def test_a_step_in_place_reads_no_value_on_torch_meta(
    target, monkeypatch, optimizer, weighted, ordered
):
    """Tensors of the `meta` device have no values: a step that looks at one raises."""
    import torch

    from xpnn.steps import torch as torch_ops

    monkeypatch.setitem(torch_ops._COUNTERS, "meta", 1 << 16)
    rule = get_optimizer(optimizer)
    for activation in ("relu", "leaky_relu", "tanh", "sigmoid", "identity"):
        net = network(activation, dropout=0.5, input_dropout=0.2)
        rules = Rules(net, LOSS, rule, 0.0, 0.1)
        steps = torch_ops.TorchSteps(
            rules, torch_ops.TorchOps(target.xp), target.backend, target.dtype
        )
        theta, x, total = (
            torch.empty(shape, device="meta") for shape in (net.layout.size, (50, 7), ())
        )
        ones = torch.empty(net.layout.size, device="meta")
        known = Factors(None, ones, ones)
        monkeypatch.setattr(Rules, "factors", lambda *given, known=known: known)
        y, order = (torch.empty(50, dtype=torch.int64, device="meta") for _ in range(2))
        data = x, y, torch.empty(50, device="meta") if weighted else None
        carry = Carry(theta, torch.empty(0), rule.init(theta, target.xp), total)
        keys, rates = steps.words(step_keys(5, 0, 4, 4)), [rule.coefficients(0.1, 1)] * 4
        rows = Rows(Batch(*data), order if ordered else None, 0, 16)
        assert steps.on_rows(carry, rows, keys, rates).theta is theta


@pytest.mark.targets("torch:cpu")
@pytest.mark.dtypes("float32")
def test_a_step_on_torch_allocates_no_layer(target):
    """No temporary is as large as a layer's output, a mask or the parameters."""
    import torch

    sizes, batch, shapes = (64, 96, 80, 3), 200, []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            seen = {a.data_ptr() for a in args if isinstance(a, torch.Tensor)}
            result = function(*args, **(kwargs or {}))
            into = (kwargs or {}).get("out")
            if isinstance(result, torch.Tensor) and result is not into:
                known = result._base is not None or result.data_ptr() in seen
                if not known:
                    shapes.append((function.__name__, result.numel()))
            return result

    net = network(dropout=0.5, sizes=sizes)
    rules = Rules(net, LOSS, get_optimizer("adam"), 0.0, 0.1)
    steps = training_steps(rules, Fit(1000, batch, 1, True, False, target.dtype), target.backend)
    original = steps.on_rows

    def watched(*args):
        original(*args)
        with Watch():
            return original(*args)

    steps.on_rows = watched
    train_steps(target, steps, rules, rows=1000, batch=batch, count=5)
    assert shapes
    large = [(name, size) for name, size in shapes if size > batch * sizes[-1]]
    assert not large
