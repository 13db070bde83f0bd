"""Devices with float32 alone (Apple's GPUs, JAX as it comes): nothing asks for a dtype they lack.

`strict:no_float64` and `strict:no_x64` raise where a missing dtype is asked for; JAX without x64
warns, and warnings are errors. On torch, NumPy and CuPy a float64 array would pass unseen, so
there every array of the run is looked at instead.
"""

import warnings

import numpy as np
import pytest
from options import OPTIONS
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from test_transfers import ESTIMATORS, PREDICTING, make, options_of, rows
from transfers import train_watched

import xpnn
from xpnn.backends import DeviceError
from xpnn.estimators import _device

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.dtypes("float32"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
NARROW = ("strict:no_float64", "strict:no_x64", "jax:cpu", "jax:cuda", "torch:mps")

FITS = [
    (name, {**options, **more})
    for name in ESTIMATORS
    for options in options_of(name)
    for more in ({}, {"solver": "lbfgs"})
    if not more or (more.keys() <= ESTIMATORS[name]().get_params().keys() and not options)
]


def compiling(target, name):
    """Whether to leave a case to strict's `no_x64`."""
    return target.backend.library.name == "jax" and not name.startswith(BRIEF)


REASON = "JAX compiles each case for a second; strict:no_x64 runs the same code"
BRIEF = ("plain", "optimizer", "loss", "layer", "network", "dropout", "{}", "{'normalization'")


@pytest.mark.targets(*NARROW)
@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains(target, name):
    option = OPTIONS[name]
    if compiling(target, name.replace("loss", "") if "weights" in name else name):
        pytest.skip(REASON)
    assert "float64" not in target.backend.dtypes
    network, config = option.make()
    state, _ = train_watched(target, network, config, *option.rows(), stream=option.stream)
    assert np.isfinite(state.history["loss"]).all()


@pytest.mark.targets(*NARROW)
@pytest.mark.parametrize(("name", "options"), FITS, ids=[f"{n} {o}" for n, o in FITS])
def test_every_estimator_works(target, name, options):
    if compiling(target, str(options)):
        pytest.skip(REASON)
    x, y = (target.backend.asarray(a) for a in rows(name))
    model = make(name, **options).fit(x, y)
    for method in PREDICTING:
        if hasattr(model, method):
            result = getattr(model, method)(x)
            if method != "predict" or not is_classifier(model):
                target.assert_here(result)
    assert type(model.score(x, y)) is float
    if not {"early_stopping", "class_weight", "solver"} & options.keys():
        model.partial_fit(x, y)


@pytest.mark.targets(*NARROW)
def test_double_precision_data_are_computed_in_float32_and_said_once(target, monkeypatch):
    monkeypatch.setattr(_device, "_WARNED", set())
    spec, (x, y) = target.backend.name, rows("MLPClassifier")
    x = x.astype(np.float64)
    with pytest.warns(UserWarning, match="computing in float32"):
        model = make("MLPClassifier", device=spec).fit(x, y)
    target.assert_here(model._state.theta)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        make("MLPClassifier", device=spec).fit(x, y)
        assert model.predict_proba(x).shape == (len(x), 4)
    narrow = make("MLPClassifier", device=spec, dtype="float32").fit(x, y)
    for a, b in zip(model.coefs_, narrow.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.targets(*NARROW)
def test_a_model_of_double_precision_can_move_there(target, tmp_path):
    x, y = rows("MLPClassifier")
    model = make("MLPClassifier").fit(x.astype(np.float64), y)
    expected = model.predict_proba(x.astype(np.float64))
    model.to_device(target.backend.name)
    target.assert_here(model._state.theta)
    moved = target.to_numpy(model.predict_proba(target.backend.asarray(x)))
    np.testing.assert_allclose(moved, expected, atol=1e-5)


@pytest.mark.targets(*NARROW)
def test_asking_for_what_is_not_there_says_what_is(target):
    with pytest.raises(DeviceError, match=r"no float64: use 'float32'"):
        target.backend.asarray([1.0], dtype="float64")
    with pytest.raises(DeviceError, match="float64"):
        target.backend.float_dtype("float64")


@pytest.mark.targets("numpy", "torch:cpu", "cupy:0", "strict:device1")
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_float32_stays_float32_where_float64_exists(target, option):
    """The optimizer's state, the weights and what a user's code is handed."""
    seen = []

    def loss(output, labels, weight, xp):
        result = xpnn.get_loss(option.loss)(output, labels, weight, xp)
        seen.extend(a.dtype for a in (output, *result) if a is not None)
        return result

    network, config = option.make(xpnn.get_loss(loss))
    train_watched(target, network, config, *option.rows(), stream=option.stream)
    assert seen
    assert all(dtype == target.dtype for dtype in seen)
