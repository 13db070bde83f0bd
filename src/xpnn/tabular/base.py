"""What the tabular classifier and regressor share: from a table to trained members, and back."""

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from xpnn.arrays.backend import Backend, backend_of, get_backend
from xpnn.arrays.typing import Array
from xpnn.estimators._base import draw_seed
from xpnn.estimators._checks import (
    ARRAY_LIKE,
    CALLABLE,
    NONE,
    RANDOM_STATE,
    VERBOSE,
    Checks,
    among,
    check_parameters,
    instance,
    number,
)
from xpnn.estimators._device import OnDevice
from xpnn.estimators._inputs import NUMPY, is_foreign, read_weight
from xpnn.estimators._settings import hidden_sizes
from xpnn.model.embedding import PeriodicEmbedding
from xpnn.model.layer import EVALUATE
from xpnn.model.network import Network
from xpnn.tables.encoding import Encoding, fit_encoding
from xpnn.tables.frames import Frame, read_frame
from xpnn.tabular.importance import permutation_importance
from xpnn.tabular.recipe import (
    BINS,
    EMBEDDINGS,
    MOST_EMBEDDED,
    Recipe,
    make_network,
    make_recipe,
)
from xpnn.tabular.record import from_record, to_record
from xpnn.tabular.report import summary
from xpnn.tabular.training import (
    Fitted,
    Task,
    fit_members,
    held_outputs,
    mean_prediction,
    score_of,
)
from xpnn.training.callbacks import ProgressBar
from xpnn.training.data import predict_in_chunks

_MOST_ROWS = 2_000  # that importances are computed from


def _some_rows(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, _MOST_ROWS)).astype(np.int64))


