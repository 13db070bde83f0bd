import asyncio
import copy
import gc
import importlib.util
import pickle
import threading
import warnings
import weakref

import array_api_compat
import numpy as np
import pytest
from targets import TABLE, jax_x64, running

from xpnn.arrays import backend as backends
from xpnn.arrays import libraries as _libraries
from xpnn.arrays.libraries import LIBRARIES
from xpnn.arrays.libraries.cupy import CuPy
from xpnn.arrays.libraries.torch import Torch
from xpnn.backends import (
    DeviceError,
    backend_of,
    devices,
    dtype_name,
    get_backend,
    to_numpy,
    use_device,
)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("XPNN_DEVICE", raising=False)


@pytest.fixture
def fresh(monkeypatch):
    """Nothing remembered from earlier calls."""
    monkeypatch.setattr(backends, "_backends", {})
    backends._auto.cache_clear()
    backends._numpy.cache_clear()
    yield
    backends._auto.cache_clear()
    backends._numpy.cache_clear()


def only(monkeypatch, name):
    """Leave one library beside NumPy: the imports of the others take seconds."""
    for other in set(LIBRARIES) - {name, "numpy"}:
        monkeypatch.delitem(LIBRARIES, other)


class FakeLibrary(_libraries.Library):
    """Stands in for CuPy or torch on machines that have other GPUs than this one."""

    def __init__(self, name, suffixes=(), error="", total=None, reality=True):
        self.name, self.suffixes, self.error, self.reality = name, suffixes, error, reality
        self.module = "array_api_compat.numpy"
        self.distributions = ("numpy",)
        self.kinds = ("0",) if name == "cupy" else ("cpu", "cuda", "mps")
        self.total = total
        self.known = {"cupy": CuPy, "torch": Torch}[name]
        self.hint = self.known.hint

    def devices(self):
        return {suffix: suffix for suffix in self.suffixes}

    def canonical(self, rest):
        return self.known.canonical(self, rest)

    def default(self):
        return self.suffixes[0] if self.suffixes else "0"

    def suffix(self, device):
        return device

    def accelerator(self, device):
        return device != "cpu"

    def real(self, device):
        return self.reality

    def why_not(self, kind):
        return f"{self.name} installed, no CUDA driver"

    def from_numpy(self, x, device, copy):
        if self.error:
            raise RuntimeError(self.error + "\nmore")
        return x if self.total is None else np.full((2, 2), self.total, np.float32)


# ---- choosing ---------------------------------------------------------------------------------


def test_numpy():
    backend = get_backend("numpy")
    assert backend.name == str(backend) == "numpy"
    assert backend.device == "cpu"
    assert backend.xp is array_api_compat.array_namespace(np.ones(1))
    assert get_backend(backend) is backend
    for spec in (" numpy ", "NumPy", "numpy:cpu", "numpy:cpu:0"):
        assert get_backend(spec) is backend


def test_a_target_is_what_its_spec_says(target_any):
    backend = get_backend(TABLE[target_any.name].spec)
    x = target_any.xp.zeros(2, dtype=target_any.dtype, device=target_any.device)
    assert array_api_compat.array_namespace(x) is backend.xp
    assert array_api_compat.device(x) == backend.device
    assert backend_of(x) is backend is get_backend(backend.name)
    assert get_backend(backend.name.upper()) is backend


@pytest.mark.targets("torch:cpu", "jax:cpu", "strict:device1", "cupy:0")
def test_other_spellings(target_any):
    name = target_any.name
    same = {
        "torch:cpu": ["torch:cpu:0", "torch: cpu"],
        "jax:cpu": ["jax:cpu:0"],
        "strict:device1": ["array_api_strict:DEVICE1"],
        "cupy:0": ["cupy", "cupy:cuda", "cupy:cuda:0", "cupy:00"],
    }[name]
    assert {get_backend(spec) for spec in same} == {target_any.backend}


