"""How compiled steps are called, those of one network and those of members alike."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from xpnn.steps import threads
from xpnn.steps.compiled.pool import Pool
from xpnn.steps.compiled.watch import Watch
from xpnn.steps.rules import Batch, Carry, Coefficients, Rows, Rules, StepInterrupted, Steps

_NO_LIMIT = nullcontext(True)


class Calls:
    """What compiled steps have in common.

    Parameters
    ----------
    rules : Rules
        With `known_rules`, for one member.
    otherwise : callable
        Makes the steps for data that do not fit.
    sparse : bool, default=False
        Whether the features are a SciPy CSR matrix, which is resident, too.
    interrupted : callable () -> bool, default=None
        Asked during a single step that takes long; True ends it with a `StepInterrupted`.
    """

    def __init__(
        self,
        rules: Rules,
        otherwise: Callable[[], Steps],
        sparse: bool = False,
        interrupted: Callable[[], bool] | None = None,
    ) -> None:
        self.takes_sparse, self.watch = sparse, Watch(interrupted)
        self.rules, self.make_others = rules, otherwise
        self.others: Steps | None = None  # for data that do not fit, once there were some
        self.known: tuple[Any, ...] = ()  # the arrays whose addresses compiled code has
        self.suits = False  # whether compiled steps can work on the data
        self.held: dict[str, Any] = {}  # what the addresses point to
        self.pool: Pool | None = None
        self.most_threads = 1 << 30
        self._begin()

    def _begin(self) -> None:
        """Set what each kind of steps has of its own."""

    def _made_others(self) -> Steps:
        """The steps for data that do not fit."""
        self.others = self.others or self.make_others()
        return self.others

    def words(self, keys: np.ndarray) -> Any:
        """Dropout keys, a uint32 array (steps, layers + 1, 2), as `on_rows` takes them."""
        return keys

    def _by_others(
        self, carry: Carry, rows: Rows, keys: Any, coefficients: Sequence[Coefficients]
    ) -> Carry:
        """Steps that are not compiled, and take CSR in single batches."""
        others = self._made_others()
        words = None if keys is None else others.words(keys)
        if not self.takes_sparse:
            return others.on_rows(carry, rows, words, coefficients)
        for k, c in enumerate(coefficients):
            at: Any = slice(rows.start + k * rows.size, rows.start + (k + 1) * rows.size)
            at = at if rows.order is None else rows.order[at]
            batch = Batch(*(None if a is None else a[at] for a in rows.data))
            carry = others.on_batch(carry, batch, None if words is None else words[k], c)
        return carry

    def _in_threads(
        self, run: Callable[[], int], *, several: bool, limits_blas: bool, watched: bool
    ) -> bool:
        """A call of compiled code; False, and nothing done, if several threads cannot be had now.

        Parameters
        ----------
        run : callable () -> int
            It returns 0 where it was ended.
        several : bool
            Whether it shares its work among threads.
        limits_blas : bool
            Whether one thread's products are too large to be cut.
        watched : bool
            Whether it takes long, and may be ended.
        """
        turn: AbstractContextManager[bool] = _NO_LIMIT
        if several:
            turn = threads.blas_turn()
        elif (
            limits_blas
        ):  # BLAS's threads wait for each other: on a busy machine several times as long
            turn = threads.one_blas_thread()
        with turn as alone:
            if several and not alone:
                return False
            if not (self.watch.run(run) if watched else run()):
                raise StepInterrupted
        return True
