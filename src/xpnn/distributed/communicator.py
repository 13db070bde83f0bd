"""Processes that train one network together, and the few words that they exchange.

Every process calls the same methods in the same order. What they add is added in one fixed tree
(`tree.py`), so the sum has the same bits however many processes there are.
"""

import json
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

SHARDS = 8
Place = Literal["all", "own"]


class RemoteError(RuntimeError):
    """Another process has failed; training cannot go on without it.

    Attributes
    ----------
    rank : int
        Of the process that failed.
    """

    def __init__(self, rank: int, text: str) -> None:
        super().__init__(f"rank {rank} failed: {text}")
        self.rank, self.text = rank, text

    def __reduce__(self) -> Any:
        return type(self), (self.rank, self.text)


class Communicator(ABC):
    """One of `size` processes.

    Parameters
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.
    rows : {"all", "own"}
        Whether each process passes all rows to ``fit`` and takes its share of them, or passes
        rows that only it has.
    shards : int, default=8
        Parts that a batch is cut into, whatever the number of processes: what the bits follow
        from. At least `size`.
    deterministic : bool, default=True
        Whether sums have the same bits for any number of processes. False cuts a batch into one
        part a process, and adds in the order that the library prefers.

    Raises
    ------
    ValueError
        For an unknown `rows`, or fewer shards than processes.
    """

    pairs = False  # whether an exchange costs no more than the messages that are not empty

    def __init__(
        self,
        rank: int,
        size: int,
        *,
        rows: Place = "all",
        shards: int = SHARDS,
        deterministic: bool = True,
    ) -> None:
        if rows not in ("all", "own"):
            raise ValueError(f'rows must be "all" or "own", got {rows!r}.')
        if isinstance(shards, bool) or not isinstance(shards, int | np.integer) or shards < size:
            raise ValueError(
                f"shards must be a whole number of at least {size}, the number of processes, got "
                f"{shards!r}: start fewer processes, or pass shards={size} or more to each (the "
                "sum then has other bits)."
            )
        self.rank, self.size, self.rows = int(rank), int(size), rows
        self.deterministic = bool(deterministic)
        self.shards = int(shards) if deterministic else self.size
        self.turn = 0  # calls of `together`, so that no failure is taken for a later one's

    # -- what each kind defines ------------------------------------------------------------------

    @abstractmethod
    def exchange(self, parts: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        """Send each rank its part, and get `counts[r]` numbers from rank r.

        Parameters
        ----------
        parts : sequence of arrays of shape (k,)
            Of one dtype; the part for rank r at r.
        counts : sequence of int

        Returns
        -------
        list of arrays of shape (counts[r],)
        """

    def takes(self, a: Any) -> bool:
        """Whether an array can be sent from where it lies: those of the host can."""
        return isinstance(a, np.ndarray)

    def look(self) -> None:
        """Raise a `RemoteError` if word has come of a failure; for whoever waits by himself."""
        return

    def fail(self, error: BaseException) -> None:
        """Tell the others that this process cannot go on."""
        return

    def allgather(self, flat: Any, counts: Sequence[int]) -> list[Any]:
        """Each rank's vector, `counts[r]` numbers from rank r."""
        return self.exchange([flat] * self.size, counts)

    def sum(self, flat: Any) -> Any:
        """The sum of all ranks' vectors, in the order that the library prefers."""
        found = self.allgather(flat, [flat.shape[0]] * self.size)
        total = found[0] + 0
        for part in found[1:]:
            total += part
        return total

    # -- what follows from it --------------------------------------------------------------------

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, of JSON types, on every rank.

        Examples
        --------
        >>> from xpnn.distributed import one
        >>> one().gather({"rows": 3})
        [{'rows': 3}]
        """
        return [json.loads(text) for text in self.gather_bytes(json.dumps(value).encode())]

    def gather_bytes(self, value: bytes) -> list[bytes]:
        """Every rank's bytes, however many, on every rank."""
        if self.size == 1:
            return [value]
        own = np.frombuffer(value, dtype=np.uint8)
        lengths = self.allgather(np.asarray([own.size], dtype=np.int64), [1] * self.size)
        found = self.allgather(own, [int(n[0]) for n in lengths])
        return [a.tobytes() for a in found]

    def swap_bytes(self, parts: Sequence[bytes]) -> list[bytes]:
        """Send each rank its bytes, and get those that each has for this one.

        Examples
        --------
        >>> from xpnn.distributed import in_threads
        >>> in_threads(lambda comm: comm.swap_bytes([b"to 0", b"to 1"]), 2)[1]
        [b'to 1', b'to 1']
        """
        if self.size == 1:
            return list(parts)
        lengths = np.asarray([len(part) for part in parts], dtype=np.int64)
        counts = self.exchange(np.split(lengths, self.size), [1] * self.size)
        given = [np.frombuffer(part, dtype=np.uint8) for part in parts]
        return [a.tobytes() for a in self.exchange(given, [int(n[0]) for n in counts])]

    def gather_objects(self, value: Any) -> list[Any]:
        """Every rank's value on every rank, by pickle: the ranks are one program."""
        return [pickle.loads(text) for text in self.gather_bytes(pickle.dumps(value))]

    def gather_rows(self, a: np.ndarray) -> np.ndarray:
        """The rows of all ranks, one rank's behind the other's; numbers of one dtype."""
        shape, dtype = a.shape[1:], a.dtype
        parts = self.gather_bytes(np.ascontiguousarray(a).tobytes())
        return np.concatenate([np.frombuffer(p, dtype).reshape(-1, *shape) for p in parts])

    def broadcast(self, value: Any, root: int = 0) -> Any:
        """The value of one rank, of JSON types, on every rank."""
        return self.gather(value if self.rank == root else None)[root]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.gather(None)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work that all do or none: whoever fails in it ends it for all, with an error."""
        self.turn += 1
        try:
            yield
        except RemoteError:
            raise
        except BaseException as error:
            self.fail(error)
            raise

    def __repr__(self) -> str:
        return f"<{type(self).__name__} rank {self.rank} of {self.size}>"


class One(Communicator):
    """A single process; what it computes has the bits that more would give."""

    def __init__(self, **about: Any) -> None:
        super().__init__(0, 1, **about)

    def exchange(self, parts: Sequence[Any], counts: Sequence[int]) -> list[Any]:
        """What was sent to itself."""
        return list(parts)


def told(error: BaseException) -> str:
    """An error as others are told it."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
