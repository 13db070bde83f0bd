"""Where a fitted estimator lives: checks, moves, and pickles that open on any machine."""

from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from xpnn._version import __version__
from xpnn._warnings import warn_user
from xpnn.arrays.backend import (
    Backend,
    dtype_name,
    get_backend,
)
from xpnn.arrays.libraries import device_name
from xpnn.estimators._plain import KINDS, Kind, pack, unpack
from xpnn.training.interrupt import TrainingInterrupted
from xpnn.training.state import DivergedError

_WARNED: set[str] = set()
_VERSION = "_xpnn_version"  # in a pickle's state, beside scikit-learn's _sklearn_version

Fitted = TypeVar("Fitted")


class OnDevice(BaseEstimator):
    """An estimator whose fitted arrays are of X's library and on X's device.

    A subclass sets `_source` (where X was), `_backend` (where the work is done and the state
    lies), and defines `_move`.
    """

    _kinds: ClassVar[dict[str, Kind]] = KINDS
    _records: ClassVar[Any]  # the module with `to_record` and `from_record`, for model files

    device: Any
    dtype: Any
    _source: Backend
    _backend: Backend

    def _store(self, given: dict[str, Any]) -> None:
        """Keep the arguments of our own `__init__`, untouched; a subclass may have others."""
        for name, value in given.items():
            if name != "self":
                setattr(self, name, value)

    def to_device(self, device: str | Backend) -> Any:
        """Move the fitted estimator: from now on it takes and gives arrays of that device.

        Parameters
        ----------
        device : str or Backend
            Such as "numpy" or "cupy:0". The parameter `device`, if it was set, becomes this.

        Returns
        -------
        self

        Raises
        ------
        DeviceError
            When there is no such device; the estimator is then as it was.
        sklearn.exceptions.NotFittedError
            Before fit.

        Examples
        --------
        >>> import numpy as np
        >>> from xpnn import MLPRegressor
        >>> model = MLPRegressor(max_iter=1).partial_fit(np.eye(3), np.arange(3.0))
        >>> model.to_device("numpy").predict(np.eye(3)).shape
        (3,)
        """
        check_is_fitted(self)
        target = get_backend(device)

        def move(new: Any) -> None:
            new._move(target)
            new._source = new._backend = target
            if new.device is not None:
                new.device = target.name

        self._commit(move)
        return self

    def _move(self, target: Backend) -> None:
        """Replace each fitted array by one on `target`."""
        raise NotImplementedError

    def _to_record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        check_is_fitted(self)
        found: tuple[dict[str, Any], dict[str, Any]] = self._records.to_record(self)
        return found

    @classmethod
    def _from_record(cls, header: dict[str, Any], arrays: dict[str, Any]) -> Any:
        return cls._records.from_record(cls, header, arrays)

    def _commit(
        self: Fitted, work: Callable[[Any], None], after: Callable[[], None] | None = None
    ) -> Fitted:
        """Do `work` on a twin and take over its attributes only when it went well.

        Fitted arrays are replaced, never written into, so the twin may share them. What callbacks
        set on the estimator meanwhile stays, but where the work has set the same. `after` sees the
        estimator with its new attributes, which it loses again if that raises. Weights that a
        divergence or Ctrl-C has left are taken over.
        """
        new, before = copy(self), dict(self.__dict__)
        random = before.get("random_state")
        drawn = random.get_state() if isinstance(random, np.random.RandomState) else None
        try:
            work(new)
            known, self.__dict__ = self.__dict__, _merged(before, self.__dict__, new.__dict__)
            if after is not None:
                try:
                    after()
                except BaseException:
                    self.__dict__ = known
                    raise
        except BaseException as error:
            diverged = isinstance(error, DivergedError) and error.state is not None
            if diverged or isinstance(error, TrainingInterrupted):
                self.__dict__ = _merged(before, self.__dict__, new.__dict__)
            elif random is not None and drawn is not None:
                random.set_state(drawn)
            raise
        return self

    def _check_place(self, source: Backend, method: str = "predict") -> None:
        """Refuse arrays of another library or device than fit's, unless `device` says where."""
        if self.device is None and source is not self._source:
            name = type(self).__name__
            raise ValueError(
                f"Inputs passed to {name}.{method}() must use the same namespace and device as "
                f"those passed to fit(): X is on {source}, and this {name} was fitted on "
                f"{self._source}. Move X with xpnn.get_backend({self._source.name!r}).asarray(X), "
                f"or the estimator with estimator.to_device({source.name!r}), or take X from "
                f"anywhere with set_params(device={self._backend.name!r})."
            )

    def _backend_for(self, source: Backend) -> Backend:
        """Where to work on rows from there."""
        return source if self.device is None else get_backend(self.device)

    def _working_dtype(self, x: Any, backend: Backend) -> str:
        name = dtype_name(x.dtype if self.dtype is None else self.dtype)
        if name in backend.dtypes:
            return name
        if backend.name not in _WARNED:
            _WARNED.add(backend.name)
            warn_user(f"{backend} has no {name}: computing in float32.")
        return "float32"

    # -- copies and pickles -------------------------------------------------------------------

    def __copy__(self) -> Any:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        return new

    def __getstate__(self) -> dict[str, Any]:
        """Plain data and NumPy arrays, with a note of their device, and xpnn's version."""
        state = dict(super().__getstate__())
        for name, named in (("device", device_name), ("dtype", dtype_name)):
            if state.get(name) is not None:
                state[name] = named(state[name])
        packed = {name: pack(value, self._kinds) for name, value in state.items()}
        return {**packed, _VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        missing: dict[str, str] = {}
        state = dict(state)
        version = state.pop(_VERSION, None)
        if version != __version__:
            origin = f"xpnn {version}" if version else "an older xpnn"
            warn_user(
                f"This {type(self).__name__} was pickled by {origin} and is opened by xpnn "
                f"{__version__}, where it may compute something else or fail: fit it anew, or let "
                "the other one write a model file (xpnn.save), which newer ones read."
            )
        super().__setstate__({k: unpack(v, self._kinds, missing) for k, v in state.items()})
        if self.__dict__.get("device") in missing:
            self.device = None
        for name, reason in missing.items():
            if name not in _WARNED:
                _WARNED.add(name)
                warn_user(
                    f"This {type(self).__name__} was fitted on {name}, which is not usable here: "
                    f"{reason}. It is now on NumPy, and follows X.",
                )


def to_device(estimator: Any, device: str | Backend) -> Any:
    """Move a fitted estimator: from now on it takes and gives arrays of that device.

    Parameters
    ----------
    estimator : fitted estimator of xpnn
        It is changed; use `copy.deepcopy` first to keep one on either side.
    device : str or Backend
        Such as "numpy" or "cupy:0".

    Returns
    -------
    estimator
        The same.

    Raises
    ------
    DeviceError
        When there is no such device; the estimator is then as it was.
    ValueError
        For something that is no estimator of xpnn.

    Examples
    --------
    >>> import numpy as np, xpnn
    >>> model = xpnn.MLPRegressor(max_iter=1).partial_fit(np.eye(3), np.arange(3.0))
    >>> xpnn.to_device(model, "numpy").predict(np.eye(3)).shape
    (3,)
    """
    if not isinstance(estimator, OnDevice):  # arrays have a method of this name, too
        raise ValueError(
            f"Only estimators of xpnn can be moved, got {type(estimator).__name__}; of arrays "
            "xpnn.get_backend(device).asarray makes those of a device."
        )
    return estimator.to_device(device)


def _merged(before: dict[str, Any], users: dict[str, Any], fits: dict[str, Any]) -> dict[str, Any]:
    """Attributes as a fit has changed them, and where it has not, as the user has meanwhile."""
    absent = object()
    for name in [*fits, *users]:
        was, now = before.get(name, absent), users.get(name, absent)
        if now is not was and fits.get(name, absent) is was:
            if now is absent:
                del fits[name]
            else:
                fits[name] = now
    return fits
