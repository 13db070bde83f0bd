"""A backend as a value, and which backend an array belongs to."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from targets import TABLE, jax_x64

from xpnn.arrays.libraries import LIBRARIES
from xpnn.backends import DeviceError, backend_of, dtype_name, get_backend, to_numpy

pytestmark = pytest.mark.usefixtures("no_environment")


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