@pytest.mark.targets("torch:cpu", "jax:cpu", "strict:device1", "cupy:0")
def test_a_bare_name_is_the_best_or_current_device(target_any):
    backend = get_backend(target_any.backend.library.name)
    assert backend.library is target_any.backend.library
    if target_any.name == "jax:cpu":
        import jax

        assert backend.device == jax.devices()[0]
    if target_any.name == "cupy:0":
        import cupy

        with cupy.cuda.Device(0):
            assert get_backend("cupy").name == "cupy:0"


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("nunpy", "'numpy'"),
        ("cuppy", "'cupy'"),
        ("cuppy:1", "'cupy:"),
        ("toch:cpu", "'torch:cpu'"),
        ("pytorch:cuda:1", "'torch:cuda:1'"),
        ("jaxx", "'jax'"),
        ("gpu", "'auto'"),
        ("cpu", "'numpy'"),
        ("mps", "'torch:mps'"),
        ("atuo", "'auto'"),
        ("strict:device1", "'array_api_strict:device1'"),
    ],
)
def test_a_typo_is_told_what_was_meant(spec, meant):
    with pytest.raises(DeviceError, match=f"unknown device '{spec}': did you mean {meant}"):
        get_backend(spec)


@pytest.mark.parametrize(("spec", "index"), [("cuda", 0), ("CUDA:1", 1), ("cuda:x", 0)])
@pytest.mark.parametrize("installed", [(), ("cupy",), ("torch",), ("cupy", "torch")])
def test_cuda_alone_is_told_both_libraries_installed_ones_first(
    monkeypatch, spec, index, installed
):
    for name in ("cupy", "torch"):
        version = "1.0" if name in installed else None
        monkeypatch.setattr(LIBRARIES[name], "version", lambda v=version: v)
    meant = [f"'cupy:{index}'", f"'torch:cuda:{index}'"]
    if installed == ("torch",):
        meant.reverse()
    with pytest.raises(DeviceError, match=f"unknown device '{spec}': did you mean") as caught:
        get_backend(spec)
    assert f"did you mean {meant[0]} or {meant[1]}? Known are auto" in str(caught.value)


@pytest.mark.parametrize("spec", ["", "tensorflow", ":", ":0"])
def test_an_unknown_spec_is_told_what_is_known(spec):
    with pytest.raises(DeviceError, match="Known are auto, numpy, cupy, torch, jax, array_api_st"):
        get_backend(spec)


@pytest.mark.parametrize("spec", [0, 1.5, np, object(), ["numpy"]])
def test_a_spec_is_a_string(spec):
    with pytest.raises(DeviceError, match="a device is named by a string such as 'cupy:0'"):
        get_backend(spec)


def test_every_error_is_a_value_error():
    assert issubclass(DeviceError, ValueError)


@pytest.mark.parametrize("spec", ["numpy:1", "numpy:cuda"])
def test_numpy_has_one_device(spec):
    with pytest.raises(DeviceError, match=f"'{spec}': no such device; there are: numpy"):
        get_backend(spec)


@pytest.mark.targets("torch:cpu")
def test_torch_devices_that_do_not_exist(target_any):
    with pytest.raises(DeviceError, match="'torch:cpu:3': no such device; there are: torch:cpu"):
        get_backend("torch:cpu:3")
    with pytest.raises(DeviceError, match="did you mean 'torch:cuda'"):
        get_backend("torch:cudda")


@pytest.mark.targets("cupy:0")
def test_cupy_devices_that_do_not_exist(target_any):
    for spec in ("cupy:99", "cupy:x", "cupy:-1"):
        with pytest.raises(DeviceError, match=f"'{spec}': no such device; there are: cupy:0"):
            get_backend(spec)


@pytest.mark.targets("strict:device1")
def test_strict_devices_that_do_not_exist(target_any):
    with pytest.raises(DeviceError, match=r"no such device; there are: .*did you mean '.*:device"):
        get_backend("array_api_strict:device7")


