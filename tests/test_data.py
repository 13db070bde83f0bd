"""Rows on their way to the device: resident or streamed, dense or sparse, never written."""

import numpy as np
import pytest
import scipy.sparse as sp

from xpnn.backends import get_backend
from xpnn.data import Dataset, is_sparse, predict_in_chunks
from xpnn.network import Dense, Network
from xpnn.steps.reference import gather
from xpnn.steps.rules import Batch, Rows
from xpnn.training import data as data_module
from xpnn.training.data import placed

pytestmark = pytest.mark.own_context


def rows(n=11):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)), rng.integers(0, 4, n), rng.uniform(size=n)


def batch_of(data, order, first, size):
    """A batch as the loop takes it."""
    with data.backend.device_context():
        if not data.resident:
            return data.fetch(order, first, size)
        rows = Rows(Batch(*data.arrays), placed(order, data.backend), first, size)
        return gather(rows, size, data.backend.xp)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_batches_are_the_rows_of_an_order(target, stream, shuffled):
    x, y, weight = rows()
    data = Dataset(x, y, weight, target.backend, target.dtype, stream=stream)
    assert data.resident is not stream
    order = np.random.default_rng(1).permutation(11) if shuffled else None
    for first, size in ((0, 4), (4, 4), (8, 3)):
        i = slice(first, first + size) if order is None else order[first : first + size]
        a, b, c = batch_of(data, order, first, size)
        target.assert_close(a, x[i].astype(target.dtype_name))
        target.assert_close(c, weight[i].astype(target.dtype_name))
        np.testing.assert_array_equal(target.to_numpy(b), y[i])


def test_missing_targets_and_weights_stay_missing(target_any):
    for stream in (False, True):
        data = Dataset(rows()[0], None, None, target_any.backend, target_any.dtype, stream=stream)
        assert batch_of(data, None, 0, 2)[1:] == (None, None)


def test_rows_from_any_library_come_here(target):
    """y and weights may be on another device than X."""
    strict = get_backend("array_api_strict:device2")
    x, y, weight = rows()
    for stream in (False, True):
        data = Dataset(
            x, strict.asarray(y), strict.asarray(weight), target.backend, target.dtype,
            stream=stream,
        )  # fmt: skip
        _, b, c = batch_of(data, np.arange(11)[::-1].copy(), 2, 3)
        np.testing.assert_array_equal(target.to_numpy(b), y[::-1][2:5])
        target.assert_close(c, weight[::-1][2:5].astype(target.dtype_name))


@pytest.mark.parametrize("make", [sp.csr_matrix, sp.csr_array])
def test_sparse_rows_stay_sparse_on_numpy(make):
    x = make(rows()[0] * (rows()[0] > 0))
    numpy = get_backend("numpy")
    data = Dataset(x, rows()[1], None, numpy, np.float32)
    batch = batch_of(data, np.arange(11)[::-1], 0, 4)[0]
    assert is_sparse(batch)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch.toarray(), x.toarray()[::-1][:4].astype(np.float32))


def test_sparse_rows_are_dense_by_batches_elsewhere(target_any, monkeypatch):
    """The whole matrix is never dense: no `toarray` of more than a batch."""
    sizes = []
    toarray = sp.csr_array.toarray

    def counted(self, *args, **kwargs):
        sizes.append(self.shape[0])
        return toarray(self, *args, **kwargs)

    monkeypatch.setattr(sp.csr_array, "toarray", counted)
    x = sp.csr_array(rows()[0] * (rows()[0] > 0))
    data = Dataset(x, rows()[1], None, target_any.backend, target_any.dtype)
    assert not data.resident
    for first in (0, 4, 8):
        batch_of(data, None, first, 4)
    on_numpy = target_any.backend.name == "numpy"
    assert sizes == ([] if on_numpy else [4, 4, 3])


class Small:
    """A backend that says how much memory is free."""

    def __init__(self, backend, free):
        self.__dict__.update(vars(backend))
        self.name, self.free, self.asarray = "small", free, backend.asarray

    def free_memory(self):
        return self.free


@pytest.mark.parametrize(("free", "resident"), [(None, True), (1000, True), (300, False)])
def test_host_rows_that_do_not_fit_are_streamed(free, resident):
    """11 x 3 float64 are 264 bytes; half the free memory is for what else training needs."""
    small = Small(get_backend("numpy"), free)
    assert Dataset(*rows(), small, np.float64).resident is resident


@pytest.mark.parametrize("free", [None, 8])
def test_predictions_in_chunks_are_those_of_the_whole(target, free, monkeypatch):
    monkeypatch.setattr(data_module, "CHUNK_ELEMENTS", 5 * 4)  # four rows of the widest layer
    net = Network((Dense(3, 5, "tanh"), Dense(5, 2)), link="softmax")
    theta, buffers = (target.asarray(a) for a in net.init(0))
    x = rows()[0]
    with target.backend.device_context():
        whole = net.predict(theta, buffers, target.asarray(x), target.xp)
        raw = net.forward(theta, buffers, target.asarray(x), target.xp)
    for given in (x, target.asarray(x), sp.csr_array(x)):
        with target.backend.device_context():
            chunks = predict_in_chunks(net, theta, buffers, given, target.backend)
            plain = predict_in_chunks(net, theta, buffers, given, target.backend, "forward")
        target.assert_close(chunks, target.to_numpy(whole))
        target.assert_close(plain, target.to_numpy(raw))


def test_sparse_predictions_are_dense_by_chunks(monkeypatch):
    monkeypatch.setattr(data_module, "CHUNK_ELEMENTS", 3 * 4)
    backend = get_backend("array_api_strict:device1")
    sizes, toarray = [], sp.csr_array.toarray
    monkeypatch.setattr(
        sp.csr_array, "toarray", lambda self: (sizes.append(self.shape[0]), toarray(self))[1]
    )
    net = Network((Dense(3, 2),))
    theta, buffers = (backend.asarray(a) for a in net.init(0))
    predict_in_chunks(net, theta, buffers, sp.csr_array(rows()[0]), backend)
    assert sizes == [4, 4, 3]
