"""Small fits, and the check that a mistake leaves an estimator as it was."""

import dataclasses

import array_api_compat
import numpy as np
import pytest

from xpnn import MLPClassifier, MLPRegressor, to_numpy
from xpnn.backends import Backend

N, N_IN = 30, 3
OPTIONS = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}


def features():
    return np.random.default_rng(0).normal(size=(N, N_IN)).astype(np.float32).astype(float)


def labels():
    return features()[:, :3].argmax(axis=1)


def values():
    return features() @ np.array([1.0, -2.0, 0.5])


def spoiled(value, at=(7, 1)):
    x = features() if len(at) == 2 else values()
    x[at] = value
    return x


def classifier(**options):
    return MLPClassifier(**OPTIONS | options)


def regressor(**options):
    return MLPRegressor(**OPTIONS | options)


def frozen(a):
    """Everything that an object holds, as plain data that equals itself when nothing changed."""
    if a is None or isinstance(a, str | bytes | int | float | Backend):
        return repr(a)
    if isinstance(a, dict):
        return {k: frozen(v) for k, v in a.items()}
    if isinstance(a, list | tuple):
        return [frozen(v) for v in a]
    if dataclasses.is_dataclass(a) and not isinstance(a, type):
        return frozen({f.name: getattr(a, f.name) for f in dataclasses.fields(a)})
    if array_api_compat.is_array_api_obj(a):
        host = to_numpy(a)
        return str(type(a)), str(host.dtype), host.shape, host.tobytes()
    return id(a)


def assert_as_before(model, action, error=ValueError, match=None):
    before = frozen(vars(model))
    with pytest.raises(error, match=match) as caught:
        action()
    assert frozen(vars(model)) == before
    return str(caught.value)