@pytest.mark.parametrize(
    ("spec", "cure"),
    [
        ("cupy:1", r"pip install 'xpnn\[cuda12\]' or 'xpnn\[cuda13\]'"),
        ("torch:cuda:0", r"pip install 'xpnn\[torch\]'"),
        ("jax", r"pip install 'xpnn\[jax\]'"),
        ("array_api_strict:device1", r"pip install 'xpnn\[test\]'"),
    ],
)
def test_a_missing_library_says_how_to_install_it(fresh, monkeypatch, spec, cure):
    name = spec.partition(":")[0]
    monkeypatch.setattr(LIBRARIES[name], "module", "no_such_module")
    monkeypatch.setattr(LIBRARIES[name], "distributions", ("no-such-distribution",))
    with pytest.raises(DeviceError, match=f"'{spec}': {name} is not installed: {cure}"):
        get_backend(spec)
    only(monkeypatch, name)
    row = next(row for row in devices() if row.library == name)
    assert (row.spec, row.version, row.usable) == (name, "", False)
    assert row.reason.startswith("not installed: pip install 'xpnn[")


def test_a_library_that_does_not_import_says_so(fresh, monkeypatch):
    monkeypatch.setattr(LIBRARIES["torch"], "module", "no_such_module")
    monkeypatch.setattr(LIBRARIES["torch"], "distributions", ("numpy",))
    with pytest.raises(DeviceError, match=rf"torch {np.__version__} does not import: No module"):
        get_backend("torch:cpu")


def test_no_gpu(fresh, monkeypatch):
    monkeypatch.setitem(LIBRARIES, "cupy", FakeLibrary("cupy"))
    with pytest.raises(
        DeviceError, match="'cupy:1': cupy installed, no CUDA driver; usable here: n"
    ):
        get_backend("cupy:1")
    monkeypatch.setitem(LIBRARIES, "torch", FakeLibrary("torch", ["cpu"]))
    with pytest.raises(
        DeviceError, match=r"'torch:cuda': .*no CUDA driver; usable here: torch:cpu"
    ):
        get_backend("torch:cuda")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"error": "no NVRTC"}, "a small product fails: no NVRTC .*pip install 'cupy-cuda12x.ctk."),
        ({"total": 0.0}, "computes 4.0 where 58 is right"),
    ],
)
def test_a_gpu_that_does_not_compute_is_not_used(fresh, monkeypatch, fault, message):
    monkeypatch.setitem(LIBRARIES, "cupy", FakeLibrary("cupy", ["0"], **fault))
    with pytest.raises(DeviceError, match=f"'cupy:0': .*{message}"):
        get_backend("cupy")
    only(monkeypatch, "cupy")
    row = next(row for row in devices() if row.spec == "cupy:0")
    assert not row.usable
    assert row.reason


@pytest.mark.parametrize(
    ("gpu", "apple", "cupy", "torch", "expected"),
    [
        (True, False, ["0", "1"], ["cpu", "cuda:0"], "cupy:0"),
        (True, False, [], ["cpu", "cuda:0"], "torch:cuda:0"),
        (True, False, [], ["cpu"], "numpy"),
        (False, True, [], ["cpu", "mps"], "torch:mps"),
        (False, True, [], ["cpu"], "numpy"),
        (False, False, ["0"], ["cpu", "cuda:0"], "numpy"),  # no driver: nothing is imported
    ],
)
def test_auto_takes_the_best(fresh, monkeypatch, gpu, apple, cupy, torch, expected):
    monkeypatch.setattr(backends, "gpu_driver", lambda: gpu)
    monkeypatch.setattr(backends, "apple_gpu", lambda: apple)
    monkeypatch.setitem(LIBRARIES, "cupy", FakeLibrary("cupy", cupy))
    monkeypatch.setitem(LIBRARIES, "torch", FakeLibrary("torch", torch))
    assert get_backend("auto").name == expected
    assert get_backend().name == expected


