"""`coefs_` and `intercepts_`: lists that users read, and may assign to."""

from collections.abc import Iterable
from typing import Any, SupportsIndex

from xpnn._typing import Array


class Parameters(list[Array]):
    """Arrays derived from an estimator's flat vector; assigning an item reaches the estimator.

    Pickled and copied it is a plain list.

    Parameters
    ----------
    arrays : iterable of arrays
    owner : estimator
    name : str
        The attribute whose items these are.
    """

    def __init__(self, arrays: Iterable[Array], owner: Any, name: str) -> None:
        super().__init__(arrays)
        self._owner, self._name = owner, name

    def __setitem__(self, index: SupportsIndex | slice, value: Any) -> None:
        changed = list(self)
        changed[index] = value
        setattr(self._owner, self._name, changed)
        super().__setitem__(index, value)

    def __reduce__(self) -> Any:
        return list, (list(self),)
