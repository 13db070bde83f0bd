"""Libraries that xpnn does not know by name: their devices, pickles, sparse arrays and labels."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import dlpack_only
import numpy as np
import pytest
import scipy.sparse as sp
from foreign import FITS, Coo, X, Y, on

import xpnn
from xpnn.arrays.libraries import library_of
from xpnn.arrays.libraries.foreign import Foreign
from xpnn.backends import Backend, DeviceError, backend_of, get_backend, to_numpy

pytestmark = [
    pytest.mark.own_context,
    pytest.mark.dtypes("float32"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


# ---- to the host ------------------------------------------------------------------------------


def test_an_array_that_refuses_numpy_goes_by_dlpack():
    with pytest.raises(TypeError, match="implicitly"):
        np.asarray(on(1))
    with pytest.raises(BufferError):
        np.from_dlpack(on(1))
    np.testing.assert_array_equal(to_numpy(on(1)), X)
    np.testing.assert_array_equal(get_backend("numpy").asarray(on(0)), X)
    constant = X[::2].copy()
    constant.flags.writeable = False
    for given in (X[:, ::-1], np.float32(2.5), X[:0], constant, np.asfortranarray(X), Y > 0):
        moved = backend_of(on(1)).asarray(given)
        assert moved.device == dlpack_only.DEVICES[1]
        np.testing.assert_array_equal(to_numpy(moved), given)


class Namespace:
    """A library whose arrays know one road to the host, or none."""

    __name__ = "made_up"


class Mine:
    device = "here"
    shape = (2,)

    def __array_namespace__(self, api_version=None):
        return Namespace

    def __array__(self, dtype=None, copy=None):
        return np.array(None, dtype=object)  # as NumPy makes of a lazy array


@pytest.mark.parametrize("road", ["numpy", "unwrap_numpy", "asnumpy"])
def test_a_library_may_have_a_way_of_its_own(road, monkeypatch):
    owner = Namespace if road == "asnumpy" else Mine
    monkeypatch.setattr(owner, road, staticmethod(lambda *a: np.arange(2)), raising=False)
    if road != "asnumpy":
        monkeypatch.setattr(Mine, road, lambda self: np.arange(2))
    np.testing.assert_array_equal(Foreign(Namespace).to_numpy(Mine()), [0, 1])


def test_what_ends_as_an_object_is_refused_by_name():
    with pytest.raises(DeviceError, match=r"values of this .*\.Mine cannot be read.*compute them"):
        Foreign(Namespace).to_numpy(Mine())


# ---- devices ----------------------------------------------------------------------------------


def test_devices_are_known_by_equality():
    first, second = (backend_of(on(i)) for i in (0, 1))
    assert (first.name, second.name) == ("dlpack_only:accelerator", "dlpack_only:accelerator#2")
    assert first != second
    assert backend_of(dlpack_only.ones(2, device=dlpack_only.Device(1))) is second
    assert get_backend("dlpack_only:Accelerator#2") is second
    with pytest.raises(ValueError, match="must use the same namespace and device"):
        backend_of(on(0), on(1))
    np.testing.assert_array_equal(to_numpy(first.asarray(on(1))), X)
    model = FITS["regressor"]().fit(on(0), on(0, X[:, 0]))
    with pytest.raises(ValueError, match=r"X is on dlpack_only:accelerator#2, and this"):
        model.predict(on(1))


def test_a_device_of_unknown_place_is_numbered_as_it_is_met():
    class Device:
        def __repr__(self):
            return f"<somewhere at {id(self):#x}>"

    library = Foreign(Namespace)
    one, two = Device(), Device()
    names = [library.suffix(d) for d in (one, two, one)]
    assert names == ["<somewhere>", "<somewhere>#2", "<somewhere>"]


@pytest.mark.parametrize("name", FITS)
def test_a_pickle_goes_back_to_its_library(name, tmp_path):
    y = on(1, X[:, 0]) if name == "regressor" else Y
    model = FITS[name]().fit(on(1), y)
    again = pickle.loads(pickle.dumps(model))
    predicted = again.predict(on(1))
    assert predicted.device == dlpack_only.DEVICES[1]
    np.testing.assert_array_equal(to_numpy(predicted), to_numpy(model.predict(on(1))))


@pytest.mark.slow
def test_a_pickle_imports_its_library_where_it_is_and_goes_to_numpy_where_not(tmp_path):
    model = FITS["regressor"]().fit(on(1), on(1, X[:, 0]))
    expected = to_numpy(model.predict(on(1))).tolist()
    path = tmp_path / "model.pickle"
    path.write_bytes(pickle.dumps((backend_of(on(1)), model)))
    code = f"""
import json, pathlib, pickle, sys, warnings
import numpy as np
sys.path[:0] = {[p for p in sys.path if p]!r}
if sys.argv[1] == "hidden":
    sys.modules["dlpack_only"] = None
import xpnn
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    try:
        backend, model = pickle.loads(pathlib.Path({str(path)!r}).read_bytes())
    except xpnn.DeviceError as error:
        model = None
    x = np.array({X.tolist()!r}, dtype=np.float32)
    if model is not None:
        x = backend.asarray(x)
        found = [backend.name, xpnn.to_numpy(model.predict(x)).tolist()]
