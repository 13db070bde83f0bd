"""Arrays without values: what JAX traces, torch's meta tensors, symbolic ones."""

import subprocess
import sys

import dlpack_only
import numpy as np
import pytest
from foreign import FITS, NETWORK, X, Y, on

from xpnn.backends import to_numpy

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.dtypes("float32"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.targets("jax:cpu")
@pytest.mark.parametrize("name", FITS)
def test_what_jax_traces_is_told_of_the_network(target, name):
    import jax

    x = target.asarray(X)
    y = x[:, 0] if name == "regressor" else Y
    model = FITS[name]().fit(x, y)
    calls = {
        "jit": lambda: jax.jit(model.predict)(x),
        "vmap": lambda: jax.vmap(model.predict)(x[:, None, :]),
        "grad": lambda: jax.grad(lambda a: model.predict(a).sum())(x),
        "fit": lambda: jax.jit(lambda a: FITS[name]().fit(a, y).predict(x))(x),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=rf"X is being traced by jax.*{NETWORK}"):
            call()


@pytest.mark.targets("jax:cpu")
def test_the_network_is_traced_differentiated_and_compiled_by_jax(target):
    import jax

    x = target.asarray(X)
    model = FITS["regressor"]().fit(x, x[:, 0])
    network = model.network_

    def predict(a):
        return network.predict(*model.parameters_, a, target.xp)[:, 0]

    for found in (jax.jit(predict)(x), jax.vmap(lambda row: predict(row[None])[0])(x)):
        target.assert_close(found, to_numpy(model.predict(x)))
    slopes = to_numpy(jax.grad(lambda a: predict(a).sum())(x))
    np.testing.assert_allclose(slopes, central_differences(model), rtol=2e-2, atol=2e-3)


def central_differences(model, step=1e-2):
    found, source = np.empty_like(X), model._source
    for j in range(X.shape[1]):
        shift = np.zeros_like(X)
        shift[:, j] = step
        up, down = (to_numpy(model.predict(source.asarray(X + s))) for s in (shift, -shift))
        found[:, j] = (up - down) / (2 * step)
    return found


@pytest.mark.targets("torch:cpu")
@pytest.mark.parametrize("name", FITS)
def test_tensors_without_values_are_told(target, name):
    import torch

    x = target.asarray(X)
    y = x[:, 0] if name == "regressor" else Y
    model = FITS[name]().fit(x, y)
    traced = rf"X is being traced by torch\.func.*{NETWORK}"
    calls = {
        lambda: torch.func.grad(lambda a: model.predict(a).sum())(x): traced,
        lambda: torch.func.vmap(model.predict)(x[:, None, :]): traced,
        lambda: model.predict(x.to("meta")): rf"X is on torch's device 'meta'.*{NETWORK}",
        lambda: model.predict(x.to_sparse()): r"layout torch\.sparse_coo.*pass its to_dense\(\)",
        lambda: FITS[name]().fit(x.to_sparse(), y): r"layout torch\.sparse_coo.*its to_dense\(\)",
    }
    for call, message in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.targets("torch:cpu")
def test_the_network_is_differentiated_by_torch(target):
    import torch

    x = target.asarray(X)
    model = FITS["regressor"]().fit(x, x[:, 0])

    def total(a):
        return model.network_.predict(*model.parameters_, a, target.xp).sum()

    tracked = x.clone().requires_grad_()
    total(tracked).backward()
    for slopes in (torch.func.grad(total)(x), tracked.grad):
        np.testing.assert_allclose(slopes, central_differences(model), rtol=2e-2, atol=2e-3)


@pytest.mark.targets("jax:cpu")
def test_an_array_on_several_devices_is_told(target):
    code = f"""
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
sys.path[:0] = {[p for p in sys.path if p]!r}
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from xpnn import MLPRegressor
spread = NamedSharding(Mesh(np.array(jax.devices()), ("rows",)), PartitionSpec("rows"))
x = jax.device_put(np.ones((8, 2), np.float32), spread)
try:
    MLPRegressor().fit(x, x[:, 0])
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    told = "X is spread over 2 devices, and xpnn computes on one: gather it with jax.device_put"
    assert done.stdout.startswith(told)


@pytest.mark.parametrize(
    ("module", "cure"), [("mlx.core", r"numpy\.asarray\(X\)"), ("tinygrad.tensor", r"X\.numpy\(\)")]
)
def test_a_library_without_the_standard_is_told(module, cure):
    given = type("Tensor", (), {"__module__": module, "shape": X.shape})()
    for name in FITS:
        with pytest.raises(ValueError, match=rf"does not follow the array API.*pass {cure}"):
            FITS[name]().fit(given, Y)


def test_a_symbolic_array_of_an_unknown_library_is_told(monkeypatch):
    model = FITS["regressor"]().fit(on(1), on(1, X[:, 0]))
    x = on(1)

    def refuse(self):
        raise RuntimeError("no value yet")

    monkeypatch.setattr(dlpack_only.Array, "__bool__", refuse)
    with pytest.raises(
        ValueError, match=f"X is a lazy or symbolic array of dlpack_only.*{NETWORK}"
    ):
        model.predict(x)
    monkeypatch.setattr(dlpack_only.Array, "shape", (None, 4))
    with pytest.raises(ValueError, match=f"X is a symbolic array of dlpack_only.*{NETWORK}"):
        model.predict(x)
