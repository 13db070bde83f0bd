"""The context that training computes in, and the way out of it for the user's own functions."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend


class Work:
    """Work on a backend's device: it is the current one, records no gradients, and is silent.

    Examples
    --------
    >>> from xpnn.arrays.backend import get_backend
    >>> with np.errstate(over="raise"), Work(get_backend("numpy")) as work:
    ...     inside = np.geterr()["over"]
    ...     with work.outside():
    ...         outside = np.geterr()["over"]
    >>> inside, outside
    ('ignore', 'raise')
    """

    def __init__(self, backend: Backend) -> None:
        self._backend, self._entered = backend, ExitStack()

    def _contexts(self) -> ExitStack:
        with ExitStack() as stack:
            stack.enter_context(self._backend.device_context())
            stack.enter_context(np.errstate(all="ignore"))  # a divergence is reported once, by name
            return stack.pop_all()

    def __enter__(self) -> "Work":
        self._entered = self._contexts()
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.close()

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What the caller had around the ``with`` block: in it the caller's functions run."""
        self._entered.close()
        try:
            yield
        finally:
            self._entered = self._contexts()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The same context once more, from anywhere and in any thread."""
        with self._contexts():
            yield
