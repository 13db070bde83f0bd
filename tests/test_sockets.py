"""Processes that talk by TCP; they are threads here, `ci/dask.sh` has processes."""

import socket
import threading
import time

import numpy as np
import pytest

from xpnn.distributed import RemoteError, tree_sum
from xpnn.distributed.door import Door, EndedError
from xpnn.distributed.sockets import SocketCommunicator
from xpnn.distributed.tree import bounds

SECRET = bytes(range(32))
RNG = np.random.default_rng(0)


def by_tcp(work, size, doors=None, **about):
    """What `work(comm)` returns or raises, by rank."""
    doors = doors or [Door("127.0.0.1", SECRET) for _ in range(size)]
    addresses, found = [door.address for door in doors], [None] * size

    def run(rank):
        comm = None
        try:
            comm = SocketCommunicator(
                rank, addresses, doors[rank], list("pqrstuvw")[:size], **about
            )
            with comm.together():
                found[rank] = work(comm)
        except BaseException as error:
            found[rank] = error
        finally:
            if comm is not None:
                comm.close()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("k", [5, 400_000])  # more than the system takes at once, too
@pytest.mark.parametrize("size", [1, 2, 3])
def test_sums_and_words_by_tcp(size, k):
    leaves = RNG.normal(size=(8, k)).astype(np.float32)
    a, b, c, d, e, f, g, h = leaves
    expected = ((a + b) + (c + d)) + ((e + f) + (g + h))

    def work(comm):
        cuts = bounds(8, comm.size)
        own = [v.copy() for v in leaves[cuts[comm.rank] : cuts[comm.rank + 1]]]
        rows = comm.gather_rows(np.full((comm.rank, 2), comm.rank))
        return tree_sum(comm, own).tobytes(), comm.gather([comm.rank]), len(rows)

    for found, words, rows in by_tcp(work, size):
        assert found == expected.tobytes()
        assert words == [[r] for r in range(size)]
        assert rows == sum(range(size))


def test_who_fails_or_is_gone_ends_the_others():
    def fails(comm):
        comm.barrier()
        if comm.rank == 1:
            raise ValueError("no disk")
        comm.barrier()

    def dies(comm):
        comm.barrier()
        if comm.rank == 1:
            comm.close()  # as the system does for a process that is killed
            return
        comm.barrier()

    first, own, last = by_tcp(fails, 3)
    assert (type(first), type(own), type(last)) == (RemoteError, ValueError, RemoteError)
    assert str(first) == "rank 1 failed: ValueError: no disk"
    began = time.monotonic()
    first, _, last = by_tcp(dies, 3)
    for error in (first, last):
        assert str(error) == "rank 1 failed: q has died or was stopped, its connection has ended"
    assert time.monotonic() - began < 5


def test_an_exchange_that_does_not_fit_is_told():
    def work(comm):
        return comm.allgather(np.zeros(2 + comm.rank), [2, 2])

    first, _ = by_tcp(work, 2)
    assert "it sent 3 numbers where 2 were expected" in str(first)


def test_strangers_are_refused():
    doors = [Door("127.0.0.1", SECRET) for _ in range(2)]
    strangers = []
    for hello in (b"GET / HTTP/1.1\r\n", bytes(32) + b"\x01\0\0\0", SECRET + b"\x07\0\0\0"):
        stranger = socket.create_connection(doors[0].address)
        stranger.sendall(hello)
        stranger.shutdown(socket.SHUT_WR)
        strangers.append(stranger)
    assert by_tcp(lambda comm: comm.gather(comm.rank), 2, doors) == [[0, 1], [0, 1]]
    for stranger in strangers:
        stranger.close()


def test_whoever_has_started_them_can_end_them():
    doors = [Door("127.0.0.1", SECRET) for _ in range(2)]

    def work(comm):
        if comm.rank == 0:
            threading.Timer(0.1, doors[0].end, ["the client has gone"]).start()
            comm.barrier()  # the other never comes
        time.sleep(0.3)
        comm.barrier()
        time.sleep(0.1)  # what it has sent was refused meanwhile

    first, other = by_tcp(work, 2, doors)
    assert type(first) is EndedError
    assert str(first) == "the client has gone"
    assert "the client has gone" in str(other)
    waiting = Door("127.0.0.1", SECRET)
    threading.Timer(0.1, waiting.end, ["too late"]).start()
    with pytest.raises(EndedError, match="too late"):
        waiting.connections(0, [waiting.address, ("127.0.0.1", 1)])


def test_who_cannot_be_reached_is_told():
    door = Door("127.0.0.1", SECRET)
    nobody = socket.create_server(("127.0.0.1", 0))
    address = nobody.getsockname()[:2]
    nobody.close()
    with pytest.raises(
        RemoteError, match=rf"rank 0 failed: it cannot be reached at .*:{address[1]}"
    ):
        SocketCommunicator(1, [address, door.address], door, ["p", "q"])
    door.end("it is over")