def test_auto_takes_no_simulated_gpu(fresh, monkeypatch):
    monkeypatch.setattr(backends, "gpu_driver", lambda: True)
    monkeypatch.setattr(backends, "apple_gpu", lambda: False)
    monkeypatch.setitem(LIBRARIES, "cupy", FakeLibrary("cupy", ["0"], reality=False))
    monkeypatch.setitem(LIBRARIES, "torch", FakeLibrary("torch", ["cpu"]))
    assert get_backend("auto").name == "numpy"


@pytest.mark.targets("cupy:0")
def test_the_host_double_is_no_real_gpu(target_any):
    real = importlib.util.find_spec("cupy_on_cpu") is None
    assert target_any.backend.library.real(target_any.device) is real


@pytest.mark.slow
def test_devices_lists_every_library_and_why_not(chosen):
    rows = devices()
    assert {row.library for row in rows} == set(LIBRARIES)
    assert len({row.spec for row in rows}) == len(rows)
    for row in rows:
        assert row.usable is (not row.reason)
        if row.usable:
            assert row.device
            assert row.version
            assert get_backend(row.spec).name == row.spec
        else:
            with pytest.raises(DeviceError):
                get_backend(row.spec)
    usable = {row.spec for row in rows if row.usable}
    known = [spec for name in chosen if (spec := TABLE[name].spec).split(":")[0] in LIBRARIES]
    assert {get_backend(spec).name for spec in known} <= usable


# ---- what is set from outside -----------------------------------------------------------------


def test_the_environment_names_a_device(monkeypatch):
    monkeypatch.setenv("XPNN_DEVICE", "numpy")
    assert get_backend().name == "numpy"
    monkeypatch.setenv("XPNN_DEVICE", "nunpy")
    with pytest.raises(
        DeviceError, match="XPNN_DEVICE=nunpy: unknown device 'nunpy': did you mean"
    ):
        get_backend()
    assert get_backend("numpy").name == "numpy"


def test_use_device_nests_and_is_undone(monkeypatch):
    strict = [get_backend(f"array_api_strict:device{i}") for i in (1, 2)]
    monkeypatch.setenv("XPNN_DEVICE", "numpy")
    with use_device("array_api_strict:device1") as backend:
        assert backend is strict[0] is get_backend()
        with use_device(strict[1]):
            assert get_backend() is strict[1]
            with use_device(None):
                assert get_backend() is strict[1]
        assert get_backend() is strict[0]
        with pytest.raises(KeyError), use_device(strict[1]):
            raise KeyError
        assert get_backend() is strict[0]
        with pytest.raises(DeviceError), use_device("nunpy"):
            pass
        assert get_backend() is strict[0]
    assert get_backend().name == "numpy"


