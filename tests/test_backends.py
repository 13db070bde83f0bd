"""The selector: which library and device a spec, the environment or a thread means."""

import asyncio
import importlib.util
import threading

import array_api_compat
import numpy as np
import pytest
from targets import TABLE

from xpnn.arrays import backend as backends
from xpnn.arrays import libraries as _libraries
from xpnn.arrays.libraries import LIBRARIES
from xpnn.arrays.libraries.cupy import CuPy
from xpnn.arrays.libraries.torch import Torch
from xpnn.backends import DeviceError, backend_of, devices, get_backend, use_device

pytestmark = pytest.mark.usefixtures("no_environment")


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


@pytest.mark.libraries
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
