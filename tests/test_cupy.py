"""CuPy, on a GPU or on its host double: the command line, files and pickles, several devices."""

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from transfers import host_double

import xpnn
from xpnn.backends import get_backend

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.targets("cupy:0", "cupy:1"),
    pytest.mark.dtypes("float32"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 1)
ABOUT = {"hidden_layer_sizes": (6,), "max_iter": 3, "batch_size": 16, "random_state": 0}

both_devices = pytest.mark.targets("cupy:1")  # where there is a second, there is a first


def fitted(spec, **more):
    backend = get_backend(spec)
    return xpnn.MLPClassifier(**ABOUT | more).fit(backend.asarray(X), backend.asarray(Y))


@pytest.fixture
def no_cupy():
    """The environment of a process that has CuPy installed and no GPU, or no CuPy."""
    off = {"CUPY_ON_CPU": "0", "CUDA_VISIBLE_DEVICES": "", "XPNN_DEVICE": ""}
    return os.environ | off


def current():
    import cupy

    return cupy.cuda.Device().id


# -- command line ------------------------------------------------------------------------------


def command(*words):
    from typer.testing import CliRunner

    from xpnn import cli

    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_trains_there(target, tmp_path):
    spec = target.backend.name
    double = host_double(target)
    before = double.counters() if double else {}
    train = ("train", "iris", "--epochs", 4, "--hidden", "8", "--quiet", "--out")
    command(*train, tmp_path / "here", "--device", spec)
    if double:
        assert double.counters()["gemms"] > before["gemms"] + 4 * 5  # it did the work
    command(*train, tmp_path / "numpy", "--device", "numpy")
    models = [xpnn.load(tmp_path / name / "model.safetensors") for name in ("here", "numpy")]
    a, b = (model.oof_prediction_ for model in models)
    np.testing.assert_allclose(a, b, atol=target.weight_tol)
    about = json.loads((tmp_path / "here" / "history.json").read_text())
    assert spec in json.dumps(about)


def test_the_command_line_predicts_there(target, tmp_path):
    from sklearn.datasets import load_iris

    command("train", "iris", "--epochs", 4, "--quiet", "--out", tmp_path, "--device", "numpy")
    load_iris(as_frame=True).data.to_csv(tmp_path / "rows.csv", index=False)
    written = []
    for spec in (target.backend.name, "numpy"):
        out = tmp_path / f"{spec.replace(':', '_')}.csv"
        model = tmp_path / "model.safetensors"
        command("predict", model, tmp_path / "rows.csv", "--out", out, "--device", spec)
        written.append(out.read_text())
    assert written[0] == written[1]
    assert written[0].count("\n") == 151


def test_the_command_line_lists_it(target):
    rows = {row["spec"]: row for row in json.loads(command("devices", "--json"))}
    assert rows[target.backend.name]["usable"]


# -- files and pickles ---------------------------------------------------------------------------

READ = """
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cupy":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
import pathlib, pickle, warnings, numpy as np, xpnn
kind, path, rows = sys.argv[1:]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    model = pickle.loads(pathlib.Path(path).read_bytes()) if kind == "pickle" else xpnn.load(path)
    proba = model.predict_proba(np.load(rows))
assert "cupy" not in sys.modules
assert type(proba) is np.ndarray and all(type(w) is np.ndarray for w in model.coefs_)
np.save(rows, proba)
print(len(said), *(str(w.message) for w in said))
"""