def test_each_thread_has_its_own_device():
    seen, together = {}, threading.Barrier(2, timeout=10)

    def work(name):
        with use_device(name):
            together.wait()
            seen[name] = get_backend().name
            together.wait()

    names = ["array_api_strict:device1", "array_api_strict:device2"]
    with use_device("numpy"):
        threads = [threading.Thread(target=work, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert get_backend().name == "numpy"
    assert seen == {name: name for name in names}


def test_each_task_has_its_own_device():
    async def work(name):
        with use_device(name):
            await asyncio.sleep(0)
            return get_backend().name

    async def both():
        return await asyncio.gather(work("numpy"), work("array_api_strict:device1"))

    assert asyncio.run(both()) == ["numpy", "array_api_strict:device1"]


# ---- a backend as a value ---------------------------------------------------------------------


def test_backends_are_values(target_any):
    backend = target_any.backend
    assert pickle.loads(pickle.dumps(backend)) is backend
    assert copy.deepcopy(backend) is backend
    assert len({backend, get_backend(backend.name)}) == 1
    assert backend != get_backend("array_api_strict:device2")
    assert repr(backend) == f"Backend(name='{backend.name}')"
    with pytest.raises(AttributeError):
        backend.name = "other"


def test_dtypes(target):
    assert target.dtype_name in target.backend.dtypes
    assert target.backend.float_dtype(target.dtype_name) == target.dtype
    assert {"float32", "int32", "uint32"} <= set(target.backend.dtypes)
    assert "float16" not in target.backend.dtypes
    for name in target.backend.dtypes:
        assert dtype_name(target.asarray([1, 2], dtype=name).dtype) == name
        assert dtype_name(getattr(target.xp, name)) == name
    with pytest.raises(DeviceError, match="'float16' is not computed in: use 'float32'"):
        target.backend.float_dtype("float16")
    with pytest.raises(DeviceError, match="has no dtype 'flaot32', but float32"):
        get_backend("array_api_strict").asarray([1.0], "flaot32")


@pytest.mark.dtypes("float32")
@pytest.mark.targets("strict:no_float64", "strict:no_x64", "torch:mps", "jax:cpu", "jax:cuda")
def test_a_device_without_float64(target):
    backend, wide = target.backend, np.array([[1.5, 2.0]])
    assert "float64" not in backend.dtypes
    with pytest.raises(DeviceError, match=f"{backend.name} has no float64: use 'float32'"):
        backend.float_dtype()
    with pytest.raises(DeviceError, match="has no float64"):
        backend.asarray(wide, "float64")
    target.assert_close(backend.asarray(wide), wide)
    target.assert_close(backend.asarray(wide, dtype="float32"), wide)
    other = get_backend("array_api_strict:device1").asarray(wide)
    target.assert_close(backend.asarray(other), wide)


@pytest.mark.dtypes("float32")
@pytest.mark.targets("strict:no_x64", "jax:cpu", "jax:cuda")
def test_a_device_without_64_bits(target):
    backend = target.backend
    assert not {"float64", "int64", "uint64"} & set(backend.dtypes)
    target.assert_close(backend.asarray([1, -2]), [1, -2], dtype="int32")
    with pytest.raises(DeviceError, match="has no int64, and the values exceed int32"):
        backend.asarray([2**31])


@pytest.mark.dtypes("float32")
@pytest.mark.targets("jax:cpu")
def test_jax_follows_its_setting(target):
    with jax_x64(True):
        assert "float64" in target.backend.dtypes
        x = target.backend.asarray([1.0])
        assert dtype_name(x.dtype) == "float64"
    assert "float64" not in target.backend.dtypes
    assert dtype_name(target.backend.asarray(x).dtype) == "float32"


def test_dtype_names():
    for dtype in ("float32", np.float32, np.dtype("<f4"), np.dtype(">f4")):
        assert dtype_name(dtype) == "float32"
    assert dtype_name(float) == "float64"


def test_device_work(target_any):
    backend = target_any.backend
    with backend.device_context():
        with backend.device_context():  # nests
            x = target_any.xp.ones((3,), dtype=target_any.dtype, device=target_any.device)
        y = x + target_any.xp.zeros_like(x)
    target_any.assert_close(y, np.ones(3))
    backend.synchronize()
    free = backend.free_memory()
    on_host = backend.name in ("numpy", "torch:cpu", "jax:cpu") or "strict" in backend.name
    on_host = on_host or backend.library.name not in LIBRARIES  # nothing is known of others
    assert (free is None) is on_host
    assert on_host or free > 2**20


@pytest.mark.own_context
@pytest.mark.targets("cupy:1")
def test_the_context_makes_a_cupy_device_current(target_any):
    import cupy

    assert cupy.cuda.Device().id == 0
    with target_any.backend.device_context():
        assert target_any.xp.zeros(2).device.id == 1
    assert cupy.cuda.Device().id == 0
    assert backend_of(target_any.backend.asarray([1.0])) is target_any.backend


@pytest.mark.targets("torch:cpu")
def test_torch_records_no_gradients_inside_the_context(target_any):
    import torch

    x = torch.ones(2, requires_grad=True)
    with target_any.backend.device_context():
        assert not (x * 2).requires_grad
    np.testing.assert_array_equal(to_numpy(x), [1, 1])
    assert not target_any.backend.asarray(x).requires_grad


# ---- whose array ------------------------------------------------------------------------------


def test_lists_and_numbers_are_on_the_host(target_any):
    numpy = get_backend("numpy")
    assert backend_of() is backend_of(None, 1, 2.0) is numpy
    assert backend_of([1, 2], np.ones(1), np.float64(1), range(3)) is numpy
    x = target_any.asarray([1.0])
    assert backend_of(x, None, 1.0) is target_any.backend


def test_arrays_must_agree(target_any, chosen):
    x = target_any.asarray([1.0])
    for name in chosen:
        other = get_backend(TABLE[name].spec)
        y = other.asarray([1.0])
        if other is target_any.backend:
            assert backend_of(x, y) is other
            continue
        with pytest.raises(ValueError, match="must use the same namespace and device") as caught:
            backend_of(x, None, y)
        text = str(caught.value)
        assert f"got {target_any.backend}, {other}: move them first" in text
        assert f"get_backend('{target_any.backend}').asarray(x)" in text


@pytest.mark.dtypes("float32")
@pytest.mark.targets("jax:cpu")
def test_inside_a_traced_function(target):
    import jax

    seen, constant = [], target.asarray([1.0])

    @jax.jit
    def function(x):
        seen.append((backend_of(x), backend_of(constant, x), backend_of(x, constant)))
        with seen[0][0].device_context():
            return x + seen[0][0].asarray(np.array([1.0]), "float32")

    target.assert_close(function(constant), [2.0])
    assert {backend.xp for backend in seen[0]} == {target.xp}
    assert {backend.device for backend in seen[0]} == {None}
    assert get_backend("jax").device is not None


@pytest.mark.targets("torch:cpu")
def test_a_meta_tensor_has_a_backend(target_any):
    import torch

    backend = backend_of(torch.ones(2, device="meta"))
    assert (backend.name, backend.xp) == ("torch:meta", target_any.xp)


def test_an_unknown_library_of_the_standard_works_where_it_is(monkeypatch):
    class Mine:
        device = "somewhere"
        dtype = np.dtype("float64")

        def __array_namespace__(self, api_version=None):
            return math_like

        def __array__(self, dtype=None, copy=None):
            return np.ones(2)

    import json as math_like  # any module will do as a namespace

    backend = backend_of(Mine())
    assert (backend.name, backend.xp, backend.device) == ("json:somewhere", math_like, "somewhere")
    np.testing.assert_array_equal(get_backend("numpy").asarray(Mine()), [1, 1])
    with pytest.raises(DeviceError):
        get_backend("json:elsewhere")


def test_two_threads_that_ask_first_get_the_same_backend(monkeypatch):
    """Estimators compare backends by `is`."""
    from xpnn.arrays import backend as module
    from xpnn.arrays.libraries.host import NumPy

    others = []

    class Slow(NumPy):
        name = "slow"

        def load(self):
            if not others:  # meanwhile, another thread gets as far
                others.append(None)
                others[0] = module._register(self, "cpu", "slow")
            return np

    monkeypatch.setattr(module, "_backends", {})
    mine = module._register(Slow(), "cpu", "slow")
    assert mine is others[0]
    assert module.get_backend("slow") is mine


def test_types_that_were_seen_are_forgotten_with_their_program():
    def seen():
        class Mine(list):
            pass

        backend_of(Mine())
        return weakref.ref(Mine)

    types = [seen() for _ in range(400)]  # array-api-compat remembers the last 100
    gc.collect()
    assert sum(known() is not None for known in types) < 200


# ---- moving -----------------------------------------------------------------------------------

ARRAYS = {
    "floats": np.linspace(-2, 2, 12).reshape(3, 4),
    "reversed": np.arange(6.0)[::-1],
    "strided": np.arange(24.0).reshape(4, 6)[::2, 1::3],
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "broadcast": np.broadcast_to(np.arange(3.0), (2, 3)),
    "empty": np.zeros((0, 4)),
    "scalar": np.array(2.5),
    "special": np.array([np.nan, np.inf, -np.inf, -0.0]),
    "swapped": np.arange(4.0).astype(">f8"),
    "integers": np.arange(-3, 3),
    "booleans": np.array([[True, False]]),
    "bytes": np.arange(5, dtype=np.uint8),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_round_trips_between_all_pairs(target, chosen, kind):
    host = ARRAYS[kind]
    dtype = target.dtype_name if host.dtype.kind == "f" else None
    expected = host if dtype is None else host.astype(dtype)
    x = target.backend.asarray(host, dtype)
    target.assert_close(x, expected, rtol=0)
    kept = to_numpy(x).copy()
    for name in chosen:
        other = get_backend(TABLE[name].spec)
        wide = dtype is None or dtype in other.dtypes
        y = other.asarray(x)
        assert backend_of(y) is other
        values = expected if wide else expected.astype("float32")
        np.testing.assert_array_equal(to_numpy(y), values)
        if dtype is not None:
            assert dtype_name(y.dtype) == (dtype if wide else "float32")
        back = target.backend.asarray(y, dtype)
        target.assert_close(back, values, rtol=0)
        for result in (to_numpy(y), other.to_numpy(y)):
            assert type(result) is np.ndarray
    np.testing.assert_array_equal(to_numpy(x), kept)


def test_lists_frames_and_scalars(target):
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    expected = [[1.0, 2.0], [3.0, 4.0]]
    for given in (expected, tuple(expected), pd.DataFrame(expected), np.array(expected, "float16")):
        target.assert_close(target.backend.asarray(given, target.dtype_name), expected)
        target.assert_close(target.backend.asarray(given, target.dtype), expected)
    series = pd.Series([1, 2])
    target.assert_close(target.backend.asarray(series, target.dtype_name), [1.0, 2.0])
    target.assert_close(target.backend.asarray(2, target.dtype_name), np.array(2.0))
    np.testing.assert_array_equal(to_numpy(series), [1, 2])


def test_polars(target_any):
    pl = pytest.importorskip("polars", reason="polars is not installed")
    frame = pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    x = target_any.backend.asarray(frame, target_any.dtype_name)
    target_any.assert_close(x, [[1.0, 3.0], [2.0, 4.0]])


@pytest.mark.parametrize("given", [["a", "b"], np.array([{}, None]), np.array(["2020"], "M8[D]")])
def test_text_and_objects_stay_on_the_host(target_any, given):
    if target_any.backend.name == "numpy":
        assert target_any.backend.asarray(given).dtype.kind in "UOM"
        return
    with pytest.raises(DeviceError, match=r"takes numbers, not .*: encode them first"):
        target_any.backend.asarray(given)


def test_nothing_is_copied_from_numpy_to_numpy():
    numpy, x = get_backend("numpy"), np.arange(6.0).reshape(2, 3)
    assert numpy.asarray(x) is numpy.asarray(x, "float64") is numpy.asarray(x, copy=False) is x
    assert numpy.to_numpy(x) is to_numpy(x) is x
    view = x.T[::-1]
    view.flags.writeable = False
    assert numpy.asarray(view) is to_numpy(view) is view


def test_nothing_is_copied_where_it_is_already(target):
    x = target.asarray([[1.0, 2.0]])
    assert target.backend.asarray(x) is x
    assert target.backend.asarray(x, target.dtype_name) is x
    assert target.backend.asarray(x, target.dtype, copy=False) is x
    y = target.backend.asarray(x, copy=True)
    target.assert_close(y, [[1.0, 2.0]])
    assert y is not x
    if "jax" not in target.name:  # whose arrays nobody can write to
        y[0, 0] = 9.0
        target.assert_close(x, [[1.0, 2.0]])


@pytest.mark.dtypes("float64")
def test_copy_false_raises_where_a_copy_is_needed(target, chosen):
    x = target.asarray([1.0])
    with pytest.raises(ValueError, match="copy"):
        target.backend.asarray(x, "float32", copy=False)
    for name in chosen:
        other = get_backend(TABLE[name].spec)
        if other.library is not target.backend.library and other.name != "numpy":
            with pytest.raises(ValueError, match=f"copy=False: moving from {target.backend} to"):
                other.asarray(x, copy=False)


def test_a_copy_from_the_host_is_the_callers_own(target):
    host = np.ones((64, 64), target.dtype_name)
    x = target.backend.asarray(host, copy=True)
    host[:] = 7
    target.assert_close(x, np.ones((64, 64)))
    result = get_backend("numpy").asarray(target.backend.asarray([1.0]))
    result[0] = 5  # writable, also from libraries with constant arrays


def test_read_only_memory_is_never_shared_with_those_who_write(target_any):
    host = np.ones((64, 64), target_any.dtype_name)
    host.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = target_any.backend.asarray(host)
    if target_any.name.startswith("torch"):
        x[0, 0] = 5.0
    assert host.max() == 1


@pytest.mark.targets("cupy:0")
def test_one_copy_from_host_to_device(target):
    cupy_on_cpu = pytest.importorskip("cupy_on_cpu", reason="counts copies on the host double")
    host = np.ones((3, 4), target.dtype_name)
    with cupy_on_cpu.count() as counted:
        target.backend.asarray(host)
    assert (counted["h2d"], counted["d2h"], counted["d2d"], counted["launches"]) == (1, 0, 0, 0)
    x = target.backend.asarray(host)
    with cupy_on_cpu.count() as counted:
        to_numpy(x)
    assert (counted["h2d"], counted["d2h"], counted["d2d"], counted["launches"]) == (0, 1, 0, 0)


@pytest.mark.targets("torch:cpu")
def test_bfloat16_comes_to_the_host(target_any):
    import torch

    np.testing.assert_array_equal(to_numpy(torch.ones(2, dtype=torch.bfloat16)), [1, 1])


# ---- the fixture itself -----------------------------------------------------------------------


def test_the_fixture_compares_everything(target):
    x = target.asarray([1.0, 2.0])
    target.assert_close(x, [1.0, 2.0])
    for result, expected in [
        (x, [1.0, 2.0 * (1 + 3 * target.tol)]),
        (x, [[1.0, 2.0]]),
        (target.asarray([1, 2]), [1.0, 2.0]),
        (get_backend("array_api_strict:device2").asarray([1.0, 2.0]), [1.0, 2.0]),
        (target.asarray([1, 3]), [1, 2]),
    ]:
        with pytest.raises(AssertionError):
            target.assert_close(result, expected)


@pytest.mark.targets("numpy:readonly")
def test_the_read_only_target_refuses_writing(target):
    x = target.asarray([1.0])
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 2.0


@pytest.mark.targets("strict:device1", "cupy:0", "cupy:1", "torch:cuda", "jax:cuda")
def test_a_host_sync_is_refused(target_any):
    if target_any.name.startswith("cupy") and not importlib.util.find_spec("cupy_on_cpu"):
        pytest.skip("a GPU does not say when it is waited for; the host double does")
    x = target_any.asarray([1.0, 2.0])
    with target_any.forbid_sync():
        total = target_any.xp.sum(x * 2)
    with pytest.raises(Exception, match=r"host|sync|[Dd]isallowed"), target_any.forbid_sync():
        float(total)
    assert float(total) == 6


@pytest.mark.targets("strict:device1")
def test_strict_refuses_what_a_compiler_would(target_any):
    x = target_any.asarray([1.0, 2.0])
    with pytest.raises(RuntimeError, match="boolean_indexing"):
        x[x > 1]
    with running("strict:device1", "float64"), pytest.raises(RuntimeError, match="nonzero"):
        target_any.xp.nonzero(x)
