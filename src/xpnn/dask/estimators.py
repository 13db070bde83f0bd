"""Estimators of Dask's arrays and frames: the ordinary ones, trained on a cluster's workers."""

import inspect
from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from xpnn import estimators as ordinary
from xpnn.dask.fitting import Fit, chosen_client
from xpnn.dask.parts import Given, is_dask
from xpnn.dask.predicting import lazily, outcomes
from xpnn.estimators._checks import check_parameters
from xpnn.estimators._settings import draw_seed


def _with_client(cls: type) -> Callable[..., None]:
    """The `__init__` of an ordinary estimator, with `client` beside its own parameters."""
    own = inspect.signature(cls.__init__)  # type: ignore[misc]
    client = inspect.Parameter("client", inspect.Parameter.KEYWORD_ONLY, default=None)

    def __init__(self: Any, *args: Any, client: Any = None, **params: Any) -> None:
        cls.__init__(self, *args, **params)  # type: ignore[misc]
        self.client = client

    __init__.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), client]
    )
    return __init__


class OnWorkers:
    """An estimator whose `fit` takes Dask's arrays and frames."""

    _ordinary: ClassVar[Any]
    _own_rows: ClassVar = True  # whether a worker trains on some of the rows, or needs all
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

    def _fit_on_workers(self, given: Given, held: Given | None, checkpoint: Any, resume: Any) -> Any:
        check_parameters(self)
        client = chosen_client(self.client)
        names = set(self._ordinary._get_param_names())

        def work(new: Any) -> None:
            local = new.to_local()
            if not getattr(new, "warm_start", False):
                local = self._ordinary(**local.get_params(deep=False))
            fitted = Fit(client, local, self._own_rows)(given, held, checkpoint, resume)
            if isinstance(new.random_state, np.random.RandomState):
                draw_seed(new.random_state)  # each worker has drawn from a copy
            new.__dict__.update({k: v for k, v in vars(fitted).items() if k not in names})

        return self._commit(work)  # type: ignore[attr-defined]

    def _by_partition(self, method: str, X: Any, **options: Any) -> Any:
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

    # -- copies -------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Without the client: in another process there is another."""
        bare = copy(self)
        bare.client = None
        return super(OnWorkers, bare).__getstate__()  # type: ignore[misc]

    def __sklearn_clone__(self) -> Any:
        """Unfitted, with the same client."""
        bare = copy(self)
        bare.client = None
        new = super(OnWorkers, bare).__sklearn_clone__()  # type: ignore[misc]
        new.client = self.client
        return new

    def _to_record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.to_local()._to_record()


class _OfNetworks(OnWorkers):
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
        name = type(self).__name__
        if comm is not None:
            raise ValueError(f"xpnn.dask.{name} has the workers for processes: leave comm out.")
        given, held = Given.of(name, X, y, sample_weight), None
        if validation_data is not None:
            held = Given.of(name, *validation_data)
        return self._fit_on_workers(given, held, checkpoint, resume)


class _OfTables(OnWorkers):
    """`fit` of the estimators of tables."""

    _own_rows = False

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        checkpoint: Any = None,
        resume: bool = False,
        comm: Any = None,
    ) -> Any:
        """Fit the network on the workers, each of which gets the whole table.

        A step's rows are shared by the workers; what is learned of the columns, and the folds,
        need all rows, so that the table has to fit into the memory of each. The rest is as of
        `xpnn.dask.MLPClassifier.fit`.

        Parameters
        ----------
        X : Dask frame or array of shape (n_samples, n_features), or list of futures
        y : Dask series or array, or list of futures
            Cut as X is; an array of known chunks is cut so.
        sample_weight : Dask array or series of shape (n_samples,), or list of futures, default=None
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
        name = type(self).__name__
        if comm is not None:
            raise ValueError(f"xpnn.dask.{name} has the workers for processes: leave comm out.")
        return self._fit_on_workers(Given.of(name, X, y, sample_weight), None, checkpoint, resume)


def _has_probabilities(self: Any) -> bool:
    return not hasattr(self, "_has_margins") or bool(self._has_probabilities())


class _OfClasses(OnWorkers):
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


class MLPClassifier(_OfClasses, _OfNetworks, ordinary.MLPClassifier):
    """Multi-layer perceptron classifier of Dask's arrays and frames.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.MLPClassifier`.

    Attributes
    ----------
    classes_, coefs_, loss_curve_, ...
        Those of `xpnn.MLPClassifier`, on the client.

    Examples
    --------
    >>> import dask.array as da  # doctest: +SKIP
    >>> from dask.distributed import Client  # doctest: +SKIP
    >>> from xpnn.dask import MLPClassifier
    >>> client = Client()  # doctest: +SKIP
    >>> X = da.random.normal(size=(100_000, 20), chunks=(10_000, 20))  # doctest: +SKIP
    >>> model = MLPClassifier(random_state=0).fit(X, X[:, 0] > 0)  # doctest: +SKIP
    >>> model.predict_proba(X)  # doctest: +SKIP
    dask.array<...>
    """

    _ordinary = ordinary.MLPClassifier
    __init__ = _with_client(ordinary.MLPClassifier)

    def decision_function(self, X: Any) -> Any:
        """The network's raw outputs, as `predict_proba` gives its probabilities.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.

        Returns
        -------
        Dask array of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._by_partition("decision_function", X)


class MLPRegressor(_OfNetworks, ordinary.MLPRegressor):
    """Multi-layer perceptron regressor of Dask's arrays and frames.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.MLPRegressor`.

    Examples
    --------
    >>> from xpnn.dask import MLPRegressor
    >>> MLPRegressor(max_iter=5).get_params()["max_iter"]
    5
    """

    _ordinary = ordinary.MLPRegressor
    __init__ = _with_client(ordinary.MLPRegressor)


class TabularClassifier(_OfClasses, _OfTables, ordinary.TabularClassifier):
    """Classes of the rows of a Dask frame; each worker gets the whole table.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.TabularClassifier`.

    Examples
    --------
    >>> from xpnn.dask import TabularClassifier
    >>> TabularClassifier(random_state=0).to_local()
    TabularClassifier(random_state=0)
    """

    _ordinary = ordinary.TabularClassifier
    __init__ = _with_client(ordinary.TabularClassifier)


class TabularRegressor(_OfTables, ordinary.TabularRegressor):
    """Numbers of the rows of a Dask frame; each worker gets the whole table.

    Parameters
    ----------
    client : dask.distributed.Client, default=None
        None is the one that was made last.
    **params
        Those of `xpnn.TabularRegressor`.

    Examples
    --------
    >>> from xpnn.dask import TabularRegressor
    >>> TabularRegressor(random_state=0).to_local()
    TabularRegressor(random_state=0)
    """

    _ordinary = ordinary.TabularRegressor
    __init__ = _with_client(ordinary.TabularRegressor)

    def predict_quantiles(self, X: Any) -> Any:
        """Predict the quantiles that were learned, lazily and by partition where X is Dask's.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.

        Returns
        -------
        Dask array of shape (n_samples, n_quantiles)
        """
        return self._by_partition("predict_quantiles", X)

    def predict_interval(self, X: Any, confidence_level: float = 0.9) -> Any:
        """Predict intervals, lazily and by partition where X is Dask's.

        Parameters
        ----------
        X : Dask array or frame of shape (n_samples, n_features)
            Or what the ordinary estimator takes.
        confidence_level : float, default=0.9

        Returns
        -------
        Dask array of shape (n_samples, 2), or (n_samples, 2, n_outputs)
        """
        return self._by_partition("predict_interval", X, confidence_level=confidence_level)