class BaseTabular(OnDevice):
    """A network for tables with scikit-learn's interface."""

    n_members: Any
    hidden: Any
    embedding: Any
    loss: Any
    epochs: Any
    time_limit: Any
    random_state: Any
    verbose: Any
    callbacks: Any

    encoding_: Encoding
    network_: Network
    valleys_: dict[int, tuple[float, float]]
    validation_score_: float
    fit_time_: float
    outcome_: str
    importance_: dict[str, tuple[float, float]]
    _n_out: int
    _folds: np.ndarray
    _raw: np.ndarray
    _weights: list[float]
    _arrays: dict[str, Array]
    recipe_: Recipe
    n_features_in_: int

    _checks: ClassVar[Checks] = {
        "n_members": (number(Integral, 2, closed="low"), NONE),
        "hidden": (ARRAY_LIKE, number(Integral, 1, closed="low"), NONE),
        "embedding": (among(EMBEDDINGS), NONE),
        "epochs": (number(Integral, 1, closed="low"), NONE),
        "time_limit": (number(Real, 0), NONE),
        "random_state": RANDOM_STATE,
        "verbose": VERBOSE,
        "callbacks": (ARRAY_LIKE, CALLABLE, NONE),
        "device": (instance(str), instance(Backend), NONE),
        "dtype": (among({"float32", "float64"}),),
    }

    @abstractmethod
    def _read_task(self, y: Any, n: int, weight: np.ndarray | None) -> tuple[Any, ...]:
        """Check y; set what is known of the outputs; return target, weight, strata and loss."""

    @abstractmethod
    def _task_of(self, x: np.ndarray, y: Any) -> Task:
        """Rows with a target that is known, to be scored on."""

    @abstractmethod
    def _adopt_outputs(self, prediction: np.ndarray, task: Task) -> None:
        """Set what is known from predictions out of fold: of shape (n, n_out), as trained."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __getstate__(self) -> dict[str, Any]:
        """Without the training rows."""
        state = super().__getstate__()
        state.pop("_task", None)
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "BaseTabular":
        """Fit the network to a table.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            A pandas, polars or pyarrow table, a mapping of names to columns, a NumPy array, or
            an array of any supported library on any device. Numbers, booleans, words and times,
            with missing values.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For bad input; the estimator is then as it was before.
        DivergedError
            When a weight becomes NaN or infinite before anything was learned.
        """
        check_parameters(self)
        return self._commit(lambda new: new._fit(X, y, sample_weight))

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> None:
        began = time.perf_counter()
        frame = read_frame(X)
        if isinstance(X, Mapping | Frame):
            self.feature_names_in_ = np.asarray(list(frame.columns), dtype=object)
        else:
            validate_data(self, X, reset=True, skip_check_array=True)
        self.n_features_in_ = len(frame.columns)
        rows = np.empty((frame.n_rows, 0))
        weight = read_weight(sample_weight, rows)
        target, weight, strata, loss = self._read_task(y, frame.n_rows, weight)
        most = MOST_EMBEDDED if self.embedding == "auto" else None
        bins = 0 if self.embedding in (None, "periodic") else BINS
        self.encoding_ = fit_encoding(frame, bins, most)
        x = self._inputs(self.encoding_.transform(frame))
        source = backend_of(X) if is_foreign(X) else NUMPY
        self._source = source
        self._backend = backend = source if self.device is None else get_backend(self.device)
        self._dtype = self._working_dtype(x, backend)
        classes = loss.name in ("softmax_cross_entropy",)
        n_numbers = self.encoding_.n_numbers
        waves = self.embedding in ("both", "periodic")
        waves = waves or (self.embedding == "auto" and n_numbers <= MOST_EMBEDDED)
        sizes = None if self.hidden is None else tuple(hidden_sizes(self.hidden))
        self.recipe_ = make_recipe(frame.n_rows, self.n_members, sizes, waves, classes)
        if self.epochs is not None:
            self.recipe_ = replace(self.recipe_, epochs=int(self.epochs))
        self.network_ = make_network(self.recipe_, x.shape[1], n_numbers, self._n_out, loss.link)
        seed = draw_seed(self.random_state)
        self._task = task = Task(x, target, weight, strata, loss, classes)
        fitted = fit_members(
            self.network_,
            self.recipe_,
            task,
            backend,
            self._dtype,
            seed,
            callbacks=self._callbacks(),
            time_limit=self.time_limit,
        )
        self._adopt(fitted, task)
        self.fit_time_ = time.perf_counter() - began

    def _inputs(self, x: np.ndarray) -> np.ndarray:
        """At least one input: a table that says nothing has a constant."""
        return x if x.shape[1] else np.zeros((len(x), 1), dtype=np.float32)

    def _callbacks(self) -> list[Any]:
        given = self.callbacks
        chosen = [] if given is None else [given] if callable(given) else list(given)
        return [*chosen, ProgressBar()] if self.verbose else chosen

    def _adopt(self, fitted: Fitted, task: Task) -> None:
        self._weights = [k.weight for k in fitted.kept]
        self._arrays = {}
        for i, k in enumerate(fitted.kept):
            self._arrays |= {f"theta_{i}": k.theta, f"buffers_{i}": k.buffers}
        self._folds, self._raw = fitted.folds, fitted.raw
        self.valleys_ = dict(fitted.valleys)
        self.history_ = {name: list(curve) for name, curve in fitted.history.items()}
        self.outcome_ = fitted.outcome
        self.__dict__.pop("importance_", None)
        self._adopt_outputs(fitted.prediction, task)

    # -- predicting -----------------------------------------------------------------------------

    def _mean_prediction(self, X: Any) -> tuple[np.ndarray, Backend]:
        """The members' mean prediction, as trained, on the host; and where X is."""
        x, source = self._read_inputs(X)
        return self._predict_inputs(x), source

    def _read_inputs(self, X: Any) -> tuple[np.ndarray, Backend]:
        """The network's inputs of a table, on the host; and where X is."""
        check_is_fitted(self)
        source = backend_of(X) if is_foreign(X) else NUMPY
        return self._inputs(self.encoding_.transform(self._read_frame(X))), source

    def _by_member(self, values: np.ndarray) -> list[np.ndarray]:
        """Of each member, the values of the rows that it has not seen; (repeats, n, ...)."""
        folds = range(self.recipe_.folds)
        return [own[f == k] for own, f in zip(values, self._folds, strict=True) for k in folds]

    def summary(self) -> str:
        """What was done with each column, the network, its valleys, time and scores.

        Returns
        -------
        str
            Of one screen.
        """
        check_is_fitted(self)
        return summary(self)

    def feature_importance(
        self, X: Any = None, y: Any = None, *, n_repeats: int = 5
    ) -> dict[str, tuple[float, float]]:
        """How much worse rows are predicted when a column's values are permuted among them.

        Parameters
        ----------
        X : table of shape (n_samples, n_features), default=None
            None takes the training rows, each predicted by a member that has not seen it.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        n_repeats : int, default=5
            Permutations of each column.

        Returns
        -------
        dict of str to (mean, standard deviation)
            Rise of the loss (log-loss of classes; of a regression that of training, of a target
            with the variance 1), the most important column first. A file keeps those of the
            training rows that were computed last; at most 2,000 rows are looked at.

        Raises
        ------
        ValueError
            Without X for an estimator from a file that has none: rows are not kept in files.
        """
        check_is_fitted(self)
        if X is None and not hasattr(self, "_task"):
            if hasattr(self, "importance_"):
                return dict(self.importance_)
            raise ValueError(
                "The training rows are not there: a file has none. Pass X and y, or call "
                "feature_importance() before you save the estimator."
            )
        if X is not None:
            x, _ = self._read_inputs(X)
            task = self._task_of(x, y)
            rows = _some_rows(len(x))
            return self._importance(task.of_rows(rows), None, n_repeats)
        rows = _some_rows(len(self._task.x))
        some = self._task.of_rows(rows)
        self.importance_ = self._importance(some, self._folds[:, rows], n_repeats)
        return dict(self.importance_)

    def embedded(self, column: str, member: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """What a member's periodic embedding makes of a column of numbers.

        Parameters
        ----------
        column : str
        member : int, default=0

        Returns
        -------
        grid : ndarray of shape (200,)
            Values of the column, over most of its range.
        functions : ndarray of shape (200, size)
            Of the valley that counts most.

        Raises
        ------
        ValueError
            For a column that is not embedded.
        """
        check_is_fitted(self)
        layer, names = self.network_.layers[0], self.encoding_.names
        at = names.index(column) if column in names else len(names)
        kept = int(np.argmax(self._weights))
        if not isinstance(layer, PeriodicEmbedding) or at >= layer.embedded:
            embedded = names[: getattr(layer, "embedded", 0)]
            raise ValueError(
                f"{column!r} is not embedded: embedded are {', '.join(embedded) or 'none'}."
            )
        spread = next(c.spread for c in self.encoding_.columns if c.name == column)  # type: ignore[union-attr]
        z = np.linspace(-2.0, 2.0, 200)  # beyond, there are few rows
        grid = spread.center + z / (spread.factor or 1.0)
        x = np.zeros((200, layer.n_in))
        x[:, at] = spread(grid)
        theta = np.asarray(self._backend.to_numpy(self._arrays[f"theta_{kept}"]), np.float64)
        parts = self.network_.layout.by_layer(theta, np, len(self.network_.layers))[0]
        own = {name: a[member] for name, a in parts.items()}
        out, *_ = layer.forward(own, {}, x, EVALUATE, np)
        width = 1 + layer.size
        return grid, np.asarray(out[:, at * width + 1 : (at + 1) * width])

    def _importance(
        self, task: Task, folds: np.ndarray | None, n_repeats: int
    ) -> dict[str, tuple[float, float]]:
        def loss(x: np.ndarray) -> float:
            if folds is None:
                return score_of(self._predict_inputs(x), task)
            prediction = np.zeros((len(x), self._n_out))
            for i, weight in enumerate(self._weights):
                theta, buffers = self._arrays[f"theta_{i}"], self._arrays[f"buffers_{i}"]
                raw = held_outputs(self.network_, theta, buffers, x, folds, self._backend)
                prediction += weight * mean_prediction(raw, task, self.network_)
            return score_of(prediction, task)

        return permutation_importance(task.x, self.encoding_.places, loss, n_repeats, 0)

    def _predict_inputs(self, x: np.ndarray, kind: str = "predict") -> np.ndarray:
        """The mean prediction of all members, (n, n_out); or each one's outputs, members first."""
        backend, found = self._backend, list[np.ndarray]()
        for i, weight in enumerate(self._weights):
            theta, buffers = self._arrays[f"theta_{i}"], self._arrays[f"buffers_{i}"]
            if backend is NUMPY:  # a row's prediction does not depend on those beside it
                theta, buffers = (a.astype(np.float64) for a in (theta, buffers))
            with backend.device_context(), np.errstate(all="ignore"):
                out = predict_in_chunks(self.network_, theta, buffers, x, backend, kind)
                found.append(weight * np.asarray(backend.to_numpy(out), dtype=np.float64))
        mean: np.ndarray = np.sum(found, axis=0)
        return mean

    def _read_frame(self, X: Any) -> Frame:
        """A table with the columns of fit."""
        frame = read_frame(X)
        if isinstance(X, Mapping | Frame):
            return frame
        validate_data(self, X, reset=False, skip_check_array=True)
        if len(frame.columns) != self.n_features_in_:
            raise ValueError(
                f"X has {len(frame.columns)} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return frame

    def _move(self, target: Backend) -> None:
        to_host = self._backend.to_numpy
        self._dtype = self._working_dtype(to_host(self._arrays["theta_0"]), target)
        self._arrays = {
            name: target.asarray(to_host(a), dtype=self._dtype) for name, a in self._arrays.items()
        }

    def _to_record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        check_is_fitted(self)
        return to_record(self)

    @classmethod
    def _from_record(cls, header: dict[str, Any], arrays: dict[str, Any]) -> Any:
        return from_record(cls, header, arrays)
