"""Processes that talk by TCP; whoever has started them tells each where the others listen."""

import contextlib
import json
import selectors
import socket
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xpnn.distributed.communicator import Communicator, RemoteError, told
from xpnn.distributed.door import LOOK, Address, Door, EndedError

_HEAD = struct.Struct("<B3xIQ")  # what it is, the turn, bytes that follow
_DATA, _FAILED = 0, 1
_GRACE = 1.0  # seconds in which word of a failure is sent
# Of an idle connection: a machine that is gone is noticed after 3 + 2 * 2 seconds.
_ALIVE = {"TCP_NODELAY": 1, "TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 2}
_Selector: Any = getattr(selectors, "PollSelector", selectors.SelectSelector)

Message = tuple[int, int, bytearray]  # what it is, the turn, the body


class _Peer:
    """The connection to one other rank, with what is on its way in either direction."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _ALIVE.items():
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self.out = memoryview(b"")
        self._into, self._got = bytearray(_HEAD.size), 0
        self._head: tuple[int, int, int] | None = None

    def send(self, kind: int, turn: int, body: bytes) -> None:
        """Begin to send a message."""
        self.out = memoryview(_HEAD.pack(kind, turn, len(body)) + body)
        self.push()

    def push(self) -> None:
        """Send what the system takes without waiting."""
        with contextlib.suppress(BlockingIOError):
            while self.out:
                self.out = self.out[self.socket.send(self.out) :]

    def pull(self) -> Message | None:
        """Take what has come: a whole message, or None where some of it is missing."""
        with contextlib.suppress(BlockingIOError):
            while True:
                while self._got < len(self._into):
                    got = self.socket.recv_into(memoryview(self._into)[self._got :])
                    if not got:
                        raise EOFError
                    self._got += got
                body, head, self._got = self._into, self._head, 0
                if head is not None:
                    self._into, self._head = bytearray(_HEAD.size), None
                    return head[0], head[1], body
                self._head = _HEAD.unpack(body)
                self._into = bytearray(self._head[2])
        return None


class SocketCommunicator(Communicator):
    """One of some processes that talk by TCP.

    Parameters
    ----------
    addresses : sequence of (host, port)
        Where each rank listens.
    door : Door
        This one's.
    names : sequence of str
        What each rank is called in an error.
    **about
        Of `Communicator`: rows, shards, deterministic.

    Raises
    ------
    RemoteError
        When another cannot be reached.
    EndedError
        When whoever has started them ends it meanwhile.

    Examples
    --------
    >>> door = Door("127.0.0.1", bytes(32))
    >>> comm = SocketCommunicator(0, [door.address], door, ["alone"])
    >>> comm.gather("x")
    ['x']
    >>> comm.close()
    """

    def __init__(
        self,
        rank: int,
        addresses: Sequence[Address],
        door: Door,
        names: Sequence[str],
        **about: Any,
    ) -> None:
        super().__init__(rank, len(addresses), **about)
        self.door, self.names = door, list(names)
        self._error: RemoteError | EndedError | None = None
        self._midway = False  # in an exchange: what others get next is the rest of a message
        self._peers = {r: _Peer(c) for r, c in sorted(door.connections(rank, addresses).items())}

    def exchange(self, parts: Sequence[Any], counts: Sequence[int]) -> list[np.ndarray]:
        """One message to each other rank, and one from each."""
        if self._error is not None:
            raise self._error
        own, found = parts[self.rank], dict[int, bytearray]()
        self._midway = True
        try:
            for rank, peer in self._peers.items():  # last words are lost to who sends first
                self._take(rank, self._with(rank, peer.pull), found)
            for rank, peer in self._peers.items():
                body = np.ascontiguousarray(parts[rank]).tobytes()
                self._with(rank, partial(peer.send, _DATA, self.turn, body))
            while len(found) < len(self._peers) or any(p.out for p in self._peers.values()):
                self._pass(found)
            into = {r: np.frombuffer(body, dtype=own.dtype) for r, body in found.items()}
            for rank, a in into.items():
                if len(a) != counts[rank]:
                    text = f"it sent {len(a)} numbers where {counts[rank]} were expected"
                    raise RemoteError(rank, text)
        except (RemoteError, EndedError) as error:
            self._break(error)
            raise
        self._midway = False
        return [own if r == self.rank else into[r] for r in range(self.size)]

    def _pass(self, found: dict[int, bytearray]) -> None:
        """Wait until something can be sent or taken, and do it."""
        with _Selector() as selector:
            for rank, peer in self._peers.items():
                events = 0 if rank in found else selectors.EVENT_READ
                events |= selectors.EVENT_WRITE if peer.out else 0
                if events:
                    selector.register(peer.socket, events, rank)
            ready = selector.select(LOOK)
        self.door.check()
        for key, events in ready:
            rank, peer = key.data, self._peers[key.data]
            if events & selectors.EVENT_WRITE:
                self._with(rank, peer.push)
            if events & selectors.EVENT_READ:
                self._take(rank, self._with(rank, peer.pull), found)

    def _take(self, rank: int, message: Any, found: dict[int, bytearray]) -> None:
        """Keep what another has sent, or raise the error that it tells of."""
        if message is not None and message[0] == _DATA:
            found[rank] = message[2]
        elif message is not None and message[1] >= self.turn:  # not of an earlier turn
            raise RemoteError(*json.loads(message[2]))

    def _with(self, rank: int, work: Callable[[], Any]) -> Any:
        """Send or take; a RemoteError where the other is gone."""
        try:
            return work()
        except (OSError, EOFError) as error:
            text = f"{self.names[rank]} has died or was stopped, its connection has ended"
            raise RemoteError(rank, text) from error

    def fail(self, error: BaseException) -> None:
        """Send word to all; they end with it at their next exchange."""
        if self._error is None and not self._midway:
            self._tell(self.rank, told(error))
        else:
            self._shut()

    def _break(self, error: RemoteError | EndedError) -> None:
        """Tell the others why, and never exchange anything again."""
        self._error = error
        if isinstance(error, RemoteError):
            self._tell(error.rank, error.text)
        else:
            self._tell(self.rank, told(error))
        self._shut()

    def _tell(self, rank: int, text: str) -> None:
        """Say that a rank has failed, to all that have no half of another message."""
        body, until = json.dumps([rank, text[:2000]]).encode(), time.monotonic() + _GRACE
        listening = [p for r, p in self._peers.items() if r != rank and not p.out]
        for peer in listening:
            with contextlib.suppress(OSError):
                peer.send(_FAILED, self.turn, body)
                while peer.out and time.monotonic() < until:
                    time.sleep(0.01)
                    peer.push()

    def _shut(self) -> None:
        """Nothing more is sent; what others have sent stays readable until `close`."""
        for peer in self._peers.values():
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End the connections."""
        for peer in self._peers.values():
            peer.socket.close()
        self.door.end("it is over")
