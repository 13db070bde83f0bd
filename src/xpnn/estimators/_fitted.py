"""What a network has after fit: the attributes that scikit-learn's users read, and its file."""

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpnn.arrays.backend import Backend, dtype_name
from xpnn.arrays.typing import Array
from xpnn.estimators import _record
from xpnn.estimators._coefs import assign_parameters, read_parameters
from xpnn.estimators._hooks import warn_of_hooks
from xpnn.estimators._parameters import NetworkParameters
from xpnn.model.network import Network
from xpnn.training.history import History
from xpnn.training.state import TrainingState


class FittedNetwork(NetworkParameters):
    """A network's state, and the attributes that follow from it."""

    network_: Network
    n_outputs_: int
    _state: TrainingState
    _dtype: str
    _stopping: bool  # by rows held out
    _records: ClassVar[Any] = _record

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        warn_of_hooks(cls)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    @property
    def coefs_(self) -> list[Array]:
        """Weight matrices, (n_in, n_out) each, in X's library and on its device; assignable.

        With members, (members, n_in, n_out).
        """
        return read_parameters(self, "coefs_", "weight")

    @coefs_.setter
    def coefs_(self, value: Iterable[Any]) -> None:
        assign_parameters(self, "coefs_", "weight", value)

    @property
    def intercepts_(self) -> list[Array]:
        """Bias vectors, (n_out,) each, in X's library and on its device; assignable.

        With members, (members, n_out).
        """
        return read_parameters(self, "intercepts_", "bias")

    @intercepts_.setter
    def intercepts_(self, value: Iterable[Any]) -> None:
        assign_parameters(self, "intercepts_", "bias", value)

    @property
    def out_activation_(self) -> str:
        """The activation of the output layer, by scikit-learn's name."""
        if "network_" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no out_activation_ before fit.")
        link = self.network_.link.name
        return {"sigmoid": "logistic"}.get(link, link)

    @out_activation_.setter
    def out_activation_(self, value: str) -> None:
        """Before fit it has no effect, as in scikit-learn, whose fit sets it."""
        if "network_" in self.__dict__ and value != self.out_activation_:
            raise AttributeError(
                f"out_activation_ is {self.out_activation_!r}, which follows from y and the loss, "
                f"and cannot be {value!r}: what a classifier's output has before it are the "
                "values of decision_function(X)."
            )

    @property
    def parameters_(self) -> tuple[Array, Array]:
        """The flat parameters and the running statistics, as the methods of `network_` take them.

        On the device of the work; ``network_.predict(*parameters_, X, xp)`` is what can be traced,
        differentiated and compiled: no value is looked at.
        """
        check_is_fitted(self)
        return self._state.theta, self._state.buffers

    def _adopt(self, state: TrainingState, before: int) -> None:
        """Take over a training state and the attributes that scikit-learn's users read."""
        self._state, losses = state, state.history.get("loss", ())
        self.n_iter_, self.t_ = len(losses) - before, state.samples
        if losses or not hasattr(self, "loss_"):
            self.loss_ = losses[-1] if losses else np.inf
        self._stopping = bool(self.early_stopping) and self.solver != "lbfgs"
        self.converged_ = state.outcome == "converged"

    # These are read from the state when somebody asks: each call of partial_fit adds to them.

    @property
    def history_(self) -> dict[str, list[float]]:
        """Every metric of every epoch, as a copy."""
        return {name: list(curve) for name, curve in self._fitted_history("history_").items()}

    @property
    def loss_curve_(self) -> list[float]:
        """Mean loss of each epoch."""
        return list(self._fitted_history("loss_curve_").get("loss", ()))

    @property
    def validation_loss_curve_(self) -> list[float] | None:
        """The same of the rows held out."""
        return _copied(self._fitted_history("validation_loss_curve_").get("val_loss"))

    @property
    def validation_scores_(self) -> list[float] | None:
        """What early stopping goes by, after each epoch."""
        history, monitor = self._fitted_history("validation_scores_"), self._state.monitor
        scored = "val_score" if monitor in ("loss", "val_loss") else monitor
        return _copied(history.get(scored)) if self._stopping else None

    @property
    def best_validation_score_(self) -> float | None:
        """The best of `validation_scores_`."""
        self._fitted_history("best_validation_score_")
        return _best(self.validation_scores_, max)

    @property
    def best_loss_(self) -> float | None:
        """The best of `loss_curve_`; None with early stopping."""
        self._fitted_history("best_loss_")
        return None if self._stopping else _best(self.loss_curve_, min)

    def _fitted_history(self, name: str) -> History:
        """The history, or an AttributeError before fit."""
        if "_state" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.")
        return self._state.history

    def _move(self, target: Backend) -> None:
        self._state = self._state.moved(self._backend, target)
        self._dtype = dtype_name(self._state.theta.dtype)


def _best(curve: list[float] | None, choose: Callable[..., float]) -> float | None:
    """The best finite value; NaN where there is none, None of no curve at all."""
    return choose(filter(math.isfinite, curve), default=math.nan) if curve else None


def _copied(curve: Iterable[float] | None) -> list[float] | None:
    return None if curve is None else list(curve)