@pytest.mark.parametrize("kind", ["pickle", "file"])
def test_it_opens_on_a_machine_without_cupy(target, kind, tmp_path, no_cupy):
    model, path, rows = fitted(target.backend.name), tmp_path / "model", tmp_path / "rows.npy"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(model))
    else:
        xpnn.save(model, path)
    np.save(rows, X)
    read = [sys.executable, "-c", READ, kind, str(path), str(rows)]
    done = subprocess.run(read, env=no_cupy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, _, message = done.stdout.partition(" ")
    assert int(count) == (kind == "pickle")  # a file says only where it was told to work
    assert kind == "file" or target.backend.name in message
    expected = target.to_numpy(model.predict_proba(target.asarray(X)))
    np.testing.assert_allclose(np.load(rows), expected, atol=1e-6)


def test_a_pickle_and_a_file_come_back(target, tmp_path):
    model = fitted(target.backend.name)
    x = target.asarray(X)
    expected = target.to_numpy(model.predict_proba(x))
    again = pickle.loads(pickle.dumps(model))
    target.assert_here(again.coefs_[0])
    np.testing.assert_array_equal(target.to_numpy(again.predict_proba(x)), expected)
    twin = copy.deepcopy(model)
    target.assert_here(twin.coefs_[0])
    again.partial_fit(x, target.asarray(Y))
    np.testing.assert_array_equal(target.to_numpy(twin.predict_proba(x)), expected)
    xpnn.save(model, tmp_path / "model")
    there = xpnn.load(tmp_path / "model").to_device(target.backend.name)
    target.assert_close(there.predict_proba(x), expected)


# -- several devices -----------------------------------------------------------------------------


@pytest.mark.parametrize("other", [0, 1])
@both_devices
def test_the_current_device_does_not_matter_and_is_left_alone(target, other):
    import cupy

    before = current()
    with cupy.cuda.Device(other):
        models = [fitted(spec) for spec in ("cupy:0", "cupy:1")]
        for i, model in enumerate(models):
            x = get_backend(f"cupy:{i}").asarray(X)
            results = [model.predict(x), model.predict_proba(x), *model.coefs_, *model.intercepts_]
            results += [model.classes_, model._state.theta]
            assert {a.device.id for a in results} == {i}
            assert 0 < model.score(x, get_backend(f"cupy:{i}").asarray(Y)) < 1
            assert current() == other
        with pytest.raises(ValueError, match="NaN"):
            models[1].fit(get_backend("cupy:1").asarray(X * np.nan), Y)
        assert current() == other
    assert current() == before
    for a, b in zip(*(model.coefs_ for model in models), strict=True):
        np.testing.assert_array_equal(a.get(), b.get())


@both_devices
def test_operands_of_two_devices_are_refused(target):
    first, second = get_backend("cupy:0"), get_backend("cupy:1")
    model = fitted("cupy:0")
    with pytest.raises(ValueError, match="must use the same namespace"):
        model.predict(second.asarray(X))
    with pytest.raises(ValueError, match="must use the same namespace"):
        xpnn.backend_of(first.asarray(X), second.asarray(X))
    with pytest.raises(ValueError, match="same namespace"):
        model.fit(first.asarray(X), Y, validation_data=(second.asarray(X), Y))
    if not host_double(target):
        return  # GPUs that are peers may read each other's memory
    network = model.network_
    theta, buffers = (first.asarray(a, dtype="float32") for a in network.init(0))
    loss = xpnn.get_loss("softmax_cross_entropy")
    with first.device_context(), pytest.raises(Exception, match=r"Peer access|INVALID_VALUE"):
        network.loss_and_gradient(
            theta, buffers, second.asarray(X), second.asarray(Y), None, loss, first.xp
        )


@both_devices
def test_targets_and_weights_follow_x(target):
    first, second = get_backend("cupy:0"), get_backend("cupy:1")
    weight = np.linspace(0.5, 1.5, len(X)).astype(np.float32)
    expected = xpnn.MLPClassifier(**ABOUT).fit(X, Y, sample_weight=weight).predict_proba(X)
    model = xpnn.MLPClassifier(**ABOUT).fit(
        second.asarray(X), first.asarray(Y), sample_weight=first.asarray(weight)
    )
    np.testing.assert_allclose(model.predict_proba(second.asarray(X)).get(), expected, atol=1e-4)


@both_devices
def test_two_devices_in_two_threads(target):
    """CuPy's current device belongs to a thread; the two trainings are one network."""
    models, errors = {}, []

    def work(spec):
        try:
            with warnings.catch_warnings():
                models[spec] = fitted(spec, dropout=0.3, max_iter=5)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(spec,)) for spec in ("cupy:0", "cupy:1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    expected = fitted("cupy:0", dropout=0.3, max_iter=5)
    for model in models.values():
        for a, b in zip(model.coefs_, expected.coefs_, strict=True):
            np.testing.assert_array_equal(a.get(), b.get())


@both_devices
def test_use_device_and_the_environment_choose(target, monkeypatch):
    with xpnn.use_device("cupy:1"):
        assert get_backend().name == "cupy:1"
    monkeypatch.setenv("XPNN_DEVICE", "cupy:1")
    assert get_backend().name == "cupy:1"


def test_a_full_device_streams(target, monkeypatch):
    """What does not fit stays on the host and comes batch by batch: the same network."""
    whole = fitted(target.backend.name, device=None)
    with monkeypatch.context() as patch:
        patch.setattr(type(target.backend), "free_memory", lambda self: 1000)
        streamed = xpnn.MLPClassifier(**ABOUT, device=target.backend.name).fit(X, Y)
        proba = streamed.predict_proba(X)
    assert type(proba) is np.ndarray
    for a, b in zip(whole.coefs_, streamed.coefs_, strict=True):
        np.testing.assert_allclose(target.to_numpy(a), b, atol=1e-6)
