"""Arrays from one library and device to another: equal, and copied no more often than needed."""

import warnings

import numpy as np
import pytest
from targets import TABLE

from xpnn.backends import DeviceError, backend_of, dtype_name, get_backend, to_numpy

pytestmark = pytest.mark.usefixtures("no_environment")


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
