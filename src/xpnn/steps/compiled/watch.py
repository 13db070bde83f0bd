"""A long call of compiled code, which Ctrl-C ends."""

import threading
from collections.abc import Callable

import numpy as np

from xpnn.steps.compiled.plan import address

_APART = 0.01  # seconds between two looks


class Watch:
    """Runs long calls in a thread, as a signal's handler runs only where Python does.

    Parameters
    ----------
    interrupted : callable () -> bool, default=None
        Whether a call is to end; None is never.

    Attributes
    ----------
    address : int
        Of the number that compiled code looks at: whether it is to end.
    """

    def __init__(self, interrupted: Callable[[], bool] | None = None) -> None:
        self.interrupted = interrupted
        self._number = np.zeros(1, dtype=np.int64)
        self.address = address(self._number)

    def run(self, call: Callable[[], int]) -> int:
        """What a call returns, which is 0 where it was ended."""
        asked = self.interrupted
        if asked is None or threading.current_thread() is not threading.main_thread():
            return call()  # signals are for the main thread
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(call()))
        error: BaseException | None = None
        self._number[0] = asked()
        thread.start()
        while thread.is_alive():
            try:
                thread.join(_APART)
                self._number[0] = self._number[0] or asked()
            except BaseException as raised:  # by a handler; told when nobody works any more
                self._number[0], error = 1, raised
        self._number[0] = 0
        if error is not None:
            raise error
        return found[0]
