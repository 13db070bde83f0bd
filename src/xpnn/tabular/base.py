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
from xpnn.estimators._inputs import NUMPY, is_foreign, read_target, read_weight
from xpnn.estimators._settings import hidden_sizes
from xpnn.parts.losses import Loss
from xpnn.tables.encoding import Encoding, fit_encoding
from xpnn.tables.frames import Frame, read_frame
from xpnn.tabular.recipe import Recipe, make_network, make_recipe
from xpnn.tabular.training import Fitted, Task, fit_members, mean_prediction
from xpnn.training.callbacks import ProgressBar
from xpnn.training.data import predict_in_chunks


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
    recipe_: Recipe
    n_features_in_: int

    _checks: ClassVar[Checks] = {
        "n_members": (number(Integral, 2, closed="low"), NONE),
        "hidden": (ARRAY_LIKE, number(Integral, 1, closed="low"), NONE),
        "embedding": (among({"periodic"}), NONE),
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
    def _adopt_outputs(self, prediction: np.ndarray, task: Task) -> None:
        """Set what is known from predictions out of fold: of shape (n, n_out), as trained."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

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
        if isinstance(X, Mapping):
            self.feature_names_in_ = np.asarray(list(frame.columns), dtype=object)
        else:
            validate_data(self, X, reset=True, skip_check_array=True)
        self.n_features_in_ = len(frame.columns)
        rows = np.empty((frame.n_rows, 0))
        weight = read_weight(sample_weight, rows)
        target, weight, strata, loss = self._read_task(y, frame.n_rows, weight)
        self.encoding_ = fit_encoding(frame)
        x = self._inputs(self.encoding_.transform(frame))
        source = backend_of(X) if is_foreign(X) else NUMPY
        self._source = source
        self._backend = backend = source if self.device is None else get_backend(self.device)
        self._dtype = self._working_dtype(x, backend)
        classes = loss.name in ("softmax_cross_entropy",)
        sizes = None if self.hidden is None else tuple(hidden_sizes(self.hidden))
        self.recipe_ = make_recipe(
            frame.n_rows, self.n_members, sizes, self.embedding is not None, classes
        )
        if self.epochs is not None:
            self.recipe_ = replace(self.recipe_, epochs=int(self.epochs))
        n_numbers = self.encoding_.n_numbers
        self.network_ = make_network(
            self.recipe_, x.shape[1], n_numbers, self._n_out, loss.link
        )
        seed = draw_seed(self.random_state)
        task = Task(x, target, weight, strata, loss, classes)
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
        self._theta, self._buffers = fitted.theta, fitted.buffers
        self._folds, self._raw = fitted.folds, fitted.raw
        self.valley_, self.valley_scores_ = fitted.valley, dict(fitted.scores)
        self.history_ = {name: list(curve) for name, curve in fitted.history.items()}
        self._adopt_outputs(mean_prediction(fitted.raw, task, self.network_), task)

    # -- predicting -----------------------------------------------------------------------------

    def _mean_prediction(self, X: Any) -> tuple[np.ndarray, Backend]:
        """The members' mean prediction, as trained, on the host; and where X is."""
        check_is_fitted(self)
        frame = self._read_frame(X)
        source = backend_of(X) if is_foreign(X) else NUMPY
        return self._predict_inputs(self._inputs(self.encoding_.transform(frame))), source

    def _predict_inputs(self, x: np.ndarray) -> np.ndarray:
        backend, theta, buffers = self._backend, self._theta, self._buffers
        if backend is NUMPY:  # a row's prediction does not depend on those beside it
            theta, buffers = (a.astype(np.float64) for a in (theta, buffers))
        with backend.device_context(), np.errstate(all="ignore"):
            out = predict_in_chunks(self.network_, theta, buffers, x, backend)
            return np.asarray(backend.to_numpy(out), dtype=np.float64)

    def _read_frame(self, X: Any) -> Frame:
        """A table with the columns of fit."""
        frame = read_frame(X)
        if isinstance(X, Mapping):
            return frame
        validate_data(self, X, reset=False, skip_check_array=True)
        if len(frame.columns) != self.n_features_in_:
            raise ValueError(
                f"X has {len(frame.columns)} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return frame

    def _move(self, target: Backend) -> None:
        self._theta, self._buffers = (
            target.asarray(self._backend.to_numpy(a), dtype=self._dtype)
            for a in (self._theta, self._buffers)
        )
