"""Where a process listens for those that it works with, and how they find one another.

Each has to know a secret of 32 bytes. Nothing received is executed, and nothing is encrypted.
"""

import contextlib
import hmac
import socket
import struct
from collections.abc import Sequence
from typing import Any

from xpnn.distributed.communicator import RemoteError

Address = tuple[str, int]

LOOK = 0.5  # seconds between two looks whether the work has been ended from outside
_HELLO = struct.Struct("<32sI")  # the secret, the rank
_REACH = 30.0  # seconds for a connection
_GREETING = 5.0  # seconds in which who connects has to say who it is


class EndedError(RuntimeError):
    """Whoever has started these processes has ended their work."""


class Door:
    """Where a process listens, from before the others know of it.

    Parameters
    ----------
    host : str
        The name or address by which the others reach this process.
    secret : bytes of length 32
        What they have to know.

    Attributes
    ----------
    address : tuple of str and int
        Host and port, for the others.
    ended : str
        Why the work is to end; empty while it is not.
    kept : object
        What the process leaves for whoever has started it.
    """

    def __init__(self, host: str, secret: bytes) -> None:
        self.secret, self.ended = secret, ""
        self.kept: Any = None
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, 0), family=family)
        except OSError:  # reached by an address that is none of its own, as behind a router
            self._listener = socket.create_server(("", 0), family=family)
        self._listener.settimeout(LOOK)
        self.address: Address = host, self._listener.getsockname()[1]

    def end(self, why: str) -> None:
        """Let nobody in any more; work that is going on ends with that error."""
        self.ended = self.ended or why
        self._listener.close()

    def check(self) -> None:
        """Raise an EndedError where the work has been ended."""
        if self.ended:
            raise EndedError(self.ended)

    def connections(self, rank: int, addresses: Sequence[Address]) -> dict[int, socket.socket]:
        """A connection to each other rank: those below are called, those above call.

        Raises
        ------
        RemoteError
            When one cannot be reached.
        EndedError
            When the work is ended meanwhile.
        """
        found: dict[int, socket.socket] = {}
        try:
            for other in range(rank):
                found[other] = self._call(other, addresses[other], rank)
            while len(found) < len(addresses) - 1:
                other, connection = self._answer()
                if rank < other < len(addresses) and other not in found:
                    found[other] = connection
                else:
                    connection.close()
        except BaseException:
            for connection in found.values():
                connection.close()
            raise
        return found

    def _call(self, other: int, address: Address, rank: int) -> socket.socket:
        try:
            connection = socket.create_connection(address, timeout=_REACH)
            connection.sendall(_HELLO.pack(self.secret, rank))
        except OSError as error:
            raise RemoteError(
                other,
                f"it cannot be reached at {address[0]}:{address[1]} ({error}). The processes have "
                "to reach one another by TCP, at any port.",
            ) from error
        return connection

    def _answer(self) -> tuple[int, socket.socket]:
        """The next one that connects and its rank, -1 where it does not know the secret."""
        while True:
            self.check()
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                self.check()  # closed meanwhile
                raise
            break
        connection.settimeout(_GREETING)
        hello = bytearray()
        with contextlib.suppress(OSError):
            while len(hello) < _HELLO.size and (more := connection.recv(_HELLO.size - len(hello))):
                hello += more
        if len(hello) < _HELLO.size:
            return -1, connection
        secret, rank = _HELLO.unpack(hello)
        return (rank if hmac.compare_digest(secret, self.secret) else -1), connection
