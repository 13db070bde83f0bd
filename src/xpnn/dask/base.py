"""What the estimators of Dask's arrays and frames have beside the ordinary ones."""

from copy import copy
from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from xpnn.dask.fitting import Fit
from xpnn.dask.parts import Given, is_dask
from xpnn.dask.predicting import lazily, outcomes
from xpnn.distributed.workers import chosen_client
from xpnn.estimators._checks import check_parameters
from xpnn.estimators._settings import draw_seed


class OnWorkers:
    """An estimator whose `fit` takes Dask's arrays and frames."""

    _ordinary: ClassVar[Any]
    client: Any
    random_state: Any

    def to_local(self) -> Any:
        """The same estimator without Dask, of the ordinary class; fitted if this one is.

        Returns
        -------
        estimator
            Its parameters and fitted arrays are shared.
        """
        local = object.__new__(self._ordinary)
        local.__dict__.update({k: v for k, v in vars(self).items() if k != "client"})
        return local

    def _given(self, X: Any, y: Any, sample_weight: Any = None, *, comm: Any = None) -> Given:
        name = type(self).__name__
        if comm is not None:
            raise ValueError(f"xpnn.dask.{name} has the workers for processes: leave comm out.")
        return Given.of(name, X, y, sample_weight)

    def _fit_on_workers(
        self, given: Given, held: Given | None, checkpoint: Any, resume: Any
    ) -> Any:
        check_parameters(self)
        client = chosen_client(self.client)
        names = set(self._ordinary().get_params(deep=False))

        def work(new: Any) -> None:
            local = new.to_local()
            if not getattr(new, "warm_start", False):
                local = self._ordinary(**local.get_params(deep=False))
            fitted = Fit(client, local)(given, held, checkpoint, resume)
            if isinstance(new.random_state, np.random.RandomState):
                draw_seed(new.random_state)  # each worker has drawn from a copy
            new.__dict__.update({k: v for k, v in vars(fitted).items() if k not in names})

        return self._commit(work)  # type: ignore[attr-defined]

    def _by_partition(self, method: str, X: Any, /, **options: Any) -> Any:
        check_is_fitted(self)
        local = self.to_local()
        if not is_dask(X):
            return getattr(local, method)(X, **options)
        return lazily(local, method, X, **options)

    def predict(self, X: Any) -> Any:
        """Predict, lazily and by partition where X is Dask's.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes, which is then predicted here and now.

        Returns
        -------
        Dask array of shape (n_samples,) or (n_samples, n_outputs)
            With X's chunks; of a frame, of unknown sizes.
        """
        return self._by_partition("predict", X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The accuracy of a classifier, R2 of a regressor; predictions are made by partition.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.
        y : Dask array or series of shape (n_samples,) or (n_samples, n_outputs)
            It comes to the client, with the predictions.
        sample_weight : Dask array or series of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        if not is_dask(X):
            return float(self.to_local().score(X, y, sample_weight))
        check_is_fitted(self)
        given = Given.of(type(self).__name__, X, y, sample_weight)
        found, truth, weight = outcomes(self.to_local(), given)
        measure = accuracy_score if is_classifier(self) else r2_score
        return float(measure(truth, found, sample_weight=weight))

    # -- copies -----------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Without the client: in another process there is another."""
        bare = copy(self)
        bare.client = None
        state: Any = super(OnWorkers, bare).__getstate__()
        return dict(state)

    def __sklearn_clone__(self) -> Any:
        """Unfitted, with the same client."""
        bare = copy(self)
        bare.client = None
        new = super(OnWorkers, bare).__sklearn_clone__()  # type: ignore[misc]
        new.client = self.client
        return new

    def _to_record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        found: tuple[dict[str, Any], dict[str, Any]] = self.to_local()._to_record()
        return found


class OfNetworks(OnWorkers):
    """`fit` of the estimators of numbers."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        validation_data: Any = None,
        checkpoint: Any = None,
        resume: bool = False,
        comm: Any = None,
    ) -> Any:
        """Fit the network on the workers, each with the rows of some partitions.

        The network has the same bits for 1 to 8 workers, however the rows are cut into partitions
        and wherever these lie; with more workers, for any number up to the next power of two.
        What lies elsewhere than on the worker that trains on it is moved there, once. Training
        goes on with the others when a worker dies, to the same bits.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features), or list of futures
            Futures, or delayed objects, are partitions. What is not computed yet is computed
            where it is trained on, on all workers; of what lies on workers, these train.
        y : Dask array, series or frame, or list of futures
            Cut as X is; an array of known chunks is cut so.
        sample_weight : Dask array or series of shape (n_samples,), or list of futures, default=None
        validation_data : tuple (X, y) or (X, y, sample_weight), default=None
            Of the same kinds.
        checkpoint : path-like or xpnn.Checkpoint, default=None
            A folder of the client's, which writes what the workers send.
        resume : bool, default=False
            Go on from the checkpoint there, if there is one.
        comm : None
            The workers are the processes.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For rows that are not Dask's, with the cure.
        WorkerLostError
            When the last of the workers dies.
        ValueError, DivergedError, CheckpointError
            As of the ordinary estimator, which runs on each worker.
        """
        given = self._given(X, y, sample_weight, comm=comm)
        held = None if validation_data is None else self._given(*validation_data)
        return self._fit_on_workers(given, held, checkpoint, resume)


class OfTables(OnWorkers):
    """`fit` of the estimators of tables."""

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        checkpoint: Any = None,
        resume: bool = False,
        comm: Any = None,
    ) -> Any:
        """Fit the network on the workers, each with the rows of some partitions.

        A column is learned by one worker, which gets it whole; of all rows each worker has the
        targets and the predictions out of fold. The rest is as of `xpnn.dask.MLPClassifier.fit`.

        Parameters
        ----------
        X : Dask frame or array of shape (n_samples, n_features), or list of futures
        y : Dask series or array, or list of futures
            Cut as X is; an array of known chunks is cut so.
        sample_weight : Dask array or series of shape (n_samples,), or list of futures, default=None
        groups : None
            Not of rows that lie on several workers.
        checkpoint : path-like or xpnn.Checkpoint, default=None
            A folder of the client's, which writes what the workers send.
        resume : bool, default=False
            Go on from the checkpoint there, if there is one.
        comm : None
            The workers are the processes.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For rows that are not Dask's, with the cure.
        WorkerLostError
            When the last of the workers dies.
        ValueError, DivergedError, CheckpointError
            As of the ordinary estimator, which runs on each worker.
        """
        if groups is not None:
            name = type(self).__name__
            raise ValueError(
                f"xpnn.dask.{name} takes no groups, whose rows would lie on several workers: leave "
                f"them out, or fit xpnn.{name} on X.compute() with groups.compute()."
            )
        given = self._given(X, y, sample_weight, comm=comm)
        return self._fit_on_workers(given, None, checkpoint, resume)


def _has_probabilities(self: Any) -> bool:
    return not hasattr(self, "_has_margins") or bool(self._has_probabilities())


class OfClasses(OnWorkers):
    """What classifiers predict."""

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class, lazily and by partition where X is Dask's.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.

        Returns
        -------
        Dask array of shape (n_samples, n_classes)
        """
        return self._by_partition("predict_proba", X)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithm of each class's probability, as `predict_proba` does.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.

        Returns
        -------
        Dask array of shape (n_samples, n_classes)
        """
        return self._by_partition("predict_log_proba", X)
