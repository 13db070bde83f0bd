"""What a fitted tabular estimator knows from its training rows, each by who has not seen it."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.arrays.backend import Backend
from xpnn.arrays.typing import Array
from xpnn.model.network import Network
from xpnn.tabular.blocks import inputs_of
from xpnn.tabular.outoffold import Task, held_predictions
from xpnn.tabular.ownrows import Part
from xpnn.tabular.recipe import Recipe
from xpnn.tabular.training import Fitted, Kept


class Judgement:
    """An attribute that is there after fit; after Ctrl-C in a fit of many rows, once asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        if estimator is None:
            return self
        estimator._judge()
        if self.name in vars(estimator):
            return vars(estimator)[self.name]
        raise AttributeError(f"{type(estimator).__name__!r} object has no attribute {self.name!r}")


class Judged:
    """The part of a tabular estimator that holds what members say of rows they have not seen."""

    oof_prediction_: Any = Judgement()
    validation_score_: Any = Judgement()
    _held: Any = Judgement()

    network_: Network
    recipe_: Recipe
    encoding_: Any
    valleys_: dict[int, tuple[float, float]]
    history_: dict[str, list[float]]
    outcome_: str
    _n_out: int
    _task: Task | None
    _folds: np.ndarray
    _weights: list[float]
    _arrays: dict[str, Array]
    _backend: Backend
    _late: bool = False  # whether judgements are still to be made

    @abstractmethod
    def _in_words(self, prediction: np.ndarray) -> np.ndarray:
        """What `oof_prediction_` holds, of predictions as trained."""

    @abstractmethod
    def _adopt_outputs(self, prediction: np.ndarray, task: Task) -> None:
        """Set what is known from predictions out of fold: of shape (n, n_out), as trained."""

    @abstractmethod
    def _predict_inputs(self, x: np.ndarray, each: bool = False) -> np.ndarray:
        """The mean prediction of all members, (n, n_out); or each one's, members first."""

    def __getstate__(self) -> dict[str, Any]:
        """Without the training rows."""
        self._judge()
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        state.pop("_task", None)
        return state

    def _adopt(self, fitted: Fitted, task: Task) -> None:
        self._weights = [k.weight for k in fitted.kept]
        self._arrays = {}
        for i, k in enumerate(fitted.kept):
            self._arrays |= {f"theta_{i}": k.theta, f"buffers_{i}": k.buffers}
        self._folds, self._task = fitted.folds, task
        self.valleys_ = dict(fitted.valleys)
        self.history_ = {name: list(curve) for name, curve in fitted.history.items()}
        self.outcome_ = fitted.outcome
        self.__dict__.pop("importance_", None)
        self.__dict__.pop("_late", None)
        if fitted.held is not None:
            self._held = fitted.held
            self._adopt_outputs(fitted.held.mean(axis=0), task)
            return
        for name in [n for n in vars(self) if isinstance(getattr(type(self), n, None), Judgement)]:
            del self.__dict__[name]  # of an earlier fit
        self._late = True

    def _judge(self) -> None:
        """Make the judgements that Ctrl-C had no time for."""
        task = self._task if self._late else None
        if task is None:
            return
        held = np.zeros((*self._folds.shape, self._n_out))
        for theta, buffers, weight in self._kept():
            given = self.network_, theta, buffers, task.x, self._folds, self._backend
            with np.errstate(all="ignore"):
                held += weight * held_predictions(*given)
        self._held = held
        self._adopt_outputs(held.mean(axis=0), task)
        self.__dict__.pop("_late", None)

    def _kept(self) -> Iterator[Kept]:
        """The valleys that count."""
        for i, weight in enumerate(self._weights):
            yield Kept(self._arrays[f"theta_{i}"], self._arrays[f"buffers_{i}"], weight)

    def _complete(self, known: np.ndarray, frame: Any, part: Part) -> None:
        """Predictions of the rows that have no weight, among those out of fold."""

        def predictions(rows: np.ndarray) -> np.ndarray:
            if not rows.any():
                return np.empty((0, self._n_out))
            return self._predict_inputs(inputs_of(self.encoding_, frame.of_rows(rows)))

        rest = part.predicted(predictions, ~known)
        found = self.oof_prediction_
        whole = np.empty((len(known), *found.shape[1:]), dtype=found.dtype)
        whole[known], whole[~known] = found, self._in_words(rest)
        self.oof_prediction_ = whole

    def _by_member(self, values: np.ndarray) -> list[np.ndarray]:
        """Of each member, the values of the rows that it has not seen; (repeats, n, ...)."""
        folds = range(self.recipe_.folds)
        return [own[f == k] for own, f in zip(values, self._folds, strict=True) for k in folds]
