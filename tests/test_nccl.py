"""Sums between GPUs by NCCL: the calls that are made of it, by a stand-in between threads.

`ci/nccl.sh` does it with the real library on a machine with two GPUs.
"""

import ctypes
import queue
import sys
import threading
import types

import numpy as np
import pytest

import xpnn
from xpnn.arrays.nccl import Nccl
from xpnn.distributed import RemoteError, in_threads, nccl, one, tree_sum
from xpnn.distributed.tree import SMALL, bounds

pytestmark = [pytest.mark.own_context, pytest.mark.libraries]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)
_BYTES = {7: 4, 8: 8, 4: 8, 1: 1}  # of NCCL's kinds


class StandIn(types.ModuleType):
    """What `cupy.cuda.nccl` has, carried out between threads."""

    NCCL_UINT8, NCCL_INT32, NCCL_INT64, NCCL_FLOAT32, NCCL_FLOAT64, NCCL_SUM = 1, 2, 4, 7, 8, 0
    available = True

    def __init__(self):
        super().__init__("cupy.cuda.nccl")
        self.here, self.ids, self.rooms, self.calls = threading.local(), 0, {}, []

    def get_unique_id(self):
        self.ids += 1
        return (self.ids, *([0] * 127))

    def groupStart(self):
        self.here.waiting = []

    def groupEnd(self):
        for into, size, mail in self.here.waiting:
            ctypes.memmove(into, mail.get(timeout=30), size)
        self.calls.append("group")

    def NcclCommunicator(self, size, uid, rank):
        return Rank(self, self.rooms.setdefault(uid[0], {}), size, rank)


class Rank:
    """A communicator of the stand-in's."""

    def __init__(self, library, room, size, rank):
        self.library, self.room, self.size, self.rank = library, room, size, rank

    def _mail(self, source, target):
        return self.room.setdefault((source, target), queue.Queue())

    def send(self, pointer, count, kind, peer, stream):
        self._mail(self.rank, peer).put(ctypes.string_at(pointer, count * _BYTES[kind]))

    def recv(self, pointer, count, kind, peer, stream):
        self.library.here.waiting.append(
            (pointer, count * _BYTES[kind], self._mail(peer, self.rank))
        )

    def allReduce(self, source, into, count, kind, op, stream):
        self.library.calls.append("allReduce")
        assert op == self.library.NCCL_SUM
        size, dtype = count * _BYTES[kind], {7: np.float32, 8: np.float64}[kind]
        own, total = ctypes.string_at(source, size), np.zeros(count, dtype)
        for peer in range(self.size):
            self._mail(self.rank, peer).put(own)
        for peer in range(self.size):
            total += np.frombuffer(self._mail(peer, self.rank).get(timeout=30), dtype)
        ctypes.memmove(into, total.tobytes(), size)


@pytest.fixture
def library(monkeypatch):
    """The stand-in in the place of CuPy's NCCL."""
    cupy = pytest.importorskip("cupy", exc_type=ImportError)
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs, or the double of two")
    found = StandIn()
    monkeypatch.setitem(sys.modules, "cupy.cuda.nccl", found)
    monkeypatch.setattr(cupy.cuda, "nccl", found, raising=False)
    return found


@pytest.mark.parametrize("k", [5, SMALL])  # in one message, and in pieces
def test_a_sum_of_device_arrays_is_the_fixed_tree(library, k):
    import cupy

    leaves = RNG.normal(size=(8, k)).astype(np.float32)
    a, b, c, d, e, f, g, h = leaves
    expected = ((a + b) + (c + d)) + ((e + f) + (g + h))

    def work(meet):
        comm = nccl(meet)
        cuts = bounds(8, comm.size)
        with cupy.cuda.Device(meet.rank):
            own = [cupy.asarray(v) for v in leaves[cuts[comm.rank] : cuts[comm.rank + 1]]]
            assert comm.takes(own[0])
            found = tree_sum(comm, own)
        return found.device.id, found.get().tobytes(), comm.gather(comm.rank)

    found = in_threads(work, 2)
    assert found == [(rank, expected.tobytes(), [0, 1]) for rank in range(2)]
    assert library.calls == ["group"] * (2 if k == 5 else 4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_fit_on_two_gpus(library, deterministic):
    def fit(comm):
        how = {"device": getattr(comm, "device", "cupy:0"), "dropout": 0.1, "batch_size": 20}
        model = xpnn.MLPClassifier((5,), max_iter=2, random_state=0, **how).fit(X, Y, comm=comm)
        return [np.array(a.get()) for a in model.parameters_[:1]]

    expected = fit(one())
    for found in in_threads(lambda meet: fit(nccl(meet)), 2, deterministic=deterministic):
        for a, b in zip(found, expected, strict=True):
            assert a.tobytes() == b.tobytes() or not deterministic
            np.testing.assert_allclose(a, b, rtol=1e-9)
    kind = "group" if deterministic else "allReduce"
    assert library.calls == [kind] * 2 * 6  # one message a step and process: 2 epochs of 3


def test_more_processes_than_gpus_are_refused(library):
    with pytest.raises(ValueError, match=r"process 2 is to take the GPU 2, and there are 2"):
        in_threads(nccl, 3)


def test_what_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)
    with pytest.raises(ImportError, match=r"pip install 'xpnn\[cuda12\]'"):
        nccl(one())


def test_a_wait_for_a_process_that_has_failed_ends():
    """A kernel that waits for it never ends by itself: NCCL is told to give up."""
    link, aborted = object.__new__(Nccl), []
    event = types.SimpleNamespace(record=lambda: None, done=False)
    cuda = types.SimpleNamespace(Event=lambda **_: event)
    link._cupy, link._broken = types.SimpleNamespace(cuda=cuda), False
    link._comm = types.SimpleNamespace(abort=lambda: aborted.append(1))

    def look():
        raise RemoteError(1, "no disk")

    for _ in range(2):
        with pytest.raises(RemoteError, match="rank 1 failed: no disk"):
            link._wait(look)
    assert aborted == [1]