print(json.dumps([None if model is None else found, [str(w.message) for w in seen]]))
"""

    def opened(how):
        command = [sys.executable, "-c", code, how]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    assert opened("there") == [["dlpack_only:accelerator#2", expected], []]
    assert opened("hidden")[0] is None
    path.write_bytes(pickle.dumps((get_backend("numpy"), model)))
    (_, found), warned = opened("hidden")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(warned) == 1
    assert "was fitted on dlpack_only:accelerator#2, which is not usable here" in warned[0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("numpy:cuda:0", r"cuda is a device of other libraries: 'jax:cuda:0' or 'torch:cuda:0'"),
        ("array_api_strict:mps", r"mps is a device of other libraries: 'torch:mps'"),
        ("dlpack_only:tpu:0", r"tpu is a device of other libraries: 'jax:tpu:0'"),
        ("no_such_library:cpu", "of any other library, import it first, or pass its arrays"),
    ],
)
def test_a_device_of_another_library_is_told(spec, message):
    with pytest.raises(DeviceError, match=message):
        get_backend(spec)


def test_a_name_imports_nothing():
    assert "antigravity" not in sys.modules
    with pytest.raises(DeviceError, match="unknown device"):
        get_backend("antigravity")
    assert "antigravity" not in sys.modules


# ---- arrays that become NumPy's or SciPy's -----------------------------------------------------


@pytest.mark.parametrize("name", ["classifier", "perceptron"])
def test_a_sparse_array_of_another_library_is_taken_as_csr(name):
    x = X * (X > 0)
    model = FITS[name]().fit(Coo(x), Y)
    expected = FITS[name]().fit(sp.csr_array(x), Y)
    for given in (Coo(x), sp.csr_array(x)):
        np.testing.assert_array_equal(model.predict(given), expected.predict(given))


@pytest.mark.parametrize("name", FITS)
def test_a_dask_array_is_computed_once(name):
    dask = pytest.importorskip("dask.array")
    computed = []

    def note(block):
        computed.append(block.shape)
        return block

    def lazy(x):
        return dask.from_array(x, chunks=x.shape).map_blocks(
            note, dtype=x.dtype, meta=np.empty((0,) * x.ndim, x.dtype)
        )

    model = FITS[name]().fit(lazy(X), X[:, 0] if name == "regressor" else Y)
    assert computed == [X.shape]
    assert type(model.predict(lazy(X))) is np.ndarray
    assert computed == [X.shape] * 2


# ---- labels -----------------------------------------------------------------------------------


@pytest.mark.targets("torch:cpu")
@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
@pytest.mark.parametrize("name", ["classifier", "perceptron", "tabular"])
def test_unsigned_labels_of_torch_are_taken_as_int64(target, dtype, name):
    import torch

    x, labels = target.asarray(X), 3 * Y + 1
    for y in (torch.from_numpy(labels).to(getattr(torch, dtype)), labels.astype(dtype)):
        model = FITS[name]().fit(x, y)
        predicted = model.predict(x)
        assert predicted.dtype == torch.int64
        assert torch.equal(predicted, FITS[name]().fit(x, labels).predict(x))
        assert 0 <= model.score(x, y) <= 1


@pytest.mark.targets("jax:cpu")
@pytest.mark.parametrize("name", ["classifier", "perceptron"])
def test_bfloat16_labels_of_jax(target, name):
    x, y = target.asarray(X), target.xp.asarray(Y, dtype=target.xp.bfloat16)
    predicted = FITS[name]().fit(x, y).predict(x)
    np.testing.assert_array_equal(to_numpy(predicted), FITS[name]().fit(X, Y).predict(X))
    np.testing.assert_array_equal(to_numpy(y), Y)


@pytest.mark.targets("cupy:0", "cupy:1")
def test_views_go_from_one_gpu_to_the_other(target):
    other = get_backend("cupy:0" if target.backend.name == "cupy:1" else "cupy:1")
    x = target.asarray(X)
    for host, view in ((X[::2, 1::2], x[::2, 1::2]), (X.T, x.T), (X[::-1], x[::-1])):
        moved = other.asarray(view)
        assert backend_of(moved) is other
        np.testing.assert_array_equal(to_numpy(moved), host)
    assert to_numpy(other.asarray(x[0, 0])).shape == ()


def test_the_double_is_on_the_path():
    assert Path(dlpack_only.__file__).parent == Path(__file__).parent
    assert isinstance(library_of(on(0)), Foreign)
    assert isinstance(xpnn.backend_of(on(0)), Backend)


class _Capsules:
    """Speaks DLPack and nothing else."""

    def __init__(self, values):
        self.values = values

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_speaks_dlpack_alone_goes_in_and_predictions_go_out():
    x = np.random.default_rng(0).normal(size=(30, 3))
    y = (x[:, 0] > 0).astype(np.int64)
    for make in (
        lambda: xpnn.MLPClassifier((4,), max_iter=3, random_state=0),
        lambda: xpnn.Perceptron(random_state=0),
        lambda: xpnn.TabularClassifier(n_members=2, hidden=(4,), epochs=2, random_state=0),
    ):
        model, plain = make().fit(_Capsules(x), _Capsules(y)), make().fit(x, y)
        found = model.predict(_Capsules(x))
        np.testing.assert_array_equal(found, plain.predict(x))
        assert model.score(_Capsules(x), _Capsules(y)) == plain.score(x, y)
        np.testing.assert_array_equal(np.from_dlpack(_Capsules(found)), found)
